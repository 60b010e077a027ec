"""Somebody else's backpropagation: called in its own layout, its answer read into ours."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import operator
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comparisons.comparison import quantity_name
from comparisons.measure import Problem
from comparisons.twin import Key, Quantities
from handnet.activations import FloatArray

LAYOUTS = ("note", "linear", "columns")
REDUCTIONS = ("mean", "sum")
NAMES = ("activations", "cost", "deltas", "gradients", "updated")
# Deltas and biases' gradients belong together where they agree to this, of the terms' size.
TOGETHER = 1e-5


class ImplementationError(Exception):
    """The function under check raised, or its answer cannot be read: one line saying what and where."""


@dataclass(frozen=True)
class Answer:
    """What the implementation answered, read into the layout of the note.

    Attributes
    ----------
    given : arrays keyed by quantity and layer
        NaN where the answer has another shape; turned where only its transpose has the right one.
    misfits, turned : what to say of these, by key
    remarks : what is worth knowing and not wrong
    """

    given: Quantities
    misfits: dict[Key, str]
    turned: dict[Key, str]
    remarks: tuple[str, ...]

    def right_way_up(self) -> Quantities:
        """Return what is given, with NaN too where it had to be turned."""
        return {key: np.full_like(value, np.nan) if key in self.turned else value for key, value in self.given.items()}


class Implementation:
    """A function under check, called with copies in its own layout.

    Parameters
    ----------
    function : backprop(weights, inputs, targets), or one that also takes learning_rate; or an object with such a method
    layout : "note": W (m + 1, n), samples in rows; "linear": pairs (W (n, m), b (n,)), samples in rows; "columns":
        pairs (W (n, m), b (n, 1)), samples in columns
    reduction : "mean" if its cost is the mean over the samples, "sum" if it is the sum

    Raises
    ------
    ValueError, TypeError
        If layout or reduction is unknown, or the function cannot be called.
    """

    def __init__(self, function: Any, layout: str = "note", reduction: str = "mean") -> None:
        function = function if callable(function) else getattr(function, "backprop", function)
        if not callable(function):
            raise TypeError(f"backprop is a {type(function).__name__}: expected a function of weights, inputs, targets")
        if layout not in LAYOUTS:
            raise ValueError(f"layout {layout!r} is unknown: expected one of {', '.join(LAYOUTS)}")
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction {reduction!r} is unknown: expected one of {', '.join(REDUCTIONS)}")
        self.function: Callable[..., Any] = function
        self.layout, self.reduction = layout, reduction
        self.takes_rate = _takes_learning_rate(function)
        self._takes_stacks: dict[tuple[int, ...], bool] = {}

    @property
    def name(self) -> str:
        """What the function calls itself."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def ask(self, problem: Problem, learning_rate: float) -> Answer:
        """Call the function with copies of this step's weights and samples, and read its answer.

        Raises
        ------
        ImplementationError
            If it raises, or answers nothing that can be read.
        """
        arguments = self._arguments(problem)
        untouched = self._arguments(problem)
        options = {"learning_rate": learning_rate} if self.takes_rate else {}
        try:
            with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
                answer = self.function(*arguments, **options)
        except (Exception, SystemExit) as raised:  # whatever it raises is the finding
            raise ImplementationError(f"it raised {_told(raised)}; called with {_shapes(untouched)}") from None
        weights, *samples = (not _identical(*both) for both in zip(untouched, arguments, strict=True))
        fields, remarks = _fields(answer), []
        if any(samples):
            remarks.append("it changes the samples it is given, in place")
        if weights:
            remarks.append("it changes the weights it is given, in place: read as updated")
            fields.setdefault("updated", arguments[0])
        if not fields:
            expected = f"gradients, or any of {', '.join(NAMES)}"
            raise ImplementationError(f"it returned {_kind(answer)}: expected {expected}")
        reading = _Reading(self, problem)
        reading.read(fields)
        given, more = _with_share(reading.given, problem)
        return Answer(given, reading.misfits, reading.turned, (*remarks, *more))

    def takes_stacks(self, problem: Problem) -> bool:
        """Return whether it can be asked for many networks at once: whether a few at once come out as they do alone."""
        if self.layout != "note":
            return False
        if problem.sizes not in self._takes_stacks:
            self._takes_stacks[problem.sizes] = self._same_in_a_stack(problem.of_network((slice(0, 3),)))
        return self._takes_stacks[problem.sizes]

    def _same_in_a_stack(self, few: Problem) -> bool:
        try:
            together = self.ask(few, few.learning_rate)
        except ImplementationError:
            return False
        if together.misfits or together.turned:
            return False
        alone = [self.ask(few.of_network((i,)), few.learning_rate).given for i in range(len(few.weights[0]))]
        near = 1e3 * float(np.finfo(few.inputs.dtype).eps)
        return all(
            np.allclose(value[i], one[key], rtol=near, atol=near * np.abs(one[key]).max(initial=0.0), equal_nan=True)
            for key, value in together.given.items()
            for i, one in enumerate(alone)
        )

    # Out: our arrays in their layout.

    def _arguments(self, problem: Problem) -> list[Any]:
        samples = (array.T if self.layout == "columns" else array for array in (problem.inputs, problem.targets))
        return [[self._weights_out(w) for w in problem.weights], *map(_copied, samples)]

    def _weights_out(self, w: FloatArray) -> Any:
        if self.layout == "note":
            return _copied(w)
        bias = _copied(w[-1])
        return _copied(w[:-1].T), bias[:, np.newaxis] if self.layout == "columns" else bias


