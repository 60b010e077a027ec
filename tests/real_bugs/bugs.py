"""Mistakes from public questions, issues, courses and repositories, each in a few lines of our own.

Each function has the mistake until it is `mended`, in one place. Which layout, cost and activations it is written for
stands above it, with what is to be found: the first wrong quantity, and the name of the mistake, or what is said of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Bug:
    """A mistake that somebody made.

    Attributes
    ----------
    function : of weights, inputs, targets and `mended`, perhaps of learning_rate
    first : the first wrong quantity and its layer
    named : ids of the known mistakes
    says : a part of the message
    options : of `check`
    """

    function: Callable[..., Any]
    first: tuple[str, int | None]
    named: tuple[str, ...]
    says: str
    options: dict[str, Any]

    @property
    def name(self) -> str:
        return self.function.__name__

    def written(self, mended: bool) -> Callable[..., Any]:
        """The function before or after its mend."""
        return partial(self.function, mended=mended)


BUGS: list[Bug] = []


def bug(first: str, layer: int | None, *named: str, says: str = "", **options: Any) -> Callable[..., Any]:
    def listed(function: Callable[..., Any]) -> Callable[..., Any]:
        BUGS.append(Bug(function, (first, layer), named, says, options))
        return function

    return listed


# What they have in common.


def sigma(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def forward(pairs, X, last=sigma, hidden=sigma):
    """Activations and preactivations of X @ W + b."""
    A, Z = [X], []
    for i, (W, b) in enumerate(pairs):
        Z.append(A[-1] @ W + b)
        A.append((last if i == len(pairs) - 1 else hidden)(Z[-1]))
    return A, Z


def backward(pairs, A, delta, slope=lambda l, A: A[l] * (1 - A[l]), below=None):
    """Gradients from the output's delta down."""
    gradients, below = [], below or A[:-1]
    for l in range(len(pairs), 0, -1):
        gradients.insert(0, [below[l - 1].T @ delta, delta.sum(axis=0)])
        if l > 1:
            delta = delta @ pairs[l - 1][0].T * slope(l - 1, A)
    return gradients


def output_delta(A, T):
    """Of half the squared error, its mean over the samples."""
    return (A[-1] - T) / len(T) * A[-1] * (1 - A[-1])


def stepped(pairs, gradients, rate):
    return {"updated": [[W - rate * dW, b - rate * db] for (W, b), (dW, db) in zip(pairs, gradients, strict=True)]}


ROWS: dict[str, Any] = {"layout": "rows"}
RELU: dict[str, Any] = {"layout": "rows", "activation": "relu"}
CLASSES: dict[str, Any] = {"layout": "rows", "activation": ["tanh", "softmax"], "cost": "cross_entropy"}
BINARY: dict[str, Any] = {"layout": "rows", "activation": ["tanh", "sigmoid"], "cost": "binary_cross_entropy"}
RELU_BINARY: dict[str, Any] = BINARY | {"layout": "columns", "activation": ["relu", "sigmoid"], "sizes": (2, 5, 3)}

# What is passed back.


