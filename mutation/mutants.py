"""Makes small changes all over the network and the judging, one at a time, and sees which of them the tests notice.

Run by `make mutants`. The changes are those of cosmic-ray (https://cosmic-ray.readthedocs.io), made in copies of the
sources. A mutant that no test notices has survived: mutation/survivors.toml lists those known, each with its reason. A
survivor that is not listed fails the run.
"""

from __future__ import annotations

import argparse
import ast
import csv
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from random import Random

from copies import ROOT, Change, outcomes
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

SURVIVORS = ROOT / "mutation" / "survivors.toml"
# Of what is not equivalent.
SHARE = 0.95
# What pytest adds to each test, in seconds.
EACH = 0.005
# Tests that are too slow to be run once for each mutant.
SLOW = ("tolerance_is_tight", "apply_as_did")
# The tests that should notice a change to a module.
GUARDS, MEASURE, ROUNDING = "tests/test_guards.py", "tests/test_measure.py", "tests/test_rounding.py"
JUDGING = ("tests/test_verdict.py", MEASURE, GUARDS)
TESTS = {
    "handnet/network.py": ("tests/test_network.py", "tests/test_network_input.py", "tests/test_costs.py", MEASURE),
    "comparisons/reference/rounding.py": (ROUNDING, "tests/test_survey.py", "tests/test_bounds_spread.py", GUARDS),
    "comparisons/verdict/distance.py": JUDGING,
    "comparisons/verdict/measured.py": JUDGING,
    "comparisons/verdict/comparison.py": JUDGING,
    "comparisons/verdict/judging.py": (*JUDGING, "tests/test_shapes.py"),
    "comparisons/verdict/trial.py": (*JUDGING, "tests/test_diagnosis.py"),
    "comparisons/diagnosis/factors.py": ("tests/test_factors.py", GUARDS),
    "comparisons/diagnosis/matching.py": ("tests/test_matching.py", GUARDS),
}
# Of cosmic-ray's 213 operators those whose mutants are hard to notice: + to -, < to <=, 9 to 10; and not + to <<.
OPERATORS = (
    *("Binary*_Add_Sub", "Binary*_Sub_Add", "Binary*_Mul_Div", "Binary*_Div_Mul", "Binary*_Pow_Mul"),
    *("Binary*_BitAnd_BitOr", "Binary*_BitOr_BitAnd", "Unary*_Delete_*"),
    *("Comparison*_Eq_NotEq", "Comparison*_NotEq_Eq", "Comparison*_Is_IsNot", "Comparison*_IsNot_Is"),
    *("Comparison*_Lt_LtE", "Comparison*_LtE_Lt", "Comparison*_Gt_GtE", "Comparison*_GtE_Gt"),
    *("Comparison*_Lt_GtE", "Comparison*_LtE_Gt", "Comparison*_Gt_LtE", "Comparison*_GtE_Lt"),
)
WHOLE = (
    *("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer", "NumberReplacer"),
    *("RemoveDecorator", "ZeroIterationForLoop"),
)


@dataclass(frozen=True)
class Mutant:
    """A module with one small change.

    Attributes
    ----------
    path : of the module
    was, becomes : the lines that differ
    text : all of it, as changed
    """

    path: str
    was: str
    becomes: str
    text: str

    @property
    def name(self) -> tuple[str, str, str]:
        """What tells it from others, wherever it stands in its module."""
        return self.path, self.was, self.becomes


def mutants_of(path: str) -> Iterator[Mutant]:
    """Make every change of every operator to a module, but for those that change no more than an annotation."""
    text = (ROOT / path).read_text()
    tree, seen = get_ast(text), {_meaning(text)}
    for name in operator_names():
        short = name.rpartition("/")[2]
        if short not in WHOLE and not any(fnmatch(short, f"Replace{kept}") for kept in OPERATORS):
            continue
        operator = get_operator(name)()
        count = sum(len(list(operator.mutation_positions(node))) for node in ast_nodes(tree))
        for occurrence in range(count):
            changed = mutate_code(text, operator, occurrence)
            meaning = _meaning(changed) if changed else None
            if meaning and meaning not in seen:
                seen.add(meaning)
                yield Mutant(path, *_difference(text, changed), changed)


