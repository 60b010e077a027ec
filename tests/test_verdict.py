"""How it is judged: distances, the verdict on each number, and what is said of them, on numbers made for it."""

from dataclasses import FrozenInstanceError, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from comparisons.reference.quantities import Problem
from comparisons.reference.truth import Truth
from comparisons.verdict.comparison import Comparison, MismatchError, write_csv
from comparisons.verdict.distance import over
from comparisons.verdict.judging import measure, one_line_each, shaped
from comparisons.verdict.measured import INHERITED, OK, UNDECIDED, WRONG, Measured
from comparisons.verdict.trial import Trial
from handnet import Network


def measured(
    hand,
    torch,
    tolerance,
    grades=OK,
    *,
    local=None,
    key=("gradient", 1),
    batch=3,
    case="",
    step=1,
    sizes=(2, 2),
    expected=np.inf,
):
    """Both sides, of one row unless there are more; `local` holds the equation's number and tolerance."""
    hand = np.array(hand, float, ndmin=0 if key[0] == "cost" else 2)
    sides = (np.broadcast_to(np.array(side, float), hand.shape) for side in (torch, tolerance, *(local or ())))
    torch, tolerance, local_torch, local_tolerance = (*sides, *(() if local else (None, None)))
    grades = np.broadcast_to(np.array(grades, np.int8), hand.shape)
    sides = (hand, torch, tolerance, local_torch, local_tolerance)
    return Measured(case, step, key, sizes, batch, *sides, grades, lambda: np.broadcast_to(expected, hand.shape))


# Distances.


def test_no_error_is_no_error_whatever_the_tolerance():
    assert over(np.array([0.0, 0.0, 3.0]), np.array([2.0, 0.0, 2.0])).tolist() == [0.0, 0.0, 1.5]
    assert over(np.array([3.0, np.nan, np.nan]), np.array([0.0, 2.0, np.inf])).tolist() == [np.inf, np.inf, 0.0]
    assert over(np.array([3.0]), np.array([np.inf])).tolist() == [0.0]


# One quantity.


def test_resolution_is_the_sharper_tolerance_of_the_bluntest_number_over_the_largest():
    assert measured([2, -4], [2, -4], [1, 0.5]).resolution == 0.25
    assert measured([2, -4], [2, -4], [1, 0.5], local=([2, -4], [0.2, 0.4])).resolution == 0.1
    assert measured([0, 0], [0, 0], [1, 0]).resolution == np.inf
    assert measured([0, 0], [0, 0], 0).resolution == 0
    assert measured([0.5, 0.5], [0.5, 0.5], 1).resolution == 2


@pytest.mark.parametrize(
    ("torch", "tolerance", "judges"),
    [
        ([1.0, 1.0], [1.0, 1.0], False),
        ([1.0, 1.0], [1.0, 0.9], True),
        ([0.5, -1.0], [1.0, 0.9], True),
        ([0.5, 0.5], [1.0, 1.0], False),
        ([0.0, 0.0], [0.0, 0.0], True),
        ([0.0, 0.5], [0.0, 1.0], False),
        ([0.0, 0.5], [5.0, 1.0], False),
    ],
)
def test_what_does_not_tell_its_numbers_from_zero_does_not_judge_them(torch, tolerance, judges):
    assert measured(torch, torch, tolerance).judges == judges
    assert measured(torch, torch, np.inf, local=(torch, tolerance)).judges == judges
    assert measured(torch, torch, np.inf, expected=tolerance).expected_judges == (judges and any(torch))


def test_where_only_expected_tolerances_judge_all_steps_must_lie_within_them():
    def steps(*of, expected=0.1):
        """Compare steps, of each the error and the guaranteed tolerance."""
        rows = [
            measured([1 + error], [1.0], tolerance, OK if tolerance < 1 else UNDECIDED, step=step, expected=expected)
            for step, (error, tolerance) in enumerate(of, 1)
        ]
        return Comparison(tuple(rows), (2, 2), ("sigmoid",), "float32")

    blunt, sharp = 5.0, 0.5
    assert steps((0.09, blunt), (0.09, blunt)).passed
    for off in (steps((0.11, blunt), (0, blunt)), steps((0, blunt), (0.11, blunt))):
        assert not off.passed
        assert [m.step for m in off.unjudged] == [1, 2]
    # One step that a guaranteed tolerance tells from zero is enough.
    assert steps((0.11, blunt), (0, sharp)).passed
    assert not steps((0, blunt), (0, blunt), expected=1.0).passed


