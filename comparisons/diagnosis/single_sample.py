"""What the gradients of a single sample give away: each is an outer product of a delta and an activation."""

from __future__ import annotations

import numpy as np

from comparisons.diagnosis.wrong import Wrong
from comparisons.mistakes.effects import MARGIN
from comparisons.reference.truth import Truth
from comparisons.verdict.trial import Trial
from handnet.activations import FloatArray

# What gradients of a single sample give away.


def read_off_single(single: Trial) -> Wrong | None:
    """The first wrong of the deltas and activations that the gradients of a single sample are made of.

    Where the biases' row is delta, a weight's row over it is the activation below. None where they are right, or where
    the gradient is not made of them: it is no outer product, its inputs are not those that were given, or the layer
    below goes on from a right delta.
    """
    (truth,), (answer,) = single.truths, single.actual
    if not truth.problem.stated.biases or truth.problem.stated.l2:
        return None  # no row is delta, or no product is left alone
    top = len(truth.problem.weights)
    products = [_outer(truth, l, answer[key]) for l in range(top, 0, -1) if (key := ("gradient", l)) in answer]
    outer = [parts for parts in products if parts is not None]
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
