"""A comparison as a notebook shows it: the answer, a small network drawn, the table, and what it says below.

It needs no extra, no style sheet and no script: a notebook keeps few of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import pandas as pd

from comparisons.functions import FunctionComparison
from comparisons.output import page
from comparisons.output.report import check_line
from comparisons.verdict.comparison import Comparison
from comparisons.verdict.measured import Measured

OF_NETWORK = ("quantity", "layer", "elements", "error_over_tolerance", "local_error_over_tolerance", "resolution")
OF_FUNCTION = ("quantity", "shape", "dtype", "error_over_tolerance", "error_over_expected", "resolution")
# Blue and orange of Okabe and Ito, to be read on white and on black; what is wrong is dashed besides.
GOOD, BAD = "#0072b2", "#d55e00"
FAILED = ("wrong", "inherited")
# The drawing of the page is made for a wider place.
WIDTH = 560


def html(comparison: Comparison | FunctionComparison) -> str:
    """Return a comparison as HTML.

    Parameters
    ----------
    comparison : of a network, or of a function with its reference

    Examples
    --------
    >>> from comparisons import check_function
    >>> import numpy as np, torch
    >>> text = html(check_function(np.tanh, torch.tanh, np.ones(3)))
    >>> "match in 3 numbers" in text and "<table" in text
    True
    """
    root = Element("div")
    if isinstance(comparison, FunctionComparison):
        _add_answer(root, comparison.passed, repr(comparison)[1:-1])
        _add_table(root, comparison.frame, OF_FUNCTION)
        SubElement(root, "pre", style="white-space: pre-wrap").text = comparison.message()
    else:
        _add_answer(root, comparison.passed, check_line(comparison))
        first = _drawn_first(comparison)
        if first:
            problem = comparison.problems.get((first[0].case, first[0].step))
            _add_drawing(root, page.drawing(first, problem), _numbers(first))
        worst = [comparison.measured.index(m) for m in page.worst_of(comparison.measured)]
        _add_table(root, comparison.frame.loc[worst], OF_NETWORK)
        SubElement(root, "pre", style="white-space: pre-wrap").text = comparison.said()
    return tostring(root, encoding="unicode", method="html")


def _add_answer(root: Element, passed: bool, answer: str) -> None:
    style = f"border-left: 0.4em solid {GOOD if passed else BAD}; padding-left: 0.6em; font-weight: bold"
    SubElement(root, "p", style=style).text = f"{'✓' if passed else '✗'} {answer}"


def _add_table(root: Element, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    if frame.empty:
        return
    shown = page.table(frame, "", "", [*columns, "verdict"])
    table = SubElement(root, "table")
    head = SubElement(table, "tr")
    for name in shown["columns"]:
        SubElement(head, "th").text = name
    for row in shown["rows"]:
        line = SubElement(table, "tr")
        for cell in row["cells"]:
            SubElement(line, "td", style=f"color: {BAD}" if cell.mark in FAILED else "").text = cell.text


# The drawing.


def _drawn_first(comparison: Comparison) -> list[Measured]:
    """The first step of the first case that is wrong, or else of the first; nothing if it is too large."""
    failed = [m for m in comparison.measured if m.verdict in FAILED]
    start = next(iter([*failed, *comparison.measured]), None)
    of_case = [m for m in comparison.measured if start and m.case == start.case]
    first = [m for m in of_case if m.step == of_case[0].step]
    return first if first and page.can_be_drawn(first) else []


def _numbers(first: Sequence[Measured]) -> dict[str, str]:
    """What is shown where one points, by the note's name of the number; of several samples the first."""
    rows = [row for m in first for row in m.element_rows(everything=True) if not row["sample"]]
    return {
        row["name"].partition(" [")[0]: f"{row['name']}: {row['hand']!r}, autograd {row['torch']!r}, {row['verdict']}"
        for row in rows
    }


def _add_drawing(root: Element, drawn: Mapping[str, Any], numbers: Mapping[str, str]) -> None:
    box = f"0 0 {drawn['width']} {drawn['height']}"
    label = f"The network: {drawn['alternative']}"
    svg = SubElement(
        root, "svg", {"viewBox": box, "style": f"max-width: {WIDTH}px", "role": "img", "aria-label": label}
    )
    for edge in drawn["edges"]:
        ends = {end: str(edge[end]) for end in ("x1", "y1", "x2", "y2")}
        SubElement(_part(svg, edge, numbers, edge["stroke"]), "line", ends)
    for node in drawn["nodes"]:
        x, y, part = node["x"], node["y"], _part(svg, node, numbers, 1.5)
        if node["bias"]:
            SubElement(part, "rect", {"x": str(x - 15), "y": str(y - 15), "width": "30", "height": "30"})
        else:
            SubElement(part, "circle", {"cx": str(x), "cy": str(y), "r": "20"})
        _add_text(svg, x, y + 5, node["text"])
    for column in drawn["columns"]:
        _add_text(svg, column["x"], 16, column["text"])


def _part(svg: Element, part: Mapping[str, Any], numbers: Mapping[str, str], width: float) -> Element:
    """A node or an edge, which says what it is, and its numbers, where one points at it."""
    failed = part["verdict"] in FAILED
    look = {"stroke": BAD, "stroke-dasharray": "6 4"} if failed else {"stroke": "currentColor"}
    group = SubElement(svg, "g", {**look, "stroke-width": str(width), "fill": "Canvas"})
    known = [numbers[name] for name in part["names"].split("|") if name in numbers]
    SubElement(group, "title").text = "\n".join([part["label"], *known])
    return group


def _add_text(svg: Element, x: float, y: float, text: Any) -> None:
    place = {"x": str(x), "y": str(y), "text-anchor": "middle", "font-size": "14", "fill": "currentColor"}
    SubElement(svg, "text", {**place, "pointer-events": "none"}).text = str(text)
