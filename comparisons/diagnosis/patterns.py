"""What wrong numbers have in common with autograd's, where no known mistake explains them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import product
from typing import NamedTuple

import numpy as np

from comparisons.diagnosis.factors import common_factor, factor_between
from comparisons.diagnosis.matching import ROUNDED
from comparisons.diagnosis.wrong import Wrong
from comparisons.mistakes.seams import Seams
from comparisons.reference.quantities import Problem, quantity_name
from comparisons.verdict.distance import distance
from comparisons.verdict.trial import Trial
from handnet.activations import FloatArray

# A central difference quotient of a cost C over steps of h = 1e-5 rounds by about u |C| / h, 1e-11; the best by less.
DIFFERENCES = 1e-12


def parts_of(problem: Problem) -> dict[str, slice]:
    """Return the rows of the weights and of the biases in a gradient."""
    both = {"weights": slice(None, -1), "biases": slice(-1, None)}
    return both if problem.stated.biases else {"weights": slice(None)}


class Pattern(NamedTuple):
    """What numbers have in common with others, in words, and the name of the mistake where that makes it plain."""

    said: str
    name: str = ""


# What it may have been computed as, in words with a place for a factor, and its value.
Candidate = tuple[Pattern, Callable[[], FloatArray]]


def patterns_of(alike: Sequence[Wrong], trials: Sequence[Trial]) -> Iterator[Pattern]:
    """What the numbers have in common with autograd's, where no known mistake explains them.

    Parameters
    ----------
    alike : a quantity wherever it is wrong, in several steps and networks

    Yields
    ------
    pattern : of each of them in turn, with nothing said where there is none
    """
    of_other_vectors = cache(lambda: _of_other_vectors(alike))
    for wrong in alike:
        yield _pattern_of(wrong, alike, trials, of_other_vectors)


def _pattern_of(
    wrong: Wrong, alike: Sequence[Wrong], trials: Sequence[Trial], of_other_vectors: Callable[[], Pattern | None]
) -> Pattern:
    actual, expected = _compared(wrong)
    if not np.isfinite(actual).all():
        return Pattern("it is not finite")
    it = "its step" if wrong.key[0] == "weight" else "it"
    if factor := _factor(it, wrong, alike):
        return Pattern(factor, "scaled")
    if off := _off_by(it, actual, expected):
        return Pattern(off)
    whole, is_delta = _another(wrong, trials), wrong.key[0] == "delta"
    if whole and not is_delta:
        return Pattern(whole)
    if other := of_other_vectors():
        return other
    if whole:
        return Pattern(whole)
    return Pattern(_along(it, wrong) or _part(it, wrong) or _order(wrong))


def _compared(wrong: Wrong) -> tuple[FloatArray, FloatArray]:
    """Both sides; of a weight what the step adds, rather than what it adds it to."""
    old = wrong.problem.weights[(wrong.key[1] or 1) - 1] if wrong.key[0] == "weight" else 0.0
    return wrong.hand - old, wrong.torch - old


# A factor.


def scaled_parts(quantity: str, trials: Sequence[Trial]) -> Pattern | None:
    """What to say where some layers' weights, or their biases, are a factor times autograd's, and all else is right.

    Parameters
    ----------
    quantity : "gradient", or "weight" of which it is the step that has a factor
    """
    factors: dict[tuple[str, int], list[tuple[Problem, float]]] = {}
    telling: Counter[tuple[str, int]] = Counter()
    for trial in trials:
        for truth, answer in zip(trial.truths, trial.actual, strict=True):
            for key, actual in answer.items():
                if key[0] != quantity or key[1] is None or key in trial.misshapen:
                    continue
                wrong = Wrong(key, actual, *truth.derived[key], truth.problem)
                for part, rows in parts_of(truth.problem).items():
                    told = factors.setdefault((part, key[1]), [])
                    factor = _factor_of(wrong, rows)
                    if factor is not None:
                        told.append((truth.problem, factor))
                        telling[part, key[1]] += int((np.abs(_compared(wrong)[1][..., rows, :]) > 0).sum())
                    elif (wrong.ratio[..., rows, :] > 1).any():
                        return None
    # One number is always some factor times another.
    names = {of: common_factor(told) if telling[of] > 1 else "" for of, told in factors.items()}
    if not all(names.values()):
        return None
    what = "the step of" if quantity == "weight" else "the gradient of"
    said = [f"{what} {whose} is {_of_autograds(name)}" for whose, name in _by_part(names)]
    others = "; all the others are right" if "1" in names.values() else ""
    return Pattern(f"{', and '.join(said)}{others}", "scaled") if said else None


def _of_autograds(name: str) -> str:
    return "0" if name == "0" else f"{name} times autograd's"


def _by_part(names: Mapping[tuple[str, int], str]) -> list[tuple[str, str]]:
    """Whose the factors are, other than 1: of the weights of layers 1 and 3, of the biases, of both in these layers."""
    layers: dict[str, dict[str, list[int]]] = {"weights": {}, "biases": {}}
    for (part, l), name in names.items():
        if name != "1":
            layers[part].setdefault(name, []).append(l)
    if layers["weights"] == layers["biases"]:
        return [(f"layer{_listed(ls)}", name) for name, ls in layers["weights"].items()]
    return [(f"the {part} of layer{_listed(ls)}", name) for part in layers for name, ls in layers[part].items()]


def _listed(layers: Sequence[int]) -> str:
    """As "s 1 and 3" of several, " 2" of one."""
    *before, last = map(str, sorted(layers))
    return f"s {', '.join(before)} and {last}" if before else f" {last}"


def _factor_of(wrong: Wrong, rows: slice = slice(None)) -> float | None:
    """The factor that these rows of a quantity, or of what the step adds to it, have in common with autograd's."""
    actual, expected = _compared(wrong)
    if actual.ndim < 2:
        return factor_between(actual, expected, wrong.tolerance)
    return factor_between(actual[..., rows, :], expected[..., rows, :], wrong.tolerance[..., rows, :])


