"""A pass and a step of gradient descent, taken apart at the seams where mistakes are made.

`Seams` computes exactly what `Network` and its update compute, in smaller steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from comparisons.reference.quantities import Problem, Quantities, in_order
from handnet.activations import ACTIVATIONS, FloatArray
from handnet.network import augmented

# The seams in the order of the computation, and the quantity that each is a part of.
SEAMS = {
    "preactivation": "activation",
    "activated": "activation",
    "error": "delta",
    "shared_cost": "cost",
    "shared_error": "delta",
    "output_slope": "delta",
    "weights_above": "delta",
    "stripped": "delta",
    "passed_back": "delta",
    "hidden_slope": "delta",
    "activation_below": "gradient",
    "outer_product": "gradient",
    "collected": "gradient",
    "laid_out": "gradient",
    "step": "weight",
}


class NotApplicable(ValueError):
    """The mistake cannot be made on this architecture: its shapes do not fit."""


class Seams:
    """A pass and a step of gradient descent, taken apart where mistakes are made.

    Parameters
    ----------
    problem : weights, activation, samples and how to step
    weights : instead of the problem's
    previous : the gradients of the step before, by layer

    Attributes
    ----------
    summary : str
        What goes wrong, in one sentence; empty where nothing does.
    formula : str
        What the quantity comes to with the mistake, in the note's notation.

    Notes
    -----
    Every seam has the layer first. Arrays are (..., N, m_l), or shaped as the weights.
    """

    summary = ""
    formula = ""

    def __init__(
        self,
        problem: Problem,
        weights: Sequence[FloatArray] | None = None,
        previous: Mapping[int, FloatArray] | None = None,
    ) -> None:
        self.problem = problem
        self.weights: Sequence[FloatArray] = problem.weights if weights is None else weights
        self.previous: Mapping[int, FloatArray] = previous or {}
        self.top = len(problem.weights)

    # The seams.

    def preactivation(self, l: int, a_below: FloatArray) -> FloatArray:
        """z = A W."""
        return augmented(a_below) @ self.weights[l - 1]

    def activated(self, l: int, z: FloatArray) -> FloatArray:
        """a = sigma(z)."""
        return ACTIVATIONS[self.problem.activation[l - 1]].value(z)

    def error(self, l: int, output: FloatArray, targets: FloatArray) -> FloatArray:
        """a - T, of each sample."""
        return output - targets

    def shared_cost(self, l: int, error: FloatArray) -> FloatArray:
        """The sum of the squares / 2N."""
        return np.square(error).sum(axis=(-2, -1)) / (2 * error.shape[-2])

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        """c = (a - T) / N."""
        return error / error.shape[-2]

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        """sigma' of the output, in terms of a."""
        return ACTIVATIONS[self.problem.activation[l - 1]].slope(a)

    def weights_above(self, l: int, updated_above: FloatArray) -> FloatArray:
        """W of the layer above, through which delta is passed back."""
        return self.weights[l]

    def stripped(self, l: int, w: FloatArray) -> FloatArray:
        """W without its row of biases."""
        return w[..., :-1, :]

    def passed_back(self, l: int, delta_above: FloatArray, w: FloatArray) -> FloatArray:
        """delta w, with w the transpose of the stripped W."""
        return delta_above @ np.swapaxes(w, -1, -2)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        """sigma' of a hidden layer, in terms of a."""
        return ACTIVATIONS[self.problem.activation[l - 1]].slope(a)

    def activation_below(self, l: int, below: FloatArray, here: FloatArray) -> FloatArray:
        """The activations that the weights of layer l are fed with."""
        return below

    def outer_product(self, l: int, a_below: FloatArray, delta: FloatArray) -> FloatArray:
        """A^T delta, summed over the samples."""
        return np.swapaxes(augmented(a_below), -1, -2) @ delta

    def collected(self, l: int, gradient: FloatArray) -> FloatArray:
        """The gradient of this step alone."""
        return gradient

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        """The gradient in the shape of W."""
        return gradient

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        """W - gamma dC/dW."""
        new = w - self.problem.learning_rate * gradient
        if not self.problem.train_biases:
            new[..., -1, :] = w[..., -1, :]
        return new

    # What they make together.

    def at(self, seam: str, l: int, *arguments: FloatArray) -> FloatArray:
        """Compute one seam of layer l: every one of them is computed by way of this."""
        result: FloatArray = getattr(self, seam)(l, *arguments)
        return result

    def run(self) -> Quantities:
        """Return every quantity of the pass and the step; also preactivation, slope and activation_gradient."""
        with np.errstate(all="ignore"):
            return self._run()

    def _run(self) -> Quantities:
        top, at = self.top, self.at
        a, z = {0: self.problem.inputs}, {}
        for l in range(1, top + 1):
            z[l] = at("preactivation", l, a[l - 1])
            a[l] = at("activated", l, z[l])
        error = at("error", top, a[top], self.problem.targets)
        passed: dict[int, FloatArray] = {}
        slopes: dict[int, FloatArray] = {}
        deltas: dict[int, FloatArray] = {}
        gradients: dict[int, FloatArray] = {}
        updated: dict[int, FloatArray] = {}
        for l in range(top, 0, -1):
            if l == top:
                passed[l] = at("shared_error", l, error)
                slopes[l] = at("output_slope", l, a[l], z[l])
            else:
                w = at("stripped", l, at("weights_above", l, updated[l + 1]))
                passed[l] = at("passed_back", l, deltas[l + 1], w)
                slopes[l] = at("hidden_slope", l, a[l], z[l])
            deltas[l] = passed[l] * slopes[l]
            product = at("outer_product", l, at("activation_below", l, a[l - 1], a[l]), deltas[l])
            gradients[l] = at("laid_out", l, at("collected", l, product))
            updated[l] = at("step", l, self.weights[l - 1], gradients[l])
        parts = ([part[l] for l in range(1, top + 1)] for part in (a, deltas, gradients, updated))
        activations, *backward = parts
        more = {"preactivation": z, "slope": slopes, "activation_gradient": passed}
        return {
            **in_order(activations, at("shared_cost", top, error), *backward),
            **{(name, l): part[l] for name, part in more.items() for l in part},
        }
