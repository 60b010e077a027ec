"""Comparison: one implementation beside its twin, number by number, with a verdict for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comparisons.reference.twin import Key
from handnet.activations import FloatArray
from handnet.files import replacing

# Verdicts in rising order of gravity: a row's verdict is the gravest of its elements'.
OK, UNDECIDED, INHERITED, WRONG = range(4)
VERDICTS = ("ok", "undecided", "inherited", "wrong")

FRAME_COLUMNS = (
    *("case", "step", "activation", "dtype", "sizes", "batch", "quantity", "layer", "elements"),
    *("max_abs_error", "max_rel_error", "error_over_tolerance", "local_error_over_tolerance", "resolution"),
    *("worst_element", "hand", "torch", "tolerance", "verdict"),
)
ELEMENT_COLUMNS = (
    *("case", "step", "quantity", "layer", "name", "sample", "row", "column"),
    *("hand", "torch", "error", "tolerance", "verdict"),
)
TRAINING_COLUMNS = ("case", "step", "cost_hand", "cost_torch", "drift")

# A step with more numbers than this lists only the worst of each row.
FEW_NUMBERS = 1000
WORST_LISTED = 5


class MismatchError(AssertionError):
    """The implementation does not match autograd."""


@dataclass(frozen=True)
class Measured:
    """One quantity of one layer at one step: both sides, the tolerance, and the verdict of each element.

    Attributes
    ----------
    case, step, key : what it is
    sizes, batch : of the network and its samples
    hand, torch, tolerance : arrays, shaped as the quantity
        In float64; torch and tolerance are those of the whole model.
    local_torch, local_tolerance : arrays, or None where what the quantity is computed from was not given
        Those of the one equation, on the implementation's own upstream values.
    verdicts : array of int8
        Indices into VERDICTS.
    """

    case: str
    step: int
    key: Key
    sizes: tuple[int, ...]
    batch: int
    hand: FloatArray
    torch: FloatArray
    tolerance: FloatArray
    local_torch: FloatArray | None
    local_tolerance: FloatArray | None
    verdicts: NDArray[np.int8]

    def of_network(self, network: tuple[int, ...]) -> Measured:
        """Return what was measured of one network of a stack."""
        sides = (self.hand, self.torch, self.tolerance, self.local_torch, self.local_tolerance, self.verdicts)
        names = ("hand", "torch", "tolerance", "local_torch", "local_tolerance", "verdicts")
        parts = {name: None if side is None else side[network] for name, side in zip(names, sides, strict=True)}
        return replace(self, **parts)  # type: ignore[arg-type]

    @cached_property
    def resolution(self) -> float:
        """Tolerance / largest value of its network, the sharper of the two tolerances, of the bluntest element."""
        sharpest, scale = sharper(self.tolerance, self.local_tolerance), scale_of(self.key, self.torch)
        with np.errstate(all="ignore"):
            return float(np.max(np.where(sharpest == 0, 0.0, np.where(scale > 0, sharpest / scale, np.inf))))

    @property
    def verdict(self) -> str:
        """The gravest verdict of the elements."""
        return VERDICTS[int(self.verdicts.max())]

    @cached_property
    def ratio(self) -> FloatArray:
        """Error / tolerance of each element, with the whole model."""
        return over(distance(self.hand, self.torch), self.tolerance)

    @cached_property
    def local_ratio(self) -> FloatArray | None:
        """Error / tolerance of each element, with the one equation."""
        if self.local_torch is None or self.local_tolerance is None:
            return None
        return over(distance(self.hand, self.local_torch), self.local_tolerance)

    @property
    def graver_ratio(self) -> FloatArray:
        return self.ratio if self.local_ratio is None else np.maximum(self.ratio, self.local_ratio)

    @cached_property
    def worst(self) -> tuple[int, ...]:
        """The index of the worst element: of the gravest verdict, the one with the greatest error / tolerance."""
        ratio = self.graver_ratio
        gravest = self.verdicts == self.verdicts.max()
        return tuple(int(i) for i in np.unravel_index(int(np.where(gravest, ratio, -1.0).argmax()), ratio.shape))

    def judged_by(self, index: tuple[int, ...]) -> tuple[float, float, str]:
        """Torch's value and tolerance that decide this element, and whose they are: "autograd" or "equation"."""
        if self.local_torch is not None and self.local_tolerance is not None:
            local = over(distance(self.hand[index], self.local_torch[index]), self.local_tolerance[index])
            if local > 1 >= self.ratio[index]:
                return float(self.local_torch[index]), float(self.local_tolerance[index]), "equation"
        return float(self.torch[index]), float(self.tolerance[index]), "autograd"

    def row(self) -> dict[str, Any]:
        """The row of comparison.csv, without what is the same for the whole comparison."""
        error = distance(self.hand, self.torch)
        torch, tolerance, _ = self.judged_by(self.worst)
        return {
            "case": self.case,
            "step": self.step,
            "sizes": "-".join(map(str, self.sizes)),
            "batch": self.batch,
            "quantity": self.key[0],
            "layer": self.key[1],
            "elements": self.hand.size,
            "max_abs_error": greatest(error),
            "max_rel_error": greatest(over(error, np.abs(self.torch))),
            "error_over_tolerance": greatest(self.ratio),
            "local_error_over_tolerance": np.nan if self.local_ratio is None else greatest(self.local_ratio),
            "resolution": self.resolution,
            "worst_element": element_name(self.key, self.worst, self.hand.shape),
            "hand": float(self.hand[self.worst]),
            "torch": torch,
            "tolerance": tolerance,
            "verdict": self.verdict,
        }

    def element_rows(self, everything: bool) -> Iterator[dict[str, Any]]:
        """The rows of elements.csv: all of them, or the worst and all that are not ok."""
        for flat in range(self.hand.size) if everything else self._listed():
            index = tuple(int(i) for i in np.unravel_index(flat, self.hand.shape))
            sample, row, column = place(self.key, index)
            torch, tolerance, _ = self.judged_by(index)
            yield {
                "case": self.case,
                "step": self.step,
                "quantity": self.key[0],
                "layer": self.key[1],
                "name": element_name(self.key, index, self.hand.shape, with_sample=False),
                "sample": sample,
                "row": row,
                "column": column,
                "hand": float(self.hand[index]),
                "torch": torch,
                "error": abs(float(self.hand[index]) - torch),
                "tolerance": tolerance,
                "verdict": VERDICTS[self.verdicts[index]],
            }

    def _listed(self) -> list[int]:
        worst = np.argsort(-self.graver_ratio, axis=None, kind="stable")[:WORST_LISTED]
        return sorted({*map(int, worst), *map(int, np.flatnonzero(self.verdicts))})


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

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        network = f"{'-'.join(map(str, self.sizes))}, {' '.join(self.activation)}, {self.dtype}"
        return f"<Comparison {network}: {'match' if self.passed else 'MISMATCH'} in {self.numbers:,} numbers>"

    @cached_property
    def blind(self) -> tuple[str, ...]:
        """The known mistakes that this data cannot show, found by making them, once it is asked for."""
        return self.find_blind()

    @property
    def passed(self) -> bool:
        """True if nothing was found, nothing is wrong or inherited, and something was decided."""
        return not self.findings and self.count("ok") > 0 and not self.count("wrong") and not self.count("inherited")

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
            undecided = self.count("undecided")
            return f"{self.count('ok')} numbers match autograd" + (f", {undecided} undecided" if undecided else "")
        said = [*self.findings, str(self.diagnosis or "") or self._not_passed(), *self.remarks]
        return "\n".join([*filter(None, said), *([f"replay: {self.replay}"] if self.replay else [])])

    def _not_passed(self) -> str:
        """Why it did not pass, where there is no diagnosis."""
        if not self.measured:
            return "" if self.findings else "nothing was compared: expected at least one quantity"
        first = next((m for grade in (WRONG, INHERITED) for m in self.measured if m.verdicts.max() == grade), None)
        if first is None:
            nothing = "nothing was decided: no tolerance is smaller than the quantity it belongs to"
            return "" if self.count("ok") else nothing
        torch, tolerance, _ = first.judged_by(first.worst)
        name, hand = element_name(first.key, first.worst, first.hand.shape), float(first.hand[first.worst])
        return (
            f"{quantity_name(first.key)} is {first.verdict} at step {first.step}:"
            f" {name} is {hand!r}, torch says {torch!r} (tolerance {tolerance:.2g})"
        )

    def __str__(self) -> str:
        head = "quantity    layer  numbers  error/tolerance  local  resolution  verdict"
        lines = [head] if self.measured else []
        by_key: dict[Key, list[Measured]] = {}
        for m in self.measured:
            by_key.setdefault(m.key, []).append(m)
        for (quantity, layer), group in by_key.items():
            ratio = max(greatest(m.ratio) for m in group)
            local = max((greatest(m.local_ratio) for m in group if m.local_ratio is not None), default=np.nan)
            verdict = VERDICTS[max(int(m.verdicts.max()) for m in group)]
            lines.append(
                f"{quantity:<11} {'' if layer is None else layer!s:>5} {sum(m.hand.size for m in group):>8}"
                f" {ratio:>16.3g} {'' if np.isnan(local) else f'{local:.2g}':>6}"
                f" {max(m.resolution for m in group):>11.1e}  {verdict}"
            )
        lines += [self.message(), *(self.remarks if self.passed else ())]
        if self.blind:
            lines.append(f"this data cannot show: {', '.join(self.blind)}")
        return "\n".join(lines)


