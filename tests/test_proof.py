"""The checker can fail: every known mistake is caught, located and named, and nothing right is."""

import pandas as pd
import pytest

from comparisons.cli import main
from comparisons.mistakes.effects import effects
from comparisons.mistakes.variants import Variant, applicable
from comparisons.reference.quantities import THE_NOTES
from comparisons.studies import proof
from comparisons.studies.proof import MISTAKE_COLUMNS, RIGHT, Cell, cells, is_named, prove, proven
from handnet.costs import COSTS


@pytest.fixture(scope="module")
def whole():
    """Some cells of two architectures, so that the layouts take turns; `handnet mistakes` has them all."""
    alone = [cell for cell in cells() if cell.stated == THE_NOTES and len(cell.variant.mistakes) < 2]
    two = [cell for cell in alone if cell.sizes in ((2, 5, 4, 3), (4, 4, 4, 4))]
    everywhere = [cell for cell in two if cell.variant.placement == "everywhere" and cell.given == "all"]
    each = {cell.variant.mistakes: cell for cell in everywhere}
    in_itself = next(c for c in everywhere if c.variant.mistakes == ("tanh_slope",) and c.activation == "tanh")
    return prove([*two[::113], *each.values(), in_itself])


def made(frame):
    return frame[(frame["applicable"] == "yes") & (frame["mistake"] != "none")]


def test_every_mistake_that_shows_is_caught_located_and_named(whole):
    counted = made(whole)
    assert set(counted["mistake"]) >= set(applicable())
    assert set(counted["layout"]) == {"note", "linear", "columns"}
    assert counted["caught"].all()
    located = counted[counted["given"] == "all"]
    assert (located["expected_wrong"] == located["first_wrong"]).all()
    assert is_named(counted).all()
    assert proven(whole)


def test_no_right_implementation_raises_an_alarm(whole):
    right = whole[whole["mistake"] == "none"]
    assert len(right) > 1
    assert not right["caught"].any()
    assert (right["error_over_tolerance"] <= 1).all()
    assert (right["named"] == "").all()


def test_what_does_not_apply_says_why(whole):
    other = whole[whole["applicable"] != "yes"]
    assert other["applicable"].str.startswith(("no: it changes nothing", "no: the shapes do not fit")).all()
    tanh_in_tanh = other[(other["mistake"] == "tanh_slope") & (other["activation"] == "tanh")]
    assert len(tanh_in_tanh) > 0


def test_mistakes_with_other_costs_are_caught_located_and_named():
    others = [cell for cell in cells() if cell.stated != THE_NOTES]
    frame = prove([*others[::401], *(cell for cell in others if cell.variant == RIGHT and cell.sizes == (4, 4, 4, 4))])
    counted = made(frame)
    assert set(counted["cost"]) == set(COSTS)
    # Without biases the deltas of a sum may be those of a mean, without its 1/N: cost and gradient are left to name.
    as_good = (counted["mistake"] == "batch_sum") & ~counted["biases"].astype(bool)
    assert is_named(counted[~as_good]).all()
    assert proven(frame)


def test_as_many_mistakes_apply_with_other_costs_as_did():
    """One that no longer does would hide a mistake that is lost."""
    others = [cell for cell in cells() if cell.stated != THE_NOTES]
    applying = dict.fromkeys((stated for stated, *_ in proof.KINDS), 0)
    for stated in applying:
        for sizes in proof.FOR_KINDS:
            chosen = [cell for cell in others if (cell.stated, cell.sizes, cell.given) == (stated, sizes, "gradients")]
            found = effects([cell.variant for cell in chosen], chosen[0].probe.truths)
            shown = found.shown(proof.QUANTITIES["gradients"])
            applying[stated] += int(shown.sum()) - len(found.misfits)
    assert [*applying.values()] == [469, 373, 509, 443, 481, 519]


def test_two_mistakes_together_are_caught_and_nearly_always_named():
    both = [cell for cell in cells() if len(cell.variant.mistakes) == 2]
    frame = prove(both[::122])
    counted = made(frame)
    assert len(counted) > 25
    assert counted["caught"].all()
    assert is_named(counted).mean() >= 0.95
    alone = frame[frame["applicable"].str.startswith("no: the numbers are those of")]
    assert not alone["caught"].any()


def test_a_checker_that_lets_everything_pass_is_found_out(monkeypatch):
    def lenient(function, **options):
        return right(lambda w, x, t, learning_rate: proof.Planted(Variant(()), "sigmoid", "note", "all")(w, x, t, 0.5))

    right = proof.check
    chosen = [Cell(Variant((name,)), (4, 4, 4), "sigmoid", "note", "all") for name in ("no_half", "ascent")]
    assert proven(prove(chosen))
    monkeypatch.setattr(proof, "check", lenient)
    assert not proven(prove(chosen))


def test_a_false_alarm_is_found_out(monkeypatch):
    right = proof.check
    monkeypatch.setattr(proof, "check", lambda function, **options: right(lambda *_: None))
    assert not proven(prove([Cell(Variant(()), (4, 4, 4), "sigmoid", "note", "all")]))


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_command_writes_every_cell_and_says_the_result(tmp_path, capsys, monkeypatch, jobs):
    if jobs > 1:
        pytest.importorskip("joblib")
    few = [cell for cell in cells() if cell.sizes == (4, 4)][::27]
    monkeypatch.setattr(proof, "cells", lambda: iter(few))
    assert main(["mistakes", "--jobs", str(jobs), "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    frame = pd.read_csv(tmp_path / "mistakes.csv")
    assert tuple(frame.columns) == MISTAKE_COLUMNS
    assert len(frame) == len(few)
    assert " mistakes caught" in out.splitlines()[-1]
    assert "no_output_slope" in out


def test_a_sample_has_every_nth_cell(tmp_path, capsys, monkeypatch):
    few = [cell for cell in cells() if cell.sizes == (4, 4)][::90]
    monkeypatch.setattr(proof, "cells", lambda: iter(few))
    assert main(["mistakes", "--every", "4", "--out", str(tmp_path)]) == 0
    assert len(pd.read_csv(tmp_path / "mistakes.csv")) == len(few[::4])
    assert main(["mistakes", "--every", "0", "--out", str(tmp_path)]) == 2
    assert "every is 0: expected 1 or more" in capsys.readouterr().err
