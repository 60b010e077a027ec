"""Any function beside torch: what is right passes, what is hardly wrong does not, and the message says where."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from comparisons import MismatchError, assert_matches, backward_of, bounds, check_function
from comparisons.functions import COLUMNS, ELEMENT_COLUMNS, Leaf

linear = backward_of(nn.Linear(3, 4))


def by_hand(parameters, x, upstream):
    w, b = parameters["weight"], parameters["bias"]
    return x @ w.T + b, upstream @ w, {"weight": upstream.T @ x, "bias": upstream.sum(0)}


@pytest.fixture
def arguments(rng):
    parameters = {"weight": rng.standard_normal((4, 3)), "bias": rng.standard_normal(4)}
    return parameters, rng.standard_normal((5, 3)), rng.standard_normal((5, 4))


def off_by(amount, index=(2, 1)):
    """The layer with one number of dC/dW wrong."""

    def function(parameters, x, upstream):
        y, dx, gradients = by_hand(parameters, x, upstream)
        gradients["weight"][index] *= 1 + amount
        return y, dx, gradients

    return function


def test_a_right_layer_matches_and_one_wrong_in_the_twelfth_digit_does_not(arguments):
    assert_matches(by_hand, linear, *arguments)
    with pytest.raises(MismatchError, match=r'gradients\["weight"\]\[2, 1\]'):
        assert_matches(off_by(1e-12), linear, *arguments)


def test_the_message_names_the_number_both_values_the_error_and_both_tolerances(arguments):
    comparison = check_function(off_by(1e-3), linear, *arguments)
    leaf = comparison.leaves[2]
    assert comparison.message().splitlines() == [
        'gradients["weight"] is wrong in 1 of 12 numbers',
        '  furthest off: gradients["weight"][2, 1]',
        f"  function:     {float(leaf.hand[2, 1])!r}",
        f"  torch:        {float(leaf.torch[2, 1])!r}",
        f"  error:        {abs(leaf.hand[2, 1] - leaf.torch[2, 1]):.3g}",
        f"  tolerance:    {leaf.tolerance[2, 1]:.2g} guaranteed, {leaf.expected[2, 1]:.2g} expected",
    ]


def test_the_first_wrong_in_the_order_of_the_reference_is_named_first(arguments):
    def function(parameters, x, upstream):
        y, dx, gradients = by_hand(parameters, x, upstream)
        return {
            "gradients": {"bias": 2 * gradients["bias"], "weight": gradients["weight"]},
            "outputs": y,
            "input_gradient": -dx,
        }

    lines = check_function(function, linear, *arguments).message().splitlines()
    assert lines[0].startswith("input_gradient is wrong")
    assert lines[-1] == 'then wrong: gradients["bias"]'


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda y, dx, g: (y.T, dx, g), "outputs has shape (4, 5): expected (5, 4)"),
        (lambda y, dx, g: (y, dx, {"weight": g["weight"]}), 'gradients["bias"] is missing'),
        (lambda y, dx, g: (y, dx), "gradients is missing"),
        (lambda y, dx, g: (y, dx, {**g, "b": 1.0}), 'gradients["b"] is not among what torch returned'),
        (lambda y, dx, g: ("y", dx, g), "outputs is a str: expected an array of numbers"),
        (lambda y, dx, g: y, "outputs is missing"),
        (lambda y, dx, g: (y, dx, [g["weight"].T, g["bias"]]), 'gradients["weight"] has shape (3, 4): expected (4, 3)'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(arguments, change, finding):
    comparison = check_function(lambda *a: change(*by_hand(*a)), linear, *arguments)
    assert not comparison.passed
    assert any(finding in line for line in comparison.message().splitlines())


def test_another_dtype_is_said(arguments):
    def wide(parameters, x, upstream):
        return by_hand({name: p.astype(np.float64) for name, p in parameters.items()}, x, upstream)

    parameters, x, upstream = arguments
    narrow = {name: p.astype(np.float32) for name, p in parameters.items()}, x.astype("f4"), upstream.astype("f4")
    comparison = check_function(wide, linear, *narrow)
    assert comparison.passed
    assert "outputs has dtype float64, torch has float32" in comparison.message()

    def rounded(*a):
        y, dx, gradients = by_hand(*a)
        return y.astype(np.float32), dx, gradients

    comparison = check_function(rounded, linear, *arguments)
    assert not comparison.passed
    assert "outputs has dtype float32, torch has float64" in comparison.message()


def test_nan_never_matches():
    x = np.array([1.0, -1.0])
    assert not check_function(np.sqrt, torch.sqrt, x).passed
    assert "torch itself gives no number" in check_function(np.sqrt, torch.sqrt, x).message()
    assert not check_function(lambda x: np.array([1.0, np.nan]), lambda x: x * x, x).passed
    overflow = np.array([1e200, 1.0])
    assert not check_function(lambda x: np.array([np.nan, 1.0]), lambda x: x * x, overflow).passed
    assert check_function(lambda x: x * x, lambda x: x * x, overflow).passed
    assert check_function(np.log, torch.log, np.array([0.0, 2.0])).passed


def test_inputs_are_never_changed(arguments):
    def greedy(parameters, x, upstream):
        results = by_hand(parameters, x, upstream)
        for array in (x, upstream, *parameters.values()):
            array[:] = 0
        return results

    def greedy_torch(parameters, x, upstream):
        with torch.no_grad():
            return (x.mul_(2), parameters["weight"].zero_())

    parameters, x, upstream = arguments
    before = {name: p.copy() for name, p in parameters.items()}, x.copy(), upstream.copy()
    assert check_function(greedy, linear, *arguments).passed
    bounds(greedy_torch, *arguments)
    assert np.array_equal(before[1], x)
    assert np.array_equal(before[2], upstream)
    for name, p in parameters.items():
        assert np.array_equal(before[0][name], p)
    tensor = torch.ones(3)
    bounds(lambda t: t.mul_(2), tensor)
    assert tensor.tolist() == [1, 1, 1]


def test_what_the_guaranteed_tolerance_passes_and_the_expected_does_not_is_suspect(rng):
    x, w = rng.standard_normal((4, 2000)).astype("f4"), rng.standard_normal((2000, 3)).astype("f4")
    _, guaranteed, expected = bounds(torch.matmul, x, w)
    assert (expected < guaranteed / 5).all()

    def shifted(x, w):
        y = x.astype(float) @ w
        y[1, 2] += 3 * expected[1, 2]
        return y

    comparison = check_function(shifted, torch.matmul, x, w)
    assert comparison.passed
    assert comparison.count("suspect") == 1
    assert comparison.message().startswith("result is suspect in 1 of 12 numbers\n  furthest off: result[1, 2]")
    assert not check_function(shifted, torch.matmul, x, w, strict=True).passed
    with pytest.raises(MismatchError, match="suspect"):
        assert_matches(shifted, torch.matmul, x, w, strict=True)
    assert_matches(np.matmul, torch.matmul, x, w, strict=True)


def test_what_no_tolerance_can_tell_from_zero_is_undecided():
    x = np.array([0.1, 0.2, 0.3])
    nothing = check_function(lambda x: x * 0, lambda x: (x + 1e9) - 1e9 - x, x)
    assert not nothing.passed
    assert nothing.count("undecided") == 3
    assert "nothing could be judged" in nothing.message()
    partly = check_function(lambda x: (x, x * 0), lambda x: (x * 1, (x + 1e9) - 1e9 - x), x)
    assert partly.passed
    assert partly.message().endswith("undecided, since rounding alone could be as large: result[1]")


def test_bounds_keeps_the_nesting():
    def reference(x, scale):
        return {"sum": x.sum(), "parts": [x * scale, (x.exp(), 2.0)], "nothing": None}

    result = bounds(reference, np.array([1.0, 2.0]), 3)
    assert list(result) == ["sum", "parts", "nothing"]
    assert result["sum"].value == 3
    assert isinstance(result["parts"], list)
    assert result["parts"][1][1].guaranteed == 0
    assert result["parts"][1][0].value.shape == result["parts"][1][0].expected.shape == (2,)
    assert result["nothing"] is None
    with pytest.raises(TypeError, match="returned a str: expected torch tensors"):
        bounds(lambda: "x")


def test_a_loss_gives_the_gradients_of_the_cost(rng):
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid())
    parameters = {"0.weight": rng.standard_normal((4, 3)), "0.bias": rng.standard_normal(4)}
    x, t = rng.standard_normal((5, 3)), rng.uniform(size=(5, 4))

    def function(parameters, x, t):
        w, b = parameters["0.weight"], parameters["0.bias"]
        a = 1 / (1 + np.exp(-(x @ w.T + b)))
        delta = 2 * (a - t) / a.size * a * (1 - a)
        return a, delta @ w, {"0.weight": delta.T @ x, "0.bias": delta.sum(0)}

    reference = backward_of(model, nn.MSELoss())
    assert_matches(function, reference, parameters, x, t)
    assert not check_function(function, backward_of(model, nn.MSELoss(reduction="sum")), parameters, x, t).passed
    with pytest.raises(ValueError, match=r"parameters has \['0\.weight'\]: expected \['0\.weight', '0\.bias'\]"):
        bounds(reference, {"0.weight": parameters["0.weight"]}, x, t)


def test_a_module_is_not_changed_and_whole_numbers_have_no_gradient(rng):
    norm = nn.BatchNorm1d(3)
    before = norm.running_mean.clone()
    parameters = {"weight": np.ones(3), "bias": np.zeros(3)}
    bounds(backward_of(norm), parameters, rng.standard_normal((5, 3)), rng.standard_normal((5, 3)))
    assert torch.equal(norm.running_mean, before)
    assert norm.running_mean.dtype == torch.float32
    table = {"weight": rng.standard_normal((6, 2))}
    found = bounds(backward_of(nn.Embedding(6, 2)), table, np.array([1, 1, 5]), rng.standard_normal((3, 2)))
    assert found.input_gradient is None
    assert found.gradients["weight"].guaranteed[1].min() > 0
    assert found.gradients["weight"].guaranteed[2].max() == 0


def test_an_optimiser_of_torch_is_a_reference(rng):
    def momentum(w, g):
        v = np.zeros_like(w)
        for _ in range(20):
            v = 0.9 * v + g
            w = w - 0.1 * v
        return w

    def reference(w, g):
        w.grad = g
        optimiser = torch.optim.SGD([w], lr=0.1, momentum=0.9)
        for _ in range(20):
            optimiser.step()
        return w

    for dtype in ("f8", "f4"):
        w, g = rng.standard_normal((2, 3, 4)).astype(dtype)
        assert_matches(momentum, reference, w, g)
        assert not check_function(lambda w, g: momentum(w, 1.00001 * g), reference, w, g).passed


def test_half_precision_beside_numpy(rng):
    x, w = rng.standard_normal((4, 50)).astype(np.float16), rng.standard_normal((50, 3)).astype(np.float16)
    assert_matches(np.matmul, torch.matmul, x, w)
    assert not check_function(lambda x, w: (1.01 * (x @ w)).astype(np.float16), torch.matmul, x, w).passed
    bfloat = torch.tensor(x).bfloat16()
    value, guaranteed, _ = bounds(lambda x: x * x, bfloat)
    assert (guaranteed >= 2**-9 * value.astype(float)).all()


def test_bfloat16_of_ml_dtypes_goes_in_and_out(rng):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = rng.standard_normal(20).astype(ml_dtypes.bfloat16)
    comparison = check_function(lambda x: x * x, lambda x: x * x, x)
    assert comparison.passed
    assert not comparison.remarks
    assert not check_function(lambda x: x * x * x.dtype.type(1.02), lambda x: x * x, x).passed


def test_the_caller_may_be_in_inference_mode_and_without_gradients(arguments):
    with torch.inference_mode():
        assert_matches(by_hand, linear, *arguments)
    with torch.no_grad():
        assert_matches(by_hand, linear, *arguments)


def test_the_tables_have_a_row_for_each_array_and_each_number(arguments, tmp_path):
    comparison = check_function(off_by(1e-3), linear, *arguments)
    assert list(comparison.frame["quantity"]) == [
        "outputs",
        "input_gradient",
        'gradients["weight"]',
        'gradients["bias"]',
    ]
    assert list(comparison.frame["verdict"]) == ["ok", "ok", "wrong", "ok"]
    worst = comparison.frame.loc[2]
    assert worst["worst_element"] == 'gradients["weight"][2, 1]'
    assert worst["max_rel_error"] == pytest.approx(1e-3, rel=1e-6)
    assert worst["error_over_tolerance"] == pytest.approx(worst["max_abs_error"] / worst["tolerance"])
    assert 0 < worst["resolution"] < 1e-14
    comparison.to_csv(tmp_path)
    frame, elements = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("comparison", "elements"))
    assert tuple(frame.columns) == COLUMNS
    assert tuple(elements.columns) == ELEMENT_COLUMNS
    assert len(elements) == 20 + 15 + 12 + 4
    assert elements.loc[elements["verdict"] == "wrong", "name"].tolist() == ['gradients["weight"][2, 1]']


def test_a_verdict_is_the_gravest_of_its_numbers():
    def leaf(hand):
        return Leaf("x", "float64", np.array(hand), np.array([1.0, 2.0]), np.full(2, 0.5), np.full(2, 0.1))

    assert leaf([1.05, 2.0]).verdict == "ok"
    assert leaf([1.2, 2.0]).verdict == "suspect"
    assert leaf([1.2, 2.51]).verdict == "wrong"
    assert leaf([1.2, 2.51]).worst == (1,)
    assert leaf([math.nan, 2.51]).worst == (0,)
