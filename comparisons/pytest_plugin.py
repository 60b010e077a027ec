"""In anybody's pytest: the comparisons of a run as CSV files and as a page, and a failing one under its failure.

It is loaded in every run of pytest where handnet is installed, so what takes time is imported once it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from comparisons.verdict.observers import OBSERVERS

if TYPE_CHECKING:
    import pandas as pd

    from comparisons.functions import FunctionComparison
    from comparisons.output.page import Section
    from comparisons.verdict.comparison import Comparison

TITLE = "beside autograd"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    group = parser.getgroup("handnet", "comparisons with autograd")
    group.addoption("--comparisons-csv", metavar="DIR", help="write every comparison of the run to CSV files in DIR")
    group.addoption("--comparisons-html", metavar="DIR", help="write a page of every comparison of the run to DIR")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the comparisons that are made."""
    config.pluginmanager.register(Recorder(config), "handnet-recorder")


class Recorder:
    """Keeps the comparisons of the running test; and of all tests, where they are to be written."""

    def __init__(self, config: pytest.Config) -> None:
        self.csv, self.html = config.getoption("--comparisons-csv"), config.getoption("--comparisons-html")
        self.test = ""
        self.of_test: list[Comparison | FunctionComparison] = []
        self.of_run: list[tuple[str, Comparison | FunctionComparison]] = []
        OBSERVERS.append(self.saw)

    def saw(self, comparison: Comparison | FunctionComparison) -> None:
        """Keep a comparison."""
        self.of_test.append(comparison)
        if self.csv or self.html:
            self.of_run.append((self.test, comparison))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Start with no comparison."""
        self.test, self.of_test = item.nodeid, []

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[Any]) -> Iterator[None]:
        """Put the last comparison that did not pass under a failure."""
        outcome: Any = yield
        if call.when == "call" and outcome.get_result().failed:
            failed = [comparison for comparison in self.of_test if not comparison.passed]
            if failed:
                said = failed[-1].message() if _is_of_function(failed[-1]) else str(failed[-1])
                outcome.get_result().sections.append((TITLE, said))

    def pytest_unconfigure(self) -> None:
        """Write what was asked for."""
        OBSERVERS.remove(self.saw)
        if self.of_run and self.csv:
            self._write_csv(self.csv)
        if self.of_run and self.html:
            self._write_page(self.html)

    def _write_csv(self, directory: str) -> None:
        import pandas as pd

        from comparisons.verdict.comparison import write_csv

        tables: dict[str, list[pd.DataFrame]] = {}
        for test, comparison in self.of_run:
            for name, table in _tables(test, comparison).items():
                tables.setdefault(name, []).append(table)
        write_csv({name: pd.concat(parts) for name, parts in tables.items()}, directory)

    def _write_page(self, directory: str) -> None:
        from comparisons.output import page
        from comparisons.output.report import versions_line

        results: dict[str, Comparison | FunctionComparison] = {}
        for test, comparison in self.of_run:
            before = sum(name.partition(", number ")[0] == test for name in results)
            results[f"{test}, number {before + 1}" if before else test] = comparison
        failed = {test: comparison for test, comparison in results.items() if not comparison.passed}
        answer = f"{len(results)} comparisons, {len(failed)} of them do not match"
        messages = [f"{test}: {comparison.message()}" for test, comparison in failed.items()]
        text = page.render(
            "The comparisons of a test run", answer, not failed, _sections(results), messages, versions_line()
        )
        page.write(text, directory)


def _is_of_function(comparison: Any) -> bool:
    """Whether it is of any function beside torch, which needs no import to be asked."""
    return hasattr(comparison, "leaves")


def _tables(test: str, comparison: Any) -> dict[str, pd.DataFrame]:
    """The rows of a test: of a network in the usual files, of any function in files of their own."""
    if _is_of_function(comparison):
        tables = {"functions.csv": comparison.frame.copy(), "function_elements.csv": comparison.elements()}
        for table in tables.values():
            table.insert(0, "case", test)
        return tables
    named = replace(comparison, measured=tuple(replace(m, case=test) for m in comparison.measured))
    return {name: table.assign(case=test) for name, table in named.tables().items()}


def _sections(results: dict[str, Any]) -> list[Section]:
    """Of networks a section for each case, of each function one."""
    from comparisons.output import page

    functions = {name: one for name, one in results.items() if _is_of_function(one)}
    sections = page.comparison_sections({name: one for name, one in results.items() if name not in functions})
    numbered = enumerate(functions.items(), start=1)
    return sections + [page.function_section(one, f"function-{i}", name) for i, (name, one) in numbered]
