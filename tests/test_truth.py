"""The bounds of the note's own network, written out, and those made operation by operation say the same."""

import numpy as np
import pytest

from comparisons.reference.quantities import Problem, Statement
from comparisons.reference.truth import ByFormulas, ByOperations, Truth, by_formulas, find_together
from comparisons.reference.twin import Twin
from comparisons.verdict.judging import Local, measure
from handnet import Network


def problem_of(rng, dtype):
    layers = int(rng.integers(1, 4))
    sizes = [int(m) for m in rng.integers(1, 8, layers + 1)]
    activation = tuple(map(str, rng.choice(["sigmoid", "tanh", "relu", "identity"], layers)))
    net = Network.random(sizes, rng=rng, activation=activation, dtype=dtype)
    samples = int(rng.integers(1, 9))
    x, t = rng.standard_normal((samples, sizes[0])), rng.random((samples, sizes[-1]))
    return Problem(net.weights, net.activation, x.astype(dtype), t.astype(dtype))


@pytest.fixture(scope="module", params=["float64", "float32"])
def truths(request):
    rng = np.random.default_rng(3)
    return [Truth(problem_of(rng, request.param)) for _ in range(10)]


def ratio_of(others, bound):
    """How much larger one bound is than the other, typically; nothing where there is none."""
    there = (bound > 0) & np.isfinite(bound)
    return [float(np.median(others[there] / bound[there]))] if there.any() else []


def test_both_ways_give_torchs_own_numbers(truths):
    for truth in truths:
        run, _ = ByOperations(truth).run()
        for key, value in truth.run.quantities().items():
            assert np.array_equal(run.quantities()[key], value), key


def test_both_ways_give_the_same_bounds_of_the_whole_model(truths):
    ratios = {}
    for truth in truths:
        assert isinstance(truth.bounding, ByFormulas)
        _, bounds = ByOperations(truth).run()
        for key, bound in bounds.quantities().items():
            ratios.setdefault(key[0], []).extend(ratio_of(bound, truth.bounds.quantities()[key]))
    medians = {quantity: np.median(values) for quantity, values in ratios.items()}
    # Each way leaves room for something that the other does not; neither is blunt.
    assert all(0.5 < median < 1.1 for median in medians.values()), medians


def test_both_ways_give_the_same_bounds_of_one_equation(truths):
    ratios = {}
    for truth in truths:
        local = Local(truth, truth.run.quantities())
        for key in truth.run.quantities():
            upstream = [local.actual[above] for above in local.upstream(key)]
            (value, bound), (other, others) = (
                way.local(key, upstream) for way in (truth.bounding, ByOperations(truth))
            )
            assert np.allclose(value, other, rtol=1e-5), key
            ratios.setdefault(key[0], []).extend(ratio_of(others, np.broadcast_to(bound, others.shape)))
    medians = {quantity: np.median(values) for quantity, values in ratios.items()}
    assert all(0.4 < median < 1.5 for median in medians.values()), medians


def test_only_the_notes_own_network_has_its_bounds_written_out(rng):
    problem = problem_of(rng, "float64")
    assert by_formulas(problem)
    for stated in (Statement("squared_error"), Statement(l2=0.1), Statement(reduction="sum"), Statement(biases=False)):
        assert not by_formulas(
            Problem(problem.weights, problem.activation, problem.inputs, problem.targets, stated=stated)
        )


@pytest.mark.parametrize(("units", "verdict"), [(8, "ok"), (60, "wrong")])
def test_the_slope_of_elu_as_a_plus_one_is_right_and_ten_times_its_rounding_is_not(units, verdict):
    """Far below 0 the sum a + 1 keeps few digits of e^z, which torch computes."""
    weights, u = (np.array([[-2.0], [0.0]]),), np.finfo(float).eps / 2
    truth = Truth(Problem(weights, ("elu",), np.array([[1.0]]), np.array([[0.5]])))
    right = truth.run.deltas[0]
    (measured,) = measure(truth, {("delta", 1): right + units * u * (truth.run.activations[0] - 0.5)})
    assert measured.verdict == verdict


def test_the_expected_tolerances_of_a_training_are_found_at_once_and_are_those_of_each_step(monkeypatch):
    rng = np.random.default_rng(5)
    net = Network.random((4, 6, 3), rng=rng, activation=("tanh", "sigmoid"))
    problems = [
        Problem(net.update(net.weights, 0.1 * i).weights, net.activation, rng.random((n, 4)), rng.random((n, 3)))
        for i, n in enumerate((8, 8, 8, 5))
    ]
    alone = [Truth(problem).expected for problem in problems]
    stacks, run = [], Twin.bounded_run
    monkeypatch.setattr(Twin, "bounded_run", lambda twin, *how: stacks.append(twin.stack) or run(twin, *how))
    truths = [Truth(problem) for problem in problems]
    find_together(truths)
    for truth, tolerances in zip(truths, alone, strict=True):
        for key, tolerance in tolerances.items():
            # In a stack torch takes other operations: a bias is added after the product.
            assert (truth.expected[key] > 0.8 * tolerance).all()
            assert (truth.expected[key] < 1.25 * tolerance).all()
    assert stacks == [(3,), (1,)]


def test_a_softplus_is_judged_by_what_torchs_own_leaves_out_beyond_20():
    """Softplus of 25 is 25 + 1.4e-11."""
    truth = Truth(Problem((np.array([[25.0], [0.0]]),), ("softplus",), np.ones((1, 1)), np.zeros((1, 1))))
    right, short = 25 + np.log1p(np.exp([[-25.0]])), np.array([[25.0]])
    verdicts = [measure(truth, {("activation", 1): a})[0].verdict for a in (right, short)]
    assert verdicts == ["ok", "wrong"]
