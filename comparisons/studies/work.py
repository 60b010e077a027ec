"""Doing many things: one after the other, on several cores or on a cluster; a progress bar on a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from comparisons.extras import MissingExtraError, extra

Item = TypeVar("Item")
Result = TypeVar("Result")
KEPT = 31 << 20
# Seconds to wait for a scheduler.
PATIENCE = 20


def keep_memory() -> None:
    """Let glibc keep freed memory for the next array, instead of giving it back to the system each time.

    Once a block was freed that is nearly as large as its greatest threshold, 32 MB, it keeps smaller ones.
    """
    np.empty(KEPT, np.uint8)


def default_jobs() -> int:
    """Return how many processes to use: as many as there are cores to use, or one where joblib is not installed."""
    try:
        extra("joblib", "sweep")
    except MissingExtraError:
        return 1
    return cores()


def cores() -> int:
    """Return how many cores there are to use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def progress(items: Iterable[Item], sizes: Sequence[int], unit: str) -> Iterator[Item]:
    """Yield the items; on a terminal, and if tqdm is installed, behind a bar with rate and time left.

    Parameters
    ----------
    sizes : how many units each item is
    unit : what they are
    """
    try:
        tqdm = extra("tqdm", "sweep").tqdm
    except MissingExtraError:
        yield from items
        return
    # disable=None: no bar in a pipe.
    with tqdm(
        total=sum(sizes), unit=f" {unit}", unit_scale=max(sizes, default=0) > 1, disable=None, leave=False
    ) as bar:
        for item, size in zip(items, sizes, strict=True):
            yield item
            bar.update(size)


def results(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int = 1, cluster: str | None = None
) -> Iterator[tuple[int, Result]]:
    """Yield (i, function(items[i])) as they get done, in any order.

    Parameters
    ----------
    jobs : processes on this machine; more than one needs joblib
    cluster : address of a Dask scheduler, whose workers do it instead

    Raises
    ------
    ValueError
        If jobs is less than 1, or nobody answers at the address.
    MissingExtraError
        If joblib or distributed is needed and not installed.
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}: expected 1 or more")
    if jobs == 1 and cluster is None:
        yield from ((i, function(item)) for i, item in enumerate(items))
        return
    joblib = extra("joblib", "sweep")
    calls = (joblib.delayed(_numbered)(function, i, item) for i, item in enumerate(items))
    with _workers(joblib, jobs, cluster):
        yield from joblib.Parallel(return_as="generator_unordered")(calls)


def _numbered(function: Callable[[Item], Result], i: int, item: Item) -> tuple[int, Result]:
    return i, function(item)


@contextmanager
def _workers(joblib: Any, jobs: int, cluster: str | None) -> Iterator[None]:
    if cluster is None:
        # One thread each: the processes are as many as there are cores to use.
        with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
            yield
        return
    distributed = extra("distributed", "cluster")
    try:
        client = distributed.Client(cluster, timeout=PATIENCE)
    except (OSError, ValueError, RuntimeError) as problem:
        raise ValueError(f"cluster is {cluster!r}: no Dask scheduler answers there ({problem})") from None
    with client, joblib.parallel_config(backend="dask"):
        yield
