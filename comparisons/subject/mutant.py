"""Somebody's right function, answering what another computation would: its own containers, other numbers in them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from comparisons.reference.quantities import Key, Problem, Quantities, Statement, in_order
from comparisons.subject.implementation import Implementation, whole_of
from comparisons.subject.numbering import Numbers, numbers_of
from comparisons.subject.probes import network_of, problem_of
from comparisons.subject.reading import ImplementationError, Reading, is_bare_answer, parts, plain
from handnet import Network
from handnet.activations import FloatArray

Change = Callable[[Problem, Quantities], Quantities]
# What lies within this power of the machine epsilon, of the largest number, was right, as `check` has found; what
# differs by less than that power is rounding. Nothing known lies near either, so that no test sees half of them.
NEAR, ROUNDING = 0.5, 0.75
# Where the cost is a sum over the samples, so are these.
SUMMED = ("cost", "delta", "gradient")


class Mutant:
    """A right function that answers with other numbers, wherever its answer can be read and is right.

    Parameters
    ----------
    implementation : the right function, in the form in which it is called
    activation : a name, or one per layer
    stated : its cost and the like
    change : of (what is asked, the right quantities): the quantities that it is to answer

    Attributes
    ----------
    problems : what it was asked, of each call that was changed
    quantities : that it returns: gradient, delta, weight, activation, cost
    effect : by how much the numbers that it returned were changed at most
    unread : of each call that was left as it is, why
    """

    def __init__(
        self, implementation: Implementation, activation: str | tuple[str, ...], stated: Statement, change: Change
    ) -> None:
        functools.update_wrapper(self, implementation.function)
        self.implementation, self.activation, self.stated, self.change = implementation, activation, stated, change
        self.problems: list[Problem] = []
        self.quantities: set[str] = set()
        self.effect = 0.0
        self.unread: list[str] = []

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function, and change what it answers."""
        try:
            parts = self.implementation.arguments.parts(self.implementation.function, arguments, keywords)
            with np.errstate(all="ignore"):
                problem = self._problem(parts)
        except Exception as raised:  # anything may be handed to somebody's function
            self.unread.append(str(raised) or type(raised).__name__)
            return self.implementation.function(*arguments, **keywords)
        weights = {role: parts[role] for role in self.implementation.arguments.weights}
        before = numbers_of(weights)
        answer = self.implementation.function(*arguments, **keywords)
        answer = list(answer) if isinstance(answer, Iterator) else answer
        in_place = weights if numbers_of(weights) != before else None
        with np.errstate(all="ignore"):
            return self._changed(problem, answer, in_place)

    def _problem(self, parts: Mapping[str, Any]) -> Problem:
        """What is asked, in our layout."""
        form, rate = self.implementation.form, parts.get("rate", 0.5)
        net = Network(form.weights_in(parts), self.activation, **asdict(self.stated))
        inputs, targets = (form.layout.samples_in(np.asarray(plain(parts[role]))) for role in ("inputs", "targets"))
        problem = problem_of(net, inputs, targets)
        return replace(problem, learning_rate=float(rate) * (len(problem.inputs) if self._is_sum else 1))

    @property
    def _is_sum(self) -> bool:
        return self.implementation.reduction == "sum" and self.stated.reduction == "mean"

    def _changed(self, problem: Problem, answer: Any, in_place: Mapping[str, Any] | None) -> Any:
        right = _right(problem)
        try:
            numbers = Numbers(answer, in_place)
            places = self._places(problem, numbers)
            factors = {key: self._factor(key, numbers.flat[at], right[key], problem) for key, at in places.items()}
        except ImplementationError as why:
            self.unread.append(str(why))
            return answer
        self.problems.append(problem)
        self.quantities |= {key[0] for key in places}
        try:
            changed = self.change(problem, right)
        except ValueError:
            self.effect = np.inf
            raise
        for key, at in places.items():
            # What is not changed keeps its own rounding.
            other, off = changed[key] != right[key], _off(changed[key], right[key])
            numbers.flat[at] = np.where(other, factors[key] * changed[key], numbers.flat[at])
            if off > _epsilon(problem) ** ROUNDING * np.abs(right[key]).max():
                self.effect = max(self.effect, factors[key] * off)
        return numbers.written()

    def _places(self, problem: Problem, numbers: Numbers) -> dict[Key, Any]:
        """Where each quantity's numbers stand in the answer: it is read with the places in the place of the numbers."""
        answer, in_place = numbers.places()
        found = parts(answer)
        if in_place is not None:
            found.setdefault("updated", whole_of(in_place))
        form = self.implementation.form
        if is_bare_answer(answer) and form.bare == "updated":
            found["updated"] = found.pop("gradients")
        reading = Reading(problem, form, 1, self.implementation.deepest_first)
        reading.read(found)
        if not reading.actual:
            raise ImplementationError("it returned nothing")
        for misfit in reading.misfits.values():
            raise ImplementationError(misfit)
        return {key: at.astype(np.intp) for key, at in reading.actual.items()}

    def _factor(self, key: Key, actual: FloatArray, right: FloatArray, problem: Problem) -> float:
        """By how much its numbers are larger than ours, by a convention: a sum over samples, deltas without the 1/N."""
        share = len(problem.inputs) if self._is_sum and key[0] in SUMMED else 1
        for factor in (share, *((len(problem.inputs),) if key[0] == "delta" else ())):
            if _off(actual / factor, right) <= _epsilon(problem) ** NEAR * np.abs(right).max():
                return factor
        raise ImplementationError("its answer is not right")


def _right(problem: Problem) -> Quantities:
    """Every quantity, as it should be."""
    net = network_of(problem)
    result = net.backprop(problem.inputs, problem.targets)
    updated = net.update(result.gradients, problem.learning_rate).weights
    cost = np.asarray(result.cost)
    return in_order(result.activations[1:], cost, result.deltas, result.gradients, updated)


def _epsilon(problem: Problem) -> float:
    return float(np.finfo(problem.inputs.dtype).eps)


def _off(one: FloatArray, other: FloatArray) -> float:
    """How far two arrays lie apart at most; infinitely far where one is no number."""
    off = np.abs(np.asarray(one, dtype=np.float64) - other)
    return float(np.where(np.isnan(off), np.inf, off).max(initial=0.0))
