"""The tolerance is true: right evaluations stay inside it, over very many random networks."""

from itertools import pairwise

import mpmath
import numpy as np
import pandas as pd
import pytest

from comparisons.checks import hand_quantities
from comparisons.reference.quantities import Problem
from comparisons.reference.rounding import Rounding
from comparisons.reference.truth import Truth
from comparisons.reference.twin import Twin
from comparisons.verdict.judging import measure
from handnet import Network
from handnet.activations import ACTIVATIONS

SCALES = (0.001, 0.1, 1.0, 5.0, 40.0)


def random_problem(rng, work):
    """Draw an architecture, a stack of networks of it, and samples.

    As many networks as `work` multiplications are enough for; an architecture that takes 15 times as many for one alone
    is drawn again: a few of these would take half the time of the default survey.
    """
    cost = np.inf
    while cost > 15 * work:
        layers = rng.integers(1, 7)
        sizes = np.exp(rng.uniform(0, np.log(300.99), layers + 1)).astype(int)
        batch = int(np.exp(rng.uniform(0, np.log(1000.99))))
        cost = batch * (sizes[:-1] * sizes[1:]).sum() + sum(m * n for m, n in pairwise(sizes))
    stack = int(np.clip(work // cost, 1, 400))
    dtype = rng.choice([np.float32, np.float64])
    scale = rng.choice(SCALES)
    activation = tuple(rng.choice([name for name in ACTIVATIONS if name != "softmax"], layers))
    data = rng.choice(["random", "same sign", "constant"])

    def draw(shape):
        if data == "constant":
            return np.ones(shape)
        values = rng.standard_normal(shape)
        return np.abs(values) if data == "same sign" else values

    weights = [(scale * draw((stack, m + 1, n))).astype(dtype) for m, n in pairwise(sizes)]
    inputs, targets = draw((stack, batch, sizes[0])).astype(dtype), draw((stack, batch, sizes[-1])).astype(dtype)
    regime = {"dtype": np.dtype(dtype).name, "scale": scale, "data": data, "layers": layers}
    return Problem(tuple(weights), activation, inputs, targets), regime


def survey(networks, seed, work):
    """Return, for each architecture drawn, the greatest error / tolerance and the share of undecided numbers."""
    rng = np.random.default_rng(seed)
    rows, done = [], 0
    while done < networks:
        problem, regime = random_problem(rng, work)
        given, _ = hand_quantities(Network(problem.weights, problem.activation), problem)
        measured = measure(Truth(problem), given)
        stack = len(problem.weights[0])
        done += stack
        ratio = max(m.ratio.max() for m in measured)
        local = max(m.local_ratio.max() for m in measured)
        undecided = sum((m.verdicts == 1).sum() for m in measured)
        rows.append({**regime, "networks": stack, "ratio": ratio, "local": local, "undecided": undecided})
        rows[-1]["numbers"] = sum(m.hand.size for m in measured)
    return pd.DataFrame(rows)


def report(frame):
    print(f"\n{frame['networks'].sum():,} networks, {frame['numbers'].sum():,} numbers")
    print(f"greatest error / tolerance: {frame['ratio'].max():.3f} globally, {frame['local'].max():.3f} locally")
    regimes = frame.groupby(["dtype", "scale"])[["networks", "numbers", "undecided"]].sum()
    print(regimes.assign(share=regimes["undecided"] / regimes["numbers"]).to_string())


def test_right_networks_stay_inside_the_tolerance():
    frame = survey(networks=2000, seed=1, work=200_000)
    assert frame["ratio"].max() <= 1
    assert frame["local"].max() <= 1
    ordinary = frame[frame["scale"] <= 0.1]
    assert ordinary["undecided"].sum() < 0.05 * ordinary["numbers"].sum()


@pytest.mark.slow
def test_a_hundred_thousand_right_networks_stay_inside_the_tolerance():
    frame = survey(networks=100_000, seed=2, work=4_000_000)
    report(frame)
    assert frame["ratio"].max() <= 1
    assert frame["local"].max() <= 1


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
