"""Grading: what there are points for, how much a hint gives away, whatever a submission does, and others' formats."""

import contextlib
import ctypes
import doctest
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from comparisons import check, grade
from comparisons.cli import main
from comparisons.diagnosis.hint import hint
from comparisons.mistakes.known import MISTAKES
from comparisons.mistakes.variants import Variant
from comparisons.output.outcome import Outcome
from comparisons.studies import grade as grading
from comparisons.studies.grade import graded, readable
from comparisons.studies.processes import MOST_BYTES, in_processes
from comparisons.studies.proof import Planted
from comparisons.studies.rubric import GRADE_COLUMNS, VISIBILITY, rubric_of
from comparisons.studies.work import cores
from comparisons.subject.implementation import load
from handnet import Network

COURSE = Path(__file__).parent.parent / "examples" / "course"
RIGHT, WRONG = (str(COURSE / "submissions" / f"{name}.py") for name in ("right", "wrong"))
POINTS = ["--points", str(COURSE / "points.toml")]
# Each quantity in powers of two, so that the sum says which were earned.
EACH = {"activation": 1, "cost": 2, "delta": 4, "gradient": 8, "weight": 16}


def planted(name, given="all"):
    return Planted(Variant((name,)), "sigmoid", "note", given)


def right(weights, inputs, targets):
    return Network(weights).backprop(inputs, targets)


def changed(**how):
    """What is right but for some quantities, each changed by a function."""

    def backprop(weights, inputs, targets):
        result = right(weights, inputs, targets)
        names = ("activations", "cost", "deltas", "gradients")
        made = {name: getattr(result, name) for name in names} | {"activations": result.activations[1:]}
        return made | {name: change(made[name]) for name, change in how.items()}

    return backprop


# What there are points for.


@pytest.mark.parametrize(
    ("function", "earned"),
    [
        (right, 15),
        (changed(cost=lambda c: 2 * c), 13),
        (changed(deltas=lambda d: [3 * one for one in d]), 11),
        (changed(gradients=lambda g: [g[0], 2 * g[1], g[2]]), 7),
        (changed(activations=lambda a: None), 14),
        (lambda w, x, t: right(w, x, t).gradients, 8),
        (lambda w, x, t: None, 0),
        (planted("slope_of_activation"), 3),
        (planted("ascent"), 15),
    ],
    ids=["right", "cost", "deltas", "one layer", "no activations", "gradients alone", "nothing", "a mistake", "step"],
)
def test_points_are_for_what_is_right_and_given(function, earned):
    assert grade(function, {"points": EACH}).points == earned


@pytest.mark.parametrize(
    ("names", "points"),
    [(["delta 3", "delta output"], 2), (["delta 1", "delta 2", "delta hidden", "delta"], 0), (["gradient 3"], 1)],
)
def test_points_can_be_for_one_layer_the_outputs_or_the_hidden_ones(names, points):
    assert grade(planted("no_transpose"), {"points": dict.fromkeys(names, 1)}).points == points


def test_an_equation_is_right_on_what_it_is_computed_from():
    earned = grade(
        planted("slope_of_activation"), {"points": {"gradient": 1}, "equations": {"gradient": 2, "delta": 4}}
    )
    assert earned.points == 2
    assert earned["gradient, its equation"] == "right"
    assert earned["delta, its equation"].startswith("wrong\n")


def test_right_numbers_in_transposed_matrices_are_not_right():
    turned = changed(gradients=lambda g: [one.T for one in g])
    assert grade(turned, {"points": {"gradient": 1, "delta": 2}}).points == 2


