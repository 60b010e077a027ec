"""In which form somebody's function wants its weights and samples: what fits is tried, the nearest to right kept."""

from __future__ import annotations

import contextlib
import io

import numpy as np

from comparisons.reference.truth import Truth
from comparisons.subject.forms import Form, forms
from comparisons.subject.implementation import Implementation
from comparisons.subject.reading import ImplementationError
from comparisons.verdict.distance import distance

# An answer that is as near as this, of its largest number, is right, and no other form has to be tried.
NEAR = 1e-3
# What an array of another shape counts more than any number that is off.
MISSHAPEN = 1e6


def found_form(implementation: Implementation, truth: Truth, rate: float) -> Form | None:
    """Return the form in which the function runs and is nearest to right; None where none does better than its own.

    A wrong form cannot make wrong code pass: its numbers are judged all the same.

    Parameters
    ----------
    truth : what autograd says of a network of unequal widths, on which the shapes tell
    rate : the learning rate that it is told
    """
    best, least = None, _off(implementation, truth, rate)
    for form in forms(implementation.form.layout.biases):
        off = _off(implementation.in_form(form), truth, rate)
        if off < least:
            best, least = form, off
        if least < NEAR:
            break
    return best


def _off(implementation: Implementation, truth: Truth, rate: float) -> float:
    """How far off the answer is, of the largest number of each quantity; infinitely far where there is none."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            answer = implementation.ask(truth.problem, rate)
    except ImplementationError:
        return np.inf
    shapes = len(answer.misfits) + len(answer.turned)
    if not any(np.isfinite(value).any() for value in answer.given.values()):
        return np.inf  # nothing has the shape that it should
    off = [_relative(value, truth.derived[key][0]) for key, value in answer.given.items() if key not in answer.misfits]
    return MISSHAPEN * shapes + (max(off) if off else MISSHAPEN)


def _relative(value: np.ndarray, right: np.ndarray) -> float:
    largest = np.abs(right).max(initial=0.0)
    off = float(np.max(distance(value.astype(np.float64), right), initial=0.0))
    # What is nearer than this is told apart by nobody; what is no number is far off.
    return min(off / largest, MISSHAPEN / 2) if np.isfinite(off) and largest else (0.0 if off == 0 else MISSHAPEN / 2)
