"""What `check` asks by default: each of these is right on everything but one question, which must be asked."""

import numpy as np
import pytest

from comparisons import check
from comparisons.subject.probes import FAR, LARGE, MANY, architectures, far_probe, probe
from handnet import Network


def right(weights, inputs, targets):
    return Network(weights).backprop(inputs, targets).gradients


def broadcasts_the_targets(weights, inputs, targets):
    """(N, 1) - (N,) is (N, N), of which each row is averaged."""
    a = Network(weights).forward(inputs)
    error = (a[-1] - np.squeeze(targets)).mean(axis=1, keepdims=True) if targets.shape[1] == 1 else a[-1] - targets
    delta, gradients = error / len(inputs) * a[-1] * (1 - a[-1]), []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, np.vstack([a[l].T @ delta, delta.sum(axis=0)]))
        delta = (delta @ weights[l][:-1].T) * a[l] * (1 - a[l])
    return gradients


def wrong_where(asked):
    """The gradients, of the wrong size where the question is such a one."""

    def function(weights, inputs, targets):
        factor = 1.5 if asked(weights, inputs, targets) else 1.0
        return [factor * g for g in right(weights, inputs, targets)]

    return function


def clips(weights, inputs, targets):
    return [np.clip(g, -3, 3) for g in right(weights, inputs, targets)]


def clips_z(weights, inputs, targets):
    """exp is kept from overflowing, by too early a limit."""
    a = [inputs]
    for w in weights:
        a.append(1 / (1 + np.exp(-np.clip(a[-1] @ w[:-1] + w[-1], -30, 30))))
    delta, gradients = (a[-1] - targets) / len(inputs) * a[-1] * (1 - a[-1]), []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, np.vstack([a[l].T @ delta, delta.sum(axis=0)]))
        delta = (delta @ weights[l][:-1].T) * a[l] * (1 - a[l])
    return {"activations": a, "gradients": gradients}


def from_call(number):
    calls = []

    def function(weights, inputs, targets):
        calls.append(1)
        return [g * (1.5 if len(calls) >= number else 1) for g in right(weights, inputs, targets)]

    return function


SELDOM = {
    "one output": broadcasts_the_targets,
    "a fourth layer": wrong_where(lambda w, x, t: len(w) > 3),
    "a width over 5": wrong_where(lambda w, x, t: max(v.shape[1] for v in w) > 5),
    "a width over 10": wrong_where(lambda w, x, t: max(v.shape[1] for v in w) > 10),
    "more than 50 samples": wrong_where(lambda w, x, t: len(x) > 50),
    "targets over 1": wrong_where(lambda w, x, t: (t > 1).any()),
    "targets below 0": wrong_where(lambda w, x, t: (t < 0).any()),
    "targets clipped": lambda w, x, t: right(w, x, np.clip(t, 0, 1)),
    "large gradients": clips,
    "a large z": clips_z,
    "the tenth call": from_call(10),
}


@pytest.mark.parametrize("function", SELDOM.values(), ids=SELDOM)
def test_what_goes_wrong_seldom_is_asked_by_default(function):
    comparison = check(function)
    assert not comparison.passed
    assert comparison.count("wrong")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "activation", ["sigmoid", "tanh", "relu", "identity", ("relu",) * 6, ("tanh", "sigmoid")], ids=str
)
def test_right_code_passes_what_is_asked_once_more(activation, dtype):
    def whole(weights, inputs, targets):
        made = Network(weights, activation).backprop(inputs, targets)
        return {name: getattr(made, name) for name in ("activations", "cost", "deltas", "gradients")}

    comparison = check(whole, activation=activation, dtype=dtype)
    assert comparison.passed, comparison.message()
    assert {m.sizes[-1] for m in comparison.measured} >= {1}


def test_no_exponential_of_right_code_overflows_in_float32():
    def two_exponentials(weights, inputs, targets):
        a = [inputs]
        for w in weights:
            e = np.exp(2 * (a[-1] @ w[:-1] + w[-1]))
            a.append((e - 1) / (e + 1))
        delta, gradients = (a[-1] - targets) / len(inputs) * (1 - a[-1] ** 2), []
        for l in range(len(weights) - 1, -1, -1):
            gradients.insert(0, np.vstack([a[l].T @ delta, delta.sum(axis=0)]))
            delta = (delta @ weights[l][:-1].T) * (1 - a[l] ** 2)
        return {"activations": a, "gradients": gradients}

    for seed in range(5):
        comparison = check(two_exponentials, activation="tanh", dtype=np.float32, seed=seed)
        assert comparison.passed, comparison.message()


