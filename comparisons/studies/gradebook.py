"""Grades in the formats of other tools, results of Gradescope and JUnit; and what otter-grader and nbgrader run."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from comparisons.studies.rubric import Entry, Grade, Rubric
from handnet.files import replacing

Files = dict[str, str]


def gradescope(grades: Mapping[str, Grade], rubric: Rubric, function: str) -> Files:
    """Return results.json, as Gradescope documents it; of several submissions one each, in a folder.

    Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/
    """
    pages = {name: json.dumps(_results(one, rubric), indent=2) + "\n" for name, one in grades.items()}
    if len(pages) == 1:
        return {"results.json": next(iter(pages.values()))}
    return {f"gradescope/{name}.json": text for name, text in pages.items()}


def _results(grade: Grade, rubric: Rubric) -> dict[str, Any]:
    earned = grade.earned
    tests = [
        {
            "name": name,
            "score": points,
            "max_score": most,
            "output": standing,
            "visibility": rubric.visibility,
        }
        for (name, points, most), standing in zip(earned.entries, earned.standings, strict=True)
    ]
    return {
        "score": earned.points,
        "execution_time": math.ceil(grade.seconds),
        "output": earned.hint or "All is right.",
        "visibility": rubric.visibility,
        "tests": tests,
    }


def otter(grades: Mapping[str, Grade], rubric: Rubric, function: str) -> Files:
    """Return a test for each entry, in the OK format that otter-grader runs on a notebook or a script.

    Source: https://otter-grader.readthedocs.io/en/latest/test_files/python_format.html
    """
    files = {}
    for entry in rubric.entries:
        code = f">>> from comparisons import grade\n>>> print({_call(function, rubric, entry)})\nright\n"
        case = {"code": code, "hidden": False, "locked": False}
        suite = {"cases": [case], "scored": True, "setup": "", "teardown": "", "type": "doctest"}
        name = _identifier(entry)
        test = {"name": name, "points": entry.points, "suites": [suite]}
        files[f"tests/{name}.py"] = f"OK_FORMAT = True\n\ntest = {test!r}\n"
    return files


def nbgrader(grades: Mapping[str, Grade], rubric: Rubric, function: str) -> Files:
    """Return a notebook to make an assignment of, with a cell of tests for each entry; the first submission solves it.

    Source: https://nbgrader.readthedocs.io/en/stable/contributor_guide/metadata.html
    """
    solution = Path(next(iter(grades.values())).submission).read_text(encoding="utf-8").strip()
    cells = [_cell(function, f"### BEGIN SOLUTION\n{solution}\n### END SOLUTION", solution=True)]
    for entry in rubric.entries:
        code = f"from comparisons import grade\n\nstanding = {_call(function, rubric, entry)}"
        test = f"{code}\nassert standing == 'right', standing"
        cells.append(_cell(_identifier(entry), test, grade=True, locked=True, points=entry.points))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return {f"source/{function}/{function}.ipynb": json.dumps(notebook, indent=1) + "\n"}


def _cell(name: str, source: str, **nbgrader: Any) -> dict[str, Any]:
    told = {"grade": False, "locked": False, "solution": False, "task": False, "schema_version": 3, "grade_id": name}
    metadata = {"nbgrader": told | nbgrader}
    cell = {"id": name.replace("_", "-"), "metadata": metadata, "source": source, "outputs": []}
    return {"cell_type": "code", "execution_count": None, **cell}


def _call(function: str, rubric: Rubric, entry: Entry) -> str:
    """The code that says how an entry stands, wherever it is run."""
    return f"grade({function}, {dict(rubric.source)!r})[{entry.name!r}]"


def _identifier(entry: Entry) -> str:
    return re.sub(r"\W+", "_", entry.name)


def junit(grades: Mapping[str, Grade], rubric: Rubric, function: str) -> Files:
    """Return junit.xml: a suite for each submission, a case for each entry.

    Source: https://github.com/jenkinsci/xunit-plugin, junit-10.xsd
    """
    suites = ElementTree.Element("testsuites", name="handnet grade")
    for one in grades.values():
        earned = one.earned
        # Without a wrong quantity, points are lost since the code gave no answer: an error, no failure.
        kind = "failure" if earned.first_wrong else "error"
        lost = sum(points < most for _, points, most in earned.entries)
        counts = {"tests": len(earned.entries), "failures": 0, "errors": 0, "skipped": 0, f"{kind}s": lost}
        suite = ElementTree.SubElement(suites, "testsuite", name=one.submission, time=f"{one.seconds:.3f}")
        suite.attrib.update({name: str(count) for name, count in counts.items()})
        for (name, points, most), standing in zip(earned.entries, earned.standings, strict=True):
            case = ElementTree.SubElement(suite, "testcase", classname=one.submission, name=name, time="0.000")
            if points < most:
                message = f"{standing}: {points:g} of {most:g} points"
                ElementTree.SubElement(case, kind, type=standing, message=message).text = earned.hint
    ElementTree.indent(suites)
    return {"junit.xml": ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True).decode() + "\n"}


def nothing_more(grades: Mapping[str, Grade], rubric: Rubric, function: str) -> Files:
    """Return no files: grade.csv is written in any case."""
    return {}


FORMATS: dict[str, Callable[[Mapping[str, Grade], Rubric, str], Files]] = {
    "csv": nothing_more,
    "gradescope": gradescope,
    "otter": otter,
    "nbgrader": nbgrader,
    "junit": junit,
}


def write_files(files: Files, folder: str | os.PathLike[str]) -> None:
    """Write each text to its file below the folder.

    Raises
    ------
    OSError
        If one cannot be written.
    """
    for name, text in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
