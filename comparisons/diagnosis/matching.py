"""Which of the known mistakes explain the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.diagnosis.factors import SAME, coarse, common_factor, least_squares, written
from comparisons.mistakes.effects import MARGIN, in_chunks
from comparisons.mistakes.known import narrowed, widened
from comparisons.mistakes.lineup import Lineup
from comparisons.mistakes.variants import Variant, applicable, pairs, singles
from comparisons.reference.quantities import Key, Problem, Quantities
from comparisons.reference.truth import Pair, Truth
from comparisons.verdict.distance import distance
from comparisons.verdict.measured import Measured
from comparisons.verdict.trial import Trial
from handnet.activations import FloatArray

# How well a number agrees with itself computed in another order, of its quantity's size, where that is all one knows.
ROUNDED = 8
# How many times nearer than to autograd the implementation must be to a mistake that is to explain it.
NEARER = 100
# What a factor of the cost is a factor of.
DERIVATIVES = ("delta", "gradient", "weight")
# Of fewer derivatives one mistake or another gives any, under some factor.
FEWEST = 6
# Difference quotients are right to at least so large a part of the largest number.
ROUGH = 1e-4
# They have fewer digits than this: the best round by 1e-12 of their size.
FINE = 12


# Which known mistakes explain the numbers.


def explanations(trials: Sequence[Trial], first: Measured) -> list[Variant]:
    """Return the simplest known mistakes that explain the numbers: alone, else in some layers, else two.

    Where there are none, once more under one factor of all derivatives; then those that give the first digits alone.

    Parameters
    ----------
    trials : what the implementation was asked and answered
    first : the first wrong quantity
    """
    trials = [trial for trial in trials if any(True for _ in trial.answers())]
    if not trials:
        return []
    if _single_precision(trials):
        return [Variant(("single_precision",))]
    top = len(trials[0].truths[0].problem.weights)
    problem = trials[0].truths[0].problem
    names = applicable(problem.stated, problem.activation)
    alone = _fitting(_suspects(singles(top, names), first, trials[0]), trials)
    found = alone or _fitting(_suspects(pairs(names), first, trials[0]), trials)
    found = found or _but_for_a_factor(top, names, first, trials)
    if not found and not _in_float32(trials):
        found = _roughly_fitting(_suspects(singles(top, names), first, trials[0]), trials)
    # A placement that comes to the same as the mistake everywhere says nothing new.
    everywhere = {variant.mistakes for variant in found if variant.placement == "everywhere"}
    found = [v for v in found if v.placement == "everywhere" or v.mistakes not in everywhere]
    # Where the numbers do not tell, a mistake in the step is simpler than one further up.
    return sorted(found, key=lambda variant: first.key[0] == "weight" and first.key not in variant.computes(top))


def _suspects(variants: Iterable[Variant], first: Measured, trial: Trial) -> list[Variant]:
    """The variants that can make this quantity the first wrong one."""
    order = list(trial.truths[0].pairs)
    # Judged by its own equation, it is wrong itself; else the cause may lie in what it is computed from.
    causes = {first.key} if first.local_ratio is not None else set(order[: order.index(first.key) + 1])
    top = len(trial.truths[0].problem.weights)
    return [v for v in variants if "single_precision" not in v.mistakes and v.computes(top) & causes]


def _fitting(variants: Sequence[Variant], trials: Sequence[Trial], rough: float = 0.0) -> list[Variant]:
    """The variants whose numbers are all that was given, some of them nearer to it than autograd's."""
    found: list[Variant] = []
    for _, some in in_chunks(variants, trials[0].truths[0]):
        # What does not fit the first answer need not be tried on the others.
        fits, _ = _fit_of(some, [trials[0].of_first_step()], rough)
        possible = [variant for variant, fit in zip(some, fits, strict=True) if fit]
        if possible:
            fits, nearer = _fit_of(possible, trials, rough)
            found += [variant for variant, fit in zip(possible, fits & nearer, strict=True) if fit]
    return found


def _fit_of(variants: Sequence[Variant], trials: Sequence[Trial], rough: float) -> tuple[Any, Any]:
    """For each variant: whether it gives all the numbers, and some of them far better than autograd."""
    fits, nearer = np.ones(len(variants), bool), np.zeros(len(variants), bool)
    for trial, mistaken, possible in _lined_up(variants, trials):
        fits &= possible | trial.has_other_shapes
        for step, key, actual, pair in trial.answers():
            fit, near = _resemblance(actual, mistaken[step][key], pair, rough)
            fits &= fit | ~possible
            nearer |= near & possible
    return fits, nearer


def _lined_up(
    variants: Sequence[Variant], trials: Sequence[Trial]
) -> Iterator[tuple[Trial, list[Quantities], NDArray[np.bool_]]]:
    """Each trial, all variants' numbers at each of its steps, and which variants can be made on its network.

    What does not fit the shapes of the network cannot have given an answer that does.
    """
    for trial in trials:
        lineup = Lineup(variants)
        mistaken = [lineup.run(truth.problem) for truth in trial.truths]
        possible = np.ones(len(variants), bool)
        possible[list(lineup.misfits)] = False
        yield trial, mistaken, possible


