"""What a course gives points for: a file points.toml, and what a comparison earns by it."""

from __future__ import annotations

import inspect
import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from comparisons.checks import check, pose
from comparisons.diagnosis.examination import JUDGED
from comparisons.diagnosis.hint import LEVELS, first_wrong, hint, unanswered
from comparisons.reference.quantities import Key, quantity_name
from comparisons.subject.probes import QUANTITIES
from comparisons.verdict.comparison import Comparison
from comparisons.verdict.distance import greatest
from comparisons.verdict.measured import Measured

# The options of check, which a rubric may have too.
OPTIONS = tuple(name for name in inspect.signature(check).parameters if name != "backprop")
TABLES = ("points", "equations")
# Gradescope's, of a test.
VISIBILITY = ("visible", "hidden", "after_due_date", "after_published")
# What check asks has this many layers, unless sizes or activation say otherwise.
LAYERS = 3
GRADE_COLUMNS = ("submission", "points", "out_of", "first_wrong", "hint", "seconds", "remark")


@dataclass(frozen=True)
class Entry:
    """One thing that there are points for.

    Attributes
    ----------
    quantity : as comparison.csv names it
    layer : its number; "output", "hidden", or "" for all
    points : how many
    table : "points", for right numbers; "equations", for an equation that is right on what it was given
    """

    quantity: str
    layer: str
    points: float
    table: str = "points"

    @property
    def name(self) -> str:
        """What it is called in a report."""
        return f"{self.quantity} {self.layer}".strip() + (", its equation" if self.table == "equations" else "")

    def covers(self, key: Key | None, top: int) -> bool:
        """Whether it is for this quantity, in a network whose output is layer `top`."""
        if key is None:
            return False
        where = {"": True, "output": key[1] == top, "hidden": key[1] != top}
        return key[0] == self.quantity and where.get(self.layer, str(key[1]) == self.layer)

    def standing(self, comparison: Comparison) -> str:
        """Return "right", "wrong", "not returned" or "not judged"."""
        rows = [m for m in comparison.measured if self.covers(m.key, len(m.sizes) - 1)]
        if not rows:
            return "not returned"
        if any(self._fails(m) for m in rows) or self.covers(*first_wrong(comparison)):
            return "wrong"
        unjudged = {m.key for m in comparison.unjudged}
        return "not judged" if any(m.key in unjudged for m in rows) else "right"

    def _fails(self, m: Measured) -> bool:
        return m.is_wrong if self.table == "equations" else not greatest(m.ratio) <= 1


@dataclass(frozen=True)
class Earned:
    """What a function earned by a rubric.

    Attributes
    ----------
    entries : name, points and points at most of each
    standings : of each entry: right, wrong, not returned, not judged
    first_wrong : the note's name of the first wrong quantity, or empty
    hint : as much of the diagnosis as the rubric gives away
    remark : anything else in a sentence
    """

    entries: tuple[tuple[str, float, float], ...]
    standings: tuple[str, ...]
    first_wrong: str = ""
    hint: str = ""
    remark: str = ""

    @property
    def points(self) -> float:
        """The points in all."""
        return math.fsum(points for _, points, _ in self.entries)

    @property
    def out_of(self) -> float:
        """The most points that there are."""
        return math.fsum(most for _, _, most in self.entries)

    def __getitem__(self, name: str) -> str:
        """Return "right" for the entry of this name, else its standing and the hint."""
        standing = dict(zip((entry for entry, _, _ in self.entries), self.standings, strict=True))[name]
        return standing if standing == "right" else "\n".join(filter(None, [standing, self.hint]))


@dataclass(frozen=True)
class Grade:
    """What one submission earned.

    Attributes
    ----------
    submission : the file
    earned : the points and the hint
    seconds : how long it took
    """

    submission: str
    earned: Earned
    seconds: float

    @property
    def row(self) -> dict[str, Any]:
        """The row of grade.csv."""
        earned = self.earned
        return {
            "submission": self.submission,
            "points": earned.points,
            "out_of": earned.out_of,
            "first_wrong": earned.first_wrong,
            "hint": earned.hint,
            "seconds": round(self.seconds, 3),
            "remark": earned.remark,
        }


