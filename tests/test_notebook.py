"""A comparison in a notebook: the answer, the network drawn, the table and the diagnosis, without any extra."""

import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from comparisons import check, check_function, compare
from comparisons.verdict import observers
from handnet import Network


class Untransposed(Network):
    def w(self, l):
        return np.swapaxes(super().w(l), -1, -2)


def shown(comparison):
    """Its HTML, which is XML too, and all text in it."""
    root = ElementTree.fromstring(comparison._repr_html_())
    return root, "\n".join(root.itertext())


def one_step(kind=Network, sizes=(2, 2, 2), **options):
    net = kind(Network.random(sizes, rng=np.random.default_rng(0)).weights, **options)
    return compare(net, np.full((3, sizes[0]), 0.5), np.full((3, sizes[-1]), 0.25))


def test_a_match_shows_its_answer_its_table_and_every_node_and_edge():
    comparison = one_step()
    root, text = shown(comparison)
    assert "✓ match: the worst of" in text
    assert comparison.said() in text
    head, *rows = [[cell.text for cell in row] for row in root.iter("tr")]
    assert (head[0], head[-1]) == ("quantity", "verdict")
    assert len(rows) == len({m.key for m in comparison.measured})
    assert {row[-1] for row in rows} == {"ok"}
    assert (len(list(root.iter("circle"))), len(list(root.iter("rect"))), len(list(root.iter("line")))) == (6, 2, 12)
    assert "stroke-dasharray" not in comparison._repr_html_()


def test_a_number_that_is_pointed_at_is_that_of_the_table_of_elements():
    comparison = one_step()
    _, text = shown(comparison)
    elements = comparison.elements()
    elements = elements[elements["sample"].isna() | (elements["sample"] == 0)]
    assert len(elements) > 25
    for row in elements[elements["quantity"] != "cost"].to_dict("records"):
        assert f"{row['name']}: {row['hand']!r}, autograd {row['torch']!r}, {row['verdict']}" in text


def test_a_mismatch_shows_the_diagnosis_and_dashes_what_is_wrong():
    comparison = one_step(Untransposed)
    root, text = shown(comparison)
    assert "✗ MISMATCH: no_transpose" in text
    assert comparison.diagnosis.message in text
    dashed = [part.find("title").text.splitlines()[0] for part in root.iter("g") if "stroke-dasharray" in part.attrib]
    assert "node 0 of layer 1" in dashed
    assert not any("of layer 2" in part for part in dashed)


def test_of_a_check_the_case_that_is_wrong_is_drawn():
    def wrong_if_wide(weights, inputs, targets):
        gradients = Network(weights).backprop(inputs, targets).gradients
        return gradients if len({len(w) for w in weights}) == 1 else [2 * g for g in gradients]

    comparison = check(wrong_if_wide)
    root, _ = shown(comparison)
    wrong = next(m for m in comparison.measured if m.verdict == "wrong")
    assert len(list(root.iter("circle"))) == sum(wrong.sizes)


def test_a_network_without_biases_is_drawn_without_them():
    root, text = shown(one_step(sizes=(3, 4, 2)))
    assert len(list(root.iter("rect"))) == 2
    net = Network([np.full((3, 4), 0.5), np.full((4, 2), 0.25)], biases=False)
    root, text = shown(compare(net, [0.1, 0.2, 0.3], [0.5, 0.5]))
    assert not list(root.iter("rect"))
    assert len(list(root.iter("line"))) == 3 * 4 + 4 * 2
    assert "node 3 of layer 1" in text


def test_a_large_network_is_not_drawn():
    root, text = shown(one_step(sizes=(40, 30, 2)))
    assert not list(root.iter("svg"))
    assert "match" in text


def test_what_raised_on_every_call_is_told_without_a_table():
    def broken(weights, inputs, targets):
        raise RuntimeError("<b>no & no</b>")

    root, text = shown(check(broken))
    assert "NOT JUDGED" in text
    assert "<b>no & no</b>" in text
    assert not list(root.iter("table"))


def test_a_function_is_shown_with_its_verdicts():
    x = np.linspace(-3, 3, 7)
    _, text = shown(check_function(lambda x: 1 / (1 + np.exp(x)), torch.sigmoid, x))
    assert "✗ FunctionComparison: MISMATCH in 7 numbers" in text
    assert "result is wrong in 6 of 7 numbers" in text


@pytest.mark.apart
def test_it_needs_no_extra():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['jinja2', 'matplotlib']));"
        "import numpy as np; from handnet import Network; from comparisons import compare;"
        "net = Network.random([2, 2, 1], rng=np.random.default_rng(0));"
        "print('<svg' in compare(net, [0.5, 0.1], [1.0])._repr_html_())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True"]


def test_without_a_room_that_shows_it_a_comparison_is_text(monkeypatch):
    monkeypatch.setattr(observers, "RENDERERS", [])
    assert one_step()._repr_html_() is None
