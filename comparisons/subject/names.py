"""What somebody calls the arrays that his function returns: by the keys of the dictionary that holds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from comparisons.verdict.trial import Called

# Names of weights, not of their gradients: in a message they would be taken for these.
OF_WEIGHTS_ALONE = re.compile(r"(w|weights?|b|bias(es)?|theta)_?\d*")
# Names of all layers' arrays, which tell nobody which.
PLAIN = ("activations", "deltas", "gradients", "updated", "grads")


def names_of(answer: Any, sources: Mapping[tuple[str, int | None, str], Any]) -> Called:
    """Return the author's name of each array: db2, or nabla_b[1]; without those that came without one.

    Parameters
    ----------
    answer : what the function returned
    sources : the arrays in it as they came, by quantity, layer and part

    Examples
    --------
    >>> weights, biases = [1.0], [2.0]
    >>> names_of({"dW1": weights}, {("gradient", 1, "weights"): weights, ("gradient", 1, "biases"): biases})
    {('gradient', 1, 'weights'): 'dW1'}
    """
    names = {id(entry): name for name, entry in _named(answer)}
    return {of: names[id(source)] for of, source in sources.items() if id(source) in names}


def _named(answer: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(answer, tuple):
        for entry in answer:
            yield from _named(entry) if isinstance(entry, Mapping) else ()
    if not isinstance(answer, Mapping):
        return
    for name, value in answer.items():
        if isinstance(value, Mapping):
            yield from _named(value)
        elif isinstance(name, str) and name not in PLAIN and not OF_WEIGHTS_ALONE.fullmatch(name.lower()):
            yield name, value
            if isinstance(value, (list, tuple)):
                yield from ((f"{name}[{i}]", entry) for i, entry in enumerate(value))