def test_error_over_tolerance_is_that_of_the_sharper_comparison_where_all_is_right():
    both = measured([1, 2], [1.5, 2.5], 1, local=([1.2, 2.4], [0.5, 2]))
    assert both.sharper_ratio == pytest.approx(0.5)
    assert measured([1, 2], [1.5, 2.5], 1, local=([1.2, 2.4], [1, 1])).sharper_ratio == 0.5
    assert measured([1, 2], [1.5, 2.5], 1, local=([1.2, 2.4], [0.5, 0.5])).sharper_ratio == pytest.approx(0.8)
    assert measured([1, 2], [1.5, 2.25], 1).sharper_ratio == 0.5
    for verdict in (INHERITED, WRONG):
        wrong = measured([1, 2], [3.5, 4.5], 1, verdict, local=([1.2, 2.4], 0.5))
        assert wrong.sharper_ratio == 2.5
    assert replace(both, grades=both.grades + UNDECIDED).sharper_ratio == pytest.approx(0.5)


def test_the_worst_number_is_of_the_gravest_verdict_and_of_these_the_furthest_off():
    assert measured([1.9, 1, 1, 1], [1, 1.2, 1.5, 1], 1, [OK, WRONG, WRONG, OK]).worst == (0, 2)
    # Nothing is wrong with the undecided one, but it is graver.
    assert measured([1.5, 1], [1, 1], 1, [OK, UNDECIDED]).worst == (0, 1)
    local = measured([1, 1], [1.3, 1.5], 1, [WRONG, WRONG], local=([2.5, 1.1], 1))
    assert local.worst == (0, 0)
    assert local.graver_ratio.tolist() == [[1.5, 0.5]]


@pytest.mark.parametrize(
    ("whole", "local", "judge"),
    [(0.5, 1.5, "equation"), (1, 1.5, "equation"), (0.5, 1, "autograd"), (0.5, 0.5, "autograd"), (1.5, 3, "autograd")],
)
def test_the_equation_decides_only_where_it_alone_fails(whole, local, judge):
    both = measured([0.0], [whole], 1, local=([2 * local], 2))
    expected = (2 * local, 2.0, judge) if judge == "equation" else (whole, 1.0, judge)
    assert both.judged_by((0, 0)) == expected
    assert measured([0.0], [whole], 1).judged_by((0, 0)) == (whole, 1.0, "autograd")


ROW = {"case": "here", "step": 2, "sizes": "2-2", "batch": 3, "quantity": "gradient", "layer": 1, "elements": 2}


def test_the_row_and_the_elements_say_all_of_a_quantity():
    here = {"case": "here", "step": 2}
    m = measured([1, 3], [1.5, 2.5], [2, 0.25], [OK, WRONG], local=([1.25, 3], [1, 0.5]), expected=[[1, 0.125]], **here)
    assert m.row() == {
        **ROW,
        "max_abs_error": 0.5,
        "max_rel_error": pytest.approx(1 / 3),
        "error_over_tolerance": 2,
        "local_error_over_tolerance": 0.25,
        "resolution": 0.4,
        "worst_element": "dC/dw_10^(1)",
        "hand": 3.0,
        "torch": 2.5,
        "tolerance": 0.25,
        "expected": 0.125,
        "verdict": "wrong",
    }
    assert np.isnan(measured([1, 3], [1, 3], 1, **here).row()["local_error_over_tolerance"])
    first, second = m.element_rows(everything=True)
    place = {"quantity": "gradient", "layer": 1, "sample": None, "row": 0}
    numbers = {"hand": 1.0, "torch": 1.5, "error": 0.5, "tolerance": 2.0, "expected": 1.0, "verdict": "ok"}
    assert first == {**here, **place, "name": "dC/dw_00^(1)", "column": 0, **numbers}
    numbers = {"hand": 3.0, "torch": 2.5, "error": 0.5, "tolerance": 0.25, "expected": 0.125, "verdict": "wrong"}
    assert second == {**here, **place, "name": "dC/dw_10^(1)", "column": 1, **numbers}
    (of_sample, _) = measured([[1], [2]], 1, 1, key=("delta", 2)).element_rows(everything=True)
    assert (of_sample["name"], of_sample["sample"], of_sample["row"], of_sample["column"]) == (
        "delta_0^(2)",
        0,
        None,
        0,
    )


