"""The activation functions: each one's value sigma(z), and beside it its slope in terms of a = sigma(z).

Writing the slope in terms of a, as the note does with a(1 - a), means that backpropagation needs
nothing of the forward pass but the activations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of float32 or float64; NumPy's own stubs lose track of which through most operations.
FloatArray = NDArray[Any]


@dataclass(frozen=True)
class Activation:
    """An activation function.

    Attributes
    ----------
    name : str
        The name by which a `Network` asks for it.
    value : callable
        sigma(z), element by element; keeps shape and dtype.
    slope : callable
        d sigma / dz written in terms of a = sigma(z); keeps shape and dtype. Of softmax, whose outputs hang together,
        only the diagonal da_i / dz_i.
    pulled_back : callable
        dC/dz from c = dC/da and a.
    """

    name: str
    value: Callable[[FloatArray], FloatArray]
    slope: Callable[[FloatArray], FloatArray]
    pulled_back: Callable[[FloatArray, FloatArray], FloatArray] | None = None


def sigmoid(z: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-z)), accurate in relative terms down to underflow.

    Where exp overflows, and NumPy may warn of it, 1 / infinity is 0: right to within the smallest normal number.

    Parameters
    ----------
    z : array of any shape

    Examples
    --------
    >>> sigmoid(np.array([-100.0, 0.0, 100.0])).round(3)
    array([0. , 0.5, 1. ])
    """
    # In place, so that a large layer needs one new array and not three.
    e = np.asarray(np.exp(-z))
    e += 1
    return np.reciprocal(e, out=e)


def sigmoid_slope(a: FloatArray) -> FloatArray:
    """Return a(1 - a), the slope of the sigmoid where its value is a."""
    return a * (1 - a)


def tanh(z: FloatArray) -> FloatArray:
    """Return the hyperbolic tangent of z."""
    return np.tanh(z)


def tanh_slope(a: FloatArray) -> FloatArray:
    """Return 1 - a^2, the slope of tanh where its value is a."""
    return 1 - a * a


def relu(z: FloatArray) -> FloatArray:
    """Return max(z, 0)."""
    return np.maximum(z, 0)


def relu_slope(a: FloatArray) -> FloatArray:
    """Return 1 where a > 0 and else 0; at the kink, z = 0, the slope is taken as 0, as torch does."""
    return (a > 0).astype(a.dtype)


def identity(z: FloatArray) -> FloatArray:
    """Return z itself."""
    return z


def identity_slope(a: FloatArray) -> FloatArray:
    """Return 1 everywhere."""
    return np.ones_like(a)


LEAK = 0.01


def leaky_relu(z: FloatArray) -> FloatArray:
    """Return z where z > 0 and else 0.01 z."""
    return np.where(z > 0, z, z.dtype.type(LEAK) * z)


def leaky_relu_slope(a: FloatArray) -> FloatArray:
    """Return 1 where a > 0 and else 0.01, as torch does at the kink."""
    return np.where(a > 0, a.dtype.type(1), a.dtype.type(LEAK))


def elu(z: FloatArray) -> FloatArray:
    """Return z where z > 0 and else e^z - 1."""
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def elu_slope(a: FloatArray) -> FloatArray:
    """Return 1 where a > 0 and else e^z, which is a + 1."""
    return np.where(a > 0, a.dtype.type(1), a + 1)


def softplus(z: FloatArray) -> FloatArray:
    """Return log(1 + e^z), as max(z, 0) + log(1 + e^-|z|), which does not overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def softplus_slope(a: FloatArray) -> FloatArray:
    """Return 1 - e^-a, the slope of softplus, sigma(z), where its value is a."""
    return -np.expm1(-a)


def softmax(z: FloatArray) -> FloatArray:
    """Return e^z_i / sum_j e^z_j over the last axis; the shift by the largest z lets nothing overflow."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_slope(a: FloatArray) -> FloatArray:
    """Return a_i (1 - a_i), the derivative of each output by its own z alone."""
    return a * (1 - a)


def softmax_pulled_back(c: FloatArray, a: FloatArray) -> FloatArray:
    """Return dC/dz_i = a_i (c_i - sum_j c_j a_j), since da_j/dz_i = a_j ((1 if i = j else 0) - a_i)."""
    return a * (c - (c * a).sum(axis=-1, keepdims=True))


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("sigmoid", sigmoid, sigmoid_slope),
        Activation("tanh", tanh, tanh_slope),
        Activation("relu", relu, relu_slope),
        Activation("identity", identity, identity_slope),
        Activation("leaky_relu", leaky_relu, leaky_relu_slope),
        Activation("elu", elu, elu_slope),
        Activation("softplus", softplus, softplus_slope),
        Activation("softmax", softmax, softmax_slope, softmax_pulled_back),
    )
}
