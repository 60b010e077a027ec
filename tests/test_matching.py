"""Which known mistakes explain the numbers: those that give them, that can be the cause, and in what order."""

from dataclasses import replace

import numpy as np
import pytest

from comparisons.diagnosis.matching import explanations, factor_of_all
from comparisons.mistakes.effects import MARGIN
from comparisons.mistakes.lineup import mistaken_steps
from comparisons.mistakes.variants import Variant
from comparisons.reference.quantities import Problem
from comparisons.reference.truth import Truth
from comparisons.verdict.judging import measure
from comparisons.verdict.trial import Trial
from handnet import Network


def network_problem(sizes=(2, 3, 2), activation="tanh", scale=1.0):
    rng = np.random.default_rng(7)
    net = Network.random(sizes, rng=rng, activation=activation)
    samples = (scale * rng.standard_normal((4, m)) for m in (sizes[0], sizes[-1]))
    return Problem(tuple(scale * w for w in net.weights), net.activation, *samples)


def right(problem):
    return {key: pair[0] for key, pair in Truth(problem).pairs.items()}


def mistaken(problem, *mistakes, placement="everywhere"):
    (step,) = mistaken_steps(Variant(mistakes, placement), [problem])
    return {key: step[key] for key in right(problem)}


def explained(*asked, **others):
    """The explanations of what was given for these problems, as text."""
    trials = [Trial((Truth(problem),), (given,), case=str(i), **others) for i, (problem, given) in enumerate(asked)]
    judged = [m for trial in trials for m in measure(trial.truths[0], trial.actual[0], case=trial.case)]
    return [str(variant) for variant in explanations(trials, next(m for m in judged if m.verdict == "wrong"))]


def only(given, *quantities):
    return {key: value for key, value in given.items() if key[0] in quantities}


# Alone, in some layers, two.


def test_of_gradients_alone_the_cause_may_be_the_delta_and_the_frequent_mistake_comes_first():
    problem = network_problem()
    named = explained((problem, only(mistaken(problem, "batch_sum"), "gradient")))
    assert named[:2] == ["batch_sum", "gradient_batch_sum"]
    with_deltas = only(mistaken(problem, "gradient_batch_sum"), "activation", "delta", "gradient")
    assert explained((problem, with_deltas)) == ["gradient_batch_sum"]


def test_of_weights_alone_a_mistake_in_the_step_comes_first():
    problem = network_problem()
    named = explained((problem, only(mistaken(problem, "bias_not_updated"), "weight")))
    assert named[:2] == ["bias_not_updated", "bias_not_trained"]


def test_a_mistake_in_one_layer_is_named_so_and_not_where_it_is_the_same_everywhere():
    problem = network_problem()
    assert explained((problem, mistaken(problem, "no_bias", placement="layer 2"))) == ["no_bias (layer 2)"]
    assert explained((problem, mistaken(problem, "no_hidden_slope", placement="layer 1"))) == ["no_hidden_slope"]


def test_two_mistakes_are_looked_for_where_none_alone_explains_the_numbers():
    problem = network_problem()
    given = mistaken(problem, "no_bias", "ascent")
    assert explained((problem, given)) == ["no_bias + ascent"]
    assert explained((problem, {**given, ("cost", None): given["cost", None] + 1})) == []
    assert explanations([Trial((Truth(problem),), ({},))], measure(Truth(problem), given)[0]) == []


def test_zeros_on_all_sides_are_no_reason_against_a_mistake():
    weights = (np.array([[-1.0, -1.0], [-1.0, -2.0]]), np.array([[1.0], [2.0], [0.5]]))
    problem = Problem(weights, ("relu", "identity"), np.array([[1.0], [2.0]]), np.array([[3.0], [1.0]]))
    assert not Truth(problem).pairs["delta", 1][0].any()
    assert "reversed_error" in explained((problem, mistaken(problem, "reversed_error")))


OBLONG, SQUARE = network_problem(), network_problem((3, 3, 3))


@pytest.mark.parametrize(
    ("how", "named"),
    [({}, False), ({"misshapen": frozenset({("delta", 1)})}, True), ({"turned": frozenset({("delta", 1)})}, True)],
)
def test_what_does_not_fit_the_shapes_cannot_have_given_the_right_one(how, named):
    asked = (OBLONG, right(OBLONG)), (SQUARE, mistaken(SQUARE, "no_transpose"))
    assert ("no_transpose" in explained(*asked, **how)) == named