def test_a_function_that_raises_on_some_network_keeps_what_the_others_show_to_be_right():
    def untransposed(weights, inputs, targets):
        net = Network(weights)
        a = net.forward(inputs)
        delta = (a[-1] - targets) * a[-1] * (1 - a[-1]) / len(inputs)
        hidden = delta @ weights[-1][:-1] * a[-2] * (1 - a[-2])  # raises where the widths differ
        return {"activations": a[1:], "deltas": [hidden, delta]}

    earned = grade(
        untransposed, {"points": {"activation": 1, "delta output": 2, "delta hidden": 4}, "sizes": [3, 4, 4]}
    )
    assert earned.points == 3
    two = {"points": {"activation": 1, "delta output": 2, "delta hidden": 4}, "activation": ["sigmoid"] * 2}
    earned = grade(untransposed, two)
    assert (earned.points, earned.first_wrong, earned.remark) == (3, "delta^(1)", "it gave no answer on some network")


def test_what_is_wrong_in_a_deeper_network_alone_is_laid_at_its_layer():
    def shallow(weights, inputs, targets):
        result = right(weights, inputs, targets)
        deltas = list(result.deltas)
        deltas[2] = deltas[2] * (2 if len(weights) == 4 else 1)
        return {"activations": result.activations[1:], "deltas": deltas}

    earned = grade(shallow, {"points": {"activation": 1, "delta output": 2, "delta hidden": 4, "delta 3": 8}})
    assert earned.points == 3
    assert earned.hint == "Look at delta^(3), of layer 3 of 4: it is the first wrong quantity."


def test_what_could_not_be_judged_earns_nothing_and_is_said():
    def in_tanh(weights, inputs, targets):
        lowest, *others = Network(weights, "tanh").backprop(inputs, targets).gradients
        # Rounding is not expected to do that, but in five layers of float32 nobody can be sure.
        return [lowest * np.float32(1.001), *others]

    options = {"sizes": [64, 64, 64, 64, 64, 10], "activation": "tanh", "dtype": "float32"}
    earned = grade(in_tanh, {"points": {"gradient": 1, "gradient 1": 2}} | options)
    assert (earned.points, earned.standings) == (0, ("not judged", "not judged"))
    assert earned.hint == "Nothing is wrong, but not every quantity could be judged."


def test_a_function_that_raises_and_is_right_elsewhere_earns_nothing():
    def only_many(weights, inputs, targets):
        if len(inputs) == 1:
            raise ValueError("one sample")
        return right(weights, inputs, targets)

    earned = grade(only_many, {"points": EACH})
    assert earned.points == 0
    assert "ValueError: one sample" in earned.remark
    assert "ValueError: one sample" in earned.hint


def test_the_rubric_has_any_option_of_check():
    def summed(weights, inputs, targets):
        return [len(inputs) * g for g in right(weights, inputs, targets).gradients]

    assert grade(summed, {"points": {"gradient": 1}}).points == 0
    assert grade(summed, {"points": {"gradient": 1}, "reduction": "sum"}).points == 1


BAD = {
    "unknown": ({"points": {"cost": 1}, "colour": 1}, "colour is unknown: expected points, equations, hint"),
    "quantity": ({"points": {"gradients": 1}}, r"\[points\] has 'gradients': expected activation, cost, delta"),
    "layer": ({"points": {"delta 4": 1}}, "has 'delta 4': expected"),
    "cost": ({"equations": {"cost 1": 1}}, r"\[equations\] has 'cost 1'"),
    "points": ({"points": {"cost": "2"}}, r"\[points\] cost is '2': expected a number of points"),
    "negative": ({"points": {"cost": -1}}, "cost is -1"),
    "none": ({"points": {"cost": 0}}, "there are no points"),
    "hint": ({"points": {"cost": 1}, "hint": "all"}, "hint is 'all': expected one of quantity, equation, fix"),
    "visibility": ({"points": {"cost": 1}, "visibility": "no"}, "visibility is 'no': expected one of visible"),
    "layout": ({"points": {"cost": 1}, "layout": "sideways"}, "layout 'sideways' is unknown"),
}


@pytest.mark.parametrize(("source", "message"), BAD.values(), ids=BAD)
def test_a_bad_rubric_is_said_in_a_line(source, message):
    with pytest.raises(ValueError, match=message) as raised:
        rubric_of(source)
    assert "\n" not in str(raised.value)


