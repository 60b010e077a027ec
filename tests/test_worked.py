"""Worked examples: what a page prints, found right, wrong and explained, and malformed files named."""

import pandas as pd
import pytest

from comparisons.cli import main
from comparisons.worked import WORKED_COLUMNS, ExampleError, check_example, read_example

EXAMPLE = """
sizes = [2, 2, 2]
train_biases = false
weights = [
  [[0.15, 0.25], [0.20, 0.30], [0.35, 0.35]],
  [[0.40, 0.50], [0.45, 0.55], [0.60, 0.60]],
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


def test_the_step_by_step_page_is_right_at_first_and_then_a_program_with_updated_weights(tmp_path, capsys):
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


def test_a_batch_names_its_sample_and_an_output_its_share(tmp_path):
    text = """
sizes = [1, 2]
activation = ["identity"]
weights = [[[2.0, 4.0], [0.0, 1.0]]]
inputs = [[1.0], [2.0]]
targets = [[1.0, 5.0], [1.0, 9.0]]
printed = [
  { value = "9.0", quantity = "activation", layer = 1, index = 1, sample = 1 },
  { value = "2.5", quantity = "cost" },
  { value = "2.5", quantity = "cost", output = 0 },
  { value = "0", quantity = "cost", output = 1 },
  { value = "3.5", quantity = "gradient", layer = 1, index = [0, 0] },
]
"""
    frame = check_example(read_example(example(tmp_path, text)))
    assert set(frame["verdict"]) <= {"ok", "undecided"}
    assert frame["index"].tolist() == ["1 [sample 1]", "", "of output 0", "of output 1", "0,0"]


MALFORMED = {
    "no TOML": ("sizes = [2, 2, 2]", "sizes = [2, 2", r"example.toml: .*line"),
    "a missing key": ("inputs = [0.05, 0.10]", "", "example.toml: inputs is missing"),
    "an unknown key": ("train_biases", "train_bias", "line 3: train_bias is unknown: expected sizes, weights"),
    "sizes": ("[2, 2, 2]", "[2, 2.5]", r"line 2: sizes is \[2, 2.5\]: expected at least two whole numbers"),
    "layers": ("sizes = [2, 2, 2]", "sizes = [2, 2]", "line 4: weights has 2 layers: expected 1"),
    "a shape": (", [0.60, 0.60]]", "]", r"line 4: weights\[1\] has shape \(2, 2\): expected \(3, 2\), the biases last"),
    "ragged": ("[0.20, 0.30]", "[0.20]", "line 4: weights is ragged"),
    "not finite": ("0.60, 0.60", "nan, 0.60", "line 4: weights has shape .*: expected rows of finite numbers"),
    "inputs": (
        "[0.05, 0.10]",
        "[0.05]",
        r"line 8: inputs has shape \(1, 1\): expected \(1, 2\), a row for each sample",
    ),
    "samples": ("[0.01, 0.99]", "[[0.01, 0.99], [0.0, 1.0]]", r"line 9: targets has shape \(2, 2\): expected \(1, 2\)"),
    "rate": ("train_biases = false", "learning_rate = 'a'", "line 3: learning_rate is 'a': expected a finite number"),
    "biases": ("false", "0", "line 3: train_biases is 0: expected true or false"),
    "activation": ("train_biases = false", "activation = 'softmax'", "line 3: activation 'softmax' is unknown"),
    "no list": ("printed = [", "printed = 3\nnothing = [", "printed is no list of tables|nothing is unknown"),
    "a number": (
        '"0.298371109"',
        "0.298371109",
        r"line 13: printed\[1\]: value is 0.298371109: expected a string of digits",
    ),
    "no number": ('"0.298371109"', '"0.29x"', r"line 13: printed\[1\]: value is '0.29x': expected a string"),
    "quantity": ('"cost"', '"costs"', r"line 13: printed\[1\]: quantity is 'costs': expected one of preactivation"),
    "layer": (
        "layer = 1, index = [0, 1]",
        "layer = 3, index = [0, 1]",
        r"line 14: printed\[2\]: layer is 3: expected .* 1 to 2",
    ),
    "index": (
        "[0, 1] }",
        "[0, 3] }",
        r"line 14: printed\[2\]: index is \[0, 3\]: expected 0 to 1 and 0 to 2, as in w_01",
    ),
    "no index": (", index = 0", "", r"line 12: printed\[0\]: index is \[\]: expected 0 to 1, as in a_0"),
    "step": ('"cost"', '"cost", step = 0', r"line 13: printed\[1\]: step is 0: expected a whole number, 1 or more"),
    "output": ('"cost"', '"cost", output = 2', r"line 13: printed\[1\]: output is 2: expected .* from 0 to 1"),
    "sample": ("index = 0", "index = 0, sample = 1", r"line 12: printed\[0\]: sample is 1: expected .* from 0 to 0"),
    "entry": ('"cost"', '"cost", layers = 1', r"line 13: printed\[1\]: layers is unknown: expected value, quantity"),
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
