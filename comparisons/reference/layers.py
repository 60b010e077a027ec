"""The operations of layers and costs: convolutions, pooling, softmax, norms, and the backward kernels of all.

Those that torch computes in one go are taken apart here into the equations they stand for, whose own rules then give
their errors; where a rule of its own is sharper, or leaves room for another form of the same formula, it has one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from comparisons.reference.ball import EXACT, LIBM, SIGMAS, Ball, Errors, Rounding
from comparisons.reference.operations import (
    accumulated,
    add,
    function,
    intermediate,
    mul,
    or_cancelling,
    possible,
    product,
    rule,
    sigmoid_spread,
    sum_,
    with_bias,
)

aten = torch.ops.aten
# How to write an operation with others, for those without a rule.
TAKEN_APART: dict[Any, Callable[..., Any]] = {}
# Operations that write into the running statistics they are given, which torch's schema does not say.
WRITES_UNMARKED = frozenset({aten.native_batch_norm, aten.cudnn_batch_norm})


def equations(*operations: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of tensors that computes what these operations compute."""

    def registered(function: Callable[..., Any]) -> Callable[..., Any]:
        TAKEN_APART.update(dict.fromkeys(operations, function))
        return function

    return registered


# Activations.


@rule(aten.sigmoid_backward)
def sigmoid_backward(r: Rounding, f: Ball, g: Ball, y: Ball) -> Errors:
    """g y (1 - y), in any grouping, or y - y^2 in the place of y (1 - y)."""
    rest = 1 - y.value
    slope, curvature = y.value * rest, (rest - y.value).abs_()
    # In place, as far as it goes: these tensors are as large as the layer.
    added = rest.abs_().add_(y.error, alpha=2).mul_(y.any).mul_(r.gamma(2))
    error = added.addcmul_(curvature + y.error, y.error)
    variance = curvature.square_().add_(y.variance).mul_(y.variance).addcmul_(slope, slope, value=2 * r.unit**2)
    return _times_slope(r, f, g, slope, error, variance)


@rule(aten.tanh_backward)
def tanh_backward(r: Rounding, f: Ball, g: Ball, y: Ball) -> Errors:
    """g (1 - y^2), or (1 - y)(1 + y) in the place of 1 - y^2."""
    slope = 1 - y.square
    inherited = y.error * (2 * y.size + y.error)
    added = r.gamma(2) * y.any.square() + r.gamma(2) * (slope.abs() + inherited)
    variance = y.variance * (4 * y.square + y.variance) + r.unit**2 * (y.square.square() + 2 * slope.square())
    return _times_slope(r, f, g, slope, inherited + added, variance)


def _times_slope(r: Rounding, f: Ball, g: Ball, slope: Tensor, error: Tensor, variance: Tensor) -> Errors:
    steepest = slope.abs().add_(error)
    inherited = torch.addcmul(g.any * error, g.error, steepest)
    spread = torch.addcmul(g.square * variance, g.variance, slope.square().add_(variance))
    return r.rounded(f, inherited, spread, underflow=possible(f, g, Ball(steepest)))


@rule(aten.softplus_backward)
def softplus_backward(r: Rounding, f: Ball, g: Ball, x: Ball, beta: float, threshold: float) -> Errors:
    """g sigma(beta x), or with 1 - e^-a for it; beyond the threshold torch gives g, which others do not."""
    z = Ball(beta * x.value, abs(beta) * x.error, beta**2 * x.variance)
    value, rest = Ball(torch.sigmoid(z.value)), torch.sigmoid(-z.value)
    # 1 - e^-a, for one: a rounds by 9 u of itself, or as log(1 + e^z) by u of 1 and 8 u of the slope, of which e^-a
    # remains; the exponential by 8 u, and the difference.
    units = rest * (LIBM + (LIBM + 1) * torch.nn.functional.softplus(z.value) + 1 + LIBM * value.value) + value.value
    slope = intermediate(value.value, or_cancelling(r, value, function(sigmoid_spread)(r, value, z), units))
    errors = mul(r, f, g, slope)
    left_out = torch.where(z.value > threshold, torch.exp(-z.value), 0.0)
    return with_bias(errors, left_out * g.any, g, x)


