"""Calling a function for many things, each call in a process of its own: with a time limit and capped output.

Whatever a call does to its process (it loops for ever, exits, crashes, prints without end), the others go on.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

# What a process may write, to the terminal and into each file.
MOST_BYTES = 1 << 20
# Seconds between two looks at how long a process has run and how much it has printed.
GLANCE = 0.05
# Seconds that a call has, unless another number is asked for.
PATIENCE = 20.0


@dataclass(frozen=True)
class Answer:
    """What came of one call.

    Attributes
    ----------
    value : what the function returned, which is never None; None where it did not come to that
    problem : in a sentence, why there is no value; else empty
    seconds : how long it took
    """

    value: Any
    problem: str
    seconds: float


def in_processes(
    function: Callable[[Any], Any], items: Sequence[Any], seconds: float = PATIENCE, jobs: int = 1
) -> Iterator[tuple[int, Answer]]:
    """Yield (i, what came of function(items[i])) as they get done, in any order.

    Parameters
    ----------
    function : importable by name; what it returns is whatever JSON can write
    items : what can be pickled
    seconds : after which a process is ended
    jobs : how many processes at a time

    Raises
    ------
    ValueError
        If seconds or jobs are too few.

    Examples
    --------
    >>> import os
    >>> [answer.problem for _, answer in in_processes(os._exit, [3])]
    ['it ended its process (exit status 3) before it answered']
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}: expected 1 or more")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"time is {seconds}: expected a number of seconds")
    context, waiting, running = _context(function), deque(enumerate(items)), dict[int, _Call]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                i, item = waiting.popleft()
                running[i] = _Call(context, function, item, seconds)
            connection.wait([call.process.sentinel for call in running.values()], timeout=GLANCE)
            for i, call in list(running.items()):
                if call.is_over():
                    yield i, running.pop(i).answer()
    finally:
        for call in running.values():
            call.end()


def _context(function: Callable[[Any], Any]) -> Any:
    """How processes begin: where it is possible as copies of one that has imported torch and the function, once."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["comparisons.checks", function.__module__])
    return context


class _Call:
    """A call in its own process, which leaves its answer and what it prints in a folder."""

    def __init__(self, context: Any, function: Callable[[Any], Any], item: Any, seconds: float) -> None:
        self.folder, self.seconds = tempfile.TemporaryDirectory(prefix="handnet."), seconds
        # Of the function itself: what its process imports before is not the function's fault.
        self.started: float | None = None
        self.reason = ""
        self.process = context.Process(target=_inside, args=(function, item, self.folder.name))
        self.process.start()

    def is_over(self) -> bool:
        """Whether it has ended, or is to end since it took or printed too much."""
        alive, output = self.process.is_alive(), Path(self.folder.name) / "output"
        if output.exists():
            self.started = self.started or time.monotonic()
            if output.stat().st_size >= MOST_BYTES:
                self.reason = f"it printed more than {MOST_BYTES >> 20} MB"
            elif alive and self._took() > self.seconds:
                self.reason = f"it had not finished after {self.seconds:g} seconds"
        return bool(self.reason) or not alive

    def answer(self) -> Answer:
        """Return what came of it, with nothing of the process left."""
        took, value = self._took(), None if self.reason else self._value()
        status = self.end()
        return Answer(value, "" if value is not None else self.reason or _how_it_ended(status), took)

    def end(self) -> int | None:
        """End the process, and those that it has started; return its exit status."""
        if hasattr(os, "killpg") and self.process.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        status: int | None = self.process.exitcode
        self.process.close()
        with contextlib.suppress(OSError):
            self.folder.cleanup()
        return status

    def _took(self) -> float:
        return 0.0 if self.started is None else time.monotonic() - self.started

    def _value(self) -> Any:
        # JSON and no pickle: what somebody's code may have written is never run here.
        with contextlib.suppress(OSError, ValueError):
            return json.loads((Path(self.folder.name) / "answer.json").read_bytes())
        return None


def _how_it_ended(status: int | None) -> str:
    if status is not None and status < 0:
        return f"it crashed ({signal.Signals(-status).name})"
    return f"it ended its process (exit status {status}) before it answered"


def _inside(function: Callable[[Any], Any], item: Any, folder: str) -> None:
    """Call the function, in the process of its own."""
    _confine(folder)
    answer = Path(folder) / "answer.json"
    answer.with_suffix(".part").write_text(json.dumps(function(item)), encoding="utf-8")
    answer.with_suffix(".part").replace(answer)
    os._exit(0)  # whatever threads it has left behind


def _confine(folder: str) -> None:
    """Print into a file that cannot grow for ever, and be the head of all processes that come of this one."""
    output = os.open(Path(folder) / "output", os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if hasattr(os, "setsid"):
        os.setsid()
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
