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

from comparisons.mistakes.known import MISTAKES
from comparisons.studies.equations import misprints
from comparisons.studies.examples import Example
from comparisons.studies.proof import GIVEN, counted
from comparisons.studies.sweep import Sweep
from comparisons.verdict.comparison import Comparison, write_csv
from comparisons.verdict.distance import greatest
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
                f"{max((m.resolution for m in c.measured), default=np.inf):.1e}",
                f"{c.count('undecided'):,}" if c.count("undecided") else "",
                "match" if c.passed else "MISMATCH",
            )
        )
    return table(rows, left=2)


def blind_lines(comparisons: Mapping[str, Comparison]) -> str:
    """Return what the data of each case cannot show, a line each."""
    return "\n".join(f"{name} cannot show {c.blind_kinds()}" for name, c in comparisons.items() if c.blind)


def equation_table(frame: pd.DataFrame) -> str:
    """Return a table of the equations that do not agree as printed."""
    rows: list[tuple[str, ...]] = [("equation", "as printed", "max error", "corrected", "remark")]
    loose = frame[frame["as_printed"] != "agrees"]
    for name, printed, error, corrected, remark in zip(
        *(loose[column] for column in ("equation", "as_printed", "max_error", "as_corrected", "remark")), strict=True
    ):
        rows.append((name, printed, "" if np.isnan(error) else f"{error:.2g}", corrected, remark))
    return table(rows, left=5)


def worked_table(example: Example, frame: pd.DataFrame) -> str:
    """Return a table of the printed numbers that are not right."""
    rows: list[tuple[str, ...]] = [("printed", "quantity", "step", "value", "autograd", "verdict", "explained by")]
    for number, row in zip(example.printed, frame.to_dict("records"), strict=True):
        if row["verdict"] != "ok":
            digits = max(len(number.value.lstrip("-0.")), 3)
            layer = "" if number.key[1] is None else f" {number.key[1]}"
            what = f"{number.key[0]}{layer} {row['index']}".strip()
            said = (number.value, f"{row['autograd']:.{digits}g}", row["verdict"], row["explained_by"])
            rows.append((number.name, what, f"{number.step:,}", *said))
    return table(rows, left=7) if len(rows) > 1 else ""


def worked_line(frame: pd.DataFrame) -> str:
    """Return the result of a worked example in one line."""
    counts = frame["verdict"].value_counts()
    explained = (frame["explained_by"] != "").sum()
    parts = [f"{counts.get('ok', 0)} right", f"{counts.get('wrong', 0)} wrong"]
    parts[1] += f" ({explained} explained)" if counts.get("wrong", 0) else ""
    parts += [f"{counts['undecided']} undecided"] if "undecided" in counts else []
    return f"{frame['example'].iloc[0]}: {len(frame)} printed numbers, {', '.join(parts)}"


def check_line(comparison: Comparison) -> str:
    """Return the result of a check in one line."""
    if comparison.passed:
        worst = max(greatest(m.ratio) for m in comparison.measured)
        said = f"match: the worst of {comparison.numbers:,} numbers is at {worst:.2g} of its tolerance"
        return said + sharpness({"": comparison})
    if not comparison.measured:
        return "NOT JUDGED: it gave no answer; expected backprop(weights, inputs, targets) that returns the gradients"
    clean = not comparison.diagnosis and not comparison.findings
    if clean and comparison.unjudged and not comparison.count("inherited"):
        return "UNDECIDED: some quantities could not be judged; see the message above"
    mistakes = " + ".join(comparison.diagnosis.mistakes) if comparison.diagnosis else ""
    return f"MISMATCH{': ' + mistakes if mistakes else ''}"


def catalogue_table() -> str:
    """Return a table of the known mistakes: what goes wrong, and what comes of it in the note's notation."""
    rows = [(name, kind.summary, kind.formula) for name, kind in MISTAKES.items()]
    return table([("mistake", "what goes wrong", "what comes of it"), *rows], left=3)


def mistake_table(frame: pd.DataFrame) -> str:
    """Return a table with one line per mistake, the pairs together, and one for no mistake at all."""
    count = counted(frame)
    kind = count["mistake"].where(~count["mistake"].str.contains(" + ", regex=False), "two together")
    rows: list[tuple[str, ...]] = [("mistake", "cells", "caught", "located", "named", "with gradients only")]
    for mistake, cells in count.groupby(kind, sort=False):
        whole, part = (cells[cells["given"] == given] for given in GIVEN)
        shares = [cells["caught"].mean(), whole["located"].mean(), whole["is_named"].mean(), part["is_named"].mean()]
        shown = [
            "" if np.isnan(share) or (mistake == "none" and i) else f"{share:.1%}" for i, share in enumerate(shares)
        ]
        rows.append((str(mistake), f"{len(cells):,}", *shown))
    return table(rows, left=1)


