"""What an implementation was asked, step after step, and what it answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from comparisons.reference.quantities import Key, Quantities
from comparisons.reference.truth import Pair, Truth
from handnet.activations import FloatArray

# What its author calls an array of an answer, by quantity, layer and, of gradients and steps, "weights" or "biases".
Called = Mapping[tuple[str, int | None, str], str]


@dataclass(frozen=True)
class Trial:
    """What an implementation was asked, one step after the other, and what it answered.

    Attributes
    ----------
    truths : what autograd says of each step
    actual : the answer to each step
    case, step : as they are recorded with the verdicts; step is the number of the first
    misshapen : keys whose answer had another shape and therefore says nothing
    turned : keys whose weights came transposed
    layout : of the implementation's own arrays, those here are always the note's; empty of a Network
    called : what its author calls the arrays of the answer
    summed : whether the implementation sums its cost over the samples; the numbers here are always those of the mean
    """

    truths: tuple[Truth, ...]
    actual: tuple[Quantities, ...]
    case: str = ""
    step: int = 1
    misshapen: frozenset[Key] = frozenset()
    turned: frozenset[Key] = frozenset()
    layout: str = ""
    summed: bool = False
    called: Called = field(default_factory=dict)

    @property
    def stack_axes(self) -> int:
        """How many leading axes the networks have."""
        return len(self.truths[0].problem.shape(("cost", None)))

    @property
    def has_other_shapes(self) -> bool:
        """Whether something came in another shape, or transposed."""
        return bool(self.misshapen or self.turned)

    def answers(self) -> Iterator[tuple[int, Key, FloatArray, Pair]]:
        """Step, key, answer, and autograd's value with the tolerance to tell mistakes by, of all to compare."""
        for step, (truth, actual) in enumerate(zip(self.truths, self.actual, strict=True)):
            for key in actual:
                if key not in self.misshapen:
                    yield step, key, actual[key], truth.telling[key]

    def then(self, later: Trial) -> Trial:
        """Return the steps of both."""
        return replace(
            self,
            truths=self.truths + later.truths,
            actual=self.actual + later.actual,
            misshapen=self.misshapen | later.misshapen,
            turned=self.turned | later.turned,
        )

    def where(self, kept: Callable[[Key], bool]) -> Trial:
        """Return the trial as if only these quantities had been given."""
        return replace(self, actual=tuple({k: value for k, value in step.items() if kept(k)} for step in self.actual))

    def of_first_step(self) -> Trial:
        """Return the first step alone."""
        return replace(self, truths=self.truths[:1], actual=self.actual[:1])

    def of_last_step(self) -> Trial:
        """Return the last step alone."""
        return replace(self, truths=self.truths[-1:], actual=self.actual[-1:], step=self.step + len(self.actual) - 1)

    def of_single_samples(self) -> Trial:
        """Return the first step with a single sample alone; nothing where there is none."""
        at = next((i for i, truth in enumerate(self.truths) if len(truth.problem.inputs) == 1), len(self.truths))
        return replace(self, truths=self.truths[at : at + 1], actual=self.actual[at : at + 1], step=self.step + at)

    def of_network(self, network: tuple[int, ...]) -> Trial:
        """Return the trial of one network of a stack."""
        truths = tuple(Truth(truth.problem.of_network(network)) for truth in self.truths)
        actual = tuple({key: value[network] for key, value in step.items()} for step in self.actual)
        return replace(self, truths=truths, actual=actual)
