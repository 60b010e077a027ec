"""Which of the known mistakes explain the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from comparisons.mistakes.effects import MARGIN, in_chunks
from comparisons.mistakes.known import narrowed, widened
from comparisons.mistakes.lineup import Lineup
from comparisons.mistakes.variants import Variant, applicable, pairs, singles
from comparisons.reference.truth import Pair, Truth
from comparisons.verdict.distance import distance
from comparisons.verdict.measured import Measured
from comparisons.verdict.trial import Trial
from handnet.activations import FloatArray

# How well a number agrees with itself computed in another order, of its quantity's size, where that is all one knows.
ROUNDED = 8
# How many times nearer than to autograd the implementation must be to a mistake that is to explain it.
NEARER = 100


# Which known mistakes explain the numbers.


def explanations(trials: Sequence[Trial], first: Measured) -> list[Variant]:
    """Return the simplest known mistakes that explain the numbers: alone, else in some layers, else two.

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


def _fitting(variants: Sequence[Variant], trials: Sequence[Trial]) -> list[Variant]:
    """The variants whose numbers are all that was given, some of them nearer to it than autograd's."""
    chunks = in_chunks(variants, trials[0].truths[0])
    return [variant for _, some in chunks for variant in _fitting_chunk(some, trials)]


def _fitting_chunk(variants: Sequence[Variant], trials: Sequence[Trial]) -> list[Variant]:
    fits, nearer = np.ones(len(variants), bool), np.zeros(len(variants), bool)
    for trial in trials:
        lineup = Lineup(variants)
        made = [lineup.run(truth.problem) for truth in trial.truths]
        # What does not fit the shapes of the network cannot have given an answer that does.
        possible = np.ones(len(variants), bool)
        possible[list(lineup.misfits)] = False
        if not trial.misshapen and not trial.turned:
            fits &= possible
        for step, key, given, pair in trial.answers():
            fit, near = _resemblance(given, made[step][key], pair)
            fits &= fit | ~possible
            nearer |= near & possible
    return [variant for variant, fit in zip(variants, fits & nearer, strict=True) if fit]


def _resemblance(given: FloatArray, made: FloatArray, pair: Pair) -> tuple[Any, Any]:
    """For each variant: whether all numbers given are its own, and whether some are far from autograd's."""
    right, tolerance = pair
    axes = tuple(range(-given.ndim, 0))
    with np.errstate(all="ignore"):
        # The tolerance of the right numbers, carried over to the scale of the mistaken ones; the right may all be 0.
        least = ROUNDED * float(np.finfo(made.dtype).eps)
        relative = tolerance.max(initial=0.0) / np.abs(right).max(initial=0.0)
        relative = max(relative, least) if np.isfinite(relative) else least
        scale = np.abs(made).max(axis=axes, keepdims=True).astype(np.float64)
        allowed = MARGIN * np.fmax(tolerance, relative * scale)
        to_mistake, to_right = distance(given, made.astype(np.float64)), distance(given, right)
        fit = (to_mistake <= allowed).all(axis=axes)
        near = ((to_right > tolerance) & (to_right >= NEARER * to_mistake)).any(axis=axes)
    return fit, near


def _single_precision(trials: Sequence[Trial]) -> bool:
    """Whether what is wrong is right to float32: float32 numbers, or those of weights and samples rounded to it."""
    if trials[0].truths[0].problem.inputs.dtype == np.float32:
        return False
    answers = [answer for trial in trials for answer in trial.answers()]
    if any(not (distance(given, right) <= 1e-3 * np.abs(right).max()).all() for _, _, given, (right, _) in answers):
        return False
    are_float32 = are_rounded = True
    wrong = False
    for trial in trials:
        narrow = [narrowed(truth.problem) for truth in trial.truths]
        coarse = [Truth(problem).derived for problem in narrow]
        rounded = [Truth(widened(problem)).derived for problem in narrow]
        for step, key, given, (right, tolerance) in trial.answers():
            if (distance(given, right) <= tolerance).all():
                continue
            # The weights and samples were rounded on the way in, which counts once more.
            allowed = coarse[step][key][1] + np.finfo(np.float32).eps * np.abs(right).max(initial=0.0)
            if not (distance(given, right) <= MARGIN * allowed + tolerance).all():
                return False
            wrong = True
            are_float32 &= bool((given.astype(np.float32) == given).all())
            are_rounded &= bool((distance(given, rounded[step][key][0]) <= MARGIN * tolerance).all())
    return wrong and (are_float32 or are_rounded)
