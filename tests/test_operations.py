"""Each rule beside 50 digits: no right evaluation lies beyond its bound, and an error that is hardly greater does."""

import math

import mpmath
import numpy as np
import pytest
import torch

from comparisons.reference.ball import Ball, Errors, rounding_of
from comparisons.reference.bounds import RunningErrors
from comparisons.reference.operations import RULES, UnknownOperationError, rule

DTYPES = [torch.float64, torch.float32]
names = [str(dtype).removeprefix("torch.") for dtype in DTYPES]
both = pytest.mark.parametrize("dtype", DTYPES, ids=names)
exactly = np.vectorize(lambda v: mpmath.mpf(float(v)), otypes=[object])


def mp(tensor):
    """The numbers of a tensor with 50 digits."""
    return exactly(tensor.detach().double().numpy())


def ball_of(function, *arguments):
    """What the function computes, with its errors."""
    with RunningErrors() as errors:
        result = function(*arguments)
    ball = errors.ball(result.detach())
    return Ball(ball.tensor, ball.full(ball.error), ball.full(ball.variance))


def off(value, exact):
    """How far a computed value lies from the exact one."""
    return np.vectorize(lambda a, b: float(abs(a - b)), otypes=[float])(mp(value), exact)


def bounded(ball, exact):
    return bool((off(ball.tensor, exact) <= ball.error.numpy()).all())


def unit(dtype):
    return torch.finfo(dtype).eps / 2


def uncertain(x, shift=1000.0):
    """x with an error of some 1000 u: what is left of a sum that cancels."""
    return (x + shift) - shift


# Where 1 - 1 / (1 + e^z) and (e^z - e^-z) / (e^z + e^-z) cancel, they lose so many u of what is left.
OF_SIGMOID, OF_TANH = (4.708e17, 48.8, 9, 9, 9, 9), (9, 9, 8003, 16.6, 9)
# name, torch, 50 digits, arguments; how many u the bound leaves for the function itself
# log(1 + e^x): the sum rounds by u of 1, the exponential by 8 u of sigma(x), the logarithm and the whole by 9 u.
AT = [-30.0, 0.1, 5.0, 19.0]
OF_SOFTPLUS = [9 + (1 + 8 / (1 + np.exp(-x))) / np.log1p(np.exp(x)) for x in AT]
FUNCTIONS = [
    ("exp", torch.exp, mpmath.exp, [-30.0, -0.1, 1e-3, 0.7, 60.0], 9),
    ("expm1", torch.expm1, mpmath.expm1, [-30.0, -1e-6, 1e-3, 0.7, 60.0], 9),
    ("log", torch.log, mpmath.log, [1e-3, 0.999, 1.001, 2.0, 1e4], 9),
    ("log1p", torch.log1p, mpmath.log1p, [-0.999, -1e-6, 1e-4, 2.0, 1e4], 9),
    ("log2", torch.log2, lambda x: mpmath.log(x, 2), [1e-3, 0.999, 3.0], 9),
    ("log10", torch.log10, mpmath.log10, [1e-3, 0.999, 3.0], 9),
    ("exp2", torch.exp2, lambda x: mpmath.mpf(2) ** x, [-30.0, 0.3, 20.0], 9),
    ("sqrt", torch.sqrt, mpmath.sqrt, [1e-4, 0.3, 2.0, 1e6], 2),
    ("rsqrt", torch.rsqrt, lambda x: 1 / mpmath.sqrt(x), [1e-2, 0.3, 2.0, 1e6], 4),
    ("reciprocal", torch.reciprocal, lambda x: 1 / x, [-3.0, 0.01, 0.3, 1e6], 2),
    ("sin", torch.sin, mpmath.sin, [-3.0, 1e-3, 0.3, 100.0], 9),
    ("cos", torch.cos, mpmath.cos, [-3.0, 1e-3, 0.3, 100.0], 9),
    ("atan", torch.atan, mpmath.atan, [-3.0, 1e-3, 0.3, 100.0], 9),
    ("sigmoid", torch.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), [-40.0, -3.0, 0.0, 1e-3, 5.0, 30.0], OF_SIGMOID),
    ("tanh", torch.tanh, mpmath.tanh, [-20.0, -1.0, 1e-3, 0.5, 9.0], OF_TANH),
    ("erf", torch.erf, mpmath.erf, [-4.0, -0.5, 1e-3, 0.9, 3.0], 9),
    ("erfc", torch.erfc, mpmath.erfc, [-4.0, -0.5, 1e-3, 0.9, 3.0], 9),
    ("square", lambda x: x**2, lambda x: x**2, [-3.0, 1e-3, 7.7], 1),
    ("cube", lambda x: x**3, lambda x: x**3, [-3.0, 1e-3, 7.7], 9),
    ("power", lambda x: x**1.5, lambda x: x ** mpmath.mpf(1.5), [1e-2, 0.3, 7.7], 9),
    ("root", lambda x: x**0.25, lambda x: x ** mpmath.mpf(0.25), [1e-2, 0.3, 7.7], 9),
    ("inverse square", lambda x: x**-2, lambda x: x**-2, [-3.0, 1e-1, 7.7], 9),
    ("of a base", lambda x: 3**x, lambda x: mpmath.mpf(3) ** x, [-3.0, 1e-1, 7.7], 9),
    ("softplus", torch.nn.functional.softplus, lambda x: mpmath.log1p(mpmath.exp(x)), AT, OF_SOFTPLUS),
    ("relu", torch.relu, lambda x: max(x, mpmath.mpf(0)), [-2.0, 0.5, 3.0], 0),
    ("abs", torch.abs, abs, [-2.0, 0.5, 3.0], 0),
    ("clamp", lambda x: x.clamp(-1, 1), lambda x: min(max(x, mpmath.mpf(-1)), mpmath.mpf(1)), [-2.0, 0.5, 3.0], 0),
]


