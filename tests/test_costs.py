"""The costs, the activations and networks without biases or with a penalty: what autograd says of the same formulas."""

import mpmath
import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from handnet import Network, train
from handnet.costs import COSTS

ACTIVATIONS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "identity": lambda z: z,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "softplus": F.softplus,
    "softmax": lambda z: torch.softmax(z, -1),
}
LOSSES = {
    "half_squared_error": lambda z, a, t: ((a - t) ** 2).sum() / 2,
    "squared_error": lambda z, a, t: F.mse_loss(a, t, reduction="sum"),
    "mean_squared_error": lambda z, a, t: F.mse_loss(a, t) * len(a),
    "binary_cross_entropy": lambda z, a, t: F.binary_cross_entropy(a, t, reduction="sum"),
    "cross_entropy": lambda z, a, t: F.cross_entropy(z, t, reduction="sum"),
}
OUTPUTS = {"binary_cross_entropy": ["sigmoid"], "cross_entropy": ["softmax"]}
CASES = [(cost, output) for cost in COSTS for output in OUTPUTS.get(cost, ["softmax", "elu", "softplus", "leaky_relu"])]


def autograd(net, x, t, loss):
    """The cost and the gradients of the same formulas, by torch."""
    weights = [torch.tensor(w, requires_grad=True) for w in net.weights]
    a = z = torch.tensor(x)
    penalty = 0.0
    for w, name in zip(weights, net.activation, strict=True):
        plain, bias = (w[:-1], w[-1]) if net.biases else (w, 0.0)
        z = a @ plain + bias
        a = ACTIVATIONS[name](z)
        penalty = penalty + (plain**2).sum()
    cost = loss(z, a, torch.tensor(t)) / (len(x) if net.reduction == "mean" else 1) + net.l2 / 2 * penalty
    return cost.item(), [g.numpy() for g in torch.autograd.grad(cost, weights)]


