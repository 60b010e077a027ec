"""Worked examples: the numbers that a page, a book or a lecture prints, against autograd."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from comparisons.mistakes.known import MISTAKES
from comparisons.output import page, report
from comparisons.output.outcome import Outcome
from comparisons.studies.causes import Causes, causes
from comparisons.studies.conventions import Reading, read
from comparisons.studies.examples import STATEMENTS, Example, Printed
from comparisons.studies.numbers import Judged

WORKED_COLUMNS = (
    *("example", "quantity", "layer", "step", "index", "printed", "autograd", "error", "tolerance", "verdict"),
    *("explained_by", "name", "follows_from"),
)
NAMED = 3


def check_example(example: Example, explain: bool = True) -> pd.DataFrame:
    """Compare the printed numbers with autograd's, and look for the known mistake behind each wrong one.

    Parameters
    ----------
    example : as read from its file
    explain : False leaves the wrong numbers unexplained, which takes far less time

    Returns
    -------
    frame : the columns of worked.csv, one row per printed number; layer is empty for the cost
        explained_by is what explains the printed number, the simplest first, else empty; also empty where a number as
        far off would too often be explained by chance. follows_from names the wrong numbers that it follows from.

    Examples
    --------
    >>> from comparisons.studies.examples import read_example
    >>> frame = check_example(read_example("one-neuron.toml"))
    >>> frame["verdict"].unique().tolist()
    ['ok']
    """
    return _frame(*_checked(example, explain))


def _checked(example: Example, explain: bool = True) -> tuple[Reading, Causes]:
    """The page as it is understood, and why its wrong numbers are wrong."""
    reading = read(example)
    return reading, causes(reading) if explain else Causes()


def _frame(reading: Reading, found: Causes) -> pd.DataFrame:
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
            _listed(found.named.get(j, [])),
            j.number.name,
            " and ".join(_name(source.number) for source in found.follows.get(j, ())),
        )
        for j in reading.judged
    ]
    return pd.DataFrame(rows, columns=WORKED_COLUMNS).astype({"layer": "Int64"})


def _listed(names: Sequence[str]) -> str:
    return " or ".join([*names[:NAMED], *([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])])


def _name(number: Printed) -> str:
    """What the page calls a number, else what and where it is."""
    return number.name or _place(number)


def _place(number: Printed) -> str:
    layer = "" if number.key[1] is None else f" {number.key[1]}"
    return f"{number.key[0]}{layer} {number.label}".strip()


def outcome(example: Example) -> Outcome:
    """Judge the printed numbers of a worked example: all is well if some are right and none is wrong."""
    reading, found = _checked(example)
    frame = _frame(reading, found)
    said = [*reading.said, *page_line(found), *first_line(reading, found)]
    return Outcome(
        bool((frame["verdict"] == "ok").any() and not (frame["verdict"] == "wrong").any()),
        worked_line(frame),
        ["\n".join(said), worked_table(example, frame)],
        {"worked.csv": frame},
        "Printed numbers beside autograd",
        answer="; ".join([worked_line(frame), *said]),
        sections=lambda: [worked_section(example, frame)],
    )


def page_line(found: Causes) -> list[str]:
    """Return the line that says what explains the page, if one cause explains all of its wrong numbers."""
    if found.page is None or len(found.page.explained) < found.page.of:
        return []
    first = found.page.names[0]
    meaning = f". {MISTAKES[first].summary}" if first in MISTAKES else ""
    if first.startswith(STATEMENTS):
        meaning = ", which is not what is stated"
    how_many = "both" if found.page.of == 2 else f"all {found.page.of}"
    return [f"{how_many} wrong numbers are explained by {_listed(found.page.names)}{meaning}"]


def first_line(reading: Reading, found: Causes) -> list[str]:
    """Return the line that says which wrong number is the first, and how many of the others follow from it."""
    if found.page is not None and len(found.page.explained) == found.page.of:
        return []
    wrong = [j for j in reading.judged if j.verdict == "wrong"]
    roots = dict.fromkeys(source for j in wrong for source in found.follows.get(j, ()) if source not in found.follows)
    lines = []
    for root in roots:
        if root in found.named and found.page is not None and root in found.page.explained:
            continue
        rest = _following(root, found)
        others = "the rest follows" if len(rest) == len(wrong) - 1 else f"{len(rest)} of the others follow"
        cause = f" ({_listed(found.named[root])})" if found.named.get(root) else ""
        place = "the first wrong number" if root == wrong[0] else "another wrong number"
        lines.append(f"{_name(root.number)} is {place}{cause}; {others} from it")
    return lines


def _following(root: Judged, found: Causes) -> list[Judged]:
    """The wrong numbers that follow from this one, directly or by way of others."""
    rest: list[Judged] = []
    for j in [*found.follows, *found.follows]:
        sources = found.follows[j]
        if j not in rest and any(source == root or source in rest for source in sources):
            rest.append(j)
    return rest


def worked_table(example: Example, frame: pd.DataFrame) -> str:
    """Return a table of the printed numbers that are not right."""
    rows: list[tuple[str, ...]] = [("printed", "quantity", "step", "value", "autograd", "verdict", "explained by")]
    for number, row in zip(example.printed, frame.to_dict("records"), strict=True):
        if row["verdict"] != "ok":
            digits = max(len(number.value.lstrip("-0.")), 3)
            said = (number.value, f"{row['autograd']:.{digits}g}", row["verdict"], row["explained_by"])
            rows.append((number.name, _place(number), f"{number.step:,}", *said))
    return report.table(rows, left=7) if len(rows) > 1 else ""


def worked_line(frame: pd.DataFrame) -> str:
    """Return the result of a worked example in one line."""
    counts = frame["verdict"].value_counts()
    explained = frame["explained_by"] != ""
    following = (~explained & (frame["follows_from"] != "")).sum()
    why = f"{explained.sum()} explained" + (f", {following} following" if following else "")
    parts = [f"{counts.get('ok', 0)} right", f"{counts.get('wrong', 0)} wrong"]
    parts[1] += f" ({why})" if counts.get("wrong", 0) else ""
    parts += [f"{counts['undecided']} undecided"] if "undecided" in counts else []
    return f"{frame['example'].iloc[0]}: {len(frame)} printed numbers, {', '.join(parts)}"


WORKED_ORDER = (
    *("name", "printed", "autograd", "verdict", "explained_by"),
    *("follows_from", "quantity", "layer", "step", "index", "error", "tolerance"),
)


def worked_section(example: Example, frame: pd.DataFrame) -> page.Section:
    """Return the printed numbers of a worked example, each with its verdict."""
    section = page.Section("worked", example.title or str(frame["example"].iloc[0]), source=example.source)
    section.tables.append(page.table(frame, "worked-rows", "The rows of worked.csv", WORKED_ORDER))
    return section
