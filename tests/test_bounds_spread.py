"""What a bound inherits, on errors so large that every term of it counts: it holds, and is hardly larger than need be.

A ball is a computed number and the most that it, or any other evaluation, can be off by: the exact number lies within
one error of it, another evaluation within two.
"""

from dataclasses import FrozenInstanceError
from itertools import product

import numpy as np
import pytest

from comparisons.reference.rounding import Ball, Bounds, Rounding

ROUNDING = Rounding(np.dtype(np.float64))
# Computed in float64, so that what single roundings of float32 do is seen to many digits; and the same without any.
COARSE, EXACT = Rounding(np.dtype(np.float32)), Rounding(np.dtype(np.float32))
EXACT.unit = EXACT.tiny = 0.0
U = COARSE.unit


def ball(value, error):
    return Ball(np.array([[value]]), np.array([[error]]))


def furthest(function, value, error):
    """How far apart the exact result and another evaluation can be."""
    exact = value + error * np.linspace(-1, 1, 41)[:, np.newaxis]
    other = exact + error * np.linspace(-1, 1, 41)
    return np.abs(function(other) - function(exact)).max()


FUNCTIONS = {"sigmoid": lambda z: 1 / (1 + np.exp(-z)), "tanh": np.tanh, "identity": lambda z: z}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("z", [-5.0, 5.0])
def test_an_activation_is_off_by_what_the_error_of_its_preactivation_can_do(name, z):
    value = np.array([[FUNCTIONS[name](z)]])
    bound = ROUNDING.activation(name, ball(z, 0.3), value).item()
    assert 0.72 * bound < furthest(FUNCTIONS[name], z, 0.3) <= bound * (1 + 1e-12)


@pytest.mark.parametrize(("name", "range_"), [("sigmoid", 1), ("tanh", 2)])
def test_an_activation_is_never_off_by_more_than_its_range(name, range_):
    bound = ROUNDING.activation(name, ball(0.0, 50.0), np.array([[0.5]])).item()
    assert bound == pytest.approx(range_, rel=1e-12)


@pytest.mark.parametrize(("z", "error", "bound"), [(-3, 1, 0), (-1.5, 1, 1), (-3, 4, 4), (3, 1, 1), (-2, 1, 1)])
def test_a_relu_is_exact_where_no_evaluation_can_be_positive(z, error, bound):
    assert ROUNDING.activation("relu", ball(z, error), np.array([[max(z, 0.0)]])).item() == bound


@pytest.mark.parametrize(
    ("z", "error", "kink"), [(0, 0, 0), (0, 0.5, 1), (1, 0.5, 1), (-1, 0.5, 1), (1.1, 0.5, 0), (-1.1, 0.5, 0)]
)
def test_near_its_kink_both_slopes_of_relu_are_right(z, error, kink):
    slope = ROUNDING.slope("relu", ball(max(z, 0.0), error), ball(z, error))
    assert slope.error.item() == pytest.approx(kink)
    assert slope.value.item() == (z > 0)
    assert ROUNDING.slope("relu", ball(0.0, error), None).error.item() == 0


@pytest.mark.parametrize(
    ("name", "function", "a"),
    [("sigmoid", lambda a: a * (1 - a), 0.25), ("tanh", lambda a: 1 - a**2, 0.5), ("tanh", lambda a: 1 - a**2, -0.5)],
)
def test_a_slope_is_off_by_what_the_error_of_its_activation_can_do(name, function, a):
    ends = np.array([a - 0.1, a + 0.1])
    slope = ROUNDING.slope(name, ball(a, 0.1), None)
    assert slope.value.item() == pytest.approx(function(a))
    assert slope.error.item() == pytest.approx(np.abs(function(ends) - function(a)).max(), rel=1e-5)


