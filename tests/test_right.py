"""No false alarm: implementations that are right, in whichever way they are written, match autograd."""

import pytest

from comparisons import check
from tests.right_forms import drawn


def alarms(number, ways):
    """What is said of right implementations of a setting."""
    said = []
    for seed in range(ways):
        one = drawn(number, seed)
        comparison = check(one, **one.options)
        if not comparison.passed:
            said.append(f"{number}, {seed}: {one}\n{comparison.message()}")
    return said


@pytest.mark.parametrize("number", [2, 5, 6, 7])
def test_right_code_is_never_called_wrong(number):
    assert not alarms(number, 25)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(100, 150))
def test_right_code_is_never_called_wrong_however_much_of_it(number):
    assert not alarms(number, 200)