def _meaning(text: str) -> str | None:
    """The code without its annotations, which are never evaluated, and how arguments are passed; or None: no Python."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.arguments):
            node.args, node.posonlyargs = [*node.posonlyargs, *node.args, *node.kwonlyargs], []
            node.kwonlyargs, node.defaults, node.kw_defaults = [], [*node.defaults, *filter(None, node.kw_defaults)], []
        for field in ("annotation", "returns"):
            if getattr(node, field, None) is not None:
                setattr(node, field, ast.Constant(None))
    return ast.dump(tree)


def _difference(text: str, changed: str) -> tuple[str, str]:
    before, after = text.splitlines(), changed.splitlines()
    while before and after and before[0] == after[0]:
        before, after = before[1:], after[1:]
    # Where a line is taken out, the next one tells which.
    while before and len(after) > 1 and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    was, becomes = (" ".join(line.strip() for line in lines) for lines in (before, after))
    return was, becomes


def known() -> dict[tuple[str, str, str], str]:
    """Return the survivors that are listed, each with its reason."""
    listed = tomllib.loads(SURVIVORS.read_text())["survivor"] if SURVIVORS.exists() else []
    return {(entry["path"], entry["was"], entry["becomes"]): entry["reason"] for entry in listed}


class Tally:
    """What became of the mutants so far.

    Attributes
    ----------
    count, killed, equivalent : of the mutants tried
    new : survivors that are not listed
    rows : of each mutant what was changed, and what killed it or why nothing does
    """

    def __init__(self) -> None:
        self.listed = known()
        self.count = self.killed = self.equivalent = 0
        self.new: list[Mutant] = []
        self.rows: list[tuple[str, ...]] = []

    def add(self, mutant: Mutant, killed_by: str | None) -> None:
        """Count a mutant, and print it where it should not have survived, or should have."""
        reason, killed = self.listed.get(mutant.name, ""), killed_by is not None
        self.rows.append((*mutant.name, killed_by or "", "" if killed else reason))
        self.count, self.killed = self.count + 1, self.killed + killed
        if killed and reason:
            print(f"  no longer survives, take it off the list:\n  - {mutant.was}\n  + {mutant.becomes}", flush=True)
        if not killed:
            self.equivalent += reason.startswith("equivalent")
            self.new += [] if reason else [mutant]
            said = reason or "NEW: not listed in survivors.toml"
            print(f"  - {mutant.was}\n  + {mutant.becomes}\n    {said}", flush=True)

    @property
    def share(self) -> float:
        """The share killed of those that are not equivalent."""
        return self.killed / max(1, self.count - self.equivalent)

    def write(self, path: Path) -> None:
        """Write what became of each mutant to a CSV file."""
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "was", "becomes", "killed_by", "reason"), *self.rows])


def try_module(path: str, tally: Tally, jobs: int, sample: int | None) -> None:
    """Try the mutants of a module, or so many of them, drawn with a fixed seed.

    Raises
    ------
    RuntimeError
        If a test fails without any change.
    """
    made = list(mutants_of(path))
    tried = made if sample is None else Random(1).sample(made, min(sample, len(made)))
    fast = ("-k", " and ".join(f"not {name}" for name in SLOW))
    ((_, unchanged),) = outcomes([Change(path, (ROOT / path).read_text(), (*TESTS[path], *fast))], 1)
    if unchanged.killed_by is not None:
        raise RuntimeError(f"{path}: without any change {unchanged.killed_by} fails")
    kills: Counter[str] = Counter()

    def changes() -> Iterator[Change]:
        """Each with those tests first that have noticed most in the least time."""
        for mutant in tried:
            order = sorted(unchanged.seconds, key=lambda test: (unchanged.seconds[test] + EACH) / (1 + kills[test]))
            yield Change(path, mutant.text, tuple(order))

    for i, outcome in outcomes(changes(), jobs):
        kills[outcome.killed_by or "nothing"] += 1
        tally.add(tried[i], outcome.killed_by)
    for _, was, becomes in {name for name in tally.listed if name[0] == path} - {mutant.name for mutant in made}:
        print(f"  no longer made, take it off the list:\n  - {was}\n  + {becomes}")
    by: Counter[str] = Counter()
    for test, count in kills.items():
        by[test.partition("::")[0]] += count
    tests = len(unchanged.seconds)
    print(f"{path}: {len(tried)} of {len(made)} mutants, {tests} tests; noticed by {dict(by)}", flush=True)


def main() -> int:
    """Try the mutants, print the share killed and each survivor; return 1 where one is not listed, or too many are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="PART", help="only modules with this in their path")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--sample", type=int, metavar="N", help="only N mutants of each module, the same each time")
    parser.add_argument("--report", type=Path, metavar="FILE", help="a CSV file: what killed each mutant")
    options = parser.parse_args()
    start, tally = time.monotonic(), Tally()
    for path in TESTS:
        if not options.modules or any(part in path for part in options.modules):
            try_module(path, tally, options.jobs, options.sample)
    if options.report:
        tally.write(options.report)
    failed = bool(tally.new) or tally.share < SHARE
    sampled = "" if options.sample is None else f" (at most {options.sample} of each module, drawn with a fixed seed)"
    print(
        f"{tally.count} mutants{sampled}, {tally.equivalent} equivalent; of the others {tally.share:.1%} killed;"
        f" {len(tally.new)} new survivors; {time.monotonic() - start:.0f} s: {'FAILED' if failed else 'passed'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
