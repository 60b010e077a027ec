"""The known mistakes of hand-written backpropagation: a network taken apart at its seams, one mixin per mistake.

`Seams` computes exactly what `Network` and its update compute, in smaller steps. A mistake overrides one step or
two and calls `super()`, so two mistakes combine by inheritance. `Lineup` makes many at once, as a stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.reference.quantities import Key, Problem, Quantities, in_order
from handnet.activations import ACTIVATIONS, FloatArray, sigmoid_slope, tanh_slope
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
    equals : str
        What the quantity comes to with the mistake, in the note's notation.

    Notes
    -----
    Every seam has the layer first. Arrays are (..., N, m_l), or shaped as the weights.
    """

    equals = ""

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

    def run(self) -> Quantities:
        """Return every quantity of the pass and the step; also preactivation, slope and activation_gradient."""
        with np.errstate(all="ignore"):
            return self._run()

    def _run(self) -> Quantities:
        top = self.top
        a, z = {0: self.problem.inputs}, {}
        for l in range(1, top + 1):
            z[l] = self.preactivation(l, a[l - 1])
            a[l] = self.activated(l, z[l])
        error = self.error(top, a[top], self.problem.targets)
        passed: dict[int, FloatArray] = {}
        slopes: dict[int, FloatArray] = {}
        deltas: dict[int, FloatArray] = {}
        gradients: dict[int, FloatArray] = {}
        updated: dict[int, FloatArray] = {}
        for l in range(top, 0, -1):
            if l == top:
                passed[l] = self.shared_error(l, error)
                slopes[l] = self.output_slope(l, a[l], z[l])
            else:
                w = self.stripped(l, self.weights_above(l, updated[l + 1]))
                passed[l] = self.passed_back(l, deltas[l + 1], w)
                slopes[l] = self.hidden_slope(l, a[l], z[l])
            deltas[l] = passed[l] * slopes[l]
            product = self.outer_product(l, self.activation_below(l, a[l - 1], a[l]), deltas[l])
            gradients[l] = self.laid_out(l, self.collected(l, product))
            updated[l] = self.step(l, self.weights[l - 1], gradients[l])
        parts = ([part[l] for l in range(1, top + 1)] for part in (a, deltas, gradients, updated))
        activations, *backward = parts
        more = {"preactivation": z, "slope": slopes, "activation_gradient": passed}
        return {
            **in_order(activations, self.shared_cost(top, error), *backward),
            **{(name, l): part[l] for name, part in more.items() for l in part},
        }


# The mistakes. The docstring says what goes wrong; (l) is the layer, (l+1) the one above, (l-1) the one below.


class NoBias(Seams):
    """The biases are left out of the forward pass."""

    equals = "sigma(w^(l) a^(l-1))"

    def preactivation(self, l: int, a_below: FloatArray) -> FloatArray:
        return super().preactivation(l, a_below) - self.weights[l - 1][..., -1:, :]


class OutputNotActivated(Seams):
    """The output is not activated."""

    equals = "z^(l)"

    def activated(self, l: int, z: FloatArray) -> FloatArray:
        return z if l == self.top else super().activated(l, z)


class NoOutputSlope(Seams):
    """The slope of the output, D^(l), is missing, as if the cost were a cross-entropy."""

    equals = "c"

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return np.ones_like(super().output_slope(l, a, z))


class ReversedError(Seams):
    """The error is T - a, not a - T."""

    equals = "D^(l) (T - a^(l))"

    def error(self, l: int, output: FloatArray, targets: FloatArray) -> FloatArray:
        return -super().error(l, output, targets)


class CostNoHalf(Seams):
    """The cost lacks its factor 1/2, though its gradient does not."""

    equals = "twice the right value"

    def shared_cost(self, l: int, error: FloatArray) -> FloatArray:
        return 2 * super().shared_cost(l, error)


class NoHalf(CostNoHalf):
    """The cost lacks its factor 1/2."""

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return 2 * super().shared_error(l, error)


class CostBatchSum(Seams):
    """The cost is the sum over the samples, though its gradient is that of the mean."""

    equals = "N times the right value"

    def shared_cost(self, l: int, error: FloatArray) -> FloatArray:
        return error.shape[-2] * super().shared_cost(l, error)


class BatchSum(CostBatchSum):
    """The samples are summed, not averaged, which is right for a cost that is their sum (reduction "sum")."""

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return error.shape[-2] * super().shared_error(l, error)


