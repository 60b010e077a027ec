"""Gradient descent on a Network, in minibatches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from handnet import checking
from handnet.activations import FloatArray
from handnet.network import Network


def train(
    net: Network,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    learning_rate: float = 0.5,
    epochs: int = 1,
    batch_size: int | None = None,
    rng: np.random.Generator | None = None,
) -> Iterator[tuple[Network, FloatArray]]:
    """Train by gradient descent, yielding after each epoch.

    Parameters
    ----------
    net : the network to start from; it is not changed
    inputs : array (..., N, m_0)
    targets : array (..., N, m_L)
    learning_rate : gamma
    epochs : how many times to go through the samples
    batch_size : samples a step; None takes them all at once
    rng : shuffles the samples before each epoch; None keeps their order

    Yields
    ------
    network : Network
        The network after the epoch.
    cost : array (...)
        The mean cost over the samples of the epoch, each as its step began.

    Raises
    ------
    ValueError, TypeError
        As `Network.backprop`; also if epochs or batch_size is less than 1.

    Examples
    --------
    >>> net = Network.random([2, 3, 1], rng=np.random.default_rng(1))
    >>> xor = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> for net, cost in train(net, xor, np.array([[0.0], [1.0], [1.0], [0.0]]), learning_rate=4.0, epochs=2000):
    ...     pass
    >>> bool(cost < 0.01)
    True
    """
    inputs = checking.samples("inputs", inputs, net.sizes[0], net.weights[0])
    targets = checking.targets(targets, net.sizes[-1], net.weights[0], inputs)
    size = inputs.shape[-2] if batch_size is None else batch_size
    checking.count("epochs", epochs)
    checking.count("batch_size", size)
    checking.rate(learning_rate)
    if rng is not None:
        checking.generator(rng)
    return _epochs(net, inputs, targets, learning_rate, epochs, size, rng)


def _epochs(
    net: Network,
    inputs: FloatArray,
    targets: FloatArray,
    learning_rate: float,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator | None,
) -> Iterator[tuple[Network, FloatArray]]:
    samples = inputs.shape[-2]
    for _ in range(epochs):
        order = np.arange(samples) if rng is None else rng.permutation(samples)
        costs = []
        for start in range(0, samples, batch_size):
            batch = order[start : start + batch_size]
            result = net.backprop(inputs[..., batch, :], targets[..., batch, :])
            net = net.update(result.gradients, learning_rate)
            costs.append(result.cost * (len(batch) / samples))
        yield net, np.sum(costs, axis=0)
