"""Makes each tolerance and threshold twice as large, and half as large, and sees that tests/test_guards.py notices.

Run by `make guards`. The changes are made in copies of the sources, one at a time.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from copies import ROOT, Change, outcomes

TESTS = ("tests/test_guards.py",)


@dataclass(frozen=True)
class Constant:
    """A constant, in its line, and what to put in its place.

    Attributes
    ----------
    path : of the file
    line : a part of the file that occurs once in it, with {} in the place of the constant
    value : the constant as it is written there
    others : what to put there
    """

    path: str
    line: str
    value: str
    others: tuple[str, ...]

    def change(self, other: str) -> Change:
        """Return the file with another constant.

        Raises
        ------
        ValueError
            If the line is not there, or more than once.
        """
        text, line = (ROOT / self.path).read_text(), self.line.replace("{}", self.value)
        if text.count(line) != 1:
            raise ValueError(f"{self.path}: {line!r} is there {text.count(line)} times: expected once")
        return Change(self.path, text.replace(line, self.line.replace("{}", other)), TESTS)


ROUNDING, PROBLEM = "comparisons/reference/rounding.py", "comparisons/reference/quantities.py"
EFFECTS, MATCHING = "comparisons/mistakes/effects.py", "comparisons/diagnosis/matching.py"
FACTORS = "comparisons/diagnosis/factors.py"
PLANTED = "comparisons/studies/planted.py"
NUMBERS, CAUSES = "comparisons/studies/numbers.py", "comparisons/studies/causes.py"
WRONG = "comparisons/diagnosis/wrong.py"
CONSTANTS = (
    Constant(ROUNDING, "self._evaluated(name, a, {})", "9", ("18", "4.5", "90")),
    Constant(ROUNDING, "(self.gamma({}) + self.gamma(8) * size)", "2", ("4", "1")),
    Constant(ROUNDING, "self.gamma({}) * np.abs(1 - size**2)", "8", ("16", "4")),
    Constant(ROUNDING, "({} * operations * self.tiny)", "2", ("4", "1", "2e6")),
    Constant(PROBLEM, "return {} * bound", "2", ("4", "1", "20")),
    Constant("comparisons/reference/complex_step.py", "KINK = {}\n", "1e-9", ("2e-9", "0.5e-9")),
    Constant(EFFECTS, "MARGIN = {}\n", "16", ("32", "8")),
    Constant(EFFECTS, "VISIBLE = {}\n", "2", ("4", "1")),
    Constant(MATCHING, "NEARER = {}\n", "100", ("200", "50", "1")),
    Constant(MATCHING, "ROUNDED = {}\n", "8", ("16", "4", "1")),
    Constant(MATCHING, "FEWEST = {}\n", "6", ("12", "3")),
    Constant(FACTORS, "SAME, NAMED = {}, 1e-9\n", "1e-6", ("2e-6", "0.5e-6")),
    Constant(FACTORS, "SAME, NAMED = 1e-6, {}\n", "1e-9", ("2e-9", "0.5e-9")),
    Constant(MATCHING, "ROUGH = {}\n", "1e-4", ("2e-4", "0.5e-4")),
    Constant(MATCHING, "FINE = {}\n", "12", ("24", "6")),
    Constant("comparisons/subject/session.py", "TOGETHER = {}\n", "1e-5", ("2e-5", "0.5e-5")),
    Constant("comparisons/diagnosis/patterns.py", "DIFFERENCES = {}\n", "1e-12", ("2e-12", "0.5e-12")),
    Constant(WRONG, "return {}((distance(self.hand, self.torch) <= self.derived)", "bool", ("not ", "False and ")),
    Constant(NUMBERS, "UNITS = {}\n", "1.5", ("3.0", "0.75")),
    Constant(NUMBERS, "DRIFT = {}\n", "10", ("20", "5")),
    Constant(CAUSES, "CHANCE = {}\n", "0.1", ("0.2", "0.05")),
    Constant(PLANTED, "VISIBLE = {}\n", "2", ("4", "1")),
    # Of the share, the part that may be missed.
    Constant(PLANTED, '>= {} * sums["visible"]', "0.999", ("0.998", "0.9995", "0.5")),
)


def main() -> int:
    """Make all of the changes, print what notices each, and return 1 if nothing notices one."""
    start = time.monotonic()
    # Without any change, all of the tests must pass.
    tried = [(constant, other) for constant in CONSTANTS for other in (constant.value, *constant.others)]
    made = [(constant, other) for constant, other in tried if other != constant.value or constant is CONSTANTS[0]]
    found = dict(outcomes([constant.change(other) for constant, other in made], os.cpu_count() or 1))
    noticed = True
    for i, (constant, other) in enumerate(made):
        by = found[i].killed_by
        right = by is not None if other != constant.value else by is None
        noticed &= right
        what = constant.line.strip().replace("{}", f"{constant.value} -> {other}" if other != constant.value else other)
        said = (by or "").partition("::")[2] or by or ("no change, and all pass" if right else "NOT NOTICED")
        print(f"{constant.path.rpartition('/')[2]:16} {what:58.58} {said}")
    changes = len(made) - 1
    print(f"{changes} changes, {'each noticed' if noticed else 'NOT ALL NOTICED'}, {time.monotonic() - start:.0f} s")
    return 0 if noticed else 1


if __name__ == "__main__":
    sys.exit(main())
