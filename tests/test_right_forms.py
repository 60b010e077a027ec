"""Activations as people write them, some of which cancel: right code that must not be called wrong."""

import numpy as np
import pytest

from comparisons import check, compare
from handnet import Network


def logistic(z):
    return 1 / (1 + np.exp(-z))


# Each equals its activation; near 0, or where a sigmoid vanishes, what a difference leaves has lost its last digits.
FORMS = {
    "tanh": {
        "four exponentials": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
        "two exponentials of 2z": lambda z: (np.exp(2 * z) - 1) / (np.exp(2 * z) + 1),
        "two exponentials of -2z": lambda z: (1 - np.exp(-2 * z)) / (1 + np.exp(-2 * z)),
        "2 sigmoid(2z) - 1": lambda z: 2 * logistic(2 * z) - 1,
        "1 - 2 / (1 + e^2z)": lambda z: 1 - 2 / (1 + np.exp(2 * z)),
        "sinh / cosh": lambda z: np.sinh(z) / np.cosh(z),
        "numpy's": np.tanh,
    },
    "sigmoid": {
        "1 - 1 / (1 + e^z)": lambda z: 1 - 1 / (1 + np.exp(z)),
        "e^z / (1 + e^z)": lambda z: np.exp(z) / (1 + np.exp(z)),
        "half of 1 + tanh(z / 2)": lambda z: 0.5 * (1 + np.tanh(z / 2)),
        "1 - sigmoid(-z)": lambda z: 1 - logistic(-z),
        "plain": logistic,
    },
    "elu": {"e^z - 1": lambda z: np.where(z > 0, z, np.exp(z) - 1)},
    # Beyond 80 an exponential of float32 would overflow.
    "softplus": {"log(1 + e^z)": lambda z: np.where(z > 80, z, np.log(1 + np.exp(np.minimum(z, 80))))},
}
EACH = [(name, form) for name, forms in FORMS.items() for form in forms]
SEEDS = 60


def written_as(function, net):
    """The network, with its activation written like this."""

    class Written(Network):
        def activated(self, l, z):
            return function(z)

    return Written(net.weights, net.activation, net.cost_name)


def drawn(activation, dtype, scale):
    """A network and samples for each seed, one stack of them."""
    rng = np.random.default_rng(7)
    net = Network.random([2, 5, 4, 3], rng=rng, activation=activation, dtype=dtype, stack=(SEEDS,))
    net = Network([(scale * w).astype(dtype) for w in net.weights], activation)
    return net, rng.uniform(-1, 1, (SEEDS, 6, 2)).astype(dtype), rng.uniform(0, 1, (SEEDS, 6, 3)).astype(dtype)


# The bounds of the note's cost are written out, those of any other made operation by operation.
@pytest.mark.parametrize("cost", ["half_squared_error", "squared_error"])
@pytest.mark.parametrize("scale", [1e-3, 0.03, 1.0, 4.0], ids="weights x{}".format)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("activation", "form"), EACH, ids=[": ".join(pair) for pair in EACH])
def test_a_right_activation_is_right_however_it_is_written(activation, form, dtype, scale, cost):
    net, x, t = drawn(activation, dtype, scale)
    net = Network(net.weights, net.activation, cost)
    comparison = compare(written_as(FORMS[activation][form], net), x, t)
    for verdict in ("wrong", "inherited", "suspect"):
        assert not comparison.count(verdict), comparison.message()


# The slope from z, and not from the activation, of which rounding may have left nothing.
SLOPES = {
    "tanh": {
        "4 / (e^z + e^-z)^2": lambda z: 4 / (np.exp(z) + np.exp(-z)) ** 2,
        "1 - tanh^2": lambda z: 1 - np.tanh(z) ** 2,
    },
    "sigmoid": {
        "e^-z / (1 + e^-z)^2": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
        "sigmoid(z) sigmoid(-z)": lambda z: logistic(z) * logistic(-z),
    },
    "softplus": {"sigmoid(z)": logistic},
}
CANCELLING = {
    "tanh": ["four exponentials", "numpy's"],
    "sigmoid": ["1 - 1 / (1 + e^z)", "half of 1 + tanh(z / 2)"],
    "softplus": ["log(1 + e^z)"],
}
BOTH = [(name, form, slope) for name in SLOPES for form in CANCELLING[name] for slope in SLOPES[name]]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("activation", "form", "slope"), BOTH, ids=[": ".join(names) for names in BOTH])
def test_a_right_slope_is_right_beside_however_written_an_activation_saturated_too(activation, form, slope, dtype):
    value, steepness = FORMS[activation][form], SLOPES[activation][slope]

    def backprop(weights, inputs, targets):
        a, z = [inputs], []
        for w in weights:
            z.append(a[-1] @ w[:-1] + w[-1])
            a.append(value(z[-1]))
        deltas = [(a[-1] - targets) / len(inputs) * steepness(z[-1])]
        for l in range(len(weights) - 1, 0, -1):
            deltas.insert(0, (deltas[0] @ weights[l][:-1].T) * steepness(z[l - 1]))
        gradients = [np.vstack([below.T @ d, d.sum(axis=0)]) for below, d in zip(a, deltas, strict=False)]
        return {"activations": a, "deltas": deltas, "gradients": gradients}

    comparison = check(backprop, activation=activation, dtype=dtype)
    assert comparison.passed, comparison.message()


BY_NUMPY = {
    "tanh": np.tanh,
    "sigmoid": logistic,
    "elu": np.expm1,
    "softplus": lambda z: np.logaddexp(z.dtype.type(0), z),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("activation", "at", "units"),
    [("tanh", 0.0, 24), ("sigmoid", -30.0, 8), ("elu", -1e-3, 24), ("softplus", -30.0, 4)],
)
def test_an_activation_that_is_off_by_more_than_its_forms_can_lose_is_wrong(activation, at, units, dtype):
    """At 0 a tanh or elu may be off by 8 u; where they vanish, a sigmoid by 2 u, a softplus by u; so may autograd's."""
    net = Network([np.array([[0.0], [at]], dtype)], activation)
    right = BY_NUMPY[activation]
    off = np.finfo(dtype).eps / 2 * units
    assert compare(written_as(right, net), [1.0], [0.5]).count("wrong") == 0
    wrong = compare(written_as(lambda z: right(z) + off.astype(dtype), net), [1.0], [0.5])
    assert wrong.diagnosis.first_wrong == ("activation", 1)
