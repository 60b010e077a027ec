"""Very many networks: the same figures however they are cut up, interrupted or spread, and nothing slips through."""

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from comparisons.cli import main
from comparisons.mistakes.known import MISTAKES
from comparisons.reference.truth import Truth
from comparisons.studies import sweep as module
from comparisons.studies.planted import PLANTED_COLUMNS
from comparisons.studies.sweep import BLOCK, HISTOGRAM_COLUMNS, SWEEP_COLUMNS, Setting, Subject, grid, replayed, sweep
from comparisons.verdict.judging import measure

SETTINGS = [
    Setting.of((2, 2, 2), "sigmoid"),
    Setting.of((3, 5, 4, 2), ("tanh", "relu", "sigmoid"), dtype="float32", scale=10.0, batch=3),
]

WRONG = """
import numpy as np
from handnet import Network

def right(weights, inputs, targets, learning_rate):
    net = Network(weights)
    made = net.backprop(inputs, targets)
    parts = {name: list(getattr(made, name)) for name in ("activations", "deltas", "gradients")}
    return {**parts, "cost": made.cost, "updated": list(net.update(made.gradients, learning_rate).weights)}

def off_by(name):
    def function(weights, inputs, targets, learning_rate):
        answer = right(weights, inputs, targets, learning_rate)
        part = answer[name]
        answer[name] = [p * (1 + 1e-9) for p in part] if isinstance(part, list) else part * (1 + 1e-9)
        return answer
    return function

activations, cost, deltas, gradients, updated = map(off_by, ("activations", "cost", "deltas", "gradients", "updated"))

def one_at_a_time(weights, inputs, targets):
    assert np.ndim(inputs) == 2
    return Network(weights).backprop(inputs, targets).gradients

def columns(weights, x, y):
    a = [x]
    for w, b in weights:
        a.append(1 / (1 + np.exp(-(w @ a[-1] + b))))
    d, g = (a[-1] - y) / x.shape[1] * a[-1] * (1 - a[-1]), []
    for l in range(len(weights) - 1, -1, -1):
        g.insert(0, (d @ a[l].T, d.sum(axis=1, keepdims=True)))
        d = (weights[l][0].T @ d) * a[l] * (1 - a[l])
    return g

def sometimes(weights, inputs, targets):
    gradients = one_at_a_time(weights, inputs, targets)
    return [2 * g for g in gradients] if inputs[0, 0] > 3 else gradients

def raises(weights, inputs, targets):
    raise RuntimeError("no idea")

def seldom_with_the_cost(weights, inputs, targets):
    gradients = one_at_a_time(weights, inputs, targets)
    return {"gradients": gradients, "cost": 7.0} if inputs[0, 0] > 3 else gradients

def with_the_whole_stack_in_view(weights, inputs, targets):
    net = Network(weights)
    factor = 1 + 1e-6 * (weights[0] > 4).any()
    return [factor * g for g in net.backprop(inputs, targets).gradients]
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(WRONG)
    return str(path)


def timeless(made):
    return {setting: replace(figures, seconds=0.0) for setting, figures in made.figures.items()}


def timeless_csv(directory):
    frame = pd.read_csv(directory / "sweep.csv").drop(columns=["seconds", "networks_per_second"])
    return frame.to_csv(), (directory / "sweep_histogram.csv").read_text()


@pytest.mark.parametrize(("at_once", "in_chunk"), [(1, 1), (100_000, 300_000), (10**9, 10**9)])
def test_the_figures_do_not_depend_on_how_the_networks_are_cut_up(monkeypatch, at_once, in_chunk):
    expected = sweep(SETTINGS, 9000)
    assert expected.passed
    assert expected.total.networks == 9000
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", at_once)
    assert timeless(sweep(SETTINGS, 9000, chunk=in_chunk)) == timeless(expected)


@pytest.mark.apart
def test_the_figures_do_not_depend_on_the_processes():
    pytest.importorskip("joblib")
    assert timeless(sweep(SETTINGS, 9000, jobs=2, chunk=100_000)) == timeless(sweep(SETTINGS, 9000))


@pytest.mark.parametrize("setting", SETTINGS, ids=["note", "mixed"])
def test_a_network_replayed_alone_has_the_numbers_it_had_in_the_sweep(setting):
    figures = sweep([setting], 5000).figures[setting]
    comparison = replayed(setting, figures.worst_index)
    assert max(m.ratio.max() for m in comparison.measured) == figures.worst
    assert all(m.hand.shape == m.torch.shape and m.hand.ndim <= 2 for m in comparison.measured)
    assert comparison.passed


def test_a_sweep_counts_what_the_comparison_of_the_stack_says():
    setting = replace(SETTINGS[1], scale=40.0)
    figures = sweep([setting], 2 * BLOCK).figures[setting]
    problem = setting.problem([0, 1])
    measured = measure(Truth(problem), Subject().answer(setting, 0, problem))
    assert figures.numbers == sum(m.hand.size for m in measured)
    assert figures.worst == max(m.ratio.max() for m in measured)
    alone = [replace(m, local_torch=None, local_tolerance=None) for m in measured]
    undecided = sum(
        int((~(m.tolerance < np.abs(m.torch).max(axis=(-2, -1), keepdims=True))).sum()) for m in alone if m.key[1]
    )
    undecided += sum(int((~(m.tolerance < np.abs(m.torch))).sum()) for m in alone if m.key[1] is None)
    exact = sum(int((m.tolerance == 0).sum()) for m in alone)
    assert undecided - exact <= figures.undecided <= undecided
    assert figures.undecided > 0


def test_the_histogram_counts_every_number_once():
    made = sweep(SETTINGS, 3000)
    frame = made.histogram
    assert tuple(frame.columns) == HISTOGRAM_COLUMNS
    assert frame["numbers"].sum() == made.total.numbers
    assert (frame["at_least"] < frame["below"]).all()
    assert frame[frame["at_least"] >= 1]["numbers"].sum() == 0
    edge = made.total.worst
    assert frame[frame["at_least"] > edge]["numbers"].sum() == 0
    assert frame[(frame["at_least"] <= edge) & (frame["below"] > edge)]["numbers"].sum() > 0


def test_the_bins_of_the_histogram_begin_with_their_power_of_2_and_1_is_within_the_tolerance():
    ratio = np.array([[0.0], [2.0**-30], [0.5], [0.75], [1.0], [1.5], [np.inf]])
    figures, failed = module._quantity(("cost", None), ratio, (np.zeros_like(ratio), np.ones_like(ratio)), 10)
    counts = dict(zip([0.0, *(2.0**p for p in range(module.LEAST, 1))], figures.histogram, strict=True))
    assert {edge: n for edge, n in counts.items() if n} == {0.0: 2, 0.5: 3, 1.0: 2}
    assert failed.tolist() == [False] * 5 + [True] * 2
    assert (figures.worst, figures.worst_index) == (np.inf, 16)


@pytest.mark.parametrize("quantity", ["activations", "cost", "deltas", "gradients", "updated"])
def test_every_quantity_is_compared(own, quantity):
    made = sweep([SETTINGS[0]], 2000, subject=Subject(f"{own}:{quantity}"))
    assert made.total.failures > 1990
    assert not made.passed


@pytest.mark.parametrize(("name", "layout"), [("one_at_a_time", "note"), ("columns", "columns")])
def test_an_implementation_that_takes_no_stacks_is_called_network_by_network(own, name, layout):
    made = sweep([SETTINGS[0]], 1000, subject=Subject(f"{own}:{name}", layout))
    assert made.passed
    assert made.total.numbers == 12 * 1000  # the gradients alone


def test_an_implementation_wrong_in_a_few_networks_is_found_and_replayed(own, tmp_path, capsys):
    how = ["--sizes", "2,2,2", "--activation", "sigmoid", "--dtype", "float64", "--scale", "1"]
    implementation = ["--implementation", f"{own}:sometimes"]
    out = tmp_path / "reports"
    assert main(["sweep", "--networks", "3000", *how, *implementation, "--jobs", "1", "--out", str(out)]) == 1
    text = capsys.readouterr().out
    failures = pd.read_csv(out / "sweep.csv")["failures"].item()
    assert 0 < failures < 20
    assert f"{failures} failures" in text
    (line,) = re.findall(r"replay: handnet (compare --replay 0:\d+ .*)", text)
    assert main([*shlex.split(line), "--out", str(out)]) == 1
    assert "the cost lacks its factor 1/2 [no_half]" in capsys.readouterr().out
    assert set(pd.read_csv(out / "comparison.csv")["verdict"]) == {"wrong"}
    own_network = line[: line.index(" --implementation")]
    assert main([*own_network.split(), "--out", str(out)]) == 0  # handnet's own network is right


def test_what_is_given_of_some_networks_only_is_no_match(own, tmp_path, capsys):
    how = ["--networks", "3000", "--sizes", "2,2,2", "--activation", "sigmoid", "--dtype", "float64", "--scale", "1"]
    target = ["--implementation", f"{own}:seldom_with_the_cost", "--jobs", "1", "--out", str(tmp_path)]
    assert main(["sweep", *how, *target]) == 1
    error = capsys.readouterr().err
    assert re.search(r"it gives other quantities than of the networks before; replay: handnet compare .*0:\d+", error)
    assert error.count("\n") == 1


def test_what_an_implementation_makes_of_a_stack_is_the_same_in_any_chunk_and_replayed(own):
    subject, setting = Subject(f"{own}:with_the_whole_stack_in_view"), SETTINGS[0]
    made = sweep([setting], 8 * BLOCK, subject=subject)
    assert 0 < made.total.failures < 8 * BLOCK
    assert made.total.failures % BLOCK == 0
    assert timeless(sweep([setting], 8 * BLOCK, subject=subject, chunk=1)) == timeless(made)
    assert not replayed(setting, made.figures[setting].worst_index, subject).passed


def test_a_sweep_goes_on_with_the_same_function_only(own, tmp_path):
    subject, journal = Subject(f"{own}:columns", "columns"), tmp_path / "journal.jsonl"
    sweep([SETTINGS[0]], 10, subject=subject, journal=journal)
    Path(own).write_text(WRONG + "\n")
    with pytest.raises(ValueError, match="is of another run: source is"):
        sweep([SETTINGS[0]], 10, subject=subject, journal=journal, resume=True)


def test_a_sweep_that_finished_no_part_is_no_obstacle(own, tmp_path, capsys):
    out = ["--networks", "100", "--sizes", "2,2,2", "--jobs", "1", "--out", str(tmp_path)]
    assert main(["sweep", "--implementation", f"{own}:raises", *out]) == 1
    assert main(["sweep", *out]) == 0
    capsys.readouterr()


DAMAGE = {
    "no JSON": (3, "\x00\x00"),
    "no part": (2, "{}"),
    "no run": (1, "[1]"),
    "other fields": (2, '{"part": 0, "result": {}}'),
    "no such part": (2, '{"part": 99, "result": {"histogram": []}}'),
}


@pytest.mark.parametrize(("number", "line"), [*DAMAGE.values(), (2, "fewer")], ids=[*DAMAGE, "fewer networks"])
def test_a_damaged_journal_is_named_and_not_believed(tmp_path, number, line):
    journal = tmp_path / "journal.jsonl"
    sweep([SETTINGS[0]], 4 * BLOCK, chunk=1, journal=journal)
    lines = journal.read_text().splitlines()
    lines[number - 1] = lines[1].replace('"networks": 1024', '"networks": 5') if line == "fewer" else line
    journal.write_text("".join(f"{one}\n" for one in lines))
    with pytest.raises(ValueError, match=r"journal\.jsonl is damaged: .*; delete the file"):
        sweep([SETTINGS[0]], 4 * BLOCK, chunk=1, journal=journal, resume=True)


def test_a_setting_that_is_given_twice_is_swept_once():
    assert len(grid([(2, 2), (2, 2)], ["tanh", ("tanh",)], ["float64"], [1.0, 1])) == 1


def test_an_implementation_that_raises_ends_the_sweep_in_one_line(own, tmp_path, capsys):
    assert (
        main(["sweep", "--networks", "100", "--implementation", f"{own}:raises", "--jobs", "1", "--out", str(tmp_path)])
        == 1
    )
    error = capsys.readouterr().err
    assert "it raised RuntimeError: no idea (own.py:" in error
    assert error.count("\n") == 1


def test_the_grid_is_shared_evenly_and_written(tmp_path, capsys):
    assert main(["sweep", "--networks", "1_000", "--jobs", "1", "--out", str(tmp_path)]) == 0
    frame = pd.read_csv(tmp_path / "sweep.csv")
    assert tuple(frame.columns) == SWEEP_COLUMNS
    assert len(frame) == len(grid()) == 120
    assert frame["networks"].sum() == 1000
    assert set(frame["networks"]) == {8, 9}
    assert set(frame["scale"]) == {0.01, 0.5, 2.0, 10.0, 40.0}
    assert "match: 1,000 networks" in capsys.readouterr().out
    assert not (tmp_path / "sweep.unfinished.jsonl").exists()


# Interrupted.


def command(directory, *more):
    how = ["--sizes", "2,2,2", "--networks", "300_000", "--jobs", "1", "--scale", "1", "--dtype", "float64"]
    return ["sweep", *how, "--chunk", "600_000", "--out", str(directory), *more]


@pytest.mark.apart
def test_a_killed_sweep_goes_on_and_comes_to_the_same_figures(tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    journal = cut / "sweep.unfinished.jsonl"
    with subprocess.Popen([sys.executable, "-m", "comparisons", *command(cut)]) as process:
        deadline = time.monotonic() + 60
        while (not journal.exists() or journal.read_text().count("\n") < 4) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    lines = journal.read_text().splitlines()
    assert 3 < len(lines) < 18
    assert not (cut / "sweep.csv").exists()
    with journal.open("a") as file:
        file.write('{"part": 31, "resu')  # the last line may be cut off
    assert main(command(cut)) == 2
    assert "finished parts: go on with --resume, or delete it" in capsys.readouterr().err
    assert main(command(cut, "--resume", "--seed", "1")) == 2
    assert "is of another run: settings is" in capsys.readouterr().err
    assert main(command(cut, "--resume")) == 0
    assert not journal.exists()
    assert main(command(whole)) == 0
    assert timeless_csv(cut) == timeless_csv(whole)


def test_what_is_resumed_is_not_compared_again(tmp_path, monkeypatch):
    journal = tmp_path / "journal.jsonl"
    made = sweep([SETTINGS[0]], 4 * BLOCK, chunk=1, journal=journal)
    assert len(journal.read_text().splitlines()) == 5
    monkeypatch.setattr(module.Chunk, "compare", lambda self: pytest.fail("compared again"))
    assert timeless(sweep([SETTINGS[0]], 4 * BLOCK, chunk=1, journal=journal, resume=True)) == timeless(made)


# On a terminal and in a pipe.


def test_a_progress_bar_shows_on_a_terminal_and_none_in_a_pipe(tmp_path, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    run = ["sweep", "--networks", "20_000", "--sizes", "2,2,2", "--jobs", "1", "--out", str(tmp_path)]
    assert main(run) == 0
    assert capsys.readouterr().err == ""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert main(run) == 0
        terminal.flush()
        shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert re.search(rb"\d+%.*networks/s", shown)


# On a cluster.


@pytest.fixture
def scheduler(tmp_path):
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    where = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", *where], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    yield json.loads(file.read_text())["address"]
    process.kill()
    process.wait()


def worker(address, directory):
    how = [
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
        "--host",
        "127.0.0.1",
        "--local-directory",
        str(directory),
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address, *how], stderr=subprocess.DEVNULL
    )


@pytest.mark.apart
def test_on_a_cluster_of_which_a_worker_ends_the_sweep_is_complete_and_the_same(tmp_path, scheduler, monkeypatch):
    expected = timeless(sweep(SETTINGS, 32 * BLOCK))
    from distributed import Client

    workers = [worker(scheduler, tmp_path) for _ in range(2)]
    killed = []
    try:
        with Client(scheduler) as client:
            client.wait_for_workers(2, timeout=60)
        add = module.Journal.add

        def adding(self, part, result):
            add(self, part, result)
            if len(self.done) == 8:
                workers[0].kill()
                killed.append(workers[0].wait())

        monkeypatch.setattr(module.Journal, "add", adding)
        made = sweep(SETTINGS, 32 * BLOCK, cluster=scheduler, chunk=1, journal=tmp_path / "journal.jsonl")
    finally:
        for process in workers:
            process.kill()
            process.wait()
    assert killed == [-signal.SIGKILL]
    assert timeless(made) == expected


def test_a_cluster_that_nobody_answers_for_is_one_line(tmp_path, capsys, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("comparisons.studies.work.PATIENCE", 1)
    address = "tcp://127.0.0.1:9"
    assert main(["sweep", "--networks", "100", "--cluster", address, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "no Dask scheduler answers there" in error
    assert error.count("\n") == 1


# The mistakes, planted.


def test_planted_mistakes_are_caught_where_they_show(tmp_path, capsys):
    how = ["--networks", "4000", "--sizes", "3,3,3", "--activation", "sigmoid", "--dtype", "float64", "--scale", "1"]
    assert main(["sweep", "--planted", *how, "--jobs", "1", "--out", str(tmp_path)]) == 0
    assert "visible mistakes caught" in capsys.readouterr().out
    frame = pd.read_csv(tmp_path / "planted.csv").set_index("mistake")
    assert tuple(frame.reset_index().columns) == PLANTED_COLUMNS
    assert set(frame.index) == set(MISTAKES)
    assert (frame["caught"] == frame["visible"]).all()
    assert frame.loc["no_half", "visible_share"] > 0.999
    assert frame.loc["sigmoid_slope", "visible"] == 0  # no mistake with a sigmoid
    assert frame.loc["accumulated_gradient", "visible_share"] > 0.99


BAD = {
    "networks": (["--networks", "0"], "networks is 0: expected 1 or more"),
    "chunk": (["--networks", "10", "--chunk", "0"], "chunk is 0: expected 1 or more"),
    "jobs": (["--networks", "10", "--jobs", "0"], "jobs is 0: expected 1 or more"),
    "scale": (["--networks", "10", "--scale", "0"], "scale is 0.0: expected a finite number above 0"),
    "batch": (["--networks", "10", "--batch", "0"], "batch is 0: expected 1 or more"),
    "sizes": (["--networks", "10", "--sizes", "3"], "sizes is [3]: expected at least two sizes"),
    "activation": (["--networks", "10", "--activation", "sine"], "activation 'sine' is unknown"),
    "layers": (["--networks", "10", "--activation", "tanh,tanh,tanh,tanh"], "activation has 4 names for 2 layers"),
    "implementation": (
        ["--networks", "10", "--jobs", "1", "--implementation", "x"],
        "target is 'x': expected file.py:",
    ),
    "planted": (["--networks", "10", "--planted", "--resume"], "--resume is of no use with --planted"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_a_bad_option_is_one_line(tmp_path, capsys, arguments, message):
    assert main(["sweep", *arguments, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--replay", "7"], ["--replay", "0:x"], ["--replay", "0:1", "--sizes", "a"]])
def test_a_malformed_replay_is_one_line(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["compare", *arguments])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_case_cannot_be_replayed(tmp_path, capsys):
    assert main(["compare", "note", "--replay", "0:1", "--out", str(tmp_path)]) == 2
    assert "note is of no use with --replay" in capsys.readouterr().err


ZERO_BELOW = """
from handnet import Network


