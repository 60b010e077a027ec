"""The files of worked examples: the numbers that a page, a book or a lecture prints, written down in TOML.

docs/worked.md shows one. Whatever makes no sense in one is refused in a line that names the line and the key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from comparisons.reference.quantities import Key, Problem, Statement
from handnet import Network
from handnet.activations import FloatArray
from handnet.costs import COSTS, REDUCTIONS

# How many axes the index of a quantity has, less the sample's.
INDICES = {
    **dict.fromkeys(("preactivation", "exponential", "activation", "slope", "activation_gradient", "delta"), 1),
    "input_gradient": 1,
    **dict.fromkeys(("gradient", "weight", "step"), 2),
    **dict.fromkeys(("cost", "decrease"), 0),
}
WITHOUT_LAYER = ("cost", "decrease", "input_gradient")
MOST_NODES, MOST_STEPS = 100_000, 1_000_000
# Of these a sample has its own even in a batch; the others of one sample are those of that sample alone.
FORWARD = ("preactivation", "exponential", "activation", "slope")
REQUIRED = ("sizes", "weights", "inputs", "printed")
STATEMENTS = ("cost", "reduction", "l2", "biases", "shared_biases", "momentum")
OPTIONAL = ("targets", "title", "source", "activation", "learning_rate", "train_biases", *STATEMENTS, "batches")
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
    label : the index as the note writes it, 0, or 0,1 for w_01, and of which output and sample it is
    sample : what is printed is of this sample of the step's batch alone
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


@dataclass(frozen=True)
class Example:
    """A worked example: a network, how it is trained, and the numbers that are printed of it.

    Attributes
    ----------
    name, title, source : of the page
    problem : the network with all of its samples
    printed : the numbers
    stated : the keys that the file has
    shared_biases : one bias for all the nodes of a layer, trained by the sum of their gradients
    momentum : the part of a step that the next one takes once more
    batches : of one step after the other, by the numbers of the samples, over and over; empty where all are taken
    """

    name: str
    title: str
    source: str
    problem: Problem
    printed: tuple[Printed, ...]
    stated: frozenset[str] = frozenset()
    shared_biases: bool = False
    momentum: float = 0.0
    batches: tuple[tuple[int, ...], ...] = ()

    @property
    def steps(self) -> list[int]:
        """The steps that something is printed of."""
        return sorted({number.step for number in self.printed})

    def batch(self, step: int) -> tuple[int, ...]:
        """Return the numbers of the samples that a step takes."""
        return self.batches[(step - 1) % len(self.batches)] if self.batches else tuple(range(len(self.problem.inputs)))

    def at(self, step: int, weights: tuple[FloatArray, ...] | None = None) -> Problem:
        """Return the problem of a step: its batch, and these weights."""
        if not self.batches:
            return self.problem if weights is None else replace(self.problem, weights=weights)
        rows = list(self.batch(step))
        inputs, targets = self.problem.inputs[rows], self.problem.targets[rows]
        return replace(self.problem, weights=weights or self.problem.weights, inputs=inputs, targets=targets)


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
        shared, batches = self._shared(problem), self._batches(len(problem.inputs))
        name, stated = self.name.removesuffix(".toml"), frozenset(self.table)
        example = Example(name, "", "", problem, (), stated, shared, self._momentum(), batches)
        entries = self.table["printed"]
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            self._refuse("printed", "printed is no list of tables: expected {value = .., quantity = ..}, ..")
        printed = tuple(self._printed(example, i, entry) for i, entry in enumerate(entries))
        title, source = (str(self.table.get(key, "")) for key in ("title", "source"))
        return replace(example, title=title, source=source, printed=printed)

    # The network and its samples.

    def _problem(self) -> Problem:
        sizes = self.table["sizes"]
        if not isinstance(sizes, list) or len(sizes) < 2 or not all(_whole(size, 1, MOST_NODES) for size in sizes):
            expected = f"at least two whole numbers from 1 to {MOST_NODES:,}"
            self._refuse("sizes", f"sizes is {_short(sizes)}: expected {expected}")
        stated = self._stated()
        weights = self._weights(sizes, stated.biases)
        inputs = self._matrix("inputs", "inputs", self.table["inputs"], (None, sizes[0]), "a row for each sample")
        targets = np.zeros((len(inputs), sizes[-1]))
        if "targets" in self.table:
            given = self.table["targets"]
            targets = self._matrix("targets", "targets", given, (None, sizes[-1]), "a row for each sample")
        if len(targets) != len(inputs):
            self._refuse("targets", f"targets has {len(targets)} samples: expected {len(inputs)}, as inputs has")
        network = self._network(weights, stated)
        rate, train_biases = self._rate(), self._flag("train_biases", True)
        return Problem(network.weights, network.activation, inputs, targets, rate, train_biases, stated=stated)

    def _weights(self, sizes: list[int], biases: bool) -> list[FloatArray]:
        layers = self.table["weights"]
        if not isinstance(layers, list) or len(layers) != len(sizes) - 1:
            count = f"{len(layers)} layers" if isinstance(layers, list) else _short(layers)
            self._refuse("weights", f"weights has {count}: expected {len(sizes) - 1}")
        weights = []
        for l, rows in enumerate(layers, start=1):
            shape = (sizes[l], sizes[l - 1] + biases)
            row = "a row for each node: its weights, then its bias" if biases else "a row for each node, without biases"
            nodes = self._matrix("weights", f"weights of layer {l}", rows, shape, row)
            weights.append(nodes.T.copy())
        return weights

    def _network(self, weights: list[FloatArray], stated: Statement) -> Network:
        activation = self.table.get("activation", "sigmoid")
        names = [activation] if isinstance(activation, str) else activation
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._refuse("activation", f"activation is {_short(activation)}: expected a name, or a list of names")
        try:
            Network(weights, activation, biases=stated.biases)
        except ValueError as problem:
            self._refuse("activation", str(problem))
        try:
            return Network(weights, activation, **asdict(stated))
        except ValueError as problem:
            self._refuse("cost", str(problem))

    def _stated(self) -> Statement:
        cost, reduction = (self.table.get(key, getattr(Statement, key)) for key in ("cost", "reduction"))
        if not isinstance(cost, str) or cost not in COSTS:
            self._refuse("cost", f"cost is {_short(cost)}: expected one of {', '.join(COSTS)}")
        if not isinstance(reduction, str) or reduction not in REDUCTIONS:
            self._refuse("reduction", f"reduction is {_short(reduction)}: expected one of {', '.join(REDUCTIONS)}")
        l2 = self.table.get("l2", 0.0)
        if not _is_number(l2) or l2 < 0:
            self._refuse("l2", f"l2 is {_short(l2)}: expected a finite number, 0 or more")
        return Statement(cost, reduction, float(l2), self._flag("biases", True))

    def _shared(self, problem: Problem) -> bool:
        """Whether the nodes of each layer share a bias: theirs must then be the same."""
        shared = self._flag("shared_biases", False)
        for l, w in enumerate(problem.weights if shared else (), start=1):
            if not problem.stated.biases:
                self._refuse("shared_biases", "shared_biases is true: expected biases, and there are none")
            if np.ptp(w[-1]):
                biases = " and ".join(f"{bias:g}" for bias in dict.fromkeys(w[-1]))
                self._refuse("weights", f"weights of layer {l} has the biases {biases}: expected one that is shared")
        return shared

    def _batches(self, samples: int) -> tuple[tuple[int, ...], ...]:
        batches = self.table.get("batches", [])
        if not isinstance(batches, list) or not all(_is_batch(batch, samples) for batch in batches):
            expected = f"a list of samples, each from 0 to {samples - 1}, for each step"
            self._refuse("batches", f"batches is {_short(batches)}: expected {expected}")
        return tuple(map(tuple, batches))

    def _rate(self) -> float:
        rate = self.table.get("learning_rate", 0.5)
        if not _is_number(rate):
            self._refuse("learning_rate", f"learning_rate is {_short(rate)}: expected a finite number")
        return float(rate)

    def _momentum(self) -> float:
        momentum = self.table.get("momentum", 0.0)
        if not _is_number(momentum) or not 0 <= momentum < 1:
            self._refuse("momentum", f"momentum is {_short(momentum)}: expected a number from 0 to less than 1")
        return float(momentum)

    def _flag(self, key: str, default: bool) -> bool:
        value = self.table.get(key, default)
        if not isinstance(value, bool):
            self._refuse(key, f"{key} is {_short(value)}: expected true or false")
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

    def _printed(self, example: Example, i: int, entry: Mapping[str, Any]) -> Printed:
        where, problem = f"printed[{i}]", example.problem
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
        self._check_targets(where, quantity, step)
        if output is not None and not _whole(output, 0, problem.sizes[-1] - 1):
            last = problem.sizes[-1] - 1
            self._refuse(where, f"output is {_short(output)}: expected a whole number from 0 to {last}")
        index, label = self._index(problem, where, (quantity, layer), entry)
        row = self._sample(example.batch(step), where, quantity, entry)
        share = [] if output is None else [f"of output {output}"]
        of_sample = [f"of sample {entry['sample']}"] if "sample" in entry and len(problem.inputs) > 1 else []
        label = " ".join(filter(None, [label, *share, *of_sample]))
        if INDICES[quantity] == 1:
            of_batch = quantity in FORWARD
            index = ((row or 0) if of_batch else 0, *index)
            row = None if of_batch else row
        return Printed(value, (quantity, layer), step, index, label, row, output, str(entry.get("name", "")))

    def _needed(self, where: str, entry: Mapping[str, Any], key: str) -> Any:
        if key not in entry:
            self._refuse(where, f"{key} is missing")
        return entry[key]

    def _check_targets(self, where: str, quantity: str, step: int) -> None:
        if "targets" not in self.table and (quantity not in FORWARD or step > 1):
            of = f"step {step}" if quantity in FORWARD else f"{'an' if quantity[0] in 'ai' else 'a'} {quantity}"
            self._refuse(where, f"targets is missing: only the forward pass of step 1 needs none, and this is {of}")

    def _layer(self, where: str, quantity: str, entry: Mapping[str, Any], top: int) -> int | None:
        if quantity in WITHOUT_LAYER:
            if "layer" in entry:
                said = "the cost" if quantity == "cost" else f"the {quantity.replace('_', ' ')}"
                self._refuse(where, f"{said} belongs to no layer: expected none")
            return None
        layer = self._needed(where, entry, "layer")
        if not _whole(layer, 1, top):
            self._refuse(where, f"layer is {_short(layer)}: expected a whole number from 1 to {top}")
        return int(layer)

    def _index(self, problem: Problem, where: str, key: Key, entry: Mapping[str, Any]) -> tuple[tuple[int, ...], str]:
        quantity, layer = key
        l, sizes, biases = layer or 0, problem.sizes, problem.stated.biases
        given = self._needed(where, entry, "index") if INDICES[quantity] else entry.get("index", [])
        index = given if isinstance(given, list) else [given]
        # w_ij: node i, and node j below it, after the last of which comes the bias.
        limits = [sizes[l], sizes[l - 1] + biases][: INDICES[quantity]]
        if len(index) != len(limits) or not all(_whole(n, 0, end - 1) for n, end in zip(index, limits, strict=True)):
            node = f"a node from 0 to {sizes[l] - 1}"
            below = f"one below it from 0 to {sizes[l - 1] - 1}" + (f", {sizes[l - 1]} for the bias" if biases else "")
            expected = ["none", node, f"[{node}, {below}]"][INDICES[quantity]]
            self._refuse(where, f"index is {_short(given)}: expected {expected}")
        return tuple(index[::-1]), ",".join(map(str, index))

    def _sample(self, batch: Sequence[int], where: str, quantity: str, entry: Mapping[str, Any]) -> int | None:
        """The row of the sample in its batch; none where that has no other."""
        if batch == tuple(range(len(batch))):
            expected = f"a whole number from 0 to {len(batch) - 1}"
        else:
            expected = f"one of the step's batch, {', '.join(map(str, batch))}"
        sample = entry.get("sample")
        if sample is None:
            if len(batch) > 1 and INDICES[quantity] == 1:
                self._refuse(where, f"sample is missing: expected {expected}")
            return None
        if not _whole(sample, 0, MOST_NODES) or sample not in batch:
            self._refuse(where, f"sample is {_short(sample)}: expected {expected}")
        if quantity in ("weight", "step"):
            after = "a weight after the step" if quantity == "weight" else "the step"
            self._refuse(where, f"{after} belongs to no sample: expected none")
        return batch.index(sample) if len(batch) > 1 else None

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


def _is_batch(batch: Any, samples: int) -> bool:
    """Whether these are the numbers of some samples, each once."""
    if not isinstance(batch, list) or not batch or not all(_whole(sample, 0, samples - 1) for sample in batch):
        return False
    return len(set(batch)) == len(batch)


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
