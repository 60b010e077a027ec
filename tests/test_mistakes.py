from dataclasses import asdict

import numpy as np
import pytest

from comparisons.checks import hand_quantities
from comparisons.mistakes.effects import reference_steps
from comparisons.mistakes.known import MISTAKES
from comparisons.mistakes.lineup import Lineup, mistaken_steps
from comparisons.mistakes.seams import SEAMS, NotApplicable, Seams
from comparisons.mistakes.variants import Variant, applicable, overridden, pairs, singles
from comparisons.reference.quantities import Problem, Statement
from comparisons.reference.truth import Truth
from comparisons.verdict.judging import measure
from handnet import Network

SIZES = (4, 4, 4, 4)
OWN = {name: (f"{name}_slope", f"{name}_slope_at_z", f"{name}_activation") for name in ("sigmoid", "tanh")}


@pytest.fixture(params=["sigmoid", "tanh"])
def problem(rng, request):
    net = Network.random(SIZES, rng=rng, activation=request.param)
    return Problem(net.weights, net.activation, rng.standard_normal((6, 4)), rng.standard_normal((6, 4)))


@pytest.mark.parametrize("stack", [(), (3,)], ids=["alone", "stack"])
@pytest.mark.parametrize("train_biases", [True, False])
def test_without_a_mistake_the_seams_are_the_network_bit_for_bit(rng, stack, train_biases):
    net = Network.random((3, 5, 4, 2), rng=rng, activation=["tanh", "relu", "sigmoid"], stack=stack)
    x, t = rng.standard_normal((6, 3)), rng.standard_normal((6, 2))
    problem = Problem(net.weights, net.activation, x, t, train_biases=train_biases)
    expected, _ = hand_quantities(net, problem)
    apart = Seams(problem).run()
    (in_a_lineup,) = mistaken_steps(Variant(()), [problem])
    for key, value in expected.items():
        assert (apart[key] == value).all(), key
        assert (in_a_lineup[key] == value).all(), key


# Where each mistake shows first, on a network of three square layers.
FIRST = {
    "no_bias": ("activation", 1),
    "output_not_activated": ("activation", 3),
    "no_output_slope": ("delta", 3),
    "reversed_error": ("delta", 3),
    "targets_broadcast": ("cost", None),
    "outputs_broadcast": ("cost", None),
    "no_half": ("cost", None),
    "batch_sum": ("cost", None),
    "averaged_twice": ("cost", None),
    "output_mean": ("cost", None),
    "mse_loss": ("cost", None),
    "averaged_over_inputs": ("cost", None),
    "cost_no_half": ("cost", None),
    "cost_batch_sum": ("cost", None),
    "cost_output_mean": ("cost", None),
    "cost_mse_loss": ("cost", None),
    "slope_of_activation": ("delta", 3),
    "slope_of_preactivation": ("delta", 3),
    "tanh_slope": ("delta", 3),
    "sigmoid_slope": ("delta", 3),
    "slope_one_minus_a": ("delta", 3),
    "slope_is_activation": ("delta", 3),
    "relu_slope": ("delta", 3),
    **{name: ("delta", 3) for name in MISTAKES if name.endswith(("_slope_at_z", "_slope_at_a"))},
    "elu_slope": ("delta", 3),
    "softplus_slope": ("delta", 3),
    "no_hidden_slope": ("delta", 2),
    "error_passed_down": ("delta", 2),
    "slope_at_gradient": ("delta", 3),
    "slope_in_terms_of_gradient": ("delta", 3),
    "no_transpose": ("delta", 2),
    "updated_weights": ("delta", 2),
    "wrong_weights": ("delta", 2),
    "wrong_row_stripped": ("delta", 2),
    "last_column_stripped": ("delta", 2),
    "wrong_layer_below": ("gradient", 3),
    "output_for_input": ("gradient", 1),
    "output_delta": ("gradient", 2),
    "last_sample_only": ("gradient", 3),
    "bias_not_trained": ("gradient", 3),
    "bias_without_slope": ("gradient", 3),
    "bias_from_weights": ("gradient", 3),
    "bias_sum_of_all": ("gradient", 3),
    "bias_mean_of_all": ("gradient", 3),
    "gradient_batch_sum": ("gradient", 3),
    "weight_batch_sum": ("gradient", 3),
    "bias_batch_sum": ("gradient", 3),
    "gradient_averaged_twice": ("gradient", 3),
    "weight_averaged_twice": ("gradient", 3),
    "bias_averaged_twice": ("gradient", 3),
    "transposed_gradient": ("gradient", 3),
    "bias_not_updated": ("weight", 3),
    "ascent": ("weight", 3),
    "no_learning_rate": ("weight", 3),
    "first_layer_not_trained": ("weight", 1),
    "sigmoid_activation": ("activation", 1),
    "tanh_activation": ("activation", 1),
    "relu_activation": ("activation", 1),
    "identity_activation": ("activation", 1),
    "single_precision": ("activation", 1),
}


