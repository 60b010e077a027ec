"""The HTML page: one self-contained file that shows what the CSV files say; it needs the extra html."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from comparisons.extras import extra
from comparisons.functions import FunctionComparison, Leaf
from comparisons.output import maps
from comparisons.output.report import check_line, versions_line
from comparisons.reference.quantities import element_name, quantity_name
from comparisons.verdict.comparison import FEW_NUMBERS, Comparison
from comparisons.verdict.distance import greatest
from comparisons.verdict.measured import ELEMENT_COLUMNS, VERDICTS, Measured
from handnet.files import replacing

# What counts comes first, where no screen is too narrow for it.
ROW_ORDER = (
    *("step", "quantity", "layer", "verdict", "error_over_tolerance", "local_error_over_tolerance", "worst_element"),
    *("hand", "torch", "tolerance", "max_abs_error", "max_rel_error", "resolution", "elements"),
)
ELEMENT_ORDER = (
    *("name", "verdict", "hand", "torch", "error", "tolerance"),
    *("quantity", "layer", "sample", "row", "column"),
)
FUNCTION_ORDER = (
    *("quantity", "verdict", "shape", "dtype", "error_over_tolerance", "error_over_expected", "worst_element", "hand"),
    *("torch", "tolerance", "expected", "max_abs_error", "max_rel_error", "resolution", "elements"),
)
FUNCTION_ELEMENTS = ("name", "verdict", "hand", "torch", "error", "tolerance", "expected", "quantity")
# Shown as they are in the CSV files; every other float with four digits, and whole in the cell's data.
WHOLE = {"hand", "torch", "printed", "autograd"}
# Where a number that is not there would be the very thing that is wrong.
NUMBERS = {"hand", "torch", "error", "max_abs_error", "max_rel_error"}
VERDICT_COLUMNS = {"verdict", "as_printed", "as_corrected"}
# The colours of the figures stand for those of the page, light or dark.
INK, LINE, FIRST, SECOND = "#010203", "#040506", "#070809", "#0a0b0c"
COLOURS = {INK: "currentColor", LINE: "var(--line)", FIRST: "var(--a)", SECOND: "var(--b)"}
# A table with more rows is folded, a network with more layers shown as blocks.
MOST_ROWS, MOST_LAYERS = 40, 12
# Beyond this a training has come apart, and nothing is to be seen in its picture.
COME_APART = 1e100
# Of a function's results at most so many arrays are drawn.
MOST_MAPS = 40
FAILED = ("wrong", "suspect")


class Cell(NamedTuple):
    """A cell of a table: its text, the whole number where it is one, and the verdict that it is marked with."""

    text: str
    number: str | None = None
    mark: str = ""


@dataclass
class Section:
    """One part of the page: what the template shows of it, where it is there."""

    id: str
    title: str
    verdict: str = ""
    text: list[str] = field(default_factory=list)
    source: str = ""
    network: dict[str, Any] | None = None
    blocks: dict[str, Any] | None = None
    maps: dict[str, Any] | None = None
    figures: list[dict[str, str]] = field(default_factory=list)
    equations: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)


def check_installed() -> None:
    """Raise MissingExtraError unless what a page needs is installed."""
    extra("jinja2", "html")
    extra("matplotlib", "html")


def render(
    title: str, answer: str, passed: bool, sections: Sequence[Section], messages: Sequence[str] = (), footer: str = ""
) -> str:
    """Return the page as text.

    Parameters
    ----------
    title, answer : at the top
    passed : how the answer looks
    sections : in order
    messages : what did not match, in full
    footer : where the numbers come from
    """
    jinja2 = extra("jinja2", "html")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("comparisons"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("page.html")
    text = template.render(
        title=title, answer=answer, passed=passed, sections=sections, messages=messages, footer=footer
    )
    # Somebody's message may hold what is no letter at all.
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


# Comparisons.


def to_html(comparison: Comparison | FunctionComparison, directory: str | os.PathLike[str]) -> None:
    """Write index.html, a page that shows a comparison; it needs the extra html.

    Parameters
    ----------
    comparison : of a network, or of a function with its reference
    directory : made where it is missing

    Raises
    ------
    MissingExtraError
        If jinja2 or matplotlib is not installed.
    OSError
        If the file cannot be written; what stood there before is untouched.

    Examples
    --------
    >>> from comparisons import compare, to_html
    >>> from handnet import Network
    >>> net = Network.random([2, 3, 1], rng=np.random.default_rng(0))
    >>> to_html(compare(net, [0.5, -0.5], [1.0]), "reports")  # doctest: +SKIP
    """
    check_installed()
    if isinstance(comparison, FunctionComparison):
        title, answer = "A function beside torch", repr(comparison)[1:-1].removeprefix("FunctionComparison: ")
        sections = [function_section(comparison)]
    else:
        what = f"{'-'.join(map(str, comparison.sizes))}, {' '.join(comparison.activation)}, {comparison.dtype}"
        title, answer = f"{what} beside autograd", check_line(comparison)
        sections = comparison_sections({"": comparison})
    messages = [] if comparison.passed else [comparison.message()]
    write(render(title, answer, comparison.passed, sections, messages, versions_line()), directory)


def write(text: str, directory: str | os.PathLike[str]) -> None:
    """Write the page as index.html, all of it or, on failure, nothing.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    Path(directory).mkdir(parents=True, exist_ok=True)
    with replacing(Path(directory) / "index.html") as path:
        path.write_text(text, encoding="utf-8")


