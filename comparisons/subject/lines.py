"""The line of somebody's function that computes an array: found by running it once more and watching its variables.

Whether a statement computes the array is no guess: after it, some variable holds these very numbers for the first time.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

from handnet.activations import FloatArray

# A line that is watched costs some microseconds; code that runs more of them goes without. Of twice as many, too.
MOST_LINES = 20_000
# The numbers may have been computed in another order by whoever looks for them; by chance none come as near. Anything
# between rounding and chance will do, and so will twice as much.
NEAR = 1e-9
# How deep in lists and dictionaries arrays are looked for.
DEPTH = 3
# Of fewer different numbers there are many that are the same: a vector of zeros, or of ones.
FEWEST = 2


def line_of(function: Callable[..., Any], call: Callable[[], Any], wanted: Sequence[FloatArray]) -> str:
    """Return file, line and statement after which the function first holds these numbers: `net.py:14: d = d @ W2.T`.

    Parameters
    ----------
    function : whose statements are meant; the source must be there to be read
    call : calls it, once
    wanted : the numbers, or others of which any will do; an array counts that has them, or as it is transposed,
        one after the other

    Returns
    -------
    text : empty where no statement is found, the source is not there, or the statement only calls something else
    """
    while isinstance(function, partial):
        function = function.func
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    wanted = [one for one in wanted if np.isfinite(one).all() and np.unique(one[one != 0]).size >= FEWEST]
    if code is None or code.co_name == "<lambda>" or not wanted:
        return ""
    source, statements = _source(code)
    line = _first_line(code, call, wanted) if statements else None
    statement = _innermost(statements, line) if line else None
    if line is None or statement is None or not _computes(statement, getattr(function, "__globals__", {})):
        return ""
    first, last = statement.lineno - code.co_firstlineno, (statement.end_lineno or 0) - code.co_firstlineno
    written = " ".join(part.strip() for part in source[first : last + 1])
    return f"{Path(code.co_filename).name}:{statement.lineno}: {written}"


def _first_line(code: CodeType, call: Callable[[], Any], wanted: Sequence[FloatArray]) -> int | None:
    """The line after which a variable of the function holds these numbers, or on which it returns them."""
    watch = _Watch(code, wanted)
    before = sys.gettrace()
    sys.settrace(watch.enter)
    try:
        call()
    except Exception:
        return None  # it answered before: it is not the same twice
    finally:
        sys.settrace(before)
    return watch.found


class _Watch:
    """Looks, after each line of a function, whether its variables hold some numbers."""

    def __init__(self, code: CodeType, wanted: Sequence[FloatArray]) -> None:
        self.code, self.lines = code, 0
        self.wanted = [(flat, NEAR * np.abs(flat).max()) for one in wanted for flat in (one.ravel(), one.T.ravel())]
        self.found: int | None = None
        # Of each frame, for a function may call itself.
        self.last: dict[FrameType, int] = {}

    def enter(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        """Watch this frame alone."""
        return self.step if frame.f_code is self.code and event == "call" else None

    def step(self, frame: FrameType, event: str, value: Any) -> Callable[..., Any] | None:
        """Look at what the line before has left."""
        self.lines += 1
        if self.found is None and self.lines <= MOST_LINES:
            if frame in self.last and any(map(self.is_wanted, arrays_in(frame.f_locals))):
                self.found = self.last[frame]
            elif event == "return" and any(map(self.is_wanted, arrays_in(value))):
                self.found = frame.f_lineno
        self.last[frame] = frame.f_lineno
        if event == "return":
            del self.last[frame]
        return self.step if self.found is None and self.lines <= MOST_LINES else None

    def is_wanted(self, array: FloatArray) -> bool:
        """Whether an array has these numbers."""
        flat = array.ravel()
        return any(
            flat.size == one.size and flat.dtype.kind == "f" and bool((np.abs(flat - one) <= room).all())
            for one, room in self.wanted
        )


def arrays_in(value: Any, depth: int = DEPTH) -> Iterator[FloatArray]:
    """All arrays in variables, lists and dictionaries; lists of numbers too."""
    if isinstance(value, np.ndarray):
        yield value
    elif hasattr(value, "detach"):
        yield value.detach().cpu().numpy()
    elif depth and isinstance(value, Mapping):
        for entry in value.values():
            yield from arrays_in(entry, depth - 1)
    elif depth and isinstance(value, (list, tuple)) and value:
        numbers = value[0]
        while isinstance(numbers, (list, tuple)) and numbers:
            numbers = numbers[0]
        if isinstance(numbers, (int, float)):
            try:
                yield np.array(value, float)
            except ValueError:
                return  # ragged: no array
        else:
            for entry in value:
                yield from arrays_in(entry, depth - 1)


# The statement.


def _source(code: CodeType) -> tuple[list[str], list[ast.stmt]]:
    """The lines of a function and all its statements, numbered as in its file; none where its source is not there."""
    try:
        lines, first = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return [], []
    ast.increment_lineno(tree, first - 1)
    return lines, [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]


def _innermost(statements: list[ast.stmt], line: int) -> ast.stmt | None:
    """The smallest statement that has this line."""
    around = [one for one in statements if one.lineno <= line <= (one.end_lineno or one.lineno)]
    simple = [one for one in around if not hasattr(one, "body")]
    return min(simple, key=lambda one: (one.end_lineno or one.lineno) - one.lineno, default=None)


def _computes(statement: ast.stmt, names: Mapping[str, Any]) -> bool:
    """Whether a statement computes something itself, or by NumPy, and not only calls what somebody else wrote."""
    for node in ast.walk(statement):
        if isinstance(node, (ast.BinOp, ast.AugAssign, ast.UnaryOp)):
            return True
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and hasattr(np.ndarray, node.func.attr):
                return True
            root = node.func
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and getattr(names.get(root.id), "__name__", "") == "numpy":
                return True
    return False
