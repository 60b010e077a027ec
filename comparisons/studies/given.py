"""What follows from a wrong number: it is taken as printed, and the rest of the page is computed again from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from comparisons.mistakes.seams import Seams
from comparisons.reference.quantities import Key, Problem, Quantities
from comparisons.studies.examples import Example
from comparisons.studies.numbers import Judged, recomputed
from handnet.activations import ACTIVATIONS, FloatArray

# From a wrong number the pages are computed again for so many steps, and for so many wrong numbers at the most.
MOST_STEPS, MOST_NUMBERS = 200, 100
# Of how many numbers of a step it is taken how the others change with them, and for which shift.
MOST_ELEMENTS, SMALL = 500, 1e-7
FORWARD = ("preactivation", "exponential", "activation")
Shifts = Mapping[Key, FloatArray]


class _Given(Seams):
    """A pass in which some quantities are shifted to what is printed: arrays with a leading axis, one for each case."""

    def __init__(self, problem: Problem, weights: Sequence[FloatArray], shifts: Shifts) -> None:
        super().__init__(problem, weights)
        self.shifts = shifts

    def shift(self, quantity: str, l: int | None) -> Any:
        """How far a quantity is shifted."""
        return self.shifts.get((quantity, l), 0.0)

    def preactivation(self, l: int, a_below: FloatArray) -> FloatArray:
        return super().preactivation(l, a_below) + self.shift("preactivation", l)

    def activated(self, l: int, z: FloatArray) -> FloatArray:
        if ("exponential", l) in self.shifts:
            z = -np.log(np.exp(-z) + self.shift("exponential", l))
        return super().activated(l, z) + self.shift("activation", l)

    def shared_error(self, l: int, error: FloatArray) -> FloatArray:
        return super().shared_error(l, error) + (0.0 if self.cost.delta else self.shift("activation_gradient", l))

    def passed_back(self, l: int, delta_above: FloatArray, w: FloatArray) -> FloatArray:
        delta = delta_above + self.shift("delta", l + 1)
        return super().passed_back(l, delta, w) + self.shift("activation_gradient", l)

    def output_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return super().output_slope(l, a, z) + (0.0 if self.cost.delta else self.shift("slope", l))

    def hidden_slope(self, l: int, a: FloatArray, z: FloatArray) -> FloatArray:
        return super().hidden_slope(l, a, z) + self.shift("slope", l)

    def output_delta(self, l: int, c: FloatArray, slope: FloatArray, a: FloatArray) -> FloatArray:
        delta = super().output_delta(l, c, slope, a)
        if self.cost.delta:
            # The slope cancels; whoever prints dC/da or the slope has multiplied the two.
            function = ACTIVATIONS[self.problem.activation[l - 1]]
            by_a, other = (
                self.reduced(self.cost.error(a, self.problem.targets), a),
                self.shift("activation_gradient", l),
            )
            if function.pulled_back:
                return delta + function.pulled_back(other + np.zeros_like(a), a)
            return delta + other * function.slope(a) + (by_a + other) * self.shift("slope", l)
        return delta

    def outer_product(self, l: int, a_below: FloatArray, delta: FloatArray, error: FloatArray) -> FloatArray:
        return super().outer_product(l, a_below, delta + self.shift("delta", l), error)

    def laid_out(self, l: int, gradient: FloatArray) -> FloatArray:
        return super().laid_out(l, gradient) + self.shift("gradient", l)

    def step(self, l: int, w: FloatArray, gradient: FloatArray) -> FloatArray:
        return super().step(l, w, gradient) - self.shift("step", l) + self.shift("weight", l)

    def run(self) -> Quantities:
        """The quantities, those shifted that nothing else in the pass is computed from."""
        quantities = super().run()
        if self.cost.delta:
            output, top = quantities["activation", self.top], ("activation_gradient", self.top)
            right = self.reduced(self.cost.error(output, self.problem.targets), output)
            quantities[top] = right + self.shift(*top)
        own = [key for key in self.shifts if key[0] in ("delta", "cost") and key in quantities]
        return quantities | {key: quantities[key] + self.shifts[key] for key in own}


class _Replays:
    """The page computed again for each of some cases, each with its shifts at their steps."""

    def __init__(self, by_step: Mapping[int, Shifts]) -> None:
        self.by_step, self.step = by_step, 1

    def run(self, problem: Problem, weights: Sequence[FloatArray]) -> Quantities:
        """Return the quantities of the next step."""
        shifts, self.step = self.by_step.get(self.step, {}), self.step + 1
        return _Given(problem, weights, shifts).run()

    def aside(self, problem: Problem, weights: Sequence[FloatArray]) -> Quantities:
        """Return those of an output's share, which follow from the forward pass."""
        shifts = self.by_step.get(self.step, {})
        samples = len(problem.inputs)
        forward = {key: d for key, d in shifts.items() if key[0] in FORWARD and d.shape[-2] == samples}
        return _Given(problem, weights, forward).run()


def follows_from(example: Example, wrong: Sequence[Judged]) -> dict[Judged, tuple[Judged, ...]]:
    """Return, for each wrong number that follows from other wrong ones as they are printed, which these are."""
    if not 1 < len(wrong) <= MOST_NUMBERS or max(j.number.step for j in wrong) > MOST_STEPS:
        return {}
    with np.errstate(all="ignore"):
        base = _replayed(example, wrong, [[]])[:, 0]
        alone = _replayed(example, wrong, [[source] for source in wrong])
        found: dict[Judged, tuple[Judged, ...]] = {}
        fits = np.array(
            [[_fits(j, source, base[n], alone[n, k]) for k, source in enumerate(wrong)] for n, j in enumerate(wrong)]
        )
        first = ~fits.any(axis=1)
        for n, j in enumerate(wrong):
            # The first wrong number, where it does; else one that follows from it in turn, as it is rounded.
            mine = np.flatnonzero(fits[n] & first) if (fits[n] & first).any() else np.flatnonzero(fits[n])
            if mine.size:
                found[j] = (wrong[int(mine[0])],)
        left = [j for j in wrong if j not in found]
        return found | _together(example, left, wrong, base, alone)


