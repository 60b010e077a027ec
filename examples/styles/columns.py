"""As in most textbooks: W (n, m) and b (n, 1), samples in columns, dZ, dW and db.

handnet check examples/styles/columns.py:backprop --layout columns
"""

import numpy as np

from comparisons import check


def sigmoid(Z):
    return 1 / (1 + np.exp(-Z))


def forward(weights, X):
    A = [X]
    for W, b in weights:
        A.append(sigmoid(W @ A[-1] + b))
    return A


def backprop(weights, X, Y):
    m, A = X.shape[1], forward(weights, X)
    dZ, gradients = (A[-1] - Y) * A[-1] * (1 - A[-1]), []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (dZ @ A[l].T / m, dZ.sum(axis=1, keepdims=True) / m))
        dZ = (weights[l][0].T @ dZ) * A[l] * (1 - A[l])
    return gradients


def wrong(weights, X, Y):
    """The same, but the gradient of the biases is summed over the samples, and not averaged."""
    m, A = X.shape[1], forward(weights, X)
    dZ, gradients = (A[-1] - Y) * A[-1] * (1 - A[-1]), []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (dZ @ A[l].T / m, dZ.sum(axis=1, keepdims=True)))
        dZ = (weights[l][0].T @ dZ) * A[l] * (1 - A[l])
    return gradients


if __name__ == "__main__":
    print(check(backprop, layout="columns"))
    print(check(wrong, layout="columns"))