def test_a_product_is_off_by_what_the_errors_of_both_factors_can_do():
    p, q = ball(1.0, 0.5), ball(-2.0, 0.25)
    assert (p.exact.item(), p.any.item(), q.exact.item(), q.any.item()) == (1.5, 2.0, 2.25, 2.5)
    apart = 2 * 2.5 - 1.5 * 2.25
    assert ROUNDING.times(p, q).item() == pytest.approx(apart, rel=1e-5)
    assert ROUNDING.times(p, q).item() > apart
    matrix = ROUNDING.product(p, q)
    assert matrix.error.item() == pytest.approx(apart, rel=1e-5)
    assert matrix.value.item() == pytest.approx(2 + apart)
    both = Ball(np.array([[1.0, 1.0]]), np.array([[0.5, 0.0]]))
    twice = Ball(np.array([[-2.0], [4.0]]), np.array([[0.25], [0.0]]))
    assert ROUNDING.product(both, twice).error.item() == pytest.approx(apart, rel=1e-5)


LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("value", "error", "bounded"),
    [(3.0e38, 0.18e38, True), (3.0e38, 0.25e38, False), (LARGEST * (1 - 1e-15), 0, True), (LARGEST, 0, False)],
)
def test_what_may_pass_the_largest_number_has_no_bound(value, error, bounded):
    rounding = Rounding(np.dtype(np.float32))
    assert np.isfinite(rounding.product(ball(value, error), ball(1.0, 0.0)).error).item() == bounded
    assert np.isfinite(rounding.times(ball(value, error), ball(1.0, 0.0))).item() == bounded


def test_what_is_not_finite_has_no_bound():
    balls = Ball.of(np.array([1.0, np.inf, np.nan, 1.0]), np.array([0.5, 0.5, 0.5, np.nan]))
    assert np.isfinite(balls.error).tolist() == [True, False, False, False]
    assert balls.error[0] == pytest.approx(0.5)
    assert balls.error[0] >= 0.5


def test_a_step_is_off_by_the_learning_rate_times_the_error_of_the_gradient():
    new, gradient = np.array([[2.0], [3.0]]), Ball(np.array([[1.0], [1.0]]), np.array([[0.5], [0.25]]))
    for rate in (0.1, -0.1):
        assert ROUNDING.updated(new, gradient, rate, True) == pytest.approx(np.array([[0.05], [0.025]]), rel=1e-5)
    assert ROUNDING.updated(new, gradient, 0.1, False)[-1] == 0
    assert (ROUNDING.local_updated(new, gradient.value, 0.1) > 0).all()
    assert ROUNDING.updated(np.zeros((1, 1)), ball(0.0, 0.0), 0.1, True) == 0


def test_the_cost_is_off_by_what_the_errors_of_the_outputs_can_do():
    output = Ball(np.array([[1.0, -1.0]]), np.array([[0.5, 0.25]]))
    # (a - T)^2 / 2 of both: the exact one is one error off, another evaluation two.
    apart = (2.0**2 - 1.5**2) / 2 + (1.5**2 - 1.25**2) / 2
    assert ROUNDING.cost(output, np.zeros((1, 2))) == pytest.approx(apart, rel=1e-5)
    assert ROUNDING.cost(output, np.zeros((1, 2))) > apart
    error = ROUNDING.output_error(Ball(np.ones((2, 1)), np.full((2, 1), 0.5)), np.zeros((2, 1)))
    assert error.error == pytest.approx(np.full((2, 1), 0.25), rel=1e-5)
    assert error.value.tolist() == [[0.5], [0.5]]


def test_a_stack_of_networks_has_the_bounds_that_each_has_alone():
    values = np.linspace(-1, 1, 2 * 3 * 4).reshape(2, 3, 4)
    stack, targets = Ball(values, np.zeros_like(values)), np.zeros((3, 4))
    together = ROUNDING.cost(stack, targets)
    for i in range(2):
        assert together[i] == ROUNDING.cost(Ball(values[i], np.zeros((3, 4))), targets)


def test_a_ball_and_the_bounds_are_values():
    for value in (ball(1.0, 0.0), Bounds(*[()] * 9)):
        with pytest.raises(FrozenInstanceError):
            value.error = np.zeros((1, 1))


# What rounding adds to that.


def by_a_difference(z, e, s, q, d):
    """1 - 1 / (1 + e^z), the exponential 8 units off."""
    return (1 - q / ((1 + np.exp(z) * e**8) * s)) * d


