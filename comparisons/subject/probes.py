"""The questions that `check` asks: networks and samples on which every known mistake shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from itertools import count, islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from comparisons.mistakes.effects import hidden
from comparisons.reference.quantities import THE_NOTES, Problem, Statement
from comparisons.reference.truth import Truth
from handnet import Network, checking
from handnet.activations import FloatArray

# All widths differ, so that a transpose raises; then all are equal, so that it computes and can be named.
UNEQUAL, SQUARE = (2, 5, 4, 3), 4
SAMPLES = 6
QUANTITIES = ("activation", "cost", "delta", "gradient", "weight")
# How often to draw again where some mistake does not show, as where a relu is dead.
DRAWS = 8
# A network with more weights takes long, and is drawn once. No test can see it: the first shows what the others do.
SMALL = 2000
# What is asked once more of code that was right so far: layers, the widest of them, samples, the size of z (a sigmoid
# saturates, and not even e^2z overflows in float32), and how far targets lie from [0, 1].
DEEP, WIDE, MANY, LARGE, FAR = 4, 12, 61, 40.0, 1000.0
# Of such networks of relu four in ten are dead; of 120 seeds none needed more than 9 draws. More would change nothing.
FAR_DRAWS = 32


@dataclass(frozen=True)
class Probe:
    """Some steps of one architecture, the last of which is the first question again.

    Attributes
    ----------
    name : the sizes, 2-5-4-3
    truths : what autograd says of the steps
        Of another number of samples each, one of them of a single sample, unless a number was asked for.
    rates : the learning rate that the implementation is told at each step
    single : of a single sample
    """

    name: str
    truths: tuple[Truth, ...]
    rates: tuple[float, ...]
    single: Truth

    def step_by_step(self) -> Probe:
        """Return the same with a step after each sample."""
        online = {id(truth): Truth(replace(truth.problem, online=True)) for truth in self.truths}
        return replace(self, truths=tuple(online[id(truth)] for truth in self.truths))


@lru_cache(maxsize=64)
def probe(
    sizes: tuple[int, ...],
    activation: str | tuple[str, ...] = "sigmoid",
    batch: int | None = None,
    dtype: Any = np.float64,
    learning_rate: float = 0.5,
    seed: int = 0,
    reduction: str = "mean",
    one_rate: bool = False,
    stated: Statement = THE_NOTES,
    online: bool = False,
) -> Probe:
    """Return the probe of this architecture; the numbers of samples equal no width unless one is given.

    Parameters
    ----------
    one_rate : the same learning rate at each step, for who is not told
    stated : the cost and the like
    online : whether there is a step after each sample

    Raises
    ------
    ValueError
        If the sizes, the activation, the batch or the learning rate make no sense.

    Examples
    --------
    >>> made = probe((3, 5, 2))
    >>> [truth.problem.inputs.shape for truth in made.truths]
    [(6, 3), (7, 3), (1, 3), (6, 3), (6, 3)]
    """
    if batch is not None and batch < 1:
        raise ValueError(f"batch is {batch}: expected 1 or more")
    fewest: tuple[str, ...] | None = None
    draws = DRAWS if sum(m * n for m, n in pairwise(sizes)) <= SMALL else 1
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        net = Network.random(sizes, rng=rng, activation=activation, dtype=dtype, **asdict(stated))
        if abs(learning_rate) > np.finfo(net.dtype).max:
            raise ValueError(f"learning_rate is {learning_rate}: expected a number within {net.dtype}")
        drawn = _drawn(net, rng, batch, learning_rate, reduction, one_rate)
        unseen = hidden([drawn.truths], QUANTITIES)
        # What does not show twice shows never, but where a relu may be dead by chance.
        is_enough = not unseen or (unseen == fewest and "relu" not in net.activation) or (batch == 1 and draw)
        if fewest is None or len(unseen) < len(fewest):
            made, fewest = drawn, unseen
        if is_enough:
            break
    return made.step_by_step() if online else made


def _drawn(
    net: Network, rng: np.random.Generator, batch: int | None, learning_rate: float, reduction: str, one_rate: bool
) -> Probe:
    more = (n for n in range(SAMPLES, SAMPLES + len(net.sizes) + 2) if n not in net.sizes)
    batches = (batch, batch) if batch else (next(more), next(more))
    rates = (learning_rate, learning_rate if one_rate else 0.6 * learning_rate)
    step = partial(_step, reduction=reduction)
    samples = _samples(net, rng, batches[0])
    first = step(net, *samples, rates[0])
    trained = Network(first.run.updated, net.activation, **asdict(stated_by(net)))
    second = step(trained, *_samples(net, rng, batches[1]), rates[1])
    single = step(net, *_samples(net, rng, 1), rates[0])
    # The same samples with other weights, as in full-batch training: an answer kept by its samples is stale.
    again = step(trained, *samples, rates[0])
    between = (second, again) if batch else (second, single, again)
    told = (rates[0], rates[1], *(rates[:1] if not batch else ()), rates[0], rates[0])
    return Probe("-".join(map(str, net.sizes)), (first, *between, first), told, single)


@lru_cache(maxsize=64)
def far_probe(
    activation: str | tuple[str, ...] = "sigmoid",
    dtype: Any = np.float64,
    learning_rate: float = 0.5,
    seed: int = 0,
    reduction: str = "mean",
    stated: Statement = THE_NOTES,
    online: bool = False,
) -> Probe:
    """Return what is rarer: more layers, a wide one, one output; many samples, targets far from [0, 1], a large z.

    Examples
    --------
    >>> made = far_probe()
    >>> made.name, [len(truth.problem.inputs) for truth in made.truths]
    ('3-12-4-5-1', [7, 61, 8, 7])
    """
    layers = DEEP if isinstance(activation, str) else len(activation)
    # A softmax of one output is 1, whatever comes in.
    outputs = 2 if activation[-1] == "softmax" else 1
    sizes = (3, *(WIDE, *range(4, 2 + layers))[: layers - 1], outputs)
    far = FAR if stated.cost.endswith("squared_error") and not online else 0.0
    step = partial(_step, rate=learning_rate, reduction=reduction)
    for draw in range(FAR_DRAWS):
        rng = np.random.default_rng([seed, draw, len(sizes)])
        net = Network.random(sizes, rng=rng, activation=activation, dtype=dtype, **asdict(stated))
        few, large = islice((n for n in count(SAMPLES + 1) if n not in sizes), 2)
        first = step(net, *_samples(net, rng, few))
        # A step after each of very many samples would take long.
        many = step(net, *_samples(net, rng, 2 * large if online else MANY, far))
        inputs, targets = _samples(net, rng, large)
        large_inputs = LARGE / np.abs(inputs @ net.w(1).T).max() * inputs
        saturated = step(net, large_inputs.astype(net.dtype), targets)
        single = step(net, *_samples(net, rng, 1))
        # Of a sigmoid that saturates, log(1 - a) has lost its digits, or is infinite: nobody's mistake.
        asked = (first, many, first) if stated.cost == "binary_cross_entropy" else (first, many, saturated, first)
        made = Probe("-".join(map(str, sizes)), asked, (learning_rate,) * len(asked), single)
        if _tells(first) and _tells(many):
            break
    return made.step_by_step() if online else made


def _tells(truth: Truth) -> bool:
    """Whether zero in the place of any quantity would be wrong, as it is not where all relus of a layer are dead."""
    return all((np.abs(value) > tolerance).any() for value, tolerance in truth.derived.values())


def _samples(net: Network, rng: np.random.Generator, samples: int, far: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Inputs from -1 to 1, and targets from 0 to 1, or as far from there as `far`."""
    inputs = rng.uniform(-1, 1, (samples, net.sizes[0])).astype(net.dtype)
    targets = rng.uniform(-far, 1 + far, (samples, net.sizes[-1]))
    if net.cost_name == "cross_entropy":
        # One class for each sample, as most code has it, but each of them at some time.
        targets = np.eye(net.sizes[-1])[rng.permutation(np.arange(samples) % net.sizes[-1])]
    return inputs, targets.astype(net.dtype)


