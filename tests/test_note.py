"""The printed text of each equation, read by an independent reader, is what the code evaluates."""

import re

import numpy as np
import pandas as pd
import pytest

from comparisons.reference.twin import Twin
from comparisons.studies.equations import evaluate_equations, misprints, sound
from handnet import Network
from handnet.activations import sigmoid
from handnet.notation import NotationError
from handnet.note import EQUATIONS, Note, ShapeError, undefined

rng = np.random.default_rng(5)
INPUTS, TARGETS = rng.uniform(-1, 1, 2), rng.uniform(0, 1, 2)
W1, W2 = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
NOTE = Note(INPUTS, W1, W2, TARGETS, gamma=0.5)
FORMS = [
    pytest.param(text, id=f"{e.name}{'' if text is e.printed else ', corrected'}")
    for e in EQUATIONS
    for text in filter(None, (e.printed, e.corrected))
]


class Value:
    """A scalar or matrix in which writing side by side multiplies."""

    def __init__(self, array):
        self.array = np.asarray(array, float)

    def __mul__(self, other):
        scalar = self.array.ndim == 0 or other.array.ndim == 0
        return Value(self.array * other.array if scalar else self.array @ other.array)

    def __matmul__(self, other):
        assert self.array.shape == other.array.shape
        return Value(self.array * other.array)

    def __add__(self, other):
        return Value(self.array + other.array)

    def __sub__(self, other):
        if self.array.shape != other.array.shape:
            raise ValueError("shapes")
        return Value(self.array - other.array)

    def __truediv__(self, other):
        return Value(self.array / other.array)

    def __pow__(self, power):
        return Value(self.array.T) if power == "T" else Value(self.array**power.array)


def vocabulary():
    net = Network([W1.T, W2.T])
    result = net.backprop(INPUTS, TARGETS)
    words = {"gamma": 0.5, "T^0": TARGETS[0], "T^1": TARGETS[1], "c": (result.activations[2] - TARGETS).T}
    for i in range(2):
        words[f"T_{i}"] = TARGETS[i]
    for l, a in enumerate(result.activations):
        words[f"A^({l})"] = np.append(a, 1)[None]
        words |= {f"a_{i}^({l})": a[0, i] for i in range(2)}
        if l:
            words[f"W^({l})"], words[f"w^({l})"] = net.weights[l - 1], net.w(l)
            words[f"delta^({l})"], words[f"dC/dW^({l})"] = result.deltas[l - 1].T, result.gradients[l - 1].T
            words[f"D^({l})"] = np.diag(a[0] * (1 - a[0]))
            words |= {f"delta_{i}^({l})": result.deltas[l - 1][0, i] for i in range(2)}
            words |= {f"w_{i}{j}^({l})": net.weights[l - 1][j, i] for i in range(2) for j in range(3)}
    words["h"] = W2[0] @ np.append(result.activations[1], 1)
    words["df/dsigma"] = words["a_0^(2)"] - TARGETS[0]
    words["dsigma/dh"] = words["a_0^(2)"] * (1 - words["a_0^(2)"])
    words["dh/dw_00^(2)"] = words["a_0^(1)"]
    return {word: Value(value) for word, value in words.items()}


WORDS = vocabulary()


def read(text):
    """Evaluate a printed form: juxtaposition multiplies, [a, b; c, d] is a matrix, (.) the Hadamard product."""
    text = text.split(" = ")[-1]
    for j in (0, 1):
        text = text.replace(f"sum_i delta_i^(2) w_i{j}^(2)", f"(delta_0^(2) w_0{j}^(2) + delta_1^(2) w_1{j}^(2))")
    names = "|".join(map(re.escape, sorted(WORDS, key=len, reverse=True)))
    tokens = re.findall(rf"{names}|sigma|\(\.\)|\^T|\^2|\d+|\S", text)
    python, before = "", ""
    for token in tokens:
        starts = token in WORDS or token.isdigit() or token in ("sigma", "(", "[")
        ends = before in WORDS or before.isdigit() or before in (")", "]", "^2", "^T")
        if starts and ends:
            python += "*"
        if token in WORDS:
            python += f"WORDS[{token!r}]"
        elif token.isdigit():
            python += f"Value({token})"
        else:
            special = {"(.)": "@", "^T": "**'T'", "^2": "**Value(2)", "[": "rows([[", "]": "]])", ";": "],["}
            python += special.get(token, token)
        before = token
    functions = {"rows": lambda table: Value([[entry.array for entry in row] for row in table])}
    functions["sigma"] = lambda value: Value(sigmoid(value.array))
    return eval(python, {"WORDS": WORDS, "Value": Value, **functions}).array


@pytest.mark.parametrize("text", FORMS)
def test_what_is_printed_is_what_is_evaluated(text):
    try:
        value = NOTE.evaluate(text)
    except ShapeError:
        with pytest.raises(ValueError):
            read(text)
        return
    expected = read(text)
    assert value.shape == expected.shape
    assert np.allclose(value, expected, rtol=1e-13, atol=1e-16)


@pytest.fixture(scope="module")
def frame():
    return evaluate_equations()


