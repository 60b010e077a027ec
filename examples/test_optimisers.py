"""Each hand-written optimiser matches torch.optim over 100 steps, and each mistake that people make in it does not.

A mistake is a line of the optimiser with something else in its place.
"""

import inspect
from functools import partial

import numpy as np
import optimisers
import pytest
import torch
from torch import optim

from comparisons import assert_matches, bounds, check_function

DTYPES = ["float64", "float32"]
STEPS = 100
# Ours, its options, and torch's own.
OPTIMISERS = {
    "sgd": (optimisers.sgd, {}, partial(optim.SGD, lr=0.1, momentum=0.9)),
    "nesterov": (optimisers.sgd, {"nesterov": True}, partial(optim.SGD, lr=0.1, momentum=0.9, nesterov=True)),
    "adam": (optimisers.adam, {}, partial(optim.Adam, lr=1e-3)),
    "adamw": (optimisers.adam, {"decay": 0.1}, partial(optim.AdamW, lr=1e-3, weight_decay=0.1)),
    "rmsprop": (optimisers.rmsprop, {}, partial(optim.RMSprop, lr=1e-2)),
}


def stepped(optimiser):
    """The weights after every step of an optimiser of torch: the reference."""

    def reference(w, gradients):
        steps = optimiser([w.requires_grad_()])
        path = []
        for w.grad in gradients:
            steps.step()
            path.append(w.detach().clone())
        return torch.stack(path)

    return reference


def arguments(dtype):
    """Weights, and gradients so small that epsilon counts."""
    rng = np.random.default_rng(5)
    return rng.standard_normal((4, 3)).astype(dtype), 1e-3 * rng.standard_normal((STEPS, 4, 3)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_matches_torch_over_a_hundred_steps(name, dtype):
    ours, options, torchs = OPTIMISERS[name]
    assert_matches(partial(ours, **options), stepped(torchs), *arguments(dtype), strict=True)


@pytest.mark.parametrize(("dtype", "smallest"), [("float64", 1e-11), ("float32", 5e-3)])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_tolerance_is_still_sharp_after_a_hundred_steps(name, dtype, smallest):
    """It is a small part of what the steps have moved the weights by, though each of them adds its own rounding."""
    w, gradients = arguments(dtype)
    value, guaranteed, expected = bounds(stepped(OPTIMISERS[name][2]), w, gradients)
    moved = np.median(abs(value[-1] - w))
    assert np.median(expected[-1]) < np.median(guaranteed[-1]) < smallest * moved


MISTAKES = {
    "sgd": {
        "no velocity": [("momentum * v + g\n", "g\n")],
        "the gradient dampened": [("momentum * v + g\n", "momentum * v + (1 - momentum) * g\n")],
        "Nesterov's look-ahead where none is": [("if nesterov else v", "if True else v")],
        "uphill": [("w - rate", "w + rate")],
        "the rate twice": [("momentum * v + g\n", "momentum * v + rate * g\n")],
    },
    "nesterov": {
        "the look-ahead left out": [("g + momentum * v if nesterov else v", "v")],
        "the gradient left out of the look-ahead": [("g + momentum * v if nesterov", "momentum * v if nesterov")],
        "the velocity for the gradient": [("g + momentum * v if nesterov", "v + momentum * v if nesterov")],
        "the velocity of the step before": [
            ("v = momentum * v + g\n", "old, v = v, momentum * v + g\n"),
            ("g + momentum * v if", "g + momentum * old if"),
        ],
        "no velocity": [("momentum * v + g\n", "g\n")],
    },
    "adam": {
        "no bias correction": [("m / (1 - beta1**t), v / (1 - beta2**t)", "m, v")],
        "t counted from 0 on": [("start=1", "start=2")],
        "epsilon inside the root": [("np.sqrt(v_hat) + eps", "np.sqrt(v_hat + eps)")],
        "epsilon before the correction": [("np.sqrt(v_hat) + eps", "(np.sqrt(v) + eps) / np.sqrt(1 - beta2**t)")],
        "the gradient not squared": [("g**2", "abs(g)")],
        "beta1 for beta2": [("beta2 * v + (1 - beta2)", "beta1 * v + (1 - beta1)")],
    },
    "adamw": {
        "the decay coupled, as in Adam": [
            ("m = beta1", "g = g + decay * w\n        m = beta1"),
            (" + decay * w)\n        path", ")\n        path"),
        ],
        "the decay left out": [(" + decay * w)", ")")],
        "the decay not multiplied by the rate": [(" + decay * w)", ") - decay * w")],
        "weights that grow": [(" + decay * w)", " - decay * w)")],
        "the decay within the fraction": [("eps) + decay * w)", "eps + decay * w))")],
    },
    "rmsprop": {
        "alpha swapped": [("alpha * v + (1 - alpha)", "(1 - alpha) * v + alpha")],
        "epsilon inside the root": [("np.sqrt(v) + eps", "np.sqrt(v + eps)")],
        "no root": [("np.sqrt(v) + eps", "v + eps")],
        "v begins at 1": [("np.zeros_like(w)", "np.ones_like(w)")],
        "a bias correction": [("np.sqrt(v)", "np.sqrt(v / (1 - alpha ** (len(path) + 1)))")],
    },
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "lines"),
    [(name, lines) for name, mistakes in MISTAKES.items() for lines in mistakes.values()],
    ids=[f"{name}: {mistake}" for name, mistakes in MISTAKES.items() for mistake in mistakes],
)
def test_a_mistake_in_an_optimiser_is_seen(name, lines, dtype):
    ours, options, torchs = OPTIMISERS[name]
    source = inspect.getsource(ours)
    for right, wrong in lines:
        assert source.count(right) == 1
        source = source.replace(right, wrong)
    names = dict(vars(optimisers))
    exec(source, names)
    mistaken = partial(names[ours.__name__], **options)
    assert not check_function(mistaken, stepped(torchs), *arguments(dtype)).passed