def _factor(it: str, wrong: Wrong, alike: Sequence[Wrong]) -> str:
    factors = [(one.problem, factor) for one in alike if (factor := _factor_of(one)) is not None]
    # One number is always some factor times another.
    if len(factors) < len(alike) or sum(int((_compared(one)[1] != 0).sum()) for one in alike) < 2:
        return ""
    name, own = common_factor(factors), _factor_of(wrong)
    # Wrong by a few roundings is no factor.
    if name in ("", "1") or own is None:
        return ""
    plain = name.lstrip("-").replace(".", "").replace("e-", "").replace("e+", "").isdecimal()
    return f"{it} is {_of_autograds(name)}" if plain else f"{it} is {own:.10g} times autograd's, which is {name}"


def _along(it: str, wrong: Wrong) -> str:
    """Whether all rows, or all columns, have a factor each."""
    actual, expected = _compared(wrong)
    with np.errstate(all="ignore"):
        # By how much each number exceeds autograd's, in units of it; NaN where both are 0, which says nothing.
        excess = actual / expected - 1
    for axis, what in ((-1, "row"), (-2, "column")):
        if excess.ndim >= 2 and excess.shape[axis] > 1 and _constant_along(excess, axis):
            return f"each {what} of {it} is a constant times autograd's"
    return ""


def _constant_along(excess: FloatArray, axis: int) -> bool:
    """Whether the factors that say something agree along this axis, wherever there are two of them."""
    least, most = np.fmin.reduce(excess, axis=axis), np.fmax.reduce(excess, axis=axis)
    telling = ~np.isnan(least)
    several = (~np.isnan(excess)).sum(axis=axis) > 1
    return bool(several.any() and np.isfinite(most[telling]).all() and _same(least[telling], most[telling]))


