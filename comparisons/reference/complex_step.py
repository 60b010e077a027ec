"""A third opinion on one number: the cost differentiated by a complex step, without autograd or backpropagation.

The cost is evaluated in complex128 with an imaginary step of 1e-100 in one weight or preactivation. Nothing is
subtracted, so nothing cancels, and the imaginary part is the derivative to the last digits (W. Squire and G. Trapp,
*Using complex variables to estimate derivatives of real functions*, SIAM Review 40, 1998).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from comparisons.reference.quantities import Key, Problem
from handnet.activations import FloatArray

STEP = 1e-100
# A preactivation nearer to 0 than this, of its layer's largest, may lie on either side of the kink of relu.
KINK = 1e-9


def third_opinion(problem: Problem, key: Key, index: tuple[int, ...]) -> float | None:
    """Return the value of one element, or None at a kink of relu, where the numbers overflow, or after several steps.

    Parameters
    ----------
    problem : a single network or a stack
    key, index : the quantity and the element's index in it

    Examples
    --------
    >>> weights = (np.array([[0.5], [0.25]]),)
    >>> problem = Problem(weights, ("sigmoid",), np.array([[1.0]]), np.array([[0.0]]))
    >>> third_opinion(problem, ("delta", 1), (0, 0)) == third_opinion(problem, ("gradient", 1), (0, 0))
    True
    """
    if problem.is_online:
        return None
    if depth := problem.weights[0].ndim - 2:
        problem, index = problem.of_network(index[:depth]), index[depth:]
    quantity, layer = key
    if layer is None:
        return _opinion(problem)
    if quantity == "activation":
        return _opinion(problem, read=(layer, index))
    derivative = _opinion(problem, step=("z" if quantity == "delta" else "w", layer, index))
    if derivative is None or quantity != "weight":
        return derivative
    old = problem.weights[layer - 1]
    trained = problem.train_biases or not problem.stated.biases or index[-2] < len(old) - 1
    return float(old[index]) - (problem.learning_rate * derivative if trained else 0.0)


def _opinion(
    problem: Problem,
    step: tuple[str, int, tuple[int, ...]] | None = None,
    read: tuple[int, tuple[int, ...]] | None = None,
) -> float | None:
    """The cost, or its derivative along the step, or the activation to read."""
    what, layer, index = step or ("", 0, ())
    penalty: Any = 0.0
    a: Any = problem.inputs.astype(np.complex128)
    with np.errstate(all="ignore"):
        for l, (w, name) in enumerate(zip(problem.weights, problem.activation, strict=True), start=1):
            wide = w.astype(np.complex128)
            if (what, layer) == ("w", l):
                wide[index] += STEP * 1j
            z = a @ wide[:-1] + wide[-1] if problem.stated.biases else a @ wide
            if (what, layer) == ("z", l):
                z[index] += STEP * 1j
            if name in ("relu", "leaky_relu") and (np.abs(z.real) <= KINK * np.abs(z.real).max()).any():
                return None
            a = ACTIVATIONS[name](z)
            if read and read[0] == l:
                return _finite(a[read[1]].real)
            if problem.stated.l2:
                penalty += problem.stated.l2 / 2 * ((wide[:-1] if problem.stated.biases else wide) ** 2).sum()
        cost = _cost(problem, z, a) + penalty
    return _finite(cost.imag / STEP if step else cost.real)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _sigmoid(z: FloatArray) -> FloatArray:
    e = np.exp(np.where(z.real < 0, z, -z))
    return np.where(z.real < 0, e, 1) / (1 + e)


def _sum_of_exponentials(z: FloatArray) -> FloatArray:
    return np.exp(z - z.real.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True)


def _cost(problem: Problem, z: FloatArray, a: FloatArray) -> FloatArray:
    """C of all samples, without the penalty."""
    targets, samples = problem.targets, len(a)
    values = {
        "half_squared_error": lambda: ((a - targets) ** 2).sum() / 2,
        "squared_error": lambda: ((a - targets) ** 2).sum(),
        "mean_squared_error": lambda: ((a - targets) ** 2).sum() / a.shape[-1],
        # -T log a - (1 - T) log(1 - a), by way of 1 - sigma(z) = sigma(-z).
        "binary_cross_entropy": lambda: -(targets * np.log(_sigmoid(z)) + (1 - targets) * np.log(_sigmoid(-z))).sum(),
        "cross_entropy": lambda: -(targets * np.log(a)).sum(),
    }
    total: FloatArray = values[problem.stated.cost]()
    return total / samples if problem.stated.reduction == "mean" else total


# Analytic continuations, each on its side of a kink.
ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "identity": lambda z: z,
    "leaky_relu": lambda z: np.where(z.real > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z.real > 0, z, np.expm1(z)),
    "softplus": lambda z: np.where(z.real > 0, z, 0) + np.log1p(np.exp(np.where(z.real > 0, -z, z))),
    "softmax": lambda z: np.exp(z - z.real.max(axis=-1, keepdims=True)) / _sum_of_exponentials(z),
}
