"""The notebooks of examples/ run from top to bottom, show what they tell of, and are kept without outputs."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.apart

EXAMPLES = Path(__file__).parent.parent / "examples"
# What each shows, in this order; what a comparison says in a notebook among it.
SHOWS = {
    "find_the_bug": ["MISMATCH: slope_of_activation", "match: the worst of", "averaged_twice"],
    "own_layer": ["match in", "input_gradient is wrong in 48 of 48 numbers", "outputs is wrong in"],
    "the_note": ["match: the worst of", "MISMATCH: no_transpose", "True", "no_transpose"],
}


def read(name):
    return json.loads((EXAMPLES / f"{name}.ipynb").read_text())


def test_every_notebook_is_small_and_without_outputs():
    assert sorted(SHOWS) == sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))
    for name in SHOWS:
        assert len(json.dumps(read(name))) < 20_000
        code = [cell for cell in read(name)["cells"] if cell["cell_type"] == "code"]
        assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code), name


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", SHOWS)
def test_a_notebook_runs_and_shows_what_it_tells_of(name, tmp_path):
    pytest.importorskip("ipykernel")
    client, formats = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = formats.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    formats.validate(notebook)
    client.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert all(output.output_type == "execute_result" for output in outputs), "it printed, or warned"
    shown = "\n".join(output.data.get("text/html", output.data["text/plain"]) for output in outputs)
    for text in SHOWS[name]:
        before, found, shown = shown.partition(text)
        assert found, (text, before)
