"""What a command's work came to: whether all is well, the tables, what the console and the page say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from comparisons.output.page import Section


@dataclass(frozen=True)
class Outcome:
    """The result of one command, the same for all; nothing is written or printed yet.

    Parameters
    ----------
    passed : whether all is well
    line : the result in one line, the last on the console
    text : what stands above it, in parts
    tables : by the name of their CSV file; without any, nothing is written
    title : of the page
    answer : the result in one line at the top of the page, where it says more than `line`
    sections : makes those of the page
    messages : of what did not match, in full
    judged : False where what was given could not be judged at all
    written : called once the tables are written
    """

    passed: bool
    line: str
    text: Sequence[str] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    title: str = ""
    answer: str = ""
    sections: Callable[[], list[Section]] = list
    messages: Sequence[str] = ()
    judged: bool = True
    written: Callable[[], object] = lambda: None

    def and_also(self, other: Outcome) -> Outcome:
        """Return both in one, under the title of this one."""
        return Outcome(
            self.passed and other.passed,
            f"{self.line}; {other.line}",
            [*self.text, *other.text],
            {**self.tables, **other.tables},
            self.title,
            f"{self.answer or self.line}; {other.answer or other.line}",
            lambda: self.sections() + other.sections(),
            [*self.messages, *other.messages],
            self.judged and other.judged,
            lambda: (self.written(), other.written()),
        )
