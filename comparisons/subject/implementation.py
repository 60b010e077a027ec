"""Somebody else's backpropagation: called in its own layout, with copies, whatever it does."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import operator
import sys
import sysconfig
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import handnet
from comparisons.reference.quantities import Key, Problem, Quantities
from comparisons.subject.arguments import arguments_of
from comparisons.subject.classes import Adapter, wrapper_of
from comparisons.subject.forms import Form
from comparisons.subject.layouts import LAYOUTS, Layout
from comparisons.subject.names import names_of
from comparisons.subject.reading import (
    EXPECTED,
    ImplementationError,
    RaisedError,
    Reading,
    is_bare_answer,
    parts,
)
from comparisons.verdict.trial import Called
from handnet.activations import FloatArray

REDUCTIONS = ("mean", "sum")
# Frames of our own code are no part of what somebody's code raised, nor are those of Python's library and of packages.
HOUSE = Path(__file__).parents[1]
LIBRARIES = (
    HOUSE,
    Path(handnet.__file__).parent,
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")),
)
PACKAGES = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Answer:
    """What the implementation answered, read into the layout of the note.

    Attributes
    ----------
    actual, misfits, turned, backwards : as `Reading` has them
    remarks : what is worth knowing and not wrong
    called : what its author calls the arrays
    """

    actual: Quantities
    misfits: dict[Key, str]
    turned: dict[Key, str]
    backwards: dict[str, str]
    remarks: tuple[str, ...]
    called: Called

    def right_way_up(self) -> Quantities:
        """Return the answer, with NaN too where it had to be turned, or its list read backwards."""
        return {
            key: np.full_like(value, np.nan) if key in self.turned or key[0] in self.backwards else value
            for key, value in self.actual.items()
        }


@dataclass(frozen=True)
class Reply:
    """What a call came to, before its arrays are read.

    Attributes
    ----------
    problem : what was asked
    found : the parts of the answer, by name
    remarks : as `Answer` has them
    is_bare : whether the gradients are what came without a name, and may be something else
    answer : as it came
    """

    problem: Problem
    found: dict[str, Any]
    remarks: tuple[str, ...]
    is_bare: bool
    answer: Any


class Implementation:
    """A function under check, called with copies in its own layout.

    Parameters
    ----------
    function : backprop(weights, inputs, targets), or one that also takes learning_rate; or an object with such a method
    layout : one of LAYOUTS, how it keeps weights and samples
    reduction : "mean" if its cost is the mean over the samples, "sum" if it is the sum
    biases : False hands out plain W
    deepest_first : quantities whose lists are read backwards, even where all widths are equal

    Raises
    ------
    ValueError, TypeError
        If layout or reduction is unknown, or the function cannot be called.
    """

    def __init__(
        self,
        function: Any,
        layout: str = "note",
        reduction: str = "mean",
        biases: bool = True,
        deepest_first: Collection[str] = (),
    ) -> None:
        if not isinstance(function, type):
            function = getattr(function, "backprop", function)
        if not callable(function):
            kind = type(function).__name__
            raise TypeError(f"backprop is of type {kind}: expected a function of weights, inputs, targets")
        if layout not in LAYOUTS:
            raise ValueError(f"layout {layout!r} is unknown: expected one of {', '.join(LAYOUTS)}")
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction {reduction!r} is unknown: expected one of {', '.join(REDUCTIONS)}")
        self.function: Callable[..., Any] = function
        self.arguments = arguments_of(function)
        # Who is given a velocity steps, most likely.
        bare = "updated" if self.arguments.takes_velocity else "gradients"
        self.form, self.reduction, self.deepest_first = (
            Form(Layout(layout, biases), bare=bare),
            reduction,
            deepest_first,
        )

    def read_backwards(self, quantities: Collection[str]) -> Implementation:
        """Return the same, whose lists of these quantities come deepest layer first."""
        other = copy.copy(self)
        other.deepest_first = quantities
        return other

    def in_form(self, form: Form) -> Implementation:
        """Return the same, called in another form."""
        other = copy.copy(self)
        other.form = form
        return other

    @property
    def layout(self) -> str:
        """The name of the layout in which it is called."""
        return self.form.layout.name

    @property
    def name(self) -> str:
        """What the function calls itself."""
        name = str(getattr(self.function, "__name__", type(self.function).__name__))
        return name if name.isidentifier() else "backprop"

    @property
    def described(self) -> tuple[str, ...]:
        """What was found of it before it was called, in a line each."""
        told = "it is called with momentum=0: what it does with a velocity was not tried"
        unread = "the velocity that it returns is not compared"
        roles = (*self.arguments.positional, *self.arguments.keywords.values())
        velocity = [told] if "momentum" in roles else [unread] if self.arguments.takes_velocity else []
        return (*([str(self.function)] if self.is_class else []), *velocity)

    @property
    def is_class(self) -> bool:
        """Whether it is a class, met half way."""
        return isinstance(self.function, Adapter)

    @property
    def takes_rate(self) -> bool:
        """Whether it is told the learning rate."""
        return bool(self.function.takes_rate if isinstance(self.function, Adapter) else self.arguments.takes_rate)

    def ask(self, problem: Problem, learning_rate: float) -> Answer:
        """Call the function with copies of this step's weights and samples, and read its answer.

        Raises
        ------
        ImplementationError
            If it raises, or answers anything that cannot be read.
        """
        return self.read(self.call(problem, learning_rate))

    def call(self, problem: Problem, learning_rate: float, trying: bool = False) -> Reply:
        """Call the function with copies of this step's weights and samples.

        Parameters
        ----------
        trying : nobody will ask what it raised, which takes longer to say than to call it

        Raises
        ------
        ImplementationError
            If it raises (RaisedError), or answers nothing.
        """
        copies, untouched = self._parts(problem), self._parts(problem)
        try:
            # What it prints is for whoever wrote it, and no part of our output.
            with contextlib.redirect_stdout(sys.stderr), np.errstate(all="ignore"):
                answer = self.arguments.call(self.function, {**copies, **self._told(problem, learning_rate)})
        except (KeyboardInterrupt, ImplementationError):
            raise
        except BaseException as raised:  # whatever it raises is the finding
            said = "" if trying else f"it raised {told(raised)}; called with {_told_shapes(untouched)}"
            raise RaisedError(said) from None
        with _readable():
            return self._reply(answer, problem, copies, untouched)

    def _told(self, problem: Problem, learning_rate: float) -> dict[str, Any]:
        """What it may ask for beside weights and samples: a step is one epoch, without a momentum of ours."""
        told = {"rate": learning_rate, "momentum": 0.0, "epochs": 1}
        if self.arguments.takes_velocity:
            told["velocity"] = self.form.parts(velocity(problem), problem.inputs, problem.targets)["weights"]
        return told

    def _reply(self, answer: Any, problem: Problem, copies: Mapping[str, Any], untouched: Mapping[str, Any]) -> Reply:
        if self.arguments.takes_velocity and isinstance(answer, (tuple, list)) and len(answer) == 2:
            answer = answer[0]  # what its steps leave comes beside the weights
        found, remarks, is_bare = parts(answer), [], is_bare_answer(answer)
        if not all(_identical(untouched[role], copies[role]) for role in ("inputs", "targets")):
            remarks.append("it changes the inputs or targets in place")
        weights = {role: copies[role] for role in self.arguments.weights}
        if not all(_identical(untouched[role], part) for role, part in weights.items()):
            remarks.append("it changes the weights in place: they are read as the weights after the step")
            found.setdefault("updated", whole_of(weights))
            if is_bare and _numbers(found.get("gradients")) == _numbers(found["updated"]):
                del found["gradients"]  # it returns what it has changed
        if not found:
            raise ImplementationError(f"it returned nothing: expected {EXPECTED}")
        return Reply(problem, found, tuple(remarks), is_bare and "updated" not in found, answer)

    def read(self, reply: Reply) -> Answer:
        """Read what it answered into the layout of the note.

        Raises
        ------
        ImplementationError
            If any of it cannot be read.
        """
        with _readable():
            problem, found, remarks = reply.problem, dict(reply.found), list(reply.remarks)
            if reply.is_bare and self.form.bare == "updated":
                found["updated"] = found.pop("gradients")
                if not self.arguments.takes_velocity:
                    remarks.append("what it returns is read as the weights after the step: it lies close to them")
            if problem.is_online:
                found = {name: part for name, part in found.items() if name == "updated"}
                if not found:
                    raise ImplementationError(
                        "it returned no updated weights: with online=True nothing else is compared"
                    )
            # The cost and its derivatives are those of the mean, in which the note and the twin have them.
            share = problem.inputs.shape[-2] if self.reduction == "sum" and problem.stated.reduction == "mean" else 1
            reading = Reading(problem, self.form, share, self.deepest_first)
            reading.read(found)
            remarks += reading.remarks
            called = names_of(reply.answer, reading.sources)
            return Answer(reading.actual, reading.misfits, reading.turned, reading.backwards, tuple(remarks), called)

    def takes_stacks(self, problem: Problem) -> bool:
        """Return whether it can be asked for many networks at once: whether a few at once come out as they do alone."""
        if self.layout != "note":
            return False
        few = problem.of_network((slice(0, 3),))
        try:
            together = self.ask(few, few.learning_rate)
            alone = [self.ask(few.of_network((i,)), few.learning_rate).actual for i in range(len(few.weights[0]))]
        except ImplementationError:
            return False
        if (
            together.misfits
            or together.turned
            or together.backwards
            or any(one.keys() != together.actual.keys() for one in alone)
        ):
            return False
        near = 1e3 * float(np.finfo(few.inputs.dtype).eps)
        return all(
            np.allclose(value[i], one[key], rtol=near, atol=near * np.abs(one[key]).max(initial=0.0), equal_nan=True)
            for key, value in together.actual.items()
            for i, one in enumerate(alone)
        )

    def _parts(self, problem: Problem) -> dict[str, Any]:
        """Copies of what it is asked, by the role of the argument."""
        parts = self.form.parts(problem.weights, problem.inputs, problem.targets)
        return self.form.separately(parts) if "biases" in self.arguments.positional else parts


def met_half_way(kind: type) -> Adapter:
    """Return a class as a function.

    Raises
    ------
    ImplementationError
        If it is not understood, or cannot be made.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return Adapter(kind)
    except (KeyboardInterrupt, ImplementationError):
        raise
    except BaseException as raised:  # it may even end its process
        raise ImplementationError(wrapper_of(kind, f"making one raised {told(raised)}")) from None


