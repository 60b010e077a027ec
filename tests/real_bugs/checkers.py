"""What else people check with: torch's gradcheck and np.allclose with their defaults, and a loss that falls.

An answer of another shape counts as noticed by all of them.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from comparisons.mistakes.effects import targets_for
from comparisons.reference.quantities import Problem, Statement
from comparisons.reference.truth import Truth
from comparisons.subject.implementation import Implementation
from handnet import Network

from .bugs import Bug

SAMPLES, STEPS, RATE = 6, 30, 0.1
SIZES = {2: (2, 5, 3), 3: (2, 5, 4, 3)}


class Checkers:
    """A function beside what people check with, each of which notices a mistake or does not.

    Parameters
    ----------
    bug : whose function
    mended : the function before or after its mend
    samples : as many as the function is tried on, unless it takes another number alone
    """

    def __init__(self, bug: Bug, mended: bool, samples: int = SAMPLES) -> None:
        options = bug.options
        self.samples = options.get("batch", samples)
        biases = options.get("biases", True)
        stated = Statement(options.get("cost", "half_squared_error"), l2=options.get("l2", 0.0), biases=biases)
        activation = options.get("activation", "sigmoid")
        sizes = options.get("sizes") or SIZES[3 if isinstance(activation, str) else len(activation)]
        rng = np.random.default_rng(3)
        self.network = Network.random(sizes, rng=rng, activation=activation, **asdict(stated))
        inputs = rng.standard_normal((self.samples, sizes[0]))
        targets = targets_for(stated, rng, (self.samples, sizes[-1]))
        self.problem = Problem(self.network.weights, self.network.activation, inputs, targets, RATE, stated=stated)
        self.implementation = Implementation(bug.written(mended), options.get("layout", "note"), biases=biases)

    def answer(self, weights: Any) -> tuple[float | None, list[Any]]:
        """Its cost, where it gives one, and its gradients, or what its step comes to."""
        problem = replace(self.problem, weights=tuple(weights))
        given = self.implementation.ask(problem, RATE).actual
        layers = range(1, len(weights) + 1)
        if ("gradient", 1) in given:
            found = [given["gradient", l] for l in layers]
        else:
            found = [(weights[l - 1] - given["weight", l]) / RATE for l in layers]
        cost = given.get(("cost", None))
        return None if cost is None else float(cost), found

    def cost(self, weights: Any) -> float:
        """The cost that is meant."""
        network = Network(weights, self.network.activation, **asdict(self.problem.stated))
        return float(network.backprop(self.problem.inputs, self.problem.targets).cost)

    def misshapen(self) -> bool:
        """Whether some gradient has another shape than its weights."""
        return not all(np.isfinite(g).all() for g in self.answer(self.network.weights)[1])

    def gradcheck_notices(self) -> bool:
        """Whether torch.autograd.gradcheck, with its defaults, refuses the gradients."""
        checkers = self
        if self.misshapen():
            return True

        class Cost(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *weights: torch.Tensor) -> torch.Tensor:
                arrays = [w.detach().numpy() for w in weights]
                own, ctx.gradients = checkers.answer(arrays)
                return torch.tensor(checkers.cost(arrays) if own is None else own, dtype=torch.float64)

            @staticmethod
            def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, ...]:
                return tuple(torch.tensor(g) * upstream[0] for g in ctx.gradients)

        weights = [torch.tensor(w, requires_grad=True) for w in self.network.weights]
        return not torch.autograd.gradcheck(Cost.apply, weights, raise_exception=False)

    def allclose_notices(self) -> bool:
        """Whether np.allclose, with its defaults, tells the gradients from autograd's."""
        right = Truth(self.problem).run.gradients
        found = self.answer(self.network.weights)[1]
        return not all(np.allclose(g, r) for g, r in zip(found, right, strict=True))

    def loss_notices(self) -> bool:
        """Whether the cost does not fall in some steps of gradient descent."""
        if self.misshapen():
            return True
        weights = list(self.network.weights)
        start = self.cost(weights)
        for _ in range(STEPS):
            weights = [w - RATE * g for w, g in zip(weights, self.answer(weights)[1], strict=True)]
        return not self.cost(weights) < start
