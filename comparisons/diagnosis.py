"""The first wrong quantity, the known mistake that explains the numbers, and how to say it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from comparisons.catalogue import MARGIN, Trial, explanations, made_at
from comparisons.comparison import Measured, distance, element_name, over, quantity_name
from comparisons.complex_step import third_opinion
from comparisons.measure import Problem, Truth, measure
from comparisons.mistakes import MISTAKES, NotApplicable, Variant
from comparisons.twin import Key
from handnet.activations import FloatArray

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
    single : the gradients of a single sample, where only gradients were given

    Returns
    -------
    diagnosis : None where nothing is wrong
    """
    wrong_ones = [m for m in measured if m.verdict == "wrong"]
    if not wrong_ones:
        return _only_turned(trials)
    if trials[0].stack_axes:
        return _of_stack(trials[0], wrong_ones[0])
    misshapen = {(trial.case, key) for trial in trials for key in trial.misshapen}
    shaped = [m for m in wrong_ones if (m.case, m.key) not in misshapen] or wrong_ones
    first = shaped[0]
    found = explanations([*trials, single] if single else trials, first)
    read_off = _read_off(single) if single else None
    wrong = read_off or _of_measured(first, trials)
    if found:
        why = _explanation(found, wrong, trials)
    else:
        why = _no_explanation([wrong, *(_of_measured(m, trials) for m in shaped if m.key == first.key)], trials)
    said = [_headline(wrong, read_off is not None), why, _should_be(found, wrong, trials)]
    message = " ".join(said) + "\n" + _evidence(wrong)
    return Diagnosis(wrong.key, found[0].mistakes if found else (), tuple(map(str, found)), message)


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
    wrong = Wrong(key, trial.given[0][key], *trial.truths[0].pairs[key], trial.truths[0].problem)
    said = f"It equals {MISTAKES[name].equals}: the matrix is transposed [{name}]."
    message = f"{_headline(wrong, False)} {said} {_should_be([], wrong, trials)}"
    return Diagnosis(key, (name,), (name,), message)


# What gradients of a single sample give away.


def _read_off(single: Trial) -> Wrong | None:
    """The first wrong of the deltas and activations that the gradients of a single sample are made of.

    The biases' row is delta, and a weight's row over it is the activation below. None where they are right, or where
    the gradient is not made of them: it is no outer product, or the layer below goes on from a right delta.
    """
    (truth,), (given,) = single.truths, single.given
    top = len(truth.problem.weights)
    made = [_outer(truth, l, given[key]) for l in range(top, 0, -1) if (key := ("gradient", l)) in given]
    outer = [parts for parts in made if parts is not None]
    if len(outer) < top:
        return None
    deltas, below = [delta for delta, _ in outer], [a for _, a in outer]
    first = next((i for i, delta in enumerate(deltas) if delta.ratio.max() > 1), None)
    if first is None or (first + 1 < top and deltas[first + 1].ratio.max() <= 1):
        return None
    # An activation is blamed only where the output's delta, computed from it, is wrong too.
    wrong = [a for a in reversed(below[:-1]) if a.ratio.max() > 1] if first == 0 else []
    return (wrong or [deltas[first]])[0]


def _outer(truth: Truth, l: int, gradient: FloatArray) -> tuple[Wrong, Wrong] | None:
    """The delta and the activation below of which a gradient is the outer product; None where it is none."""
    biases = gradient[-1]
    if not np.isfinite(gradient).all() or not biases.any():
        return None
    problem, (_, tolerance) = truth.problem, truth.pairs["gradient", l]
    column = int(np.abs(biases).argmax())
    hand = gradient[:-1, column] / biases[column]
    # A quotient of two numbers, each with its own tolerance.
    own = (tolerance[:-1, column] + np.abs(hand) * tolerance[-1, column]) / np.abs(biases[column])
    misfit = np.abs(gradient[:-1] - hand[:, np.newaxis] * biases)
    if (misfit > MARGIN * (tolerance[:-1] + own[:, np.newaxis] * np.abs(biases))).any():
        return None
    right, bound = (problem.inputs, 0.0) if l == 1 else truth.pairs["activation", l - 1]
    delta = Wrong(("delta", l), biases[np.newaxis], *truth.pairs["delta", l], problem)
    return delta, Wrong(("activation", l - 1), hand[np.newaxis], right, bound + own, problem)


