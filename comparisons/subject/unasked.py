"""What an implementation was never asked, to judge by all that it was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comparisons.reference.truth import Truth


def never_asked(truths: Sequence[Truth]) -> str:
    """Say in one line what these questions leave out.

    Parameters
    ----------
    truths : one for each call; the numbers of calls, samples and so on are counted here

    Examples
    --------
    >>> from comparisons.subject.probes import probe
    >>> never_asked(probe((3, 4, 2), batch=5).truths)  # doctest: +ELLIPSIS
    'float32, stacks, sizes other than 3-4-2, batches other than 5, more than 4 calls, targets outside [0, 1], ...
    """
    problems = [truth.problem for truth in truths]
    sizes = sorted({problem.sizes for problem in problems})
    batches = sorted({problem.inputs.shape[-2] for problem in problems})
    outside = any((problem.targets < 0).any() or (problem.targets > 1).any() for problem in problems)
    z = max(float(np.abs(value).max()) for truth in truths for value in truth.run.preactivations)
    gradient = max(float(np.abs(value).max()) for truth in truths for value in truth.run.gradients)
    parts = ["float32" if problems[0].inputs.dtype == np.float64 else "float64", "stacks"]
    more = []
    if len(sizes) == 1:
        parts.append(f"sizes other than {'-'.join(map(str, sizes[0]))}")
    else:
        parts += [f"widths over {max(map(max, sizes))}", *["one output"] * all(one[-1] > 1 for one in sizes)]
        more.append(f"{max(map(len, sizes)) - 1} layers")
    if len(batches) == 1:
        parts.append(f"batches other than {batches[0]}")
    else:
        more.append(f"{batches[-1]} samples")
    parts.append("more than " + " or ".join(filter(None, [", ".join(more), f"{len(truths)} calls"])))
    parts += ["targets outside [0, 1]"] * (not outside)
    return ", ".join([*parts, f"|z| over {z:.2g}", f"gradients over {gradient:.2g}"])
