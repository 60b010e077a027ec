"""Worked examples: what a page prints, found right, wrong and explained, and malformed files named."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from comparisons.cli import main
from comparisons.studies.examples import ExampleError, read_example
from comparisons.studies.worked import WORKED_COLUMNS, check_example

EXAMPLE = """
sizes = [2, 2, 2]
train_biases = false
weights = [
  [[0.15, 0.20, 0.35], [0.25, 0.30, 0.35]],
  [[0.40, 0.45, 0.60], [0.50, 0.55, 0.60]],
]
inputs = [0.05, 0.10]
targets = [0.01, 0.99]

printed = [
  { value = "0.0363503", quantity = "activation_gradient", layer = 1, index = 0 },
  { value = "0.298371109", quantity = "cost" },
  { value = "0.19956143", quantity = "weight", layer = 1, index = [0, 1] },
]
"""


def example(tmp_path, text):
    path = tmp_path / "example.toml"
    path.write_text(text)
    return path


def test_the_step_by_step_page_is_right_at_first():
    page = read_example("step-by-step.toml")
    first = tuple(number for number in page.printed if number.step == 1)
    frame = check_example(replace(page, printed=first))
    assert len(frame) == 25
    assert (frame["verdict"] == "ok").all()


@pytest.mark.slow
def test_the_step_by_step_page_is_then_a_program_with_updated_weights(tmp_path, capsys):
    """Ten thousand steps, for each of the known mistakes and two together."""
    assert main(["check", "step-by-step.toml", "--out", str(tmp_path)]) == 1
    assert "step-by-step: 30 printed numbers, 25 right, 5 wrong (4 explained)" in capsys.readouterr().out
    frame = pd.read_csv(tmp_path / "worked.csv", dtype={"printed": str}, keep_default_na=False)
    assert tuple(frame.columns) == WORKED_COLUMNS
    first = frame[frame["step"] == 1]
    assert (first["verdict"] == "ok").all()
    assert len(first) == 25
    later = frame[frame["step"] > 1].set_index("printed")
    assert (later["verdict"] == "wrong").all()
    explained = later["explained_by"].to_dict()
    assert explained.pop("0.0000351085") == ""
    assert set(explained) == {"0.291027924", "0.000035085", "0.015912196", "0.984065734"}
    assert set(explained.values()) == {"updated_weights"}
    assert abs(later.loc["0.291027924", "autograd"] - 0.29102777369359933) < 1e-15
    assert abs(later.loc["0.0000351085", "autograd"] - 3.510187782978859e-05) < 1e-15


@pytest.mark.parametrize(
    ("name", "last"), [("one-neuron", 0.09395569486364724), ("one-neuron-badly-started", 0.2028484242677765)]
)
def test_one_neuron_learns_as_printed(name, last):
    frame = check_example(read_example(f"{name}.toml"))
    assert frame["verdict"].tolist() == ["ok", "ok"]
    assert abs(frame["autograd"].iloc[-1] - last) < 1e-14


def test_a_right_example_passes(tmp_path, capsys):
    path = example(tmp_path, EXAMPLE)
    assert main(["check", str(path), "--out", str(tmp_path / "reports")]) == 0
    assert "example: 3 printed numbers, 3 right, 0 wrong" in capsys.readouterr().out


WRONG = {
    "updated_weights": ("0.19956143", "0.19963528"),
    "no_half": ("0.298371109", "0.596742218"),
    "no_bias": ("0.298371109", "0.242519857"),
    "no_half + no_bias": ("0.298371109", "0.485039715"),
    "": ("0.298371109", "0.298371209"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_number_is_explained_by_the_mistake_that_gives_it(tmp_path, mistake):
    frame = check_example(read_example(example(tmp_path, EXAMPLE.replace(*WRONG[mistake]))))
    wrong = frame[frame["verdict"] == "wrong"]
    assert len(wrong) == 1
    named = wrong["explained_by"].item().split(" or ")
    assert any(set(name.split(" + ")) == set(mistake.split(" + ")) for name in named), named


@pytest.mark.parametrize(("digits", "verdict"), [("0.30", "ok"), ("0.3", "ok"), ("0.28", "wrong"), ("0", "undecided")])
def test_the_printed_digits_make_the_tolerance(tmp_path, digits, verdict):
    path = example(tmp_path, EXAMPLE.replace('"0.298371109"', f'"{digits}"'))
    assert check_example(read_example(path))["verdict"].tolist() == ["ok", verdict, "ok"]


BATCH = (
    """