def distance(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return |left - right|; NaN where both are infinite."""
    with np.errstate(all="ignore"):
        return np.abs(left - right)


def over(error: FloatArray, tolerance: FloatArray) -> FloatArray:
    """Return error / tolerance: 0 where there is no error, and what is not a number is infinitely wrong.

    A tolerance without bound forgives all, NaN too: there no evaluation can be told from another.
    """
    with np.errstate(all="ignore"):
        ratio = np.where(error == 0, 0.0, error / tolerance)
    return np.where(np.isinf(tolerance), 0.0, np.where(np.isnan(ratio), np.inf, ratio))


def sharper(tolerance: FloatArray, local_tolerance: FloatArray | None) -> FloatArray:
    """Return the smaller of the two tolerances; a local one without bound says nothing."""
    return tolerance if local_tolerance is None else np.fmin(tolerance, local_tolerance)


def scale_of(key: Key, torch: FloatArray) -> FloatArray:
    """Return the largest value of the quantity in its network: a tolerance that is not smaller says nothing."""
    size = np.where(np.isfinite(torch), np.abs(torch), np.inf)
    return size if key[0] == "cost" else size.max(axis=(-2, -1), keepdims=True)


def greatest(values: FloatArray) -> float:
    """Return the greatest of the values; NaN counts as infinite."""
    return float(np.where(np.isnan(values), np.inf, values).max())


def place(key: Key, index: tuple[int, ...]) -> tuple[int | None, int | None, int | None]:
    """Return sample, row and column of an element."""
    if key[0] == "cost":
        return None, None, None
    if key[0] in ("activation", "delta"):
        return index[-2], None, index[-1]
    return None, index[-2], index[-1]


def element_name(key: Key, index: tuple[int, ...], shape: Sequence[int], with_sample: bool = True) -> str:
    """Return the note's name of an element: w_01^(2), a_0^(1), delta_1^(2), dC/dw_10,3^(1).

    Examples
    --------
    >>> element_name(("weight", 2), (1, 0), (3, 2))
    'w_01^(2)'
    >>> element_name(("delta", 1), (4, 0), (32, 2))
    'delta_0^(1) [sample 4]'
    """
    quantity, layer = key
    notes = []
    core = 0 if quantity == "cost" else 2
    if len(index) > core:
        notes.append("network " + ",".join(map(str, index[: len(index) - core])))
    if quantity == "cost":
        name = "C"
    elif quantity in ("activation", "delta"):
        name = f"{'a' if quantity == 'activation' else 'delta'}_{index[-1]}^({layer})"
        if with_sample and shape[-2] > 1:
            notes.append(f"sample {index[-2]}")
    else:
        i, j = index[-1], index[-2]
        comma = "," if max(i, j) > 9 else ""
        name = f"{'dC/d' if quantity == 'gradient' else ''}w_{i}{comma}{j}^({layer})"
    return name + (f" [{', '.join(notes)}]" if notes else "")


def quantity_name(key: Key) -> str:
    """Return the note's name of a quantity: a^(1), C, delta^(2), dC/dW^(1), W^(1) after the step."""
    quantity, layer = key
    if quantity == "cost":
        return "C"
    letter = {"activation": "a", "delta": "delta", "gradient": "dC/dW", "weight": "W"}[quantity]
    return f"{letter}^({layer})" + (" after the step" if quantity == "weight" else "")


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