def velocity(problem: Problem) -> list[FloatArray]:
    """Return what is said to be left of the steps before: numbers of no meaning, like no weights and no gradient."""
    dtype = problem.inputs.dtype
    return [0.1 * np.cos(np.arange(w.size)).reshape(w.shape).astype(dtype) for w in problem.weights]


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Turn whatever an answer raises when it is looked at into one line."""
    try:
        yield
    except ImplementationError:
        raise
    except Exception as raised:
        raise ImplementationError(f"its answer cannot be read: {told(raised)}; expected {EXPECTED}") from None


def whole_of(weights: Mapping[str, Any]) -> Any:
    """Return the weights that were handed out by role, as an answer has them: all in one, in two lists, or by layer."""
    whole = [part for role, part in weights.items() if role in ("weights", "biases")]
    return whole[0] if len(whole) == 1 else whole or weights


def load(target: str) -> Any:
    """Return what a target like "file.py:function" names; "file.py:object.method" too.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If running it or looking the name up raises anything, or it has no such name.
    """
    file, _, name = target.rpartition(":")
    path = Path(file)
    if not file or not name or path.suffix != ".py":
        raise ValueError(f"target is {target!r}: expected file.py:function, or a worked example .toml")
    path.open("rb").close()  # an OSError names the file
    spec = importlib.util.spec_from_file_location("under_check", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))  # it may import what stands beside it
    try:
        spec.loader.exec_module(module)
        return operator.attrgetter(name)(module)
    except KeyboardInterrupt:
        raise
    except BaseException as raised:
        if isinstance(raised, AttributeError) and not traceback.extract_tb(raised.__traceback__)[1:]:
            raise ValueError(f"{file} has no {name}") from None
        raise ValueError(f"{file} raised {told(raised)}") from None


def told(raised: BaseException) -> str:
    """Return in one line what was raised, and the line of the user's code where."""
    try:
        reason = str(raised).strip().splitlines()[0] if str(raised).strip() else ""
    except Exception:
        reason = ""
    where = ""
    if not isinstance(raised, SyntaxError):  # which says itself where
        stack = [f for f in traceback.extract_tb(raised.__traceback__) if not Path(f.filename).is_relative_to(HOUSE)]
        own = [frame for frame in stack if not _is_library(frame.filename)] or stack[:1]
        where = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(raised).__name__}{': ' + reason if reason else ''}{where}"


