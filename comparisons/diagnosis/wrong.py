"""A wrong quantity: both sides, the tolerance, and where it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comparisons.reference.quantities import Key, Problem
from comparisons.verdict.distance import distance, over
from comparisons.verdict.measured import Measured
from comparisons.verdict.trial import Trial
from handnet.activations import FloatArray

# What a gradient and the weights after a step are made of.
BOTH = ("weights", "biases")
AUTOGRAD, EQUATION = "autograd", "torch, on the same upstream values,"


@dataclass(frozen=True)
class Wrong:
    """A wrong quantity: both sides, the tolerance, and where it was asked for."""

    key: Key
    hand: FloatArray
    torch: FloatArray
    tolerance: FloatArray
    problem: Problem
    step: int | None = None
    judge: str = AUTOGRAD
    at: tuple[int, ...] | None = None
    rounding: FloatArray | None = None

    @property
    def derived(self) -> FloatArray:
        """The derived tolerance, whatever the caller asked for."""
        return self.tolerance if self.rounding is None else self.rounding

    @property
    def is_right(self) -> bool:
        """Whether no number is off by more than its tolerance."""
        return bool(self.ratio.max() <= 1)

    @property
    def is_rounding(self) -> bool:
        """Whether it is wrong only since the caller asked for less than rounding."""
        return bool((distance(self.hand, self.torch) <= self.derived).all()) and not self.is_right

    @property
    def ratio(self) -> FloatArray:
        """Error / tolerance of each of its numbers."""
        return over(distance(self.hand, self.torch), self.tolerance)

    @property
    def wrong_parts(self) -> tuple[str, ...]:
        """Which parts of a gradient, or of the weights after a step, are wrong: weights, biases or both."""
        if self.key[0] not in ("gradient", "weight") or not self.problem.stated.biases:
            return BOTH
        off = (self.ratio[..., :-1, :], self.ratio[..., -1:, :])
        return tuple(part for part, ratio in zip(BOTH, off, strict=True) if (ratio > 1).any())

    @property
    def worst(self) -> tuple[int, ...]:
        """The index of the worst number."""
        return self.at or tuple(int(i) for i in np.unravel_index(int(self.ratio.argmax()), self.ratio.shape))


def of_measured(m: Measured, trials: Sequence[Trial]) -> Wrong:
    """The wrong quantity, beside what decided that it is: the whole model, or the one equation."""
    trial = next(trial for trial in trials if trial.case == m.case)
    truth = trial.truths[m.step - trial.step]
    derived = truth.derived[m.key][1]
    if m.judged_by(m.worst)[2] == "equation" and m.local_torch is not None and m.local_tolerance is not None:
        sides = (m.hand, m.local_torch, m.local_tolerance)
        return Wrong(m.key, *sides, truth.problem, m.step, EQUATION, m.worst)
    return Wrong(m.key, m.hand, m.torch, m.tolerance, truth.problem, m.step, at=m.worst, rounding=derived)
