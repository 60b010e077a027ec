"""Whether it is right for another cost, penalty, sign or learning rate than those that were stated.

What is right up to a convention is no mistake, but no match either. The gradients (or the steps) that were given are
taken apart into what they can be made of: a factor times the gradient of some cost, and one times the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from comparisons.diagnosis.diagnose import Diagnosis
from comparisons.reference.quantities import Problem, Quantities, Statement
from comparisons.subject.finding import flattened, penalties
from comparisons.subject.implementation import velocity
from comparisons.verdict.trial import Trial
from handnet import Network
from handnet.activations import FloatArray

# What lies as near as this to what it is made of, of its own size, is made of it: to the last digits; or to so many
# digits as finite differences and a small epsilon leave.
NEAR, NEARLY = 1e-10, 1e-5
# Or to so many units of rounding, where these are coarser.
UNITS = 16
# Numbers that are found, and not computed, agree with each other as well as this.
ALIKE = 1e-4
SQUARED = {"half_squared_error": 1.0, "squared_error": 2.0, "mean_squared_error": 2.0}
Call = Callable[[Mapping[str, object]], str]
# What a diagnosis says that knows nothing of the numbers.
CONSISTENT = "consistent, but not as stated: it is right for "
UNKNOWN = "Why: no known mistake explains it."
# A mistake, and no statement, that shows beside a penalty.
ONES = "but for the biases' gradients, to which the penalty adds its factor as if every bias were 1"
# Another output, and the cost that belongs to it.
OUTPUTS = (("", "half_squared_error"), ("sigmoid", "binary_cross_entropy"), ("softmax", "cross_entropy"))


@dataclass(frozen=True)
class Parts:
    """What the gradient of one step is made of.

    Attributes
    ----------
    factor : of the gradient of the cost, the mean over the samples
    weights, biases : factors of the weights and of the biases, as a penalty has them
    ones : what is added to the gradient of every bias
    off : how far the sum lies from what was given, of its size
    """

    factor: float
    weights: float
    biases: float
    ones: float
    off: float


@dataclass(frozen=True)
class Otherwise:
    """Another statement, for which it is right.

    Attributes
    ----------
    options : of check, in the place of those that were stated
    more : what no option says
    off : how far it is from right, of its size; 0 where that is rounding
    """

    options: Mapping[str, Any]
    more: Sequence[str] = ()
    off: float = 0.0

    @property
    def written(self) -> str:
        """The options as they are written in a call."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())

    def line(self, call: Call) -> str:
        """Return what to say, and what to call.

        Parameters
        ----------
        call : writes the call of check with these options
        """
        written = [self.written] if self.options else []
        digits = [f"to {int(-np.log10(self.off))} digits only"] if self.off else []
        line = f"{CONSISTENT}{', '.join([*written, *self.more, *digits])}"
        if ONES in self.more:
            rest = [said for said in self.more if said != ONES]
            line = f"not as stated: it would be right for {', '.join([*written, *rest, ONES])}"
        return f"{line}\nNext: {call(self.options)}" if self.options else line


def stated_otherwise(trials: Sequence[Trial], untold: bool = False) -> Otherwise | None:
    """Return for what else all that was given is right; None where it is for nothing.

    Parameters
    ----------
    trials : what the implementation was asked and answered
    untold : whether it is not told the learning rate, so that its own can be stated
    """
    steps = [
        (truth.problem, actual, trial)
        for trial in trials
        for truth, actual in zip(trial.truths, trial.actual, strict=True)
    ]
    if not steps or any(trial.misshapen or trial.turned for trial in trials):
        return None
    activation = steps[0][0].activation
    for output, cost in OUTPUTS:
        if output in ("", activation[-1]) or activation[-1] == "sigmoid":
            names = (*activation[:-1], output or activation[-1])
            parts = [_parts(problem, actual, trial.summed, names, cost) for problem, actual, trial in steps]
            found = [(part, step[0]) for part, step in zip(parts, steps, strict=True) if part is not None]
            if found and len(found) == len(steps) and all(part.off < NEARLY for part, _ in found):
                said = _told(found, names, cost, steps, untold)
                if said:
                    return said
    return Otherwise({"online": True}) if _online(steps) else None


