"""Answers taken apart into their numbers, and put together with others: the same containers, shapes and dtypes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.subject.reading import CALLED, ImplementationError


class Numbers:
    """The numbers of an answer, and of weights that were changed in place, in one row.

    Parameters
    ----------
    answer : containers of arrays and numbers
    in_place : the weights by role, where these were changed; else None

    Attributes
    ----------
    flat : the row, to be written into
    """

    def __init__(self, answer: Any, in_place: Mapping[str, Any] | None) -> None:
        self.answer, self.in_place = answer, in_place
        own, after = numbers_of(answer), numbers_of(in_place)
        self.count = len(own)
        self.flat = np.array([*own, *after], dtype=np.float64)

    def places(self) -> tuple[Any, Any]:
        """Return the same with each number's place in the row instead of the number."""
        row = np.arange(len(self.flat))
        return _filled(self.answer, row), _filled(self.in_place, row[self.count :])

    def written(self) -> Any:
        """Return the answer with the numbers of the row, and write those of the weights in place."""
        _filled(self.in_place, self.flat[self.count :], into=True)
        return _filled(self.answer, self.flat)


def numbers_of(nested: Any) -> list[float]:
    """Return all numbers in what is nested, in order.

    Raises
    ------
    ImplementationError
        If there are tensors in it.
    """
    found: list[float] = []

    def keep(leaf: Any) -> Any:
        found.extend(np.asarray(leaf, dtype=np.float64).ravel().tolist())
        return leaf

    _mapped(nested, keep)
    return found


def _filled(nested: Any, row: NDArray[Any], into: bool = False) -> Any:
    """Return what is nested with the numbers of a row in it, or put them into its own arrays."""
    start = 0

    def fill(leaf: Any) -> Any:
        nonlocal start
        values = row[start : start + np.size(leaf)].reshape(np.shape(leaf))
        start += values.size
        if not isinstance(leaf, np.ndarray):
            if into:
                raise ImplementationError("it changes plain lists in place: expected arrays")
            return values.item()
        if into:
            leaf[...] = values
        # A place is a whole number, which float32 may not hold.
        return values.astype(np.float32) if leaf.dtype == np.float32 and row.dtype == np.float64 else values

    return _mapped(nested, fill)


def _mapped(nested: Any, leaf: Callable[[Any], Any]) -> Any:
    """Return what is nested with each array and number replaced, in containers of the same kind."""
    if isinstance(nested, (np.ndarray, np.generic, int, float)):
        return leaf(nested)
    if hasattr(nested, "detach"):
        raise ImplementationError("it returned tensors of torch: expected NumPy")
    if isinstance(nested, Mapping):
        return {key: _mapped(part, leaf) for key, part in nested.items()}
    if hasattr(nested, "_fields"):
        return type(nested)(*(_mapped(part, leaf) for part in nested))
    if isinstance(nested, (list, tuple)):
        return type(nested)(_mapped(part, leaf) for part in nested)
    named = [name for name in CALLED if hasattr(nested, name)]
    other = copy.copy(nested) if named else nested
    for name in named:
        object.__setattr__(other, name, _mapped(getattr(nested, name), leaf))
    return other
