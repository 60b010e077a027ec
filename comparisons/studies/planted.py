"""Every known mistake, swept over random networks: how often it shows there, and whether it is then caught."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comparisons.mistakes.known import MISTAKES
from comparisons.mistakes.lineup import mistaken_steps
from comparisons.mistakes.seams import NotApplicable, Seams
from comparisons.mistakes.variants import Variant
from comparisons.output import page, report
from comparisons.output.outcome import Outcome
from comparisons.reference.quantities import Problem
from comparisons.reference.truth import Truth
from comparisons.studies.sweep import BLOCK, Setting, grid, one_thread
from comparisons.studies.work import progress, results
from comparisons.verdict.distance import distance, over

PLANTED_COLUMNS = (
    *("mistake", "sizes", "activation", "dtype", "scale", "batch", "seed"),
    *("networks", "visible", "caught", "visible_share", "caught_share"),
)
SIZES = ((3, 3, 3), (4, 4, 4, 4))
ACTIVATIONS = ("sigmoid", "tanh", "relu")
SCALES = (0.1, 1.0, 2.0)
BATCH = 3
VISIBLE = 2


@dataclass(frozen=True)
class Planted:
    """Some blocks of a setting, to be compared with every mistake made in turn."""

    setting: Setting
    first: int
    blocks: int

    def count(self) -> dict[str, tuple[int, int]]:
        """Return, for each mistake that fits the shapes: in how many networks it shows, and is caught of these."""
        counts = {}
        with one_thread():
            problem = self.setting.problem(range(self.first, self.first + self.blocks))
            truth, wide = Truth(problem), _widest(problem)
            right = Seams(wide).run()
            for name in MISTAKES:
                # The same step twice: an accumulated gradient shows at the second.
                steps = 2 if name == "accumulated_gradient" else 1
                try:
                    exact = mistaken_steps(Variant((name,)), [wide] * steps)[-1]
                    made = mistaken_steps(Variant((name,)), [problem] * steps)[-1]
                except NotApplicable:
                    continue
                visible, caught = (np.zeros(self.blocks * BLOCK, bool) for _ in range(2))
                for key, (torch, tolerance) in truth.pairs.items():
                    effect = distance(exact[key], right[key]).astype(np.float64)
                    visible |= _any(effect > VISIBLE * tolerance)
                    caught |= _any(over(distance(made[key].astype(np.float64), torch), tolerance) > 1)
                counts[name] = (int(visible.sum()), int((visible & caught).sum()))
        return counts


def _any(which: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether any number of a network is."""
    return np.asarray(which.reshape(len(which), -1).any(axis=1))


def _widest(problem: Problem) -> Problem:
    """The problem in the widest floats that NumPy has: a difference is then one of formulas, not of rounding."""
    weights = tuple(w.astype(np.longdouble) for w in problem.weights)
    inputs, targets = problem.inputs.astype(np.longdouble), problem.targets.astype(np.longdouble)
    return replace(problem, weights=weights, inputs=inputs, targets=targets)


def planted_grid(
    sizes: Iterable[Sequence[int]] = SIZES,
    activations: Iterable[str | Sequence[str]] = ACTIVATIONS,
    scales: Iterable[float] = SCALES,
    batch: int = BATCH,
    **others: Any,
) -> list[Setting]:
    """Return every combination of these as a setting: square networks by default, where every mistake can be made."""
    return grid(sizes, activations, scales=scales, batch=batch, **others)


def sweep_planted(
    settings: Sequence[Setting], networks: int, jobs: int = 1, cluster: str | None = None
) -> pd.DataFrame:
    """Sweep each known mistake over random networks.

    Parameters
    ----------
    settings : kinds of networks, which share the networks evenly, in whole blocks
    networks : how many in all
    jobs, cluster : who does it

    Returns
    -------
    frame : one row per mistake and setting
        visible are the networks in which the mistake's exact effect is more than twice the tolerance of some number,
        caught those of them in which it is caught.

    Examples
    --------
    >>> frame = sweep_planted([Setting.of((2, 2, 2), "tanh")], 1000)
    >>> frame.set_index("mistake").loc["no_half", ["networks", "visible", "caught"]].astype(int).tolist()
    [1024, 1024, 1024]
    """
    if networks < 1:
        raise ValueError(f"networks is {networks}: expected 1 or more")
    blocks = -(-networks // (len(settings) * BLOCK))
    parts = [Planted(setting, first, 1) for setting in settings for first in range(blocks)]
    counted = progress(results(Planted.count, parts, jobs, cluster), [BLOCK] * len(parts), "networks")
    totals: dict[tuple[Setting, str], tuple[int, int]] = {}
    for i, counts in counted:
        for name, (visible, caught) in counts.items():
            before = totals.get((parts[i].setting, name), (0, 0))
            totals[parts[i].setting, name] = (before[0] + visible, before[1] + caught)
    rows = []
    for setting in settings:
        for name in MISTAKES:
            if (setting, name) in totals:
                visible, caught = totals[setting, name]
                shares = (visible / (blocks * BLOCK), caught / visible if visible else np.nan)
                rows.append((name, *setting.row().values(), blocks * BLOCK, visible, caught, *shares))
    return pd.DataFrame(rows, columns=PLANTED_COLUMNS)


def outcome(settings: Sequence[Setting], networks: int, jobs: int = 1, cluster: str | None = None) -> Outcome:
    """Sweep each known mistake over random networks, as `sweep_planted` does."""
    frame = sweep_planted(settings, networks, jobs, cluster)
    return Outcome(
        all_caught(frame),
        planted_line(frame),
        [planted_table(frame)],
        {"planted.csv": frame},
        "Known mistakes, planted in random networks",
        sections=lambda: [planted_section(frame)],
    )


def all_caught(frame: pd.DataFrame) -> bool:
    """Return whether each mistake was caught in at least 99.9% of the networks in which it shows."""
    sums = frame.groupby("mistake")[["visible", "caught"]].sum()
    return bool((sums["caught"] >= 0.999 * sums["visible"]).all())


def planted_table(frame: pd.DataFrame) -> str:
    """Return a table with one line per mistake."""
    rows: list[tuple[str, ...]] = [("mistake", "networks", "visible", "caught of these")]
    for mistake, part in frame.groupby("mistake", sort=False):
        networks, visible, caught = (int(part[name].sum()) for name in ("networks", "visible", "caught"))
        shown = (f"{visible / networks:.2%}", f"{caught / visible:.3%}" if visible else "")
        rows.append((str(mistake), f"{networks:,}", *shown))
    return report.table(rows, left=1)


def planted_line(frame: pd.DataFrame) -> str:
    """Return the result of the planted mistakes in one line."""
    visible, caught = int(frame["visible"].sum()), int(frame["caught"].sum())
    share = f" ({caught / visible:.4%})" if visible else ""
    return f"{caught:,} of {visible:,} visible mistakes caught{share}"


def planted_section(frame: pd.DataFrame) -> page.Section:
    """Return the rows of a sweep of mistakes."""
    section = page.Section("planted", "Every known mistake, swept over random networks")
    section.tables.append(page.table(frame, "planted-rows", "The rows of planted.csv", list(frame.columns)))
    return section
