"""The diagnosis: where, why, who says so, and what the data cannot show."""

import re
import subprocess
import sys

import numpy as np
import pytest

from comparisons import check, compare
from comparisons.checks import hand_quantities
from comparisons.mistakes.effects import reference_steps
from comparisons.mistakes.known import MISTAKES
from comparisons.reference.complex_step import third_opinion
from comparisons.reference.quantities import Problem, Statement
from comparisons.reference.truth import Truth
from handnet import Network
from handnet.activations import ACTIVATIONS
from handnet.costs import COSTS

SIZES = (2, 5, 4, 3)


def samples(rng, sizes=SIZES, n=6):
    return rng.standard_normal((n, sizes[0])), rng.uniform(0, 1, (n, sizes[-1]))


class Untransposed(Network):
    def w(self, l):
        return np.swapaxes(super().w(l), -1, -2)


class ForgottenBias(Network):
    def preactivation(self, l, a_below):
        return a_below @ self.weights[l - 1][..., :-1, :]


class Accumulating(Network):
    """Adds the gradients of all steps up, as where nobody sets them to zero."""

    total = None

    def gradient(self, a_below, delta):
        g = super().gradient(a_below, delta)
        if g.shape == self.weights[0].shape:  # of the first layer
            self.total = g if self.total is None else self.total + g
            return self.total
        return g


class WrongByAHair(Network):
    def hidden_delta(self, l, delta_above, a):
        return super().hidden_delta(l, delta_above, a) * (1 + 1e-6)


def test_the_message_says_where_what_why_and_what_it_should_be(rng):
    net = Untransposed(Network.random([2, 2, 2], rng=rng).weights)
    diagnosis = compare(net, [0.05, 0.10], [0.01, 0.99]).diagnosis
    assert diagnosis.first_wrong == ("delta", 1)
    assert diagnosis.mistakes == diagnosis.candidates == ("no_transpose",)
    assert str(diagnosis).startswith(
        "Where: delta^(1) is the first wrong quantity (layer 1 of 2).\n"
        "Why: it equals D^(1) w^(2) delta^(2): w^(2) is turned the wrong way:"
        " a transpose is missing, or one too many [no_transpose].\n"
        "Should be: (delta @ w) * a * (1 - a)"
    )
    assert re.search(
        r"Worst number: delta_[01]\^\(1\) is [-\d.e]+, autograd .* 2 of 2 numbers are wrong at step 1", str(diagnosis)
    )


def test_a_fault_in_one_layer_is_placed_there(rng):
    class NoSlopeInLayer1(Network):
        def slope(self, l, a):
            return np.ones_like(a) if l == 1 else super().slope(l, a)

    net = NoSlopeInLayer1(Network.random(SIZES, rng=rng).weights)
    diagnosis = compare(net, *samples(rng)).diagnosis
    assert diagnosis.mistakes == ("no_hidden_slope",)
    assert "[no_hidden_slope], in layer 1 only." in str(diagnosis)


def test_two_mistakes_are_named_together(rng):
    class Two(ForgottenBias):
        def updated(self, l, gradient, learning_rate):
            return self.weights[l - 1] + learning_rate * gradient

    diagnosis = compare(Two(Network.random(SIZES, rng=rng).weights), *samples(rng)).diagnosis
    assert diagnosis.mistakes == ("no_bias", "ascent")
    assert "[no_bias]; and W^(3) after the step equals W^(3) + gamma dC/dW^(3)" in str(diagnosis)


def test_a_gradient_never_set_to_zero_is_named_at_the_second_step(rng):
    net = Accumulating(Network.random([3, 4, 2], rng=rng).weights)
    diagnosis = compare(net, *samples(rng, (3, 2)), steps=4).diagnosis
    assert diagnosis.first_wrong == ("gradient", 1)
    assert diagnosis.mistakes == ("accumulated_gradient",)
    assert "at step 2" in str(diagnosis)


