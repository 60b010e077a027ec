"""A class that holds its own weights: a function of three lines puts those it is given into it.

handnet check examples/styles/own_class.py:backprop --layout linear --activation tanh,tanh,identity
"""

import numpy as np

from comparisons import check


class Net:
    """tanh in the hidden layers, and the output as it comes."""

    def __init__(self, weights):
        self.weights = weights

    def forward(self, x):
        self.a = [x]
        for l, (W, b) in enumerate(self.weights, start=1):
            z = self.a[-1] @ W.T + b
            self.a.append(z if l == len(self.weights) else np.tanh(z))
        return self.a[-1]

    def slope(self, a):
        return 1 - a**2

    def backward(self, y):
        delta, self.gradients = (self.a[-1] - y) / len(y), []
        for (W, _), a in zip(reversed(self.weights), reversed(self.a[:-1]), strict=True):
            self.gradients.insert(0, (delta.T @ a, delta.sum(axis=0)))
            delta = delta @ W * self.slope(a)


class Careless(Net):
    """The same with the sigmoid's slope in the place of tanh's."""

    def slope(self, a):
        return a * (1 - a)


def backprop(weights, x, y, kind=Net):
    net = kind(weights)
    net.forward(x)
    net.backward(y)
    return net.gradients


def wrong(weights, x, y):
    return backprop(weights, x, y, Careless)


ACTIVATION = ("tanh", "tanh", "identity")

if __name__ == "__main__":
    print(check(backprop, layout="linear", activation=ACTIVATION))
    print(check(wrong, layout="linear", activation=ACTIVATION))
