"""The named cases that `handnet compare` runs: each a network, its samples step by step, and how to step."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import islice
from typing import Any

import numpy as np

from handnet import Network
from handnet.activations import FloatArray

Batch = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class Case:
    """A comparison with a name.

    Attributes
    ----------
    network : where the training starts
    batches : a function that returns the endless sequence of (inputs, targets), the same at each call
    steps : how many of them to take
    learning_rate, train_biases : of each step
    """

    network: Network
    batches: Callable[[], Iterator[Batch]]
    steps: int
    learning_rate: float = 0.5
    train_biases: bool = True

    def training(self) -> Iterator[Batch]:
        """Return the batches of the case's own steps."""
        return islice(self.batches(), self.steps)


def case(name: str, *, dtype: str = "float64", steps: int | None = None, learning_rate: float | None = None) -> Case:
    """Return a named case, with other steps or another learning rate where they are given.

    Parameters
    ----------
    name : one of CASES
    dtype : "float32" or "float64"

    Raises
    ------
    ValueError
        If the name is unknown, or steps is less than 1.

    Examples
    --------
    >>> case("digits").network
    Network(64-32-10, sigmoid sigmoid, float64)
    """
    if name not in CASES:
        raise ValueError(f"case {name!r} is unknown: expected one of {', '.join(CASES)}")
    if steps is not None and steps < 1:
        raise ValueError(f"steps is {steps}: expected 1 or more")
    made = CASES[name](np.dtype(dtype).type)
    made = made if steps is None else replace(made, steps=steps)
    return made if learning_rate is None else replace(made, learning_rate=learning_rate)


def always(inputs: Any, targets: Any) -> Callable[[], Iterator[Batch]]:
    """Return batches that are all the samples, at every step."""
    batch = (np.asarray(inputs, np.float64), np.asarray(targets, np.float64))

    def batches() -> Iterator[Batch]:
        while True:
            yield batch

    return batches


def note(dtype: Any) -> Case:
    """The note's 2-2-2 network with fixed numbers, all different so that no mix-up goes unseen."""
    w1 = np.array([[0.31, -0.42], [-0.53, 0.64], [0.15, -0.26]], dtype)
    w2 = np.array([[0.75, 0.86], [-0.97, 0.18], [0.29, -0.34]], dtype)
    return Case(Network([w1, w2]), always([[0.35, 0.9]], [[0.25, 0.8]]), steps=10)


def step_by_step(dtype: Any) -> Case:
    """The step-by-step example of mattmazur.com (2015-03-17), the note's first reference: biases stay as they are."""
    w1 = np.array([[0.15, 0.25], [0.20, 0.30], [0.35, 0.35]], dtype)
    w2 = np.array([[0.40, 0.50], [0.45, 0.55], [0.60, 0.60]], dtype)
    return Case(Network([w1, w2]), always([[0.05, 0.10]], [[0.01, 0.99]]), steps=2, train_biases=False)


def xor(dtype: Any) -> Case:
    """Exclusive or: four samples, three hidden nodes."""
    network = Network.random([2, 3, 1], rng=np.random.default_rng(1), dtype=dtype)
    inputs = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    return Case(network, always(inputs, [[0.0], [1.0], [1.0], [0.0]]), steps=50, learning_rate=2.0)


def digits(dtype: Any) -> Case:
    """Real data: UCI handwritten digits, minibatches of 32, two epochs."""
    inputs, targets = load_digits()
    size = 32

    def batches() -> Iterator[Batch]:
        rng = np.random.default_rng(2)
        while True:
            order = rng.permutation(len(inputs))
            for start in range(0, len(order), size):
                yield inputs[order[start : start + size]], targets[order[start : start + size]]

    network = Network.random([64, 32, 10], rng=np.random.default_rng(2), dtype=dtype)
    return Case(network, batches, steps=2 * -(-len(inputs) // size))


def wide(dtype: Any) -> Case:
    """784-256-10 on random samples: long inner products."""
    return _random_case([784, 256, 10], "sigmoid", 64, dtype, steps=3)


def deep(dtype: Any) -> Case:
    """Ten layers: errors have far to travel."""
    return _random_case([8, 12, 11, 10, 9, 8, 9, 10, 11, 12, 5], "tanh", 16, dtype, steps=5, learning_rate=0.1)


def saturated(dtype: Any) -> Case:
    """Weights of size 40: activations so near 0 or 1 that 1 - a is all rounding."""
    made = _random_case([6, 8, 7, 3], "sigmoid", 12, dtype, steps=3)
    rng = np.random.default_rng(4)
    weights = [rng.choice([-40.0, 40.0], w.shape).astype(dtype) for w in made.network.weights]
    return replace(made, network=Network(weights))


def mixed(dtype: Any) -> Case:
    """Another activation in every layer."""
    return _random_case([5, 9, 8, 7, 3], ("tanh", "relu", "identity", "sigmoid"), 20, dtype, steps=10)


CASES: dict[str, Callable[[Any], Case]] = {
    "note": note,
    "step-by-step": step_by_step,
    "xor": xor,
    "digits": digits,
    "wide": wide,
    "deep": deep,
    "saturated": saturated,
    "mixed": mixed,
}


def _random_case(
    sizes: list[int],
    activation: str | tuple[str, ...],
    samples: int,
    dtype: Any,
    *,
    steps: int,
    learning_rate: float = 0.5,
) -> Case:
    rng = np.random.default_rng(3)
    network = Network.random(sizes, rng=rng, activation=activation, dtype=dtype)
    batch = (rng.uniform(-1, 1, (samples, sizes[0])), rng.uniform(0, 1, (samples, sizes[-1])))
    return Case(network, always(*batch), steps, learning_rate)


def load_digits() -> Batch:
    """Return the 1,797 digits: pixels (1797, 64) from 0 to 1, and the digit as targets (1797, 10) of 0 and 1."""
    with (files("comparisons") / "data" / "digits.csv.gz").open("rb") as packed, gzip.open(packed, "rt") as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1)
    return table[:, 1:] / 16, np.eye(10)[table[:, 0].astype(int)]