def consistent_with(diagnosis: Diagnosis, line: str) -> Diagnosis:
    """Return the diagnosis under this line; without the advice that it gives where it does not know why."""
    said = diagnosis.message.splitlines()
    if not diagnosis.candidates:
        said = [part for part in said if not part.startswith((UNKNOWN.rstrip("."), "Should be:", "Next:"))]
    return replace(diagnosis, message="\n".join([line, *said]))


def _parts(problem: Problem, actual: Quantities, summed: bool, activation: tuple[str, ...], cost: str) -> Parts | None:
    """Take apart the gradients, or the steps where no gradients were given; None where there is neither."""
    flat = _flat(_gradients(problem, actual, summed))
    if flat is None:
        return None
    right = flattened(_mean_gradients(problem, activation, cost))
    *usual, ones = (right, *penalties(problem))
    made = _made_of(flat, (*usual, 0 * ones))
    # What is added to every bias' gradient is looked for last: with one bias it cannot be told from a penalty.
    return made if made is None or made.off < NEARLY else _made_of(flat, (*usual, ones))


def _made_of(flat: FloatArray, parts: Sequence[FloatArray]) -> Parts | None:
    """The factors with which the parts come nearest to what was given."""
    basis = np.stack([part for part in parts if part.any()], axis=1).astype(np.float64)
    try:
        factors, *_ = np.linalg.lstsq(basis, flat, rcond=None)
    except np.linalg.LinAlgError:
        return None
    size = float(np.abs(flat).max(initial=0.0))
    off = float(np.abs(flat - basis @ factors).max(initial=0.0)) / size if size else np.inf
    found = iter(factors.tolist())
    factor, weights, biases, ones = (next(found) if part.any() else 0.0 for part in parts)
    return Parts(factor, weights, biases, ones, off)


class _OfCrossEntropy(Network):
    """Of a cross-entropy delta^(L) is a - T, for targets that are probabilities and for others."""

    def output_delta(self, output: FloatArray, targets: FloatArray) -> FloatArray:
        return (output - targets) / len(output)


def _mean_gradients(problem: Problem, activation: tuple[str, ...], cost: str) -> tuple[FloatArray, ...]:
    """The gradients of the mean of half the squared error, or of a cross-entropy."""
    kind = Network if cost in SQUARED else _OfCrossEntropy
    return (
        kind(problem.weights, activation, biases=problem.stated.biases)
        .backprop(problem.inputs, problem.targets)
        .gradients
    )


def _gradients(problem: Problem, actual: Quantities, summed: bool) -> list[FloatArray] | None:
    """The gradients as they were given, or the steps without the learning rate that was told."""
    layers = range(1, len(problem.weights) + 1)
    if all(("gradient", l) in actual for l in layers):
        share = problem.inputs.shape[-2] if summed else 1
        return [share * actual["gradient", l] for l in layers]
    if all(("weight", l) in actual for l in layers) and problem.learning_rate:
        rate = problem.learning_rate / (problem.inputs.shape[-2] if summed else 1)
        return [(w - actual["weight", l]) / rate for l, w in zip(layers, problem.weights, strict=True)]
    return None


def _flat(gradients: list[FloatArray] | None) -> FloatArray | None:
    if gradients is None:
        return None
    flat = flattened(gradients)
    return flat if np.isfinite(flat).all() else None


def _told(
    found: Sequence[tuple[Parts, Problem]],
    activation: tuple[str, ...],
    cost: str,
    steps: Sequence[tuple[Problem, Quantities, Trial]],
    untold: bool,
) -> Otherwise | None:
    """The statement for which it is right; None where the factors tell of nothing."""
    options: dict[str, object] = {}
    more: list[str] = []
    problem, summed = found[0][1], steps[0][2].summed
    if activation != problem.activation:
        options["activation"] = list(activation)
    named = next(_factors(found, cost), None)
    if named is None:
        rate = _own_rate(found, steps)
        if rate is None:
            return None
        if untold:
            options["learning_rate"] = float(f"{rate:.6g}")
        else:
            more.append(f"a learning rate of its own, {rate:.6g}")
        named = (1, cost, "mean")
    sign, its_cost, reduction = named
    if its_cost != problem.stated.cost:
        options["cost"] = its_cost
    if reduction != ("sum" if summed else problem.stated.reduction):
        options["reduction"] = reduction
    if sign < 0:
        more.append("the sign reversed: it gives -dC/dW")
    penalty = _penalty(found, sign, reduction)
    if penalty is None:
        return None
    if any(part.ones for part, _ in found):
        if not all(abs(part.ones - part.weights) < ALIKE * abs(part.weights) for part, _ in found):
            return None
        more.append(ONES)
    more += penalty[1]
    if penalty[0] and penalty[0] != problem.stated.l2:
        options["l2"] = penalty[0]
    near, off = max(NEAR, UNITS * float(np.finfo(problem.inputs.dtype).eps)), max(part.off for part, _ in found)
    return Otherwise(options, more, off if off >= near else 0.0) if options or more else None


