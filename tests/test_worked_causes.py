"""Why printed numbers are wrong: the cause is named, for the page and for each number, and chance names none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from comparisons.cli import main
from comparisons.studies.causes import causes
from comparisons.studies.conventions import read
from comparisons.studies.examples import read_example
from comparisons.studies.given import hanging_together
from comparisons.studies.worked import check_example
from tests.printing import FUNCTIONS, Page


def checked(page, tmp_path, numbers, digits=9):
    frame = check_example(page.example(tmp_path, numbers, digits))
    return frame.set_index("name")


def changed(numbers, new):
    """Return the numbers with some of their values changed, by name."""
    assert new.keys() <= {name for name, _, _ in numbers}
    return [(name, where, new.get(name, value)) for name, where, value in numbers]


def by_hand(page, tmp_path, slip, digits=9):
    """Return a page on which a first number is wrong, and what is computed from it goes on from there."""
    said = page.steps(1)[0]
    x, t = np.array(page.inputs[0]), np.array(page.targets[0])
    W1, W2 = (np.array(layer) for layer in page.weights)
    a1, a2 = (a.detach().numpy()[0] for a in said["a"])
    q = {"c": a2 - t, "a1": a1, "x": x, "W2": W2}
    q["delta2"] = q["c"] * a2 * (1 - a2)
    slip(q)
    q["dC/da1"] = W2[:, :-1].T @ q["delta2"]
    q["delta1"] = q["dC/da1"] * a1 * (1 - a1)
    new = {}
    for l, below, W in ((1, x, W1), (2, a1, W2)):
        delta = q[f"delta{l}"]
        for i in range(len(delta)):
            new[f"delta{l}[0,{i}] 1"] = delta[i]
            for j in range(len(below)):
                new[f"dC/dw{l}[{i},{j}] 1"] = delta[i] * below[j]
                new[f"w{l}[{i},{j}]+ 1"] = W[i, j] - page.rate * delta[i] * below[j]
            new[f"dC/db{l}[{i}] 1"] = delta[i]
            new[f"b{l}[{i}]+ 1"] = W[i, -1] - page.rate * delta[i]
    new |= {f"dC/da1[0,{i}] 1": q["dC/da1"][i] for i in range(3)}
    return page.example(tmp_path, changed(page.numbers(1), new), digits)


# One slip, and what follows from it.


def exchanged(q):
    """-0.02... with two of its digits the other way round."""
    text = f"{q['delta2'][0]:.9f}"
    q["delta2"][0] = float(text[:6] + text[7] + text[6] + text[8:])


def test_what_follows_from_the_first_wrong_number_names_it(tmp_path):
    def slip(q):
        q["delta2"][0] *= 1.0873

    frame = check_example(by_hand(Page(cost="half_squared_error"), tmp_path, slip)).set_index("name")
    wrong = frame[frame["verdict"] == "wrong"]
    assert len(wrong) > 25
    assert wrong["follows_from"].iloc[0] == ""
    assert wrong.index[0] == "delta2[0,0] 1"
    assert set(wrong["follows_from"].iloc[1:]) == {"delta2[0,0] 1"}
    assert (frame.loc[frame["verdict"] != "wrong", "follows_from"] == "").all()


def test_the_first_wrong_number_is_said_with_its_slip(tmp_path, capsys):
    by_hand(Page(cost="half_squared_error"), tmp_path, exchanged)
    assert main(["check", str(tmp_path / "page.toml"), "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "delta2[0,0] 1 is the first wrong number (two digits exchanged); the rest follows from it" in out
    assert " wrong (1 explained, " in out


def test_what_is_wrong_by_itself_follows_from_nothing(tmp_path):
    def slip(q):
        q["delta2"][0] *= 1.0873

    page = Page(cost="half_squared_error")
    example = by_hand(page, tmp_path, slip)
    numbers = [(j.name, {}, j.value) for j in example.printed]
    other = {name: value for name, _, value in numbers}["w1[2,1]+ 1"]
    text = (tmp_path / "page.toml").read_text().replace(other, f"{float(other) + 3e-4:.9f}")
    (tmp_path / "page.toml").write_text(text)
    frame = check_example(read_example(tmp_path / "page.toml")).set_index("name")
    assert frame.loc["w1[2,1]+ 1", "verdict"] == "wrong"
    assert frame.loc["w1[2,1]+ 1", "follows_from"] == ""
    assert frame.loc["w1[2,0]+ 1", "follows_from"] == "delta2[0,0] 1"


def test_a_number_may_follow_from_two(tmp_path):
    def slip(q):
        q["delta2"] *= [1.0873, 0.8114]

    frame = check_example(by_hand(Page(cost="half_squared_error"), tmp_path, slip)).set_index("name")
    assert frame.loc["dC/da1[0,0] 1", "follows_from"] == "delta2[0,0] 1 and delta2[0,1] 1"


def test_a_wrong_output_is_inherited_by_the_costs_and_by_the_next_step(tmp_path):
    page = Page(cost="squared_error")
    first, second = page.numbers(1), page.numbers(2)
    a = {name: value for name, _, value in first}["a2[0,1] 1"]
    said = page.steps(1)[0]
    other = said["a"][1].detach().numpy()[0, 0]
    wrong = a + 0.0123
    C = (other - page.targets[0][0]) ** 2 + (wrong - page.targets[0][1]) ** 2
    frame = checked(page, tmp_path, [*changed(first, {"a2[0,1] 1": wrong, "C 1": C}), *second])
    assert frame.loc["C 1", "follows_from"] == "a2[0,1] 1"
    assert (frame["verdict"] == "wrong").sum() == 2


# Slips of arithmetic.


def value_of(page, name):
    return {n: value for n, _, value in page.numbers(1)}[name]


def slipped(page):
    """Return name, wrong value and what must be said of it."""
    said = page.steps(1)[0]
    x, a1 = np.array(page.inputs[0]), said["a"][0].detach().numpy()[0]
    w1, w2 = (np.array(layer) for layer in page.weights)
    delta2 = said["z"][1].grad.numpy()[0]
    z, g = value_of(page, "z2[0,1] 1"), value_of(page, "dC/da1[0,1] 1")
    w, output = value_of(page, "w2[0,0]+ 1"), said["a"][1][0, 0].item()
    return {
        "a term": ("z2[0,1] 1", z - w2[1, 2] * a1[2], "w_12 a_2 left out"),
        "a bias": ("z2[0,1] 1", z - w2[1, 3], "the bias left out|no_bias"),
        "a factor of a term": ("z1[0,2] 1", float(w1[2] @ [x[0], 1, 1]), "x_1 left out of w_21 x_1"),
        "a term passed back": ("dC/da1[0,1] 1", g - delta2[0] * w2[0, 1], "delta_0 w_01 left out"),
        "the slope": ("delta1[0,0] 1", value_of(page, "dC/da1[0,0] 1"), "the slope left out|no_hidden_slope"),
        "the point": ("a1[0,2] 1", a1[2] / 10, "the point, one place to the left"),
        "the rate": (
            "w2[0,0]+ 1",
            w2[0, 0] + (w - w2[0, 0]) / page.rate,
            "the learning rate left out|no_learning_rate",
        ),
        "the sign of a step": ("w2[0,0]+ 1", 2 * w2[0, 0] - w, "the step added|ascent"),
        "an output": ("C 1", value_of(page, "C 1") - (output - page.targets[0][0]) ** 2 / 2, "output 0 left out"),
    }


@pytest.mark.parametrize("kind", slipped(Page()))
def test_a_slip_of_arithmetic_is_named(tmp_path, kind):
    page = Page(cost="half_squared_error")
    name, wrong, expected = slipped(page)[kind]
    frame = checked(page, tmp_path, changed(page.numbers(1), {name: wrong}), digits=7)
    assert frame.loc[name, "verdict"] == "wrong"
    assert set(frame.loc[name, "explained_by"].split(" or ")) & set(expected.split("|"))
    assert (frame["verdict"] == "wrong").sum() == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text[:5] + text[6] + text[5] + text[7:], "two digits exchanged"),
        (lambda text: text[:4] + text[5:], "a digit missing"),
        (lambda text: text[:5] + text[4] + text[5:-1], "a digit twice"),
    ],
)
def test_a_slip_of_the_pen_is_named(tmp_path, change, expected):
    page = Page(cost="half_squared_error")
    wrong = change(f"{value_of(page, 'a1[0,1] 1'):.8f}")
    frame = checked(page, tmp_path, changed(page.numbers(1), {"a1[0,1] 1": wrong}))
    assert frame.loc["a1[0,1] 1", "explained_by"] == expected


# One cause for the page.


def test_another_cost_than_the_stated_one_explains_the_page(tmp_path, capsys):
    page = Page(cost="squared_error")
    numbers = page.numbers(1)
    page.stated["cost"] = "half_squared_error"
    page.example(tmp_path, numbers, 4)
    assert main(["check", str(tmp_path / "page.toml"), "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert 'wrong numbers are explained by cost = "squared_error" or no_half, which is not' in out


def test_one_mistake_explains_the_page_where_each_number_has_too_few_digits(tmp_path):
    page = Page(cost="half_squared_error")
    W2 = torch.tensor(page.weights[1], dtype=torch.float64)
    passed = W2[:, :-1].T @ page.steps(1)[0]["z"][1].grad[0]
    new = {f"delta1[0,{i}] 1": float(passed[i]) for i in range(3)}
    numbers = [n for n in page.numbers(1) if n[1].get("layer") != 1 or n[1]["quantity"] in ("activation", "delta")]
    frame = checked(page, tmp_path, changed(numbers, new), digits=3)
    assert (frame.loc[list(new), "verdict"] == "wrong").all()
    assert set(frame.loc[list(new), "explained_by"]) == {"no_hidden_slope"}
    alone = changed(numbers, {"delta1[0,2] 1": float(passed[2])})
    assert checked(page, tmp_path, alone, digits=3).loc["delta1[0,2] 1", "explained_by"] == ""


def test_an_update_from_another_weight_is_named(tmp_path):
    page = Page(cost="half_squared_error")
    numbers = page.numbers(1)
    w = np.array(page.weights[1])
    new = {f"w2[1,{j}]+ 1": value_of(page, f"w2[1,{j}]+ 1") - w[1, j] + w[0, j] for j in (0, 1, 2)}
    new = {name: value - w[0, j] + w[0, 1] for j, (name, value) in enumerate(new.items())}
    frame = checked(page, tmp_path, changed(numbers, new), digits=4)
    assert set(frame.loc[list(new), "explained_by"]) == {"updated from w_01^(2)"}


def test_another_learning_rate_is_found_in_one_step_alone(tmp_path):
    page, other = Page(cost="squared_error"), Page(cost="squared_error", rate=0.52)
    weights = {name: value for name, where, value in other.numbers(1) if where["quantity"] == "weight"}
    numbers = [*changed(page.numbers(1), weights), *page.numbers(2, backward=False)]
    frame = checked(page, tmp_path, numbers, digits=7)
    assert set(frame.loc[list(weights), "explained_by"]) == {"learning_rate = 0.52 in this step alone"}


def test_another_learning_rate_is_found_for_the_whole_page(tmp_path):
    page, other = Page(cost="squared_error"), Page(cost="squared_error", rate=0.52)
    frame = checked(page, tmp_path, [*other.numbers(1), *other.numbers(2)], digits=7)
    assert set(frame.loc[frame["verdict"] == "wrong", "explained_by"]) == {"learning_rate = 0.52"}


def test_a_layer_that_is_not_activated_is_named(tmp_path):
    page = Page(cost="half_squared_error")
    z = page.steps(1)[0]["z"][0].detach()[0]
    W2 = torch.tensor(page.weights[1], dtype=torch.float64)
    above = W2[:, :-1] @ z + W2[:, -1]
    new = {f"z2[0,{i}] 1": float(above[i]) for i in range(2)}
    frame = checked(page, tmp_path, changed(page.numbers(1), new), digits=3)
    assert all(name.startswith("layer 1 not activated") for name in frame.loc[list(new), "explained_by"])


def test_rounding_on_the_way_is_named(tmp_path):
    page = Page(cost="half_squared_error", activation=("sigmoid", "tanh"))
    a, rounded = torch.tensor([page.inputs[0]], dtype=torch.float64), {}
    for l, (layer, name) in enumerate(zip(page.weights, page.activation, strict=True), start=1):
        W = torch.tensor(layer, dtype=torch.float64)
        z = (a @ W[:, :-1].T + W[:, -1]).round(decimals=2)
        a = FUNCTIONS[name](z).round(decimals=2)
        rounded |= {f"z{l}[0,{i}] 1": float(z[0, i]) for i in range(len(layer))}
        rounded |= {f"a{l}[0,{i}] 1": float(a[0, i]) for i in range(len(layer))}
    frame = checked(page, tmp_path, changed(page.numbers(1, backward=False), rounded), digits=6)
    wrong = frame[frame["verdict"] == "wrong"]
    assert len(wrong) > 5
    assert set(wrong["explained_by"]) == {"rounded to 2 places on the way"}


def test_float32_is_named(tmp_path):
    page = Page(cost="half_squared_error")
    numbers = [
        (n, w, float(np.float32(v)) * (1 + 2e-8)) for n, w, v in page.numbers(1) if w["quantity"] == "activation"
    ]
    frame = checked(page, tmp_path, numbers, digits=12)
    assert set(frame["explained_by"]) == {"single_precision"}
    far = [(n, w, v * (1 + 1e-4)) for n, w, v in numbers]
    assert "single_precision" not in set(checked(page, tmp_path, far, digits=12)["explained_by"])


@pytest.mark.parametrize("digits", [3, 5])
def test_numbers_that_are_wrong_at_random_are_explained_one_time_in_ten_at_the_most(tmp_path, digits):
    rng = np.random.default_rng(digits)
    page = Page(cost="half_squared_error")
    explained, named = 0, 0
    for _ in range(6):
        numbers = page.numbers(1)
        hit = rng.choice(len(numbers), 4, replace=False)
        wrong = [
            (n, w, v * (1 + rng.choice([-1, 1]) * rng.uniform(0.1, 0.6)) if i in hit else v)
            for i, (n, w, v) in enumerate(numbers)
        ]
        frame = checked(page, tmp_path, wrong, digits)
        explained += (frame["verdict"] == "wrong").sum()
        named += (frame["explained_by"] != "").sum()
    assert explained > 15
    assert named <= 0.1 * explained


def test_weights_that_are_read_transposed_are_named(tmp_path):
    page = Page(cost="half_squared_error")
    page.weights = [page.weights[0], [[0.5, -0.3, 0.8, 0.1], [0.2, 0.6, -0.7, 0.3], [-0.4, 0.9, 0.35, -0.2]]]
    page.targets = [[0.9, 0.1, 0.4]]
    numbers = page.numbers(1, backward=False)
    square = torch.tensor(page.weights[1], dtype=torch.float64)
    z = page.steps(1)[0]["a"][0].detach() @ square[:, :3] + square[:, 3]
    new = {f"z2[0,{i}] 1": float(z[0, i]) for i in range(3)}
    new |= {f"a2[0,{i}] 1": float(torch.sigmoid(z)[0, i]) for i in range(3)}
    frame = checked(page, tmp_path, changed(numbers, new), digits=3)
    assert set(frame.loc[list(new), "explained_by"]) == {"w^(2) transposed"}


def test_a_momentum_that_is_stated_and_left_out_is_named(tmp_path):
    page = Page(cost="half_squared_error", momentum=0.9)
    plain = Page(cost="half_squared_error")
    numbers = [number for step in (1, 2) for number in plain.numbers(step)]
    frame = checked(page, tmp_path, numbers, digits=5)
    assert set(frame.loc[frame["verdict"] == "wrong", "explained_by"]) == {"momentum = 0"}


def test_what_explains_the_whole_page_is_said_in_one_line(tmp_path, capsys):
    page = Page(cost="half_squared_error")
    W2 = np.array(page.weights[1])
    z = W2[:, :-1] @ page.steps(1)[0]["a"][0].detach().numpy()[0]
    new = {f"z2[0,{i}] 1": z[i] for i in range(2)}
    page.example(tmp_path, changed(page.numbers(1), new), 4)
    assert main(["check", str(tmp_path / "page.toml"), "--out", str(tmp_path)]) == 1
    said = "both wrong numbers are explained by no_bias. The biases are left out of the forward pass.\n"
    assert said in capsys.readouterr().out


def gradients_of(page, tmp_path, factors):
    """Return the page of which only gradients are printed, each output's delta times a factor."""

    def slip(q):
        q["delta2"] *= factors

    example = by_hand(page, tmp_path, slip, digits=6)
    return replace(example, printed=tuple(n for n in example.printed if n.key == ("gradient", 2)))