@rule(aten.elu)
def elu(r: Rounding, f: Ball, x: Ball, alpha: float = 1, scale: float = 1, stretch: float = 1) -> Errors:
    """alpha scale expm1(stretch x) below 0, or for one e^x - 1, whose exponential rounds by 8 u of itself."""
    steepest = abs(alpha * scale * stretch)

    def spread(v: Tensor, _: Tensor, radius: Tensor) -> Tensor:
        curve = steepest * torch.exp(stretch * (v + radius).clamp_max(0.0))
        return radius * torch.where(
            v > radius, abs(scale), torch.where(v + radius > 0, max(abs(scale), steepest), curve)
        )

    exponential = abs(alpha * scale) * torch.exp(stretch * x.value.clamp_max(0.0))
    above = function(spread, int(scale != 1) - 1)(r, f, x)
    below = or_cancelling(r, f, function(spread)(r, f, x), LIBM * exponential + 3 * f.size)
    line = x.value > 0
    return Errors(torch.where(line, above.error, below.error), torch.where(line, above.variance, below.variance))


# elu's slope as a + 1: a rounds by 8 u of 1, as its exponential does, and the sum once more.
ELU_ROUNDINGS = LIBM + 2


@rule(aten.elu_backward)
def elu_backward(
    r: Rounding, f: Ball, g: Ball, alpha: float, scale: float, stretch: float, is_result: bool, x: Ball
) -> Errors:
    """g times the slope: scale above 0; below, alpha scale stretch e^(stretch x), or that of a, a + 1 for short."""
    steepest = alpha * scale * stretch
    below = stretch * (x.value + alpha * scale) if is_result else steepest * torch.exp(stretch * x.value)
    growth = abs(stretch) if is_result else below.abs() * torch.expm1((abs(stretch) * 2 * x.error).clamp(max=700.0))
    error = growth * x.error if is_result else growth
    variance = (stretch if is_result else stretch * below) ** 2 * x.variance
    negative = x.value <= 0
    other_form = r.gamma(ELU_ROUNDINGS) * abs(steepest)
    # At 0 either side may be right.
    kink = torch.where(x.size <= 2 * x.error, abs(scale - steepest), 0.0)
    near = negative | (x.size <= 2 * x.error)
    slope = torch.where(negative, below, scale)
    error = torch.where(near, error + other_form, 0.0) + kink
    variance = torch.where(near, variance + other_form**2, 0.0) + kink.square()
    return _times_slope(r, f, g, slope, error, variance)


@equations(aten.softshrink_backward, aten.hardshrink_backward)
def shrink_backward(g: Tensor, x: Tensor, threshold: float) -> Tensor:
    return torch.where((x >= -threshold) & (x <= threshold), 0.0, g)


@equations(aten.leaky_relu)
def leaky_relu(x: Tensor, slope: float = 0.01) -> Tensor:
    return torch.where(x > 0, x, slope * x)


@equations(aten.leaky_relu_backward)
def leaky_relu_backward(g: Tensor, x: Tensor, slope: float, is_result: bool) -> Tensor:
    return torch.where(x > 0, g, slope * g)


@equations(aten.silu)
def silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