def _part(it: str, wrong: Wrong) -> str:
    """Whether only the biases are wrong, or all but the biases."""
    if wrong.key[0] not in ("gradient", "weight") or not wrong.problem.stated.biases:
        return ""
    off = wrong.ratio > 1
    if off[..., -1, :].any() == off[..., :-1, :].any():
        return ""
    part = "biases" if off[..., -1, :].any() else "weights"
    return f"in {it} only the {part} are wrong, the others are right"


# Another known vector in a product.


class Known:
    """What a right pass over a problem computes, by its name in the note.

    Attributes
    ----------
    vectors : activations, deltas and the like (N, m_l), inputs and targets among them
    """

    def __init__(self, problem: Problem) -> None:
        run, layers = Seams(problem).run(), range(1, len(problem.weights) + 1)
        self.problem = problem
        self.vectors: dict[str, FloatArray] = {"a^(0)": problem.inputs, "T": problem.targets}
        letters = {"activation": "a", "preactivation": "z", "delta": "delta", "activation_gradient": "e"}
        for quantity, letter in letters.items():
            self.vectors |= {f"{letter}^({l})": run[quantity, l] for l in layers}
        self.slopes = {f"D^({l})": run["slope", l] for l in layers}

    def of_width(self, width: int) -> Mapping[str, FloatArray]:
        """Return the vectors and slopes of so many nodes."""
        return {name: v for name, v in (self.vectors | self.slopes).items() if v.shape[-1] == width}

    def passed_back(self, l: int) -> Mapping[str, FloatArray]:
        """Return all that can be passed down from layer l + 1 through its weights."""
        if l == len(self.problem.weights):
            return {}
        w = self.problem.weights[l]
        w = w[..., :-1, :] if self.problem.stated.biases else w
        fits = self.of_width(w.shape[-1]).items()
        return {f"(w^({l + 1}))^T {name}": v @ np.swapaxes(w, -1, -2) for name, v in fits}


def _of_other_vectors(alike: Sequence[Wrong]) -> Pattern | None:
    """Whether it is made of known vectors, but not of those that belong there."""
    quantity, l = alike[0].key
    if l is None or alike[0].hand.ndim != 2:
        return None
    if quantity == "delta":
        return _simplest(_deltas, l, [(one, slice(None)) for one in alike])
    if quantity != "gradient":
        return None
    candidates = {"weights": _products, "biases": _sums}
    told = {}
    for part, rows in parts_of(alike[0].problem).items():
        off = [(one, rows) for one in alike if (one.ratio[rows] > 1).any()]
        if off:
            told[part] = _simplest(candidates[part], l, off)
    weights, biases = told.get("weights"), told.get("biases")
    if len(told) == 1 and biases:
        return Pattern(f"in the biases {biases.said}", biases.name)
    if len(told) == 2 and weights and biases and biases.said != weights.said:
        return Pattern(f"in the weights {weights.said}; in the biases {biases.said}", weights.name)
    return weights


def _simplest(
    candidates: Callable[[int, Known], Iterator[Candidate]], l: int, wrong: Sequence[tuple[Wrong, slice]]
) -> Pattern | None:
    """The first of the candidates that gives these rows wherever they are wrong; without a factor, if one does."""
    fits: dict[Pattern, list[tuple[Problem, float]]] = {}
    for count, (one, rows) in enumerate(wrong):
        actual, tolerance = one.hand[rows], one.tolerance[rows].max(initial=0.0)
        for pattern, value in candidates(l, Known(one.problem)):
            if len(fits.get(pattern, ())) < count:
                continue  # what does not fit the first need not be tried on the others
            mine = value()
            if mine.shape == actual.shape:
                room = max(tolerance, ROUNDED * float(np.finfo(mine.dtype).eps) * float(np.abs(mine).max(initial=0.0)))
                factor = factor_between(actual, mine, np.full(actual.shape, room))
                if factor is not None:
                    fits.setdefault(pattern, []).append((one.problem, factor))
    names = {p: common_factor(factors) for p, factors in fits.items() if len(factors) == len(wrong)}
    if (exact := next((p for p, name in names.items() if name == "1"), None)) is not None:
        return Pattern(exact.said.format(times=""), exact.name)
    # One number is always some factor times another.
    if sum(one.hand[rows].size - 1 for one, rows in wrong) < 2:
        return None
    scaled = ((p, name) for p, name in names.items() if name)
    return next((Pattern(p.said.format(times=f"{name} times "), p.name) for p, name in scaled), None)


