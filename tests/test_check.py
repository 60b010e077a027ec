"""`check` from the outside: backpropagation as people really write it, right and wrong, without the catalogue."""

import re
from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from comparisons import MismatchError, assert_matches_autograd, check
from comparisons.mistakes.effects import hidden
from comparisons.subject.probes import QUANTITIES, architectures, probe
from handnet import Network


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def with_ones(a):
    return np.hstack([a, np.ones((len(a), 1), a.dtype)])


# Right implementations, in the styles that people write.


def loops_over_neurons(weights, inputs, targets):
    """Scalars only, one neuron at a time."""
    samples = len(inputs)
    gradients = [[[0.0] * len(w[0]) for _ in w] for w in weights]
    for x, t in zip(inputs.tolist(), targets.tolist(), strict=True):
        a = [x]
        for w in weights:
            z = [sum(a[-1][j] * w[j][i] for j in range(len(a[-1]))) + w[-1][i] for i in range(len(w[0]))]
            a.append([1 / (1 + np.exp(-v)) for v in z])
        delta = [(o - y) * o * (1 - o) for o, y in zip(a[-1], t, strict=True)]
        for l in range(len(weights) - 1, -1, -1):
            for i, d in enumerate(delta):
                for j, below in enumerate([*a[l], 1.0]):
                    gradients[l][j][i] += d * below / samples
            w = weights[l]
            delta = [
                sum(d * w[j][i] for i, d in enumerate(delta)) * below * (1 - below) for j, below in enumerate(a[l])
            ]
    return gradients


def textbook_columns(weights, X, Y):
    """Samples in columns, caches and gradients by name: dW1, db1, .."""
    m, A, caches = X.shape[1], X, []
    for W, b in weights:
        caches.append((A, W))
        A = sigmoid(W @ A + b)
        caches[-1] += (A,)
    grads, dA = {}, (A - Y)
    for l in range(len(weights), 0, -1):
        A_prev, W, A = caches[l - 1]
        dZ = dA * A * (1 - A)
        grads[f"dW{l}"] = dZ @ A_prev.T / m
        grads[f"db{l}"] = np.sum(dZ, axis=1, keepdims=True) / m
        dA = W.T @ dZ
    return grads


def pairs_in_rows(weights, x, t):
    activations = [x]
    for w, b in weights:
        activations.append(sigmoid(activations[-1] @ w.T + b))
    delta = (activations[-1] - t) * activations[-1] * (1 - activations[-1]) / len(x)
    gradients = []
    for (w, _), a in zip(reversed(weights), reversed(activations[:-1]), strict=True):
        gradients.append((delta.T @ a, delta.sum(axis=0)))
        delta = (delta @ w) * a * (1 - a)
    return gradients[::-1]


def nabla_sample_by_sample(weights, x, y):
    """One column at a time; the biases' gradients before the weights'."""
    nabla_w, nabla_b = ([np.zeros_like(part) for part in parts] for parts in zip(*weights, strict=True))
    for k in range(x.shape[1]):
        activation, activations, zs = x[:, k : k + 1], [x[:, k : k + 1]], []
        for w, b in weights:
            zs.append(np.dot(w, activation) + b)
            activation = sigmoid(zs[-1])
            activations.append(activation)
        prime = [sigmoid(z) * (1 - sigmoid(z)) for z in zs]
        delta = (activations[-1] - y[:, k : k + 1]) * prime[-1]
        for l in range(1, len(weights) + 1):
            if l > 1:
                delta = np.dot(weights[-l + 1][0].T, delta) * prime[-l]
            nabla_b[-l] += delta / x.shape[1]
            nabla_w[-l] += np.dot(delta, activations[-l - 1].T) / x.shape[1]
    return nabla_b, nabla_w


class Linear:
    """A layer as torch has it, with a backward of its own."""

    def __init__(self, w, b):
        self.weight, self.bias = w, b

    def forward(self, x):
        self.x = x
        return x @ self.weight.T + self.bias

    def backward(self, grad):
        self.grad = (grad.T @ self.x, grad.sum(0))
        return grad @ self.weight


class Sigmoid:
    def forward(self, x):
        self.y = sigmoid(x)
        return self.y

    def backward(self, grad):
        return grad * self.y * (1 - self.y)


def layers_like_torch(weights, x, t):
    layers = [layer for w, b in weights for layer in (Linear(w, b), Sigmoid())]
    y = x
    for layer in layers:
        y = layer.forward(y)
    grad = (y - t) / len(x)
    for layer in reversed(layers):
        grad = layer.backward(grad)
    return 0.5 * ((y - t) ** 2).sum() / len(x), [layer.grad for layer in layers[::2]]


def in_place_updates(weights, inputs, targets, learning_rate):
    for w, g in zip(weights, note_layout(weights, inputs, targets), strict=True):
        w -= learning_rate * g


def note_layout(weights, inputs, targets):
    a = [inputs]
    for w in weights:
        a.append(sigmoid(with_ones(a[-1]) @ w))
    delta = (a[-1] - targets) * a[-1] * (1 - a[-1]) / len(inputs)
    gradients = [with_ones(a[-2]).T @ delta]
    for l in range(len(weights) - 1, 0, -1):
        delta = (delta @ weights[l][:-1].T) * a[l] * (1 - a[l])
        gradients.insert(0, with_ones(a[l - 1]).T @ delta)
    return gradients


def flat_list(weights, x, t):
    return [part for pair in pairs_in_rows(weights, x, t) for part in pair]


Result = namedtuple("Result", "activations deltas gradients")


def deltas_without_the_mean(weights, x, t):
    """delta of each sample, the mean taken in the gradient."""
    a = [x]
    for w, b in weights:
        a.append(sigmoid(a[-1] @ w.T + b))
    deltas = [(a[-1] - t) * a[-1] * (1 - a[-1])]
    for l in range(len(weights) - 1, 0, -1):
        deltas.insert(0, (deltas[0] @ weights[l][0]) * a[l] * (1 - a[l]))
    gradients = [(d.T @ below / len(x), d.mean(axis=0)) for d, below in zip(deltas, a, strict=False)]
    return Result(a, deltas, gradients)


def torch_itself(weights, x, t):
    pairs = [tuple(torch.tensor(part, requires_grad=True) for part in pair) for pair in weights]
    y = torch.tensor(x)
    for w, b in pairs:
        y = torch.sigmoid(y @ w.T + b)
    (((y - torch.tensor(t)) ** 2).sum() / 2 / len(x)).backward()
    return [(w.grad, b.grad) for w, b in pairs]


