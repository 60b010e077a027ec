"""What users call: a hand-written network, or anybody's function, beside autograd."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from itertools import repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from comparisons.diagnosis.diagnose import Diagnosis, diagnose
from comparisons.diagnosis.examination import Setting, examined
from comparisons.mistakes.effects import blind
from comparisons.reference.quantities import Key, Problem, Quantities, Statement, in_order
from comparisons.reference.truth import Truth, find_together
from comparisons.reference.twin import TwinPass, checked_device
from comparisons.subject.arguments import arguments_of
from comparisons.subject.implementation import Implementation, met_half_way
from comparisons.subject.probes import stated_by
from comparisons.subject.reading import ImplementationError, plain
from comparisons.subject.unasked import never_asked
from comparisons.verdict.comparison import Comparison
from comparisons.verdict.distance import distance
from comparisons.verdict.judging import measure, one_line_each, shaped
from comparisons.verdict.measured import Measured
from comparisons.verdict.trial import Trial
from handnet import Network, Pass, checking


def compare(
    network: Network,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    learning_rate: float = 0.5,
    steps: int = 1,
    train_biases: bool = True,
    device: str | torch.device = "cpu",
    rtol: float | None = None,
    atol: float | None = None,
    strict: bool = False,
) -> Comparison:
    """Compare a hand-written network with its torch twin, over training steps in lock-step.

    Parameters
    ----------
    network : a Network, or a subclass that computes some equation its own way; it may be a stack
    inputs, targets : arrays or tensors (..., N, m_0) and (..., N, m_L), or one sample each as a vector
    learning_rate : gamma
    steps : how many; each starts both sides from the hand-written network's weights
    train_biases : False leaves the biases as they are
    device : where torch computes, "cpu" or "cuda"
    rtol, atol : a tolerance of your own, atol + rtol |torch|, instead of the derived one
    strict : whether a `suspect` number fails too: its error is larger than rounding is expected to cause

    Raises
    ------
    ValueError, TypeError
        As `Network.backprop`; also if steps is less than 1, a number is not finite, or an option is unknown.

    Examples
    --------
    >>> net = Network.random([2, 3, 2], rng=np.random.default_rng(0))
    >>> comparison = compare(net, [0.05, 0.10], [0.01, 0.99])
    >>> comparison.passed
    True
    >>> "batch_sum" in comparison.blind  # one sample cannot show what goes wrong with several
    True
    """
    checking.count("steps", steps)
    device = str(checked_device(device))
    options: dict[str, Any] = {"train_biases": train_biases, "device": device, "rtol": rtol, "atol": atol}
    told = _told({**options, "strict": strict}, compare)
    return compare_batches(
        network,
        repeat((inputs, targets), steps),
        learning_rate=learning_rate,
        replay=f"compare(network, inputs, targets, learning_rate={learning_rate!r}, steps={steps}{told})",
        strict=strict,
        **options,
    )


def compare_batches(
    network: Network,
    batches: Iterable[tuple[ArrayLike, ArrayLike]],
    *,
    learning_rate: float = 0.5,
    case: str = "",
    replay: str = "",
    strict: bool = False,
    **options: Any,
) -> Comparison:
    """Compare over a training on these batches, one step each; the rest as in `compare`.

    Raises
    ------
    ValueError, TypeError
        As `compare`.
    """
    checking.yes_or_no("strict", strict)
    with np.errstate(all="ignore"):
        return _compared(network, batches, learning_rate, case, replay, strict, options)


def _compared(
    network: Network,
    batches: Iterable[tuple[ArrayLike, ArrayLike]],
    learning_rate: float,
    case: str,
    replay: str,
    strict: bool,
    options: dict[str, Any],
) -> Comparison:
    _check_options(learning_rate, **options)
    measured: list[Measured] = []
    training: list[tuple[Any, ...]] = []
    misshapen: list[tuple[Key, str]] = []
    diagnosis: Diagnosis | None = None
    first: Trial | None = None  # the first two steps, which show what the data can
    last: Trial | None = None  # this step, and the one before
    truths: list[Truth] = []
    alone: TwinPass | None = None  # torch's own training, which goes on from its own weights
    for step, (inputs, targets) in enumerate(batches, start=1):
        problem = _problem(network, inputs, targets, learning_rate, options)
        raw, updated = hand_quantities(network, problem)
        actual, misfits = shaped(problem, raw)
        misshapen += misfits.items()
        truth = Truth(problem)
        truths.append(truth)
        rows = measure(truth, actual, case=case, step=step)
        measured += rows
        trial = Trial((truth,), (actual,), case, step, frozenset(misfits))
        first = trial if first is None else first.then(trial) if step == 2 else first
        last = trial if last is None else last.of_last_step().then(trial)
        if diagnosis is None and any(m.is_wrong for m in rows):
            diagnosis = diagnose([last], measured)
        if updated is None:
            break
        network = updated
        alone = truth.run if alone is None else truth.run_from(alone.updated)
        pairs = zip(network.weights, alone.updated, strict=True)
        drift = max(float(distance(hand.astype(np.float64), torch).max()) for hand, torch in pairs)
        training.append((case, step, float(actual["cost", None].mean()), float(alone.cost.mean()), drift))
    find_together(truths)
    return Comparison(
        tuple(measured),
        sizes=network.sizes,
        activation=network.activation,
        dtype=str(network.dtype),
        training_rows=tuple(training),
        replay=replay,
        diagnosis=diagnosis,
        findings=tuple(one_line_each((key[0], "", key[1], text) for key, text in misshapen)),
        misshapen=frozenset(key for key, _ in misshapen),
        problems={(case, 1): first.truths[0].problem} if first else {},
        find_blind=partial(blind, [first]) if first else tuple,
        strict=strict,
    )


def check(
    backprop: Callable[..., Any],
    *,
    layout: str | None = None,
    biases: bool = True,
    activation: str | Sequence[str] = "sigmoid",
    cost: str = "half_squared_error",
    reduction: str = "mean",
    l2: float = 0.0,
    online: bool = False,
    sizes: Sequence[int] | None = None,
    batch: int | None = None,
    dtype: Any = np.float64,
    learning_rate: float = 0.5,
    seed: int = 0,
    strict: bool = False,
) -> Comparison:
    """Check somebody's own backpropagation on probes that expose the known mistakes.

    Parameters
    ----------
    backprop : function of (weights, inputs, targets), or one that also takes learning_rate; or a class
        It returns the gradients, one per layer, or a mapping or object with any of activations, cost, deltas,
        gradients, updated. An object with such a method will do.
    layout : None finds it by trying, and says what it found; "note": W (m + 1, n), the last row the biases, samples in
        rows; "rows": pairs (W (m, n), b (n,)), samples in rows; "linear": pairs (W (n, m), b (n,)), samples in rows,
        as torch.nn.Linear; "columns": pairs (W (n, m), b (n, 1)), samples in columns, as most textbooks;
        "bias_first" and "bias_last": W (n, m + 1)
    biases : False if it has none, and is to be given plain W
    sizes : m_0 .. m_L, if it works for these alone; by default a network of unequal widths, a square one, and, where
        these are right, a deeper and wider one with one output, many samples, saturation and targets far off
    activation : one name, or one per layer
    batch : samples of a probe; by default a number that equals no width
    cost, l2 : of its cost, as of a `handnet.Network`
    reduction : "mean", or "sum" if its cost is the sum over the samples
    online : True if it steps after each sample, in order: the weights after the last are compared, and all else that
        it returns where there is one sample
    dtype : of the weights and samples it is given
    learning_rate, seed : of the probes
    strict : whether a `suspect` number fails too: its error is larger than rounding is expected to cause

    Raises
    ------
    ValueError, TypeError
        If an option makes no sense. What the function raises is a finding, not an error.

    Examples
    --------
    >>> def backprop(weights, inputs, targets):
    ...     net = Network(weights)
    ...     return net.backprop(inputs, targets).gradients
    >>> check(backprop).passed
    True
    >>> def doubled(weights, inputs, targets):
    ...     return [2 * g for g in backprop(weights, inputs, targets)]
    >>> check(doubled).diagnosis.mistakes
    ('no_half',)
    """
    options = {
        "layout": layout,
        "biases": biases,
        "activation": activation,
        "cost": cost,
        "reduction": reduction,
        "l2": l2,
        "online": online,
        "sizes": sizes,
        "batch": batch,
        "dtype": dtype,
        "learning_rate": learning_rate,
        "seed": seed,
        "strict": strict,
    }
    return checked(backprop, options, _call_of_check)


def checked(
    backprop: Callable[..., Any], options: Mapping[str, Any], written: Callable[[str, Mapping[str, Any]], str]
) -> Comparison:
    """Check somebody's own backpropagation, as `check` does.

    Parameters
    ----------
    options : all options of `check`, by name
    written : writes how to check it with these options: a call of `check` of the function's name, or a command
    """
    try:
        implementation, setting = _posed(backprop, options, written)
    except ImplementationError as failure:
        dtype = str(np.dtype(options["dtype"]))
        return Comparison((), sizes=(), activation=(), dtype=dtype, findings=(str(failure),))
    with np.errstate(all="ignore"):
        examination = examined(implementation, setting)
    problem = examination.problem
    return Comparison(
        tuple(m for session in examination.sessions for m in session.measured),
        sizes=problem.sizes,
        activation=problem.activation,
        dtype=str(setting.dtype),
        replay=setting.call({}),
        diagnosis=examination.diagnosis,
        findings=examination.findings,
        remarks=examination.remarks,
        problems={
            (session.probe.name, step): truth.problem
            for session in examination.sessions
            for step, truth in enumerate(session.probe.truths, start=1)
        },
        find_blind=partial(blind, examination.usual),
        misshapen=frozenset(key for trial in examination.trials for key in trial.misshapen),
        never_asked=never_asked(examination.questions) if examination.is_right else "",
        strict=options["strict"],
    )


def pose(**options: Any) -> None:
    """Make the questions that `check` would ask, whoever is asked, and so check its options.

    Raises
    ------
    ValueError, TypeError
        If one of them makes no sense.
    """

    def anybody(weights: Any, inputs: Any, targets: Any) -> None:
        """It is never called."""

    defaults = {name: parameter.default for name, parameter in _parameters(check).items() if name != "backprop"}
    _, setting = _posed(anybody, {**defaults, **options}, _call_of_check)
    for sizes in setting.shapes:
        setting.probe(sizes)


def _posed(
    backprop: Callable[..., Any], options: Mapping[str, Any], written: Callable[[str, Mapping[str, Any]], str]
) -> tuple[Implementation, Setting]:
    """Who is asked, and what."""
    for name in ("biases", "strict", "online"):
        checking.yes_or_no(name, options[name])
    sizes, batch, rate = options["sizes"], options["batch"], options["learning_rate"]
    cost, reduction, l2, online = (options[name] for name in ("cost", "reduction", "l2", "online"))
    biases, layout, activation = (options[name] for name in ("biases", "layout", "activation"))
    adapter = None
    dtype = np.dtype(options["dtype"])
    if isinstance(backprop, type) and not arguments_of(backprop).weights_by_name:
        if layout is not None:
            raise ValueError(f"layout is {layout!r}: a class shows its own, expected None")
        backprop = adapter = met_half_way(backprop)
    has_biases, kept = (biases and adapter.layout.biases, adapter.layout.name) if adapter else (biases, layout)
    implementation = Implementation(backprop, kept or "note", reduction, has_biases)
    _check_options(rate)
    if batch is not None:
        checking.count("batch", batch)
    names = activation if isinstance(activation, str) else tuple(activation)
    # A sum is N times the mean, but for a penalty, which is no sum over the samples.
    stated = Statement(cost, reduction if l2 else "mean", l2, has_biases)
    summed = "mean" if l2 or online else reduction
    shape = None if sizes is None else _whole(sizes)
    as_given = {**options, "activation": names, "sizes": shape, "dtype": str(dtype)}

    def call(instead: Mapping[str, Any]) -> str:
        return written(implementation.name, {**as_given, **instead})

    if adapter and sizes is None:
        shape = adapter.sizes
        names = (activation,) * adapter.depth if isinstance(activation, str) and adapter.depth else names
    setting = Setting(
        activation=names,
        stated=stated,
        online=online,
        reduction=summed,
        layout=kept,
        sizes=shape,
        batch=batch,
        dtype=dtype,
        rate=float(rate),
        seed=options["seed"],
        one_rate=not implementation.takes_rate,
        call=call,
    )
    return implementation, setting


def assert_matches_autograd(
    subject: Network | Callable[..., Any],
    inputs: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    **options: Any,
) -> None:
    """Raise MismatchError, with the diagnosis as its message, unless the subject matches autograd.

    Parameters
    ----------
    subject : a Network, compared on these inputs and targets, or a function, put to `check`
    options : those of `compare` or `check`

    Raises
    ------
    MismatchError
        An AssertionError, so that pytest shows it as a failed test.
    ValueError, TypeError
        If the arguments make no sense.

    Examples
    --------
    >>> net = Network.random([2, 3, 1], rng=np.random.default_rng(0))
    >>> assert_matches_autograd(net, [0.5, -0.5], [1.0])
    """
    __tracebackhide__ = True
    if isinstance(subject, Network):
        if inputs is None or targets is None:
            raise TypeError("a Network needs inputs and targets")
        comparison = compare(subject, inputs, targets, **options)
    elif inputs is not None or targets is not None:
        raise TypeError("a function is put to probes of its own: expected no inputs and targets")
    else:
        comparison = check(subject, **options)
    comparison.assert_close()


def _told(options: Mapping[str, Any], function: Callable[..., Any]) -> str:
    """The options that are not the function's default, as they are written in a call."""
    defaults = _parameters(function)
    others = {name: value for name, value in options.items() if value != defaults[name].default}
    return "".join(f", {name}={value!r}" for name, value in others.items())


