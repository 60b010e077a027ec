"""How a diagnosis is said."""

from __future__ import annotations

import re
from collections.abc import Sequence

from comparisons.diagnosis.speech import Speech
from comparisons.diagnosis.wrong import AUTOGRAD, BOTH, Wrong
from comparisons.mistakes.effects import origin_in
from comparisons.mistakes.known import MISTAKES
from comparisons.mistakes.variants import Variant
from comparisons.reference.complex_step import third_opinion
from comparisons.reference.quantities import Key, Problem
from comparisons.verdict.trial import Trial

# The message.

SLOPES = {
    "sigmoid": "a * (1 - a)",
    "tanh": "(1 - a**2)",
    "relu": "(a > 0)",
    "identity": "1",
    "leaky_relu": "np.where(a > 0, 1, 0.01)",
    "elu": "np.where(a > 0, 1, a + 1)",
    "softplus": "(1 - np.exp(-a))",
    "softmax": "a * (1 - a)",
}


# What a Network computes, in its own words.
NETWORK = {
    "activation": "{name}(augmented(a) @ W)",
    "delta": "(delta @ w) * {slope}",
    "gradient": "augmented(a).T @ delta",
}
STEP = "W - learning_rate * gradient"
# Cost and output's delta as code, then in the note's notation; softmax with a squared error has its own.
COSTS = {
    "half_squared_error": (
        *("((a - T)**2).sum() / (2 * N)", "(a - T) / N * {slope}"),
        *("1/2 sum_i (a_i - T_i)^2", "D^(l) c"),
    ),
    "squared_error": (
        *("((a - T)**2).sum() / N", "2 * (a - T) / N * {slope}"),
        *("sum_i (a_i - T_i)^2", "D^(l) c with c = 2 (a^(l) - T)"),
    ),
    "mean_squared_error": (
        *("((a - T)**2).sum() / (m * N)", "2 * (a - T) / (m * N) * {slope}"),
        *("1/m sum_i (a_i - T_i)^2", "D^(l) c with c = 2/m (a^(l) - T)"),
    ),
    "binary_cross_entropy": (
        *("-(T * np.log(a) + (1 - T) * np.log(1 - a)).sum() / N", "(a - T) / N"),
        *("-sum_i T_i log a_i + (1 - T_i) log(1 - a_i)", "a^(l) - T"),
    ),
    "cross_entropy": (
        *("-(T * np.log(a)).sum() / N", "(a - T) / N"),
        *("-sum_i T_i log a_i", "a^(l) - T"),
    ),
}
SOFTMAX = ("a * (c - (c * a).sum(axis=1, keepdims=True)) with c = dC/da", "a_i (c_i - sum_j c_j a_j)")
NOTE = {
    "activation": "sigma(A^(l-1) W^(l))",
    "delta": "D^(l) (w^(l+1))^T delta^(l+1)",
    "gradient": "(delta^(l) A^(l-1))^T",
    "weight": "W^(l) - gamma dC/dW^(l)",
}


def headline(key: Key, trial: Trial, how: str = "", parts: Sequence[str] = BOTH) -> str:
    """Say which quantity is the first wrong one, and of a gradient which parts."""
    layer = "" if key[1] is None else f" (layer {key[1]} of {len(trial.truths[0].problem.weights)})"
    name = Speech.of(trial).quantity(key, parts)
    said = "are the first wrong quantities" if " and " in name else "is the first wrong quantity"
    return f"Where: {name} {said}{layer}{how}."


def explanation(variants: Sequence[Variant], key: Key, seen: Wrong, trials: Sequence[Trial]) -> str:
    """What explains it, and what would on this data do so as well."""
    parts = []
    order, speech = list(trials[0].truths[0].derived), Speech.of(trials[0])
    for name in variants[0].mistakes:
        origin = origin_of(Variant((name,), variants[0].placement), seen, trials)
        kind = MISTAKES[name]
        summary = kind.summary[0].lower() + kind.summary[1:].rstrip(".")
        formula, why = (speech.of_note(_with_numbers(text, origin[1])) for text in (kind.formula, summary))
        subject = "it equals" if origin == key and not variants[0].factor else f"{speech.quantity(origin)} equals"
        if order.index(origin) < order.index(key):
            subject = f"it follows from {speech.quantity(origin)}, which equals"
        parts.append(f"{subject} {formula}: {why} [{name}]")
    placement = variants[0].placement.replace("hidden", "the hidden layers")
    where = "" if placement == "everywhere" else f", in {placement} only"
    others = [str(variant) for variant in variants[1:]]
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    same = f" On this data these would give the same: {shown}." if others else ""
    text = "; and ".join(parts)
    if variants[0].factor:
        text = f"all of it is {variants[0].factor} times what it should be, and in it {text}"
    rough = f", to {variants[0].digits} digits only, as with finite differences" if variants[0].digits else ""
    return f"Why: {text}{where}{rough}.{same}"


def origin_of(variant: Variant, seen: Wrong, trials: Sequence[Trial]) -> Key:
    """The quantity that the mistakes make wrong first; the cost only where it is the cost that is asked about."""
    for trial in trials:
        key = origin_in(variant, trial.truths, () if seen.key[0] == "cost" else ("cost",))
        if key is not None and "single_precision" not in variant.mistakes:
            return key
    return seen.key


