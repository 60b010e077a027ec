"""The note's equations, each evaluated as printed at many random points, beside autograd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from comparisons.output import page, report
from comparisons.output.mathml import mathml
from comparisons.output.outcome import Outcome
from comparisons.reference.rounding import Rounding
from comparisons.reference.twin import Twin
from comparisons.studies.cases import case
from handnet.activations import FloatArray
from handnet.note import EQUATIONS, Equation, Note, ShapeError, undefined

EQUATION_COLUMNS = ["equation", "quantity", "printed", "as_printed", "max_error", "corrected", "as_corrected", "remark"]
VALUE_COLUMNS = ["equation", "row", "column", "printed", "autograd", "corrected"]
POINTS = 1000
TITLE = "The note's equations beside autograd"
GAMMA = 0.5


@dataclass(frozen=True)
class LeftSide:
    """A quantity according to autograd, in the shape that the note gives it, and the tolerance of each element."""

    value: FloatArray
    tolerance: FloatArray


@dataclass(frozen=True)
class Agreement:
    """How a form came out: agrees, differs, shape or notation; and its largest error."""

    verdict: str
    max_error: float
    remark: str = ""


def evaluate_equations(points: int = POINTS, seed: int = 0) -> pd.DataFrame:
    """Evaluate every displayed equation of the note beside autograd.

    Parameters
    ----------
    points : how many random networks
    seed : of their numbers

    Returns
    -------
    frame : the columns of equations.csv, one row per equation

    Examples
    --------
    >>> frame = evaluate_equations(points=10)
    >>> frame[frame["as_printed"] == "shape"]["equation"].tolist()
    ['update (2)', 'A^(0) under dC/dW^(1)']
    """
    if points < 1:
        raise ValueError(f"points is {points}: expected 1 or more")
    rng = np.random.default_rng(seed)
    weights = (rng.standard_normal((points, 3, 2)), rng.standard_normal((points, 3, 2)))
    inputs, targets = rng.standard_normal((points, 1, 2)), rng.uniform(0, 1, (points, 1, 2))
    sides = left_sides(weights, inputs, targets, GAMMA)
    note = _note(weights, inputs, targets)
    return pd.DataFrame([_row(equation, note, sides) for equation in EQUATIONS], columns=EQUATION_COLUMNS)


def equation_values(weights: Sequence[FloatArray], inputs: FloatArray, targets: FloatArray) -> pd.DataFrame:
    """Evaluate every displayed equation of the note for one network.

    Parameters
    ----------
    weights : W^(1) and W^(2), (3, 2)
    inputs, targets : (1, 2)

    Returns
    -------
    frame : one row for each element: equation, row, column, printed, autograd, corrected
        printed is empty where the printed form has no value of that shape, corrected where there is none.

    Examples
    --------
    >>> one = np.ones((3, 2))
    >>> frame = equation_values((one, one), np.ones((1, 2)), np.zeros((1, 2)))
    >>> frame[frame["equation"] == "(1)"].round(6).values.tolist()
    [['(1)', 0, 0, 0.952574, 0.952574, nan]]
    """
    stacked = tuple(w[np.newaxis] for w in weights)
    points = (inputs[np.newaxis], targets[np.newaxis])
    sides = left_sides((stacked[0], stacked[1]), *points, GAMMA)
    rows: list[tuple[object, ...]] = []
    note = _note(stacked, *points)
    for equation in EQUATIONS:
        true = sides[equation.quantity].value
        printed = _value(note, equation.printed, true)
        corrected = _value(note, equation.corrected, true) if equation.corrected else np.full(true.shape, np.nan)
        parts = [part.reshape(-1, true.shape[-1] if true.ndim > 1 else 1) for part in (printed, true, corrected)]
        for row, column in np.ndindex(*parts[0].shape):
            rows.append((equation.name, row, column, *(float(part[row, column]) for part in parts)))
    return pd.DataFrame(rows, columns=VALUE_COLUMNS)


def outcome(points: int = POINTS, seed: int = 0, with_values: bool = False) -> Outcome:
    """Evaluate the note's equations at random points; for the page, with the numbers of the case note too."""
    frame = evaluate_equations(points, seed)
    agreed = Outcome(sound(frame), equations_line(frame), [equation_table(frame)], {"equations.csv": frame}, TITLE)
    if not with_values:
        return agreed
    note = case("note")
    inputs, targets = next(note.training())
    values = equation_values(note.network.weights, inputs, targets)
    tables = {**agreed.tables, "equation_values.csv": values}
    return replace(agreed, tables=tables, sections=lambda: [equation_section(frame, values)])


def _value(note: Note, text: str, true: FloatArray) -> FloatArray:
    """The value of a form in the shape of the left side; NaN where it has another shape."""
    try:
        value = _aligned(note.evaluate(text), true)
    except ShapeError:
        value = None
    return np.full(true.shape, np.nan) if value is None else value


