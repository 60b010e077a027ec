"""The page: every figure on it is one of the CSV files, and nothing from outside is taken for markup."""

import base64
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pages import WRONG, Page

from comparisons import check_function, compare, to_html
from comparisons.cli import main
from comparisons.output import page
from comparisons.output.mathml import mathml
from comparisons.output.page import render
from comparisons.reference.quantities import THE_NOTES
from comparisons.studies import work
from comparisons.studies.equations import equation_values, evaluate_equations
from comparisons.studies.proof import cells, is_named, mistake_section, prove
from comparisons.verdict.measured import UNDECIDED
from handnet import Network
from handnet.notation import NotationError

pytest.importorskip("jinja2")
matplotlib_image = pytest.importorskip("matplotlib.image")


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    folder = tmp_path_factory.mktemp("default")
    assert main(["compare", "--html", "--out", str(folder)]) == 0
    return folder, Page(folder / "index.html")


def read(path):
    # Floats read back exactly: from pandas 3 on by default, and where it is asked for before.
    exactly = {} if pd.__version__ >= "3" else {"float_precision": "round_trip"}
    return pd.read_csv(path, keep_default_na=False, dtype={"worst_element": str, "printed": str}, **exactly)


def same(cell, value):
    """Whether a cell says what a CSV file does, which writes nothing where there is nothing."""
    if value == "" or cell == "":
        return cell == value
    return float(value) == cell if isinstance(cell, float) else str(value) == cell


def assert_rows_of(rows, frame):
    """Each row of the page is one row of the frame, in all its columns."""
    assert rows
    names = {column.replace("_", " "): column for column in frame.columns}
    kept = frame.to_dict("records")
    for row in rows:
        assert any(all(same(cell, one[names[head]]) for head, cell in row.items()) for one in kept), row


def test_the_default_page_is_one_small_file_beside_the_csv_files(default):
    folder, _ = default
    files = {"comparison.csv", "elements.csv", "training.csv", "equations.csv", "equation_values.csv"}
    assert {path.name for path in folder.iterdir()} == {*files, "run.json", "index.html"}
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert len(text.encode()) < 1.5e6
    assert not any(f'{attribute}="http' in text for attribute in ("src", "href", "srcset", "action"))
    assert "url(http" not in text
    assert "@import" not in text


def test_the_answer_has_the_figures_of_the_comparison(default):
    folder, shown = default
    frame = read(folder / "comparison.csv")
    elements = frame["elements"].sum()
    undecided = (read(folder / "elements.csv")["verdict"] == "undecided").sum()
    assert f"{elements - undecided:,} numbers agree" in shown.answer
    assert (f", {undecided:,} undecided" in shown.answer) == (undecided > 0)
    assert f"the worst at {frame['error_over_tolerance'].max():.2g} of its tolerance" in shown.answer
    sharp = pd.to_numeric(frame["resolution"]).max()
    assert f"no tolerance is more than {sharp:.1e} of the largest value of its quantity" in shown.answer


def test_every_row_of_a_comparison_is_one_of_comparison_csv(default):
    folder, shown = default
    frame = read(folder / "comparison.csv")
    tables = {name: rows for name, rows in shown.tables.items() if name.endswith("-rows") and "case" in name}
    assert {shown.sections[name] for name in tables} == set(frame["case"])
    for name, rows in tables.items():
        part = frame[frame["case"] == shown.sections[name]]
        assert_rows_of(rows, part)
        assert {(row["quantity"], row["layer"]) for row in rows} == {
            (quantity, layer if layer == "" else float(layer))
            for quantity, layer in zip(part["quantity"], part["layer"], strict=True)
        }


def test_the_numbers_of_a_drawn_network_are_those_of_elements_csv(default):
    folder, shown = default
    frame = read(folder / "elements.csv")
    tables = {name: rows for name, rows in shown.tables.items() if name.endswith("-elements")}
    assert {"note", "step-by-step", "xor"} <= {shown.sections[name] for name in tables}
    for name, rows in tables.items():
        part = frame[(frame["case"] == shown.sections[name]) & (frame["step"] == 1)]
        assert len(rows) == len(part)
        assert_rows_of(rows, part)


def test_the_equations_have_the_numbers_of_their_csv_files(default):
    folder, shown = default
    assert_rows_of(shown.tables["equations-rows"], read(folder / "equations.csv"))
    values = read(folder / "equation_values.csv")
    shown_values = [row for name, rows in shown.tables.items() if name.startswith("values") for row in rows]
    assert len(shown_values) == len(values)

    def numbers(row, printed, corrected):
        return tuple(str(part and float(part)) for part in (row[printed], row["autograd"], row.get(corrected, "")))

    on_page = [numbers(row, "as printed" if "as printed" in row else "by hand", "corrected") for row in shown_values]
    assert sorted(on_page) == sorted(numbers(row, "printed", "corrected") for row in values.to_dict("records"))


