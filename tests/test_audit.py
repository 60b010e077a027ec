"""What a gradient test lets pass: known mistakes compared as the test would, and right code that it refuses."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from comparisons import audit
from comparisons.cli import main
from comparisons.mistakes.known import MISTAKES
from comparisons.mistakes.lineup import mistaken_steps
from comparisons.mistakes.variants import Variant
from comparisons.reference.truth import Truth
from comparisons.studies.audit import (
    AUDIT_COLUMNS,
    RIGHT,
    VARIANTS,
    better_data,
    data_of,
    tightest,
    tolerance_like,
)
from handnet import Network


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    net = Network.random([3, 5, 4], rng=rng, activation=["tanh", "sigmoid"])
    return {"network": net, "inputs": rng.standard_normal((7, 3)), "targets": rng.random((7, 4))}


def passing(frame):
    return set(frame[frame["passes"]]["mistake"]) - {RIGHT + name for name in VARIANTS}


def test_one_sample_and_two_outputs_hide_what_more_of_them_show(data):
    one = audit(1e-5, 1e-8)
    assert list(one.columns) == list(AUDIT_COLUMNS)
    assert {"averaged_twice", "gradient_batch_sum", "last_sample_only", "mse_loss"} <= passing(one)
    assert (one[one["mistake"].isin(passing(one))]["effect"] == 0).all()
    assert not passing(audit(1e-5, 1e-8, **data))


def test_a_row_says_what_numpy_would(data):
    problem = data_of(**data)
    right = data["network"].backprop(data["inputs"], data["targets"]).gradients
    for rtol, atol in ((1e-5, 1e-8), (0.3, 0.0), (0.0, 0.15)):
        frame = audit(rtol, atol, **data).set_index("mistake")
        for name in set(frame.index) & set(MISTAKES):
            try:
                (made,) = mistaken_steps(Variant((name,)), [problem])
            except ValueError:
                assert not frame.loc[name, "passes"]  # its shapes do not fit: it raises
                continue
            pairs = [(made["gradient", l], g) for l, g in enumerate(right, start=1)]
            assert frame.loc[name, "passes"] == all(np.allclose(m, g, rtol=rtol, atol=atol) for m, g in pairs), name


def test_a_blunt_tolerance_lets_more_pass_and_a_sharp_one_refuses_right_code(data):
    counts = [len(passing(audit(0, atol, **data))) for atol in (1e-8, 1e-2, 0.15, 10)]
    assert counts[0] == 0
    assert counts == sorted(counts)
    blunt = audit(0, 10, **data)
    assert counts[-1] == np.isfinite(blunt["effect"]).sum() - len(VARIANTS)  # where the shapes do not fit, it raises
    assert "zeros" in passing(audit(0, 10, **data))
    exact = audit(0, 0, **data).set_index("mistake")
    assert not exact.loc[[RIGHT + name for name in VARIANTS], "passes"].any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_tightest_tolerance_refuses_no_right_variant_and_lets_no_mistake_pass(data, dtype):
    net = Network([w.astype(dtype) for w in data["network"].weights], data["network"].activation)
    problem = data_of(net, data["inputs"], data["targets"])
    frame = audit(*tightest(Truth(problem)), network=net, inputs=data["inputs"], targets=data["targets"])
    own = [RIGHT + name for name in VARIANTS if name != "float32"]
    assert frame.set_index("mistake").loc[own, "passes"].all()
    assert not passing(frame)
    assert 10 < tightest(Truth(problem))[0] / np.finfo(dtype).eps < 500


def test_the_variants_are_right_and_another_way_to_compute(data):
    problem = data_of(**data)
    right = data["network"].backprop(data["inputs"], data["targets"]).gradients
    for name, gradients in VARIANTS.items():
        made = gradients(problem)
        precision = 1e-5 if name == "float32" else 1e-13
        for g, expected in zip(made, right, strict=True):
            assert np.abs(g - expected).max() <= precision * np.abs(expected).max(), name
        assert any((g != expected).any() for g, expected in zip(made, right, strict=True)), name


def test_the_better_data_show_every_mistake():
    problem = better_data(data_of(None, None, None))
    net = Network(problem.weights, problem.activation)
    assert not passing(audit(1e-5, 1e-8, network=net, inputs=problem.inputs, targets=problem.targets))
    assert len(set(problem.sizes)) == len(problem.sizes)


def test_the_usual_comparisons_have_their_documented_tolerances():
    assert tolerance_like("gradcheck") == (1e-3, 1e-5)
    assert tolerance_like("assert_close", "float32") == (1.3e-6, 1e-5)
    with pytest.raises(AssertionError):
        np.testing.assert_almost_equal(1.6e-3, 0, decimal=3)
    np.testing.assert_almost_equal(1.4e-3, 0, decimal=3)
    assert tolerance_like("decimal=3") == (0.0, 1.5e-3)


def test_the_command_writes_the_table_and_fails_where_a_mistake_passes(tmp_path, capsys):
    assert main(["audit", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "none here" in said
    assert re.search(r"lets (\d+) of \d+ known mistakes pass \(\1 change nothing on these data\), refuses 0 of 3", said)
    frame = pd.read_csv(tmp_path / "audit.csv")
    assert list(frame.columns) == list(AUDIT_COLUMNS)
    assert main(["audit", "--like", "gradcheck", "--sizes", "3,5,4", "--batch", "7", "--out", str(tmp_path)]) == 0
    assert (
        main(["audit", "--rtol", "0", "--atol", "0", "--sizes", "3,5,4", "--batch", "7", "--out", str(tmp_path)]) == 1
    )
    assert "refuses right: sums in another order" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--like", "close"], "like is 'close': expected one of gradcheck, allclose, assert_close, decimal=5"),
        (["--like", "decimal=x"], "like is 'decimal=x'"),
        (["--like", "allclose", "--rtol", "1"], "--rtol is of no use with --like"),
        (["--rtol", "-1"], "rtol is -1.0: expected a finite number, 0 or more"),
        (["--atol", "nan"], "atol is nan"),
        (["--batch", "0"], "batch is 0: expected 1 or more"),
        (["--sizes", "3"], "sizes"),
    ],
)
def test_a_bad_option_is_one_line(tmp_path, capsys, options, message):
    assert main(["audit", *options, "--out", str(tmp_path / "r")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_data_that_make_no_sense_are_said(data):
    with pytest.raises(TypeError, match="without a network"):
        audit(1e-5, 1e-8, inputs=[1.0])
    with pytest.raises(TypeError, match="needs inputs and targets"):
        audit(1e-5, 1e-8, network=data["network"])
    with pytest.raises(ValueError, match="targets has 2 samples, but inputs has 7"):
        audit(1e-5, 1e-8, **{**data, "targets": data["targets"][:2]})


def test_the_table_of_the_documents_is_what_the_command_says(tmp_path, capsys):
    root = Path(__file__).parent.parent
    document = (root / "docs" / "audit.md").read_text()
    rows = re.findall(r"^\| `(--[^`]*)` \| (\d+) \| (\d+) \|$", document, re.MULTILINE)
    (of,) = re.findall(r"^Of (\d+) mistakes that change a gradient", document, re.MULTILINE)
    assert len(rows) == 6
    for options, *counts in rows:
        for data, count in zip(([], ["--sizes", "5,4,3", "--batch", "7"]), counts, strict=True):
            main(["audit", *options.split(), *data, "--out", str(tmp_path)])
            assert f"lets {count} of {of} known mistakes pass" in capsys.readouterr().out, options
    readme = (root / "README.md").read_text()
    (readme_of,) = re.findall(r"how many of (\d+) mistakes pass", readme)
    shown = re.findall(r"^\| `(--[^`]*)`[^|]* \| (\d+) \| (\d+) \|$", readme, re.MULTILINE)
    assert len(shown) == 4
    assert readme_of == of
    assert set(shown) < set(rows)


@pytest.mark.parametrize("biases", [True, False], ids=["biases", "no biases"])
def test_a_network_with_a_cost_of_its_own_is_audited_for_that_cost(biases):
    rng = np.random.default_rng(4)
    how = {"activation": ["tanh", "softmax"], "cost": "cross_entropy", "l2": 0.1, "biases": biases}
    net = Network.random([3, 5, 4], rng=rng, **how)
    x, classes = rng.standard_normal((7, 3)), np.array([0, 3, 1, 1, 2, 0, 3])
    frame = audit(1e-7, 1e-9, network=net, inputs=x, targets=classes).set_index("mistake")
    own = [RIGHT + name for name in VARIANTS if name != "float32"]
    assert frame.loc[own, "passes"].all()
    assert not frame.loc[["output_slope_kept", "no_penalty", "zeros"], "passes"].any()
    assert "no_half" not in frame.index


def test_the_public_test_that_the_documents_audit_by_a_command_lets_none_pass(tmp_path, capsys):
    document = (Path(__file__).parent.parent / "docs" / "audit.md").read_text()
    (none_of,) = re.findall(r"none of\s+(\d+) passes", document)
    (command,) = re.findall(r"^    handnet (audit --like decimal=7 .*)$", document, re.MULTILINE)
    assert main([*command.split(), "--out", str(tmp_path)]) == 0
    assert f"lets 0 of {none_of} known mistakes pass" in capsys.readouterr().out
    blunt = command.replace("decimal=7", "decimal=4").split()
    assert main([*blunt, "--out", str(tmp_path)]) == 1


def test_data_that_would_show_more_keep_the_cost_that_is_stated():
    rng = np.random.default_rng(4)
    net = Network.random([3, 5, 4], rng=rng, activation=["tanh", "softmax"], cost="cross_entropy", l2=0.1)
    problem = data_of(net, rng.standard_normal((7, 3)), np.array([0, 3, 1, 1, 2, 0, 3]))
    better = better_data(problem)
    assert better.stated == problem.stated
    assert np.allclose(better.targets.sum(axis=-1), 1)
