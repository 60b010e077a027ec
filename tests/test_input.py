"""What is given in another form than expected: it works, or one line says what it was and what it should be."""

import numpy as np
import pytest
import torch

from comparisons import assert_matches_autograd, check, compare, to_torch
from comparisons.studies.examples import ExampleError, read_example
from handnet import Network

NET = Network.random([2, 3, 1], rng=np.random.default_rng(0))
X, T = [[0.5, -0.5], [0.25, 1.0]], [[1.0], [0.0]]


def right(weights, inputs, targets):
    return Network(weights).backprop(inputs, targets).gradients


REFUSED = {
    "steps, a text": (lambda: compare(NET, X, T, steps="3"), "steps is '3': expected a whole number"),
    "steps, a fraction": (lambda: compare(NET, X, T, steps=2.5), "steps is 2.5: expected a whole number"),
    "steps, a truth": (lambda: compare(NET, X, T, steps=True), "steps is True: expected a whole number"),
    "steps, none": (lambda: compare(NET, X, T, steps=0), "steps is 0: expected 1 or more"),
    "train_biases": (lambda: compare(NET, X, T, train_biases="no"), "train_biases is 'no': expected True or False"),
    "train_biases, a number": (lambda: compare(NET, X, T, train_biases=0), "train_biases is 0: expected True or False"),
    "rtol": (lambda: compare(NET, X, T, rtol="1e-3"), "rtol is '1e-3': expected a finite number, 0 or more"),
    "atol": (lambda: compare(NET, X, T, atol=-1.0), "atol is -1.0: expected a finite number, 0 or more"),
    "device": (lambda: compare(NET, X, T, device=None), "device is None: expected 'cpu' or 'cuda'"),
    "torch's device": (lambda: compare(NET, X, T, device=torch.device("meta")), "device is 'meta': expected 'cpu' or"),
    "learning_rate": (
        lambda: compare(NET, X, T, learning_rate="fast"),
        "learning_rate is '?fast'?: expected a (finite )?number",
    ),
    "batch": (lambda: check(right, batch="3"), "batch is '3': expected a whole number"),
    "no network": (lambda: to_torch(None), "network is None: expected a handnet.Network"),
    "a module": (lambda: to_torch(torch.nn.Identity()), r"network is Identity\(\): expected a handnet.Network"),
    "compare none": (lambda: compare(None, X, T), "network is a NoneType: expected a handnet.Network"),
}


@pytest.mark.parametrize(("call", "said"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_one_line_that_says_what_was_expected(call, said):
    with pytest.raises((ValueError, TypeError), match=said) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("requires_grad", [True, False])
def test_tensors_are_compared_whether_they_require_a_gradient_or_not(requires_grad):
    x, t = (torch.tensor(values, dtype=torch.float64, requires_grad=requires_grad) for values in (X, T))
    comparison = compare(NET, x, t, steps=2)
    assert comparison.passed
    assert comparison.frame.equals(compare(NET, X, T, steps=2).frame)
    assert_matches_autograd(NET, list(x), list(t))


def test_an_answer_of_tensors_that_require_a_gradient_is_read():
    def function(weights, inputs, targets):
        return [torch.tensor(g, requires_grad=True) for g in right(weights, inputs, targets)]

    assert check(function, sizes=(2, 3, 1)).passed


def test_a_device_of_torchs_is_as_good_as_its_name():
    comparison = compare(NET, X, T, device=torch.device("cpu"))
    assert comparison.passed
    assert comparison.replay == compare(NET, X, T, device="cpu").replay


def test_whole_numbers_of_numpy_and_its_truths_are_taken():
    assert compare(NET, X, T, steps=np.int64(2), train_biases=np.bool_(False)).passed
    assert check(right, sizes=(2, 3, 1), batch=np.int32(2)).passed


EXAMPLE = """sizes = [1, 1]
weights = [[[0.5, 0.25]]]
inputs = [1.0]
targets = [0.0]
printed = [{ value = "0.6792", quantity = "activation", layer = 1, index = 0 }]
"""


def read(tmp_path, text, encoding="utf-8"):
    (tmp_path / "mine.toml").write_text(text, encoding=encoding)
    return read_example(tmp_path / "mine.toml")


def test_a_byte_order_mark_is_no_part_of_an_example(tmp_path):
    assert read(tmp_path, EXAMPLE, "utf-8-sig").printed == read(tmp_path, EXAMPLE).printed
    with pytest.raises(ExampleError, match=r"mine.toml, line 1: sizes is \[1\]: expected at least two"):
        read(tmp_path, EXAMPLE.replace("[1, 1]", "[1]"), "utf-8-sig")


@pytest.mark.parametrize("value", ["0_3", "0_3.5", " 0.3", "0.3\\n", "\u0663", "1e", "nan", "Infinity", "--1", "", "."])
def test_a_value_is_digits_alone(tmp_path, value):
    with pytest.raises(ExampleError, match=r'expected a string of digits, like "0\.3775"'):
        read(tmp_path, EXAMPLE.replace("0.6792", value))


@pytest.mark.parametrize("value", ["0.6792", "+0.6792", ".6792", "6.792e-1", "6792E-4", "1.", "-0.5"])
def test_a_value_may_be_written_as_numbers_are(tmp_path, value):
    assert read(tmp_path, EXAMPLE.replace("0.6792", value)).printed[0].value == value


@pytest.mark.parametrize("digits", [400, 4_000, 5_000])
@pytest.mark.parametrize("key", ["inputs = [1.0]", "sizes = [1, 1]", "layer = 1", 'value = "0.6792"'])
def test_a_number_of_very_many_digits_is_one_short_line(tmp_path, digits, key):
    with pytest.raises(ExampleError, match=r"^mine.toml(: it holds a number of thousands of digits|, line \d)") as said:
        read(
            tmp_path, EXAMPLE.replace(key, key.replace("1.0", "1").replace("0.6792", "1").replace("1", "9" * digits, 1))
        )
    assert len(str(said.value)) < 200
    assert "\n" not in str(said.value)
