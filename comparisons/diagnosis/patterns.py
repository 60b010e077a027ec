"""What wrong numbers have in common with autograd's, where no known mistake explains them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from comparisons.diagnosis.wrong import Wrong
from comparisons.reference.quantities import Problem, quantity_name
from comparisons.verdict.distance import distance
from comparisons.verdict.trial import Trial
from handnet.activations import FloatArray

# A central difference quotient of a cost C over steps of h = 1e-5 rounds by about u |C| / h, 1e-11; the best by less.
DIFFERENCES = 1e-12


def pattern_of(wrong: Wrong, alike: Sequence[Wrong], trials: Sequence[Trial]) -> str:
    """What the numbers have in common with autograd's, where no known mistake explains them.

    Parameters
    ----------
    alike : the same quantity wherever it is wrong, in other steps and networks too
    """
    hand, torch = _compared(wrong)
    if not np.isfinite(hand).all():
        return "it is not finite"
    it = "its step" if wrong.key[0] == "weight" else "it"
    factor = _factor(it, wrong, alike)
    return factor or _off_by(it, hand, torch) or _part(it, wrong) or _order(wrong, trials)


def _compared(wrong: Wrong) -> tuple[FloatArray, FloatArray]:
    """Both sides; of a weight what the step adds, rather than what it adds it to."""
    old = wrong.problem.weights[(wrong.key[1] or 1) - 1] if wrong.key[0] == "weight" else 0.0
    return wrong.hand - old, wrong.torch - old


def _factor(it: str, wrong: Wrong, alike: Sequence[Wrong]) -> str:
    factors = [_constant(one) for one in alike]
    factor = _constant(wrong)
    # One number is always some factor times another.
    if factor is not None and sum(one.hand.size for one in alike) > 1 and None not in factors:
        names = [_factor_names(one, other.problem) for one, other in zip(factors, alike, strict=True)]
        name = next((name for name in names[0] if all(name in others for others in names)), "")
        if name or all(np.isclose(one, factor, rtol=1e-6, atol=0.0) for one in factors if one is not None):
            number = "" if name.lstrip("-").isdecimal() else f", which is {name}" if name else ""
            return f"{it} is {factor:.10g} times autograd's{number}"
    excess = _excess(wrong)
    for axis, what in ((-1, "row"), (-2, "column")):
        if excess.ndim >= 2 and excess.shape[axis] > 1 and _constant_along(excess, axis):
            return f"each {what} of {it} is a constant times autograd's"
    return ""


def _excess(wrong: Wrong) -> FloatArray:
    """By how much each number exceeds autograd's, in units of it; NaN where both are 0, which says nothing."""
    hand, torch = _compared(wrong)
    with np.errstate(all="ignore"):
        return hand / torch - 1


def _constant(wrong: Wrong) -> float | None:
    """The factor that all its numbers have in common; of several numbers, at least two must say something."""
    excess = _excess(wrong)
    telling = excess[~np.isnan(excess)]
    if telling.size < min(2, excess.size) or not np.isfinite(telling).all() or not _same(telling, telling[:1]):
        return None
    return 1 + float(telling[0])


def _constant_along(excess: FloatArray, axis: int) -> bool:
    """Whether the factors that say something agree along this axis, wherever there are two of them."""
    least, most = np.fmin.reduce(excess, axis=axis), np.fmax.reduce(excess, axis=axis)
    telling = ~np.isnan(least)
    several = (~np.isnan(excess)).sum(axis=axis) > 1
    return bool(several.any() and np.isfinite(most[telling]).all() and _same(least[telling], most[telling]))


def _factor_names(factor: float | None, problem: Problem) -> list[str]:
    """The factor in terms of 2, N, m_L and m_0, the simplest first; on other sizes others of these fail."""
    if factor is None:
        return []
    sizes = {"2": 2, "N": problem.inputs.shape[-2], "m_L": problem.sizes[-1], "m_0": problem.sizes[0]}
    powers = product((1, -1, 0), repeat=len(sizes))
    names = []
    for tried in sorted(powers, key=lambda tried: sum(map(abs, tried))):
        value = float(np.prod([size**power for size, power in zip(map(float, sizes.values()), tried, strict=True)]))
        if np.isclose(abs(factor), value, rtol=1e-9, atol=0.0):
            above = " ".join(name for name, power in zip(sizes, tried, strict=True) if power > 0) or "1"
            below = " ".join(name for name, power in zip(sizes, tried, strict=True) if power < 0)
            names.append(("-" if factor < 0 else "") + above + (f" / {below}" if below else ""))
    return names


def _part(it: str, wrong: Wrong) -> str:
    """Whether only the biases are wrong, or all but the biases."""
    if wrong.key[0] not in ("gradient", "weight") or not wrong.problem.stated.biases:
        return ""
    off = wrong.ratio > 1
    if off[..., -1, :].any() == off[..., :-1, :].any():
        return ""
    return f"in {it} only the {'biases' if off[..., -1, :].any() else 'weights'} are wrong, the others are right"


def _order(wrong: Wrong, trials: Sequence[Trial]) -> str:
    hand, torch = wrong.hand, wrong.torch
    if hand.ndim < 2:
        return ""  # a single number has no order
    if hand.shape[-2] == hand.shape[-1] and _same(hand, np.swapaxes(torch, -1, -2)):
        return "it is autograd's transposed"
    for axis, name in ((-2, "rows"), (-1, "columns")):
        if _same(np.sort(hand, axis=axis), np.sort(torch, axis=axis)):
            return f"its {name} are autograd's in another order"
    for key, (right, _) in (pair for trial in trials for truth in trial.truths for pair in truth.derived.items()):
        if key != wrong.key and right.shape == hand.shape and _same(hand, right):
            mirrored = key == (wrong.key[0], len(wrong.problem.weights) + 1 - (wrong.key[1] or 0))
            order = ", as in a list that comes deepest layer first" if mirrored else ""
            return f"it is {quantity_name(key)}{order}"
    return ""


def _off_by(it: str, hand: FloatArray, torch: FloatArray) -> str:
    """Whether most numbers are off by as little, and by as much, as a difference quotient is."""
    error, size = distance(hand, torch), max(np.abs(torch).max(), np.finfo(float).tiny)
    relative = error.max() / size
    if relative >= 1e-4 or np.median(error) <= DIFFERENCES * size:
        return ""
    return f"{it} is off by {relative:.0e} of its size, as finite differences are"


def _same(left: FloatArray, right: FloatArray) -> bool:
    return np.allclose(left, right, rtol=1e-6, atol=0.0)
