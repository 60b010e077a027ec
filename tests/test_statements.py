"""Code that is right for another statement than the one that was made is told so, and what to call; it is no match."""

from functools import partial

import numpy as np
import pytest

from comparisons import check
from handnet import Network

SAID = "consistent, but not as stated: it is right for "


def gradients_of(**how):
    factor, activation = how.pop("factor", 1.0), how.pop("activation", "sigmoid")

    def backprop(weights, inputs, targets):
        return [factor * g for g in Network(weights, activation, **how).backprop(inputs, targets).gradients]

    return backprop


def first_line(comparison):
    assert not comparison.passed
    return comparison.message().splitlines()[0]


OTHERS = {
    "cost='squared_error'": {"cost": "squared_error"},
    "cost='mean_squared_error'": {"cost": "mean_squared_error"},
    "cost='binary_cross_entropy'": {"cost": "binary_cross_entropy"},
    "reduction='sum'": {"reduction": "sum"},
    "cost='squared_error', reduction='sum'": {"cost": "squared_error", "reduction": "sum"},
    "l2=0.25": {"l2": 0.25},
    "cost='binary_cross_entropy', l2=0.1": {"cost": "binary_cross_entropy", "l2": 0.1},
}


@pytest.mark.parametrize("said", OTHERS)
def test_another_cost_reduction_or_penalty_is_found_and_passes_when_stated(said):
    backprop = gradients_of(**OTHERS[said])
    message = check(backprop).message().splitlines()
    assert message[0] == SAID + said
    assert message[1] == f"Next: check(backprop, {said})"
    assert check(backprop, **OTHERS[said]).passed


def test_the_sign_is_told_from_the_rest():
    said = first_line(check(gradients_of(cost="squared_error", factor=-1.0)))
    assert said == f"{SAID}cost='squared_error', the sign reversed: it gives -dC/dW"


def test_softmax_with_cross_entropy_is_found_where_a_sigmoid_was_stated():
    def backprop(weights, inputs, targets):
        net = Network(weights, ["sigmoid", "sigmoid", "softmax"])
        a = net.forward(inputs)
        delta, gradients = (a[-1] - targets) / len(inputs), []
        for l in (3, 2, 1):
            gradients.insert(0, net.gradient(a[l - 1], delta))
            delta = net.hidden_delta(l - 1, delta, a[l - 1]) if l > 1 else delta
        return gradients

    said = first_line(check(backprop))
    assert said == f"{SAID}activation=['sigmoid', 'sigmoid', 'softmax'], cost='cross_entropy'"
    stated = {"activation": ["sigmoid", "sigmoid", "softmax"], "cost": "cross_entropy"}
    assert check(backprop, **stated).passed


def penalized(biases, per_sample):
    def backprop(weights, inputs, targets):
        share = len(inputs) if per_sample else 1
        penalties = [0.1 / share * (w if biases else np.vstack([w[:-1], 0 * w[-1:]])) for w in weights]
        return [g + p for g, p in zip(Network(weights).backprop(inputs, targets).gradients, penalties, strict=True)]

    return backprop


def test_a_penalty_of_another_kind_is_said():
    assert first_line(check(penalized(True, False))) == f"{SAID}l2=0.1, the penalty on the biases too"
    assert first_line(check(penalized(False, True))) == f"{SAID}l2=0.1, lambda / N in the place of lambda"
    # What explains it stands in the first line.
    assert "no known mistake" not in check(penalized(False, True)).message()


def test_a_learning_rate_of_its_own_and_a_step_for_each_sample_are_found():
    def own_rate(weights, inputs, targets):
        net = Network(weights)
        return {"updated": net.update(net.backprop(inputs, targets).gradients, 0.01).weights}

    def online(weights, inputs, targets, learning_rate):
        net = Network(weights)
        for x, t in zip(inputs, targets, strict=True):
            net = net.update(net.backprop(x, t).gradients, learning_rate)
        return {"updated": net.weights}

    first, then, *_ = check(own_rate).message().splitlines()
    assert (first, then) == (f"{SAID}learning_rate=0.01", "Next: check(own_rate, learning_rate=0.01)")
    assert check(own_rate, learning_rate=0.01).passed
    assert check(online).message().splitlines()[:2] == [f"{SAID}online=True", "Next: check(online, online=True)"]
    assert check(online, online=True).passed
    assert check(online, batch=1).passed