@both
@pytest.mark.parametrize(
    ("function", "exact", "at", "roundings"), [f[1:] for f in FUNCTIONS], ids=[f[0] for f in FUNCTIONS]
)
def test_a_function_lies_within_its_bound_and_an_error_just_beyond_does_not(dtype, function, exact, at, roundings):
    x = torch.tensor(at, dtype=dtype)
    with mpmath.workdps(50):
        ball = ball_of(function, x)
        assert bounded(ball, np.vectorize(exact, otypes=[object])(mp(x)))
        # Both may be that far off, in opposite directions; one rounding more is not allowed.
        allowed = 2.1 * torch.as_tensor(roundings) * unit(dtype) * ball.size
        underflow = 40 * torch.finfo(dtype).tiny
        assert (ball.guaranteed_tolerance <= allowed + underflow).all()
        assert (ball.guaranteed_tolerance >= 1.9 / 2.1 * allowed).all()
        assert (ball.expected_tolerance <= ball.guaranteed_tolerance).all()


@both
@pytest.mark.parametrize(("function", "exact", "at"), [f[1:4] for f in FUNCTIONS], ids=[f[0] for f in FUNCTIONS])
def test_a_function_carries_the_error_of_its_argument_on_and_no_more(dtype, function, exact, at):
    x = torch.tensor(at, dtype=dtype)
    x = x[(x.abs() > 0.1) & (x.abs() < 10)]
    inner, outer = ball_of(uncertain, x), ball_of(lambda x: function(uncertain(x)), x)
    with mpmath.workdps(50):
        value = np.vectorize(exact, otypes=[object])
        assert bounded(outer, value(mp(x)))
        # What comes of an argument that is wrong by three times its own error.
        planted = (inner.value + 3 * inner.error, inner.value - 3 * inner.error)
        moved = np.maximum(*(off(outer.tensor, value(mp(one))) for one in planted))
        slack = 40 * unit(dtype) * outer.size.numpy()
        assert ((moved + slack > outer.guaranteed_tolerance.numpy()) | (outer.error.numpy() == 0)).all()


SMOOTH = [f[:2] + f[3:4] for f in FUNCTIONS] + [
    ("gelu", torch.nn.functional.gelu, [-4.0, -0.75, 0.0, 0.5, 3.0]),
    ("gelu, tanh", lambda x: torch.nn.functional.gelu(x, approximate="tanh"), [-4.0, -0.75, 0.0, 0.5, 3.0]),
    ("tan", torch.tan, [-0.9, 0.0, 0.8]),
    ("sinh", torch.sinh, [-3.0, 0.0, 2.0]),
    ("asinh", torch.asinh, [-3.0, 0.0, 2.0]),
]