def mistakes_line(frame: pd.DataFrame) -> str:
    """Return the result of the mistakes in one line."""
    count = counted(frame)
    right, wrong = count[count["mistake"] == "none"], count[count["mistake"] != "none"]
    whole = wrong[wrong["given"] == "all"]
    same = wrong[wrong["named"].str.contains("=") & wrong["is_named"]]["named"].nunique()
    return (
        f"{wrong['caught'].sum():,} of {len(wrong):,} mistakes caught,"
        f" {whole['located'].sum():,} of {len(whole):,} located,"
        f" {wrong['is_named'].sum():,} of {len(wrong):,} named ({same} times two are the same formula);"
        f" {right['caught'].sum()} false alarms in {len(right)}; {len(frame) - len(count):,} cells do not apply"
    )


def sweep_table(made: Sweep) -> str:
    """Return a table of the figures by dtype and scale."""
    rows: list[tuple[str, ...]] = [
        ("dtype", "scale", "networks", "numbers", "failures", "undecided", "error/tolerance")
    ]
    for (dtype, scale), part in made.frame.groupby(["dtype", "scale"], sort=False):
        share = part["undecided"].sum() / part["numbers"].sum()
        counts = (f"{part[name].sum():,}" for name in ("networks", "numbers", "failures"))
        rows.append(
            (str(dtype), f"{scale:g}", *counts, f"{share:.3%}", f"{part['max_error_over_tolerance'].max():.3f}")
        )
    return table(rows, left=1)


def sweep_line(made: Sweep) -> str:
    """Return the result of a sweep in one line, and how to replay the worst network where one failed."""
    total = made.total
    share = total.undecided / total.numbers if total.numbers else 1.0
    figures = f"{total.networks:,} networks, {total.numbers:,} numbers, {total.failures:,} failures"
    rate = f"{total.seconds / total.networks * 1e6:.2f} us a network on one core"
    line = f"{figures}, {share:.2%} undecided, the worst at {total.worst:.2g} of its tolerance; {rate}"
    return f"match: {line}" if made.passed else f"replay: {made.replay}\n\nMISMATCH: {line}"


def planted_table(frame: pd.DataFrame) -> str:
    """Return a table with one line per mistake."""
    rows: list[tuple[str, ...]] = [("mistake", "networks", "visible", "caught of these")]
    for mistake, part in frame.groupby("mistake", sort=False):
        networks, visible, caught = (int(part[name].sum()) for name in ("networks", "visible", "caught"))
        shown = (f"{visible / networks:.2%}", f"{caught / visible:.3%}" if visible else "")
        rows.append((str(mistake), f"{networks:,}", *shown))
    return table(rows, left=1)


def planted_line(frame: pd.DataFrame) -> str:
    """Return the result of the planted mistakes in one line."""
    visible, caught = int(frame["visible"].sum()), int(frame["caught"].sum())
    share = f" ({caught / visible:.4%})" if visible else ""
    return f"{caught:,} of {visible:,} visible mistakes caught{share}"


def speed_table(frame: pd.DataFrame) -> str:
    """Return a table with one line per workload, its contenders side by side."""
    parts = []
    for workload, part in frame.groupby("workload", sort=False):
        names = list(part["contender"].unique())
        head = (str(workload), "dtype", *(f"{name} us" for name in names), *(f"{name} / own" for name in names[1:]))
        rows: list[tuple[str, ...]] = [head]
        for (sizes, batch, dtype), cells in part.groupby(["sizes", "batch", "dtype"], sort=False):
            times = (f"{value:,.1f}" for value in cells["median_us"])
            ratios = (f"{value:,.2f}" for value in cells["over_handnet"].iloc[1:])
            rows.append((f"{sizes} x{batch}", str(dtype), *times, *ratios))
        parts.append(table(rows, left=2))
    return "\n\n".join(parts)


def speed_line(frame: pd.DataFrame) -> str:
    """Return what was timed in one line."""
    return f"{len(frame)} medians, {frame['threads'].iloc[0]} thread(s) on all sides"


def scaling_table(frame: pd.DataFrame) -> str:
    """Return a table of the times and the memory of ever larger sweeps."""
    head = ("networks", "seconds", "us a network", "peak memory MB")
    rows = [
        (
            f"{int(row['networks']):,}",
            f"{row['seconds']:.2f}",
            f"{row['us_per_network']:.2f}",
            f"{row['peak_memory_mb']:.0f}",
        )
        for row in frame.to_dict("records")
    ]
    return table([head, *rows], left=0)


def scaling_line(frame: pd.DataFrame, exponent: float) -> str:
    """Return how the time grows in one line."""
    return f"time grows as networks^{exponent:.3f}, peak memory {frame['peak_memory_mb'].iloc[-1]:.0f} MB"


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
        f"match: {numbers - undecided:,} numbers agree with autograd, the worst at {worst:.2g} of its tolerance{known}"
    )


def sharpness(comparisons: Mapping[str, Comparison]) -> str:
    """Return how sharp the comparisons were, as the end of a sentence; nothing where nothing was compared."""
    resolutions = [m.resolution for c in comparisons.values() for m in c.measured]
    if not resolutions:
        return ""
    return f"; a tolerance is at most {max(resolutions):.1e} of the largest value that it belongs to"


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
