"""By which factor numbers differ from others, and its name in terms of 2, N and the widths."""

import numpy as np
import pytest

from comparisons.diagnosis.factors import common_factor, factor_between, factor_names, least_squares, written
from comparisons.mistakes.effects import MARGIN
from comparisons.reference.quantities import Problem

EPS = np.finfo(np.float64).eps


def problem(samples=7, sizes=(3, 5), dtype=np.float64):
    """The problem of a network of one layer, of which the sizes and the dtype are all that counts."""
    arrays = [np.ones((sizes[0] + 1, sizes[1])), np.ones((samples, sizes[0])), np.ones((samples, sizes[1]))]
    weights, inputs, targets = (array.astype(dtype) for array in arrays)
    return Problem((weights,), ("sigmoid",), inputs, targets)


# The factor.


def test_each_quantity_counts_the_same_and_one_that_is_zero_does_not_count():
    small, large, zero = (np.array([[[1.0, 2.0]]]) * size for size in (1e-6, 1e6, 0.0))
    assert least_squares([(2 * small, small), (4 * large, large)], 1).tolist() == [3.0]
    assert least_squares([(2 * small, small), (4 * large, zero)], 1).tolist() == [2.0]
    assert least_squares([(small, zero)], 1).tolist() == [0.0]
    assert least_squares([], 2).tolist() == [0.0, 0.0]
    # Of each of a stack its own; what is across the right numbers is left out.
    right = np.array([[[1.0, 0.0]], [[2.0, 2.0]]])
    assert least_squares([(np.array([[3.0, 5.0]]), right)], 2).tolist() == [3.0, 2.0]


@pytest.mark.parametrize("factor", [3.0, -3.0, 0.25])
def test_a_factor_may_be_off_by_some_tolerances_of_what_it_scales(factor):
    expected, tolerance = np.array([[1.0, -1.0], [0.0, 0.0]]), np.full((2, 2), 1e-9)
    allowed = MARGIN * max(1.0, abs(factor)) * 1e-9
    off = np.array([[0.0, 0.0], [1.0, 0.0]])
    assert factor_between(factor * expected, expected, tolerance) == factor
    assert factor_between(factor * expected + 0.99 * allowed * off, expected, tolerance) == factor
    assert factor_between(factor * expected + 1.01 * allowed * off, expected, tolerance) is None


def test_there_is_no_factor_of_what_tells_nothing_or_is_not_finite():
    expected, tolerance = np.array([[1.0, 2.0]]), np.full((1, 2), 0.5)
    assert factor_between(2 * expected, expected, tolerance) == 2.0
    assert factor_between(2 * expected, expected, 4 * tolerance) is None
    assert factor_between(2 * expected, expected, np.array([[0.5, 8.0]])) == 2.0
    assert factor_between(np.array([[2.0, np.inf]]), expected, tolerance) is None
    assert factor_between(0 * expected, 0 * expected, 0 * tolerance) is None


# Its name.


@pytest.mark.parametrize(
    ("factor", "names"),
    [
        (1.0, ["1"]),
        (-1.0, ["-1"]),
        (2.0, ["2"]),
        (-2 * 7.0, ["-2 N"]),
        (2 / 5, ["2 / m_L"]),
        (7 / 3, ["N / m_0"]),
        (1 / 7**2, ["1 / N^2"]),
        (7.0**2, ["N^2"]),
        (0.5, ["1 / 2"]),
        (1.1, []),
        (0.0, []),
        (None, []),
    ],
)
def test_a_factor_is_named_by_the_sizes_that_make_it(factor, names):
    assert factor_names(factor, problem()) == names


def test_m_l_is_the_last_width_of_a_deeper_network():
    net = [np.ones((4, 4)), np.ones((5, 5))]
    deeper = Problem(tuple(net), ("sigmoid",) * 2, np.ones((7, 3)), np.ones((7, 5)))
    assert factor_names(2 / 5, deeper) == ["2 / m_L"]
    assert factor_names(2 / 4, deeper) == ["1 / 2"]


def test_of_several_names_the_simplest_comes_first():
    assert factor_names(3.0, problem(samples=3, sizes=(3, 5)))[:2] == ["N", "m_0"]
    assert factor_names(4.0, problem(samples=4, sizes=(4, 2)))[0] == "N"


def test_factors_of_all_steps_have_the_name_that_fits_all_or_are_one_number():
    few, many = problem(samples=4), problem(samples=7)
    assert common_factor([(few, 4.0), (many, 7.0)]) == "N"
    assert common_factor([(few, 5.0), (many, 5.0)]) == "m_L"
    assert common_factor([(few, 1.23), (many, 1.23)]) == "1.23"
    assert common_factor([(few, 1.23), (many, 1.24)]) == ""
    assert common_factor([(few, 4.0), (many, 4.0)]) == "4"
    assert common_factor([]) == ""


@pytest.mark.parametrize(("dtype", "near", "digits"), [(np.float64, 1e-6, 10), (np.float32, 64 * 2.0**-23, 5)])
def test_factors_agree_and_are_written_to_as_many_digits_as_their_numbers_have(dtype, near, digits):
    steps = [problem(samples, dtype=dtype) for samples in (4, 7)]
    assert common_factor([(steps[0], 1.1 * (1 + 0.9 * near)), (steps[1], 1.1)])
    assert not common_factor([(steps[0], 1.1 * (1 + 1.2 * near)), (steps[1], 1.1)])
    assert written(1 / 3, steps[0]) == "0." + digits * "3"
