"""A pass and a step of gradient descent, taken apart at the seams where mistakes are made.

`Seams` computes exactly what `Network` and its update compute, in smaller steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from comparisons.reference.quantities import Problem, Quantities, Statement, in_order
from handnet.activations import ACTIVATIONS, FloatArray
from handnet.costs import COSTS, Cost
from handnet.network import augmented

# The seams in the order of the computation, and the quantity that each is a part of.
SEAMS = {
    "preactivation": "activation",
    "activated": "activation",
    "error": "delta",
    "shared_cost": "cost",
    "shared_error": "delta",
    "output_slope": "delta",
    "output_delta": "delta",
    "weights_above": "delta",
    "stripped": "delta",
    "delta_above": "delta",
    "passed_back": "delta",
    "hidden_slope": "delta",
    "hidden_delta": "delta",
    "activation_below": "gradient",
    "delta_here": "gradient",
    "outer_product": "gradient",
    "collected": "gradient",
    "laid_out": "gradient",
    "penalized": "gradient",
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
    # Where it can be made at all: with biases, a penalty, these costs, these activations; empty where any will do.
    needs_biases = False
    needs_penalty = False
    # Whether it is looked for together with another one: the rare ones only alone.
    combines = True
    costs: tuple[str, ...] = ()
    activations: tuple[str, ...] = ()

    @classmethod
    def applies(cls, stated: Statement, activation: Sequence[str]) -> bool:
        """Whether the mistake can be made in a network of this kind."""
        return (
            (stated.biases or not cls.needs_biases)
            and (stated.l2 > 0 or not cls.needs_penalty)
            and (not cls.costs or stated.cost in cls.costs)
            and (not cls.activations or not set(cls.activations).isdisjoint(activation))
        )

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
        return self.with_ones(a_below) @ self.weights[l - 1]

    def activated(self, l: int, z: FloatArray) -> FloatArray:
        """a = sigma(z)."""
        return ACTIVATIONS[self.problem.activation[l - 1]].value(z)

    def error(self, l: int, output: FloatArray, targets: FloatArray) -> FloatArray:
        """a - T, of each sample; of other costs their c, or delta where the slope cancels."""
        return (self.cost.delta or self.cost.error)(output, targets)

    def shared_cost(self, l: int, error: FloatArray, *others: FloatArray) -> FloatArray:
        """The sum of the squares / 2N; of other costs their own, by z or a, which come after the error with T."""
        if self.problem.stated.cost == "half_squared_error":
            # Of an error that is reversed, too.
            total = np.square(error).sum(axis=(-2, -1)) / 2
        else:
            z, a, targets = others
            total = self.cost.value(z if self.cost.output else a, targets)
        return self.reduced(total, error)

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        """c = (a - T) / N."""
        return self.reduced(error, error)

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        """sigma' of the output, in terms of a; 1 where it cancels against the cost's."""
        return np.ones_like(a) if self.cost.delta else ACTIVATIONS[self.problem.activation[l - 1]].slope(a)

    def output_delta(self, l: int, c: FloatArray, slope: FloatArray, a: FloatArray) -> FloatArray:
        """D^(L) c; of softmax with all that its outputs have to do with each other."""
        pulled_back = ACTIVATIONS[self.problem.activation[l - 1]].pulled_back
        return pulled_back(c, a) if pulled_back and not self.cost.delta else c * slope

    def weights_above(self, l: int, updated_above: FloatArray) -> FloatArray:
        """W of the layer above, through which delta is passed back."""
        return self.weights[l]

    def stripped(self, l: int, w: FloatArray) -> FloatArray:
        """W without its row of biases."""
        return w[..., :-1, :] if self.problem.stated.biases else w

    def delta_above(self, l: int, delta: FloatArray, error: FloatArray) -> FloatArray:
        """The delta of the layer above, not the error D^-1 delta that it was made from."""
        return delta

    def passed_back(self, l: int, delta_above: FloatArray, w: FloatArray) -> FloatArray:
        """delta w, with w the transpose of the stripped W."""
        return delta_above @ np.swapaxes(w, -1, -2)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        """sigma' of a hidden layer, in terms of a."""
        return ACTIVATIONS[self.problem.activation[l - 1]].slope(a)

    def hidden_delta(self, l: int, error: FloatArray, slope: FloatArray) -> FloatArray:
        """D^(l) times the error that is passed back."""
        return error * slope

    def activation_below(self, l: int, below: FloatArray, here: FloatArray, output: FloatArray) -> FloatArray:
        """The activations that the weights of layer l are fed with."""
        return below

    def delta_here(self, l: int, delta: FloatArray, output_delta: FloatArray) -> FloatArray:
        """The delta of layer l, not of the output."""
        return delta

    def outer_product(self, l: int, a_below: FloatArray, delta: FloatArray, error: FloatArray) -> FloatArray:
        """A^T delta, summed over the samples; the error is what delta was before the slope."""
        return np.swapaxes(self.with_ones(a_below), -1, -2) @ delta

    def collected(self, l: int, gradient: FloatArray) -> FloatArray:
        """The gradient of this step alone."""
        return gradient

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        """The gradient in the shape of W."""
        return gradient

    def penalized(self, l: int, gradient: FloatArray, w: FloatArray) -> FloatArray:
        """The gradient with lambda w, but for the biases."""
        return gradient + self.penalty * self.weights_alone(w)

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        """W - gamma dC/dW."""
        new = w - self.problem.learning_rate * gradient
        if not self.problem.train_biases and self.problem.stated.biases:
            new[..., -1, :] = w[..., -1, :]
        return new

    # What they are made of.

    @property
    def cost(self) -> Cost:
        return COSTS[self.problem.stated.cost]

    @property
    def penalty(self) -> float:
        return self.problem.stated.l2

    def with_ones(self, a: FloatArray) -> FloatArray:
        """A: a with a trailing 1 where there are biases."""
        return augmented(a) if self.problem.stated.biases else a

    def weights_alone(self, w: FloatArray) -> FloatArray:
        """W with 0 in the place of the biases."""
        if self.problem.stated.biases:
            w = w.copy()
            w[..., -1, :] = 0
        return w

    def reduced(self, total: FloatArray, samples: FloatArray) -> FloatArray:
        """The mean over the samples, or their sum."""
        return total / samples.shape[-2] if self.problem.stated.reduction == "mean" else total

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
                above = at("delta_above", l, deltas[l + 1], passed[l + 1])
                passed[l] = at("passed_back", l, above, w)
                slopes[l] = at("hidden_slope", l, a[l], z[l])
            if l == top:
                deltas[l] = at("output_delta", l, passed[l], slopes[l], a[l])
            else:
                deltas[l] = at("hidden_delta", l, passed[l], slopes[l])
            below = at("activation_below", l, a[l - 1], a[l], a[top])
            product = at("outer_product", l, below, at("delta_here", l, deltas[l], deltas[top]), passed[l])
            gradients[l] = at("laid_out", l, at("collected", l, product))
            if self.penalty:
                gradients[l] = at("penalized", l, gradients[l], self.weights[l - 1])
            updated[l] = at("step", l, self.weights[l - 1], gradients[l])
        parts = ([part[l] for l in range(1, top + 1)] for part in (a, deltas, gradients, updated))
        activations, *backward = parts
        cost = at("shared_cost", top, error, z[top], a[top], self.problem.targets)
        if self.penalty:
            squares = (
                np.square(self.weights_alone(w)).sum(axis=(-2, -1)) for w in map(self.weights.__getitem__, range(top))
            )
            cost = cost + self.penalty / 2 * sum(squares)
        more = {"preactivation": z, "slope": slopes, "activation_gradient": passed}
        return {
            **in_order(activations, cost, *backward),
            **{(name, l): part[l] for name, part in more.items() for l in part},
        }
