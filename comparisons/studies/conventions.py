"""What a page leaves unsaid and its numbers show: its cost, its learning rate, sign and factor of its deltas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from comparisons.mistakes.lineup import Lineup
from comparisons.mistakes.variants import Variant
from comparisons.reference.quantities import THE_NOTES, Problem, Statement
from comparisons.studies.examples import Example, Printed
from comparisons.studies.numbers import UNITS, Judged, judge, recomputed
from handnet.costs import COSTS, REDUCTIONS

# A statement is inferred from the numbers of so many steps: many tell no more.
FIRST_STEPS = 100
# How many learning rates are tried: where weights do not agree on one, there is none.
MOST_RATES = 8
# What a page may have with another sign, or without a factor that it brings in later.
BACKWARD = ("activation_gradient", "delta", "gradient", "step")
SIGN, RATE = -1.0, "learning_rate"


@dataclass(frozen=True)
class Reading:
    """A page as it is understood.

    Attributes
    ----------
    example : with what was inferred
    judged : its numbers
    said : a line for each thing that the file does not state
    """

    example: Example
    judged: list[Judged]
    said: tuple[str, ...] = ()


def read(example: Example) -> Reading:
    """Judge the numbers, once it is found out what the file does not state."""
    judged = judge(example)
    if all(j.verdict != "wrong" for j in judged):
        return Reading(example, judged)
    said: list[str] = []
    stated = _inferred(example)
    if stated != example.problem.stated:
        example = replace(example, problem=replace(example.problem, stated=stated))
        judged = judge(example)
        said.append(f"not stated, but right for {differences(THE_NOTES, stated)}")
    if RATE not in example.stated:
        found = _with_rate(example, judged)
        if found:
            example, judged = found
            said.append(f"not stated, but right for learning_rate = {example.problem.learning_rate:g}")
    judged, conventions = _by_convention(example, judged)
    return Reading(example, judged, (*said, *conventions))


def differences(before: Statement, after: Statement) -> str:
    """Return what is stated otherwise, as the file would state it."""
    pairs = [(key, getattr(after, key)) for key in ("cost", "reduction") if getattr(after, key) != getattr(before, key)]
    return " and ".join(f'{key} = "{value}"' for key, value in pairs)


# The cost.


def _inferred(example: Example) -> Statement:
    """The statement under which most numbers are right; what the file states stays."""
    numbers = [number for number in example.printed if number.step <= FIRST_STEPS]
    tried = [example.problem.stated, *statements(example.problem, example.stated)]
    if len(tried) == 1 or not numbers:
        return tried[0]
    counts = [_right(replace(example, problem=replace(example.problem, stated=one)), numbers) for one in tried]
    return tried[int(np.argmax(counts))]  # the first of several


def statements(problem: Problem, but: frozenset[str] = frozenset()) -> Iterator[Statement]:
    """The other statements that this network can have; of the keys in `but` none is changed."""
    stated, last, targets = problem.stated, problem.activation[-1], problem.targets
    for cost in [stated.cost] if "cost" in but else COSTS:
        fits = COSTS[cost].output in ("", last)
        if cost.endswith("entropy"):
            fits = fits and bool(((targets >= 0) & (targets <= 1)).all())
        for reduction in [stated.reduction] if "reduction" in but or len(targets) == 1 else REDUCTIONS:
            other = replace(stated, cost=cost, reduction=reduction)
            if fits and other != stated:
                yield other


def _right(example: Example, numbers: Sequence[Printed]) -> int:
    """How many numbers are right, whatever the sign of what is passed back."""
    values = recomputed(example, Lineup([Variant(())]), numbers)
    return sum(_fits(number, float(values[number])) for number in numbers)


def _fits(number: Printed, value: float) -> bool:
    printed = float(number.value)
    if number.key[0] in BACKWARD:
        printed, value = abs(printed), abs(value)
    return abs(printed - value) <= UNITS * number.unit + 1e-9 * abs(value)


# The learning rate.


def rates(example: Example, judged: Sequence[Judged]) -> list[float]:
    """Return the learning rates by which wrong weights, or steps, would be right: each with as few digits as may be."""
    wrong = [j for j in judged if j.number.key[0] in ("weight", "step") and j.verdict == "wrong"]
    wrong = [j for j in wrong if j.number.step == wrong[0].number.step]
    rate = example.problem.learning_rate
    if not wrong or not rate:
        return []
    steps = [replace(j.number, key=("step", j.number.key[1])) for j in wrong]
    moves = recomputed(example, Lineup([Variant(())]), steps)
    found: dict[float, None] = {}
    for j, step in zip(wrong, steps, strict=True):
        move = float(moves[step]) * j.factor
        # w - gamma g is printed where w - rate g belongs.
        moved = move - (j.printed - j.autograd) if j.number.key[0] == "weight" else j.printed
        if abs(move) > j.tolerance:
            other = _shortest(moved / move * rate, j.tolerance / abs(move) * rate)
            found |= {other: None} if other > 0 else {}
    return list(found)[:MOST_RATES]


def _shortest(value: float, around: float) -> float:
    """The number of fewest digits that lies so near."""
    for digits in range(1, 17):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= around:
            return short
    return value


def with_rate(example: Example, rate: float) -> Example:
    """Return the page with another learning rate."""
    return replace(example, problem=replace(example.problem, learning_rate=rate))


def _with_rate(example: Example, judged: Sequence[Judged]) -> tuple[Example, list[Judged]] | None:
    """The learning rate under which most numbers are right, at least two more than with the one that is taken."""
    found = [(with_rate(example, rate), judge(with_rate(example, rate))) for rate in rates(example, judged)]
    best = max(found, key=lambda pair: _count(pair[1]), default=None)
    return best if best and _count(best[1]) >= _count(judged) + 2 else None


def _count(judged: Sequence[Judged]) -> int:
    return sum(j.verdict != "wrong" for j in judged)


# The sign and the factor.


def _by_convention(example: Example, judged: Sequence[Judged]) -> tuple[list[Judged], list[str]]:
    """The numbers with the factor that all of a quantity have on this page, while its weights are right."""
    weights = [j.verdict != "wrong" for j in judged if j.number.key[0] == "weight"]
    found: dict[str, float] = {}
    for quantity in BACKWARD:
        own = [j for j in judged if j.number.key[0] == quantity]
        factors = _factors(example, own) if sum(weights) * 2 > len(weights) and quantity != "step" else []
        if sum(weights) * 2 >= len(weights):
            factors = [SIGN, *factors]
        for factor in factors:
            scaled = [j.times(factor) for j in own]
            # A sign shows in one number, another factor in no less than two.
            enough = _count(own) + (1 if factor == SIGN else 2)
            if _count(scaled) >= enough and _count(scaled) * 2 > len(scaled):
                found[quantity] = factor
                break
    return [j.times(found.get(j.number.key[0], 1.0)) for j in judged], _said(found)


def _factors(example: Example, own: Sequence[Judged]) -> list[float]:
    """Plain factors, and those of the samples, the outputs and the learning rate."""
    samples, outputs = len(example.batch(1)), example.problem.sizes[-1]
    plain = dict.fromkeys(
        (2.0, float(samples), float(outputs), samples * 2.0, outputs / 2, example.problem.learning_rate)
    )
    factors = [power for factor in plain if factor > 0 and factor != 1 for power in (factor, 1 / factor)]
    return [sign * factor for sign in (1, -1) for factor in factors]


def _said(found: dict[str, float]) -> list[str]:
    """One line for each factor."""
    lines = []
    for factor in dict.fromkeys(found.values()):
        names = [name.replace("_", " ") + "s" for name in found if found[name] == factor]
        listed = " and ".join([*([", ".join(names[:-1])] if names[1:] else []), names[-1]])
        how = "the sign reversed, as of T - a" if factor == SIGN else f"a factor of {factor:.6g}"
        lines.append(f"a convention: all {listed} have {how}")
    return lines
