"""What is done of a long run, on disk line by line, so that it can go on where it was interrupted."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # on Windows nothing keeps two runs from one file
    fcntl = None  # type: ignore[assignment]

# Of the file; another number for another meaning of its lines.
FORMAT = 1


class Journal:
    """A file of JSON lines: first what the run is, then one line for each part that is done.

    It is locked for as long as the run lasts, so that no other process writes to it or deletes it.

    Parameters
    ----------
    path : of the file
    run : what the run is; only the same run can go on
    resume : go on with what the file holds, if there is one

    Attributes
    ----------
    done : dict
        What the file holds, by the number of the part.

    Raises
    ------
    ValueError
        If another process has the file, or it holds finished parts and is not to be resumed, is of another run or
        format, or is damaged.
    OSError
        If it cannot be read or written.
    """

    def __init__(self, path: Path, run: dict[str, Any], resume: bool) -> None:
        self.path = path
        self.done: dict[int, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _opened(path)
        # Not a file object, which would warn where a run that failed leaves it to Python to close.
        self._release = weakref.finalize(self, os.close, self._file)
        head = {"format": FORMAT, **run}
        whole = self._whole_lines()
        if len(whole) < 2:
            os.ftruncate(self._file, 0)
            self._append(head)
        else:
            self._read(whole, json.loads(json.dumps(head)), resume)

    def _whole_lines(self) -> list[str]:
        """The lines of the file; the last may have been cut off, and is cut off wholly."""
        with open(self._file, "rb", closefd=False) as file:
            file.seek(0)
            whole = file.read().rpartition(b"\n")[:2]
        os.ftruncate(self._file, len(b"".join(whole)))
        return whole[0].decode("utf-8", errors="replace").splitlines() if whole[1] else []

    def _read(self, whole: Sequence[str], head: dict[str, Any], resume: bool) -> None:
        other, *parts = (self._parsed(line, number) for number, line in enumerate(whole, start=1))
        if other.get("format") != FORMAT:
            there = f"format {_short(other['format'])}" if "format" in other else "no format"
            raise ValueError(f"{self.path} has {there}: expected {FORMAT}; finish it with the handnet that began it")
        if not resume:
            raise ValueError(f"{self.path} holds {len(parts)} finished parts: go on with --resume, or delete it")
        for key, value in head.items():
            if other.get(key) != value:
                there, here = _short(other.get(key)), _short(value)
                raise ValueError(f"{self.path} is of another run: {key} is {there} there, {here} here")
        self.done = {part["part"]: part["result"] for part in parts}

    def _parsed(self, line: str, number: int) -> dict[str, Any]:
        try:
            parsed = json.loads(line)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict) or (number > 1 and parsed.keys() != {"part", "result"}):
            raise ValueError(f"{self.path} is damaged: line {number} is none of a journal's; delete the file")
        return parsed

    def add(self, part: int, result: Any) -> None:
        """Write down that a part is done; it is on disk when this returns."""
        self.done[part] = result
        self._append({"part": part, "result": result})

    def _append(self, line: dict[str, Any]) -> None:
        with open(self._file, "ab", closefd=False) as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(self._file)

    def close(self) -> None:
        """Delete the file: all is done, and written elsewhere."""
        if not fcntl:
            self._release()  # Windows deletes no file that is open
        self.path.unlink(missing_ok=True)  # elsewhere while it is still locked
        self._release()


def _opened(path: Path) -> int:
    """Open the file and lock it.

    The lock is a process's own: Python may go on with a run in the process that was interrupted.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            if fcntl:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(file)
            raise ValueError(f"{path} is in use by another sweep: wait for its end, or choose another --out") from None
        if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
            return file
        os.close(file)  # a run that ended meanwhile has deleted it


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else text[:57] + "..."