def test_the_far_probe_is_as_far_as_it_says():
    for activation in ("sigmoid", ("tanh",), ("relu",) * 7):
        asked = far_probe(activation)
        problems = [truth.problem for truth in asked.truths]
        z = [max(np.abs(value).max() for value in truth.run.preactivations[:1]) for truth in asked.truths]
        assert LARGE - 3 < max(z) < LARGE + 3
        assert MANY in {len(problem.inputs) for problem in problems}
        assert max(problem.targets.max() for problem in problems) > FAR / 2
        assert min(problem.targets.min() for problem in problems) < -FAR / 2
        assert not {len(problem.inputs) for problem in problems} & set(problems[0].sizes)
        assert len(set(problems[0].sizes)) == len(problems[0].sizes)


@pytest.mark.parametrize("seed", range(20))
def test_a_far_probe_of_relus_is_alive(seed):
    first, many, _, _ = far_probe("relu", seed=seed).truths
    assert all((np.abs(value) > tolerance).any() for t in (first, many) for value, tolerance in t.derived.values())


def test_code_for_so_many_layers_is_told_to_say_so():
    def three_layers(weights, inputs, targets):
        w1, w2, w3 = weights
        return right([w1, w2, w3], inputs, targets)

    comparison = check(three_layers)
    assert not comparison.passed
    assert "on 3-12-4-5-1: it raised ValueError: too many values to unpack" in comparison.message()
    assert "it runs with sizes=(2, 5, 4, 3)" in comparison.remarks
    assert check(three_layers, sizes=(2, 5, 4, 3)).passed


def test_what_is_wrong_further_off_is_named_by_that_probe_alone():
    def no_mean_of_many(weights, inputs, targets):
        factor = len(inputs) if len(weights) > 3 else 1
        return [factor * g for g in right(weights, inputs, targets)]

    diagnosis = check(no_mean_of_many).diagnosis
    assert diagnosis.mistakes == ("batch_sum",)
    assert diagnosis.first_wrong == ("delta", 4)


# What was never asked is said.


def asked_of(**options):
    """Every question that right code is asked."""
    asked = []

    def function(weights, inputs, targets):
        asked.append((weights, inputs, targets))
        return right(weights, inputs, targets)

    return check(function, **options), asked


@pytest.mark.parametrize("options", [{}, {"sizes": (3, 4, 1)}, {"batch": 4}, {"sizes": (3, 4, 2), "batch": 2}], ids=str)
def test_what_was_never_asked_is_true_of_what_was(options):
    comparison, asked = asked_of(**options)
    said = f", {comparison.never_asked},"
    assert str(comparison).splitlines()[-1] == f"not tried: {comparison.never_asked}"
    sizes = {(w[0].shape[0] - 1, *(v.shape[1] for v in w)) for w, _, _ in asked}
    gradients = max(np.abs(g).max() for question in asked for g in right(*question))
    assert ", float32, stacks," in said
    assert f", gradients over {gradients:.2g}," in said
    assert f"{len(asked)} calls" in said
    assert (", targets outside [0, 1]," in said) == all(((t >= 0) & (t <= 1)).all() for _, _, t in asked)
    assert f"{max(len(x) for _, x, _ in asked)} samples" in said
    if len(sizes) == 1:
        assert f", sizes other than {'-'.join(map(str, *sizes))}," in said
    else:
        assert f", widths over {max(map(max, sizes))}," in said
        assert f"more than {max(map(len, sizes)) - 1} layers" in said
        assert (", one output," in said) == all(one[-1] > 1 for one in sizes)


def test_only_one_batch_is_said_to_be_one():
    def cost_too(weights, inputs, targets):
        made = Network(weights).backprop(inputs, targets)
        return {"deltas": made.deltas, "gradients": made.gradients}

    assert "batches other than 4, more than 3 layers or 8 calls" in check(cost_too, batch=4).never_asked


def test_of_code_that_is_wrong_it_is_not_said():
    assert check(lambda *question: [-g for g in right(*question)]).never_asked == ""


def test_by_default_unequal_widths_come_first_and_then_a_square():
    assert architectures("tanh") == [(2, 5, 4, 3), (4, 4, 4, 4)]
    assert probe((2, 5, 4, 3)).name == "2-5-4-3"
