"""Timings side by side: interleaved in one run, so that a noisy machine hits all of them alike; medians."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call

from comparisons.checks import compare
from comparisons.extras import extra
from comparisons.output import report
from comparisons.output.outcome import Outcome
from comparisons.reference.conversion import from_torch, to_torch
from comparisons.studies.plain import plain_step
from comparisons.studies.sweep import BLOCK, Setting, sweep
from comparisons.studies.work import keep_memory, progress
from handnet import Network, augmented
from handnet.activations import FloatArray

SPEED_COLUMNS = ("workload", "sizes", "batch", "dtype", "contender", "threads", "median_us", "over_handnet")
SCALING_COLUMNS = ("networks", "seconds", "us_per_network", "peak_memory_mb")

STEPS = (
    ((2, 2, 2), 1),
    ((64, 32, 10), 32),
    ((784, 100, 10), 64),
    ((784, 1024, 1024, 10), 256),
    ((2048, 2048, 2048), 1024),
)
DTYPES = ("float32", "float64")
CHECKED = ((64, 32, 10), 32)
SWEPT = Setting.of((2, 2, 2), "sigmoid")
SCALES = (10_000, 100_000, 1_000_000, 10_000_000)
# A contender is called as often as it takes to last so long, so that the clock's own cost does not count.
SECONDS = 0.005

Contenders = Mapping[str, Callable[[], Any]]


@contextmanager
def threads_held(count: int) -> Iterator[None]:
    """Hold NumPy's BLAS and torch to so many threads.

    Raises
    ------
    ValueError
        If count is less than 1.
    MissingExtraError
        If threadpoolctl is not installed.
    """
    if count < 1:
        raise ValueError(f"threads is {count}: expected 1 or more")
    threadpoolctl = extra("threadpoolctl", "sweep")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpoolctl.threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


def libraries() -> str:
    """Return in two lines whose BLAS multiplies the matrices on which side, and on how many threads it does now."""
    found = [each for each in extra("threadpoolctl", "sweep").threadpool_info() if each["user_api"] == "blas"]
    # Other packages bring a BLAS of their own.
    own = [each for each in found if "numpy" in each["filepath"]] or found
    blas = " and ".join(f"{each['internal_api']} {each['version']}, {each['num_threads']} thread(s)" for each in own)
    named = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    theirs = named[1] if named else "a BLAS that it does not name"
    return (
        f"torch eager, gradcheck: torch {torch.__version__} with {theirs}, {torch.get_num_threads()} thread(s)\n"
        f"all others: NumPy {np.__version__} with {blas or 'a BLAS that threadpoolctl does not know'}"
    )


def medians(contenders: Contenders, rounds: int) -> dict[str, float]:
    """Return the median time of each contender in microseconds, all of them timed in turn, round by round."""
    repeats = {}
    for name, call in contenders.items():
        call()
        started = time.perf_counter()
        call()
        repeats[name] = max(1, round(SECONDS / (time.perf_counter() - started)))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            started = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            times[name].append((time.perf_counter() - started) / repeats[name])
    return {name: 1e6 * median(taken) for name, taken in times.items()}


# One training step.


def step_contenders(sizes: Sequence[int], batch: int, dtype: str) -> Contenders:
    """Return a step of the hand-written network, one written plainly, torch's own, and the bare products of one."""
    rng = np.random.default_rng(0)
    net = Network.random(sizes, rng=rng, dtype=np.dtype(dtype))
    x = rng.standard_normal((batch, sizes[0])).astype(dtype)
    t = rng.random((batch, sizes[-1])).astype(dtype)

    weights, biases = [w[:-1].copy() for w in net.weights], [w[-1].copy() for w in net.weights]

    def handnet() -> Network:
        return net.update(net.backprop(x, t).gradients)

    model, inputs, targets = to_torch(net), torch.tensor(x), torch.tensor(t)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    loss = nn.MSELoss(reduction="sum")

    def eager() -> None:
        optimizer.zero_grad()
        (loss(model(inputs), targets) / 2 / batch).backward()
        optimizer.step()

    return {
        "handnet": handnet,
        "plain form": lambda: plain_step(weights, biases, x, t),
        "torch eager": eager,
        "bare products": bare_products(net, x, t),
    }


