"""The known mistakes of hand-written backpropagation: a network taken apart at its seams, one mixin per mistake.

`Seams` computes exactly what `Network` and its update compute, in smaller steps. A mistake overrides one step or
two; so two mistakes combine by inheritance, and one can be placed in some layers only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from comparisons.measure import Problem
from comparisons.twin import Quantities, in_order
from handnet.activations import ACTIVATIONS, FloatArray, sigmoid_slope, tanh_slope
from handnet.network import augmented


class NotApplicable(ValueError):
    """The mistake cannot be made on this architecture: its shapes do not fit."""


class Seams:
    """A pass and a step of gradient descent, taken apart where mistakes are made.

    Parameters
    ----------
    problem : weights, activation, samples and how to step

    Notes
    -----
    Every seam has the layer first. Arrays are (..., N, m_l), or shaped as the weights.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.weights: Sequence[FloatArray] = problem.weights
        self.top = len(problem.weights)
        self.previous: dict[int, FloatArray] = {}

    # The seams.

    def preactivation(self, l: int, a_below: FloatArray) -> FloatArray:
        """z = A W."""
        return augmented(a_below) @ self.weights[l - 1]

    def activated(self, l: int, z: FloatArray) -> FloatArray:
        """a = sigma(z)."""
        return ACTIVATIONS[self.problem.activation[l - 1]].value(z)

    def error(self, l: int, output: FloatArray, targets: FloatArray) -> FloatArray:
        """a - T, of one sample."""
        return output - targets

    def cost_share(self, l: int, output: FloatArray) -> float:
        """What the sum of the squares is divided by: 2 N."""
        return 2 * output.shape[-2]

    def delta_share(self, l: int, output: FloatArray) -> float:
        """What the error is divided by: N."""
        return output.shape[-2]

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        """sigma' of the output, in terms of a."""
        return ACTIVATIONS[self.problem.activation[l - 1]].slope(a)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        """sigma' of a hidden layer, in terms of a."""
        return ACTIVATIONS[self.problem.activation[l - 1]].slope(a)

    def weights_above(self, l: int, gradient_above: FloatArray) -> FloatArray:
        """W of the layer above, through which delta is passed back."""
        return self.weights[l]

    def stripped(self, l: int, w: FloatArray) -> FloatArray:
        """W without its row of biases."""
        return w[..., :-1, :]

    def passed_back(self, l: int, delta_above: FloatArray, w: FloatArray) -> FloatArray:
        """delta w, with w the transpose of the stripped W."""
        return delta_above @ np.swapaxes(w, -1, -2)

    def activation_below(self, l: int, activations: Sequence[FloatArray]) -> FloatArray:
        """The activations that the weights of layer l are fed with."""
        return activations[l - 1]

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
        """Return every quantity of the pass and the step.

        Raises
        ------
        NotApplicable
            If a mistake does not fit the shapes of the network.
        """
        with np.errstate(all="ignore"):
            try:
                return self._run()
            except ValueError as misfit:
                raise NotApplicable(str(misfit)) from None

    def _run(self) -> Quantities:
        targets, top = self.problem.targets, self.top
        a, z = [self.problem.inputs], [self.problem.inputs]
        for l in range(1, top + 1):
            z.append(self.preactivation(l, a[-1]))
            a.append(self.activated(l, z[-1]))
        error = self.error(top, a[-1], targets)
        cost = np.square(error).sum(axis=(-2, -1)) / self.cost_share(top, a[-1])
        deltas: dict[int, FloatArray] = {}
        gradients: dict[int, FloatArray] = {}
        for l in range(top, 0, -1):
            if l == top:
                deltas[l] = error / self.delta_share(l, a[-1]) * self.output_slope(l, a[l], z[l])
            else:
                w = self.stripped(l, self.weights_above(l, gradients[l + 1]))
                deltas[l] = self.passed_back(l, deltas[l + 1], w) * self.hidden_slope(l, a[l], z[l])
            product = self.outer_product(l, self.activation_below(l, a), deltas[l])
            gradients[l] = self.laid_out(l, self.collected(l, product))
            for made, right in ((deltas[l], a[l]), (gradients[l], self.weights[l - 1])):
                if made.shape[-2:] != right.shape[-2:]:
                    raise NotApplicable(f"layer {l}: {made.shape[-2:]} where {right.shape[-2:]} belongs")
        order = range(1, top + 1)
        updated = [self.step(l, self.weights[l - 1], gradients[l]) for l in order]
        return in_order(a[1:], cost, [deltas[l] for l in order], [gradients[l] for l in order], updated)


# The mistakes: what goes wrong, in one line each.


class NoBias(Seams):
    """The forward pass leaves the biases out."""

    def preactivation(self, l: int, a_below: FloatArray) -> FloatArray:
        return super().preactivation(l, a_below) - self.weights[l - 1][..., -1:, :]


