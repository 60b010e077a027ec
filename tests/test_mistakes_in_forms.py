"""A mistake is caught in whatever form the code has it: layout, container, vector, in place, class."""

from itertools import pairwise

import numpy as np
import pytest
from handed_out import layers_of

from comparisons import check
from comparisons.mistakes.effects import effects
from comparisons.mistakes.lineup import Lineup, alone
from comparisons.mistakes.seams import NotApplicable
from comparisons.mistakes.variants import Variant, alone_in
from comparisons.reference.quantities import Problem
from comparisons.subject.forms import CONTAINERS, UNROLLED, Form, forms
from comparisons.subject.layouts import Layout
from comparisons.subject.probes import probe

FORMS = {str(form): form for form in forms(biases=True) if not form.plain or form.container in ("list", "nodes")}


def gradients(mistake, weights, inputs, targets, learning_rate=0.5):
    """Of our W, with the mistake made."""
    problem = Problem(tuple(weights), ("sigmoid",) * len(weights), inputs, targets, learning_rate)
    lineup = Lineup([Variant((mistake,) if mistake else ())])
    made = alone(lineup.run(problem), 0, problem)
    if lineup.misfits:
        raise NotApplicable(lineup.misfits[0])
    return [made["gradient", l] for l in range(1, len(weights) + 1)]


def in_form(form, mistake):
    """Somebody's function that insists on a form."""

    def backprop(weights, inputs, targets):
        if form.plain and not isinstance(inputs, list):
            raise TypeError("lists, please")
        x, t = (np.array(part).T if form.layout.in_columns else np.array(part) for part in (inputs, targets))
        found = gradients(mistake, layers_of(weights, form), x, t)
        return form.parts(found, x, t)["weights"]

    return backprop


def in_vector(order, mistake):
    """W (n, m) and b (n,), and one vector of all gradients."""

    def backprop(weights, inputs, targets):
        found = gradients(mistake, [np.vstack([W.T, b]) for W, b in weights], inputs, targets)
        parts = [[g[:-1].T for g in found], [g[-1] for g in found]]
        if order.startswith("layers"):
            parts = list(zip(*parts, strict=True))
        return np.concatenate([one.ravel("F" if order.endswith("columns") else "C") for part in parts for one in part])

    return backprop


def in_place(mistake):
    def step(weights, inputs, targets, learning_rate):
        for W, g in zip(weights, gradients(mistake, weights, inputs, targets), strict=True):
            W -= learning_rate * g

    return step


def in_lists(mistake):
    class Network:
        def __init__(self, sizes):
            self.biases = [np.zeros((n, 1)) for n in sizes[1:]]
            self.weights = [np.zeros((n, m)) for m, n in pairwise(sizes)]

        def backprop(self, x, y):
            ours = [np.vstack([W.T, b.T]) for W, b in zip(self.weights, self.biases, strict=True)]
            found = gradients(mistake, ours, x.T, y.T)
            return [g[-1:].T for g in found], [g[:-1].T for g in found]

    return Network


def in_attributes(mistake):
    class TwoLayers:
        def __init__(self, n_inputs, n_hidden, n_outputs, lr=0.1):
            self.W1, self.b1 = np.zeros((n_inputs, n_hidden)), np.zeros(n_hidden)
            self.W2, self.b2 = np.zeros((n_hidden, n_outputs)), np.zeros(n_outputs)
            self.lr = lr

        def fit(self, X, y, epochs=100):
            for _ in range(epochs):
                ours = [np.vstack([self.W1, self.b1]), np.vstack([self.W2, self.b2])]
                first, second = gradients(mistake, ours, X, y)
                self.W1, self.b1 = self.W1 - self.lr * first[:-1], self.b1 - self.lr * first[-1]
                self.W2, self.b2 = self.W2 - self.lr * second[:-1], self.b2 - self.lr * second[-1]

    return TwoLayers


WAYS = {
    **{name: lambda mistake, form=form: in_form(form, mistake) for name, form in FORMS.items()},
    **{order: lambda mistake, order=order: in_vector(order, mistake) for order in UNROLLED},
    "in place": in_place,
    "a class with lists": in_lists,
    "a class with attributes": in_attributes,
}


def seen_in_gradients():
    """The mistakes that change a gradient in one step."""
    truth = probe((2, 5, 4, 3)).truths[0]
    variants = alone_in(truth.problem)
    shown = effects(variants, [truth]).shown(["gradient"])
    return [variant.mistakes[0] for variant, one in zip(variants, shown, strict=True) if one]


MISTAKES = seen_in_gradients()
# One way after the other, another mistake for each; each way has its turn by a mistake of its own.
SAMPLE = [(way, MISTAKES[(7 * i) % len(MISTAKES)]) for i, way in enumerate(WAYS)]
REST = [(way, mistake) for way in WAYS for mistake in MISTAKES if (way, mistake) not in SAMPLE]


def test_all_ways_are_tried():
    assert {form.container for form in FORMS.values()} | {"alone"} == set(CONTAINERS)
    assert len(MISTAKES) > 35


@pytest.mark.parametrize("way", ["a class with lists", "a class with attributes", "in place"])
def test_without_a_mistake_each_way_is_right(way):
    assert check(WAYS[way]("")).passed


@pytest.mark.parametrize(("way", "mistake"), SAMPLE)
def test_a_mistake_is_caught_in_every_way(way, mistake):
    assert not check(WAYS[way](mistake)).passed


@pytest.mark.slow
@pytest.mark.parametrize(("way", "mistake"), REST)
def test_every_mistake_is_caught_in_every_way(way, mistake):
    assert not check(WAYS[way](mistake)).passed


def test_a_form_that_is_found_is_that_of_the_code():
    form = Form(Layout("bias_first", thresholds=True), "dict")
    assert f"it is called with {form}" in check(in_form(form, "")).remarks