def einsum_and_prints(weights, inputs, targets):
    print("training ..")
    a = [inputs]
    for w in weights:
        a.append(sigmoid(np.einsum("nj,ji->ni", a[-1], w[:-1]) + w[-1]))
    delta = np.einsum("ni,ni,ni->ni", a[-1] - targets, a[-1], 1 - a[-1]) / len(inputs)
    gradients = []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, np.vstack([np.einsum("nj,ni->ji", a[l], delta), delta.sum(0)]))
        delta = np.einsum("ni,ji,nj,nj->nj", delta, weights[l][:-1], a[l], 1 - a[l])
    return gradients


def summed_over_samples(weights, x, t):
    return [(w * len(x), b * len(x)) for w, b in pairs_in_rows(weights, x, t)]


def forward_and_cost_only(weights, inputs, targets):
    a = inputs
    activations = []
    for w in weights:
        a = sigmoid(with_ones(a) @ w)
        activations.append(a)
    return {"activations": activations, "cost": ((a - targets) ** 2).sum() / 2 / len(inputs)}


class Trainer:
    """Keeps its gradients, and sets them to zero."""

    def __init__(self):
        self.grads = None

    def backprop(self, weights, inputs, targets):
        self.grads = [np.zeros_like(w) for w in weights]
        for grad, g in zip(self.grads, note_layout(weights, inputs, targets), strict=True):
            grad += g
        return self.grads


RIGHT = {
    "loops over neurons": (loops_over_neurons, {}),
    "textbook columns": (textbook_columns, {"layout": "columns"}),
    "pairs in rows": (pairs_in_rows, {"layout": "linear"}),
    "nabla_b before nabla_w": (nabla_sample_by_sample, {"layout": "columns"}),
    "layers like torch, after the loss": (layers_like_torch, {"layout": "linear"}),
    "in-place updates": (in_place_updates, {}),
    "note layout": (note_layout, {}),
    "W b W b": (flat_list, {"layout": "linear"}),
    "a named tuple": (deltas_without_the_mean, {"layout": "linear"}),
    "tensors": (torch_itself, {"layout": "linear"}),
    "einsum and prints": (einsum_and_prints, {}),
    "summed over samples": (summed_over_samples, {"layout": "linear", "reduction": "sum"}),
    "forward and cost only": (forward_and_cost_only, {}),
    "a method": (Trainer().backprop, {}),
    "an object": (Trainer(), {}),
    "float32 all along": (note_layout, {"dtype": np.float32}),
    "one layer": (note_layout, {"sizes": (3, 2)}),
    "one sample, one output": (textbook_columns, {"layout": "columns", "sizes": (3, 4, 1), "batch": 1}),
}


@pytest.mark.parametrize(("function", "options"), RIGHT.values(), ids=RIGHT)
def test_a_right_implementation_passes(function, options, capsys):
    comparison = check(function, **options)
    assert comparison.passed, comparison.message()
    assert comparison.diagnosis is None
    assert capsys.readouterr().out == ""


# Wrong implementations: each a right one with the mistake that people make.


def missing_transpose(weights, x, t):
    a = [x]
    for w, b in weights:
        a.append(sigmoid(a[-1] @ w.T + b))
    delta = (a[-1] - t) * a[-1] * (1 - a[-1]) / len(x)
    gradients = []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (delta.T @ a[l], delta.sum(axis=0)))
        delta = (delta @ weights[l][0].T) * a[l] * (1 - a[l])
    return gradients


def forgets_to_divide_by_m(weights, X, Y):
    return {name: g * X.shape[1] for name, g in textbook_columns(weights, X, Y).items()}


def divides_the_weights_only(weights, X, Y):
    grads = textbook_columns(weights, X, Y)
    return {name: g * X.shape[1] if name.startswith("db") else g for name, g in grads.items()}


def overwrites_instead_of_adding(weights, inputs, targets):
    for k in range(len(inputs)):
        gradients = [g / len(inputs) for g in note_layout(weights, inputs[k : k + 1], targets[k : k + 1])]
    return gradients


class NeverZeroed:
    def __init__(self):
        self.grads = {}

    def backprop(self, weights, inputs, targets):
        for l, g in enumerate(note_layout(weights, inputs, targets)):
            self.grads[l] = self.grads.get(l, 0) + g
        return [self.grads[l] for l in range(len(weights))]


def updates_on_the_way_down(weights, inputs, targets, learning_rate):
    a = [inputs]
    for w in weights:
        a.append(sigmoid(with_ones(a[-1]) @ w))
    delta = (a[-1] - targets) * a[-1] * (1 - a[-1]) / len(inputs)
    for l in range(len(weights) - 1, -1, -1):
        weights[l] -= learning_rate * with_ones(a[l]).T @ delta
        delta = (delta @ weights[l][:-1].T) * a[l] * (1 - a[l])


def sigmoid_prime_of_a(weights, X, Y):
    """sigmoid_prime wants z, and gets a."""

    def prime(z):
        return sigmoid(z) * (1 - sigmoid(z))

    A = [X]
    for W, b in weights:
        A.append(sigmoid(W @ A[-1] + b))
    grads, dZ = [], (A[-1] - Y) * prime(A[-1]) / X.shape[1]
    for l in range(len(weights) - 1, -1, -1):
        grads.insert(0, (dZ @ A[l].T, dZ.sum(axis=1, keepdims=True)))
        dZ = weights[l][0].T @ dZ * prime(A[l])
    return grads


def z_times_one_minus_z(weights, x, t):
    zs, a = [], [x]
    for w in weights:
        zs.append(with_ones(a[-1]) @ w)
        a.append(sigmoid(zs[-1]))
    delta = (a[-1] - t) / len(x) * zs[-1] * (1 - zs[-1])
    gradients = [with_ones(a[-2]).T @ delta]
    for l in range(len(weights) - 1, 0, -1):
        delta = (delta @ weights[l][:-1].T) * zs[l - 1] * (1 - zs[l - 1])
        gradients.insert(0, with_ones(a[l - 1]).T @ delta)
    return gradients


def delta_of_cross_entropy(weights, X, Y):
    A = [X]
    for W, b in weights:
        A.append(sigmoid(W @ A[-1] + b))
    dZ, grads = (A[-1] - Y) / X.shape[1], []
    for l in range(len(weights) - 1, -1, -1):
        grads.insert(0, (dZ @ A[l].T, dZ.sum(axis=1, keepdims=True)))
        dZ = weights[l][0].T @ dZ * A[l] * (1 - A[l])
    return grads


def target_minus_output(weights, inputs, targets):
    return [-g for g in note_layout(weights, inputs, targets)]


def climbs(weights, inputs, targets, learning_rate):
    gradients = note_layout(weights, inputs, targets)
    return {"gradients": gradients, "updated": [w + learning_rate * g for w, g in zip(weights, gradients, strict=True)]}


