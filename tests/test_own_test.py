"""Somebody's own gradient test, run with known mistakes planted in what it tests: which pass, worked out besides."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from comparisons import check
from comparisons.cli import main
from comparisons.mistakes.effects import can_show
from comparisons.mistakes.known import MISTAKES
from comparisons.mistakes.lineup import mistaken_steps
from comparisons.mistakes.variants import Variant
from comparisons.output.page import render
from comparisons.reference.quantities import THE_NOTES
from comparisons.studies import own_test
from comparisons.studies.audit import AUDIT_COLUMNS, RIGHT, VARIANTS, ZEROS
from comparisons.studies.own_test import OwnTest, learned, outcome, planted
from comparisons.subject.implementation import load
from comparisons.subject.probes import problem_of
from handnet import Network

pytestmark = pytest.mark.apart

ROOT = Path(__file__).parent.parent
MINE = """
import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def backprop(weights, x, y):
    a = [x]
    for W, b in weights:
        a.append(sigmoid(a[-1] @ W + b))
    delta, gradients = (a[-1] - y) / len(x) * a[-1] * (1 - a[-1]), []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (a[l].T @ delta, delta.sum(axis=0)))
        delta = delta @ weights[l][0].T * a[l] * (1 - a[l])
    return gradients


def doubled(weights, x, y):
    return [(2 * W, 2 * b) for W, b in backprop(weights, x, y)]


class Net:
    def backprop(self, x, y):
        return []
"""
TESTS = """
import os
import time

import numpy as np
import pytest
from comparisons import assert_matches_autograd
from mine import backprop

rng = np.random.default_rng(0)
WEIGHTS = [(rng.standard_normal((m, n)), rng.standard_normal(n)) for m, n in ((3, 4), (4, 2))]
X, Y = rng.standard_normal((5, 3)), rng.random((5, 2))
SAVED = np.load("right.npz")


def off():
    made = [part for pair in backprop(WEIGHTS, X, Y) for part in pair]
    return [np.abs(part - SAVED[f"arr_{i}"]).max() for i, part in enumerate(made)]


def test_blunt():
    assert max(off()) < 0.05


def test_sharp():
    assert max(off()) < 1e-9


def test_first_layer():
    assert off()[0] < 1e-9


def test_shape():
    assert backprop(WEIGHTS, X, Y)[0][0].shape == (3, 4)


def test_autograd():
    assert_matches_autograd(backprop)


def test_hangs():
    while max(off()) > 1e-9:
        time.sleep(0.01)


def test_exits():
    if max(off()) > 1e-9:
        os._exit(0)


@pytest.mark.parametrize("function", [backprop])
def test_by_parameter(function):
    assert abs(function(WEIGHTS, X, Y)[0][0] - SAVED["arr_0"]).max() < 1e-9


def test_never():
    assert len(WEIGHTS) == 2


def test_fails():
    assert backprop is None, "it is never right"


@pytest.mark.skip(reason="not today")
def test_skipped():
    assert max(off()) < 1e-9
"""
FEW = ("no_half", "batch_sum", "output_mean", "no_transpose", "bias_batch_sum", "accumulated_gradient", ZEROS)


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "test_mine.py").write_text(TESTS)
    made = load(f"{tmp_path / 'mine.py'}:backprop")(*data())
    np.savez(tmp_path / "right.npz", *(part for pair in made for part in pair))
    monkeypatch.chdir(tmp_path)
    # Some of the mistakes, for time; of the right variants none.
    monkeypatch.setattr(own_test, "can_show", lambda *_: FEW[:-1])
    monkeypatch.setattr(own_test, "VARIANTS", {})
    return tmp_path


def data():
    rng = np.random.default_rng(0)
    weights = [(rng.standard_normal((m, n)), rng.standard_normal(n)) for m, n in ((3, 4), (4, 2))]
    return weights, rng.standard_normal((5, 3)), rng.random((5, 2))


def audited(test, folder, names=FEW, seconds=60, **options):
    return outcome(OwnTest(f"test_mine.py::{test}", "mine:backprop", options, str(folder)), seconds, 2, names)


def passing(done):
    frame = done.tables["audit.csv"]
    return set(frame[frame["passes"]]["mistake"])


def changes():
    """By how much each mistake changes the gradients of the test's data, without the function and without pytest."""
    weights, x, y = data()
    problem = problem_of(Network([np.vstack([W, b]) for W, b in weights]), x, y)
    (right,) = mistaken_steps(Variant(()), [problem])
    for name in FEW:
        if name == ZEROS:
            yield name, [np.abs(right["gradient", l]) for l in (1, 2)]
            continue
        try:
            (made,) = mistaken_steps(Variant((name,)), [problem])
        except ValueError:
            yield name, [np.full((1, 1), np.inf)] * 2
            continue
        yield name, [np.abs(made["gradient", l] - right["gradient", l]) for l in (1, 2)]