# What a hint gives away.


def gives_away(text):
    """The mistakes' names and the numbers that a text has."""
    return re.findall(r"\d\.\d|\de[-+]\d", text) + [name for name in MISTAKES if name in text]


@pytest.mark.parametrize("given", ["all", "gradients"])
def test_a_lower_hint_has_no_number_and_no_mistakes_name(given):
    said = 0
    for name in MISTAKES:
        comparison = check(planted(name, given), sizes=(3, 4, 2))
        if comparison.passed or comparison.diagnosis is None:
            continue
        quantity, equation, fix = (hint(comparison, level) for level in ("quantity", "equation", "fix"))
        assert gives_away(fix)
        assert not gives_away(quantity), name
        assert not gives_away(equation), name
        assert " = " not in quantity
        assert re.fullmatch(r"Look at .*: it is the first wrong quantity\.\nThe note has it as .* = .*\.", equation)
        assert equation.startswith(quantity)
        said += 1
    assert said > 25


def test_a_hint_names_the_layer_and_its_equation():
    comparison = check(planted("no_transpose"))
    assert hint(comparison, "quantity") == "Look at delta^(2), of layer 2 of 3: it is the first wrong quantity."
    assert hint(comparison, "equation").endswith("The note has it as delta^(2) = D^(2) (w^(3))^T delta^(3).")
    output = hint(check(planted("reversed_error")), "equation")
    assert output.endswith("The note has it as delta^(3) = D^(3) c.")


def test_a_hint_on_the_cost_knows_whether_it_is_summed():
    comparison = check(changed(cost=lambda c: 3 * c))
    assert hint(comparison, "equation").endswith("the mean over the samples.")
    assert hint(comparison, "equation", summed=True).endswith("the sum over the samples.")


def test_where_nothing_is_wrong_there_is_no_hint_and_an_unknown_level_is_refused():
    assert hint(check(right), "quantity") == ""
    with pytest.raises(ValueError, match="hint is 'more': expected one of quantity, equation, fix"):
        hint(check(right), "more")


@pytest.mark.parametrize("level", ["quantity", "equation"])
def test_the_command_check_gives_away_only_so_much(tmp_path, capsys, level):
    reports = tmp_path / "reports"
    assert main(["check", f"{WRONG}:backprop", "--layout", "columns", "--hint", level, "--out", str(reports)]) == 1
    said = capsys.readouterr().out
    assert "Look at delta^(2), of layer 2 of 3" in said
    assert ("D^(2)" in said) == (level == "equation")
    assert said.endswith("\nMISMATCH\n")
    assert not gives_away(said)
    assert not reports.exists()  # its tables would have what autograd says


def test_the_command_check_gives_all_away_by_default_and_no_page_with_a_hint(tmp_path, capsys):
    asked = ["check", f"{WRONG}:backprop", "--layout", "columns", "--out", str(tmp_path)]
    assert main([*asked, "--hint", "fix"]) == 1
    assert gives_away(capsys.readouterr().out)
    assert main(["check", f"{RIGHT}:backprop", "--layout", "columns", "--hint", "quantity"]) == 0
    assert "match: " in capsys.readouterr().out
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    assert main([*asked, "--hint", "quantity", "--html"]) == 2
    assert "--html is of no use with --hint quantity" in capsys.readouterr().err


# Whatever a submission does.


@pytest.mark.apart
@pytest.mark.parametrize(
    ("function", "item", "seconds", "problem"),
    [
        (os._exit, 3, 60, r"it ended its process \(exit status 3\) before it answered"),
        (ctypes.string_at, 0, 60, r"it crashed \(SIGSEGV\)"),
        (time.sleep, 600, 0.5, "it had not finished after 0.5 seconds"),
        (print, "x" * MOST_BYTES, 60, "it printed more than 1 MB"),
    ],
    ids=["exit", "crash", "for ever", "prints"],
)
def test_a_process_that_does_not_answer_is_ended_and_said(function, item, seconds, problem):
    ((i, answer),) = in_processes(function, [item], seconds)
    assert (i, answer.value) == (0, None)
    assert re.fullmatch(problem, answer.problem)


