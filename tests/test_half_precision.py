"""float16 and bfloat16: bounds by the same rules, for sums that are added in float32 and rounded once."""

import numpy as np
import pytest
import torch
from torch import nn

from comparisons import assert_matches, backward_of, bounds, check_function


@pytest.fixture(params=["float16", "bfloat16"])
def half(request):
    """The dtype of a half in NumPy, which itself has no bfloat16."""
    return np.float16 if request.param == "float16" else pytest.importorskip("ml_dtypes").bfloat16


def linear(parameters, x, upstream):
    """A layer in halves, with its sums in float32."""
    w, b, x, upstream = (a.astype(np.float32) for a in (parameters["weight"], parameters["bias"], x, upstream))
    results = x @ w.T + b, upstream @ w, upstream.T @ x, upstream.sum(axis=0)
    y, dx, dw, db = (result.astype(parameters["weight"].dtype) for result in results)
    return y, dx, {"weight": dw, "bias": db}


def arguments(rng, half):
    def draw(*shape):
        return rng.standard_normal(shape).astype(half)

    return {"weight": draw(4, 300), "bias": draw(4)}, draw(70, 300), draw(70, 4)


def test_a_layer_that_adds_in_float32_matches(rng, half):
    assert_matches(linear, backward_of(nn.Linear(300, 4)), *arguments(rng, half), strict=True)


@pytest.mark.parametrize(("units", "passes"), [(1, True), (-1, True), (3, False), (-3, False)])
def test_a_last_digit_may_differ_and_three_may_not(rng, half, units, passes):
    x, w = (np.abs(rng.standard_normal(shape)).astype(half) for shape in ((70, 300), (300, 4)))  # nothing cancels
    value = bounds(torch.matmul, x, w).value
    moved = (value.astype(np.float64) + units * np.spacing(np.abs(value)).astype(np.float64)).astype(half)
    comparison = check_function(lambda *_: moved, torch.matmul, x, w)
    assert comparison.passed == passes
    assert comparison.count("wrong") == (0 if passes else value.size)


def test_a_sum_that_is_added_in_halves_is_wrong_and_the_message_says_how_it_should_be(rng, half):
    x = np.abs(rng.standard_normal(2000)).astype(half)
    comparison = check_function(lambda x: np.add.accumulate(x)[-1], torch.sum, x)
    assert comparison.count("wrong") == 1
    assert f"added in float32, as torch does, and rounded once to {np.dtype(half).name}" in comparison.message()
    assert_matches(lambda x: x.astype(np.float32).sum().astype(half), torch.sum, x)