def backprop(weights, inputs, targets):
    first, *others = Network(weights, "tanh").backprop(inputs, targets).gradients
    return [0 * first, *others]
"""


def test_a_layer_that_no_network_tells_from_zero_is_no_match(tmp_path, capsys):
    (tmp_path / "zero.py").write_text(ZERO_BELOW)
    deep = ["--sizes", "24,24,24,24,24,24,2", "--activation", "tanh", "--dtype", "float32", "--scale", "3"]
    common = ["sweep", "--implementation", f"{tmp_path}/zero.py:backprop", "--jobs", "1", "--out", str(tmp_path)]
    assert main([*common, *deep, "--networks", "2"]) == 1
    said = capsys.readouterr().out
    assert "could not be judged: dC/dW^(1)" in said
    assert "UNDECIDED: " in said
    assert main([*common, "--activation", "tanh", "--networks", "2"]) == 1
    assert "MISMATCH: " in capsys.readouterr().out


SLIGHTLY_OFF = """
from handnet import Network

def backprop(weights, inputs, targets):
    return [g * g.dtype.type(1 + {change}) for g in Network(weights).backprop(inputs, targets).gradients]
"""


@pytest.mark.parametrize(("change", "suspect"), [(0.0, False), (2e-5, True)])
def test_a_strict_sweep_counts_what_is_suspect_and_fails_with_it(tmp_path, capsys, change, suspect):
    file = tmp_path / "slightly.py"
    file.write_text(SLIGHTLY_OFF.format(change=change))
    how = ["--sizes", "20,20,10", "--batch", "8", "--dtype", "float32", "--activation", "sigmoid", "--scale", "1"]
    common = ["sweep", "--networks", "300", *how, "--implementation", f"{file}:backprop", "--jobs", "1"]
    # Within what is guaranteed it passes, and nobody asked for more.
    assert main([*common, "--out", str(tmp_path)]) == 0
    assert pd.read_csv(tmp_path / "sweep.csv")[["suspect", "suspect_index"]].isna().all(axis=None)
    capsys.readouterr()
    assert main([*common, "--out", str(tmp_path), "--strict"]) == suspect
    said = capsys.readouterr().out
    (row,) = pd.read_csv(tmp_path / "sweep.csv").to_dict("records")
    assert (row["suspect"] > 0) == (row["max_error_over_expected"] > 1) == (row["failures"] > 0) == suspect
    assert f"{row['suspect']:,} suspect" in said
    if suspect:
        replay = re.search(r"replay: handnet (.*)", said).group(1)
        assert replay.endswith(" --strict")
        assert main([*shlex.split(replay), "--out", str(tmp_path)]) == 1
        alone = pd.read_csv(tmp_path / "elements.csv")
        assert "suspect" in set(alone["verdict"])
