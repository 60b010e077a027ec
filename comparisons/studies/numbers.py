"""The printed numbers of a worked example, one by one: what autograd says of each, and the tolerance.

The digits that a number is printed with make its tolerance: 1.5 units in the last place, since a last digit is often
rounded twice. What right evaluations may differ by is added, so that a number may be printed with all its digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from comparisons.mistakes.lineup import Lineup
from comparisons.mistakes.seams import Seams
from comparisons.mistakes.variants import Variant
from comparisons.reference.quantities import Key, Problem, Quantities
from comparisons.reference.truth import Pair, Truth
from comparisons.reference.twin import Twin
from comparisons.studies.examples import Example, Printed
from comparisons.studies.work import progress
from handnet.activations import FloatArray

UNITS = 1.5
# By how much more than the two trainings seen, right trainings of many steps may drift apart.
DRIFT = 10
Weights = tuple[FloatArray, ...]
COST, DECREASE, BY_INPUTS = ("cost", None), ("decrease", None), ("input_gradient", None)


@dataclass(frozen=True)
class Judged:
    """A printed number, what autograd says, and the tolerance.

    Attributes
    ----------
    number : as printed
    autograd : what it should be
    tolerance : of the digits and of the rounding
    factor : of the page's convention, which `autograd` has in it: -1 where deltas are reversed
    """

    number: Printed
    autograd: float
    tolerance: float
    factor: float = 1.0

    @property
    def printed(self) -> float:
        """The number."""
        return float(Decimal(self.number.value))

    @property
    def error(self) -> float:
        """How far apart they are."""
        return abs(self.printed - self.autograd)

    @property
    def verdict(self) -> str:
        """ok, wrong, or undecided where the digits do not tell the number from 0."""
        if not self.error <= self.tolerance:
            return "wrong"
        return "ok" if self.tolerance < abs(self.autograd) else "undecided"

    def times(self, factor: float) -> Judged:
        """Return the same number with this factor in what it should be."""
        return replace(self, autograd=factor * self.autograd, factor=factor * self.factor)


def judge(example: Example) -> list[Judged]:
    """Return each printed number with what autograd says of it, in their order."""
    hand = recomputed(example, Lineup([Variant(())]))
    found: dict[Printed, Judged] = {}
    trained = _Trained(example)
    for step in example.steps:
        views = _Views(example, step, trained)
        for number in example.printed:
            if number.step == step:
                value, tolerance = (float(part[number.index]) for part in views.of(number))
                drift = DRIFT * abs(float(hand[number]) - value)
                found[number] = Judged(number, value, UNITS * number.unit + tolerance + drift)
    return [_without_share(found[number], example) for number in example.printed]


def _without_share(judged: Judged, example: Example) -> Judged:
    """The number itself, or, of a batch, what it is with the 1/N where that is what is printed: both are right."""
    number = judged.number
    if number.sample is None or number.key[0] not in ("delta", "activation_gradient", "input_gradient"):
        return judged
    within = replace(judged, autograd=judged.autograd / len(example.batch(number.step)))
    return min(judged, within, key=lambda one: abs(abs(one.printed) - abs(one.autograd)))  # a sign may be reversed


# By autograd.


class _Trained:
    """The weights of each step as torch trains them; steps are asked for in their order."""

    def __init__(self, example: Example) -> None:
        self.example, self.step, self.weights = example, 1, example.problem.weights
        self.before = self.weights  # those of the step before

    def at(self, step: int) -> Weights:
        """Return the weights that a step starts from."""
        problem = self.example.problem
        if not (self.example.batches or self.example.shared_biases or self.example.momentum):
            twin = Twin(self.weights, problem.activation, stated=problem.stated)
            how = (problem.inputs, problem.targets, problem.learning_rate)
            self.weights, self.step = twin.train(*how, step - self.step, problem.train_biases), step
        while self.step < step:
            self.before, self.weights = self.weights, self.after(self.step, self.weights)
            self.step += 1
        return self.weights

    def after(self, step: int, weights: Weights) -> Weights:
        """Return the weights after a step from these."""
        problem = self.example.at(step, weights)
        twin = Twin(weights, problem.activation, stated=problem.stated)
        run = twin.run(problem.inputs, problem.targets, problem.learning_rate, problem.train_biases)
        layers = zip(weights, run.updated, self.before, strict=True)
        return tuple(moved(self.example, old, new, before) for old, new, before in layers)


def shared(example: Example, gradient: FloatArray) -> FloatArray:
    """Return a gradient or a step, that of the biases summed over the nodes that share them."""
    if not example.shared_biases:
        return gradient
    total = np.broadcast_to(gradient[..., -1:, :].sum(axis=-1, keepdims=True), gradient[..., -1:, :].shape)
    return np.concatenate([gradient[..., :-1, :], total], axis=-2)


def moved(example: Example, old: FloatArray, new: FloatArray, before: FloatArray) -> FloatArray:
    """Return W after the step, its biases shared where they are, and with the momentum of the step before."""
    if example.shared_biases:
        new = old + shared(example, new - old)
    return new + example.momentum * (old - before) if example.momentum else new


class _Views:
    """Every quantity of one step by autograd, with its tolerance; also of a sample alone, and of an output's share."""

    def __init__(self, example: Example, step: int, trained: _Trained, problem: Problem | None = None) -> None:
        self.example, self.step, self.trained = example, step, trained
        self.problem = problem or example.at(step, trained.at(step))
        self.truth = Truth(self.problem)
        self.parts: dict[tuple[int | None, int | None], _Views] = {}

    def of(self, number: Printed) -> Pair:
        """Return value and tolerance of the quantity."""
        part = (number.sample, number.output)
        if part == (None, None):
            return self.everything(number.key)
        if part not in self.parts:
            problem = part_of(self.problem, number, self.truth.run.activations[-1])
            self.parts[part] = _Views(self.example, self.step, self.trained, problem)
        if number.key == DECREASE:
            # The share of an output is that of its own activations, which the step has changed.
            (before, around), (after, more) = (views.of(replace(number, key=COST)) for views in (self, self._after()))
            return before - after, around + more
        value, tolerance = self.parts[part].everything(number.key)
        return value - cost_of_the_others(self.problem, number, self.truth.run.activations[-1]), tolerance

    def everything(self, key: Key) -> Pair:
        """Return value and tolerance of a quantity of a layer."""
        if key == DECREASE:
            (before, around), (after, more) = (views.everything(COST) for views in (self, self._after()))
            return before - after, around + more
        if key == self._undefined:
            return self._by_output
        return self._by_inputs() if key == BY_INPUTS else self._pairs[key]

    def _after(self) -> _Views:
        """The views of the same samples, once the step is taken on the whole batch."""
        weights = self.trained.after(self.step, self.trained.at(self.step))
        return _Views(self.example, self.step, self.trained, replace(self.problem, weights=weights))

    @cached_property
    def _pairs(self) -> dict[Key, Pair]:
        run, bounds = self.truth.run, self.truth.bounds
        more = {
            "preactivation": zip(run.preactivations, bounds.preactivations, strict=True),
            "slope": self._slopes(),
            "activation_gradient": zip(run.activation_gradients, bounds.activation_gradients, strict=True),
            "exponential": self._exponentials(),
        }
        pairs = self.truth.pairs | {
            (name, l): (value, 2 * bound)
            for name, of_layers in more.items()
            for l, (value, bound) in enumerate(of_layers, start=1)
        }
        for l, old in enumerate(self.problem.weights, start=1):
            pairs |= self._step(l, old, pairs)
        return pairs

    def _step(self, l: int, old: FloatArray, pairs: Mapping[Key, Pair]) -> dict[Key, Pair]:
        """The gradient, the step and the weights after it, with the biases shared where they are."""
        gradient, new = pairs["gradient", l], pairs["weight", l]
        near = np.finfo(float).eps * (np.abs(old) + np.abs(new[0]))
        if self.example.shared_biases or self.example.momentum:
            before = self.trained.before[l - 1]
            gradient, new = (
                (shared(self.example, gradient[0]), shared(self.example, gradient[1])),
                (moved(self.example, old, new[0], before), shared(self.example, new[1] + near)),
            )
        return {("gradient", l): gradient, ("weight", l): new, ("step", l): (old - new[0], new[1] + near)}

    def _slopes(self) -> Iterable[Pair]:
        """The slopes; of softmax its diagonal a(1 - a)."""
        slopes = self.truth.slopes()
        if self.problem.activation[-1] == "softmax":
            a, bound = self.truth.run.activations[-1], self.truth.bounds.activations[-1]
            slopes[-1] = (a * (1 - a), bound + 2 * np.finfo(float).eps * a)
        return slopes

    def _exponentials(self) -> Iterator[Pair]:
        """e^-z of each node, by torch."""
        for z, bound in zip(self.truth.run.preactivations, self.truth.bounds.preactivations, strict=True):
            value = torch.exp(-torch.from_numpy(z)).numpy()
            yield value, value * (np.expm1(bound) + 8 * np.finfo(float).eps)

    def _by_inputs(self) -> Pair:
        """dC/dx: dC/da of a layer that passes the inputs on as they are."""
        problem, width = self.problem, self.problem.sizes[0]
        passed_on = np.eye(width + problem.stated.biases, width)
        below = replace(problem, weights=(passed_on, *problem.weights), activation=("identity", *problem.activation))
        truth = Truth(below)
        return truth.run.activation_gradients[0], 2 * truth.bounds.activation_gradients[0]

    @property
    def _undefined(self) -> Key | None:
        """Of a cross-entropy computed from z the twin has no dC/da."""
        top = len(self.problem.weights)
        return ("activation_gradient", top) if len(self.truth.run.activation_gradients) < top else None

    @cached_property
    def _by_output(self) -> Pair:
        """dC/da at the output of a cross-entropy, by autograd of its formula in a."""
        a, around = self.truth.run.activations[-1], self.truth.bounds.activations[-1]
        other = 1.0 if self.problem.stated.cost == "binary_cross_entropy" else 0.0
        share = 1 / len(a) if self.problem.stated.reduction == "mean" else 1.0
        targets = torch.from_numpy(self.problem.targets)
        leaf = torch.from_numpy(a.copy()).requires_grad_()
        cost = -(targets * leaf.log() + other * (1 - targets) * (1 - leaf).log()).sum() * share
        (value,) = torch.autograd.grad(cost, leaf)
        t, eps = self.problem.targets, np.finfo(float).eps
        # What an error of a does to T / a and (1 - T) / (1 - a), and what the quotients round by.
        carried = np.abs(t) / a**2 + other * np.abs(1 - t) / (1 - a) ** 2
        rounded = np.abs(t) / a + other * np.abs(1 - t) / (1 - a)
        return value.numpy(), 2 * share * (2 * carried * around + 4 * eps * rounded)