def _is_library(filename: str) -> bool:
    """Whether a frame is of Python, a package or this house, rather than of whoever wrote the function."""
    path = Path(filename)
    generated = filename.startswith(("<frozen", "<__array"))
    return generated or any(path.is_relative_to(one) for one in LIBRARIES) or any(p in path.parts for p in PACKAGES)


def _identical(mine: Any, theirs: Any) -> bool:
    """Whether nested arrays, lists and dictionaries are still what they were."""
    if isinstance(mine, np.ndarray):
        return isinstance(theirs, np.ndarray) and np.array_equal(mine, theirs)
    if isinstance(mine, dict):
        return (
            isinstance(theirs, dict)
            and mine.keys() == theirs.keys()
            and all(_identical(mine[k], theirs[k]) for k in mine)
        )
    if isinstance(mine, list):
        return isinstance(theirs, list) and len(mine) == len(theirs) and all(map(_identical, mine, theirs))
    return bool(mine == theirs)


def _numbers(nested: Any) -> list[float]:
    """All numbers of nested arrays, lists and dictionaries, in order."""
    if isinstance(nested, Mapping):
        nested = list(nested.values())
    if isinstance(nested, (list, tuple)):
        return [number for part in nested for number in _numbers(part)]
    return [] if nested is None else np.ravel(nested).tolist()


def _told_shapes(parts: Mapping[str, Any]) -> str:
    return ", ".join(f"{role} {_shapes(parts[role])}" for role in ("weights", "inputs", "targets"))


def _shapes(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _shapes(entry) for name, entry in part.items()}
    if isinstance(part, list) and part and isinstance(part[0], (np.ndarray, list)) and not isinstance(part[0], float):
        ragged = not all(isinstance(entry, np.ndarray) for entry in part)
        return [tuple(map(_shapes, entry)) if ragged and isinstance(entry, list) else _shapes(entry) for entry in part]
    return np.shape(part)
