"""What comes in from outside: checked once, in one line that says what it was, what was expected, and where.

The mathematics inside trusts its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from handnet.activations import ACTIVATIONS, FloatArray
from handnet.costs import COSTS, REDUCTIONS

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def weights(values: Sequence[ArrayLike], biases: bool = True) -> tuple[FloatArray, ...]:
    """Return W^(1) .. W^(L) as arrays that fit together, with a last row of biases or without."""
    _sequence("weights", values, "one array per layer")
    if len(values) == 0:
        raise ValueError("weights is empty: expected at least one layer")
    arrays: list[FloatArray] = []
    for i, value in enumerate(values):
        w = finite(f"weights[{i}]", floating(f"weights[{i}]", value))
        if w.ndim < 2 or w.shape[-2] < 1 + biases or w.size == 0:
            rows = "inputs + 1" if biases else "inputs"
            raise ValueError(f"weights[{i}] has shape {w.shape}: expected (..., {rows}, outputs)")
        if arrays:
            _fit(i, w, arrays[-1], biases)
        arrays.append(w)
    return tuple(arrays)


def _sequence(name: str, values: Any, expected: str) -> None:
    if not hasattr(values, "__len__"):
        raise TypeError(f"{name} is {values!r}: expected {expected}")


def _fit(i: int, w: FloatArray, below: FloatArray, biases: bool) -> None:
    outputs = below.shape[-1]
    expected = (*below.shape[:-2], outputs + biases, w.shape[-1])
    if w.shape != expected:
        raise ValueError(
            f"weights[{i}] has shape {w.shape}, but the layer below has {outputs} outputs: expected {expected}"
        )
    if w.dtype != below.dtype:
        raise TypeError(f"weights[{i}] has dtype {w.dtype}, but the layer below has {below.dtype}: expected one dtype")


def activation(names: str | Sequence[str], layers: int) -> tuple[str, ...]:
    """Return one name of an activation per layer."""
    _sequence("activation", names, "one name, or one per layer")
    names = (names,) * layers if isinstance(names, str) else tuple(names)
    if len(names) != layers:
        raise ValueError(f"activation has {len(names)} names for {layers} layers: expected one, or one per layer")
    for name in names:
        if name not in ACTIVATIONS:
            raise ValueError(f"activation {name!r} is unknown: expected one of {', '.join(ACTIVATIONS)}")
    if "softmax" in names[:-1]:
        raise ValueError(
            f"activation of layer {names.index('softmax') + 1} is softmax: expected it for the output only"
        )
    return names


def cost(name: str, output: str) -> None:
    """Raise unless it is the name of a cost that fits the activation of the output."""
    if name not in COSTS:
        raise ValueError(f"cost {name!r} is unknown: expected one of {', '.join(COSTS)}")
    needed = COSTS[name].output
    if needed and output != needed:
        raise ValueError(f"cost {name!r} with an output activation {output!r}: expected {needed!r}")


def reduction(name: str) -> str:
    """Return how the cost goes over the samples."""
    if name not in REDUCTIONS:
        raise ValueError(f"reduction is {name!r}: expected {' or '.join(map(repr, REDUCTIONS))}")
    return name


def penalty(l2: float) -> float:
    """Return lambda of the penalty on the weights."""
    if isinstance(l2, bool) or not isinstance(l2, (int, float, np.number)) or not 0 <= l2 < np.inf:
        raise ValueError(f"l2 is {l2!r}: expected a finite number, 0 or more")
    return float(l2)


def samples(name: str, values: ArrayLike, width: int, like: FloatArray) -> FloatArray:
    """Return `values` as (..., N, width), for weights like these: of their dtype, and fit for their stack."""
    array = floating(name, values)
    if array.ndim == 1:
        array = array[np.newaxis, :]
    if array.ndim == 0 or array.shape[-1] != width:
        raise ValueError(f"{name} has shape {np.shape(values)}: expected (..., samples, {width})")
    if array.shape[-2] == 0:
        raise ValueError(f"{name} has shape {np.shape(values)}: expected at least one sample")
    if array.ndim > 2:
        _broadcast(name, array.shape[:-2], like.shape[:-2])
    if array.dtype != like.dtype:
        with np.errstate(over="ignore"):  # what becomes infinite is named below
            array = array.astype(like.dtype)
    return finite(name, array)


def _broadcast(name: str, leading: tuple[int, ...], stack: tuple[int, ...]) -> None:
    try:
        np.broadcast_shapes(leading, stack)
    except ValueError:
        raise ValueError(f"{name} has leading axes {leading}, which do not broadcast with the stack {stack}") from None


def targets(values: ArrayLike, width: int, like: FloatArray, inputs: FloatArray, classes: bool = False) -> FloatArray:
    """Return the targets as `samples` does, if there is one for each of the inputs; perhaps from numbers of classes."""
    array = samples("targets", _probabilities(values, width, like) if classes else values, width, like)
    if array.shape[-2] != inputs.shape[-2]:
        raise ValueError(f"targets has {array.shape[-2]} samples, but inputs has {inputs.shape[-2]}")
    return array


def _probabilities(values: ArrayLike, width: int, like: FloatArray) -> ArrayLike:
    """The targets as probabilities, 1 for the class of each sample, where whole numbers (..., N) were given."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        return values
    if array.ndim == 0 or array.min(initial=0) < 0 or array.max(initial=0) >= width:
        raise ValueError(f"targets are whole numbers: expected classes from 0 to {width - 1}, one for each sample")
    return np.eye(width, dtype=like.dtype)[array]