def test_of_many_numbers_the_five_worst_are_listed_and_all_that_are_not_ok():
    hand = [0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6, 0.0]
    verdicts = [*[OK] * 8, UNDECIDED]
    listed = [row["hand"] for row in measured(hand, 0, 1, verdicts).element_rows(everything=False)]
    assert listed == [0.9, 0.8, 0.7, 0.4, 0.6, 0.0]


def test_one_network_of_a_stack_is_taken_with_all_that_belongs_to_it():
    stack = measured([[[1, 2]], [[3, 4]]], 5, 6, [[[OK, OK]], [[OK, WRONG]]], local=(7, 8))
    alone = stack.of_network((1,))
    assert (alone.hand.tolist(), alone.torch.tolist(), alone.tolerance.tolist()) == ([[3, 4]], [[5, 5]], [[6, 6]])
    assert (alone.local_torch.tolist(), alone.local_tolerance.tolist()) == ([[7, 7]], [[8, 8]])
    assert (alone.verdict, stack.of_network((0,)).verdict) == ("wrong", "ok")
    assert replace(stack, local_torch=None, local_tolerance=None).of_network((1,)).local_ratio is None
    with pytest.raises(FrozenInstanceError):
        alone.step = 2


# Judging.


def network_problem(activation=("tanh", "identity"), **options):
    rng = np.random.default_rng(3)
    net = Network.random((2, 3, 2), rng=rng, activation=activation)
    return Problem(net.weights, net.activation, rng.standard_normal((4, 2)), rng.standard_normal((4, 2)), **options)


def test_what_is_exactly_as_far_off_as_allowed_passes():
    exact = Problem((np.array([[1.0], [0.0]]),), ("identity",), np.ones((1, 1)), np.ones((1, 1)), atol=0.25)
    for number, verdict in ((1.25, "ok"), (1.25 + 2**-40, "wrong")):
        (m,) = measure(Truth(exact), {("activation", 1): np.array([[number]])})
        assert m.verdict == verdict
        assert (m.case, m.step) == ("", 1)


def test_a_tolerance_as_large_as_the_numbers_decides_nothing_and_none_at_all_decides():
    for atol, verdict in ((1.0, "undecided"), (1e-3, "ok")):
        truth = Truth(network_problem(atol=atol))
        assert measure(truth, {("activation", 1): truth.pairs["activation", 1][0]})[0].verdict == verdict
    dead = Truth(Problem((np.array([[-1.0], [-1.0]]),), ("relu",), np.ones((1, 1)), np.ones((1, 1))))
    (m,) = measure(dead, {("delta", 1): np.zeros((1, 1))})
    assert m.tolerance == 0
    assert m.verdict == "ok"


def test_what_is_no_array_of_numbers_is_refused():
    problem = network_problem()
    for value in ([[1.0], [2.0, 3.0]], "gradient", [[1 + 1j]]):
        with pytest.raises(TypeError, match=r"dC/dW\^\(1\) has dtype .*: expected real numbers"):
            shaped(problem, {("gradient", 1): value})
    arrays, misfits = shaped(problem, {("gradient", 1): np.ones((3, 3), int), ("cost", None): [1.0]})
    assert arrays["gradient", 1].dtype == np.float64
    assert misfits == {("cost", None): "C has shape (1,): expected ()"}


def test_the_bound_on_a_hidden_delta_is_that_of_its_own_layers_activation():
    """Beside the same numbers it is the same, whatever the layer above has for its activation."""
    bounds = []
    for above in ("identity", "tanh"):
        problem = network_problem(("tanh", above))
        given = {("delta", 2): np.ones((4, 2)), ("activation", 1): np.full((4, 3), 0.5), ("delta", 1): np.ones((4, 3))}
        bounds.append(measure(Truth(problem), given)[-1].local_tolerance)
    assert (bounds[0] == bounds[1]).all()
    assert (bounds[0] > 0).all()


