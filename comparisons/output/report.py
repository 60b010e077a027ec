"""What the command line shows and writes: console tables, run.json and the CSV files of many comparisons."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from comparisons.reference.truth import COARSE
from comparisons.verdict.comparison import Comparison, write_csv
from comparisons.verdict.distance import greatest
from handnet import __version__
from handnet.files import replacing


def check_line(comparison: Comparison) -> str:
    """Return the result of a check in one line."""
    if comparison.passed:
        worst = max(greatest(m.ratio) for m in comparison.measured)
        said = f"match: the worst of {comparison.numbers:,} numbers is at {worst:.2g} of its tolerance"
        return said + sharpness({"": comparison})
    if not comparison.measured:
        return "NOT JUDGED: it gave no answer; expected backprop(weights, inputs, targets) that returns the gradients"
    if comparison.answer == "UNDECIDED":
        return "UNDECIDED: some quantities could not be judged; see the message above"
    why = " + ".join(comparison.diagnosis.mistakes) if comparison.diagnosis else ""
    if comparison.strict and not comparison.diagnosis:
        why = f"{comparison.count('suspect'):,} of {comparison.numbers:,} numbers are suspect"
    return f"MISMATCH{': ' + why if why else ''}"


def table(rows: Sequence[Sequence[str]], left: int) -> str:
    """Return the rows in columns, the first `left` of them flush left, the others flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def sharpness(comparisons: Mapping[str, Comparison]) -> str:
    """Return how sharp the comparisons were, as the end of a sentence; nothing where nothing was compared."""
    measured = [m for c in comparisons.values() for m in c.measured]
    if not measured:
        return ""
    bluntest = max(m.resolution for m in measured)
    # Found only where it says more: it takes as long as the comparison.
    expected = max(m.expected_resolution for m in measured) if bluntest > COARSE else bluntest
    known = f" ({expected:.1e} by the expected tolerance)" if expected < bluntest else ""
    return f"; no tolerance is more than {bluntest:.1e} of the largest value of its quantity{known}"


def versions() -> dict[str, str]:
    """Return what the numbers were made with."""
    return {
        "handnet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "torch": torch.__version__,
    }


def versions_line() -> str:
    """Return what the numbers were made with in one line."""
    return ", ".join(f"{name} {version}" for name, version in versions().items())


def write_reports(
    tables: Mapping[str, pd.DataFrame],
    directory: str | os.PathLike[str],
    started: float,
    page: Callable[[str], str] | None = None,
) -> None:
    """Write the tables, run.json and perhaps a page to `directory`; all of them, or, on failure, none.

    Parameters
    ----------
    tables : frames by file name
    started : time.time() when the run began
    page : makes index.html, given the line that says where its numbers come from

    Raises
    ------
    OSError
        If the directory cannot be made or written, or the disk is full.
    """
    run: dict[str, Any] = {
        "command": " ".join(["handnet", *sys.argv[1:]]),
        "start": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "duration": round(time.time() - started, 3),
        "platform": platform.platform(),
        "versions": versions(),
    }
    html = page(f"{run['command']}, {run['start']}, on {run['platform']}: {versions_line()}.") if page else None
    Path(directory).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if html is not None:
            stack.enter_context(replacing(Path(directory) / "index.html")).write_text(html, encoding="utf-8")
        text = json.dumps(run, indent=2) + "\n"
        stack.enter_context(replacing(Path(directory) / "run.json")).write_text(text, encoding="utf-8")
        write_csv(tables, directory)
