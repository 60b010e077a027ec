"""The first wrong quantity, the known mistake that explains the numbers, and how to say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from comparisons.mistakes.catalogue import MARGIN, Trial, explanations, made_at
from comparisons.mistakes.known import MISTAKES, Variant, overridden
from comparisons.reference.complex_step import third_opinion
from comparisons.reference.quantities import Key, Problem, element_name, quantity_name
from comparisons.reference.truth import Truth
from comparisons.verdict.distance import distance, over
from comparisons.verdict.judging import measure
from comparisons.verdict.measured import Measured
from handnet.activations import FloatArray

COST = ("cost", None)
AUTOGRAD, EQUATION = "autograd", "torch, on the same upstream values,"


@dataclass(frozen=True)
class Diagnosis:
    """Where an implementation goes wrong first, and why.

    Attributes
    ----------
    first_wrong : (quantity, layer), or None where nothing could be compared
    mistakes : ids of the simplest explanation, empty if none fits
    candidates : every explanation that fits, as text, the simplest first
    message : a short paragraph, what str() gives
    """

    first_wrong: Key | None
    mistakes: tuple[str, ...]
    candidates: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Wrong:
    """A wrong quantity: both sides, the tolerance, and where it was asked for."""

    key: Key
    hand: FloatArray
    torch: FloatArray
    tolerance: FloatArray
    problem: Problem
    step: int | None = None
    judge: str = AUTOGRAD
    at: tuple[int, ...] | None = None
    rounding: FloatArray | None = None

    @property
    def derived(self) -> FloatArray:
        """The derived tolerance, whatever the caller asked for."""
        return self.tolerance if self.rounding is None else self.rounding

    @property
    def is_right(self) -> bool:
        """Whether no number is off by more than its tolerance."""
        return bool(self.ratio.max() <= 1)

    @property
    def is_rounding(self) -> bool:
        """Whether it is wrong only since the caller asked for less than rounding."""
        return bool((distance(self.hand, self.torch) <= self.derived).all()) and not self.is_right

    @property
    def ratio(self) -> FloatArray:
        """Error / tolerance of each of its numbers."""
        return over(distance(self.hand, self.torch), self.tolerance)

    @property
    def worst(self) -> tuple[int, ...]:
        """The index of the worst number."""
        return self.at or tuple(int(i) for i in np.unravel_index(int(self.ratio.argmax()), self.ratio.shape))


def diagnose(trials: Sequence[Trial], measured: Sequence[Measured], single: Trial | None = None) -> Diagnosis | None:
    """Say what is wrong first, and which known mistake explains the numbers.

    Parameters
    ----------
    trials : what the implementation was asked and answered
    measured : the verdicts on it, in order
    single : the gradients of a single sample, where only gradients were given, or these and the cost

    Returns
    -------
    diagnosis : None where nothing is wrong
    """
    wrong = [m for m in measured if m.verdict == "wrong"]
    if not wrong:
        return _only_turned(trials)
    if trials[0].stack_axes:
        return _of_stack(trials[0], wrong[0])
    misshapen = {(trial.case, key) for trial in trials for key in trial.misshapen}
    numbers = [m for m in wrong if (m.case, m.key) not in misshapen]
    if not numbers:
        key = wrong[0].key
        return Diagnosis(key, (), (), f"{_headline(key, trials[0])} It has another shape than it should.")
    seen = _of_measured(numbers[0], trials)
    if seen.is_rounding:
        return Diagnosis(seen.key, (), (), _rounding_only(seen))
    found = explanations([*trials, single] if single else trials, numbers[0])
    read_off = _read_off(single) if single else None
    if found:
        return _explained(found, seen, read_off, trials)
    alike = [_of_measured(m, trials) for m in numbers if m.key == seen.key]
    said = _unexplained(None if seen.key == COST else read_off, alike, trials)
    if seen.key == COST:
        # Nothing else is computed from the cost, so it is no reason for what else is wrong.
        others = [m for m in measured if m.key != COST]
        rest = diagnose([trial.where(COST.__ne__) for trial in trials], others, single and single.where(COST.__ne__))
        if rest:
            own = explanations([trial.where(COST.__eq__) for trial in trials], numbers[0])
            own = [variant for variant in own if all(overridden(name) == {"shared_cost"} for name in variant.mistakes)]
            said = _explained(own, seen, None, trials) if own else said
            both = said.mistakes + rest.mistakes
            return replace(rest, first_wrong=COST, mistakes=both, message=f"{said}\nBesides: {rest}")
    return said


def _explained(found: Sequence[Variant], seen: Wrong, read_off: Wrong | None, trials: Sequence[Trial]) -> Diagnosis:
    key, how, shown = seen.key, "", seen
    made = _where_made(found[0], seen, trials)
    if made[0] not in {given[0] for trial in trials for step in trial.given for given in step}:
        # The explanation says where it is made, though that was not given.
        key, how = made, ", to judge by what was given"
        if read_off and read_off.key == made:
            how, shown = ", read off the gradients of a single sample", read_off
    should_be = _should_be(made, trials[0])
    if found[0].mistakes == ("single_precision",):
        should_be = "Should be float64 throughout, or checked with dtype float32."
    said = [_headline(key, trials[0], how), _explanation(found, key, seen, trials), should_be]
    message = " ".join(said) + "\n" + _evidence(shown)
    return Diagnosis(key, found[0].mistakes, tuple(map(str, found)), message)


def _unexplained(read_off: Wrong | None, seen: Sequence[Wrong], trials: Sequence[Trial]) -> Diagnosis:
    shown, how, patterns = seen[0], "", seen
    if read_off and read_off.key[0] == "delta":
        shown, how, patterns = read_off, ", read off the gradients of a single sample", [read_off]
    pattern = next(filter(None, (_pattern(one, patterns, trials) for one in patterns)), "")
    why = f"No known mistake explains it{'; ' + pattern if pattern else ''}."
    said = [_headline(shown.key, trials[0], how), why, _should_be(shown.key, trials[0])]
    return Diagnosis(shown.key, (), (), " ".join(said) + "\n" + _evidence(shown))


def _rounding_only(wrong: Wrong) -> str:
    error = float(distance(wrong.hand, wrong.torch).max())
    return (
        f"{quantity_name(wrong.key)} is off by no more than rounding: by {error:.2g}, where right answers may lie"
        f" {float(wrong.derived.max()):.2g} apart; the tolerance that was asked for is smaller."
    )


def _of_stack(trial: Trial, first: Measured) -> Diagnosis | None:
    """The diagnosis of the network with the first wrong number, compared again on its own."""
    network = first.worst[: trial.stack_axes]
    alone = trial.of_network(network)
    steps = enumerate(zip(alone.truths, alone.given, strict=True), start=trial.step)
    again = [m for step, (truth, given) in steps for m in measure(truth, given, case=trial.case, step=step)]
    found = diagnose([alone], again)
    where = f"Network {', '.join(map(str, network))} of the stack: "
    return found and replace(found, message=where + found.message)


def _only_turned(trials: Sequence[Trial]) -> Diagnosis | None:
    """The diagnosis where every number is right, but in transposed matrices."""
    turned = [(key, trial) for trial in trials for key in trial.truths[0].pairs if key in trial.turned]
    if not turned:
        return None
    key, trial = turned[0]
    name = "transposed_gradient"
    said = f"It equals {MISTAKES[name].equals}: the matrix is transposed [{name}]."
    return Diagnosis(key, (name,), (name,), f"{_headline(key, trial)} {said} {_should_be(key, trial)}")


# What gradients of a single sample give away.


def _read_off(single: Trial) -> Wrong | None:
    """The first wrong of the deltas and activations that the gradients of a single sample are made of.

    Where the biases' row is delta, a weight's row over it is the activation below. None where they are right, or where
    the gradient is not made of them: it is no outer product, its inputs are not those that were given, or the layer
    below goes on from a right delta.
    """
    (truth,), (given,) = single.truths, single.given
    top = len(truth.problem.weights)
    made = [_outer(truth, l, given[key]) for l in range(top, 0, -1) if (key := ("gradient", l)) in given]
    outer = [parts for parts in made if parts is not None]
    if len(outer) < top:
        return None
    deltas, below = [delta for delta, _ in outer], [a for _, a in outer]
    if not below[-1].is_right:
        return None  # what should be the inputs is not
    first = next((i for i, delta in enumerate(deltas) if not delta.is_right), None)
    if first is None or (first + 1 < top and deltas[first + 1].is_right):
        return None
    # An activation is blamed only where the output's delta, computed from it, is wrong too.
    wrong = [a for a in reversed(below[:-1]) if not a.is_right] if first == 0 else []
    return (wrong or [deltas[first]])[0]


def _outer(truth: Truth, l: int, gradient: FloatArray) -> tuple[Wrong, Wrong] | None:
    """The delta and the activation below of which a gradient is the outer product; None where it is none."""
    biases = gradient[-1]
    if not np.isfinite(gradient).all() or not biases.any():
        return None
    problem, (_, tolerance) = truth.problem, truth.derived["gradient", l]
    column = int(np.abs(biases).argmax())
    hand = gradient[:-1, column] / biases[column]
    # A quotient of two numbers, each with its own tolerance.
    own = (tolerance[:-1, column] + np.abs(hand) * tolerance[-1, column]) / np.abs(biases[column])
    misfit = np.abs(gradient[:-1] - hand[:, np.newaxis] * biases)
    if (misfit > MARGIN * (tolerance[:-1] + own[:, np.newaxis] * np.abs(biases))).any():
        return None
    right, bound = (problem.inputs, 0.0) if l == 1 else truth.derived["activation", l - 1]
    delta = Wrong(("delta", l), biases[np.newaxis], *truth.derived["delta", l], problem)
    return delta, Wrong(("activation", l - 1), hand[np.newaxis], right, bound + own, problem)


# The message.

SLOPES = {"sigmoid": "a * (1 - a)", "tanh": "(1 - a**2)", "relu": "(a > 0)", "identity": "1"}
# How each quantity should be computed, by layout.
CODE = {
    "note": {
        "activation": "{name}(augmented(a) @ W)",
        "delta": "(delta @ w) * {slope}",
        "gradient": "augmented(a).T @ delta",
    },
    "linear": {
        "activation": "{name}(a @ W.T + b)",
        "delta": "(delta @ W) * {slope}",
        "gradient": "delta.T @ a and delta.sum(axis=0)",
    },
    "columns": {
        "activation": "{name}(W @ a + b)",
        "delta": "(W.T @ delta) * {slope}",
        "gradient": "delta @ a.T and delta.sum(axis=1, keepdims=True)",
    },
}
ANYWHERE = {
    "cost": "((a - T)**2).sum() / (2 * N)",
    "output": "(a - T) / N * {slope}",
    "weight": "W - learning_rate * gradient",
}
NOTE = {
    "activation": "sigma(A^(l-1) W^(l))",
    "cost": "1/2 sum_i (a_i - T_i)^2, the mean over the samples",
    "output": "D^(l) c",
    "delta": "D^(l) (w^(l+1))^T delta^(l+1)",
    "gradient": "(delta^(l) A^(l-1))^T",
    "weight": "W^(l) - gamma dC/dW^(l)",
}


def _of_measured(m: Measured, trials: Sequence[Trial]) -> Wrong:
    """The wrong quantity, beside what decided that it is: the whole model, or the one equation."""
    trial = next(trial for trial in trials if trial.case == m.case)
    truth = trial.truths[m.step - trial.step]
    derived = truth.derived[m.key][1]
    if m.judged_by(m.worst)[2] == "equation" and m.local_torch is not None and m.local_tolerance is not None:
        sides = (m.hand, m.local_torch, m.local_tolerance)
        return Wrong(m.key, *sides, truth.problem, m.step, EQUATION, m.worst)
    return Wrong(m.key, m.hand, m.torch, m.tolerance, truth.problem, m.step, at=m.worst, rounding=derived)


def _headline(key: Key, trial: Trial, how: str = "") -> str:
    layer = "" if key[1] is None else f" (layer {key[1]} of {len(trial.truths[0].problem.weights)})"
    return f"{quantity_name(key)} is the first wrong quantity{layer}{how}."


def _explanation(found: Sequence[Variant], key: Key, seen: Wrong, trials: Sequence[Trial]) -> str:
    """What explains it, and what would on this data do so as well."""
    parts = []
    order = list(trials[0].truths[0].derived)
    for name in found[0].mistakes:
        made = _where_made(Variant((name,), found[0].placement), seen, trials)
        equals, why = (_with_numbers(text, made[1]) for text in (MISTAKES[name].equals, MISTAKES[name].__doc__ or ""))
        subject = "it equals" if made == key else f"{quantity_name(made)} equals"
        if order.index(made) < order.index(key):
            subject = f"it follows from {quantity_name(made)}, which equals"
        parts.append(f"{subject} {equals}: {why[0].lower()}{why[1:].rstrip('.')} [{name}]")
    placement = found[0].placement.replace("hidden", "the hidden layers")
    where = "" if placement == "everywhere" else f", in {placement} only"
    others = [str(variant) for variant in found[1:]]
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    same = f" On this data the same: {shown}." if others else ""
    text = "; and ".join(parts)
    return f"{text[0].upper()}{text[1:]}{where}.{same}"


def _where_made(variant: Variant, seen: Wrong, trials: Sequence[Trial]) -> Key:
    """The quantity that the mistakes make wrong first; the cost only where it is the cost that is asked about."""
    for trial in trials:
        key = made_at(variant, trial.truths, () if seen.key[0] == "cost" else ("cost",))
        if key is not None and "single_precision" not in variant.mistakes:
            return key
    return seen.key


def _with_numbers(text: str, layer: int | None) -> str:
    """Put the numbers of the layers into the note's notation."""
    l = layer or 0
    return text.replace("(l+1)", f"({l + 1})").replace("(l-1)", f"({l - 1})").replace("(l)", f"({l})")