# The whole comparison.


def comparison(*parts, sizes=(2, 2), dtype="float64", **others):
    return Comparison(parts, sizes, ("sigmoid",) * (len(sizes) - 1), dtype, **others)


RIGHT = measured([1, 3], [1.5, 2.5], 2, key=("gradient", 1))


def test_it_passes_where_something_is_right_and_nothing_wrong():
    one = measured(1.0, 1.0, 0.5, key=("cost", None))
    assert comparison(RIGHT).passed
    assert comparison(one).passed
    assert not comparison()
    assert not comparison(replace(RIGHT, grades=RIGHT.grades + UNDECIDED))
    for verdict in (INHERITED, WRONG):
        assert not comparison(RIGHT, replace(one, grades=one.grades + verdict))
    assert not comparison(RIGHT, findings=("it raised",))
    # The gradient could be anything.
    assert not comparison(one, replace(RIGHT, tolerance=RIGHT.tolerance * 5))
    # But another step tells it.
    assert comparison(RIGHT, replace(RIGHT, tolerance=RIGHT.tolerance * 5, step=2))
    with pytest.raises(FrozenInstanceError):
        comparison(RIGHT).dtype = "float32"


def test_its_name_says_what_was_compared_and_whether_it_matches():
    assert repr(comparison(RIGHT)) == "<Comparison 2-2, sigmoid, float64: match in 2 numbers>"
    wrong = replace(RIGHT, grades=RIGHT.grades + WRONG)
    assert repr(comparison(wrong)) == "<Comparison 2-2, sigmoid, float64: MISMATCH in 2 numbers>"


HEAD = "quantity    layer  numbers  error/tolerance  local  resolution  verdict\n"


def test_printed_it_is_a_table_and_a_sentence():
    cost = measured(1.0, 1.5, 1, key=("cost", None), local=(1.25, 1))
    assert str(comparison(cost, RIGHT, replace(RIGHT, step=2), remarks=("as expected",))) == (
        HEAD + "cost                     1              0.5   0.25     6.7e-01  ok\n"
        "gradient        1        4             0.25            8.0e-01  ok\n"
        "5 numbers match autograd\n"
        "as expected"
    )
    inherited = replace(RIGHT, grades=RIGHT.grades + INHERITED)
    assert str(comparison(inherited, remarks=("as expected",), replay="again")) == (
        HEAD + "gradient        1        2             0.25            8.0e-01  inherited\n"
        "inherited: its own equation is right, but what it is computed from is wrong\n"
        "dC/dW^(1) is inherited at step 1: dC/dw_00^(1) is 1.0, torch says 1.5 (tolerance 2)\n"
        "as expected\n"
        "Replay: again"
    )
    assert str(comparison()) == "nothing was compared: expected at least one quantity"
    assert str(comparison(findings=("it raised",))) == "it raised"


BLUNT = replace(RIGHT, tolerance=RIGHT.tolerance * 5)


@pytest.mark.parametrize(
    ("parts", "dtype", "numbers", "names", "try_"),
    [
        ([BLUNT], "float32", "2 of 4", "layer 1", "float64, or return activations and deltas"),
        ([BLUNT], "float64", "2 of 4", "layer 1", "smaller weights, or return activations and deltas"),
        ([BLUNT, replace(BLUNT, key=("gradient", 3))], "float32", "4 of 6", "layers 1, 3", "float64, or return"),
        ([measured(1, 1, 2, key=("cost", None))], "float32", "1 of 3", "the cost", "float64, or return"),
    ],
)
def test_what_could_not_be_judged_is_counted_and_what_helps_is_said(parts, dtype, numbers, names, try_):
    said = comparison(replace(RIGHT, key=("gradient", 2)), *parts, dtype=dtype).message()
    expected = f"could not be judged: {numbers} numbers ({names}); {dtype} is too coarse here, try {try_}"
    assert said.startswith(expected)
    both = [replace(RIGHT, key=(quantity, 2)) for quantity in ("activation", "delta", "gradient")]
    for given in (both, both[:2]):
        assert comparison(*given, replace(BLUNT, key=("delta", 1))).message().endswith("try smaller weights")
    # Printed, its row is undecided though no number of it is.
    rows = str(comparison(BLUNT, replace(RIGHT, key=("gradient", 2)))).splitlines()[1:3]
    assert {row.split()[1]: row.split()[-1] for row in rows} == {"1": "undecided", "2": "ok"}