def _step(net: Network, inputs: FloatArray, targets: FloatArray, rate: float, reduction: str) -> Truth:
    # Where the cost is a sum, its gradient is N times that of the mean, and so is the step.
    rate = rate * (len(inputs) if reduction == "sum" else 1)
    return Truth(Problem(net.weights, net.activation, inputs, targets, rate, stated=stated_by(net)))


def stated_by(network: Network) -> Statement:
    """Return what is stated of a network."""
    return Statement(network.cost_name, network.reduction, network.l2, network.biases)


def problem_of(network: Network, inputs: ArrayLike, targets: ArrayLike) -> Problem:
    """Return what a single network is asked with these samples.

    Raises
    ------
    ValueError, TypeError
        If they do not fit.
    """
    if network.stack:
        raise ValueError(f"network is a stack of shape {network.stack}: expected a single network")
    x = checking.samples("inputs", inputs, network.sizes[0], network.weights[0])
    classes = network.cost_name == "cross_entropy"
    t = checking.targets(targets, network.sizes[-1], network.weights[0], x, classes)
    return Problem(network.weights, network.activation, x, t, stated=stated_by(network))


def network_of(problem: Problem) -> Network:
    """Return the hand-written network of a problem."""
    return Network(problem.weights, problem.activation, **asdict(problem.stated))


def architectures(activation: str | Sequence[str]) -> list[tuple[int, ...]]:
    """Return the sizes to probe where none are asked for: unequal widths, and equal ones.

    Examples
    --------
    >>> architectures("tanh")
    [(2, 5, 4, 3), (4, 4, 4, 4)]
    >>> architectures(["tanh", "sigmoid"])
    [(2, 5, 3), (4, 4, 4)]
    """
    if isinstance(activation, str):
        return [UNEQUAL, square(len(UNEQUAL) - 1)]
    layers = len(activation)
    hidden_widths = [(5, 4)[i] if i < 2 else 5 + i for i in range(layers - 1)]
    return [(UNEQUAL[0], *hidden_widths, UNEQUAL[-1]), square(layers)]


def square(layers: int) -> tuple[int, ...]:
    """Return equal widths for this many layers."""
    return (SQUARE,) * (layers + 1)