def _together(
    example: Example, left: Sequence[Judged], wrong: Sequence[Judged], base: FloatArray, alone: FloatArray
) -> dict[Judged, tuple[Judged, ...]]:
    """The numbers that follow from several others at once."""
    found: dict[Judged, tuple[Judged, ...]] = {}
    if len(left) < 3:
        return found
    cases = [[other for other in left if other is not j] for j in left]
    replayed = _replayed(example, left, cases)
    for k, j in enumerate(left):
        n = wrong.index(j)
        changes = {other: alone[n, wrong.index(other)] for other in cases[k]}
        depends = [other for other, value in changes.items() if value != base[n]]
        slack = sum(_slack(other, base[n], changes[other]) for other in depends)
        if len(depends) > 1 and abs(j.printed - replayed[k, k]) <= j.tolerance + slack < j.error:
            found[j] = tuple(depends)
    return found


def _fits(j: Judged, source: Judged, base: float, replayed: float) -> bool:
    """Whether a number is what follows from the source, and is not what it would be without it."""
    around = j.tolerance + _slack(source, base, replayed)
    return j is not source and replayed != base and bool(abs(j.printed - replayed) <= around < j.error)


def _slack(source: Judged, base: float, replayed: float) -> float:
    """By how much a number varies with the digits that are not printed of its source."""
    return abs(replayed - base) * source.number.unit / 2 / source.error


def _replayed(example: Example, numbers: Sequence[Judged], cases: Sequence[Sequence[Judged]]) -> FloatArray:
    """Each number by each case, in which these wrong numbers are taken as printed, with the page's own factor."""
    by_step: dict[int, dict[Key, FloatArray]] = {}
    for k, case in enumerate(cases):
        for source in case:
            if source.number.sample is not None:  # of a sample alone: it is no number of the whole batch
                continue
            key, step = source.number.key, source.number.step
            shifts = by_step.setdefault(step, {})
            if key not in shifts:
                shifts[key] = np.zeros((len(cases), *_shape(example.at(step), key)))
            shifts[key][(k, *source.number.index)] += (source.printed - source.autograd) / source.factor
    made = recomputed(example, _Replays(by_step), [j.number for j in numbers])
    rows = [np.broadcast_to(made[j.number], len(cases)) * j.factor for j in numbers]
    return np.array(rows, dtype=np.float64)


def _shape(problem: Problem, key: Key) -> tuple[int, ...]:
    quantity, l = key
    if quantity in ("cost", "decrease"):
        return ()
    if quantity == "input_gradient" or l is None:
        return problem.inputs.shape
    w = problem.weights[l - 1]
    return w.shape if quantity in ("gradient", "weight", "step") else (len(problem.inputs), w.shape[-1])


# What hangs together.


def hanging_together(example: Example, wrong: Sequence[Judged]) -> list[list[Judged]]:
    """Return the wrong numbers in groups, each of which one wrong number, printed or not, could have put wrong just so.

    Of each number of the step that the first of them is of, it is taken how all of them change with it.
    """
    with np.errstate(all="ignore"):
        changes = _changes(example, wrong)
    left, groups = list(range(len(wrong))), []
    while left:
        group = max((_moved_by(changes[k], wrong, left) for k in range(len(changes))), key=len, default=[])
        group = group or left[:1]
        groups.append([wrong[n] for n in group])
        left = [n for n in left if n not in group]
    return groups


def _moved_by(change: FloatArray, wrong: Sequence[Judged], left: Sequence[int]) -> list[int]:
    """The most of these numbers that are wrong in the proportion in which they change."""
    best: list[int] = []
    for first in left:
        if not np.isfinite(change[first]) or change[first] == 0:
            continue
        by = (wrong[first].printed - wrong[first].autograd) / change[first]
        group = [n for n in left if abs(wrong[n].printed - wrong[n].autograd - by * change[n]) <= wrong[n].tolerance]
        best = max(best, group, key=len)
    return best


def _changes(example: Example, wrong: Sequence[Judged]) -> FloatArray:
    """How each number changes with each that it may be computed from: (elements of a step, numbers)."""
    step = min(j.number.step for j in wrong)
    problem = example.at(step)
    keys: list[Key] = [
        (name, l)
        for name in ("preactivation", "activation", "slope", "activation_gradient", "delta", "gradient")
        for l in range(1, len(problem.weights) + 1)
    ]
    sizes = [int(np.prod(_shape(problem, key))) for key in keys]
    if sum(sizes) > MOST_ELEMENTS or max(j.number.step for j in wrong) > MOST_STEPS:
        return np.empty((0, len(wrong)))
    shifts: dict[Key, FloatArray] = {}
    for key, size, before in zip(keys, sizes, np.cumsum([0, *sizes]), strict=False):
        cases = np.zeros((sum(sizes), size))
        cases[before : before + size] = np.eye(size) * SMALL
        shifts[key] = cases.reshape(-1, *_shape(problem, key))
    numbers = [j.number for j in wrong]
    base, made = (recomputed(example, _Replays(by_step), numbers) for by_step in ({}, {step: shifts}))
    columns = [(np.broadcast_to(made[j.number] - base[j.number], sum(sizes)) / SMALL) * j.factor for j in wrong]
    return np.stack(columns, axis=1)
