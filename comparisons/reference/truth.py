"""What autograd says of a problem, and how far right answers may lie from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from comparisons.reference.quantities import THE_NOTES, Key, Problem, Quantities
from comparisons.reference.rounding import ACTIVATIONS, Bounds, Rounding
from comparisons.reference.twin import Twin, TwinPass
from handnet.activations import FloatArray

# Among the numbers of a network there are some that tell mistakes apart which differ by a hundredth.
COARSE = 1e-2
# Steps of a training whose expected tolerances are found at once have so many numbers.
NUMBERS_AT_ONCE = 500_000
Pair = tuple[FloatArray, FloatArray]  # torch's value, and the bound on any evaluation or the tolerance made of it


class Truth:
    """What autograd says of a problem, and how far right answers may lie from it.

    Parameters
    ----------
    problem : what both sides start from

    Attributes
    ----------
    twin : the torch model
    how : the arguments of its run
    bounding : how the bounds are made
    run : autograd's own pass and torch's step
    bounds : on any evaluation of each quantity, as `run` has them
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.twin = Twin(problem.weights, problem.activation, problem.device, problem.stated)
        self.how = (problem.inputs, problem.targets, problem.learning_rate, problem.train_biases)
        self.bounding: Bounding = ByFormulas(self) if by_formulas(problem) else ByOperations(self)
        if problem.is_online:
            self.bounding = OfDescent(self)
        self.run: TwinPass
        self.bounds: TwinPass | Bounds
        self.run, self.bounds = self.bounding.run()
        self.find_expected: Callable[[], Quantities] = self._expected_alone

    def run_from(self, weights: tuple[FloatArray, ...]) -> TwinPass:
        """Return autograd's pass and torch's step from other weights, on the same samples."""
        return Twin(weights, self.problem.activation, self.problem.device, self.problem.stated).run(*self.how)

    def local(self, key: Key, upstream: Sequence[FloatArray]) -> Pair:
        """Return torch's value of one equation on these upstream values, and its tolerance."""
        return wide(self.problem, self.bounding.local(key, upstream))

    @cached_property
    def pairs(self) -> dict[Key, Pair]:
        """Each quantity in the order of the computation, in float64, with its tolerance."""
        return self._pairs(self.problem)

    def expected_of(self, key: Key) -> FloatArray:
        """Return how far rounding is expected to take a right answer from autograd's."""
        return self.expected[key]

    @cached_property
    def expected(self) -> Quantities:
        """How far rounding is expected to take a right answer from autograd's: `Ball.expected_tolerance`.

        What the caller's own tolerance forgives is expected.
        """
        if self.problem.has_own_tolerance:
            return {key: tolerance for key, (_, tolerance) in self.pairs.items()}
        expected = self.find_expected()
        return {key: np.where(np.isnan(expected[key]), np.inf, expected[key]) for key in self.pairs}

    def _expected_alone(self) -> Quantities:
        return self.bounding.expected().quantities()

    @cached_property
    def derived(self) -> dict[Key, Pair]:
        """The same with the derived tolerance, whatever the caller asked for."""
        own = self.problem.has_own_tolerance
        return self._pairs(replace(self.problem, rtol=None, atol=None)) if own else self.pairs

    @cached_property
    def telling(self) -> dict[Key, Pair]:
        """The same to tell mistakes apart by: the expected tolerance where the guaranteed one is coarse."""
        return {
            key: (pair[0], np.fmin(pair[1], self.expected[key])) if _is_coarse(*pair) else pair
            for key, pair in self.derived.items()
        }

    def _pairs(self, problem: Problem) -> dict[Key, Pair]:
        bounds = self.bounds.quantities()
        return {key: wide(problem, (value, bounds[key])) for key, value in self.run.quantities().items()}

    def slopes(self) -> list[Pair]:
        """Return da^(l)/dz^(l) of the layers 1 .. L, and the bounds on them."""
        return self.bounding.slopes()


def wide(problem: Problem, pair: Pair) -> Pair:
    """Turn torch's value and the bound on any evaluation into float64 and a tolerance."""
    value = pair[0].astype(np.float64)
    tolerance = problem.tolerance(value, np.broadcast_to(pair[1], value.shape))
    return value, np.where(np.isfinite(value) & ~np.isnan(tolerance), tolerance, np.inf)


def _is_coarse(value: FloatArray, tolerance: FloatArray) -> bool:
    """Whether a tolerance hides errors of a part COARSE of the largest number: then too many mistakes fit."""
    return bool(tolerance.max(initial=0.0) > COARSE * np.abs(value).max(initial=0.0))


# The expected tolerances of a whole training.


