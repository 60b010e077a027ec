"""Whose line it was: an exception is told with the last line of whoever wrote the function, not of a library."""

import re

import numpy as np
import pytest

from comparisons import check
from comparisons.subject.implementation import load

# Each raises below the line that says HERE: in Python's library, in a package, in this one, in a file beside it.
RAISING = {
    "its own line": "raise RuntimeError('no')  # HERE",
    "Python's library": "json.loads('{')  # HERE",
    "Python's library, far below": "tempfile.TemporaryFile(dir='/nowhere/at/all')  # HERE",
    "a package": "pandas.DataFrame({'a': [1]})['b']  # HERE",
    "numpy's wrappers": "numpy.concatenate([numpy.ones(2), numpy.ones((2, 2))])  # HERE",
    "this package": "handnet.Network([1])  # HERE",
    "a generated function": "collections.namedtuple('P', 'x')()  # HERE",
    "a call back": "sorted([1, 2], key=lambda v: v / 0)  # HERE",
}


def where(text):
    return [number for number, line in enumerate(text.splitlines(), start=1) if "HERE" in line][-1]


IMPORTS = "import collections, json, tempfile\nimport handnet, numpy, pandas\n\n"


@pytest.mark.parametrize("line", RAISING.values(), ids=RAISING)
def test_the_line_that_is_named_is_the_users_own(line, tmp_path):
    text = f"{IMPORTS}def backprop(weights, inputs, targets):\n    {line}\n"
    (tmp_path / "mine.py").write_text(text)
    (finding, *_) = check(load(f"{tmp_path / 'mine.py'}:backprop")).findings
    assert f"(mine.py:{where(text)}); called with" in finding


@pytest.mark.parametrize("line", RAISING.values(), ids=RAISING)
def test_a_file_that_raises_as_it_runs_is_told_with_its_own_line(line, tmp_path):
    text = f"{IMPORTS}{line}\n"
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ValueError, match=rf"\(mine.py:{where(text)}\)$"):
        load(f"{tmp_path / 'mine.py'}:backprop")


def test_a_file_beside_it_is_the_users_own_too(tmp_path):
    (tmp_path / "beside_mine.py").write_text("import json\n\ndef parsed(text):\n    return json.loads(text)\n")
    (tmp_path / "mine.py").write_text("import beside_mine\n\ndef f(w, x, t):\n    return beside_mine.parsed('{')\n")
    (finding, *_) = check(load(f"{tmp_path / 'mine.py'}:f")).findings
    assert "(beside_mine.py:4)" in finding


def test_what_an_answer_raises_as_it_is_read_is_told_with_the_users_line(tmp_path):
    text = (
        "import json\n\nclass Answer:\n    @property\n    def gradients(self):\n        return json.loads('{')\n"
        "\ndef f(w, x, t):\n    return Answer()\n"
    )
    (tmp_path / "mine.py").write_text(text)
    (finding, *_) = check(load(f"{tmp_path / 'mine.py'}:f")).findings
    assert re.search(r"its answer cannot be read: JSONDecodeError: .* \(mine.py:6\)", finding)


def test_code_of_a_package_that_is_checked_itself_is_told_with_the_line_that_was_called():
    (finding, *_) = check(np.linalg.multi_dot).findings
    assert re.search(r"it raised \w+.*called with", finding)
