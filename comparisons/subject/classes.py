"""A class that holds its own weights, as a function: made, given these weights, run, and read.

Nothing here judges: what its attributes hold after the run is compared as any answer is. Where a part of it is not
found, the message shows a wrapper, in the class's own names.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from comparisons.subject.arguments import role_of
from comparisons.subject.layouts import Layout
from comparisons.subject.reading import ImplementationError
from comparisons.subject.scalars import Scalars, scalars_of
from handnet.activations import FloatArray

# What people call them, in lower case and without underscores; the first that is there is taken.
FORWARD = ("forward", "feedforward", "forwardpass", "forwardpropagation", "forwardprop", "think", "predict")
BACKWARD = (
    *("backprop", "backward", "backpropagate", "backpropagation", "backwardpass", "backwardpropagation"),
    "computegradients",
)
STEP = ("update", "updateparameters", "updateweights", "updateparams", "step", "applygradients")
# Of one sample.
ONE = ("trainone", "trainsample", "trainonsample", "trainsingle", "learnone", "learnsample", "fitone", "fitsample")
TRAIN = ("trainstep", "trainonbatch", "train", "fit", "learn", "partialfit", "updateminibatch")
SIZES = (
    "sizes",
    "size",
    "layersizes",
    "layers",
    "layerdims",
    "dims",
    "architecture",
    "structure",
    "topology",
    "units",
    "shape",
)
# One layer's own, W1 or bias_2; and all in one, weights or biases.
OF_LAYER = re.compile(r"_*(w|weights?|theta|b|bias(?:es)?)_?(\d+)")
OF_ALL = re.compile(r"_*(w|ws|weights|thetas?|b|bs|bias(?:es)?)")
NAMED = re.compile(r"_*(w|weights?|theta|b|bias(?:es)?)_(?!\d+$)\w+|w[a-z]{1,2}|b[a-z]{1,2}")
OF_GRADIENT = re.compile(r"(d|grad_?|nabla_?)(w|weights?|b|bias(es)?)_?\d+")
OF_GRADIENTS = re.compile(r"(d|grad_?|nabla_?)(w|weights|b|biases)")
OWN_RATE = ("learning_rate", "lr", "alpha", "eta", "learningRate", "l_rate", "rate")
# Of what widths an instance is made to see where it keeps its weights, and in which shapes.
SIZES_TRIED = (3, 5, 2)


@dataclass(frozen=True)
class Place:
    """Where an instance keeps an array: an attribute, or an entry of one."""

    name: str
    entry: Any = None

    def read(self, instance: Any) -> Any:
        """Return what is there."""
        whole = getattr(instance, self.name)
        return whole if self.entry is None else whole[self.entry]

    def write(self, instance: Any, value: Any) -> None:
        """Put a value there."""
        if self.entry is None:
            setattr(instance, self.name, value)
        else:
            getattr(instance, self.name)[self.entry] = value

    def __str__(self) -> str:
        return self.name if self.entry is None else f"{self.name}[{self.entry!r}]"


class Adapter:
    """A class as a function of weights, inputs and targets, in its own layout.

    Parameters
    ----------
    kind : the class

    Raises
    ------
    ImplementationError
        If there is nothing in it that holds weights or trains; it shows a wrapper.

    Attributes
    ----------
    scalars : where it keeps them one by one; None where it keeps arrays
    weights, biases : where it keeps them, layer by layer; no biases where it has none
    methods : by which it goes forward and backward, steps and trains
    ran : which of these have been called, by their part: where it gives gradients, none that steps
    takes_rate : whether it can be told the learning rate
    is_turned : whether its weights are (n, m)
    sizes : m_0 .. m_L where it has them by itself; None where it takes any
    depth : how many layers it has where its constructor takes the width of each; None where it takes any number
    layout : how it keeps them
    """

    def __init__(self, kind: type) -> None:
        self.kind, self.__name__ = kind, kind.__name__
        self.constructor, self.methods = _Constructor(kind), _methods(kind)
        self.ran: set[str] = set()
        self.scalars = scalars_of(kind)
        if not any(self.methods.values()):
            raise ImplementationError(wrapper_of(kind, "it has no method named like backprop, update or train"))
        rng = np.random.default_rng(0)
        instance = self.constructor.make(
            SIZES_TRIED, *(rng.random((7, width)) for width in (SIZES_TRIED[0], SIZES_TRIED[-1]))
        )
        if self.scalars and not all(place.fits(instance) for places in self.scalars for place in places):
            self.scalars = None
        self.weights, self.biases = self._places(instance)
        if not self.weights:
            raise ImplementationError(wrapper_of(kind, "no weights were found in it"))
        shapes = [np.shape(place.read(instance)) for place in self.weights]
        if self.biases and len(self.biases) != len(self.weights):
            # What is left out would go unjudged.
            why = f"it has {len(self.weights)} weights and {len(self.biases)} biases"
            raise ImplementationError(wrapper_of(kind, why))
        upright, turned = _chain(shapes), _chain([shape[::-1] for shape in shapes])
        both = [sizes for sizes in (upright, turned) if sizes is not None]
        if not both:
            raise ImplementationError(wrapper_of(kind, f"its weights have shapes {shapes}, which make no network"))
        # Of a network that fits both ways the inputs tell, or else most people multiply by W from the right.
        found = next((sizes for sizes in both if sizes[0] == SIZES_TRIED[0]), both[0])
        self.is_turned = found is not upright
        self.sizes = None if found == SIZES_TRIED else found
        self.depth = len(found) - 1 if len(self.constructor.widths) > 1 else None
        in_columns = bool(self.biases) and np.shape(self.biases[0].read(instance)) == (found[1], 1)
        name = "rows" if not self.is_turned else "columns" if in_columns else "linear"
        self.layout = Layout(name, bool(self.biases))
        attributes = any(isinstance(getattr(instance, name, None), float) for name in OWN_RATE)
        self.takes_rate = attributes or any(
            role_of(name) == "rate"
            for method in self.methods.values()
            if method
            for name in _parameters(instance, method)
        )

    def __str__(self) -> str:
        """What was found of it, in one line."""
        kept = ", ".join(map(str, (*self.weights, *self.biases)))
        run = ", ".join(name for part, name in self.methods.items() if name and part not in self._unasked)
        rest = ", ".join(self.methods[part] for part in self._unasked)
        without = "" if self.biases else "; it has no biases"
        unasked = f"; {rest} was never called" if rest else ""
        return f"{self.__name__} keeps its weights in {kept}{without}, and is run by {run}{unasked}"

    @property
    def _unasked(self) -> list[str]:
        """The parts that step or train and have not been called: what they would do was never judged."""
        return [part for part in ("step", "one", "train") if self.methods[part] and part not in self.ran]

    # As a function.

    def __call__(self, weights: Any, inputs: Any, targets: Any, learning_rate: float) -> Any:
        """Return what it computes: its weights after the step, or gradients."""
        instance = self.constructor.make(self._sizes_of(weights), inputs, targets)
        self._put(instance, weights)
        for name in OWN_RATE:
            if isinstance(getattr(instance, name, None), float):
                setattr(instance, name, learning_rate)
        before = copy.deepcopy(self._layers(instance))
        told = {"inputs": inputs, "targets": targets, "rate": learning_rate, "momentum": 0.0, "epochs": 1}
        if self.methods["backward"]:
            if self.methods["forward"]:
                told["output"] = self._call(instance, "forward", told)
            answer = self._call(instance, "backward", told)
            gradients = self._gradients(instance) if answer is None or _is_one_matrix(answer) else answer
            if not self._steps(instance, before) and gradients is not None:
                return gradients
            told["gradients"] = answer
        for name in ("step", "one", "train"):
            if self.methods[name] and not self._steps(instance, before):
                for part in _each_sample(told, self.layout.in_columns) if name == "one" else [told]:
                    self._call(instance, name, part)
        if not self._steps(instance, before):
            why = "it left its weights as they were, and no gradients were found"
            raise ImplementationError(wrapper_of(self.kind, why))
        return {"updated": self._layers(instance)}

    def _call(self, instance: Any, name: str, told: Mapping[str, Any]) -> Any:
        method = getattr(instance, self.methods[name])
        self.ran.add(name)
        required, optional = [], {}
        for parameter in inspect.signature(method).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            role = _role(parameter.name, in_training=name in ("one", "train"))
            if parameter.default is parameter.empty:
                required.append((parameter.name, role))
            elif role in ("rate", "epochs"):
                optional[parameter.name] = told[role]
        # What has no name that tells is the inputs, then the targets, where these are missing.
        missing = [role for role in ("inputs", "targets") if role not in [role for _, role in required]]
        arguments = []
        for parameter_name, role in required:
            part = role if role in told else missing.pop(0) if missing else None
            if part is None:
                why = f"{self.methods[name]} takes {parameter_name}, which is not understood"
                raise ImplementationError(wrapper_of(self.kind, why))
            arguments.append(told[part])
        return method(*arguments, **optional)

    # Its parameters.

    def _places(self, instance: Any) -> tuple[Sequence[Place | Scalars], Sequence[Place | Scalars]]:
        return self.scalars or _places(instance)

    def _sizes_of(self, weights: Any) -> tuple[int, ...]:
        matrices = [layer[0] if self.biases else layer for layer in weights]
        shapes = [np.shape(w)[::-1] if self.is_turned else np.shape(w) for w in matrices]
        return (shapes[0][0], *(shape[1] for shape in shapes))

    def _put(self, instance: Any, weights: Any) -> None:
        places = self._places(instance)
        if len(places[0]) != len(weights):
            text = f"it has {len(places[0])} layers where {len(weights)} were wanted"
            raise ImplementationError(wrapper_of(self.kind, text))
        parts = zip(*weights, strict=True) if self.biases else [weights]
        for kind, values in zip(places, parts, strict=False):
            for place, value in zip(kind, values, strict=True):
                place.write(instance, np.reshape(value, np.shape(place.read(instance))).copy())

    def _layers(self, instance: Any) -> list[Any]:
        """Its parameters, layer by layer."""
        weights, biases = ([place.read(instance) for place in places] for places in self._places(instance))
        return [list(pair) for pair in zip(weights, biases, strict=True)] if self.biases else weights

    def _steps(self, instance: Any, before: Sequence[Any]) -> bool:
        """Whether its parameters are no longer what they were."""
        return not all(
            np.array_equal(old, new, equal_nan=True)
            for pair in zip(before, self._layers(instance), strict=True)
            for old, new in (zip(*pair, strict=True) if self.biases else [pair])
        )

    def _gradients(self, instance: Any) -> Any:
        """What it keeps as gradients: dW1, db1 .., or lists of all; None where there is nothing."""
        kept = {name.lstrip("_"): value for name, value in vars(instance).items()}
        for pattern in (OF_GRADIENT, OF_GRADIENTS):
            if found := {name: value for name, value in kept.items() if pattern.fullmatch(name.lower())}:
                return found
        return next((value for name, value in kept.items() if name.lower() in ("grads", "gradients") and value), None)


def wrapper_of(kind: type, why: str) -> str:
    """Return what is missing, and a function in the class's own names that would make up for it."""
    methods = {_plain(name): name for name, one in vars(kind).items() if inspect.isfunction(one)}
    run = [next((methods[name] for name in names if name in methods), None) for names in METHODS.values()]
    try:
        kept = list(dict.fromkeys(re.findall(r"self\.(\w+)", inspect.getsource(kind))))
    except (OSError, TypeError):
        kept = []
    patterns = (OF_LAYER, OF_ALL, NAMED)
    weights = [name for name in kept if any(pattern.fullmatch(name.lower()) for pattern in patterns)] or ["weights"]
    lines = [
        "def backprop(weights, inputs, targets, learning_rate):",
        f"    net = {_Constructor(kind).shown()}  # of the sizes that weights has",
        f"    {', '.join(f'net.{name}' for name in weights[:4])} = ..  # copied from weights",
        *(f"    net.{name}(..)" for name in run if name),
        f"    return {{'updated': [{', '.join(f'net.{name}' for name in weights[:4])}]}}  # or its gradients",
    ]
    return "\n".join(
        [f"{kind.__name__} cannot be called as it is: {why}. Check a function around it, like this:", *lines]
    )


