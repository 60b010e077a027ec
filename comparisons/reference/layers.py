"""The operations of layers and costs: convolutions, pooling, softmax, norms, and the backward kernels of all.

Those that torch computes in one go are taken apart here into the equations they stand for, whose own rules then give
their errors; where a rule of its own is sharper, or leaves room for another form of the same formula, it has one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from comparisons.reference.ball import Ball, Errors, Rounding
from comparisons.reference.operations import possible, rule

aten = torch.ops.aten
# How to write an operation with others, for those without a rule.
TAKEN_APART: dict[Any, Callable[..., Any]] = {}


def equations(*operations: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of tensors that computes what these operations compute."""

    def registered(function: Callable[..., Any]) -> Callable[..., Any]:
        TAKEN_APART.update(dict.fromkeys(operations, function))
        return function

    return registered


# Activations, backward.


@rule(aten.sigmoid_backward)
def sigmoid_backward(r: Rounding, f: Ball, g: Ball, y: Ball) -> Errors:
    """g y (1 - y), in any grouping, or y - y^2 in the place of y (1 - y)."""
    slope = y.value * (1 - y.value)
    inherited = y.error * ((1 - 2 * y.value).abs() + y.error)
    added = r.gamma(2) * y.any * ((1 - y.value).abs() + 2 * y.error)
    variance = y.variance * ((1 - 2 * y.value).square() + y.variance) + 2 * (r.unit * slope).square()
    return _times_slope(r, f, g, slope, inherited + added, variance)


@rule(aten.tanh_backward)
def tanh_backward(r: Rounding, f: Ball, g: Ball, y: Ball) -> Errors:
    """g (1 - y^2), or (1 - y)(1 + y) in the place of 1 - y^2."""
    slope = 1 - y.square
    inherited = y.error * (2 * y.size + y.error)
    added = r.gamma(2) * y.any.square() + r.gamma(2) * (slope.abs() + inherited)
    variance = y.variance * (4 * y.square + y.variance) + r.unit**2 * (y.square.square() + 2 * slope.square())
    return _times_slope(r, f, g, slope, inherited + added, variance)


def _times_slope(r: Rounding, f: Ball, g: Ball, slope: Tensor, error: Tensor, variance: Tensor) -> Errors:
    size = slope.abs()
    inherited = g.any * error + g.error * (size + error)
    return r.rounded(
        f,
        inherited,
        g.square * variance + g.variance * (slope.square() + variance),
        underflow=possible(f, g, Ball(slope, error, variance)),
    )


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
