"""What is done of a long run, on disk line by line, so that it can go on where it was interrupted."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handnet.files import replacing


class Journal:
    """A file of JSON lines: first what the run is, then one line for each part that is done.

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
        If the file holds finished parts and is not to be resumed, is of another run, or is damaged.
    OSError
        If it cannot be read or written.
    """

    def __init__(self, path: Path, run: dict[str, Any], resume: bool) -> None:
        self.path = path
        self.done: dict[int, Any] = {}
        if path.exists():
            self._read(json.loads(json.dumps(run)), resume)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._append(run)

    def _read(self, run: dict[str, Any], resume: bool) -> None:
        # The last line may have been cut off.
        whole = self.path.read_text(encoding="utf-8", errors="replace").rpartition("\n")[0].splitlines()
        if len(whole) < 2:
            self._rewrite([json.dumps(run)])
            return
        if not resume:
            raise ValueError(f"{self.path} holds {len(whole) - 1} finished parts: go on with --resume, or delete it")
        other, *parts = (self._parsed(line, number) for number, line in enumerate(whole, start=1))
        for key, value in run.items():
            if other.get(key) != value:
                there, here = _short(other.get(key)), _short(value)
                raise ValueError(f"{self.path} is of another run: {key} is {there} there, {here} here")
        self.done = {part["part"]: part["result"] for part in parts}
        self._rewrite(whole)

    def _parsed(self, line: str, number: int) -> dict[str, Any]:
        try:
            parsed = json.loads(line)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict) or (number > 1 and parsed.keys() != {"part", "result"}):
            raise ValueError(f"{self.path} is damaged: line {number} is none of a journal's; delete the file")
        return parsed

    def _rewrite(self, lines: Sequence[str]) -> None:
        with replacing(self.path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def add(self, part: int, result: Any) -> None:
        """Write down that a part is done; it is on disk when this returns."""
        self.done[part] = result
        self._append({"part": part, "result": result})

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Delete the file: all is done, and written elsewhere."""
        self.path.unlink(missing_ok=True)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else text[:57] + "..."