def no_biases_forward(weights, x, t):
    a = [x]
    for w, _ in weights:
        a.append(sigmoid(a[-1] @ w.T))
    delta = (a[-1] - t) * a[-1] * (1 - a[-1]) / len(x)
    gradients = []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (delta.T @ a[l], delta.sum(axis=0)))
        delta = (delta @ weights[l][0]) * a[l] * (1 - a[l])
    return gradients


def turned_gradients(weights, x, t):
    return [(w.T, b) for w, b in pairs_in_rows(weights, x, t)]


def turned_note_gradients(weights, inputs, targets):
    return [g.T for g in note_layout(weights, inputs, targets)]


def drops_the_first_row(weights, inputs, targets):
    a = [inputs]
    for w in weights:
        a.append(sigmoid(with_ones(a[-1]) @ w))
    delta = (a[-1] - targets) * a[-1] * (1 - a[-1]) / len(inputs)
    gradients = [with_ones(a[-2]).T @ delta]
    for l in range(len(weights) - 1, 0, -1):
        delta = (delta @ weights[l].T)[:, 1:] * a[l] * (1 - a[l])
        gradients.insert(0, with_ones(a[l - 1]).T @ delta)
    return gradients


def float32_inside(weights, inputs, targets):
    narrow = note_layout([np.float32(w) for w in weights], np.float32(inputs), np.float32(targets))
    return [g.astype(np.float64) for g in narrow]


def float32_on_the_way(weights, x, t):
    """Rounded to float32 on the way in, then computed in float64."""
    rounded = [tuple(np.float64(np.float32(part)) for part in pair) for pair in weights]
    return pairs_in_rows(rounded, np.float64(np.float32(x)), np.float64(np.float32(t)))


def feeds_the_wrong_layer(weights, x, t):
    a = [x]
    for w, b in weights:
        a.append(sigmoid(a[-1] @ w.T + b))
    delta = (a[-1] - t) * a[-1] * (1 - a[-1]) / len(x)
    gradients = []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (delta.T @ a[l + 1], delta.sum(axis=0)))
        delta = (delta @ weights[l][0]) * a[l] * (1 - a[l])
    return gradients


def forgets_the_slope_of_layer_1(weights, inputs, targets):
    a = [inputs]
    for w in weights:
        a.append(sigmoid(with_ones(a[-1]) @ w))
    delta = (a[-1] - targets) * a[-1] * (1 - a[-1]) / len(inputs)
    gradients = [with_ones(a[-2]).T @ delta]
    for l in range(len(weights) - 1, 0, -1):
        delta = delta @ weights[l][:-1].T
        if l > 1:
            delta = delta * a[l] * (1 - a[l])
        gradients.insert(0, with_ones(a[l - 1]).T @ delta)
    return gradients


def mean_over_everything(weights, inputs, targets):
    return [g / targets.shape[1] for g in note_layout(weights, inputs, targets)]


def squared_error_without_half(weights, inputs, targets):
    a = inputs
    for w in weights:
        a = sigmoid(with_ones(a) @ w)
    gradients = [2 * g for g in note_layout(weights, inputs, targets)]
    return ((a - targets) ** 2).sum() / len(inputs), gradients


def keeps_the_biases(weights, inputs, targets, learning_rate):
    for w, g in zip(weights, note_layout(weights, inputs, targets), strict=True):
        w[:-1] -= learning_rate * g[:-1]


def relu_for_sigmoid(weights, x, t):
    a = [x]
    for w, b in weights:
        a.append(np.maximum(a[-1] @ w.T + b, 0))
    delta = (a[-1] - t) * (a[-1] > 0) / len(x)
    gradients = []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (delta.T @ a[l], delta.sum(axis=0)))
        delta = (delta @ weights[l][0]) * (a[l] > 0)
    return gradients


def off_by_one_layer(weights, inputs, targets):
    a = [inputs]
    for w in weights:
        a.append(sigmoid(with_ones(a[-1]) @ w))
    delta = (a[-1] - targets) * a[-1] * (1 - a[-1]) / len(inputs)
    gradients = [with_ones(a[-2]).T @ delta]
    for l in range(len(weights) - 1, 0, -1):
        delta = (delta @ weights[l - 1][:-1].T) * a[l] * (1 - a[l])
        gradients.insert(0, with_ones(a[l - 1]).T @ delta)
    return gradients


def linear_output(weights, inputs, targets):
    a = [inputs]
    for l, w in enumerate(weights, start=1):
        z = with_ones(a[-1]) @ w
        a.append(z if l == len(weights) else sigmoid(z))
    delta = (a[-1] - targets) / len(inputs)
    gradients = [with_ones(a[-2]).T @ delta]
    for l in range(len(weights) - 1, 0, -1):
        delta = (delta @ weights[l][:-1].T) * a[l] * (1 - a[l])
        gradients.insert(0, with_ones(a[l - 1]).T @ delta)
    return gradients


def cross_entropy_and_no_mean(weights, X, Y):
    return [(w * X.shape[1], b * X.shape[1]) for w, b in delta_of_cross_entropy(weights, X, Y)]


LINEAR, COLUMNS = {"layout": "linear"}, {"layout": "columns"}
WRONG = {
    "no_transpose": (missing_transpose, LINEAR, ("delta", 2)),
    "batch_sum": (forgets_to_divide_by_m, COLUMNS, ("delta", 3)),
    "bias_batch_sum": (divides_the_weights_only, COLUMNS, ("gradient", 3)),
    "last_sample_only": (overwrites_instead_of_adding, {}, ("gradient", 3)),
    "accumulated_gradient": (NeverZeroed, {"sizes": (2, 5, 4, 3)}, ("gradient", 3)),
    "updated_weights": (updates_on_the_way_down, {}, ("delta", 2)),
    "slope_of_activation": (sigmoid_prime_of_a, COLUMNS, ("delta", 3)),
    "slope_of_preactivation": (z_times_one_minus_z, {}, ("delta", 3)),
    "no_output_slope": (delta_of_cross_entropy, COLUMNS, ("delta", 3)),
    "reversed_error": (target_minus_output, {}, ("delta", 3)),
    "ascent": (climbs, {}, ("weight", 3)),
    "no_bias": (no_biases_forward, LINEAR, ("activation", 1)),
    "transposed_gradient": (turned_gradients, LINEAR, ("gradient", 3)),
    "wrong_row_stripped": (drops_the_first_row, {}, ("delta", 2)),
    "single_precision": (float32_inside, {}, ("gradient", 3)),
    "wrong_layer_below": (feeds_the_wrong_layer, LINEAR, ("gradient", 3)),
    "no_hidden_slope": (forgets_the_slope_of_layer_1, {}, ("delta", 1)),
    "output_mean": (mean_over_everything, {}, ("delta", 3)),
    "no_half": (squared_error_without_half, {}, ("cost", None)),
    "bias_not_updated": (keeps_the_biases, {}, ("weight", 3)),
    "relu_activation": (relu_for_sigmoid, LINEAR, ("activation", 1)),
    "wrong_weights": (off_by_one_layer, {}, ("delta", 2)),
    "identity_activation": (linear_output, {}, ("activation", 3)),
    "batch_sum + no_output_slope": (cross_entropy_and_no_mean, COLUMNS, ("delta", 3)),
}