def _factors(found: Sequence[tuple[Parts, Problem]], cost: str) -> Iterator[tuple[int, str, str]]:
    """Sign, cost and reduction that give the factor at every step."""
    for sign in (1, -1):
        for name in SQUARED if cost in SQUARED else (cost,):
            for reduction in ("mean", "sum"):
                factors = ((part.factor, sign * _factor(name, reduction, problem)) for part, problem in found)
                if all(abs(factor - expected) < ALIKE * abs(expected) for factor, expected in factors):
                    yield sign, name, reduction


def _factor(cost: str, reduction: str, problem: Problem) -> float:
    """By how much the gradient is larger than that of half the squared error, or of a cross-entropy, the mean."""
    of_cost = SQUARED.get(cost, 1.0) / (problem.weights[-1].shape[-1] if cost == "mean_squared_error" else 1)
    return of_cost * (len(problem.inputs) if reduction == "sum" else 1)


def _own_rate(
    found: Sequence[tuple[Parts, Problem]], steps: Sequence[tuple[Problem, Quantities, Trial]]
) -> float | None:
    """The learning rate that explains the steps, where only these were given."""
    if any(key[0] == "gradient" for _, actual, _ in steps for key in actual):
        return None
    rates = [part.factor * p.learning_rate for part, p in found]
    return rates[0] if max(rates) - min(rates) < ALIKE * abs(rates[0]) else None


def momentum_of(trials: Sequence[Trial], hands_out: bool) -> str:
    """Return for which momentum the steps are right, in a line; empty where they are for none.

    Parameters
    ----------
    trials : of weights alone, the steps in the order of the calls
    hands_out : whether it was given what its steps before have left, and has kept nothing itself
    """
    found: list[FloatArray] = []
    for trial in trials:
        before, told = None, None
        for truth, actual in zip(trial.truths, trial.actual, strict=True):
            problem = truth.problem
            steps = _flat(_gradients(problem, {k: v for k, v in actual.items() if k[0] == "weight"}, trial.summed))
            if steps is None or problem.is_online:
                return ""
            gradient = flattened([truth.derived["gradient", l][0] for l in range(1, len(problem.weights) + 1)])
            left = flattened(velocity(problem)) if hands_out else before
            if left is not None:
                basis = np.stack([gradient, left], axis=1)
                factors, *_ = np.linalg.lstsq(basis, steps, rcond=None)
                if not np.abs(steps - basis @ factors).max() < NEARLY * np.abs(steps).max():
                    return ""
                # It may keep the steps with the learning rate in them, or without.
                rates = (problem.learning_rate, 1.0 if hands_out or told is None else told)
                found.append(np.array([*factors, factors[1] * rates[0] / rates[1]]))
            before, told = steps, problem.learning_rate
    for column, sign in ((1, 1), (2, 1), (2, -1)):
        momentum = sign * np.array([one[column] for one in found])
        of_gradient = np.array([one[0] for one in found])
        if len(found) > 1 and np.ptp(momentum) < ALIKE and ALIKE < momentum[0] < 1 + ALIKE:
            share = {1.0: "", 1 - momentum[0]: ", with the gradient times 1 - momentum"}
            for expected, said in share.items():
                if np.abs(of_gradient - expected).max() < ALIKE:
                    kept = "" if hands_out else ", with a velocity kept from call to call"
                    return f"{CONSISTENT}momentum={float(f'{momentum[0]:.6g}')}{said}{kept}"
    return ""


