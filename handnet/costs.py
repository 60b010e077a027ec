"""The cost functions: each one's value for the samples, and beside it c, its derivative by the outputs a = a^(L).

The note's cost is half the squared error. A cross-entropy belongs to an output that is a probability: the slope of the
sigmoid, or of softmax, cancels against the cost's, and delta^(L) = a - T is all that is left. So it is computed, since
c alone is infinite where a probability is 0; and the cost is computed from z, where a would round to 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from handnet.activations import FloatArray

Evaluate = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True)
class Cost:
    """A cost function.

    Attributes
    ----------
    name : str
        The name by which a `Network` asks for it.
    value : callable
        C of all samples together, (...), from a^(L) and T, or from z^(L) and T where `output` is not empty.
    error : callable
        c = dC/da^(L) of each sample, (..., N, m_L), from a^(L) and T.
    output : str
        The activation that the output must have; empty where any will do.
    delta : callable or None
        delta^(L) = dC/dz^(L) of each sample, from a^(L) and T, where the slope of this output cancels.
    """

    name: str
    value: Evaluate
    error: Evaluate
    output: str = ""
    delta: Evaluate | None = None


def half_squared_error(a: FloatArray, T: FloatArray) -> FloatArray:
    """1/2 sum_i (a_i - T_i)^2, the note's cost."""
    e = a - T
    return np.square(e, out=e).sum(axis=(-2, -1)) / 2


def half_squared_error_by_a(a: FloatArray, T: FloatArray) -> FloatArray:
    """a - T."""
    return a - T


def squared_error(a: FloatArray, T: FloatArray) -> FloatArray:
    """sum_i (a_i - T_i)^2."""
    return np.square(a - T).sum(axis=(-2, -1))


def squared_error_by_a(a: FloatArray, T: FloatArray) -> FloatArray:
    """2 (a - T)."""
    return 2 * (a - T)


def mean_squared_error(a: FloatArray, T: FloatArray) -> FloatArray:
    """1/m sum_i (a_i - T_i)^2."""
    return np.square(a - T).sum(axis=(-2, -1)) / a.shape[-1]


def mean_squared_error_by_a(a: FloatArray, T: FloatArray) -> FloatArray:
    """2/m (a - T)."""
    return 2 * (a - T) / a.shape[-1]


def binary_cross_entropy(z: FloatArray, T: FloatArray) -> FloatArray:
    """-sum_i T_i log a_i + (1 - T_i) log(1 - a_i), with a = sigma(z): sum_i log(1 + e^z_i) - T_i z_i."""
    # log(1 + e^z) = max(z, 0) + log(1 + e^-|z|), which does not overflow.
    return (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))) - T * z).sum(axis=(-2, -1))


def binary_cross_entropy_by_a(a: FloatArray, T: FloatArray) -> FloatArray:
    """(a - T) / (a (1 - a))."""
    return (a - T) / (a * (1 - a))


def binary_cross_entropy_by_z(a: FloatArray, T: FloatArray) -> FloatArray:
    """a - T, what is left of c a(1 - a)."""
    return a - T


def cross_entropy(z: FloatArray, T: FloatArray) -> FloatArray:
    """-sum_i T_i log a_i, with a = softmax(z): sum_i T_i (log sum_j e^z_j - z_i)."""
    largest = z.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(z - largest).sum(axis=-1, keepdims=True))
    # Where T is 0 nothing is added, though z may be -infinity.
    terms = np.where(T == 0, 0, T * (log_sum - (z - largest)))
    return terms.sum(axis=(-2, -1))


def cross_entropy_by_a(a: FloatArray, T: FloatArray) -> FloatArray:
    """-T / a."""
    return np.where(T == 0, 0, -T / a)


def cross_entropy_by_z(a: FloatArray, T: FloatArray) -> FloatArray:
    """a sum_i T_i - T: a - T, where the targets are probabilities."""
    return a * T.sum(axis=-1, keepdims=True) - T


COSTS = {
    cost.name: cost
    for cost in (
        Cost("half_squared_error", half_squared_error, half_squared_error_by_a),
        Cost("squared_error", squared_error, squared_error_by_a),
        Cost("mean_squared_error", mean_squared_error, mean_squared_error_by_a),
        Cost(
            "binary_cross_entropy",
            binary_cross_entropy,
            binary_cross_entropy_by_a,
            "sigmoid",
            binary_cross_entropy_by_z,
        ),
        Cost("cross_entropy", cross_entropy, cross_entropy_by_a, "softmax", cross_entropy_by_z),
    )
}
REDUCTIONS = ("mean", "sum")
