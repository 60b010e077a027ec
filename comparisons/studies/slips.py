"""Slips of arithmetic: a factor, a term or a factor of a term lost, digits exchanged or missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np

from comparisons.mistakes.seams import Seams
from comparisons.reference.quantities import Problem, Quantities
from comparisons.studies.examples import Example
from comparisons.studies.numbers import Judged, moved
from handnet.activations import FloatArray

FACTORS = {
    "twice the number": 2.0,
    "half the number": 0.5,
    "the sign": -1.0,
    "the point, one place to the left": 0.1,
    "the point, one place to the right": 10.0,
    "the point, two places to the left": 0.01,
    "the point, two places to the right": 100.0,
}
# Of how many terms each is tried: one of a hundred would be found by chance.
MOST_TERMS = 50


def slips(example: Example, judged: Sequence[Judged]) -> dict[Judged, list[tuple[str, float]]]:
    """Return for each number what it would be with one slip, and which."""
    numbers = [j for j in judged if (j.number.sample, j.number.output) == (None, None)]
    found = {j: [*_factors(j), *_digits(j)] for j in judged}
    if not numbers:
        return found
    weights, last = list(example.problem.weights), max(j.number.step for j in numbers)
    before = weights
    for step in range(1, last + 1):
        problem = replace(example.at(step), weights=tuple(weights))
        run = Seams(problem).run()
        terms = _Terms(problem, run)
        for j in numbers:
            if j.number.step == step:
                found[j] += [(name, j.factor * value) for name, value in terms.of(j)]
        new = [moved(example, w, run["weight", l], before[l - 1]) for l, w in enumerate(weights, start=1)]
        before, weights = weights, new
    return found


def _factors(j: Judged) -> Iterator[tuple[str, float]]:
    for name, factor in FACTORS.items():
        yield name, factor * j.autograd


def _digits(j: Judged) -> Iterator[tuple[str, float]]:
    """What is printed where two neighbouring digits are exchanged, or one is missing or there twice."""
    places = Decimal(j.number.value).as_tuple().exponent
    unit = Decimal(1).scaleb(int(places))
    if not np.isfinite(j.autograd) or abs(j.autograd) > 1e15 or int(places) >= 0:
        return
    # One digit more than is printed, which moves up where one is missing.
    longer = format(Decimal(j.autograd).quantize(unit / 10, ROUND_HALF_EVEN), "f")
    text = format(Decimal(j.autograd).quantize(unit, ROUND_HALF_EVEN), "f")
    first = text.index(".") + 1
    for i in range(first, len(text) - 1):
        if text[i] != text[i + 1]:
            yield "two digits exchanged", float(text[:i] + text[i + 1] + text[i] + text[i + 2 :])
    for i in range(first, len(text)):
        yield "a digit missing", float(longer[:i] + longer[i + 1 :])
        yield "a digit twice", float(text[: i + 1] + text[i:-1])


class _Terms:
    """The sums and products that the numbers of a step are, with one of their terms or factors lost."""

    def __init__(self, problem: Problem, run: Quantities) -> None:
        self.problem, self.run = problem, run
        self.top = len(problem.weights)

    def of(self, j: Judged) -> list[tuple[str, float]]:
        """Return what the number would be, and what is lost."""
        quantity, l = j.number.key
        where = getattr(self, f"_{quantity}", None)
        return list(where(l, j.number.index)) if where else []

    def _a(self, l: int) -> FloatArray:
        return self.run["activation", l] if l else self.problem.inputs

    def _preactivation(self, l: int, index: tuple[int, ...]) -> Iterator[tuple[str, float]]:
        row, i = index
        z, a, w = self.run["preactivation", l][row, i], self._a(l - 1)[row], self.problem.weights[l - 1][:, i]
        below = "x" if l == 1 else "a"
        for j in range(min(len(a), MOST_TERMS)):
            term = w[j] * a[j]
            yield f"w_{i}{j} {below}_{j} left out", z - term
            yield f"the sign of w_{i}{j} {below}_{j}", z - 2 * term
            yield f"{below}_{j} left out of w_{i}{j} {below}_{j}", z - term + w[j]
            yield f"w_{i}{j} left out of w_{i}{j} {below}_{j}", z - term + a[j]
        if self.problem.stated.biases and w[-1]:
            yield "the bias left out", z - w[-1]
            yield "the bias taken off", z - 2 * w[-1]

    def _activation(self, l: int, index: tuple[int, ...]) -> Iterator[tuple[str, float]]:
        z = self.run["preactivation", l]
        yield "not activated", z[index]
        yield "activated at -z", Seams(self.problem).activated(l, -z)[index]

    def _exponential(self, l: int, index: tuple[int, ...]) -> Iterator[tuple[str, float]]:
        yield "the sign of z", np.exp(self.run["preactivation", l][index])

    def _slope(self, l: int, index: tuple[int, ...]) -> Iterator[tuple[str, float]]:
        a = self.run["activation", l][index]
        yield "1 - a left out", a
        yield "a left out", 1 - a
        yield "the square left out", 1 - a
        yield "1 - a^2 for a(1 - a)", 1 - a * a
        yield "a(1 - a) for 1 - a^2", a * (1 - a)

    def _activation_gradient(self, l: int, index: tuple[int, ...]) -> Iterator[tuple[str, float]]:
        row, i = index
        value = self.run["activation_gradient", l][row, i]
        if l == self.top:
            return
        delta, w = self.run["delta", l + 1][row], self.problem.weights[l][i]
        for k in range(min(len(delta), MOST_TERMS)):
            yield f"delta_{k} w_{k}{i} left out", value - delta[k] * w[k]
            yield f"the sign of delta_{k} w_{k}{i}", value - 2 * delta[k] * w[k]
            yield f"w_{k}{i} left out of delta_{k} w_{k}{i}", value - delta[k] * w[k] + delta[k]

    def _delta(self, l: int, index: tuple[int, ...]) -> Iterator[tuple[str, float]]:
        yield "the slope left out", self.run["activation_gradient", l][index]
        slope = self.run["slope", l][index]
        yield "dC/da left out", slope
        for name, value in self._activation_gradient(l, index):
            yield name, value * slope

    def _gradient(self, l: int, index: tuple[int, ...]) -> Iterator[tuple[str, float]]:
        j, i = index
        a, delta = self._a(l - 1), self.run["delta", l]
        value, below = self.run["gradient", l][j, i], np.concatenate([a, np.ones((len(a), 1))], axis=-1)
        for n in range(min(len(a), MOST_TERMS) if len(a) > 1 else 0):
            yield f"sample {n} left out", value - below[n, j] * delta[n, i]
        if len(a) == 1:
            yield "delta left out", below[0, j]
            yield "the activation below left out", delta[0, i]

    def _weight(self, l: int, index: tuple[int, ...]) -> Iterator[tuple[str, float]]:
        old, gradient = self.problem.weights[l - 1][index], self.run["gradient", l][index]
        yield "the step left out", old
        yield "the step added", old + self.problem.learning_rate * gradient
        yield "the learning rate left out", old - gradient
        yield "the step alone", self.problem.learning_rate * gradient

    def _cost(self, l: None, index: tuple[int, ...]) -> Iterator[tuple[str, float]]:
        if not self.problem.stated.cost.endswith("squared_error"):
            return
        squares = np.square(self._a(self.top) - self.problem.targets)
        value = self.run["cost", None]
        share = value / squares.sum()
        for i in range(min(squares.shape[-1], MOST_TERMS) if squares.shape[-1] > 1 else 0):
            yield f"output {i} left out", value - squares[:, i].sum() * share
        for n in range(min(len(squares), MOST_TERMS) if len(squares) > 1 else 0):
            yield f"sample {n} left out", value - squares[n].sum() * share
