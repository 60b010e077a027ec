"""How a diagnosis is said."""

from __future__ import annotations

from collections.abc import Sequence

from comparisons.diagnosis.wrong import AUTOGRAD, Wrong
from comparisons.mistakes.effects import made_at
from comparisons.mistakes.known import MISTAKES
from comparisons.mistakes.variants import Variant
from comparisons.reference.complex_step import third_opinion
from comparisons.reference.quantities import Key, Problem, element_name, quantity_name
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


# How each quantity should be computed, by layout.
CODE = {
    "note": {
        "activation": "{name}(augmented(a) @ W)",
        "delta": "(delta @ w) * {slope}",
        "gradient": "augmented(a).T @ delta",
    },
    "rows": {
        "activation": "{name}(a @ W + b)",
        "delta": "(delta @ W.T) * {slope}",
        "gradient": "a.T @ delta and delta.sum(axis=0)",
    },
    "bias_first": {
        "activation": "{name}(np.c_[ones, a] @ W.T)",
        "delta": "(delta @ W[:, 1:]) * {slope}",
        "gradient": "delta.T @ np.c_[ones, a]",
    },
    "bias_last": {
        "activation": "{name}(np.c_[a, ones] @ W.T)",
        "delta": "(delta @ W[:, :-1]) * {slope}",
        "gradient": "delta.T @ np.c_[a, ones]",
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


def headline(key: Key, trial: Trial, how: str = "") -> str:
    layer = "" if key[1] is None else f" (layer {key[1]} of {len(trial.truths[0].problem.weights)})"
    return f"Where: {quantity_name(key)} is the first wrong quantity{layer}{how}."


def explanation(found: Sequence[Variant], key: Key, seen: Wrong, trials: Sequence[Trial]) -> str:
    """What explains it, and what would on this data do so as well."""
    parts = []
    order = list(trials[0].truths[0].derived)
    for name in found[0].mistakes:
        made = where_made(Variant((name,), found[0].placement), seen, trials)
        kind = MISTAKES[name]
        formula, why = (_with_numbers(text, made[1]) for text in (kind.formula, kind.summary))
        subject = "it equals" if made == key else f"{quantity_name(made)} equals"
        if order.index(made) < order.index(key):
            subject = f"it follows from {quantity_name(made)}, which equals"
        parts.append(f"{subject} {formula}: {why[0].lower()}{why[1:].rstrip('.')} [{name}]")
    placement = found[0].placement.replace("hidden", "the hidden layers")
    where = "" if placement == "everywhere" else f", in {placement} only"
    others = [str(variant) for variant in found[1:]]
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    same = f" On this data the same: {shown}." if others else ""
    text = "; and ".join(parts)
    text = (
        f"all of it is {found[0].factor} times what it should be, and in it {text.removeprefix('it equals ')}"
        if found[0].factor
        else text
    )
    rough = f", to {found[0].digits} digits alone, as finite differences are" if found[0].digits else ""
    return f"Why: {text}{where}{rough}.{same}"


def where_made(variant: Variant, seen: Wrong, trials: Sequence[Trial]) -> Key:
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


def should_be_text(key: Key, trial: Trial) -> str:
    problem = trial.truths[0].problem
    top = len(problem.weights)
    name, stated = problem.activation[(key[1] or top) - 1], problem.stated
    summed = trial.summed or stated.reduction == "sum"
    kind, (cost, output, _, _) = _kind(key, top), COSTS[stated.cost]
    if kind == "output":
        code = SOFTMAX[0] if _is_plain_softmax(problem) else output
    else:
        code = {"cost": cost, "weight": STEP}.get(kind) or CODE[trial.layout][kind]
    if summed:
        code = code.replace("(2 * N)", "2").replace("(m * N)", "m").replace(" / N", "")
    if stated.l2 and kind in ("cost", "gradient"):
        code += f" + {stated.l2!r} / 2 * (w**2).sum()" if kind == "cost" else f" + {stated.l2!r} * w, biases apart"
    code = code.format(name=name, slope=SLOPES[name])
    return f"Should be: {code}, in the note's notation {equation(key, top, problem, summed)}."


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


def evidence(wrong: Wrong) -> str:
    """The worst number with both values, and who else says so."""
    hand, torch, tolerance = (float(side[wrong.worst]) for side in (wrong.hand, wrong.torch, wrong.tolerance))
    name = element_name(wrong.key, wrong.worst, wrong.hand.shape)
    biases = wrong.problem.stated.biases
    if biases and wrong.key[0] in ("gradient", "weight") and wrong.worst[-2] == wrong.hand.shape[-2] - 1:
        name += " (a bias)"
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
