"""What users call: compare a hand-written network with autograd."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from comparisons.comparison import Comparison, Measured, distance
from comparisons.measure import Problem, measure, shaped
from comparisons.twin import Quantities, Twin, checked_device, in_order
from handnet import Network
from handnet.activations import FloatArray


def compare(
    network: Network,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    learning_rate: float = 0.5,
    steps: int = 1,
    train_biases: bool = True,
    device: str = "cpu",
    rtol: float | None = None,
    atol: float | None = None,
) -> Comparison:
    """Compare a hand-written network with its torch twin, over training steps in lock-step.

    Parameters
    ----------
    network : a Network, or a subclass that computes some equation its own way; it may be a stack
    inputs, targets : arrays (..., N, m_0) and (..., N, m_L), or one sample each as a vector
    learning_rate : gamma
    steps : how many; each starts both sides from the hand-written network's weights
    train_biases : False leaves the biases as they are
    device : where torch computes, "cpu" or "cuda"
    rtol, atol : a tolerance of your own, atol + rtol |torch|, instead of the derived one

    Raises
    ------
    ValueError, TypeError
        As `Network.backprop`; also if steps is less than 1 or a number is not finite.

    Examples
    --------
    >>> net = Network.random([2, 3, 2], rng=np.random.default_rng(0))
    >>> comparison = compare(net, [0.05, 0.10], [0.01, 0.99])
    >>> comparison.passed
    True
    >>> sorted(set(comparison.frame["quantity"]))
    ['activation', 'cost', 'delta', 'gradient', 'weight']
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}: expected 1 or more")
    options: dict[str, Any] = {"train_biases": train_biases, "device": device, "rtol": rtol, "atol": atol}
    defaults = {"train_biases": True, "device": "cpu", "rtol": None, "atol": None}
    told = "".join(f", {name}={value!r}" for name, value in options.items() if value != defaults[name])
    return compare_batches(
        network,
        repeat((inputs, targets), steps),
        learning_rate=learning_rate,
        replay=f"compare(network, inputs, targets, learning_rate={learning_rate!r}, steps={steps}{told})",
        **options,
    )


def compare_batches(
    network: Network,
    batches: Iterable[tuple[ArrayLike, ArrayLike]],
    *,
    learning_rate: float = 0.5,
    case: str = "",
    replay: str = "",
    **options: Any,
) -> Comparison:
    """Compare over a training on these batches, one step each; the rest as in `compare`.

    Raises
    ------
    ValueError, TypeError
        As `compare`.
    """
    _check_options(learning_rate, **options)
    train_biases = options.get("train_biases", True)
    measured: list[Measured] = []
    training: list[tuple[Any, ...]] = []
    remarks: list[str] = []
    batch = 0
    free: tuple[FloatArray, ...] | None = None
    for step, (inputs, targets) in enumerate(batches, start=1):
        problem = _problem(network, inputs, targets, learning_rate, options)
        batch = max(batch, problem.inputs.shape[-2])
        given, updated = hand_quantities(network, problem)
        given, misshapen = shaped(problem, given)
        rows, twin = measure(problem, given, case=case, step=step)
        measured += rows
        if updated is None:
            remarks += misshapen
            break
        # Torch's own training goes on from its own weights; both started from the same.
        alone = twin
        if free is not None:
            runner = Twin(free, problem.activation, problem.device)
            alone = runner.run(problem.inputs, problem.targets, learning_rate, train_biases)
        free = alone.updated
        network = updated
        pairs = zip(network.weights, free, strict=True)
        drift = max(float(distance(hand.astype(np.float64), torch).max()) for hand, torch in pairs)
        training.append((case, step, float(given["cost", None].mean()), float(alone.cost.mean()), drift))
    return Comparison(
        tuple(measured),
        sizes=network.sizes,
        activation=network.activation,
        dtype=str(network.dtype),
        batch=batch,
        training_rows=tuple(training),
        replay=replay,
        remarks=tuple(remarks),
    )


def hand_quantities(network: Network, problem: Problem) -> tuple[Quantities, Network | None]:
    """Return everything that one pass and one step of the network compute, and the network after it.

    A gradient that has not the shape of its weights allows no step: then there is no network after it. The network
    gets copies, so that what it does to its arguments reaches neither the twin nor the caller.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        result = network.backprop(problem.inputs.copy(), problem.targets.copy())
        keys = [("gradient", l) for l in range(1, len(result.gradients) + 1)]
        fit = all(np.shape(g) == problem.shape(key) for key, g in zip(keys, result.gradients, strict=True))
        gradients = tuple(np.copy(g) for g in result.gradients)
        updated = network.update(gradients, problem.learning_rate, problem.train_biases) if fit else None
    given = in_order(
        result.activations[1:], result.cost, result.deltas, result.gradients, updated.weights if updated else ()
    )
    return given, updated


def _problem(
    network: Network, inputs: ArrayLike, targets: ArrayLike, learning_rate: float, options: dict[str, Any]
) -> Problem:
    if not isinstance(network, Network):
        raise TypeError(f"network is a {type(network).__name__}: expected a handnet.Network; from_torch makes one")
    x = network.checked("inputs", inputs, network.sizes[0])
    t = network.checked("targets", targets, network.sizes[-1])
    if t.shape[-2] != x.shape[-2]:
        raise ValueError(f"targets has {t.shape[-2]} samples, but inputs has {x.shape[-2]}")
    try:
        stack = np.broadcast_shapes(x.shape[:-2], t.shape[:-2], network.stack)
    except ValueError:
        raise ValueError(
            f"leading axes do not broadcast: inputs {x.shape[:-2]}, targets {t.shape[:-2]}, network {network.stack}"
        ) from None
    if abs(learning_rate) > np.finfo(network.dtype).max:
        raise ValueError(f"learning_rate is {learning_rate}: expected a number within {network.dtype}")
    weights = tuple(np.broadcast_to(w, (*stack, *w.shape[-2:])) for w in network.weights)
    return Problem(weights, network.activation, x.copy(), t.copy(), float(learning_rate), **options)


def _check_options(learning_rate: float, **options: Any) -> None:
    if not isinstance(learning_rate, (int, float, np.number)) or not np.isfinite(learning_rate):
        raise ValueError(f"learning_rate is {learning_rate}: expected a finite number")
    for name in ("rtol", "atol"):
        value = options.get(name)
        if value is not None and not 0 <= value < np.inf:
            raise ValueError(f"{name} is {value}: expected a finite number, 0 or more")
    checked_device(options.get("device", "cpu"))