@pytest.mark.parametrize("radius", [9e-4, 0.05, 0.3])
@pytest.mark.parametrize(("function", "at"), [f[1:] for f in SMOOTH], ids=[f[0] for f in SMOOTH])
def test_no_argument_within_the_ball_gives_a_value_beyond_the_bound(function, at, radius):
    x = torch.tensor(at, dtype=torch.float64)
    x = x[x.abs() < 12]
    with RunningErrors() as errors:
        errors._record(x, Errors(x.new_tensor(radius), x.new_tensor((radius / 6) ** 2)))
        y = function(x)
    ball = errors.ball(y)
    within = x + radius * torch.linspace(-1, 1, 201, dtype=torch.float64)[:, None]
    furthest = (function(within) - y).abs().nan_to_num(nan=0.0).amax(0)
    assert (furthest <= ball.error * (1 + 1e-9)).all()
    assert (furthest <= 6 * ball.variance.sqrt() * (1 + 1e-9)).all()
    # Not far beyond: where there is a bound, within 6 times the furthest.
    assert ((ball.error <= 6 * furthest + 1e-12) | ball.error.isinf()).all()


@both
def test_gelu_has_room_for_a_coarse_erf_and_no_more(dtype):
    x = torch.tensor([-3.0, -0.5, 0.01, 2.0], dtype=dtype)
    ball, u = ball_of(lambda: torch.nn.functional.gelu(x)), unit(dtype)
    assert (ball.error >= 7.9 * u * x.abs()).all()
    assert (ball.error <= 8.1 * u * x.abs() + 3.1 * u * ball.size).all()


@both
def test_products_in_any_grouping_lie_within_the_bound(dtype, rng):
    a, b, c = (torch.tensor(rng.standard_normal(500), dtype=dtype) for _ in range(3))
    ball = ball_of(lambda: a * b * c)
    with mpmath.workdps(50):
        for right in ((a * b) * c, a * (b * c), (a * c) * b):
            assert (off(right, mp(a) * mp(b) * mp(c)) <= ball.error.numpy()).all()
        assert (off(ball.value * (1 + 6 * unit(dtype)), mp(ball.tensor)) > ball.guaranteed_tolerance.numpy()).all()


@both
def test_a_product_may_be_multiplied_out(dtype, rng):
    a, b = (torch.tensor(rng.uniform(0.4, 0.6, 500), dtype=dtype) for _ in range(2))
    ball = ball_of(lambda: a * (1 - b))
    assert (off(a - a * b, mp(ball.tensor)) <= ball.guaranteed_tolerance.numpy()).all()


@both
def test_terms_may_be_added_in_any_order(dtype, rng):
    x = torch.tensor(rng.standard_normal((4, 60)) * 10.0 ** rng.integers(-3, 4, (4, 60)), dtype=dtype)
    terms = x[:, :3]
    with mpmath.workdps(50):
        exact = np.sum(mp(x), axis=1)
        ball = ball_of(lambda: x.sum(1))
        for order in (np.arange(60), np.argsort(-x.abs().numpy(), axis=1), np.argsort(x.abs().numpy(), axis=1)):
            added = torch.zeros(4, dtype=dtype)
            for column in np.broadcast_to(order, (4, 60)).T:
                added = added + x[torch.arange(4), torch.from_numpy(column.copy())]
            assert (off(added, exact) <= ball.error.numpy()).all()
        three = ball_of(lambda: (terms[:, 0] + terms[:, 1]) + terms[:, 2])
        for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
            added = (terms[:, i] + terms[:, j]) + terms[:, k]
            assert (off(added, np.sum(mp(terms), axis=1)) <= three.error.numpy()).all()
    # The bound is n - 1 roundings of all magnitudes, and no more.
    assert (ball.error <= 59.1 * unit(dtype) * x.double().abs().sum(1)).all()


@both
def test_a_matrix_product_and_its_bias_are_one_sum(dtype, rng):
    x, w, b = (torch.tensor(rng.standard_normal(s), dtype=dtype) for s in ((5, 30), (30, 4), (4,)))
    b = 1000 * b
    apart, at_once = ball_of(lambda: x @ w + b), ball_of(lambda: torch.addmm(b, x, w))
    bias_first = b.expand(5, 4).clone()
    for k in range(30):
        bias_first = bias_first + x[:, k, None] * w[k]
    with mpmath.workdps(50):
        exact = mp(x) @ mp(w) + mp(b)
        for ball in (apart, at_once):
            assert bounded(ball, exact)
            assert (off(bias_first, exact) <= ball.error.numpy()).all()
            magnitudes = x.double().abs() @ w.double().abs() + b.double().abs()
            assert (ball.error <= 31.1 * unit(dtype) * magnitudes).all()
    assert torch.allclose(apart.error, at_once.error)