def part_of(problem: Problem, number: Printed, activations: FloatArray) -> Problem:
    """The problem of one sample alone, or that in which the other outputs meet their targets and cost nothing."""
    rows = slice(None) if number.sample is None else slice(number.sample, number.sample + 1)
    targets, stated = problem.targets, problem.stated
    if number.output is not None:
        other = np.arange(activations.shape[-1]) != number.output
        # Of a cross-entropy over classes, only the target's own class costs anything.
        targets = np.where(other, 0.0 if stated.cost == "cross_entropy" else activations, targets)
        stated = replace(stated, l2=0.0)
    return replace(problem, inputs=problem.inputs[rows], targets=targets[..., rows, :], stated=stated)


def cost_of_the_others(problem: Problem, number: Printed, activations: FloatArray) -> FloatArray | float:
    """What outputs that meet their targets cost all the same: in a binary cross-entropy their entropy."""
    if number.output is None or number.key != COST or problem.stated.cost != "binary_cross_entropy":
        return 0.0
    rows = slice(None) if number.sample is None else slice(number.sample, number.sample + 1)
    a = np.delete(activations[..., rows, :], number.output, axis=-1)
    entropy = -(a * np.log(a) + (1 - a) * np.log(1 - a)).sum(axis=(-2, -1))
    return entropy / a.shape[-2] if problem.stated.reduction == "mean" else entropy


