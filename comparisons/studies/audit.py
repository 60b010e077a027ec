"""What a gradient test lets pass: each known mistake made on the test's data, and compared with its tolerance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from comparisons.mistakes.effects import MARGIN, can_show, in_chunks
from comparisons.mistakes.known import MISTAKES, narrowed
from comparisons.mistakes.lineup import Lineup
from comparisons.mistakes.variants import Variant, alone_in
from comparisons.output import page, report
from comparisons.output.outcome import Outcome
from comparisons.reference.quantities import THE_NOTES, Key, Problem, Statement
from comparisons.reference.truth import Truth
from comparisons.studies.cases import case
from comparisons.subject.probes import network_of, problem_of
from comparisons.verdict.distance import distance, over
from handnet import Network
from handnet.activations import FloatArray

AUDIT_COLUMNS = ("mistake", "network", "batch", "dtype", "effect", "tolerance", "passes")
# The defaults of numpy.allclose.
RTOL, ATOL = 1e-5, 1e-8
# The defaults of what people compare gradients with: relative and absolute tolerance.
# torch.autograd.gradcheck; numpy.allclose and torch.allclose; torch.testing.assert_close, by dtype.
LIKE = {
    "gradcheck": {"float64": (1e-3, 1e-5), "float32": (1e-3, 1e-5)},
    "allclose": {"float64": (RTOL, ATOL), "float32": (RTOL, ATOL)},
    "assert_close": {"float64": (1e-7, 1e-7), "float32": (1.3e-6, 1e-5)},
}
RIGHT = "right: "
# No mistake of a formula, but what an empty function gives, and what more than one public test has let pass.
ZEROS = "zeros"
# What is compared: a gradient test sees nothing else.
SEEN = ("gradient",)


def tolerance_like(name: str, dtype: str = "float64") -> tuple[float, float]:
    """Return the relative and the absolute tolerance of a well-known comparison.

    Parameters
    ----------
    name : gradcheck, allclose or assert_close, by its defaults; or decimal=5, as numpy.testing.assert_almost_equal
    dtype : "float64" or "float32"

    Raises
    ------
    ValueError
        If there is none of this name.

    Examples
    --------
    >>> tolerance_like("allclose")
    (1e-05, 1e-08)
    >>> tolerance_like("decimal=1")
    (0.0, 0.15)
    """
    what, equals, digits = name.partition("=")
    if what == "decimal" and equals and digits.isdecimal() and len(digits) < 4:
        return 0.0, float(f"1.5e-{digits}")
    if name not in LIKE:
        raise ValueError(f"like is {name!r}: expected one of {', '.join(LIKE)}, decimal=5")
    return LIKE[name][dtype]


def audit(
    rtol: float,
    atol: float,
    *,
    network: Network | None = None,
    inputs: ArrayLike | None = None,
    targets: ArrayLike | None = None,
) -> pd.DataFrame:
    """Say what a test of gradients lets pass that compares |actual - expected| <= atol + rtol |expected|.

    Parameters
    ----------
    rtol, atol : the tolerance of the test
    network, inputs, targets : its data; by default the note's 2-2-2 network with its one sample

    Returns
    -------
    frame : the columns of audit.csv, a row for each known mistake that changes a gradient, then for each right variant
        effect is by how much it changes the number that the test comes nearest to refusing, and 0 where a mistake
        changes no number by more than rounding may; tolerance is what the test allows there, passes whether the test
        lets it pass.

    Raises
    ------
    ValueError, TypeError
        If a tolerance is negative or not finite, or the data make no sense.

    Examples
    --------
    >>> frame = audit(1e-5, 1e-8)
    >>> frame[frame["passes"]]["mistake"].tolist()[:4]
    ['batch_sum', 'averaged_twice', 'mse_loss', 'targets_broadcast']
    """
    return audited(rtol, atol, Truth(data_of(network, inputs, targets)))


def audited(rtol: float, atol: float, truth: Truth) -> pd.DataFrame:
    """Return the audit of a test with these data.

    Raises
    ------
    ValueError
        If a tolerance is negative or not finite.
    """
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} is {value}: expected a finite number, 0 or more")
    problem = truth.problem
    allowed = {key: atol + rtol * np.abs(right) for key, (right, _) in _gradients(truth).items()}
    same = {
        "network": "-".join(map(str, problem.sizes)),
        "batch": problem.inputs.shape[-2],
        "dtype": str(problem.inputs.dtype),
    }
    rows = [{"mistake": name, **same, **row} for name, row in _mistaken(truth, allowed).items()]
    rows += [{"mistake": RIGHT + name, **same, **row} for name, row in _right(truth, allowed).items()]
    return pd.DataFrame(rows, columns=AUDIT_COLUMNS)


def data_of(network: Network | None, inputs: ArrayLike | None, targets: ArrayLike | None) -> Problem:
    """Return the data of the test; by default those of the note.

    Raises
    ------
    ValueError, TypeError
        If only some of it is given, or it makes no sense.
    """
    if network is None:
        if inputs is not None or targets is not None:
            raise TypeError("inputs and targets were given without a network")
        note = case("note")
        network, (inputs, targets) = note.network, next(note.training())
    if inputs is None or targets is None:
        raise TypeError("a network needs inputs and targets")
    return problem_of(network, inputs, targets)


def _gradients(truth: Truth) -> dict[Key, tuple[FloatArray, FloatArray]]:
    return {key: pair for key, pair in truth.derived.items() if key[0] in SEEN}


def _mistaken(truth: Truth, allowed: Mapping[Key, FloatArray]) -> dict[str, dict[str, Any]]:
    """How each known mistake that can change a gradient fares; one that does not fit the shapes raises, and is seen."""
    rows: dict[str, dict[str, Any]] = {}
    could = can_show(truth.problem.stated, truth.problem.activation, SEEN, steps=1)
    for _, some in in_chunks(_candidates(truth.problem), truth):
        lineup = Lineup(some)
        mistaken = lineup.run(truth.problem)
        for i, variant in enumerate(some):
            (name,) = variant.mistakes
            if name not in could:
                continue
            if i in lineup.misfits:
                rows[name] = {"effect": np.inf, "tolerance": 0.0, "passes": False}
                continue
            gradients = {key: mistaken[key][i] if mistaken[key].ndim > 2 else mistaken[key] for key in allowed}
            rows[name] = _fares(gradients, truth, allowed)
            if _is_rounding(gradients, truth):
                rows[name]["effect"] = 0.0
    rows[ZEROS] = _fares({key: np.zeros_like(right) for key, (right, _) in _gradients(truth).items()}, truth, allowed)
    return rows


def _is_rounding(gradients: Mapping[Key, FloatArray], truth: Truth) -> bool:
    pairs = _gradients(truth).items()
    return all((distance(gradients[key], right) <= MARGIN * tolerance).all() for key, (right, tolerance) in pairs)


def _candidates(problem: Problem) -> list[Variant]:
    # float32 is right in its way: here it is one of the variants that a test may refuse.
    return [variant for variant in alone_in(problem) if variant.mistakes != ("single_precision",)]


def _fares(gradients: Mapping[Key, FloatArray], truth: Truth, allowed: Mapping[Key, FloatArray]) -> dict[str, Any]:
    """The number nearest to being refused, and whether the test lets all of them pass."""
    nearest = (-1.0, 0.0, 0.0)
    for key, (right, _) in _gradients(truth).items():
        effect = distance(gradients[key].astype(np.float64), right)
        ratio = over(effect, allowed[key])
        at = int(np.argmax(ratio))
        nearest = max(nearest, (float(ratio.flat[at]), float(effect.flat[at]), float(allowed[key].flat[at])))
    return {"effect": nearest[1], "tolerance": nearest[2], "passes": nearest[0] <= 1}


# Right ways to compute the same.


def _right(truth: Truth, allowed: Mapping[Key, FloatArray]) -> dict[str, dict[str, Any]]:
    return {
        name: _fares(_keyed(gradients(truth.problem)), truth, allowed)
        for name, gradients in VARIANTS.items()
        if name != "float32" or truth.problem.inputs.dtype != np.float32
    }


def _keyed(gradients: Sequence[FloatArray]) -> dict[Key, FloatArray]:
    return {("gradient", l): gradient for l, gradient in enumerate(gradients, start=1)}


def sums_in_another_order(problem: Problem) -> list[FloatArray]:
    """Return the gradients with samples, inputs and nodes taken in reverse, so that each sum runs the other way."""
    biases = problem.stated.biases
    *below, last = (_reversed_rows(w, biases) for w in problem.weights)
    turned = replace(problem, weights=(*(w[..., ::-1] for w in below), last))
    gradients = network_of(turned).backprop(problem.inputs[::-1, ::-1], problem.targets[::-1]).gradients
    *below, last = (_reversed_rows(g, biases) for g in gradients)
    return [*(g[..., ::-1] for g in below), last]


def _reversed_rows(w: FloatArray, biases: bool) -> FloatArray:
    """The rows of W in reverse, but for the biases, which stay below."""
    return np.concatenate([w[..., -2::-1, :], w[..., -1:, :]], axis=-2) if biases else w[..., ::-1, :]


class _MultipliedOut(Network):
    """The slope of the sigmoid as a - a^2, that of tanh as (1 - a)(1 + a)."""

    def slope(self, l: int, a: FloatArray) -> FloatArray:
        name = self.activation[l - 1]
        if name == "sigmoid":
            return a - a * a
        return (1 - a) * (1 + a) if name == "tanh" else super().slope(l, a)


def slopes_multiplied_out(problem: Problem) -> list[FloatArray]:
    """Return the gradients with the slope of the sigmoid as a - a^2, that of tanh as (1 - a)(1 + a)."""
    net = _MultipliedOut(problem.weights, problem.activation, **asdict(problem.stated))
    return list(net.backprop(problem.inputs, problem.targets).gradients)


def in_float32(problem: Problem) -> list[FloatArray]:
    """Return the gradients computed in float32."""
    narrow = narrowed(problem)
    return list(network_of(narrow).backprop(narrow.inputs, narrow.targets).gradients)


VARIANTS: dict[str, Callable[[Problem], list[FloatArray]]] = {
    "sums in another order": sums_in_another_order,
    "slopes multiplied out": slopes_multiplied_out,
    "float32": in_float32,
}


# What would show more.


def tightest(truth: Truth) -> tuple[float, float]:
    """Return the smallest rtol and atol with which no right evaluation in this dtype is refused.

    They follow from the derived tolerance: rtol from the largest number of each matrix, atol from what the others
    need besides.
    """
    relative = absolute = 0.0
    pairs = _gradients(truth).values()
    for right, tolerance in pairs:
        largest = np.abs(right).argmax()
        if right.flat[largest]:
            relative = max(relative, float(tolerance.flat[largest] / abs(right.flat[largest])))
    for right, tolerance in pairs:
        absolute = max(absolute, float((tolerance - relative * np.abs(right)).max()))
    return relative, absolute


def drawn(
    sizes: Sequence[int],
    activation: str | Sequence[str],
    batch: int,
    dtype: str,
    seed: int,
    stated: Statement = THE_NOTES,
) -> Problem:
    """Return a random network with random samples as the data of a test.

    Raises
    ------
    ValueError
        If they make no sense.
    """
    if batch < 1:
        raise ValueError(f"batch is {batch}: expected 1 or more")
    rng = np.random.default_rng(seed)
    net = Network.random(sizes, rng=rng, activation=activation, dtype=dtype, **asdict(stated))
    inputs, targets = rng.standard_normal((batch, sizes[0])), rng.random((batch, sizes[-1]))
    if stated.cost == "cross_entropy":
        targets /= targets.sum(axis=-1, keepdims=True)
    return problem_of(net, inputs, targets)


def better_data(problem: Problem) -> Problem:
    """Return data on which more shows: unequal widths, several samples, more outputs than two."""
    sizes = tuple(3 + (3 * l + 2) % 4 for l in range(len(problem.sizes)))
    return drawn(sizes, problem.activation, 7, str(problem.inputs.dtype), 0, problem.stated)


def outcome(rtol: float, atol: float, problem: Problem) -> Outcome:
    """Audit a test of gradients, and say which data or tolerance would show more."""
    truth = Truth(problem)
    frame, better, tight = audited(rtol, atol, truth), better_data(problem), tightest(truth)
    sizes, samples = "-".join(map(str, better.sizes)), len(better.inputs)
    others = {
        f"with rtol {tight[0]:.1e} and atol {tight[1]:.1e}, the tightest that right {problem.inputs.dtype} code"
        " passes": audited(*tight, truth),
        f"with {sizes} and {samples} samples": audited(rtol, atol, Truth(better)),
    }
    advice = [f"{how}: lets {let_pass(one)} of {made(one)} pass" for how, one in others.items()]
    return Outcome(
        let_pass(frame) == 0 and not refused(frame),
        audit_line(frame),
        [audit_table(frame), "\n".join(advice)],
        {"audit.csv": frame},
        "What a gradient test lets pass",
        sections=lambda: [audit_section(frame, advice)],
    )


def let_pass(frame: pd.DataFrame) -> int:
    """Return how many mistakes pass."""
    return int((_of_mistakes(frame) & frame["passes"]).sum())


def made(frame: pd.DataFrame) -> int:
    """Return how many mistakes were made."""
    return int(_of_mistakes(frame).sum())


def refused(frame: pd.DataFrame) -> list[str]:
    """Return the right variants in the dtype of the data that the test refuses."""
    names = frame[~_of_mistakes(frame) & ~frame["passes"]]["mistake"].str.removeprefix(RIGHT)
    return [name for name in names if name != "float32"]


def summary(name: str) -> str:
    """Return what goes wrong, in a sentence; nothing for a right variant."""
    if name == ZEROS:
        return "Every gradient is 0."
    return MISTAKES[name].summary if name in MISTAKES else ""


def _of_mistakes(frame: pd.DataFrame) -> pd.Series:
    return ~frame["mistake"].str.startswith(RIGHT)


def audit_table(frame: pd.DataFrame) -> str:
    """Return a table of the mistakes that pass, and of the right variants that do not."""
    rows: list[tuple[str, ...]] = [("lets pass", "what goes wrong", "effect", "tolerance")]
    for row in frame[_of_mistakes(frame) & frame["passes"]].to_dict("records"):
        effect = f"{row['effect']:.1e}" if row["effect"] else "none here"
        rows.append((row["mistake"], summary(row["mistake"]), effect, f"{row['tolerance']:.1e}"))
    for row in frame[~_of_mistakes(frame) & ~frame["passes"]].to_dict("records"):
        rows.append((f"refuses {row['mistake']}", "", f"{row['effect']:.1e}", f"{row['tolerance']:.1e}"))
    # Of a test that somebody wrote, nobody knows the tolerance.
    shown = [row[:3] for row in rows] if frame["tolerance"].isna().all() else rows
    return report.table(shown, left=2) if len(rows) > 1 else ""


def audit_line(frame: pd.DataFrame) -> str:
    """Return the result of an audit in one line."""
    variants = frame[~_of_mistakes(frame)]
    names = variants[~variants["passes"]]["mistake"].str.removeprefix(RIGHT).tolist()
    unseen = int((frame["passes"] & _of_mistakes(frame) & (frame["effect"] == 0)).sum())
    which = f" ({', '.join(names)})" if len(names) else ""
    return (
        f"lets {let_pass(frame)} of {made(frame)} known mistakes pass ({unseen} change nothing on these data),"
        f" refuses {len(names)} of {len(variants)} right variants{which}"
    )


def audit_section(frame: pd.DataFrame, advice: Sequence[str]) -> page.Section:
    """Return the rows of an audit."""
    section = page.Section("audit", "Known mistakes, compared as this test compares", text=list(advice))
    shown = frame.assign(what_goes_wrong=[summary(name) for name in frame["mistake"]])
    columns = ["mistake", "passes", "effect", "tolerance", "what_goes_wrong", "network", "batch", "dtype"]
    section.tables.append(page.table(shown, "audit-rows", "The rows of audit.csv", columns))
    return section
