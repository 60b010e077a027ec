"""In anybody's pytest: comparisons as CSV files and as a page, a failing one in full, nothing where unused."""

import subprocess
import sys
from importlib.util import find_spec

import pandas as pd
import pytest

pytestmark = pytest.mark.apart

TESTS = """
import numpy as np
from comparisons import check, compare
from handnet import Network


def backprop(weights, inputs, targets):
    return Network(weights).backprop(inputs, targets).gradients


def test_right():
    assert compare(Network.random([2, 3, 1], rng=np.random.default_rng(0)), [0.5, -0.5], [1.0])


def test_wrong():
    check(backprop)
    doubled = check(lambda w, x, t: [2 * g for g in backprop(w, x, t)], sizes=(2, 3))
    assert doubled.passed, "it does not match"


def test_nothing_is_compared():
    assert False
"""
FUNCTIONS = """
import numpy as np
import torch
from comparisons import assert_matches, check_function


def test_layer():
    assert_matches(lambda x, w: x @ w, torch.matmul, np.eye(2), np.ones((2, 3)))


def test_function():
    assert check_function(lambda x: x + 1e-9, torch.tanh, np.zeros(3)).passed, "it does not match"
"""
UNUSED = """
import sys


def test_nothing_slow_is_imported():
    assert not {"torch", "pandas", "comparisons.checks"} & set(sys.modules)
"""


def run(folder, source, *options):
    (folder / "test_own.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Anybody's tests, run once with both options: the folder, and what came of it."""
    folder = tmp_path_factory.mktemp("anybodys")
    page = ["--comparisons-html", "pages"] if all(map(find_spec, ("jinja2", "matplotlib"))) else []
    return folder, run(folder, TESTS, "--comparisons-csv", "evidence", *page)


def test_anybodys_tests_leave_every_comparison_as_csv_and_show_the_failing_one(ran):
    folder, done = ran
    assert done.returncode == 1
    assert done.stdout.count("- beside autograd -") == 1
    assert "[no_half]" in done.stdout
    assert "2 failed, 1 passed" in done.stdout
    frame = pd.read_csv(folder / "evidence" / "comparison.csv")
    assert set(frame["case"]) == {"test_own.py::test_right", "test_own.py::test_wrong"}
    assert set(frame[frame["case"] == "test_own.py::test_right"]["verdict"]) == {"ok"}
    assert "wrong" in set(frame[frame["case"] == "test_own.py::test_wrong"]["verdict"])


def test_anybodys_tests_leave_a_page(ran):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    folder, _ = ran
    text = (folder / "pages" / "index.html").read_text(encoding="utf-8")
    assert "3 comparisons, 1 of them do not match" in text
    assert "test_own.py::test_wrong, number 2" in text


def test_functions_beside_torch_leave_their_own_tables_and_sections(tmp_path):
    done = run(tmp_path, FUNCTIONS, "--comparisons-csv", "evidence")
    assert done.stdout.count("- beside autograd -") == 1
    assert "result is wrong in 3 of 3 numbers" in done.stdout
    frame = pd.read_csv(tmp_path / "evidence" / "functions.csv")
    assert list(zip(frame["case"], frame["verdict"], strict=True)) == [
        ("test_own.py::test_layer", "ok"),
        ("test_own.py::test_function", "wrong"),
    ]
    elements = pd.read_csv(tmp_path / "evidence" / "function_elements.csv")
    assert elements["case"].value_counts().to_dict() == {"test_own.py::test_layer": 6, "test_own.py::test_function": 3}
    assert not (tmp_path / "evidence" / "comparison.csv").exists()
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    run(tmp_path, FUNCTIONS + TESTS, "--comparisons-html", "pages")
    text = (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
    assert "5 comparisons, 2 of them do not match" in text
    assert 'id="function-2-elements"' in text


def test_where_it_is_not_used_it_costs_nothing(tmp_path):
    done = run(tmp_path, UNUSED)
    assert done.returncode == 0, done.stdout
    assert not list(tmp_path.glob("*.csv"))
