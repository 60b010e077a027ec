"""The files of worked examples: the numbers that a page, a book or a lecture prints, written down in TOML.

docs/worked.md shows one. Whatever makes no sense in one is refused in a line that names the line and the key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from comparisons.reference.quantities import Key, Problem
from handnet import Network
from handnet.activations import FloatArray

# How many axes the index of a quantity has, less the sample's.
INDICES = {
    **dict.fromkeys(("preactivation", "activation", "slope", "activation_gradient", "delta"), 1),
    **dict.fromkeys(("gradient", "weight"), 2),
    "cost": 0,
}
MOST_NODES, MOST_STEPS = 100_000, 1_000_000
# Of these a sample has its own even in a batch; the others of one sample are those of that sample alone.
FORWARD = ("preactivation", "activation", "slope")
REQUIRED = ("sizes", "weights", "inputs", "targets", "printed")
OPTIONAL = ("title", "source", "activation", "learning_rate", "train_biases")
ENTRY = ("value", "quantity", "layer", "step", "index", "sample", "output", "name")
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?", re.ASCII)
STRING_OR_COMMENT = re.compile(
    "|".join(
        (
            r'"""(?:[^\\]|\\.)*?"""',
            r"'''.*?'''",
            r'"(?:[^"\\\n]|\\.)*"',
            r"'[^'\n]*'",
            r"#[^\n]*",
        )
    ),
    re.DOTALL,
)


class ExampleError(ValueError):
    """The file of a worked example cannot be used: one line that names file, key and, where it can, line."""


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
    sample : what is printed is of this sample alone, not of the batch
    output : of the share of the cost that is due to this output alone, if not of the whole
    name : what the page calls it
    """

    value: str
    key: Key
    step: int
    index: tuple[int, ...]
    label: str
    sample: int | None = None
    output: int | None = None
    name: str = ""

    @property
    def unit(self) -> float:
        """One unit in the last printed place."""
        exponent = Decimal(self.value).as_tuple().exponent
        return float(Decimal(1).scaleb(int(exponent)))

    @property
    def place(self) -> str:
        """The index as the CSV file has it."""
        share = "" if self.output is None else f"of output {self.output}"
        sample = "" if self.sample is None else f"of sample {self.sample}"
        return " ".join(filter(None, [self.label, share, sample]))


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
    here = Path(path)
    shipped = files("comparisons") / "data" / "worked" / here.name
    if here.name == str(path) and not here.exists() and shipped.is_file():
        return _Reader(here.name, shipped.read_text(encoding="utf-8")).example()
    try:
        text = here.read_text(encoding="utf-8-sig")  # with a byte order mark or without
    except UnicodeDecodeError:
        raise ExampleError(f"{here.name} is no text: expected TOML in UTF-8") from None
    return _Reader(here.name, text).example()


