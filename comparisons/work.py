"""Doing many things: one after the other, on several cores or on a cluster; a progress bar on a terminal."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class MissingExtraError(ImportError):
    """A library that only some commands need is not installed."""


def extra(module: str, name: str) -> Any:
    """Import a module of an extra.

    Parameters
    ----------
    module : to import
    name : of the extra that brings it

    Raises
    ------
    MissingExtraError
        One line that says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise MissingExtraError(f'{package} is not installed: pip install "handnet[{name}]"') from None


def progress(items: Iterable[Item], total: int, unit: str, scale: int = 1) -> Iterator[Item]:
    """Yield the items; on a terminal, and if tqdm is installed, behind a bar with rate and time left.

    Parameters
    ----------
    total : how many items there will be
    unit : what they are
    scale : how many units an item is
    """
    try:
        tqdm = extra("tqdm", "sweep").tqdm
    except MissingExtraError:
        yield from items
        return
    # disable=None: no bar in a pipe.
    with tqdm(total=total * scale, unit=f" {unit}", unit_scale=scale > 1, disable=None, leave=False) as bar:
        for item in items:
            yield item
            bar.update(scale)


def results(function: Callable[[Item], Result], items: Sequence[Item], jobs: int = 1) -> Iterator[Result]:
    """Yield function(item) for each item, in order.

    Parameters
    ----------
    jobs : processes; more than one needs joblib

    Raises
    ------
    ValueError
        If jobs is less than 1.
    MissingExtraError
        If joblib is needed and not installed.
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}: expected 1 or more")
    if jobs == 1:
        yield from map(function, items)
        return
    joblib = extra("joblib", "sweep")
    yield from joblib.Parallel(n_jobs=jobs, return_as="generator")(joblib.delayed(function)(item) for item in items)
