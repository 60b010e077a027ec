"""The known mistakes of hand-written backpropagation, one mixin each.

A mistake overrides one seam or two and calls `super()`, so two mistakes combine by inheritance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from comparisons.mistakes.seams import Seams
from comparisons.reference.quantities import Problem, Quantities, Statement
from handnet.activations import (
    ACTIVATIONS,
    FloatArray,
    relu_slope,
    sigmoid_slope,
    softmax,
    softmax_pulled_back,
    tanh_slope,
)

CROSS_ENTROPIES = ("binary_cross_entropy", "cross_entropy")
SQUARED_ERRORS = ("half_squared_error", "squared_error", "mean_squared_error")

# The mistakes. The summary says what goes wrong; (l) is the layer, (l+1) the one above, (l-1) the one below.


class NoBias(Seams):
    summary = "The biases are left out of the forward pass."
    formula = "sigma(w^(l) a^(l-1))"
    needs_biases = True

    def preactivation(self, l: int, a_below: FloatArray) -> FloatArray:
        return super().preactivation(l, a_below) - self.weights[l - 1][..., -1:, :]


class OutputNotActivated(Seams):
    summary = "The output is not activated."
    formula = "z^(l)"

    def activated(self, l: int, z: FloatArray) -> FloatArray:
        return z if l == self.top else super().activated(l, z)


class NoOutputSlope(Seams):
    summary = "The slope of the output, D^(l), is missing, as if the cost were a cross-entropy."
    formula = "c"

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return np.ones_like(super().output_slope(l, a, z))


class ReversedError(Seams):
    summary = "The error is T - a, not a - T."
    formula = "D^(l) (T - a^(l))"

    def error(self, l: int, output: FloatArray, targets: FloatArray) -> FloatArray:
        return -super().error(l, output, targets)


class TargetsBroadcast(Seams):
    summary = "Each output is compared with the targets of all samples, as where (N, 1) - (N,) makes (N, N)."
    formula = "the right value with the mean of all T for T"
    combines = False

    def error(self, l: int, output: FloatArray, targets: FloatArray) -> FloatArray:
        return super().error(l, output, np.broadcast_to(targets.mean(axis=-2, keepdims=True), targets.shape))

    def shared_cost(self, l: int, error: FloatArray, *others: FloatArray) -> FloatArray:
        z, a, targets = others
        rolled = (np.roll(targets, i, axis=-2) for i in range(targets.shape[-2]))
        costs = [super(TargetsBroadcast, self).shared_cost(l, Seams.error(self, l, a, t), z, a, t) for t in rolled]
        return np.mean(costs, axis=0)


class OutputsBroadcast(TargetsBroadcast):
    summary = "The outputs of all samples are compared with each target, as where (N,) - (N, 1) makes (N, N)."
    formula = "the right value with the mean of all a^(l) for a^(l) in the error"

    def error(self, l: int, output: FloatArray, targets: FloatArray) -> FloatArray:
        mean = np.broadcast_to(output.mean(axis=-2, keepdims=True), output.shape)
        return super(TargetsBroadcast, self).error(l, mean, targets)


class CostNoHalf(Seams):
    summary = "The cost lacks its factor 1/2, though its gradient does not."
    formula = "twice the right value"
    costs = ("half_squared_error",)

    def shared_cost(self, l: int, error: FloatArray, *others: FloatArray) -> FloatArray:
        return 2 * super().shared_cost(l, error, *others)


class NoHalf(CostNoHalf):
    summary = "The cost lacks its factor 1/2."

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return 2 * super().shared_error(l, error)


class CostBatchSum(Seams):
    summary = "The cost is the sum over the samples, though its gradient is that of the mean."
    formula = "N times the right value"

    def shared_cost(self, l: int, error: FloatArray, *others: FloatArray) -> FloatArray:
        return error.shape[-2] * super().shared_cost(l, error, *others)


class BatchSum(CostBatchSum):
    summary = 'The samples are summed, not averaged, which is right for a cost that is their sum (reduction "sum").'

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return error.shape[-2] * super().shared_error(l, error)


class AveragedTwice(Seams):
    summary = "The average over the samples is taken twice."
    formula = "the right value / N"

    def shared_cost(self, l: int, error: FloatArray, *others: FloatArray) -> FloatArray:
        return super().shared_cost(l, error, *others) / error.shape[-2]

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_error(l, error) / error.shape[-2]


class CostOutputMean(Seams):
    summary = "The cost is averaged over the outputs too, though its gradient is not."
    formula = "the right value / m_L"
    costs = ("half_squared_error", "squared_error")

    def shared_cost(self, l: int, error: FloatArray, *others: FloatArray) -> FloatArray:
        return super().shared_cost(l, error, *others) / error.shape[-1]


class OutputMean(CostOutputMean):
    summary = 'The outputs are averaged too, as by MSELoss(reduction="mean") / 2.'

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_error(l, error) / error.shape[-1]


class CostMseLoss(Seams):
    summary = "The cost is MSELoss(), the mean of all squares, though its gradient is not."
    formula = "2 / m_L times the right value"
    costs = ("half_squared_error",)

    def shared_cost(self, l: int, error: FloatArray, *others: FloatArray) -> FloatArray:
        return super().shared_cost(l, error, *others) * 2 / error.shape[-1]


class MseLoss(CostMseLoss):
    summary = "The cost is MSELoss() as it is: without the 1/2, and averaged over the outputs too."

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_error(l, error) * 2 / error.shape[-1]


class AveragedOverInputs(Seams):
    summary = "The sum over the samples is divided by the number of inputs, not of samples."
    formula = "N / m_0 times the right value"

    def _other_share(self) -> float:
        samples, inputs = self.problem.inputs.shape[-2:]
        return samples / inputs

    def shared_cost(self, l: int, error: FloatArray, *others: FloatArray) -> FloatArray:
        return super().shared_cost(l, error, *others) * self._other_share()

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_error(l, error) * self._other_share()


class SlopeOfActivation(Seams):
    summary = "The slope is taken at a^(l), not at z^(l): the activation is applied once more."
    formula = "the right value with sigma'(a^(l)) in the place of D^(l)"

    def _slope(self, l: int, a: FloatArray) -> FloatArray:
        activation = ACTIVATIONS[self.problem.activation[l - 1]]
        return activation.slope(activation.value(a))

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._slope(l, a)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._slope(l, a)


class SlopeOfPreactivation(Seams):
    summary = "The slope is written in terms of z^(l) where a^(l) belongs: z(1 - z)."
    formula = "the right value with z^(l) for a^(l) in D^(l)"

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return super().output_slope(l, z, z)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return super().hidden_slope(l, z, z)


class TanhSlope(Seams):
    summary = "The slope is that of tanh, 1 - a^2, with another activation."
    formula = "the right value with 1 - a^2 in the place of D^(l)"

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return tanh_slope(a)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return tanh_slope(a)


class SigmoidSlope(Seams):
    summary = "The slope is that of the sigmoid, a(1 - a), with another activation."
    formula = "the right value with a(1 - a) in the place of D^(l)"

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return sigmoid_slope(a)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return sigmoid_slope(a)


class OtherSlope(Seams):
    """The slope of another activation, at z or at a; the base of the mistakes that `other_slope` makes."""

    name, at_a = "", False
    combines = False

    @classmethod
    def applies(cls, stated: Statement, activation: Sequence[str]) -> bool:
        # Above 0 the slope of elu is 1, so that of an a that is never below it is no slope at all.
        others = set(activation) - (
            {"sigmoid", "relu", "softplus", "softmax"} if cls.at_a and cls.name == "elu" else set()
        )
        return super().applies(stated, activation) and bool(others - {cls.name})

    def _slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        activation = ACTIVATIONS[self.name]
        return activation.slope(activation.value(a if self.at_a else z))

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._slope(l, a, z)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._slope(l, a, z)


def other_slope(activation: str, at: str = "z") -> type[OtherSlope]:
    """Return the mistake of taking the slope of this activation, at z or at a."""
    said = {
        "summary": f"The slope is that of {activation} at {at}^(l), with another activation.",
        "formula": f"the right value with {activation}'({at}^(l)) in the place of D^(l)",
    }
    return type(f"{activation}_slope_at_{at}", (OtherSlope,), {**said, "name": activation, "at_a": at == "a"})


class SlopeInTermsOfA(OtherSlope):
    """The slope of another activation as it is written in terms of its own a; the base of the mistakes below."""

    at_a = True

    def _slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return ACTIVATIONS[self.name].slope(a)


class EluSlope(SlopeInTermsOfA):
    summary = "The slope is that of elu, 1 above 0 and a + 1 below, with another activation."
    name, formula = "elu", "the right value with 1 where a^(l) > 0, else a^(l) + 1, in the place of D^(l)"


class SoftplusSlope(SlopeInTermsOfA):
    summary = "The slope is that of softplus, 1 - e^-a, with another activation."
    name, formula = "softplus", "the right value with 1 - e^-a in the place of D^(l)"


class SlopeAtGradient(Seams):
    summary = "The slope is taken at the gradient that comes in, not at z^(l)."
    formula = "e sigma'(e), where delta^(l) is D^(l) e"
    combines = False

    def _slope_at(self, l: int, error: FloatArray) -> FloatArray:
        activation = ACTIVATIONS[self.problem.activation[l - 1]]
        return activation.slope(activation.value(error))

    def output_delta(self, l: int, c: FloatArray, slope: FloatArray, a: FloatArray) -> FloatArray:
        own = ACTIVATIONS[self.problem.activation[l - 1]].pulled_back or self.cost.delta
        return super().output_delta(l, c, slope, a) if own else c * self._slope_at(l, c)

    def hidden_delta(self, l: int, error: FloatArray, slope: FloatArray) -> FloatArray:
        return error * self._slope_at(l, error)


class SlopeInTermsOfGradient(SlopeAtGradient):
    summary = "The slope is written in terms of the gradient that comes in, as e(1 - e), not of a^(l)."
    formula = "the right value with e for a^(l) in D^(l), where delta^(l) is D^(l) e"

    def _slope_at(self, l: int, error: FloatArray) -> FloatArray:
        return ACTIVATIONS[self.problem.activation[l - 1]].slope(error)


class SlopeIsActivation(Seams):
    summary = "The slope is a itself: the activation stands where its derivative belongs."
    formula = "the right value with a^(l) in the place of D^(l)"
    combines = False

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return a

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return a


class SlopeOneMinusA(Seams):
    summary = "The slope is 1 - a: a factor or a square is missing."
    formula = "the right value with 1 - a^(l) in the place of D^(l)"

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return 1 - a

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return 1 - a


class NoHiddenSlope(Seams):
    summary = "The slope of the hidden layer, D^(l), is missing."
    formula = "(w^(l+1))^T delta^(l+1)"

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return np.ones_like(super().hidden_slope(l, a, z))


class ErrorPassedDown(Seams):
    summary = "The error is passed down in the place of delta: D^(l+1) is left out on the way."
    formula = "D^(l) (w^(l+1))^T e^(l+1), where delta^(l+1) = D^(l+1) e^(l+1)"

    def delta_above(self, l: int, delta: FloatArray, error: FloatArray) -> FloatArray:
        return error


class NoTranspose(Seams):
    summary = "w^(l+1) is turned the wrong way: a transpose is missing, or one too many."
    formula = "D^(l) w^(l+1) delta^(l+1)"

    def passed_back(self, l: int, delta_above: FloatArray, w: FloatArray) -> FloatArray:
        return super().passed_back(l, delta_above, np.swapaxes(w, -1, -2))


class UpdatedWeights(Seams):
    summary = "w^(l+1) has already been updated."
    formula = "D^(l) (w^(l+1) - gamma dC/dw^(l+1))^T delta^(l+1)"

    def weights_above(self, l: int, updated_above: FloatArray) -> FloatArray:
        return updated_above


class WrongWeights(Seams):
    summary = "w^(l) stands where w^(l+1) belongs."
    formula = "D^(l) (w^(l))^T delta^(l+1)"

    def weights_above(self, l: int, updated_above: FloatArray) -> FloatArray:
        return self.weights[l - 1]


class WrongRowStripped(Seams):
    summary = "The first row of W^(l+1) is dropped in the place of its row of biases."
    formula = "the right value with W^(l+1) less its first row for (w^(l+1))^T"
    needs_biases = True

    def stripped(self, l: int, w: FloatArray) -> FloatArray:
        return w[..., 1:, :]


class LastColumnStripped(Seams):
    summary = "With the biases in front, the last weights are dropped in their place."
    formula = "the right value with the biases, then W^(l+1) less its last row, for (w^(l+1))^T"
    needs_biases = True
    combines = False

    def stripped(self, l: int, w: FloatArray) -> FloatArray:
        return np.concatenate([w[..., -1:, :], w[..., :-2, :]], axis=-2)


class WrongLayerBelow(Seams):
    summary = "a^(l) stands where a^(l-1) belongs."
    formula = "delta^(l) A^(l)"

    def activation_below(self, l: int, below: FloatArray, here: FloatArray, output: FloatArray) -> FloatArray:
        return here


class OutputForInput(Seams):
    summary = "The output stands where the inputs belong, as where an index -1 wraps."
    formula = "delta^(l) A^(L)"
    combines = False

    def activation_below(self, l: int, below: FloatArray, here: FloatArray, output: FloatArray) -> FloatArray:
        return output if l == 1 else super().activation_below(l, below, here, output)


class OutputDelta(Seams):
    summary = "The output's delta stands where that of the layer belongs."
    formula = "delta^(L) A^(l-1)"
    combines = False

    def delta_here(self, l: int, delta: FloatArray, output_delta: FloatArray) -> FloatArray:
        # One output's is a number that fits any width.
        return np.broadcast_to(output_delta, (*output_delta.shape[:-1], delta.shape[-1]))


class LastSampleOnly(Seams):
    summary = "The gradient of each sample overwrites that of the one before."
    formula = "delta^(l) A^(l-1) of the last sample"

    def outer_product(self, l: int, a_below: FloatArray, delta: FloatArray, error: FloatArray) -> FloatArray:
        return super().outer_product(l, a_below[..., -1:, :], delta[..., -1:, :], error[..., -1:, :])


class AccumulatedGradient(Seams):
    summary = "The gradient of the step before is added on: it was never set to zero."
    formula = "the sum of the gradients so far"

    def collected(self, l: int, gradient: FloatArray) -> FloatArray:
        return super().collected(l, gradient) + self.previous.get(l, 0.0)


class BiasNotTrained(Seams):
    summary = "The biases have no gradient."
    formula = "the right value, but 0 for the biases"
    needs_biases = True

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        out = super().laid_out(l, gradient).copy()
        out[..., -1, :] = 0
        return out


class BiasWithoutSlope(Seams):
    summary = "The gradient of the biases is made of the error before its slope, not of delta."
    formula = "the right value, but without D^(l) for the biases"
    needs_biases = True

    def outer_product(self, l: int, a_below: FloatArray, delta: FloatArray, error: FloatArray) -> FloatArray:
        product = super().outer_product(l, a_below, delta, error)
        biases = np.broadcast_to(error.sum(axis=-2, keepdims=True), (*product.shape[:-2], 1, product.shape[-1]))
        return np.concatenate([product[..., :-1, :], biases], axis=-2)


class BiasFromWeights(Seams):
    summary = "The gradient of the biases is the sum of those of the weights, as if all that comes in were 1."
    formula = "the right value, but the sum of dC/dw_ij^(l) over j for the biases"
    needs_biases = True
    combines = False

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        out = super().laid_out(l, gradient).copy()
        out[..., -1, :] = out[..., :-1, :].sum(axis=-2)
        return out


class BiasSumOfAll(Seams):
    summary = "The gradient of the biases is summed over the nodes too."
    formula = "the right value, but the same sum over all nodes for each bias"
    needs_biases = True

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        out = super().laid_out(l, gradient).copy()
        out[..., -1:, :] = out[..., -1:, :].sum(axis=-1, keepdims=True)
        return out


class BiasMeanOfAll(Seams):
    summary = "The gradient of the biases is averaged over the nodes."
    formula = "the right value, but the mean over all nodes for each bias"
    needs_biases = True

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
    summary = "The gradient is summed over the samples, not averaged."
    formula = "N times the right value"


class WeightBatchSum(ScaledGradient):
    summary = "The gradient of the weights is summed over the samples, that of the biases averaged."
    formula, rows = "the right value, but N times that for all except the biases", slice(None, -1)
    needs_biases = True


class BiasBatchSum(ScaledGradient):
    summary = "The gradient of the biases is summed over the samples, that of the weights averaged."
    formula, rows = "the right value, but N times that for the biases", slice(-1, None)
    needs_biases = True


class GradientAveragedTwice(ScaledGradient):
    summary = "The gradient is averaged over the samples once more."
    formula, power = "the right value / N", -1


class WeightAveragedTwice(ScaledGradient):
    summary = "The gradient of the weights is averaged over the samples once more."
    formula, rows, power = "the right value, but that / N for all except the biases", slice(None, -1), -1
    needs_biases = True


class BiasAveragedTwice(ScaledGradient):
    summary = "The gradient of the biases is averaged over the samples once more."
    formula, rows, power = "the right value, but that / N for the biases", slice(-1, None), -1
    needs_biases = True


class TransposedGradient(Seams):
    summary = "The gradient of the weights is transposed."
    formula = "its transpose"

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        out = super().laid_out(l, gradient)
        if not self.problem.stated.biases:
            return np.swapaxes(out, -1, -2)
        weights, biases = np.swapaxes(out[..., :-1, :], -1, -2), out[..., -1:, :]
        return np.concatenate([weights, biases], axis=-2)


class BiasNotUpdated(Seams):
    summary = "The step leaves the biases as they were."
    formula = "the right value, but the old one for the biases"
    needs_biases = True

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        new = super().step(l, w, gradient)
        new[..., -1, :] = w[..., -1, :]
        return new


class Ascent(Seams):
    summary = "The step goes up, not down."
    formula = "W^(l) + gamma dC/dW^(l)"

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        return super().step(l, w, -gradient)


class NoLearningRate(Seams):
    summary = "The learning rate is missing."
    formula = "W^(l) - dC/dW^(l)"

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        rate = self.problem.learning_rate
        return super().step(l, w, gradient / rate if rate else gradient)


class FirstLayerNotTrained(Seams):
    summary = "The step leaves the first layer as it was."
    formula = "W^(1) before the step"

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
    summary = "The activation is the sigmoid."
    name, formula = "sigmoid", "sigmoid(z^(l))"


class TanhActivation(OtherActivation):
    summary = "The activation is tanh."
    name, formula = "tanh", "tanh(z^(l))"


class ReluActivation(OtherActivation):
    summary = "The activation is relu."
    name, formula = "relu", "max(z^(l), 0)"


class IdentityActivation(OtherActivation):
    summary = "There is no activation."
    name, formula = "identity", "z^(l)"


class OutputSlopeKept(Seams):
    summary = "The output's slope a(1 - a) is kept, though it cancels against that of the cross-entropy."
    formula = "D^(l) (a^(l) - T)"
    costs = CROSS_ENTROPIES

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return sigmoid_slope(a)


class DiagonalSoftmax(Seams):
    summary = "The slope of softmax is a(1 - a), as if its outputs had nothing to do with each other."
    formula = "a^(l) (1 - a^(l)) c"
    activations, costs = ("softmax",), SQUARED_ERRORS

    def output_delta(self, l: int, c: FloatArray, slope: FloatArray, a: FloatArray) -> FloatArray:
        return c * slope


class SoftmaxOverSamples(Seams):
    summary = "Softmax runs over the samples, not over the outputs."
    formula = "e^z / the sum of e^z over the samples"
    activations = ("softmax",)

    def activated(self, l: int, z: FloatArray) -> FloatArray:
        right = super().activated(l, z)
        return np.swapaxes(softmax(np.swapaxes(z, -1, -2)), -1, -2) if l == self.top else right


class SoftmaxTwice(Seams):
    summary = "The cross-entropy expects z, and is given the probabilities: softmax is applied twice."
    formula = "the derivative of the cross-entropy of softmax(a^(l))"
    costs = ("cross_entropy",)

    def error(self, l: int, output: FloatArray, targets: FloatArray) -> FloatArray:
        return super().error(l, softmax(output), targets)

    def shared_cost(self, l: int, error: FloatArray, *others: FloatArray) -> FloatArray:
        _, a, targets = others
        return super().shared_cost(l, error, a, a, targets)

    def output_delta(self, l: int, c: FloatArray, slope: FloatArray, a: FloatArray) -> FloatArray:
        return softmax_pulled_back(super().output_delta(l, c, slope, a), a)


class WrongLogarithm(Seams):
    summary = "The cost takes the logarithm of the other side: T log(1 - a) + (1 - T) log a."
    formula = "the cost of 1 - T"
    costs = ("binary_cross_entropy",)

    def shared_cost(self, l: int, error: FloatArray, *others: FloatArray) -> FloatArray:
        z, a, targets = others
        return super().shared_cost(l, error, z, a, 1 - targets)


class PenaltyOnBiases(Seams):
    summary = "The penalty counts the biases too."
    formula = "the right value, but lambda b more for the biases"
    needs_penalty = needs_biases = True

    def penalized(self, l: int, gradient: FloatArray, w: FloatArray) -> FloatArray:
        return gradient + self.penalty * w


class PenaltyOfOnes(Seams):
    summary = "The penalty counts a 1 in the place of each bias, not a 0."
    formula = "the right value, but lambda more for the biases"
    needs_penalty = needs_biases = True
    combines = False

    def penalized(self, l: int, gradient: FloatArray, w: FloatArray) -> FloatArray:
        out = super().penalized(l, gradient, w)
        out[..., -1, :] += self.penalty
        return out


class PenaltyReversed(Seams):
    summary = "The penalty's gradient is subtracted, not added."
    formula = "the right value with -lambda w for lambda w"
    needs_penalty = True

    def penalized(self, l: int, gradient: FloatArray, w: FloatArray) -> FloatArray:
        return gradient - self.penalty * self.weights_alone(w)


class NoPenalty(Seams):
    summary = "The gradient lacks the penalty."
    formula = "the right value without lambda w"
    needs_penalty = True

    def penalized(self, l: int, gradient: FloatArray, w: FloatArray) -> FloatArray:
        return gradient


class PenaltyTwice(Seams):
    summary = "The penalty's gradient is 2 lambda w: its cost is lambda / 2 |w|^2."
    formula = "the right value, and lambda w once more"
    needs_penalty = True

    def penalized(self, l: int, gradient: FloatArray, w: FloatArray) -> FloatArray:
        return gradient + 2 * self.penalty * self.weights_alone(w)


class PenaltyPerSample(Seams):
    summary = "The penalty's gradient is divided by the number of samples."
    formula = "the right value with lambda / N in the place of lambda"
    needs_penalty = True

    def penalized(self, l: int, gradient: FloatArray, w: FloatArray) -> FloatArray:
        return gradient + self.penalty / self.problem.inputs.shape[-2] * self.weights_alone(w)


class LeakySlopeZero(Seams):
    summary = "The slope of the leaky relu is 0 below 0, as that of relu."
    formula = "the right value with 0 for 0.01 in D^(l)"
    activations = ("leaky_relu",)

    def _leaky(self, l: int, a: FloatArray, slope: FloatArray) -> FloatArray:
        return relu_slope(a) if self.problem.activation[l - 1] == "leaky_relu" else slope

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._leaky(l, a, super().output_slope(l, a, z))

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._leaky(l, a, super().hidden_slope(l, a, z))


class EluSlopeWithoutOne(Seams):
    summary = "The slope of elu below 0 is a, not a + 1."
    formula = "the right value with a for a + 1 in D^(l)"
    activations = ("elu",)

    def _elu(self, l: int, a: FloatArray, slope: FloatArray) -> FloatArray:
        return np.where(a > 0, slope, a) if self.problem.activation[l - 1] == "elu" else slope

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._elu(l, a, super().output_slope(l, a, z))

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._elu(l, a, super().hidden_slope(l, a, z))


class SinglePrecision(Seams):
    summary = "It is right, but computed in float32."
    formula = "the right value rounded to float32"
    combines = False

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
    "output_slope_kept": OutputSlopeKept,
    "softmax_twice": SoftmaxTwice,
    "softmax_over_samples": SoftmaxOverSamples,
    "diagonal_softmax": DiagonalSoftmax,
    "reversed_error": ReversedError,
    "no_half": NoHalf,
    "batch_sum": BatchSum,
    "averaged_twice": AveragedTwice,
    "output_mean": OutputMean,
    "mse_loss": MseLoss,
    "averaged_over_inputs": AveragedOverInputs,
    "targets_broadcast": TargetsBroadcast,
    "outputs_broadcast": OutputsBroadcast,
    "cost_no_half": CostNoHalf,
    "cost_batch_sum": CostBatchSum,
    "cost_output_mean": CostOutputMean,
    "cost_mse_loss": CostMseLoss,
    "wrong_logarithm": WrongLogarithm,
    "leaky_slope_zero": LeakySlopeZero,
    "elu_slope_without_one": EluSlopeWithoutOne,
    "slope_of_activation": SlopeOfActivation,
    "slope_of_preactivation": SlopeOfPreactivation,
    "tanh_slope": TanhSlope,
    "sigmoid_slope": SigmoidSlope,
    "slope_one_minus_a": SlopeOneMinusA,
    "slope_is_activation": SlopeIsActivation,
    "relu_slope": other_slope("relu"),
    **{
        f"{name}_slope_at_z": other_slope(name)
        for name in ("sigmoid", "tanh", "leaky_relu", "elu", "softplus", "softmax")
    },
    "elu_slope": EluSlope,
    "softplus_slope": SoftplusSlope,
    **{f"{name}_slope_at_a": other_slope(name, "a") for name in ("sigmoid", "tanh", "elu", "softplus", "softmax")},
    "no_hidden_slope": NoHiddenSlope,
    "error_passed_down": ErrorPassedDown,
    "slope_at_gradient": SlopeAtGradient,
    "slope_in_terms_of_gradient": SlopeInTermsOfGradient,
    "no_transpose": NoTranspose,
    "updated_weights": UpdatedWeights,
    "wrong_weights": WrongWeights,
    "wrong_row_stripped": WrongRowStripped,
    "last_column_stripped": LastColumnStripped,
    "wrong_layer_below": WrongLayerBelow,
    "output_for_input": OutputForInput,
    "output_delta": OutputDelta,
    "last_sample_only": LastSampleOnly,
    "accumulated_gradient": AccumulatedGradient,
    "bias_not_trained": BiasNotTrained,
    "bias_without_slope": BiasWithoutSlope,
    "bias_from_weights": BiasFromWeights,
    "bias_sum_of_all": BiasSumOfAll,
    "bias_mean_of_all": BiasMeanOfAll,
    "gradient_batch_sum": GradientBatchSum,
    "weight_batch_sum": WeightBatchSum,
    "bias_batch_sum": BiasBatchSum,
    "gradient_averaged_twice": GradientAveragedTwice,
    "weight_averaged_twice": WeightAveragedTwice,
    "bias_averaged_twice": BiasAveragedTwice,
    "transposed_gradient": TransposedGradient,
    "penalty_on_biases": PenaltyOnBiases,
    "penalty_of_ones": PenaltyOfOnes,
    "penalty_reversed": PenaltyReversed,
    "no_penalty": NoPenalty,
    "penalty_twice": PenaltyTwice,
    "penalty_per_sample": PenaltyPerSample,
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
