"""As right.py, with one mistake: the hidden layers have the slope of another activation."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def backprop(weights, inputs, targets):
    """Return activations, cost, deltas and the gradients of each layer's W and b."""
    samples, activations = inputs.shape[1], [inputs]
    for W, b in weights:
        activations.append(sigmoid(W @ activations[-1] + b))
    error = activations[-1] - targets
    delta = error * activations[-1] * (1 - activations[-1]) / samples
    deltas, gradients = [], []
    for l in range(len(weights) - 1, -1, -1):
        a = activations[l]
        deltas.insert(0, delta)
        gradients.insert(0, (delta @ a.T, delta.sum(axis=1, keepdims=True)))
        delta = weights[l][0].T @ delta * (1 - a**2)
    cost = (error**2).sum() / (2 * samples)
    return {"activations": activations[1:], "cost": cost, "deltas": deltas, "gradients": gradients}