def test_the_pictures_say_in_words_what_training_csv_has(default):
    folder, shown = default
    training = read(folder / "training.csv")
    xor = training[training["case"] == "xor"]
    costs, drift = pd.to_numeric(xor["cost_hand"]), pd.to_numeric(xor["drift"])
    said = f"goes from {costs.iloc[0]:.4g} to {costs.iloc[-1]:.4g} by hand; their weights drift apart by up to"
    assert any(said in text and f"{drift.max():.4g}" in text for text in shown.alternatives)
    assert all(shown.alternatives)


def test_a_mismatch_is_shown_with_its_diagnosis_and_the_wrong_edges(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(WRONG)
    target = f"{tmp_path / 'mine.py'}:backprop"
    assert main(["check", target, "--sizes", "3,4,2", "--html", "--out", str(tmp_path / "r")]) == 1
    said = capsys.readouterr().out
    shown = Page(tmp_path / "r" / "index.html")
    assert "MISMATCH: no_output_slope" in shown.answer
    (message,) = shown.messages
    assert message.strip() in said
    assert "[no_output_slope]" in message
    assert 'class="edge wrong"' in (tmp_path / "r" / "index.html").read_text()
    elements = read(tmp_path / "r" / "elements.csv")
    first = elements[(elements["case"] == "3-4-2") & (elements["step"] == 1)]
    maps = [text for text in shown.alternatives if text.startswith("error / tolerance of")]
    assert maps
    for text in maps:
        quantity, layer = {"dC/dW": "gradient"}[text.split()[4].partition("^")[0]], int(text.partition("^(")[2][0])
        part = first[(first["quantity"] == quantity) & (first["layer"].astype(str) == str(layer))]
        assert f"{part['verdict'].isin(['wrong', 'inherited']).sum()} of {len(part)} numbers wrong" in text
    frame = read(tmp_path / "r" / "comparison.csv")
    assert_rows_of(shown.tables["case-1-rows"], frame)


def test_a_network_without_biases_is_drawn_without_a_node_for_them(tmp_path):
    net = Network([np.full((3, 4), 0.5), np.full((4, 2), 0.25)], biases=False)
    to_html(compare(net, [0.1, 0.2, 0.3], [0.5, 0.5]), tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert "3 nodes, 4 nodes, 2 nodes, 20 weights" in text
    assert "<rect" not in text
    assert "a_3^(1)" in text


def test_a_large_network_is_shown_in_blocks_with_heat_maps(tmp_path, rng):
    net = Network.random([60, 50, 40, 10], rng=rng)
    comparison = compare(net, rng.standard_normal((3, 60)), rng.random((3, 10)))
    to_html(comparison, tmp_path)
    shown = Page(tmp_path / "index.html")
    frame = comparison.frame
    maps = [text for text in shown.alternatives if text.startswith("error / tolerance of dC/dW")]
    assert len(maps) == 3
    for l, text in enumerate(maps, start=1):
        row = frame[(frame["quantity"] == "gradient") & (frame["layer"] == l)].iloc[0]
        assert f"{max(row['error_over_tolerance'], row['local_error_over_tolerance']):.4g}" in text
    assert_rows_of(shown.tables["case-1-rows"], frame.astype({"layer": object}).fillna(""))
    assert (tmp_path / "index.html").stat().st_size < 100_000


def test_a_sweep_is_shown_as_a_histogram_of_all_its_numbers(tmp_path):
    options = ["--networks", "2048", "--sizes", "2,2,2", "--jobs", "1", "--scale", "1", "--out", str(tmp_path)]
    assert main(["sweep", "--html", *options]) == 0
    shown = Page(tmp_path / "index.html")
    frame, histogram = read(tmp_path / "sweep.csv"), read(tmp_path / "sweep_histogram.csv")
    assert_rows_of(shown.tables["sweep-rows"], frame)
    assert len(shown.tables["sweep-rows"]) == len(frame)
    assert f"Histogram of error / tolerance of {histogram['numbers'].sum():,} numbers; 0 lie" in shown.alternatives[0]
    assert f"{frame['networks'].sum():,} networks, {frame['numbers'].sum():,} numbers" in shown.answer


def test_planted_mistakes_are_shown_row_by_row(tmp_path):
    options = ["--networks", "1024", "--sizes", "2,3,2", "--dtype", "float64", "--jobs", "1", "--out", str(tmp_path)]
    assert main(["sweep", "--planted", "--html", *options]) == 0
    shown = Page(tmp_path / "index.html")
    frame = read(tmp_path / "planted.csv")
    assert_rows_of(shown.tables["planted-rows"], frame)
    assert len(shown.tables["planted-rows"]) == len(frame)
    assert f"{frame['caught'].sum():,} of {frame['visible'].sum():,} visible" in shown.answer


def test_the_matrix_of_mistakes_counts_the_rows_of_mistakes_csv(tmp_path):
    of_the_note = [cell for cell in cells() if cell.stated == THE_NOTES and len(cell.variant.mistakes) < 2]
    frame = prove([cell for cell in of_the_note if cell.sizes in ((2, 5, 4, 3), (4, 4, 4, 4))][::145])
    # As if one had not been named, and another not been caught.
    counted = frame[(frame["applicable"] == "yes") & (frame["mistake"] != "none")]
    frame.loc[counted.index[0], "named"] = ""
    frame.loc[counted.index[1], ["caught", "named", "first_wrong"]] = [False, "", ""]
    (tmp_path / "index.html").write_text(render("Mistakes", "", False, [mistake_section(frame)]), encoding="utf-8")
    shown = Page(tmp_path / "index.html")
    counted = frame[(frame["applicable"] == "yes") & (frame["mistake"] != "none")]
    for row in shown.tables["mistakes-matrix"]:
        for sizes in frame["sizes"].unique():
            part = counted[(counted["mistake"] == row["mistake"]) & (counted["sizes"] == sizes)]
            if row["mistake"] == "none":
                continue
            good = part["caught"].astype(bool).all() and is_named(part).all()
            assert row[sizes] == ("" if part.empty else len(part) if good else row[sizes])
            assert good or f"named {is_named(part).sum()} of {len(part)}" in row[sizes]
    assert len(shown.tables["mistakes-missed"]) == 2


def test_an_audit_is_shown_row_by_row(tmp_path):
    assert main(["audit", "--html", "--out", str(tmp_path)]) == 1
    shown, frame = Page(tmp_path / "index.html"), read(tmp_path / "audit.csv")
    assert len(shown.tables["audit-rows"]) == len(frame)
    rows = [{**row, "passes": str(row["passes"] == "yes")} for row in shown.tables["audit-rows"]]
    for row in rows:
        row.pop("what goes wrong")
    assert_rows_of(rows, frame.astype({"passes": str}))
    assert "lets 12 of 56 known mistakes pass" in shown.answer


def test_grades_are_shown_with_what_each_submission_has_right(tmp_path):
    course = Path(__file__).parent.parent / "examples" / "course"
    submissions = [str(course / "submissions" / f"{name}.py") for name in ("right", "wrong")]
    options = ["--points", str(course / "points.toml"), "--html", "--out", str(tmp_path)]
    assert main(["grade", *submissions, *options]) == 1
    shown, frame = Page(tmp_path / "index.html"), read(tmp_path / "grade.csv")
    assert_rows_of(shown.tables["grades-rows"], frame)
    right, wrong = shown.tables["grades-matrix"]
    entries = set(right) - {"submission", "points"}
    assert {right[entry] for entry in entries} == {"right"}
    assert (wrong["delta hidden"], wrong["delta output"], wrong["gradient, its equation"]) == (
        "wrong",
        "right",
        "right",
    )
    counts = {row["entry"]: row["right"] for row in shown.tables["grades-entries"]}
    assert counts == {entry: 1 + (wrong[entry] == "right") for entry in entries}
    assert (right["points"], wrong["points"]) == tuple(frame["points"])


def test_a_function_is_shown_with_its_wrong_numbers_as_a_heat_map(tmp_path, rng):
    def off(x, w):
        y = x @ w
        y[1, 2] += 1e-9
        return y, np.sum(w, axis=0), y.sum(), np.stack([y, y])

    def reference(x, w):
        return x @ w, w.sum(0), (x @ w).sum(), torch.stack([x @ w, x @ w])

    comparison = check_function(off, reference, rng.standard_normal((4, 3)), rng.standard_normal((3, 5)))
    comparison.to_html(tmp_path)
    shown = Page(tmp_path / "index.html")
    assert "MISMATCH in 66 numbers" in shown.answer
    assert comparison.message() == shown.messages[0]
    assert_rows_of(shown.tables["results-rows"], comparison.frame)
    assert len(shown.tables["results-elements"]) == len(comparison.elements()) == 66
    maps = [text for text in shown.alternatives if text.startswith("error / tolerance of")]
    assert len(maps) == 3  # a single number has none
    worst = comparison.frame["error_over_tolerance"]
    assert f"result[0], 4 x 5: the greatest is {worst[0]:.4g}, 1 of 20 numbers wrong" in maps[0]
    assert maps[1].endswith(f"result[1], 5: the greatest is {worst[1]:.4g}")
    assert "result[3], 2 x 4 x 5" in maps[2]
    assert maps[2].endswith("2 of 40 numbers wrong")
    pixels = [picture(uri) for uri in re.findall(r'src="(data:image/png[^"]*)"', (tmp_path / "index.html").read_text())]
    orange = [(np.abs(one[..., :3] - np.array([213, 94, 0]) / 255) < 0.01).all(axis=-1) for one in pixels]
    assert [one.shape for one in orange] == [(4, 5), (1, 5), (8, 5)]
    assert np.argwhere(orange[0]).tolist() == [[1, 2]]
    assert not orange[1].any()
    assert np.argwhere(orange[2]).tolist() == [[1, 2], [5, 2]]


def picture(uri):
    """The colours of a picture that stands in the page."""
    return matplotlib_image.imread(io.BytesIO(base64.b64decode(uri.partition(",")[2])), format="png")


def test_a_function_that_matches_has_a_page_without_a_wrong_number(tmp_path, rng):
    comparison = check_function(np.tanh, torch.tanh, rng.standard_normal(7))
    to_html(comparison, tmp_path)
    shown = Page(tmp_path / "index.html")
    assert "match in 7 numbers" in shown.answer
    assert not shown.messages
    assert not any("wrong" in text for text in shown.alternatives if text.startswith("error"))


def test_a_worked_example_is_shown_as_in_worked_csv(tmp_path):
    assert main(["check", "one-neuron.toml", "--html", "--out", str(tmp_path)]) == 0
    shown = Page(tmp_path / "index.html")
    frame = read(tmp_path / "worked.csv").assign(name="")
    rows = [{**row, "name": ""} for row in shown.tables["worked-rows"]]
    assert_rows_of(rows, frame)
    assert len(rows) == len(frame)


def test_nothing_from_outside_is_taken_for_markup(tmp_path):
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    (tmp_path / "mine.py").write_text(f"def backprop(weights, inputs, targets):\n    raise ValueError({evil!r})\n")
    assert main(["check", f"{tmp_path / 'mine.py'}:backprop", "--html", "--out", str(tmp_path / "r")]) == 2
    text = (tmp_path / "r" / "index.html").read_text()
    assert evil not in text
    assert "&lt;script&gt;alert(1)" in text
    example = f"""title = {json.dumps(evil)}
source = "javascript:alert(3)"
sizes = [1, 1]
weights = [[[1.0, 1.0]]]
inputs = [1.0]
targets = [0.0]
printed = [{{ value = "0.8808", quantity = "activation", layer = 1, index = 0, name = {json.dumps(evil)} }}]
"""
    (tmp_path / "evil.toml").write_text(example)
    assert main(["check", str(tmp_path / "evil.toml"), "--html", "--out", str(tmp_path / "t")]) == 0
    text = (tmp_path / "t" / "index.html").read_text()
    assert evil not in text
    assert 'href="javascript' not in text


def test_without_the_extra_it_is_one_line_and_nothing_is_written(tmp_path, capsys, monkeypatch):
    def missing(module, name):
        raise work.MissingExtraError(f'{module} is not installed: pip install "handnet[{name}]"')

    monkeypatch.setattr(page, "extra", missing)
    assert main(["compare", "note", "--html", "--out", str(tmp_path / "r")]) == 2
    assert capsys.readouterr().err.strip() == 'handnet compare: jinja2 is not installed: pip install "handnet[html]"'
    assert not (tmp_path / "r").exists()


# The notation.


@pytest.mark.parametrize("form", ["quantity", "printed", "corrected"])
def test_every_equation_of_the_note_can_be_set(form):
    for text in filter(None, evaluate_equations(points=2)[form]):
        tree = ElementTree.fromstring(mathml(text.partition(" after the step")[0]).replace("&#", "&#"))
        assert tree.tag == "math"
        assert "".join(tree.itertext())


def test_what_is_set_keeps_indices_layers_fractions_and_transposes():
    def shape(text):
        return mathml(text).removeprefix("<math><mrow>").removesuffix("</mrow></math>")

    upper = "<mrow><mo stretchy='false'>(</mo><mn>2</mn><mo stretchy='false'>)</mo></mrow>"
    assert shape("w_01^(2)") == f"<msubsup><mi>w</mi><mn>01</mn>{upper}</msubsup>"
    assert shape("1/2") == "<mfrac><mn>1</mn><mn>2</mn></mfrac>"
    assert shape("c^T") == "<msup><mi>c</mi><mi>T</mi></msup>"
    assert shape("[1, 2; 3, 4]").count("<mtr>") == 2
    assert "<mfrac><mrow><mi>d</mi><mi>C</mi></mrow>" in shape("dC/dw_00^(2)")


@pytest.mark.parametrize("text", ["a & b", "(a", "[1, 2", "<b>", "a )"])
def test_what_is_not_in_the_notation_is_refused(text):
    with pytest.raises(NotationError, match="'"):
        mathml(text)


def test_the_values_of_the_equations_are_those_of_the_network(rng):
    net = Network.random([2, 2, 2], rng=rng)
    x, t = rng.standard_normal((1, 2)), rng.random((1, 2))
    frame = equation_values(net.weights, x, t)
    hand = net.backprop(x, t)
    first = frame[frame["equation"] == "(1)"]
    assert np.allclose(first[["printed", "autograd"]], hand.activations[1][0, 0], rtol=1e-14)
    agreeing = frame.dropna(subset=["printed"])
    listed = evaluate_equations(points=5).set_index("equation")["as_printed"]
    agreeing = agreeing[agreeing["equation"].map(listed) == "agrees"]
    assert len(agreeing) > 60
    assert np.allclose(agreeing["printed"], agreeing["autograd"], rtol=1e-12)
    wrong = frame[frame["equation"].map(listed) == "differs"]
    assert np.allclose(wrong["corrected"], wrong["autograd"], rtol=1e-12)
    assert not np.allclose(wrong["printed"], wrong["autograd"], rtol=1e-3)


# What is not there, and what is beyond all bounds.


def test_a_number_that_is_none_is_shown(tmp_path):
    class NotANumber(Network):
        def gradient(self, a_below, delta):
            gradient = super().gradient(a_below, delta)
            gradient[0, 0] = np.nan
            return gradient

    net = NotANumber(Network.random([2, 3, 2], rng=np.random.default_rng(0)).weights)
    to_html(compare(net, [0.5, -0.5], [1.0, 0.0]), tmp_path)
    (row,) = (row for row in Page(tmp_path / "index.html").tables["case-1-elements"] if row["name"] == "dC/dw_00^(1)")
    assert (row["hand"], row["error"], row["verdict"]) == ("NaN", "NaN", "wrong")


@pytest.mark.parametrize("steps", [3, 5, 20])
def test_a_training_that_comes_apart_has_a_page_too(tmp_path, steps):
    net = Network.random([2, 3, 2], rng=np.random.default_rng(0), activation="identity")
    to_html(compare(net, [5.0, 5.0], [1.0, 0.0], learning_rate=1e6, steps=steps), tmp_path)
    assert (tmp_path / "index.html").exists()


def test_a_network_too_deep_to_draw_is_shown_as_blocks(tmp_path):
    net = Network.random([1] * 30, rng=np.random.default_rng(0), activation="identity")
    to_html(compare(net, [0.5], [1.0]), tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert text.count('class="block"') == 30
    assert "<circle" not in text


def test_a_layer_that_could_not_be_judged_is_not_called_ok():
    net = Network.random([2, 3, 2], rng=np.random.default_rng(0))
    comparison = compare(net, [0.05, 0.10], [0.01, 0.99])

    def without_bound(m):
        nothing = np.full_like(m.torch, np.inf)
        blunt = replace(m, tolerance=nothing, local_tolerance=None, grades=np.full_like(m.grades, UNDECIDED))
        return replace(blunt, find_expected=lambda: nothing)

    comparison = replace(comparison, measured=tuple(map(without_bound, comparison.measured)))
    assert comparison.answer == "UNDECIDED"
    assert {section.verdict for section in page.comparison_sections({"": comparison})} == {"undecided"}


def test_a_case_with_a_suspect_number_is_shown_as_suspect(tmp_path):
    net = Network.random([2, 3, 2], rng=np.random.default_rng(0))
    comparison = compare(net, [0.05, 0.10], [0.01, 0.99])
    first, *others = comparison.measured
    # Torch's own numbers would pass exactly; none of the hand-written ones is that close.
    suspect = replace(first, hand=first.torch + 0.9 * first.tolerance, find_expected=lambda: 0.8 * first.tolerance)
    shown = replace(comparison, measured=(suspect, *others))
    assert shown.passed
    assert {section.verdict for section in page.comparison_sections({"": shown})} == {"suspect"}
    to_html(shown, tmp_path)
    assert "suspect" in (tmp_path / "index.html").read_text()