def test_it_is_undecided_only_where_nothing_is_wrong_and_something_could_not_be_judged():
    judged = replace(RIGHT, key=("gradient", 2))
    # Of it no tolerance tells anything, and by the expected one it is suspect.
    suspect = replace(RIGHT, tolerance=RIGHT.tolerance * 5, find_expected=lambda: np.full(RIGHT.hand.shape, 0.1))
    assert suspect.verdict == "suspect"
    assert comparison(judged, BLUNT).answer == "UNDECIDED"
    assert comparison(judged, suspect).answer == "UNDECIDED"
    assert comparison(judged, suspect, strict=True).answer == "MISMATCH"
    assert comparison(judged, BLUNT, findings=("it raised",)).answer == "MISMATCH"
    assert comparison(judged, BLUNT, diagnosis="no bias").answer == "MISMATCH"
    assert comparison(replace(judged, grades=judged.grades + WRONG), BLUNT).answer == "MISMATCH"
    assert comparison().answer == "MISMATCH"
    assert comparison(judged).answer == "match"


def test_what_could_not_be_judged_stands_below_what_is_suspect_and_not_below_what_is_wrong():
    blunt, suspect = BLUNT, replace(RIGHT, key=("gradient", 2), find_expected=lambda: np.full(RIGHT.hand.shape, 0.1))
    first, *rest = comparison(suspect, strict=True).message().split("\n")
    assert first.startswith("dC/dW^(2) is suspect at step 1")
    assert not rest
    first, second = comparison(suspect, blunt, strict=True).message().split("\n")
    assert second.startswith("could not be judged: 2 of 4 numbers (layer 1)")
    wrong = replace(suspect, grades=suspect.grades + WRONG)
    assert "\n" not in comparison(wrong, blunt).message()


def test_one_number_that_the_expected_tolerance_alone_tells_from_zero_is_enough():
    assert comparison(measured(1.0, 1.0, 5.0, UNDECIDED, key=("cost", None), expected=0.5)).passed
    assert not comparison(measured(1.0, 1.0, 5.0, UNDECIDED, key=("cost", None), expected=1.5)).passed


def test_its_rows_stand_in_the_order_of_the_computation_whatever_the_depths():
    keys = [("delta", 1), ("activation", 2), ("delta", 2), ("activation", 1), ("delta", 3)]
    rows = str(comparison(*(replace(RIGHT, key=key) for key in keys))).splitlines()[1:6]
    order = [tuple(row.split()[:2]) for row in rows]
    assert order == [("activation", "1"), ("activation", "2"), ("delta", "3"), ("delta", "2"), ("delta", "1")]


def test_every_observer_is_told_of_it(monkeypatch):
    told = []
    monkeypatch.setattr("comparisons.verdict.comparison.OBSERVERS", [told.append, told.append])
    one = comparison(RIGHT)
    assert told == [one, one]


def test_what_is_said_once_does_not_count_others():
    assert one_line_each([("raised", "2-2", 1, "no")]) == ["on 2-2: no"]
    assert one_line_each([("raised", "2-2", 1, "no"), ("raised", "", 3, "no")]) == [
        "on 2-2: no; 1 more like it on 2-2, in layers 1, 3"
    ]


def test_where_the_first_wrong_number_is_found_it_is_named_without_a_diagnosis():
    wrong = measured([1, 4], [1.5, 2.5], 1, [OK, WRONG], step=3)
    said = "dC/dW^(1) is wrong at step 3: dC/dw_10^(1) is 4.0, torch says 2.5 (tolerance 1)"
    inherited = replace(RIGHT, grades=RIGHT.grades + INHERITED)
    assert comparison(inherited, wrong).message() == said
    with pytest.raises(MismatchError) as caught:
        comparison(wrong).assert_close()
    assert caught.traceback[-1].frame.f_locals["__tracebackhide__"]
    comparison(RIGHT).assert_close()
    diagnosed = comparison(wrong, findings=("it raised",), diagnosis="no bias", remarks=("odd",))
    assert diagnosed.message() == "it raised\nno bias\nodd"
    undecided = replace(RIGHT, grades=RIGHT.grades + UNDECIDED)
    assert comparison(undecided).message().startswith("nothing was decided")
    mixed = replace(RIGHT, grades=np.array([[OK, UNDECIDED]], np.int8))
    assert comparison(mixed).message() == "1 numbers match autograd, 1 undecided"