@pytest.mark.parametrize(
    ("test", "lets"),
    [
        ("test_blunt", lambda first, second: max(first.max(), second.max()) < 0.05),
        ("test_sharp", lambda first, second: max(first.max(), second.max()) < 1e-9),
        ("test_first_layer", lambda first, second: first[:-1].max(initial=np.inf if len(first) == 1 else 0) < 1e-9),
        ("test_shape", lambda first, second: np.isfinite(first).all()),
    ],
    ids=["blunt", "sharp", "first layer", "shape"],
)
def test_what_passes_is_what_changes_less_than_the_test_looks_at(project, test, lets):
    done = audited(test, project)
    expected = {name for name, by_layer in changes() if lets(*by_layer)}
    assert passing(done) == expected
    assert done.passed == (not expected)
    assert done.line.startswith(f"test_mine.py::{test} lets {len(expected)} of {len(FEW)} known mistakes pass")
    frame = done.tables["audit.csv"]
    assert tuple(frame.columns) == AUDIT_COLUMNS
    assert set(frame["network"]) == {"3-4-2"}
    assert set(frame["batch"]) == {"5"}
    effects = dict(zip(frame["mistake"], frame["effect"], strict=True))
    for name, by_layer in changes():
        assert effects[name] == pytest.approx(max(part.max() for part in by_layer), rel=1e-6, abs=1e-15), name


def test_one_line_of_autograd_lets_none_pass_as_the_advice_says(project):
    done = audited("test_autograd", project, ("no_half", "accumulated_gradient", ZEROS))
    assert done.passed
    assert not passing(done)
    weak = audited("test_shape", project, ("no_half", "accumulated_gradient"))
    assert "assert_matches_autograd(backprop) lets none of them pass" in weak.text[1]
    assert (
        "a second call of the function would show what it keeps from the first [accumulated_gradient]" in weak.text[1]
    )


def test_a_test_that_hangs_or_ends_its_process_with_a_mistake_has_noticed_it(project):
    assert passing(audited("test_hangs", project, ("no_half",), seconds=10)) == set()
    assert passing(audited("test_exits", project, ("no_half",))) == set()


def test_a_project_that_makes_warnings_errors_is_audited_all_the_same(project, monkeypatch):
    (project / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    # As where handnet comes from its wheel: pytest warns that it cannot rewrite a plugin that is already imported.
    installed = project / "installed-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Name: installed\nVersion: 1\n")
    (installed / "RECORD").write_text("comparisons/__init__.py,,\n")
    (installed / "entry_points.txt").write_text("[pytest11]\ninstalled = installed\n")
    (project / "installed.py").write_text("")
    monkeypatch.syspath_prepend(project)
    assert passing(audited("test_sharp", project, ("no_half",))) == set()


def test_a_function_that_is_a_parameter_of_the_test_is_replaced_too(project):
    assert passing(audited("test_by_parameter", project, ("no_half", "output_mean"))) == set()


def test_right_variants_are_planted_too_and_a_sharp_test_refuses_float32(project, monkeypatch):
    monkeypatch.setattr(own_test, "VARIANTS", VARIANTS)
    monkeypatch.setattr(own_test, "can_show", lambda *_: ())
    done = audited("test_sharp", project, None)
    assert passing(done) == {RIGHT + name for name in VARIANTS if name != "float32"}
    assert "refuses 1 of 3 right variants (float32)" in done.line
    assert done.passed  # in its own dtype it refuses nothing


