"""Comparison: one implementation beside its twin, number by number, with a verdict for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from comparisons.reference.quantities import Key, element_name, quantity_name
from comparisons.verdict.distance import greatest
from comparisons.verdict.measured import (
    ELEMENT_COLUMNS,
    FRAME_COLUMNS,
    INHERITED,
    OK,
    SUSPECT,
    UNDECIDED,
    VERDICTS,
    WRONG,
    Measured,
)
from comparisons.verdict.observers import OBSERVERS, rendered
from handnet.files import replacing

QUANTITIES = ("activation", "cost", "delta", "gradient", "weight")
TRAINING_COLUMNS = ("case", "step", "cost_hand", "cost_torch", "drift")
# What passes and is not ok.
BESIDE = ("suspect", "undecided")
# A step with more numbers than this lists only the worst of each row.
FEW_NUMBERS = 1000
# With more numbers than this, printing does not make the known mistakes: some fifty times as many numbers, of seconds.
FEW_TO_MAKE_AGAIN = 50_000


class MismatchError(AssertionError):
    """The implementation does not match autograd."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """The result of a comparison: what was compared, and how far it lies from autograd.

    Attributes
    ----------
    measured : tuple of Measured
        In the order of the computation, step by step.
    sizes, activation, dtype : of the network
    training_rows : tuple of rows (case, step, cost_hand, cost_torch, drift)
        Two free-running trainings, reported and not judged.
    replay : str
        How to make the comparison again.
    diagnosis : Diagnosis, or None where all is right
    findings : tuple of str
        What is wrong beyond the numbers: an exception, another shape, two answers to one question.
    remarks : tuple of str
        What is worth knowing and not wrong.
    problems : dict
        What an implementation was asked, by case and step: weights, inputs, targets, learning_rate.
    find_blind : function
        Finds `blind`.
    misshapen : set of keys
        Quantities that came, wholly or in part, in another shape, and there count as wrong.
    never_asked : str
        Of an implementation that is right: what it was never asked.
    strict : bool
        Whether a suspect number fails too.
    """

    measured: tuple[Measured, ...]
    sizes: tuple[int, ...]
    activation: tuple[str, ...]
    dtype: str
    training_rows: tuple[tuple[Any, ...], ...] = ()
    replay: str = ""
    diagnosis: Any = None
    findings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    problems: Mapping[tuple[str, int], Any] = field(default_factory=dict)
    find_blind: Callable[[], tuple[str, ...]] = tuple
    misshapen: frozenset[Key] = frozenset()
    never_asked: str = ""
    strict: bool = False

    def __post_init__(self) -> None:
        for observer in OBSERVERS:
            observer(self)

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        network = f"{'-'.join(map(str, self.sizes))}, {' '.join(self.activation)}, {self.dtype}"
        return f"<Comparison {network}: {self.answer} in {self.numbers:,} numbers>"

    def _repr_html_(self) -> str | None:
        """As Jupyter shows it."""
        return rendered(self)

    @cached_property
    def blind(self) -> tuple[str, ...]:
        """The known mistakes that this data cannot show, found by making them, once it is asked for."""
        return self.find_blind()

    @property
    def passed(self) -> bool:
        """True if nothing was found, nothing is wrong or inherited, and each quantity of each layer could be judged.

        If strict, nothing may be suspect either.
        """
        if self.findings or self._failed or self.unjudged or not self._decided:
            return False
        return not (self.strict and self.count("suspect"))

    @property
    def _decided(self) -> bool:
        """Whether there is a number that passes and might not have; mostly without asking for an expected tolerance."""
        return any((m.grades == OK).any() for m in self.measured) or self.count("ok") > 0

    @cached_property
    def _failed(self) -> bool:
        """Whether a number fails a guaranteed tolerance: for that, no expected one is needed."""
        return any(int(m.grades.max()) >= INHERITED for m in self.measured)

    @cached_property
    def unjudged(self) -> tuple[Measured, ...]:
        """What could not be judged: of each case, the quantities of a layer that no step tells from zero.

        Where only the expected tolerances tell them, all steps must lie within these.
        """
        judged = {(m.case, m.key) for m in self.measured if m.judges}
        rest = [m for m in self.measured if (m.case, m.key) not in judged]
        suspect = {(m.case, m.key) for m in rest if (m.verdicts == SUSPECT).any()}
        judged |= {(m.case, m.key) for m in rest if m.expected_judges} - suspect
        return tuple(m for m in rest if (m.case, m.key) not in judged)

    @property
    def answer(self) -> str:
        """In one word: match, MISMATCH, or UNDECIDED where nothing is wrong but not everything could be judged."""
        if self.passed:
            return "match"
        wrong = self.findings or self.diagnosis or self._failed or (self.strict and self.count("suspect"))
        return "UNDECIDED" if self.unjudged and not wrong else "MISMATCH"

    @property
    def numbers(self) -> int:
        """How many numbers were compared."""
        return sum(m.hand.size for m in self.measured)

    def count(self, verdict: str) -> int:
        """How many numbers got this verdict."""
        return sum(int((m.verdicts == VERDICTS.index(verdict)).sum()) for m in self.measured)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per step, quantity and layer: the columns of comparison.csv."""
        same = {"activation": " ".join(self.activation), "dtype": self.dtype}
        frame = pd.DataFrame([{**same, **m.row()} for m in self.measured], columns=FRAME_COLUMNS)
        return frame.astype({"layer": "Int64"})

    @property
    def training(self) -> pd.DataFrame:
        """The two free-running trainings: the columns of training.csv."""
        return pd.DataFrame(self.training_rows, columns=TRAINING_COLUMNS)

    def elements(self, everything: bool = True) -> pd.DataFrame:
        """Return one row per number: the columns of elements.csv.

        Parameters
        ----------
        everything : False lists, of a step with more than 1,000 numbers, each row's five worst and all not ok
        """
        in_step: dict[tuple[str, int], int] = {}
        for m in self.measured:
            in_step[m.case, m.step] = in_step.get((m.case, m.step), 0) + m.hand.size
        rows = [
            row for m in self.measured for row in m.element_rows(everything or in_step[m.case, m.step] <= FEW_NUMBERS)
        ]
        whole = ("layer", "sample", "row", "column")
        return pd.DataFrame(rows, columns=ELEMENT_COLUMNS).astype(dict.fromkeys(whole, "Int64"))

    def tables(self, everything: bool = False) -> dict[str, pd.DataFrame]:
        """Return the tables by file name, as `to_csv` writes them."""
        tables = {"comparison.csv": self.frame, "elements.csv": self.elements(everything)}
        return {**tables, "training.csv": self.training} if self.training_rows else tables

    def to_csv(self, directory: str | os.PathLike[str]) -> None:
        """Write comparison.csv, elements.csv and training.csv; all of them, or, on failure, none.

        Raises
        ------
        OSError
            If they cannot be written; what stood there before is untouched.
        """
        write_csv(self.tables(), directory)

    def assert_close(self) -> None:
        """Raise MismatchError unless the comparison passed, naming the first wrong quantity and its worst element."""
        __tracebackhide__ = True
        if not self.passed:
            raise MismatchError(self.message())

    def message(self) -> str:
        """Say in one paragraph what did not match, or that everything did."""
        if self.passed:
            beside = "".join(f", {self.count(verdict)} {verdict}" for verdict in BESIDE if self.count(verdict))
            return f"{self.count('ok')} numbers match autograd{beside}"
        said = [*self.findings, str(self.diagnosis or "") or self._not_passed(), *self.remarks]
        return "\n".join([*filter(None, said), *([f"Replay: {self.replay}"] if self.replay else [])])

    def _not_passed(self) -> str:
        """Why it did not pass, where there is no diagnosis."""
        if not self.measured:
            return "" if self.findings else "nothing was compared: expected at least one quantity"
        graver = (WRONG, INHERITED) if self._failed else (SUSPECT,)
        first = next((m for grade in graver for m in self.measured if m.verdicts.max() == grade), None)
        unjudged = self._not_judged()
        if first is None:
            nothing = "nothing was decided: every tolerance is as large as the quantity itself"
            return unjudged if self.count("ok") else nothing
        torch, tolerance, _ = first.judged_by(first.worst)
        name, hand = element_name(first.key, first.worst, first.hand.shape), float(first.hand[first.worst])
        expected = f", expected {first.expected[first.worst]:.2g}" if first.verdict == "suspect" else ""
        said = (
            f"{quantity_name(first.key)} is {first.verdict} at step {first.step}:"
            f" {name} is {hand!r}, torch says {torch!r} (tolerance {tolerance:.2g}{expected})"
        )
        return f"{said}\n{unjudged}" if unjudged and not self._failed else said

    def _not_judged(self) -> str:
        """How much could not be judged, and what would help; nothing where all of it could."""
        if not self.unjudged:
            return ""
        numbers, answered = sum(m.hand.size for m in self.unjudged), {m.key[0] for m in self.measured}
        layers = sorted({m.key[1] for m in self.unjudged if m.key[1] is not None})
        names = f"layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}" if layers else "the cost"
        help_ = ["smaller weights" if self.dtype == "float64" else "float64"]
        # With these each equation is judged on its own, where rounding has not yet grown.
        help_ += [] if {"activation", "delta"} <= answered else ["or return activations and deltas"]
        said = f"could not be judged: {numbers:,} of {self.numbers:,} numbers ({names})"
        return f"{said}; {self.dtype} is too coarse here, try {', '.join(help_)}"

    def __str__(self) -> str:
        head = "quantity    layer  numbers  error/tolerance  local  resolution  verdict"
        lines = [head] if self.measured else []
        by_key: dict[Key, list[Measured]] = {}
        for m in self.measured:
            by_key.setdefault(m.key, []).append(m)
        unjudged = set(map(id, self.unjudged))
        for (quantity, layer), group in sorted(by_key.items(), key=lambda row: _in_order(row[0])):
            ratio = max(m.sharper_ratio for m in group)
            local = max((greatest(m.local_ratio) for m in group if m.local_ratio is not None), default=np.nan)
            gravest = max(int(m.verdicts.max()) for m in group)
            # Also where each number might have been refuted, and none was told from zero.
            verdict = VERDICTS[max(gravest, UNDECIDED if any(id(m) in unjudged for m in group) else gravest)]
            shown = f"{ratio:.3g}"
            if (quantity, layer) in self.misshapen:
                shown, verdict = "", "wrong shape"
            lines.append(
                f"{quantity:<11} {'' if layer is None else layer!s:>5} {sum(m.hand.size for m in group):>8}"
                f" {shown:>16} {'' if np.isnan(local) else f'{local:.2g}':>6}"
                f" {max(m.resolution for m in group):>11.1e}  {verdict}"
            )
        if self.count("inherited"):
            lines.append("inherited: its own equation is right, but what it is computed from is wrong")
        if self.count("suspect"):
            lines.append("suspect: it passes, but its error is larger than rounding is expected to cause")
        return "\n".join([*lines, self.said()])

    def said(self) -> str:
        """Return what stands below the table: what did not match, and what was not asked or could not be seen."""
        lines = [self.message(), *(self.remarks if self.passed else ())]
        if not self.blind_is_quick:
            lines.append("comparison.blind finds which known mistakes this data cannot show")
        elif self.blind:
            lines.append(f"this data cannot show {self.blind_kinds()}; comparison.blind lists them")
        if self.never_asked:
            lines.append(f"not tried: {self.never_asked}")
        return "\n".join(lines)

    @property
    def blind_is_quick(self) -> bool:
        """Whether `blind` is known already, or found in less than a second."""
        return "blind" in vars(self) or self.numbers <= FEW_TO_MAKE_AGAIN

    def blind_kinds(self) -> str:
        """Say how many kinds of mistake the data cannot show, and why where that is plain."""
        averaging = any(name.endswith(("batch_sum", "averaged_twice")) for name in self.blind)
        why = []
        if averaging and all(m.batch == 1 for m in self.measured):
            why.append("with one sample, mistakes in averaging do not show")
        if "accumulated_gradient" in self.blind and all(m.step == 1 for m in self.measured):
            why.append("with one step, what is kept from the step before does not show")
        if "output_mean" in self.blind and self.sizes[-1] == 1:
            why.append("with one output, a mean over the outputs does not show")
        if "bias_not_updated" in self.blind and any(not problem.train_biases for problem in self.problems.values()):
            why.append("where biases are not trained, leaving them out does not show")
        count = len(self.blind)
        return f"{count} kind{'s' if count > 1 else ''} of mistake" + (f" ({'; '.join(why)})" if why else "")


def _in_order(key: Key) -> tuple[int, int]:
    """The place of a quantity in the order of the computation, whatever the depth of its network."""
    quantity, layer = key[0], key[1] or 0
    return QUANTITIES.index(quantity), layer if quantity == "activation" else -layer


def write_csv(tables: Mapping[str, pd.DataFrame], directory: str | os.PathLike[str]) -> None:
    """Write each table to its file in `directory`; no file is replaced before all of them are written.

    Raises
    ------
    OSError
        If the directory cannot be made or written, or the disk is full.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for name, table in tables.items():
            # lineterminator: the same bytes on every system.
            table.to_csv(stack.enter_context(replacing(folder / name)), index=False, lineterminator="\n")