@both
def test_a_step_towards_another_number_may_be_a_mean_of_both(dtype, rng):
    x, y = (torch.tensor(rng.standard_normal(500), dtype=dtype) for _ in range(2))
    ball = ball_of(lambda: torch.lerp(x, y, 0.1))
    for form in (0.9 * x + 0.1 * y, x + 0.1 * (y - x)):
        assert (off(form, mp(ball.tensor)) <= ball.guaranteed_tolerance.numpy()).all()
    assert (ball.error <= unit(dtype) * (4.2 * x.abs() + 1.3 * y.abs())).all()


@both
def test_what_is_subtracted_is_no_term_of_a_long_sum_but_of_a_short_one(dtype, rng):
    x, w = (torch.tensor(rng.standard_normal(s), dtype=dtype) for s in ((5, 30), (30, 4)))
    far = torch.full((5, 4), 1e4, dtype=dtype)
    products = 31 * x.double().abs() @ w.double().abs()
    assert (ball_of(lambda: x @ w - far).error <= unit(dtype) * (products + 1.1e4)).all()
    a, b = x[:, :4], x[:, 4:8]
    assert (ball_of(lambda: (a - b) - far).error >= 1.9e4 * unit(dtype)).all()


@both
def test_a_sum_of_different_numbers_is_expected_to_err_by_the_root_of_their_number(dtype):
    many, few = (ball_of(torch.linspace(1, 2, n, dtype=dtype).sum) for n in (10_000, 100))
    assert float(many.expected_tolerance / few.expected_tolerance) == pytest.approx(100 * 10, rel=0.01)
    assert many.error / few.error == pytest.approx(100 * 101, rel=0.01)


@both
@pytest.mark.parametrize("by", ["sum", "product"])
def test_a_sum_of_equal_numbers_may_drift(by, dtype):
    """One after the other they are all cut off at the same place: n u of the sum, and not sqrt(n) u."""
    n = 10_000
    x = torch.full((1, n), 0.1, dtype=dtype)
    ball = ball_of(lambda: x.sum(1) if by == "sum" else (x @ torch.ones((n, 1), dtype=dtype))[0])
    one_after_the_other = torch.tensor(np.add.accumulate(x.numpy(), axis=1)[:, -1])
    with mpmath.workdps(50):
        error = off(one_after_the_other, np.sum(mp(x), axis=1)).item()
    assert 2 * np.sqrt(n) * unit(dtype) * n / 10 < error < ball.expected_tolerance
    assert float(ball.expected_tolerance) == pytest.approx(n * unit(dtype) * n / 10, rel=0.01)
    assert ball.expected_tolerance < 0.51 * ball.guaranteed_tolerance


@both
def test_equal_terms_drift_at_the_size_of_a_bias_that_is_added_first(dtype):
    """Each of n small terms is cut off where the large bias ends: n u of the bias."""
    n = 500
    x, w, bias = (torch.full(shape, size, dtype=dtype) for shape, size in (((1, n), 1e-2), ((n, 1), 1e-4), ((1,), 0.1)))
    for reference in (lambda: torch.addmm(bias, x, w), lambda: x @ w + bias):
        ball = ball_of(reference)
        assert float(ball.expected_tolerance) > n * unit(dtype) * 0.1
        assert float(ball.expected_tolerance) < 0.7 * float(ball.guaranteed_tolerance)


@both
def test_equal_terms_have_equal_errors_which_add_up(dtype, rng):
    a, w = (
        torch.tensor(rng.standard_normal((1, 3)), dtype=dtype),
        torch.tensor(rng.standard_normal((400, 1)), dtype=dtype),
    )
    same = ball_of(lambda: uncertain(a.expand(400, 3).clone()).mT @ w)
    different = ball_of(lambda: uncertain(a + torch.linspace(0, 1, 400, dtype=dtype)[:, None]).mT @ w)
    growth = (same.variance / different.variance).sqrt()
    assert (growth > 15).all()
    assert (growth < 25).all()