def comparison_sections(results: Mapping[str, Comparison]) -> list[Section]:
    """Return a section for each case."""
    sections: list[Section] = []
    for name, comparison in results.items():
        for case in dict.fromkeys(m.case for m in comparison.measured):
            title = " ".join(dict.fromkeys(filter(None, (name, case))))
            sections.append(_case(f"case-{len(sections) + 1}", title, comparison, case))
    return sections


def _case(identity: str, title: str, comparison: Comparison, case: str) -> Section:
    measured = [m for m in comparison.measured if m.case == case]
    start = min(m.step for m in measured)
    first = [m for m in measured if m.step == start]
    frame = comparison.frame
    worst = frame.loc[[comparison.measured.index(m) for m in worst_of(measured)]]
    numbers = sum(m.hand.size for m in measured)
    text = [
        f"{'-'.join(map(str, measured[0].sizes))}, {' '.join(comparison.activation)}, {comparison.dtype}:"
        f" {numbers:,} numbers in {measured[-1].step - start + 1} steps."
    ]
    if comparison.blind_is_quick and comparison.blind:
        text.append(f"These data cannot show {comparison.blind_kinds()}: {', '.join(comparison.blind)}.")
    section = Section(identity, title or "comparison", _verdict(comparison, measured), text)
    caption = "The row of comparison.csv with the greatest error for each quantity and layer"
    section.tables.append(table(worst, f"{identity}-rows", caption, ROW_ORDER))
    problem = comparison.problems.get((case, start))
    if can_be_drawn(first):
        rows = [row for m in first for row in m.element_rows(everything=True)]
        elements = pd.DataFrame(rows, columns=ELEMENT_COLUMNS)
        caption = f"Every number of step {start}, as in elements.csv"
        shown = table(elements, f"{identity}-elements", caption, ELEMENT_ORDER, folded=True)
        for row, element in zip(shown["rows"], rows, strict=True):
            row["data"] = {"name": element["name"], "sample": "" if element["sample"] is None else element["sample"]}
        section.network = drawing(first, problem)
        section.tables.append(shown)
        section.maps = _maps({m.key: _array(m) for m in first if m.is_wrong and m.key[0] != "cost"})
    elif not _is_stack(first):
        section.blocks = blocks(first)
    training = comparison.training
    training = training[training["case"] == case]
    if len(training) > 2:
        section.figures.append(training_figure(training))
    return section


def _verdict(comparison: Comparison, measured: Sequence[Measured]) -> str:
    """The verdict of a case: of what is only undecided it is so where no step could judge it."""
    if any(m.verdict in ("wrong", "inherited") for m in measured):
        return "wrong"
    if any(m.verdict == "suspect" for m in measured):
        return "suspect"
    return "undecided" if any(m.case == measured[0].case for m in comparison.unjudged) else "ok"


