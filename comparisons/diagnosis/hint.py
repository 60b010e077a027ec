"""How much of a diagnosis is given away: the quantity, the equation that computes it, or all of it."""

from __future__ import annotations

from comparisons.diagnosis.wording import equation
from comparisons.reference.quantities import Key, quantity_name
from comparisons.verdict.comparison import Comparison

LEVELS = ("quantity", "equation", "fix")


def hint(comparison: Comparison, level: str = "fix", summed: bool = False) -> str:
    """Say what is wrong, and no more of it than asked for.

    Parameters
    ----------
    level : "quantity": which quantity of which layer is the first wrong one; "equation": also which equation of the
        note computes it; "fix": the whole diagnosis. Only the last has a number, or a mistake's name.
    summed : whether the cost is the sum over the samples

    Returns
    -------
    text : empty where nothing is wrong

    Raises
    ------
    ValueError
        If there is no such level.

    Examples
    --------
    >>> from comparisons import check
    >>> from handnet import Network
    >>> def doubled(weights, inputs, targets):
    ...     result = Network(weights).backprop(inputs, targets)
    ...     return {"deltas": [2 * d for d in result.deltas], "gradients": result.gradients}
    >>> print(hint(check(doubled), "quantity"))
    Look at delta^(3), of layer 3 of 3: it is the first wrong quantity.
    >>> print(hint(check(doubled), "equation"))
    Look at delta^(3), of layer 3 of 3: it is the first wrong quantity.
    The note has it as delta^(3) = D^(3) c.
    """
    if level not in LEVELS:
        raise ValueError(f"hint is {level!r}: expected one of {', '.join(LEVELS)}")
    if comparison.passed:
        return ""
    if level == "fix":
        return comparison.message()
    key, top = first_wrong(comparison)
    # What it raised, and on what, is no news to whoever wrote it; expected shapes may be.
    said = list(comparison.findings) if unanswered(comparison) or key is None else []
    if key is not None:
        layer = "" if key[1] is None else f", of layer {key[1]} of {top}"
        said.append(f"Look at {quantity_name(key)}{layer}: it is the first wrong quantity.")
        if level == "equation":
            problem = next(iter(comparison.problems.values()))
            said.append(f"The note has it as {quantity_name(key)} = {equation(key, top, problem, summed)}.")
    return "\n".join(said or ["Nothing is wrong, but not every quantity could be judged."])


def first_wrong(comparison: Comparison) -> tuple[Key | None, int]:
    """Return the first wrong quantity, None where there is none, and how many layers its network has."""
    sizes = (m.sizes for m in comparison.measured if m.is_wrong)
    key = comparison.diagnosis.first_wrong if comparison.diagnosis else None
    return key, len(next(sizes, comparison.sizes)) - 1


def unanswered(comparison: Comparison) -> bool:
    """Whether some question got no answer, since the function raised or what it returned could not be read."""
    return not comparison.problems.keys() <= {(m.case, m.step) for m in comparison.measured}