def test_what_a_process_has_started_ends_with_it(tmp_path):
    noted = tmp_path / "pid"
    command = f"sleep 600 & echo $! > {noted}.new; mv {noted}.new {noted}; sleep 600"
    list(in_processes(os.system, [command], seconds=1))
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("needs /proc")
    command_line, looks = Path("/proc", noted.read_text().strip(), "cmdline"), 0
    while command_line.exists() and command_line.read_bytes():  # until the signal has come
        time.sleep(0.01)
        looks += 1
        assert looks < 1000


def test_a_submission_has_twenty_seconds_and_every_core_by_default(monkeypatch):
    given = []
    monkeypatch.setattr(grading, "outcome", lambda *arguments: given.extend(arguments) or Outcome(True, ""))
    assert main(["grade", RIGHT, *POINTS]) == 0
    assert given[0] == [f"{RIGHT}:backprop"]
    assert given[-2:] == [20, cores()]


@pytest.mark.apart
def test_what_prints_little_answers():
    answers = dict(in_processes(len, ["abc", "", "a"], jobs=2))
    assert {i: answer.value for i, answer in answers.items()} == {0: 3, 1: 0, 2: 1}
    assert not any(answer.problem for answer in answers.values())


@pytest.mark.parametrize(
    ("seconds", "jobs", "message"), [(1, 0, "jobs is 0"), (0, 1, "time is 0"), (np.nan, 1, "time")]
)
def test_no_time_and_no_processes_are_refused(seconds, jobs, message):
    with pytest.raises(ValueError, match=message):
        list(in_processes(len, [""], seconds, jobs))


BEHAVIOUR = {
    "exits": ("import os\ndef backprop(w, x, t): os._exit(0)", "it ended its process (exit status 0)"),
    "crashes": ("import ctypes\ndef backprop(w, x, t): ctypes.string_at(0)", "it crashed (SIGSEGV)"),
    "prints": ("def backprop(w, x, t):\n    for _ in range(100): print('x' * 1_000_000)", "it printed more than 1 MB"),
    "raises": ("raise RuntimeError('on import')", "raised RuntimeError: on import (raises.py:1)"),
    "broken": ("def backprop(:", "raised SyntaxError"),
    "quits": ("import sys\nsys.exit('enough')", "raised SystemExit: enough"),
    "writes": ("def backprop(w, x, t): open(__file__ + '.big', 'wb').write(bytes(2 << 20))", "OSError"),
    "empty": ("", "empty.py has no backprop"),
    "odd": ("def backprop(w, x, t): raise ValueError('a\\x00b\\udc80')", "ValueError: a\\x00b\\udc80"),
    "number": ("backprop = 3", "backprop is of type int: expected a function"),
}


def write(folder, **sources):
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    return [str(folder / f"{name}.py") for name in sources]


@pytest.mark.apart
def test_whatever_one_submission_does_the_others_keep_their_points(tmp_path, capsys):
    files = write(tmp_path, **{name: source for name, (source, _) in BEHAVIOUR.items()})
    out = tmp_path / "reports"
    submissions = [RIGHT, *files, WRONG]
    assert main(["grade", *submissions, *POINTS, "--format", "junit", "--out", str(out), "--jobs", "3"]) == 1
    said = capsys.readouterr().out
    assert said.strip().splitlines()[-1].startswith("12 submissions: 1 with all points, 1.5 of 11 points on average")
    frame = pd.read_csv(out / "grade.csv", keep_default_na=False)
    assert tuple(frame.columns) == GRADE_COLUMNS
    assert frame["submission"].tolist() == submissions
    assert frame["points"].tolist() == [11, *[0] * len(files), 7]
    assert set(frame["out_of"]) == {11}
    for (_, why), row in zip(BEHAVIOUR.values(), frame[1:-1].to_dict("records"), strict=True):
        assert why in row["remark"]
        assert why in row["hint"]
        assert why in said
        assert row["first_wrong"] == ""
    assert frame["hint"].tolist()[-1] == "Look at delta^(2), of layer 2 of 3: it is the first wrong quantity."
    suites = ElementTree.parse(out / "junit.xml").getroot().findall("testsuite")
    assert [suite.get("errors") for suite in suites] == ["0", *["6"] * len(files), "0"]


