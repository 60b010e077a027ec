"""Worked examples: the numbers that a page, a book or a lecture prints, against autograd.

An example is a TOML file; the README shows one. The digits that a number is printed with make its tolerance: 1.5
units in the last place, since a last digit is often rounded twice.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from comparisons.comparison import distance
from comparisons.measure import Pair, Problem, Truth
from comparisons.mistakes import Lineup, Variant, pairs, singles
from comparisons.twin import Key, Quantities
from comparisons.work import progress
from handnet import Network
from handnet.activations import FloatArray

WORKED_COLUMNS = (
    *("example", "quantity", "layer", "step", "index", "printed", "autograd", "error", "tolerance", "verdict"),
    "explained_by",
)
# How many axes the index of a quantity has, less the sample's.
INDICES = {
    **dict.fromkeys(("preactivation", "activation", "slope", "activation_gradient", "delta"), 1),
    **dict.fromkeys(("gradient", "weight"), 2),
    "cost": 0,
}
UNITS = 1.5
# By how much more than the two trainings seen, right trainings of many steps may drift apart.
DRIFT = 10
NAMED = 3
REQUIRED = ("sizes", "weights", "inputs", "targets", "printed")
OPTIONAL = ("title", "source", "activation", "learning_rate", "train_biases")
ENTRY = ("value", "quantity", "layer", "step", "index", "sample", "output", "name")


class ExampleError(ValueError):
    """The file of a worked example cannot be used: one line naming key and line."""


@dataclass(frozen=True)
class Printed:
    """One number as it is printed.

    Attributes
    ----------
    value : its digits
    key : quantity and layer
    step : of the training, from 1; a cost after one step is that of step 2, a weight after one step that of step 1
    index : of the element: sample and node, row and column of W, or nothing for the cost
    label : the index as the note writes it: 0, or 0,1 for w_01
    output : of the share of the cost that is due to this output alone, if not of the whole
    name : what the page calls it
    """

    value: str
    key: Key
    step: int
    index: tuple[int, ...]
    label: str
    output: int | None = None
    name: str = ""

    @property
    def unit(self) -> float:
        """One unit in the last printed place."""
        exponent = Decimal(self.value).as_tuple().exponent
        return float(Decimal(1).scaleb(int(exponent)))


@dataclass(frozen=True)
class Example:
    """A worked example: a network, how it is trained, and the numbers that are printed of it."""

    name: str
    title: str
    source: str
    problem: Problem
    printed: tuple[Printed, ...]

    @property
    def steps(self) -> list[int]:
        """The steps that something is printed of."""
        return sorted({number.step for number in self.printed})


def read_example(path: str | Path) -> Example:
    """Read a worked example.

    Parameters
    ----------
    path : of the .toml file, or the name of an example that comes with the package

    Raises
    ------
    OSError
        If the file cannot be read.
    ExampleError
        If it makes no sense.

    Examples
    --------
    >>> read_example("one-neuron.toml").problem.sizes
    (1, 1)
    """
    shipped = files("comparisons") / "data" / "worked" / Path(path).name
    here = Path(path)
    text = shipped.read_text() if here.name == str(path) and not here.exists() and shipped.is_file() else _text(here)
    return _Reader(here.name, text).example()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ExampleError(f"{path.name} is no text: expected TOML in UTF-8") from None


class _Reader:
    """Reads the TOML of an example, and says on which line what is wrong."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        try:
            self.table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            raise ExampleError(f"{name}: {problem}") from None

    def example(self) -> Example:
        """Return the example that the table describes."""
        self._check_keys("", self.table, (*REQUIRED, *OPTIONAL))
        for key in REQUIRED:
            if key not in self.table:
                self._refuse("", f"{key} is missing", line=False)
        problem = self._problem()
        entries = self.table["printed"]
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            self._refuse("printed", "printed is no list of tables: expected {value = .., quantity = ..}, ..")
        printed = tuple(self._printed(problem, i, entry) for i, entry in enumerate(entries))
        title, source = (str(self.table.get(key, "")) for key in ("title", "source"))
        return Example(self.name.removesuffix(".toml"), title, source, problem, printed)

    def _problem(self) -> Problem:
        table = self.table
        sizes = table["sizes"]
        if not isinstance(sizes, list) or len(sizes) < 2 or not all(_whole(size, 1) for size in sizes):
            self._refuse("sizes", f"sizes is {sizes}: expected at least two whole numbers, each 1 or more")
        weights = self._numbers("weights", 3) if isinstance(table["weights"], list) else []
        if len(weights) != len(sizes) - 1:
            self._refuse("weights", f"weights has {len(weights)} layers: expected {len(sizes) - 1}")
        for i, w in enumerate(weights):
            expected = (sizes[i] + 1, sizes[i + 1])
            if w.shape != expected:
                self._refuse("weights", f"weights[{i}] has shape {w.shape}: expected {expected}, the biases last")
        rate, train_biases = table.get("learning_rate", 0.5), table.get("train_biases", True)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not np.isfinite(rate):
            self._refuse("learning_rate", f"learning_rate is {rate!r}: expected a finite number")
        if not isinstance(train_biases, bool):
            self._refuse("train_biases", f"train_biases is {train_biases!r}: expected true or false")
        (inputs,), (targets,) = self._numbers("inputs", 2), self._numbers("targets", 2)
        try:
            network = Network(weights, table.get("activation", "sigmoid"))
        except (ValueError, TypeError) as problem:
            self._refuse("activation", str(problem))
        for name, array, width in (("inputs", inputs, sizes[0]), ("targets", targets, sizes[-1])):
            if array.shape[-1] != width or len(array) != len(inputs):
                shape = f"({len(inputs)}, {width})"
                self._refuse(name, f"{name} has shape {array.shape}: expected {shape}, a row for each sample")
        return Problem(network.weights, network.activation, inputs, targets, float(rate), train_biases)

    def _numbers(self, key: str, axes: int) -> list[FloatArray]:
        """The arrays of a list of matrices, or the one matrix."""
        value = self.table[key]
        parts = value if axes == 3 else [value]
        arrays = []
        for part in parts:
            try:
                array = np.array(part, dtype=np.float64)
            except (ValueError, TypeError):
                self._refuse(key, f"{key} is ragged or holds what is no number: expected rows of numbers")
            array = array[np.newaxis] if array.ndim == 1 and axes == 2 else array
            if array.ndim != 2 or not array.size or not np.isfinite(array).all():
                self._refuse(key, f"{key} has shape {array.shape}: expected rows of finite numbers")
            arrays.append(array)
        return arrays

    def _printed(self, problem: Problem, i: int, entry: Mapping[str, Any]) -> Printed:
        where = f"printed[{i}]"
        self._check_keys(where, entry, ENTRY)
        value, quantity, layer = entry.get("value"), entry.get("quantity"), entry.get("layer")
        if not isinstance(value, str) or not _is_decimal(value):
            expected = 'a string of digits, like "0.3775", that make the tolerance'
            self._refuse(where, f"value is {value!r}: expected {expected}")
        if quantity not in INDICES:
            self._refuse(where, f"quantity is {quantity!r}: expected one of {', '.join(INDICES)}")
        top, sizes = len(problem.weights), problem.sizes
        if quantity == "cost":
            layer = None
        elif not _whole(layer, 1, top):
            self._refuse(where, f"layer is {layer!r}: expected a whole number from 1 to {top}")
        step, output = entry.get("step", 1), entry.get("output")
        if not _whole(step, 1):
            self._refuse(where, f"step is {step!r}: expected a whole number, 1 or more")
        if output is not None and not _whole(output, 0, sizes[-1] - 1):
            self._refuse(where, f"output is {output!r}: expected a whole number from 0 to {sizes[-1] - 1}")
        index, label = self._index(problem, where, (quantity, layer), entry)
        return Printed(value, (quantity, layer), step, index, label, output, str(entry.get("name", "")))

    def _index(self, problem: Problem, where: str, key: Key, entry: Mapping[str, Any]) -> tuple[tuple[int, ...], str]:
        quantity, layer = key
        l = layer or 0
        given, sizes = entry.get("index", []), problem.sizes
        index = given if isinstance(given, list) else [given]
        # w_ij: node i, and node j below it, after the last of which comes the bias.
        limits = [sizes[l], sizes[l - 1] + 1][: INDICES[quantity]]
        if len(index) != len(limits) or not all(_whole(n, 0, end - 1) for n, end in zip(index, limits, strict=True)):
            ranges = " and ".join(f"0 to {end - 1}" for end in limits) or "none"
            self._refuse(where, f"index is {given!r}: expected {ranges}, as in {_example_name(key)}")
        label = ",".join(map(str, index))
        if INDICES[quantity] != 1:
            return tuple(index[::-1]), label
        samples = len(problem.inputs)
        sample = entry.get("sample", 0 if samples == 1 else None)
        if not _whole(sample, 0, samples - 1):
            self._refuse(where, f"sample is {sample!r}: expected a whole number from 0 to {samples - 1}")
        return (sample, index[0]), label + (f" [sample {sample}]" if samples > 1 else "")

    def _check_keys(self, where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
        for key in table:
            if key not in known:
                self._refuse(where or key, f"{key} is unknown: expected {', '.join(known)}")

    def _refuse(self, where: str, what: str, line: bool = True) -> NoReturn:
        number = self._line(where) if line else None
        entry = f"{where}: " if where.startswith("printed[") else ""
        raise ExampleError(f"{self.name}{f', line {number}' if number else ''}: {entry}{what}")

    def _line(self, where: str) -> int | None:
        """The line on which a key stands, or the i-th printed number."""
        if where.startswith("printed["):
            tables = list(re.finditer(r"^\s*\[\[\s*printed\s*\]\]|^\s*\{", self.text, re.MULTILINE))
            i = int(where[len("printed[") : -1])
            found = tables[i] if i < len(tables) else None
        else:
            found = re.search(rf"^\s*\"?{re.escape(where)}\"?\s*=", self.text, re.MULTILINE)
        return None if found is None else self.text.count("\n", 0, found.end()) + 1


def _whole(value: Any, least: int, most: float = np.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_decimal(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _example_name(key: Key) -> str:
    return {0: "C", 1: "a_0", 2: "w_01"}[INDICES[key[0]]]


# The verdicts.


@dataclass(frozen=True)
class Judged:
    """A printed number, what autograd says, and the tolerance."""

    number: Printed
    autograd: float
    tolerance: float

    @property
    def error(self) -> float:
        """How far apart they are."""
        return abs(float(Decimal(self.number.value)) - self.autograd)

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
        explained_by is the single known mistake that gives the printed number, else the pairs, else empty.

    Examples
    --------
    >>> frame = check_example(read_example("one-neuron.toml"))
    >>> frame["verdict"].unique().tolist()
    ['ok']
    """
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
            _index_text(j.number),
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
    # Few digits fit many mistakes.
    return " or ".join([*names[:NAMED], *([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])])


def _index_text(number: Printed) -> str:
    share = "" if number.output is None else f"of output {number.output}"
    return " ".join(filter(None, [number.label, share]))


def _judged(example: Example) -> list[Judged]:
    hand = _trained(example, [Variant(())])
    found: dict[Printed, Judged] = {}
    weights, at = example.problem.weights, 1
    problem = example.problem
    how = (problem.inputs, problem.targets, problem.learning_rate)
    for step in example.steps:
        twin = Truth(replace(problem, weights=weights)).twin
        weights, at = twin.train(*how, step - at, problem.train_biases), step
        views = _Views(Truth(replace(problem, weights=weights)))
        for number in example.printed:
            if number.step == step:
                value, bound = (float(part[number.index]) for part in views.of(number))
                drift = DRIFT * abs(float(hand[number]) - value)
                found[number] = Judged(number, value, UNITS * number.unit + bound + drift)
    return [found[number] for number in example.printed]


class _Views:
    """Every quantity of one step by autograd, with its tolerance; also of the share of the cost due to one output."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.shares: dict[int, _Views] = {}

    def of(self, number: Printed) -> Pair:
        """Return value and tolerance of the quantity."""
        if number.output is None:
            return self.everything[number.key]
        if number.output not in self.shares:
            problem = _share(self.truth.problem, number.output, self.truth.run.activations[-1])
            self.shares[number.output] = _Views(Truth(problem))
        return self.shares[number.output].everything[number.key]

    @cached_property
    def everything(self) -> dict[Key, Pair]:
        """Value and tolerance by quantity and layer."""
        run, bounds, slopes = self.truth.run, self.truth.bounds, self.truth.twin.slopes(self.truth.run.preactivations)
        more = {
            "preactivation": (run.preactivations, bounds.preactivations),
            "slope": (slopes, bounds.slopes),
            "activation_gradient": (run.activation_gradients, bounds.activation_gradients),
        }
        return self.truth.pairs | {
            (name, l): (value, 2 * bound)
            for name, (values, errors) in more.items()
            for l, (value, bound) in enumerate(zip(values, errors, strict=True), start=1)
        }


def _share(problem: Problem, output: int, activations: FloatArray) -> Problem:
    """The problem in which the other outputs meet their targets exactly, so that the cost is this one's alone."""
    met = np.arange(activations.shape[-1]) != output
    return replace(problem, targets=np.where(met, activations, problem.targets))


def _trained(example: Example, variants: Sequence[Variant], bar: bool = False) -> dict[Printed, FloatArray]:
    """Each printed number as the variants compute it, trained on their own for as long as it takes."""
    lineup = Lineup(variants)
    weights: Sequence[FloatArray] = example.problem.weights
    last = example.steps[-1]
    steps: Iterator[int] = iter(range(1, last + 1))
    top = len(weights)
    values: dict[Printed, FloatArray] = {}
    for step in progress(steps, [1] * last, "steps") if bar else steps:
        asked = [number for number in example.printed if number.step == step]
        shares: dict[int | None, Quantities] = {}
        for output in {number.output for number in asked} - {None}:
            output_of = lineup.aside(example.problem, weights)["activation", top]
            shares[output] = lineup.aside(_share(example.problem, output or 0, output_of), weights)
        shares[None] = lineup.run(example.problem, weights)
        for number in asked:
            element: Any = (..., *number.index)
            values[number] = shares[number.output][number.key][element]
        weights = [shares[None]["weight", l] for l in range(1, top + 1)]
    return values


def _explained(example: Example, wrong: Sequence[Judged], how: str) -> dict[Judged, list[str]]:
    """For each wrong number the known mistakes that give it, the simplest first."""
    if not wrong:
        return {}
    top = len(example.problem.weights)
    variants = list(pairs()) if how == "pairs" else [v for v in singles(top) if "single_precision" not in v.mistakes]
    asked = replace(example, printed=tuple(j.number for j in wrong))
    made = _trained(asked, variants, bar=True)
    explained = {}
    for j in wrong:
        printed = np.array(float(Decimal(j.number.value)))
        fits = np.broadcast_to(distance(printed, made[j.number]) <= j.tolerance, len(variants))
        names = [" + ".join(variant.mistakes) for variant, fit in zip(variants, fits, strict=True) if fit]
        explained[j] = list(dict.fromkeys(names))
    return explained
