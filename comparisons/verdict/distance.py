"""How far two numbers lie apart, in units of a tolerance; and how large a quantity is."""

from __future__ import annotations

import numpy as np

from comparisons.reference.quantities import Key
from handnet.activations import FloatArray


def distance(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return |left - right|; NaN where both are infinite."""
    with np.errstate(all="ignore"):
        return np.abs(left - right)


def over(error: FloatArray, tolerance: FloatArray) -> FloatArray:
    """Return error / tolerance: 0 where there is no error, and what is not a number is infinitely wrong.

    A tolerance without bound forgives all, NaN too: there no evaluation can be told from another.
    """
    with np.errstate(all="ignore"):
        ratio = np.where(error == 0, 0.0, error / tolerance)
    return np.where(np.isinf(tolerance), 0.0, np.where(np.isnan(ratio), np.inf, ratio))


def sharper(tolerance: FloatArray, local_tolerance: FloatArray | None) -> FloatArray:
    """Return the smaller of the two tolerances; a local one without bound says nothing."""
    return tolerance if local_tolerance is None else np.fmin(tolerance, local_tolerance)


def scale_of(key: Key, torch: FloatArray) -> FloatArray:
    """Return the largest value of the quantity in its network: a tolerance that is not smaller says nothing."""
    size = np.where(np.isfinite(torch), np.abs(torch), np.inf)
    return size if key[0] == "cost" else size.max(axis=(-2, -1), keepdims=True)


def greatest(values: FloatArray) -> float:
    """Return the greatest of the values; NaN counts as infinite."""
    return float(np.where(np.isnan(values), np.inf, values).max())