def test_what_is_right_to_some_digits_only_is_said_to_be():
    def rounded(weights, inputs, targets):
        return [2 * (1 + 1e-7 * (i + 1)) * g for i, g in enumerate(gradients_of()(weights, inputs, targets))]

    assert first_line(check(rounded)) == f"{SAID}cost='squared_error', to 7 digits only"


@pytest.mark.parametrize(("off", "digits"), [(0.0, ""), (3e-6, ""), (1e-5, ", to 5 digits only")])
def test_what_is_right_to_float32_is_so_to_all_digits_there(off, digits):
    def doubled(weights, inputs, targets):
        return [(2 + 2 * off * i) * g for i, g in enumerate(gradients_of()(weights, inputs, targets))]

    comparison = check(doubled, dtype=np.float32)
    assert first_line(comparison) == f"{SAID}cost='squared_error'{digits}"
    assert not any("plain lists" in remark for remark in comparison.remarks)


@pytest.mark.parametrize("factor", [1.5, 0.3, -0.7])
def test_a_factor_that_no_cost_has_is_no_statement(factor):
    assert not first_line(check(gradients_of(factor=factor))).startswith("consistent")


def test_a_mistake_in_one_layer_is_no_statement():
    def backprop(weights, inputs, targets):
        first, *others = Network(weights).backprop(inputs, targets).gradients
        return [2 * first, *others]

    assert not first_line(check(backprop)).startswith("consistent")


def test_the_mistake_is_named_all_the_same_where_it_is_one():
    comparison = check(gradients_of(factor=2.0))
    assert first_line(comparison) == f"{SAID}cost='squared_error'"
    assert comparison.diagnosis.mistakes == ("no_half",)


def test_the_call_that_is_advised_keeps_what_was_stated_before():
    backprop = gradients_of(cost="squared_error", activation="tanh")
    message = check(backprop, activation="tanh", sizes=(3, 4, 2), seed=5).message().splitlines()
    assert message[1] == "Next: check(backprop, activation='tanh', cost='squared_error', sizes=(3, 4, 2), seed=5)"


def with_velocity(dampened, in_steps):
    """A step that takes what is left of the steps before, and returns it anew; momentum 0.9."""

    def step(weights, inputs, targets, velocity, learning_rate, momentum=0.9):
        gradients = Network(weights).backprop(inputs, targets).gradients
        share = (1 - momentum if dampened else 1) * (learning_rate if in_steps else 1)
        velocity = [momentum * v + share * g for v, g in zip(velocity, gradients, strict=True)]
        rate = 1 if in_steps else learning_rate
        return [w - rate * v for w, v in zip(weights, velocity, strict=True)], velocity

    return step


@pytest.mark.parametrize("in_steps", [False, True], ids=["of gradients", "of steps"])
@pytest.mark.parametrize("dampened", [False, True], ids=["", "dampened"])
def test_a_momentum_is_found_by_the_velocity_that_is_handed_out(dampened, in_steps):
    said = f"{SAID}momentum=0.9" + (", with the gradient times 1 - momentum" if dampened else "")
    assert first_line(check(with_velocity(dampened, in_steps), sizes=(3, 4, 2))) == said


def test_a_momentum_that_is_told_is_told_to_be_none():
    def step(weights, inputs, targets, velocity, lr, momentum):
        return with_velocity(False, False)(weights, inputs, targets, velocity, lr, momentum)

    comparison = check(step)
    assert comparison.passed
    assert "it is called with momentum=0: what it does with a velocity was not tried" in comparison.remarks


def test_of_a_velocity_that_is_not_used_it_is_said_that_nobody_looked_at_it():
    def step(weights, inputs, targets, velocity, learning_rate):
        net = Network(weights)
        return net.update(net.backprop(inputs, targets).gradients, learning_rate).weights, velocity

    assert "the velocity that it returns is not compared" in check(step).remarks


def test_gradients_beside_a_velocity_are_read_as_gradients():
    def backprop(weights, inputs, targets, velocity, factor=1.0):
        return [factor * g for g in Network(weights).backprop(inputs, targets).gradients], velocity

    assert check(backprop).passed
    assert check(partial(backprop, factor=2.0)).diagnosis.mistakes == ("no_half",)


