"""The README tells the truth: its Python runs, and what it shows is what comes out, numbers aside."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from comparisons.cli import main

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def masked(text):
    """The words without the numbers, which differ from processor to processor, and the room they take."""
    return [re.sub(r"[-\d.]+(?:e[-+]\d+)?|inf", "#", line).split() for line in text.strip().splitlines()]


def test_the_python_of_the_readme_runs_and_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(README.read_text())
    names: dict = {}
    shown = 0
    for i, (language, code) in enumerate(blocks):
        if language != "python":
            continue
        with redirect_stdout(StringIO()) as out:
            exec(compile(code, f"README block {i}", "exec"), names)
        if out.getvalue():
            assert masked(out.getvalue()) == masked(blocks[i + 1][1])
            shown += 1
    assert shown >= 2
    names["test_my_backprop"]()


def test_the_example_of_the_readme_is_checked_as_it_says(tmp_path, capsys):
    (text,) = (code for language, code in BLOCK.findall(README.read_text()) if language == "toml")
    path = tmp_path / "example.toml"
    path.write_text(text)
    assert main(["check", str(path), "--out", str(tmp_path / "reports")]) == 1
    assert "3 printed numbers, 2 right, 1 wrong (1 explained)" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["compare", "equations", "check", "mistakes", "sweep", "speed"])
def test_every_command_is_in_the_readme(capsys, command):
    text = README.read_text()
    assert f"handnet {command}" in text or f"make {command}" in text
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert "--out DIR" in capsys.readouterr().out