def _resemblance(actual: FloatArray, mistaken: FloatArray, pair: Pair, rough: float = 0.0) -> tuple[Any, Any]:
    """For each variant: whether all actual numbers are its own, and whether some are far from autograd's.

    A rough resemblance is one to this part of the largest number.
    """
    expected, tolerance = pair
    axes = tuple(range(-actual.ndim, 0))
    with np.errstate(all="ignore"):
        # The tolerance of the right numbers, carried over to the scale of the mistaken ones; the right may all be 0.
        least = ROUNDED * float(np.finfo(mistaken.dtype).eps)
        relative = tolerance.max(initial=0.0) / np.abs(expected).max(initial=0.0)
        relative = max(relative, least, rough / MARGIN) if np.isfinite(relative) else least
        scale = np.abs(mistaken).max(axis=axes, keepdims=True).astype(np.float64)
        allowed = MARGIN * np.fmax(tolerance, relative * scale)
        to_mistake, to_right = distance(actual, mistaken.astype(np.float64)), distance(actual, expected)
        fit = (to_mistake <= allowed).all(axis=axes)
        near = ((to_right > tolerance) & (to_right >= NEARER * to_mistake)).any(axis=axes)
    return fit, near


# Under a factor: a sign, a 2, a sum for a mean. It is found, not guessed.


def _but_for_a_factor(top: int, names: Sequence[str], first: Measured, trials: Sequence[Trial]) -> list[Variant]:
    """The variants that explain the numbers once a factor is taken out that all derivatives have in common.

    None where a factor is all that is wrong with them.
    """
    if first.key[0] not in DERIVATIVES or _tell(trials) < FEWEST or _scaled_fit_of([Variant(())], trials)[0].all():
        return []
    names = _more_than_a_factor(names, trials[0].of_first_step())
    return _fitting_scaled(list(singles(top, names)), trials) or _fitting_scaled(list(pairs(names)), trials)


def _more_than_a_factor(names: Sequence[str], trial: Trial) -> list[str]:
    """The mistakes whose numbers are not autograd's but for a factor."""
    (truth,), (answer,) = trial.truths, trial.actual
    right = replace(trial, actual=({key: truth.derived[key][0] for key in answer},))
    names = [name for name in names if name != "single_precision"]
    is_factor, _, _ = _scaled_fit_of([Variant((name,)) for name in names], [right])
    return [name for name, only in zip(names, is_factor, strict=True) if not only]


def factor_of_all(trials: Sequence[Trial]) -> tuple[str, str]:
    """Return by which factor all derivatives are autograd's, and what that is in terms of 2, N and widths."""
    if _tell(trials) < FEWEST:
        return "", ""
    fits, _, factors = _scaled_fit_of([Variant(())], trials)
    told = [(problem, float(factor[0])) for problem, factor in factors if factor[0]]
    name = common_factor(told) if fits.all() else ""
    if not name or not np.allclose([factor for _, factor in told], told[0][1], coarse(told[0][0], SAME), 0.0):
        return name, ""
    number = written(told[0][1], told[0][0])
    return number, "" if name.lstrip("-").isdecimal() or name == number else name


def _tell(trials: Sequence[Trial]) -> int:
    """How many derivatives were given in the first step."""
    return sum(actual.size for _, key, actual, _ in trials[0].of_first_step().answers() if key[0] in DERIVATIVES)


def _fitting_scaled(variants: Sequence[Variant], trials: Sequence[Trial]) -> list[Variant]:
    found: list[Variant] = []
    for _, some in in_chunks([v for v in variants if "single_precision" not in v.mistakes], trials[0].truths[0]):
        fits, _, _ = _scaled_fit_of(some, [trials[0].of_first_step()])
        possible = [variant for variant, fit in zip(some, fits, strict=True) if fit]
        if not possible:
            continue
        fits, nearer, factors = _scaled_fit_of(possible, trials)
        for i in np.flatnonzero(fits & nearer):
            name = common_factor([(problem, float(factor[i])) for problem, factor in factors if factor[i]])
            # Without a factor it would have been found before, if it were near enough.
            # Deltas that are wrongly taken to be without the 1/N are so by N too little.
            misread = "N" in name.partition("/")[2] and any(key[0] == "delta" for key in trials[0].actual[0])
            found += [replace(possible[i], factor=name)] if name not in ("", "1") and not misread else []
    return found


def _scaled_fit_of(
    variants: Sequence[Variant], trials: Sequence[Trial]
) -> tuple[Any, Any, list[tuple[Problem, FloatArray]]]:
    """The same as `_fit_of` under a factor of each step, and these factors."""
    fits, nearer = np.ones(len(variants), bool), np.zeros(len(variants), bool)
    factors: list[tuple[Problem, FloatArray]] = []
    for trial, mistaken, possible in _lined_up(variants, trials):
        fits &= possible | trial.has_other_shapes
        for step, truth in enumerate(trial.truths):
            answers = [(key, actual, pair) for at, key, actual, pair in trial.answers() if at == step]
            derived = [answer for answer in answers if answer[0][0] in DERIVATIVES]
            factor, fit, near = _scaled_resemblance(truth.problem, derived, mistaken[step], len(variants))
            factors.append((truth.problem, np.where(possible, factor, 0.0)))
            nearer |= near & possible
            for key, actual, pair in answers:
                # No factor is in the activations; the cost may have its own.
                fit &= _resemblance(actual, mistaken[step][key], pair)[0] if key[0] == "activation" else True
            fits &= fit | ~possible
    return fits, nearer, factors


