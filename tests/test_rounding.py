"""The tolerance is true: both sides lie inside the bounds around the value with 50 digits."""

import mpmath
import numpy as np
import pytest

from comparisons.checks import hand_quantities
from comparisons.reference.quantities import Problem
from comparisons.reference.rounding import Rounding
from comparisons.reference.truth import Truth
from comparisons.reference.twin import Twin
from comparisons.verdict.judging import measure
from handnet import Network


def exact_pass(net, x, t, rate):
    """Evaluate the network with 50 digits, straight from the definitions."""
    value = {
        "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
        "tanh": mpmath.tanh,
        "relu": lambda z: max(z, mpmath.mpf(0)),
        "identity": lambda z: z,
    }
    slope = {
        "sigmoid": lambda z: mpmath.exp(-z) / (1 + mpmath.exp(-z)) ** 2,
        "tanh": lambda z: mpmath.sech(z) ** 2,
        "relu": lambda z: mpmath.mpf(int(z > 0)),
        "identity": lambda z: mpmath.mpf(1),
    }
    exact = np.vectorize(lambda v: mpmath.mpf(float(v)), otypes=[object])
    weights, below, t = [exact(w) for w in net.weights], exact(x), exact(t)
    activations, slopes = [below], []
    for w, name in zip(weights, net.activation, strict=True):
        z = activations[-1] @ w[:-1] + w[-1]
        activations.append(np.vectorize(value[name], otypes=[object])(z))
        slopes.append(np.vectorize(slope[name], otypes=[object])(z))
    n = len(below)
    exact_values = {("cost", None): ((activations[-1] - t) ** 2).sum() / (2 * n)}
    delta = (activations[-1] - t) / n * slopes[-1]
    for l in range(len(weights), 0, -1):
        gradient = np.vstack([activations[l - 1].T @ delta, delta.sum(axis=0)])
        exact_values |= {("activation", l): activations[l], ("delta", l): delta, ("gradient", l): gradient}
        exact_values["weight", l] = weights[l - 1] - mpmath.mpf(rate) * gradient
        if l > 1:
            delta = (delta @ weights[l - 1][:-1].T) * slopes[l - 2]
    return exact_values


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("activation", [("sigmoid", "sigmoid"), ("tanh", "identity"), ("relu", "sigmoid")])
def test_both_sides_lie_inside_the_bound_around_the_exact_value(rng, dtype, scale, activation):
    with mpmath.workdps(50):
        for _ in range(3):
            net = Network([(scale * rng.standard_normal(s)).astype(dtype) for s in ((4, 3), (4, 2))], activation)
            x, t = rng.standard_normal((2, 3)).astype(dtype), rng.uniform(0, 1, (2, 2)).astype(dtype)
            problem = Problem(net.weights, activation, x, t)
            given, _ = hand_quantities(net, problem)
            twin = Twin(net.weights, activation).run(x, t, 0.5)
            bounds = Rounding(np.dtype(dtype)).bounds(net.weights, activation, twin, x, t, 0.5).quantities()
            for key, exact in exact_pass(net, x, t, 0.5).items():
                for side in (given[key], twin.quantities()[key]):
                    error = np.abs(np.vectorize(lambda v: mpmath.mpf(float(v)), otypes=[object])(side) - exact)
                    assert (error <= bounds[key]).all(), key


def test_a_bound_grows_with_what_it_inherits_and_what_it_adds():
    rounding = Rounding(np.dtype(np.float64))
    assert rounding.gamma(4) > 4 * rounding.unit
    assert rounding.gamma(2**53) == np.inf
    assert rounding.gamma(3) < Rounding(np.dtype(np.float32)).gamma(3)


def test_a_sigmoid_that_vanishes_on_one_side_and_is_subnormal_on_the_other_is_right():
    problem = Problem((np.array([[-720.0, 1.0], [0.5, -1.0]]),), ("sigmoid",), np.ones((1, 1)), np.zeros((1, 2)))
    truth = Truth(problem)
    assert truth.run.activations[0][0, 0] == 0

    class Subnormal(Network):
        def activated(self, l, z):
            e = np.exp(-np.abs(z))
            return np.where(z < 0, e, 1) / (1 + e)

    given, _ = hand_quantities(Subnormal(problem.weights), problem)
    assert 0 < given["activation", 1][0, 0] < np.finfo(np.float64).tiny
    assert {m.verdict for m in measure(truth, given)} == {"ok"}


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("z", [-1000.0, 1000.0])
def test_a_bound_stays_sharp_where_the_node_is_saturated(activation, z):
    problem = Problem([np.array([[z], [0.0]])], (activation,), np.ones((1, 1)), np.zeros((1, 1)))
    _, tolerance = Truth(problem).pairs["activation", 1]
    assert tolerance < 1e-13
