"""The hand-written network: the note's matrix equations, one short method each, in NumPy.

Samples are rows, so the note's column vectors appear here as rows and its products in reverse order.
Every array may carry leading axes, written "..." below: a stack of networks evaluated in one call.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from handnet import checking
from handnet.activations import ACTIVATIONS, FloatArray
from handnet.costs import COSTS
from handnet.files import replacing


@dataclass(frozen=True)
class Pass:
    """Everything that one forward and backward pass computes.

    Attributes
    ----------
    activations : tuple of arrays (..., N, m_l)
        a^(0) .. a^(L); the first are the inputs.
    cost : array (...)
        C, the mean over the N samples, or their sum.
    deltas : tuple of arrays (..., N, m_l)
        delta^(1) .. delta^(L), dC/dz of each layer.
    gradients : tuple of arrays, shaped as the weights
        dC/dW^(1) .. dC/dW^(L): the note's change matrices, transposed into the shape of W.
    """

    activations: tuple[FloatArray, ...]
    cost: FloatArray
    deltas: tuple[FloatArray, ...]
    gradients: tuple[FloatArray, ...]


class Network:
    """A fully connected network written with matrices, as in the note.

    Parameters
    ----------
    weights : sequence of arrays (..., m_(l-1) + 1, m_l)
        W^(1) .. W^(L), float32 or float64, the last row of each holding the biases. They are copied.
    activation : str or sequence of str
        "sigmoid", "tanh", "relu", "identity", "leaky_relu", "elu" or "softplus", and "softmax" for the output: one for
        all layers, or one per layer.
    cost : str
        "half_squared_error", the note's, "squared_error", "mean_squared_error", "binary_cross_entropy" (with a sigmoid
        output) or "cross_entropy" (with softmax).
    reduction : "mean" or "sum" of the cost over the samples
    l2 : lambda of a penalty lambda / 2 |w|^2 on the weights, not on the biases
    biases : False for a network without any, whose W is (..., m_(l-1), m_l)

    Attributes
    ----------
    weights : tuple of arrays
        As given, read-only.
    activation : tuple of str
        One name per layer.
    cost_name, reduction, l2, biases : as given
    sizes : tuple of int
        m_0 .. m_L: the number of inputs, of nodes in each hidden layer, and of outputs.

    Raises
    ------
    ValueError
        If there is no layer, shapes do not fit together, a number is not finite, or the activation is unknown.
    TypeError
        If an array is not float32 or float64, or the layers have different dtypes.

    Examples
    --------
    >>> W1 = np.array([[0.15, 0.25], [0.20, 0.30], [0.35, 0.35]])
    >>> W2 = np.array([[0.40, 0.50], [0.45, 0.55], [0.60, 0.60]])
    >>> net = Network([W1, W2])
    >>> net.sizes
    (2, 2, 2)
    >>> print(net.backprop([0.05, 0.10], [0.01, 0.99]).cost.round(9))
    0.298371109
    """

    def __init__(
        self,
        weights: Sequence[ArrayLike],
        activation: str | Sequence[str] = "sigmoid",
        cost: str = "half_squared_error",
        *,
        reduction: str = "mean",
        l2: float = 0.0,
        biases: bool = True,
    ) -> None:
        checking.yes_or_no("biases", biases)
        self.biases = bool(biases)
        self.weights = tuple(w.copy() for w in checking.weights(weights, self.biases))
        for w in self.weights:
            w.setflags(write=False)
        self.activation = checking.activation(activation, len(self.weights))
        checking.cost(cost, self.activation[-1])
        self.cost_name, self.reduction, self.l2 = cost, checking.reduction(reduction), checking.penalty(l2)
        inputs = self.weights[0].shape[-2] - self.biases
        self.sizes: tuple[int, ...] = (inputs, *(w.shape[-1] for w in self.weights))
        self._functions = tuple(ACTIVATIONS[name] for name in self.activation)
        self._cost = COSTS[cost]

    @classmethod
    def random(
        cls,
        sizes: Sequence[int],
        *,
        rng: np.random.Generator,
        activation: str | Sequence[str] = "sigmoid",
        dtype: Any = np.float64,
        stack: tuple[int, ...] = (),
        **options: Any,
    ) -> Network:
        """Draw a network with normal weights and biases of standard deviation 1 / sqrt(m_(l-1) + 1).

        Parameters
        ----------
        sizes : m_0 .. m_L, the number of inputs first and of outputs last
        rng : the only source of randomness
        dtype : float32 or float64
        stack : leading axes; (1000,) draws a thousand networks
        options : cost, reduction, l2 and biases of the network

        Examples
        --------
        >>> Network.random([3, 4, 2], rng=np.random.default_rng(0), stack=(5,)).weights[0].shape
        (5, 4, 4)
        """
        checking.sizes(sizes)
        checking.generator(rng)
        weights = []
        for below, here in pairwise(sizes):
            rows = below + bool(options.get("biases", True))
            weights.append((rng.standard_normal((*stack, rows, here)) / np.sqrt(rows)).astype(dtype))
        return cls(weights, activation, **options)

    @property
    def stack(self) -> tuple[int, ...]:
        """The leading axes of the weights: () for a single network."""
        return self.weights[0].shape[:-2]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the weights, and so of every result."""
        return self.weights[0].dtype

    def __repr__(self) -> str:
        stack = f", stack={self.stack}" if self.stack else ""
        return f"Network({'-'.join(map(str, self.sizes))}, {' '.join(self.activation)}, {self.dtype}{stack})"

    # The equations of the note, one method each; l counts layers as the note does, from 1 to L.

    def preactivation(self, l: int, a_below: FloatArray) -> FloatArray:
        """z^(l) = A^(l-1) W^(l), the argument of sigma in (1) to (4)."""
        W = self.weights[l - 1]
        if not self.biases:
            return a_below @ W
        z = a_below @ W[..., :-1, :]  # (..., N, m_l)
        z += W[..., -1:, :]  # what the trailing 1 of A is multiplied with
        return z

    def activated(self, l: int, z: FloatArray) -> FloatArray:
        """a^(l) = sigma(z^(l)), equations (1) to (4)."""
        return self._functions[l - 1].value(z)  # (..., N, m_l)

    def cost(self, output: FloatArray, targets: FloatArray) -> FloatArray:
        """C = 1/2 sum_i (a_i^(L) - T_i)^2, averaged over the samples; a cross-entropy takes z^(L) as the output."""
        return self._reduced(self._cost.value(output, targets), output)  # (...)

    def error(self, output: FloatArray, targets: FloatArray) -> FloatArray:
        """c = a^(L) - T, with the 1/N of the average over the samples: dC/da^(L)."""
        return self._reduced(self._cost.error(output, targets), output)  # (..., N, m_L)

    def _reduced(self, total: FloatArray, output: FloatArray) -> FloatArray:
        return total / output.shape[-2] if self.reduction == "mean" else total

    def penalty(self) -> FloatArray:
        """lambda / 2 |w|^2, which a network with `l2` adds to its cost; the biases are left alone."""
        squares = sum(np.square(self.w(l)).sum(axis=(-2, -1)) for l in range(1, len(self.weights) + 1))
        return self.dtype.type(self.l2 / 2) * np.asarray(squares)  # (...)

    def slope(self, l: int, a: FloatArray) -> FloatArray:
        """a^(l) (1 - a^(l)) for the sigmoid: the diagonal of the note's D^(l)."""
        return self._functions[l - 1].slope(a)  # (..., N, m_l)

    def w(self, l: int) -> FloatArray:
        """w^(l): the weights without the biases, indexed w_ij as in the note."""
        W = self.weights[l - 1]
        return (W[..., :-1, :] if self.biases else W).swapaxes(-1, -2)  # (..., m_l, m_(l-1))

    def output_delta(self, output: FloatArray, targets: FloatArray) -> FloatArray:
        """delta^(L) = D^(L) c, in the Hadamard form that the note advises; a - T where the slope cancels."""
        if self._cost.delta:
            return self._reduced(self._cost.delta(output, targets), output)  # (..., N, m_L)
        c, pulled_back = self.error(output, targets), self._functions[-1].pulled_back
        return pulled_back(c, output) if pulled_back else c * self.slope(len(self.weights), output)  # (..., N, m_L)

    def hidden_delta(self, l: int, delta_above: FloatArray, a: FloatArray) -> FloatArray:
        """delta^(l) = D^(l) (w^(l+1))^T delta^(l+1); the note prints it without the transpose."""
        return (delta_above @ self.w(l + 1)) * self.slope(l, a)  # (..., N, m_l)

    def gradient(self, a_below: FloatArray, delta: FloatArray) -> FloatArray:
        """dC/dW^(l) = delta^(l) A^(l-1), transposed into the shape of W^(l), summed over the samples."""
        A = augmented(a_below) if self.biases else a_below
        return A.swapaxes(-1, -2) @ delta  # (..., m_(l-1) + 1, m_l)

    def penalized(self, l: int, gradient: FloatArray) -> FloatArray:
        """dC/dW^(l) + lambda w^(l): the gradient with that of the penalty, the biases' left alone."""
        rows = gradient.shape[-2] - self.biases
        gradient[..., :rows, :] += self.dtype.type(self.l2) * self.weights[l - 1][..., :rows, :]
        return gradient  # (..., m_(l-1) + 1, m_l)

    def updated(self, l: int, gradient: FloatArray, learning_rate: float) -> FloatArray:
        """W^(l) - gamma dC/dW^(l)."""
        step = learning_rate * gradient
        return np.subtract(self.weights[l - 1], step, out=step)  # (..., m_(l-1) + 1, m_l)

    # The pass, made of them.

    @np.errstate(all="ignore")
    def forward(self, inputs: ArrayLike) -> tuple[FloatArray, ...]:
        """Return the activations a^(0) .. a^(L).

        Parameters
        ----------
        inputs : array (..., N, m_0), or (m_0,) for one sample
            float32 or float64; cast to the dtype of the weights.

        Raises
        ------
        ValueError, TypeError
            As in `backprop`.
        """
        a = [checking.samples("inputs", inputs, self.sizes[0], self.weights[0])]
        for l in range(1, len(self.weights) + 1):
            a.append(self.activated(l, self.preactivation(l, a[-1])))
        return tuple(a)

    @np.errstate(all="ignore")
    def backprop(self, inputs: ArrayLike, targets: ArrayLike) -> Pass:
        """Return the activations, the cost, and the deltas and gradients of every layer.

        Parameters
        ----------
        inputs : array (..., N, m_0), or (m_0,) for one sample
        targets : array (..., N, m_L), or (m_L,) for one sample
            Both float32 or float64; cast to the dtype of the weights. For "cross_entropy" also the number of the
            class of each sample, whole numbers (..., N).

        Raises
        ------
        ValueError
            If a shape does not fit the network, there is no sample, or a number is not finite.
        TypeError
            If an array is not float32 or float64.
        """
        top = len(self.weights)
        a = self.forward(inputs)
        targets = checking.targets(targets, self.sizes[-1], self.weights[0], a[0], self.cost_name == "cross_entropy")
        deltas = [self.output_delta(a[-1], targets)]
        for l in range(top - 1, 0, -1):
            deltas.insert(0, self.hidden_delta(l, deltas[0], a[l]))
        gradients = list(map(self.gradient, a, deltas))
        cost = self.cost(self.preactivation(top, a[-2]) if self._cost.output else a[-1], targets)
        if self.l2:
            gradients = [self.penalized(l, gradient) for l, gradient in enumerate(gradients, start=1)]
            cost = cost + self.penalty()
        return Pass(a, cost, tuple(deltas), tuple(gradients))

    @np.errstate(all="ignore")
    def update(self, gradients: Sequence[FloatArray], learning_rate: float = 0.5, train_biases: bool = True) -> Network:
        """Return the network after one step of gradient descent, W - gamma dC/dW in every layer.

        Parameters
        ----------
        gradients : one array per layer, shaped as the weights
        learning_rate : gamma
        train_biases : False leaves the last row of every W as it is

        Raises
        ------
        ValueError
            If there is not one gradient per layer, shaped as its weights.
        """
        checking.gradients(gradients, self.weights)
        checking.yes_or_no("train_biases", train_biases)
        rate = checking.rate(learning_rate)
        weights = []
        for l, gradient in enumerate(gradients, start=1):
            new = self.updated(l, gradient, rate)
            if not train_biases and self.biases:
                new[..., -1, :] = self.weights[l - 1][..., -1, :]
            new.setflags(write=False)
            weights.append(new)
        # Not by __init__: what the network's own arithmetic made needs no check and no copy.
        network = object.__new__(type(self))
        vars(network).update(vars(self), weights=tuple(weights))
        return network

    # Coming in and going out.

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an .npz file, exactly; a file already there survives a failure.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If a weight is not finite: such a network could not be loaded again.
        """
        checking.weights(self.weights, self.biases)
        arrays: dict[str, Any] = {f"W{l}": w for l, w in enumerate(self.weights, start=1)}
        with replacing(path) as temporary, temporary.open("wb") as file:
            how = np.array([self.cost_name, self.reduction, repr(self.l2), str(self.biases)])
            np.savez(file, activation=np.array(self.activation), how=how, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Network:
        """Read a network that `save` wrote.

        Raises
        ------
        OSError
            If the file cannot be opened.
        ValueError
            If it is damaged, or not such a file.
        """
        with open(path, "rb") as raw:
            try:
                with np.load(raw, allow_pickle=False) as file:
                    weights = [file[f"W{l}"] for l in range(1, sum(name.startswith("W") for name in file.files) + 1)]
                    options: dict[str, Any] = {}
                    if "how" in file.files:
                        cost, reduction, l2, biases = map(str, file["how"])
                        options = {"cost": cost, "reduction": reduction, "l2": float(l2), "biases": biases == "True"}
                    return cls(weights, [str(name) for name in file["activation"]], **options)
            except Exception as problem:  # whatever zipfile, zlib and NumPy raise on bytes that are not theirs
                reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
                raise ValueError(f"{path} is not a network saved by Network.save: {reason}") from None


def augmented(a: FloatArray) -> FloatArray:
    """A^(l): the activations with a trailing 1 for the biases, (..., N, m_l) -> (..., N, m_l + 1).

    Examples
    --------
    >>> augmented(np.array([[0.5, 0.25]]))
    array([[0.5 , 0.25, 1.  ]])
    """
    A = np.empty((*a.shape[:-1], a.shape[-1] + 1), a.dtype)
    A[..., :-1] = a
    A[..., -1] = 1
    return A