# By hand.


class Recomputing(Protocol):
    """Something that computes every quantity of a step, right or wrong, for many variants or for one."""

    def run(self, problem: Problem, weights: Sequence[FloatArray]) -> Quantities:
        """Return the quantities of the step that is taken."""

    def aside(self, problem: Problem, weights: Sequence[FloatArray]) -> Quantities:
        """Return those of a part of the problem, or of other targets, from which no step is taken."""


def recomputed(
    example: Example, passes: Recomputing, numbers: Sequence[Printed] | None = None, bar: bool = False
) -> dict[Printed, FloatArray]:
    """Return each printed number as `passes` computes it, trained on its own for as long as it takes."""
    numbers = example.printed if numbers is None else numbers
    last = max((number.step for number in numbers), default=0)
    weights: Sequence[FloatArray] = example.problem.weights
    last_weights = weights
    values: dict[Printed, FloatArray] = {}
    steps: Iterator[int] = iter(range(1, last + 1))
    for step in progress(steps, [1] * last, "steps") if bar else steps:
        problem = example.at(step)
        numbers_here = [number for number in numbers if number.step == step]
        # The parts first: a step that is taken may be remembered.
        parts = [number for number in numbers_here if (number.sample, number.output) != (None, None)]
        before = {number: _of_part(passes, problem, number, weights) for number in parts if number.key != DECREASE}
        run = passes.run(problem, weights)
        new = [moved(example, w, run["weight", l], last_weights[l - 1]) for l, w in enumerate(weights, start=1)]
        whole = _Together(example, problem, run, weights, new)
        for number in numbers_here:
            if number.key == DECREASE:
                values[number] = _decrease(passes, problem, number, weights, new)
            else:
                values[number] = before[number] if number in before else whole.of(number)
        last_weights, weights = weights, new
    return values


