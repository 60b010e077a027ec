"""check of a class: it is made, given weights, run and read; or the message shows the function around it."""

from itertools import pairwise

import numpy as np
import pytest

from comparisons import check
from comparisons.cli import main
from comparisons.subject.scalars import scalars_in

SAID = "consistent, but not as stated: it is right for "


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Stepwise:
    """Made of its samples; no biases, no learning rate, targets minus outputs."""

    slope_below = 1.0

    def __init__(self, x, y):
        self.input, self.y = x, y
        self.weights1, self.weights2 = np.ones((x.shape[1], 4)), np.ones((4, 1))

    def feedforward(self):
        self.layer1 = sigmoid(self.input @ self.weights1)
        self.output = sigmoid(self.layer1 @ self.weights2)

    def backprop(self):
        delta = 2 * (self.y - self.output) * self.output * (1 - self.output)
        below = delta @ self.weights2.T * self.layer1 * (1 - self.layer1 * self.slope_below)
        self.weights2 += self.layer1.T @ delta
        self.weights1 += self.input.T @ below


class Columns:
    """Made of sizes; lists, samples in columns, the gradients of one sample."""

    def __init__(self, sizes):
        self.weights = [np.ones((n, m)) for m, n in pairwise(sizes)]
        self.biases = [np.ones((n, 1)) for n in sizes[1:]]

    def backprop(self, x, y):
        a = [x]
        for w, b in zip(self.weights, self.biases, strict=True):
            a.append(sigmoid(w @ a[-1] + b))
        delta = (a[-1] - y) * a[-1] * (1 - a[-1])
        nabla_b, nabla_w = [delta], [delta @ a[-2].T]
        for l in range(len(self.weights) - 1, 0, -1):
            delta = self.weights[l].T @ delta * a[l] * (1 - a[l])
            nabla_b.insert(0, delta)
            nabla_w.insert(0, delta @ a[l - 1].T)
        return nabla_b, nabla_w


class Attributes:
    """Made of three widths; a learning rate of its own that is an attribute; trains in many epochs unless told."""

    def __init__(self, input_size, hidden_size, output_size, learning_rate=0.1):
        self.W1, self.b1 = np.ones((input_size, hidden_size)), np.zeros((1, hidden_size))
        self.W2, self.b2 = np.ones((hidden_size, output_size)), np.zeros((1, output_size))
        self.learning_rate = learning_rate

    def forward(self, X):
        self.a = sigmoid(X @ self.W1 + self.b1)
        return sigmoid(self.a @ self.W2 + self.b2)

    def train(self, X, y, epochs=1000):
        for _ in range(epochs):
            o = self.forward(X)
            d2 = (o - y) * o * (1 - o) / len(X)
            d1 = d2 @ self.W2.T * self.a * (1 - self.a)
            self.W2, self.b2 = self.W2 - self.learning_rate * self.a.T @ d2, self.b2 - self.learning_rate * d2.sum(0)
            self.W1, self.b1 = self.W1 - self.learning_rate * X.T @ d1, self.b1 - self.learning_rate * d1.sum(0)


class Dictionary:
    """Keeps parameters and gradients in dictionaries, and steps by a method of its own."""

    def __init__(self, layer_dims):
        pairs = list(pairwise(layer_dims))
        self.params = {f"W{l}": np.ones((n, m)) for l, (m, n) in enumerate(pairs, 1)}
        self.params |= {f"b{l}": np.zeros((n, 1)) for l, (_, n) in enumerate(pairs, 1)}
        self.layers = len(pairs)

    def forward(self, X):
        self.A = [X]
        for l in range(1, self.layers + 1):
            self.A.append(sigmoid(self.params[f"W{l}"] @ self.A[-1] + self.params[f"b{l}"]))

    def backward(self, Y):
        self.grads, d = {}, (self.A[-1] - Y) * self.A[-1] * (1 - self.A[-1]) / Y.shape[1]
        for l in range(self.layers, 0, -1):
            self.grads |= {f"dW{l}": d @ self.A[l - 1].T, f"db{l}": d.sum(axis=1, keepdims=True)}
            d = self.params[f"W{l}"].T @ d * self.A[l - 1] * (1 - self.A[l - 1])