def test_the_misprints_of_the_note_come_out_by_evaluation(frame):
    wrong = misprints(frame)
    assert dict(zip(wrong["equation"], wrong["as_printed"], strict=True)) == {
        "update (2)": "shape",
        "dC/dw_11^(1)": "differs",
        "A^(0) under dC/dW^(1)": "shape",
        "delta^(1) by D^(1)": "differs",
        "delta^(1) by D^(1), in entries": "differs",
        "summary (1), by D^(1)": "differs",
    }
    assert (wrong["as_corrected"] == "agrees").all()


def test_loose_notation_is_told_from_misprints(frame):
    loose = frame[frame["as_printed"] == "notation"]
    assert loose["equation"].str.startswith("matrix notation").sum() == 3
    assert {"c", "w"} < set(loose["equation"])


def test_each_equation_agrees_as_printed_or_as_corrected(frame):
    assert sound(frame)
    assert (frame["as_printed"] == "agrees").sum() == len(frame) - 11


def test_a_correction_that_is_wrong_is_seen(frame):
    broken = pd.concat([frame, misprints(frame).assign(as_corrected="differs")])
    assert not sound(broken)


@pytest.mark.parametrize(
    "form", ["[1, 2] - [1; 2]", "[1, 2] + [1; 2]", "[1, 2] (.) [1; 2]", "[1, 2] [1, 2]", "1 + [1]"]
)
def test_broadcasting_cannot_hide_a_misfit(form):
    with pytest.raises(ShapeError, match="does not fit"):
        NOTE.evaluate(form)


def test_a_stack_of_points_gives_each_points_own_value():
    points = np.random.default_rng(6).standard_normal((14, 4))
    a, b, *w = points
    w1, w2, t = [w[:3], w[3:6]], [w[6:9], w[9:12]], [a * b, a - b]
    together = Note([a, b], w1, w2, t)
    for i in range(4):
        one = Note([a[i], b[i]], *([[x[i] for x in row] for row in rows] for rows in (w1, w2)), [x[i] for x in t])
        for form in ("1/2 (sigma(h) - T_0)^2", "D^(1) (w^(2))^T delta^(2) A^(0)", "W^(2) - gamma (dC/dW^(2))^T"):
            assert np.allclose(together.evaluate(form)[i], one.evaluate(form), rtol=1e-14)


def test_what_the_note_never_defines_is_found_in_the_print_itself():
    loose = {e.name: undefined(e.printed) for e in EQUATIONS if undefined(e.printed)}
    assert loose == {"c": ["T^0", "T^1"], "w": ["w_2"]}
    assert not any(undefined(e.corrected) for e in EQUATIONS if e.corrected)
    with pytest.raises(NotationError, match="'w_33' is no symbol of the note"):
        NOTE.evaluate("w_33 c")


def test_the_scalars_and_the_matrices_are_one_network():
    result = Network([W1.T, W2.T]).backprop(INPUTS, TARGETS)
    for i in range(2):
        assert np.isclose(NOTE.symbol(f"a_{i}^(2)"), result.activations[2][0, i], rtol=1e-14)
        assert np.isclose(NOTE.symbol(f"delta_{i}^(1)"), result.deltas[0][0, i], rtol=1e-13)


PRINTED_FIRST_ROUND = [
    ("net_h1", "0.3775", lambda p: p.preactivations[0][0, 0]),
    ("out_h1", "0.593269992", lambda p: p.activations[0][0, 0]),
    ("out_h2", "0.596884378", lambda p: p.activations[0][0, 1]),
    ("net_o1", "1.105905967", lambda p: p.preactivations[1][0, 0]),
    ("out_o1", "0.75136507", lambda p: p.activations[1][0, 0]),
    ("out_o2", "0.772928465", lambda p: p.activations[1][0, 1]),
    ("E_total", "0.298371109", lambda p: p.cost),
    ("delta_o1", "0.138498562", lambda p: p.deltas[1][0, 0]),
    ("dE/dw5", "0.082167041", lambda p: p.gradients[1][0, 0]),
    ("dE/dout_h1", "0.036350306", lambda p: p.activation_gradients[0][0, 0]),
    ("dE/dw1", "0.000438568", lambda p: p.gradients[0][0, 0]),
    ("w5+", "0.35891648", lambda p: p.updated[1][0, 0]),
    ("w6+", "0.408666186", lambda p: p.updated[1][1, 0]),
    ("w7+", "0.511301270", lambda p: p.updated[1][0, 1]),
    ("w8+", "0.561370121", lambda p: p.updated[1][1, 1]),
    ("w1+", "0.149780716", lambda p: p.updated[0][0, 0]),
    ("w2+", "0.19956143", lambda p: p.updated[0][1, 0]),
    ("w3+", "0.24975114", lambda p: p.updated[0][0, 1]),
    ("w4+", "0.29950229", lambda p: p.updated[0][1, 1]),
]


@pytest.mark.parametrize(
    ("printed", "of"), [row[1:] for row in PRINTED_FIRST_ROUND], ids=[r[0] for r in PRINTED_FIRST_ROUND]
)
def test_the_published_first_round_is_reproduced(printed, of):
    from comparisons.studies.cases import case

    made = case("step-by-step")
    ((inputs, targets), _) = made.training()
    twin = Twin(made.network.weights, made.network.activation).run(inputs, targets, 0.5, train_biases=False)
    assert abs(float(of(twin)) - float(printed)) <= 1.5 * 10.0 ** -len(printed.split(".")[1])