def test_what_coincides_on_the_data_is_listed(rng):
    class Last(Network):
        def error(self, output, targets):
            return super().error(output, targets) / output.shape[-1]

    # As many outputs as samples: to average over the one is to average over the other.
    net = Last(Network.random([3, 2], rng=rng).weights)
    diagnosis = compare(net, *samples(rng, (3, 2), n=2)).diagnosis
    assert diagnosis.mistakes == ("scaled",)  # its cost is right, which neither mistake leaves

    class Both(Last):
        def cost(self, output, targets):
            return super().cost(output, targets) / output.shape[-1]

    diagnosis = compare(Both(net.weights), *samples(rng, (3, 2), n=2)).diagnosis
    assert diagnosis.mistakes == ("averaged_twice",)
    assert diagnosis.candidates == ("averaged_twice", "output_mean")
    assert "On this data these would give the same: output_mean." in str(diagnosis)


def test_of_a_stack_the_wrong_network_is_named(rng):
    net = ForgottenBias(Network.random(SIZES, rng=rng, stack=(2, 3)).weights)
    weights = [w.copy() for w in net.weights]
    for w in weights:
        w[..., -1, :] = 0
        w[1, 2, -1, :] = 0.5
    comparison = compare(ForgottenBias(weights), *samples(rng))
    assert str(comparison.diagnosis).startswith("Where: network 1, 2 of the stack: a^(1) is the first wrong quantity")
    assert comparison.diagnosis.mistakes == ("no_bias",)


def test_a_right_network_has_no_diagnosis(rng):
    assert compare(Network.random(SIZES, rng=rng), *samples(rng)).diagnosis is None


# The third opinion.


@pytest.mark.parametrize("cost", list(COSTS))
@pytest.mark.parametrize("biases", [True, False], ids=["biases", "no biases"])
def test_the_third_opinion_knows_every_cost_and_the_penalty(cost, biases):
    stated = Statement(cost, "sum" if biases else "mean", 0.1, biases)
    output = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}.get(cost, "softmax")
    problem, _ = reference_steps(stated, ("softplus", output))
    for key, (right, tolerance) in Truth(problem).pairs.items():
        for index in np.ndindex(right.shape):
            opinion = third_opinion(problem, key, index)
            assert abs(opinion - right[index]) <= tolerance[index], (key, index)


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "softmax"])
@pytest.mark.parametrize("stack", [(), (2,)], ids=["alone", "stack"])
def test_complex_step_differentiation_agrees_with_autograd_on_every_number(rng, activation, stack):
    net = Network.random(SIZES, rng=rng, activation=activation, stack=stack)
    problem = Problem(net.weights, net.activation, *samples(rng), train_biases=False)
    checked = 0
    for key, (right, tolerance) in Truth(problem).pairs.items():
        for index in np.ndindex(right.shape):
            opinion = third_opinion(problem, key, index)
            assert opinion is not None
            assert abs(opinion - right[index]) <= tolerance[index], (key, index)
            checked += 1
    assert checked > 100


def test_at_the_kink_of_relu_there_is_no_third_opinion():
    problem = Problem((np.array([[1.0], [0.0]]),), ("relu",), np.array([[0.0]]), np.array([[1.0]]))
    assert third_opinion(problem, ("delta", 1), (0, 0)) is None


def test_where_numbers_overflow_there_is_no_third_opinion():
    problem = Problem((np.array([[1e200], [0.0]]),), ("identity",), np.array([[1e200]]), np.array([[1.0]]))
    assert third_opinion(problem, ("gradient", 1), (0, 0)) is None


def test_a_wrong_twin_would_be_told_from_a_wrong_implementation(rng, monkeypatch):
    """With torch's tanh kernel in the place of the sigmoid's, the implementation is right and the twin wrong."""
    import torch

    from comparisons.reference import twin

    wrong = twin.MODULES | {"sigmoid": torch.nn.Tanh}
    monkeypatch.setattr(twin, "MODULES", wrong)
    message = compare(Network.random([2, 3, 2], rng=rng), *samples(rng, (2, 2))).message()
    assert "complex-step differentiation agrees with the implementation" in message


