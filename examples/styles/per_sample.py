"""One sample after the other, its vectors as they stand on paper, the gradients added up.

handnet check examples/styles/per_sample.py:backprop --layout linear
"""

import numpy as np

from comparisons import check


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def one(weights, x, y):
    """Return the gradients of a single sample, a vector x with its targets y."""
    a = [x]
    for W, b in weights:
        a.append(sigmoid(W @ a[-1] + b))
    delta, gradients = (a[-1] - y) * a[-1] * (1 - a[-1]), []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (np.outer(delta, a[l]), delta))
        delta = weights[l][0].T @ delta * a[l] * (1 - a[l])
    return gradients


def backprop(weights, inputs, targets):
    total = [(np.zeros_like(W), np.zeros_like(b)) for W, b in weights]
    for x, y in zip(inputs, targets, strict=True):
        for (W, b), (dW, db) in zip(total, one(weights, x, y), strict=True):
            W += dW / len(inputs)
            b += db / len(inputs)
    return total


def wrong(weights, inputs, targets):
    """The same, but each sample writes over the one before."""
    total = [(np.zeros_like(W), np.zeros_like(b)) for W, b in weights]
    for x, y in zip(inputs, targets, strict=True):
        for (W, b), (dW, db) in zip(total, one(weights, x, y), strict=True):
            W[:] = dW / len(inputs)
            b[:] = db / len(inputs)
    return total


if __name__ == "__main__":
    print(check(backprop, layout="linear"))
    print(check(wrong, layout="linear"))
