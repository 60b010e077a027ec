"""Whole kinds of mistakes, in layers, depths and activations of their own, with and without deltas: each is named."""

import numpy as np
import pytest

from comparisons import check


def logistic(z):
    return 1 / (1 + np.exp(-z))


VALUES = {
    "sigmoid": logistic,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "identity": lambda z: z,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "softplus": lambda z: np.logaddexp(0, z),
}
SLOPES = {
    "sigmoid": lambda z: logistic(z) * (1 - logistic(z)),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "identity": np.ones_like,
    "leaky_relu": lambda z: np.where(z > 0, 1, 0.01),
    "elu": lambda z: np.where(z > 0, 1, np.exp(np.minimum(z, 0))),
    "softplus": logistic,
}


class Pass:
    """Backpropagation in rows, whose steps can be changed; all that it computes is kept by the layer."""

    activation = "sigmoid"
    tells_all = False

    def __init__(self, weights, inputs, targets):
        self.w, self.b = ([None, *part] for part in zip(*weights, strict=True))
        self.x, self.t, self.top = inputs, targets, len(weights)
        self.a, self.z, self.e, self.d = {0: inputs}, {}, {}, {}

    def answer(self):
        for l in range(1, self.top + 1):
            self.z[l] = self.a[l - 1] @ self.w[l] + self.b[l]
            self.a[l] = VALUES[self.activation](self.z[l])
        self.e[self.top] = self.error(self.a[self.top], self.t)
        for l in range(self.top, 0, -1):
            self.d[l] = self.delta(l)
            if l > 1:
                self.e[l - 1] = self.passed(l) @ self.w[l].T
        gradients = [(self.weights(l), self.biases(l)) for l in range(1, self.top + 1)]
        layers = range(1, self.top + 1)
        more = {"activations": [self.a[l] for l in layers], "deltas": [self.d[l] for l in layers]}
        return {"gradients": gradients, **more} if self.tells_all else gradients

    def error(self, a, t):
        return (a - t) / len(a)

    def slope(self, l):
        return SLOPES[self.activation](self.z[l])

    def delta(self, l):
        return self.e[l] * self.slope(l)

    def passed(self, l):
        return self.d[l]

    def weights(self, l):
        return self.a[l - 1].T @ self.d[l]

    def biases(self, l):
        return self.d[l].sum(axis=0)


def diagnosed(tells_all=False, activation="sigmoid", options=None, **changed):
    """The diagnosis of a Pass in which these steps are changed."""
    kind = type("Changed", (Pass,), {"tells_all": tells_all, "activation": activation, **changed})

    def backprop(weights, inputs, targets):
        return kind(weights, inputs, targets).answer()

    return check(backprop, layout="rows", activation=activation, **(options or {})).diagnosis


SQUARE, SMALL, ONE = {"sizes": (4, 4, 4, 4)}, {"sizes": (3, 2, 2, 2)}, {"sizes": (3, 4, 1)}
AS_MANY = SQUARE | {"batch": 4}
FLOAT32 = {"dtype": np.float32}


def only(layers, changed):
    """The change in these layers, and elsewhere nothing."""
    layers = layers if isinstance(layers, tuple) else (layers,)
    return lambda self, l: changed(self, l) if l in layers else None


def either(step, changed):
    right = getattr(Pass, step)

    def method(self, l):
        other = changed(self, l)
        return right(self, l) if other is None else other

    return {step: method}