def test_the_command_says_what_passes_and_writes_the_table(project, capsys):
    assert main(["audit", "test_mine.py::test_blunt", "--target", "mine:backprop", "--jobs", "2"]) == 1
    said = capsys.readouterr().out
    count = sum(max(part.max() for part in by_layer) < 0.05 for _, by_layer in changes())
    assert f"test_mine.py::test_blunt lets {count} of {len(FEW)} known mistakes pass" in said
    assert MISTAKES["output_mean"].summary in said
    assert "tolerance" not in said.splitlines()[0]
    frame = pd.read_csv(project / "reports" / "audit.csv")
    assert frame["passes"].sum() == count
    assert frame["tolerance"].isna().all()
    assert main(["audit", "test_mine.py::test_autograd", "--target", "mine.py:backprop", "--time", "60"]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["test_mine.py::test_never", "--target", "mine:backprop"],
            "no mistake can be planted in mine:backprop for",
        ),
        (["test_mine.py::test_fails", "--target", "mine:backprop"], "does not pass as it is: .*it is never right"),
        (["test_mine.py::test_skipped", "--target", "mine:backprop"], "does not pass as it is: no test"),
        (["test_mine.py::test_none", "--target", "mine:backprop"], "does not pass as it is: no test of this name"),
        (["test_none.py", "--target", "mine:backprop"], r"cannot write or read .*test_none.py"),
        (["test_mine.py::test_sharp", "--target", "mine:doubled"], "mine:doubled is not right; handnet check mine.py"),
        (["test_mine.py::test_sharp", "--target", "mine:doubled"], "consistent, but not as stated"),
        (["test_mine.py::test_sharp", "--target", "mine:Net.backprop"], "is a method: expected a function"),
        (["test_mine.py::test_sharp", "--target", "mine:forward"], "has no attribute 'forward'"),
        (["test_mine.py::test_sharp", "--target", "yours:backprop"], "No module named 'yours'"),
        (["test_mine.py::test_sharp"], "--target is '': expected module:function"),
        (["test_mine.py::test_sharp", "--target", "mine:backprop", "--rtol", "1"], "--rtol is of no use with a TEST"),
        (["--target", "mine:backprop"], "--target is of no use without a TEST"),
        (["test_mine.py::test_sharp", "--target", "mine:backprop", "--time", "0"], "time is 0.0"),
    ],
)
def test_what_cannot_be_audited_is_one_line_and_exit_2(project, capsys, options, message):
    assert main(["audit", *options]) == 2
    error = capsys.readouterr().err
    assert re.match(f"handnet audit: .*{message}", error), error
    assert error.count("\n") == 1
    assert not (project / "reports").exists()


def test_the_page_shows_what_passes_and_no_tolerance_that_nobody_knows(project):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    done = audited("test_shape", project, ("no_half", "no_transpose"))
    text = render(done.title, done.line, done.passed, done.sections())
    assert "lets 1 of 2 known mistakes pass" in text
    assert MISTAKES["no_half"].summary in text
    assert ">tolerance<" not in text


def test_everything_but_this_runs_without_pytest(project, capsys, monkeypatch):
    code = "import sys; sys.modules['pytest'] = None; from comparisons.cli import main; sys.exit(main(['audit']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=project, check=False)
    assert "known mistakes pass" in done.stdout, done.stderr
    monkeypatch.setattr(own_test, "find_spec", lambda name: None)
    assert main(["audit", "test_mine.py::test_sharp", "--target", "mine:backprop"]) == 2
    assert capsys.readouterr().err == "handnet audit: pytest is not installed: pip install pytest\n"