def test_what_one_wrong_number_could_have_done_alone_counts_once(tmp_path):
    page = Page(cost="half_squared_error")
    for factors, count in (([1.3, 1.0], 1), ([1.3, 0.8], 2)):
        reading = read(gradients_of(page, tmp_path, factors))
        wrong = [j for j in reading.judged if j.verdict == "wrong"]
        groups = hanging_together(reading.example, wrong)
        assert [len(group) for group in groups] == [4] * count
        assert all(len({j.number.index[1] for j in group}) == 1 for group in groups)


@pytest.mark.parametrize("factor", [0.46, 0.48, 0.83, 1.37])
def test_a_slip_that_is_carried_on_is_not_taken_for_a_mistake(tmp_path, factor):
    """Of the first two, two mistakes together would explain all numbers but one."""

    def slip(q):
        q["delta2"] *= factor

    example = by_hand(Page(cost="half_squared_error"), tmp_path, slip, digits=3)
    printed = tuple(n for n in example.printed if n.key[0] in ("activation", "gradient", "weight", "cost"))
    reading = read(replace(example, printed=printed))
    assert sum(j.verdict == "wrong" for j in reading.judged) > 10
    assert causes(reading).page is None


def test_what_lies_further_off_than_the_digits_of_its_source_leave_open_does_not_follow(tmp_path):
    def slip(q):
        q["delta2"][0] *= 1.4

    page = Page(cost="half_squared_error")
    by_hand(page, tmp_path, slip, digits=4)
    example = read_example(tmp_path / "page.toml")
    for units, follows in ((0, "delta2[0,0] 1"), (1, "delta2[0,0] 1"), (4, "")):
        off = [
            replace(n, value=f"{float(n.value) + units * 1e-4:.4f}") if n.name == "dC/dw2[0,1] 1" else n
            for n in example.printed
        ]
        frame = check_example(replace(example, printed=tuple(off))).set_index("name")
        assert frame.loc["dC/dw2[0,1] 1", "verdict"] == "wrong"
        assert frame.loc["dC/dw2[0,1] 1", "follows_from"] == follows