# What the data cannot show.


def test_what_the_data_cannot_show_comes_from_making_the_mistakes(rng):
    net = Network.random(SIZES, rng=rng)
    x, t = samples(rng)
    assert compare(net, x, t, steps=2).blind == ()
    assert compare(net, x, t).blind == ("accumulated_gradient",)
    one = set(compare(net, x[:1], t[:1], steps=2).blind)
    assert one == {"last_sample_only", "targets_broadcast", "outputs_broadcast"} | {
        name for name in MISTAKES if name.endswith(("batch_sum", "averaged_twice"))
    }
    kept = set(compare(net, x, t, steps=2, train_biases=False).blind)
    assert kept == {"bias_not_updated"}


def test_zero_weights_hide_much(rng):
    net = Network([np.zeros((5, 4)), np.zeros((5, 4))])
    hidden = set(compare(net, *samples(rng, (4, 4)), steps=1).blind)
    assert {"no_transpose", "wrong_row_stripped", "no_hidden_slope", "no_bias"} <= hidden
    assert "reversed_error" not in hidden


def test_symmetric_weights_hide_a_missing_transpose(rng):
    square = rng.standard_normal((4, 4))
    weights = [rng.standard_normal((5, 4)), np.vstack([square + square.T, rng.standard_normal(4)])]
    assert "no_transpose" in compare(Network(weights), *samples(rng, (4, 4))).blind


def test_what_is_no_mistake_with_the_activation_is_not_listed(rng):
    net = Network.random(SIZES, rng=rng, activation="tanh")
    assert not {"tanh_slope", "tanh_activation"} & set(compare(net, *samples(rng)[:1], samples(rng)[1]).blind)


def test_a_blind_spot_is_really_blind(rng):
    """Whoever makes a mistake that is listed passes all the same."""

    class Summed(Network):
        def error(self, output, targets):
            return output - targets

        def cost(self, output, targets):
            return super().cost(output, targets) * output.shape[-2]

    net = Summed(Network.random(SIZES, rng=rng).weights)
    one = compare(net, *samples(rng, n=1))
    assert one.passed
    assert "batch_sum" in one.blind
    several = compare(net, *samples(rng))
    assert several.diagnosis.mistakes == ("batch_sum",)


def test_the_network_under_test_is_asked_with_copies(rng):
    net = Network.random(SIZES, rng=rng)
    problem = Problem(net.weights, net.activation, *samples(rng))
    given, _ = hand_quantities(net, problem)
    assert not any(np.shares_memory(value, problem.inputs) for value in given.values())


def test_a_deviation_that_no_mistake_explains_gets_its_pattern(rng):
    diagnosis = compare(WrongByAHair(Network.random(SIZES, rng=rng).weights), *samples(rng)).diagnosis
    assert diagnosis.mistakes == diagnosis.candidates == ("scaled",)
    assert diagnosis.first_wrong == ("delta", 2)
    assert "Why: it is 1.000001 times autograd's [scaled]." in str(diagnosis)


def test_every_mistake_made_by_hand_in_a_subclass_is_named_in_float32_too(rng):
    net = Untransposed([w.astype(np.float32) for w in Network.random([4, 4, 4], rng=rng).weights])
    assert compare(net, *samples(rng, (4, 4))).diagnosis.mistakes == ("no_transpose",)
    assert "no_transpose" in MISTAKES


@pytest.mark.apart
def test_a_mistake_is_named_without_docstrings_too():
    code = (
        "import numpy as np; from handnet import Network; from comparisons import compare\n"
        "class Untransposed(Network):\n"
        "    def w(self, l): return np.swapaxes(super().w(l), -1, -2)\n"
        "net = Untransposed(Network.random([2, 2, 2], rng=np.random.default_rng(0)).weights)\n"
        "print(compare(net, [0.05, 0.10], [0.01, 0.99]))"
    )
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert "a transpose is missing, or one too many [no_transpose]" in done.stdout, done.stderr


