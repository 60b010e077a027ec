"""Worked examples whose file states its cost, penalty, biases or batches: judged by plain torch's numbers."""

import re

import pytest
import torch

from comparisons.studies.examples import ExampleError
from comparisons.studies.worked import check_example
from tests.printing import Page

STATED = {
    "half_squared_error": {"cost": "half_squared_error"},
    "squared_error": {"cost": "squared_error"},
    "mean_squared_error": {"cost": "mean_squared_error"},
    "binary_cross_entropy": {"cost": "binary_cross_entropy"},
    "cross_entropy": {"cost": "cross_entropy", "activation": ("relu", "softmax")},
    "softmax with a squared error": {"cost": "squared_error", "activation": ("tanh", "softmax")},
    "a penalty": {"l2": 0.3},
    "no biases": {"biases": False},
    "shared biases": {"shared_biases": True},
    "momentum": {"momentum": 0.8},
    "momentum and shared biases": {"momentum": 0.5, "shared_biases": True},
    "shared biases and a penalty": {"shared_biases": True, "l2": 0.2, "cost": "squared_error"},
}


@pytest.mark.parametrize("stated", STATED.values(), ids=STATED)
def test_what_torch_says_of_what_is_stated_is_right_and_two_units_more_is_wrong(tmp_path, stated):
    page = Page(**stated)
    numbers = [number for step in (1, 2, 3) for number in page.numbers(step)]
    verdicts = check_example(page.example(tmp_path, numbers))["verdict"]
    assert set(verdicts) <= {"ok", "undecided"}
    assert (verdicts == "ok").mean() > 0.7
    shifted = [(name, where, value + 2e-9) for name, where, value in numbers]
    assert (check_example(page.example(tmp_path, shifted), explain=False)["verdict"] == "wrong").all()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_batch_may_be_averaged_or_summed(tmp_path, reduction):
    page = Page(samples=3, reduction=reduction, cost="squared_error")
    numbers = [*page.numbers(1), *page.numbers(2)]
    assert (check_example(page.example(tmp_path, numbers))["verdict"] == "ok").all()
    other = Page(samples=3, reduction="mean" if reduction == "sum" else "sum", cost="squared_error")
    frame = check_example(other.example(tmp_path, numbers), explain=False)
    assert (frame["verdict"] == "wrong").sum() > len(frame) / 2


def test_targets_may_be_left_out_of_a_forward_pass_alone(tmp_path):
    page = Page()
    page.leave_out.add("targets")
    forward, everything = page.numbers(1, backward=False), page.numbers(1)
    assert (check_example(page.example(tmp_path, forward))["verdict"] == "ok").all()
    with pytest.raises(ExampleError, match=r"targets is missing: only the forward pass .* this is a cost"):
        page.example(tmp_path, everything)
    with pytest.raises(ExampleError, match=r"targets is missing: only the forward pass .* this is step 2"):
        page.example(tmp_path, page.numbers(2, backward=False))


def test_minibatches_are_taken_one_after_the_other(tmp_path):
    page = Page(samples=3, batches=[[2, 0], [1]])
    numbers = [number for step in (1, 2, 3) for number in page.numbers(step)]
    frame = check_example(page.example(tmp_path, numbers))
    assert (frame["verdict"] == "ok").all()
    assert {"0 of sample 2", "0 of sample 0", "0 of sample 1"} <= set(frame["index"])


REFUSED = {
    "a cost": ({"cost": "absolute"}, "line 7: cost is 'absolute': expected one of half_squared_error"),
    "a cost for another output": (
        {"cost": "cross_entropy"},
        "line 7: cost 'cross_entropy' with an output activation 'sigmoid'",
    ),
    "a reduction": ({"reduction": "all"}, "line 7: reduction is 'all': expected one of mean, sum"),
    "a penalty": ({"l2": -1}, "line 7: l2 is -1: expected a finite number, 0 or more"),
    "a momentum": ({"momentum": 1}, "line 7: momentum is 1: expected a number from 0 to less than 1"),
    "batches": ({"batches": [[3]]}, r"line 7: batches is \[\[3\]\]: expected a list of samples, each from 0 to 2"),
    "a sample twice": ({"batches": [[1, 1]]}, r"batches is \[\[1, 1\]\]: expected a list of samples"),
}