def test_weights_that_are_left_as_they_were_depend_on_no_sample():
    def step(weights, inputs, targets, learning_rate):
        return {"updated": weights}

    message = check(step).message()
    assert "Why: the step of layers 1, 2 and 3 is 0 [scaled]." in message
    assert "first sample" not in message


def keeping(momentum, factor=1.0):
    """A step that keeps its velocity from call to call."""
    kept = {}

    def step(weights, inputs, targets, learning_rate):
        first, *others = Network(weights).backprop(inputs, targets).gradients
        shapes = tuple(w.shape for w in weights)
        before = kept.get(shapes, [0.0 * w for w in weights])
        kept[shapes] = [momentum * v + g for v, g in zip(before, [factor * first, *others], strict=True)]
        return {"updated": [w - learning_rate * v for w, v in zip(weights, kept[shapes], strict=True)]}

    return step


def test_a_momentum_that_is_kept_from_call_to_call_is_found_and_is_no_match():
    assert (
        first_line(check(keeping(0.8), sizes=(3, 4, 2)))
        == f"{SAID}momentum=0.8, with a velocity kept from call to call"
    )


def test_a_momentum_does_not_hide_a_mistake():
    assert not first_line(check(keeping(0.8, factor=2.0), sizes=(3, 4, 2))).startswith("consistent")


def test_what_is_added_to_every_bias_beside_a_penalty_is_said():
    def backprop(weights, inputs, targets):
        share = 0.3 / len(inputs)
        parts = zip(weights, Network(weights).backprop(inputs, targets).gradients, strict=True)
        return [g + share * np.vstack([w[:-1], np.ones((1, w.shape[1]))]) for w, g in parts]

    said = first_line(check(backprop))
    assert said.startswith(
        "not as stated: it would be right for l2=0.3, lambda / N in the place of lambda, but for the biases'"
    )
    assert not check(backprop, l2=0.3).passed


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_a_rate_that_was_left_out_does_not_hide_a_mistake():
    def train(inputs, keys, weights):
        a = sigmoid(inputs @ weights)
        slope = sigmoid(a) * (1 - sigmoid(a))
        weights += inputs.T @ ((keys - a) * slope)
        return weights

    comparison = check(train, sizes=(3, 1))
    assert not comparison.passed
    assert comparison.diagnosis.mistakes == ("batch_sum", "slope_of_activation")
    assert "with learning_rate=1.0 more of it can be explained" in comparison.message()
    assert "Next: check(train, biases=False, sizes=(3, 1), learning_rate=1.0)" in comparison.message()


def wrapped(factor):
    """Gradients of the mean of squares, times a factor: of one sample, with A[-1] where the inputs belong."""

    def back(Ws, x, y):
        A = []
        for W in Ws:
            A.append(sigmoid(W @ (A[-1] if A else x)))
        error, gradients = 2 / len(y) * (A[-1] - y) * A[-1] * (1 - A[-1]), [None] * len(Ws)
        for i in reversed(range(len(Ws))):
            gradients[i] = np.outer(error, A[i - 1])
            error = Ws[i].T @ error * A[i - 1] * (1 - A[i - 1]) if i else None
        return gradients

    def backprop(weights, inputs, targets):
        return [factor * gradient for gradient in back(weights, inputs[0], targets[0])]

    return backprop


@pytest.mark.parametrize("options", [{}, {"batch": 1}, {"batch": 1, "biases": False}])
def test_another_cost_does_not_hide_what_is_wrong_in_another_shape(options):
    backprop = wrapped(1.0)
    comparison = check(backprop, **options)
    assert comparison.diagnosis.mistakes == ("output_for_input",)
    stated = {"biases": False, "cost": "mean_squared_error", "batch": 1}
    written = "biases=False, cost='mean_squared_error', batch=1"
    said = f"with cost='mean_squared_error' more of it can be explained\nNext: check(backprop, {written})"
    assert said in comparison.message()
    assert check(backprop, **stated).diagnosis.mistakes == ("output_for_input",)


def test_a_factor_that_no_cost_has_explains_nothing_in_another_shape():
    assert "more of it" not in check(wrapped(1.5), batch=1).message()