class HalfTheGradient(Network):
    def gradient(self, a_below, delta):
        return 0.37 * super().gradient(a_below, delta)


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("seed", range(10))
def test_a_factor_is_recognised_though_some_numbers_are_zero_on_both_sides(activation, seed):
    rng = np.random.default_rng(seed)
    net = Network.random(SIZES, rng=rng, activation=[activation, activation, "sigmoid"])
    x, t = samples(rng)
    said = compare(HalfTheGradient(net.weights, net.activation), x, t).message()
    # Where a hidden layer is dead, some weights have no gradient that could tell.
    parts = [part for g in net.backprop(x, t).gradients for part in (g[:-1], g[-1])]
    where = "of layers 1, 2 and 3 " if all(np.count_nonzero(part) > 1 for part in parts) else ""
    assert f"{where}is 0.37 times autograd's" in said


@pytest.mark.parametrize("seed", range(6))
def test_a_factor_of_all_derivatives_is_said_however_many_units_are_dead(seed):
    def times(factor):
        def backprop(weights, inputs, targets):
            gradients = Network(weights, activation="relu").backprop(inputs, targets).gradients
            return [factor(len(inputs)) * g for g in gradients]

        return str(check(backprop, activation="relu", seed=seed).diagnosis)

    assert "it is 0.5 times autograd's, which is 1 / 2, and so are all derivatives [scaled]." in times(lambda n: 0.5)
    assert "it is -2 N times autograd's, and so are all derivatives [scaled]." in times(lambda n: -2 * n)
    assert "all derivatives" not in times(lambda n: n**0.5)


def test_of_the_weights_alone_it_is_the_step_that_has_a_factor():
    def backprop(weights, inputs, targets):
        gradients = Network(weights).backprop(inputs, targets).gradients
        return {"updated": [w - 0.01 * g for w, g in zip(weights, gradients, strict=True)]}

    assert "its step is 0.02 times autograd's" in str(check(backprop).diagnosis)


def test_a_factor_is_not_claimed_of_a_single_number(rng):
    class OddCost(Network):
        def cost(self, output, targets):
            return 1.2345 * super().cost(output, targets)

    x, t = samples(rng)
    said = str(compare(OddCost(Network.random(SIZES, rng=rng).weights), x, t))
    assert "C is the first wrong quantity" in said
    assert "times autograd's" not in said


def test_the_sentence_and_the_number_under_it_are_of_the_same_probe():
    def backprop(weights, inputs, targets):
        result = Network(weights).backprop(inputs, targets)
        gradients = [g.copy() for g in result.gradients]
        if len(inputs) == 1:
            gradients[2] = 3.21 * gradients[2]
        else:
            gradients[2][0, 0] += 0.5
            gradients[2][1, 1] -= 0.25
        return {"activations": result.activations, "deltas": result.deltas, "gradients": gradients}

    said = str(check(backprop).diagnosis)
    assert "times autograd's" not in said  # in no step but one
    (index,) = re.findall(r"Worst number: dW3\[(\d, \d)\]", said)
    assert index in ("0, 0", "1, 1")


def test_where_only_gradients_are_given_the_cause_may_lie_further_up():
    rng = np.random.default_rng(5)

    def backprop(weights, inputs, targets):
        return [g + 1e-3 * rng.standard_normal(g.shape) for g in Network(weights).backprop(inputs, targets).gradients]

    assert "or in what it is computed from: return activations and deltas too" in str(check(backprop))


@pytest.mark.parametrize(("wrong", "claimed"), [(1.0, True), (0.2, False)], ids=["most numbers", "few numbers"])
def test_finite_differences_are_told_by_most_numbers(rng, wrong, claimed):
    class Differences(Network):
        def gradient(self, a_below, delta):
            g = super().gradient(a_below, delta)
            noise = np.resize([1.0, -0.7, 0.4, 0.9, -1.3], g.shape) * 1e-9 * np.abs(g).max()
            return g + np.where(np.arange(g.size).reshape(g.shape) < wrong * g.size, noise, 0.0)

    x, t = samples(rng)
    said = str(compare(Differences(Network.random(SIZES, rng=rng).weights), x, t))
    assert ("as finite differences are" in said) == claimed


