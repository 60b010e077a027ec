"""The expected tolerance: right networks in other orders stay inside it, and it sees where the guaranteed is blind."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from comparisons import backward_of, check_function
from comparisons.reference.bounds import RunningErrors
from comparisons.reference.correlation import repetitions


def network(sizes, kind=nn.Sigmoid):
    return nn.Sequential(*(part for m, n in pairwise(sizes) for part in (nn.Linear(m, n), kind())))


def by_hand(parameters, x, upstream, order=None, error=0.0):
    """A sigmoid network forward and backward; `order` permutes the terms of each sum, `error` is one of dC/dW^(1)."""

    def product(p, q):
        if order is None:
            return p @ q
        terms = order.permutation(p.shape[1])
        return p[:, terms] @ q[terms]

    depth = len(parameters) // 2
    w = [parameters[f"{2 * l}.weight"] for l in range(depth)]
    a = [x]
    for l in range(depth):
        a.append(1 / (1 + np.exp(-(product(a[-1], w[l].T) + parameters[f"{2 * l}.bias"]))))
    gradients, delta = {}, upstream
    for l in reversed(range(depth)):
        delta = delta * a[l + 1] * (1 - a[l + 1])
        gradients |= {f"{2 * l}.weight": product(delta.T, a[l]), f"{2 * l}.bias": delta.sum(0)}
        delta = product(delta, w[l])
    gradients["0.weight"] = gradients["0.weight"] * x.dtype.type(1 + error)
    return a[-1], delta, gradients


def problem(rng, sizes, batch, weights="normal", dtype="f4"):
    draw = {"normal": rng.standard_normal, "positive": rng.random, "constant": np.ones}[weights]
    module = network(sizes)
    parameters = {}
    for l, (m, n) in enumerate(pairwise(sizes)):
        parameters |= {f"{2 * l}.weight": draw((n, m)) / np.sqrt(m), f"{2 * l}.bias": draw(n) / np.sqrt(m)}
    x, upstream = rng.standard_normal((batch, sizes[0])), rng.standard_normal((batch, sizes[-1]))
    parameters = {name: parameter.astype(dtype) for name, parameter in parameters.items()}
    return backward_of(module), parameters, x.astype(dtype), upstream.astype(dtype)


@pytest.mark.parametrize(
    "sizes",
    [(20,) * 31, (400, 400, 400, 10), pytest.param((1024, 1024, 1024, 10), marks=pytest.mark.slow)],
    ids=["30 layers", "400 wide", "1024 wide"],
)
def test_a_gradient_a_thousandth_off_is_suspect_where_the_guaranteed_tolerance_hardly_sees(rng, sizes):
    reference, *arguments = problem(rng, sizes, batch=20)
    assert check_function(by_hand, reference, *arguments, strict=True).passed
    comparison = check_function(lambda *a: by_hand(*a, error=1e-3), reference, *arguments)
    assert comparison.passed
    leaf = next(leaf for leaf in comparison.leaves if leaf.path == 'gradients["0.weight"]')
    assert leaf.verdict == "suspect"
    assert leaf.tolerance.max() > 1e-3 * np.abs(leaf.torch).max()
    assert leaf.expected.max() < 2e-4 * np.abs(leaf.torch).max()


@pytest.mark.parametrize("weights", ["normal", "positive", "constant"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    "sizes", [(2, 2, 2), (30, 20, 10), (12, 30, 25, 20, 30, 4)], ids=lambda s: "-".join(map(str, s))
)
def test_right_networks_are_not_suspect_in_any_order(rng, sizes, dtype, weights):
    for _ in range(4):
        reference, *arguments = problem(rng, sizes, 8, weights, dtype)
        comparison = check_function(lambda *a: by_hand(*a, order=rng), reference, *arguments)
        assert comparison.count("suspect") == comparison.count("wrong") == 0


def variance_of(function):
    with RunningErrors() as errors:
        result = function()
    return errors.ball(result).variance


def test_one_error_that_reaches_many_numbers_comes_back_as_many(rng):
    """Errors of x reach all of z, and all of z the same way where the weights are of one sign."""
    x = torch.tensor(rng.standard_normal((1, 50)))
    signed, positive = (torch.tensor(draw((50, 50)) / 50) for draw in (rng.standard_normal, rng.random))
    ones = torch.ones(50, 1, dtype=torch.float64)

    def through(w):
        return variance_of(lambda: (((x + 1e6) - 1e6) @ w) @ ones) / (w @ ones).square().sum()

    # Var(sum_j z_j) = sum_k v_k (sum_j w_kj)^2, whatever the signs.
    error = variance_of(lambda: (x + 1e6) - 1e6).mean()
    assert float(through(positive) / error) == pytest.approx(1, rel=0.3)
    assert 0.2 < float(through(signed) / error) < 5


def test_samples_that_are_the_same_err_alike_whatever_they_are_multiplied_with(rng):
    """As where a layer is saturated: 400 equal errors add up to 400, and not to 20."""
    x, w = torch.tensor(rng.standard_normal((400, 5))), torch.tensor(rng.standard_normal((5, 3)))
    upstream = torch.tensor(1 + rng.random((400, 3)))

    def spread(x):
        return variance_of(lambda: ((((x + 1e6) - 1e6) @ w) * upstream).sum(0)).sqrt()

    growth = spread(x[:1].expand(400, 5)) / spread(x)
    assert (growth > 15).all()
    assert (growth < 30).all()


def test_what_torchs_softplus_leaves_out_is_no_rounding_and_adds_up(rng):
    """Beyond 20 it gives z for log(1 + e^z), which is always less."""
    z, w = rng.uniform(20.5, 22, (3, 500)), rng.random((500, 4))

    def softplus(z):
        return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))

    comparison = check_function(lambda z, w: softplus(z) @ w, lambda z, w: functional.softplus(z) @ w, z, w)
    assert comparison.passed
    assert comparison.count("suspect") == 0
    off = check_function(lambda z, w: (softplus(z) + 2e-9) @ w, lambda z, w: functional.softplus(z) @ w, z, w)
    assert not off.passed


def test_numbers_that_come_again_are_counted_but_zeros():
    assert repetitions(torch.tensor([0.0, 1.0, 0.0, 2.0, 1.0])).tolist() == [1, 2, 1, 1, 2]
    assert repetitions(torch.tensor([3.0, 1.0, 3.0, 3.0, 2.0, 1.0])).tolist() == [3, 2, 3, 3, 1, 2]
    assert repetitions(torch.tensor([3.0, 1.0])) == 1


def test_what_underflows_in_one_evaluation_alone_is_not_suspect():
    x = np.array([-88.0, -90.0, -100.0], dtype="f4")

    def vanishing(x):
        """0 where exp(-x) overflows."""
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-x))

    def subnormal(x):
        return x.exp() / (1 + x.exp())

    assert subnormal(torch.tensor(x))[1] > 0 == vanishing(x)[1]
    assert check_function(vanishing, subnormal, x).count("suspect") == 0
    assert check_function(lambda x: 1e9 * vanishing(x), lambda x: 1e9 * subnormal(x), x).count("suspect") == 0


def test_one_number_that_requires_its_gradient_makes_no_warning():
    one, other = (
        torch.tensor([[2.0]], dtype=torch.float64, requires_grad=True),
        torch.tensor([[0.25]], dtype=torch.float64),
    )
    with RunningErrors() as errors:
        apart = one - other
        whole = one + 1
    assert errors.ball(apart).error.item() > 0
    assert errors.ball(whole).is_exact