@pytest.mark.parametrize("mistakes", WRONG)
def test_a_wrong_implementation_is_caught_and_its_mistake_is_named(mistakes):
    made, options, first_wrong = WRONG[mistakes]

    def function():
        return made() if isinstance(made, type) else made  # what keeps gradients starts anew

    comparison = check(function(), **options)
    assert not comparison.passed
    assert set(comparison.diagnosis.mistakes) == set(mistakes.split(" + ")), comparison.message()
    assert comparison.diagnosis.first_wrong == first_wrong
    with pytest.raises(MismatchError, match=rf"\[{comparison.diagnosis.mistakes[0]}\]"):
        assert_matches_autograd(function(), **options)


def test_weights_rounded_to_float32_on_the_way_in_are_named_too():
    assert check(float32_on_the_way, layout="linear").diagnosis.mistakes == ("single_precision",)


def test_whole_matrices_turned_are_named_too():
    comparison = check(turned_note_gradients)
    assert comparison.diagnosis.mistakes == ("transposed_gradient",)
    assert "dC/dW^(1) has shape (5, 3): expected (3, 5), its transpose" in comparison.message()


# What is wrong beyond the numbers.


def raises(weights, inputs, targets):
    raise RuntimeError("no idea")


def is_random(weights, inputs, targets):
    return [g + np.random.default_rng().normal(size=g.shape) for g in note_layout(weights, inputs, targets)]


def biases_not_summed(weights, x, t):
    return [(w, np.tile(b, (len(x), 1))) for w, b in pairs_in_rows(weights, x, t)]


FINDINGS = {
    "an exception": (
        raises,
        {},
        r"on 2-5-4-3: it raised RuntimeError: no idea \(test_check.py:\d+\); called with weights",
    ),
    "an exit": (lambda *_: exit(3), {}, "it raised SystemExit: 3"),
    "two answers": (is_random, {}, "two answers to the same question"),
    "nothing": (lambda *_: None, {}, "it returned nothing: expected gradients"),
    "a number": (lambda *_: 3.5, {}, "it returned a value of type float: expected gradients"),
    "too few layers": (lambda w, x, t: note_layout(w, x, t)[:2], {}, "gradients has 2 entries: expected 3"),
    "no numbers": (lambda w, *_: [["a"] for _ in w], {}, "expected real numbers"),
    "ragged rows": (lambda w, *_: [[[1.0], [1.0, 2.0]] for _ in w], {}, "is ragged"),
    "biases not summed": (
        biases_not_summed,
        LINEAR,
        r"those of dC/dW\^\(1\) have shape \(6, 5\): expected \(5,\)",
    ),
    "another shape": (
        lambda w, x, t: [g[:-1] for g in note_layout(w, x, t)],
        {},
        r"has shape \(2, 5\): expected \(3, 5\)",
    ),
}


@pytest.mark.parametrize(("function", "options", "said"), FINDINGS.values(), ids=FINDINGS)
def test_what_cannot_be_compared_is_a_finding_and_not_our_traceback(function, options, said):
    comparison = check(function, **options)
    assert not comparison.passed
    with pytest.raises(MismatchError, match=said):
        comparison.assert_close()


PATTERNS = {
    "a constant factor": (lambda g: 1.5 * g, "the gradient of layer 3 is 1.5 times autograd's; all the others"),
    "a factor per row": (lambda g: g * (np.arange(len(g)) + 2)[:, None], "each row of it is a constant times"),
    "a factor per column": (lambda g: g * (np.arange(g.shape[1]) + 2), "each column of it is a constant times"),
    "rows in another order": (lambda g: np.roll(g, 1, axis=0), "its rows are autograd's in another order"),
    "finite differences": (lambda g: g + 1e-10, "as finite differences are"),
    "nothing known": (np.sin, "no known mistake explains it."),
}


@pytest.mark.parametrize(("change", "said"), PATTERNS.values(), ids=PATTERNS)
def test_what_no_known_mistake_explains_is_said_plainly_with_the_pattern(change, said):
    comparison = check(lambda *question: [*note_layout(*question)[:2], change(note_layout(*question)[2])])
    assert comparison.diagnosis.mistakes == (("scaled",) if "1.5 times" in said else ())
    assert said in comparison.message()


def test_central_differences_are_right_to_their_own_accuracy_only():
    def numeric(weights, inputs, targets):
        def cost(changed):
            a = inputs
            for w in changed:
                a = sigmoid(with_ones(a) @ w)
            return ((a - targets) ** 2).sum() / 2 / len(inputs)

        gradients = [np.zeros_like(w) for w in weights]
        for l, w in enumerate(weights):
            for at in np.ndindex(w.shape):
                old = w[at]
                w[at] = old + 1e-5
                above = cost(weights)
                w[at] = old - 1e-5
                gradients[l][at] = (above - cost(weights)) / 2e-5
                w[at] = old
        return gradients

    comparison = check(numeric, sizes=(2, 3, 2))
    assert not comparison.passed
    assert "as finite differences are" in comparison.message()


# What is worth a remark, and what the options mean.


def test_deltas_without_the_mean_are_right_and_remarked():
    assert check(deltas_without_the_mean, layout="linear").remarks == ("its deltas are without the 1/N",)


def test_changes_in_place_are_remarked_and_reach_nobody():
    def scales_its_samples(weights, inputs, targets):
        gradients = note_layout(weights, inputs, targets)
        inputs *= 2
        return gradients

    assert check(in_place_updates).remarks == (
        "it changes the weights in place: they are read as the weights after the step",
    )
    comparison = check(scales_its_samples)
    assert comparison.passed
    assert comparison.remarks == ("it changes the inputs or targets in place",)