class OutputNotActivated(Seams):
    """The output is z, not sigma(z)."""

    def activated(self, l: int, z: FloatArray) -> FloatArray:
        return z if l == self.top else super().activated(l, z)


class NoOutputSlope(Seams):
    """delta^(L) is c alone: the slope of the output is missing."""

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return np.ones_like(super().output_slope(l, a, z))


class ReversedError(Seams):
    """The error is T - a, so everything after it has the wrong sign."""

    def error(self, l: int, output: FloatArray, targets: FloatArray) -> FloatArray:
        return -super().error(l, output, targets)


class NoHalf(Seams):
    """The cost lacks the factor 1/2, and its derivative has a factor 2."""

    def cost_share(self, l: int, output: FloatArray) -> float:
        return super().cost_share(l, output) / 2

    def delta_share(self, l: int, output: FloatArray) -> float:
        return super().delta_share(l, output) / 2


class BatchSum(Seams):
    """Summed over the samples, not averaged."""

    def cost_share(self, l: int, output: FloatArray) -> float:
        return super().cost_share(l, output) / output.shape[-2]

    def delta_share(self, l: int, output: FloatArray) -> float:
        return super().delta_share(l, output) / output.shape[-2]


class AveragedTwice(Seams):
    """Divided by the number of samples twice."""

    def cost_share(self, l: int, output: FloatArray) -> float:
        return super().cost_share(l, output) * output.shape[-2]

    def delta_share(self, l: int, output: FloatArray) -> float:
        return super().delta_share(l, output) * output.shape[-2]


class OutputMean(Seams):
    """Also averaged over the outputs, as MSELoss(reduction="mean") / 2 does."""

    def cost_share(self, l: int, output: FloatArray) -> float:
        return super().cost_share(l, output) * output.shape[-1]

    def delta_share(self, l: int, output: FloatArray) -> float:
        return super().delta_share(l, output) * output.shape[-1]


class SlopeOfActivation(Seams):
    """The activation function is applied once more before the slope: sigma'(a) instead of a(1 - a)."""

    def _slope(self, l: int, a: FloatArray) -> FloatArray:
        activation = ACTIVATIONS[self.problem.activation[l - 1]]
        return activation.slope(activation.value(a))

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._slope(l, a)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return self._slope(l, a)


class SlopeOfPreactivation(Seams):
    """The slope is written in terms of z where a belongs: z(1 - z)."""

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return super().output_slope(l, z, z)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return super().hidden_slope(l, z, z)


class TanhSlope(Seams):
    """The slope is that of tanh, 1 - a^2, whatever the activation."""

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return tanh_slope(a)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return tanh_slope(a)


class SigmoidSlope(Seams):
    """The slope is that of the sigmoid, a(1 - a), whatever the activation."""

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return sigmoid_slope(a)

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return sigmoid_slope(a)


class NoHiddenSlope(Seams):
    """The slope of a hidden layer is missing."""

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return np.ones_like(super().hidden_slope(l, a, z))


class NoTranspose(Seams):
    """w is not transposed when delta is passed back, as the note prints it."""

    def passed_back(self, l: int, delta_above: FloatArray, w: FloatArray) -> FloatArray:
        return super().passed_back(l, delta_above, np.swapaxes(w, -1, -2))


class UpdatedWeights(Seams):
    """delta is passed back through weights that this step has already updated."""

    def weights_above(self, l: int, gradient_above: FloatArray) -> FloatArray:
        return self.step(l + 1, super().weights_above(l, gradient_above), gradient_above)


class WrongRowStripped(Seams):
    """The first row of W is dropped where the row of biases belongs."""

    def stripped(self, l: int, w: FloatArray) -> FloatArray:
        return w[..., 1:, :]


class WrongLayerBelow(Seams):
    """The gradient takes a^(l) where a^(l-1) belongs."""

    def activation_below(self, l: int, activations: Sequence[FloatArray]) -> FloatArray:
        return activations[l]


class BiasNotTrained(Seams):
    """The gradient of the biases is zero."""

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        out = super().laid_out(l, gradient).copy()
        out[..., -1, :] = 0
        return out


class BiasNotUpdated(Seams):
    """The step leaves the biases as they are."""

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        new = super().step(l, w, gradient)
        new[..., -1, :] = w[..., -1, :]
        return new


class LastSampleOnly(Seams):
    """The gradient of each sample overwrites the one before."""

    def outer_product(self, l: int, a_below: FloatArray, delta: FloatArray) -> FloatArray:
        return super().outer_product(l, a_below[..., -1:, :], delta[..., -1:, :])


class TransposedGradient(Seams):
    """The gradient of the weights is transposed."""

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        out = super().laid_out(l, gradient)
        weights, biases = np.swapaxes(out[..., :-1, :], -1, -2), out[..., -1:, :]
        return np.concatenate([weights, biases], axis=-2)


class Ascent(Seams):
    """The step goes up: W + gamma dC/dW."""

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        return super().step(l, w, -gradient)