def worst_of(measured: Sequence[Measured]) -> list[Measured]:
    """Of each quantity and layer the step with the gravest verdict and then the greatest error / tolerance."""
    by_key: dict[Any, list[Measured]] = {}
    for m in measured:
        by_key.setdefault(m.key, []).append(m)
    return [max(group, key=lambda m: (int(m.verdicts.max()), greatest(m.ratio))) for group in by_key.values()]


# The network, drawn.


def can_be_drawn(first: Sequence[Measured]) -> bool:
    """Whether a network, of which this was measured in a step, is a single one and small enough to be drawn."""
    few = sum(m.hand.size for m in first) <= FEW_NUMBERS and len(first[0].sizes) <= MOST_LAYERS + 1
    return few and not _is_stack(first)


def _is_stack(first: Sequence[Measured]) -> bool:
    return any(m.hand.ndim > 2 for m in first)


def _has_biases(first: Sequence[Measured]) -> bool:
    matrices = {m.key[1]: m.hand for m in first if m.key[0] in ("gradient", "weight")}
    return not any(l and len(matrix) == first[0].sizes[l - 1] for l, matrix in matrices.items())


def drawing(first: Sequence[Measured], problem: Any) -> dict[str, Any]:
    """Return the nodes and edges of a small network, with the names by which their numbers are found.

    Parameters
    ----------
    first : everything measured in one step
    problem : what was asked, for the weights and inputs that the numbers are made of; or None
    """
    sizes = first[0].sizes
    top, biases = len(sizes) - 1, _has_biases(first)
    counts = [*(size + biases for size in sizes[:-1]), sizes[-1]]
    width, height = 720, 64 * max(counts)
    verdicts = {m.key: m for m in first}

    def place(l: int, i: int) -> tuple[float, float]:
        return 60 + l * (width - 120) / top, 24 + height * (i + 0.5) / counts[l]

    nodes, edges = [], []
    for l in range(top + 1):
        for i in range(counts[l]):
            nodes.append(_node(verdicts, problem, sizes, l, i, place(l, i)))
    for l in range(1, top + 1):
        for i in range(sizes[l]):
            for j in range(counts[l - 1]):
                edges.append(_edge(verdicts, problem, sizes, l, i, j, place(l - 1, j), place(l, i)))
    columns = [
        {"x": place(l, 0)[0], "text": "inputs" if l == 0 else "outputs" if l == top else f"layer {l}"}
        for l in range(top + 1)
    ]
    return {
        "width": width,
        "height": height + 30,
        "nodes": nodes,
        "edges": edges,
        "columns": columns,
        # Weights and gradients are those of all samples together.
        "samples": first[0].batch if any(m.key[0] in ("activation", "delta") for m in first) else 1,
        **_shown_first(first),
        "alternative": " nodes, ".join(map(str, sizes))
        + f" nodes, {len(edges)} weights{' and biases' if biases else ''}",
    }


def _shown_first(first: Sequence[Measured]) -> dict[str, Any]:
    """The name and the sample of the number at which one would look first: a wrong one, else an output."""
    wrong = next((m for m in first if m.is_wrong and m.key[0] != "cost"), None)
    if wrong is None:
        return {"first": f"a_0^({len(first[0].sizes) - 1})", "sample": 0}
    sample = wrong.worst[0] if wrong.key[0] in ("activation", "delta") else 0
    return {"first": element_name(wrong.key, wrong.worst, wrong.hand.shape, with_sample=False), "sample": sample}


def _node(
    verdicts: Mapping[Any, Measured], problem: Any, sizes: Sequence[int], l: int, i: int, place: tuple[float, float]
) -> dict[str, Any]:
    bias = i == sizes[l]
    label = f"the 1 for the biases, beside layer {l}" if bias else f"node {i} of layer {l}" if l else f"input {i}"
    names = [] if bias or l == 0 else [f"a_{i}^({l})", f"delta_{i}^({l})"]
    values = "" if problem is None or bias or l else ", ".join(f"{value!r}" for value in problem.inputs[:, i].tolist())
    verdict = _gravest(m.verdicts[:, i] for q in ("activation", "delta") if not bias and (m := verdicts.get((q, l))))
    return {
        "x": round(place[0], 1),
        "y": round(place[1], 1),
        "bias": bias,
        "text": 1 if bias else i,
        "label": label,
        "names": "|".join(names),
        "note": f"a_{i}^(0) of each sample: {values}" if values else "",
        "verdict": verdict,
    }


