"""One set of quantities beside the twin's: with the whole model, and equation by equation, to a verdict each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.reference.quantities import Key, Problem, Quantities, quantity_name
from comparisons.reference.truth import Pair, Truth
from comparisons.verdict.distance import distance, scale_of, sharper
from comparisons.verdict.measured import INHERITED, OK, UNDECIDED, WRONG, Measured
from handnet.activations import FloatArray


def measure(truth: Truth, actual: Quantities, *, case: str = "", step: int = 1) -> list[Measured]:
    """Compare the actual quantities with the twin's, in the order of the computation.

    Parameters
    ----------
    truth : what autograd says of the problem
    actual : what the implementation computed, keyed by quantity and layer; any part of it
    case, step : recorded with each row

    Returns
    -------
    measured : one for each quantity given
    """
    actual, _ = shaped(truth.problem, actual)
    local = Local(truth, actual)
    judge = partial(_judge, case, step, truth)
    return [judge(key, actual[key], pair, local.of(key)) for key, pair in truth.pairs.items() if key in actual]


def shaped(problem: Problem, actual: Mapping[Key, Any]) -> tuple[Quantities, dict[Key, str]]:
    """Return the quantities as arrays; one that has the wrong shape becomes NaN, and what to say of it.

    Raises
    ------
    TypeError
        If one of them is not an array of real numbers.
    """
    arrays: Quantities = {}
    misfits: dict[Key, str] = {}
    for key, value in actual.items():
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.asarray(None)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{quantity_name(key)} has dtype {array.dtype}: expected real numbers")
        expected = problem.shape(key)
        if array.shape != expected:
            misfits[key] = f"{quantity_name(key)} has shape {array.shape}: expected {expected}"
            array = np.full(expected, np.nan, problem.inputs.dtype)
        arrays[key] = array if array.dtype.kind == "f" else array.astype(np.float64)
    return arrays, misfits


def one_line_each(places: Iterable[tuple[Any, str, int | None, str]]) -> list[str]:
    """Say once what is wrong in many places for one reason.

    Parameters
    ----------
    places : reason, network, layer and text of each; the first of a reason is told, the others are counted
    """
    alike: dict[Any, list[tuple[str, int | None, str]]] = {}
    for reason, name, layer, text in places:
        alike.setdefault(reason, []).append((name, layer, text))
    lines = []
    for group in alike.values():
        name, _, text = group[0]
        names = dict.fromkeys(name for name, _, _ in group if name)
        layers = sorted({layer for _, layer, _ in group if layer is not None})
        on = f" on {' and '.join(names)}" if names else ""
        where = f", in layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}" if layers else ""
        more = f"; {len(group) - 1} more like it{on}{where}" if len(group) > 1 else ""
        lines.append((f"on {name}: " if name else "") + text + more)
    return lines


class Local:
    """Torch's evaluation of one equation on the implementation's own upstream values, with its bound."""

    def __init__(self, truth: Truth, actual: Quantities) -> None:
        self.problem, self.truth = truth.problem, truth
        self.actual: Quantities = {**actual, ("activation", 0): self.problem.inputs}

    def of(self, key: Key) -> Pair | None:
        """Return torch's value and its tolerance, or None where what it is computed from was not given."""
        upstream = [self.actual.get(above) for above in self.upstream(key)]
        # Upstream values of another precision could only be judged after rounding them, which they were not.
        values = [value for value in upstream if value is not None and value.dtype == self.problem.inputs.dtype]
        if len(values) < len(upstream):
            return None
        return self.truth.local(key, values)

    def upstream(self, key: Key) -> Sequence[Key]:
        """Return what a quantity is computed from by its own equation."""
        quantity, layer = key
        top = len(self.problem.weights)
        if layer is None or (quantity == "delta" and layer == top):
            return [("activation", top)]
        return {
            "activation": [("activation", layer - 1)],
            "delta": [("delta", layer + 1), ("activation", layer)],
            "gradient": [("activation", layer - 1), ("delta", layer)],
            "weight": [("gradient", layer)],
        }[quantity]


def _judge(case: str, step: int, truth: Truth, key: Key, hand: FloatArray, whole: Pair, local: Pair | None) -> Measured:
    hand = hand.astype(np.float64)
    torch, tolerance = whole
    passes = _passes(hand, torch, tolerance)
    grades = np.full(hand.shape, OK, np.int8)
    local_torch = local_tolerance = None
    if local is None:
        grades[~passes] = WRONG
    else:
        local_torch, local_tolerance = local
        grades[~passes] = INHERITED
        grades[~_passes(hand, local_torch, local_tolerance)] = WRONG
    # Without any tolerance nothing passes but the exact number: that is decided, be it zero.
    sharpest = sharper(tolerance, local_tolerance)
    decided = (sharpest < scale_of(key, torch)) | (sharpest == 0)
    grades[(grades == OK) & ~decided] = UNDECIDED
    batch = truth.problem.inputs.shape[-2]
    sides = (hand, torch, tolerance, local_torch, local_tolerance)
    return Measured(case, step, key, truth.problem.sizes, batch, *sides, grades, partial(truth.expected_of, key))


def _passes(hand: FloatArray, torch: FloatArray, tolerance: FloatArray) -> NDArray[np.bool_]:
    # As `over(..) <= 1`, without the quotient: a tolerance without bound forgives all, NaN too.
    return (distance(hand, torch) <= tolerance) | np.isinf(tolerance)