def load(target: str) -> Any:
    """Return what a target like "file.py:function" names; "file.py:object.method" too.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it does not run, or has no such name in it.
    """
    file, _, name = target.rpartition(":")
    path = Path(file)
    if not file or not name or path.suffix != ".py":
        raise ValueError(f"target is {target!r}: expected file.py:function, or a worked example .toml")
    path.open("rb").close()  # an OSError names the file
    spec = importlib.util.spec_from_file_location("under_check", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))  # it may import what stands beside it
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as raised:
        raise ValueError(f"{file} raised {_told(raised)}") from None
    try:
        return operator.attrgetter(name)(module)
    except AttributeError:
        raise ValueError(f"{file} has no {name}") from None


class _Reading:
    """Their arrays in our layout, one quantity after the other."""

    def __init__(self, implementation: Implementation, problem: Problem) -> None:
        self.layout, self.problem, self.top = implementation.layout, problem, len(problem.weights)
        # The cost and its derivatives are those of the mean, in which the note and the twin have them.
        self.share = problem.inputs.shape[-2] if implementation.reduction == "sum" else 1
        self.given: Quantities = {}
        self.misfits: dict[Key, str] = {}
        self.turned: dict[Key, str] = {}

    def read(self, fields: Mapping[str, Any]) -> None:
        """Read each of the parts that are there."""
        readers: dict[str, Callable[[Any], None]] = {
            "activations": self._activations,
            "cost": self._cost,
            "deltas": lambda value: self._of_samples("delta", value, self.share),
            "gradients": lambda value: self._of_weights("gradient", value, self.share),
            "updated": lambda value: self._of_weights("weight", value, 1),
        }
        for name, reader in readers.items():
            if name in fields:
                reader(fields[name])

    def _activations(self, value: Any) -> None:
        entries = _entries("activations", value)
        # The first may be the inputs.
        self._of_samples("activation", entries[1:] if len(entries) == self.top + 1 else entries, 1)

    def _cost(self, value: Any) -> None:
        cost = _array("the cost", value)
        expected = self.problem.shape(("cost", None))
        self._take(("cost", None), cost.reshape(expected) if cost.size == 1 else cost, expected, self.share)

    def _of_samples(self, quantity: str, value: Any, share: int) -> None:
        name = {"activation": "activations", "delta": "deltas"}[quantity]
        columns = self.layout == "columns"
        for l, entry in enumerate(_one_per_layer(name, _entries(name, value), self.top), start=1):
            key = (quantity, l)
            array = _array(quantity_name(key), entry)
            if array.ndim == 1:
                array = array[:, np.newaxis] if columns else array[np.newaxis]
            rows_first = self.problem.shape(key)
            if self._take(key, array, rows_first[::-1] if columns else rows_first, share) and columns:
                self.given[key] = self.given[key].T

    def _of_weights(self, quantity: str, value: Any, share: int) -> None:
        name = {"gradient": "gradients", "weight": "updated"}[quantity]
        for l, entry in enumerate(self._layers(name, value), start=1):
            key = (quantity, l)
            if self.layout == "note":
                self._take(key, _array(quantity_name(key), entry), self.problem.shape(key), share)
                continue
            rows, columns = self.problem.shape(key)
            weight, bias = (_array(quantity_name(key), part) for part in entry)
            if bias.size != columns:
                expected = (columns, 1) if self.layout == "columns" else (columns,)
                self._misfit(key, f"the biases of {quantity_name(key)} have shape {bias.shape}: expected {expected}")
            elif self._take(key, weight, (columns, rows - 1), share):
                self.given[key] = np.vstack([self.given[key].T, bias.reshape(1, columns) / share])

    def _take(self, key: Key, array: FloatArray, expected: tuple[int, ...], share: int) -> bool:
        """Take the array if it has the shape expected, or is the weights of that shape transposed."""
        text = f"{quantity_name(key)} has shape {array.shape}: expected {expected}"
        if array.shape != expected:
            if key[0] not in ("gradient", "weight") or array.shape != expected[::-1]:
                self._misfit(key, text)
                return False
            array = array.T
            self.turned[key] = f"{text}, its transpose"
        self.given[key] = array / share if share > 1 else array
        return True

    def _misfit(self, key: Key, text: str) -> None:
        self.misfits[key] = text
        self.given[key] = np.full(self.problem.shape(key), np.nan)

    def _layers(self, name: str, value: Any) -> list[Any]:
        """One entry per layer: an array, or a (W, b) pair, in whichever way these are nested."""
        if self.layout == "note":
            return _one_per_layer(name, _entries(name, value), self.top)
        nestings = [pairs for pairs in _nestings(name, value, self.top) if len(pairs) == self.top]
        if not nestings:
            raise ImplementationError(
                f"{name} has {len(_entries(name, value))} entries: expected {self.top} pairs (W, b)"
            )
        sizes = [(w[:-1].size, w[-1].size) for w in self.problem.weights]
        fitting = [sum(_sizes(pair) == size for pair, size in zip(pairs, sizes, strict=True)) for pairs in nestings]
        return nestings[fitting.index(max(fitting))]