class Scalars:
    """Each weight by itself, one sample at a time, twice the gradient of half the square."""

    slope_below = 1.0

    def __init__(self):
        self.w1 = self.w2 = self.w3 = self.w4 = self.w5 = self.w6 = self.b1 = self.b2 = self.b3 = 1.0

    def train_one(self, x, y, lr):
        h1 = sigmoid(self.w1 * x[0] + self.w2 * x[1] + self.b1)
        h2 = sigmoid(x[0] * self.w3 + self.w4 * x[1] + self.b2)
        o = sigmoid(self.w5 * h1 + self.w6 * h2 + self.b3)
        d = 2 * (o - y) * o * (1 - o)
        d1, d2 = (d * w * h * (1 - self.slope_below * h) for w, h in ((self.w5, h1), (self.w6, h2)))
        self.w1, self.w2, self.b1 = self.w1 - lr * d1 * x[0], self.w2 - lr * d1 * x[1], self.b1 - lr * d1
        self.w3, self.w4, self.b2 = self.w3 - lr * d2 * x[0], self.w4 - lr * d2 * x[1], self.b2 - lr * d2
        self.w5, self.w6, self.b3 = self.w5 - lr * d * h1, self.w6 - lr * d * h2, self.b3 - lr * d


def test_weights_that_a_class_keeps_one_by_one_are_found_in_its_sums():
    comparison = check(Scalars, online=True, cost="squared_error")
    assert comparison.passed, comparison.message()
    assert comparison.sizes == (2, 2, 1)
    assert comparison.numbers > 9 * 4
    said = "Scalars keeps its weights in w1, w3, w2, w4, w5, w6, b1, b2, b3, and is run by train_one"
    assert said in comparison.remarks
    first, then, *_ = check(Scalars).message().splitlines()
    assert first == f"{SAID}online=True, cost='squared_error'"
    assert then == "Next: check(Scalars, cost='squared_error', online=True)"
    assert check(Scalars, online=True).message().splitlines()[0] == f"{SAID}cost='squared_error'"


def test_what_is_wrong_in_weights_kept_one_by_one_is_caught():
    class Wrong(Scalars):
        slope_below = 1 + 1e-9

    for options in ({}, {"online": True}, {"online": True, "cost": "squared_error"}):
        comparison = check(Wrong, **options)
        assert comparison.diagnosis.first_wrong
        assert "consistent" not in comparison.message()


@pytest.mark.parametrize(
    ("sums", "weights", "biases"),
    [
        # Of other names, in another order than their numbers, and with three inputs.
        (
            ["self.w_a * x[2] + self.w_b * x[0] + self.w_c * x[1] + self.bias", "self.w_d * h + self.bias_o"],
            ["w_b, w_c, w_a", "w_d"],
            ["bias", "bias_o"],
        ),
        (
            ["self.w1 * x[0] + self.w2 * x[1]", "self.w3 * x[0] + self.w4 * x[1]", "self.w5 * g + self.w6 * h"],
            ["w1, w3, w2, w4", "w5, w6"],
            [],
        ),
    ],
)
def test_a_sum_is_a_node(sums, weights, biases):
    found = scalars_in("\n".join(["class Net:", "    def forward(self, x):", *(f"        {one}" for one in sums)]))
    assert [list(map(str, kind)) for kind in found] == [weights, biases]


@pytest.mark.parametrize(
    "sums",
    [
        # A bias that two nodes share takes no two values.
        ["self.w1 * x[0] + self.b1", "self.w2 * x[0] + self.b1"],
        ["self.w1 * x[0] + self.b1", "self.w1 * h + self.b2"],
        # Two nodes, of which the next layer takes three.
        ["self.w1 * x + self.b1", "self.w2 * x + self.b2", "self.w3 * f + self.w4 * g + self.w5 * h + self.b3"],
        ["self.w1 * x + self.b1", "self.w2 * f + self.w3 * g"],
        ["self.w1 @ x + self.b1"],
        ["self.w1 * x + 1"],
        ["self.w1 * x"],
    ],
)
def test_sums_that_make_no_network_hold_no_weights(sums):
    lines = ["class Net:", "    def forward(self, x):", *(f"        {one}" for one in sums)]
    assert scalars_in("\n".join(lines)) is None


def test_samples_one_by_one_are_columns_where_the_layout_has_them_so():
    class OneByOne:
        def __init__(self, sizes):
            vars(self).update(vars(Columns(sizes)))

        def train_one(self, x, y, lr):
            nabla_b, nabla_w = Columns.backprop(self, x, y)
            self.weights = [w - lr * g for w, g in zip(self.weights, nabla_w, strict=True)]
            self.biases = [b - lr * g for b, g in zip(self.biases, nabla_b, strict=True)]

    comparison = check(OneByOne, online=True)
    assert comparison.passed, comparison.message()


def test_sums_of_arrays_are_no_nodes():
    class Elsewhere(Attributes):
        def scaled(self, x):
            return self.W1 * x + self.b1

    assert check(Elsewhere).passed


def test_a_single_weight_that_becomes_an_array_is_told():
    class Arrays(Scalars):
        def train_one(self, x, y, lr):
            self.w1 = np.ones(2)

    assert "self.w1 has become an array of shape (2,): expected one number" in check(Arrays, batch=1).message()


