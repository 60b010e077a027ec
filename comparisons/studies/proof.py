"""The proof that the checker can fail: every known mistake made on purpose, and put to `check`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from comparisons.checks import check
from comparisons.mistakes.effects import VISIBLE, effects, origin_in
from comparisons.mistakes.known import MISTAKES
from comparisons.mistakes.lineup import Lineup, alone
from comparisons.mistakes.variants import Variant, applicable, pairs, singles
from comparisons.output import page, report
from comparisons.output.outcome import Outcome
from comparisons.reference.quantities import THE_NOTES, Problem, Statement, quantity_name
from comparisons.reference.truth import Truth
from comparisons.studies.work import progress, results
from comparisons.subject.layouts import Layout
from comparisons.subject.probes import Probe, probe
from comparisons.verdict.distance import distance, greatest
from handnet.activations import FloatArray

MISTAKE_COLUMNS = (
    *("mistake", "placement", "activation", "layout", "given", "sizes", "batch", "applicable"),
    *("caught", "expected_wrong", "first_wrong", "named", "error_over_tolerance"),
    *("cost", "reduction", "l2", "biases"),
)
ARCHITECTURES = (
    *((4, 4), (5, 3), (2, 2, 2), (3, 5, 2), (4, 1, 3)),
    *((2, 5, 4, 3), (4, 4, 4, 4), (3, 3, 5, 3), (3, 6, 5, 4, 2)),
)
FOR_PAIRS = (4, 4, 4, 4)
ACTIVATIONS = ("sigmoid", "tanh", "relu")
# The layouts that differ most; the others are put to the same mistakes by the tests.
PLANTED_IN = ("note", "linear", "columns")
GIVEN = ("all", "gradients")
# The other costs, with a penalty or without biases, and the activations of the hidden layers and of the output.
KINDS = (
    (Statement("squared_error"), "softplus", "identity"),
    (Statement("mean_squared_error", biases=False), "elu", "tanh"),
    (Statement("half_squared_error", l2=0.1), "tanh", "softmax"),
    (Statement("binary_cross_entropy"), "relu", "sigmoid"),
    (Statement("cross_entropy"), "leaky_relu", "softmax"),
    (Statement("cross_entropy", "sum", l2=0.1), "sigmoid", "softmax"),
)
FOR_KINDS = ((2, 5, 4, 3), FOR_PAIRS)
# What an implementation may give; "all" of it, or the gradients alone.
QUANTITIES = {"all": ("activation", "cost", "delta", "gradient", "weight"), "gradients": ("gradient",)}
RIGHT = Variant(())


@dataclass(frozen=True)
class Cell:
    """One mistake, made in one place, put to the checker in one way; no mistake at all must raise no alarm."""

    variant: Variant
    sizes: tuple[int, ...]
    activation: str | tuple[str, ...]
    layout: str
    given: str
    stated: Statement = THE_NOTES

    @property
    def probe(self) -> Probe:
        """What the implementation is asked."""
        return probe(self.sizes, self.activation, dtype=np.dtype(np.float64), stated=self.stated)

    def applicable(self) -> str:
        """Return "yes" where it changes a number that is given by more than twice its tolerance, else why not."""
        if self.variant == RIGHT:
            return "yes"
        return _applicable(replace(self, layout="note"))

    def row(self) -> tuple[Any, ...]:
        """Put the mistake to the checker, and return the row of mistakes.csv."""
        applicable = self.applicable()
        activation = self.activation if isinstance(self.activation, str) else " ".join(self.activation)
        stated = astuple(self.stated)
        right = (" + ".join(self.variant.mistakes) or "none", self.variant.placement, activation, self.layout)
        cell = (*right, self.given, "-".join(map(str, self.sizes)), self.probe.truths[0].problem.inputs.shape[-2])
        if applicable != "yes":
            return (*cell, applicable, pd.NA, "", "", "", np.nan, *stated)
        planted = Planted(self.variant, self.activation, self.layout, self.given, self.stated)
        options = {**asdict(self.stated), "activation": self.activation, "sizes": self.sizes}
        comparison = check(planted, layout=self.layout, **options)
        expected = _expected(replace(self, layout="note", given="all"))
        found = comparison.diagnosis
        first = quantity_name(found.first_wrong) if found and found.first_wrong else ""
        named = " = ".join(found.candidates) if found else ""
        ratio = max((greatest(m.ratio) for m in comparison.measured), default=np.nan)
        return (*cell, applicable, not comparison.passed, expected, first, named, ratio, *stated)


class Planted:
    """An implementation with the mistake, in a layout, as somebody else might have written it.

    Parameters
    ----------
    variant : the mistake
    activation : of every layer, or one per layer
    layout : one of LAYOUTS
    given : "all" or "gradients"
    stated : its cost and the like
    """

    def __init__(
        self,
        variant: Variant,
        activation: str | tuple[str, ...],
        layout: str,
        given: str,
        stated: Statement = THE_NOTES,
    ) -> None:
        self.activation, self.given, self.stated = activation, given, stated
        self.layout = Layout(layout, stated.biases)
        self.lineup = Lineup([variant])

    def __call__(self, weights: Sequence[Any], inputs: FloatArray, targets: FloatArray, learning_rate: float) -> Any:
        """Answer as `check` asks."""
        layout = self.layout
        x, t = (array.T if layout.in_columns else array for array in (inputs, targets))
        ours = tuple(
            np.vstack([layout.weight_in(w[0]), w[1].reshape(1, -1)]) if layout.is_paired else layout.matrix_in(w)
            for w in weights
        )
        activation = (self.activation,) * len(ours) if isinstance(self.activation, str) else self.activation
        problem = Problem(ours, activation, x, t, learning_rate, stated=self.stated)
        mistaken = alone(self.lineup.run(problem), 0, problem)

        def part(quantity: str, out: Callable[[FloatArray], Any]) -> list[Any]:
            return [out(mistaken[quantity, l]) for l in range(1, len(ours) + 1)]

        gradients = part("gradient", layout.weights_out)
        if self.given == "gradients":
            return gradients
        return {
            "activations": part("activation", layout.samples_out),
            "cost": mistaken["cost", None],
            "deltas": part("delta", layout.samples_out),
            "gradients": gradients,
            "updated": part("weight", layout.weights_out),
        }


def cells() -> Iterator[Cell]:
    """Every mistake and placement, and none, on every architecture, in every layout; pairs; and with other costs."""
    for sizes in ARCHITECTURES:
        for activation in ACTIVATIONS:
            for given in GIVEN:
                names = applicable(activation=(activation,))
                for variant in (RIGHT, *singles(len(sizes) - 1, names)):
                    for layout in PLANTED_IN:
                        yield Cell(variant, sizes, activation, layout, given)
    for activation in ACTIVATIONS:
        for given in GIVEN:
            for variant in pairs():
                yield Cell(variant, FOR_PAIRS, activation, "note", given)
    for stated, hidden, output in KINDS:
        for sizes in FOR_KINDS:
            layers = len(sizes) - 1
            names = (*(hidden,) * (layers - 1), output)
            # The layouts are proven above; those of what is given take turns here.
            for given, layout in zip(GIVEN, PLANTED_IN[1:], strict=True):
                for variant in (RIGHT, *singles(layers, applicable(stated, names))):
                    yield Cell(variant, sizes, names, layout, given, stated)


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


def outcome(jobs: int = 1, every: int = 1) -> Outcome:
    """Make every known mistake in every way, and put each to the checker.

    Parameters
    ----------
    jobs : processes
    every : 24 takes only every 24th cell

    Raises
    ------
    ValueError
        If `every` is less than 1.
    """
    if every < 1:
        raise ValueError(f"every is {every}: expected 1 or more")
    frame = prove(list(cells())[::every], jobs)
    return Outcome(
        proven(frame),
        mistakes_line(frame),
        [mistake_table(frame)],
        {"mistakes.csv": frame},
        "The checker, put to the test",
        sections=lambda: [mistake_section(frame)],
    )


def catalogue() -> Outcome:
    """List the known mistakes, and make none: what goes wrong, and what comes of it in the note's notation."""
    rows = [(name, kind.summary, kind.formula) for name, kind in MISTAKES.items()]
    table = report.table([("mistake", "what goes wrong", "what comes of it"), *rows], left=3)
    return Outcome(True, f"{len(MISTAKES)} known mistakes", [table])


