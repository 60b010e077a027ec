"""What the known mistakes change, and which of them the data cannot show."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from comparisons.mistakes.lineup import Lineup
from comparisons.mistakes.variants import Variant, alone_in, applicable
from comparisons.reference.quantities import Key, Problem, Statement
from comparisons.reference.truth import Truth
from comparisons.verdict.distance import distance, over
from comparisons.verdict.trial import Trial
from handnet import Network
from handnet.activations import FloatArray

# A mistake's numbers round as the right ones do, but for a step or two more.
MARGIN = 16
# What changes a number by more than this many times its tolerance shows.
VISIBLE = 2
# How many numbers of a Lineup to hold at a time.
BUDGET = 4_000_000


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


@np.errstate(all="ignore")  # what a mistake makes of large numbers may overflow
def effects(variants: Sequence[Variant], truths: Sequence[Truth]) -> Effects:
    """Make each of the variants on these steps, one after the other, and compare with autograd."""
    steps = tuple({key: np.zeros(len(variants)) for key in truth.derived} for truth in truths)
    misfits: dict[int, str] = {}
    for start, some in in_chunks(variants, truths[0]):
        lineup = Lineup(some)
        for step, truth in zip(steps, truths, strict=True):
            mistaken = lineup.run(truth.problem)
            for key, (expected, tolerance) in truth.derived.items():
                ratio = over(distance(mistaken[key].astype(np.float64), expected), tolerance)
                step[key][start : start + len(some)] = ratio.max(axis=tuple(range(-expected.ndim, 0)))
        misfits |= {start + i: why for i, why in lineup.misfits.items()}
    return Effects(steps, misfits)


def blind(trials: Sequence[Trial]) -> tuple[str, ...]:
    """Return the known mistakes that would change nothing measurable in these trials, found by making them.

    One whose shapes do not fit would raise, so it shows. One that is none with these activations (the slope of tanh in
    a network of tanh), or that shows only in quantities not given, is not listed.
    """
    quantities = frozenset(key[0] for trial in trials for step in trial.actual for key in step)
    return hidden([trial.truths for trial in trials], quantities) if quantities else ()


def hidden(runs: Sequence[Sequence[Truth]], quantities: Collection[str]) -> tuple[str, ...]:
    """Return the known mistakes that change nothing measurable in these quantities, in any of these runs of steps."""
    problem = runs[0][0].problem
    variants = alone_in(problem)
    shown = np.any([effects(variants, truths).shown(quantities) for truths in runs], axis=0)
    could = _reference(problem.stated, problem.activation).shown(quantities)
    pairs = zip(variants, could, shown, strict=True)
    return tuple(variant.mistakes[0] for variant, one, other in pairs if one and not other)


def can_show(
    stated: Statement, activation: tuple[str, ...], quantities: Collection[str], steps: int = 2
) -> tuple[str, ...]:
    """Return the known mistakes that change these quantities at all, in so many steps where each can be made."""
    made = _reference(stated, activation)
    shown = replace(made, steps=made.steps[:steps]).shown(quantities)
    return tuple(name for name, one in zip(applicable(stated, activation), shown, strict=True) if one)


@cache
def _reference(stated: Statement, activation: tuple[str, ...]) -> Effects:
    """The effects on two steps of a square network on which every mistake can be made, and shows."""
    truths = [Truth(problem) for problem in reference_steps(stated, activation)]
    return effects(alone_in(truths[0].problem), truths)


def reference_steps(stated: Statement, activation: tuple[str, ...]) -> list[Problem]:
    """Return two steps of a square network on which every mistake can be made, and shows."""
    rng = np.random.default_rng(11)
    net = Network.random([4] * (len(activation) + 1), rng=rng, activation=activation, **asdict(stated))
    samples = [(rng.standard_normal((6, 4)), targets_for(stated, rng, (6, 4))) for _ in range(2)]
    return [Problem(net.weights, activation, x, t, stated=stated) for x, t in samples]


def targets_for(stated: Statement, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Return random targets (..., N, m_L): probabilities for a cross-entropy, else any numbers."""
    if stated.cost == "cross_entropy":
        targets = rng.random(shape)
        return targets / targets.sum(axis=-1, keepdims=True)
    return rng.random(shape) if stated.cost == "binary_cross_entropy" else rng.standard_normal(shape)


def origin_in(variant: Variant, truths: Sequence[Truth], without: Collection[str] = ()) -> Key | None:
    """Return the first quantity that the mistake itself makes wrong, by more than twice the tolerance.

    Parameters
    ----------
    without : quantities that do not count
    """
    everything = "single_precision" in variant.mistakes
    own = variant.computes(len(truths[0].problem.weights))
    own_effects = effects([variant], truths)
    for step in () if own_effects.misfits else own_effects.steps:
        for key, ratio in step.items():
            if (everything or key in own) and ratio[0] > VISIBLE and key[0] not in without:
                return key
    return None


def in_chunks(variants: Sequence[Variant], truth: Truth) -> Iterator[tuple[int, Sequence[Variant]]]:
    """So many variants at a time that memory holds them, with the number of the first."""
    size = max(1, BUDGET // sum(value.size for value, _ in truth.derived.values()))
    return ((i, variants[i : i + size]) for i in range(0, len(variants), size))