@dataclass(frozen=True)
class Rubric:
    """What there are points for, and how a function is checked.

    Attributes
    ----------
    entries : what there are points for
    options : of check
    hint : how much of the diagnosis a student is told
    visibility : of Gradescope's tests
    source : the mapping it was read from
    """

    entries: tuple[Entry, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    hint: str = "quantity"
    visibility: str = "visible"
    source: Mapping[str, Any] = field(default_factory=dict)

    def check(self, backprop: Callable[..., Any]) -> Earned:
        """Check a function, and say what it earns.

        Raises
        ------
        ValueError, TypeError
            If an option makes no sense.
        """
        comparison = check(backprop, **self.options)
        said = hint(comparison, self.hint, self.options.get("reduction") == "sum")
        otherwise = any(JUDGED in finding for finding in comparison.findings)
        if not comparison.measured or otherwise or (comparison.findings and not comparison.diagnosis):
            # Nothing shows which quantity is at fault, or it was judged by another statement than that of the rubric.
            return replace(self.nothing(comparison.findings[0] if comparison.findings else ""), hint=said)
        standings = tuple(entry.standing(comparison) for entry in self.entries)
        entries = tuple(
            (entry.name, entry.points if standing == "right" else 0.0, entry.points)
            for entry, standing in zip(self.entries, standings, strict=True)
        )
        first, _ = first_wrong(comparison)
        remark = "it gave no answer on some network" if unanswered(comparison) else ""
        return Earned(entries, standings, quantity_name(first) if first else "", said, remark)

    def nothing(self, why: str) -> Earned:
        """Return no points, for this reason."""
        entries = tuple((entry.name, 0.0, entry.points) for entry in self.entries)
        return Earned(entries, ("not judged",) * len(entries), hint=f"No points: {why}.", remark=why)


def read_rubric(path: str | os.PathLike[str]) -> Rubric:
    """Return the rubric of a file points.toml.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        In one line, what is wrong with it.
    """
    try:
        source = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ValueError(f"{path} is no TOML: {problem}") from None
    try:
        return rubric_of(source)
    except (ValueError, TypeError) as problem:
        raise ValueError(f"{path}: {problem}") from None


def rubric_of(source: Mapping[str, Any]) -> Rubric:
    """Return the rubric that a file points.toml with these contents has.

    Parameters
    ----------
    source : "points" and "equations": points by quantity, as "delta", "delta 2", "delta output" or "delta hidden";
        any option of check; "hint": quantity, equation or fix; "visibility": as Gradescope has it

    Raises
    ------
    ValueError, TypeError
        If it makes no sense.

    Examples
    --------
    >>> rubric = rubric_of({"points": {"gradient": 2, "delta output": 1}, "hint": "equation"})
    >>> [(entry.name, entry.points) for entry in rubric.entries]
    [('gradient', 2.0), ('delta output', 1.0)]
    """
    unknown = sorted(source.keys() - {*TABLES, *OPTIONS, "hint", "visibility"})
    if unknown:
        raise ValueError(f"{unknown[0]} is unknown: expected {', '.join((*TABLES, 'hint', 'visibility', *OPTIONS))}")
    for name, known in (("hint", LEVELS), ("visibility", VISIBILITY)):
        if source.get(name, known[0]) not in known:
            raise ValueError(f"{name} is {source[name]!r}: expected one of {', '.join(known)}")
    options = {name: _hashable(source[name]) for name in OPTIONS if name in source}
    # The questions are made, and with them every option checked, before anybody's code is asked.
    pose(**options)
    top = _layers(options)
    entries = tuple(
        _entry(name, points, table, top) for table in TABLES for name, points in source.get(table, {}).items()
    )
    if not math.fsum(entry.points for entry in entries) > 0:
        raise ValueError("there are no points: expected a table [points] or [equations], such as gradient = 2")
    return Rubric(entries, options, source.get("hint", LEVELS[0]), source.get("visibility", VISIBILITY[0]), source)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _layers(options: Mapping[str, Any]) -> int:
    if options.get("sizes") is not None:
        return len(options["sizes"]) - 1
    return len(options["activation"]) if isinstance(options.get("activation"), tuple) else LAYERS


def _entry(name: str, points: Any, table: str, top: int) -> Entry:
    quantity, _, layer = name.partition(" ")
    layers = ("", "output", "hidden", *map(str, range(1, top + 1))) if quantity != "cost" else ("",)
    if quantity not in QUANTITIES or layer not in layers:
        raise ValueError(
            f"[{table}] has {name!r}: expected {', '.join(QUANTITIES)}; all but the cost also with 1 to {top},"
            " output or hidden behind it"
        )
    if isinstance(points, bool) or not isinstance(points, (int, float)) or not 0 <= points < math.inf:
        raise ValueError(f"[{table}] {name} is {points!r}: expected a number of points")
    return Entry(quantity, layer, float(points), table)
