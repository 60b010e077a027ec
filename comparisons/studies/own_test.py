"""What a gradient test that somebody wrote lets pass: it runs with each known mistake planted in what it tests."""

from __future__ import annotations

import gc
import importlib
import inspect
import operator
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from comparisons.checks import check
from comparisons.mistakes.effects import can_show
from comparisons.mistakes.lineup import Lineup, alone
from comparisons.mistakes.variants import Variant
from comparisons.output.outcome import Outcome
from comparisons.reference.quantities import Problem, Quantities, Statement
from comparisons.studies.audit import (
    AUDIT_COLUMNS,
    RIGHT,
    VARIANTS,
    ZEROS,
    audit_line,
    audit_section,
    audit_table,
    let_pass,
    refused,
)
from comparisons.studies.processes import PATIENCE, Answer, in_processes
from comparisons.studies.work import progress
from comparisons.subject.finding import found_form
from comparisons.subject.forms import Form, forms
from comparisons.subject.implementation import Implementation, told
from comparisons.subject.layouts import Layout
from comparisons.subject.mutant import Change, Mutant
from comparisons.subject.probes import architectures, probe

if TYPE_CHECKING:
    import pytest

# The one mistake that a single call cannot show.
KEPT = "accumulated_gradient"
# Not the seed of what `check` asks.
SEED = 2_000_003


@dataclass(frozen=True)
class OwnTest:
    """A test of gradients, and the function that it tests.

    Attributes
    ----------
    test : as pytest has it, test_mine.py::test_gradient
    target : the function, module:function or module.py:function
    options : of `check`, what is stated of the function
    folder : in which the test runs
    """

    test: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""

    @property
    def file(self) -> Path:
        """The file of the test."""
        return Path(self.folder, self.test.partition("::")[0])

    @property
    def stated(self) -> Statement:
        """What is stated of the cost; a sum over the samples is N times the mean, but for a penalty."""
        cost, l2 = self.options.get("cost", "half_squared_error"), self.options.get("l2", 0.0)
        return Statement(cost, self.reduction if l2 else "mean", l2, self.options.get("biases", True))

    @property
    def reduction(self) -> str:
        """How its cost goes over the samples."""
        return str(self.options.get("reduction", "mean"))


def outcome(own: OwnTest, seconds: float = PATIENCE, jobs: int = 1, names: Sequence[str] | None = None) -> Outcome:
    """Run a test with each known mistake planted in its function, each time in a process of its own.

    Parameters
    ----------
    own : the test
    seconds : after which a run is ended, which counts as a failure
    jobs : runs at a time
    names : of the mistakes; by default all that can show in what the function returns

    Raises
    ------
    ValueError
        If the test does not pass with the right function, never asks it anything, or the function is not right.
    ImportError
        If pytest is not installed: everything else runs without it.
    """
    if find_spec("pytest") is None:
        raise ImportError("pytest is not installed: pip install pytest")
    right = _with_the_right_function(own, seconds)
    if names is None:
        activation = tuple(right["activation"])
        names = (*can_show(own.stated, activation, right["quantities"]), ZEROS)
        names = [name for name in names if name != "single_precision"]
        names += [RIGHT + name for name in VARIANTS if name != "float32" or "float32" not in right["dtype"]]
    items = [(own, name, right["form"]) for name in names]
    answers = dict(progress(in_processes(tried, items, seconds, jobs), [1] * len(items), "runs"))
    same = {name: right[name] for name in ("network", "batch", "dtype")}
    rows = [{"mistake": name, **same, **_fares(answers[i])} for i, name in enumerate(names)]
    frame = pd.DataFrame(rows, columns=AUDIT_COLUMNS)
    advice = _advice(own, frame)
    return Outcome(
        not let_pass(frame) and not refused(frame),
        f"{own.test} {audit_line(frame)}",
        [audit_table(frame), "\n".join(advice)],
        {"audit.csv": frame},
        f"What {own.test} lets pass",
        sections=lambda: [audit_section(frame, advice)],
    )


def _with_the_right_function(own: OwnTest, seconds: float) -> dict[str, Any]:
    """What the test asks of the function as it is, with which it must pass."""
    own.file.open("rb").close()  # an OSError names the file
    ((_, answer),) = in_processes(tried, [(own, "", None)], seconds)
    found: dict[str, Any] = answer.value or {"problem": answer.problem}
    if found["problem"]:
        raise ValueError(found["problem"])
    if not found["passed"]:
        why = found["why"] or "no test of this name was run"
        raise ValueError(f"{own.test} does not pass as it is: {why}")
    if not found["calls"]:
        why = (
            found["unread"] or "the test never calls it; if it imports it from another module, --target names that one"
        )
        raise ValueError(f"no mistake can be planted in {own.target} for {own.test}: {why}")
    return found


