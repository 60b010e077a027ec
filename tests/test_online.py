"""Descent with a step after each sample: the weights after the last sample beside torch's own."""

import numpy as np
import pytest

from comparisons import check
from comparisons.cli import main
from comparisons.reference.quantities import Problem
from comparisons.reference.truth import Truth
from handnet import Network

SIZES = (3, 4, 2)


def online(weights, inputs, targets, learning_rate, wrong=1.0, order=1):
    net = Network(weights)
    for x, t in list(zip(inputs, targets, strict=True))[::order]:
        net = net.update([wrong * g for g in net.backprop(x, t).gradients], learning_rate)
    return {"updated": net.weights}


def test_a_step_after_each_sample_matches_where_it_is_stated():
    comparison = check(online, online=True)
    assert comparison.passed, comparison.message()
    assert comparison.replay == "check(online, online=True)"
    assert comparison.count("undecided") == 0


@pytest.mark.parametrize("wrong", [1 + 1e-9, -1.0])
def test_a_wrong_step_is_caught(wrong):
    assert not check(
        lambda w, x, t, learning_rate: online(w, x, t, learning_rate, wrong), online=True, sizes=SIZES
    ).passed


def test_the_order_of_the_samples_counts():
    backwards = check(lambda w, x, t, learning_rate: online(w, x, t, learning_rate, order=-1), online=True, sizes=SIZES)
    assert not backwards.passed


def test_a_step_after_all_samples_is_none_after_each():
    def whole(weights, inputs, targets, learning_rate):
        net = Network(weights)
        return {"updated": net.update(net.backprop(inputs, targets).gradients, learning_rate).weights}

    assert check(whole, sizes=SIZES).passed
    assert not check(whole, online=True, sizes=SIZES).passed


def test_a_mistake_in_each_step_is_named():
    def no_slope(weights, inputs, targets, learning_rate):
        net = Network(weights)
        for x, t in zip(inputs, targets, strict=True):
            a = net.forward(x[None])
            delta, gradients = net.output_delta(a[-1], t[None]), []
            for l in range(len(net.weights), 0, -1):
                gradients.insert(0, net.gradient(a[l - 1], delta))
                delta = delta @ net.w(l)
            net = net.update(gradients, learning_rate)
        return {"updated": net.weights}

    comparison = check(no_slope, online=True, sizes=SIZES)
    assert comparison.diagnosis.mistakes == ("no_hidden_slope",), comparison.message()
    assert comparison.diagnosis.first_wrong == ("delta", 1)


def test_gradients_alone_cannot_be_compared_after_several_steps():
    comparison = check(lambda w, x, t: Network(w).backprop(x, t).gradients, online=True, sizes=SIZES)
    assert not comparison.passed
    assert "online=True" in comparison.message()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_bounds_go_through_all_steps(rng, dtype):
    net = Network.random((3, 5, 2), rng=rng, dtype=dtype)
    x, t = rng.standard_normal((9, 3)).astype(dtype), rng.random((9, 2)).astype(dtype)
    truth = Truth(Problem(net.weights, net.activation, x, t, online=True))
    updated = online(net.weights, x, t, 0.5)["updated"]
    for l, own in enumerate(updated, start=1):
        right, tolerance = truth.pairs["weight", l]
        assert (np.abs(own - right) <= tolerance).all()
        assert tolerance.max() < 300 * np.finfo(dtype).eps * np.abs(right).max()


def test_its_own_learning_rate_and_its_steps_are_found_together():
    def own_rate(weights, inputs, targets):
        return online(weights, inputs, targets, 0.125)

    message = check(own_rate, sizes=SIZES).message().splitlines()
    assert message[0] == "consistent, but not as stated: it is right for learning_rate=0.125, online=True"
    assert message[1] == "Next: check(own_rate, online=True, sizes=(3, 4, 2), learning_rate=0.125)"
    assert check(own_rate, online=True, sizes=SIZES, learning_rate=0.125).passed


def test_the_command_states_it(tmp_path, capsys):
    (tmp_path / "own.py").write_text(
        "from handnet import Network\n\n\n"
        "def step(weights, inputs, targets, learning_rate):\n"
        "    net = Network(weights)\n"
        "    for x, t in zip(inputs, targets):\n"
        "        net = net.update(net.backprop(x, t).gradients, learning_rate)\n"
        "    return {'updated': net.weights}\n"
    )
    target, out = f"{tmp_path}/own.py:step", ["--sizes", "3,4,2", "--out", str(tmp_path)]
    assert main(["check", target, "--online", *out]) == 0
    assert main(["check", target, *out]) == 1
    assert "right for online=True" in capsys.readouterr().out