def _each_sample(told: Mapping[str, Any], in_columns: bool) -> Iterator[dict[str, Any]]:
    """What is told of each sample: a column; or a vector, and its target, one number where there is one output."""
    inputs, targets = told["inputs"], told["targets"]
    if in_columns:
        for i in range(inputs.shape[1]):
            yield {**told, "inputs": inputs[:, i : i + 1], "targets": targets[:, i : i + 1]}
        return
    for x, target in zip(inputs, targets, strict=True):
        yield {**told, "inputs": x, "targets": target[0] if len(target) == 1 else target}


def _is_one_matrix(answer: Any) -> bool:
    """Whether an answer is one matrix, as the gradient of the inputs is, and no gradients of weights."""
    return hasattr(answer, "shape") and len(answer.shape) == 2


def _parameters(instance: Any, method: str) -> list[str]:
    return list(inspect.signature(getattr(instance, method)).parameters)


METHODS = {"forward": FORWARD, "backward": BACKWARD, "step": STEP, "one": ONE, "train": TRAIN}


def _methods(kind: type) -> dict[str, str]:
    """The methods that go forward and backward, step and train, by the usual names; empty where there is none."""
    own = {_plain(name): name for name, one in inspect.getmembers(kind, callable) if not name.startswith("__")}
    found = {key: next((own[name] for name in names if name in own), "") for key, names in METHODS.items()}
    return found if found["backward"] or found["one"] or found["train"] else dict.fromkeys(found, "")


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _role(name: str, in_training: bool) -> str | None:
    """The role of an argument of a method: what it is told of the network's output is no target but in training."""
    if _plain(name) in ("grads", "gradients"):
        return "gradients"
    if _plain(name) in ("output", "outputs", "o", "yhat", "ypred", "out", "a2", "predictions"):
        return "targets" if in_training else "output"
    return role_of(name)