def test_a_folder_of_packages_with_options_of_its_own_is_read_as_pytest_reads_it(project):
    (project / "src").mkdir()
    (project / "mine.py").rename(project / "src" / "mine.py")
    (project / "tests").mkdir()
    (project / "tests" / "__init__.py").touch()
    (project / "test_mine.py").rename(project / "tests" / "test_mine.py")
    blocked = "import sys\nsys.modules['not_to_be_imported'] = None\n"
    (project / "tests" / "conftest.py").write_text(f"from mine import backprop\n{blocked}")
    (project / "pytest.ini").write_text("[pytest]\npythonpath = src\naddopts = --no-such-option\n")
    own = OwnTest("tests/test_mine.py::test_sharp", "mine:backprop", {}, str(project))
    assert not passing(outcome(own, 60, 1, ("no_half",)))


# What is planted.


def right(weights, x, y, **how):
    return Network(weights, **how).backprop(x, y)


def note(weights, x, y):
    return right(weights, x, y).gradients


def cost_first(weights, x, y):
    result = right(weights, x, y)
    return float(result.cost), list(result.gradients)


def everything(weights, x, y, learning_rate=0.25):
    net = Network(weights)
    result = net.backprop(x, y)
    updated = net.update(result.gradients, learning_rate).weights
    names = ("activations", "cost", "deltas", "gradients")
    return {**{name: getattr(result, name) for name in names}, "updated": updated}


def an_object(weights, x, y):
    result = right(weights, x, y)
    return SimpleNamespace(cost=result.cost, gradients=result.gradients, deltas=result.deltas)


def deltas_without_the_share(weights, x, y):
    result = right(weights, x, y)
    return {"deltas": [len(x) * d for d in result.deltas], "gradients": result.gradients}


def deepest_first(weights, x, y):
    return list(right(weights, x, y).gradients[::-1])


def in_place(weights, x, y, lr):
    for w, gradient in zip(weights, right([*weights], x, y).gradients, strict=True):
        w -= lr * gradient


def summed(weights, x, y):
    return right(weights, x, y, reduction="sum").gradients


def joined(pairs):
    return [np.vstack([np.asarray(W), np.asarray(b).reshape(1, -1)]) for W, b in pairs]


def flat(weights, x, y):
    made = right(joined(zip(weights[::2], weights[1::2], strict=True)), x, y).gradients
    return [part for g in made for part in (g[:-1], g[-1])]


def by_name(params, X, Y):
    layers = len(params) // 2
    made = right(joined((params[f"W{l}"], params[f"b{l}"]) for l in range(1, layers + 1)), X, Y).gradients
    return {f"d{letter}{l}": part for l, g in enumerate(made, 1) for letter, part in (("W", g[:-1]), ("b", g[-1]))}


def two_lists(weights, biases, x, y):
    made = right(joined(zip(weights, biases, strict=True)), x, y).gradients
    return [g[:-1] for g in made], [g[-1] for g in made]


def layer_by_layer(X, y, W1, b1, W2, b2, W3, b3):
    made = right(joined([(W1, b1), (W2, b2), (W3, b3)]), X, y).gradients
    return tuple(part for g in made for part in (g[:-1], g[-1:]))


def columns(weights, X, Y):
    made = right(joined((W.T, b) for W, b in weights), X.T, Y.T).gradients
    return [(g[:-1].T, g[-1][:, np.newaxis]) for g in made]


def bias_first(weights, x, y):
    made = right([np.vstack([W[:, 1:].T, W[:, :1].T]) for W in weights], x, y).gradients
    return [np.hstack([g[-1:].T, g[:-1].T]) for g in made]


def plain_lists(weights, x, y):
    made = right(joined([W, b] for W, b in weights if isinstance(W, list)), np.array(x), np.array(y)).gradients
    return [(g[:-1].tolist(), g[-1].tolist()) for g in made]


def softmaxed(weights, x, y):
    return right(weights, x, y, activation=["tanh", "tanh", "softmax"], cost="cross_entropy", l2=0.1).gradients