def test_weights_of_a_class_that_holds_its_samples_are_set_and_read():
    comparison = check(Stepwise, cost="squared_error", reduction="sum", learning_rate=1.0)
    assert comparison.passed, comparison.message()
    assert comparison.sizes == (3, 4, 1)
    said = "Stepwise keeps its weights in weights1, weights2; it has no biases, and is run by feedforward, backprop"
    assert said in comparison.remarks


def test_its_conventions_are_found_and_can_be_stated():
    first, then, *_ = check(Stepwise).message().splitlines()
    assert first == f"{SAID}learning_rate=2.0, reduction='sum'"
    assert then == "Next: check(Stepwise, reduction='sum', learning_rate=2.0)"
    assert check(Stepwise, reduction="sum", learning_rate=2.0).passed


def test_a_class_takes_no_layout():
    with pytest.raises(ValueError, match="layout is 'note': a class shows its own, expected None"):
        check(Attributes, layout="note")


def test_what_is_wrong_in_a_class_is_caught():
    class Wrong(Stepwise):
        slope_below = 1 + 1e-9

    assert not check(Wrong, cost="squared_error", reduction="sum", learning_rate=1.0).passed


def test_a_mistake_in_a_class_is_named():
    class Wrong(Stepwise):
        def backprop(self):
            delta = 2 * (self.y - self.output) * self.output * (1 - self.output)
            below = delta @ self.weights2.T
            self.weights2 += self.layer1.T @ delta
            self.weights1 += self.input.T @ below

    comparison = check(Wrong, cost="squared_error", reduction="sum", learning_rate=1.0)
    assert comparison.diagnosis.mistakes == ("no_hidden_slope",)


def test_a_class_that_takes_one_sample_is_right_for_one():
    message = check(Columns).message().splitlines()
    assert message[:2] == [f"{SAID}batch=1", "Next: check(Columns, batch=1)"]
    assert check(Columns, batch=1).passed


@pytest.mark.parametrize("kind", [Attributes, Dictionary])
def test_the_usual_classes_match(kind):
    comparison = check(kind)
    assert comparison.passed, comparison.message()


def test_a_step_that_was_not_run_is_said_to_be_unasked():
    class Steps(Dictionary):
        def update(self):
            self.params = {name: 2 * part for name, part in self.params.items()}

    assert any(
        remark.endswith("is run by forward, backward; update was never called") for remark in check(Steps).remarks
    )
    assert not any("never called" in remark for remark in check(Attributes).remarks)


def test_the_rate_that_is_an_attribute_is_told():
    class Halved(Attributes):
        def train(self, X, y, epochs=1000):
            self.learning_rate /= 2
            super().train(X, y, epochs)

    assert not check(Halved).passed


def test_biases_that_are_not_found_are_not_left_out():
    class Half(Attributes):
        def __init__(self, input_size, hidden_size, output_size):
            super().__init__(input_size, hidden_size, output_size)
            del self.b2

    comparison = check(Half)
    assert not comparison.passed
    assert "it has 2 weights and 1 biases" in comparison.message()


def test_a_class_that_is_not_understood_gets_the_function_around_it_in_its_own_names():
    class Estimator:
        def __init__(self, hidden=4):
            self.hidden = hidden

        def fit(self, X, y):
            self.W1 = np.ones((X.shape[1], self.hidden))

    message = check(Estimator).message().splitlines()
    assert message[0].startswith("Estimator cannot be called as it is: no weights were found in it.")
    assert 5 <= len(message) <= 8
    for line in ("    net = Estimator()  # of the sizes that weights has", "    net.fit(..)"):
        assert line in message
    assert any("net.W1 = .." in line for line in message)


@pytest.mark.parametrize("raised", [RuntimeError("no"), SystemExit(0)], ids=repr)
def test_a_class_that_cannot_be_made_is_no_match_and_says_why(raised):
    class Unmade:
        def __init__(self):
            raise raised

        def train(self, x, y):
            pass

    comparison = check(Unmade)
    assert not comparison.passed
    said = comparison.message().splitlines()[0]
    assert said.startswith(f"Unmade cannot be called as it is: making one raised {type(raised).__name__}: {raised} (")


def test_a_class_without_attributes_of_its_own_has_no_weights():
    class Slots:
        __slots__ = ()

        def train(self, x, y):
            pass

    assert "no weights were found in it" in check(Slots).message()


def test_the_command_checks_a_class(tmp_path, capsys):
    (tmp_path / "own.py").write_text("class Empty:\n    def train(self):\n        pass\n")
    assert main(["check", f"{tmp_path}/own.py:Empty", "--out", str(tmp_path)]) == 2
    assert "Empty cannot be called as it is" in "".join(capsys.readouterr())
