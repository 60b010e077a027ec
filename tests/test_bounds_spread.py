"""What a bound inherits, on errors so large that every term of it counts: it holds, and is hardly larger than need be.

A ball is a computed number and the most that it, or any other evaluation, can be off by: the exact number lies within
one error of it, another evaluation within two.
"""

import numpy as np
import pytest

from comparisons.reference.rounding import Ball, Rounding

ROUNDING = Rounding(np.dtype(np.float64))


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
    product = ROUNDING.product(p, q)
    assert product.error.item() == pytest.approx(apart, rel=1e-5)
    assert product.value.item() == pytest.approx(2 + apart)
    both = Ball(np.array([[1.0, 1.0]]), np.array([[0.5, 0.0]]))
    twice = Ball(np.array([[-2.0], [4.0]]), np.array([[0.25], [0.0]]))
    assert ROUNDING.product(both, twice).error.item() == pytest.approx(apart, rel=1e-5)


@pytest.mark.parametrize(("value", "error", "bounded"), [(3.0e38, 0.18e38, True), (3.0e38, 0.25e38, False)])
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


def test_the_cost_is_off_by_what_the_errors_of_the_outputs_can_do():
    output = Ball(np.array([[1.0, -1.0]]), np.array([[0.5, 0.25]]))
    # (a - T)^2 / 2 of both: the exact one is one error off, another evaluation two.
    apart = (2.0**2 - 1.5**2) / 2 + (1.5**2 - 1.25**2) / 2
    assert ROUNDING.cost(output, np.zeros((1, 2))) == pytest.approx(apart, rel=1e-5)
    error = ROUNDING.output_error(Ball(np.ones((2, 1)), np.full((2, 1), 0.5)), np.zeros((2, 1)))
    assert error.error == pytest.approx(np.full((2, 1), 0.25), rel=1e-5)
    assert error.value.tolist() == [[0.5], [0.5]]
