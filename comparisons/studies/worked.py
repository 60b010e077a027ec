"""Worked examples: the numbers that a page, a book or a lecture prints, against autograd.

The digits that a number is printed with make its tolerance: 1.5 units in the last place, since a last digit is often
rounded twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from comparisons.mistakes.effects import effects
from comparisons.mistakes.lineup import Lineup
from comparisons.mistakes.variants import Variant, alone_in, overridden, pairs, singles
from comparisons.output import page, report
from comparisons.output.outcome import Outcome
from comparisons.reference.quantities import Key, Problem
from comparisons.reference.truth import Pair, Truth
from comparisons.reference.twin import Twin
from comparisons.studies.examples import Example, Printed
from comparisons.studies.work import progress
from comparisons.verdict.distance import distance
from handnet.activations import FloatArray

WORKED_COLUMNS = (
    *("example", "quantity", "layer", "step", "index", "printed", "autograd", "error", "tolerance", "verdict"),
    "explained_by",
)
UNITS = 1.5
# By how much more than the two trainings seen, right trainings of many steps may drift apart.
DRIFT = 10
NAMED = 3
# By chance less than one number in ten, as far off, may fit what explains it.
CHANCE = 0.1


@dataclass(frozen=True)
class Judged:
    """A printed number, what autograd says, and the tolerance."""

    number: Printed
    autograd: float
    tolerance: float

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


def check_example(example: Example) -> pd.DataFrame:
    """Compare the printed numbers with autograd's, and look for the known mistake behind each wrong one.

    Returns
    -------
    frame : the columns of worked.csv, one row per printed number; layer is empty for the cost
        explained_by is the single known mistake that gives the printed number, else the pairs, else empty; also empty
        where a number as far off would too often fit one of them by chance.

    Examples
    --------
    >>> from comparisons.studies.examples import read_example
    >>> frame = check_example(read_example("one-neuron.toml"))
    >>> frame["verdict"].unique().tolist()
    ['ok']
    """
    with np.errstate(all="ignore"):
        judged = _judged(example)
        wrong = [j for j in judged if j.verdict == "wrong"]
        explained = _explained(example, wrong, "singles")
        left = [j for j in wrong if not explained[j]]
        explained |= _explained(example, left, "pairs")
    rows = [
        (
            example.name,
            j.number.key[0],
            j.number.key[1],
            j.number.step,
            j.number.place,
            j.number.value,
            j.autograd,
            j.error,
            j.tolerance,
            j.verdict,
            _listed(explained.get(j, [])),
        )
        for j in judged
    ]
    return pd.DataFrame(rows, columns=WORKED_COLUMNS).astype({"layer": "Int64"})


def _listed(names: Sequence[str]) -> str:
    return " or ".join([*names[:NAMED], *([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])])


def _judged(example: Example) -> list[Judged]:
    hand = _trained(example, [Variant(())])
    found: dict[Printed, Judged] = {}
    problem, weights, at = example.problem, example.problem.weights, 1
    how = (problem.inputs, problem.targets, problem.learning_rate)
    for step in example.steps:
        weights, at = Twin(weights, problem.activation).train(*how, step - at, problem.train_biases), step
        views = _Views(Truth(replace(problem, weights=weights)))
        for number in example.printed:
            if number.step == step:
                value, tolerance = (float(part[number.index]) for part in views.of(number))
                drift = DRIFT * abs(float(hand[number]) - value)
                found[number] = Judged(number, value, UNITS * number.unit + tolerance + drift)
    return [_without_share(found[number], example) for number in example.printed]


def _without_share(judged: Judged, example: Example) -> Judged:
    """The number itself, or, of a batch, what it is with the 1/N where that is what is printed: both are right."""
    number, samples = judged.number, len(example.problem.inputs)
    if number.sample is None or number.key[0] not in ("delta", "activation_gradient"):
        return judged
    within = replace(judged, autograd=judged.autograd / samples)
    return min(judged, within, key=lambda one: one.error)


class _Views:
    """Every quantity of one step by autograd, with its tolerance; also of a sample alone, and of an output's share."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.parts: dict[tuple[int | None, int | None], _Views] = {}

    def of(self, number: Printed) -> Pair:
        """Return value and tolerance of the quantity."""
        part = (number.sample, number.output)
        if part == (None, None):
            return self.everything[number.key]
        if part not in self.parts:
            self.parts[part] = _Views(Truth(_part(self.truth.problem, number, self.truth.run.activations[-1])))
        return self.parts[part].everything[number.key]

    @cached_property
    def everything(self) -> dict[Key, Pair]:
        """Value and tolerance by quantity and layer."""
        run, bounds = self.truth.run, self.truth.bounds
        more = {
            "preactivation": zip(run.preactivations, bounds.preactivations, strict=True),
            "slope": self.truth.slopes(),
            "activation_gradient": zip(run.activation_gradients, bounds.activation_gradients, strict=True),
        }
        return self.truth.pairs | {
            (name, l): (value, 2 * bound)
            for name, pairs in more.items()
            for l, (value, bound) in enumerate(pairs, start=1)
        }


def _part(problem: Problem, number: Printed, activations: FloatArray) -> Problem:
    """The problem of one sample alone, or that in which the other outputs meet their targets and cost nothing."""
    rows = slice(None) if number.sample is None else slice(number.sample, number.sample + 1)
    targets = problem.targets
    if number.output is not None:
        met = np.arange(activations.shape[-1]) != number.output
        targets = np.where(met, activations, targets)
    return replace(problem, inputs=problem.inputs[rows], targets=targets[..., rows, :])