@both
def test_a_variance_may_be_computed_by_either_formula_where_little_cancels(dtype, rng):
    x = torch.tensor(rng.standard_normal((6, 40)) + 1, dtype=dtype)
    far = x + 100
    for one_pass, data in ((True, x), (False, far)):
        ball = ball_of(lambda data=data: data.var(1, correction=0))
        with mpmath.workdps(50):
            centred = mp(data) - np.mean(mp(data), axis=1, keepdims=True)
            assert bounded(ball, np.mean(centred**2, axis=1))
            other = (data * data).mean(1) - data.mean(1) ** 2
            inside = off(other, mp(ball.tensor)) <= ball.guaranteed_tolerance.numpy()
        assert inside.all() if one_pass else not inside.all()
        condition = (data.double().square().mean(1) / ball.value).sqrt()
        room = condition**2 if one_pass else condition
        assert (ball.error < 90 * unit(dtype) * room * ball.value).all()


@both
def test_the_bound_of_a_variance_has_room_for_both_formulas(dtype, rng):
    x = torch.tensor(rng.standard_normal((6, 40)) + 2.5, dtype=dtype)
    ball, mean = ball_of(lambda: x.var(1, correction=0)), x.double().mean(1)
    assert (ball.error >= 40 * unit(dtype) * (ball.value + 2 * mean.square())).all()


def test_a_mean_and_a_standard_deviation_lie_within_their_bounds(rng):
    x = torch.tensor(rng.standard_normal((6, 40)), dtype=torch.float32)
    with mpmath.workdps(50):
        exact = np.sum(mp(x), axis=1) / 40
        spread = np.sum((mp(x) - exact[:, None]) ** 2, axis=1) / 39
        assert bounded(ball_of(lambda: x.mean(1)), exact)
        assert bounded(ball_of(lambda: x.std(1)), np.vectorize(mpmath.sqrt)(spread))


@both
def test_a_quotient_has_no_bound_where_the_divisor_may_be_zero(dtype):
    x = torch.tensor([1e-16 if dtype == torch.float64 else 1e-7, 0.5, -3.0], dtype=dtype)
    ball = ball_of(lambda: 1 / uncertain(x))
    assert ball.error[0] == math.inf
    with mpmath.workdps(50):
        assert bounded(Ball(ball.tensor[1:], ball.error[1:]), 1 / mp(x)[1:])
    exact = ball_of(lambda: x / torch.tensor(3.0, dtype=dtype))
    assert (exact.guaranteed_tolerance <= 4.1 * unit(dtype) * exact.size).all()
    assert (exact.guaranteed_tolerance >= 3.9 * unit(dtype) * exact.size).all()  # room for x times 1 / 3


@pytest.mark.parametrize("function", [torch.log, torch.rsqrt, torch.reciprocal], ids=["log", "rsqrt", "reciprocal"])
def test_a_pole_within_the_ball_leaves_no_bound(function):
    x = torch.tensor([1e-15, 0.5], dtype=torch.float64)
    assert ball_of(lambda: function(uncertain(x))).error.isinf().tolist() == [True, False]


@both
def test_backward_kernels_of_saturated_activations_keep_their_bounds(dtype, rng):
    z = torch.tensor([-30.0, -8.0, -0.1, 0.0, 2.0, 8.0, 20.0], dtype=dtype)
    g = torch.tensor(rng.standard_normal(7), dtype=dtype)
    slopes = {
        torch.sigmoid: lambda z: mpmath.exp(-z) / (1 + mpmath.exp(-z)) ** 2,
        torch.tanh: lambda z: mpmath.sech(z) ** 2,
    }
    for function, slope in slopes.items():
        leaf = z.clone().requires_grad_()
        ball = ball_of(lambda leaf=leaf, f=function: torch.autograd.grad(f(leaf), leaf, g)[0])
        with mpmath.workdps(50):
            assert bounded(ball, mp(g) * np.vectorize(slope, otypes=[object])(mp(z)))
        assert (ball.error < 50 * unit(dtype) * g.double().abs()).all()
        # At 0 the slope of the slope of sigmoid is 0, and a = 0 for tanh: there are but the roundings of the product.
        assert ball.error[3] < 3.5 * unit(dtype) * ball.size[3]