@bug("delta", 2, "error_passed_down", **ROWS)
def the_error_goes_down_in_the_place_of_delta(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    error, gradients = (A[-1] - T) / len(X), []
    for l in range(len(pairs), 0, -1):
        delta = error * A[l] * (1 - A[l])
        gradients.insert(0, [A[l - 1].T @ delta, delta.sum(axis=0)])
        error = (delta if mended else error) @ pairs[l - 1][0].T
    return gradients


@bug("delta", 2, "no_hidden_slope", **ROWS)
def the_hidden_slope_is_forgotten(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    slope = (lambda l, A: A[l] * (1 - A[l])) if mended else (lambda l, A: 1.0)
    return backward(pairs, A, output_delta(A, T), slope)


@bug("delta", 3, "no_output_slope", **ROWS)
def the_output_slope_is_forgotten_with_a_squared_error(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    return backward(pairs, A, output_delta(A, T) if mended else (A[-1] - T) / len(X))


@bug("delta", 3, "no_output_slope", "no_hidden_slope", says="N times", **ROWS)
def no_slope_at_all_and_a_sum_for_the_mean(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    if mended:
        return backward(pairs, A, output_delta(A, T))
    return backward(pairs, A, A[-1] - T, lambda l, A: 1.0)


@bug("delta", 2, "no_hidden_slope", says="-2 N times", **ROWS)
def a_lost_slope_under_three_conventions(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    if mended:
        return backward(pairs, A, output_delta(A, T))
    return backward(pairs, A, 2 * (T - A[-1]) * A[-1] * (1 - A[-1]), lambda l, A: 1.0)


@bug("delta", 3, "slope_of_activation", **ROWS)
def the_sigmoid_of_what_is_one_already(pairs, X, T, *, mended):
    def derivative(a):
        s = a if mended else sigma(a)
        return s * (1 - s)

    A, _ = forward(pairs, X)
    return backward(pairs, A, (A[-1] - T) / len(X) * derivative(A[-1]), lambda l, A: derivative(A[l]))


@bug("delta", 3, "slope_of_preactivation", **ROWS)
def the_short_form_of_the_slope_is_given_z(pairs, X, T, *, mended):
    A, Z = forward(pairs, X)
    given = A if mended else [X, *Z]
    delta = (A[-1] - T) / len(X) * given[-1] * (1 - given[-1])
    return backward(pairs, A, delta, lambda l, A: given[l] * (1 - given[l]))


@bug("delta", 3, "sigmoid_slope_at_z", **RELU)
def relu_forward_and_the_sigmoid_backward(pairs, X, T, *, mended):
    A, Z = forward(pairs, X, *2 * [lambda z: np.maximum(z, 0)])

    def slope(l, A):
        return (Z[l - 1] > 0) * 1.0 if mended else sigma(Z[l - 1]) * (1 - sigma(Z[l - 1]))

    return backward(pairs, A, (A[-1] - T) / len(X) * slope(len(pairs), A), slope)


@bug("delta", 1, "slope_at_gradient", **RELU_BINARY)
def relu_of_the_gradient_that_comes_in(pairs, X, T, *, mended):
    (W1, b1), (W2, b2) = pairs
    h = np.maximum(W1 @ X + b1, 0)
    d2 = (sigma(W2 @ h + b2) - T) / X.shape[1]
    d1 = (W2.T @ d2) * (h > 0) if mended else np.maximum(W2.T @ d2, 0)
    return [[d1 @ X.T, d1.sum(axis=1)], [d2 @ h.T, d2.sum(axis=1)]]


@bug("delta", 1, "slope_is_activation", layout="rows", activation=["tanh", "identity"])
def the_derivative_of_tanh_is_written_as_tanh(pairs, X, T, *, mended):
    (W1, b1), (W2, b2) = pairs
    a = np.tanh(X @ W1 + b1)
    d2 = (a @ W2 + b2 - T) / len(X)
    d1 = d2 @ W2.T * (1 - a**2 if mended else a)
    return [[X.T @ d1, d1.sum(axis=0)], [a.T @ d2, d2.sum(axis=0)]]


@bug("delta", 2, "tanh_slope", **ROWS)
def the_slope_of_tanh_with_hidden_sigmoids(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    return backward(pairs, A, output_delta(A, T), lambda l, A: A[l] * (1 - A[l]) if mended else 1 - A[l] ** 2)


@bug("delta", 2, "slope_one_minus_a", **ROWS)
def half_of_the_slope(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    return backward(pairs, A, output_delta(A, T), lambda l, A: (A[l] if mended else 1) * (1 - A[l]))


@bug("delta", 2, "leaky_slope_zero", layout="rows", activation=["leaky_relu", "leaky_relu", "identity"])
def the_leak_is_forgotten_on_the_way_back(pairs, X, T, *, mended):
    A, _ = forward(pairs, X, lambda z: z, lambda z: np.where(z > 0, z, 0.01 * z))
    return backward(pairs, A, (A[-1] - T) / len(X), lambda l, A: np.where(A[l] > 0, 1.0, 0.01 if mended else 0.0))


@bug("delta", 2, "elu_slope_without_one", layout="rows", activation=["elu", "elu", "identity"], sizes=(2, 5, 4, 3))
def the_one_is_lost_in_the_slope_of_elu(pairs, X, T, *, mended):
    A, _ = forward(pairs, X, lambda z: z, lambda z: np.where(z > 0, z, np.exp(z) - 1))
    return backward(pairs, A, (A[-1] - T) / len(X), lambda l, A: np.where(A[l] > 0, 1.0, A[l] + (1 if mended else 0)))


@bug("delta", 2, "no_transpose", layout="linear", sizes=(4, 4, 4, 4))
def the_weights_are_not_transposed_on_the_way_back(pairs, X, T, *, mended):
    up = [(W.T, b) for W, b in pairs]
    A, _ = forward(up, X)
    return [[dW.T, db] for dW, db in backward(up if mended else pairs, A, output_delta(A, T))]


@bug("delta", 2, "wrong_weights", layout="note", sizes=(4, 4, 4, 4))
def the_weights_below_in_the_place_of_those_above(ws, X, T, *, mended):
    A, ones = [X], np.ones((len(X), 1))
    for W in ws:
        A.append(sigma(np.hstack([A[-1], ones]) @ W))
    delta, gradients = output_delta(A, T), []
    for l in range(len(ws), 0, -1):
        gradients.insert(0, np.hstack([A[l - 1], ones]).T @ delta)
        if l > 1:
            delta = delta @ ws[l - 1 if mended else l - 2][:-1].T * A[l - 1] * (1 - A[l - 1])
    return gradients


@bug("delta", 2, "last_column_stripped", layout="bias_first")
def the_wrong_column_of_theta_is_dropped(thetas, X, T, *, mended):
    ones = np.ones((len(X), 1))
    A = [X]
    for theta in thetas:
        A.append(sigma(np.hstack([ones, A[-1]]) @ theta.T))
    delta, gradients = output_delta(A, T), []
    for l in range(len(thetas), 0, -1):
        gradients.insert(0, delta.T @ np.hstack([ones, A[l - 1]]))
        if l > 1:
            theta = thetas[l - 1][:, 1:] if mended else thetas[l - 1][:, :-1]
            delta = delta @ theta * A[l - 1] * (1 - A[l - 1])
    return gradients


@bug("delta", 1, "updated_weights", layout="bias_last", sizes=(3, 4, 2), batch=1)
def the_output_layer_is_updated_first(thetas, X, T, learning_rate, *, mended):
    """Neuron by neuron, in plain lists, the bias last; one sample."""
    network = [[list(neuron) for neuron in theta] for theta in thetas]
    outputs, x = [], [*X[0], 1.0]
    for layer in network:
        outputs.append([float(sigma(sum(w * v for w, v in zip(neuron, x, strict=True)))) for neuron in layer])
        x = [*outputs[-1], 1.0]
    h, o = outputs
    d2 = [(a - t) * a * (1 - a) for a, t in zip(o, T[0], strict=True)]

    def pass_down():
        return [
            a * (1 - a) * sum(d * neuron[i] for d, neuron in zip(d2, network[1], strict=True)) for i, a in enumerate(h)
        ]

    def update(layer, deltas, below):
        for neuron, d in zip(layer, deltas, strict=True):
            for j, v in enumerate([*below, 1.0]):
                neuron[j] -= learning_rate * d * v

    d1 = pass_down() if mended else None
    update(network[1], d2, h)
    update(network[0], d1 or pass_down(), X[0])
    return {"updated": network}


# The gradients.


@bug("gradient", 2, "bias_without_slope", **ROWS)
def the_hidden_biases_get_the_error_before_its_slope(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    delta = error = output_delta(A, T)
    gradients = []
    for l in range(len(pairs), 0, -1):
        gradients.insert(0, [A[l - 1].T @ delta, (delta if mended else error).sum(axis=0)])
        error = delta @ pairs[l - 1][0].T
        delta = error * A[l - 1] * (1 - A[l - 1])
    return gradients


@bug("gradient", 1, "output_delta", layout="rows", sizes=(3, 4, 1), batch=1)
def the_hidden_weights_are_changed_by_the_output_delta(pairs, X, T, learning_rate, *, mended):
    (W1, b1), (W2, b2) = pairs
    h = sigma(X @ W1 + b1)
    o = sigma(h @ W2 + b2)
    d2 = (o - T) * o * (1 - o)
    d1 = d2 @ W2.T * h * (1 - h)
    used = d1 if mended else d2 * np.ones_like(d1)
    return stepped(pairs, [[X.T @ used, used[0]], [h.T @ d2, d2[0]]], learning_rate)


@bug("gradient", 1, "output_for_input", layout="rows", sizes=(3, 4, 3))
def an_index_of_minus_one_wraps_around(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    activated = A[1:]
    # Of the first layer activated[-1], which is the output.
    below = A[:-1] if mended else [activated[i - 1] for i in range(len(pairs))]
    return backward(pairs, A, output_delta(A, T), below=below)


@bug("gradient", 3, "wrong_layer_below", layout="rows", sizes=(4, 4, 4, 4))
def the_activations_of_the_layer_itself(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    return backward(pairs, A, output_delta(A, T), below=A[:-1] if mended else A[1:])


@bug("gradient", 2, "summed_over_nodes", layout="rows", sizes=(2, 4, 1), batch=4)
def as_many_samples_as_nodes_hide_a_transpose(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    (dW1, db1), (_, db2) = backward(pairs, A, output_delta(A, T))
    below = A[1].T if mended or A[1].shape[0] != A[1].shape[1] else A[1]
    return [[dW1, db1], [below @ output_delta(A, T), db2]]


@bug("gradient", 3, "last_sample_only", **ROWS)
def each_sample_overwrites_the_one_before(pairs, X, T, *, mended):
    total = [[np.zeros_like(W), np.zeros_like(b)] for W, b in pairs]
    for x, t in zip(X, T, strict=True):
        A, _ = forward(pairs, x[np.newaxis])
        one = backward(pairs, A, output_delta(A, t[np.newaxis]) / len(X))
        old = total if mended else [[0, 0]] * len(pairs)
        total = [[W + dW, b + db] for (W, b), (dW, db) in zip(old, one, strict=True)]
    return total


@bug("gradient", 2, "bias_sum_of_all", **CLASSES)
def one_sum_for_all_biases(pairs, X, T, *, mended):
    A, _ = forward(pairs, X, softmax, np.tanh)
    gradients = backward(pairs, A, (A[-1] - T) / len(X), lambda l, A: 1 - A[l] ** 2)
    return gradients if mended else [[dW, np.full(db.shape, db.sum())] for dW, db in gradients]


@bug("gradient", 3, "bias_averaged_twice", **ROWS)
def the_mean_of_deltas_that_have_it_already(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    gradients = backward(pairs, A, output_delta(A, T))
    return gradients if mended else [[dW, db / len(X)] for dW, db in gradients]


@bug("gradient", 3, "weight_batch_sum", **ROWS)
def the_mean_for_the_biases_and_the_sum_for_the_weights(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    gradients = backward(pairs, A, output_delta(A, T))
    return gradients if mended else [[dW * len(X), db] for dW, db in gradients]


@bug("gradient", 2, "bias_from_weights", **RELU_BINARY)
def the_biases_are_the_row_sums_of_the_weights(pairs, X, T, *, mended):
    (W1, b1), (W2, b2) = pairs
    h = np.maximum(W1 @ X + b1, 0)
    d2 = (sigma(W2 @ h + b2) - T) / X.shape[1]
    d1 = (W2.T @ d2) * (h > 0)
    gradients = [[d1 @ X.T, d1], [d2 @ h.T, d2]]
    return [[dW, (d if mended else dW).sum(axis=1)] for dW, d in gradients]


@bug("gradient", 3, "biases_not_summed", **ROWS)
def the_biases_are_not_summed_over_the_samples(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    delta, gradients = output_delta(A, T), []
    for l in range(len(pairs), 0, -1):
        gradients.insert(0, [A[l - 1].T @ delta, delta.sum(axis=0) if mended else delta])
        delta = delta @ pairs[l - 1][0].T * A[l - 1] * (1 - A[l - 1])
    return gradients


@bug("gradient", 2, "scaled", says="the gradient of the weights of layer 2 is 2 times autograd's", **ROWS)
def a_two_in_the_weights_of_one_layer(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    gradients = backward(pairs, A, output_delta(A, T))
    gradients[1][0] = gradients[1][0] * (1 if mended else 2)
    return gradients


# The cost and its averages.


@bug("delta", 2, "targets_broadcast", layout="rows", sizes=(3, 4, 1))
def a_column_less_a_row_is_a_square(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    difference = A[-1] - (T if mended else T.ravel())
    error = difference.mean(axis=1, keepdims=True) / len(X)
    return backward(pairs, A, error * A[-1] * (1 - A[-1]))


@bug("delta", 1, "batch_sum", layout="rows", biases=False, activation="identity", sizes=(1, 1), cost="squared_error")
def a_dot_product_is_a_number_already(ws, X, T, *, mended):
    x, y, w = X[:, 0], T[:, 0], ws[0][0, 0]
    products = 2 * x * (w * x - y)
    return [np.array([[products.mean() if mended else np.dot(2 * x, w * x - y).mean()]])]


@bug("delta", 3, "averaged_twice", **ROWS)
def one_over_n_in_the_cost_and_in_the_gradient(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    return backward(pairs, A, output_delta(A, T) / (1 if mended else len(X)))


@bug("delta", 3, "averaged_over_inputs", **ROWS)
def the_wrong_axis_counts_the_samples(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    return backward(pairs, A, (A[-1] - T) * A[-1] * (1 - A[-1]) / X.shape[0 if mended else 1])


@bug("cost", None, "cost_output_mean", **ROWS)
def the_loss_is_averaged_over_the_outputs_and_its_gradient_is_not(pairs, X, T, *, mended):
    A, _ = forward(pairs, X)
    squares = (A[-1] - T) ** 2
    return (squares.sum() / len(X) if mended else squares.mean()) / 2, backward(pairs, A, output_delta(A, T))


@bug("delta", 3, "no_half", says="digits only, as with finite differences", layout="note")
def difference_quotients_of_a_cost_without_its_half(ws, X, T, *, mended):
    def cost(weights):
        a = X
        for W in weights:
            a = sigma(np.hstack([a, np.ones((len(X), 1))]) @ W)
        return ((a - T) ** 2).sum() / len(X)

    gradients, h = [], 1e-20 if mended else 1e-6
    for W in ws:
        gradient = np.zeros(W.shape)
        for i in np.ndindex(*W.shape):
            if mended:  # an imaginary step rounds nothing away
                moved = [w.astype(complex) for w in ws]
                moved[len(gradients)][i] += 1j * h
                gradient[i] = cost(moved).imag / h / 2
            else:
                up, down = [w.copy() for w in ws], [w.copy() for w in ws]
                up[len(gradients)][i] += h
                down[len(gradients)][i] -= h
                gradient[i] = (cost(up) - cost(down)) / (2 * h)
        gradients.append(gradient)
    return gradients


@bug("cost", None, "softmax_twice", **CLASSES)
def probabilities_for_logits(pairs, X, T, *, mended):
    A, _ = forward(pairs, X, softmax, np.tanh)
    p = A[-1] if mended else softmax(A[-1])
    cost, delta = -(T * np.log(p)).sum() / len(X), (p - T) / len(X)
    if not mended:
        delta = A[-1] * (delta - (delta * A[-1]).sum(axis=1, keepdims=True))
    return cost, backward(pairs, A, delta, lambda l, A: 1 - A[l] ** 2)


@bug("activation", 2, "softmax_over_samples", **CLASSES)
def softmax_down_the_columns(pairs, X, T, *, mended):
    A, _ = forward(pairs, X, softmax if mended else lambda z: softmax(z.T).T, np.tanh)
    gradients = backward(pairs, A, (A[-1] - T) / len(X), lambda l, A: 1 - A[l] ** 2)
    return {"activations": A, "gradients": gradients}


@bug("delta", 2, "diagonal_softmax", layout="rows", activation=["tanh", "softmax"], cost="squared_error")
def the_diagonal_of_the_softmax_alone(pairs, X, T, *, mended):
    A, _ = forward(pairs, X, softmax, np.tanh)
    c = 2 * (A[-1] - T) / len(X)
    mean = (c * A[-1]).sum(axis=1, keepdims=True) if mended else c * A[-1]
    return backward(pairs, A, A[-1] * (c - mean), lambda l, A: 1 - A[l] ** 2)


@bug("delta", 2, "output_slope_kept", **BINARY)
def a_slope_that_the_cross_entropy_cancels(pairs, X, T, *, mended):
    A, _ = forward(pairs, X, sigma, np.tanh)
    delta = (A[-1] - T) / len(X) * (1 if mended else A[-1] * (1 - A[-1]))
    return backward(pairs, A, delta, lambda l, A: 1 - A[l] ** 2)


@bug("cost", None, "wrong_logarithm", **BINARY)
def the_logarithm_of_the_other_side(pairs, X, T, *, mended):
    A, _ = forward(pairs, X, sigma, np.tanh)
    p = A[-1] if mended else 1 - A[-1]
    cost = -(T * np.log(p) + (1 - T) * np.log(1 - p)).sum() / len(X)
    return cost, backward(pairs, A, (A[-1] - T) / len(X), lambda l, A: 1 - A[l] ** 2)


# The penalty.


def penalized(thetas, X, T, penalty):
    """Theta (n, m + 1), the biases in the first column."""
    A, ones = [X], np.ones((len(X), 1))
    for theta in thetas:
        A.append(sigma(np.hstack([ones, A[-1]]) @ theta.T))
    delta, gradients = (A[-1] - T) / len(X), []
    for l in range(len(thetas), 0, -1):
        gradients.insert(0, delta.T @ np.hstack([ones, A[l - 1]]) + penalty(thetas[l - 1]))
        if l > 1:
            delta = delta @ thetas[l - 1][:, 1:] * A[l - 1] * (1 - A[l - 1])
    return gradients


L2: dict[str, Any] = {"layout": "bias_first", "cost": "binary_cross_entropy", "l2": 0.3, "sizes": (2, 5, 4, 3)}


@bug("gradient", 3, "penalty_of_ones", **L2)
def ones_for_the_biases_in_the_penalty(thetas, X, T, *, mended):
    fill = np.zeros if mended else np.ones
    return penalized(thetas, X, T, lambda theta: 0.3 * np.hstack([fill((len(theta), 1)), theta[:, 1:]]))


@bug("gradient", 3, "penalty_on_biases", **L2)
def the_biases_are_decayed_too(thetas, X, T, *, mended):
    return penalized(thetas, X, T, lambda theta: 0.3 * theta * [0 if mended else 1, *[1] * (theta.shape[1] - 1)])


@bug("gradient", 3, "penalty_reversed", **L2)
def a_decay_that_lets_the_weights_grow(thetas, X, T, *, mended):
    sign = 1 if mended else -1
    return penalized(thetas, X, T, lambda theta: sign * 0.3 * theta * [0, *[1] * (theta.shape[1] - 1)])


@bug("gradient", 3, "penalty_twice", **L2)
def twice_the_decay_for_half_the_square(thetas, X, T, *, mended):
    twice = 1 if mended else 2
    return penalized(thetas, X, T, lambda theta: twice * 0.3 * theta * [0, *[1] * (theta.shape[1] - 1)])


# Forward, and the step.


@bug("activation", 1, "no_bias", **ROWS)
def the_biases_are_trained_and_never_added(pairs, X, T, *, mended):
    A, _ = forward(pairs if mended else [(W, 0) for W, _ in pairs], X)
    return {"activations": A, "gradients": backward(pairs, A, output_delta(A, T))}


@bug("weight", 3, "ascent", **ROWS)
def the_error_reversed_and_the_step_not(pairs, X, T, learning_rate, *, mended):
    A, _ = forward(pairs, X)
    gradients = backward(pairs, A, output_delta(A, T))
    return stepped(pairs, gradients, learning_rate if mended else -learning_rate)


@bug("weight", 3, "bias_not_updated", **ROWS)
def the_biases_are_never_updated(pairs, X, T, learning_rate, *, mended):
    A, _ = forward(pairs, X)
    new = stepped(pairs, backward(pairs, A, output_delta(A, T)), learning_rate)["updated"]
    return {"updated": new if mended else [[W, b] for (W, _), (_, b) in zip(new, pairs, strict=True)]}