def _should_be(key: Key, trial: Trial) -> str:
    problem = trial.truths[0].problem
    top = len(problem.weights)
    l = key[1] or top
    what = "output" if key == ("delta", top) else key[0]
    code, note = (ANYWHERE | CODE[trial.layout])[what], _with_numbers(NOTE[what], l)
    if trial.summed:
        code, note = code.replace("(2 * N)", "2").replace(" / N", ""), note.replace("mean over", "sum over")
    name = problem.activation[l - 1]
    return f"Should be: {code.format(name=name, slope=SLOPES[name])}, in the note's notation {note}."


def _evidence(wrong: Wrong) -> str:
    """The worst number with both values, and who else says so."""
    hand, torch, tolerance = (float(side[wrong.worst]) for side in (wrong.hand, wrong.torch, wrong.tolerance))
    name = element_name(wrong.key, wrong.worst, wrong.hand.shape)
    if wrong.key[0] in ("gradient", "weight") and wrong.worst[-2] == wrong.hand.shape[-2] - 1:
        name += " (a bias)"
    step = "" if wrong.step is None else f" at step {wrong.step}"
    side = ""
    opinion = third_opinion(wrong.problem, wrong.key, wrong.worst) if wrong.judge == AUTOGRAD else None
    if opinion is not None:
        nearer = "autograd" if not abs(opinion - torch) > abs(opinion - hand) else "the implementation"
        side = f"; complex-step differentiation agrees with {nearer}"
    return (
        f"{int((wrong.ratio > 1).sum())} of {wrong.hand.size} numbers are wrong{step}; the worst: {name} is {hand!r},"
        f" {wrong.judge} says {torch!r} (tolerance {tolerance:.2g}){side}."
    )