def bare_products(net: Network, x: FloatArray, t: FloatArray) -> Callable[[], None]:
    """Return what multiplies the matrices of one step and does nothing else."""
    result = net.backprop(x, t)
    below = [augmented(a) for a in result.activations[:-1]]
    stripped = [w[:-1].T for w in net.weights[1:]]

    def products() -> None:
        for A, W in zip(below, net.weights, strict=True):
            A @ W
        for delta, w in zip(result.deltas[1:], stripped, strict=True):
            delta @ w
        for A, delta in zip(below, result.deltas, strict=True):
            A.T @ delta

    return products


# One comparison.


def check_contenders(sizes: Sequence[int], batch: int) -> Contenders:
    """Return one comparison with everything in it, and torch's gradcheck of the same model, slow and fast."""
    rng = np.random.default_rng(0)
    net = Network.random(sizes, rng=rng)
    x, t = rng.standard_normal((batch, sizes[0])), rng.random((batch, sizes[-1]))
    model, inputs, targets = to_torch(net), torch.tensor(x), torch.tensor(t)
    names = [name for name, _ in model.named_parameters()]
    parameters = tuple(parameter.detach().requires_grad_() for parameter in model.parameters())

    def cost(*values: Tensor) -> Tensor:
        output = functional_call(model, dict(zip(names, values, strict=True)), (inputs,))
        total: Tensor = nn.MSELoss(reduction="sum")(output, targets)
        return total / 2 / batch

    return {
        "handnet": lambda: compare(net, x, t).assert_close(),
        "gradcheck slow": lambda: torch.autograd.gradcheck(cost, parameters),
        "gradcheck fast": lambda: torch.autograd.gradcheck(cost, parameters, fast_mode=True),
    }


# One network of a sweep.


def one_by_one(count: int) -> None:
    """Compare networks case by case: draw, hand-written step, torch's step on a model of its own, and look."""
    problem = SWEPT.problem([0])
    loss = nn.MSELoss(reduction="sum")
    for i in range(count):
        alone = problem.of_network((i % BLOCK,))
        net = Network(alone.weights)
        result = net.backprop(alone.inputs, alone.targets)
        updated = net.update(result.gradients)
        model = to_torch(net)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        (loss(model(torch.tensor(alone.inputs)), torch.tensor(alone.targets)) / 2).backward()
        optimizer.step()
        for w, theirs in zip(updated.weights, from_torch(model).weights, strict=True):
            if not np.allclose(w, theirs, rtol=1e-12, atol=1e-15):
                raise AssertionError(f"network {i} differs")


def sweep_times(networks: int, jobs: Sequence[int], rounds: int) -> dict[str, float]:
    """Return the microseconds that a network takes in a sweep and in the loop, the workers started before."""
    alone = 500
    calls: dict[str, tuple[Callable[[], Any], int]] = {
        f"sweep, {n} job{'s' if n > 1 else ''}": (lambda n=n: sweep([SWEPT], networks, jobs=n), networks)  # type: ignore[misc]
        for n in jobs
    }
    calls["one by one"] = (lambda: one_by_one(alone), alone)
    for n in jobs:
        sweep([SWEPT], BLOCK * 64 * n, jobs=n)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (call, count) in calls.items():
            started = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - started) / count)
    return {name: 1e6 * median(taken) for name, taken in times.items()}


# The tables.