# How near.


def narrow(weight, bias, **options):
    """A neuron in float32: what is given in float64 then lies exactly where it is put."""
    weights = (np.array([[weight], [bias]], np.float32),)
    options = {"activation": ("identity",), "target": 0.0, "learning_rate": 0.5, **options}
    target = np.array([[options.pop("target")]], np.float32)
    return Problem(weights, options.pop("activation"), np.ones((1, 1), np.float32), target, **options)


@pytest.mark.parametrize(("times", "named"), [(100.4, True), (99.6, False)])
def test_a_mistake_is_at_least_a_hundred_times_nearer_than_autograd(times, named):
    step = 2.0**-14
    problem = narrow(1.0, 1.0, target=1.0, learning_rate=step)
    given = right(problem)["weight", 1].copy()
    assert given[1, 0] == 1 - step
    # So far from the bias not updated, which is a step from autograd's: t - 1 and 1 of t parts.
    given[1, 0] = 1 - step / (times + 1)
    assert bool(explained((problem, {("weight", 1): given}))) == named


@pytest.mark.parametrize(("units", "named"), [(126, True), (130, False)])
def test_beside_zeros_alone_sixteen_times_eight_units_are_rounding(units, named):
    problem = narrow(-1.0, -1.0, activation=("relu",), target=-1.0)
    given = {("delta", 1): np.array([[1 + units * 2.0**-23]])}
    assert ("no_output_slope" in explained((problem, given))) == named


# Single precision.


def in_float32(problem):
    """The right numbers, computed in float32."""
    cast = replace(
        problem,
        weights=tuple(w.astype(np.float32) for w in problem.weights),
        inputs=problem.inputs.astype(np.float32),
        targets=problem.targets.astype(np.float32),
    )
    return {key: np.asarray(value, np.float64) for key, value in Truth(cast).run.quantities().items()}


def of_rounded(problem):
    """The right numbers of weights and samples rounded to float32."""
    cast = replace(
        problem,
        weights=tuple(w.astype(np.float32).astype(np.float64) for w in problem.weights),
        inputs=problem.inputs.astype(np.float32).astype(np.float64),
        targets=problem.targets.astype(np.float32).astype(np.float64),
    )
    return right(cast)


@pytest.mark.parametrize("how", [in_float32, of_rounded])
def test_numbers_right_to_float32_are_single_precision(how):
    problem = network_problem()
    assert explained((problem, how(problem))) == ["single_precision"]
    # Where some are right to float64, as what is no number of the weights is.
    mixed = {**how(problem), ("activation", 1): right(problem)["activation", 1]}
    assert explained((problem, mixed)) == ["single_precision"]
    first_right = only(right(problem), "activation", "cost", "delta") | only(how(problem), "gradient", "weight")
    assert explained((problem, first_right)) == ["single_precision"]


def test_numbers_too_far_off_for_float32_are_not_single_precision_though_they_are_float32():
    # Small ones: what float32 does to a 1 would be more than what is wrong with them.
    problem = network_problem(activation="identity", scale=0.03)
    assert explained((problem, in_float32(problem))) == ["single_precision"]
    for off in (1e-4, 2e-3):
        given = right(problem)
        for key in (("gradient", 1), ("gradient", 2)):
            given[key] = (given[key] * (1 + off)).astype(np.float32).astype(np.float64)
        assert explained((problem, only(given, "gradient"))) == []


def test_numbers_as_near_as_float32_but_neither_float32_nor_of_rounded_weights_are_not_single_precision():
    problem = network_problem()
    given = {key: value * (1 + 3e-8) for key, value in right(problem).items()}
    assert explained((problem, given)) == []


# Under a factor.


def scaled(given, factor):
    return {key: value * factor if key[0] in ("delta", "gradient") else value for key, value in given.items()}


