"""Each mistake of the gallery is caught, located and named before its mend, and passes after it."""

from pathlib import Path

import pytest

from comparisons import check

from .bugs import BUGS
from .checkers import Checkers
from .table import COLUMNS, row, table

GALLERY = Path(__file__).parents[2] / "docs" / "gallery.md"
each_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)


@each_bug
def test_before_its_mend_a_mistake_is_caught_located_and_named(bug):
    found = check(bug.written(mended=False), **bug.options).diagnosis
    assert found.first_wrong == bug.first
    assert found.mistakes == bug.named
    assert bug.says in str(found)
    assert bug.named or bug.says


@each_bug
def test_after_its_mend_it_passes(bug):
    check(bug.written(mended=True), **bug.options).assert_close()


# The others, on some of each kind: of all of them `python -m tests.real_bugs` makes the table.

SOME = [bug for bug in BUGS if bug.name.startswith(("the_biases_are_n", "a_column", "a_dot", "probab", "the_loss"))]


def shown():
    """The rows of the table in the gallery under its heading, by their first cell."""
    lines = [line for line in GALLERY.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    return {name.replace(" ", "_"): values for name, *values in cells}


@pytest.mark.parametrize("bug", SOME, ids=lambda bug: bug.name)
def test_a_row_of_the_gallery_is_what_comes_out(bug):
    line = table({bug.name: row(bug)}).splitlines()[2]
    assert [cell.strip() for cell in line.split("|")[2:-1]] == shown()[bug.name]


def test_the_gallery_has_every_mistake_and_counts_them():
    *names, last = shown()
    assert names == [bug.name for bug in BUGS]
    assert last == f"of_{len(BUGS)}"
    rows = [shown()[name] for name in names]
    assert shown()[last] == [str(sum(row[i] not in ("", "-") for row in rows)) for i in range(len(COLUMNS))]


@pytest.mark.parametrize("bug", SOME, ids=lambda bug: bug.name)
def test_what_is_right_no_checker_refuses(bug):
    right = Checkers(bug, mended=True)
    assert not right.gradcheck_notices()
    assert not right.allclose_notices()
    assert not right.loss_notices()
