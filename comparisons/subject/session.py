"""An implementation put to a probe: what it answers step by step, the verdicts, and what else was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from comparisons.mistakes.effects import MARGIN
from comparisons.reference.quantities import Key, Quantities, quantity_name
from comparisons.reference.truth import Pair, Truth
from comparisons.subject.implementation import Answer, Implementation
from comparisons.subject.probes import Probe
from comparisons.subject.reading import ImplementationError
from comparisons.verdict.distance import distance
from comparisons.verdict.judging import measure, one_line_each
from comparisons.verdict.measured import Measured
from comparisons.verdict.trial import Trial
from handnet import Network
from handnet.activations import FloatArray

# Deltas and biases' gradients belong together where they agree to this, of the terms' size.
TOGETHER = 1e-5
WITHOUT = "its deltas are without the 1/N"


class Session:
    """An implementation put to a probe.

    Parameters
    ----------
    implementation, probe : who is asked what
    trusting : as in `settled`

    Attributes
    ----------
    measured : the verdicts, step by step
    findings, remarks : as `Comparison` has them
    misshapen : what to say of each array of another shape, by quantity and kind
    backwards : quantities whose lists come deepest layer first
    misfit : True if it raised, or gave something of another shape
    trial : what it was asked and answered; None where it answered nothing
    single : the same for a single sample, where it gives gradients alone, or with the cost
    """

    def __init__(self, implementation: Implementation, probe: Probe, trusting: bool = True) -> None:
        self.implementation, self.probe, self.trusting = implementation, probe, trusting
        self.measured: list[Measured] = []
        self.findings: list[str] = []
        self.remarks: list[str] = []
        self.misshapen: dict[tuple[str, str], list[tuple[int | None, str]]] = {}
        self.backwards: set[str] = set()
        self.misfit = False
        self.trial: Trial | None = None
        self.single: Trial | None = None
        for step, (truth, rate) in enumerate(zip(probe.truths, probe.rates, strict=True), start=1):
            trial = self._ask(truth, rate, step)
            if trial is None:
                break
            self.measured += measure(truth, trial.actual[0], case=probe.name, step=step)
            self.trial = self.trial.then(trial) if self.trial else trial
        if self.trial and len(self.trial.actual) == len(probe.truths):
            self._ask_on(self.trial)

    def _ask(self, truth: Truth, rate: float, step: int, aloud: bool = True) -> Trial | None:
        try:
            answer = self.implementation.ask(truth.problem, rate)
        except ImplementationError as failure:
            if aloud:
                self.findings.append(f"on {self.probe.name}: {failure}")
                self.misfit = True
            return None
        trial = self._trial(truth, answer, step)
        self.remarks += answer.remarks
        if aloud:
            self._note_shapes(answer)
        return trial

    def _note_shapes(self, answer: Answer) -> None:
        for kind, texts in (("misfit", answer.misfits), ("turned", answer.turned)):
            for (quantity, layer), text in texts.items():
                self.misshapen.setdefault((quantity, kind), []).append((layer, text))
                self.misfit = True
        # In which order the layers come hides no mistake.
        self.remarks += answer.backwards.values()
        self.backwards.update(answer.backwards)

    def _trial(self, truth: Truth, answer: Answer, step: int) -> Trial:
        actual, remark = answer.actual, ""
        if ("delta", len(truth.problem.weights)) not in answer.misfits:
            actual, remark = settled(actual, truth, self.trusting)
        self.remarks += [remark] if remark else []
        return Trial(
            (truth,),
            (actual,),
            self.probe.name,
            step,
            frozenset(answer.misfits),
            frozenset(answer.turned),
            self.implementation.layout,
            self.implementation.reduction == "sum",
            answer.called,
        )

    def _ask_on(self, trial: Trial) -> None:
        changed = _changed_answer(trial)
        if changed:
            why = "it keeps something between calls, or is random"
            said = f"two answers to the same question, in {quantity_name(changed)}: {why}"
            self.findings.append(f"on {self.probe.name}: {said}")
        elif any(m.is_wrong for m in self.measured) and self._ignores_weights(trial):
            self.findings.append(f"on {self.probe.name}: the answer does not depend on the weights that it is given")
        elif {key[0] for key in trial.actual[0]} - {"cost"} == {"gradient"}:
            # What gradients are made of shows in those of a single sample.
            self.single = self._ask(self.probe.single, self.probe.rates[0], 0, aloud=False)

    def _ignores_weights(self, trial: Trial) -> bool:
        """Whether it answers the first question as before with other weights, though the right answer is another."""
        truth, first = self.probe.truths[0], trial.actual[0]
        problem = truth.problem
        # Not the numbers of a probe, whose seeds are pairs.
        rng, dtype, biases = np.random.default_rng([1, 2, 3]), problem.inputs.dtype, problem.stated.biases
        other = Network.random(problem.sizes, rng=rng, dtype=dtype, biases=biases)
        changed = Truth(replace(problem, weights=other.weights))
        pairs = ((changed.derived[key][0], *truth.derived[key]) for key in first)
        if all((distance(value, right) <= MARGIN * tolerance).all() for value, right, tolerance in pairs):
            return False  # as where a relu is dead
        try:
            answer = self.implementation.ask(changed.problem, self.probe.rates[0])
        except ImplementationError:
            return False
        actual, _ = settled(answer.actual, truth, self.trusting)
        return actual.keys() == first.keys() and all(np.array_equal(actual[key], value) for key, value in first.items())

    def takes_first_alone(self) -> bool:
        """Whether of several samples all but the first make no difference to the answer."""
        truth = self.probe.truths[0]
        problem = truth.problem
        if self.trial is None or len(problem.inputs) == 1:
            return False
        inputs, targets = (np.concatenate([array[:1], array[:0:-1] / 2]) for array in (problem.inputs, problem.targets))
        first = {
            key: value
            for key, value in self.trial.actual[0].items()
            if key[0] in ("gradient", "weight") and key not in self.trial.misshapen
        }
        # Or none of them does.
        return bool(first) and self._answers(first, inputs, targets) and not self._answers(first, inputs / 2, targets)

    def _answers(self, expected: Quantities, inputs: FloatArray, targets: FloatArray) -> bool:
        """Whether it answers the first question with this, of other samples too."""
        problem = replace(self.probe.truths[0].problem, inputs=inputs, targets=targets)
        try:
            actual = self.implementation.ask(problem, self.probe.rates[0]).actual
        except ImplementationError:
            return False
        return all(
            key in actual and np.array_equal(actual[key], value, equal_nan=True) for key, value in expected.items()
        )

    def silent(self) -> Session:
        """Return the session without its findings: nobody asked for it."""
        self.findings, self.misshapen = [], {}
        return self


def findings_of(sessions: Sequence[Session]) -> tuple[str, ...]:
    """Return what was found, each once; what has another shape for one reason in one line, wherever it has."""
    places = [
        (kind, session.probe.name, layer, text)
        for session in sessions
        for kind, texts in session.misshapen.items()
        for layer, text in texts
    ]
    return tuple(dict.fromkeys([*one_line_each(places), *(f for session in sessions for f in session.findings)]))


def settled(actual: Quantities, truth: Truth, trusting: bool = True) -> tuple[Quantities, str]:
    """Return the quantities with the 1/N in the deltas, and a remark where these were without it.

    Deltas may have the 1/N in them or leave it to the gradient: right is what agrees with autograd either way.

    Parameters
    ----------
    actual, truth : the answer to a step, and what autograd says
    trusting : where the deltas are wrong either way, take them to be without it if their mean is the biases' gradient
    """
    top, samples = len(truth.problem.weights), truth.problem.inputs.shape[-2]
    delta = actual.get(("delta", top))
    if delta is None or samples == 1 or _near(delta, truth.derived["delta", top]):
        return actual, ""
    gradient = _top_gradient(actual, truth)
    if _near(delta / samples, truth.derived["delta", top]):
        # Where the whole gradient is too large with them, it is the sum over the samples that is wrong.
        right = truth.derived["gradient", top]
        rows = (slice(None, -1), slice(-1, None))
        without = gradient is None or any(_near(gradient[r], (right[0][r], right[1][r])) for r in rows)
        without = without or not (truth.problem.stated.biases and _is_sum(delta, gradient))
    else:
        # Of either sign: some have T - a in delta, and a - T in the gradient.
        sums = truth.problem.stated.biases and any(_is_sum(sign * delta / samples, gradient) for sign in (1, -1))
        without = trusting and sums
    if not without:
        return actual, ""
    scaled = {key: value / samples if key[0] == "delta" else value for key, value in actual.items()}
    return scaled, WITHOUT


def _near(value: FloatArray, pair: Pair) -> bool:
    return bool((distance(value, pair[0]) <= MARGIN * pair[1]).all())


def _top_gradient(actual: Quantities, truth: Truth) -> FloatArray | None:
    problem, top = truth.problem, len(truth.problem.weights)
    if ("gradient", top) not in actual and ("weight", top) in actual and problem.learning_rate:
        return (problem.weights[-1] - actual["weight", top]) / problem.learning_rate
    return actual.get(("gradient", top))


def _is_sum(delta: FloatArray, gradient: FloatArray | None) -> bool:
    """Whether the biases' gradients are the deltas' sums over the samples."""
    if gradient is None:
        return False
    near = TOGETHER * np.abs(delta).sum(axis=-2)
    return bool((np.abs(delta.sum(axis=-2) - gradient[..., -1, :]) <= near).all())


def _changed_answer(trial: Trial) -> Key | None:
    """The first quantity that the first question, asked again, got another answer for."""
    first, again = trial.actual[0], trial.actual[-1]
    for key, (_, tolerance) in trial.truths[0].derived.items():
        if key not in first or key in trial.misshapen or not np.isfinite(first[key]).all():
            continue
        if key not in again or not (distance(first[key], again[key]) <= tolerance).all():
            return key
    return None
