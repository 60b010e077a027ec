"""What the known mistakes make of a trial: which of them explain the numbers, and which the data cannot show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.mistakes.known import MISTAKES, Lineup, Variant, narrowed, pairs, singles, widened
from comparisons.reference.quantities import Key, Problem, Quantities
from comparisons.reference.truth import Pair, Truth
from comparisons.verdict.distance import distance, over
from comparisons.verdict.measured import Measured
from handnet import Network
from handnet.activations import FloatArray

# A mistake's numbers round as the right ones do, but for a step or two more.
MARGIN = 16
# How well a number agrees with itself computed in another order, of its quantity's size, where that is all one knows.
ROUNDED = 8
# How many times nearer than to autograd the implementation must be to a mistake that is to explain it.
NEARER = 100
# What changes a number by more than this many times its tolerance shows.
VISIBLE = 2
# How many numbers of a Lineup to hold at a time.
BUDGET = 4_000_000
ALONE = tuple(Variant((name,)) for name in MISTAKES)


@dataclass(frozen=True)
class Trial:
    """What an implementation was asked, one step after the other, and what it answered.

    Attributes
    ----------
    truths : what autograd says of each step
    given : the answer to each step
    case, step : as they are recorded with the verdicts; step is the number of the first
    misshapen : keys whose answer had another shape and therefore says nothing
    turned : keys whose weights came transposed
    layout : of the implementation's own arrays; those here are always the note's
    summed : whether the implementation sums its cost over the samples; the numbers here are always those of the mean
    """

    truths: tuple[Truth, ...]
    given: tuple[Quantities, ...]
    case: str = ""
    step: int = 1
    misshapen: frozenset[Key] = frozenset()
    turned: frozenset[Key] = frozenset()
    layout: str = "note"
    summed: bool = False

    @property
    def stack_axes(self) -> int:
        """How many leading axes the networks have."""
        return len(self.truths[0].problem.shape(("cost", None)))

    def answers(self) -> Iterator[tuple[int, Key, FloatArray, Pair]]:
        """Step, key, answer and autograd's value and tolerance of all that can be compared."""
        for step, (truth, given) in enumerate(zip(self.truths, self.given, strict=True)):
            for key in given:
                if key not in self.misshapen:
                    yield step, key, given[key], truth.derived[key]

    def then(self, later: Trial) -> Trial:
        """Return the steps of both."""
        return replace(
            self,
            truths=self.truths + later.truths,
            given=self.given + later.given,
            misshapen=self.misshapen | later.misshapen,
            turned=self.turned | later.turned,
        )

    def where(self, kept: Callable[[Key], bool]) -> Trial:
        """Return the trial as if only these quantities had been given."""
        return replace(self, given=tuple({k: value for k, value in step.items() if kept(k)} for step in self.given))

    def of_last_step(self) -> Trial:
        """Return the last step alone."""
        return replace(self, truths=self.truths[-1:], given=self.given[-1:], step=self.step + len(self.given) - 1)

    def of_network(self, network: tuple[int, ...]) -> Trial:
        """Return the trial of one network of a stack."""
        truths = tuple(Truth(truth.problem.of_network(network)) for truth in self.truths)
        given = tuple({key: value[network] for key, value in step.items()} for step in self.given)
        return replace(self, truths=truths, given=given)


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
    alone = _fitting(_suspects(singles(top), first, trials[0]), trials)
    found = alone or _fitting(_suspects(pairs(), first, trials[0]), trials)
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
    chunks = _chunks(variants, trials[0].truths[0])
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


# What the mistakes change, and what the data cannot show.


@dataclass(frozen=True)
class Effects:
    """How much each of some variants changes each quantity, at the most, in units of the tolerance.

    Attributes
    ----------
    steps : for each step, by key, one number per variant
    misfits : by the number of the variant, why it cannot be made on this architecture
    """

    steps: tuple[dict[Key, FloatArray], ...]
    misfits: dict[int, str]

    def shown(self, quantities: Collection[str]) -> NDArray[np.bool_]:
        """Return, for each variant, whether it would raise, or changes some number by more than twice its tolerance."""
        ratios = [ratio for step in self.steps for key, ratio in step.items() if key[0] in quantities]
        shown = np.max(ratios, axis=0) > VISIBLE
        shown[list(self.misfits)] = True
        return shown


def effects(variants: Sequence[Variant], truths: Sequence[Truth]) -> Effects:
    """Make each of the variants on these steps, one after the other, and compare with autograd."""
    steps = tuple({key: np.zeros(len(variants)) for key in truth.derived} for truth in truths)
    misfits: dict[int, str] = {}
    for start, some in _chunks(variants, truths[0]):
        lineup = Lineup(some)
        for step, truth in zip(steps, truths, strict=True):
            made = lineup.run(truth.problem)
            for key, (right, tolerance) in truth.derived.items():
                ratio = over(distance(made[key].astype(np.float64), right), tolerance)
                step[key][start : start + len(some)] = ratio.max(axis=tuple(range(-right.ndim, 0)))
        misfits |= {start + i: why for i, why in lineup.misfits.items()}
    return Effects(steps, misfits)


def blind(trials: Sequence[Trial]) -> tuple[str, ...]:
    """Return the known mistakes that would change nothing measurable in these trials, found by making them.

    One whose shapes do not fit would raise, so it shows. One that is none with these activations (the slope of tanh in
    a network of tanh), or that shows only in quantities not given, is not listed.
    """
    given = frozenset(key[0] for trial in trials for step in trial.given for key in step)
    return hidden([trial.truths for trial in trials], given) if given else ()


def hidden(asked: Sequence[Sequence[Truth]], quantities: Collection[str]) -> tuple[str, ...]:
    """Return the known mistakes that change nothing measurable in these quantities, in any of these runs of steps."""
    shown = np.any([effects(ALONE, truths).shown(quantities) for truths in asked], axis=0)
    could = _reference(asked[0][0].problem.activation).shown(quantities)
    return tuple(name for name, one, other in zip(MISTAKES, could, shown, strict=True) if one and not other)


@cache
def _reference(activation: tuple[str, ...]) -> Effects:
    """The effects on two steps of a square network on which every mistake can be made, and shows."""
    rng = np.random.default_rng(11)
    net = Network.random([4] * (len(activation) + 1), rng=rng, activation=activation)
    samples = [(rng.standard_normal((6, 4)), rng.standard_normal((6, 4))) for _ in range(2)]
    return effects(ALONE, [Truth(Problem(net.weights, activation, x, t)) for x, t in samples])


def made_at(variant: Variant, truths: Sequence[Truth], without: Collection[str] = ()) -> Key | None:
    """Return the first quantity that the mistake itself makes wrong, by more than twice the tolerance.

    Parameters
    ----------
    without : quantities that do not count
    """
    everything = "single_precision" in variant.mistakes
    own = variant.computes(len(truths[0].problem.weights))
    made = effects([variant], truths)
    for step in () if made.misfits else made.steps:
        for key, ratio in step.items():
            if (everything or key in own) and ratio[0] > VISIBLE and key[0] not in without:
                return key
    return None


def _chunks(variants: Sequence[Variant], truth: Truth) -> Iterator[tuple[int, Sequence[Variant]]]:
    """So many variants at a time that memory holds them, with the number of the first."""
    size = max(1, BUDGET // sum(value.size for value, _ in truth.derived.values()))
    return ((i, variants[i : i + size]) for i in range(0, len(variants), size))
