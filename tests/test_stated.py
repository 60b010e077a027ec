"""check with a cost, a penalty, no biases, in every layout: right code passes, and each mistake is found and named."""

import numpy as np
import pytest

from comparisons import check, compare
from comparisons.cli import main
from comparisons.mistakes.lineup import Lineup, alone
from comparisons.mistakes.variants import Variant, applicable
from comparisons.reference.quantities import Problem, Statement
from comparisons.subject.layouts import LAYOUTS, Layout
from handnet import Network

# One architecture where one is enough; without, `check` asks of three.
SIZES = (2, 5, 4, 3)
HIDDEN = ["tanh", "leaky_relu"]
KINDS = {
    "squared error": {"cost": "squared_error", "activation": [*HIDDEN, "identity"]},
    "mean squared error, summed": {"cost": "mean_squared_error", "reduction": "sum", "activation": [*HIDDEN, "elu"]},
    "binary cross-entropy": {"cost": "binary_cross_entropy", "activation": [*HIDDEN, "sigmoid"]},
    "cross-entropy, summed": {"cost": "cross_entropy", "reduction": "sum", "activation": [*HIDDEN, "softmax"]},
    "cross-entropy with a penalty": {"cost": "cross_entropy", "l2": 0.1, "activation": [*HIDDEN, "softmax"]},
    "a penalty, summed": {"l2": 0.3, "reduction": "sum", "activation": [*HIDDEN, "softplus"]},
    "softmax with the note's cost": {"activation": [*HIDDEN, "softmax"]},
}


def network_of(weights, options):
    how = {name: options[name] for name in ("cost", "reduction", "l2", "biases") if name in options}
    return Network(weights, options["activation"], **how)


def own(options, layout="note"):
    """The hand-written network as somebody's function, in a layout."""
    form = Layout(layout, options.get("biases", True))

    def backprop(weights, inputs, targets):
        x, t = (array.T if form.in_columns else array for array in (inputs, targets))
        ours = [
            np.vstack([form.weight_in(w[0]), w[1].reshape(1, -1)]) if form.is_paired else form.matrix_in(w)
            for w in weights
        ]
        result = network_of(ours, options).backprop(x, t)
        return {
            "activations": [form.samples_out(a) for a in result.activations],
            "cost": result.cost,
            "deltas": [form.samples_out(d) for d in result.deltas],
            "gradients": [form.weights_out(g) for g in result.gradients],
        }

    return backprop


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("biases", "dtype", "sizes"), [(True, "float64", None), (False, "float32", SIZES)], ids=["biases", "no biases"]
)
def test_right_code_passes_for_what_it_is_stated_to_compute(kind, biases, dtype, sizes):
    options = {**KINDS[kind], "biases": biases}
    comparison = check(own(options), dtype=dtype, sizes=sizes, **options)
    assert comparison.passed, comparison.message()
    assert comparison.count("undecided") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_right_code_fails_for_another_statement(kind):
    options = dict(KINDS[kind])
    other = {**options, "cost": "squared_error", "l2": 0.2}
    assert not check(own(options), sizes=SIZES, **other).passed


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("biases", [True, False], ids=["biases", "no biases"])
def test_every_layout_is_handed_out_and_read_back(layout, biases):
    options = {"activation": "sigmoid", "biases": biases}
    assert check(own(options, layout), layout=layout, sizes=SIZES, **options).passed

    def first_weight_doubled(weights, inputs, targets):
        gradients = own(options, layout)(weights, inputs, targets)["gradients"]
        part = gradients[0][0] if isinstance(gradients[0], list) else gradients[0]
        part.flat[-1] *= 2
        return gradients

    wrong = check(first_weight_doubled, layout=layout, sizes=SIZES, **options)
    assert wrong.diagnosis.first_wrong == ("gradient", 1)


def planted(name, stated, activation):
    """The network with one mistake made, as somebody's function."""
    lineup = Lineup([Variant((name,))])

    def backprop(weights, inputs, targets, learning_rate):
        problem = Problem(tuple(weights), tuple(activation), inputs, targets, learning_rate, stated=stated)
        made = alone(lineup.run(problem), 0, problem)
        top = len(weights)
        return {
            "activations": [made["activation", l] for l in range(1, top + 1)],
            "cost": made["cost", None],
            "deltas": [made["delta", l] for l in range(1, top + 1)],
            "gradients": [made["gradient", l] for l in range(1, top + 1)],
        }

    return backprop


COMES_WITH = [
    *[
        ("output_slope_kept", Statement("binary_cross_entropy"), "sigmoid"),
        ("output_slope_kept", Statement("cross_entropy"), "softmax"),
    ],
    *[(name, Statement("cross_entropy"), "softmax") for name in ("softmax_twice", "softmax_over_samples")],
    ("diagonal_softmax", Statement("mean_squared_error"), "softmax"),
    ("wrong_logarithm", Statement("binary_cross_entropy"), "sigmoid"),
    *[(name, Statement(l2=0.1), "sigmoid") for name in ("penalty_on_biases", "no_penalty", "penalty_twice")],
    ("penalty_per_sample", Statement("cross_entropy", l2=0.1, biases=False), "softmax"),
    ("leaky_slope_zero", Statement("cross_entropy"), "softmax"),
]


@pytest.mark.parametrize(("name", "stated", "output"), COMES_WITH, ids=lambda value: getattr(value, "cost", value))
def test_the_mistakes_that_come_with_a_cost_are_named(name, stated, output):
    activation = [*HIDDEN, output]
    assert name in applicable(stated, tuple(activation))
    options = {"cost": stated.cost, "l2": stated.l2, "biases": stated.biases, "activation": activation}
    comparison = check(planted(name, stated, activation), sizes=SIZES, **options)
    assert name in comparison.diagnosis.mistakes, comparison.message()


def test_compare_takes_a_network_with_a_cost_of_its_own(rng):
    net = Network.random([3, 5, 4], rng=rng, activation=["elu", "softmax"], cost="cross_entropy", l2=0.1)
    x, classes = rng.standard_normal((7, 3)), rng.integers(0, 4, 7)
    comparison = compare(net, x, classes, steps=3)
    assert comparison.passed, comparison.message()

    class Halved(Network):
        def gradient(self, a_below, delta):
            return super().gradient(a_below, delta) / 2

    wrong = compare(Halved(net.weights, net.activation, "cross_entropy", l2=0.1), x, classes)
    assert wrong.diagnosis.first_wrong == ("gradient", 2)


OWN = """
import numpy as np


def backprop(weights, inputs, targets):
    (W1,), (W2,) = ([w] for w in weights)
    a = np.tanh(inputs @ W1.T)
    z = a @ W2.T
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    d2 = (p - targets) / len(inputs)
    d1 = d2 @ W2 * (1 - a**2)
    return [d1.T @ inputs + 0.1 * W1, d2.T @ a + 0.1 * W2]
"""


def test_the_command_states_cost_penalty_and_biases(tmp_path, capsys):
    (tmp_path / "own.py").write_text(OWN)
    common = ["check", f"{tmp_path}/own.py:backprop", "--layout", "linear", "--activation", "tanh,softmax"]
    stated = ["--cost", "cross_entropy", "--l2", "0.1", "--no-biases", "--out", str(tmp_path)]
    assert main([*common, *stated]) == 0
    assert main([*common, "--cost", "cross_entropy", "--no-biases", "--out", str(tmp_path)]) == 1
    (replay,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Replay: "))
    assert "--no-biases" in replay
    assert "--cost cross_entropy" in replay