def find_together(truths: Iterable[Truth]) -> None:
    """Let the expected tolerances of the steps of a training be found at once, as those of a stack of networks.

    What one step takes is mostly to go from operation to operation, which a stack does once.
    """
    alike: dict[Any, list[Truth]] = {}
    for truth in truths:
        if isinstance(truth.bounding, ByFormulas) and not truth.twin.stack:
            shapes = tuple(part.shape for part in (*truth.problem.weights, truth.problem.inputs))
            alike.setdefault(shapes, []).append(truth)
    for group in alike.values():
        at_once = max(1, NUMBERS_AT_ONCE // sum(value.size for value in group[0].run.quantities().values()))
        for start in range(0, len(group), at_once):
            steps = Steps([truth.problem for truth in group[start : start + at_once]])
            for i, truth in enumerate(group[start : start + at_once]):
                truth.find_expected = partial(steps.expected_of, i)


class Steps:
    """Problems of the same shapes, learning rate and activations, as one stack.

    Parameters
    ----------
    problems : of each step
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = problems

    def expected_of(self, i: int) -> Quantities:
        """Return the expected tolerances of one of them."""
        return {key: tolerance[i] for key, tolerance in self.expected.items()}

    @cached_property
    def expected(self) -> Quantities:
        """The expected tolerances of all of them."""
        first = self.problems[0]
        weights = tuple(np.stack(layer) for layer in zip(*(step.weights for step in self.problems), strict=True))
        inputs, targets = (np.stack([getattr(step, name) for step in self.problems]) for name in ("inputs", "targets"))
        twin = Twin(weights, first.activation, first.device, first.stated)
        return twin.bounded_run(inputs, targets, first.learning_rate, first.train_biases)[2].quantities()


# Two ways to the same bounds.


class Bounding(Protocol):
    """A way to the bounds."""

    def run(self) -> tuple[TwinPass, TwinPass | Bounds]: ...

    def expected(self) -> TwinPass: ...

    def local(self, key: Key, upstream: Sequence[FloatArray]) -> Pair: ...

    def slopes(self) -> list[Pair]: ...


def by_formulas(problem: Problem) -> bool:
    """Whether the bounds are those of the note's own network, whose formulas are written out, and quick."""
    return problem.stated == THE_NOTES and set(problem.activation) <= ACTIVATIONS


class ByOperations:
    """The bounds operation by operation, as torch computes: for any network."""

    def __init__(self, truth: Truth) -> None:
        self.truth, self.problem = truth, truth.problem

    def run(self) -> tuple[TwinPass, TwinPass]:
        """Return the pass and the bounds on it."""
        run, bounds, self._expected = self.truth.twin.bounded_run(*self.truth.how)
        return run, bounds

    def expected(self) -> TwinPass:
        """Return the expected tolerances, found by the run."""
        return self._expected

    def local(self, key: Key, upstream: Sequence[FloatArray]) -> Pair:
        """Return one quantity by its own equation, and the bound on it."""
        return self.truth.twin.bounded_local(key, upstream, self.problem)

    def slopes(self) -> list[Pair]:
        """Return the slopes, and the bounds on them."""
        z, bounds = self.truth.run.preactivations, self.truth.bounds.preactivations
        return list(zip(*self.truth.twin.bounded_slopes(z, bounds), strict=True))


class OfDescent(ByOperations):
    """The bounds on the weights after a step for each sample, through all the steps."""

    def run(self) -> tuple[TwinPass, TwinPass]:
        """Return the last pass and step, and the bounds on them."""
        run, bounds, self._expected = self.truth.twin.bounded_descent(self.problem)
        return run, bounds


class ByFormulas:
    """The same bounds for the note's own network, written out in NumPy: several times as fast for small networks."""

    def __init__(self, truth: Truth) -> None:
        self.truth, self.problem, self.twin = truth, truth.problem, truth.twin
        self.rounding = Rounding(self.problem.inputs.dtype)

    def run(self) -> tuple[TwinPass, Bounds]:
        """Return the pass and the bounds on it."""
        run = self.twin.run(*self.truth.how)
        return run, self.rounding.bounds(self.problem.weights, self.problem.activation, run, *self.truth.how)

    def expected(self) -> TwinPass:
        """Return the expected tolerances; only the operations have a rule for these."""
        return self.twin.bounded_run(*self.truth.how)[2]

    def slopes(self) -> list[Pair]:
        """Return the slopes, and the bounds on them."""
        bounds = self.truth.bounds
        values = self.twin.slopes(self.truth.run.preactivations)
        return list(zip(values, bounds.slopes if isinstance(bounds, Bounds) else (), strict=True))

    def local(self, key: Key, upstream: Sequence[FloatArray]) -> Pair:
        """Return one quantity by its own equation, and the bound on it."""
        quantity, layer = key
        l = len(self.problem.weights) if layer is None else layer
        at_the_output = quantity == "delta" and l == len(self.problem.weights)
        pair: Pair = getattr(self, "_output_delta" if at_the_output else f"_{quantity}")(l, *upstream)
        return pair

    def _activation(self, l: int, a_below: FloatArray) -> Pair:
        z, a = self.twin.local_activation(l, a_below)
        w, name = self.problem.weights[l - 1], self.problem.activation[l - 1]
        return a, self.rounding.local_activation(name, a_below, w, z, a)

    def _cost(self, l: int, output: FloatArray) -> Pair:
        targets = self.problem.targets
        return self.twin.local_cost(output, targets), self.rounding.local_cost(output, targets)

    def _output_delta(self, l: int, output: FloatArray) -> Pair:
        targets, name = self.problem.targets, self.problem.activation[-1]
        value = self.twin.local_output_delta(output, targets)
        return value, self.rounding.local_output_delta(name, output, targets)

    def _delta(self, l: int, delta_above: FloatArray, a: FloatArray) -> Pair:
        w_above, name = self.problem.weights[l], self.problem.activation[l - 1]
        value = self.twin.local_hidden_delta(l, delta_above, a)
        return value, self.rounding.local_hidden_delta(name, delta_above, w_above, a)

    def _gradient(self, l: int, a_below: FloatArray, delta: FloatArray) -> Pair:
        return self.twin.local_gradient(l, a_below, delta), self.rounding.local_gradient(a_below, delta)

    def _weight(self, l: int, gradient: FloatArray) -> Pair:
        rate, biases = self.problem.learning_rate, self.problem.train_biases
        new = self.twin.local_updated(l, gradient, rate, biases)
        return new, self.rounding.local_updated(new, gradient, rate, biases)