# The message.

CODE_SLOPES = {"sigmoid": "a * (1 - a)", "tanh": "(1 - a**2)", "relu": "(a > 0)", "identity": "1"}


def _of_measured(m: Measured, trials: Sequence[Trial]) -> Wrong:
    """The wrong quantity, beside what decided that it is: the whole model, or the one equation."""
    trial = next(trial for trial in trials if trial.case == m.case)
    problem = trial.truths[m.step - trial.step].problem
    if m.judged_by(m.worst)[2] == "equation" and m.local_torch is not None and m.local_tolerance is not None:
        return Wrong(m.key, m.hand, m.local_torch, m.local_tolerance, problem, m.step, EQUATION, m.worst)
    return Wrong(m.key, m.hand, m.torch, m.tolerance, problem, m.step, at=m.worst)


def _headline(wrong: Wrong, read_off: bool) -> str:
    layer = "" if wrong.key[1] is None else f" (layer {wrong.key[1]} of {len(wrong.problem.weights)})"
    how = ", read off the gradients of a single sample" if read_off else ""
    return f"{quantity_name(wrong.key)} is the first wrong quantity{layer}{how}."


def _explanation(found: Sequence[Variant], wrong: Wrong, trials: Sequence[Trial]) -> str:
    """What explains it, and what would on this data do so as well."""
    parts = []
    for name in found[0].mistakes:
        key = _where_made(Variant((name,), found[0].placement), wrong, trials)
        l = key[1] or 1
        equals, why = (_with_numbers(text, l) for text in (MISTAKES[name].equals, (MISTAKES[name].__doc__ or "")[:-1]))
        subject = "It equals" if key == wrong.key else f"It follows from {quantity_name(key)}, which equals"
        parts.append(f"{subject} {equals}: {why[0].lower()}{why[1:]} [{name}]")
    placement = found[0].placement.replace("hidden", "the hidden layers")
    where = "" if placement == "everywhere" else f", in {placement} only"
    others = [str(variant) for variant in found[1:]]
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    same = f" On this data the same: {shown}." if others else ""
    return f"{'; and '.join(parts)}{where}.{same}"


def _no_explanation(wrong: Sequence[Wrong], trials: Sequence[Trial]) -> str:
    pattern = next(filter(None, (_pattern(one, trials) for one in wrong)), "")
    return f"No known mistake explains it{'; ' + pattern if pattern else ''}."


def _where_made(variant: Variant, wrong: Wrong, trials: Sequence[Trial]) -> Key:
    """The quantity that the mistake makes wrong; the cost only where it is the cost that is asked about."""
    quantities = {"activation", "delta", "gradient", "weight"} if wrong.key[0] != "cost" else None
    for trial in trials:
        with suppress(NotApplicable):
            key = made_at(variant, trial.truths, quantities)
            if key is not None:
                return key
    return wrong.key


def _with_numbers(text: str, l: int) -> str:
    """Put the numbers of the layers into the note's notation."""
    return text.replace("(l+1)", f"({l + 1})").replace("(l-1)", f"({l - 1})").replace("(l)", f"({l})")