def _scaled_resemblance(
    problem: Problem, derived: Sequence[tuple[Key, FloatArray, Pair]], mistaken: Quantities, count: int
) -> tuple[FloatArray, Any, Any]:
    """For each variant: its factor in this step, whether all derivatives fit with it, and are far from the right ones.

    The factor is that of least squares; 0 where there is nothing to tell it from.
    """
    sides = []
    for key, actual, (expected, tolerance) in derived:
        # Of a weight what the step adds to it, which is the derivative's multiple.
        start = problem.weights[(key[1] or 1) - 1].astype(np.float64) if key[0] == "weight" else 0.0
        mine = np.broadcast_to(mistaken[key].astype(np.float64), (count, *actual.shape)) - start
        sides.append((actual - start, mine, expected - start, tolerance))
    with np.errstate(all="ignore"):
        factor = least_squares([(actual, mine) for actual, mine, _, _ in sides], count)
        of_right = least_squares([(actual, expected[np.newaxis]) for actual, _, expected, _ in sides], 1)
        fit, near = np.ones(count, bool), np.zeros(count, bool)
        for actual, mine, expected, tolerance in sides:
            axes, by = tuple(range(1, mine.ndim)), (-1, *(1 for _ in actual.shape))
            times = factor.reshape(by)
            sharp = tolerance.max(initial=0.0) / np.abs(expected).max(initial=0.0)
            relative = np.fmax(sharp if np.isfinite(sharp) else 0.0, ROUNDED * float(np.finfo(mine.dtype).eps))
            scale = np.abs(times * mine).max(axis=axes, keepdims=True)
            allowed = MARGIN * np.fmax(tolerance, relative * scale)
            to_mistake, to_right = distance(actual, times * mine), distance(actual, of_right.reshape(by) * expected)
            fit &= (to_mistake <= allowed).all(axis=axes)
            near |= ((to_right > allowed) & (to_right >= NEARER * to_mistake)).any(axis=axes)
    return factor, fit, near


# To a few digits alone: finite differences, an epsilon.


def _in_float32(trials: Sequence[Trial]) -> bool:
    """Whether all numbers are those of float32: what these are right to is a matter of float32."""
    answers = (actual for trial in trials for _, _, actual, _ in trial.answers())
    return all((actual.astype(np.float32) == actual).all() for actual in answers)


def _roughly_fitting(variants: Sequence[Variant], trials: Sequence[Trial]) -> list[Variant]:
    """The variants that give the first digits of all numbers, and far more of them than autograd."""
    found = [replace(variant, digits=_digits(variant, trials)) for variant in _fitting(variants, trials, ROUGH)]
    return [variant for variant in found if variant.digits < FINE]


def _digits(variant: Variant, trials: Sequence[Trial]) -> int:
    """How many digits of each quantity's largest number the variant gives right."""
    off = float(np.finfo(np.float64).eps)
    for trial, mistaken, possible in _lined_up([variant], trials):
        for step, key, actual, _ in trial.answers() if possible.all() else ():
            size = np.abs(actual).max(initial=0.0)
            off = max(off, float(distance(actual, mistaken[step][key]).max() / size)) if size else off
    return int(-np.log10(off))


def _single_precision(trials: Sequence[Trial]) -> bool:
    """Whether what is wrong is right to float32: float32 numbers, or those of weights and samples rounded to it."""
    if trials[0].truths[0].problem.inputs.dtype == np.float32:
        return False
    answers = [answer for trial in trials for answer in trial.answers()]
    sides = [(actual, expected) for _, _, actual, (expected, _) in answers]
    if any(not (distance(actual, expected) <= 1e-3 * np.abs(expected).max()).all() for actual, expected in sides):
        return False
    are_float32 = are_rounded = True
    wrong = False
    for trial in trials:
        narrow = [narrowed(truth.problem) for truth in trial.truths]
        coarse = [Truth(problem).derived for problem in narrow]
        rounded = [Truth(widened(problem)).derived for problem in narrow]
        for step, key, actual, (expected, tolerance) in trial.answers():
            if (distance(actual, expected) <= tolerance).all():
                continue
            # The weights and samples were rounded on the way in, which counts once more.
            allowed = coarse[step][key][1] + np.finfo(np.float32).eps * np.abs(expected).max(initial=0.0)
            if not (distance(actual, expected) <= MARGIN * allowed + tolerance).all():
                return False
            wrong = True
            are_float32 &= bool((actual.astype(np.float32) == actual).all())
            are_rounded &= bool((distance(actual, rounded[step][key][0]) <= MARGIN * tolerance).all())
    return wrong and (are_float32 or are_rounded)