# Patterns.


def gradients_of(change):
    """A backpropagation whose gradients are changed: change(l, gradient, activations, deltas)."""

    def backprop(weights, inputs, targets):
        result = Network(weights).backprop(inputs, targets)
        changed = [change(l, g.copy(), result.activations, result.deltas) for l, g in enumerate(result.gradients, 1)]
        return {"activations": result.activations, "deltas": result.deltas, "gradients": changed}

    return backprop


@pytest.mark.parametrize(
    ("rows", "factor", "said"),
    [
        (
            slice(None, -1),
            lambda n: 2.0,
            "weights of layer 2 is 2 times autograd's; all the others are right",
        ),
        (
            slice(-1, None),
            lambda n: -1 / n,
            "biases of layer 2 is -1 / N times autograd's; all the others",
        ),
        (
            slice(-1, None),
            lambda n: 0.123,
            "biases of layer 2 is 0.123 times autograd's; all the others",
        ),
        (slice(-1, None), lambda n: n**0.5, "only the biases are wrong, the others are right."),
    ],
    ids=["2", "-1 / N", "a number", "another at each step"],
)
def test_a_factor_in_a_part_of_one_layer_is_said(rows, factor, said):
    def change(l, gradient, activations, deltas):
        if l == 2:
            gradient[rows] *= factor(len(activations[0]))
        return gradient

    diagnosis = check(gradients_of(change), sizes=(2, 5, 4, 3)).diagnosis
    assert diagnosis.first_wrong == ("gradient", 2)
    assert said in str(diagnosis)


def test_a_gradient_of_other_vectors_is_told_by_them():
    def change(l, gradient, activations, deltas):
        if l == 2:
            gradient[:-1] = activations[2].T @ deltas[2]
        return gradient

    diagnosis = check(gradients_of(change), sizes=(2, 4, 4, 4)).diagnosis
    assert diagnosis.mistakes == ("other_factor",)
    assert "a2 stands where a1 belongs and delta3 stands where delta2 belongs [other_factor]." in str(diagnosis)


def test_a_sum_over_the_nodes_in_the_place_of_the_samples_is_told():
    def change(l, gradient, activations, deltas):
        if l == 2:
            gradient[:-1] = activations[1] @ deltas[1]
        return gradient

    diagnosis = check(gradients_of(change), sizes=(2, 4, 3), batch=4).diagnosis
    assert diagnosis.mistakes == ("summed_over_nodes",)
    assert "it is a1 @ delta2, the sum over the nodes" in str(diagnosis)


@pytest.mark.parametrize(("wrong", "named"), [(np.asarray, True), (lambda d: d.sum(axis=1), False)])
def test_biases_that_are_not_summed_over_the_samples_are_named_and_summed_over_the_nodes_are_not(wrong, named):
    def backprop(weights, inputs, targets):
        stacked = [np.vstack([w.T, b]) for w, b in weights]
        result = Network(stacked).backprop(inputs, targets)
        return [(g[:-1].T, wrong(d)) for g, d in zip(result.gradients, result.deltas, strict=True)]

    diagnosis = check(backprop, layout="linear").diagnosis
    assert diagnosis.first_wrong == ("gradient", 3)
    assert (diagnosis.mistakes == ("biases_not_summed",)) == named


@pytest.mark.parametrize(("sizes", "told"), [((2, 5, 4, 3), True), ((2, 1), False)], ids=["several", "one number"])
def test_of_one_step_too_a_factor_in_a_part_is_told_but_not_of_a_single_number(rng, sizes, told):
    class ThreeTimes(Network):
        def gradient(self, a_below, delta):
            g = super().gradient(a_below, delta).copy()
            g[-1] *= 3.3
            return g

    said = str(compare(ThreeTimes(Network.random(sizes, rng=rng).weights), *samples(rng, sizes)).diagnosis)
    assert ("is 3.3 times autograd's" in said) == told