def _with_share(given: Quantities, problem: Problem) -> tuple[Quantities, tuple[str, ...]]:
    """Put the 1/N into deltas that leave it to the gradient, seen where the biases' gradients are the deltas' mean."""
    top, samples = len(problem.weights), problem.inputs.shape[-2]
    delta, gradient = given.get(("delta", top)), given.get(("gradient", top))
    if gradient is None and ("weight", top) in given and problem.learning_rate:
        gradient = (problem.weights[-1] - given["weight", top]) / problem.learning_rate
    if samples == 1 or delta is None or gradient is None:
        return given, ()
    total, biases, near = delta.sum(axis=-2), gradient[..., -1, :], TOGETHER * np.abs(delta).sum(axis=-2)
    is_mean = (np.abs(total / samples - biases) <= near / samples).all()
    is_sum = (np.abs(total - biases) <= near).all()
    if not is_mean or is_sum:
        return given, ()
    scaled = {key: value / samples if key[0] == "delta" else value for key, value in given.items()}
    return scaled, ("its deltas are without the 1/N, which its gradients have",)


def _takes_learning_rate(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.name == "learning_rate" or p.kind is p.VAR_KEYWORD for p in parameters)


def _fields(answer: Any) -> dict[str, Any]:
    """The parts of the answer by name; a bare list or tuple holds the gradients, after a cost perhaps."""
    if answer is None or isinstance(answer, (str, bytes)):
        return {}
    if isinstance(answer, Mapping):
        found = {name: answer[name] for name in NAMES if answer.get(name) is not None}
        return found or ({"gradients": answer} if list(_numbered(answer)) else {})
    found = {name: getattr(answer, name) for name in NAMES if getattr(answer, name, None) is not None}
    if found:
        return found
    if isinstance(answer, tuple) and len(answer) == 2 and _is_number(answer[0]):
        return {"cost": answer[0], **_fields(answer[1])}
    return {"gradients": answer} if hasattr(answer, "__len__") and len(answer) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or getattr(value, "ndim", None) == 0


