"""Three tests of one right function, two of them by finite differences; what does each let pass?

handnet audit examples/test_finite_differences.py::test_one_sample --target examples/styles/rows.py:backprop
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "styles"))

import rows


def cost(weights, x, y):
    for W, b in weights:
        x = rows.sigmoid(x @ W + b)
    return np.sum((x - y) ** 2) / 2 / len(x)


def data(sizes, samples):
    rng = np.random.default_rng(0)
    weights = [(rng.standard_normal((m, n)), rng.standard_normal(n)) for m, n in pairwise(sizes)]
    return weights, rng.standard_normal((samples, sizes[0])), rng.random((samples, sizes[-1]))


def difference(parameter, index, weights, x, y, epsilon=1e-5):
    """The slope of the cost along one number of the weights, which is put back as it was."""
    before = parameter[index]
    parameter[index] = before + epsilon
    above = cost(weights, x, y)
    parameter[index] = before - epsilon
    below = cost(weights, x, y)
    parameter[index] = before
    return (above - below) / (2 * epsilon)


def compare(sizes, samples, rtol, atol):
    weights, x, y = data(sizes, samples)
    for parameters, gradients in zip(weights, rows.backprop(weights, x, y), strict=True):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            expected = [difference(parameter, i, weights, x, y) for i in np.ndindex(parameter.shape)]
            np.testing.assert_allclose(np.ravel(gradient), expected, rtol, atol)


def test_one_sample():
    compare([2, 2, 2], samples=1, rtol=1e-5, atol=1e-8)


def test_shapes():
    weights, x, y = data([2, 5, 4, 3], samples=6)
    for parameters, gradients in zip(weights, rows.backprop(weights, x, y), strict=True):
        assert [part.shape for part in parameters] == [part.shape for part in gradients]


def test_good_data():
    compare([2, 5, 4, 3], samples=6, rtol=1e-5, atol=1e-8)