@pytest.mark.parametrize(("stated", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_stated_is_refused_in_one_line(tmp_path, stated, message):
    numbers = Page(samples=3).numbers(1)
    page = Page(samples=3)
    page.stated = stated
    with pytest.raises(ExampleError, match=message):
        page.example(tmp_path, numbers)


def test_biases_that_differ_are_not_shared(tmp_path):
    page = Page(shared_biases=True)
    page.weights[1][1][-1] = 0.77
    with pytest.raises(ExampleError, match=r"weights of layer 2 has the biases 0.12 and 0.77: expected one"):
        page.example(tmp_path, Page().numbers(1))


def test_a_sample_outside_the_batch_is_refused(tmp_path):
    page = Page(samples=3, batches=[[2, 0], [1]])
    numbers = page.numbers(1)
    numbers[0][1]["sample"] = 1
    with pytest.raises(ExampleError, match=re.escape("sample is 1: expected one of the step's batch, 2, 0")):
        page.example(tmp_path, numbers)


def more(page):
    """Return the numbers of the first step that only some pages print."""
    first, second = page.steps(2)
    after = [(p - q).detach() for p, q in zip(first["w"], first["new_w"], strict=True)]
    return [
        ("the step", {"quantity": "step", "layer": 2, "index": [1, 2]}, float(after[1][1, 2])),
        ("dC/dx", {"quantity": "input_gradient", "index": 1}, float(first["x"].grad[0, 1])),
        ("e^-z", {"quantity": "exponential", "layer": 1, "index": 2}, float(torch.exp(-first["z"][0].detach()[0, 2]))),
        ("less", {"quantity": "decrease"}, float((first["cost"] - second["cost"]).detach())),
    ]


@pytest.mark.parametrize("stated", [{}, {"l2": 0.2}, {"cost": "binary_cross_entropy"}], ids=str)
def test_the_step_the_inputs_gradient_the_exponential_and_the_decrease_are_judged(tmp_path, stated):
    page = Page(**stated)
    assert check_example(page.example(tmp_path, more(page)))["verdict"].tolist() == ["ok"] * 4
    wrong = [(name, where, value + 2e-9) for name, where, value in more(page)]
    assert check_example(page.example(tmp_path, wrong), explain=False)["verdict"].tolist() == ["wrong"] * 4


def test_the_decrease_may_be_that_of_a_sample_or_of_an_output(tmp_path):
    page = Page(samples=2)
    first, second = page.steps(2)
    halves = [
        ((said["a"][-1] - torch.tensor(page.targets, dtype=torch.float64)) ** 2).detach() / 2
        for said in (first, second)
    ]
    less = halves[0] - halves[1]
    numbers = [
        ("of a sample", {"quantity": "decrease", "sample": 1}, float(less[1].sum())),
        ("of an output", {"quantity": "decrease", "output": 0}, float(less[:, 0].mean())),
        ("of both", {"quantity": "decrease", "output": 1, "sample": 0}, float(less[0, 1])),
    ]
    assert check_example(page.example(tmp_path, numbers))["verdict"].tolist() == ["ok"] * 3


@pytest.mark.parametrize("cost", ["binary_cross_entropy", "cross_entropy", "squared_error"])
def test_an_output_has_its_share_of_any_cost(tmp_path, cost):
    page = Page(cost=cost, activation=("sigmoid", "softmax" if cost == "cross_entropy" else "sigmoid"), l2=0.1)
    a, t = page.steps(1)[0]["a"][-1][0].detach(), torch.tensor(page.targets[0], dtype=torch.float64)
    share = {
        "squared_error": (a - t) ** 2,
        "cross_entropy": -t * a.log(),
        "binary_cross_entropy": -t * a.log() - (1 - t) * (1 - a).log(),
    }[cost]
    numbers = [(f"E{i}", {"quantity": "cost", "output": i}, float(share[i])) for i in (0, 1)]
    assert check_example(page.example(tmp_path, numbers))["verdict"].tolist() == ["ok", "ok"]


def test_all_the_digits_of_a_float_are_right_though_rounding_is_larger_than_the_last(tmp_path):
    page = Page()
    numbers = [(name, where, f"{value * (1 + 4e-16):.19f}") for name, where, value in page.numbers(1)]
    example = page.example(tmp_path, numbers)
    frame = check_example(example)
    assert (frame["error"] > 1.5e-19).any()
    assert (frame["verdict"] == "ok").all()
    far = [(name, where, f"{value * (1 + 1e-11):.19f}") for name, where, value in page.numbers(1)]
    assert (check_example(page.example(tmp_path, far), explain=False)["verdict"] == "wrong").all()