class _Reader:
    """Reads the TOML of an example, and says on which line what is wrong."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        # The text without what stands in strings and comments, so that a key is a key.
        self.bare = STRING_OR_COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
        try:
            self.table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            raise ExampleError(f"{name}: {problem}") from None
        except RecursionError:
            raise ExampleError(f"{name}: its brackets are nested too deeply") from None
        except ValueError:  # Python reads no whole number of more than 4,300 digits
            raise ExampleError(f"{name}: it holds a number of thousands of digits: expected fewer") from None

    def example(self) -> Example:
        """Return the example that the table describes."""
        self._check_keys("", self.table, (*REQUIRED, *OPTIONAL))
        for key in REQUIRED:
            if key not in self.table:
                raise ExampleError(f"{self.name}: {key} is missing")
        problem = self._problem()
        entries = self.table["printed"]
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            self._refuse("printed", "printed is no list of tables: expected {value = .., quantity = ..}, ..")
        printed = tuple(self._printed(problem, i, entry) for i, entry in enumerate(entries))
        title, source = (str(self.table.get(key, "")) for key in ("title", "source"))
        return Example(self.name.removesuffix(".toml"), title, source, problem, printed)

    # The network and its samples.

    def _problem(self) -> Problem:
        table = self.table
        sizes = table["sizes"]
        if not isinstance(sizes, list) or len(sizes) < 2 or not all(_whole(size, 1, MOST_NODES) for size in sizes):
            expected = f"at least two whole numbers from 1 to {MOST_NODES:,}"
            self._refuse("sizes", f"sizes is {_short(sizes)}: expected {expected}")
        layers = table["weights"]
        if not isinstance(layers, list) or len(layers) != len(sizes) - 1:
            count = f"{len(layers)} layers" if isinstance(layers, list) else _short(layers)
            self._refuse("weights", f"weights has {count}: expected {len(sizes) - 1}")
        weights = []
        for l, rows in enumerate(layers, start=1):
            shape = (sizes[l], sizes[l - 1] + 1)
            what = f"weights of layer {l}"
            nodes = self._matrix("weights", what, rows, shape, "a row for each node: its weights, then its bias")
            weights.append(nodes.T.copy())
        inputs, targets = (
            self._matrix(key, key, table[key], (None, width), "a row for each sample")
            for key, width in (("inputs", sizes[0]), ("targets", sizes[-1]))
        )
        if len(targets) != len(inputs):
            self._refuse("targets", f"targets has {len(targets)} samples: expected {len(inputs)}, as inputs has")
        activation = table.get("activation", "sigmoid")
        names = [activation] if isinstance(activation, str) else activation
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._refuse("activation", f"activation is {_short(activation)}: expected a name, or a list of names")
        try:
            network = Network(weights, activation)
        except ValueError as problem:
            self._refuse("activation", str(problem))
        return Problem(network.weights, network.activation, inputs, targets, self._rate(), self._train_biases())

    def _rate(self) -> float:
        rate = self.table.get("learning_rate", 0.5)
        if not _is_number(rate):
            self._refuse("learning_rate", f"learning_rate is {_short(rate)}: expected a finite number")
        return float(rate)

    def _train_biases(self) -> bool:
        value = self.table.get("train_biases", True)
        if not isinstance(value, bool):
            self._refuse("train_biases", f"train_biases is {_short(value)}: expected true or false")
        return value

    def _matrix(self, key: str, what: str, value: Any, shape: tuple[int | None, int], rows_are: str) -> FloatArray:
        """The rows of numbers; a single row may stand alone."""
        rows = [value] if isinstance(value, list) and value and not isinstance(value[0], list) else value
        if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
            self._refuse(key, f"{what} is {_short(value)}: expected {rows_are}")
        for number in (number for row in rows for number in row):
            if not _is_number(number):
                self._refuse(key, f"{what} holds {_short(number)}: expected finite numbers")
        count, width = shape[0] or len(rows), shape[1]
        if len(rows) != count or any(len(row) != width for row in rows):
            lengths = sorted({len(row) for row in rows})
            given = f"{len(rows)} rows of {' and '.join(map(str, lengths))}"
            self._refuse(key, f"{what} has {given} numbers: expected {count} of {width}, {rows_are}")
        return np.array(rows, dtype=np.float64)

    # The printed numbers.

    def _printed(self, problem: Problem, i: int, entry: Mapping[str, Any]) -> Printed:
        where = f"printed[{i}]"
        self._check_keys(where, entry, ENTRY)
        value, quantity = (self._needed(where, entry, key) for key in ("value", "quantity"))
        if not isinstance(value, str) or not _is_decimal(value):
            expected = 'a string of digits, like "0.3775", that make the tolerance'
            self._refuse(where, f"value is {_short(value)}: expected {expected}")
        if not isinstance(quantity, str) or quantity not in INDICES:
            self._refuse(where, f"quantity is {_short(quantity)}: expected one of {', '.join(INDICES)}")
        layer = self._layer(where, quantity, entry, len(problem.weights))
        step, output = entry.get("step", 1), entry.get("output")
        if not _whole(step, 1, MOST_STEPS):
            self._refuse(where, f"step is {_short(step)}: expected a whole number from 1 to {MOST_STEPS:,}")
        if output is not None and not _whole(output, 0, problem.sizes[-1] - 1):
            last = problem.sizes[-1] - 1
            self._refuse(where, f"output is {_short(output)}: expected a whole number from 0 to {last}")
        key = (quantity, layer)
        index, label = self._index(problem, where, key, entry)
        sample = self._sample(problem, where, key, entry)
        if INDICES[quantity] == 1:
            of_batch = quantity in FORWARD
            index = (sample or 0 if of_batch else 0, *index)
            if of_batch:
                label, sample = label + (f" of sample {sample}" if sample is not None else ""), None
        return Printed(value, key, step, index, label, sample, output, str(entry.get("name", "")))

    def _needed(self, where: str, entry: Mapping[str, Any], key: str) -> Any:
        if key not in entry:
            self._refuse(where, f"{key} is missing")
        return entry[key]

    def _layer(self, where: str, quantity: str, entry: Mapping[str, Any], top: int) -> int | None:
        if quantity == "cost":
            if "layer" in entry:
                self._refuse(where, "the cost belongs to no layer: expected none")
            return None
        layer = self._needed(where, entry, "layer")
        if not _whole(layer, 1, top):
            self._refuse(where, f"layer is {_short(layer)}: expected a whole number from 1 to {top}")
        return int(layer)

    def _index(self, problem: Problem, where: str, key: Key, entry: Mapping[str, Any]) -> tuple[tuple[int, ...], str]:
        quantity, layer = key
        l, sizes = layer or 0, problem.sizes
        given = self._needed(where, entry, "index") if INDICES[quantity] else entry.get("index", [])
        index = given if isinstance(given, list) else [given]
        # w_ij: node i, and node j below it, after the last of which comes the bias.
        limits = [sizes[l], sizes[l - 1] + 1][: INDICES[quantity]]
        if len(index) != len(limits) or not all(_whole(n, 0, end - 1) for n, end in zip(index, limits, strict=True)):
            node = f"a node from 0 to {sizes[l] - 1}"
            below = f"one below it from 0 to {sizes[l - 1] - 1}, {sizes[l - 1]} for the bias"
            expected = ["none", node, f"[{node}, {below}]"][INDICES[quantity]]
            self._refuse(where, f"index is {_short(given)}: expected {expected}")
        return tuple(index[::-1]), ",".join(map(str, index))

    def _sample(self, problem: Problem, where: str, key: Key, entry: Mapping[str, Any]) -> int | None:
        samples = len(problem.inputs)
        sample = entry.get("sample")
        if sample is None:
            if samples > 1 and INDICES[key[0]] == 1:
                self._refuse(where, f"sample is missing: expected a whole number from 0 to {samples - 1}")
            return None
        if not _whole(sample, 0, samples - 1):
            self._refuse(where, f"sample is {_short(sample)}: expected a whole number from 0 to {samples - 1}")
        if key[0] == "weight":
            self._refuse(where, "a weight after the step belongs to no sample: expected none")
        return int(sample) if samples > 1 else None

    # What is wrong, and where.

    def _check_keys(self, where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
        for key in table:
            if key not in known:
                self._refuse(where or key, f"{_short(key)} is unknown: expected {', '.join(known)}")

    def _refuse(self, where: str, what: str) -> NoReturn:
        number = self._line(where)
        entry = f"{where}: " if where.startswith("printed[") else ""
        raise ExampleError(f"{self.name}{f', line {number}' if number else ''}: {entry}{what}")

    def _line(self, where: str) -> int | None:
        """The line on which a key stands, or the i-th printed number."""
        if where.startswith("printed["):
            after = re.search(r"^\s*printed\s*=", self.bare, re.MULTILINE)
            starts = re.compile(r"\{" if after else r"^\s*\[\[\s*printed\s*\]\]", re.MULTILINE)
            found = list(starts.finditer(self.bare, after.end() if after else 0))[int(where[len("printed[") : -1]) :]
        else:
            found = list(re.finditer(rf"^\s*{re.escape(where)}\s*=", self.bare, re.MULTILINE))
        return self.bare.count("\n", 0, found[0].end()) + 1 if found else None


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return bool(np.isfinite(float(value)))
    except OverflowError:
        return False


def _is_decimal(text: str) -> bool:
    # Decimal alone would take 0_3 for 3.
    return bool(DECIMAL.fullmatch(text)) and abs(Decimal(text).adjusted()) < 300


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
