import numpy as np
import pytest

from comparisons.checks import hand_quantities
from comparisons.measure import Problem, measure
from comparisons.mistakes import MISTAKES, NotApplicable, Seams, Variant, pairs, singles
from handnet import Network

SIZES = (4, 4, 4, 4)


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
    for key, value in Seams(problem).run().items():
        assert (value == expected[key]).all(), key


# Where each mistake shows first, on a network of three square layers.
FIRST = {
    "no_bias": ("activation", 1),
    "output_not_activated": ("activation", 3),
    "no_output_slope": ("delta", 3),
    "reversed_error": ("delta", 3),
    "no_half": ("cost", None),
    "batch_sum": ("cost", None),
    "averaged_twice": ("cost", None),
    "output_mean": ("cost", None),
    "slope_of_activation": ("delta", 3),
    "slope_of_preactivation": ("delta", 3),
    "tanh_slope": ("delta", 3),
    "sigmoid_slope": ("delta", 3),
    "no_hidden_slope": ("delta", 2),
    "no_transpose": ("delta", 2),
    "updated_weights": ("delta", 2),
    "wrong_row_stripped": ("delta", 2),
    "wrong_layer_below": ("gradient", 3),
    "bias_not_trained": ("gradient", 3),
    "bias_not_updated": ("weight", 3),
    "last_sample_only": ("gradient", 3),
    "transposed_gradient": ("gradient", 3),
    "ascent": ("weight", 3),
    "no_learning_rate": ("weight", 3),
    "first_layer_not_trained": ("weight", 1),
    "single_precision": ("activation", 1),
}


@pytest.mark.parametrize("name", FIRST)
def test_each_mistake_goes_wrong_first_where_it_is_made(problem, name):
    (given,) = Variant((name,)).run([problem])
    measured, _ = measure(problem, given)
    wrong = next((m.key for m in measured if m.verdict == "wrong"), None)
    own_slope = {"tanh": "tanh_slope", "sigmoid": "sigmoid_slope"}[problem.activation[0]]
    assert wrong == (None if name == own_slope else FIRST[name])


def test_an_accumulated_gradient_shows_at_the_second_step(problem):
    first, second = Variant(("accumulated_gradient",)).run([problem, problem])
    assert (second["gradient", 1] == 2 * first["gradient", 1]).all()


def test_a_mistake_can_be_placed_in_one_layer_or_the_hidden_ones(problem):
    right = Seams(problem).run()

    def changed(placement):
        (given,) = Variant(("bias_not_trained",), placement).run([problem])
        return [l for l in (1, 2, 3) if (given["gradient", l] != right["gradient", l]).any()]

    assert changed("everywhere") == [1, 2, 3]
    assert changed("hidden") == [1, 2]
    assert changed("layer 2") == [2]


def test_two_mistakes_combine(problem):
    (both,) = Variant(("no_half", "reversed_error")).run([problem])
    right = Seams(problem).run()
    assert np.allclose(both["gradient", 2], -2 * right["gradient", 2], rtol=1e-12)


def test_a_missing_transpose_cannot_be_made_on_unequal_widths(rng):
    net = Network.random((3, 5, 4, 2), rng=rng)
    problem = Problem(net.weights, net.activation, rng.standard_normal((6, 3)), rng.standard_normal((6, 2)))
    with pytest.raises(NotApplicable):
        Variant(("no_transpose",)).run([problem])


def test_the_catalogue_goes_from_the_simple_to_the_combined():
    assert [v.mistakes[0] for v in singles(3)][: len(MISTAKES)] == list(MISTAKES)
    assert str(Variant(("no_transpose",), "layer 2")) == "no_transpose (layer 2)"
    assert all(len(v.mistakes) == 2 for v in pairs())
    assert all(kind.__doc__ and "\n" not in kind.__doc__ for kind in MISTAKES.values())
