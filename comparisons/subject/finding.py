"""In which form somebody's function wants its weights and samples: what fits is tried, the nearest to right kept."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from comparisons.reference.quantities import Key, Problem, Quantities
from comparisons.reference.truth import Truth
from comparisons.subject.forms import Form
from comparisons.subject.implementation import Answer, Implementation
from comparisons.subject.reading import ImplementationError, RaisedError, is_vector, lies_at
from comparisons.verdict.distance import distance
from handnet.activations import FloatArray

# A quantity that is as near as this, of its largest number, is right, and where all are no other form has to be tried.
NEAR = 1e-3
# How far off an answer is: how many arrays have another shape, how many quantities are wrong but for a factor, how many
# are wrong, and the greatest error but for a factor. Less is nearer.
Off = tuple[int, int, int, float]
RIGHT, NOWHERE = (0, 0, 0, NEAR), (10**9, 10**9, 10**9, np.inf)
# Further off still is what raises.
RAISES = (10**9 + 1, *NOWHERE[1:])


def found_form(implementation: Implementation, truth: Truth, rate: float, candidates: Sequence[Form]) -> Form | None:
    """Return the form in which the function runs and is nearest to right; None where none does better than its own.

    A wrong form cannot make wrong code pass: its numbers are judged all the same.

    Parameters
    ----------
    truth : what autograd says of a network of unequal widths, on which the shapes tell
    rate : the learning rate that it is told
    candidates : the forms to try, the usual first
    """
    best, least = implementation.form, _off(implementation, truth, rate)
    for form in (implementation.form, *candidates):
        for reading, off in _readings(implementation.in_form(form), truth, rate):
            # What is rare has to make more of it right; of what is usual the nearer is good enough.
            if off[:3] < least[:3] or (off < least and not form.is_rare):
                best, least = reading, off
        if least <= RIGHT:
            break
    return None if best == implementation.form else best


def _readings(implementation: Implementation, truth: Truth, rate: float) -> list[tuple[Form, Off]]:
    """Each way to read what it answers in its form, and how far off it then is."""
    form, problem = implementation.form, truth.problem
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            reply = implementation.call(problem, rate, trying=True)
    except ImplementationError as failure:
        return [(form, _without_answer(failure))]
    bare = reply.found.get("gradients")
    in_one = is_vector(bare)
    is_updated = reply.is_bare and any(lies_at(bare, problem, one) for one in form.readings(in_one, is_updated=False))
    if implementation.arguments.takes_velocity:
        # Its steps need not be right to be steps.
        form, is_updated = replace(form, bare="updated" if is_updated else "gradients"), False
    found = []
    for reading in form.readings(in_one, is_updated):
        try:
            found.append((reading, _distance(implementation.in_form(reading).read(reply), truth)))
        except ImplementationError:
            found.append((reading, NOWHERE))
    return found


def _off(implementation: Implementation, truth: Truth, rate: float) -> Off:
    """How far off the answer is."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return _distance(implementation.ask(truth.problem, rate), truth)
    except ImplementationError as failure:
        return _without_answer(failure)


def _without_answer(failure: ImplementationError) -> Off:
    return RAISES if isinstance(failure, RaisedError) else NOWHERE


def _distance(answer: Answer, truth: Truth) -> Off:
    actual = {key: value for key, value in answer.actual.items() if key not in answer.misfits}
    if not any(np.isfinite(value).any() for value in answer.actual.values()):
        return NOWHERE  # nothing has the shape that it should
    off = [_relative(value, truth.derived[key][0]) for key, value in actual.items()]
    aside = [_aside(value, truth, key) for key, value in actual.items()]
    shapes = len(answer.misfits) + len(answer.turned)
    return (
        shapes,
        sum(o > NEAR for o in aside),
        sum(o > NEAR for o in off),
        _unexplained(actual, truth, max(aside, default=np.inf)),
    )


def _relative(value: np.ndarray, right: np.ndarray) -> float:
    largest = np.abs(right).max(initial=0.0)
    off = float(np.max(distance(value.astype(np.float64), right), initial=0.0))
    if not np.isfinite(off):
        return np.inf
    return off / largest if largest else (0.0 if off == 0 else np.inf)


def _unexplained(actual: Quantities, truth: Truth, otherwise: float) -> float:
    """What of all gradients, or steps, is neither a factor of the right ones nor a penalty; or `otherwise`."""
    kind = "gradient" if any(key[0] == "gradient" for key in actual) else "weight"
    own, right = [], []
    for l, w in enumerate(truth.problem.weights, start=1):
        if (kind, l) not in actual:
            return otherwise
        old = w if kind == "weight" else 0 * w
        own.append(actual[kind, l] - old)
        right.append(truth.derived[kind, l][0] - old)
    flat, basis = flattened(own), np.stack([flattened(right), *penalties(truth.problem)], axis=1)
    if len(flat) <= 2 * basis.shape[1] or not np.isfinite(flat).all():
        return otherwise
    factors, *_ = np.linalg.lstsq(basis, flat, rcond=None)
    return float(np.linalg.norm(flat - basis @ factors) / (np.linalg.norm(flat) or 1.0))


def flattened(layers: Sequence[FloatArray]) -> FloatArray:
    """Return all numbers of all layers in one vector of float64."""
    return np.concatenate([layer.ravel() for layer in layers]).astype(np.float64)


def penalties(problem: Problem) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return all weights, with 0 for the biases; all biases, with 0 for the weights; and 1 for each bias."""
    weights, biases, ones = [], [], []
    for w in problem.weights:
        above, below, one = w.copy(), np.zeros_like(w), np.zeros_like(w)
        if problem.stated.biases:
            above[-1], below[-1], one[-1] = 0, w[-1], 1
        weights.append(above)
        biases.append(below)
        ones.append(one)
    return flattened(weights), flattened(biases), flattened(ones)


def _aside(value: np.ndarray, truth: Truth, key: Key) -> float:
    """How far off it is but for a factor, which a convention may have: the sine of the angle between both."""
    right = truth.derived[key][0]
    if key[0] in ("activation", "cost"):
        return _relative(value, right)
    if key[0] == "weight" and key[1] is not None:
        old = truth.problem.weights[key[1] - 1]
        value, right = value - old, right - old
    along = float((value * right).sum()) / float((right * right).sum() or 1.0)
    size = float(np.linalg.norm(value))
    across = float(np.linalg.norm(value - along * right))
    return across / size if size and np.isfinite(size) else (0.0 if not right.any() else np.inf)
