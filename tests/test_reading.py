"""What people's code returns and how it wants its samples: read as it is meant, said, and judged all the same."""

from operator import add

import numpy as np
import pytest

from comparisons import check
from handnet import Network

SAID = "consistent, but not as stated: it is right for "


def gradients(weights, inputs, targets, wrong=1.0):
    """Of W (m + 1, n); the last number of the first layer may be wrong."""
    found = list(Network(weights).backprop(inputs, targets).gradients)
    found[0].flat[-1] *= wrong
    return found


def in_pairs(weights, inputs, targets, wrong=1.0):
    """Of pairs (W (n, m), b (n,))."""
    found = gradients([np.vstack([W.T, b]) for W, b in weights], inputs, targets, wrong)
    return [(g[:-1].T, g[-1]) for g in found]


VECTORS = {
    "layers by rows": lambda pairs: np.concatenate([part.ravel() for pair in pairs for part in pair]),
    "layers by columns": lambda pairs: np.concatenate([part.ravel("F") for pair in pairs for part in pair]),
    "kinds by rows": lambda pairs: np.concatenate([pair[i].ravel() for i in (0, 1) for pair in pairs]),
    "kinds by columns": lambda pairs: np.concatenate([pair[i].ravel("F") for i in (0, 1) for pair in pairs]),
}


@pytest.mark.parametrize("order", VECTORS)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside its cost"])
def test_one_vector_of_all_gradients_is_read_in_the_order_that_fits(order, beside):
    def backprop(weights, inputs, targets, wrong=1.0):
        vector = VECTORS[order](in_pairs(weights, inputs, targets, wrong))
        cost = Network([np.vstack([W.T, b]) for W, b in weights]).backprop(inputs, targets).cost
        return (float(cost), vector) if beside else vector

    comparison = check(backprop, layout="linear")
    assert comparison.passed, comparison.message()
    assert any("come in one vector" in remark for remark in comparison.remarks)
    assert not check(lambda w, x, t: backprop(w, x, t, wrong=1 + 1e-9), layout="linear").passed


def test_a_vector_of_bias_first_matrices_is_found_with_no_layout_stated():
    def backprop(thetas, X, y):
        found = gradients([np.vstack([T.T[1:], T.T[:1]]) for T in thetas], X, y)
        return np.concatenate([np.vstack([g[-1:], g[:-1]]).T.ravel() for g in found])

    comparison = check(backprop)
    assert comparison.passed, comparison.message()
    assert any("layout='bias_first'" in remark for remark in comparison.remarks)


def test_the_gradient_of_one_output_may_be_a_vector():
    def backprop(weights, inputs, targets, wrong=1.0):
        *below, (W, b) = in_pairs(weights, inputs, targets, wrong)
        return [*below, (W.ravel(), float(b[0]))]

    assert check(backprop, layout="linear", sizes=(3, 4, 1)).passed
    wrong = check(lambda w, x, t: backprop(w, x, t, wrong=2.0), layout="linear", sizes=(3, 4, 1))
    assert wrong.diagnosis.first_wrong == ("gradient", 1)


@pytest.mark.parametrize("named", [False, True], ids=["a list", "W1 and W2"])
def test_weights_after_the_step_are_known_without_a_name(named):
    def step(weights, inputs, targets, learning_rate, wrong=1.0):
        found = gradients(weights, inputs, targets, wrong)
        new = [W - learning_rate * g for W, g in zip(weights, found, strict=True)]
        return {f"W{l}": W for l, W in enumerate(new, 1)} if named else new

    comparison = check(step)
    assert comparison.passed, comparison.message()
    assert {m.key[0] for m in comparison.measured} == {"weight"}
    assert not check(lambda w, x, t, learning_rate: step(w, x, t, learning_rate, wrong=1 + 1e-9)).passed


def test_a_gradient_that_is_far_too_large_is_no_weight_after_a_step():
    comparison = check(lambda w, x, t: [50 * g for g in gradients(w, x, t)])
    assert comparison.diagnosis.first_wrong == ("gradient", 3)


def test_weights_that_are_changed_in_place_and_returned_are_read_once():
    def train_step(inputs, keys, weights):
        for W, g in zip(weights, gradients(weights, inputs, keys), strict=True):
            W -= 0.5 * g
        return weights

    comparison = check(train_step)
    assert comparison.passed, comparison.message()
    assert {m.key[0] for m in comparison.measured} == {"weight"}


def test_deltas_with_the_samples_in_columns_are_judged_as_deltas():
    def backprop(weights, inputs, targets, factor=1.0):
        made = Network([np.vstack([W.T, b]) for W, b in weights]).backprop(inputs, targets)
        deltas = {f"dZ{l}": factor * d.T for l, d in enumerate(made.deltas, 1)}
        pairs = {f"dW{l}": g[:-1].T for l, g in enumerate(made.gradients, 1)}
        return {**pairs, **{f"db{l}": g[-1] for l, g in enumerate(made.gradients, 1)}, **deltas}

    right = check(backprop, layout="linear")
    assert right.passed, right.message()
    assert "its deltas have the samples in columns: read that way" in right.remarks
    wrong = check(lambda w, x, t: backprop(w, x, t, factor=0.0), layout="linear")
    assert wrong.diagnosis.first_wrong == ("delta", 3)
    assert not wrong.findings


