"""A classifier: relu below, softmax at the output, cross-entropy, targets as rows of 0 and 1 or of probabilities.

handnet check examples/styles/softmax.py:backprop --layout rows --activation relu,relu,softmax --cost cross_entropy
"""

import numpy as np

from comparisons import check


def forward(weights, x):
    a = [x]
    for W, b in weights[:-1]:
        a.append(np.maximum(a[-1] @ W + b, 0))
    W, b = weights[-1]
    z = a[-1] @ W + b
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return [*a, e / e.sum(axis=1, keepdims=True)]


def backward(weights, a, delta):
    gradients = []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (a[l].T @ delta, delta.sum(axis=0)))
        delta = delta @ weights[l][0].T * (a[l] > 0)
    return gradients


def backprop(weights, x, y):
    a = forward(weights, x)
    return backward(weights, a, (a[-1] - y) / len(x))


def wrong(weights, x, y):
    """The same with a slope too many: the softmax's is in p - y already."""
    a = forward(weights, x)
    return backward(weights, a, (a[-1] - y) / len(x) * a[-1] * (1 - a[-1]))


OPTIONS = {"layout": "rows", "activation": ("relu", "relu", "softmax"), "cost": "cross_entropy"}

if __name__ == "__main__":
    print(check(backprop, **OPTIONS))
    print(check(wrong, **OPTIONS))
