"""Worked examples: the numbers that a page, a book or a lecture prints, against autograd.

The digits that a number is printed with make its tolerance: 1.5 units in the last place, since a last digit is often
rounded twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from comparisons.mistakes.effects import effects
from comparisons.mistakes.lineup import Lineup
from comparisons.mistakes.variants import Variant, alone_in, overridden, pairs, singles
from comparisons.output import page, report
from comparisons.output.outcome import Outcome
from comparisons.reference.quantities import Problem
from comparisons.reference.truth import Truth
from comparisons.studies.conventions import Reading, read
from comparisons.studies.examples import Example
from comparisons.studies.numbers import Judged, recomputed
from comparisons.verdict.distance import distance
from handnet.activations import FloatArray

WORKED_COLUMNS = (
    *("example", "quantity", "layer", "step", "index", "printed", "autograd", "error", "tolerance", "verdict"),
    "explained_by",
)
NAMED = 3
# By chance less than one number in ten, as far off, may fit what explains it.
CHANCE = 0.1


def check_example(example: Example, explain: bool = True) -> pd.DataFrame:
    """Compare the printed numbers with autograd's, and look for the known mistake behind each wrong one.

    Parameters
    ----------
    example : as read from its file
    explain : False leaves the wrong numbers unexplained, which takes far less time

    Returns
    -------
    frame : the columns of worked.csv, one row per printed number; layer is empty for the cost
        explained_by is the single known mistake that gives the printed number, else the pairs, else empty; also empty
        where a number as far off would too often fit one of them by chance.

    Examples
    --------
    >>> from comparisons.studies.examples import read_example
    >>> frame = check_example(read_example("one-neuron.toml"))
    >>> frame["verdict"].unique().tolist()
    ['ok']
    """
    return _frame(*_checked(example, explain))


def _checked(example: Example, explain: bool = True) -> tuple[Reading, dict[Judged, list[str]]]:
    """The page as it is understood, and what explains its wrong numbers."""
    with np.errstate(all="ignore"):
        reading = read(example)
        wrong = [j for j in reading.judged if j.verdict == "wrong" and explain]
        explained = _explained(reading.example, wrong, "singles")
        left = [j for j in wrong if not explained[j]]
        explained |= _explained(reading.example, left, "pairs")
    return reading, explained


def _frame(reading: Reading, explained: dict[Judged, list[str]]) -> pd.DataFrame:
    rows = [
        (
            reading.example.name,
            j.number.key[0],
            j.number.key[1],
            j.number.step,
            j.number.label,
            j.number.value,
            j.autograd,
            j.error,
            j.tolerance,
            j.verdict,
            _listed(explained.get(j, [])),
        )
        for j in reading.judged
    ]
    return pd.DataFrame(rows, columns=WORKED_COLUMNS).astype({"layer": "Int64"})


def _listed(names: Sequence[str]) -> str:
    return " or ".join([*names[:NAMED], *([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])])


def _explained(example: Example, wrong: Sequence[Judged], how: str) -> dict[Judged, list[str]]:
    """For each wrong number the known mistakes that give it, the simplest first."""
    if not wrong:
        return {}
    tried = _tried(example.problem, how)
    made = recomputed(example, Lineup(tried), [j.number for j in wrong], bar=True)
    explained = {}
    for j in wrong:
        values = np.broadcast_to(made[j.number], len(tried))
        fits = distance(np.array(j.printed), values) <= j.tolerance
        names = [" + ".join(variant.mistakes) for variant, fit in zip(tried, fits, strict=True) if fit]
        explained[j] = list(dict.fromkeys(names)) if _chance(j, values) < CHANCE else []
    return explained


def _tried(problem: Problem, how: str) -> list[Variant]:
    """The variants worth training: of mistakes that change something in the first two steps, and not at one seam."""
    first = Truth(problem)
    second = Truth(replace(problem, weights=first.run.updated))
    variants = alone_in(first.problem)
    shown = effects(variants, [first, second]).shown({key[0] for key in first.derived})
    names = {v.mistakes[0] for v, show in zip(variants, shown, strict=True) if show} - {"single_precision"}
    alone_names = [variant.mistakes[0] for variant in variants]
    if how == "singles":
        return [variant for variant in singles(len(problem.weights), alone_names) if variant.mistakes[0] in names]
    two = (variant for variant in pairs(alone_names) if names.issuperset(variant.mistakes))
    return [variant for variant in two if not overridden(variant.mistakes[0]) & overridden(variant.mistakes[1])]


def _chance(j: Judged, values: FloatArray) -> float:
    """The share of the numbers not further off than this one, right ones aside, that some mistake would explain."""
    apart = np.sort(values[np.isfinite(values)] - j.autograd)
    apart = apart[(np.abs(apart) > j.tolerance) & (np.abs(apart) < j.error + j.tolerance)]
    # Where two lie closer than twice the tolerance, what they explain overlaps.
    covered = 2 * j.tolerance + np.minimum(np.diff(apart), 2 * j.tolerance).sum() if apart.size else 0.0
    return float(covered / (2 * j.error))


def outcome(example: Example) -> Outcome:
    """Judge the printed numbers of a worked example: all is well if some are right and none is wrong."""
    reading, explained = _checked(example)
    frame = _frame(reading, explained)
    return Outcome(
        bool((frame["verdict"] == "ok").any() and not (frame["verdict"] == "wrong").any()),
        worked_line(frame),
        [*reading.said, worked_table(example, frame)],
        {"worked.csv": frame},
        "Printed numbers beside autograd",
        sections=lambda: [worked_section(example, frame)],
    )


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
    return report.table(rows, left=7) if len(rows) > 1 else ""


def worked_line(frame: pd.DataFrame) -> str:
    """Return the result of a worked example in one line."""
    counts = frame["verdict"].value_counts()
    explained = (frame["explained_by"] != "").sum()
    parts = [f"{counts.get('ok', 0)} right", f"{counts.get('wrong', 0)} wrong"]
    parts[1] += f" ({explained} explained)" if counts.get("wrong", 0) else ""
    parts += [f"{counts['undecided']} undecided"] if "undecided" in counts else []
    return f"{frame['example'].iloc[0]}: {len(frame)} printed numbers, {', '.join(parts)}"


WORKED_ORDER = (
    *("name", "printed", "autograd", "verdict", "explained_by"),
    *("quantity", "layer", "step", "index", "error", "tolerance"),
)


def worked_section(example: Example, frame: pd.DataFrame) -> page.Section:
    """Return the printed numbers of a worked example, each with its verdict."""
    section = page.Section("worked", example.title or str(frame["example"].iloc[0]), source=example.source)
    shown = frame.assign(name=[number.name for number in example.printed])
    section.tables.append(page.table(shown, "worked-rows", "The rows of worked.csv", WORKED_ORDER))
    return section