def _pattern(wrong: Wrong, alike: Sequence[Wrong], trials: Sequence[Trial]) -> str:
    """What the numbers have in common with autograd's, where no known mistake explains them.

    Parameters
    ----------
    alike : the same quantity wherever it is wrong, in other steps and networks too
    """
    hand, torch = _compared(wrong)
    if not np.isfinite(hand).all():
        return "it is not finite"
    it = "its step" if wrong.key[0] == "weight" else "it"
    factor = _factor(it, wrong, alike)
    return factor or _off_by(it, hand, torch) or _part(it, wrong) or _order(wrong, trials)


def _compared(wrong: Wrong) -> tuple[FloatArray, FloatArray]:
    """Both sides; of a weight what the step adds, rather than what it adds it to."""
    old = wrong.problem.weights[(wrong.key[1] or 1) - 1] if wrong.key[0] == "weight" else 0.0
    return wrong.hand - old, wrong.torch - old


def _factor(it: str, wrong: Wrong, alike: Sequence[Wrong]) -> str:
    hand, excess = wrong.hand, _excess(wrong)
    factor = _constant(wrong)
    if factor is not None:
        names = [_factor_names(_constant(one), one.problem) for one in alike]
        name = next((name for name in names[0] if all(name in others for others in names)), "")
        if name or hand.size > 1:
            number = "" if name.lstrip("-").isdecimal() else f", which is {name}" if name else ""
            return f"{it} is {factor:.10g} times autograd's{number}"
    for axis, what in ((-1, "row"), (-2, "column")):
        if hand.ndim >= 2 and hand.shape[axis] > 1 and _same(excess, np.take(excess, [0], axis=axis)):
            return f"each {what} of {it} is a constant times autograd's"
    return ""