def _aligned(value: FloatArray, true: FloatArray) -> FloatArray | None:
    """The value, a row where the left side is a column turned into one; None where it has another shape."""
    if value.shape == true.shape:
        return value
    flipped = np.swapaxes(value, -1, -2)
    return flipped if 1 in value.shape[-2:] and flipped.shape == true.shape else None


def _note(weights: Sequence[FloatArray], inputs: FloatArray, targets: FloatArray) -> Note:
    # The note indexes w_ij by neuron and input; W has a row per input and a column per neuron.
    w1, w2 = ([[w[:, j, i] for j in range(3)] for i in range(2)] for w in weights)
    return Note([inputs[:, 0, 0], inputs[:, 0, 1]], w1, w2, [targets[:, 0, 0], targets[:, 0, 1]], GAMMA)


def sound(frame: pd.DataFrame) -> bool:
    """Return whether each equation agrees with autograd as printed or as corrected."""
    return bool(((frame["as_printed"] == "agrees") | (frame["as_corrected"] == "agrees")).all())


def misprints(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose printed form is wrong in number or shape."""
    return frame[frame["as_printed"].isin(["differs", "shape"])]


def _row(equation: Equation, note: Note, sides: dict[str, LeftSide]) -> tuple[object, ...]:
    side = sides[equation.quantity]
    printed = _judged(note, equation.printed, side)
    corrected = _judged(note, equation.corrected, side).verdict if equation.corrected else ""
    remark = "" if printed.verdict == "agrees" else "; ".join(filter(None, (printed.remark, equation.remark)))
    return (
        equation.name,
        equation.quantity,
        equation.printed,
        printed.verdict,
        printed.max_error,
        equation.corrected,
        corrected,
        remark,
    )


def _judged(note: Note, text: str, side: LeftSide) -> Agreement:
    try:
        value = note.evaluate(text)
    except ShapeError as misfit:
        return Agreement("shape", np.nan, str(misfit))
    aligned = _aligned(value, side.value)
    if aligned is None:
        return Agreement("shape", np.nan, f"{value.shape[1:]} where the left side is {side.value.shape[1:]}")
    agreement = _agreement(aligned, side)
    if agreement.verdict != "agrees":
        return agreement
    if aligned is not value:
        return Agreement("notation", agreement.max_error)
    if undefined(text):
        return Agreement("notation", agreement.max_error, f"{' and '.join(undefined(text))} not defined")
    return agreement


def _agreement(value: FloatArray, side: LeftSide) -> Agreement:
    error = np.abs(value - side.value)
    return Agreement("agrees" if (error <= side.tolerance).all() else "differs", float(error.max()))


def left_sides(
    weights: tuple[FloatArray, FloatArray], inputs: FloatArray, targets: FloatArray, gamma: float
) -> dict[str, LeftSide]:
    """Return every left-hand side of the note according to autograd.

    Parameters
    ----------
    weights : W^(1) and W^(2), (points, 3, 2)
    inputs, targets : (points, 1, 2)
    gamma : the learning rate
    """
    activation = ("sigmoid", "sigmoid")
    twin = Twin(weights, activation)
    run = twin.run(inputs, targets, gamma)
    slopes = twin.slopes(run.preactivations)
    bounds = Rounding(inputs.dtype).bounds(weights, activation, run, inputs, targets, gamma)

    sides: dict[str, LeftSide] = {"C": _left_side(run.cost, bounds.cost)}
    for l in (1, 2):
        a, delta = run.activations[l - 1], run.deltas[l - 1]
        gradient, e_gradient = run.gradients[l - 1], bounds.gradients[l - 1]
        sides[f"a^({l})"] = _column(a, bounds.activations[l - 1])
        sides[f"delta^({l})"] = _column(delta, bounds.deltas[l - 1])
        sides[f"dC/dW^({l})"] = _column(gradient, e_gradient)
        for i in range(2):
            sides[f"a_{i}^({l})"] = _left_side(a[:, 0, i], bounds.activations[l - 1][:, 0, i])
            sides[f"delta_{i}^({l})"] = _left_side(delta[:, 0, i], bounds.deltas[l - 1][:, 0, i])
            for j in range(3):
                sides[f"dC/dw_{i}{j}^({l})"] = _left_side(gradient[:, j, i], e_gradient[:, j, i])
        sides[f"D^({l})"] = LeftSide(_diagonal(slopes[l - 1]), _diagonal(2 * bounds.slopes[l - 1]))
    sides["A^(0)"], sides["A^(1)"] = (
        _ones_added(a, e) for a, e in ((inputs, 0 * inputs), (run.activations[0], bounds.activations[0]))
    )
    sides["W^(2) after the step"] = _left_side(run.updated[1], bounds.updated[1])
    sides["w^(2)"] = _left_side(twin.parameters[1][0].detach().numpy(), np.zeros_like(weights[1][:, :-1]))

    # The derivation of dC/dw_00^(2) by the chain rule, C = f(g(h)).
    sides["c"] = _column(run.activation_gradients[1], bounds.activation_gradients[1])
    sides["dC/da_0^(2)"] = LeftSide(sides["c"].value[:, 0, 0], sides["c"].tolerance[:, 0, 0])
    sides["da_0^(2)/dh"] = LeftSide(sides["D^(2)"].value[:, 0, 0], sides["D^(2)"].tolerance[:, 0, 0])
    sides["h"] = _left_side(run.preactivations[1][:, 0, 0], bounds.preactivations[1][:, 0, 0])
    first_only = np.broadcast_to(np.array([[1.0, 0.0]]), inputs.shape)
    dh = twin.local_gradient(2, run.activations[0], first_only)[:, 0, 0]
    sides["dh/dw_00^(2)"] = _left_side(dh, bounds.activations[0][:, 0, 0])
    # With the second target met exactly, autograd's cost is the first term alone.
    met = np.stack([targets[..., 0], run.activations[1][..., 1]], axis=-1)
    sides["C - 1/2 (a_1^(2) - T_1)^2"] = _left_side(twin.local_cost(run.activations[1], met), bounds.cost)
    return sides


def _left_side(value: FloatArray, bound: FloatArray) -> LeftSide:
    return LeftSide(value, 2 * bound)


def _column(row: FloatArray, bound: FloatArray) -> LeftSide:
    """What the twin has as (points, m, n), in the note's transposed shape."""
    return _left_side(np.swapaxes(row, -1, -2), np.swapaxes(bound, -1, -2))


def _ones_added(a: FloatArray, bound: FloatArray) -> LeftSide:
    edge = np.ones((len(a), 1, 1))
    return _left_side(np.concatenate([a, edge], axis=-1), np.concatenate([bound, 0 * edge], axis=-1))


def _diagonal(row: FloatArray) -> FloatArray:
    return row * np.eye(row.shape[-1])


def equation_table(frame: pd.DataFrame) -> str:
    """Return a table of the equations that do not agree as printed."""
    rows: list[tuple[str, ...]] = [("equation", "as printed", "max error", "corrected", "remark")]
    loose = frame[frame["as_printed"] != "agrees"]
    for name, printed, error, corrected, remark in zip(
        *(loose[column] for column in ("equation", "as_printed", "max_error", "as_corrected", "remark")), strict=True
    ):
        rows.append((name, printed, "" if np.isnan(error) else f"{error:.2g}", corrected, remark))
    return report.table(rows, left=5)


def equations_line(frame: pd.DataFrame) -> str:
    """Return the result of the equations in one line."""
    wrong, notation = misprints(frame), (frame["as_printed"] == "notation").sum()
    mended = (wrong["as_corrected"] == "agrees").sum()
    return (
        f"note: {len(frame)} equations, {len(wrong)} misprinted ({mended} agree as corrected),"
        f" {notation} with loose notation"
    )


def equation_section(frame: pd.DataFrame, values: pd.DataFrame) -> page.Section:
    """Return the equations of the note, set as mathematics, with their numbers for one network."""
    section = page.Section("equations", "The note's equations")
    wrong = len(misprints(frame))
    loose = int((frame["as_printed"] == "notation").sum())
    section.text = [
        f"{len(frame)} equations as printed, each beside autograd: {wrong} are misprinted, {loose} have loose notation."
        " The numbers are those of the network of the case note, as in equation_values.csv."
    ]
    for row in frame.to_dict("records"):
        numbers = values[values["equation"] == row["equation"]]
        names = {"printed": "by hand", "autograd": "autograd"}
        if row["corrected"]:
            names = {"printed": "as printed", "corrected": "corrected", "autograd": "autograd"}
        left, step, _ = str(row["quantity"]).partition(" after the step")
        section.equations.append(
            {
                "name": row["equation"],
                "as_printed": row["as_printed"],
                "left": mathml(left) + (" after the step" if step else ""),
                "printed": mathml(row["printed"]),
                "corrected": mathml(row["corrected"]) if row["corrected"] else "",
                "remark": row["remark"],
                "max_error": "" if np.isnan(row["max_error"]) else f"{row['max_error']:.4g}",
                "columns": ["element", *names.values()],
                "numbers": _numbers(left, numbers, list(names)),
                "folded": row["as_printed"] == "agrees",
            }
        )
    columns = ["equation", "quantity", "as_printed", "max_error", "as_corrected", "remark"]
    section.tables.append(page.table(frame, "equations-rows", "The rows of equations.csv", columns, folded=True))
    return section


def _numbers(left: str, values: pd.DataFrame, names: Sequence[str]) -> list[list[page.Cell]]:
    """A row for each element of an equation's left side."""
    rows = []
    for value in values.to_dict("records"):
        element = left if len(values) == 1 else f"{left} [{value['row']}, {value['column']}]"
        shown = [value[name] for name in names]
        rows.append(
            [page.Cell(element), *(page.Cell("") if np.isnan(v) else page.Cell(f"{v:.6g}", repr(v)) for v in shown)]
        )
    return rows