# What is changed, in which layers; the options of check; the name, and what is said.
VECTORS = {
    "z for a": ("weights", only(2, lambda p, l: p.z[1].T @ p.d[2]), {}, "z1 stands where a1 belongs"),
    "the inputs for a": ("weights", only(2, lambda p, l: p.x.T @ p.d[2]), {}, "a0 stands where a1 belongs"),
    "the targets": ("weights", only(3, lambda p, l: p.t.T @ p.d[3]), {}, "T stands where a2 belongs"),
    "the slope": (
        "weights",
        only(2, lambda p, l: (p.a[1] * (1 - p.a[1])).T @ p.d[2]),
        {},
        "sigmoid'(z1) stands where a1 belongs",
    ),
    "the error, N times": (
        "weights",
        only(3, lambda p, l: p.a[2].T @ (p.a[3] - p.t)),
        {},
        "N times e3 stands where delta3 belongs; e3 is delta3 without its slope",
    ),
    "the output's delta": (
        "weights",
        only(1, lambda p, l: p.x.T @ p.d[3]),
        SMALL,
        "delta3 stands where delta1 belongs",
    ),
    "in the biases alone": (
        "biases",
        only(2, lambda p, l: p.d[3].sum(axis=0)),
        SMALL,
        "in the biases delta3 stands where delta2 belongs",
    ),
    "biases of a": (
        "biases",
        only(2, lambda p, l: p.a[2].mean(axis=0)),
        {},
        "in the biases 1 / N times a2 stands where delta2 belongs",
    ),
    "float32": ("weights", only(2, lambda p, l: p.z[1].T @ p.d[2]), FLOAT32, "z1 stands where a1 belongs"),
    "a passed down": ("passed", only(3, lambda p, l: p.a[3]), {}, "it equals (a3 @ W3.T) * sigmoid'(z2)"),
    "delta is a": ("delta", only(1, lambda p, l: p.a[1]), {}, "it equals a1"),
    "delta times a": ("delta", only(1, lambda p, l: p.d.get(1, p.e[1] * p.slope(1)) * p.a[1]), {}, "it equals"),
}


@pytest.mark.parametrize("tells_all", [False, True], ids=["gradients", "deltas too"])
@pytest.mark.parametrize("name", VECTORS)
def test_another_known_vector_is_told_by_its_name(name, tells_all):
    step, changed, options, said = VECTORS[name]
    diagnosis = diagnosed(tells_all, options=options, **either(step, changed))
    assert diagnosis.mistakes == ("other_factor",)
    assert said in str(diagnosis)


def test_a_vector_that_nobody_knows_is_not_named():
    strange = only(2, lambda p, l: np.sin(7 * p.a[1]).T @ p.d[2])
    diagnosis = diagnosed(**either("weights", strange))
    assert diagnosis.mistakes == ()
    assert "in it only the weights are wrong" in str(diagnosis)


# Transposes on the axis of the samples.
TURNED = {
    "weights": ("weights", lambda p, l: p.a[l - 1] @ p.d[l], AS_MANY, "it is a2 @ delta3, the sum over the nodes"),
    "both": ("weights", lambda p, l: p.a[l - 1].T @ p.d[l].T, AS_MANY, "it is a2.T @ delta3.T, the sum over"),
    "one layer": ("weights", only(2, lambda p, l: p.a[1] @ p.d[2].T), AS_MANY, "it is a1 @ delta2.T, the sum"),
    "biases": ("biases", lambda p, l: p.d[l].sum(axis=1), AS_MANY, "in the biases delta3 is summed over the nodes"),
    "weights, where it raises": ("weights", lambda p, l: p.a[l - 1] @ p.d[l], {}, "it is a2 @ delta3, the sum"),
    "biases, in another shape": ("biases", lambda p, l: p.d[l].sum(axis=1), {}, "in the biases delta3 is summed"),
}


@pytest.mark.parametrize("name", TURNED)
def test_a_sum_over_the_nodes_for_the_samples_is_named_also_where_it_raises_on_most_data(name):
    step, changed, options, said = TURNED[name]
    diagnosis = diagnosed(options=options, **either(step, changed))
    assert diagnosis.mistakes == ("summed_over_nodes",)
    assert said in str(diagnosis)