def _call_of_check(name: str, options: Mapping[str, Any]) -> str:
    dtype = np.float64 if options["dtype"] == "float64" else options["dtype"]
    return f"check({name}{_told({**options, 'dtype': dtype}, check)})"


@cache
def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _whole(sizes: Sequence[int]) -> tuple[int, ...]:
    if isinstance(sizes, str) or not all(isinstance(size, (int, np.integer)) for size in sizes):
        raise ValueError(f"sizes is {sizes!r}: expected whole numbers, like (3, 5, 2)")
    return tuple(map(int, sizes))


def hand_quantities(network: Network, problem: Problem) -> tuple[Quantities, Network | None]:
    """Return everything that one pass and one step of the network compute, and the network after it.

    A gradient that has not the shape of its weights allows no step: then there is no network after it. The network
    gets copies, so that what it does to its arguments reaches neither the twin nor the caller.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        result = network.backprop(problem.inputs.copy(), problem.targets.copy())
        _check_counts(result, len(problem.weights))
        keys = [("gradient", l) for l in range(1, len(result.gradients) + 1)]
        fit = all(np.shape(g) == problem.shape(key) for key, g in zip(keys, result.gradients, strict=True))
        gradients = tuple(np.copy(g) for g in result.gradients)
        updated = network.update(gradients, problem.learning_rate, problem.train_biases) if fit else None
    actual = in_order(
        result.activations[1:], result.cost, result.deltas, result.gradients, updated.weights if updated else ()
    )
    return actual, updated


def _check_counts(result: Pass, top: int) -> None:
    expected = {"activations": top + 1, "deltas": top, "gradients": top}
    for name, count in expected.items():
        part = getattr(result, name)
        if not isinstance(part, (tuple, list)) or len(part) != count:
            returned = f"{len(part)} {name}" if isinstance(part, (tuple, list)) else f"{name} {part!r}"
            raise ValueError(f"backprop returned {returned}: expected {count}, one per layer")


def _problem(
    network: Network, inputs: ArrayLike, targets: ArrayLike, learning_rate: float, options: dict[str, Any]
) -> Problem:
    if not isinstance(network, Network):
        raise TypeError(f"network is a {type(network).__name__}: expected a handnet.Network; from_torch makes one")
    x = checking.samples("inputs", plain(inputs), network.sizes[0], network.weights[0])
    classes = network.cost_name == "cross_entropy"
    t = checking.targets(plain(targets), network.sizes[-1], network.weights[0], x, classes)
    try:
        stack = np.broadcast_shapes(x.shape[:-2], t.shape[:-2], network.stack)
    except ValueError:
        raise ValueError(
            f"leading axes do not broadcast: inputs {x.shape[:-2]}, targets {t.shape[:-2]}, network {network.stack}"
        ) from None
    if abs(learning_rate) > np.finfo(network.dtype).max:
        raise ValueError(f"learning_rate is {learning_rate}: expected a number within {network.dtype}")
    weights = tuple(np.broadcast_to(w, (*stack, *w.shape[-2:])) for w in network.weights)
    stated = stated_by(network)
    return Problem(weights, network.activation, x.copy(), t.copy(), float(learning_rate), stated=stated, **options)


def _check_options(learning_rate: float, **options: Any) -> None:
    checking.rate(learning_rate)
    for name in ("rtol", "atol"):
        value = options.get(name)
        if value is not None and not (isinstance(value, (int, float, np.number)) and 0 <= value < np.inf):
            raise ValueError(f"{name} is {value!r}: expected a finite number, 0 or more")
    checking.yes_or_no("train_biases", options.get("train_biases", True))
    checked_device(options.get("device", "cpu"))