def _fares(answer: Answer) -> dict[str, Any]:
    """The row of one mistake: whether the test passes with it, and how much it changed."""
    if answer.value is None:  # it looped or crashed, which is seen
        return {"effect": np.inf, "tolerance": np.nan, "passes": False}
    return {"effect": answer.value["effect"], "tolerance": np.nan, "passes": answer.value["passed"]}


def _advice(own: OwnTest, frame: pd.DataFrame) -> list[str]:
    """What would show more, where something passes."""
    if not let_pass(frame):
        return []
    lines = []
    unseen = set(frame["mistake"][frame["passes"] & (frame["effect"] == 0) & ~frame["mistake"].str.startswith(RIGHT)])
    if unseen - {KEPT}:
        lines.append("on data with unequal widths, three outputs or more and several samples it would let fewer pass")
    if KEPT in unseen:
        lines.append(f"a second call of the function would show what it keeps from the first [{KEPT}]")
    name = own.target.rpartition(":")[2]
    options = "".join(f", {option}={value!r}" for option, value in own.options.items())
    return [*lines, f"assert_matches_autograd({name}{options}) lets none of them pass"]


# In the process of its own.


def tried(item: tuple[OwnTest, str, Sequence[Any] | None]) -> dict[str, Any]:
    """Run a test with a mistake planted, and return what came of it, as JSON can write it.

    Parameters
    ----------
    item : the test; the name of a mistake or right variant, or nothing for the function as it is; its form, once known
    """
    import pytest

    own, name, form = item
    gc.freeze()  # pytest collects garbage several times, and need not look through what was imported
    os.chdir(own.folder)
    os.environ.pop("PYTEST_ADDOPTS", None)
    planter = _Planter(own, name, form)
    # Without the options of a project: none of its tests may move to a process where nothing is planted.
    # Nor may its warnings be errors that this package is imported before pytest, which would rewrite it.
    options = ["-q", "-x", "-p", "no:cacheprovider", "-o", "addopts=", "-W", "ignore:Module already imported"]
    pytest.main([own.test, *options], plugins=[planter])
    return planter.found()


class _Planter:
    """A plugin of pytest that plants a mistake before a test is read, and notes what comes of it."""

    def __init__(self, own: OwnTest, name: str, form: Sequence[Any] | None) -> None:
        self.own, self.name, self.form = own, name, form
        self.problem = ""
        self.passed: list[bool] = []
        self.reasons: list[str] = []
        self.mutant: Mutant | None = None

    def pytest_collection(self) -> None:
        """Plant the mistake, where whatever a project does to its paths has been done."""
        try:
            self._plant()
        except Exception as raised:
            import pytest

            self.problem = " ".join((str(raised) if isinstance(raised, ValueError) else told(raised)).split())
            pytest.exit(self.problem)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note why a test cannot be read."""
        if report.failed:
            self.reasons.append(str(report.longrepr).strip().splitlines()[-1])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note whether a test passed, and why not."""
        if report.when == "call" or report.failed:
            self.passed.append(report.passed)
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            self.reasons.append(str(crash.message if crash else report.longrepr).strip().splitlines()[0])

    def found(self) -> dict[str, Any]:
        """Return what came of the run."""
        mutant = self.mutant
        problems = mutant.problems if mutant else []
        return {
            "problem": self.problem,
            "passed": bool(self.passed) and all(self.passed) and not self.reasons,
            "why": next(iter(self.reasons), ""),
            "form": self.form,
            "calls": len(problems),
            "unread": mutant.unread[0] if mutant and mutant.unread else "",
            "effect": mutant.effect if mutant else 0.0,
            "quantities": sorted(mutant.quantities) if mutant else [],
            "activation": problems[0].activation if problems else [],
            "network": _each("-".join(map(str, problem.sizes)) for problem in problems),
            "batch": _each(str(len(problem.inputs)) for problem in problems),
            "dtype": _each(str(problem.inputs.dtype) for problem in problems),
        }

    def _plant(self) -> None:
        module, _, path = self.own.target.rpartition(":")
        self._find_modules(Path(self.own.folder, module).parent if module.endswith(".py") else None)
        holder: Any = importlib.import_module(Path(module).stem if module.endswith(".py") else module)
        *above, name = path.split(".")
        holder = operator.attrgetter(".".join(above))(holder) if above else holder
        if isinstance(holder, type):
            raise ValueError(f"{self.own.target} is a method: expected a function of weights, inputs and targets")
        function = getattr(holder, name)
        self.form = self.form or learned(function, self.own)
        self.mutant = planted(function, self.own, self.form, self.name)
        setattr(holder, name, self.mutant)
        # A conftest may have imported it already; what it forbids to import is None there.
        for other in list(sys.modules.values()):
            names = list(getattr(other, "__dict__", {}).items())
            for alias in [alias for alias, value in names if value is function]:
                setattr(other, alias, self.mutant)

    def _find_modules(self, folder: Path | None) -> None:
        """Let what stands beside the test be imported, and what stands where it is run."""
        beside = self.own.file.parent
        while (beside / "__init__.py").exists():
            beside = beside.parent
        for one in filter(None, (Path(self.own.folder), beside, folder)):
            if str(one) not in sys.path:
                sys.path.insert(0, str(one))


