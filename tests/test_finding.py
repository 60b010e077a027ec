"""check finds by itself how code wants to be called, and says so; nothing that is wrong passes by it."""

import numpy as np
import pytest
from handed_out import layers_of

from comparisons import check
from comparisons.subject.arguments import arguments_of
from comparisons.subject.forms import CONTAINERS, Form
from comparisons.subject.layouts import LAYOUTS, Layout
from handnet import Network


def own(form, factor=1.0):
    """Somebody's function that insists on a form."""

    def backprop(weights, inputs, targets):
        if form.plain and not isinstance(inputs, list):
            raise TypeError("lists, please")
        x, t = (np.array(part).T if form.layout.in_columns else np.array(part) for part in (inputs, targets))
        net = Network(layers_of(weights, form))
        if net.sizes[0] != x.shape[1]:
            raise ValueError("shapes")
        gradients = [factor * g for g in net.backprop(x, t).gradients]
        return form.parts(gradients, inputs=x, targets=t)["weights"]

    return backprop


FORMS = [
    *[Form(Layout(name)) for name in LAYOUTS],
    *[Form(Layout(name), "dict") for name in ("note", "rows", "columns")],
    *[Form(Layout("linear"), container) for container in ("flat", "split")],
    *[Form(Layout("rows"), "split", plain=True), Form(Layout("bias_last"), plain=True)],
    *[Form(Layout("bias_last"), "nodes", plain=True), Form(Layout("rows", thresholds=True))],
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.layout.name} {form.container} {form.plain}")
def test_the_form_is_found_and_said_and_what_is_wrong_in_it_is_caught(form):
    right = check(own(form))
    assert right.passed, right.message()
    assert (f"it is called with {form}" in right.remarks) == (form != Form(Layout("note")))
    wrong = check(own(form, factor=1 + 1e-9))
    assert not wrong.passed
    assert wrong.count("wrong") > 0


def test_what_is_found_is_tried_on_other_numbers_than_those_that_count():
    asked = []

    def backprop(weights, inputs, targets):
        if isinstance(weights[0], np.ndarray):
            raise TypeError("pairs, please")
        answer = own(Form(Layout("linear")))(weights, inputs, targets)
        asked.append(inputs.tobytes())
        return answer

    assert check(backprop).passed
    assert asked.count(asked[0]) == 1  # the one that was tried


@pytest.mark.parametrize(
    ("function", "roles"),
    [
        (lambda weights, inputs, targets: None, ("weights", "inputs", "targets")),
        (lambda X, y, params: None, ("inputs", "targets", "weights")),
        (lambda x, t, W, b: None, ("inputs", "targets", "weights", "biases")),
        (lambda W1, b1, W2, b2, X, Y: None, ("w1", "b1", "w2", "b2", "inputs", "targets")),
        (lambda X, y, theta, lr=0.1: None, ("inputs", "targets", "weights", "rate")),
        (lambda a, b, c: None, ("weights", "inputs", "targets")),
        (lambda net, data, labels, verbose=False: None, ("weights", "inputs", "targets")),
        (lambda *args: None, ("weights", "inputs", "targets")),
    ],
)
def test_an_argument_is_known_by_its_name_where_all_names_tell(function, roles):
    assert arguments_of(function).positional == roles


def test_arguments_in_another_order_and_one_by_one_are_given_so():
    def in_parts(X, y, W1, b1, W2, b2):
        weights = [np.vstack([W1, b1]), np.vstack([W2, b2])]
        g1, g2 = Network(weights).backprop(X, y).gradients
        return {"dW1": g1[:-1], "db1": g1[-1], "dW2": g2[:-1], "db2": g2[-1]}

    assert check(in_parts, sizes=(3, 5, 2)).passed

    def two_lists(x, t, weights, biases):
        made = Network([np.vstack(pair) for pair in zip(weights, biases, strict=True)]).backprop(x, t)
        return [g[:-1] for g in made.gradients], [g[-1] for g in made.gradients]

    assert check(two_lists).passed


def test_a_learning_rate_by_another_name_is_told():
    def step(params, X, y, lr):
        net = Network(params)
        return {"updated": net.update(net.backprop(X, y).gradients, lr).weights}

    assert check(step, learning_rate=0.3).passed


def test_code_without_biases_is_told_so():
    def backprop(weights, inputs, targets):
        return Network(weights, biases=False).backprop(inputs, targets).gradients

    comparison = check(backprop)
    assert not comparison.passed
    first, then, *_ = comparison.message().splitlines()
    assert first == "consistent, but not as stated: it is right for biases=False"
    assert then == "Next: check(backprop, biases=False)"
    assert check(backprop, biases=False).passed


ANSWERS = {
    "nabla": lambda g: {"nabla_w": [a[:-1].T for a in g], "nabla_b": [a[-1] for a in g]},
    "grad_W1": lambda g: {
        **{f"grad_W{l}": a[:-1].T for l, a in enumerate(g, 1)},
        **{f"grad_b{l}": a[-1] for l, a in enumerate(g, 1)},
    },
    "dW1 beside dA1": lambda g: {
        **{f"dW{l}": a[:-1].T for l, a in enumerate(g, 1)},
        **{f"db{l}": a[-1] for l, a in enumerate(g, 1)},
        **{f"dA{l}": np.zeros(3) for l in range(len(g))},
    },
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_usual_names_of_an_answer_are_read(name):
    def backprop(weights, inputs, targets, factor=1.0):
        ours = [np.vstack([W.T, b]) for W, b in weights]
        return ANSWERS[name]([factor * g for g in Network(ours).backprop(inputs, targets).gradients])

    assert check(backprop, layout="linear").passed
    assert not check(lambda w, x, t: backprop(w, x, t, factor=1.01), layout="linear").passed


def test_deltas_named_by_their_layer_are_judged_as_deltas():
    def backprop(weights, inputs, targets):
        made = Network(weights).backprop(inputs, targets)
        return {
            **{f"dW{l}": g for l, g in enumerate(made.gradients, 1)},
            **{f"dZ{l}": 2 * d for l, d in enumerate(made.deltas, 1)},
        }

    assert check(backprop).diagnosis.first_wrong == ("delta", 3)


def test_every_container_and_layout_is_tried():
    assert {form.container for form in FORMS} | {"alone"} == set(
        CONTAINERS
    )  # one layer by itself: tests/test_reading.py
    assert {form.layout.name for form in FORMS} == set(LAYOUTS)


def test_where_only_the_biases_have_another_shape_the_layout_is_found_all_the_same():
    def not_summed(weights, inputs, targets):
        net = Network([np.vstack([W.T, b]) for W, b in weights])
        made = net.backprop(inputs, targets)
        return [(g[:-1].T, d) for g, d in zip(made.gradients, made.deltas, strict=True)]

    comparison = check(not_summed)
    assert any("layout='linear'" in remark for remark in comparison.remarks)
    assert "[biases_not_summed]" in comparison.message().splitlines()[0]


def test_what_fits_nowhere_is_left_as_it_was_called_first():
    comparison = check(lambda weights, inputs, targets: [np.zeros(1) for _ in weights])
    assert not comparison.passed
    assert not any(remark.startswith("it is called with") for remark in comparison.remarks)


def test_of_code_that_runs_in_one_form_alone_its_answer_is_told_and_not_what_the_others_raise():
    def backprop(weights, inputs, targets):
        sum(inputs @ w + b for w, b in weights[:1])
        return "gradients"

    comparison = check(backprop)
    assert not comparison.passed
    assert comparison.remarks[0].startswith("it is called with layout='rows'")
    assert "raised" not in comparison.message()