title = """
    + '"""sizes = [9]"""'
    + """
sizes = [1, 2]
activation = ["identity"]
weights = [[[2.0, 0.0], [4.0, 1.0]]]  # printed = [{ }]
inputs = [[1.0], [2.0]]
targets = [[1.0, 5.0], [1.0, 8.0]]
printed = [{ value = "9.0", quantity = "activation", layer = 1, index = 1, sample = 1 },
  { value = "2.75", quantity = "cost" },
  { value = "5", quantity = "cost", sample = 1 },
  { value = "4.5", quantity = "cost", output = 0, sample = 1 },
  { value = "2.75", quantity = "cost" }, { value = "3", quantity = "delta", layer = 1, index = 0, sample = 1 },
  { value = "1.5", quantity = "delta", layer = 1, index = 0, sample = 1 },
  { value = "6", quantity = "gradient", layer = 1, index = [0, 0], sample = 1 },
  { value = "3.5", quantity = "gradient", layer = 1, index = [0, 0] },
]
"""
)


def test_in_a_batch_a_sample_may_stand_alone_and_a_delta_with_or_without_the_mean(tmp_path):
    frame = check_example(read_example(example(tmp_path, BATCH)))
    assert (frame["verdict"] == "ok").all(), frame
    assert frame["index"].tolist() == [
        "1 of sample 1",
        "",
        "of sample 1",
        "of output 0 of sample 1",
        "",
        *["0 of sample 1"] * 2,
        "0,0 of sample 1",
        "0,0",
    ]


def test_the_line_is_right_whatever_stands_in_strings_and_comments(tmp_path):
    for old, new, line in (('"3"', '"x"', 12), ('"9.0"', "9.0", 8), ("sizes = [1, 2]", "sizes = [1]", 3)):
        with pytest.raises(ExampleError, match=f"example.toml, line {line}: "):
            read_example(example(tmp_path, BATCH.replace(old, new)))


def test_an_example_in_which_nothing_is_decided_does_not_pass(tmp_path):
    text = EXAMPLE[: EXAMPLE.index("printed")] + 'printed = [{ value = "0", quantity = "cost" }]\n'
    assert main(["check", str(example(tmp_path, text)), "--out", str(tmp_path)]) == 1


def test_chance_explains_nothing(tmp_path):
    """Numbers with few digits, wrong at random, fit some of the many mistakes; that must not count."""
    rng = np.random.default_rng(0)
    printed = []
    for digits in (2, 3, 4):
        for _ in range(15):
            value = f"{0.298371109 * (1 + rng.uniform(-0.3, 0.3)):.{digits}g}"
            printed.append(f'{{ value = "{value}", quantity = "cost" }},')
    text = EXAMPLE[: EXAMPLE.index("printed")] + "printed = [\n" + "\n".join(printed) + "\n]\n"
    frame = check_example(read_example(example(tmp_path, text)))
    wrong = frame[frame["verdict"] == "wrong"]
    assert len(wrong) > 30
    assert (wrong["explained_by"] != "").mean() < 0.1


MALFORMED = {
    "no TOML": ("sizes = [2, 2, 2]", "sizes = [2, 2", r"example.toml: .*line"),
    "nested": ("sizes = [2, 2, 2]", "sizes = " + 3000 * "[" + 3000 * "]", "nested too deeply"),
    "a missing key": ("inputs = [0.05, 0.10]", "", "example.toml: inputs is missing"),
    "an unknown key": ("train_biases", "train_bias", "line 3: 'train_bias' is unknown: expected sizes, weights"),
    "sizes": ("[2, 2, 2]", "[2, 2.5]", r"line 2: sizes is \[2, 2.5\]: expected at least two whole numbers"),
    "huge sizes": (
        "[2, 2, 2]",
        "[2, 99999999999999999999]",
        "line 2: sizes is .*: expected at least two whole numbers",
    ),
    "layers": ("sizes = [2, 2, 2]", "sizes = [2, 2]", "line 4: weights has 2 layers: expected 1"),
    "a shape": (
        ", [0.50, 0.55, 0.60]]",
        "]",
        "line 4: weights of layer 2 has 1 rows of 3 numbers: expected 2 of 3, a row",
    ),
    "ragged": (
        "[0.25, 0.30, 0.35]",
        "[0.25]",
        "line 4: weights of layer 1 has 2 rows of 1 and 3 numbers: expected 2 of 3",
    ),
    "not finite": ("0.60", "nan", "line 4: weights of layer 2 holds nan: expected finite numbers"),
    "text for a number": ("0.60", '"0.60"', "line 4: weights of layer 2 holds '0.60': expected finite numbers"),
    "a huge number": ("0.60", "1" + 400 * "0", "line 4: weights of layer 2 holds 10.*: expected finite numbers"),
    "inputs": (
        "[0.05, 0.10]",
        "[0.05]",
        "line 8: inputs has 1 rows of 1 numbers: expected 1 of 2, a row for each sample",
    ),
    "samples": (
        "[0.01, 0.99]",
        "[[0.01, 0.99], [0.0, 1.0]]",
        "line 9: targets has 2 samples: expected 1, as inputs has",
    ),
    "rate": ("train_biases = false", "learning_rate = 'a'", "line 3: learning_rate is 'a': expected a finite number"),
    "biases": ("false", "0", "line 3: train_biases is 0: expected true or false"),
    "activation": ("train_biases = false", "activation = 'sine'", "line 3: activation 'sine' is unknown"),
    "no activation": ("train_biases = false", "activation = 5", "line 3: activation is 5: expected a name"),
    "no list": ("printed = [", "nothing = [", "line 11: 'nothing' is unknown|printed is missing"),
    "no numbers": ("printed = [", "printed = []\nnothing = [", "printed is no list of tables|'nothing' is unknown"),
    "a number": (
        '"0.298371109"',
        "0.298371109",
        r"line 13: printed\[1\]: value is 0.298371109: expected a string of digits",
    ),
    "no number": ('"0.298371109"', '"0.29x"', r"line 13: printed\[1\]: value is '0.29x': expected a string"),
    "no value": ('value = "0.298371109", ', "", r"line 13: printed\[1\]: value is missing"),
    "quantity": ('"cost"', '"costs"', r"line 13: printed\[1\]: quantity is 'costs': expected one of preactivation"),
    "no quantity": ('"cost"', '["cost"]', r"line 13: printed\[1\]: quantity is \['cost'\]: expected one of"),
    "layer": (
        "layer = 1, index = [0, 1]",
        "layer = 3, index = [0, 1]",
        r"line 14: printed\[2\]: layer is 3: .* 1 to 2",
    ),
    "no layer": ("layer = 1, index = [0, 1]", "index = [0, 1]", r"line 14: printed\[2\]: layer is missing"),
    "the cost's layer": ('"cost"', '"cost", layer = 1', r"line 13: printed\[1\]: the cost belongs to no layer"),
    "index": (
        "[0, 1] }",
        "[0, 3] }",
        r"line 14: printed\[2\]: index is \[0, 3\]: expected \[a node from 0 to 1, one below",
    ),
    "no index": (", index = 0", "", r"line 12: printed\[0\]: index is missing"),
    "step": ('"cost"', '"cost", step = 0', r"line 13: printed\[1\]: step is 0: expected a whole number from 1 to"),
    "a step too far": ('"cost"', '"cost", step = 1000000000', "step is 1000000000: expected a whole number from 1 to"),
    "output": ('"cost"', '"cost", output = 2', r"line 13: printed\[1\]: output is 2: expected .* from 0 to 1"),
    "sample": ("index = 0", "index = 0, sample = 1", r"line 12: printed\[0\]: sample is 1: expected .* from 0 to 0"),
    "a weight's sample": ("[0, 1] }", "[0, 1], sample = 0 }", "a weight after the step belongs to no sample"),
    "entry": ('"cost"', '"cost", layers = 1', r"line 13: printed\[1\]: 'layers' is unknown: expected value, quantity"),
    "a key of two lines": ("train_biases", '"a\\nb"', r"'a\\nb' is unknown"),
}


@pytest.mark.parametrize(("old", "new", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_one_line_naming_key_and_line(tmp_path, capsys, old, new, message):
    assert old in EXAMPLE
    path = example(tmp_path, EXAMPLE.replace(old, new))
    with pytest.raises(ExampleError, match=message):
        read_example(path)
    assert main(["check", str(path), "--out", str(tmp_path / "reports")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "reports").exists()


def test_a_file_that_is_no_text_is_one_line(tmp_path, capsys):
    path = tmp_path / "picture.toml"
    path.write_bytes(b"\xff\xd8\xff")
    assert main(["check", str(path)]) == 2
    assert "picture.toml is no text: expected TOML in UTF-8" in capsys.readouterr().err