def measure_speed(
    *, rounds: int = 7, threads: int = 1, networks: int = 1_000_000, jobs: Sequence[int] = (1, 2), small: bool = False
) -> pd.DataFrame:
    """Time everything side by side.

    Parameters
    ----------
    rounds : of which the medians are taken
    threads : of BLAS and torch, the same on all sides
    networks : of the sweep
    jobs : processes of the sweep
    small : leave out the large networks

    Returns
    -------
    frame : the columns of speed.csv; over_handnet is how many times as long as handnet's own it takes

    Raises
    ------
    ValueError
        If rounds, threads or networks is less than 1.
    """
    if rounds < 1 or networks < 1:
        raise ValueError(f"rounds is {rounds}, networks {networks}: expected 1 or more")
    steps = [(sizes, batch, dtype) for sizes, batch in STEPS[: 3 if small else None] for dtype in DTYPES]
    rows: list[tuple[Any, ...]] = []

    def add(workload: str, sizes: Sequence[int], batch: int, dtype: str, times: Mapping[str, float], own: str) -> None:
        where = (workload, "-".join(map(str, sizes)), batch, dtype)
        rows.extend((*where, name, threads, taken, taken / times[own]) for name, taken in times.items())

    keep_memory()
    with threads_held(threads):
        for sizes, batch, dtype in progress(steps, [1] * len(steps), "workloads"):
            add("step", sizes, batch, dtype, medians(step_contenders(sizes, batch, dtype), rounds), "handnet")
        add("comparison", *CHECKED, "float64", medians(check_contenders(*CHECKED), rounds), "handnet")
        times = sweep_times(networks, jobs, max(1, rounds // 2))
        add("network of a sweep", SWEPT.sizes, 1, "float64", times, next(iter(times)))
    return pd.DataFrame(rows, columns=SPEED_COLUMNS)


def measure_scaling(scales: Sequence[int] = SCALES) -> tuple[pd.DataFrame, float]:
    """Sweep ever more networks on one core.

    Returns
    -------
    frame : the columns of scaling.csv; the peak of memory is that of the process so far
    exponent : of the power of the number of networks that fits the times best
    """
    rows = []
    sweep([SWEPT], BLOCK)
    for networks in progress(scales, list(scales), "networks"):
        started = time.perf_counter()
        sweep([SWEPT], networks)
        seconds = time.perf_counter() - started
        rows.append((networks, seconds, 1e6 * seconds / networks, peak_memory()))
    frame = pd.DataFrame(rows, columns=SCALING_COLUMNS)
    exponent = np.polyfit(np.log(frame["networks"]), np.log(frame["seconds"]), 1)[0]
    return frame, float(exponent)


def peak_memory() -> float:
    """Return the most memory that the process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def outcome(rounds: int, threads: int, networks: int, small: bool) -> Outcome:
    """Time the hand-written network, the comparison and the sweep beside others, as `measure_speed` does."""
    frame = measure_speed(rounds=rounds, threads=threads, networks=networks, small=small)
    with threads_held(threads):
        sides = libraries()
    return Outcome(True, speed_line(frame), [speed_table(frame), sides], {"speed.csv": frame})


def scaling_outcome() -> Outcome:
    """Sweep ever more networks, as `measure_scaling` does."""
    frame, exponent = measure_scaling()
    return Outcome(True, scaling_line(frame, exponent), [scaling_table(frame)], {"scaling.csv": frame})


def speed_table(frame: pd.DataFrame) -> str:
    """Return a table with one line per workload, its contenders side by side."""
    parts = []
    for workload, part in frame.groupby("workload", sort=False):
        names = list(part["contender"].unique())
        head = (str(workload), "dtype", *(f"{name} us" for name in names), *(f"{name} / own" for name in names[1:]))
        rows: list[tuple[str, ...]] = [head]
        for (sizes, batch, dtype), cells in part.groupby(["sizes", "batch", "dtype"], sort=False):
            times = (f"{value:,.1f}" for value in cells["median_us"])
            ratios = (f"{value:,.2f}" for value in cells["over_handnet"].iloc[1:])
            rows.append((f"{sizes} x{batch}", str(dtype), *times, *ratios))
        parts.append(report.table(rows, left=2))
    return "\n\n".join(parts)


def speed_line(frame: pd.DataFrame) -> str:
    """Return what was timed in one line."""
    return f"{len(frame)} medians, {frame['threads'].iloc[0]} thread(s) on all sides"


def scaling_table(frame: pd.DataFrame) -> str:
    """Return a table of the times and the memory of ever larger sweeps."""
    head = ("networks", "seconds", "us a network", "peak memory MB")
    rows = [
        (
            f"{int(row['networks']):,}",
            f"{row['seconds']:.2f}",
            f"{row['us_per_network']:.2f}",
            f"{row['peak_memory_mb']:.0f}",
        )
        for row in frame.to_dict("records")
    ]
    return report.table([head, *rows], left=0)


def scaling_line(frame: pd.DataFrame, exponent: float) -> str:
    """Return how the time grows in one line."""
    return f"time grows as networks^{exponent:.3f}, peak memory {frame['peak_memory_mb'].iloc[-1]:.0f} MB"