def own_rate(trials: Sequence[Trial]) -> float | None:
    """Return the learning rate that the steps of the last layer tell, where that is another than was told."""
    rates = []
    for trial in trials:
        for truth, actual in zip(trial.truths, trial.actual, strict=True):
            top, problem = len(truth.problem.weights), truth.problem
            if len(problem.inputs) > 1 or ("weight", top) not in actual:
                continue
            step, gradient = problem.weights[-1] - actual["weight", top], truth.derived["gradient", top][0]
            rate = _times(step, gradient)
            if rate is None:
                return None
            rates.append((rate, problem.learning_rate))
    if not rates or max(rate for rate, _ in rates) - min(rate for rate, _ in rates) > ALIKE * abs(rates[0][0]):
        return None
    rate, told = rates[0]
    return None if abs(rate - told) < ALIKE * abs(told) else float(f"{rate:.6g}")


def cost_of(trials: Sequence[Trial]) -> Otherwise | None:
    """Return the cost and the reduction that the gradients of the last layer tell, where these are others than stated.

    The layers below are not looked at: these may be wrong in something else besides.
    """
    found: list[tuple[Parts, Problem]] = []
    for trial in trials:
        for truth, actual in zip(trial.truths, trial.actual, strict=True):
            problem, top = truth.problem, ("gradient", len(truth.problem.weights))
            if top not in actual or problem.stated.cost not in SQUARED:
                return None
            right = _mean_gradients(problem, problem.activation, problem.stated.cost)[-1]
            factor = _times(actual[top], right)
            if factor is None:
                return None
            share = len(problem.inputs) if trial.summed else 1
            found.append((Parts(share * factor, weights=0.0, biases=0.0, ones=0.0, off=0.0), problem))
    named = next(_factors(found, "half_squared_error"), None) if found else None
    if named is None or named[0] < 0:
        return None
    stated = found[0][1].stated
    options = {"cost": named[1], "reduction": named[2]}
    changed = {name: value for name, value in options.items() if value != getattr(stated, name)}
    return Otherwise(changed) if changed else None


def _times(value: FloatArray, right: FloatArray) -> float | None:
    """How many times the right numbers the others are; None where they are no multiple of them."""
    factor = float((value * right).sum() / (right * right).sum())
    return factor if np.abs(value - factor * right).max() < NEARLY * np.abs(value).max() else None


def _penalty(found: Sequence[tuple[Parts, Problem]], sign: int, reduction: str) -> tuple[float, list[str]] | None:
    """lambda, and what else is to be said of the penalty; None where it is not the same at every step."""
    size = max(abs(part.factor) for part, _ in found)
    if all(abs(part.weights) < NEARLY * size for part, _ in found):
        return 0.0, []
    of_weights = [sign * part.weights for part, _ in found]
    per_sample = [value * len(p.inputs) for value, (_, p) in zip(of_weights, found, strict=True)]
    more = []
    for values, said in ((of_weights, ""), (per_sample, "lambda / N in the place of lambda")):
        if max(values) - min(values) < ALIKE * abs(values[0]):
            if any(abs(part.biases - part.weights) < ALIKE * abs(part.weights) for part, _ in found):
                more.append("the penalty on the biases too")
            return float(f"{values[0]:.6g}"), [*more, *filter(None, [said])]
    return None


def _online(steps: Sequence[tuple[Problem, Quantities, Trial]]) -> bool:
    """Whether the weights are those after a step for each sample."""
    several = [(p, actual) for p, actual, _ in steps if len(p.inputs) > 1]
    return bool(several) and all(_is_online(problem, actual) for problem, actual in several)


def _is_online(problem: Problem, actual: Quantities) -> bool:
    layers = range(1, len(problem.weights) + 1)
    if not all(("weight", l) in actual for l in layers):
        return False
    stated: Statement = problem.stated
    net = Network(problem.weights, problem.activation, stated.cost, l2=stated.l2, biases=stated.biases)
    for x, t in zip(problem.inputs, problem.targets, strict=True):
        net = net.update(net.backprop(x, t).gradients, problem.learning_rate)
    return all(
        np.abs(actual["weight", l] - w).max() < 1e-6 * np.abs(w).max() for l, w in zip(layers, net.weights, strict=True)
    )
