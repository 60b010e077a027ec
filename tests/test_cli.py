import importlib.util
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from comparisons.cli import main
from comparisons.studies import cases
from comparisons.studies.cases import CASES, Case, always, case, load_digits
from comparisons.verdict.measured import ELEMENT_COLUMNS, FRAME_COLUMNS
from handnet import Network

HTML = ["--html"] if all(map(importlib.util.find_spec, ("jinja2", "matplotlib"))) else []


def lines(capsys):
    return capsys.readouterr().out.strip().splitlines()


def test_all_cases_match_and_only_saturation_is_undecided(tmp_path, capsys):
    assert main(["compare", "--out", str(tmp_path)]) == 0
    assert lines(capsys)[-1].startswith("match: ")
    names = {"comparison.csv", "elements.csv", "training.csv", "equations.csv", "run.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    frame = pd.read_csv(tmp_path / "comparison.csv")
    assert tuple(frame.columns) == FRAME_COLUMNS
    assert set(frame["case"]) == set(CASES)
    assert set(frame["verdict"]) <= {"ok", "undecided"}
    assert set(frame[frame["verdict"] == "undecided"]["case"]) <= {"saturated"}
    assert frame["error_over_tolerance"].max() <= 1
    assert tuple(pd.read_csv(tmp_path / "elements.csv").columns) == ELEMENT_COLUMNS
    run = json.loads((tmp_path / "run.json").read_text())
    assert {"versions", "platform", "command", "start", "duration"} == set(run)


@pytest.mark.parametrize("name", ["note", "step-by-step", "deep", "mixed", "saturated", "xor"])
def test_float32_matches_too(tmp_path, name):
    assert main(["compare", name, "--dtype", "float32", "--steps", "2", "--out", str(tmp_path)]) == 0
    assert not (tmp_path / "equations.csv").exists()


def test_options_choose_steps_rate_and_elements(tmp_path):
    options = ["--steps", "3", "--learning-rate", "0.25", "--elements", "all", "--out", str(tmp_path)]
    assert main(["compare", "digits", *options]) == 0
    elements = pd.read_csv(tmp_path / "elements.csv")
    frame = pd.read_csv(tmp_path / "comparison.csv")
    assert frame["step"].max() == 3
    assert len(elements) == frame["elements"].sum()


def test_a_mismatch_exits_with_1_and_says_where(tmp_path, capsys, monkeypatch):
    class Untransposed(Network):
        def w(self, l):
            return np.swapaxes(super().w(l), -1, -2)

    net = Untransposed(case("note").network.weights)
    monkeypatch.setitem(cases.CASES, "note", lambda dtype: Case(net, always([[0.35, 0.9]], [[0.25, 0.8]]), 2))
    assert main(["compare", "note", "--out", str(tmp_path)]) == 1
    out = lines(capsys)
    assert any("note: Where: delta^(1) is the first wrong quantity (layer 1 of 2)" in line for line in out)
    assert any("a transpose is missing, or one too many [no_transpose]" in line for line in out)
    assert any("Replay: handnet compare note --dtype float64 --steps 2" in line for line in out)
    assert out[-1].startswith("MISMATCH in note")
    assert set(pd.read_csv(tmp_path / "comparison.csv")["verdict"]) == {"ok", "wrong", "inherited"}


BAD = {
    "case": (["compare", "nose"], "'nose' is unknown: expected one of note"),
    "steps": (["compare", "note", "--steps", "0"], "steps is 0: expected 1 or more"),
    "rate": (["compare", "note", "--learning-rate", "nan"], "learning_rate is nan"),
    "device": (["compare", "note", "--device", "abacus"], "'abacus': expected 'cpu' or 'cuda'"),
    "points": (["equations", "--points", "0"], "points is 0: expected 1 or more"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_exit_2(tmp_path, capsys, arguments, message):
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


USELESS = {
    "implementation": (["compare", "note", "--implementation", "x.py:f"], "--implementation is of no use without --re"),
    "steps": (["compare", "--replay", "0:1", "--steps", "9"], "--steps is of no use with --replay"),
    "dtype": (["check", "one-neuron.toml", "--dtype", "float32"], "--dtype is of no use with a worked example"),
    "layout": (["sweep", "--layout", "columns"], "--layout is of no use without --implementation"),
    "jobs": (["mistakes", "--list", "--jobs", "2"], "--jobs is of no use with --list"),
}


@pytest.mark.parametrize(("arguments", "message"), USELESS.values(), ids=USELESS)
def test_an_option_that_would_change_nothing_is_refused(tmp_path, capsys, arguments, message):
    assert main([*arguments, "--out", str(tmp_path / "reports")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(("encoding", "letter"), [("ascii", "\u00e9"), ("utf-8", "\ud800")])
def test_a_letter_that_the_terminal_lacks_changes_no_status(tmp_path, capsys, monkeypatch, encoding, letter):
    (tmp_path / "mine.py").write_text(f"def f(weights, inputs, targets):\n    raise ValueError({letter!a})\n")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["check", f"{tmp_path}/mine.py:f", "--out", str(tmp_path), *HTML]) == 2
    terminal.flush()
    assert ascii(letter)[1:-1].encode() in terminal.buffer.getvalue()
    assert capsys.readouterr().err == ""


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    assert main(["compare", "note", "--out", str(blocked)]) == 2
    error = capsys.readouterr().err
    assert "cannot write" in error
    assert error.count("\n") == 1
    assert blocked.read_text() == "mine"


@pytest.mark.apart
def test_a_mismatch_shows_in_the_status_even_where_nobody_reads(tmp_path):
    code = (
        "import sys; from comparisons.cli import main; from comparisons.studies import equations;"
        "equations.sound = lambda frame: False; sys.exit(main(['equations', '--points', '5', '--out', sys.argv[1]]))"
    )
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert run.returncode == 1
    assert run.stderr == ""
    assert (tmp_path / "equations.csv").exists()


@pytest.mark.parametrize("arguments", [[], ["compare", "--steps", "x"], ["compare", "--out", ""], ["compere"]])
def test_a_wrong_command_line_is_one_line(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.apart
def test_a_full_disk_leaves_the_old_reports(tmp_path):
    """The limit on a file's size fails a write as a full disk does."""
    assert main(["compare", "note", "--out", str(tmp_path)]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    code = (
        "import resource, sys; from comparisons.cli import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        f"sys.exit(main(['compare', 'digits', '--steps', '2', '--out', {str(tmp_path)!r}]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2
    assert "cannot write" in run.stderr
    assert "Traceback" not in run.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_equations_command_reports_the_misprints(tmp_path, capsys):
    assert main(["equations", "--points", "50", "--out", str(tmp_path)]) == 0
    assert "6 misprinted (6 agree as corrected)" in lines(capsys)[-1]
    frame = pd.read_csv(tmp_path / "equations.csv")
    assert list(frame.columns[:5]) == ["equation", "quantity", "printed", "as_printed", "max_error"]


def test_the_digits_are_the_whole_set():
    inputs, targets = load_digits()
    assert inputs.shape == (1797, 64)
    assert inputs.max() == 1
    assert (targets.sum(axis=1) == 1).all()
    assert targets.sum(axis=0).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


# check file.py:function

OWN = """
import numpy as np
import helper

def backprop(weights, inputs, targets):
    a = [inputs]
    for w, b in weights:
        a.append(helper.sigmoid(a[-1] @ w.T + b))
    delta = (a[-1] - targets) / len(inputs) * a[-1] * (1 - a[-1])
    gradients = []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (delta.T @ a[l], delta.sum(0)))
        delta = (delta @ weights[l][0]) * a[l] * (1 - a[l])
    return gradients

class Net:
    @staticmethod
    def doubled(weights, inputs, targets):
        return [(2 * w, 2 * b) for w, b in backprop(weights, inputs, targets)]
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "helper.py").write_text("import numpy as np\n\ndef sigmoid(z):\n    return 1 / (1 + np.exp(-z))\n")
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_a_right_file_passes_and_its_numbers_are_written(own, tmp_path, capsys):
    out = tmp_path / "reports"
    assert main(["check", f"{own}:backprop", "--layout", "linear", "--sizes", "3,5,4,3", "--out", str(out)]) == 0
    assert lines(capsys)[-1].startswith("match: the worst of 295 numbers is at 0.")
    frame = pd.read_csv(out / "comparison.csv")
    assert set(frame["sizes"]) == {"3-5-4-3"}
    assert set(frame["case"]) == {"3-5-4-3"}
    assert set(frame["batch"]) == {6, 7, 1}
    assert {path.name for path in out.iterdir()} == {"comparison.csv", "elements.csv", "run.json"}


def test_a_wrong_file_is_diagnosed_and_exits_with_1(own, tmp_path, capsys):
    assert main(["check", f"{own}:Net.doubled", "--layout", "linear", "--out", str(tmp_path / "reports")]) == 1
    out = lines(capsys)
    assert any("the cost lacks its factor 1/2 [no_half]" in line for line in out)
    assert out[-1].startswith("MISMATCH: no_half")
    assert set(pd.read_csv(tmp_path / "reports" / "comparison.csv")["sizes"]) == {"2-5-4-3", "4-4-4-4"}


def test_a_file_written_for_another_activation_or_reduction_is_checked_as_such(own, tmp_path, capsys):
    arguments = ["check", f"{own}:backprop", "--layout", "linear", "--out", str(tmp_path / "reports")]
    assert main([*arguments, "--activation", "tanh,tanh"]) == 1
    assert "the activation is the sigmoid [sigmoid_activation]" in capsys.readouterr().out
    assert main([*arguments, "--reduction", "sum"]) == 1
    assert "[averaged_twice]" in capsys.readouterr().out


TARGETS = {
    "no function": ("own.py", "expected file.py:function, or a worked example .toml"),
    "no file": ("nobody.py:backprop", "nobody.py: No such file"),
    "no such name": ("own.py:train", "own.py has no train"),
    "a syntax error": ("broken.py:backprop", "broken.py raised SyntaxError"),
    "an import that fails": ("missing.py:backprop", "missing.py raised ModuleNotFoundError: No module named 'nowhere'"),
    "no function either": ("own.py:np.pi", "backprop is of type float: expected a function"),
    "no example": ("nothing.toml", "nothing.toml: No such file"),
}


@pytest.mark.parametrize(("target", "message"), TARGETS.values(), ids=TARGETS)
def test_a_target_that_cannot_be_used_is_one_line(own, tmp_path, capsys, monkeypatch, target, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("def backprop(:\n")
    (tmp_path / "missing.py").write_text("import nowhere\n")
    assert main(["check", target, "--out", "reports"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    "option", [["--sizes", "3,x"], ["--layout", "sideways"], ["--reduction", "max"], ["--dtype", "half"]]
)
def test_a_wrong_option_of_check_is_one_line(capsys, option):
    with pytest.raises(SystemExit) as stopped:
        main(["check", "own.py:backprop", *option])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_joblib_several_jobs_are_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert main(["mistakes", "--jobs", "2", "--out", str(tmp_path)]) == 2
    assert 'joblib is not installed: pip install "handnet[sweep]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    "code",
    ["def backprop(X, y): return X", "class backprop: pass", "def backprop(*question): raise RuntimeError('no idea')"],
    ids=["other arguments", "a class", "raises on every call"],
)
def test_what_never_answers_could_not_be_judged(code, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(code + "\n")
    status = main(["check", f"{tmp_path / 'mine.py'}:backprop", "--out", str(tmp_path / "reports")])
    out = capsys.readouterr().out
    assert status == 2
    assert "expected backprop(weights, inputs, targets)" in out
    assert "MISMATCH" not in out


def test_a_file_that_changes_the_folder_does_not_move_the_reports(tmp_path, monkeypatch, capsys):
    (tmp_path / "elsewhere").mkdir()
    code = "import os\nfrom handnet import Network\nos.chdir('elsewhere')\n"
    code += "def backprop(weights, inputs, targets): return Network(weights).backprop(inputs, targets).gradients\n"
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "mine.py:backprop", "--out", "reports"]) == 0
    assert (tmp_path / "reports" / "comparison.csv").exists()
    assert capsys.readouterr().out.rstrip().endswith("-> reports")


def test_what_to_call_next_is_a_command_on_the_command_line(tmp_path, capsys):
    (tmp_path / "own.py").write_text(
        "from handnet import Network\n\ndef doubled(weights, inputs, targets):\n"
        "    return [2 * len(inputs) * g for g in Network(weights).backprop(inputs, targets).gradients]\n"
    )
    target = f"{tmp_path}/own.py:doubled"
    assert main(["check", target, "--dtype", "float32", "--out", str(tmp_path)]) == 1
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Next: "))
    assert line == f"Next: handnet check {target} --cost squared_error --reduction sum --dtype float32"
    assert main([*line.removeprefix("Next: handnet ").split(), "--out", str(tmp_path)]) == 0
