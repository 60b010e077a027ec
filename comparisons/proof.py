"""The proof that the checker can fail: every known mistake made on purpose, and put to `check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from comparisons.catalogue import changes, made_at
from comparisons.checks import check
from comparisons.comparison import distance, greatest, quantity_name
from comparisons.implementation import LAYOUTS
from comparisons.measure import Problem
from comparisons.mistakes import Lineup, NotApplicable, Variant, combined, pairs, singles
from comparisons.probes import Probe, probe
from comparisons.twin import Quantities
from comparisons.work import progress, results
from handnet.activations import FloatArray

MISTAKE_COLUMNS = (
    *("mistake", "placement", "activation", "layout", "given", "sizes", "batch", "applicable"),
    *("caught", "expected_wrong", "first_wrong", "named", "error_over_tolerance"),
)
ARCHITECTURES = (
    *((4, 4), (5, 3), (2, 2, 2), (3, 5, 2), (4, 1, 3)),
    *((2, 5, 4, 3), (4, 4, 4, 4), (3, 3, 5, 3), (3, 6, 5, 4, 2)),
)
FOR_PAIRS = (4, 4, 4, 4)
ACTIVATIONS = ("sigmoid", "tanh")
GIVEN = ("all", "gradients")
# What an implementation may give; "all" of it, or the gradients alone.
QUANTITIES = {"all": ("activation", "cost", "delta", "gradient", "weight"), "gradients": ("gradient",)}
RIGHT = Variant(())


@dataclass(frozen=True)
class Cell:
    """One mistake, made in one place, put to the checker in one way; no mistake at all must raise no alarm."""

    variant: Variant
    sizes: tuple[int, ...]
    activation: str
    layout: str
    given: str

    @property
    def probe(self) -> Probe:
        """What the implementation is asked."""
        return probe(self.sizes, self.activation, dtype=np.dtype(np.float64))

    def applicable(self) -> str:
        """Return "yes" where it changes a number that is given by more than twice its tolerance, else why not."""
        if self.variant == RIGHT:
            return "yes"
        return _applicable(self.variant, self.sizes, self.activation, self.given)

    def row(self) -> tuple[Any, ...]:
        """Put the mistake to the checker, and return the row of mistakes.csv."""
        applicable = self.applicable()
        right = (" + ".join(self.variant.mistakes) or "none", self.variant.placement, self.activation, self.layout)
        asked = (*right, self.given, "-".join(map(str, self.sizes)), self.probe.truths[0].problem.inputs.shape[-2])
        if applicable != "yes":
            return (*asked, applicable, pd.NA, "", "", "", np.nan)
        planted = Planted(self.variant, self.activation, self.layout, self.given)
        comparison = check(planted, layout=self.layout, sizes=self.sizes, activation=self.activation)
        expected = _expected(self.variant, self.sizes, self.activation)
        found = comparison.diagnosis
        first = quantity_name(found.first_wrong) if found and found.first_wrong else ""
        named = " = ".join(found.candidates) if found else ""
        ratio = max((greatest(m.ratio) for m in comparison.measured), default=np.nan)
        return (*asked, applicable, not comparison.passed, expected, first, named, ratio)


class Planted:
    """An implementation with the mistake, in a layout, as somebody else might have written it.

    Parameters
    ----------
    variant : the mistake
    activation : of every layer
    layout : "note", "linear" or "columns"
    given : "all" or "gradients"
    """

    def __init__(self, variant: Variant, activation: str, layout: str, given: str) -> None:
        self.variant, self.activation, self.layout, self.given = variant, activation, layout, given
        self.lineup = Lineup([variant])

    def __call__(self, weights: Sequence[Any], inputs: FloatArray, targets: FloatArray, learning_rate: float) -> Any:
        """Answer as `check` asks."""
        turned = self.layout == "columns"
        x, t = (inputs.T, targets.T) if turned else (inputs, targets)
        ours = tuple(w if self.layout == "note" else np.vstack([w[0].T, w[1].reshape(1, -1)]) for w in weights)
        problem = Problem(ours, (self.activation,) * len(ours), x, t, learning_rate)
        made = self._made(problem)

        def part(quantity: str) -> list[FloatArray]:
            return [made[quantity, l] for l in range(1, len(ours) + 1)]

        gradients = [self._weights_out(g) for g in part("gradient")]
        if self.given == "gradients":
            return gradients
        return {
            "activations": [a.T if turned else a for a in part("activation")],
            "cost": made["cost", None],
            "deltas": [delta.T if turned else delta for delta in part("delta")],
            "gradients": gradients,
            "updated": [self._weights_out(w) for w in part("weight")],
        }

    def _made(self, problem: Problem) -> Quantities:
        if "single_precision" in self.variant.mistakes:
            return combined(self.variant.mistakes)(problem).run()
        made = self.lineup.run(problem)
        return {key: value[0] if value.ndim > len(problem.shape(key)) else value for key, value in made.items()}

    def _weights_out(self, w: FloatArray) -> Any:
        if self.layout == "note":
            return w
        bias = w[-1]
        return w[:-1].T, bias[:, np.newaxis] if self.layout == "columns" else bias


def cells() -> Iterator[Cell]:
    """Every mistake and placement, and none, on every architecture, in every layout; and the pairs."""
    for sizes in ARCHITECTURES:
        for activation in ACTIVATIONS:
            for given in GIVEN:
                for variant in (RIGHT, *singles(len(sizes) - 1)):
                    for layout in LAYOUTS:
                        yield Cell(variant, sizes, activation, layout, given)
    for activation in ACTIVATIONS:
        for given in GIVEN:
            for variant in pairs():
                yield Cell(variant, FOR_PAIRS, activation, "note", given)


def prove(chosen: Sequence[Cell], jobs: int = 1) -> pd.DataFrame:
    """Put each of the cells to the checker.

    Parameters
    ----------
    jobs : processes

    Returns
    -------
    frame : the columns of mistakes.csv
        named holds all that explain the numbers, "a = b" where two mistakes are the same formula there.

    Examples
    --------
    >>> cell = Cell(Variant(("no_transpose",)), (4, 4, 4), "sigmoid", "columns", "all")
    >>> prove([cell])[["expected_wrong", "first_wrong", "named"]].squeeze().tolist()
    ['delta^(1)', 'delta^(1)', 'no_transpose']
    """
    done = dict(progress(results(Cell.row, chosen, jobs), [1] * len(chosen), "mistakes"))
    rows = [done[i] for i in range(len(chosen))]
    return pd.DataFrame(rows, columns=MISTAKE_COLUMNS).astype({"caught": "boolean"})


def proven(frame: pd.DataFrame) -> bool:
    """Return whether every mistake that shows was caught, and located where all is given, without a false alarm."""
    counted = frame[frame["applicable"] == "yes"]
    right, wrong = counted[counted["mistake"] == "none"], counted[counted["mistake"] != "none"]
    located = wrong["expected_wrong"] == wrong["first_wrong"]
    return bool(not right["caught"].any() and wrong["caught"].all() and located[wrong["given"] == "all"].all())


def is_named(frame: pd.DataFrame) -> pd.Series:
    """Return, for each row, whether its mistake is among those named."""
    rows = zip(frame["mistake"], frame["named"], strict=True)
    found = [mistake in (name.partition(" (")[0] for name in names.split(" = ")) for mistake, names in rows]
    return pd.Series(found, index=frame.index, dtype=bool)


@cache
def _applicable(variant: Variant, sizes: tuple[int, ...], activation: str, given: str) -> str:
    truths = Cell(variant, sizes, activation, "note", given).probe.truths
    try:
        changed = changes(variant, truths)
    except NotApplicable as misfit:
        return f"no: the shapes do not fit ({misfit})"
    if not any(ratio > 2 for step in changed for key, ratio in step.items() if key[0] in QUANTITIES[given]):
        return "no: it changes nothing that is given"
    for name in variant.mistakes if len(variant.mistakes) > 1 else ():
        if _same_numbers(variant, Variant((name,)), truths, given):
            return f"no: the numbers are those of {name} alone"
    return "yes"


def _same_numbers(one: Variant, other: Variant, truths: Sequence[Any], given: str) -> bool:
    problems = [truth.problem for truth in truths]
    for truth, mine, theirs in zip(truths, one.run(problems), other.run(problems), strict=True):
        for key, (_, tolerance) in truth.pairs.items():
            if key[0] in QUANTITIES[given] and (distance(mine[key], theirs[key]) > 2 * tolerance).any():
                return False
    return True


@cache
def _expected(variant: Variant, sizes: tuple[int, ...], activation: str) -> str:
    """The quantity that the mistake makes wrong first; of two mistakes, the earlier in the computation."""
    truths = Cell(variant, sizes, activation, "note", "all").probe.truths
    key = made_at(variant, truths)
    return quantity_name(key) if key else ""
