"""The named cases beside autograd, or one comparison alone: a case's, a function's, one network's of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from comparisons.checks import compare_batches
from comparisons.output import page, report
from comparisons.output.outcome import Outcome
from comparisons.studies.cases import case
from comparisons.verdict.comparison import BESIDE, Comparison
from comparisons.verdict.distance import greatest


def outcome(names: Sequence[str], run: Run, everything: bool = False) -> Outcome:
    """Compare the named cases with autograd.

    Parameters
    ----------
    names : of the cases
    run : what to compare instead of their own steps and learning rates, and how
    everything : list every number in elements.csv, not only the worst
    """
    results = {name: run.comparison(name) for name in names}
    line = compare_line(results)
    messages = [f"{name}: {result.message()}" for name, result in results.items() if not result.passed]
    return Outcome(
        all(result.passed for result in results.values()),
        line,
        [case_table(results), blind_lines(results), *messages],
        joined_tables(results, everything),
        "The hand-written network beside autograd",
        line + report.sharpness(results),
        lambda: page.comparison_sections(results),
        messages,
    )


def of_one(comparison: Comparison, title: str, everything: bool = False) -> Outcome:
    """Return what one comparison came to, with the table of it in full."""
    return Outcome(
        comparison.passed,
        report.check_line(comparison),
        [str(comparison)],
        comparison.tables(everything),
        title,
        sections=lambda: page.comparison_sections({"": comparison}),
        messages=[] if comparison.passed else [comparison.message()],
        # What raised on every call gave nothing to judge.
        judged=bool(comparison.measured),
    )


def hinted(comparison: Comparison, hint: str) -> Outcome:
    """Return what one comparison came to, with no more than a hint where something is wrong, and no tables."""
    # Of a mismatch, the line names the mistake.
    line = comparison.answer if comparison.diagnosis else report.check_line(comparison)
    return Outcome(comparison.passed, line, [hint], judged=bool(comparison.measured))


@dataclass(frozen=True)
class Run:
    """How a case is compared: in which floats, where, and in how many steps instead of its own."""

    dtype: str = "float64"
    steps: int | None = None
    learning_rate: float | None = None
    device: str = "cpu"
    strict: bool = False

    def comparison(self, name: str) -> Comparison:
        """Compare the case of this name."""
        chosen = case(name, dtype=self.dtype, steps=self.steps, learning_rate=self.learning_rate)
        replay = f"handnet compare {name} --dtype {self.dtype} --steps {chosen.steps}"
        if self.learning_rate is not None:
            replay += f" --learning-rate {self.learning_rate!r}"
        if self.strict:
            replay += " --strict"
        return compare_batches(
            chosen.network,
            chosen.training(),
            learning_rate=chosen.learning_rate,
            train_biases=chosen.train_biases,
            device=self.device,
            strict=self.strict,
            case=name,
            replay=replay,
        )


def case_table(comparisons: Mapping[str, Comparison]) -> str:
    """Return a table with one line per case."""
    head = ("case", "network", "dtype", "steps", "numbers", "error/tolerance", "local", "resolution", *BESIDE, "")
    rows: list[tuple[str, ...]] = [head]
    for name, c in comparisons.items():
        local = [greatest(m.local_ratio) for m in c.measured if m.local_ratio is not None]
        rows.append(
            (
                name,
                "-".join(map(str, c.sizes)) if len(c.sizes) < 7 else f"{len(c.sizes) - 1} layers",
                c.dtype,
                str(c.measured[-1].step),
                f"{c.numbers:,}",
                f"{max(greatest(m.ratio) for m in c.measured):.3f}",
                f"{max(local):.3f}",
                f"{max((m.resolution for m in c.measured), default=np.inf):.1e}",
                *(f"{c.count(verdict):,}" if c.count(verdict) else "" for verdict in BESIDE),
                c.answer,
            )
        )
    return report.table(rows, left=2)


def blind_lines(comparisons: Mapping[str, Comparison]) -> str:
    """Return what the data of each case cannot show, a line each."""
    return "\n".join(f"{name} cannot show {c.blind_kinds()}" for name, c in comparisons.items() if c.blind)


def compare_line(comparisons: Mapping[str, Comparison]) -> str:
    """Return the result of the comparisons in one line."""
    numbers = sum(c.numbers for c in comparisons.values())
    beside = {verdict: sum(c.count(verdict) for c in comparisons.values()) for verdict in BESIDE}
    for answer in ("MISMATCH", "UNDECIDED"):
        names = [name for name, c in comparisons.items() if c.answer == answer]
        if names:
            return f"{answer} in {', '.join(names)}: see the messages above"
    worst = max(greatest(m.ratio) for c in comparisons.values() for m in c.measured)
    known = "".join(f", {count:,} {verdict}" for verdict, count in beside.items() if count)
    agree = numbers - sum(beside.values())
    return f"match: {agree:,} numbers agree with autograd, the worst at {worst:.2g} of its tolerance{known}"


def joined_tables(comparisons: Mapping[str, Comparison], everything: bool) -> dict[str, pd.DataFrame]:
    """Return the CSV tables of several comparisons, one under the other."""
    parts = [c.tables(everything) for c in comparisons.values()]
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: pd.concat([part[name] for part in parts if name in part], ignore_index=True) for name in names}
