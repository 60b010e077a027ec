"""Errors that are not independent of each other, and so add up in magnitudes where others add up in squares.

The same number, computed twice in the same way, has the same error twice. And where one error reaches many numbers, as
that of an activation reaches all preactivations above, theirs are the same as far as its weights are: with weights of
both signs they are as good as independent, with weights of one sign they are not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from comparisons.reference.ball import Ball

# What would add less than this part to a variance is left out.
SLIGHT = 0.1


def through_product(p: Ball, q: Ball) -> tuple[Tensor, dict[int, float]]:
    """Return the variance that a matrix product inherits, and by axis how coherent the errors of the result are."""
    coherence: dict[int, float] = {}
    variance: Tensor | float = 0.0
    if not p.is_exact:
        own, coherence[-1] = _through(p.full(p.variance), p, q.value, q.square, -1)
        variance = own
    if not q.is_exact:
        squares = p.square if p.is_exact else p.square + p.variance
        own, coherence[-2] = _through(q.full(q.variance).mT, q, p.value.mT, squares.mT, -2)
        variance = variance + own.mT
    return torch.as_tensor(variance), {axis: along for axis, along in coherence.items() if along > 0}


def _through(v: Tensor, source: Ball, w: Tensor, squares: Tensor, axis: int) -> tuple[Tensor, float]:
    """Return the variance of errors times w, and how coherent the products are along their last axis.

    With errors independent, the covariance of two products is sum_k v_k w_ki w_kj. The mean of all of them, compared
    with that of the variances, says how coherent they are: (sum_i w_ki)^2 in the place of sum_i w_ki^2. Where the
    errors themselves are coherent, a part rho of them is one error, which goes through as (sum_k s_k w_ki)^2 rho.
    """
    count, n = w.shape[-2:]
    numbers = source.value if axis == -1 else source.value.mT
    variance = torch.matmul(v * _columns(repetitions(_prints(numbers.mT))), squares)
    mass = v.sum(-2)
    alike, alone = (mass * w.sum(-1).square()).sum(), (mass * w.square().sum(-1)).sum()
    rho = source.coherent_along(axis)
    if rho * count > SLIGHT:
        common = torch.matmul(v.sqrt(), w)
        variance = torch.addcmul(variance, common, common, value=rho)
        alike, alone = alike + rho * common.sum(-1).square().sum(), alone + rho * common.square().sum()
    along = (float(alike / alone) - 1) / (n - 1) if n > 1 else 0.0
    return variance, along if along * n > SLIGHT else 0.0


def _columns(counts: Tensor | float) -> Tensor | float:
    return counts[..., None, :] if isinstance(counts, Tensor) else counts


def _prints(vectors: Tensor) -> Tensor:
    """A number for each vector of the last axis: the same for the same vectors, and hardly ever for others."""
    return vectors @ torch.arange(1, vectors.shape[-1] + 1, dtype=vectors.dtype, device=vectors.device).sin()


def repetitions(prints: Tensor) -> Tensor | float:
    """Return how often each number comes along the last axis; 1.0 if all are different.

    m equal terms of variance v have m^2 v together, as have m independent terms of variance m v each.
    """
    ordered, order = prints.sort(dim=-1)
    new = ordered[..., 1:] != ordered[..., :-1]
    if bool(new.all()):
        return 1.0
    run = torch.cat([torch.zeros_like(order[..., :1]), new.cumsum(-1)], dim=-1)
    length = torch.zeros_like(prints).scatter_add_(-1, run, torch.ones_like(prints))
    return torch.empty_like(prints).scatter_(-1, order, length.gather(-1, run))


def repeated_along(x: Tensor, axes: list[int]) -> Tensor | float:
    """Return how often what lies behind each place along the axes comes again."""
    if not axes or sorted(axes) != list(range(min(axes), max(axes) + 1)):
        return 1.0
    before, along, behind = x.shape[: min(axes)], x.shape[min(axes) : max(axes) + 1], x.shape[max(axes) + 1 :]
    rows = x.reshape(*before, along.numel(), behind.numel())
    prints = _prints(rows) if behind else rows[..., 0]
    if not behind and not bool((prints[..., 1:] == prints[..., :-1]).any()):
        return 1.0  # sorting every number would take longer than all the rest: only neighbours are compared
    counts = repetitions(prints)
    return counts.reshape(*before, *along, *(1 for _ in behind)) if isinstance(counts, Tensor) else counts