class AveragedTwice(Seams):
    """The average over the samples is taken twice."""

    equals = "the right value / N"

    def shared_cost(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_cost(l, error) / error.shape[-2]

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_error(l, error) / error.shape[-2]


class CostOutputMean(Seams):
    """The cost is averaged over the outputs too, though its gradient is not."""

    equals = "the right value / m_L"

    def shared_cost(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_cost(l, error) / error.shape[-1]


class OutputMean(CostOutputMean):
    """The outputs are averaged too, as by MSELoss(reduction="mean") / 2."""

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_error(l, error) / error.shape[-1]


class CostMseLoss(Seams):
    """The cost is MSELoss(), the mean of all squares, though its gradient is not."""

    equals = "2 / m_L times the right value"

    def shared_cost(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_cost(l, error) * 2 / error.shape[-1]


class MseLoss(CostMseLoss):
    """The cost is MSELoss() as it is: without the 1/2, and averaged over the outputs too."""

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_error(l, error) * 2 / error.shape[-1]


class AveragedOverInputs(Seams):
    """The sum over the samples is divided by the number of inputs, not of samples."""

    equals = "N / m_0 times the right value"

    def _other_share(self) -> float:
        samples, inputs = self.problem.inputs.shape[-2:]
        return samples / inputs

    def shared_cost(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_cost(l, error) * self._other_share()

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_error(l, error) * self._other_share()


class SlopeOfActivation(Seams):
    """The slope is taken at a^(l), not at z^(l): the activation is applied once more."""

    equals = "the right value with sigma'(a^(l)) in the place of D^(l)"

    def _slope(self, l: int, a: FloatArray) -> FloatArray:
        activation = ACTIVATIONS[self.problem.activation[l - 1]]
        return activation.slope(activation.value(a))

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._slope(l, a)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._slope(l, a)


class SlopeOfPreactivation(Seams):
    """The slope is written in terms of z^(l) where a^(l) belongs: z(1 - z)."""

    equals = "the right value with z^(l) for a^(l) in D^(l)"

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return super().output_slope(l, z, z)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return super().hidden_slope(l, z, z)


class TanhSlope(Seams):
    """The slope is that of tanh, 1 - a^2, with another activation."""

    equals = "the right value with 1 - a^2 in the place of D^(l)"

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return tanh_slope(a)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return tanh_slope(a)


class SigmoidSlope(Seams):
    """The slope is that of the sigmoid, a(1 - a), with another activation."""

    equals = "the right value with a(1 - a) in the place of D^(l)"

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return sigmoid_slope(a)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return sigmoid_slope(a)


class SlopeOneMinusA(Seams):
    """The slope is 1 - a: a factor or a square is missing."""

    equals = "the right value with 1 - a^(l) in the place of D^(l)"

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return 1 - a

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return 1 - a


class NoHiddenSlope(Seams):
    """The slope of the hidden layer, D^(l), is missing."""

    equals = "(w^(l+1))^T delta^(l+1)"

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return np.ones_like(super().hidden_slope(l, a, z))


class NoTranspose(Seams):
    """w^(l+1) is not transposed."""

    equals = "D^(l) w^(l+1) delta^(l+1)"

    def passed_back(self, l: int, delta_above: FloatArray, w: FloatArray) -> FloatArray:
        return super().passed_back(l, delta_above, np.swapaxes(w, -1, -2))


class UpdatedWeights(Seams):
    """w^(l+1) has already been updated."""

    equals = "D^(l) (w^(l+1) - gamma dC/dw^(l+1))^T delta^(l+1)"

    def weights_above(self, l: int, updated_above: FloatArray) -> FloatArray:
        return updated_above


class WrongWeights(Seams):
    """w^(l) stands where w^(l+1) belongs."""

    equals = "D^(l) (w^(l))^T delta^(l+1)"

    def weights_above(self, l: int, updated_above: FloatArray) -> FloatArray:
        return self.weights[l - 1]


class WrongRowStripped(Seams):
    """The first row of W^(l+1) is dropped in the place of its row of biases."""

    equals = "the right value with W^(l+1) less its first row for (w^(l+1))^T"

    def stripped(self, l: int, w: FloatArray) -> FloatArray:
        return w[..., 1:, :]


class WrongLayerBelow(Seams):
    """a^(l) stands where a^(l-1) belongs."""

    equals = "delta^(l) A^(l)"

    def activation_below(self, l: int, below: FloatArray, here: FloatArray) -> FloatArray:
        return here


class LastSampleOnly(Seams):
    """The gradient of each sample overwrites that of the one before."""

    equals = "delta^(l) A^(l-1) of the last sample"

    def outer_product(self, l: int, a_below: FloatArray, delta: FloatArray) -> FloatArray:
        return super().outer_product(l, a_below[..., -1:, :], delta[..., -1:, :])


class AccumulatedGradient(Seams):
    """The gradient of the step before is added on: it was never set to zero."""

    equals = "the sum of the gradients so far"

    def collected(self, l: int, gradient: FloatArray) -> FloatArray:
        return super().collected(l, gradient) + self.previous.get(l, 0.0)


class BiasNotTrained(Seams):
    """The biases have no gradient."""

    equals = "the right value, but 0 for the biases"

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        out = super().laid_out(l, gradient).copy()
        out[..., -1, :] = 0
        return out


class BiasSumOfAll(Seams):
    """The gradient of the biases is summed over the nodes too."""

    equals = "the right value, but the same sum over all nodes for each bias"

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        out = super().laid_out(l, gradient).copy()
        out[..., -1:, :] = out[..., -1:, :].sum(axis=-1, keepdims=True)
        return out


class BiasMeanOfAll(Seams):
    """The gradient of the biases is averaged over the nodes."""

    equals = "the right value, but the mean over all nodes for each bias"

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        out = super().laid_out(l, gradient).copy()
        out[..., -1:, :] = out[..., -1:, :].mean(axis=-1, keepdims=True)
        return out


class ScaledGradient(Seams):
    """The gradient times N or 1 / N, in some rows; the base of the mistakes below."""

    rows, power = slice(None), 1

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        out = super().laid_out(l, gradient).copy()
        out[..., self.rows, :] *= float(self.problem.inputs.shape[-2]) ** self.power
        return out


class GradientBatchSum(ScaledGradient):
    """The gradient is summed over the samples, not averaged."""

    equals = "N times the right value"


class WeightBatchSum(ScaledGradient):
    """The gradient of the weights is summed over the samples, that of the biases averaged."""

    equals, rows = "the right value, but N times that for all except the biases", slice(None, -1)


class BiasBatchSum(ScaledGradient):
    """The gradient of the biases is summed over the samples, that of the weights averaged."""

    equals, rows = "the right value, but N times that for the biases", slice(-1, None)


class GradientAveragedTwice(ScaledGradient):
    """The gradient is averaged over the samples once more."""

    equals, power = "the right value / N", -1


class WeightAveragedTwice(ScaledGradient):
    """The gradient of the weights is averaged over the samples once more."""

    equals, rows, power = "the right value, but that / N for all except the biases", slice(None, -1), -1


class BiasAveragedTwice(ScaledGradient):
    """The gradient of the biases is averaged over the samples once more."""

    equals, rows, power = "the right value, but that / N for the biases", slice(-1, None), -1


class TransposedGradient(Seams):
    """The gradient of the weights is transposed."""

    equals = "its transpose"

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        out = super().laid_out(l, gradient)
        weights, biases = np.swapaxes(out[..., :-1, :], -1, -2), out[..., -1:, :]
        return np.concatenate([weights, biases], axis=-2)


class BiasNotUpdated(Seams):
    """The step leaves the biases as they were."""

    equals = "the right value, but the old one for the biases"

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        new = super().step(l, w, gradient)
        new[..., -1, :] = w[..., -1, :]
        return new


class Ascent(Seams):
    """The step goes up, not down."""

    equals = "W^(l) + gamma dC/dW^(l)"

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        return super().step(l, w, -gradient)


class NoLearningRate(Seams):
    """The learning rate is missing."""

    equals = "W^(l) - dC/dW^(l)"

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        rate = self.problem.learning_rate
        return super().step(l, w, gradient / rate if rate else gradient)


class FirstLayerNotTrained(Seams):
    """The step leaves the first layer as it was."""

    equals = "W^(1) before the step"

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        return w.copy() if l == 1 else super().step(l, w, gradient)


class OtherActivation(Seams):
    """Another activation, value and slope; the base of the mistakes below."""

    name = ""

    def activated(self, l: int, z: FloatArray) -> FloatArray:
        return ACTIVATIONS[self.name].value(z)

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return ACTIVATIONS[self.name].slope(a)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return ACTIVATIONS[self.name].slope(a)


class SigmoidActivation(OtherActivation):
    """The activation is the sigmoid."""

    name, equals = "sigmoid", "sigmoid(z^(l))"


class TanhActivation(OtherActivation):
    """The activation is tanh."""

    name, equals = "tanh", "tanh(z^(l))"


class ReluActivation(OtherActivation):
    """The activation is relu."""

    name, equals = "relu", "max(z^(l), 0)"


class IdentityActivation(OtherActivation):
    """There is no activation."""

    name, equals = "identity", "z^(l)"


class SinglePrecision(Seams):
    """It is right, but computed in float32."""

    equals = "the right value rounded to float32"

    def __init__(
        self,
        problem: Problem,
        weights: Sequence[FloatArray] | None = None,
        previous: Mapping[int, FloatArray] | None = None,
    ) -> None:
        self.dtype = problem.inputs.dtype
        super().__init__(narrowed(problem), previous=previous)

    def run(self) -> Quantities:
        return {key: value.astype(self.dtype) for key, value in super().run().items()}


def narrowed(problem: Problem) -> Problem:
    """Return the problem in float32."""
    return _cast(problem, np.float32)


def widened(problem: Problem) -> Problem:
    """Return the problem in float64."""
    return _cast(problem, np.float64)


def _cast(problem: Problem, dtype: Any) -> Problem:
    weights = tuple(w.astype(dtype) for w in problem.weights)
    return replace(problem, weights=weights, inputs=problem.inputs.astype(dtype), targets=problem.targets.astype(dtype))


# The simplest and the most often seen come first: where several explain the numbers, they are named in this order.
MISTAKES: dict[str, type[Seams]] = {
    "no_bias": NoBias,
    "output_not_activated": OutputNotActivated,
    "no_output_slope": NoOutputSlope,
    "reversed_error": ReversedError,
    "no_half": NoHalf,
    "batch_sum": BatchSum,
    "averaged_twice": AveragedTwice,
    "output_mean": OutputMean,
    "mse_loss": MseLoss,
    "averaged_over_inputs": AveragedOverInputs,
    "cost_no_half": CostNoHalf,
    "cost_batch_sum": CostBatchSum,
    "cost_output_mean": CostOutputMean,
    "cost_mse_loss": CostMseLoss,
    "slope_of_activation": SlopeOfActivation,
    "slope_of_preactivation": SlopeOfPreactivation,
    "tanh_slope": TanhSlope,
    "sigmoid_slope": SigmoidSlope,
    "slope_one_minus_a": SlopeOneMinusA,
    "no_hidden_slope": NoHiddenSlope,
    "no_transpose": NoTranspose,
    "updated_weights": UpdatedWeights,
    "wrong_weights": WrongWeights,
    "wrong_row_stripped": WrongRowStripped,
    "wrong_layer_below": WrongLayerBelow,
    "last_sample_only": LastSampleOnly,
    "accumulated_gradient": AccumulatedGradient,
    "bias_not_trained": BiasNotTrained,
    "bias_sum_of_all": BiasSumOfAll,
    "bias_mean_of_all": BiasMeanOfAll,
    "gradient_batch_sum": GradientBatchSum,
    "weight_batch_sum": WeightBatchSum,
    "bias_batch_sum": BiasBatchSum,
    "gradient_averaged_twice": GradientAveragedTwice,
    "weight_averaged_twice": WeightAveragedTwice,
    "bias_averaged_twice": BiasAveragedTwice,
    "transposed_gradient": TransposedGradient,
    "bias_not_updated": BiasNotUpdated,
    "ascent": Ascent,
    "no_learning_rate": NoLearningRate,
    "first_layer_not_trained": FirstLayerNotTrained,
    "sigmoid_activation": SigmoidActivation,
    "tanh_activation": TanhActivation,
    "relu_activation": ReluActivation,
    "identity_activation": IdentityActivation,
    "single_precision": SinglePrecision,
}


@cache
def overridden(name: str) -> frozenset[str]:
    """Return the seams that a mistake overrides."""
    return frozenset(seam for seam in SEAMS if getattr(MISTAKES[name], seam) is not getattr(Seams, seam))


@cache
def combined(names: tuple[str, ...]) -> type[Seams]:
    """Return the Seams with all of these mistakes made, by inheritance."""
    return type("And".join(MISTAKES[name].__name__ for name in names), tuple(MISTAKES[name] for name in names), {})


@dataclass(frozen=True)
class Variant:
    """One mistake or several, and where.

    Attributes
    ----------
    mistakes : tuple of ids of MISTAKES
    placement : "everywhere", "hidden", or "layer 2"
    """

    mistakes: tuple[str, ...]
    placement: str = "everywhere"

    def __str__(self) -> str:
        where = "" if self.placement == "everywhere" else f" ({self.placement})"
        return " + ".join(self.mistakes) + where

    def layers(self, top: int) -> Sequence[int]:
        """Return the layers in which it is made, in a network of `top` layers."""
        if self.placement == "hidden":
            return range(1, top)
        return range(1, top + 1) if self.placement == "everywhere" else (int(self.placement.removeprefix("layer ")),)

    def computes(self, top: int) -> frozenset[Key]:
        """Return the quantities that the overridden seams are a part of, in a network of `top` layers."""
        return frozenset((SEAMS[seam], None if SEAMS[seam] == "cost" else l) for seam, l in seams_of(self, top))

    def run(self, problems: Sequence[Problem]) -> list[Quantities]:
        """Return every quantity of these steps, taken one after the other.

        Raises
        ------
        NotApplicable
            If a mistake does not fit the shapes of the network.
        """
        lineup = Lineup([self])
        steps = [alone(lineup.run(problem), 0, problem) for problem in problems]
        if lineup.misfits:
            raise NotApplicable(lineup.misfits[0])
        return steps


@cache
def seams_of(variant: Variant, top: int) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return the mistakes of the variant by the seam and layer where they are made, in a network of `top` layers."""
    made: dict[tuple[str, int], tuple[str, ...]] = {}
    for name in variant.mistakes:
        for seam in overridden(name):
            for l in variant.layers(top):
                made[seam, l] = (*made.get((seam, l), ()), name)
    return made


class Lineup:
    """Many variants side by side, step after step: arrays get a leading axis of variants where these differ.

    Each seam is computed for all as it should be, then again for those who get it wrong.

    Attributes
    ----------
    misfits : dict of str
        By the number of the variant: why it cannot be made on this architecture. Its numbers mean nothing.
    """

    def __init__(self, variants: Sequence[Variant]) -> None:
        self.variants = tuple(variants)
        self.misfits: dict[int, str] = {}
        self._gradients: dict[int, FloatArray] = {}
        self._groups: dict[tuple[str, int], list[tuple[type[Seams], NDArray[np.intp]]]] = {}

    def run(self, problem: Problem, weights: Sequence[FloatArray] | None = None) -> Quantities:
        """Return every quantity of the next step; `weights` may differ from variant to variant."""
        made = self.aside(problem, weights)
        for i, variant in enumerate(self.variants):
            if "single_precision" in variant.mistakes:  # which is no matter of a seam
                previous = alone({("gradient", l): g for l, g in self._gradients.items()}, i, problem)
                own = combined(variant.mistakes)(problem, None, {l: g for (_, l), g in previous.items() if l}).run()
                made = {key: self._with_own(value, i, own[key]) for key, value in made.items()}
        self._gradients = {l: made["gradient", l] for l in range(1, len(problem.weights) + 1)}
        return made

    def _with_own(self, value: FloatArray, i: int, own: FloatArray) -> FloatArray:
        """The numbers of all variants, those of the i-th replaced."""
        value = np.array(value if value.ndim > own.ndim else np.broadcast_to(value, (len(self.variants), *own.shape)))
        value[i] = own
        return value

    def aside(self, problem: Problem, weights: Sequence[FloatArray] | None = None) -> Quantities:
        """Return every quantity of the next step without taking it; targets too may differ from variant to variant."""
        return _Together(self, problem, weights, self._gradients).run()

    def groups(self, seam: str, l: int, top: int) -> list[tuple[type[Seams], NDArray[np.intp]]]:
        """Return the mistakes made at this seam of layer l, each with the numbers of the variants that make it."""
        if (seam, l) not in self._groups:
            members: dict[tuple[str, ...], list[int]] = {}
            for i, variant in enumerate(self.variants):
                members.setdefault(seams_of(variant, top).get((seam, l), ()), []).append(i)
            self._groups[seam, l] = [(combined(names), np.array(mine)) for names, mine in members.items() if names]
        return self._groups[seam, l]


def alone(made: Quantities, i: int, problem: Problem) -> Quantities:
    """Return what the i-th variant of a Lineup made of a problem."""
    return {key: value[i] if value.ndim > len(problem.shape(key)) else value for key, value in made.items()}


class _Together(Seams):
    """One step of a Lineup."""

    def __init__(
        self,
        lineup: Lineup,
        problem: Problem,
        weights: Sequence[FloatArray] | None,
        previous: Mapping[int, FloatArray],
    ) -> None:
        stack = problem.weights[0].shape[:-2]
        self.lineup, self.axes = lineup, len(stack) + 2
        inputs, targets = (
            array if array.ndim > self.axes else np.broadcast_to(array, (*stack, *array.shape[-2:]))
            for array in (problem.inputs, problem.targets)
        )
        super().__init__(replace(problem, inputs=inputs, targets=targets), weights, previous)

    def overlaid(self, seam: str, l: int, arguments: Sequence[FloatArray]) -> FloatArray:
        """Compute a seam as it should be for all, and over it the wrong results of those who get it wrong."""
        right: FloatArray = getattr(Seams, seam)(self, l, *arguments)
        groups = self.lineup.groups(seam, l, self.top)
        if not groups:
            return right
        axes = self.axes - 2 if seam == "shared_cost" else self.axes
        count = len(self.lineup.variants)
        all_of_them = right.copy() if right.ndim > axes else np.repeat(right[np.newaxis], count, axis=0)
        for kind, members in groups:
            mine = _Taken(members, self.axes)
            one = kind(self.problem, mine.of(self.weights), mine.of(self.previous))
            try:
                wrong = getattr(one, seam)(l, *map(mine, arguments))
                if wrong.shape[wrong.ndim - axes :] != all_of_them.shape[1:]:
                    raise NotApplicable(f"layer {l}: {wrong.shape[-2:]} where {right.shape[-2:]} belongs")
            except ValueError as misfit:
                self.lineup.misfits.update(dict.fromkeys(members.tolist(), str(misfit)))
            else:
                all_of_them[members] = wrong
        return all_of_them


def _of_all(seam: str) -> Callable[..., FloatArray]:
    def of_all(self: _Together, l: int, *arguments: FloatArray) -> FloatArray:
        return self.overlaid(seam, l, arguments)

    return of_all


for _seam in SEAMS:
    setattr(_Together, _seam, _of_all(_seam))


class _Taken:
    """Takes the members' part of an array that has an axis of variants; what all share stays as it is."""

    def __init__(self, members: NDArray[np.intp], axes: int, source: Any = None) -> None:
        self.members, self.axes, self.source = members, axes, source

    def __call__(self, array: FloatArray) -> FloatArray:
        return array[self.members] if array.ndim > self.axes else array

    def of(self, source: Any) -> Any:
        """Take of each array of a sequence or mapping, once it is asked for."""
        return _Taken(self.members, self.axes, source) if source else None

    def __getitem__(self, key: int) -> FloatArray:
        return self(self.source[key])

    def get(self, key: int, default: Any) -> Any:
        return self[key] if key in self.source else default


def singles(top: int) -> Iterator[Variant]:
    """Every mistake alone: everywhere, in the hidden layers only, in one layer; the simplest first."""
    yield from (Variant((name,)) for name in MISTAKES)
    by_layer = [name for name in MISTAKES if name not in ("single_precision", "first_layer_not_trained")]
    yield from (Variant((name,), "hidden") for name in by_layer if top > 2)
    yield from (Variant((name,), f"layer {l}") for l in range(1, top + 1) for name in by_layer if top > 1)


def pairs() -> Iterator[Variant]:
    """Every two mistakes together, but for two in the cost of which one is in nothing else: it would mend the other."""
    names = [name for name in MISTAKES if name != "single_precision"]
    in_cost = {name for name in names if "shared_cost" in overridden(name)}
    alone = {name for name in in_cost if len(overridden(name)) == 1}
    return (Variant(pair) for pair in combinations(names, 2) if not (in_cost >= {*pair} and alone & {*pair}))