def _of_part(
    passes: Recomputing, problem: Problem, number: Printed, weights: Sequence[FloatArray]
) -> NDArray[np.float64]:
    """A number of one sample alone, or of an output's share."""
    output = passes.aside(problem, weights)["activation", len(problem.weights)]
    part = part_of(problem, number, output)
    run = passes.aside(part, weights)
    found = _Together(None, part, run, weights, [run["weight", l] for l in range(1, len(weights) + 1)]).of(number)
    return np.asarray(found - cost_of_the_others(problem, number, output))


def _decrease(
    passes: Recomputing,
    problem: Problem,
    number: Printed,
    weights: Sequence[FloatArray],
    new: Sequence[FloatArray],
) -> NDArray[np.float64]:
    cost = replace(number, key=COST)
    return _of_part(passes, problem, cost, weights) - _of_part(passes, problem, cost, new)


@dataclass(frozen=True)
class _Together:
    """What a page prints of a step, made of the quantities of a pass by hand."""

    example: Example | None
    problem: Problem
    run: Quantities
    weights: Sequence[FloatArray]
    new: Sequence[FloatArray]

    def of(self, number: Printed) -> FloatArray:
        """Return the number, of each variant where there are many."""
        quantity, l = number.key
        element: Any = (..., *number.index)
        if quantity == "exponential":
            return np.exp(-self.run["preactivation", l][element])
        if quantity == "input_gradient":
            return self._by_inputs()[element]
        if quantity == "gradient" and self.example is not None:
            return shared(self.example, self.run[number.key])[element]
        if quantity in ("weight", "step") and l is not None:
            new = self.new[l - 1][element]
            return new if quantity == "weight" else self.weights[l - 1][element] - new
        if quantity == "activation_gradient" and l == len(self.weights):
            return self._by_output()[element]
        return self.run[number.key][element]

    def _by_inputs(self) -> FloatArray:
        """dC/dx = delta^(1) w^(1)."""
        w = self.weights[0]
        w = w[..., :-1, :] if self.problem.stated.biases else w
        return self.run["delta", 1] @ np.swapaxes(w, -1, -2)

    def _by_output(self) -> FloatArray:
        """dC/da^(L), which the pass leaves out where the slope cancels against it."""
        seams, top = Seams(self.problem), len(self.weights)
        passed, delta = self.run["activation_gradient", top], self.run["delta", top]
        if not seams.cost.delta:
            return passed
        a = self.run["activation", top]
        right = seams.reduced(seams.cost.error(a, self.problem.targets), a)
        # A mistake in delta^(L) is one in dC/da^(L) too, or in the slope.
        return np.where(np.isclose(passed, delta, rtol=1e-9, atol=0), right, passed)