def _edge(
    verdicts: Mapping[Any, Measured],
    problem: Any,
    sizes: Sequence[int],
    l: int,
    i: int,
    j: int,
    start: tuple[float, float],
    end: tuple[float, float],
) -> dict[str, Any]:
    shape = (sizes[l - 1] + 1, sizes[l])
    weight, gradient = (element_name((q, l), (j, i), shape) for q in ("weight", "gradient"))
    below = "the bias" if j == sizes[l - 1] else f"node {j} of layer {l - 1}" if l > 1 else f"input {j}"
    value = None if problem is None else float(problem.weights[l - 1][j, i])
    verdict = _gravest(m.verdicts[j, i : i + 1] for q in ("gradient", "weight") if (m := verdicts.get((q, l))))
    return {
        **dict(zip(("x1", "y1", "x2", "y2"), (round(v, 1) for v in (*start, *end)), strict=True)),
        "stroke": _stroke(problem, l, value),
        "label": f"{weight}, from {below} to node {i} of layer {l}",
        "names": f"{weight}|{gradient}",
        "note": "" if value is None else f"the weight before the step: {value!r}",
        "verdict": verdict,
    }


def _stroke(problem: Any, l: int, value: float | None) -> float:
    """How thick an edge is: as its weight among the others of its layer, and thin where there are many."""
    if value is None:
        return 1.0
    weights = problem.weights[l - 1]
    largest = float(np.abs(weights).max()) or 1.0
    thickest = 3.5 if weights.size < 30 else 1.2
    return round(0.4 + thickest * abs(value) / largest, 2)


def _gravest(verdicts: Any) -> str:
    worst = max((int(part.max()) for part in verdicts), default=0)
    return VERDICTS[worst]


# A large network: blocks, and its matrices as heat maps.


def blocks(first: Sequence[Measured]) -> dict[str, Any]:
    """Return the layers of a large network as blocks, and between them the gradients' errors as heat maps."""
    sizes = first[0].sizes
    matrices = {m.key: m for m in first if m.key[0] in ("gradient", "weight")}
    shown = {l: matrices.get(("gradient", l)) or matrices.get(("weight", l)) for l in range(1, len(sizes))}
    made, low = maps.pictures({l: _array(m) for l, m in shown.items() if m})
    whats = ["inputs", *["nodes"] * (len(sizes) - 2), "outputs"]
    parts = [{"size": size, "what": whats[l], "map": made.get(l + 1)} for l, size in enumerate(sizes)]
    return {"parts": parts, "low": low}


def _maps(arrays: Mapping[Any, maps.Array]) -> dict[str, Any] | None:
    """Pictures of arrays, as the template shows them; nothing of nothing."""
    made, low = maps.pictures(arrays)
    return {"pictures": list(made.values()), "low": low} if made else None


def _array(m: Measured) -> maps.Array:
    return maps.Array(quantity_name(m.key), f"{m.hand.shape[0]} x {m.hand.shape[1]}, step {m.step}", m.graver_ratio)


# A function beside torch.


def function_section(
    comparison: FunctionComparison, identity: str = "results", title: str = "Each array of the results"
) -> Section:
    """Return the results of a function beside torch's: a row and a heat map for each array, and every number."""
    verdicts = [verdict for verdict in FAILED if comparison.count(verdict)]
    section = Section(identity, title, verdicts[0] if verdicts else "ok", [*comparison.remarks])
    section.tables.append(table(comparison.frame, f"{identity}-rows", "The rows of comparison.csv", FUNCTION_ORDER))
    caption = "The numbers of elements.csv"
    section.tables.append(table(comparison.elements(), f"{identity}-elements", caption, FUNCTION_ELEMENTS, folded=True))
    several = {leaf.path: leaf for leaf in comparison.leaves if leaf.torch.size > 1}
    shown = dict(list(several.items())[:MOST_MAPS])
    section.maps = _maps({path: _matrix(leaf) for path, leaf in shown.items()})
    return section


def _matrix(leaf: Leaf) -> maps.Array:
    """An array of any shape as a matrix: what has more axes than two is laid out below each other."""
    ratio = leaf.ratio(leaf.tolerance)
    return maps.Array(leaf.path, " x ".join(map(str, ratio.shape)), ratio.reshape(-1, ratio.shape[-1]))


