"""What the command line shows and writes: console tables, run.json and the CSV files of many comparisons."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from comparisons.comparison import Comparison, greatest, write_csv
from comparisons.equations import misprints
from handnet import __version__
from handnet.files import replacing


def case_table(comparisons: Mapping[str, Comparison]) -> str:
    """Return a table with one line per case."""
    head = ("case", "network", "dtype", "steps", "numbers", "error/tolerance", "local", "resolution", "undecided", "")
    rows = [head]
    for name, c in comparisons.items():
        local = [greatest(m.local_ratio) for m in c.measured if m.local_ratio is not None]
        rows.append(
            (
                name,
                "-".join(map(str, c.sizes)) if len(c.sizes) < 7 else f"{len(c.sizes) - 1} layers",
                c.dtype,
                str(c.measured[-1].step),
                f"{c.numbers:,}",
                f"{max(greatest(m.ratio) for m in c.measured):.3f}",
                f"{max(local):.3f}",
                # The bluntest check of those that say anything.
                f"{max((m.resolution for m in c.measured if m.verdict == 'ok'), default=np.inf):.1e}",
                f"{c.count('undecided'):,}" if c.count("undecided") else "",
                "match" if c.passed else "MISMATCH",
            )
        )
    return table(rows, left=2)


def equation_table(frame: pd.DataFrame) -> str:
    """Return a table of the equations that do not agree as printed."""
    rows: list[tuple[str, ...]] = [("equation", "as printed", "max error", "corrected", "remark")]
    loose = frame[frame["as_printed"] != "agrees"]
    for name, printed, error, corrected, remark in zip(
        *(loose[column] for column in ("equation", "as_printed", "max_error", "as_corrected", "remark")), strict=True
    ):
        rows.append((name, printed, "" if np.isnan(error) else f"{error:.2g}", corrected, remark))
    return table(rows, left=5)


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


def compare_line(comparisons: Mapping[str, Comparison]) -> str:
    """Return the result of the comparisons in one line."""
    numbers = sum(c.numbers for c in comparisons.values())
    undecided = sum(c.count("undecided") for c in comparisons.values())
    failed = [name for name, c in comparisons.items() if not c.passed]
    if failed:
        return f"MISMATCH in {', '.join(failed)}: see the messages above"
    worst = max(greatest(m.ratio) for c in comparisons.values() for m in c.measured)
    known = f", {undecided:,} undecided" if undecided else ""
    return (
        f"match: {numbers - undecided:,} numbers agree with autograd, the worst at {worst:.2f} of its tolerance{known}"
    )


def equations_line(frame: pd.DataFrame) -> str:
    """Return the result of the equations in one line."""
    wrong, notation = misprints(frame), (frame["as_printed"] == "notation").sum()
    mended = (wrong["as_corrected"] == "agrees").sum()
    return (
        f"note: {len(frame)} equations, {len(wrong)} misprinted ({mended} agree as corrected),"
        f" {notation} with loose notation"
    )


def joined_tables(comparisons: Mapping[str, Comparison], everything: bool) -> dict[str, pd.DataFrame]:
    """Return the CSV tables of several comparisons, one under the other."""
    parts = [c.tables(everything) for c in comparisons.values()]
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: pd.concat([part[name] for part in parts if name in part], ignore_index=True) for name in names}


def write_reports(tables: Mapping[str, pd.DataFrame], directory: str | os.PathLike[str], started: float) -> None:
    """Write the tables and run.json to `directory`; all of them, or, on failure, none.

    Parameters
    ----------
    tables : frames by file name
    started : time.time() when the run began

    Raises
    ------
    OSError
        If the directory cannot be made or written, or the disk is full.
    """
    run = {
        "command": " ".join(["handnet", *sys.argv[1:]]),
        "start": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "duration": round(time.time() - started, 3),
        "platform": platform.platform(),
        "versions": {
            "handnet": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pandas": pd.__version__,
            "torch": torch.__version__,
        },
    }
    Path(directory).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        text = json.dumps(run, indent=2) + "\n"
        stack.enter_context(replacing(Path(directory) / "run.json")).write_text(text, encoding="utf-8")
        write_csv(tables, directory)
