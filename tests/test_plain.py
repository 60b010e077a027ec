"""The plain step that the network's speed is set beside: it computes the same, and would show if it did not."""

import numpy as np
import pytest

from comparisons.studies.plain import plain_step
from handnet import Network

SIZES, BATCH = (7, 5, 4, 3), 6


def both(rng, dtype, net_rate, plain_rate):
    net = Network.random(SIZES, rng=rng, dtype=dtype)
    x, t = rng.standard_normal((BATCH, SIZES[0])).astype(dtype), rng.random((BATCH, SIZES[-1])).astype(dtype)
    result = net.backprop(x, t)
    weights = [w[:-1] for w in net.weights]
    biases = [w[-1] for w in net.weights]
    return net.update(result.gradients, net_rate), result.cost, plain_step(weights, biases, x, t, plain_rate)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_plain_step_is_the_networks_but_for_rounding(rng, dtype):
    net, cost, (weights, biases, plain_cost) = both(rng, dtype, 0.5, 0.5)
    few = 8 * np.finfo(dtype).eps
    assert np.isclose(plain_cost, cost, rtol=few, atol=0)
    for W, w, b in zip(net.weights, weights, biases, strict=True):
        assert w.dtype == b.dtype == dtype
        assert np.allclose(W, np.vstack([w, b]), rtol=0, atol=few)


def test_another_step_would_show(rng):
    net, _, (weights, biases, _) = both(rng, np.float64, 0.5, 0.5 * (1 + 1e-9))
    for W, w, b in zip(net.weights, weights, biases, strict=True):
        assert not np.allclose(W, np.vstack([w, b]), rtol=0, atol=8 * np.finfo(float).eps)