def _should_be(found: Sequence[Variant], wrong: Wrong, trials: Sequence[Trial]) -> str:
    key = _where_made(Variant(found[0].mistakes[:1], found[0].placement), wrong, trials) if found else wrong.key
    quantity, layer = key
    top = len(wrong.problem.weights)
    l = layer or top
    name = wrong.problem.activation[l - 1]
    code, note = {
        "activation": (f"{name}(augmented(a) @ W)", f"sigma(A^({l - 1}) W^({l}))"),
        "cost": ("((a - T)**2).sum() / (2 * N)", "1/2 sum_i (a_i - T_i)^2, the mean over the samples"),
        "delta": (f"(delta @ w) * {CODE_SLOPES[name]}", f"D^({l}) (w^({l + 1}))^T delta^({l + 1})"),
        "gradient": ("augmented(a).T @ delta", f"(delta^({l}) A^({l - 1}))^T"),
        "weight": ("W - learning_rate * gradient", f"W^({l}) - gamma dC/dW^({l})"),
    }[quantity]
    if quantity == "delta" and l == top:
        code, note = f"(a - T) / N * {CODE_SLOPES[name]}", f"D^({l}) c"
    if trials[0].summed:
        code, note = code.replace("(2 * N)", "2").replace(" / N", ""), note.replace("mean over", "sum over")
    return f"Should be: {code}, in the note's notation {note}."


def _evidence(wrong: Wrong) -> str:
    """The worst number with both values, and who else says so."""
    hand, torch, tolerance = (float(side[wrong.worst]) for side in (wrong.hand, wrong.torch, wrong.tolerance))
    name = element_name(wrong.key, wrong.worst, wrong.hand.shape)
    step = "" if wrong.step is None else f" at step {wrong.step}"
    side = ""
    opinion = third_opinion(wrong.problem, wrong.key, wrong.worst) if wrong.judge == AUTOGRAD else None
    if opinion is not None:
        nearer = "autograd" if not abs(opinion - torch) > abs(opinion - hand) else "the implementation"
        side = f"; complex-step differentiation agrees with {nearer}"
    return (
        f"Worst of {int((wrong.ratio > 1).sum())} wrong numbers among {wrong.hand.size}{step}: {name} is {hand!r},"
        f" {wrong.judge} says {torch!r} (tolerance {tolerance:.2g}){side}."
    )


def _pattern(wrong: Wrong, trials: Sequence[Trial]) -> str:
    """What the numbers have in common with autograd's, where no known mistake explains them."""
    hand, torch = wrong.hand, wrong.torch
    if not np.isfinite(hand).all():
        return "it has no such shape, or is not finite"
    it = "it"
    if wrong.key[0] == "weight":
        # What the step adds, rather than what it adds it to.
        old = wrong.problem.weights[(wrong.key[1] or 1) - 1]
        it, hand, torch = "its step", hand - old, torch - old
    return _factor(it, hand, torch) or _off_by(it, hand, torch) or _order(wrong, trials)


def _factor(it: str, hand: FloatArray, torch: FloatArray) -> str:
    with np.errstate(all="ignore"):
        excess = hand / torch - 1
    if _same(excess, excess.ravel()[:1]):
        return f"{it} is {1 + excess.flat[0]:.10g} times autograd's"
    for axis, name in ((-1, "row"), (-2, "column")):
        if hand.ndim >= 2 and hand.shape[axis] > 1 and _same(excess, np.take(excess, [0], axis=axis)):
            return f"each {name} of {it} is a constant times autograd's"
    return ""


def _order(wrong: Wrong, trials: Sequence[Trial]) -> str:
    hand, torch = wrong.hand, wrong.torch
    if hand.ndim < 2:
        return ""
    if hand.shape[-2] == hand.shape[-1] and _same(hand, np.swapaxes(torch, -1, -2)):
        return "it is autograd's transposed"
    for axis, name in ((-2, "rows"), (-1, "columns")):
        if _same(np.sort(hand, axis=axis), np.sort(torch, axis=axis)):
            return f"its {name} are autograd's in another order"
    for key, (right, _) in (pair for trial in trials for truth in trial.truths for pair in truth.pairs.items()):
        if key[0] == wrong.key[0] and right.shape == hand.shape and _same(hand, right):
            return f"it is {quantity_name(key)}"
    return ""


def _off_by(it: str, hand: FloatArray, torch: FloatArray) -> str:
    relative = distance(hand, torch).max() / max(np.abs(torch).max(), np.finfo(float).tiny)
    return f"{it} is off by {relative:.0e} of its size, as finite differences are" if relative < 1e-4 else ""


def _same(left: FloatArray, right: FloatArray) -> bool:
    return np.allclose(left, right, rtol=1e-6, atol=0.0)
