"""The timings: complete, side by side, and of what they say they are of."""

import re
import time

import numpy as np
import pandas as pd
import pytest
import torch

from comparisons.cli import main
from comparisons.studies import speed
from comparisons.studies.speed import SCALING_COLUMNS, SPEED_COLUMNS, medians, one_by_one, step_contenders
from handnet import Network

pytest.importorskip("threadpoolctl")


def test_the_command_times_every_workload_and_contender(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "CHECKED", ((3, 2), 4))
    arguments = ["speed", "--rounds", "1", "--networks", "2000", "--small", "--out", str(tmp_path)]
    times = speed.sweep_times
    monkeypatch.setattr(speed, "sweep_times", lambda networks, jobs, rounds: times(networks, (1,), rounds))
    assert main(arguments) == 0
    frame = pd.read_csv(tmp_path / "speed.csv")
    assert tuple(frame.columns) == SPEED_COLUMNS
    assert set(frame["workload"]) == {"step", "comparison", "network of a sweep"}
    assert (frame["median_us"] > 0).all()
    own = frame.groupby(["workload", "sizes", "dtype"]).first()
    assert (own["over_handnet"] == 1).all()
    contenders = {"handnet", "plain form", "torch eager", "bare products"}
    assert set(frame[frame["workload"] == "step"]["contender"]) == contenders
    assert set(frame["threads"]) == {1}
    assert len(frame) == 29  # 24 of the steps, 3 of a comparison, 2 of a sweep
    said = capsys.readouterr().out
    assert "29 medians, 1 thread(s) on all sides" in said
    assert re.search(
        r"\ntorch eager, gradcheck: torch \S+ with .+, 1 thread\(s\)\nall others: NumPy \S+ with .+\n", said
    )


def test_the_threads_are_told_of_each_side():
    before = torch.get_num_threads()
    with speed.threads_held(2):
        torch_side, numpy_side = speed.libraries().splitlines()
        assert torch_side.endswith(", 2 thread(s)")
        assert "2 thread(s)" in numpy_side or "does not know" in numpy_side
        torch.set_num_threads(1)
        assert speed.libraries().splitlines() == [torch_side.replace("2 thread(s)", "1 thread(s)"), numpy_side]
    assert torch.get_num_threads() == before


def test_the_scaling_is_fitted_and_written(tmp_path, capsys, monkeypatch):
    scales = (1000, 4000, 16000)
    monkeypatch.setattr(speed.measure_scaling, "__defaults__", (scales,))
    assert main(["speed", "--scaling", "--out", str(tmp_path)]) == 0
    frame = pd.read_csv(tmp_path / "scaling.csv")
    assert tuple(frame.columns) == SCALING_COLUMNS
    assert tuple(frame["networks"]) == scales
    assert "time grows as networks^" in capsys.readouterr().out


def test_the_contenders_are_timed_in_turn():
    calls = []

    def contender(name):
        def call():
            calls.append(name)
            time.sleep(2 * speed.SECONDS)

        return call

    taken = medians({name: contender(name) for name in "ab"}, 3)
    assert "".join(calls) == "aabb" + "ababab"
    assert all(2e6 * speed.SECONDS < microseconds < 2e7 * speed.SECONDS for microseconds in taken.values())


def test_the_loop_that_goes_case_by_case_can_fail(monkeypatch):
    one_by_one(3)

    class Wrong(Network):
        def updated(self, l, gradient, learning_rate):
            return super().updated(l, gradient, learning_rate) * (1 + 1e-9)

    monkeypatch.setattr(speed, "Network", Wrong)
    with pytest.raises(AssertionError, match="network 0 differs"):
        one_by_one(3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_sides_take_the_same_step(dtype):
    contenders = step_contenders((4, 3, 2), 5, dtype)
    for call in contenders.values():
        call()
    weights, biases, _ = contenders["plain form"]()
    for W, w, b in zip(contenders["handnet"]().weights, weights, biases, strict=True):
        assert np.allclose(W, np.vstack([w, b]), rtol=0, atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--networks", "0"], ["--threads", "0"]])
def test_a_bad_option_is_one_line(tmp_path, capsys, arguments):
    assert main(["speed", *arguments, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