def gradients(values: Sequence[FloatArray], weights: Sequence[FloatArray]) -> None:
    """Raise unless there is one gradient per layer, shaped as its weights."""
    _sequence("gradients", values, "one array per layer")
    if len(values) != len(weights):
        raise ValueError(f"gradients has {len(values)} arrays for {len(weights)} layers")
    for i, w in enumerate(weights):
        shape = np.shape(values[i])
        if shape != w.shape and shape[-2:] != w.shape[-2:]:
            raise ValueError(f"gradients[{i}] has shape {shape}: expected {w.shape}")


def rate(learning_rate: float) -> float:
    """Return the learning rate as a Python number: a NumPy float64 would turn float32 weights into float64."""
    if not isinstance(learning_rate, (int, float, np.integer, np.floating)):
        raise TypeError(f"learning_rate is {learning_rate!r}: expected a number")
    try:
        number = float(learning_rate)
    except OverflowError:  # an integer, perhaps of so many digits that Python would not print it
        raise ValueError("learning_rate is too large: expected a finite number") from None
    if not math.isfinite(number):
        raise ValueError(f"learning_rate is {learning_rate}: expected a finite number")
    return number


def sizes(values: Sequence[int]) -> None:
    """Raise unless these are m_0 .. m_L."""
    _sequence("sizes", values, "at least two sizes, each 1 or more")
    if not all(isinstance(size, (int, np.integer)) for size in values):
        raise ValueError(f"sizes is {list(values)}: expected whole numbers")
    if len(values) < 2 or any(size < 1 for size in values):
        raise ValueError(f"sizes is {list(values)}: expected at least two sizes, each 1 or more")


def generator(rng: np.random.Generator | None) -> None:
    """Raise unless it can be drawn from."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is {rng!r}: expected a generator, as numpy.random.default_rng(0) makes one")


def count(name: str, value: int) -> None:
    """Raise unless it is a whole number, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} is {value!r}: expected a whole number")
    if value < 1:
        raise ValueError(f"{name} is {value}: expected 1 or more")


def yes_or_no(name: str, value: bool) -> None:
    """Raise unless it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value!r}: expected True or False")


def floating(name: str, values: ArrayLike) -> FloatArray:
    """Return the values as an array of float32 or float64."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} is ragged: expected an array of numbers") from None
    except Exception as problem:  # a torch tensor that requires grad, or that lies on another device
        reason = str(problem).splitlines()[0]
        raise TypeError(f"{name} is a {type(values).__name__}: expected an array of numbers ({reason})") from None
    if array.dtype not in FLOATS:
        raise TypeError(f"{name} has dtype {array.dtype}: expected float32 or float64")
    return array


def finite(name: str, array: FloatArray) -> FloatArray:
    """Return the array, if all its numbers are finite."""
    is_finite: Any = np.isfinite(array)
    if np.count_nonzero(is_finite) < array.size:
        where = tuple(map(int, np.argwhere(~is_finite)[0]))
        raise ValueError(f"{name}{list(where)} is {array[where]}: expected finite numbers")
    return array