FUNCTIONS = {
    **{function.__name__: (function, {}) for function in (note, cost_first, everything, an_object)},
    **{function.__name__: (function, {}) for function in (deltas_without_the_share, deepest_first, in_place, flat)},
    **{function.__name__: (function, {}) for function in (by_name, two_lists, columns, bias_first)},
    "layer_by_layer": (layer_by_layer, {"sizes": (2, 5, 4, 3)}),
    "plain_lists": (plain_lists, {}),
    "summed": (summed, {"reduction": "sum"}),
    "softmax": (
        softmaxed,
        {"activation": ("tanh", "tanh", "softmax"), "cost": "cross_entropy", "l2": 0.1},
    ),
    "no biases": (lambda weights, x, y: right(weights, x, y, biases=False).gradients, {"biases": False}),
}


@pytest.mark.parametrize(("function", "options"), FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("name", ["no_hidden_slope", "slope_is_activation"])
def test_check_names_what_was_planted_in_whichever_form(function, options, name):
    own = OwnTest("", "", options)
    form = learned(function, own)
    mutant = planted(function, own, form, name)
    comparison = check(mutant, **options)
    assert comparison.diagnosis, comparison
    assert name in comparison.diagnosis.mistakes
    assert mutant.effect > 0
    as_it_is = planted(function, own, form, "")
    assert check(as_it_is, **options).passed
    assert as_it_is.problems
    assert as_it_is.effect == 0


def test_what_a_mistake_leaves_keeps_its_last_digit():
    own = OwnTest("", "", {})
    weights = [np.random.default_rng(1).standard_normal(shape) for shape in ((3, 4), (5, 2))]
    x, y = np.array([[0.1, 0.2]]), np.array([[0.3, 0.4]])
    third = 3.0

    def other_order(weights, x, y):
        return [g / third * third for g in right(weights, x, y).gradients]

    form = learned(other_order, own)
    made = planted(other_order, own, form, "batch_sum")(weights, x, y)  # which changes nothing with one sample
    for one, other in zip(made, other_order(weights, x, y), strict=True):
        assert np.array_equal(one, other)


def test_float32_stays_float32_and_what_is_not_understood_stays_as_it_is():
    own = OwnTest("", "", {})
    form = learned(note, own)
    mutant = planted(note, own, form, "no_half")
    weights = [np.ones((3, 4), np.float32), np.ones((5, 2), np.float32)]
    made = mutant(weights, np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32))
    assert {g.dtype for g in made} == {np.dtype(np.float32)}
    with pytest.raises(ValueError, match="inputs"):
        mutant(weights, np.ones((2, 7)), np.zeros((2, 2)))
    assert "inputs has shape (2, 7)" in mutant.unread[0]


# What the documents say.


def lets_pass(test, names):
    """The mistakes with which a test of the examples passes, in this process."""
    sys.path.insert(0, str(ROOT / "examples"))
    import test_finite_differences as examples

    function, own = examples.rows.backprop, OwnTest("", "", {})
    form = learned(function, own)
    passed = set()
    for name in names:
        examples.rows.backprop = planted(function, own, form, name)
        try:
            getattr(examples, test)()
            passed.add(name)
        except (AssertionError, ValueError):
            pass
        finally:
            examples.rows.backprop = function
    return passed


def documented():
    text = (ROOT / "docs" / "audit.md").read_text()
    rows = re.findall(r"^\| `(test_\w+)` \|[^|]*\| (\d+) of (\d+) \|$", text, re.MULTILINE)
    assert len(rows) == 3
    return rows


@pytest.mark.parametrize(("test", "count", "of"), documented())
def test_the_tests_of_the_examples_let_pass_what_the_documents_say(test, count, of):
    names = [name for name in can_show(THE_NOTES, ("sigmoid", "sigmoid"), ["gradient"]) if name != "single_precision"]
    assert int(of) == len(names) + 1
    assert len(lets_pass(test, [*names, ZEROS])) == int(count)


@pytest.mark.slow
@pytest.mark.parametrize(("test", "count", "of"), documented())
def test_the_command_says_of_the_examples_what_the_documents_say(tmp_path, test, count, of):
    command = [sys.executable, "-m", "comparisons", "audit", f"examples/test_finite_differences.py::{test}"]
    command += ["--target", "examples/styles/rows.py:backprop", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1, done.stderr
    assert f"lets {count} of {of} known mistakes pass" in done.stdout
