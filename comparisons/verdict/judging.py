"""One set of quantities beside the twin's: with the whole model, and equation by equation, to a verdict each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.reference.rounding import Rounding
from comparisons.reference.twin import Key, Quantities, Twin, TwinPass
from comparisons.verdict.comparison import (
    INHERITED,
    OK,
    UNDECIDED,
    WRONG,
    Measured,
    distance,
    over,
    quantity_name,
    scale_of,
    sharper,
)
from handnet.activations import FloatArray

Pair = tuple[FloatArray, FloatArray]  # torch's value, and the bound on any evaluation or the tolerance made of it


@dataclass(frozen=True)
class Problem:
    """What both sides start from: the weights, the samples, and how to step.

    Attributes
    ----------
    weights : arrays (..., m_(l-1) + 1, m_l)
    activation : one name per layer
    inputs, targets : arrays (..., N, m_0) and (..., N, m_L), in the dtype of the weights
    learning_rate, train_biases : of the step
    device : where torch computes
    rtol, atol : the caller's own tolerance, instead of the derived one where either is given
    """

    weights: tuple[FloatArray, ...]
    activation: tuple[str, ...]
    inputs: FloatArray
    targets: FloatArray
    learning_rate: float = 0.5
    train_biases: bool = True
    device: str = "cpu"
    rtol: float | None = None
    atol: float | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """m_0 .. m_L."""
        return (self.weights[0].shape[-2] - 1, *(w.shape[-1] for w in self.weights))

    def shape(self, key: Key) -> tuple[int, ...]:
        """Return the shape that a quantity must have."""
        quantity, layer = key
        stack = self.weights[0].shape[:-2]
        if layer is None:
            return stack
        w = self.weights[layer - 1].shape
        return w if quantity in ("gradient", "weight") else (*stack, self.inputs.shape[-2], w[-1])

    def of_network(self, network: tuple[int | slice, ...]) -> Problem:
        """Return the problem of one network of a stack, or of a slice of it, with its samples."""
        stack = self.weights[0].shape[:-2]
        inputs, targets = (
            np.broadcast_to(array, (*stack, *array.shape[-2:]))[network] for array in (self.inputs, self.targets)
        )
        return replace(self, weights=tuple(w[network] for w in self.weights), inputs=inputs, targets=targets)

    def tolerance(self, value: FloatArray, bound: FloatArray) -> FloatArray:
        """Both sides' bounds added, unless the caller set a tolerance."""
        if self.rtol is None and self.atol is None:
            return 2 * bound
        return (self.atol or 0.0) + (self.rtol or 0.0) * np.abs(value)


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
        return {key: _wide(problem, (value, bounds[key])) for key, value in self.run.quantities().items()}


def measure(truth: Truth, given: Quantities, *, case: str = "", step: int = 1) -> list[Measured]:
    """Compare the quantities given with the twin's, in the order of the computation.

    Parameters
    ----------
    truth : what autograd says of the problem
    given : what the implementation computed, keyed by quantity and layer; any part of it
    case, step : recorded with each row

    Returns
    -------
    measured : one for each quantity given
    """
    given, _ = shaped(truth.problem, given)
    local = Local(truth, given)
    judge = partial(_judge, case, step, truth.problem)
    return [judge(key, given[key], pair, local.of(key)) for key, pair in truth.pairs.items() if key in given]


def shaped(problem: Problem, given: Mapping[Key, Any]) -> tuple[Quantities, dict[Key, str]]:
    """Return the quantities as arrays; one that has the wrong shape becomes NaN, and what to say of it.

    Raises
    ------
    TypeError
        If one of them is not an array of real numbers.
    """
    arrays: Quantities = {}
    misfits: dict[Key, str] = {}
    for key, value in given.items():
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.asarray(None)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{quantity_name(key)} has dtype {array.dtype}: expected real numbers")
        expected = problem.shape(key)
        if array.shape != expected:
            misfits[key] = f"{quantity_name(key)} has shape {array.shape}: expected {expected}"
            array = np.full(expected, np.nan, problem.inputs.dtype)
        arrays[key] = array if array.dtype.kind == "f" else array.astype(np.float64)
    return arrays, misfits


class Local:
    """Torch's evaluation of one equation on the implementation's own upstream values, with its bound."""

    def __init__(self, truth: Truth, given: Quantities) -> None:
        self.problem, self.twin, self.rounding = truth.problem, truth.twin, truth.rounding
        self.given: Quantities = {**given, ("activation", 0): self.problem.inputs}

    def of(self, key: Key) -> Pair | None:
        """Return torch's value and its tolerance, or None where what it is computed from was not given."""
        quantity, layer = key
        upstream = [self.given.get(above) for above in self._upstream(key)]
        # Upstream values of another precision could only be judged after rounding them, which they were not.
        values = [value for value in upstream if value is not None and value.dtype == self.problem.inputs.dtype]
        if len(values) < len(upstream):
            return None
        l = len(self.problem.weights) if layer is None else layer
        make = self._output_delta if quantity == "delta" and l == len(self.problem.weights) else None
        evaluate = make or getattr(self, f"_{quantity}")
        return _wide(self.problem, evaluate(l, *values))

    def _upstream(self, key: Key) -> Sequence[Key]:
        quantity, layer = key
        top = len(self.problem.weights)
        if layer is None or (quantity == "delta" and layer == top):
            return [("activation", top)]
        return {
            "activation": [("activation", layer - 1)],
            "delta": [("delta", layer + 1), ("activation", layer)],
            "gradient": [("activation", layer - 1), ("delta", layer)],
            "weight": [("gradient", layer)],
        }[quantity]

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


def _judge(
    case: str, step: int, problem: Problem, key: Key, hand: FloatArray, whole: Pair, local: Pair | None
) -> Measured:
    hand = hand.astype(np.float64)
    torch, tolerance = whole
    passes = _passes(hand, torch, tolerance)
    local_torch = local_tolerance = None
    if local is None:
        failing = np.where(passes, OK, WRONG)
    else:
        local_torch, local_tolerance = local
        failing = np.where(_passes(hand, local_torch, local_tolerance), np.where(passes, OK, INHERITED), WRONG)
    # Without any tolerance nothing passes but the exact number: that is decided, be it zero.
    sharpest = sharper(tolerance, local_tolerance)
    decided = (sharpest < scale_of(key, torch)) | (sharpest == 0)
    verdicts = np.where((failing == OK) & ~decided, UNDECIDED, failing).astype(np.int8)
    batch = problem.inputs.shape[-2]
    return Measured(
        case, step, key, problem.sizes, batch, hand, torch, tolerance, local_torch, local_tolerance, verdicts
    )


def _wide(problem: Problem, pair: Pair) -> Pair:
    """Turn torch's value and the bound on any evaluation into float64 and a tolerance."""
    value = pair[0].astype(np.float64)
    tolerance = problem.tolerance(value, np.broadcast_to(pair[1], value.shape))
    return value, np.where(np.isfinite(value) & ~np.isnan(tolerance), tolerance, np.inf)


def _passes(hand: FloatArray, torch: FloatArray, tolerance: FloatArray) -> NDArray[np.bool_]:
    return over(distance(hand, torch), tolerance) <= 1