@equations(aten.silu_backward)
def silu_backward(g: Tensor, x: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return g * (s + x * s * (1 - s))


# torch's own kernel gives Phi(x) in float32 within 6 u of 1, and so may others who lack an erf.
GELU_ROUNDINGS = 8


@rule(aten.gelu)
def gelu(r: Rounding, f: Ball, x: Ball, approximate: str = "none") -> Errors:
    """x Phi(x), or its form with tanh."""
    slope = _gelu_slope(x.value, approximate).abs()

    def spread(radius: Tensor) -> Tensor:
        return radius * (slope + radius * _gelu_curvature(x.size, radius))

    error = spread(x.error) + r.gamma(GELU_ROUNDINGS) * x.any
    deviation = spread(SIGMAS * x.variance.sqrt()) / SIGMAS
    return r.rounded(f, error, deviation.square() + x.square * (GELU_ROUNDINGS * r.unit**2), 3)


@rule(aten.gelu_backward)
def gelu_backward(r: Rounding, f: Ball, g: Ball, x: Ball, approximate: str = "none") -> Errors:
    """g (Phi(x) + x phi(x)); the roundings of x^2 in phi count x^2 times, but x^3 phi(x) is less than 1/2."""
    slope = _gelu_slope(x.value, approximate)
    error = _gelu_curvature(x.size, x.error) * x.error + 2 * r.gamma(GELU_ROUNDINGS)
    deviation = _gelu_curvature(x.size, SIGMAS * x.variance.sqrt())
    variance = deviation.square() * x.variance + 2 * GELU_ROUNDINGS * r.unit**2
    return _times_slope(r, f, g, slope, error, variance)


def _gelu_curvature(size: Tensor, radius: Tensor) -> Tensor:
    """A bound on the second derivative over the ball, phi(x) |x^2 - 2|: both forms stay below phi(x) max(2, x^2)."""
    nearest = (size - radius).clamp_min(0.0)
    density = torch.exp(-0.5 * nearest.square()) / math.sqrt(2 * math.pi)
    return density * (size + radius).square().clamp_min(2.0)


def _gelu_slope(x: Tensor, approximate: str) -> Tensor:
    if approximate == "none":
        return 0.5 * torch.erfc(-x / math.sqrt(2)) + x * torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    t = torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)


# Softmax. Exponentials shifted by the greatest, or by nothing, or exp(x - log sum exp): P. Blanchard, D. J. Higham and
# N. J. Higham, *Accurately computing the log-sum-exp and softmax functions*, IMA J. Numer. Anal. 41, 2021.


