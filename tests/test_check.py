"""`check` from the outside: backpropagation as people really write it, right and wrong, without the catalogue."""

from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from comparisons import MismatchError, assert_matches_autograd, check
from comparisons.probes import architectures, probe
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
    "batch_sum": (forgets_to_divide_by_m, COLUMNS, ("gradient", 3)),
    "bias_batch_sum": (divides_the_weights_only, COLUMNS, ("gradient", 3)),
    "last_sample_only": (overwrites_instead_of_adding, {}, ("gradient", 3)),
    "accumulated_gradient": (NeverZeroed, {"sizes": (2, 5, 4, 3)}, ("gradient", 3)),
    "updated_weights": (updates_on_the_way_down, {}, ("weight", 2)),
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
    "identity_activation": (linear_output, {}, ("delta", 3)),
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
    "a number": (lambda *_: 3.5, {}, "it returned a float: expected gradients"),
    "too few layers": (lambda w, x, t: note_layout(w, x, t)[:2], {}, "gradients has 2 entries: expected 3"),
    "no numbers": (lambda w, *_: [["a"] for _ in w], {}, "expected real numbers"),
    "ragged rows": (lambda w, *_: [[[1.0], [1.0, 2.0]] for _ in w], {}, "is ragged"),
    "biases not summed": (
        biases_not_summed,
        LINEAR,
        r"the biases of dC/dW\^\(1\) have shape \(6, 5\): expected \(5,\)",
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
    "a constant factor": (lambda g: 1.5 * g, "it is 1.5 times autograd's"),
    "a factor per row": (lambda g: g * (np.arange(len(g)) + 2)[:, None], "each row of it is a constant times"),
    "a factor per column": (lambda g: g * (np.arange(g.shape[1]) + 2), "each column of it is a constant times"),
    "rows in another order": (lambda g: np.roll(g, 1, axis=0), "its rows are autograd's in another order"),
    "finite differences": (lambda g: g + 1e-10, "as finite differences are"),
    "nothing known": (np.sin, "No known mistake explains it."),
}


@pytest.mark.parametrize(("change", "said"), PATTERNS.values(), ids=PATTERNS)
def test_what_no_known_mistake_explains_is_said_plainly_with_the_pattern(change, said):
    comparison = check(lambda *question: [*note_layout(*question)[:2], change(note_layout(*question)[2])])
    assert comparison.diagnosis.mistakes == ()
    assert said in comparison.message()


def test_layers_in_another_order_are_recognised():
    comparison = check(lambda *question: note_layout(*question)[::-1])
    assert "it is dC/dW^(1)" in comparison.message()


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
    assert check(deltas_without_the_mean, layout="linear").remarks == (
        "its deltas are without the 1/N, which its gradients have",
    )


def test_changes_in_place_are_remarked_and_reach_nobody():
    def scales_its_samples(weights, inputs, targets):
        gradients = note_layout(weights, inputs, targets)
        inputs *= 2
        return gradients

    assert check(in_place_updates).remarks == ("it changes the weights it is given, in place: read as updated",)
    comparison = check(scales_its_samples)
    assert comparison.passed
    assert comparison.remarks == ("it changes the samples it is given, in place",)


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
    "layout": ({"layout": "rows"}, "layout 'rows' is unknown: expected one of note, linear, columns"),
    "reduction": ({"reduction": "max"}, "reduction 'max' is unknown"),
    "batch": ({"batch": 0}, "batch is 0: expected 1 or more"),
    "sizes": ({"sizes": (3,)}, r"sizes is \[3\]: expected at least two sizes"),
    "activation": ({"activation": "softmax"}, "activation 'softmax' is unknown"),
    "layers": ({"activation": ["tanh"], "sizes": (2, 3, 4)}, "activation has 1 names for 2 layers"),
    "rate": ({"learning_rate": np.inf}, "learning_rate is inf: expected a finite number"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_a_bad_option_is_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        check(note_layout, **options)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="backprop is a SimpleNamespace: expected a function of weights"):
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
        "delta^(1) is the first wrong quantity (layer 1 of 2), read off the gradients of a single sample."
        " It equals D^(1) w^(2) delta^(2): w^(2) is not transposed [no_transpose]."
        " Should be: (delta @ w) * a * (1 - a), in the note's notation D^(1) (w^(2))^T delta^(2).\n"
        "Worst of 4 wrong numbers among 4: delta_"
    )
    assert "complex-step differentiation agrees with autograd" in message
    assert message.endswith("replay: check(missing_transpose, layout='linear', sizes=(4, 4, 4))")