def test_of_a_step_with_more_than_1000_numbers_only_the_worst_are_listed():
    def listed(*counts):
        parts = [measured(np.ones(count), 1.5, 1, key=("gradient", l)) for l, count in enumerate(counts)]
        assert len(comparison(*parts).elements()) == sum(counts)
        assert len(comparison(*parts).tables(everything=True)["elements.csv"]) == sum(counts)
        assert len(comparison(*parts).tables()["elements.csv"]) == len(comparison(*parts).elements(everything=False))
        return len(comparison(*parts).elements(everything=False))

    assert listed(600, 400) == 1000
    assert listed(600, 401) == 10
    assert len(comparison(RIGHT, replace(RIGHT, step=2)).elements(everything=False)) == 4


def test_the_tables_have_the_training_where_there_was_one_and_go_where_they_are_sent(tmp_path):
    without = comparison(RIGHT)
    assert list(without.tables()) == ["comparison.csv", "elements.csv"]
    trained = replace(without, training_rows=(("", 1, 0.5, 0.5, 0.0),))
    assert list(trained.tables()) == ["comparison.csv", "elements.csv", "training.csv"]
    trained.to_csv(tmp_path / "new" / "folder")
    assert pd.read_csv(tmp_path / "new" / "folder" / "training.csv")["cost_hand"].tolist() == [0.5]
    write_csv(trained.tables(), tmp_path / "new" / "folder")


def test_what_the_data_cannot_show_is_looked_for_where_that_is_cheap_or_was_done():
    def said(numbers, looked=False):
        many = measured(np.ones(numbers), 1.5, 1)
        blind = comparison(many, find_blind=lambda: ("no_bias",))
        if looked:
            assert blind.blind == ("no_bias",)
        return str(blind).splitlines()[-1]

    found = "this data cannot show 1 kind of mistake; comparison.blind lists them"
    assert said(50_000) == found
    assert said(50_001) == "comparison.blind finds which known mistakes this data cannot show"
    assert said(50_001, looked=True) == found
    assert str(comparison(RIGHT)).endswith("2 numbers match autograd")
    calls = []
    once = comparison(RIGHT, find_blind=lambda: calls.append(1) or ("no_bias",))
    assert once.blind == once.blind
    assert len(calls) == 1


AVERAGING = "with one sample, mistakes in averaging do not show"
KEPT = "with one step, what is kept from the step before does not show"
OUTPUTS = "with one output, a mean over the outputs does not show"
BIASES = "where biases are not trained, leaving them out does not show"
FIXED, TRAINED = SimpleNamespace(train_biases=False), SimpleNamespace(train_biases=True)


@pytest.mark.parametrize(
    ("blind", "how", "why"),
    [
        (("batch_sum",), {"batch": 1}, AVERAGING),
        (("weight_averaged_twice",), {"batch": 1}, AVERAGING),
        (("no_bias",), {"batch": 1}, ""),
        (("batch_sum",), {"batch": 2}, ""),
        (("batch_sum",), {"batch": 0}, ""),
        (("accumulated_gradient",), {"step": 1}, KEPT),
        (("accumulated_gradient",), {"step": 2}, ""),
        (("accumulated_gradient",), {"step": 0}, ""),
        (("no_bias",), {"step": 1}, ""),
        (("output_mean",), {"sizes": (2, 1)}, OUTPUTS),
        (("output_mean",), {"sizes": (1, 2)}, ""),
        (("output_mean",), {"sizes": (2, 1, 2)}, ""),
        (("output_mean",), {"sizes": (2, 2, 1)}, OUTPUTS),
        (("no_bias",), {"sizes": (2, 1)}, ""),
        (("bias_not_updated",), {"problems": {1: TRAINED, 2: FIXED}}, BIASES),
        (("bias_not_updated",), {"problems": {1: TRAINED}}, ""),
        (("no_bias",), {"problems": {1: FIXED}}, ""),
        (("batch_sum", "accumulated_gradient"), {"batch": 1, "step": 1}, f"{AVERAGING}; {KEPT}"),
    ],
)
def test_why_mistakes_cannot_show_is_said_where_that_is_plain(blind, how, why):
    how = {"batch": 3, "step": 3, "sizes": (2, 2), "problems": {}, **how}
    problems, sizes = how.pop("problems"), how["sizes"]
    part = measured([1.0], [1.0], 0.5, **how)
    kinds = comparison(part, sizes=sizes, problems=problems, find_blind=lambda: blind).blind_kinds()
    count = "1 kind" if len(blind) == 1 else f"{len(blind)} kinds"
    assert kinds == f"{count} of mistake" + (f" ({why})" if why else "")