class _Constructor:
    """How an instance is made: of sizes, of samples, or of nothing."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        try:
            parameters = list(inspect.signature(kind).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self.required = [p for p in parameters if p.default is p.empty and p.kind in positional]
        self.optional = [p for p in parameters if p.default is not p.empty]
        roles = [role_of(p.name) for p in self.required]
        by_samples = "inputs" in roles and "targets" in roles
        # Widths, or their number: what is no sample and nothing that is told.
        self.widths = [
            p for p, role in zip(self.required, roles, strict=True)
            if role is None or (role in ("inputs", "targets") and not by_samples) or _plain(p.name) in SIZES
        ]  # fmt: skip

    def make(self, sizes: Sequence[int], inputs: FloatArray, targets: FloatArray) -> Any:
        """Return an instance for these sizes and samples."""
        told: dict[str, Any] = {"inputs": inputs, "targets": targets, "rate": 0.5, "epochs": 1, "momentum": 0.0}
        keywords = {p.name: list(sizes) for p in self.optional if _plain(p.name) in SIZES}
        return self.kind(*(self._argument(p, sizes, told) for p in self.required), **keywords)

    def _argument(self, parameter: inspect.Parameter, sizes: Sequence[int], told: Mapping[str, Any]) -> Any:
        role = role_of(parameter.name)
        if parameter not in self.widths and role is not None and role in told:
            return told[role]
        if parameter in self.widths and (len(self.widths) == 1 or _plain(parameter.name) in SIZES):
            return list(sizes)
        if parameter in self.widths and len(self.widths) == len(sizes):
            return sizes[self.widths.index(parameter)]
        why = f"its constructor takes {parameter.name}, which is not understood"
        raise ImplementationError(wrapper_of(self.kind, why))

    def shown(self) -> str:
        """The call as it is written."""
        return f"{self.kind.__name__}({', '.join(p.name for p in self.required)})"


def _places(instance: Any) -> tuple[list[Place], list[Place]]:
    """Where it keeps the weights and the biases, layer by layer."""
    kept = _kept(instance)
    numbered: dict[str, dict[int, Place]] = {"w": {}, "b": {}}
    for place in kept:
        name = str(place.entry if isinstance(place.entry, str) else place.name).lower()
        if (match := OF_LAYER.fullmatch(name)) and not isinstance(place.entry, int):
            numbered["b" if match[1].startswith("b") else "w"][int(match[2])] = place
    if numbered["w"]:
        weights, biases = ([places[l] for l in sorted(places)] for places in numbered.values())
        return weights, biases
    listed: dict[str, list[Place]] = {"w": [], "b": []}
    for place in kept:
        if isinstance(place.entry, int) and (match := OF_ALL.fullmatch(place.name.lower())):
            listed["b" if match[1].startswith("b") else "w"].append(place)
    if listed["w"]:
        return listed["w"], listed["b"]
    named: dict[str, list[Place]] = {"w": [], "b": []}
    for place in kept:
        name = place.name.lower()
        alone = OF_ALL.fullmatch(name) or NAMED.fullmatch(name)
        if place.entry is None and alone:
            named["b" if name.lstrip("_").startswith("b") else "w"].append(place)
    return named["w"], named["b"]


def _kept(instance: Any) -> list[Place]:
    """Every place of an instance that holds an array."""
    places = []
    for name, value in getattr(instance, "__dict__", {}).items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            places.append(Place(name))
        elif isinstance(value, list) and value and all(isinstance(one, np.ndarray) for one in value):
            places += [Place(name, i) for i in range(len(value))]
        elif isinstance(value, dict):
            places += [Place(name, key) for key, one in value.items() if isinstance(one, np.ndarray)]
    return places


def _chain(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The sizes of a network whose weights (m, n) have these shapes; None where they make none."""
    if any(len(shape) != 2 for shape in shapes) or any(a[1] != b[0] for a, b in pairwise(shapes)):
        return None
    return (shapes[0][0], *(shape[1] for shape in shapes))