def test_under_a_factor_of_all_derivatives_the_mistake_is_found_and_the_factor_said():
    few, many = (network_problem((2, 3, 4, 2)) for _ in range(2))
    many = replace(many, inputs=np.tile(many.inputs, (2, 1)) ** 2, targets=np.tile(many.targets, (2, 1)))
    parts = ("activation", "delta", "gradient")
    asked = [(p, only(mistaken(p, "no_hidden_slope"), *parts)) for p in (few, many)]
    named = explained(*((p, scaled(given, -2 * len(p.inputs))) for p, given in asked))
    assert named == ["-2 N times no_hidden_slope"]
    # Another number of samples, the same factor: it is a number, and no N.
    assert explained(*((p, scaled(given, 0.37)) for p, given in asked)) == ["0.37 times no_hidden_slope"]
    # What fits the first question alone is no explanation, however near.
    first, second = (scaled(given, 0.37) for _, given in asked)
    second[("gradient", 1)][0, 0] *= 1 + 1e-8
    assert explained((few, first), (many, second)) == []
    # A factor that changes from one question to the next is none.
    assert explained(*((p, scaled(given, f)) for (p, given), f in zip(asked, (0.37, 0.71), strict=True))) == []


def test_under_a_factor_two_mistakes_are_found_too():
    problem = network_problem((2, 3, 4, 2))
    given = only(mistaken(problem, "no_output_slope", "no_hidden_slope"), "gradient")
    assert explained((problem, scaled(given, 12.0))) == ["12 times no_output_slope + no_hidden_slope"]


def test_where_a_factor_is_all_that_is_wrong_no_mistake_is_named():
    problem = network_problem()
    assert explained((problem, scaled(only(right(problem), "gradient"), 0.37))) == []


def test_of_weights_after_the_step_the_factor_is_that_of_the_step():
    problem = network_problem((2, 3, 4, 2))
    new = only(mistaken(problem, "no_hidden_slope"), "weight")
    given = {(name, l): problem.weights[l - 1] + 0.37 * (w - problem.weights[l - 1]) for (name, l), w in new.items()}
    assert explained((problem, given)) == ["0.37 times no_hidden_slope"]


def two_questions():
    """The same network with four samples and with eight."""
    few = network_problem((2, 3, 4, 2))
    inputs, targets = (np.tile(part, (2, 1)) for part in (few.inputs**2, few.targets))
    return few, replace(few, inputs=inputs, targets=targets)


def test_deltas_that_are_n_times_too_small_are_taken_for_what_they_are_without_their_mean():
    def named(power, *parts):
        asked = [(p, only(mistaken(p, "no_output_slope", "no_hidden_slope"), *parts)) for p in two_questions()]
        return explained(*((p, scaled(given, float(len(p.inputs)) ** power)) for p, given in asked))

    both = "no_output_slope + no_hidden_slope"
    assert named(-1, "gradient") == [f"1 / N times {both}"]
    assert named(-1, "delta", "gradient") == []
    assert named(1, "delta", "gradient") == [f"N times {both}"]
    few, _ = two_questions()
    for parts, expected in ((("gradient",), [f"1 / N times {both}"]), (("delta", "gradient"), [])):
        given = only(mistaken(few, "no_output_slope", "no_hidden_slope"), *parts)
        assert explained((few, scaled(given, 1 / len(few.inputs)))) == expected


def test_a_factor_is_in_no_activation():
    problem = network_problem()
    given = {**only(right(problem), "activation"), **scaled(only(mistaken(problem, "no_bias"), "gradient"), 0.37)}
    assert explained((problem, given)) == []
    assert explained((problem, only(given, "gradient"))) == ["0.37 times no_bias"]


@pytest.mark.parametrize(("of_allowed", "named"), [(0.9, ["1000000 times no_hidden_slope"]), (1.2, [])])
def test_what_is_allowed_grows_with_the_factor(of_allowed, named):
    problem = network_problem((2, 3, 4, 2))
    given = scaled(only(mistaken(problem, "no_hidden_slope"), "gradient"), 1e6)
    key = ("gradient", 2)
    expected, tolerance = Truth(problem).pairs[key]
    largest = np.unravel_index(np.abs(given[key]).argmax(), given[key].shape)
    # More than the rounding of a few operations alone would allow.
    relative = tolerance.max() / np.abs(expected).max()
    assert relative > 2 * 8 * np.finfo(float).eps
    given[key][largest] *= 1 + of_allowed * MARGIN * relative
    assert explained((problem, given)) == named