@pytest.mark.parametrize(
    "replace", [lambda w: w.append(None), lambda w: w.__setitem__(0, "gone"), lambda w: w.clear()], ids=range(3)
)
def test_whatever_happens_to_the_list_of_weights_is_survived(replace):
    def careless(weights, inputs, targets):
        gradients = note_layout(weights, inputs, targets)
        replace(weights)
        return {"gradients": gradients, "updated": [w - 0.5 * g for w, g in zip(kept, gradients, strict=True)]}

    kept = [w.copy() for w in probe((2, 5, 4, 3), dtype=np.dtype("float64")).truths[0].problem.weights]
    assert "in place" in check(careless, sizes=(2, 5, 4, 3)).remarks[0]


@dataclass
class Everything:
    activations: list
    cost: float
    deltas: list
    gradients: list
    updated: list


@pytest.mark.parametrize("activation", ["tanh", "relu", "identity", ("tanh", "sigmoid"), ("relu", "tanh", "identity")])
def test_every_activation_and_quantity_can_be_checked(activation):
    def whole(weights, inputs, targets, learning_rate):
        net = Network(weights, activation)
        made = net.backprop(inputs, targets)
        new = net.update(made.gradients, learning_rate).weights
        return Everything(list(made.activations), float(made.cost), list(made.deltas), list(made.gradients), list(new))

    comparison = check(whole, activation=activation)
    assert comparison.passed, comparison.message()
    assert set(comparison.frame["quantity"]) == {"activation", "cost", "delta", "gradient", "weight"}


@pytest.mark.parametrize("given", ["gradients", "everything"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "identity", ("tanh", "sigmoid")], ids=str)
def test_the_probes_are_blind_to_no_known_mistake(activation, given):
    def right(weights, inputs, targets, learning_rate):
        net = Network(weights, activation)
        made = net.backprop(inputs, targets)
        if given == "gradients":
            return made.gradients
        parts = {name: getattr(made, name) for name in ("activations", "cost", "deltas", "gradients")}
        return {**parts, "updated": net.update(made.gradients, learning_rate).weights}

    assert check(right, activation=activation).blind == ()


def test_one_sample_and_one_output_hide_what_they_must():
    hidden = check(note_layout, sizes=(3, 4, 1), batch=1).blind
    assert {"batch_sum", "averaged_twice", "last_sample_only", "output_mean"} <= set(hidden)
    assert "no_half" not in hidden


def test_the_architectures_of_the_probes_have_unequal_and_equal_widths():
    for activation in ("sigmoid", ["tanh"], ["tanh"] * 2, ["relu"] * 6):
        unequal, equal = architectures(activation)
        assert len(set(unequal)) == len(unequal) == len(equal)
        assert len(set(equal)) == 1
        assert unequal[-1] >= 3
        samples = probe(unequal, tuple(activation) if isinstance(activation, list) else activation).truths[0]
        assert samples.problem.inputs.shape[0] not in unequal