def test_a_kink_that_rounding_leaves_undecided_may_have_either_slope():
    x = torch.tensor([1e-14, 1e-3, -1e-14, -1e-3], dtype=torch.float64).requires_grad_()
    ball = ball_of(lambda: torch.autograd.grad(torch.relu(uncertain(x)).sum(), x)[0])
    assert (ball.error >= 1).tolist() == [True, False, True, False]
    ball = ball_of(lambda: torch.sign(uncertain(x)))
    assert (ball.error >= 2).tolist() == [True, False, True, False]
    ball = ball_of(lambda: torch.where(uncertain(x) > 0, 5.0, 2.0))
    assert (ball.error >= 3).tolist() == [True, False, True, False]
    ball = ball_of(lambda: torch.autograd.grad(uncertain(x).abs().sum(), x)[0])
    assert (ball.error >= 2).tolist() == [True, False, True, False]
    ball = ball_of(lambda: torch.autograd.grad(uncertain(x).clamp(min=0).sum(), x)[0])
    assert (ball.error >= 1).tolist() == [True, False, True, False]
    exact = ball_of(lambda: torch.autograd.grad(torch.relu(x).sum(), x)[0])
    assert exact.error.tolist() == [0, 0, 0, 0]


def test_the_greatest_of_several_may_be_any_that_rounding_leaves_undecided():
    x = torch.tensor([[1.0, 1 + 1e-14, 0.0], [1.0, 2.0, 0.0]], dtype=torch.float64).requires_grad_()
    ball = ball_of(lambda: torch.autograd.grad(uncertain(x).max(1).values.sum(), x)[0])
    assert (ball.error >= 1).any(1).tolist() == [True, False]
    near = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1 + 3e-13, 0.0], [1.0, 2.0, 0.0]], dtype=torch.float64).requires_grad_()
    ball = ball_of(lambda: torch.autograd.grad((uncertain(near) ** 2).amax(1).sum(), near)[0])
    assert ball.error.isinf().any(1).tolist() == [True, True, False]  # torch divides by how many are the greatest
    value = ball_of(lambda: uncertain(x).amax(1))
    assert 0 < float(value.error.max()) < 1e-12
    with RunningErrors() as errors:
        index = uncertain(x).argmax(1)
    assert errors.ball(index).error.tolist() == [1, 0]
    pair = ball_of(lambda: torch.maximum(uncertain(x.detach()), torch.ones((), dtype=torch.float64)))
    assert 0 < float(pair.error.max()) < 1e-12


def test_what_may_overflow_has_no_bound_and_what_underflows_has_a_small_one():
    big, small = torch.tensor([1e30, 3e38]), torch.tensor([1e-30, 0.0])
    assert ball_of(lambda: big * big).error.tolist() == [math.inf, math.inf]
    assert ball_of(lambda: torch.tensor([[3e38, -3e38, 1.0]]) @ torch.tensor([[2.0], [2.0], [1.0]])).error.isinf().all()
    assert 1e-45 < float(ball_of(lambda: small * small).error[0]) < 1e-36
    assert float(ball_of(lambda: small * small).error[1]) == 0


# Views and writing in place.


def test_a_view_shares_the_errors_of_what_it_looks_at():
    x = torch.tensor(np.arange(6.0).reshape(2, 3) + 0.1)
    with RunningErrors() as errors:
        y = uncertain(x)
        views = [
            y.t(),
            y[1],
            y[:, ::2],
            y.reshape(3, 2),
            y.unsqueeze(0).expand(4, 2, 3),
            y.detach(),
            y.as_strided((2,), (3,)),
        ]
    whole = errors.ball(y).error
    expected = [whole.t(), whole[1], whole[:, ::2], whole.reshape(3, 2), whole.expand(4, 2, 3), whole, whole[:, 0]]
    for view, error in zip(views, expected, strict=True):
        assert torch.equal(errors.ball(view).full(errors.ball(view).error), error)


def test_what_is_written_into_a_view_is_written_into_the_whole():
    x, h = torch.zeros(3, 4, dtype=torch.float64), torch.full((3,), 0.1, dtype=torch.float64)
    with RunningErrors() as errors:
        before = x.clone()
        copy = uncertain(x)
        other = copy.clone()
        x[:, 1].add_(h.exp())
        x.t()[2] = h.exp()
        copy[0] = 0.0
    assert (errors.ball(x).error > 0).all(0).tolist() == [False, True, True, False]
    assert (errors.ball(x).error > 0).any(0).tolist() == [False, True, True, False]
    assert errors.ball(before).is_exact
    assert errors.ball(copy).error.amax(1).tolist()[0] == 0 < float(errors.ball(copy).error[1:].min())  # written over
    assert float(errors.ball(other).error.min()) > 0  # and its copy is not