class NoLearningRate(Seams):
    """The step has no learning rate: W - dC/dW."""

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        rate = self.problem.learning_rate
        return super().step(l, w, gradient / rate if rate else gradient)


class AccumulatedGradient(Seams):
    """The gradient of the step before is added on: it was never set to zero."""

    def collected(self, l: int, gradient: FloatArray) -> FloatArray:
        return super().collected(l, gradient) + self.previous.get(l, 0.0)


class FirstLayerNotTrained(Seams):
    """The step leaves the first layer as it is."""

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        return w.copy() if l == 1 else super().step(l, w, gradient)


class SinglePrecision(Seams):
    """Right, but computed in float32."""

    def preactivation(self, l: int, a_below: FloatArray) -> FloatArray:
        return super().preactivation(l, a_below.astype(np.float32)).astype(np.float32)

    def run(self) -> Quantities:
        single = np.float32
        self.weights = [w.astype(single) for w in self.weights]
        wide = self.problem
        self.problem = Problem(
            tuple(self.weights),
            wide.activation,
            wide.inputs.astype(single),
            wide.targets.astype(single),
            wide.learning_rate,
            wide.train_biases,
        )
        return {key: value.astype(wide.inputs.dtype) for key, value in super().run().items()}


MISTAKES: dict[str, type[Seams]] = {
    "no_bias": NoBias,
    "output_not_activated": OutputNotActivated,
    "no_output_slope": NoOutputSlope,
    "reversed_error": ReversedError,
    "no_half": NoHalf,
    "batch_sum": BatchSum,
    "averaged_twice": AveragedTwice,
    "output_mean": OutputMean,
    "slope_of_activation": SlopeOfActivation,
    "slope_of_preactivation": SlopeOfPreactivation,
    "tanh_slope": TanhSlope,
    "sigmoid_slope": SigmoidSlope,
    "no_hidden_slope": NoHiddenSlope,
    "no_transpose": NoTranspose,
    "updated_weights": UpdatedWeights,
    "wrong_row_stripped": WrongRowStripped,
    "wrong_layer_below": WrongLayerBelow,
    "bias_not_trained": BiasNotTrained,
    "bias_not_updated": BiasNotUpdated,
    "last_sample_only": LastSampleOnly,
    "transposed_gradient": TransposedGradient,
    "ascent": Ascent,
    "no_learning_rate": NoLearningRate,
    "accumulated_gradient": AccumulatedGradient,
    "first_layer_not_trained": FirstLayerNotTrained,
    "single_precision": SinglePrecision,
}

SEAMS = tuple(name for name, value in vars(Seams).items() if callable(value) and not name.startswith("_"))


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

    def network(self, top: int) -> type[Seams]:
        """Return the Seams with these mistakes made, for a network of `top` layers."""
        parts = [MISTAKES[name] for name in self.mistakes]
        if self.placement == "hidden":
            parts = [placed(part, range(1, top)) for part in parts]
        elif self.placement != "everywhere":
            parts = [placed(part, [int(self.placement.removeprefix("layer "))]) for part in parts]
        return type("".join(part.__name__ for part in parts), tuple(parts), {})

    def run(self, problems: Sequence[Problem]) -> list[Quantities]:
        """Return every quantity of these steps, taken one after the other.

        Raises
        ------
        NotApplicable
            If a mistake does not fit the shapes of the network.
        """
        made: list[Quantities] = []
        for problem in problems:
            seams = self.network(len(problem.weights))(problem)
            if made:
                seams.previous = {l: made[-1]["gradient", l] for l in range(1, seams.top + 1)}
            made.append(seams.run())
        return made


def placed(mistake: type[Seams], layers: Collection[int]) -> type[Seams]:
    """Return the mistake made in these layers only; elsewhere its seams are as if it were not there."""

    def guarded(seam: str) -> Callable[..., Any]:
        def either(self: Seams, l: int, *arguments: Any) -> Any:
            owner = super(placement, self) if l in layers else super(mistake, self)
            return getattr(owner, seam)(l, *arguments)

        return either

    overridden = [name for name in vars(mistake) if name in SEAMS and name != "run"]
    placement = type(f"{mistake.__name__}Placed", (mistake,), {seam: guarded(seam) for seam in overridden})
    return placement


def singles(top: int) -> Iterator[Variant]:
    """Every mistake alone: everywhere, in the hidden layers only, in one layer; the simplest first."""
    yield from (Variant((name,)) for name in MISTAKES)
    by_layer = [name for name in MISTAKES if name not in ("single_precision", "first_layer_not_trained")]
    yield from (Variant((name,), "hidden") for name in by_layer if top > 2)
    yield from (Variant((name,), f"layer {l}") for l in range(1, top + 1) for name in by_layer if top > 1)


def pairs() -> Iterator[Variant]:
    """Every two mistakes together."""
    return (Variant(pair) for pair in combinations([name for name in MISTAKES if name != "single_precision"], 2))
