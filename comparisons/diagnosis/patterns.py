"""What wrong numbers have in common with autograd's, where no known mistake explains them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from comparisons.diagnosis.matching import common_factor, factor_names
from comparisons.diagnosis.wrong import Wrong
from comparisons.mistakes.seams import Seams
from comparisons.reference.quantities import quantity_name
from comparisons.verdict.distance import distance
from comparisons.verdict.trial import Trial
from handnet.activations import FloatArray

# A central difference quotient of a cost C over steps of h = 1e-5 rounds by about u |C| / h, 1e-11; the best by less.
DIFFERENCES = 1e-12


class Pattern(NamedTuple):
    """What numbers have in common with others, in words, and the name of the mistake where that makes it plain."""

    said: str
    name: str = ""


def pattern_of(wrong: Wrong, alike: Sequence[Wrong], trials: Sequence[Trial]) -> Pattern:
    """What the numbers have in common with autograd's, where no known mistake explains them.

    Parameters
    ----------
    alike : the same quantity wherever it is wrong, in other steps and networks too
    """
    hand, torch = _compared(wrong)
    if not np.isfinite(hand).all():
        return Pattern("it is not finite")
    it = "its step" if wrong.key[0] == "weight" else "it"
    factor = _factor(it, wrong, alike) or _off_by(it, hand, torch)
    if not factor and (whole := _another(wrong, trials)):
        return Pattern(whole)
    if not factor and (other := _product(wrong, alike)):
        return other
    return Pattern(factor or _part(it, wrong, alike) or _order(wrong))


def _compared(wrong: Wrong) -> tuple[FloatArray, FloatArray]:
    """Both sides; of a weight what the step adds, rather than what it adds it to."""
    old = wrong.problem.weights[(wrong.key[1] or 1) - 1] if wrong.key[0] == "weight" else 0.0
    return wrong.hand - old, wrong.torch - old


def _factor(it: str, wrong: Wrong, alike: Sequence[Wrong]) -> str:
    factors = [_constant(one) for one in alike]
    factor = _constant(wrong)
    # One number is always some factor times another.
    if factor is not None and sum(one.hand.size for one in alike) > 1 and None not in factors:
        names = [factor_names(one, other.problem) for one, other in zip(factors, alike, strict=True)]
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


def _part(it: str, wrong: Wrong, alike: Sequence[Wrong]) -> str:
    """Whether only the biases are wrong, or all but the biases; and by which factor."""
    if wrong.key[0] not in ("gradient", "weight") or not wrong.problem.stated.biases:
        return ""
    off = wrong.ratio > 1
    if off[..., -1, :].any() == off[..., :-1, :].any():
        return ""
    part, rows = ("biases", slice(-1, None)) if off[..., -1, :].any() else ("weights", slice(None, -1))
    said = f"in {it} only the {part} are wrong, the others are right"
    factors = [(one.problem, _constant(_rows(one, rows))) for one in alike if (one.ratio[..., rows, :] > 1).any()]
    told = [(problem, factor) for problem, factor in factors if factor is not None]
    name = common_factor(told) if len(told) == len(factors) and wrong.hand[..., rows, :].size > 1 else ""
    return f"{said}: these are {name} times autograd's" if name else said


def _rows(wrong: Wrong, rows: slice) -> Wrong:
    """Some rows of a wrong gradient, or of what the step adds to the weights."""
    hand, torch = _compared(wrong)
    hand, torch, tolerance = (side[..., rows, :] for side in (hand, torch, wrong.tolerance))
    return Wrong(("gradient", wrong.key[1]), hand, torch, tolerance, wrong.problem)


# Another known vector in a product.


def _product(wrong: Wrong, alike: Sequence[Wrong]) -> Pattern | None:
    """Whether the weights' gradients are a product of known arrays, but not of the two that belong there."""
    if wrong.key[0] != "gradient" or wrong.key[1] is None or wrong.hand.ndim != 2:
        return None
    found: set[Pattern] | None = None
    for one in alike:
        fitting = {pattern for pattern, value in _products(wrong.key[1], one) if _near(one, value)}
        found = fitting if found is None else found & fitting
    return min(found) if found else None


def _products(l: int, wrong: Wrong) -> Iterator[tuple[Pattern, FloatArray]]:
    """What somebody may have computed in the place of the weights' gradients of layer l."""
    made, layers = Seams(wrong.problem).run(), range(1, len(wrong.problem.weights) + 1)
    left = {"a^(0)": wrong.problem.inputs, "T": wrong.problem.targets}
    left |= {f"a^({k})": made["activation", k] for k in layers} | {f"z^({k})": made["preactivation", k] for k in layers}
    right = {f"delta^({k})": made["delta", k] for k in layers}
    right |= {f"e^({k})": made["activation_gradient", k] for k in layers}
    ours = f"a^({l - 1})", f"delta^({l})"
    for pair in product(left, right):
        if pair != ours:
            other = " and ".join(f"{one} for {our}" for one, our in zip(pair, ours, strict=True) if one != our)
            said = f"it is made of {other}" + (", where delta = D e" if pair[1][0] == "e" else "")
            yield Pattern(said, "other_factor"), left[pair[0]].T @ right[pair[1]]
    a, delta = left[ours[0]], right[ours[1]]
    if a.shape[0] == a.shape[1]:
        # As many samples as nodes: then this computes, too.
        said = f"it is {ours[0]} {ours[1]}, the sum over the nodes and not over the samples: a transpose is missing"
        yield Pattern(said, "summed_over_nodes"), a @ delta


def _near(wrong: Wrong, value: FloatArray) -> bool:
    """Whether the weights' numbers are these, where autograd's are not."""
    rows = slice(None, -1) if wrong.problem.stated.biases else slice(None)
    hand, torch = wrong.hand[rows], wrong.torch[rows]
    return value.shape == hand.shape and _same(hand, value) and not _same(hand, torch)


def _order(wrong: Wrong) -> str:
    hand, torch = wrong.hand, wrong.torch
    if hand.ndim < 2:
        return ""  # a single number has no order
    if hand.shape[-2] == hand.shape[-1] and _same(hand, np.swapaxes(torch, -1, -2)):
        return "it is autograd's transposed"
    for axis, name in ((-2, "rows"), (-1, "columns")):
        if _same(np.sort(hand, axis=axis), np.sort(torch, axis=axis)):
            return f"its {name} are autograd's in another order"
    return ""


def _another(wrong: Wrong, trials: Sequence[Trial]) -> str:
    """Which other quantity it is, if it is one."""
    hand = wrong.hand
    for key, (right, _) in (pair for trial in trials for truth in trial.truths for pair in truth.derived.items()):
        if hand.ndim >= 2 and key != wrong.key and right.shape == hand.shape and _same(hand, right):
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
