"""The documents build as a site: strictly, with formulas set, links into the functions, and nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.apart

ROOT = Path(__file__).parent.parent
for module in ("material", "mkdocstrings", "latex2mathml"):
    pytest.importorskip(module)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1"})
    assert run.returncode == 0, run.stdout + run.stderr
    return {path.name: path.read_text() for path in folder.glob("*.html")}


def test_it_has_every_page_and_starts_with_the_readme(site):
    assert {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")} < set(site)
    assert (ROOT / "README.md").read_text().splitlines()[2].split("`")[2][:40] in site["index.html"]
    assert 'href="checking.html"' in site["index.html"]


def test_every_formula_is_set(site):
    formulas = {name: text.count("<math ") for name, text in site.items()}
    assert formulas["the-note.html"] > 50
    assert formulas["tolerance.html"] > 10
    assert not any("FORMULA" in text or "$$" in text for text in site.values())


def test_what_the_note_marks_as_misprinted_is_bold(site):
    marked = re.findall(r'<mi style="font-weight: bold">(\w)</mi>', site["the-note.html"])
    assert marked == ["a", "a", "a"]


def test_a_method_that_the_note_names_leads_to_its_description(site):
    assert 'href="api.html#handnet.Network.hidden_delta"' in site["the-note.html"]
    assert 'id="handnet.Network.hidden_delta"' in site["api.html"]


def test_a_parameter_has_its_type_from_the_signature_and_a_description(site):
    compare = site["api.html"].partition('id="comparisons.compare"')[2].partition('id="comparisons.check"')[0]
    row = next(row for row in compare.split("<tr") if "<code>learning_rate</code>" in row)
    cells = [re.sub(r"<[^>]+>", "", cell).strip() for cell in row.split("<td>")[1:]]
    assert cells == ["learning_rate", "float", "gamma", "0.5"]


def test_nothing_comes_from_elsewhere(site):
    for name, text in site.items():
        assert not re.findall(r'(?:src|href)="(?:https?:)?//[^"]*\.(?:js|css|woff2?)', text), name