# Those that need another cost, a penalty or an activation: of which network, and what they make wrong first.
BINARY, MANY = Statement("binary_cross_entropy"), Statement("cross_entropy")
STATED = {
    "output_slope_kept": (BINARY, ("tanh", "sigmoid"), ("delta", 2)),
    "wrong_logarithm": (BINARY, ("tanh", "sigmoid"), ("cost", None)),
    "softmax_twice": (MANY, ("tanh", "softmax"), ("cost", None)),
    "softmax_over_samples": (MANY, ("tanh", "softmax"), ("activation", 2)),
    "diagonal_softmax": (Statement("squared_error"), ("tanh", "softmax"), ("delta", 2)),
    "penalty_on_biases": (Statement(l2=0.1), ("tanh", "sigmoid"), ("gradient", 2)),
    "penalty_of_ones": (Statement(l2=0.1), ("tanh", "sigmoid"), ("gradient", 2)),
    "penalty_reversed": (Statement(l2=0.1), ("tanh", "sigmoid"), ("gradient", 2)),
    "no_penalty": (Statement(l2=0.1, biases=False), ("tanh", "sigmoid"), ("gradient", 2)),
    "penalty_twice": (Statement(l2=0.1), ("tanh", "sigmoid"), ("gradient", 2)),
    "penalty_per_sample": (Statement(l2=0.1), ("tanh", "sigmoid"), ("gradient", 2)),
    "leaky_slope_zero": (Statement(), ("leaky_relu", "leaky_relu"), ("delta", 2)),
    "elu_slope_without_one": (Statement(), ("elu", "elu"), ("delta", 2)),
}


def test_each_mistake_has_its_place():
    # An accumulated gradient shows at the second step.
    assert {*FIRST, *STATED} == set(MISTAKES) - {"accumulated_gradient"}


@pytest.mark.parametrize("name", STATED)
def test_a_mistake_of_a_stated_network_goes_wrong_first_where_it_is_made(name):
    stated, activation, first = STATED[name]
    problem, _ = reference_steps(stated, activation)
    assert name in applicable(stated, activation)
    assert name not in applicable()
    (given,) = mistaken_steps(Variant((name,)), [problem])
    measured = measure(Truth(problem), given)
    assert next(m.key for m in measured if m.verdict == "wrong") == first
    assert all(m.verdict == "ok" for m in measure(Truth(problem), Seams(problem).run()))


@pytest.mark.parametrize("stated", [BINARY, MANY, Statement("squared_error", "sum", 0.1, False)], ids=lambda s: s.cost)
def test_the_seams_compute_exactly_what_the_network_does(stated):
    activation = ("leaky_relu", {"cross_entropy": "softmax"}.get(stated.cost, "sigmoid"))
    problem, _ = reference_steps(stated, activation)
    apart = Seams(problem).run()
    whole, _ = hand_quantities(Network(problem.weights, activation, **asdict(stated)), problem)
    for key, value in whole.items():
        assert (apart[key] == value).all(), key


def test_without_biases_nobody_gets_them_wrong():
    without = applicable(Statement(biases=False))
    assert not [name for name in without if "bias" in name]
    assert {"no_half", "no_transpose", "transposed_gradient"} <= set(without)


@pytest.mark.parametrize("name", FIRST)
def test_each_mistake_goes_wrong_first_where_it_is_made(problem, name):
    (given,) = mistaken_steps(Variant((name,)), [problem])
    measured = measure(Truth(problem), given)
    wrong = next((m.key for m in measured if m.verdict == "wrong"), None)
    assert wrong == (None if name in OWN[problem.activation[0]] else FIRST[name])


