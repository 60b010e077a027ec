"""Optimisers written by hand in NumPy, as their equations read.

Each returns the weights after every step, from the weights at the start and the gradient of each step.
`test_optimisers.py` beside this file checks each of them against torch.optim, over 100 steps.
"""

import numpy as np


def sgd(w, gradients, rate=0.1, momentum=0.9, nesterov=False):
    """w falls by rate v, for the velocity v = momentum v + g; with Nesterov's look-ahead by rate (g + momentum v)."""
    path, v = [], np.zeros_like(w)
    for g in gradients:
        v = momentum * v + g
        w = w - rate * (g + momentum * v if nesterov else v)
        path.append(w)
    return np.array(path)


def adam(w, gradients, rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    """w falls by rate m / (sqrt v + eps): m and v are the running means of g and of its square, which begin at 0.

    What they lack at the beginning is made up for by the division by 1 - beta^t. AdamW is Adam with a decay: w shrinks
    by itself, and m and v know nothing of it.
    """
    path, m, v = [], np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        w = w - rate * (m_hat / (np.sqrt(v_hat) + eps) + decay * w)
        path.append(w)
    return np.array(path)


def rmsprop(w, gradients, rate=1e-2, alpha=0.99, eps=1e-8):
    """w falls by rate g / (sqrt v + eps), for the running mean v of g^2."""
    path, v = [], np.zeros_like(w)
    for g in gradients:
        v = alpha * v + (1 - alpha) * g**2
        w = w - rate * g / (np.sqrt(v) + eps)
        path.append(w)
    return np.array(path)
