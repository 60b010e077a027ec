"""The line of somebody's function that computes the first wrong array, where it can be found without guessing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from comparisons.diagnosis.diagnose import Diagnosis
from comparisons.diagnosis.wrong import BOTH, Wrong
from comparisons.subject.implementation import Implementation
from comparisons.subject.lines import line_of
from handnet.activations import FloatArray

KINDS = {"activation": "activations", "delta": "delta", "gradient": "gradient", "weight": "weights after the step"}


def with_line(diagnosis: Diagnosis, implementation: Implementation, learning_rate: float) -> Diagnosis:
    """Return the diagnosis with the line of the first wrong array below where it is; as it is where none is found."""
    wrong = diagnosis.wrong
    if wrong is None or wrong.key[0] not in KINDS:
        return diagnosis
    line = line_of(
        implementation.function,
        lambda: implementation.ask(wrong.problem, learning_rate),
        [factor * form for form in _forms(wrong, implementation) for factor in _factors(wrong, diagnosis.factor)],
    )
    if not line:
        return diagnosis
    said = diagnosis.message.splitlines()
    place = max(i for i, one in enumerate(said) if one.startswith("Where:")) + 1
    told = f"Line: {line}  ({KINDS[wrong.key[0]]} of layer {wrong.key[1]})"
    return replace(diagnosis, message="\n".join([*said[:place], told, *said[place:]]))


def _forms(wrong: Wrong, implementation: Implementation) -> Iterator[FloatArray]:
    """The wrong numbers as their author may have them: a part of a gradient, or all of it in his layout."""
    quantity, layout = wrong.key[0], implementation.form.layout
    if quantity not in ("gradient", "weight") or not wrong.problem.stated.biases:
        yield wrong.hand
        return
    yield wrong.hand[:-1] if BOTH[0] in wrong.wrong_parts else wrong.hand[-1]
    if not layout.is_paired:
        yield layout.weights_out(wrong.hand)


def _factors(wrong: Wrong, factor: float) -> Iterator[float]:
    """By what his own array may differ from the answer that is made of it: the 1/N may come later, or is in none."""
    samples = wrong.problem.inputs.shape[-2]
    yield from np.unique([1.0, samples, factor, factor * samples])