def _excess(wrong: Wrong) -> FloatArray:
    hand, torch = _compared(wrong)
    with np.errstate(all="ignore"):
        return hand / torch - 1


def _constant(wrong: Wrong) -> float | None:
    """The factor that all its numbers have in common."""
    excess = _excess(wrong)
    return 1 + float(excess.flat[0]) if _same(excess, excess.ravel()[:1]) else None


def _factor_names(factor: float | None, problem: Problem) -> list[str]:
    """The factor in terms of 2, N, m_L and m_0, the simplest first; on other sizes others of these fail."""
    if factor is None:
        return []
    sizes = {"2": 2, "N": problem.inputs.shape[-2], "m_L": problem.sizes[-1], "m_0": problem.sizes[0]}
    powers = product((1, -1, 0), repeat=len(sizes))
    names = []
    for tried in sorted(powers, key=lambda tried: sum(map(abs, tried))):
        value = float(np.prod([size**power for size, power in zip(map(float, sizes.values()), tried, strict=True)]))
        if np.isclose(abs(factor), value, rtol=1e-9, atol=0.0):
            above = " ".join(name for name, power in zip(sizes, tried, strict=True) if power > 0) or "1"
            below = " ".join(name for name, power in zip(sizes, tried, strict=True) if power < 0)
            names.append(("-" if factor < 0 else "") + above + (f" / {below}" if below else ""))
    return names


