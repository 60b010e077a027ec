"""Tests of changed sources: in copies of the repository, by forks of a process that has loaded torch once.

A change is made in a copy, the tests are run there, and the copy is put right again: the sources themselves are never
touched. Loading numpy, pandas and torch takes longer than most of the tests, so it is done once.
"""

from __future__ import annotations

import os

# One thread each: there are as many processes as cores.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy  # noqa: F401
import pandas  # noqa: F401
import pytest
import torch  # noqa: F401

ROOT = Path(__file__).parent.parent
# A test that takes longer has been sent round and round by the change.
PATIENCE = 120.0
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+(?:\[.*?\])?)", re.MULTILINE)
RAISED = re.compile(r"^INTERNALERROR> (\w+(?:Error|Exception): .*)", re.MULTILINE)


@dataclass(frozen=True)
class Change:
    """A file with another text, and the tests that should notice.

    Attributes
    ----------
    path : of the file, in the repository
    text : all of it, as changed
    tests : files of tests, or single ones
    """

    path: str
    text: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a change.

    Attributes
    ----------
    killed_by : the first test that failed; "time" where they did not end; None where all of them passed
    seconds : that each test took, up to the one that failed
    """

    killed_by: str | None
    seconds: dict[str, float]


def outcomes(changes: Iterable[Change], jobs: int) -> Iterator[tuple[int, Outcome]]:
    """Yield the number of each change and what became of it, as they get done.

    Parameters
    ----------
    changes : to be made one at a time
    jobs : processes
    """
    with ExitStack() as stack:
        copies = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(jobs)]
        for copy in copies:
            _fill(copy)
        waiting, running = enumerate(changes), {}
        while True:
            for copy in copies:
                if copy not in running and (following := next(waiting, None)):
                    running[copy] = (following[0], _Run(copy, following[1]))
            if not running:
                return
            for copy, (i, run) in list(running.items()):
                if outcome := run.outcome():
                    del running[copy]
                    yield i, outcome
            time.sleep(0.01)


def _fill(copy: Path) -> None:
    """Copy what git knows of, as it now stands, and compile it."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "handnet", "comparisons", "tests"], cwd=copy, check=True)


class _Run:
    """One change in one copy, and the process that tests it."""

    def __init__(self, copy: Path, change: Change) -> None:
        self.file, self.output = copy / change.path, copy / "output.txt"
        self.right = self.file.read_bytes()
        self.output.with_name(Times.file).unlink(missing_ok=True)
        self.file.write_text(change.text)
        # Compiled files are told apart by size and second alone: that of this file must not be used.
        for compiled in (self.file.parent / "__pycache__").glob(f"{self.file.stem}.*"):
            compiled.unlink()
        self.start = time.monotonic()
        self.process = os.fork()
        if not self.process:
            _test(copy, change.tests, self.output)

    def outcome(self) -> Outcome | None:
        """Return what became of it, or None while it is being tested."""
        seconds = time.monotonic() - self.start
        done, status = os.waitpid(self.process, os.WNOHANG)
        if not done:
            if seconds < PATIENCE:
                return None
            os.killpg(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        self.file.write_bytes(self.right)
        if not done:
            return Outcome("time", {})
        code, times = os.waitstatus_to_exitcode(status), self.output.with_name(Times.file)
        took = json.loads(times.read_text()) if times.exists() else {}
        if code == 0:
            return Outcome(None, took)
        said = self.output.read_text(errors="replace")
        # The package's own plugin, changed too, may take pytest itself down.
        found = FAILED.search(said) or RAISED.search(said)
        return Outcome(found[1] if found else f"exit status {code}", took)


class Times:
    """A plugin for pytest that writes down what each test takes."""

    file = "times.json"

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up what a test takes, with what is set up for it."""
        self.seconds[report.nodeid] += report.duration

    def pytest_unconfigure(self) -> None:
        """Write them into the current folder."""
        Path(self.file).write_text(json.dumps(self.seconds))


def _test(copy: Path, tests: Sequence[str], output: Path) -> None:
    """Run the tests in this process, which is a fork, and end it."""
    os.setsid()
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy)
    sys.dont_write_bytecode = True
    sys.path[:] = [str(copy), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT)]
    code = 1
    try:
        # hypothesis takes longer to load than most of the tests take, which do not use it.
        options = (
            "-p",
            "no:cacheprovider",
            "-p",
            "no:hypothesispytest",
            "--assert=plain",
            "--basetemp",
            str(copy / "temporary"),
        )
        code = int(pytest.main(["-x", "-q", "--tb=no", *options, *tests], plugins=[Times()]))
    finally:
        sys.stdout.flush()
        os._exit(code)