def _shifted(r: Rounding, x: Ball, axis: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Softmax y, log sum exp, and how far each x - log sum exp may be off: at all, and its variance.

    d (x_i - lse) = e_i - sum_j y_j e_j; y within the ball grows by no more than exp(2 max e). Each shifted x is
    rounded, and so is lse, as a number of its own; the sum of exponentials is off by gamma_n and the roundings of exp.
    """
    lse = torch.logsumexp(x.value, axis, keepdim=True)
    shifted = x.value - lse
    y, count = torch.exp(shifted), x.tensor.shape[axis] if x.tensor.dim() else 1
    # What is masked with -inf is exactly 0 in every evaluation.
    masked = x.value == -math.inf
    own = (x.error + r.unit * (x.size + lse.abs() + shifted.abs())).masked_fill(masked, 0.0)
    likely = (x.variance + r.unit**2 * (x.square + lse.square() + shifted.square())).masked_fill(masked, 0.0)
    greatest = own.amax(axis, keepdim=True)
    of_sum = (y * own).sum(axis, keepdim=True) * torch.exp(2 * greatest)
    of_sum = torch.minimum(of_sum, greatest) + _roundings(r, count)
    likely_sum = (y.square() * likely).sum(axis, keepdim=True) + r.unit**2 * (count + LIBM)
    return y, lse, own + of_sum, likely + likely_sum


def _roundings(r: Rounding, count: int) -> float:
    """Those of a sum of exponentials, and of what it is divided by or its logarithm taken."""
    return r.sum_gamma(count) + r.gamma(LIBM + 2)


# _safe_softmax is there from torch 2.5 on.
@rule(aten._softmax, getattr(aten, "_safe_softmax", aten._softmax))
def softmax(r: Rounding, f: Ball, x: Ball, dim: int, *_: Any) -> Errors:
    y, _lse, error, variance = _shifted(r, x, dim)
    relative = torch.expm1(error) * torch.exp(error)
    likely = torch.expm1(SIGMAS * variance.sqrt()) / SIGMAS
    inherited = torch.fmin(f.size * relative, torch.ones_like(y))
    return r.rounded(f, inherited, (f.size * likely).square(), LIBM + 2)


@rule(aten._log_softmax)
def log_softmax(r: Rounding, f: Ball, x: Ball, dim: int, *_: Any) -> Errors:
    _y, lse, error, variance = _shifted(r, x, dim)
    # By way of log(softmax): the roundings of the quotient.
    total = error + r.gamma(LIBM) * (1 + f.size)
    return r.rounded(f, total, variance + r.unit**2 * (LIBM + lse.square()), 2)


@rule(aten.logsumexp)
def logsumexp(r: Rounding, f: Ball, x: Ball, dim: Any, keepdim: bool = False) -> Errors:
    axes = [dim] if isinstance(dim, int) else list(dim)
    lse = torch.logsumexp(x.value, axes, keepdim=True)
    y, count = torch.exp(x.value - lse), math.prod(x.tensor.shape[axis] for axis in axes)
    own = x.error + r.unit * ((x.value - lse).abs() + lse.abs())
    error = own.expand_as(y).amax(axes).reshape(f.tensor.shape) + _roundings(r, count)
    likely = x.variance + r.unit**2 * ((x.value - lse).square() + lse.square())
    variance = (y.square() * likely).sum(axes).reshape(f.tensor.shape) + r.unit**2 * (count + LIBM)
    return r.rounded(f, error, variance, LIBM)


@rule(aten._softmax_backward_data)
def softmax_backward(r: Rounding, f: Ball, g: Ball, y: Ball, dim: int, *_: Any) -> Errors:
    """y (g - sum g y), or the matrix of slopes y_i (1 - y_i), -y_i y_j times g: a sum of n + 1 products with y."""
    count = y.tensor.shape[dim] if y.tensor.dim() else 1
    total = (g.value * y.value).sum(dim, keepdim=True)
    magnitude = (g.any * y.any).sum(dim, keepdim=True)
    of_total = (g.any * y.error + g.error * y.exact).sum(dim, keepdim=True)
    likely_total = (g.square * y.variance + g.variance * y.square).sum(dim, keepdim=True)
    size = (g.size * y.size).sum(dim, keepdim=True)
    likely_total = likely_total + size.square() * (count * r.sum_unit**2)
    difference = (g.value - total).abs()
    off = g.error + of_total + (r.sum_gamma(count) + r.gamma(3)) * (g.any + magnitude)
    error = y.any * off + y.error * (difference + off)
    likely = g.variance + likely_total + 2 * r.unit**2 * (g.square + size.square())
    return r.rounded(f, error, y.square * likely + y.variance * (difference.square() + likely))


@rule(aten._log_softmax_backward_data)
def log_softmax_backward(r: Rounding, f: Ball, g: Ball, y: Ball, dim: int, *_: Any) -> Errors:
    """g - softmax sum g."""
    value = g.value.sum(dim, keepdim=True)
    total = intermediate(value, sum_(r, Ball(value), Ball(g.tensor, g.full(g.error), g.full(g.variance)), dim, True))
    s = torch.exp(y.value)
    probability = intermediate(s, function(lambda _, e, radius: e * torch.expm1(radius))(r, Ball(s), y))
    part = s * value
    return add(r, f, g, intermediate(part, mul(r, Ball(part), probability, total)), -1)


# Norms.


@equations(aten.native_layer_norm)
def layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    axes = list(range(x.dim() - len(shape), x.dim()))
    mean = x.mean(axes, keepdim=True)
    rstd = torch.rsqrt(x.var(axes, correction=0, keepdim=True) + eps)
    y = (x - mean) * rstd
    y = y if weight is None else y * weight
    return y if bias is None else y + bias, mean, rstd


@equations(aten.native_layer_norm_backward)
def layer_norm_backward(
    g: Tensor,
    x: Tensor,
    shape: Sequence[int],
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    axes = list(range(x.dim() - len(shape), x.dim()))
    samples = list(range(x.dim() - len(shape)))
    y = (x - mean) * rstd
    dy = g if weight is None else g * weight
    dx = rstd * (dy - dy.mean(axes, keepdim=True) - y * (dy * y).mean(axes, keepdim=True))
    dw, db = ((t.sum(samples) if samples else t) for t in (g * y, g))
    return [t if w else None for t, w in zip((dx, dw, db), wanted, strict=True)]


@equations(aten.native_batch_norm, aten._native_batch_norm_legit)
def batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    running_mean: Any
    running_var: Any
    running_mean, running_var = rest[:2] if len(rest) == 5 else (None, None)
    training, momentum, eps = rest[-3:]
    axes, over = _of_channels(x)
    if training or running_mean is None:
        mean, var = x.mean(axes), x.var(axes, correction=0)
        if running_mean is not None:
            count = x.numel() / x.shape[1]
            running_mean.mul_(1 - momentum).add_(momentum * mean)
            running_var.mul_(1 - momentum).add_(momentum * (var * (count / max(count - 1, 1))))
    else:
        mean, var = running_mean, running_var
    rstd = torch.rsqrt(var + eps)
    y = (x - mean.view(over)) * rstd.view(over)
    y = y if weight is None else y * weight.view(over)
    y = y if bias is None else y + bias.view(over)
    return (y, mean, rstd) if training else (y, x.new_zeros(0), x.new_zeros(0))


@equations(aten.native_batch_norm_backward)
def batch_norm_backward(
    g: Tensor,
    x: Tensor,
    weight: Tensor | None,
    running_mean: Any,
    running_var: Any,
    mean: Any,
    rstd: Any,
    training: bool,
    eps: float,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    axes, over = _of_channels(x)
    if not training:
        mean, rstd = running_mean, torch.rsqrt(running_var + eps)
    y = (x - mean.view(over)) * rstd.view(over)
    dy = g if weight is None else g * weight.view(over)
    if training:
        dy = dy - dy.mean(axes, keepdim=True) - y * (dy * y).mean(axes, keepdim=True)
    dx, dw, db = rstd.view(over) * dy, (g * y).sum(axes), g.sum(axes)
    return [t if w else None for t, w in zip((dx, dw, db), wanted, strict=True)]


def _of_channels(x: Tensor) -> tuple[list[int], list[int]]:
    """The axes over which a batch norm averages, and the shape in which a number for each channel meets x."""
    return [axis for axis in range(x.dim()) if axis != 1], [1, -1, *(1 for _ in range(x.dim() - 2))]


# Convolutions: inner products, as matrix products are. Where places of the kernel overlap in the result, torch itself
# adds halves up as halves.


@rule(aten.convolution)
def convolution(r: Rounding, f: Ball, x: Ball, w: Ball, bias: Ball | None, *how: Any) -> Errors:
    transposed, groups = how[3], how[5]
    r = r.adding_in_its_own_dtype() if transposed else r
    outputs = w.tensor.shape[1] * groups if transposed else w.tensor.shape[0]

    def multiply(p: Tensor, q: Tensor) -> Tensor:
        return aten.convolution(p, q, None, *how)

    errors = product(r, f, x, w, multiply, w.tensor.numel() // outputs)
    if bias is None:
        return errors
    over = [-1, *(1 for _ in range(w.tensor.dim() - 2))]
    error, variance = (bias.full(part).reshape(over) for part in (bias.error, bias.variance))
    return add(r, f, intermediate(f.value, errors), Ball(bias.tensor.view(over), error, variance))


@rule(aten.convolution_backward)
def convolution_backward(
    r: Rounding, f: Sequence[Ball | None], g: Ball, x: Ball, w: Ball, bias_sizes: Any, *rest: Any
) -> list[Errors | None]:
    *how, wanted = rest
    transposed, groups = how[3], how[5]
    overlapping = r if transposed else r.adding_in_its_own_dtype()
    kernel, places = math.prod(w.tensor.shape[2:]), g.tensor.shape[0] * math.prod(g.tensor.shape[2:])
    outputs = w.tensor.shape[1] if transposed else w.tensor.shape[0] // groups
    x_size, w_size = x.value, w.value

    def at_x(p: Tensor, q: Tensor) -> Tensor:
        return aten.convolution_backward(p, x_size, q, None, *how, [True, False, False])[0]

    def at_w(p: Tensor, q: Tensor) -> Tensor:
        return aten.convolution_backward(p, q, w_size, None, *how, [False, True, False])[1]

    return [
        None if f[0] is None or not wanted[0] else product(overlapping, f[0], g, w, at_x, outputs * kernel),
        None if f[1] is None or not wanted[1] else product(r, f[1], g, x, at_w, places),
        None if f[2] is None or not wanted[2] else sum_(r, f[2], g, [0, *range(2, g.tensor.dim())]),
    ]


# Pooling.


@rule(aten.max_pool2d_with_indices)
def max_pool2d(r: Rounding, f: Sequence[Ball], x: Ball, *window: Any) -> tuple[Errors, Errors]:
    """No further off than the furthest number in the window. Which one it is, only the backward pass asks."""
    if x.is_exact:
        return EXACT, EXACT
    parts = (aten.max_pool2d_with_indices(x.full(part), *window)[0] for part in (x.error, x.variance))
    return Errors(*parts), EXACT


@rule(aten.max_pool2d_with_indices_backward)
def max_pool2d_backward(
    r: Rounding,
    f: Ball,
    g: Ball,
    x: Ball,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    indices: Ball,
) -> Errors:
    """The gradient at the greatest of each window, or at any that rounding leaves undecided."""
    window = (kernel, stride or kernel, padding, dilation, ceil_mode)
    backward = aten.max_pool2d_with_indices_backward

    def back(part: Tensor) -> Tensor:
        return backward(g.full(part), x.value, *window, indices.tensor)

    # Where windows overlap, gradients are added up.
    most = math.prod(-(-k // s) for k, s in zip(_pair(kernel), _pair(stride or kernel), strict=True))
    error = back(g.error) + back(g.any) * r.gamma(most - 1)
    variance = back(g.variance) + back(g.size).square() * ((most - 1) * r.unit**2)
    if x.is_exact:
        return Errors(error, variance)
    error = error + _jumps(g.any, x, 2 * x.full(x.error), window)
    likely = _jumps(g.size, x, SIGMAS * x.full(x.variance).sqrt(), window)
    return Errors(error, variance + likely.square())


def _pair(x: Sequence[int] | int) -> tuple[int, int]:
    several = [x] if isinstance(x, int) else list(x)
    return (several[0], several[-1])


def _jumps(g: Tensor, x: Ball, radius: Tensor, window: Any) -> Tensor:
    """At each number the gradients of the windows in which it may be the greatest, where others may be it, too."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = map(_pair, window[:4])
    greatest = aten.max_pool2d_with_indices(x.value, *window)[0]
    allowed = aten.max_pool2d_with_indices(radius, *window)[0]
    height, width = greatest.shape[-2:]
    # Padded, also on the far side, where a window may stand out over the edge.
    size = x.value.shape[-2:]
    far_h, far_w = ((n - 1) * s + (k - 1) * d + 1 for n, s, k, d in ((height, sh, kh, dh), (width, sw, kw, dw)))
    pad = (pw, max(far_w - size[1] - pw, 0), ph, max(far_h - size[0] - ph, 0))
    padded, radii = (torch.nn.functional.pad(t, pad, value=v) for t, v in ((x.value, -math.inf), (radius, 0.0)))
    jumps = torch.zeros_like(padded)
    places = [
        (..., slice(i * dh, i * dh + (height - 1) * sh + 1, sh), slice(j * dw, j * dw + (width - 1) * sw + 1, sw))
        for i in range(kh)
        for j in range(kw)
    ]
    room = [(allowed + radii[place]) for place in places]
    may = [(greatest - padded[place] <= space) & (space > 0) for place, space in zip(places, room, strict=True)]
    several = torch.stack(may).sum(0) > 1
    for place, candidate in zip(places, may, strict=True):
        jumps[place] += g * (candidate & several)
    return jumps[..., ph : ph + size[0], pw : pw + size[1]]


rule(aten.avg_pool2d)(accumulated(aten.avg_pool2d, 0, terms=lambda x, kernel, *_: math.prod(_pair(kernel))))
rule(aten.avg_pool2d_backward)(
    accumulated(aten.avg_pool2d_backward, 0, 1, terms=lambda g, x, kernel, *_: math.prod(_pair(kernel)))
)
rule(aten._adaptive_avg_pool2d)(
    accumulated(
        aten._adaptive_avg_pool2d,
        0,
        terms=lambda x, size: math.prod(-(-n // m) + 1 for n, m in zip(x.tensor.shape[-2:], size, strict=True)),
    )
)
rule(aten._adaptive_avg_pool2d_backward)(accumulated(aten._adaptive_avg_pool2d_backward, 0, 1, terms=lambda g, x: 4))


# Costs.


def _reduced(losses: Tensor, reduction: int) -> Tensor:
    return losses if reduction == 0 else losses.mean() if reduction == 1 else losses.sum()


def _spread(gradient: Tensor, x: Tensor, reduction: int) -> Tensor:
    return gradient / x.numel() if reduction == 1 else gradient


@equations(aten.mse_loss)
def mse_loss(x: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    d = x - target
    return _reduced(d * d, reduction)


@equations(aten.mse_loss_backward)
def mse_loss_backward(g: Tensor, x: Tensor, target: Tensor, reduction: int) -> Tensor:
    return 2 * (x - target) * _spread(g, x, reduction)


@equations(aten.binary_cross_entropy)
def binary_cross_entropy(x: Tensor, t: Tensor, weight: Tensor | None = None, reduction: int = 1) -> Tensor:
    """log(1 - x) in the place of torch's log1p(-x)."""
    losses = -(t * x.log().clamp_min(-100) + (1 - t) * (1 - x).log().clamp_min(-100))
    return _reduced(losses if weight is None else losses * weight, reduction)


@equations(aten.binary_cross_entropy_backward)
def binary_cross_entropy_backward(
    g: Tensor, x: Tensor, t: Tensor, weight: Tensor | None = None, reduction: int = 1
) -> Tensor:
    """(x - t) / (x (1 - x)), or -t / x + (1 - t) / (1 - x)."""
    slope = (x * (1 - t) - t * (1 - x)) / (x * (1 - x)).clamp_min(1e-12)
    return _spread(g, x, reduction) * (slope if weight is None else slope * weight)


@equations(aten.hypot)
def hypot(x: Tensor, y: Tensor) -> Tensor:
    return (x * x + y * y).sqrt()


@equations(aten.linalg_vector_norm)
def vector_norm(
    x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, dtype: torch.dtype | None = None
) -> Tensor:
    axes = list(range(x.dim())) if dim is None else dim
    if ord == 2:
        return (x * x).sum(axes, keepdim=keepdim).sqrt()
    if abs(ord) == math.inf:
        return x.abs().amax(axes, keepdim=keepdim) if ord > 0 else x.abs().amin(axes, keepdim=keepdim)
    return (x.abs() ** ord).sum(axes, keepdim=keepdim) ** (1 / ord)