def _products(l: int, known: Known) -> Iterator[Candidate]:
    """What somebody may have computed in the place of the weights' gradients of layer l."""
    sizes = known.problem.sizes
    below, here = f"a^({l - 1})", f"delta^({l})"
    left, right = known.of_width(sizes[l - 1]), known.of_width(sizes[l])
    a, delta = left[below], right[here]
    # As many samples as nodes: then these compute, too.
    for one, other, said in (
        (a, delta, f"{below} {here}"),
        (a.T, delta.T, f"({below})^T ({here})^T"),
        (a, delta.T, f"{below} ({here})^T"),
    ):
        if one.shape[1] == other.shape[0]:
            said = f"it is {{times}}{said}, the sum over the nodes and not over the samples: a transpose is missing"
            yield Pattern(said, "summed_over_nodes"), partial(np.matmul, one, other)
    pairs = [(u, here) for u in left] + [(below, v) for v in right] + list(product(left, right))
    for u, v in dict.fromkeys(pairs):
        if (u, v) != (below, here):
            said = " and ".join(_instead(*pair) for pair in ((u, below), (v, here)) if pair[0] != pair[1])
            yield Pattern(said, "other_factor"), partial(np.matmul, left[u].T, right[v])


def _instead(other: str, own: str) -> str:
    """That one vector stands where another belongs."""
    return f"{{times}}{other} stands where {own} belongs{_told_of_errors(other)}"


def _told_of_errors(said: str) -> str:
    """What the e^(l) are that something is made of."""
    layers = dict.fromkeys(re.findall(r"e\^\((\d+)\)", said))
    return "".join(f"; e^({l}) is delta^({l}) without its slope" for l in layers)


def _sums(l: int, known: Known) -> Iterator[Candidate]:
    """What somebody may have computed in the place of the biases' gradients of layer l."""
    right, here = known.of_width(known.problem.sizes[l]), f"delta^({l})"
    delta = right[here]
    if delta.shape[0] == delta.shape[1]:
        said = f"{{times}}{here} is summed over the nodes and not over the samples"
        yield Pattern(said, "summed_over_nodes"), partial(np.sum, delta.T, axis=0, keepdims=True)
    for v, vector in right.items():
        if v != here:
            yield Pattern(_instead(v, here), "other_factor"), partial(np.sum, vector, axis=0, keepdims=True)


def _deltas(l: int, known: Known) -> Iterator[Candidate]:
    """What somebody may have computed in the place of delta of layer l."""
    width, slope, error = known.problem.sizes[l], f"D^({l})", f"e^({l})"
    same = known.of_width(width)
    errors = {error: same[error], **known.passed_back(l), **same}
    slopes = {slope: same[slope], "": np.ones_like(same[slope]), **same}
    pairs = [(slope, e) for e in errors] + [(s, error) for s in slopes] + list(product(slopes, errors))
    for s, e in dict.fromkeys(pairs):
        if (s, e) != (slope, error):
            whole = f"{s} {e}".strip()
            pattern = Pattern(f"it equals {{times}}{whole}{_told_of_errors(whole)}", "other_factor")
            yield pattern, partial(np.multiply, slopes[s], errors[e])


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
    for key, (expected, _) in (pair for trial in trials for truth in trial.truths for pair in truth.derived.items()):
        if hand.ndim >= 2 and key != wrong.key and expected.shape == hand.shape and _same(hand, expected):
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
