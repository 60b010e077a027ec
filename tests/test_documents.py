"""The documents tell the truth: their Python runs, what they show comes out, and what they point to is there."""

import ast
import linecache
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import comparisons
import handnet
import handnet.network
from comparisons.cli import _parser, main
from comparisons.diagnosis import wording
from comparisons.mistakes.known import MISTAKES
from comparisons.pytest_plugin import _tables
from comparisons.reference import complex_step, twin
from comparisons.studies.equations import evaluate_equations
from handnet.activations import ACTIVATIONS

ROOT = Path(__file__).parent.parent
README, CONTRIBUTING, DOCS = ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs"
THE_NOTE = DOCS / "the-note.md"
PAGES = sorted(DOCS.glob("*.md"))
DOCUMENTS = [README, CONTRIBUTING, ROOT / "CHANGELOG.md", *PAGES]
# The documents with Python, and how many blocks of each show what they print.
SHOWS = {
    **{"README.md": 1, "any-layer.md": 3, "audit.md": 2, "checking.md": 4, "course.md": 1},
    **{"the-note.md": 11, "tolerance.md": 1},
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def without_numbers(text):
    """The words alone: the last digits differ from processor to processor, and so the room they take."""
    return [re.sub(r"[-\d.]+(?:e[-+]\d+)?|inf", "#", line).split() for line in text.strip().splitlines()]


@pytest.mark.parametrize(
    "document", [page for page in (README, *PAGES) if page.name in SHOWS], ids=lambda path: path.name
)
def test_the_python_runs_and_prints_what_is_shown(tmp_path, monkeypatch, document):
    # The note's numbers have few digits, and are the same everywhere.
    what_counts = str.split if document == THE_NOTE else without_numbers
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(document.read_text())
    names: dict = {}
    shown = 0
    for i, (language, code) in enumerate(blocks):
        if language != "python":
            continue
        # Its source can be read, as that of a file of the reader's own: each name is of one block.
        file = f"net{i or ''}.py"
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        with redirect_stdout(StringIO()) as out:
            exec(compile(code, file, "exec"), names)
        if out.getvalue():
            assert what_counts(out.getvalue()) == what_counts(blocks[i + 1][1])
            shown += 1
    assert shown == SHOWS[document.name]
    for name in [name for name in names if name.startswith("test_")]:
        names[name]()


def test_the_python_of_every_page_is_run():
    with_python = {page.name for page in (README, *PAGES) if "```python" in page.read_text()}
    assert with_python == set(SHOWS)


def test_every_page_has_its_place_in_the_site():
    places = re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(places) == sorted(["index.md", *(page.name for page in PAGES)])


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 130


COMMAND = re.compile(r"^    handnet (.+)$", re.MULTILINE)


def test_every_command_that_a_document_shows_is_one():
    commands = [command for page in DOCUMENTS for command in COMMAND.findall(page.read_text())]
    assert len(commands) > 15
    for command in commands:
        assert callable(_parser().parse_args(shlex.split(command, comments=True)).run), command


def test_the_commands_of_the_readme_find_what_it_says(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    said = []
    for command in COMMAND.findall(README.read_text()):
        assert main([*shlex.split(command), "--out", str(tmp_path)]) == 1
        said.append(capsys.readouterr().out)
    assert "MISMATCH: slope_of_activation" in said[0]
    (of,) = re.findall(r"how many of (\d+) mistakes pass", README.read_text())
    (allclose,) = re.findall(r"^\| `--like allclose`[^|]*\| (\d+) \|", README.read_text(), re.MULTILINE)
    assert f"lets {allclose} of {of} known mistakes pass" in said[1]


def test_the_worked_example_of_the_documents_is_checked_as_it_says(tmp_path, capsys):
    (text,) = (code for language, code in BLOCK.findall((DOCS / "worked.md").read_text()) if language == "toml")
    path = tmp_path / "example.toml"
    path.write_text(text)
    assert main(["check", str(path), "--out", str(tmp_path / "reports")]) == 1
    assert "3 printed numbers, 2 right, 1 wrong (1 explained)" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["compare", "equations", "check", "mistakes", "audit", "sweep", "speed"])
def test_every_command_is_in_the_documents(capsys, command):
    assert f"handnet {command}" in "".join(page.read_text() for page in PAGES)
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert "--out DIR" in capsys.readouterr().out


def test_the_note_has_every_equation_with_the_verdict_that_evaluation_gives():
    rows = re.findall(r"^\| (`[^|]*) \| (\w+) \|", THE_NOTE.read_text(), re.MULTILINE)
    told = [(name, verdict) for names, verdict in rows for name in re.findall(r"`([^`]+)`", names)]
    frame = evaluate_equations(points=20)
    assert sorted(told) == sorted(zip(frame["equation"], frame["as_printed"], strict=True))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_points_to_is_there(document):
    text = BLOCK.sub("", document.read_text())
    for name, target in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", text):
        if target.startswith("http"):
            continue
        file, _, heading = target.partition("#")
        path = document.parent / file if file else document
        assert path.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
        if path.suffix == ".py" and "/" not in name:
            here = handnet.network
            for part in name.strip("`").split("."):
                here = getattr(here, part)
    assert set(re.findall(r"\[`(\w+)`\](?!\()", text)) <= set(MISTAKES)


def imports_of(path):
    """The modules of our own that a file imports, at its top or anywhere inside."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("handnet", "comparisons")):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                file = ROOT / (whole.replace(".", "/") + ".py")
                yield whole if file.exists() else node.module


def test_a_module_imports_only_from_rooms_above_its_own_in_contributing():
    rows = re.findall(r"^\| `([\w./]+)` \|", CONTRIBUTING.read_text(), re.MULTILINE)
    rooms = [row.removesuffix(".py").strip("/").replace("/", ".") for row in rows]

    def room(module):
        (found,) = (i for i, name in enumerate(rooms) if module == name or module.startswith(name + "."))
        return found

    paths = [path for house in ("handnet", "comparisons") for path in (ROOT / house).rglob("*.py")]
    inner = [path for path in paths if not path.name.startswith("_")]
    assert len(inner) > 40
    assert len({path.parent for path in inner}) >= 9  # it looked into every folder
    seen = 0
    for path in inner:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for other in imports_of(path):
            if other not in ("handnet", "comparisons"):
                seen += 1
                assert room(other) <= room(module), (module, other)
    assert seen > 200


def test_no_module_imports_itself_in_a_circle():
    paths = [path for house in ("handnet", "comparisons") for path in (ROOT / house).rglob("*.py")]
    graph = {".".join(path.relative_to(ROOT).with_suffix("").parts): set(imports_of(path)) for path in paths}
    done = set()
    while ready := {module for module, needs in graph.items() if module not in done and needs & graph.keys() <= done}:
        done |= ready
    assert done == graph.keys(), sorted(graph.keys() - done)


def test_no_document_shows_an_empty_block():
    for document in DOCUMENTS:
        assert all(code.strip() for _, code in BLOCK.findall(document.read_text()))


def test_the_example_of_contributing_is_a_known_mistake_as_it_stands():
    (code,) = (code for language, code in BLOCK.findall(CONTRIBUTING.read_text()) if language == "python")
    assert code in (ROOT / "comparisons" / "mistakes" / "known.py").read_text()


def test_every_activation_is_known_wherever_contributing_says():
    for known in (twin.MODULES, twin.SLOPE_KERNELS, complex_step.ACTIVATIONS, wording.SLOPES):
        assert set(known) == set(ACTIVATIONS)


def test_every_csv_file_is_in_the_documents_with_its_columns(tmp_path, capsys):
    for module in ("jinja2", "matplotlib"):  # for equation_values.csv
        pytest.importorskip(module)
    table = dict(re.findall(r"^\| (\w+\.csv) \| ([\w, ]+) \|$", (DOCS / "reports.md").read_text(), re.MULTILINE))
    written = tmp_path / "reports"
    run = ["--out", str(written)]
    main(["compare", "note", *run])
    main(["equations", "--html", *run])
    main(["check", "one-neuron.toml", *run])
    main(["sweep", "--networks", "1024", "--sizes", "2,2,2", "--jobs", "1", *run])
    main(["sweep", "--planted", "--networks", "1024", "--sizes", "2,2,2", "--jobs", "1", *run])
    main(["audit", *run])
    course = ROOT / "examples" / "course"
    main(["grade", str(course / "submissions" / "right.py"), "--points", str(course / "points.toml"), *run])
    capsys.readouterr()
    function = comparisons.check_function(np.tanh, torch.tanh, np.ones(3))
    for name, frame in _tables("a test", function).items():
        frame.to_csv(written / name, index=False)
    files = list(written.glob("*.csv"))
    assert len(files) >= 13
    for path in files:
        assert table[path.name].split(", ") == list(pd.read_csv(path, nrows=0).columns), path.name


def test_the_documents_count_the_known_mistakes():
    (count,) = re.findall(r"each of (\d+) mistakes", (DOCS / "checking.md").read_text())
    assert int(count) == len(MISTAKES)


def test_the_names_of_quantities_need_neither_torch_nor_pandas():
    code = (
        "import sys, comparisons.reference.quantities as q; q.Problem, q.Key, q.quantity_name;"
        "print(*sorted({'torch', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_every_public_name_comes_from_its_home():
    assert sorted(name for names in comparisons.HOMES.values() for name in names) == comparisons.__all__
    for name in comparisons.__all__:
        assert getattr(comparisons, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = comparisons.nothing
