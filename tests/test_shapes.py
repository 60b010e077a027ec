"""Answers of another shape or order: said once, and nothing that is right is blamed for it."""

import numpy as np
import pytest

from comparisons import check, compare
from comparisons.subject.implementation import Implementation
from comparisons.subject.probes import UNEQUAL, probe
from handnet import Network


def note(weights, inputs, targets):
    return list(Network(weights).backprop(inputs, targets).gradients)


def linear(weights, inputs, targets):
    gradients = note([np.vstack([w.T, b]) for w, b in weights], inputs, targets)
    return [(g[:-1].T, g[-1]) for g in gradients]


# Lists that come deepest layer first.

DEEPEST = {
    "matrices": ("note", lambda *question: note(*question)[::-1]),
    "pairs": ("linear", lambda *question: linear(*question)[::-1]),
    "all W, all b": ("linear", lambda *question: tuple(zip(*linear(*question)[::-1], strict=True))),
    "by name": ("note", lambda *question: {"gradients": note(*question)[::-1]}),
}


@pytest.mark.parametrize(("layout", "function"), DEEPEST.values(), ids=DEEPEST)
def test_a_list_that_comes_deepest_first_is_read_so_and_said(layout, function):
    comparison = check(function, layout=layout)
    assert comparison.passed  # on the square network too
    assert comparison.remarks == ("its gradients come deepest layer first: read that way",)


def test_transposed_matrices_are_not_called_reversed():
    comparison = check(lambda *question: [g.T for g in note(*question)])
    assert comparison.diagnosis.mistakes == ("transposed_gradient",)
    assert "deepest" not in comparison.message()


def test_what_else_is_wrong_in_a_reversed_list_is_named():
    comparison = check(lambda *question: [-g for g in note(*question)[::-1]])
    assert "its gradients come deepest layer first: read that way" in comparison.remarks
    assert comparison.diagnosis.mistakes == ("reversed_error",)


def test_deltas_may_come_deepest_first_while_gradients_do_not():
    def function(weights, inputs, targets):
        made = Network(weights).backprop(inputs, targets)
        return {"deltas": made.deltas[::-1], "gradients": made.gradients}

    comparison = check(function)
    assert comparison.passed
    assert comparison.remarks == ("its deltas come deepest layer first: read that way",)


def test_on_equal_widths_alone_the_numbers_tell_that_a_list_is_reversed():
    message = check(lambda *question: note(*question)[::-1], sizes=(4, 4, 4)).message()
    assert "it is dW1, as in a list that comes deepest layer first" in message


def test_a_sweep_reads_no_list_backwards():
    """Where nothing is said of shapes, an answer in the wrong order must not become right."""
    problem = probe(UNEQUAL).truths[0].problem
    answer = Implementation(lambda *question: note(*question)[::-1]).ask(problem, 0.5)
    assert all(np.isnan(value).all() for value in answer.right_way_up().values())


# What has another shape for one reason.


def biases_of_each_sample(weights, x, t):
    return [(w, np.tile(b, (len(x), 1))) for w, b in linear(weights, x, t)]


SHAPES = {
    "biases of each sample": (
        "linear",
        biases_of_each_sample,
        "on 2-5-4-3: the biases' gradients are not summed over the samples: those of dC/dW^(1) have shape (6, 5):"
        " expected (5,) [biases_not_summed];"
        " 23 more like it on 2-5-4-3 and 4-4-4-4, in layers 1, 2, 3",
    ),
    "no biases": (
        "note",
        lambda *question: [g[:-1] for g in note(*question)],
        "on 2-5-4-3: dC/dW^(1) has shape (2, 5): expected (3, 5);"
        " 29 more like it on 2-5-4-3 and 4-4-4-4, in layers 1, 2, 3",
    ),
    "one layer": (
        "note",
        lambda *question: [note(*question)[0][:-1], *note(*question)[1:]],
        "on 2-5-4-3: dC/dW^(1) has shape (2, 5): expected (3, 5); 9 more like it on 2-5-4-3 and 4-4-4-4, in layer 1",
    ),
}


@pytest.mark.parametrize(("layout", "function", "said"), SHAPES.values(), ids=SHAPES)
def test_shapes_that_are_wrong_for_one_reason_are_one_line(layout, function, said):
    assert check(function, layout=layout).findings == (said,)


def test_shapes_that_are_wrong_for_two_reasons_are_two_lines():
    def function(weights, inputs, targets):
        made = Network(weights).backprop(inputs, targets)
        return {"deltas": [d[:1] for d in made.deltas], "gradients": [g[:-1] for g in made.gradients]}

    assert [finding.split("(")[0] for finding in check(function, sizes=UNEQUAL).findings] == [
        "on 2-5-4-3: delta^",
        "on 2-5-4-3: dC/dW^",
    ]


def test_of_a_network_too_a_wrong_shape_is_said_once(rng):
    class Averaged(Network):
        def backprop(self, inputs, targets):
            made = super().backprop(inputs, targets)
            return type(made)(made.activations, made.cost, tuple(d.mean(axis=0) for d in made.deltas), made.gradients)

    net = Averaged(Network.random([3, 5, 2], rng=rng).weights)
    x, t = rng.uniform(-1, 1, (4, 3)), rng.uniform(0, 1, (4, 2))
    (finding,) = compare(net, x, t).findings
    assert finding == "delta^(2) has shape (2,): expected (4, 2); 1 more like it, in layers 1, 2"


def test_weights_are_judged_though_their_biases_have_another_shape():
    comparison = check(biases_of_each_sample, layout="linear", sizes=UNEQUAL)
    elements = comparison.elements().query("case == '2-5-4-3'")
    several = elements[~elements["step"].isin([3])]  # but for the step of a single sample, whose biases fit
    is_bias = several["row"] == several["layer"].map({l: UNEQUAL[l - 1] for l in (1, 2, 3)})
    assert set(several[is_bias]["verdict"]) == {"wrong"}
    assert set(several[~is_bias]["verdict"]) == {"ok"}


def test_weights_of_another_shape_leave_the_biases_judged():
    comparison = check(lambda *question: [(w[:-1], b) for w, b in linear(*question)], layout="linear", sizes=UNEQUAL)
    elements = comparison.elements().query("case == '2-5-4-3'")
    is_bias = elements["row"] == elements["layer"].map({l: UNEQUAL[l - 1] for l in (1, 2, 3)})
    assert set(elements[is_bias]["verdict"]) == {"ok"}
    assert set(elements[~is_bias]["verdict"]) == {"wrong"}


def test_what_has_another_shape_is_shown_as_that_and_not_as_infinitely_wrong():
    text = str(check(biases_of_each_sample, layout="linear"))
    rows = [line for line in text.splitlines() if line.startswith("gradient")]
    assert len(rows) == 3
    assert all(line.endswith("wrong shape") and "inf" not in line for line in rows)
    assert "inf  wrong" not in text


def test_an_infinite_number_of_the_right_shape_stays_infinitely_wrong():
    text = str(check(lambda *question: [np.full_like(g, np.nan) for g in note(*question)]))
    assert "inf" in text
    assert "wrong shape" not in text
