"""Messages have the reader's names, layout and order of indices; of a Network the note's."""

import numpy as np
import pytest

from comparisons import check, compare
from comparisons.diagnosis.speech import Speech
from comparisons.subject.layouts import LAYOUTS, Layout
from handnet import Network

ACTIVATION = ("tanh", "relu", "sigmoid")
# W of layer 3, a of layer 2 and delta of layer 3: what is passed down, the gradients, z.
CODE = {
    "rows": ("delta3 @ W3.T", "a2.T @ delta3", "delta3.sum(axis=0)", "a2 @ W3 + b3"),
    "linear": ("delta3 @ W3", "delta3.T @ a2", "delta3.sum(axis=0)", "a2 @ W3.T + b3"),
    "columns": ("W3.T @ delta3", "delta3 @ a2.T", "delta3.sum(axis=1, keepdims=True)", "W3 @ a2 + b3"),
    "note": ("delta3 @ W3[:-1].T", "np.c_[a2, ones].T @ delta3", "", "np.c_[a2, ones] @ W3"),
    "bias_first": ("delta3 @ W3[:, 1:]", "delta3.T @ np.c_[ones, a2]", "", "np.c_[ones, a2] @ W3.T"),
    "bias_last": ("delta3 @ W3[:, :-1]", "delta3.T @ np.c_[a2, ones]", "", "np.c_[a2, ones] @ W3.T"),
}


def speech(layout, biases=True):
    return Speech(layout, ACTIVATION, biases, {})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_equation_is_code_in_the_layout(layout):
    told = speech(layout)
    assert (
        told.passed_back("delta3", told.weights(3)),
        told.gradient("a2", "delta3"),
        told.bias_gradient("delta3"),
        told.forward(3),
    ) == CODE[layout]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("biases", [True, False], ids=["biases", "no biases"])
def test_the_code_computes_what_the_network_does(layout, biases):
    rng = np.random.default_rng(3)
    net = Network.random([3, 5, 4, 2], rng=rng, activation=ACTIVATION, biases=biases)
    x, t = rng.standard_normal((6, 3)), rng.random((6, 2))
    right, form = net.backprop(x, t), Layout(layout, biases)
    names = {"np": np, "ones": np.ones(6)}
    for l in range(1, 4):
        part = form.weights_out(net.weights[l - 1])
        names |= dict(zip((f"W{l}", f"b{l}"), part if form.is_paired else [part], strict=False))
        names |= {f"a{l}": form.samples_out(right.activations[l]), f"delta{l}": form.samples_out(right.deltas[l - 1])}
    told = speech(layout, biases)
    gradient = form.weights_out(right.gradients[2])
    mine = eval(told.gradient("a2", "delta3"), names)
    assert np.allclose(mine, gradient[0] if form.is_paired else gradient, atol=1e-14)
    if form.is_paired:
        assert np.allclose(eval(told.bias_gradient("delta3"), names), gradient[1], atol=1e-14)
    passed = form.samples_out(right.deltas[2] @ net.w(3))
    assert np.allclose(eval(told.passed_back("delta3", told.weights(3)), names), passed, atol=1e-14)
    z = eval(told.forward(3), names)
    assert np.allclose(1 / (1 + np.exp(-z)), names["a3"], atol=1e-14)


NOTES = {
    "D^(2) (w^(3))^T delta^(3)": "(W3.T @ delta3) * relu'(z2)",
    "D^(2) w^(3) delta^(3)": "(W3 @ delta3) * relu'(z2)",
    "(w^(3))^T delta^(3)": "W3.T @ delta3",
    "D^(2) (w^(3) - gamma dC/dw^(3))^T delta^(3)": "((W3 - learning_rate * dW3).T @ delta3) * relu'(z2)",
    "delta^(3) A^(L)": "delta3 @ a3.T",
    "D^(3) (T - a^(3))": "(T - a3) * sigmoid'(z3)",
    "D^(3) c": "dC/da * sigmoid'(z3)",
    "with sigma'(a^(2)) in the place of D^(2)": "with relu'(a2) in the place of relu'(z2)",
    "e sigma'(e), where delta^(1) is D^(1) e": "e * sigma'(e), where delta1 is e * tanh'(z1)",
    "sigma(w^(2) a^(1))": "relu(W2 @ a1)",
    "a^(1) delta^(2)": "delta2 @ a1",
    "(a^(1))^T (delta^(2))^T": "delta2.T @ a1.T",
    "W^(2) + gamma dC/dW^(2)": "W2 + learning_rate * dW2",
}


