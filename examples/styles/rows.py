"""Samples in rows, as data frames have them: W (m, n) and b (n,), X @ W + b.

handnet check examples/styles/rows.py:backprop --layout rows
"""

import numpy as np

from comparisons import check


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def sigmoid_prime(z):
    return sigmoid(z) * (1 - sigmoid(z))


def backprop(weights, x, y):
    z, a = [], [x]
    for W, b in weights:
        z.append(a[-1] @ W + b)
        a.append(sigmoid(z[-1]))
    delta, gradients = (a[-1] - y) / len(x) * sigmoid_prime(z[-1]), []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (a[l].T @ delta, delta.sum(axis=0)))
        if l:
            delta = delta @ weights[l][0].T * sigmoid_prime(z[l - 1])
    return gradients


def wrong(weights, x, y):
    """The same, but the slope is taken at a and not at z."""
    a = [x]
    for W, b in weights:
        a.append(sigmoid(a[-1] @ W + b))
    delta, gradients = (a[-1] - y) / len(x) * sigmoid_prime(a[-1]), []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (a[l].T @ delta, delta.sum(axis=0)))
        delta = delta @ weights[l][0].T * sigmoid_prime(a[l])
    return gradients


if __name__ == "__main__":
    print(check(backprop, layout="rows"))
    print(check(wrong, layout="rows"))
