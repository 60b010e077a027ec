"""In which form somebody's function wants its weights and samples: what fits is tried, the nearest to right kept."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from comparisons.reference.truth import Truth
from comparisons.subject.forms import Form
from comparisons.subject.implementation import Answer, Implementation
from comparisons.subject.reading import ImplementationError, is_vector, lies_at
from comparisons.verdict.distance import distance

# A quantity that is as near as this, of its largest number, is right, and where all are no other form has to be tried.
NEAR = 1e-3
# How far off an answer is: arrays of another shape, quantities that are not right, the greatest error. Less is nearer.
Off = tuple[int, int, float]
RIGHT, NOWHERE = (0, 0, NEAR), (10**9, 10**9, np.inf)


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
            if off[:2] < least[:2] or (off < least and not form.is_rare):
                best, least = reading, off
        if least <= RIGHT:
            break
    return None if best == implementation.form else best


def _readings(implementation: Implementation, truth: Truth, rate: float) -> list[tuple[Form, Off]]:
    """Each way to read what it answers in its form, and how far off it then is."""
    form = implementation.form
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            reply = implementation.call(truth.problem, rate)
    except ImplementationError:
        return []
    bare, problem = reply.found.get("gradients"), truth.problem
    in_one = is_vector(bare)
    is_updated = reply.is_bare and any(lies_at(bare, problem, one) for one in form.readings(in_one, is_updated=False))
    found = []
    for reading in form.readings(in_one, is_updated):
        with contextlib.suppress(ImplementationError):
            found.append((reading, _distance(implementation.in_form(reading).read(reply), truth)))
    return found


def _off(implementation: Implementation, truth: Truth, rate: float) -> Off:
    """How far off the answer is; nowhere where there is none."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return _distance(implementation.ask(truth.problem, rate), truth)
    except ImplementationError:
        return NOWHERE


def _distance(answer: Answer, truth: Truth) -> Off:
    if not any(np.isfinite(value).any() for value in answer.given.values()):
        return NOWHERE  # nothing has the shape that it should
    off = [_relative(value, truth.derived[key][0]) for key, value in answer.given.items() if key not in answer.misfits]
    wrong = sum(error > NEAR for error in off)
    return len(answer.misfits) + len(answer.turned), wrong, max(off, default=np.inf)


def _relative(value: np.ndarray, right: np.ndarray) -> float:
    largest = np.abs(right).max(initial=0.0)
    off = float(np.max(distance(value.astype(np.float64), right), initial=0.0))
    if not np.isfinite(off):
        return np.inf
    return off / largest if largest else (0.0 if off == 0 else np.inf)