def _each(texts: Any) -> str:
    return " ".join(sorted(set(texts)))


def learned(function: Any, own: OwnTest) -> list[Any]:
    """Return how a function is called, and which of its lists come deepest layer first, as JSON can write it.

    Raises
    ------
    ValueError
        If it is not right as it is stated.
    """
    comparison = check(function, **own.options)
    if not comparison.passed:
        file = Path(inspect.getfile(function)).name
        why = comparison.message().splitlines()[0]
        raise ValueError(f"{own.target} is not right; handnet check {file}:{function.__name__} says more: {why}")
    implementation = Implementation(
        function, own.options.get("layout") or "note", own.reduction, own.options.get("biases", True)
    )
    activation = own.options.get("activation", "sigmoid")
    sizes = own.options.get("sizes") or architectures(activation)[0]
    summed = own.stated.reduction if own.stated.l2 else own.reduction
    truth = probe(sizes, activation, seed=SEED, reduction=summed, stated=own.stated).truths[0]
    if not own.options.get("layout"):
        candidates = forms(own.stated.biases, own.stated.cost == "cross_entropy", one_layer=len(sizes) == 2)
        form = found_form(implementation, truth, 0.5, candidates)
        implementation = implementation.in_form(form) if form else implementation
    backwards = implementation.ask(truth.problem, 0.5).backwards
    return [asdict(implementation.form), sorted(backwards)]


# What is planted.


def planted(function: Any, own: OwnTest, form: Sequence[Any], name: str) -> Mutant:
    """Return a function with a mistake in it.

    Parameters
    ----------
    form : as it was learned
    name : of a known mistake, of a right variant, or nothing for the function as it is
    """
    written, backwards = form
    layout = Layout(**written["layout"])
    implementation = Implementation(function, layout.name, own.reduction, layout.biases, backwards)
    implementation = implementation.in_form(Form(**{**written, "layout": layout}))
    return Mutant(implementation, own.options.get("activation", "sigmoid"), own.stated, _change(name))


def _change(name: str) -> Change:
    if not name:
        return lambda problem, right: right
    if name == ZEROS:
        return _zeros
    if name.startswith(RIGHT):
        gradients = VARIANTS[name.removeprefix(RIGHT)]
        return lambda problem, right: {**right, **_keyed(gradients(problem))}
    return _Known(name)


def _keyed(gradients: Sequence[Any]) -> Quantities:
    return {("gradient", l): gradient for l, gradient in enumerate(gradients, start=1)}


def _zeros(problem: Problem, right: Quantities) -> Quantities:
    """No gradient at all, and a step that goes nowhere."""
    nothing = {key: np.zeros_like(value) for key, value in right.items() if key[0] in ("delta", "gradient")}
    return {**right, **nothing, **{("weight", l): w for l, w in enumerate(problem.weights, start=1)}}


class _Known:
    """A known mistake, call after call: one of them keeps the gradient of the call before."""

    def __init__(self, name: str) -> None:
        self.variant = Variant((name,))
        self.shapes: list[Any] = []

    def __call__(self, problem: Problem, right: Quantities) -> Quantities:
        shapes = [w.shape for w in problem.weights]
        if shapes != self.shapes:
            self.shapes, self.lineup = shapes, Lineup([self.variant])
        mistaken = alone(self.lineup.run(problem), 0, problem)
        if self.lineup.misfits:
            raise ValueError(self.lineup.misfits[0])  # as NumPy would
        return mistaken