# A factor in a part.
FACTORS = {
    "weights of two layers": ({"weights": {1: 2, 3: 2}}, {}, "weights of layers 1 and 3 is 2 times autograd's; all"),
    "biases of all": ({"biases": {1: 0.1, 2: 0.1, 3: 0.1}}, {}, "biases of layers 1, 2 and 3 is 0.1 times"),
    "a sign": ({"biases": {3: -1}}, {}, "biases of layer 3 is -1 times"),
    "another in each": ({"weights": {2: 2}, "biases": {2: 3}}, {}, "weights of layer 2 is 2 times autograd's"),
    "float32": ({"weights": {2: 2}}, FLOAT32, "weights of layer 2 is 2 times"),
    "dead units": ({"biases": {1: 5, 2: 5}}, {"activation": "relu"}, "biases of layers 1 and 2 is 5 times"),
}


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_in_the_weights_or_the_biases_of_some_layers_is_told(name):
    factors, options, said = FACTORS[name]
    changed = {}
    for step, of_layer in factors.items():
        right = getattr(Pass, step)
        changed[step] = lambda self, l, right=right, of_layer=of_layer: of_layer.get(l, 1) * right(self, l)
    options = dict(options)
    diagnosis = diagnosed(activation=options.pop("activation", "sigmoid"), options=options, **changed)
    assert diagnosis.mistakes == ("scaled",)
    assert said in str(diagnosis)


@pytest.mark.parametrize("seed", range(10))
def test_half_of_all_derivatives_under_relu_is_told_with_every_seed(seed):
    def half(step):
        return lambda self, l: 0.5 * getattr(Pass, step)(self, l)

    said = str(diagnosed(activation="relu", options={"seed": seed}, weights=half("weights"), biases=half("biases")))
    assert "is 0.5 times autograd's, which is 1 / 2, and so are all derivatives [scaled]" in said


# Slopes.
OTHERS = [
    (own, other)
    for own in ("sigmoid", "tanh", "relu", "softplus")
    for other in SLOPES
    if other not in (own, "identity")
]


@pytest.mark.parametrize(("own", "other"), OTHERS)
def test_another_activations_slope_at_z_is_named(own, other):
    diagnosis = diagnosed(activation=own, slope=lambda self, l: SLOPES[other](self.z[l]))
    # The slope of softplus is the sigmoid, and so a itself in a network of sigmoids.
    names = {f"{other}_slope_at_z", f"{other}_slope", "slope_is_activation"}
    assert names & set(diagnosis.mistakes), diagnosis


@pytest.mark.parametrize(
    ("own", "other"), [(own, other) for own, other in OTHERS if other in ("sigmoid", "tanh", "softplus")]
)
def test_another_activations_slope_at_a_is_named(own, other):
    diagnosis = diagnosed(activation=own, slope=lambda self, l: SLOPES[other](self.a[l]))
    assert diagnosis.mistakes == (f"{other}_slope_at_a",)


@pytest.mark.parametrize("own", ["sigmoid", "tanh"])
def test_the_slope_at_the_gradient_that_comes_in_is_named_however_it_is_written(own):
    at = diagnosed(activation=own, slope=lambda self, l: SLOPES[own](self.e[l]))
    assert at.mistakes == ("slope_at_gradient",)
    in_terms = {"sigmoid": lambda e: e * (1 - e), "tanh": lambda e: 1 - e**2}[own]
    written = diagnosed(activation=own, slope=lambda self, l: in_terms(self.e[l]))
    assert written.mistakes == ("slope_in_terms_of_gradient",)


# One output, (N,) and (N, 1).
BROADCAST = {
    "targets": (lambda self, a, t: (a - t.ravel()).mean(axis=1, keepdims=True) / len(a), "targets_broadcast", ""),
    "their sum": (lambda self, a, t: (a - t.ravel()).sum(axis=1, keepdims=True), "targets_broadcast", "N^2 times"),
    "outputs": (lambda self, a, t: (a.ravel() - t).mean(axis=1, keepdims=True) / len(a), "outputs_broadcast", ""),
}


@pytest.mark.parametrize("name", BROADCAST)
def test_a_vector_against_a_column_is_named(name):
    error, mistake, said = BROADCAST[name]
    diagnosis = diagnosed(options=ONE, error=error)
    assert diagnosis.mistakes == (mistake,)
    assert said in str(diagnosis)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_two_mistakes_under_a_factor_are_both_named_in_either_precision(dtype):
    diagnosis = diagnosed(
        options={"dtype": dtype}, slope=lambda self, l: np.ones_like(self.z[l]), error=lambda self, a, t: a - t
    )
    assert diagnosis.mistakes == ("no_output_slope", "no_hidden_slope")
    assert "all of it is N times what it should be, and in it delta3 equals dC/da" in str(diagnosis)
