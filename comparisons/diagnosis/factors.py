"""By which factor numbers differ from others, and what it is in terms of 2, N and the widths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np

from comparisons.mistakes.effects import MARGIN
from comparisons.reference.quantities import Problem
from comparisons.verdict.distance import distance
from handnet.activations import FloatArray

# Factors of two steps are the same where they agree to this, and have a name where they are it to this.
SAME, NAMED = 1e-6, 1e-9
# Or to so many units of rounding, where these are coarser: of float32, a part in 1e5. No test can see a factor of 2:
# there factors agree to a part in 1e6, and those that have a name lie a part in 10 apart.
COARSE = 64
# Of 2, N, m_L and m_0 in a factor, the simplest first.
POWERS = sorted(
    product((1, -1, 0), (2, 1, -1, -2, 0), (1, -1, 0), (1, -1, 0)), key=lambda powers: sum(map(abs, powers))
)


def least_squares(sides: Sequence[tuple[FloatArray, FloatArray]], count: int) -> FloatArray:
    """Return the factor by which the second of all sides comes nearest to the first, for each of a stack."""
    products, squares = np.zeros(count), np.zeros(count)
    for actual, mine in sides:
        axes = tuple(range(1, mine.ndim))
        # Each quantity counts the same, however large it is.
        size = np.square(mine).sum(axis=axes)
        with np.errstate(all="ignore"):
            products += np.where(size > 0, (actual * mine).sum(axis=axes) / size, 0.0)
        squares += size > 0
    return np.where(squares > 0, products / np.fmax(squares, 1), 0.0)


def factor_between(actual: FloatArray, expected: FloatArray, tolerance: FloatArray) -> float | None:
    """Return the factor that all actual numbers have in common; None where there is none, or nothing to tell it from.

    Where both numbers are 0, any factor will do.
    """
    if not (np.abs(expected) > tolerance).any() or not np.isfinite(actual).all():
        return None
    factor = float(least_squares([(actual, expected[np.newaxis])], 1)[0])
    allowed = MARGIN * max(1.0, abs(factor)) * tolerance
    return factor if (distance(actual, factor * expected) <= allowed).all() else None


def common_factor(factors: Sequence[tuple[Problem, float]]) -> str:
    """Return what the factors of all steps have in common, in terms of 2, N, m_L and m_0, or as a number; else ""."""
    names = [factor_names(factor, problem) for problem, factor in factors]
    for name in names[0] if names else ():
        if all(name in others for others in names):
            return name
    values = [factor for _, factor in factors]
    same = bool(values) and np.allclose(values, values[0], rtol=coarse(factors[0][0], SAME), atol=0.0)
    return written(values[0], factors[0][0]) if same else ""


def coarse(problem: Problem, near: float) -> float:
    """Return how near two factors must be, which are no better than the numbers that they are found from."""
    return max(near, COARSE * float(np.finfo(problem.inputs.dtype).eps))


def written(factor: float, problem: Problem) -> str:
    """Return the digits of a factor that the numbers of a network tell."""
    return f"{factor:.{5 if problem.inputs.dtype == np.float32 else 10}g}"


def factor_names(factor: float | None, problem: Problem) -> list[str]:
    """Return the factor in terms of 2, N, m_L and m_0, the simplest first; on other sizes others of these fail."""
    if factor is None:
        return []
    names, values = _powers(problem.inputs.shape[-2], problem.sizes[-1], problem.sizes[0])
    near = np.abs(abs(factor) - values) <= coarse(problem, NAMED) * values
    return [("-" if factor < 0 else "") + names[i] for i in np.flatnonzero(near)]


@cache
def _powers(samples: int, outputs: int, inputs: int) -> tuple[list[str], FloatArray]:
    """What can be made of 2, N, m_L and m_0, and how much it is."""
    sizes = {"2": 2.0, "N": float(samples), "m_L": float(outputs), "m_0": float(inputs)}
    names = []
    for powers in POWERS:
        parts = [(name + "^2" * (abs(power) > 1), power) for name, power in zip(sizes, powers, strict=True)]
        above = " ".join(name for name, power in parts if power > 0) or "1"
        below = " ".join(name for name, power in parts if power < 0)
        names.append(above + (f" / {below}" if below else ""))
    return names, np.array([math.prod(map(pow, sizes.values(), powers)) for powers in POWERS])