def test_errors_do_not_reach_a_later_tensor_at_the_same_place():
    x = torch.full((1000,), 0.1, dtype=torch.float64)
    with RunningErrors() as errors:
        for _ in range(600):
            (x * 0.3).sum()
            fresh = torch.empty(1000, dtype=torch.float64)
            assert errors.ball(fresh).is_exact
            del fresh


def test_in_place_operations_carry_the_errors_of_the_plain_ones(rng):
    x, p, q = (torch.tensor(rng.uniform(1, 2, 5)) for _ in range(3))
    for plain, in_place in (
        (lambda t: t + p, lambda t: t.add_(p)),
        (lambda t: t.sub(p, alpha=0.3), lambda t: t.sub_(p, alpha=0.3)),
        (lambda t: t * p, lambda t: t.mul_(p)),
        (lambda t: t / p, lambda t: t.div_(p)),
        (lambda t: torch.addcmul(t, p, q, value=0.1), lambda t: t.addcmul_(p, q, value=0.1)),
        (lambda t: torch.addcdiv(t, p, q, value=0.1), lambda t: t.addcdiv_(p, q, value=0.1)),
        (lambda t: torch.lerp(t, p, 0.1), lambda t: t.lerp_(p, 0.1)),
        (torch.sqrt, torch.sqrt_),
        (lambda t: t + p, lambda t: (torch._foreach_add_([t], [p]), t)[1]),
        (lambda t: t * 0.3, lambda t: (torch._foreach_mul_([t], 0.3), t)[1]),
        (lambda t: torch.addcdiv(t, p, q, value=0.1), lambda t: (torch._foreach_addcdiv_([t], [p], [q], 0.1), t)[1]),
        (lambda t: torch.mul(t, p), lambda t: torch.mul(t.clone(), p, out=t)),
    ):
        one = ball_of(lambda plain=plain: plain(uncertain(x)))
        two = ball_of(lambda in_place=in_place: in_place(uncertain(x)))
        assert torch.equal(one.tensor, two.tensor)
        assert torch.equal(one.error, two.error)
        assert torch.equal(one.variance, two.variance)


# What has no rule, and how to give it one.


def test_an_operation_without_a_rule_is_named():
    with pytest.raises(UnknownOperationError, match=r"aten\.special_bessel_j0.*@comparisons\.rule"), RunningErrors():
        torch.special.bessel_j0(torch.ones(2))
    with pytest.raises(UnknownOperationError, match=r"item\(\)"), RunningErrors():
        float(torch.ones(2).exp().sum())
    with pytest.raises(UnknownOperationError, match="complex"), RunningErrors():
        torch.complex(torch.ones(2), torch.ones(2))
    with RunningErrors():
        assert float(torch.ones(2)[0]) == 1


def test_a_user_may_give_a_rule():
    operation = torch.ops.aten.special_bessel_j0

    @rule(operation)
    def bessel(rounding, result, x):
        return rounding.rounded(result, x.error, x.variance, times=8)

    try:
        ball = ball_of(lambda: torch.special.bessel_j0(torch.ones(2)))
        assert (ball.error > 7 * unit(torch.float32) * ball.size).all()
    finally:
        del RULES[operation]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
def test_halves_are_added_in_float32_and_rounded_once(dtype, rng):
    x, w = (torch.tensor(rng.standard_normal(s), dtype=dtype) for s in ((4, 300), (300, 3)))
    ball = ball_of(lambda: x @ w)
    with mpmath.workdps(50):
        assert bounded(ball, mp(x) @ mp(w))
        assert bounded(ball_of(lambda: x.sum(1)), np.sum(mp(x), axis=1))
        z = torch.tensor([-5.0, -0.3, 0.0, 2.0], dtype=dtype)
        assert bounded(ball_of(lambda: torch.sigmoid(z)), np.vectorize(lambda v: 1 / (1 + mpmath.exp(-v)))(mp(z)))
    # 300 roundings in half precision would be ten times as much.
    assert (ball.error < 3 * unit(dtype) * ball.size + 400 * 2**-24 * (x.double().abs() @ w.double().abs())).all()
    assert rounding_of(dtype).sum_unit < rounding_of(dtype).unit / 100