def test_a_submission_that_loops_for_ever_is_ended(tmp_path, capsys):
    (file,) = write(tmp_path, loops="def backprop(w, x, t):\n    while True: pass")
    assert main(["grade", file, *POINTS, "--time", "0.5", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "No points: it had not finished after 0.5 seconds." in said
    assert "0 of 11 points" in said


def test_an_exception_does_not_fill_the_disk(tmp_path):
    (file,) = write(tmp_path, long="raise ValueError('x' * 10_000_000)")
    assert len(graded((f"{file}:backprop", rubric_of({"points": {"cost": 1}})))["hint"]) == 4000
    assert readable("a\x1b[31m\n") == "a\\x1b[31m\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py"], "cannot write or read nowhere.py"),
        (["mine.txt"], "target is 'mine.txt': expected file.py or file.py:function"),
        ([RIGHT, f"{RIGHT}:backprop"], "was given twice"),
        ([RIGHT, "--time", "0"], "time is 0.0: expected a number of seconds"),
        ([RIGHT, "--jobs", "0"], "jobs is 0: expected 1 or more"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, arguments, message):
    assert main(["grade", *arguments, *POINTS, "--out", str(tmp_path / "r")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_a_file_that_is_no_rubric_is_named(tmp_path, capsys):
    path = tmp_path / "points.toml"
    for text, message in [("points", "is no TOML"), ("hint = 'fix'", "there are no points")]:
        path.write_text(text)
        assert main(["grade", RIGHT, "--points", str(path)]) == 2
        error = capsys.readouterr().err
        assert str(path) in error
        assert message in error


# Others' formats.


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What both submissions of the course come to, in a format."""

    def files(form, *submissions):
        out = tmp_path_factory.mktemp(form)
        main(["grade", *submissions, *POINTS, "--format", form, "--out", str(out)])
        return out

    return files


# Of Gradescope's documentation: the types of each key, and the values of a visibility.
RESULTS = {"score": float, "execution_time": int, "output": str, "visibility": str, "tests": list}
TEST = {"name": str, "score": float, "max_score": float, "output": str, "visibility": str}


def test_gradescopes_results_have_the_documented_keys_and_types(written):
    results = json.loads((written("gradescope", WRONG) / "results.json").read_text())
    assert {key: type(value) for key, value in results.items()} == RESULTS
    assert (results["score"], results["visibility"]) == (7, "visible")
    assert results["output"] == "Look at delta^(2), of layer 2 of 3: it is the first wrong quantity."
    for test in results["tests"]:
        assert {key: type(value) for key, value in test.items()} == TEST
        assert test["visibility"] in VISIBILITY
        assert test["score"] in (0, test["max_score"])
    assert sum(test["score"] for test in results["tests"]) == results["score"]
    assert {test["name"]: test["output"] for test in results["tests"]} == {
        "cost": "right",
        "activation": "right",
        "delta output": "right",
        "delta hidden": "wrong",
        "gradient 1": "wrong",
        "gradient, its equation": "right",
    }


def test_several_submissions_get_a_results_file_each(written):
    files = sorted((written("gradescope", RIGHT, WRONG) / "gradescope").iterdir())
    assert [json.loads(file.read_text())["score"] for file in files] == [11, 7]


def test_junits_cases_have_the_keys_that_ci_reads(written):
    root = ElementTree.parse(written("junit", RIGHT, WRONG) / "junit.xml").getroot()
    assert root.tag == "testsuites"
    for suite, failures in zip(root, (0, 2), strict=True):
        assert suite.tag == "testsuite"
        assert set(suite.keys()) == {"name", "tests", "failures", "errors", "skipped", "time"}
        assert (int(suite.get("tests")), int(suite.get("failures"))) == (len(suite), failures)
        assert len(suite.findall("testcase/failure")) == failures
        for case in suite:
            assert set(case.keys()) == {"classname", "name", "time"}
            for failure in case:
                assert failure.get("type") == "wrong"
                assert re.fullmatch(r"wrong: 0 of [13] points", failure.get("message"))
                assert failure.text.startswith("Look at delta^(2)")


def points_by(tests, submission):
    """What a submission gets by tests in OK format, each of one doctest, and what the failed ones show."""
    names: dict = {}
    exec(Path(submission).read_text(), names)
    points, shown = 0.0, []
    for file in sorted(tests.iterdir()):
        spec: dict = {}
        exec(file.read_text(), spec)
        assert spec["OK_FORMAT"] is True
        test = spec["test"]
        assert {"name", "points", "suites"} == set(test)
        (suite,) = test["suites"]
        (case,) = suite["cases"]
        assert (suite["type"], suite["setup"], suite["teardown"], case["hidden"]) == ("doctest", "", "", False)
        runner = doctest.DocTestRunner(verbose=False)
        runner.run(doctest.DocTestParser().get_doctest(case["code"], names, "", None, 0), out=shown.append)
        points += 0 if runner.summarize(verbose=False).failed else test["points"]
    return points, "".join(shown)


@pytest.mark.apart
def test_otters_tests_give_each_submission_its_points(written, capsys):
    tests = written("otter", RIGHT) / "tests"
    assert len(list(tests.iterdir())) == 6
    assert points_by(tests, RIGHT) == (11, "")
    points, shown = points_by(tests, WRONG)
    assert points == 7
    assert shown.count("Look at delta^(2), of layer 2 of 3") == 2


@pytest.mark.apart
def test_nbgraders_notebook_has_a_cell_for_each_entry(written):
    notebook = json.loads((written("nbgrader", RIGHT) / "source" / "backprop" / "backprop.ipynb").read_text())
    solution, *tests = notebook["cells"]
    assert Path(RIGHT).read_text().strip() in solution["source"]
    assert solution["metadata"]["nbgrader"]["solution"]
    assert sum(cell["metadata"]["nbgrader"]["points"] for cell in tests) == 11
    for submission, points in ((RIGHT, 11), (WRONG, 7)):
        names: dict = {}
        exec(Path(submission).read_text(), names)
        earned = 0
        for cell in tests:
            with contextlib.suppress(AssertionError):
                exec(cell["source"], names)
                earned += cell["metadata"]["nbgrader"]["points"]
        assert earned == points


# The course kit.


@pytest.mark.apart
@pytest.mark.parametrize(("status", "expected"), [(0, 0), (1, 0), (2, 1)])
def test_gradescopes_script_leaves_the_results_where_they_are_looked_for(tmp_path, monkeypatch, status, expected):
    root, command = tmp_path / "autograder", tmp_path / "bin" / "handnet"
    for folder in (root / "source", root / "submission", command.parent):
        folder.mkdir(parents=True)
    shutil.copy(COURSE / "points.toml", root / "source")
    shutil.copy(WRONG, root / "submission" / "backprop.py")
    command.write_text(f'#!/bin/sh\necho "$@"\nexit {status}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    script = (COURSE / "gradescope" / "run_autograder").read_text().replace("/autograder", str(root))
    done = subprocess.run(["bash", "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == expected  # lost points are no failure of the grading
    assert main(done.stdout.split()) == 1
    assert json.loads((root / "results" / "results.json").read_text())["score"] == 7


def test_the_page_on_courses_shows_what_its_commands_do(tmp_path, monkeypatch, capsys):
    text = (COURSE.parent.parent / "docs" / "course.md").read_text()
    (rubric,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert tomllib.loads(rubric) == tomllib.loads((COURSE / "points.toml").read_text())
    commands = re.findall(r"^    handnet (grade .*)$", text, re.MULTILINE)
    assert len(commands) == 5
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(COURSE.parent)
    for i, command in enumerate(commands):
        words = [sorted(map(str, Path().glob(word))) if "*" in word else [word] for word in command.split()]
        main(list(itertools.chain(*words)))
        said = capsys.readouterr().out
        if not i:
            assert f"```\n{said}```\n" in text
    for path in ("results/results.json", "bundle/tests", "course/source/backprop/backprop.ipynb", "reports/junit.xml"):
        assert (tmp_path / path).exists()
    comparison = check(load(f"{WRONG}:backprop"), layout="columns")
    assert all(line in text for line in hint(comparison, "equation").splitlines())


# For real, and many.


def run(folder, *command):
    # nbgrader calls alembic by its name, which is beside Python where no environment is active.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_otter_grader_runs_the_tests(tmp_path, written):
    pytest.importorskip("otter")
    otter = [sys.executable, "-m", "otter"]
    archive = str(tmp_path / "autograder.zip")
    tests = str(written("otter", RIGHT) / "tests")
    run(tmp_path, *otter, "generate", "-t", tests, "-o", archive, "--no-environment", "--no-requirements")
    for submission, points in ((RIGHT, 11), (WRONG, 7)):
        run(tmp_path, *otter, "run", "-a", archive, "-o", str(tmp_path), "--no-logo", submission)
        tests = json.loads((tmp_path / "results.json").read_text())["tests"]
        assert sum(test.get("score", 0) for test in tests) == points


@pytest.mark.slow
def test_nbgrader_grades_the_notebook(tmp_path, written):
    pytest.importorskip("nbgrader")
    nbgrader = [sys.executable, "-m", "nbgrader"]
    course = written("nbgrader", RIGHT)
    run(course, *nbgrader, "generate_assignment", "backprop")
    release = json.loads((course / "release" / "backprop" / "backprop.ipynb").read_text())
    (cell,) = (cell for cell in release["cells"] if cell["metadata"]["nbgrader"]["solution"])
    assert "sigmoid" not in "".join(cell["source"])
    for name, submission in (("right", RIGHT), ("wrong", WRONG)):
        cell["source"] = Path(submission).read_text()
        folder = course / "submitted" / name / "backprop"
        folder.mkdir(parents=True)
        (folder / "backprop.ipynb").write_text(json.dumps(release))
    run(course, *nbgrader, "autograde", "backprop")
    run(course, *nbgrader, "export")
    grades = pd.read_csv(course / "grades.csv").set_index("student_id")
    assert grades["score"].to_dict() == {"right": 11, "wrong": 7}


@pytest.mark.slow
def test_two_hundred_submissions_keep_their_points_beside_those_that_misbehave(tmp_path, capsys):
    files = write(tmp_path, **{f"right{i}": Path(RIGHT).read_text() for i in range(196)})
    files += write(tmp_path, loops="def backprop(w, x, t):\n    while True: pass")
    files += write(tmp_path, **{name: BEHAVIOUR[name][0] for name in ("exits", "prints", "crashes")})
    started = time.monotonic()
    assert main(["grade", *files, *POINTS, "--jobs", "2", "--out", str(tmp_path / "r")]) == 1
    with capsys.disabled():
        print(f"\n200 submissions in {time.monotonic() - started:.0f} seconds")
    frame = pd.read_csv(tmp_path / "r" / "grade.csv")
    assert frame["points"].tolist() == [11] * 196 + [0] * 4
