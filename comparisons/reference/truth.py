"""What autograd says of a problem, and how far right answers may lie from it."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from comparisons.reference.quantities import Key, Problem
from comparisons.reference.rounding import Rounding, where_bounded
from comparisons.reference.twin import Twin, TwinPass
from handnet.activations import FloatArray

Pair = tuple[FloatArray, FloatArray]  # torch's value, and the bound on any evaluation or the tolerance made of it


class Truth:
    """What autograd says of a problem, and how far right answers may lie from it.

    Parameters
    ----------
    problem : what both sides start from

    Attributes
    ----------
    twin : the torch model
    run : autograd's own pass and torch's step
    bounds : on any evaluation of each quantity
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.twin = Twin(problem.weights, problem.activation, problem.device)
        self._how = (problem.inputs, problem.targets, problem.learning_rate, problem.train_biases)
        self.run = self.twin.run(*self._how)
        self.rounding = Rounding(problem.inputs.dtype)
        self.bounds = self.rounding.bounds(problem.weights, problem.activation, self.run, *self._how)

    def run_from(self, weights: tuple[FloatArray, ...]) -> TwinPass:
        """Return autograd's pass and torch's step from other weights, on the same samples."""
        return Twin(weights, self.problem.activation, self.problem.device).run(*self._how)

    @cached_property
    def pairs(self) -> dict[Key, Pair]:
        """Each quantity in the order of the computation, in float64, with its tolerance."""
        return self._pairs(self.problem)

    @cached_property
    def derived(self) -> dict[Key, Pair]:
        """The same with the derived tolerance, whatever the caller asked for."""
        own = self.problem.rtol is not None or self.problem.atol is not None
        return self._pairs(replace(self.problem, rtol=None, atol=None)) if own else self.pairs

    def _pairs(self, problem: Problem) -> dict[Key, Pair]:
        bounds = self.bounds.quantities()
        return {key: wide(problem, (value, bounds[key])) for key, value in self.run.quantities().items()}


def wide(problem: Problem, pair: Pair) -> Pair:
    """Turn torch's value and the bound on any evaluation into float64 and a tolerance."""
    value = pair[0].astype(np.float64)
    bound = pair[1] if pair[1].shape == value.shape else np.broadcast_to(pair[1], value.shape)
    tolerance = problem.tolerance(value, bound)
    return value, where_bounded(np.isfinite(value) & ~np.isnan(tolerance), tolerance)