@pytest.mark.parametrize(("off", "named"), [(3.0, []), (1000.0, ["1.1 times no_bias"])])
@pytest.mark.parametrize("quantity", ["gradient", "weight"])
def test_under_a_factor_too_a_mistake_must_be_far_nearer_than_autograd(quantity, off, named):
    problem = network_problem((2, 3, 2), activation="identity")

    def with_biases(size):
        weights = [np.vstack([w[:-1], np.full((1, w.shape[1]), size)]) for w in problem.weights]
        return replace(problem, weights=tuple(weights))

    def steps(problem, factor=1.0):
        """What was computed with the mistake, of weights what the step adds to them."""
        start = {("weight", l): w for l, w in enumerate(problem.weights, start=1)}
        given = only(mistaken(problem, "no_bias"), quantity)
        return {k: start.get(k, 0.0) + factor * (value - start.get(k, 0.0)) for k, value in given.items()}

    # With biases of this size it lies so many times what is allowed from autograd, and what was given a little more.
    tried = with_biases(1e-4)
    allowed, apart = {}, {}
    for k, value in steps(tried).items():
        expected, tolerance = Truth(tried).pairs[k]
        largest = np.abs(expected - (tried.weights[k[1] - 1] if quantity == "weight" else 0.0)).max()
        allowed[k] = MARGIN * max(tolerance.max() / 1.1, 8 * np.finfo(float).eps * largest)
        apart[k] = value - expected
    biased = with_biases(1e-4 * off / max(np.abs(apart[k]).max() / allowed[k] for k in apart))
    given = {k: value + 0.8 * allowed[k] * np.sign(apart[k]) for k, value in steps(biased, 1.1).items()}
    assert explained((biased, given)) == named


def test_in_however_many_chunks_the_mistakes_are_tried_the_same_are_found(monkeypatch):
    problem = network_problem((2, 3, 4, 2))
    given = only(mistaken(problem, "no_hidden_slope"), "gradient")
    monkeypatch.setattr(
        "comparisons.diagnosis.matching.in_chunks", lambda variants, _: ((i, [v]) for i, v in enumerate(variants))
    )
    assert explained((problem, given)) == ["no_hidden_slope"]
    assert explained((problem, scaled(given, 0.37))) == ["0.37 times no_hidden_slope"]


# A factor alone.


def factor_alone(*factors, sizes=(2, 3)):
    """What is said of gradients that are so many times autograd's, one question for each factor."""
    trials = []
    for i, factor in enumerate(factors):
        rng = np.random.default_rng(i)
        net = Network.random(sizes, rng=rng)
        problem = Problem(
            net.weights, net.activation, rng.standard_normal((4 + 3 * i, sizes[0])), rng.random((4 + 3 * i, sizes[1]))
        )
        trials.append(Trial((Truth(problem),), (scaled(only(right(problem), "gradient"), factor),)))
    return factor_of_all(trials)


def test_a_factor_of_all_derivatives_is_a_number_and_what_it_is_of_the_sizes():
    assert factor_alone(0.37) == ("0.37", "")
    assert factor_alone(2.0) == ("2", "")
    assert factor_alone(-2.0, -2.0) == ("-2", "")
    assert factor_alone(2 / 3, 2 / 3) == ("0.6666666667", "2 / m_L")
    assert factor_alone(4.0, 7.0) == ("N", "")
    assert factor_alone(0.37, 0.38) == ("", "")
    # Of six numbers, and not of four.
    assert factor_alone(0.37, sizes=(1, 3)) == ("0.37", "")
    assert factor_alone(0.37, sizes=(1, 2)) == ("", "")


def test_a_factor_of_all_derivatives_is_found_where_a_layer_is_dead():
    weights = (np.array([[-1.0, -1.0], [-1.0, -2.0]]), np.array([[1.0], [2.0], [0.5]]))
    problem = Problem(weights, ("relu", "identity"), np.array([[1.0], [2.0]]), np.array([[3.0], [1.0]]))
    given = scaled(only(right(problem), "gradient"), 0.37)
    assert not given["gradient", 1].any()
    assert factor_of_all([Trial((Truth(problem),), (given,))]) == ("0.37", "")
