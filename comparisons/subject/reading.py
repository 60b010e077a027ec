"""What somebody's function returned, in whichever of the usual forms, read into the layout of the note."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from comparisons.reference.quantities import Key, Problem, Quantities, quantity_name
from comparisons.subject.forms import UNROLLED, Form
from handnet.activations import FloatArray

# The parts of an answer, and what else people call them.
PARTS = {
    "activations": ("activations", "activation"),
    "cost": ("cost", "loss"),
    "deltas": ("deltas", "delta"),
    "gradients": ("gradients", "gradient", "grads", "grad"),
    "updated": ("updated",),
}
CALLED = {alias: name for name, aliases in PARTS.items() for alias in aliases}
EXPECTED = f"gradients, or any of {', '.join(PARTS)}"
# dW1, grad_b2, nabla_w, dZ3: of what it is the derivative, and of which layer.
DERIVATIVE = r"(?:d|g|grads?_?|gradients?_?|nabla_?|delta_?)"
OF_WEIGHTS = re.compile(rf"{DERIVATIVE}?(?:(w|weights?|theta)|(b|bias(?:es)?))_?(\d*)")
OF_SAMPLES = re.compile(rf"({DERIVATIVE}?z|deltas?|{DERIVATIVE}a|a|activations?|z)_?(\d+)")


BESIDE = {"deltas": re.compile(rf"{DERIVATIVE}z|deltas?"), "activations": re.compile(r"a|activations?")}


class ImplementationError(Exception):
    """The function under check raised, or its answer cannot be read: one line saying what and where."""


class RaisedError(ImplementationError):
    """It raised, and so has no answer at all."""


# In: which part is which.


def parts(answer: Any) -> dict[str, Any]:
    """Return the parts of an answer by name; a bare sequence holds the gradients, with a cost before or after perhaps.

    Raises
    ------
    ImplementationError
        If there is anything in it that is not understood.
    """
    if answer is None:
        return {}
    if isinstance(answer, Mapping):
        return _parts_of_mapping(answer)
    if not _is_array(answer) and any(hasattr(answer, name) for name in CALLED):
        named = ((CALLED[name], getattr(answer, name)) for name in CALLED if hasattr(answer, name))
        return {name: value for name, value in named if value is not None}
    if isinstance(answer, (str, bytes)) or not isinstance(answer, Iterable) or _is_number(answer):
        raise ImplementationError(f"it returned {kind(answer)}: expected {EXPECTED}")
    if is_vector(answer):
        return {"gradients": answer}
    entries = list(answer)
    at = _cost_among(entries)
    if at is None:
        return {"gradients": entries} if entries else {}
    rest = entries[:at] + entries[at + 1 :]
    whole = parts(rest[0] if len(rest) == 1 else rest)
    if not whole:
        raise ImplementationError(f"it returned a cost and {kind(rest[0])}: expected {EXPECTED}")
    return {"cost": entries[at], **whole}


def is_bare_answer(answer: Any) -> bool:
    """Whether the gradients in an answer have no name that says so: W1 may be what W1 has become."""
    if isinstance(answer, Mapping):
        return all(re.fullmatch(r"(w|weights?|theta|b|bias(es)?)_?\d*", str(name).lower()) for name in answer)
    return not any(hasattr(answer, name) for name in CALLED)


def is_vector(value: Any) -> bool:
    """Whether it is one array of one axis: all gradients in one."""
    return _is_array(value) and len(value.shape) == 1 and value.shape[0] > 1


def lies_at(value: Any, problem: Problem, form: Form) -> bool:
    """Whether what has no name lies near the weights: in every layer it has about as much of them as they themselves.

    A gradient has next to nothing of them.
    """
    reading = Reading(problem, form, 1)
    try:
        reading.read({"updated": value})
    except ImplementationError:
        return False
    if reading.misfits:
        return False
    shares = [
        float((reading.actual["weight", l] * w).sum() / (w * w).sum()) for l, w in enumerate(problem.weights, start=1)
    ]
    return all(abs(share - 1) < 0.5 for share in shares)


def _parts_of_mapping(answer: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    rest: dict[Any, Any] = {}
    beside: dict[str, dict[int, Any]] = {}
    for key, value in answer.items():
        match = OF_SAMPLES.fullmatch(str(key).lower())
        if value is None:
            continue
        if key in CALLED:
            found[CALLED[key]] = value
        elif match is None:
            rest[key] = value
        else:
            beside.setdefault(match[1], {})[int(match[2])] = value
    for letter, layers in beside.items():
        # dC/da and z, which are not compared, are left aside.
        part = next((name for name, pattern in BESIDE.items() if pattern.fullmatch(letter)), None)
        if part:
            found.setdefault(part, [layers[number] for number in sorted(layers)])
    if rest:
        if "gradients" in found or not _is_layered(rest):
            names = ", ".join(map(str, rest))
            raise ImplementationError(f"it returned {names}, which is not understood: expected {EXPECTED}")
        found["gradients"] = rest
    return found


def _cost_among(entries: Sequence[Any]) -> int | None:
    """Where the cost is among two or three entries, the others of which are no numbers."""
    if len(entries) not in (2, 3):
        return None
    numbers = [i for i, entry in enumerate(entries) if _is_number(entry)]
    others = entries[1:]
    if not numbers and all(not _is_array(entry) or is_vector(entry) for entry in others) and _size(entries[0]) == 1:
        numbers = [0] if _is_array(entries[0]) else []
    return numbers[0] if len(numbers) == 1 else None


def _is_layered(value: Mapping[Any, Any]) -> bool:
    return bool(_by_number(value) or _by_kind(value)) or all(_pair(entry) for entry in value.values())


# In: (W, b) pairs, in whichever way these are nested.


def pairs_of(value: Any, shapes: Sequence[tuple[int, int]]) -> list[tuple[Any, Any]] | None:
    """Return one (W, b) pair per layer, read in the way that fits the shapes (n, m) best; None where none has as many.

    A pair per layer; W b W b ..; all W and all b, or the reverse; {"dW1": .., "db1": ..} or {"W": [..], "b": [..]}.
    The layers are left in the order in which they came, be it the reverse one.
    """
    found = [pairs for pairs in _nestings(value, len(shapes)) if len(pairs) == len(shapes)]
    fits = [
        max(
            sum(_fit(pair, shape) for pair, shape in zip(pairs, order, strict=True)) for order in (shapes, shapes[::-1])
        )
        for pairs in found
    ]
    return found[fits.index(max(fits))] if found else None


def _nestings(value: Any, top: int) -> Iterator[list[tuple[Any, Any]]]:
    if isinstance(value, Mapping):
        yield _by_number(value) or _by_kind(value) or _all_pairs(value.values())
        return
    entries = list(value)
    yield _all_pairs(entries)
    if len(entries) == 2 * top:
        yield [(entries[2 * i], entries[2 * i + 1]) for i in range(top)]
    if len(entries) == 2 and all(hasattr(entry, "__len__") for entry in entries):
        yield list(zip(*entries, strict=False))
        yield list(zip(*entries[::-1], strict=False))


def _by_number(value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    """The pairs of {"dW1": .., "db1": .., "W2": .., "b_2": ..}, in the order of their numbers."""
    named: dict[tuple[str, int], Any] = {}
    for name, entry in value.items():
        match = OF_WEIGHTS.fullmatch(str(name).lower())
        if match is None or not match[3]:
            return []
        named["w" if match[1] else "b", int(match[3])] = entry
    numbers = sorted({number for _, number in named})
    return [(named[key], named.get(("b", key[1]))) for number in numbers if (key := ("w", number)) in named]


def _by_kind(value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    """The pairs of {"W": [..], "b": [..]}, {"dW": [..], "db": [..]} or {"nabla_w": [..], "nabla_b": [..]}."""
    pair = _pair(value)
    if pair is None or any(_is_number(side) or not hasattr(side, "__len__") for side in pair):
        return []
    return list(zip(*pair, strict=False))


def _all_pairs(entries: Iterable[Any]) -> list[tuple[Any, Any]]:
    found = [_pair(entry) for entry in entries]
    return [pair for pair in found if pair is not None] if all(found) else []


def _pair(entry: Any) -> tuple[Any, Any] | None:
    """(W, b) of a pair, by name where it has names."""
    if isinstance(entry, Mapping):
        kinds = {name: OF_WEIGHTS.fullmatch(str(name).lower()) for name in entry}
        named = {"w" if match[1] else "b": entry[name] for name, match in kinds.items() if match and not match[3]}
        return (named["w"], named["b"]) if len(entry) == len(named) == 2 else None
    if hasattr(entry, "weight") and hasattr(entry, "bias"):
        return entry.weight, entry.bias
    return (entry[0], entry[1]) if isinstance(entry, (list, tuple)) and len(entry) == 2 else None


def _fit(pair: tuple[Any, Any], shape: tuple[int, int]) -> int:
    return int(_shape(pair[0]) in (shape, shape[::-1])) + int(_size(pair[1]) == shape[0])


# In: the arrays.

BIASES = "the biases of "


class Reading:
    """Their arrays in our layout, one quantity after the other.

    Parameters
    ----------
    problem : what was asked
    form : of the answer
    share : by which the cost and its derivatives are too large, where they are those of a sum
    deepest_first : quantities whose lists are known to come deepest layer first

    Attributes
    ----------
    actual : arrays keyed by quantity and layer
        NaN where the answer has another shape; turned where only its transpose has the right one.
    misfits, turned : what to say of these, by key
    backwards : what to say of lists that come deepest first, by quantity
    remarks : what else is worth knowing of how it was read
    sources : the arrays as they came, by quantity, layer and part: "weights", "biases" or ""
    """

    def __init__(self, problem: Problem, form: Form, share: int, deepest_first: Collection[str] = ()) -> None:
        self.problem, self.form, self.layout, self.share = problem, form, form.layout, share
        self.remarks: list[str] = []
        self.deepest_first = deepest_first
        self.top, self.samples = len(problem.weights), problem.inputs.shape[-2]
        self.actual: Quantities = {}
        self.misfits: dict[Key, str] = {}
        self.turned: dict[Key, str] = {}
        self.backwards: dict[str, str] = {}
        self.sources: dict[tuple[str, int | None, str], Any] = {}

    def read(self, found: Mapping[str, Any]) -> None:
        """Read each of the parts that are there.

        Raises
        ------
        ImplementationError
            If one of them cannot be read.
        """
        readers: dict[str, Callable[[Any], None]] = {
            "activations": self._activations,
            "cost": self._cost,
            "deltas": lambda value: self._of_samples("delta", value, self.share),
            "gradients": lambda value: self._of_weights("gradient", value, self.share),
            "updated": lambda value: self._of_weights("weight", value, 1),
        }
        for name, reader in readers.items():
            if name in found:
                reader(found[name])

    def _activations(self, value: Any) -> None:
        entries = _entries("activations", value)
        # The first may be the inputs.
        self._of_samples("activation", entries[1:] if len(entries) == self.top + 1 else entries, 1)

    def _cost(self, value: Any) -> None:
        cost, expected = array_of("the cost", value), self.problem.shape(("cost", None))
        self._take(("cost", None), cost.reshape(expected) if cost.size == 1 else cost, expected, self.share)

    def _of_samples(self, quantity: str, value: Any, share: int) -> None:
        name = {"activation": "activations", "delta": "deltas"}[quantity]
        entries = self._one_per_layer(name, _entries(name, value))
        columns = self._in_columns(quantity, name, entries)
        expected = [self.problem.shape((quantity, l))[:: -1 if columns else 1] for l in range(1, self.top + 1)]
        for l, entry in enumerate(self._upward(quantity, name, entries, _shape, expected), start=1):
            key = (quantity, l)
            self.sources[quantity, l, ""] = entry
            array = array_of(quantity_name(key), entry)
            rows_first = self.problem.shape(key)
            if array.ndim == 1 and array.shape == rows_first[:1] and rows_first[1] == 1:
                array = array[:, np.newaxis].T if columns else array[:, np.newaxis]  # one output
            elif array.ndim == 1:
                array = array[:, np.newaxis] if columns else array[np.newaxis]
            if self._take(key, array, rows_first[::-1] if columns else rows_first, share) and columns:
                self.actual[key] = self.actual[key].T

    def _in_columns(self, quantity: str, name: str, entries: list[Any]) -> bool:
        """Whether each sample is a column: as it is handed out, unless all fit the other way round alone."""
        columns = self.layout.in_columns
        expected = [self.problem.shape((quantity, l))[:: -1 if columns else 1] for l in range(1, self.top + 1)]
        shapes = [_shape(entry) for entry in entries]
        turned = [shape[::-1] for shape in expected]
        if shapes == expected or shapes not in (turned, turned[::-1]):
            return columns
        self.remarks.append(f"its {name} have the samples in {'rows' if columns else 'columns'}: read that way")
        return not columns

    def _of_weights(self, quantity: str, value: Any, share: int) -> None:
        self._of_layers(quantity, value, share)
        for l in range(1, self.top + 1):
            self.actual[quantity, l] = self.layout.negated(self.actual[quantity, l])

    def _is_one_layer(self, value: Any) -> bool:
        """Whether what holds one layer is that layer itself: a matrix, or a pair."""
        shape = self.problem.shape(("gradient", 1))
        if self.layout.is_paired:
            weight = self.layout.weight_shape(shape)
            return isinstance(value, (list, tuple)) and len(value) == 2 and _shape(value[0]) in (weight, weight[::-1])
        return _shape(value) in (shape, shape[::-1])

    def _of_layers(self, quantity: str, value: Any, share: int) -> None:
        name = {"gradient": "gradients", "weight": "updated"}[quantity]
        shapes = [self.problem.shape((quantity, l)) for l in range(1, self.top + 1)]
        if is_vector(value) and value.shape[0] == sum(map(math.prod, shapes)):
            value = self.form.rolled_up(array_of(name, value), shapes)
            self.remarks.append(f"its {name} come in one vector, read as {UNROLLED[self.form.unrolled]}")
        if self.top == 1 and self._is_one_layer(value):
            value = [value]
        if not self.layout.is_paired:
            expected = [self.layout.matrix_shape(shape) for shape in shapes]
            entries = self._upward(quantity, name, self._layers(name, value), _shape, expected)
            for l, entry in enumerate(entries, start=1):
                key = (quantity, l)
                self.sources[quantity, l, "weights"] = entry
                if self._take(key, array_of(quantity_name(key), entry), expected[l - 1], share):
                    self.actual[key] = self.layout.matrix_in(self.actual[key])
            return
        expected = [self.layout.weight_shape(shape) for shape in shapes]
        pairs = self._upward(quantity, name, self._layers(name, value), lambda pair: _shape(pair[0]), expected)
        for l, pair in enumerate(pairs, start=1):
            self.sources[quantity, l, "weights"], self.sources[quantity, l, "biases"] = pair
            weight, bias = (array_of(quantity_name((quantity, l)), part) for part in pair)
            self._take_pair((quantity, l), weight, bias, share)

    def _take_pair(self, key: Key, weight: FloatArray, bias: FloatArray, share: int) -> None:
        """Take both; where one of them has another shape, the other counts all the same."""
        rows, columns = self.problem.shape(key)
        fits = self._take(key, weight, self.layout.weight_shape((rows, columns)), share)
        above = self.layout.weight_in(self.actual[key]) if fits else np.full((rows - 1, columns), np.nan)
        below = np.full((1, columns), np.nan)
        if bias.size == columns:
            below = bias.reshape(1, columns) / share
        else:
            expected = self.layout.bias_shape(columns)
            said = f"{BIASES}{quantity_name(key)} have shape {bias.shape}: expected {expected}"
            if bias.shape in ((self.samples, columns), (columns, self.samples)):
                said = f"the biases' gradients are not summed over the samples: those of {said.removeprefix(BIASES)}"
                said += " [biases_not_summed]"
            self.misfits.setdefault(key, said)
        self.actual[key] = np.vstack([above, below])

    def _upward(
        self,
        quantity: str,
        name: str,
        entries: list[Any],
        shape: Callable[[Any], tuple[int, ...] | None],
        expected: Sequence[tuple[int, ...]],
    ) -> list[Any]:
        """The entries from layer 1 up, where as they come all fit the other way round alone."""
        shapes = [shape(entry) for entry in entries]
        if quantity not in self.deepest_first and not shapes != [*expected] == shapes[::-1]:
            return entries
        self.backwards[quantity] = f"its {name} come deepest layer first: read that way"
        return entries[::-1]

    def _take(self, key: Key, array: FloatArray, expected: tuple[int, ...], share: int) -> bool:
        """Take the array if it has the shape expected, or is the weights of that shape transposed."""
        if key[0] in ("gradient", "weight") and array.ndim == 1 and 1 in expected and array.size == math.prod(expected):
            array = array.reshape(expected)  # of one output, or of one input
        text = f"{quantity_name(key)} has shape {array.shape}: expected {expected}"
        if array.shape != expected:
            if key[0] not in ("gradient", "weight") or array.shape != expected[::-1]:
                self._misfit(key, text)
                return False
            array = array.T
            self.turned[key] = f"{text}, its transpose"
        self.actual[key] = array / share if share > 1 else array
        return True

    def _misfit(self, key: Key, text: str) -> None:
        self.misfits[key] = text
        self.actual[key] = np.full(self.problem.shape(key), np.nan)

    def _layers(self, name: str, value: Any) -> list[Any]:
        """One entry per layer: an array, or a (W, b) pair."""
        if not self.layout.is_paired:
            numbered = _by_number(value) if isinstance(value, Mapping) else []
            return self._one_per_layer(name, [w for w, _ in numbered] or _entries(name, value))
        if _is_number(value) or not isinstance(value, Iterable):
            raise ImplementationError(f"{name} is {kind(value)}: expected pairs (W, b)")
        value = value if isinstance(value, (Mapping, list, tuple)) else list(value)
        found = pairs_of(value, [(w.shape[1], w.shape[0] - 1) for w in self.problem.weights])
        if found is None:
            got = ", ".join(str(_shape(entry)) for entry in value) if isinstance(value, (list, tuple)) else kind(value)
            raise ImplementationError(f"{name} cannot be read as {self.top} pairs (W, b), one per layer: got {got}")
        return found

    def _one_per_layer(self, name: str, entries: list[Any]) -> list[Any]:
        if len(entries) != self.top:
            raise ImplementationError(f"{name} has {len(entries)} entries: expected {self.top}, one per layer")
        return entries


def _entries(name: str, value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        value = value.values()
    if _is_number(value) or isinstance(value, str) or not isinstance(value, Iterable):
        raise ImplementationError(f"{name} is {kind(value)}: expected one array per layer")
    return list(value)


def array_of(name: str, value: Any) -> FloatArray:
    """Return an array of float32 or float64 from whatever holds numbers, lists of lists and tensors too.

    Raises
    ------
    ImplementationError
        If it holds anything but real numbers, is ragged, or hides some behind a mask.
    """
    value = plain(value)
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise ImplementationError(f"{name} is masked: expected all its numbers")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ImplementationError(f"{name} is ragged: expected an array of numbers") from None
    if array.dtype.kind not in "fiub":
        raise ImplementationError(f"{name} is {kind(value)} with dtype {array.dtype}: expected real numbers")
    return np.array(array, dtype=np.float32 if array.dtype == np.float32 else np.float64)


def plain(value: Any) -> Any:
    """Return tensors as arrays, in nested lists too; everything else as it is."""
    if hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, Mapping) and "weights" in value:
        return plain(value["weights"])  # a node's own
    return value


def kind(value: Any) -> str:
    """Return what to call a value that is of no use."""
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or getattr(value, "ndim", None) == 0


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of what holds numbers; None if it is ragged, as a list of layers is."""
    try:
        return tuple(np.shape(value if _is_array(value) else plain(value)))
    except ValueError:
        return None


def _size(value: Any) -> int:
    shape = _shape(value)
    return -1 if shape is None else math.prod(shape)