def _with_numbers(text: str, layer: int | None) -> str:
    """Put the numbers of the layers into the note's notation."""
    l = layer or 0
    return text.replace("(l+1)", f"({l + 1})").replace("(l-1)", f"({l - 1})").replace("(l)", f"({l})")


def should_be_text(key: Key, trial: Trial) -> str:
    """Say how the quantity is computed rightly: as code in the reader's layout, and as the note has it."""
    problem = trial.truths[0].problem
    top, summed = len(problem.weights), trial.summed or problem.stated.reduction == "sum"
    code = _code(key, Speech.of(trial), problem)
    if summed:
        code = code.replace("(2 * N)", "2").replace("(m * N)", "m").replace(" / N", "")
    return f"Should be: {code}, in the note's notation {equation(key, top, problem, summed)}."


def _code(key: Key, speech: Speech, problem: Problem) -> str:
    """The equation of a quantity as code; of somebody's function with the names of its arrays."""
    top, stated = len(problem.weights), problem.stated
    layer = key[1] or top
    name, kind = problem.activation[layer - 1], _kind(key, top)
    a = "a" if speech.is_the_notes else speech.name("activation", layer)
    slope = re.sub(r"\ba\b", a, SLOPES[name])
    cost, output, _, _ = COSTS[stated.cost]
    if kind in ("cost", "output"):
        code = cost if kind == "cost" else (SOFTMAX[0] if _is_plain_softmax(problem) else output)
        code = re.sub(r"\ba\b", a, code).format(slope=slope)
    elif kind == "weight":
        code = (
            STEP if speech.is_the_notes else f"W{layer} - learning_rate * {speech.name('gradient', layer, 'weights')}"
        )
    elif speech.is_the_notes:
        code = NETWORK[kind].format(name=name, slope=slope)
    else:
        code = _in_layout(kind, layer, speech, name, slope)
    if stated.l2 and kind == "cost":
        code += f" + {stated.l2!r} / 2 * (w**2).sum()"
    if stated.l2 and kind == "gradient":
        code += f" + {stated.l2!r} * w (not for the biases)"
    if speech.is_the_notes or kind == "cost":
        return code
    return f"{speech.quantity(key, ('weights',)).removesuffix(' after the step')} = {code}"


def _in_layout(kind: str, layer: int, speech: Speech, activation: str, slope: str) -> str:
    """The equation of an activation, a hidden delta or a gradient in the reader's layout."""
    delta = speech.name("delta", layer)
    if kind == "activation":
        return f"{activation}({speech.forward(layer)})"
    if kind == "delta":
        back = speech.passed_back(speech.name("delta", layer + 1), speech.weights(layer + 1))
        return f"({back}) * {slope}"
    biases = speech.bias_gradient(delta)
    also = f" and {speech.name('gradient', layer, 'biases')} = {biases}" if biases else ""
    return speech.gradient(speech.name("activation", layer - 1), delta) + also


def equation(key: Key, top: int, problem: Problem, summed: bool = False) -> str:
    """Return the right-hand side of the note's equation for a quantity, with the numbers of the layers.

    Parameters
    ----------
    top : the layer of the output, whose delta has an equation of its own
    problem : of what cost and output
    summed : whether the cost is the sum over the samples
    """
    stated = problem.stated
    kind, (_, _, cost, output) = _kind(key, top), COSTS[stated.cost]
    if kind == "output":
        note = SOFTMAX[1] if _is_plain_softmax(problem) else output
    elif kind == "cost":
        note = f"{cost}, the {'sum' if summed else 'mean'} over the samples"
    else:
        note = NOTE[kind]
    if stated.l2:
        note += {"cost": " + lambda / 2 |w|^2", "gradient": " + lambda w^(l)"}.get(kind, "")
    return _with_numbers(note, key[1] or top)


def _kind(key: Key, top: int) -> str:
    return "output" if key == ("delta", top) else key[0]


def _is_plain_softmax(problem: Problem) -> bool:
    """Whether the output is softmax, and its slope does not cancel."""
    return problem.activation[-1] == "softmax" and problem.stated.cost != "cross_entropy"


def evidence(wrong: Wrong, trial: Trial) -> str:
    """The worst number with both values, and who else says so."""
    hand, torch, tolerance = (float(side[wrong.worst]) for side in (wrong.hand, wrong.torch, wrong.tolerance))
    name = Speech.of(trial).element(wrong)
    step = "" if wrong.step is None else f" at step {wrong.step}"
    side = ""
    opinion = third_opinion(wrong.problem, wrong.key, wrong.worst) if wrong.judge == AUTOGRAD else None
    if opinion is not None:
        nearer = "autograd" if not abs(opinion - torch) > abs(opinion - hand) else "the implementation"
        side = f"; complex-step differentiation agrees with {nearer}"
    return (
        f"Worst number: {name} is {hand!r}, {wrong.judge} says {torch!r} (tolerance {tolerance:.2g}){side};"
        f" {int((wrong.ratio > 1).sum())} of {wrong.hand.size} numbers are wrong{step}."
    )