def proven(frame: pd.DataFrame) -> bool:
    """Return whether every mistake that shows was caught, and located where all is given, without a false alarm."""
    count = counted(frame)
    right, wrong = count[count["mistake"] == "none"], count[count["mistake"] != "none"]
    return bool(not right["caught"].any() and wrong["caught"].all() and wrong["located"][wrong["given"] == "all"].all())


def counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that count, with whether the mistake was located, and is_named."""
    rows = frame[frame["applicable"] == "yes"]
    return rows.assign(located=rows["expected_wrong"] == rows["first_wrong"], is_named=is_named)


def is_named(frame: pd.DataFrame) -> pd.Series:
    """Return, for each row, whether its mistake is among those named, in its place."""
    rows = zip(frame["mistake"], frame["placement"], frame["named"], strict=True)
    found = []
    for mistake, placement, named in rows:
        where = {mistake, f"{mistake} ({placement})"}
        found.append(bool(where & set(named.split(" = "))))
    return pd.Series(found, index=frame.index, dtype=bool)


@cache
def _applicable(cell: Cell) -> str:
    variant, given, truths = cell.variant, cell.given, cell.probe.truths
    changed = effects([variant], truths)
    if changed.misfits:
        return f"no: the shapes do not fit ({changed.misfits[0]})"
    if not changed.shown(QUANTITIES[given])[0]:
        return "no: it changes nothing that is given"
    alike = _single_alike(variant, truths, given) if len(variant.mistakes) > 1 else None
    return f"no: the numbers are those of {alike}" if alike else "yes"


def _single_alike(variant: Variant, truths: Sequence[Truth], given: str) -> Variant | None:
    """The mistake that alone gives the very numbers of two."""
    others = [other for other in singles(len(truths[0].problem.weights)) if "single_precision" not in other.mistakes]
    lineup = Lineup([variant, *others])
    alike = np.ones(len(others), bool)
    for truth in truths:
        mistaken = lineup.run(truth.problem)
        for key, (right, tolerance) in truth.derived.items():
            value = mistaken[key]
            if key[0] in QUANTITIES[given] and value.ndim > right.ndim:
                apart = distance(value[1:], value[0]) > VISIBLE * tolerance
                alike &= ~apart.any(axis=tuple(range(-right.ndim, 0)))
    return next((other for other, same in zip(others, alike, strict=True) if same), None)


@cache
def _expected(cell: Cell) -> str:
    """The quantity that the mistake makes wrong first; of two mistakes, the earlier in the computation."""
    key = origin_in(cell.variant, cell.probe.truths)
    return quantity_name(key) if key else ""


def mistake_table(frame: pd.DataFrame) -> str:
    """Return a table with one line per mistake, the pairs together, and one for no mistake at all."""
    count = counted(frame)
    kind = count["mistake"].where(~count["mistake"].str.contains(" + ", regex=False), "two together")
    rows: list[tuple[str, ...]] = [("mistake", "cells", "caught", "located", "named", "with gradients only")]
    for mistake, cells in count.groupby(kind, sort=False):
        whole, part = (cells[cells["given"] == given] for given in GIVEN)
        shares = [cells["caught"].mean(), whole["located"].mean(), whole["is_named"].mean(), part["is_named"].mean()]
        shown = [
            "" if np.isnan(share) or (mistake == "none" and i) else f"{share:.1%}" for i, share in enumerate(shares)
        ]
        rows.append((str(mistake), f"{len(cells):,}", *shown))
    return report.table(rows, left=1)


def mistakes_line(frame: pd.DataFrame) -> str:
    """Return the result of the mistakes in one line."""
    count = counted(frame)
    right, wrong = count[count["mistake"] == "none"], count[count["mistake"] != "none"]
    whole = wrong[wrong["given"] == "all"]
    same = wrong[wrong["named"].str.contains("=") & wrong["is_named"]]["named"].nunique()
    return (
        f"{wrong['caught'].sum():,} of {len(wrong):,} mistakes caught,"
        f" {whole['located'].sum():,} of {len(whole):,} located,"
        f" {wrong['is_named'].sum():,} of {len(wrong):,} named ({same} times two are the same formula);"
        f" {right['caught'].sum()} false alarms in {len(right)}; {len(frame) - len(count):,} cells do not apply"
    )


def mistake_section(frame: pd.DataFrame) -> page.Section:
    """Return the matrix of mistakes and architectures, and the rows where something was missed."""
    count = counted(frame)
    alone = count[~count["mistake"].str.contains(" + ", regex=False)]
    rows = []
    for mistake, part in alone.groupby("mistake", sort=False):
        row: dict[str, Any] = {"mistake": mistake}
        for sizes in frame["sizes"].unique():
            row[sizes] = _times(part[part["sizes"] == sizes], mistake == "none")
        rows.append(row)
    section = page.Section("mistakes", "Every known mistake, made on purpose")
    section.text = [
        "How many times each mistake counts on each architecture; marked where it was every time caught, located"
        " (where everything is given) and named, else with how many times it was. Empty where none counts."
    ]
    matrix = pd.DataFrame(rows)
    section.tables.append(page.table(matrix, "mistakes-matrix", "Mistakes by architecture", list(matrix.columns)))
    missed = count[(count["mistake"] != "none") & ~(count["caught"].astype(bool) & count["is_named"])]
    caption = "Rows of mistakes.csv in which the mistake was not named"
    section.tables.append(page.table(missed, "mistakes-missed", caption, list(frame.columns)))
    return section


def _times(part: pd.DataFrame, right: bool) -> page.Cell:
    if part.empty:
        return page.Cell("")
    if right:
        alarms = int(part["caught"].sum())
        return page.Cell(f"{alarms} alarms in {len(part)}", mark="wrong" if alarms else "ok")
    whole = part[part["given"] == "all"]
    counts = {
        "caught": (int(part["caught"].sum()), len(part)),
        "located": (int(whole["located"].sum()), len(whole)),
        "named": (int(part["is_named"].sum()), len(part)),
    }
    if all(some == every for some, every in counts.values()):
        return page.Cell(str(len(part)), str(len(part)), mark="ok")
    said = (f"{what} {some} of {every}" for what, (some, every) in counts.items() if some < every)
    return page.Cell(", ".join(said), mark="wrong")
