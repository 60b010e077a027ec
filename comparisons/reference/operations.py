"""One rule for each torch operation: what it adds to the two errors of its arguments, and what it passes on.

A rule is a function of the roundings of the dtype, the result, and the arguments, every tensor among them a `Ball`; it
returns the `Errors` of the result. They hold for every order in which a sum may be added, for products in any grouping,
multiplied out or not, and with or without fused multiply-add. What has no source beside it is the first-order error of
the operation and its rounding, with the magnitudes of any evaluation, so that nothing of second order is left out.

N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., SIAM 2002: "Higham" below, by section.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from comparisons.reference.ball import EXACT, LIBM, SIGMAS, ZERO, Ball, Errors, Rounding
from comparisons.reference.correlation import (
    SLIGHT,
    drift,
    drift_of_products,
    of_one_sign,
    repeated_along,
    through_product,
)

aten = torch.ops.aten


class UnknownOperationError(NotImplementedError):
    """An operation that has no rule."""


Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}


def rule(*operations: Any) -> Callable[[Rule], Rule]:
    """Register a rule for operations, in the place of what there is for them.

    Parameters
    ----------
    operations : torch's, without an overload, like torch.ops.aten.sin

    Returns
    -------
    decorator : of a function (rounding, result, *arguments) that returns `Errors`, or a tuple for several results

    Examples
    --------
    >>> @rule(torch.ops.aten.sinc)
    ... def sinc(rounding, result, x):
    ...     steepest = 1.38  # |d sinc(x) / dx| is nowhere greater
    ...     return rounding.rounded(result, steepest * x.error, steepest**2 * x.variance, times=10)
    """

    def registered(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(operations, function))
        return function

    return registered


# Sums and products. Higham 2.2, the standard model; 4.2, sums; 3.5, inner products.


@rule(aten.add)
def add(r: Rounding, f: Ball, x: Any, y: Any, alpha: float = 1) -> Errors:
    """x + alpha y, as one sum of the terms of both, so that they may be added in any other order."""
    x, y = r.operand(x), r.operand(y)
    if f.tensor.numel() == 1 and x.is_exact and y.is_exact and _are_whole(x, y, alpha):
        return EXACT  # as an optimiser counts its steps
    if abs(alpha) != 1:
        y = _scaled(r, y, alpha)
    s, t, total = x.terms, y.terms, x.magnitudes + y.magnitudes
    if s == t and x.drift == y.drift == 1:
        error, rounding = total * r.gamma(s), total * (math.sqrt(s) * r.unit)
    else:
        error = r.gamma(t) * x.magnitudes + r.gamma(s) * y.magnitudes
        of_x, of_y = math.sqrt(t * y.drift) * r.unit, math.sqrt(s * x.drift) * r.unit
        rounding = x.magnitudes * of_x + y.magnitudes * of_y
    variance = rounding.square_()
    for ball, others in ((x, t), (y, s)):
        if not ball.is_exact:
            error.add_(ball.error, alpha=1 + 2 * r.gamma(others))
            variance.add_(ball.variance)
    return Errors(error, variance, s + t, total, drift=max(x.drift, y.drift))


def _are_whole(x: Ball, y: Ball, alpha: float) -> bool:
    numbers = float(x.value.detach()), float(y.value.detach()), float(alpha)
    return all(number.is_integer() and abs(number) < 2**10 for number in numbers)


def _scaled(r: Rounding, x: Ball, factor: float) -> Ball:
    value = x.value * factor
    return intermediate(value, mul(r, Ball(value), x, factor))


# A bias is added within a sum, or after it; but a sum of more terms than this is done before anything is subtracted.
FEW_TERMS = 3


@rule(aten.sub)
def sub(r: Rounding, f: Ball, x: Any, y: Any, alpha: float = 1) -> Errors:
    return add(r, f, *map(_done, (r.operand(x), r.operand(y))), -alpha)


def _done(x: Ball) -> Ball:
    return x if x.terms <= FEW_TERMS else replace(x, terms=1, sum_of_magnitudes=None, drift=1.0)


@rule(aten.rsub)
def rsub(r: Rounding, f: Ball, x: Any, y: Any, alpha: float = 1) -> Errors:
    return sub(r, f, y, x, alpha)


@rule(aten.mul)
def mul(r: Rounding, f: Ball, p: Any, q: Any) -> Errors:
    p, q = r.operand(p), r.operand(q)
    if not p.is_exact and _same(p.tensor, q.tensor):  # both factors err alike
        radius = SIGMAS * p.variance.sqrt()
        variance = ((2 * p.size + radius) * radius / SIGMAS).square()
    else:
        variance = _inherited_variance(p, q)
    return r.rounded(f, _inherited(p, q), variance, underflow=possible(f, p, q))


def _same(x: Tensor, y: Tensor) -> bool:
    return x.data_ptr() == y.data_ptr() and x.shape == y.shape and x.stride() == y.stride()


def possible(f: Ball, *factors: Ball) -> Tensor | None:
    """Where a product may underflow: a factor that is exactly 0 makes exactly 0."""
    if f.tensor.numel() == 0 or float(f.size.min()) > 0:
        return None
    return functools.reduce(torch.logical_and, (factor.any > 0 for factor in factors)).double()


def _inherited(p: Ball, q: Ball) -> Tensor:
    if p.is_exact or q.is_exact:
        return p.size * q.error if p.is_exact else p.error * q.size
    return p.any * q.error + p.error * q.exact


def _inherited_variance(p: Ball, q: Ball) -> Tensor:
    if p.is_exact or q.is_exact:
        return p.square * q.variance if p.is_exact else p.variance * q.square
    return p.square * q.variance + p.variance * (q.square + q.variance)


@rule(aten.div)
def div(r: Rounding, f: Ball, p: Any, q: Any, rounding_mode: str | None = None) -> Errors:
    """p / q, or p times 1 / q: two roundings. Without bound where the divisor may be 0."""
    if rounding_mode is not None:
        raise UnknownOperationError("a division that rounds down has no rule")
    p, q = r.operand(p), r.operand(q)
    if q.is_exact:
        return r.rounded(f, p.error / q.size, p.variance / q.square, times=2, underflow=possible(f, p))
    smallest = q.size - 2 * q.error
    inherited = torch.where(smallest > 0, (p.error + p.exact / (q.size - q.error) * q.error) / smallest, math.inf)
    likely = (q.size - SIGMAS * q.variance.sqrt()).clamp_min(0.0)
    variance = (p.variance + f.square * q.variance) / likely.square()
    return r.rounded(f, inherited, variance, times=2, underflow=possible(f, p))


@rule(aten.neg, aten.detach, aten.alias, aten.clone, aten.positive, aten.contiguous, aten.lift_fresh, aten.abs)
def unchanged(r: Rounding, f: Ball, x: Ball, **_: Any) -> Errors:
    """|x| can lie no further off than x does."""
    return Errors(x.error, x.variance, x.terms, x.sum_of_magnitudes, drift=x.drift)


@rule(aten._to_copy)
def to_copy(r: Rounding, f: Ball, x: Any, **_: Any) -> Errors:
    """A number in fewer digits is rounded once more."""
    x = r.operand(x)
    return unchanged(r, f, x) if _holds(r.dtype, x.tensor.dtype) else r.rounded(f, x.error, x.variance)


@rule(aten.copy)
def copy(r: Rounding, f: Ball, x: Ball, source: Ball, non_blocking: bool = False) -> Errors:
    return to_copy(r, f, source)


@rule(aten.fill)
def fill(r: Rounding, f: Ball, x: Ball, value: Any) -> Errors:
    return to_copy(r, f, value) if isinstance(value, Ball) else EXACT


@rule(aten.linspace, aten.arange)
def ramp(r: Rounding, f: Ball, *ends: Any, **_: Any) -> Errors:
    """start + i step; whole numbers are exact."""
    return EXACT if bool((f.value == f.value.round()).all()) else r.rounded(f, ZERO, ZERO, 3)


def _holds(wide: torch.dtype, narrow: torch.dtype) -> bool:
    return torch.promote_types(wide, narrow) == wide


@rule(aten.addcmul)
def addcmul(r: Rounding, f: Ball, x: Ball, p: Ball, q: Ball, value: float = 1) -> Errors:
    product = p.value * q.value
    return add(r, f, x, intermediate(product, mul(r, Ball(product), p, q)), value)


@rule(aten.addcdiv)
def addcdiv(r: Rounding, f: Ball, x: Ball, p: Ball, q: Ball, value: float = 1) -> Errors:
    quotient = p.value / q.value
    return add(r, f, x, intermediate(quotient, div(r, Ball(quotient), p, q)), value)


@rule(aten.lerp)
def lerp(r: Rounding, f: Ball, x: Ball, y: Ball, weight: Any) -> Errors:
    """(1 - w) x + w y, or x + w (y - x)."""
    w = r.operand(weight)
    rest = intermediate(1 - w.value, sub(r, f, 1, w))
    left, right = rest.value * x.value, w.value * y.value
    parts = intermediate(left, mul(r, Ball(left), rest, x)), intermediate(right, mul(r, Ball(right), w, y))
    errors = add(r, f, *parts)
    difference = r.gamma(3) * w.any * (x.any + y.any)
    return Errors(errors.error + difference, errors.variance + (r.unit * w.size * (x.size + y.size)).square())


def intermediate(value: Tensor, errors: Errors) -> Ball:
    """An intermediate number with its errors."""
    return Ball(value, errors.error, errors.variance, errors.terms, errors.sum_of_magnitudes, drift=errors.drift)


# Matrix products. Higham 3.5: gamma_n |p| |q| for n products added in any order.


def product(r: Rounding, f: Ball, p: Ball, q: Ball, multiply: Callable[[Tensor, Tensor], Tensor], terms: int) -> Errors:
    """Return the errors of something linear in p and in q that adds up so many products of theirs."""
    magnitude, gamma = multiply(p.size, q.size), r.sum_gamma(terms)
    error = magnitude * gamma
    # Higham and Mary 2019: sqrt(n) u in the place of n u, for data of any sign.
    variance = magnitude.square().mul_(terms * r.sum_unit**2)
    is_matrices = multiply is torch.matmul and p.tensor.dim() > 1 < q.tensor.dim()
    grown = drift_of_products(p.value, q.value) if is_matrices else 1.0
    variance *= grown
    coherence: dict[int, float] = {}
    # Other evaluations may have greater terms than this one, by no more than twice what is inherited.
    if not p.is_exact:
        error.add_(multiply(p.full(p.error), q.exact), alpha=1 + 2 * gamma)
    if not q.is_exact:
        error.add_(multiply(p.any, q.full(q.error)), alpha=1 + 2 * gamma)
    if is_matrices:
        inherited, coherence = through_product(p, q)
        variance += inherited
    else:
        if not p.is_exact:
            variance += multiply(p.full(p.variance), q.square)
        if not q.is_exact:
            variance += multiply(p.square if p.is_exact else p.square + p.variance, q.full(q.variance))
    errors = _as_sum(r, f, error, variance, terms, magnitude, 2 * terms * r.tiny)
    most = float(grown.max()) if isinstance(grown, Tensor) else grown
    return replace(errors, coherence=coherence, drift=most if errors.terms > 1 else 1.0)


def _as_sum(
    r: Rounding, f: Ball, error: Tensor, variance: Tensor, terms: int, magnitude: Tensor, underflow: float
) -> Errors:
    """The errors of a sum, with its underflow; what may overflow on the way has no bound."""
    least, most = (float(t) for t in torch.aminmax(magnitude)) if magnitude.numel() else (1.0, 1.0)
    # Where every term is exactly 0 nothing can underflow.
    possible_at = 1.0 if least > 0 else (magnitude + error > 0).double()
    error += possible_at * underflow
    if underflow**2 > 0:  # not in float64
        variance += possible_at * underflow**2
    if not most < r.huge / 2:
        error = torch.where(magnitude + 2 * error < r.huge, error, math.inf)
        variance = torch.where(magnitude < r.huge, variance, math.inf)
    if r.unit != r.sum_unit:  # added in float32, and rounded once
        return r.rounded(f, error, variance, underflow=ZERO)
    return Errors(error, variance, terms, magnitude)


@rule(aten.mm, aten.bmm, aten.mv, aten.dot, aten.vdot, aten.matmul)
def matmul(r: Rounding, f: Ball, p: Ball, q: Ball) -> Errors:
    return product(r, f, p, q, torch.matmul, p.tensor.shape[-1])


@rule(aten.addmm, aten.addmv, aten.baddbmm)
def addmm(r: Rounding, f: Ball, c: Ball, p: Ball, q: Ball, beta: float = 1, alpha: float = 1) -> Errors:
    """beta c + alpha p q: one sum of the products and of c."""
    return _plus(r, f, c, p, q, beta, alpha, torch.matmul, p.tensor.shape[-1])


def _plus(
    r: Rounding, f: Ball, c: Ball, p: Ball, q: Ball, beta: float, alpha: float, multiply: Any, terms: int
) -> Errors:
    value = f.value if alpha == 1 else multiply(p.value, q.value)  # only halves read it, for their last rounding
    errors = product(r, Ball(value), p, q, multiply, terms)
    pq = intermediate(value, errors)
    if beta != 0:
        total = add(r, f, c if beta == 1 else _scaled(r, c, beta), pq, alpha)
    else:
        total = errors if alpha == 1 else mul(r, f, pq, alpha)
    return replace(total, coherence=errors.coherence)


@rule(aten.addbmm)
def addbmm(r: Rounding, f: Ball, c: Ball, p: Ball, q: Ball, beta: float = 1, alpha: float = 1) -> Errors:
    def multiply(left: Tensor, right: Tensor) -> Tensor:
        return torch.matmul(left, right).sum(0)

    return _plus(r, f, c, p, q, beta, alpha, multiply, p.tensor.shape[0] * p.tensor.shape[-1])


# Sums over axes. Higham 4.2: gamma_(n-1) times the sum of the magnitudes, in any order.


@rule(aten.sum)
def sum_(r: Rounding, f: Ball, x: Ball, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Errors:
    axes, count = axes_of(x.tensor, dim)

    def total(t: Tensor) -> Tensor:
        return x.full(t).sum(axes, keepdim=keepdim) if axes else x.full(t)

    magnitude, gamma = total(x.size), r.sum_gamma(count - 1)
    error = (magnitude * gamma).add_(total(x.error), alpha=1 + 2 * gamma)
    again = repeated_along(x.value, axes)
    own = total(x.size * drift(again)) * magnitude * (count * r.sum_unit**2)
    variance = total(x.variance * again).add_(own)
    rho = x.coherent_along(*axes)
    if rho * count > SLIGHT:
        variance += rho * total(x.variance.sqrt()).square()
    return _as_sum(r, f, error, variance, count, magnitude, 0.0)


@rule(aten.mean)
def mean(r: Rounding, f: Ball, x: Ball, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Errors:
    _, count = axes_of(x.tensor, dim)
    total = f.value * count
    return div(r, f, intermediate(total, sum_(r, Ball(total), x, dim, keepdim)), count)


@rule(aten.cumsum)
def cumsum(r: Rounding, f: Ball, x: Ball, dim: int, dtype: Any = None) -> Errors:
    count = x.tensor.shape[dim] if x.tensor.dim() else 1
    error = x.full(x.error).cumsum(dim) + x.any.cumsum(dim) * r.gamma(count)
    return Errors(error, x.full(x.variance).cumsum(dim) + x.size.cumsum(dim).square() * (count * r.unit**2))


# A variance computed as mean(x^2) - mean(x)^2 is taken for right only where that costs no more than a digit.
CANCELLATION = 10


def variance_errors(r: Rounding, x: Ball, axes: list[int], divisor: float) -> tuple[Tensor, Errors, Errors]:
    """Return the mean, with its errors and those of the variance, over axes that are kept.

    Higham 1.9: in two passes gamma_(n+3) of itself, and the square of the mean's own error, since the deviations from
    the exact mean add up to 0; in one pass as many roundings of mean(x^2); by Welford's updates, which torch uses,
    sqrt(mean(x^2) / variance) times those of two passes (T. F. Chan, G. H. Golub and R. J. LeVeque, *Algorithms for
    computing the sample variance*, The American Statistician 37, 1983).
    """
    count = math.prod(x.tensor.shape[axis] for axis in axes)
    mu = x.value.mean(axes, keepdim=True)
    of_mean = mean(r, Ball(mu), x, axes, True)
    own = r.sum_gamma(count) * x.any.mean(axes, keepdim=True) + r.unit * mu.abs()
    deviation = (x.value - mu).abs()
    spread = deviation.square().mean(axes, keepdim=True)
    moved = 2 * deviation * x.error + x.error.square()
    moved_variance = 4 * deviation.square() * x.variance + 2 * x.variance.square()
    moved, moved_variance = (t.expand(x.tensor.shape).mean(axes, keepdim=True) for t in (moved, moved_variance / count))
    one_pass = torch.where(mu.square() <= CANCELLATION * spread, 2 * mu.square(), 0.0)

    def terms(of_two_passes: Tensor) -> Tensor:
        return torch.maximum(of_two_passes + one_pass, (of_two_passes * (of_two_passes + mu.square())).sqrt())

    error = moved + own.square() + _sum_roundings(r, count + 4) * terms(spread + moved)
    variance = moved_variance + (r.unit**2 * (count + 4)) * terms(spread).square()
    scale = count / divisor if divisor > 0 else math.inf
    return mu, of_mean, Errors(error * scale, variance * scale**2)


def _sum_roundings(r: Rounding, n: float) -> float:
    """So many roundings within a sum, one of its result, and some of its terms."""
    return r.sum_gamma(n) + (r.gamma(4) if r.unit != r.sum_unit else 0.0)


def _reduced(errors: Errors, result: Ball) -> Errors:
    shape = result.tensor.shape
    return Errors(errors.error.reshape(shape), errors.variance.reshape(shape))


def _var(r: Rounding, x: Ball, dim: Any, unbiased: bool | None, correction: float | None) -> tuple[Errors, Errors]:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    axes, count = axes_of(x.tensor, dim)
    less = correction if correction is not None else 1 if unbiased is None else int(unbiased)
    _, of_mean, of_variance = variance_errors(r, x, axes, count - less)
    return of_variance, of_mean


@rule(aten.var)
def var(
    r: Rounding, f: Ball, x: Ball, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False,
    *, correction: float | None = None,
) -> Errors:  # fmt: skip
    return _reduced(_var(r, x, dim, unbiased, correction)[0], f)


@rule(aten.var_mean)
def var_mean(
    r: Rounding, f: Sequence[Ball], x: Ball, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False,
    *, correction: float | None = None,
) -> tuple[Errors, Errors]:  # fmt: skip
    of_variance, of_mean = _var(r, x, dim, unbiased, correction)
    return _reduced(of_variance, f[0]), _reduced(of_mean, f[1])


@rule(aten.std)
def std(
    r: Rounding, f: Ball, x: Ball, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False,
    *, correction: float | None = None,
) -> Errors:  # fmt: skip
    return sqrt(r, f, intermediate(f.square, _reduced(_var(r, x, dim, unbiased, correction)[0], f)))


def axes_of(x: Tensor, dim: Any) -> tuple[list[int], int]:
    """Return the axes that a reduction runs over, and over how many numbers."""
    chosen = range(x.dim()) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    axes = [axis % x.dim() for axis in chosen] if x.dim() else []
    return axes, math.prod(x.shape[axis] for axis in axes)


# Functions of one number: how far they move over the ball, and a rounding of the mathematics library.


def function(spread: Callable[..., Tensor], roundings: int = LIBM) -> Rule:
    """Make the rule of a function.

    Parameters
    ----------
    spread : of (x, f, radius, *arguments), a bound on |f(x') - f(x)| for |x' - x| <= radius
    roundings : how many u the library's own function may be off
    """

    def errors(r: Rounding, f: Ball, x: Ball, *arguments: Any, **options: Any) -> Errors:
        inherited, variance = ZERO, ZERO
        if not x.is_exact:
            inherited = spread(x.value, f.value, x.error, *arguments, **options)
            radius = SIGMAS * x.variance.sqrt()
            variance = (spread(x.value, f.value, radius, *arguments, **options) / SIGMAS).square()
        # A function may vanish in one evaluation where it is subnormal in another. Halves are computed in float32.
        return r.rounded(f, inherited, variance, 2 if r.unit != r.sum_unit else roundings + 1)

    return errors


def _exp(x: Tensor, f: Tensor, radius: Tensor) -> Tensor:
    return f * torch.expm1(radius)


def _logarithm(x: Tensor, radius: Tensor) -> Tensor:
    part = radius / x.abs()
    return torch.where(part < 1, -torch.log1p(-part), math.inf)


def _sqrt(x: Tensor, f: Tensor, radius: Tensor) -> Tensor:
    # |sqrt a - sqrt b| is at most sqrt |a - b|, and |a - b| / (sqrt a + sqrt b).
    return torch.fmin(radius.sqrt(), radius / ((x - radius).clamp_min(0).sqrt() + f))


def _rsqrt(x: Tensor, f: Tensor, radius: Tensor) -> Tensor:
    return torch.where(radius < x, f * torch.expm1(-0.5 * torch.log1p(-radius / x)), math.inf)


def _reciprocal(x: Tensor, f: Tensor, radius: Tensor) -> Tensor:
    return torch.where(radius < x.abs(), radius / (x.abs() * (x.abs() - radius)), math.inf)


def _until_pole(cosine: Tensor, radius: Tensor) -> Tensor:
    """The slope 1 / cos^2 of the tangent, where it is steepest in the ball."""
    least = cosine - radius
    return torch.where(least > 0, radius / least.square(), math.inf)


def sigmoid_spread(x: Tensor, f: Tensor, radius: Tensor) -> Tensor:
    # d log sigma' / dx lies within +-1, so sigma' grows by less than exp(radius) over the ball.
    e = torch.exp(-x.abs())
    return torch.fmin(radius * torch.exp(radius) * e / (1 + e).square(), torch.ones_like(x))


def _tanh(x: Tensor, f: Tensor, radius: Tensor) -> Tensor:
    # The same with +-2; sech^2 x = 4 exp(-2|x|) / (1 + exp(-2|x|))^2.
    e = torch.exp(-2 * x.abs())
    return torch.fmin(4 * radius * torch.exp(2 * radius) * e / (1 + e).square(), torch.full_like(x, 2.0))


def _erf(x: Tensor, f: Tensor, radius: Tensor) -> Tensor:
    nearest = (x.abs() - radius).clamp_min(0)
    return torch.fmin(radius * (2 / math.sqrt(math.pi)) * torch.exp(-nearest.square()), torch.full_like(x, 2.0))


sqrt = function(_sqrt, 1)
rule(aten.sqrt)(sqrt)
rule(aten.rsqrt)(function(_rsqrt, 3))
rule(aten.reciprocal)(function(_reciprocal, 1))
rule(aten.exp)(function(_exp))
rule(aten.exp2)(function(lambda x, f, radius: f * torch.expm1(radius * math.log(2))))
rule(aten.expm1)(function(lambda x, f, radius: torch.exp(x) * torch.expm1(radius)))
rule(aten.log)(function(lambda x, f, radius: _logarithm(x, radius)))
rule(aten.log1p)(function(lambda x, f, radius: _logarithm(1 + x, radius)))
rule(aten.log2)(function(lambda x, f, radius: _logarithm(x, radius) / math.log(2)))
rule(aten.log10)(function(lambda x, f, radius: _logarithm(x, radius) / math.log(10)))
rule(aten.sin)(function(lambda x, f, radius: radius * (x.cos().abs() + radius).clamp_max(1.0)))
rule(aten.cos)(function(lambda x, f, radius: radius * (x.sin().abs() + radius).clamp_max(1.0)))
rule(aten.atan)(function(lambda x, f, radius: radius / (1 + (x.abs() - radius).clamp_min(0.0).square())))
rule(aten.tan)(function(lambda x, f, radius: _until_pole(x.cos().abs(), radius)))
rule(aten.sinh, aten.cosh)(function(lambda x, f, radius: radius * torch.cosh(x.abs() + radius)))
rule(aten.asinh)(function(lambda x, f, radius: radius / (1 + (x.abs() - radius).clamp_min(0.0).square()).sqrt()))
rule(aten.erf, aten.erfc)(function(_erf))


@rule(aten.sigmoid)
def sigmoid(r: Rounding, f: Ball, x: Ball) -> Errors:
    """1 / (1 + e^-x), or for one 1 - 1 / (1 + e^x).

    There sum and quotient round by u of 1 - f each, e^x by 8 u, of which f (1 - f) remain, the difference by u of f.
    """
    size, rest = f.size, (1 - f.size).abs()
    return or_cancelling(r, f, function(sigmoid_spread)(r, f, x), (2 + LIBM * size) * rest + size)


@rule(aten.tanh)
def tanh(r: Rounding, f: Ball, x: Ball) -> Errors:
    """By the library, or for one (e^x - e^-x) / (e^x + e^-x).

    There each exponential rounds by 8 u, of which half of 1 - f^2 remains, and difference, sum and quotient by u of f
    each. (e^2x - 1) / (e^2x + 1), 2 / (1 + e^-2x) - 1 and 1 - 2 / (1 + e^2x) lie within that, or within 9 u of f.
    """
    return or_cancelling(r, f, function(_tanh)(r, f, x), LIBM * (1 - f.square).abs() + 3 * f.size)


def or_cancelling(r: Rounding, f: Ball, errors: Errors, units: Tensor) -> Errors:
    """Leave room for a form that cancels, whose own rounding is so many u, where that is more than the plain form's.

    The torch function of halves is computed in float32, and what cancels in halves is another number.
    """
    more = (units - (LIBM + 1) * f.size).clamp_min(0) * r.unit
    if r.unit != r.sum_unit or not more.any():
        return errors
    # Not by chance, but with the number: as much as is guaranteed is to be expected.
    return Errors(errors.error + more * (1 + r.gamma(2 * LIBM)), errors.variance + (2 * more / SIGMAS).square())


@rule(aten.pow)
def pow_(r: Rounding, f: Ball, x: Any, exponent: Any) -> Errors:
    """x^k for a number k; b^x and x^y as exp(y log x)."""
    if isinstance(exponent, Ball):
        base = r.operand(x)
        logarithm = base.value.abs().log()
        through_base = exponent.any * _logarithm(base.value, base.error) + exponent.error * logarithm.abs()
        spread = f.size * torch.expm1(torch.where(exponent.any > 0, through_base, 0.0))
        return r.rounded(f, spread, (spread / SIGMAS).square(), LIBM + 1)
    k = float(exponent)
    if k == 2:
        return mul(r, f, x, x)
    return function(lambda v, f, radius: _power(v, radius, k))(r, f, x)


def _power(x: Tensor, radius: Tensor, k: float) -> Tensor:
    """|k| |x|^(k - 1) where it is greatest in the ball."""
    if k >= 1:
        return abs(k) * (x.abs() + radius) ** (k - 1) * radius
    nearest = x.abs() - radius
    spread = torch.where(nearest > 0, abs(k) * nearest.clamp_min(0) ** (k - 1) * radius, math.inf)
    return torch.fmin(spread, radius**k) if k > 0 else spread


@rule(aten.softplus)
def softplus(r: Rounding, f: Ball, x: Ball, beta: float = 1, threshold: float = 20) -> Errors:
    """log(1 + exp(beta x)) / beta, of slope sigma(beta x); beyond the threshold torch gives x, which others do not.

    Without log1p the sum rounds by u of 1 + exp(beta x), which the logarithm turns into u of 1, and the exponential by
    8 u, of which sigma(beta x) remains.
    """
    errors = function(lambda v, f, radius: radius * torch.sigmoid(beta * (v + radius)))(r, f, x)
    units = (1 + LIBM * torch.sigmoid(beta * x.value)) / abs(beta) + (LIBM + 1) * f.size
    errors = or_cancelling(r, f, errors, units)
    left_out = torch.where(beta * x.value > threshold, torch.exp(-beta * x.value) / beta, 0.0)
    return with_bias(errors, left_out, x)


def with_bias(errors: Errors, bias: Tensor, *inputs: Ball) -> Errors:
    """The errors with what torch leaves out added: no rounding, for it has the same sign everywhere."""
    if not bool(bias.any()):
        return errors
    variance = errors.variance + bias.square()
    return Errors(errors.error + bias.abs(), variance, coherence=of_one_sign(bias, variance, *inputs))


# Kinks and decisions: where rounding leaves the side undecided, the whole jump is the error.


def undecided(distance: Tensor, x: Ball) -> tuple[Tensor, Tensor]:
    """Where another evaluation may fall on the other side: at all, and as far as is to be expected."""
    return (distance <= 2 * x.error) & (x.error > 0), (distance <= SIGMAS * x.variance.sqrt()) & (x.variance > 0)


@rule(aten.relu)
def relu(r: Rounding, f: Ball, x: Ball) -> Errors:
    if x.is_exact:
        return EXACT
    off, off_expected = x.value + 2 * x.error < 0, x.value + SIGMAS * x.variance.sqrt() < 0
    return Errors(x.error.masked_fill(off, 0.0), x.variance.masked_fill(off_expected, 0.0))


@rule(aten.threshold_backward)
def threshold_backward(r: Rounding, f: Ball, g: Ball, x: Ball, threshold: float) -> Errors:
    """The gradient where x is greater; the slope anything from 0 to 1 where that is undecided."""
    on = x.value > threshold
    error, variance = torch.where(on, g.error, 0.0), torch.where(on, g.variance, 0.0)
    if x.is_exact:
        return Errors(error, variance)
    either, either_expected = undecided((x.value - threshold).abs(), x)
    return Errors(torch.where(either, g.any, error), torch.where(either_expected, g.square + g.variance, variance))


@rule(aten.lt, aten.le, aten.gt, aten.ge)
def compared(r: Rounding, f: Ball, x: Ball, y: Any) -> Errors:
    """True or False, which are 1 apart where that is undecided."""
    y = r.operand(y)
    difference = Ball((x.value - y.value).abs(), x.error + y.error, x.variance + y.variance)
    either, expected = undecided(difference.value, difference)
    return Errors(either.double(), expected.double()) if either.any() else EXACT


@rule(aten.eq, aten.ne)
def equal(r: Rounding, f: Ball, x: Ball, y: Any) -> Errors:
    """The same, but a number is equal to itself: the greatest of several to the one that it is, if there is but one."""
    y = r.operand(y)
    errors, same = compared(r, f, x, y), x.value == y.value
    if errors is EXACT or x.tensor.dim() != y.tensor.dim():
        return errors
    axes = [i for i, (m, n) in enumerate(zip(x.tensor.shape, y.tensor.shape, strict=True)) if m != n]
    decided = same & (same.sum(axes, keepdim=True) == 1) if axes else same
    return Errors(errors.error * ~decided, errors.variance * ~decided)


@rule(aten.logical_and, aten.logical_or, aten.logical_xor, aten.bitwise_and, aten.bitwise_or, aten.bitwise_xor)
def combined(r: Rounding, f: Ball, x: Ball, y: Any) -> Errors:
    y = r.operand(y)
    return Errors(torch.maximum(x.error, y.error), torch.maximum(x.variance, y.variance))


@rule(aten.logical_not, aten.bitwise_not)
def negated(r: Rounding, f: Ball, x: Ball) -> Errors:
    return Errors(x.error, x.variance)


@rule(aten.sgn, aten.sign)
def sign(r: Rounding, f: Ball, x: Ball) -> Errors:
    either, expected = undecided(x.size, x)
    return Errors(2 * either.double(), 4 * expected.double())


@rule(aten.floor, aten.ceil, aten.round, aten.trunc)
def whole(r: Rounding, f: Ball, x: Ball, *, decimals: int = 0) -> Errors:
    """A whole number: another one where the ball reaches over a step."""
    if decimals:
        raise UnknownOperationError("rounding to decimals has no rule")
    step = torch.tensor(0.5 if f.tensor.equal(torch.round(x.tensor)) else 0.0)
    nearest = (x.value - step - (x.value - step).round()).abs()
    either, expected = undecided(nearest, x)
    return Errors(either * (1 + 2 * x.error), expected.double())


@rule(aten.where)
def where(r: Rounding, f: Ball, condition: Ball, x: Any, y: Any) -> Errors:
    x, y = r.operand(x), r.operand(y)
    error = torch.where(condition.tensor, x.error, y.error)
    variance = torch.where(condition.tensor, x.variance, y.variance)
    if condition.is_exact:
        return Errors(error, variance)
    jump = (x.value - y.value).abs()
    other, other_variance = jump + x.error + y.error, jump.square() + x.variance + y.variance
    return Errors(
        torch.where(condition.error > 0, other, error), torch.where(condition.variance > 0, other_variance, variance)
    )


@rule(aten.masked_fill)
def masked_fill(r: Rounding, f: Ball, x: Ball, mask: Ball, value: Any) -> Errors:
    return where(r, f, mask, value, x)


@rule(aten.maximum, aten.minimum)
def extreme(r: Rounding, f: Ball, x: Ball, y: Ball) -> Errors:
    """The greater of two: no further off than the further of those that may be it."""
    left, right = f.value == x.value, f.value == y.value
    difference = Ball((x.value - y.value).abs(), x.error + y.error, x.variance + y.variance)
    either, expected = undecided(difference.value, difference)
    return Errors(
        torch.maximum((left | either) * x.error, (right | either) * y.error),
        torch.maximum((left | expected) * x.variance, (right | expected) * y.variance),
    )


@rule(aten.clamp, aten.hardtanh)
def clamp(r: Rounding, f: Ball, x: Ball, low: Any = None, high: Any = None) -> Errors:
    below = -math.inf if low is None else r.operand(low).value
    above = math.inf if high is None else r.operand(high).value
    outside = torch.where(x.value + 2 * x.error < below, True, x.value - 2 * x.error > above)
    return Errors(torch.where(outside, 0.0, x.error), torch.where(outside, 0.0, x.variance))


@rule(aten.clamp_min)
def clamp_min(r: Rounding, f: Ball, x: Ball, low: Any) -> Errors:
    return clamp(r, f, x, low)


@rule(aten.clamp_max)
def clamp_max(r: Rounding, f: Ball, x: Ball, high: Any) -> Errors:
    return clamp(r, f, x, None, high)


def candidates(x: Ball, axes: list[int], sign: int = 1) -> tuple[Tensor, Tensor]:
    """Which numbers another evaluation may take for the greatest (of sign * x): at all, and as is to be expected.

    An evaluation errs by at most twice `error` from this one, the one number up and the greatest down.
    """
    signed = sign * x.value
    behind = signed.amax(axes, keepdim=True) - signed
    error, variance = (x.full(part).amax(axes, keepdim=True) for part in (x.error, x.variance))
    return behind <= 2 * (x.error + error), behind <= SIGMAS * (x.variance + variance).sqrt()


def _greatest(sign: int) -> Rule:
    def of(r: Rounding, f: Any, x: Ball, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, Ball):  # the greater of two tensors
            return extreme(r, f, x, dim)
        axes, _ = axes_of(x.tensor, dim)
        possible, expected = candidates(x, axes, sign)
        shape = (f if isinstance(f, Ball) else f[0]).tensor.shape
        errors = Errors(
            (possible * x.full(x.error)).amax(axes).reshape(shape),
            (expected * x.full(x.variance)).amax(axes).reshape(shape),
        )
        return errors if isinstance(f, Ball) else (errors, _ambiguous(possible, expected, axes, shape, x))

    return of


def _ambiguous(possible: Tensor, expected: Tensor, axes: list[int], shape: Sequence[int], x: Ball) -> Errors:
    """An index is undecided where several numbers may be the greatest; then its error is 1."""
    if x.is_exact:
        return EXACT
    several, several_expected = ((t.sum(axes) > 1).double().reshape(shape) for t in (possible, expected))
    return Errors(several, several_expected) if several.any() else EXACT


rule(aten.amax, aten.max)(_greatest(1))
rule(aten.amin, aten.min)(_greatest(-1))


def _arg(sign: int) -> Rule:
    def errors(r: Rounding, f: Ball, x: Ball, dim: int | None = None, keepdim: bool = False) -> Errors:
        axes, _ = axes_of(x.tensor, dim)
        return _ambiguous(*candidates(x, axes, sign), axes, f.tensor.shape, x)

    return errors


rule(aten.argmax)(_arg(1))
rule(aten.argmin)(_arg(-1))


# Moves: the errors go where the numbers go, by the same operation.


def moved(operation: Any, *values: int) -> Rule:
    """Make the rule of an operation that only moves numbers; `values` says which arguments are numbers."""

    def errors(r: Rounding, f: Ball, *arguments: Any, **options: Any) -> Errors:
        options = {name: raw(option) for name, option in options.items() if name not in ("dtype", "memory_format")}

        def of(part: str) -> Tensor:
            given = [_part(a, part) if i in values else raw(a) for i, a in enumerate(arguments)]
            return operation(*given, **options)

        index_error = any(isinstance(a, Ball) and not a.is_exact for i, a in enumerate(arguments) if i not in values)
        if index_error:
            return Errors(torch.full_like(f.value, math.inf), torch.full_like(f.value, math.inf))
        if all(_is_exact(arguments[i]) for i in values if i < len(arguments)):
            return EXACT
        return Errors(of("error"), of("variance"))

    return errors


def _part(argument: Any, part: str) -> Any:
    if isinstance(argument, Ball):
        return argument.full(getattr(argument, part))
    if isinstance(argument, (list, tuple)):
        return [_part(a, part) for a in argument]
    return 0.0 if isinstance(argument, (int, float)) else argument


def _is_exact(argument: Any) -> bool:
    if isinstance(argument, (list, tuple)):
        return all(map(_is_exact, argument))
    return not isinstance(argument, Ball) or argument.is_exact


def raw(argument: Any) -> Any:
    """Return the arguments with tensors in the place of balls."""
    if isinstance(argument, Ball):
        return argument.tensor
    if isinstance(argument, (list, tuple)):
        return type(argument)(map(raw, argument))
    return argument


for operation in (
    *(aten.cat, aten.stack, aten.index, aten.index_select, aten.gather, aten.embedding, aten.repeat, aten.roll),
    *(aten.flip, aten.tril, aten.triu, aten.diag_embed),
    *(aten.unfold_copy, aten.masked_select, aten.take, aten.upsample_nearest2d, aten.im2col),
):
    rule(operation)(moved(operation, 0))
for operation in (aten.slice_scatter, aten.select_scatter, aten.diagonal_scatter):
    rule(operation)(moved(operation, 0, 1))
rule(aten.constant_pad_nd)(
    lambda r, f, x, pad, value=0: (
        EXACT if x.is_exact else Errors(*(aten.constant_pad_nd(x.full(part), pad) for part in (x.error, x.variance)))
    )
)


@rule(aten.slice_backward, aten.select_backward)
def sliced_backward(r: Rounding, f: Ball, g: Ball, *place: Any) -> Errors:
    if g.is_exact:
        return EXACT
    operation = aten.slice_backward if len(place) == 5 else aten.select_backward
    return Errors(*(operation(g.full(part), *place) for part in (g.error, g.variance)))


@rule(aten.scatter)
def scatter(r: Rounding, f: Ball, x: Ball, dim: int, index: Ball, source: Any, reduce: str | None = None) -> Errors:
    """Numbers put at their index; where that is undecided, they may be anywhere along the axis."""
    if reduce is not None:
        raise UnknownOperationError("scatter with a reduction has no rule")
    error = aten.scatter(x.full(x.error), dim, index.tensor, _source(source, "error"))
    variance = aten.scatter(x.full(x.variance), dim, index.tensor, _source(source, "variance"))
    if not index.is_exact:
        size = r.operand(source).any.expand(index.tensor.shape) + x.any.amax()
        somewhere = (size * (index.error > 0)).amax(dim, keepdim=True)
        somewhere_expected = (size * (index.variance > 0)).amax(dim, keepdim=True)
        error, variance = error + somewhere, variance + somewhere_expected.square()
    return Errors(error, variance)


def _source(source: Any, part: str) -> Any:
    return _part(source, part) if isinstance(source, Ball) else 0.0


def accumulated(operation: Any, *values: int, terms: Callable[..., int] | None = None) -> Rule:
    """Make the rule of an operation that adds numbers up where they meet, each by a factor from 0 to 1.

    Parameters
    ----------
    values : which arguments are numbers
    terms : of the arguments, how many numbers meet at most; by default as many ones as meet, added up
    """

    def errors(r: Rounding, f: Ball, *arguments: Any, **options: Any) -> Errors:
        def of(part: Callable[[Ball], Tensor]) -> Tensor:
            given = [part(a) if i in values else raw(a) for i, a in enumerate(arguments)]
            return operation(*given, **{name: raw(option) for name, option in options.items()})

        most = terms(*arguments) if terms else int(of(lambda ball: torch.ones_like(ball.value)).amax())
        roundings = r.sum_gamma(most - 1) + r.gamma(2)
        error = of(lambda ball: ball.full(ball.error)) + of(lambda ball: ball.any) * roundings
        added = of(lambda ball: ball.size).square() * ((most + 1) * r.unit**2)
        return Errors(error, of(lambda ball: ball.full(ball.variance)) + added)

    return errors


for operation, values in (
    (aten.index_add, (0, 3)),
    (aten.scatter_add, (0, 3)),
    (aten.embedding_dense_backward, (0,)),
    (aten.unfold_backward, (0,)),
    (aten.upsample_nearest2d_backward, (0,)),
    (aten.col2im, (0,)),
):
    rule(operation)(accumulated(operation, *values))


@rule(aten.index_put)
def index_put(r: Rounding, f: Ball, x: Ball, indices: Any, values: Ball, accumulate: bool = False) -> Errors:
    kind = accumulated if accumulate else moved
    return kind(aten.index_put, 0, 2)(r, f, x, indices, values, accumulate)


# Exact: what makes tensors of nothing, or asks what a tensor looks like.
EXACT_OPERATIONS = frozenset(
    {
        *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "zeros", "zeros_like", "new_zeros"),
        *("ones", "ones_like", "new_ones", "full", "full_like", "new_full", "scalar_tensor"),
        *("eye", "zero", "zero_", "rand", "randn", "rand_like", "randn_like", "bernoulli", "bernoulli_", "uniform"),
        *("uniform_", "normal", "normal_", "randint", "randint_like", "randperm", "tril_indices", "triu_indices"),
        *("isnan", "isinf", "isfinite", "_efficientzerotensor"),
    }
)