@pytest.mark.parametrize("note", NOTES)
def test_the_notes_notation_becomes_code(note):
    assert speech("columns").of_note(note) == NOTES[note]


def test_of_a_network_it_stays_as_the_note_has_it():
    net = Network.random([2, 3, 2], rng=np.random.default_rng(0))

    class Doubled(Network):
        def hidden_delta(self, l, delta_above, a):
            return 2 * super().hidden_delta(l, delta_above, a)

    said = compare(Doubled(net.weights), [0.1, 0.2], [0.3, 0.4]).message()
    assert "Where: delta^(1) is the first wrong quantity (layer 1 of 2)." in said
    assert "Should be: (delta @ w) * a * (1 - a), in the note's notation D^(1) (w^(2))^T delta^(2)." in said


def wrong_biases(form, names):
    """Biases of layer 2 that are off in one number, returned under these names."""

    def backprop(weights, inputs, targets):
        x, t = (part.T if form.in_columns else part for part in (inputs, targets))
        ws = [np.vstack([form.weight_in(w), np.reshape(b, (1, -1))]) for w, b in weights]
        gradients = [g.copy() for g in Network(ws).backprop(x, t).gradients]
        gradients[1][-1, 3] += 1
        pairs = [form.weights_out(g) for g in gradients]
        return names([w for w, _ in pairs], [b for _, b in pairs])

    return backprop


def numbered(weights, biases):
    pairs = enumerate(zip(weights, biases, strict=True), start=1)
    return {
        name.format(l): part for l, pair in pairs for name, part in zip(("grad_W{}", "grad_b{}"), pair, strict=True)
    }


NAMES = {
    "of a list": (lambda ws, bs: list(zip(ws, bs, strict=True)), "db2"),
    "numbered": (numbered, "grad_b2"),
    "in two lists": (lambda ws, bs: {"nabla_w": ws, "nabla_b": bs}, "nabla_b[1]"),
    "of weights": (
        lambda ws, bs: {f"{n}{l}": p for l in (1, 2, 3) for n, p in (("W", ws[l - 1]), ("b", bs[l - 1]))},
        "db2",
    ),
    "beside a cost": (lambda ws, bs: (0.0, numbered(ws, bs)), "grad_b2"),
}


@pytest.mark.parametrize("layout", ["rows", "linear", "columns"])
@pytest.mark.parametrize("name", NAMES)
def test_an_array_is_called_what_its_author_calls_it(name, layout):
    names, called = NAMES[name]
    said = str(check(wrong_biases(Layout(layout), names), layout=layout, sizes=(3, 5, 4, 2)).diagnosis)
    if name == "beside a cost":
        said = said.partition("Besides:\n")[2]
    assert said.startswith(f"Where: {called} is the first wrong quantity (layer 2 of 3).")
    place = "[3, 0]" if layout == "columns" else "[3]"
    assert f"Worst number: {called}{place} is " in said


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("row", "column"), [(1, 2), (3, 0)], ids=["a weight", "a bias"])
def test_the_worst_number_stands_where_its_author_has_it(layout, row, column):
    form = Layout(layout)

    def backprop(weights, inputs, targets):
        x, t = (part.T if form.in_columns else part for part in (inputs, targets))
        paired = form.is_paired
        ws = [
            np.vstack([form.weight_in(w[0]), np.reshape(w[1], (1, -1))]) if paired else form.matrix_in(w)
            for w in weights
        ]
        gradients = [g.copy() for g in Network(ws).backprop(x, t).gradients]
        gradients[0][row, column] = np.pi
        handed = [form.weights_out(g) for g in gradients]
        seen.append(handed[0])
        return handed

    seen = []
    said = check(backprop, layout=layout, sizes=(3, 5, 4, 2)).message()
    (worst,) = (line for line in said.splitlines() if line.startswith("Worst number:"))
    place = worst.partition(" is ")[0].removeprefix("Worst number: ").removesuffix(" (a bias)")
    dW1, db1 = seen[0] if form.is_paired else (seen[0], None)
    assert eval(place, {"dW1": dW1, "db1": db1}) == np.pi