@pytest.mark.parametrize(("cost", "output"), CASES)
@pytest.mark.parametrize("biases", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize(("reduction", "l2"), [("mean", 0.1), ("sum", 0.0)])
def test_cost_and_gradients_are_autograds(rng, cost, output, biases, reduction, l2):
    how = {"cost": cost, "biases": biases, "reduction": reduction, "l2": l2}
    net = Network.random([3, 5, 4], rng=rng, activation=["elu", output], **how)
    x, t = rng.standard_normal((7, 3)), rng.random((7, 4))
    t /= t.sum(axis=1, keepdims=True)
    result = net.backprop(x, t)
    expected, gradients = autograd(net, x, t, LOSSES[cost])
    assert result.cost == pytest.approx(expected, rel=1e-13)
    for g, right in zip(result.gradients, gradients, strict=True):
        assert np.allclose(g, right, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cost", COSTS)
def test_c_is_the_derivative_of_the_cost_by_the_outputs(rng, cost):
    a, t = rng.random((5, 4)), rng.random((5, 4))
    a, t = a / a.sum(axis=1, keepdims=True), t / t.sum(axis=1, keepdims=True)
    leaf = torch.tensor(a, requires_grad=True)
    right = {"cross_entropy": -(torch.tensor(t) * leaf.log()).sum()}
    torch_cost = right.get(cost)
    if torch_cost is None:
        torch_cost = LOSSES[cost](None, leaf, torch.tensor(t))
    torch_cost.backward()
    assert np.allclose(COSTS[cost].error(a, t), leaf.grad.numpy(), rtol=1e-13)


def exact(z, t, cost):
    mpmath.mp.dps = 2000
    z, t = [mpmath.mpf(float(v)) for v in z], [mpmath.mpf(float(v)) for v in t]
    if cost == "cross_entropy":
        total = sum(mpmath.exp(v) for v in z)
        return float(-sum(ti * mpmath.log(mpmath.exp(zi) / total) for zi, ti in zip(z, t, strict=True) if ti))
    a = [1 / (1 + mpmath.exp(-v)) for v in z]
    return float(-sum(ti * mpmath.log(ai) + (1 - ti) * mpmath.log(1 - ai) for ai, ti in zip(a, t, strict=True)))


@pytest.mark.parametrize(("cost", "output"), [("binary_cross_entropy", "sigmoid"), ("cross_entropy", "softmax")])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_cross_entropy_is_right_down_to_a_probability_of_1e_300(cost, output, dtype):
    net = Network([np.eye(2, dtype=dtype)], output, cost, biases=False)
    for z in ([690.0, 0.0], [-690.0, 3.0], [40.0, -40.0], [0.25, -0.5], [2000.0, -2000.0]):
        for t in ([0.0, 1.0], [1.0, 0.0], [0.25, 0.75]):
            value = net.backprop(np.array([z], dtype), np.array([t], dtype)).cost
            assert value == pytest.approx(exact(z, t, cost), rel=float(20 * np.finfo(dtype).eps)), (z, t)


def test_targets_may_be_the_numbers_of_classes(rng):
    net = Network.random([3, 4], rng=rng, activation="softmax", cost="cross_entropy")
    x, classes = rng.standard_normal((5, 3)), np.array([0, 3, 1, 1, 2])
    by_class, by_probability = net.backprop(x, classes), net.backprop(x, np.eye(4)[classes])
    assert by_class.cost == by_probability.cost
    assert (by_class.gradients[0] == by_probability.gradients[0]).all()
    assert by_class.cost == pytest.approx(
        F.cross_entropy(torch.tensor(x @ net.weights[0][:-1] + net.weights[0][-1]), torch.tensor(classes)).item()
    )
    for wrong in ([0, 4, 1, 1, 2], [0, -1, 1, 1, 2]):
        with pytest.raises(ValueError, match="expected classes from 0 to 3, one for each sample"):
            net.backprop(x, np.array(wrong))


def test_a_penalty_leaves_the_biases_alone(rng):
    plain = Network.random([3, 4, 2], rng=rng)
    penalized = Network(plain.weights, l2=0.3)
    x, t = rng.standard_normal((5, 3)), rng.random((5, 2))
    for w, g, more in zip(
        plain.weights, plain.backprop(x, t).gradients, penalized.backprop(x, t).gradients, strict=True
    ):
        assert (more[-1] == g[-1]).all()
        assert np.allclose(more[:-1] - g[:-1], 0.3 * w[:-1], rtol=1e-13)


def test_a_network_keeps_its_cost_through_a_step_and_a_file(rng, tmp_path):
    how = {"cost": "cross_entropy", "reduction": "sum", "l2": 0.25, "biases": False}
    net = Network.random([3, 4, 2], rng=rng, activation=["tanh", "softmax"], **how)
    x, t = rng.standard_normal((5, 3)), np.eye(2)[[0, 1, 1, 0, 1]]
    (stepped, _), *_ = train(net, x, t, learning_rate=0.1)
    stepped.save(tmp_path / "net.npz")
    loaded = Network.load(tmp_path / "net.npz")
    for one in (stepped, loaded):
        assert (one.cost_name, one.reduction, one.l2, one.biases) == tuple(how.values())
    assert (loaded.backprop(x, t).gradients[0] == stepped.backprop(x, t).gradients[0]).all()


def test_a_stack_gives_each_networks_own_numbers(rng):
    how = {"activation": ["leaky_relu", "softmax"], "cost": "cross_entropy", "l2": 0.1, "biases": False}
    stack = Network.random([3, 4, 2], rng=rng, stack=(6,), **how)
    x, t = rng.standard_normal((6, 5, 3)), rng.random((6, 5, 2))
    together = stack.backprop(x, t)
    for i in range(6):
        one = Network([w[i] for w in stack.weights], **how).backprop(x[i], t[i])
        assert together.cost[i] == pytest.approx(one.cost, rel=1e-14)
        assert np.allclose(together.gradients[0][i], one.gradients[0], rtol=1e-13)


W = np.ones((3, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cost": "hinge"}, "cost 'hinge' is unknown: expected one of half_squared_error"),
        ({"cost": "cross_entropy"}, "'cross_entropy' with an output activation 'sigmoid': expected 'softmax'"),
        ({"cost": "binary_cross_entropy", "activation": "tanh"}, "output activation 'tanh': expected 'sigmoid'"),
        ({"reduction": "none"}, "reduction is 'none': expected 'mean' or 'sum'"),
        ({"l2": -1.0}, "l2 is -1.0: expected a finite number, 0 or more"),
        ({"l2": "0.1"}, "l2 is '0.1'"),
        ({"biases": False, "weights": [W, W]}, r"weights\[1\] has shape \(3, 2\).*expected \(2, 2\)"),
    ],
)
def test_what_does_not_fit_is_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        Network(**{"weights": [W], **options})