# Figures.


def training_figure(training: pd.DataFrame) -> dict[str, str]:
    """Return the costs of both trainings over each other, and how far their weights drift apart."""
    (left, costs), (right, drift) = axes(4.5), axes(4.5)
    steps = training["step"]
    numbers = training[["cost_hand", "cost_torch", "drift"]]
    numbers = numbers.where(numbers.abs() < COME_APART)
    costs.plot(steps, numbers["cost_torch"], color=FIRST, linewidth=4, alpha=0.5, label="torch")
    costs.plot(steps, numbers["cost_hand"], color=SECOND, linewidth=1.2, label="by hand")
    costs.set(xlabel="step", ylabel="cost")
    for plot in (costs, drift):
        plot.xaxis.get_major_locator().set_params(integer=True)
    drift.plot(steps, numbers["drift"], color=FIRST)
    drift.set(xlabel="step", ylabel="difference of weights")
    if (numbers["drift"] > 0).any():
        drift.set_yscale("log")
    legend = costs.legend(frameon=False, labelcolor=INK)
    legend.set_zorder(3)
    start, end = training["cost_hand"].iloc[0], training["cost_hand"].iloc[-1]
    worst = training["drift"].max()
    return {
        "svg": svg(left) + svg(right),
        "alternative": f"Two trainings side by side: the cost goes from {start:.4g} to {end:.4g} by hand;"
        f" their weights drift apart by up to {worst:.4g}.",
        "caption": f"Two trainings on their own, {len(training)} steps, as in training.csv: cost and drift.",
    }


def axes(width: float) -> tuple[Any, Any]:
    """A figure, so many inches wide, in the colours of the page; not by way of pyplot, which keeps all figures."""
    figures = extra("matplotlib.figure", "html")
    figure = figures.Figure(figsize=(width, 2.8))
    # Fixed margins: laying a figure out takes as long again as drawing it.
    figure.subplots_adjust(left=0.8 / width, right=1 - 0.1 / width, bottom=0.17, top=0.95)
    figure.patch.set_alpha(0)
    plot = figure.subplots()
    plot.patch.set_alpha(0)
    plot.tick_params(colors=INK, which="both")
    plot.xaxis.label.set_color(INK)
    plot.yaxis.label.set_color(INK)
    plot.grid(color=LINE, linewidth=0.8)
    plot.set_axisbelow(True)
    for side in plot.spines.values():
        side.set_color(LINE)
    return figure, plot


def svg(figure: Any) -> str:
    """The figure as SVG that takes its colours from the page."""
    matplotlib = extra("matplotlib", "html")
    written = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "handnet", "font.family": "sans-serif"}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in COLOURS.items():
        text = text.replace(colour, variable)
    return text


# Tables.


def table(
    frame: pd.DataFrame, identity: str, caption: str, columns: Sequence[str], folded: bool = False
) -> dict[str, Any]:
    """Return a frame as the template shows it: each cell as text, and a number whole beside it.

    Columns that are empty throughout are left out, and a long table is folded.
    """
    columns = [name for name in columns if not (frame[name].isna() | (frame[name].astype(str) == "")).all()]
    rows = [
        {"data": {}, "cells": [_cell(name, value) for name, value in zip(columns, row, strict=True)]}
        for row in frame[columns].itertuples(index=False, name=None)
    ]
    names, folded = [name.replace("_", " ") for name in columns], folded or len(rows) > MOST_ROWS
    return {"id": identity, "caption": caption, "columns": names, "rows": rows, "folded": folded}


def _cell(name: str, value: Any) -> Cell:
    if isinstance(value, Cell):
        return value
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return Cell("NaN" if name in NUMBERS and value is not None else "")
    if isinstance(value, (bool, np.bool_)):
        return Cell("yes" if value else "no")
    if isinstance(value, (int, np.integer)):
        return Cell(f"{value}", f"{value}")
    if isinstance(value, (float, np.floating)):
        return Cell(repr(float(value)) if name in WHOLE else f"{value:.4g}", repr(float(value)))
    return Cell(str(value), mark=str(value) if name in VERDICT_COLUMNS else "")
