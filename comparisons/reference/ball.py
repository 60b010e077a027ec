"""A number with its two errors, and the units of rounding of a dtype.

Running error analysis (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., ch. 3): n roundings
one after another change a number by at most gamma_n = n u / (1 - n u) of itself, and a sum of n terms, in any order, by
at most gamma_(n-1) times the sum of their magnitudes. Taken as independent, n roundings change it by some sqrt(n) u
(N. J. Higham and T. Mary, *A new approach to probabilistic rounding error analysis*, SIAM J. Sci. Comput. 41, 2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

# The errors are themselves computed in float64; this covers what their own evaluation may lose. As all of them come
# from roundings, it is enough to make the unit of rounding so much greater.
SLACK = 1 + 2.0**-20
# The expected tolerance is so many standard deviations.
SIGMAS = 6
# In float64 variances underflow long before numbers do: what is smaller has the guaranteed tolerance alone.
SMALLEST_EXPECTED = 1e-100
# A function of the mathematics library is taken to be right within 4 units in the last place, which are 8 u.
LIBM = 8
ZERO = torch.zeros((), dtype=torch.float64)
HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Ball:
    """A computed number and how far another evaluation can lie from it.

    Attributes
    ----------
    tensor : what torch computed, in its own dtype; its shape is that of all that follows
    error : |any evaluation - exact| is at most this; float64, or a single 0 where the number is exact
    variance : of the difference of two evaluations, with independent roundings
        One rounding is at most u, of variance u^2 / 3 where it falls anywhere in between; two of them, one of each
        evaluation, have 2 u^2 / 3, and u^2 is put in their place.
    terms : of how many terms it is the sum, as far as is known
    sum_of_magnitudes : of these terms, or None for one term
    coherence : by axis, how far the errors along it are the same, from 0, independent of each other, to 1
    drift : by what factor the variance of the roundings of that sum grows where its terms are equal
    """

    tensor: Tensor
    error: Tensor = ZERO
    variance: Tensor = ZERO
    terms: int = 1
    sum_of_magnitudes: Tensor | None = None
    coherence: Mapping[int, float] | None = None
    drift: float = 1.0

    @cached_property
    def value(self) -> Tensor:
        """What torch computed, in float64."""
        return self.tensor.double()

    @property
    def is_exact(self) -> bool:
        return self.error is ZERO

    @cached_property
    def size(self) -> Tensor:
        return self.value.abs()

    @cached_property
    def exact(self) -> Tensor:
        """A bound on the magnitude of the exact number."""
        return self.size if self.is_exact else self.size + self.error

    @cached_property
    def any(self) -> Tensor:
        """A bound on the magnitude of any evaluation."""
        return self.size if self.is_exact else torch.add(self.size, self.error, alpha=2)

    @cached_property
    def square(self) -> Tensor:
        return self.value.square()

    @property
    def magnitudes(self) -> Tensor:
        """The sum of the magnitudes of its terms, as torch computed them; 2 `error` more in any evaluation."""
        return self.size if self.sum_of_magnitudes is None else self.sum_of_magnitudes

    @property
    def guaranteed_tolerance(self) -> Tensor:
        """No other evaluation lies further off: each of the two may err, this one and the other."""
        return self.full(2 * self.error)

    @property
    def expected_tolerance(self) -> Tensor:
        """How far off rounding is expected to take another evaluation."""
        likely = torch.fmin(2 * self.error, SIGMAS * self.variance.sqrt())
        known = (self.size > SMALLEST_EXPECTED) | (self.variance > SMALLEST_EXPECTED**2)
        return torch.where(known, likely, 2 * self.error)

    def coherent_along(self, *axes: int) -> float:
        """How far the errors along these axes are the same: along the most coherent of them."""
        if not self.coherence:
            return 0.0
        return max((self.coherence.get(axis % self.tensor.dim(), 0.0) for axis in axes), default=0.0)

    def full(self, errors: Tensor) -> Tensor:
        """Return the errors in the shape of the number."""
        return errors.to(self.tensor.device).expand(self.tensor.shape)


@dataclass(frozen=True)
class Errors:
    """What a rule says of a result: its two errors, of which sum it is the result, and how coherent the errors are.

    By default they are as coherent as those of the arguments of the same shape.
    """

    error: Tensor
    variance: Tensor
    terms: int = 1
    sum_of_magnitudes: Tensor | None = None
    coherence: Mapping[int, float] | None = None
    drift: float = 1.0


EXACT = Errors(ZERO, ZERO)


class Rounding:
    """The roundings of one dtype.

    Attributes
    ----------
    unit : u, the greatest relative error of one rounding
    sum_unit : that of the additions within a sum or a matrix product: halves are added in float32, and rounded once
    tiny : what a result may lose as it underflows
    huge : the largest number
    """

    def __init__(self, dtype: torch.dtype) -> None:
        info = torch.finfo(dtype)
        self.dtype = dtype
        self.unit = info.eps / 2 * SLACK
        self.sum_unit = torch.finfo(torch.float32).eps / 2 * SLACK if dtype in HALVES else self.unit
        # float32 and float64 may be flushed to zero; halves are rounded from float32, where they are normal numbers.
        self.tiny = info.tiny * info.eps if dtype in HALVES else info.tiny
        self.huge = info.max

    def adding_in_its_own_dtype(self) -> Rounding:
        """The same, for operations that add halves up as halves."""
        own = Rounding(self.dtype)
        own.sum_unit = own.unit
        return own

    def gamma(self, n: float) -> float:
        """gamma_n = n u / (1 - n u); without bound where n u reaches 1."""
        return _gamma(n, self.unit)

    def sum_gamma(self, n: float) -> float:
        """The same for the additions of a sum."""
        return _gamma(n, self.sum_unit)

    def operand(self, x: Any) -> Ball:
        """Return a ball for a Python number, which has more digits than the dtype: 0.1, 1/3, sqrt(2)."""
        if isinstance(x, Ball) and not (x.tensor.dim() == 0 and x.is_exact and x.tensor.dtype != self.dtype):
            return x
        number = float(x.tensor) if isinstance(x, Ball) else float(x)
        return _number(number, self.unit)

    def rounded(
        self, result: Ball, error: Tensor, variance: Tensor, times: int = 1, underflow: Tensor | None = None
    ) -> Errors:
        """Add to what is inherited so many roundings of the result, and its underflow, or that which there can be."""
        gamma, lost = self.gamma(times), 2 * times * self.tiny
        total = torch.add(error, result.size, alpha=gamma).mul_(1 + 2 * gamma)
        spread = torch.addcmul(variance, result.size, result.size, value=times * self.unit**2)
        if underflow is None:
            total.add_(lost)
            spread.add_(lost**2)
        else:
            total.add_(underflow, alpha=lost)
            spread.add_(underflow, alpha=lost**2)
        return Errors(total, spread)


def _gamma(n: float, unit: float) -> float:
    return n * unit / (1 - n * unit) if n * unit < 1 else math.inf


@cache
def _number(number: float, unit: float) -> Ball:
    value = torch.tensor(number, dtype=torch.float64)
    # What has few binary digits, as 2 and 0.5, is the same in every dtype.
    few = not math.isfinite(number) or math.ldexp(math.frexp(number)[0], 8).is_integer()
    if few or (number.is_integer() and abs(number) * unit <= 1):
        return Ball(value)
    return Ball(value, value.abs() * unit, (value * unit).square())


@cache
def rounding_of(dtype: torch.dtype) -> Rounding:
    """Return the roundings of a dtype."""
    return Rounding(dtype)