def by_two_exponentials(z, p, m, d, s, q):
    """(e^z - e^-z) / (e^z + e^-z), each exponential 8 units off."""
    up, down = np.exp(z) * p**8, np.exp(-z) * m**8
    return (up - down) * d / ((up + down) * s) * q


@pytest.mark.parametrize(
    ("name", "form", "z", "operations"),
    [
        ("sigmoid", by_a_difference, -2.5, 4),
        ("sigmoid", by_a_difference, -1.0, 4),
        ("tanh", by_two_exponentials, 0.2, 5),
    ],
)
def test_an_activation_may_be_off_by_what_the_least_exact_usual_form_rounds(name, form, z, operations):
    value = form(z, *np.ones(operations))
    signs = product((-1, 1), repeat=operations)
    worst = max(abs(form(z, *(1 + U * np.array(sign))) - value) for sign in signs)
    bound = COARSE.activation(name, ball(z, 0.0), np.array([[value]])).item()
    assert worst == pytest.approx(bound, rel=1e-5)


def rounding_adds(bound):
    """What a bound is larger by than without any rounding, in units of roundoff."""
    return (bound(COARSE) - bound(EXACT)).item() / U


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_an_activation_is_rounded_wherever_it_may_lie(name):
    z, a = ball(1.0, 0.3), np.array([[FUNCTIONS[name](1.0)]])
    spread = EXACT.activation(name, z, a).item()
    adds = rounding_adds(lambda rounding: rounding.activation(name, z, a))
    assert adds == pytest.approx(9 * (a.item() + 2 * spread), rel=1e-5)


def test_the_slope_of_a_sigmoid_is_rounded_by_three_operations_on_the_largest_factors():
    adds = rounding_adds(lambda rounding: rounding.slope("sigmoid", ball(0.8, 0.1), None).error)
    largest_a, largest_rest = 1.0, 0.4
    assert adds == pytest.approx(3 * largest_a * largest_rest, rel=1e-5)


@pytest.mark.parametrize("a", [0.5, -0.5])
def test_the_slope_of_tanh_is_rounded_by_its_square_and_its_difference(a):
    adds = rounding_adds(lambda rounding: rounding.slope("tanh", ball(a, 0.1), None).error)
    largest_square, largest_slope = 0.7**2, 0.75 + 0.6**2 - 0.5**2
    assert adds == pytest.approx(2 * largest_square + 3 * largest_slope, rel=1e-5)


def test_an_error_is_rounded_by_its_difference_and_by_the_mean():
    adds = rounding_adds(lambda rounding: rounding.output_error(ball(1.0, 0.5), np.zeros((1, 1))).error)
    assert adds == pytest.approx(2 * 1.5 + 3 * 2, rel=1e-5)


def test_a_step_is_rounded_by_its_product_and_its_difference():
    step = 0.1 * 0.5
    adds = rounding_adds(lambda rounding: rounding.updated(np.array([[2.0]]), ball(1.0, 0.5), 0.1, True))
    assert adds == pytest.approx(3 * 0.1 * 2 + 2 * (2 + 2 * step), rel=1e-5)


def test_a_slope_may_have_been_taken_before_its_activation_was_rounded():
    output, targets = np.array([[0.9]]), np.array([[-0.1]])
    adds = rounding_adds(lambda rounding: rounding.local_output_delta("tanh", output, targets))
    slope = 8 * 0.9 * 2 * 0.9 + 2 * 0.9**2 + 3 * (1 - 0.9**2)
    error = 2 + 3
    assert adds == pytest.approx(slope + (error + 3) * (1 - 0.9**2), rel=1e-5)


def test_each_operation_that_may_underflow_adds_twice_the_smallest_number():
    smallest, near = COARSE.tiny, ball(1e-38, 0.0)
    assert COARSE.output_error(near, np.zeros((1, 1))).error.item() / smallest == pytest.approx(2, rel=1e-5)
    assert COARSE.times(near, near).item() / smallest == pytest.approx(3 * 2, rel=1e-5)
