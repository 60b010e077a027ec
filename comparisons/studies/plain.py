"""A training step written plainly in NumPy, for one network of sigmoids: how fast the note's equations can be.

No checks, no layers that differ, no stacks; weights and biases apart. It shares no code with `handnet`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handnet.activations import FloatArray

Layers = list[FloatArray]


def plain_step(
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    inputs: FloatArray,
    targets: FloatArray,
    learning_rate: float = 0.5,
) -> tuple[Layers, Layers, FloatArray]:
    """Return weights and biases after one step of gradient descent, and the cost before it.

    Parameters
    ----------
    weights : arrays (m_(l-1), m_l), one per layer
    biases : arrays (m_l,)
    inputs, targets : arrays (N, m_0) and (N, m_L)
    learning_rate : gamma

    Examples
    --------
    >>> half = np.full((1, 1), 0.5)
    >>> _, (bias,), cost = plain_step([half], [half[0]], half, half)
    >>> print(bias.round(4), cost.round(4))
    [0.4805] 0.0161
    """
    a = [inputs]
    for w, b in zip(weights, biases, strict=True):
        a.append(1 / (1 + np.exp(-(a[-1] @ w + b))))
    error = a[-1] - targets
    cost = np.square(error).sum() / (2 * len(inputs))
    delta = error / len(inputs) * a[-1] * (1 - a[-1])
    new_weights, new_biases = list(weights), list(biases)
    for l in range(len(weights) - 1, -1, -1):
        new_weights[l] = weights[l] - learning_rate * (a[l].T @ delta)
        new_biases[l] = biases[l] - learning_rate * delta.sum(axis=0)
        if l > 0:
            delta = delta @ weights[l].T * a[l] * (1 - a[l])
    return new_weights, new_biases, cost
