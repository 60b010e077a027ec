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
        d sigma / dz written in terms of a = sigma(z); keeps shape and dtype.
    """

    name: str
    value: Callable[[FloatArray], FloatArray]
    slope: Callable[[FloatArray], FloatArray]


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


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("sigmoid", sigmoid, sigmoid_slope),
        Activation("tanh", tanh, tanh_slope),
        Activation("relu", relu, relu_slope),
        Activation("identity", identity, identity_slope),
    )
}
