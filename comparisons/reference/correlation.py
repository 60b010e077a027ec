"""Errors that are not independent of each other, and so add up in magnitudes where others add up in squares.

The same number, computed twice in the same way, has the same error twice. And where one error reaches many numbers, as
that of an activation reaches all preactivations above, theirs are the same as far as its weights are: with weights of
both signs they are as good as independent, with weights of one sign they are not.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from comparisons.reference.ball import SIGMAS, Ball

# What would add less than this part to a variance is left out.
SLIGHT = 0.1


def through_product(p: Ball, q: Ball) -> tuple[Tensor, dict[int, float]]:
    """Return the variance that a matrix product inherits, and by axis how coherent the errors of the result are."""
    # What is computed alike errs alike; and the errors of the rows of p are those of the rows of the result.
    coherence = {-2: max(_alike(p.value), p.coherent_along(-2)), -1: max(_alike(q.value.mT), q.coherent_along(-1))}
    variance: Tensor | float = 0.0
    if not p.is_exact:
        variance, along = _through(p.full(p.variance), p, q.value, q.square, -1)
        coherence[-1] = max(along, coherence[-1])
    if not q.is_exact:
        squares = p.square if p.is_exact else p.square + p.variance
        of_q, along = _through(q.full(q.variance).mT, q, p.value.mT, squares.mT, -2)
        variance = variance + of_q.mT
        coherence[-2] = max(along, coherence[-2])
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


def of_one_sign(bias: Tensor, variance: Tensor, *inputs: Ball) -> dict[int, float]:
    """Return by axis how coherent errors are that are for a part the same bias everywhere, and no rounding."""
    share = float(bias.square().sum() / variance.sum())
    return {axis: max(share, *(ball.coherent_along(axis) for ball in inputs)) for axis in range(bias.dim())}


def _alike(rows: Tensor) -> float:
    """Which part of the pairs of rows are the same twice."""
    counts, n = repetitions(_prints(rows)), rows.shape[-2]
    return (float(counts.mean()) - 1) / (n - 1) if isinstance(counts, Tensor) else 0.0


def drift_of_products(p: Tensor, q: Tensor) -> Tensor | float:
    """Return `drift` for the sums p q, (..., 1, 1), from how often each of their terms comes again, on average."""
    counts = repetitions(_prints(p.mT) * _prints(q))
    return drift(counts.mean(-1)[..., None, None] if isinstance(counts, Tensor) else counts)


def drift(repetitions: Tensor | float) -> Tensor | float:
    """By what factor the own variance of a sum grows where its terms come again.

    Equal numbers added one after the other are all cut off at the same place: these roundings do not cancel. Each is at
    most u times the sum so far, and all n of them, on both sides, n u times the whole: SIGMAS times n / SIGMAS.
    """
    return 1 + (repetitions - 1) / SIGMAS**2


def _columns(counts: Tensor | float) -> Tensor | float:
    return counts[..., None, :] if isinstance(counts, Tensor) else counts


def _prints(vectors: Tensor) -> Tensor:
    """A number for each vector of the last axis: the same for the same vectors, hardly ever for others, 0 for zeros."""
    return vectors @ _directions(vectors.shape[-1], vectors.device)


@cache
def _directions(n: int, device: torch.device) -> Tensor:
    return torch.arange(1, n + 1, dtype=torch.float64, device=device).sin()


def repetitions(prints: Tensor) -> Tensor | float:
    """Return how often each number comes along the last axis; 1.0 if all are different. A 0 counts as once.

    m equal terms of variance v have m^2 v together, as have m independent terms of variance m v each.
    """
    ordered, order = prints.sort(dim=-1)
    new = (ordered[..., 1:] != ordered[..., :-1]) | (ordered[..., 1:] == 0)
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
