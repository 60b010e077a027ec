"""What a page leaves unsaid is found from its numbers and said; what only looks like it stays wrong."""

import pytest

from comparisons.cli import main
from comparisons.studies.conventions import read
from tests.printing import Page


def verdicts(reading):
    return {j.number.name: j.verdict for j in reading.judged}


def times(numbers, factor, *quantities):
    """Return the numbers with a factor in those of some quantities."""
    return [(n, where, value * (factor if where["quantity"] in quantities else 1)) for n, where, value in numbers]


COSTS = {
    "squared_error": {"cost": "squared_error"},
    "binary_cross_entropy": {"cost": "binary_cross_entropy"},
    "cross_entropy": {"cost": "cross_entropy", "activation": ("sigmoid", "softmax")},
}


@pytest.mark.parametrize("stated", COSTS.values(), ids=COSTS)
def test_a_cost_that_is_not_stated_is_inferred_and_said(tmp_path, stated):
    page = Page(**stated)
    page.leave_out.add("cost")
    reading = read(page.example(tmp_path, page.numbers(1)))
    assert set(verdicts(reading).values()) <= {"ok", "undecided"}
    assert reading.said == (f'not stated, but right for cost = "{stated["cost"]}"',)


def test_a_sum_over_the_samples_is_inferred_with_the_cost(tmp_path):
    page = Page(samples=3, cost="squared_error", reduction="sum")
    page.leave_out |= {"cost", "reduction"}
    reading = read(page.example(tmp_path, page.numbers(1)))
    assert set(verdicts(reading).values()) == {"ok"}
    assert reading.said == ('not stated, but right for cost = "squared_error" and reduction = "sum"',)


def test_a_cost_that_is_stated_is_taken_at_its_word(tmp_path):
    page = Page(cost="squared_error")
    numbers = page.numbers(1)
    page.stated["cost"] = "half_squared_error"
    reading = read(page.example(tmp_path, numbers))
    assert verdicts(reading)["C 1"] == "wrong"
    assert not reading.said


def test_most_numbers_decide_on_the_cost_and_one_slip_does_not(tmp_path):
    page = Page()
    numbers = times(page.numbers(1), 2, "cost")
    reading = read(page.example(tmp_path, numbers))
    assert [name for name, verdict in verdicts(reading).items() if verdict == "wrong"] == ["C 1"]
    assert not reading.said


@pytest.mark.parametrize("quantities", [("delta",), ("delta", "activation_gradient"), ("gradient",)], ids=str)
def test_a_sign_reversed_in_all_of_a_quantity_is_a_convention_where_the_weights_are_right(tmp_path, quantities):
    page = Page()
    numbers = times(page.numbers(1), -1, *quantities)
    reading = read(page.example(tmp_path, numbers))
    assert set(verdicts(reading).values()) == {"ok"}
    assert len(reading.said) == 1
    assert "have the sign reversed, as of T - a" in reading.said[0]
    assert all(quantity.replace("_", " ") in reading.said[0] for quantity in quantities)


def test_a_reversed_sign_that_takes_the_weights_the_wrong_way_is_a_mistake(tmp_path):
    up, down = Page(rate=-0.4), Page()
    numbers = times(up.numbers(1), -1, "delta", "gradient", "activation_gradient")
    reading = read(down.example(tmp_path, numbers))
    wrong = [name for name, verdict in verdicts(reading).items() if verdict == "wrong"]
    assert {"delta2[0,0] 1", "w2[0,0]+ 1"} <= set(wrong)


def test_one_sign_reversed_among_others_is_wrong(tmp_path):
    page = Page()
    numbers = [(n, w, -v if n.startswith("delta1[0,0]") else v) for n, w, v in page.numbers(1)]
    reading = read(page.example(tmp_path, numbers))
    assert [name for name, verdict in verdicts(reading).items() if verdict == "wrong"] == ["delta1[0,0] 1"]
    assert not reading.said


@pytest.mark.parametrize("factor", [2, 0.5, 0.4, -2], ids=str)
def test_a_factor_in_all_gradients_is_a_convention_where_the_weights_are_right(tmp_path, factor):
    page = Page()
    reading = read(page.example(tmp_path, times(page.numbers(1), factor, "gradient")))
    assert set(verdicts(reading).values()) == {"ok"}
    assert reading.said == (f"a convention: all gradients have a factor of {factor:g}",)


def test_a_factor_is_none_where_no_weight_shows_that_it_is_taken_out_again(tmp_path):
    page = Page(cost="half_squared_error")
    numbers = [number for number in page.numbers(1) if number[1]["quantity"] != "weight"]
    reading = read(page.example(tmp_path, times(numbers, 2, "gradient")))
    assert not reading.said
    assert sum(verdict == "wrong" for verdict in verdicts(reading).values()) == 17


def test_a_factor_in_one_gradient_is_wrong(tmp_path):
    page = Page()
    numbers = [(n, w, 2 * v if n.startswith("dC/dw2[1,1]") else v) for n, w, v in page.numbers(1)]
    reading = read(page.example(tmp_path, numbers))
    assert [name for name, verdict in verdicts(reading).items() if verdict == "wrong"] == ["dC/dw2[1,1] 1"]


def test_a_learning_rate_that_is_not_stated_is_found_from_the_weights(tmp_path):
    page = Page(rate=0.065)
    page.leave_out.add("learning_rate")
    reading = read(page.example(tmp_path, page.numbers(1)))
    assert set(verdicts(reading).values()) == {"ok"}
    assert reading.said == ("not stated, but right for learning_rate = 0.065",)


@pytest.mark.parametrize("only", [False, True], ids=["among others", "alone"])
def test_one_weight_does_not_make_a_learning_rate(tmp_path, only):
    page = Page(rate=0.5)
    page.leave_out.add("learning_rate")
    numbers = [(n, w, v + 0.01 if n.startswith("w1[0,0]+") else v) for n, w, v in page.numbers(1)]
    if only:
        numbers = [number for number in numbers if number[1]["quantity"] != "weight" or number[0] == "w1[0,0]+ 1"]
    reading = read(page.example(tmp_path, numbers))
    assert [name for name, verdict in verdicts(reading).items() if verdict == "wrong"] == ["w1[0,0]+ 1"]
    assert not reading.said


def test_what_is_found_is_said_above_the_result(tmp_path, capsys):
    page = Page(cost="squared_error")
    page.leave_out.add("cost")
    page.example(tmp_path, page.numbers(1))
    assert main(["check", str(tmp_path / "page.toml"), "--out", str(tmp_path)]) == 0
    assert 'not stated, but right for cost = "squared_error"\n' in capsys.readouterr().out
