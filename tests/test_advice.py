"""What to do where nothing can be judged: the advice is given where it helps, and helps where it is given."""

import numpy as np
import pytest

from comparisons import compare
from comparisons.checks import hand_quantities
from comparisons.reference.quantities import Problem
from comparisons.reference.truth import Truth
from comparisons.verdict.comparison import Comparison
from comparisons.verdict.judging import measure
from handnet import Network

GRADIENTS, EVERYTHING = ("gradient",), ("activation", "cost", "delta", "gradient", "weight")


def compared(dtype, quantities, off=0.0):
    """A linear layer whose targets are its outputs, rounded to float32: what is left of the error is rounding."""
    rng = np.random.default_rng(3)
    weights, inputs = rng.standard_normal((4, 2)).astype(np.float32), rng.uniform(-1, 1, (5, 3)).astype(np.float32)
    exact = inputs.astype(np.float64) @ weights[:-1].astype(np.float64) + weights[-1].astype(np.float64)
    targets = (exact + off).astype(np.float32)
    problem = Problem((weights.astype(dtype),), ("identity",), inputs.astype(dtype), targets.astype(dtype))
    truth = Truth(problem)
    given, _ = hand_quantities(Network(problem.weights, problem.activation), problem)
    measured = measure(truth, {key: value for key, value in given.items() if key[0] in quantities})
    return Comparison(tuple(measured), problem.sizes, problem.activation, np.dtype(dtype).name)


def test_float32_that_is_too_coarse_is_told_to_try_float64_and_to_return_more():
    comparison = compared(np.float32, (*GRADIENTS, "weight"))
    assert not comparison.passed
    assert comparison.message() == (
        "could not be judged: 8 of 16 numbers (layer 1);"
        " float32 is too coarse here, try float64, or return activations and deltas"
    )


def test_float32_with_nothing_but_gradients_has_decided_nothing():
    assert "nothing was decided" in compared(np.float32, GRADIENTS).message()


def test_the_advice_to_try_float64_helps():
    assert compared(np.float64, (*GRADIENTS, "weight")).passed


def test_the_advice_to_return_activations_and_deltas_helps():
    assert not compared(np.float32, ("activation", "gradient")).passed
    assert compared(np.float32, ("activation", "delta", "gradient")).passed


@pytest.mark.parametrize(("dtype", "help_"), [(np.float32, "float64"), (np.float64, "smaller weights")])
def test_a_network_returns_everything_and_is_not_told_to(dtype, help_):
    saturated = Network([np.full((4, 2), 200, dtype)])
    message = compare(saturated, np.ones((4, 3), dtype), np.zeros((4, 2), dtype)).message()
    assert f"{np.dtype(dtype).name} is too coarse here, try {help_}\n" in message
    assert "return activations" not in message


@pytest.mark.parametrize("quantities", [GRADIENTS, EVERYTHING])
def test_where_float32_can_tell_there_is_no_advice(quantities):
    comparison = compared(np.float32, quantities, off=0.5)
    assert comparison.passed
    assert "try" not in comparison.message()