def _trained(example: Example, variants: Sequence[Variant], bar: bool = False) -> dict[Printed, FloatArray]:
    """Each printed number as the variants compute it, trained on their own for as long as it takes."""
    lineup = Lineup(variants)
    problem, last, top = example.problem, example.steps[-1], len(example.problem.weights)
    weights: Sequence[FloatArray] = problem.weights
    values: dict[Printed, FloatArray] = {}
    steps: Iterator[int] = iter(range(1, last + 1))
    for step in progress(steps, [1] * last, "steps") if bar else steps:
        asked = [number for number in example.printed if number.step == step]
        for number in asked:
            if (number.sample, number.output) != (None, None):
                output = lineup.aside(problem, weights)["activation", top]
                part = lineup.aside(_part(problem, number, output), weights)
                values[number] = part[number.key][_element(number)]
        made = lineup.run(problem, weights)
        for number in asked:
            if number not in values:
                values[number] = made[number.key][_element(number)]
        weights = [made["weight", l] for l in range(1, top + 1)]
    return values


def _element(number: Printed) -> Any:
    return (..., *number.index)


def _explained(example: Example, wrong: Sequence[Judged], how: str) -> dict[Judged, list[str]]:
    """For each wrong number the known mistakes that give it, the simplest first."""
    if not wrong:
        return {}
    tried = _tried(example.problem, how)
    made = _trained(replace(example, printed=tuple(j.number for j in wrong)), tried, bar=True)
    explained = {}
    for j in wrong:
        values = np.broadcast_to(made[j.number], len(tried))
        fits = distance(np.array(j.printed), values) <= j.tolerance
        names = [" + ".join(variant.mistakes) for variant, fit in zip(tried, fits, strict=True) if fit]
        explained[j] = list(dict.fromkeys(names)) if _chance(j, values) < CHANCE else []
    return explained


def _tried(problem: Problem, how: str) -> list[Variant]:
    """The variants worth training: of mistakes that change something in the first two steps, and not at one seam."""
    first = Truth(problem)
    second = Truth(replace(problem, weights=first.run.updated))
    variants = alone_in(first.problem)
    shown = effects(variants, [first, second]).shown({key[0] for key in first.derived})
    names = {v.mistakes[0] for v, show in zip(variants, shown, strict=True) if show} - {"single_precision"}
    if how == "singles":
        return [variant for variant in singles(len(problem.weights)) if variant.mistakes[0] in names]
    two = (variant for variant in pairs() if names.issuperset(variant.mistakes))
    return [variant for variant in two if not overridden(variant.mistakes[0]) & overridden(variant.mistakes[1])]


def _chance(j: Judged, values: FloatArray) -> float:
    """The share of the numbers not further off than this one, right ones aside, that some mistake would explain."""
    apart = np.sort(values[np.isfinite(values)] - j.autograd)
    apart = apart[(np.abs(apart) > j.tolerance) & (np.abs(apart) < j.error + j.tolerance)]
    # Where two lie closer than twice the tolerance, what they explain overlaps.
    covered = 2 * j.tolerance + np.minimum(np.diff(apart), 2 * j.tolerance).sum() if apart.size else 0.0
    return float(covered / (2 * j.error))


def outcome(example: Example) -> Outcome:
    """Judge the printed numbers of a worked example: all is well if some are right and none is wrong."""
    frame = check_example(example)
    return Outcome(
        bool((frame["verdict"] == "ok").any() and not (frame["verdict"] == "wrong").any()),
        worked_line(frame),
        [worked_table(example, frame)],
        {"worked.csv": frame},
        "Printed numbers beside autograd",
        sections=lambda: [worked_section(example, frame)],
    )


def worked_table(example: Example, frame: pd.DataFrame) -> str:
    """Return a table of the printed numbers that are not right."""
    rows: list[tuple[str, ...]] = [("printed", "quantity", "step", "value", "autograd", "verdict", "explained by")]
    for number, row in zip(example.printed, frame.to_dict("records"), strict=True):
        if row["verdict"] != "ok":
            digits = max(len(number.value.lstrip("-0.")), 3)
            layer = "" if number.key[1] is None else f" {number.key[1]}"
            what = f"{number.key[0]}{layer} {row['index']}".strip()
            said = (number.value, f"{row['autograd']:.{digits}g}", row["verdict"], row["explained_by"])
            rows.append((number.name, what, f"{number.step:,}", *said))
    return report.table(rows, left=7) if len(rows) > 1 else ""


def worked_line(frame: pd.DataFrame) -> str:
    """Return the result of a worked example in one line."""
    counts = frame["verdict"].value_counts()
    explained = (frame["explained_by"] != "").sum()
    parts = [f"{counts.get('ok', 0)} right", f"{counts.get('wrong', 0)} wrong"]
    parts[1] += f" ({explained} explained)" if counts.get("wrong", 0) else ""
    parts += [f"{counts['undecided']} undecided"] if "undecided" in counts else []
    return f"{frame['example'].iloc[0]}: {len(frame)} printed numbers, {', '.join(parts)}"


WORKED_ORDER = (
    *("name", "printed", "autograd", "verdict", "explained_by"),
    *("quantity", "layer", "step", "index", "error", "tolerance"),
)


def worked_section(example: Example, frame: pd.DataFrame) -> page.Section:
    """Return the printed numbers of a worked example, each with its verdict."""
    section = page.Section("worked", example.title or str(frame["example"].iloc[0]), source=example.source)
    shown = frame.assign(name=[number.name for number in example.printed])
    section.tables.append(page.table(shown, "worked-rows", "The rows of worked.csv", WORKED_ORDER))
    return section