def test_an_accumulated_gradient_shows_at_the_second_step(problem):
    first, second, third = mistaken_steps(Variant(("accumulated_gradient",)), [problem] * 3)
    assert (second["gradient", 1] == 2 * first["gradient", 1]).all()
    assert np.allclose(third["gradient", 1], 3 * first["gradient", 1], rtol=1e-14)


def test_a_mistake_can_be_placed_in_one_layer_or_the_hidden_ones(problem):
    right = Seams(problem).run()

    def changed(placement):
        (given,) = mistaken_steps(Variant(("bias_not_trained",), placement), [problem])
        return [l for l in (1, 2, 3) if (given["gradient", l] != right["gradient", l]).any()]

    assert changed("everywhere") == [1, 2, 3]
    assert changed("hidden") == [1, 2]
    assert changed("layer 2") == [2]


def test_two_mistakes_combine(problem):
    (both,) = mistaken_steps(Variant(("no_half", "reversed_error")), [problem])
    right = Seams(problem).run()
    assert np.allclose(both["gradient", 2], -2 * right["gradient", 2], rtol=1e-12)


def test_two_mistakes_at_one_seam_combine_by_inheritance(problem):
    (both,) = mistaken_steps(Variant(("ascent", "no_learning_rate")), [problem])
    assert np.allclose(both["weight", 2], problem.weights[1] + both["gradient", 2], rtol=1e-14)


@pytest.mark.parametrize("stack", [(), (2,)], ids=["alone", "stack"])
def test_a_lineup_gives_each_variants_own_numbers(rng, stack):
    net = Network.random(SIZES, rng=rng, activation=["tanh", "sigmoid", "relu"], stack=stack)
    samples = [(rng.standard_normal((6, 4)), rng.standard_normal((6, 4))) for _ in range(2)]
    steps = [Problem(net.weights, net.activation, x, t) for x, t in samples]
    variants = [v for v in (*singles(3), *pairs()) if "single_precision" not in v.mistakes]
    lineup = Lineup(variants)
    together = [lineup.run(problem) for problem in steps]
    assert not lineup.misfits
    for i in range(0, len(variants), 7):
        for problem, mine, all_of_them in zip(steps, mistaken_steps(variants[i], steps), together, strict=True):
            for key, value in mine.items():
                shared = all_of_them[key].ndim == value.ndim
                whole = all_of_them[key] if shared else all_of_them[key][i]
                assert (whole == value).all(), (variants[i], key, problem)


def test_what_does_not_fit_the_shapes_leaves_the_others_alone(rng):
    net = Network.random((3, 5, 4, 2), rng=rng)
    problem = Problem(net.weights, net.activation, rng.standard_normal((6, 3)), rng.standard_normal((6, 2)))
    with pytest.raises(NotApplicable):
        mistaken_steps(Variant(("no_transpose",)), [problem])
    misfits = {"no_transpose", "wrong_weights", "wrong_layer_below", "transposed_gradient"}
    misfits |= {"output_for_input", "output_delta"}
    variants = [Variant((name,)) for name in MISTAKES if name != "single_precision"]
    lineup = Lineup(variants)
    made = lineup.run(problem)
    assert {variants[i].mistakes[0] for i in lineup.misfits} == misfits
    i = variants.index(Variant(("reversed_error",)))
    assert np.allclose(made["delta", 1][i], -Seams(problem).run()["delta", 1], rtol=1e-14)


def test_the_catalogue_goes_from_the_simple_to_the_combined():
    names = list(applicable())
    assert [v.mistakes[0] for v in singles(3)][: len(names)] == names == [n for n in MISTAKES if n in names]
    assert str(Variant(("no_transpose",), "layer 2")) == "no_transpose (layer 2)"
    assert all(len(set(v.mistakes)) == 2 for v in pairs())


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_one_line_and_one_seam_or_two(name):
    kind = MISTAKES[name]
    assert kind.summary
    assert "\n" not in kind.summary
    assert kind.formula
    assert len(overridden(name)) <= 3
    assert overridden(name) <= set(SEAMS)


def test_each_mistake_says_what_goes_wrong_in_words_of_its_own():
    assert len({kind.summary for kind in MISTAKES.values()}) == len(MISTAKES)