def test_a_layout_that_does_not_run_is_said_with_the_one_that_does():
    def backprop(weights, inputs, targets, wrong=1.0):
        ours = [np.vstack([W, b]) for W, b in weights]
        return [(g[:-1], g[-1]) for g in gradients(ours, inputs, targets, wrong)]

    comparison = check(backprop, layout="linear")
    assert comparison.passed, comparison.message()
    assert "it does not run with layout='linear': judged with layout='rows'" in comparison.remarks
    assert not check(lambda w, x, t: backprop(w, x, t, wrong=1 + 1e-9), layout="linear").passed


def test_a_layout_that_runs_is_kept():
    comparison = check(lambda w, x, t: in_pairs(w, x, t, wrong=3.0), layout="linear")
    assert comparison.remarks == ()
    assert comparison.diagnosis.first_wrong == ("gradient", 1)


def test_class_numbers_are_handed_out_where_one_hot_targets_do_not_run():
    stated = {"activation": ["tanh", "softmax"], "cost": "cross_entropy"}

    def backprop(params, X, y, wrong=1.0):
        (W1, b1), (W2, b2) = ((params[f"W{l}"], params[f"b{l}"]) for l in (1, 2))
        a = np.tanh(X @ W1 + b1)
        e = np.exp(a @ W2 + b2)
        d2 = e / e.sum(axis=1, keepdims=True)
        d2[range(len(X)), y] -= wrong
        d2 /= len(X)
        d1 = d2 @ W2.T * (1 - a**2)
        return {"dW1": X.T @ d1, "db1": d1.sum(axis=0), "dW2": a.T @ d2, "db2": d2.sum(axis=0)}

    comparison = check(backprop, **stated)
    assert comparison.passed, comparison.message()
    assert any("targets as class numbers" in remark for remark in comparison.remarks)
    assert not check(lambda params, X, y: backprop(params, X, y, wrong=1 + 1e-9), **stated).passed


def one_at_a_time(network, row, expected, l_rate, wrong=1.0):
    """Plain lists: a node's weights, its bias the last; one sample as a list; in place. An array plus [1] adds 1."""
    rows, outputs = row, [row]
    for layer in network:
        rows = [1 / (1 + np.exp(-sum(w * a for w, a in zip(n, add(rows, [1.0]), strict=True)))) for n in layer]
        outputs.append(rows)
    delta = [(a - t) * a * (1 - a) for a, t in zip(rows, expected, strict=True)]
    for layer, a in zip(network[::-1], outputs[-2::-1], strict=True):
        below = [sum(d * n[j] for d, n in zip(delta, layer, strict=True)) * a[j] * (1 - a[j]) for j in range(len(a))]
        for d, n in zip(delta, layer, strict=True):
            for j, value in enumerate(add(a, [1.0])):
                n[j] -= wrong * l_rate * d * value
        delta = below


def test_one_sample_as_a_list_is_handed_out_where_an_array_would_compute_something_else():
    comparison = check(one_at_a_time)
    assert comparison.passed, comparison.message()
    assert "it takes one sample at a time: judged with batch=1" in comparison.remarks
    assert any("in plain lists; the sample as a vector" in remark for remark in comparison.remarks)
    wrong = check(lambda network, row, expected, l_rate: one_at_a_time(network, row, expected, l_rate, 1 + 1e-9))
    assert not wrong.passed


def test_code_that_takes_the_first_sample_alone_is_no_match_but_told_so():
    def backprop(weights, inputs, targets):
        return gradients(weights, inputs[:1], targets[:1])

    message = check(backprop).message().splitlines()
    assert message[:2] == [f"{SAID}batch=1", "Next: check(backprop, batch=1)"]
    assert check(backprop, batch=1).passed


def test_biases_of_each_sample_are_named_though_one_sample_would_be_right():
    def backprop(weights, x, y):
        ours = [np.vstack([W.T, b.ravel()]) for W, b in weights]
        made = Network(ours).backprop(x.T, y.T)
        return [(g[:-1].T, d.T) for g, d in zip(made.gradients, made.deltas, strict=True)]

    comparison = check(backprop, layout="columns")
    assert "[biases_not_summed]" in comparison.message().splitlines()[0]
    assert "one sample at a time it is right: check(backprop, layout='columns', batch=1)" in comparison.remarks


def test_one_layer_may_be_handed_out_and_come_back_by_itself():
    def step(inputs, keys, weights, wrong=1.0):
        output = 1 / (1 + np.exp(-inputs @ weights))
        weights += wrong * inputs.T @ ((keys - output) * output * (1 - output))
        return weights

    stated = {"sizes": (3, 1), "biases": False, "reduction": "sum", "learning_rate": 1.0}
    assert check(step, **stated).passed
    assert not check(lambda inputs, keys, weights: step(inputs, keys, weights, 1 + 1e-9), **stated).passed


def test_what_raises_with_several_samples_is_no_match_for_being_right_with_one():
    def step(weights, inputs, targets, learning_rate):
        ours = [np.vstack([W, b]) for W, b in weights]
        made = Network(ours).backprop(inputs, targets)
        for (W, b), g, d in zip(weights, made.gradients, made.deltas, strict=True):
            W -= learning_rate * g[:-1]
            b.reshape(1, -1)[...] -= learning_rate * d  # not summed: it raises for more than one
        return {"updated": weights}

    message = check(step, layout="rows").message().splitlines()
    assert message[:2] == [f"{SAID}batch=1", "Next: check(step, layout='rows', batch=1)"]


def test_a_training_of_many_epochs_is_asked_for_one():
    def train(weights, X, y, lr, epochs=1000):
        for _ in range(epochs):
            weights = [W - lr * g for W, g in zip(weights, gradients(weights, X, y), strict=True)]
        return weights

    assert check(train, sizes=(3, 4, 2)).passed
