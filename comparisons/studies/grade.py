"""Grading: points for right quantities and equations, a hint, and each submission in a process of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from comparisons.output import page, report
from comparisons.output.outcome import Outcome
from comparisons.studies.gradebook import FORMATS, write_files
from comparisons.studies.processes import PATIENCE, Answer, in_processes
from comparisons.studies.rubric import GRADE_COLUMNS, Earned, Grade, Rubric, read_rubric, rubric_of
from comparisons.studies.work import progress
from comparisons.subject.implementation import load, told

# More of what somebody's exception says helps nobody.
MOST_LETTERS = 4000
# How the page marks what is not right.
MARKS = {"right": "ok", "wrong": "wrong", "not judged": "undecided", "not returned": "undecided"}


def grade(backprop: Callable[..., Any], points: str | os.PathLike[str] | Mapping[str, Any]) -> Earned:
    """Check somebody's backpropagation, here and now, and say what it earns.

    Parameters
    ----------
    backprop : as for `check`
    points : a file points.toml, or what would stand in it

    Returns
    -------
    earned : points, out_of, first_wrong, hint; earned["delta"] is "right", or says what is known of it

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it makes no sense.

    Examples
    --------
    >>> from handnet import Network
    >>> def doubled(weights, inputs, targets):
    ...     result = Network(weights).backprop(inputs, targets)
    ...     return {"deltas": result.deltas, "gradients": [2 * g for g in result.gradients]}
    >>> earned = grade(doubled, {"points": {"delta": 3, "gradient": 2}})
    >>> earned.points, earned.out_of, earned["delta"]
    (3.0, 5.0, 'right')
    >>> print(earned["gradient"])
    wrong
    Look at dC/dW^(3), of layer 3 of 3: it is the first wrong quantity.
    """
    rubric = rubric_of(points) if isinstance(points, Mapping) else read_rubric(points)
    return rubric.check(backprop)


def targets_of(texts: Sequence[str], function: str) -> list[str]:
    """Return file.py:function for each submission, which may name its function or leave that to the others' name.

    Raises
    ------
    ValueError
        If one is no Python file, or comes twice.
    OSError
        If one cannot be read.
    """
    targets = [f"{text}:{function}" if text.endswith(".py") else text for text in texts]
    for i, target in enumerate(targets):
        file = _file_of(target)
        if not file.endswith(".py"):
            raise ValueError(f"target is {texts[i]!r}: expected file.py or file.py:function")
        if target in targets[:i]:
            raise ValueError(f"{texts[i]} was given twice")
        Path(file).open("rb").close()  # an OSError names the file
    return targets


def outcome(
    targets: Sequence[str],
    rubric: Rubric,
    form: str = "csv",
    folder: str = "reports",
    seconds: float = PATIENCE,
    jobs: int = 1,
) -> Outcome:
    """Grade submissions, each in a process of its own.

    Parameters
    ----------
    targets : file.py:function
    form : one of FORMATS, what is written beside grade.csv
    folder : where to
    seconds : after which a submission is ended
    jobs : processes at a time
    """
    items = [(target, rubric) for target in targets]
    answers = dict(progress(in_processes(graded, items, seconds, jobs), [1] * len(items), "submissions"))
    grades = [_grade(target, rubric, answers[i]) for i, target in enumerate(targets)]
    names = file_names([one.submission for one in grades])
    files = FORMATS[form](dict(zip(names, grades, strict=True)), rubric, targets[0].rpartition(":")[2])
    return Outcome(
        all(one.earned.points == one.earned.out_of for one in grades),
        grade_line(grades),
        [grade_table(grades), *([grades[0].earned.hint] if len(grades) == 1 else [])],
        {"grade.csv": grade_frame(grades)},
        f"{len(grades)} submission{'s' if len(grades) > 1 else ''} graded",
        sections=lambda: [grade_section(grades)],
        written=partial(write_files, files, folder),
    )


def graded(item: tuple[str, Rubric]) -> dict[str, Any]:
    """Return what a submission earns, as JSON can write it; whatever goes wrong is its own fault."""
    target, rubric = item
    try:
        earned = rubric.check(load(target))
    except Exception as raised:
        why = str(raised) if isinstance(raised, (ValueError, OSError)) else told(raised)
        earned = rubric.nothing(" ".join(why.split()))
    texts = {name: readable(getattr(earned, name)) for name in ("hint", "remark")}
    return asdict(earned) | texts


def readable(text: str) -> str:
    """Return a text without what no file or terminal can hold, and not for ever.

    Examples
    --------
    >>> readable("a\\x00b\\udc80")
    'a\\\\x00b\\\\udc80'
    """
    return "".join(
        sign if sign in "\n\t" or sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in text[:MOST_LETTERS]
    )


def _grade(target: str, rubric: Rubric, answer: Answer) -> Grade:
    value, earned = answer.value, rubric.nothing(answer.problem)
    if value is not None:
        entries, standings = tuple(map(tuple, value.pop("entries"))), tuple(value.pop("standings"))
        earned = Earned(entries, standings, **value)
    return Grade(_file_of(target), earned, answer.seconds)


def _file_of(target: str) -> str:
    return target.rpartition(":")[0]


def file_names(submissions: Sequence[str]) -> list[str]:
    """Return a name for each submission that a file can have, no two the same.

    Examples
    --------
    >>> file_names(["a/mine.py", "b/mine.py"])
    ['a-mine', 'b-mine']
    >>> file_names(["x y.py", "x-y.py"])
    ['1-x-y', '2-x-y']
    """
    names = [re.sub(r"[^\w.]+", "-", str(Path(text).with_suffix(""))).strip("-.") for text in submissions]
    return names if len(set(names)) == len(names) else [f"{i}-{name}" for i, name in enumerate(names, start=1)]


def grade_table(grades: Sequence[Grade]) -> str:
    """Return a row for each entry of a single submission, else for each submission."""
    if len(grades) == 1:
        earned = grades[0].earned
        rows = [("", "", "points", "out of")]
        for (name, points, most), standing in zip(earned.entries, earned.standings, strict=True):
            rows.append((name, standing, f"{points:g}", f"{most:g}"))
        return report.table(rows, left=2)
    head = ("submission", "first wrong", "points", "out of", "remark")
    lines = [head]
    for one in grades:
        earned = one.earned
        lines.append((one.submission, earned.first_wrong, f"{earned.points:g}", f"{earned.out_of:g}", earned.remark))
    # The remark last and flush left, however long it is.
    shown = report.table([line[:4] for line in lines], left=2).splitlines()
    return "\n".join(f"{row}  {line[4]}".rstrip() for row, line in zip(shown, lines, strict=True))


def grade_frame(grades: Sequence[Grade]) -> pd.DataFrame:
    """Return a row for each submission: the columns of grade.csv."""
    return pd.DataFrame([one.row for one in grades], columns=GRADE_COLUMNS)


def grade_section(grades: Sequence[Grade]) -> page.Section:
    """Return what each submission has right and wrong, with how many have it right, and the rows of grade.csv."""
    section = page.Section("grades", "What each submission earns")
    rows = []
    for one in grades:
        standings = zip(one.earned.entries, one.earned.standings, strict=True)
        row: dict[str, Any] = {"submission": one.submission}
        row |= {name: page.Cell(standing, mark=MARKS.get(standing, "")) for (name, _, _), standing in standings}
        rows.append({**row, "points": one.earned.points})
    matrix = pd.DataFrame(rows)
    section.tables.append(page.table(matrix, "grades-matrix", "Submissions by entry", list(matrix.columns)))
    entries = [
        {"entry": name, "out_of": most, "right": sum(one.earned.standings[i] == "right" for one in grades)}
        for i, (name, _, most) in enumerate(grades[0].earned.entries)
    ]
    frame = pd.DataFrame(entries)
    section.tables.append(page.table(frame, "grades-entries", "How many have it right", list(frame.columns)))
    rows_of_csv = grade_frame(grades)
    section.tables.append(page.table(rows_of_csv, "grades-rows", "The rows of grade.csv", list(rows_of_csv.columns)))
    return section


def grade_line(grades: Sequence[Grade]) -> str:
    """Return the result in one line."""
    earned = [one.earned for one in grades]
    if len(grades) == 1:
        return f"{earned[0].points:g} of {earned[0].out_of:g} points"
    mean, full = sum(one.points for one in earned) / len(earned), sum(one.points == one.out_of for one in earned)
    return f"{len(grades)} submissions: {full} with all points, {mean:.3g} of {earned[0].out_of:g} points on average"
