"""Keys, names and shapes of what is compared, and the problem that both sides start from: no torch, no pandas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handnet.activations import FloatArray

# A quantity of a layer, ("delta", 2); the cost belongs to no layer, ("cost", None).
Key = tuple[str, int | None]
Quantities = dict[Key, FloatArray]


def in_order(
    activations: Sequence[FloatArray],
    cost: FloatArray,
    deltas: Sequence[FloatArray],
    gradients: Sequence[FloatArray],
    updated: Sequence[FloatArray],
) -> Quantities:
    """Key the quantities of a pass; forward from layer 1 to L, backward from L to 1. There may be no step."""
    upward = range(1, len(activations) + 1)
    downward = range(len(activations), 0, -1)
    return {
        **{("activation", l): activations[l - 1] for l in upward},
        ("cost", None): cost,
        **{("delta", l): deltas[l - 1] for l in downward},
        **{("gradient", l): gradients[l - 1] for l in downward},
        **{("weight", l): updated[l - 1] for l in downward if updated},
    }


def place(key: Key, index: tuple[int, ...]) -> tuple[int | None, int | None, int | None]:
    """Return sample, row and column of an element."""
    if key[0] == "cost":
        return None, None, None
    if key[0] in ("activation", "delta"):
        return index[-2], None, index[-1]
    return None, index[-2], index[-1]


def element_name(key: Key, index: tuple[int, ...], shape: Sequence[int], with_sample: bool = True) -> str:
    """Return the note's name of an element: w_01^(2), a_0^(1), delta_1^(2), dC/dw_10,3^(1).

    Examples
    --------
    >>> element_name(("weight", 2), (1, 0), (3, 2))
    'w_01^(2)'
    >>> element_name(("delta", 1), (4, 0), (32, 2))
    'delta_0^(1) [sample 4]'
    """
    quantity, layer = key
    notes = []
    core = 0 if quantity == "cost" else 2
    if len(index) > core:
        notes.append("network " + ",".join(map(str, index[: len(index) - core])))
    if quantity == "cost":
        name = "C"
    elif quantity in ("activation", "delta"):
        name = f"{'a' if quantity == 'activation' else 'delta'}_{index[-1]}^({layer})"
        if with_sample and shape[-2] > 1:
            notes.append(f"sample {index[-2]}")
    else:
        i, j = index[-1], index[-2]
        comma = "," if max(i, j) > 9 else ""
        name = f"{'dC/d' if quantity == 'gradient' else ''}w_{i}{comma}{j}^({layer})"
    return name + (f" [{', '.join(notes)}]" if notes else "")


def quantity_name(key: Key) -> str:
    """Return the note's name of a quantity: a^(1), C, delta^(2), dC/dW^(1), W^(1) after the step."""
    quantity, layer = key
    if quantity == "cost":
        return "C"
    letter = {"activation": "a", "delta": "delta", "gradient": "dC/dW", "weight": "W"}[quantity]
    return f"{letter}^({layer})" + (" after the step" if quantity == "weight" else "")


@dataclass(frozen=True)
class Statement:
    """What is stated of a network beside its weights and activations, and decides which numbers are right.

    Attributes
    ----------
    cost, reduction, l2, biases : as of a `handnet.Network`
    """

    cost: str = "half_squared_error"
    reduction: str = "mean"
    l2: float = 0.0
    biases: bool = True


THE_NOTES = Statement()


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
    stated : the cost and the like
    online : whether there is a step after each sample, in order; what is compared are the weights after the last
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
    stated: Statement = THE_NOTES
    online: bool = False

    @property
    def is_online(self) -> bool:
        """Whether there is more than one step."""
        return self.online and self.inputs.shape[-2] > 1

    def steps(self) -> list[Problem]:
        """Return one problem for each step: itself, or, online, one for each sample; the weights are those at first."""
        if not self.is_online:
            return [self]
        samples = range(self.inputs.shape[-2])
        return [
            replace(self, inputs=self.inputs[..., i : i + 1, :], targets=self.targets[..., i : i + 1, :])
            for i in samples
        ]

    @property
    def sizes(self) -> tuple[int, ...]:
        """m_0 .. m_L."""
        return (self.weights[0].shape[-2] - self.stated.biases, *(w.shape[-1] for w in self.weights))

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

    @property
    def has_own_tolerance(self) -> bool:
        """Whether the caller set a tolerance."""
        return self.rtol is not None or self.atol is not None

    def tolerance(self, value: FloatArray, bound: FloatArray) -> FloatArray:
        """Both sides' bounds added, unless the caller set a tolerance."""
        if self.has_own_tolerance:
            return (self.atol or 0.0) + (self.rtol or 0.0) * np.abs(value)
        return 2 * bound
