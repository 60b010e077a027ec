"""Each common style runs as it stands: its right function matches, and the mistake in its wrong one is named."""

import re
import runpy
import shlex
from pathlib import Path

import pytest

from comparisons.cli import main
from comparisons.mistakes.known import MISTAKES

STYLES = Path(__file__).parent / "styles"
MISTAKE = {
    "columns": "bias_batch_sum",
    "own_class": "sigmoid_slope",
    "per_sample": "last_sample_only",
    "rows": "slope_of_activation",
    "softmax": "output_slope_kept",
}


def test_each_style_has_a_mistake_of_its_own():
    assert sorted(MISTAKE) == sorted(path.stem for path in STYLES.glob("*.py"))
    assert len(set(MISTAKE.values()) & set(MISTAKES)) == len(MISTAKE)


@pytest.mark.parametrize("style", MISTAKE)
def test_a_style_runs_right_and_with_its_mistake(style, capsys):
    runpy.run_path(str(STYLES / f"{style}.py"), run_name="__main__")
    right, wrong = capsys.readouterr().out.split("not tried:")
    assert "numbers match autograd" in right
    assert "Where:" not in right
    assert f"[{MISTAKE[style]}]" in wrong


@pytest.mark.parametrize("style", MISTAKE)
def test_the_command_that_a_style_names_checks_it(style, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(STYLES.parent.parent)
    (command,) = re.findall(r"^ *handnet (check .*)$", (STYLES / f"{style}.py").read_text(), re.MULTILINE)
    assert main([*shlex.split(command), "--out", str(tmp_path)]) == 0
    assert main([*shlex.split(command.replace(":backprop", ":wrong")), "--out", str(tmp_path)]) == 1
    assert f"MISMATCH: {MISTAKE[style]}" in capsys.readouterr().out