BAD = {
    "layout": ({"layout": "sideways"}, "layout 'sideways' is unknown: expected one of note, rows, linear, columns"),
    "reduction": ({"reduction": "max"}, "reduction 'max' is unknown"),
    "batch": ({"batch": 0}, "batch is 0: expected 1 or more"),
    "sizes": ({"sizes": (3,)}, r"sizes is \[3\]: expected at least two sizes"),
    "activation": ({"activation": "sine"}, "activation 'sine' is unknown"),
    "layers": ({"activation": ["tanh"], "sizes": (2, 3, 4)}, "activation has 1 names for 2 layers"),
    "rate": ({"learning_rate": np.inf}, "learning_rate is inf: expected a finite number"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_a_bad_option_is_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        check(note_layout, **options)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="backprop is of type SimpleNamespace: expected a function of weights"):
        check(SimpleNamespace())


def test_assert_matches_autograd_takes_a_network_or_a_function(rng):
    net = Network.random([2, 3, 1], rng=rng)
    assert_matches_autograd(net, [0.5, -0.5], [1.0], steps=2)
    assert_matches_autograd(note_layout)
    with pytest.raises(TypeError, match="a Network needs inputs and targets"):
        assert_matches_autograd(net)
    with pytest.raises(TypeError, match="a function is put to probes of its own"):
        assert_matches_autograd(note_layout, [0.5], [1.0])


def test_the_message_reads_like_a_colleagues():
    message = check(missing_transpose, layout="linear", sizes=(4, 4, 4)).message()
    assert message.startswith(
        "Where: delta1 is the first wrong quantity (layer 1 of 2), read off the gradients of a single sample.\n"
    )
    assert (
        "(delta of layer 1)\n"
        "Why: it equals (delta2 @ W2.T) * sigmoid'(z1): W2 is turned the wrong way:"
        " a transpose is missing, or one too many [no_transpose].\n"
        "Should be: delta1 = (delta2 @ W2) * a1 * (1 - a1), in the note's notation D^(1) (w^(2))^T delta^(2).\n"
        "Worst number: delta1["
    ) in message
    assert "complex-step differentiation agrees with autograd" in message
    assert message.endswith("Replay: check(missing_transpose, layout='linear', sizes=(4, 4, 4))")


# What an answer may look like, and what of it must not get lost.


def pairs_of(weights, x, t):
    """(gradients of the weights, gradients of the biases, cost)"""
    gradients = pairs_in_rows(weights, x, t)
    a = x
    for w, b in weights:
        a = sigmoid(a @ w.T + b)
    return [w for w, _ in gradients], [b for _, b in gradients], ((a - t) ** 2).sum() / 2 / len(x)


FORMS = {
    "cost, then pairs": lambda W, b, c: (c, list(zip(W, b, strict=True))),
    "pairs, then cost": lambda W, b, c: (list(zip(W, b, strict=True)), c),
    "a list of cost and pairs": lambda W, b, c: [c, list(zip(W, b, strict=True))],
    "cost as a matrix": lambda W, b, c: (np.array([[c]]), list(zip(W, b, strict=True))),
    "cost, all W, all b": lambda W, b, c: (c, W, b),
    "all W, all b": lambda W, b, c: (W, b),
    "all b, all W": lambda W, b, c: (b, W),
    "W b W b, after the cost": lambda W, b, c: (c, [part for pair in zip(W, b, strict=True) for part in pair]),
    "a generator": lambda W, b, c: (pair for pair in zip(W, b, strict=True)),
    "a zip, after the cost": lambda W, b, c: (c, zip(W, b, strict=True)),
    "reversed": lambda W, b, c: reversed([*zip(W[::-1], b[::-1], strict=True)]),
    "by number": lambda W, b, c: {f"d{n}{l}": g for n, s in (("W", W), ("b", b)) for l, g in enumerate(s, start=1)},
    "by number with _": lambda W, b, c: {f"{n}_{l}": g for n, s in (("b", b), ("w", W)) for l, g in enumerate(s)},
    "by number, with a loss": lambda W, b, c: {"loss": c} | FORMS["by number"](W, b, c),
    "by kind": lambda W, b, c: {"dW": W, "db": b},
    "by kind, after the cost": lambda W, b, c: (c, {"W": W, "b": b}),
    "layers by name": lambda W, b, c: {
        f"layer{l}": {"db": bb, "dW": w} for l, (w, bb) in enumerate(zip(W, b, strict=True))
    },
    "grads and cost": lambda W, b, c: {"grads": list(zip(W, b, strict=True)), "cost": c},
    "an object with grads": lambda W, b, c: SimpleNamespace(grads=list(zip(W, b, strict=True)), cost=c),
    "tensors in lists": lambda W, b, c: [
        [torch.tensor(w, requires_grad=True).tolist(), torch.tensor(bb)] for w, bb in zip(W, b, strict=True)
    ],
    "matrices": lambda W, b, c: [(np.asmatrix(w), np.asmatrix(bb)) for w, bb in zip(W, b, strict=True)],
}


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("sizes", [None, (3, 2), (1, 1, 1), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_every_usual_form_of_an_answer_is_read(form, sizes):
    right = check(lambda *question: FORMS[form](*pairs_of(*question)), layout="linear", sizes=sizes)
    assert right.passed, right.message()
    assert "gradient" in set(right.frame["quantity"])

    def wrong(*question):
        W, b, c = pairs_of(*question)
        return FORMS[form]([7 * w for w in W], [-bb for bb in b], c)

    assert not check(wrong, layout="linear", sizes=sizes).passed


UNREADABLE = {
    "a cost and something else": (lambda g, c: (c, "xxx"), "expected gradients"),
    "a cost and nothing": (lambda g, c: (c, None), "it returned a cost and nothing: expected gradients"),
    "unknown keys": (lambda g, c: {"cost": c, "dings": g}, "it returned dings, which is not understood"),
    "a masked array": (lambda g, c: [np.ma.array(w, mask=True) for w in g], "is masked: expected all its numbers"),
    "0-d arrays": (lambda g, c: [np.array(0.5)] * 3, "has shape .*: expected"),
    "one 0-d array": (lambda g, c: np.array(0.5), "it returned a value of type ndarray"),
    "sets": (lambda g, c: [{1.0, 2.0}] * 3, "expected real numbers|cannot be read"),
    "complex": (lambda g, c: [w + 0j for w in g], "with dtype complex128: expected real numbers"),
    "a class": (lambda g, c: SimpleNamespace, "expected gradients"),
    "what raises when looked at": (lambda g, c: Raising(), "its answer cannot be read: RuntimeError: hands off"),
}


class Raising:
    @property
    def gradients(self):
        raise RuntimeError("hands off")


@pytest.mark.parametrize(("change", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_not_understood_is_a_finding_and_never_dropped(change, said):
    comparison = check(lambda w, x, t: change(note_layout(w, x, t), 0.5))
    assert not comparison.passed
    assert re.search(said, comparison.message()), comparison.message()


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    "raised", [BaseException("x\ny"), GeneratorExit(), Unspeakable(), ValueError("\n\n")], ids=repr
)
def test_whatever_is_raised_is_one_line(raised):
    def function(*question):
        raise raised

    (finding, _) = check(function).findings
    assert "\n" not in finding
    assert f"it raised {type(raised).__name__}" in finding


def test_the_sizes_with_which_it_would_run_are_hinted_at():
    def two_layers(weights, inputs, targets):
        w1, w2 = weights
        return note_layout([w1, w2], inputs, targets)

    assert "it runs with sizes=(2, 5, 3)" in check(two_layers).remarks
    assert check(two_layers, sizes=(2, 5, 3)).passed


# What the probes must not let through.


def test_a_dead_relu_lets_nothing_pass():
    for seed in range(3):
        for sizes in ((3, 4, 1), (2, 2, 1)):
            comparison = check(lambda w, x, t: [0 * v for v in w], sizes=sizes, activation="relu", seed=seed)
            assert not comparison.passed


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("activation", ["relu", ("sigmoid", "relu")], ids=str)
def test_the_probes_are_drawn_again_until_every_mistake_shows(activation, seed):
    unequal, _ = architectures(activation)
    drawn = probe(unequal, activation, seed=seed)
    assert hidden([drawn.truths], QUANTITIES) == ()


CONSTANTS = {
    "the learning rate": lambda w, x, t, learning_rate: {"updated": stepped(w, x, t, 0.5)},
    "its square": lambda w, x, t, learning_rate: {"updated": stepped(w, x, t, 2 * learning_rate**2)},
    "the samples": lambda w, x, t: [g * len(x) / 6 for g in note_layout(w, x, t)],
    "one sample": lambda w, x, t: [g * (2 if len(x) == 1 else 1) for g in note_layout(w, x, t)],
}


def stepped(weights, inputs, targets, rate):
    return [w - rate * g for w, g in zip(weights, note_layout(weights, inputs, targets), strict=True)]


@pytest.mark.parametrize("function", CONSTANTS.values(), ids=CONSTANTS)
def test_a_constant_in_the_place_of_what_is_given_is_found(function):
    assert not check(function).passed


def test_a_function_that_is_not_told_the_learning_rate_may_know_it():
    assert check(lambda w, x, t: {"updated": stepped(w, x, t, 0.1)}, learning_rate=0.1).passed


def test_how_the_learning_rate_is_passed():
    def positional(weights, inputs, targets, learning_rate, /):
        return {"updated": stepped(weights, inputs, targets, learning_rate)}

    def decorated(*arguments, **options):
        return note_layout(*arguments, **options)

    assert check(positional).passed
    assert check(decorated).passed


class Predicting(Trainer):
    def __call__(self, inputs):
        return inputs


def test_an_object_that_predicts_when_called_is_asked_for_its_backprop():
    assert check(Predicting()).passed


def test_pairs_can_be_changed_in_place():
    def function(weights, x, t, learning_rate):
        for pair, (w, b) in zip(weights, pairs_in_rows(weights, x, t), strict=True):
            pair[0] -= learning_rate * w
            pair[1] -= learning_rate * b

    assert check(function, layout="linear").passed


def test_what_it_prints_is_for_the_eyes_and_no_part_of_the_output(capsys):
    assert check(einsum_and_prints).passed
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "training" in printed.err


# What must not be blamed.


def biases_times(factor):
    return lambda w, x, t: [(dw, factor * db) for dw, db in pairs_in_rows(w, x, t)]


def everything(weights, x, t, deltas_times=1.0, weights_times=1.0, biases_times=1.0):
    a = [x]
    for w, b in weights:
        a.append(sigmoid(a[-1] @ w.T + b))
    deltas = [(a[-1] - t) * a[-1] * (1 - a[-1]) / len(x)]
    for l in range(len(weights) - 1, 0, -1):
        deltas.insert(0, (deltas[0] @ weights[l][0]) * a[l] * (1 - a[l]))
    gradients = [(d.T @ below, d.sum(axis=0)) for d, below in zip(deltas, a, strict=False)]
    return {
        "deltas": [d * deltas_times for d in deltas],
        "gradients": [(w * weights_times, b * biases_times) for w, b in gradients],
    }


@pytest.mark.parametrize("factor", [2.0, -1.0, 0.3])
def test_a_factor_on_the_biases_alone_blames_neither_delta_nor_the_forward_pass(factor):
    diagnosis = check(biases_times(factor), layout="linear").diagnosis
    assert diagnosis.first_wrong == ("gradient", 3)
    assert f"biases of layers 1, 2 and 3 is {factor:g} times autograd's; all the others are right" in diagnosis.message


SHARES = {
    "the mean is taken twice": (lambda n: (1, 1 / n, 1 / n), "gradient_averaged_twice"),
    "the biases' mean is taken twice": (lambda n: (1, 1, 1 / n), "bias_averaged_twice"),
    "deltas without it, the biases summed": (lambda n: (n, 1, n), "bias_batch_sum"),
    "deltas without it, all summed": (lambda n: (n, n, n), "batch_sum"),
    "deltas with it, all summed": (lambda n: (1, n, n), "gradient_batch_sum"),
}


@pytest.mark.parametrize(("factors", "mistake"), SHARES.values(), ids=SHARES)
def test_the_mean_over_the_samples_is_missed_where_it_is_missing(factors, mistake):
    comparison = check(lambda w, x, t: everything(w, x, t, *factors(len(x))), layout="linear")
    assert comparison.diagnosis.mistakes == (mistake,), comparison.message()


def test_deltas_without_the_mean_and_nothing_else_are_right():
    def deltas_only(weights, x, t):
        return {"deltas": everything(weights, x, t, len(x))["deltas"]}

    assert check(deltas_only, layout="linear").passed


MORE = {
    "mse_loss": lambda w, x, t: [g * 2 / t.shape[1] for g in note_layout(w, x, t)],
    "averaged_over_inputs": lambda w, x, t: [g * len(x) / x.shape[1] for g in note_layout(w, x, t)],
    "bias_sum_of_all": lambda w, x, t: [np.vstack([g[:-1], g[-1:] * 0 + g[-1].sum()]) for g in note_layout(w, x, t)],
    "no_half + batch_sum": lambda w, x, t: [g * 2 * len(x) for g in note_layout(w, x, t)],
}


@pytest.mark.parametrize("mistakes", MORE)
def test_the_usual_factors_are_named(mistakes):
    found = check(MORE[mistakes])
    assert set(found.diagnosis.mistakes) == set(mistakes.split(" + ")), found.message()


def test_gradients_cast_to_float32_are_named_and_the_forward_pass_is_not_blamed():
    diagnosis = check(lambda *question: [g.astype(np.float32) for g in note_layout(*question)]).diagnosis
    assert diagnosis.mistakes == ("single_precision",)
    assert diagnosis.first_wrong == ("gradient", 3)
    assert diagnosis.message.startswith(
        "Where: dW3 is the first wrong quantity (layer 3 of 3).\nWhy: it equals the right value"
    )


def test_updated_weights_called_gradients_are_recognised():
    comparison = check(lambda w, x, t: {"gradients": stepped(w, x, t, 0.5)})
    assert "it is W3 after the step" in comparison.message()


def test_what_has_another_shape_is_not_told_as_a_number():
    message = check(
        lambda w, x, t: [(b, w) for w, b in pairs_in_rows(w, x, t)], layout="linear", sizes=(3, 2)
    ).message()
    assert "nan" not in message
    assert "wrong shape" in message


@pytest.mark.parametrize("layout", ["linear", "columns"])
def test_the_advice_is_written_in_the_layout_of_the_code(layout):
    def doubled(weights, x, t):
        if layout == "columns":
            return {name: 2 * g if name.endswith("1") else g for name, g in textbook_columns(weights, x, t).items()}
        first, *others = pairs_in_rows(weights, x, t)
        return [tuple(2 * part for part in first), *others]

    message = check(doubled, layout=layout).message()
    expected = {
        "linear": "delta1 = (delta2 @ W2) * a1 * (1 - a1)",
        "columns": "delta1 = (W2.T @ delta2) * a1 * (1 - a1)",
    }
    assert f"Should be: {expected[layout]}, in the note's notation" in message


def test_the_numbers_asked_can_be_had_to_reckon_by_hand():
    comparison = check(note_layout)
    problem = comparison.problems["2-5-4-3", 2]
    gradient = note_layout(problem.weights, problem.inputs, problem.targets)[0]
    measured = next(m for m in comparison.measured if (m.case, m.step, m.key) == ("2-5-4-3", 2, ("gradient", 1)))
    assert (gradient == measured.hand).all()


def test_a_comparison_is_true_if_it_passed_and_short_to_look_at():
    assert check(note_layout)
    wrong = check(target_minus_output)
    assert not wrong
    assert repr(wrong) == "<Comparison 2-5-4-3, sigmoid sigmoid sigmoid, float64: MISMATCH in 570 numbers>"


def test_numpys_settings_change_nothing():
    with np.errstate(all="raise"):
        assert check(note_layout).passed
        assert not check(lambda *question: [g * 1e300 for g in note_layout(*question)]).passed


def test_a_learning_rate_too_large_for_the_dtype_is_one_line():
    with pytest.raises(ValueError, match="learning_rate is 1e\\+39: expected a number within float32"):
        check(note_layout, learning_rate=1e39, dtype=np.float32)
    with pytest.raises(ValueError, match="expected a finite number"):
        check(note_layout, learning_rate=10**400)


# What the cost, float32, and weights that nobody uses have to do with it.
COSTS = {
    "cost_no_half": lambda error: (error**2).sum() / len(error),
    "cost_batch_sum": lambda error: (error**2).sum() / 2,
    "cost_output_mean": lambda error: (error**2).mean() / 2,
    "cost_mse_loss": lambda error: (error**2).mean(),
}


@pytest.mark.parametrize("mistake", COSTS)
def test_a_wrong_cost_beside_right_gradients_is_named(mistake):
    def function(weights, x, t):
        return COSTS[mistake](Network(weights).forward(x)[-1] - t), note_layout(weights, x, t)

    assert check(function).diagnosis.mistakes == (mistake,)


def test_an_unknown_cost_keeps_nothing_else_from_being_named():
    def cross_entropy(weights, X, Y):
        a = X
        for W, b in weights:
            a = sigmoid(W @ a + b)
        return -(Y * np.log(a) + (1 - Y) * np.log(1 - a)).sum() / X.shape[1], delta_of_cross_entropy(weights, X, Y)

    diagnosis = check(cross_entropy, layout="columns").diagnosis
    assert diagnosis.first_wrong == ("cost", None)
    assert diagnosis.mistakes == ("no_output_slope",)
    consistent, following, rest = diagnosis.message.split("\n", 2)
    assert consistent == "consistent, but not as stated: it is right for cost='binary_cross_entropy'"
    assert following == "Next: check(cross_entropy, layout='columns', cost='binary_cross_entropy')"
    cost, besides = rest.split("Besides:\n")
    assert cost.startswith("Where: C is the first wrong quantity.\nWhy: no known mistake explains it")
    assert besides.startswith("Where: delta3 is the first wrong quantity")
    assert "as if the cost were a cross-entropy [no_output_slope]" in besides


def test_a_wrong_cost_is_named_beside_what_nothing_explains():
    def function(weights, x, t):
        made = Network(weights).backprop(x, t)
        return {"cost": 2 * made.cost, "deltas": [-d for d in made.deltas], "gradients": made.gradients}

    diagnosis = check(function).diagnosis
    assert diagnosis.mistakes == ("cost_no_half", "scaled")
    assert "it is -1 times autograd's [scaled]." in diagnosis.message


def test_a_wrong_cost_that_is_named_alone_is_no_end_of_the_search():
    """Deltas with the 1/N in them, which look as if they were without it."""

    def no_half_and_biases_averaged_twice(weights, x, t):
        made = Network(weights).backprop(x, t)
        gradients = [2 * np.vstack([g[:-1], g[-1:] / len(x)]) for g in made.gradients]
        return {"cost": 2 * made.cost, "deltas": [2 * d for d in made.deltas], "gradients": gradients}

    found = check(no_half_and_biases_averaged_twice).diagnosis
    assert set(found.mistakes) == {"no_half", "bias_averaged_twice"}


def test_a_mistake_in_float32_is_named_beside_float32():
    diagnosis = check(lambda *question: sigmoid_prime_of_a(*rounded(question)), layout="columns").diagnosis
    assert diagnosis.mistakes == ("single_precision", "slope_of_activation")
    assert diagnosis.message.startswith("It computes in float32 [single_precision]. Judged as float32:\nWhere: delta3")
    comparison = check(lambda *question: sigmoid_prime_of_a(*rounded(question)), layout="columns")
    assert comparison.replay == "check(backprop, layout='columns')"


def rounded(question):
    weights, X, Y = question
    return [[part.astype(np.float32) for part in pair] for pair in weights], X.astype(np.float32), Y.astype(np.float32)


def test_an_answer_that_does_not_depend_on_the_weights_is_a_finding():
    def own_weights(weights, x, t):
        rng = np.random.default_rng(0)
        return note_layout([rng.standard_normal(w.shape) for w in weights], x, t)

    assert "on 2-5-4-3: the answer does not depend on the weights that it is given" in check(own_weights).findings
    assert not check(missing_transpose, layout="linear", sizes=(4, 4, 4)).findings


def test_where_a_relu_is_dead_nobody_is_said_to_ignore_the_weights():
    def wrong_cost_only(weights, x, t):
        made = Network(weights, "relu").backprop(x, t)
        return 2 * made.cost, made.gradients

    for seed in range(12):
        for sizes in ((1, 1), (1, 1, 1)):
            assert not check(wrong_cost_only, activation="relu", sizes=sizes, seed=seed, batch=1).findings


def test_a_factor_has_the_name_that_holds_on_every_network():
    comparison = check(lambda w, x, t: {"cost": 6 * Network(w).backprop(x, t).cost, "deltas": deltas_times(4, w, x, t)})
    assert comparison.diagnosis.first_wrong == ("cost", None)
    assert "which is" not in comparison.message()
    by_inputs = check(lambda w, x, t: {"deltas": deltas_times(3 * x.shape[1], w, x, t)}).message()
    assert "times autograd's" in by_inputs
    assert "m_0" not in by_inputs  # but 3 m_0, of which there is no name
    assert "it is 2 times autograd's [scaled]." in check(lambda w, x, t: {"activations": twice(w, x)}).message()


def deltas_times(factor, weights, x, t):
    return [factor * delta for delta in Network(weights).backprop(x, t).deltas]


def twice(weights, x):
    _, *activations = Network(weights).forward(x)
    return [2 * a for a in activations]


def test_deltas_of_the_other_sign_beside_right_gradients_are_read_without_the_mean_too():
    def target_minus_output_in_delta(weights, x, t):
        deltas = [-len(x) * delta for delta in Network(weights).backprop(x, t).deltas]
        return {"deltas": deltas, "gradients": note_layout(weights, x, t)}

    assert "it is -1 times autograd's [scaled]." in check(target_minus_output_in_delta).message()


def test_where_relus_are_dead_a_missing_slope_is_named_all_the_same():
    def no_slope(weights, x, t):
        a = Network(weights, "relu").forward(x)
        delta, gradients = (a[-1] - t) / len(x) * (a[-1] > 0), []
        for l in range(len(weights) - 1, -1, -1):
            gradients.insert(0, with_ones(a[l]).T @ delta)
            delta = delta @ weights[l][:-1].T
        return gradients

    for seed in range(3):
        assert check(no_slope, activation="relu", seed=seed).diagnosis.mistakes == ("no_hidden_slope",)


def test_arrays_that_are_no_pairs_are_named_by_their_shapes():
    def no_biases(weights, x, t):
        return [g[:-1].T for g in note_layout([np.vstack([w.T, b]) for w, b in weights], x, t)]

    said = "gradients cannot be read as 3 pairs (W, b), one per layer: got (5, 2), (4, 5), (3, 4)"
    assert any(said in finding for finding in check(no_biases, layout="linear").findings)


@pytest.mark.parametrize("batch", [None, 4], ids=["drawn batch", "batch given"])
def test_an_answer_kept_by_its_samples_alone_is_stale_with_other_weights(batch):
    kept = {}

    def remembering(weights, inputs, targets):
        key = inputs.tobytes(), weights[0].shape
        if key not in kept:
            kept[key] = Network(weights).backprop(inputs, targets).gradients
        return kept[key]

    assert check(lambda w, x, t: Network(w).backprop(x, t).gradients, batch=batch).passed
    assert not check(remembering, batch=batch).passed
