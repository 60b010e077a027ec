"""The questions that `check` asks: networks and samples on which every known mistake shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from comparisons.measure import Problem, Truth
from handnet import Network

# All widths differ, so that a transpose raises; then all are equal, so that it computes and can be named.
UNEQUAL, SQUARE = (2, 5, 4, 3), 4
SAMPLES = 6


@dataclass(frozen=True)
class Probe:
    """Two steps of one architecture, then the first question again, and a single sample.

    Attributes
    ----------
    name : the sizes, 2-5-4-3
    truths : what autograd says of the three steps
    single : the same of a single sample
    learning_rate : as the implementation is told
    """

    name: str
    truths: tuple[Truth, ...]
    single: Truth
    learning_rate: float


@lru_cache(maxsize=32)
def probe(
    sizes: tuple[int, ...],
    activation: str | tuple[str, ...] = "sigmoid",
    batch: int | None = None,
    dtype: Any = np.float64,
    learning_rate: float = 0.5,
    seed: int = 0,
    reduction: str = "mean",
) -> Probe:
    """Return the probe of this architecture; the number of samples equals no width unless it is given.

    Raises
    ------
    ValueError
        If the sizes, the activation or the batch make no sense.

    Examples
    --------
    >>> made = probe((3, 5, 2))
    >>> [truth.problem.inputs.shape for truth in made.truths]
    [(6, 3), (6, 3), (6, 3)]
    """
    if batch is not None and batch < 1:
        raise ValueError(f"batch is {batch}: expected 1 or more")
    rng = np.random.default_rng(seed)
    net = Network.random(sizes, rng=rng, activation=activation, dtype=dtype)
    samples = batch or next(n for n in range(SAMPLES, SAMPLES + len(sizes) + 1) if n not in sizes)

    def step(net: Network, samples: int) -> Truth:
        inputs = rng.uniform(-1, 1, (samples, sizes[0])).astype(net.dtype)
        targets = rng.uniform(0, 1, (samples, sizes[-1])).astype(net.dtype)
        # Where the cost is a sum, its gradient is N times that of the mean, and so is the step.
        rate = learning_rate * (samples if reduction == "sum" else 1)
        return Truth(Problem(net.weights, net.activation, inputs, targets, rate))

    first = step(net, samples)
    second = step(Network(first.run.updated, activation), samples)
    return Probe("-".join(map(str, sizes)), (first, second, first), step(net, 1), learning_rate)


def architectures(activation: str | Sequence[str]) -> list[tuple[int, ...]]:
    """Return the sizes to probe where none are asked for: unequal widths, and equal ones.

    Examples
    --------
    >>> architectures("tanh")
    [(2, 5, 4, 3), (4, 4, 4, 4)]
    >>> architectures(["tanh", "sigmoid"])
    [(2, 5, 3), (4, 4, 4)]
    """
    if isinstance(activation, str):
        return [UNEQUAL, square(len(UNEQUAL) - 1)]
    layers = len(activation)
    hidden = [(5, 4)[i] if i < 2 else 5 + i for i in range(layers - 1)]
    return [(UNEQUAL[0], *hidden, UNEQUAL[-1]), square(layers)]


def square(layers: int) -> tuple[int, ...]:
    """Return equal widths for this many layers."""
    return (SQUARE,) * (layers + 1)