# What was asked and answered.


def test_a_trial_is_taken_apart_and_put_together():
    problem = network_problem()
    truth = Truth(problem)
    gradient, cost = ("gradient", 1), ("cost", None)
    first = Trial(
        (truth,), ({gradient: 1.0, cost: 2.0},), "here", 1, frozenset({cost}), frozenset({gradient}), "linear"
    )
    second = Trial((truth,), ({gradient: 3.0},), "there", 2, frozenset({gradient}), frozenset({cost}), summed=True)
    both = first.then(second)
    assert both.actual == ({gradient: 1.0, cost: 2.0}, {gradient: 3.0})
    assert both.misshapen == both.turned == {gradient, cost}
    assert (both.case, both.step, both.layout, both.summed, len(both.truths)) == ("here", 1, "linear", False, 2)
    assert both.where(cost.__ne__).actual == ({gradient: 1.0}, {gradient: 3.0})
    last = both.of_last_step()
    assert (last.actual, last.step, last.truths) == (({gradient: 3.0},), 2, (truth,))
    assert replace(both, step=5).of_last_step().step == 6
    answers = list(replace(both, misshapen=frozenset({cost})).answers())
    assert [answer[:3] for answer in answers] == [(0, gradient, 1.0), (1, gradient, 3.0)]
    assert all(answer[3] is truth.derived[gradient] for answer in answers)
    assert Trial((truth,), ({},)) == Trial((truth,), ({},), "", 1, frozenset(), frozenset(), "", False)
    with pytest.raises(FrozenInstanceError):
        both.step = 3
    with pytest.raises(ValueError, match="shorter"):
        list(replace(both, actual=both.actual[:1]).answers())


def test_of_a_trial_the_first_step_with_one_sample_is_taken_alone():
    whole = network_problem()
    several = [replace(whole, inputs=whole.inputs[:n], targets=whole.targets[:n]) for n in (4, 2, 1, 1, 3)]
    truths, given = tuple(map(Truth, several)), tuple({("cost", None): float(i)} for i in range(5))
    single = Trial(truths, given, step=2).of_single_samples()
    assert (single.truths, single.actual, single.step) == (truths[2:3], given[2:3], 4)
    none = Trial(truths[:2], given[:2]).of_single_samples()
    assert (none.truths, none.actual) == ((), ())


def test_what_came_in_another_shape_or_transposed_has_another_shape():
    keys = frozenset({("gradient", 1)})
    assert not Trial((), ()).has_other_shapes
    assert Trial((), (), misshapen=keys).has_other_shapes
    assert Trial((), (), turned=keys).has_other_shapes


def test_one_network_of_a_stack_is_asked_and_answers_alone():
    rng = np.random.default_rng(3)
    net = Network.random((2, 2), rng=rng, stack=(3,))
    problem = Problem(net.weights, net.activation, rng.standard_normal((3, 4, 2)), rng.standard_normal((3, 4, 2)))
    truth = Truth(problem)
    trial = Trial((truth,), (truth.run.quantities(),))
    assert trial.stack_axes == 1
    alone = trial.of_network((2,))
    assert alone.stack_axes == 0
    assert (alone.truths[0].problem.weights[0] == problem.weights[0][2]).all()
    assert (alone.actual[0]["gradient", 1] == trial.actual[0]["gradient", 1][2]).all()
