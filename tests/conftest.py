"""`pytest --comparisons-csv DIR` leaves the evidence: every comparison that the run made, as CSV."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from comparisons.verdict.comparison import Comparison, write_csv

running: list[str] = []
made: list[tuple[str, Comparison]] = []


def pytest_addoption(parser):
    parser.addoption("--comparisons-csv", metavar="DIR", help="write every comparison of the run to CSV files in DIR")


def pytest_configure(config):
    if config.getoption("--comparisons-csv") is None:
        return
    init = Comparison.__init__

    def recording(self, *args, **kwargs):
        init(self, *args, **kwargs)
        made.append((running[-1] if running else "", self))

    Comparison.__init__ = recording


def pytest_runtest_setup(item):
    running.append(item.nodeid)


def pytest_unconfigure(config):
    directory = config.getoption("--comparisons-csv")
    if directory is None or not made:
        return
    tables: dict[str, list[pd.DataFrame]] = {}
    for test, comparison in list(made):
        named = replace(comparison, measured=tuple(replace(m, case=test) for m in comparison.measured))
        for name, table in named.tables().items():
            tables.setdefault(name, []).append(table.assign(case=test))
    write_csv({name: pd.concat(parts) for name, parts in tables.items()}, directory)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
