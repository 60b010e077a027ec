"""The files around the code say what pyproject.toml says."""

import re
import tomllib
from pathlib import Path

import pytest

import handnet

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture
def yaml():
    return pytest.importorskip("yaml")


def test_the_version_stands_in_one_place():
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "handnet.__version__"}
    for name in ("pyproject.toml", "CITATION.cff"):
        assert handnet.__version__ not in (ROOT / name).read_text()


def test_every_python_from_the_lowest_on_is_tested(yaml):
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())["jobs"]
    versions = jobs["test"]["strategy"]["matrix"]["python-version"]
    assert versions == [f"3.{minor}" for minor in range(11, 14)]
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"
    ranges = {one["versions"]: one["python-version"] for one in jobs["range"]["strategy"]["matrix"]["include"]}
    assert ranges == {"lowest": versions[0], "newest": versions[-1]}
    targets = re.findall(r"^([\w ]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"lint", "test", *ranges} <= set(" ".join(targets).split())


def test_every_requirement_has_a_lowest_version_that_can_be_tried():
    for requirement in PROJECT["project"]["dependencies"]:
        assert re.fullmatch(r"[a-z-]+>=[0-9.]+", requirement)  # as the Makefile reads it


def test_a_report_of_a_mismatch_asks_for_the_replay_line(yaml):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "mismatch.yml").read_text())
    assert {"name", "description", "body"} <= set(form)
    first = form["body"][0]
    assert (first["id"], first["validations"]) == ("replay", {"required": True})
    assert first["attributes"]["placeholder"].startswith("Replay: check(")


def test_a_commit_is_linted_with_the_tools_of_the_environment(yaml):
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in local["hooks"]] == [
        ".venv/bin/ruff check",
        ".venv/bin/ruff format --check",
        ".venv/bin/mypy",
    ]


def test_the_citation_has_what_its_format_requires(yaml):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == PROJECT["project"]["license"]