def _nestings(name: str, value: Any, top: int) -> Iterator[list[Any]]:
    """The ways to read (W, b) pairs: a pair per layer, W b W b .., all W and all b or the reverse, dW1 db1 by name."""
    if isinstance(value, Mapping):
        yield list(_numbered(value))
    entries = _entries(name, value)
    pairs = [_pair(entry) for entry in entries]
    if all(pairs):
        yield pairs
    if len(entries) == 2 * top:
        yield [(entries[2 * i], entries[2 * i + 1]) for i in range(top)]
    if len(entries) == 2 and all(hasattr(entry, "__len__") for entry in entries):
        first, second = entries
        yield list(zip(first, second, strict=False))
        yield list(zip(second, first, strict=False))


def _pair(entry: Any) -> tuple[Any, Any] | None:
    if isinstance(entry, Mapping):
        entry = list(entry.values())
    if hasattr(entry, "weight") and hasattr(entry, "bias"):
        return entry.weight, entry.bias
    return (entry[0], entry[1]) if hasattr(entry, "__len__") and len(entry) == 2 else None


def _numbered(value: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """The pairs of a mapping like {"dW1": .., "db1": .., "dW2": ..}, in the order of their numbers."""
    named = {str(name).lower().lstrip("d"): entry for name, entry in value.items()}
    numbers = sorted(int(name[1:]) for name in named if re.fullmatch(r"w\d+", name))
    return ((named[f"w{i}"], named.get(f"b{i}")) for i in numbers)


def _sizes(pair: tuple[Any, Any]) -> tuple[int, int]:
    try:
        return np.size(_plain(pair[0])), np.size(_plain(pair[1]))
    except ValueError:
        return 0, 0


def _entries(name: str, value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if not hasattr(value, "__len__") or _is_number(value):
        raise ImplementationError(f"{name} is {_kind(value)}: expected one array per layer")
    return list(value)


def _one_per_layer(name: str, entries: list[Any], top: int) -> list[Any]:
    if len(entries) != top:
        raise ImplementationError(f"{name} has {len(entries)} entries: expected {top}, one per layer")
    return entries


def _array(name: str, value: Any) -> FloatArray:
    """An array of float32 or float64 from whatever holds numbers, lists of lists and tensors too."""
    try:
        array = np.asarray(_plain(value))
    except ValueError:
        raise ImplementationError(f"{name} is ragged: expected an array of numbers") from None
    if array.dtype.kind not in "fiub":
        raise ImplementationError(f"{name} is {_kind(value)} of dtype {array.dtype}: expected real numbers")
    return np.array(array, dtype=np.float32 if array.dtype == np.float32 else np.float64)


def _plain(value: Any) -> Any:
    """A tensor as an array; everything else as it is."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def _copied(array: FloatArray) -> FloatArray:
    return np.array(array, order="C")


def _identical(mine: Any, theirs: Any) -> bool:
    """Whether nested lists of arrays are still what they were."""
    if isinstance(mine, np.ndarray):
        return isinstance(theirs, np.ndarray) and np.array_equal(mine, theirs)
    return len(mine) == len(theirs) and all(map(_identical, mine, theirs))


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _shapes(arguments: Sequence[Any]) -> str:
    weights, inputs, targets = arguments
    shapes = [tuple(part.shape for part in w) if isinstance(w, tuple) else w.shape for w in weights]
    return f"weights {shapes}, inputs {inputs.shape}, targets {targets.shape}"


def _told(raised: BaseException) -> str:
    """What was raised, and the line of the user's code where."""
    reason = str(raised).splitlines()[0] if str(raised) else ""
    frames = [
        f for f in traceback.extract_tb(raised.__traceback__) if not f.filename.startswith(str(Path(__file__).parent))
    ]
    own = [f for f in frames if "site-packages" not in f.filename] or frames
    where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(raised).__name__}{': ' + reason if reason else ''}{where}"