def _part(it: str, wrong: Wrong) -> str:
    """Whether only the biases are wrong, or all but the biases."""
    if wrong.key[0] not in ("gradient", "weight"):
        return ""
    off = wrong.ratio > 1
    if off[..., -1, :].any() == off[..., :-1, :].any():
        return ""
    return f"in {it} only the {'biases' if off[..., -1, :].any() else 'weights'} are wrong, the others are right"


def _order(wrong: Wrong, trials: Sequence[Trial]) -> str:
    hand, torch = wrong.hand, wrong.torch
    if hand.ndim < 2:
        return ""  # a single number has no order
    if hand.shape[-2] == hand.shape[-1] and _same(hand, np.swapaxes(torch, -1, -2)):
        return "it is autograd's transposed"
    for axis, name in ((-2, "rows"), (-1, "columns")):
        if _same(np.sort(hand, axis=axis), np.sort(torch, axis=axis)):
            return f"its {name} are autograd's in another order"
    for key, (right, _) in (pair for trial in trials for truth in trial.truths for pair in truth.derived.items()):
        if key != wrong.key and right.shape == hand.shape and _same(hand, right):
            return f"it is {quantity_name(key)}"
    return ""


def _off_by(it: str, hand: FloatArray, torch: FloatArray) -> str:
    relative = distance(hand, torch).max() / max(np.abs(torch).max(), np.finfo(float).tiny)
    return f"{it} is off by {relative:.0e} of its size, as finite differences are" if relative < 1e-4 else ""


def _same(left: FloatArray, right: FloatArray) -> bool:
    return np.allclose(left, right, rtol=1e-6, atol=0.0)
