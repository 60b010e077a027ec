"""Many variants side by side, as a stack: each seam once as it should be, and again for those who get it wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.mistakes.seams import NotApplicable, Seams
from comparisons.mistakes.variants import Variant, combined, seams_of
from comparisons.reference.quantities import Problem, Quantities
from handnet.activations import FloatArray

# Mistakes, each with the numbers of the variants that make it.
Groups = list[tuple[type[Seams], NDArray[np.intp]]]


class Lineup:
    """Many variants side by side, step after step: arrays get a leading axis of variants where these differ.

    Each seam is computed for all as it should be, then again for those who get it wrong.

    Attributes
    ----------
    misfits : dict of str
        By the number of the variant: why it cannot be made on this architecture. Its numbers mean nothing.
    """

    def __init__(self, variants: Sequence[Variant]) -> None:
        self.variants = tuple(variants)
        self.misfits: dict[int, str] = {}
        self._gradients: dict[int, FloatArray] = {}
        self._groups: dict[tuple[str, int], Groups] | None = None

    def run(self, problem: Problem, weights: Sequence[FloatArray] | None = None) -> Quantities:
        """Return every quantity of the next step; `weights` may differ from variant to variant.

        Of a problem with a step after each sample, those of the last.
        """
        for one in problem.steps():
            quantities = self._step(one, weights)
            weights = [quantities["weight", l] for l in range(1, len(problem.weights) + 1)]
        return quantities

    def _step(self, problem: Problem, weights: Sequence[FloatArray] | None) -> Quantities:
        quantities = self.aside(problem, weights)
        for i, variant in enumerate(self.variants):
            if "single_precision" in variant.mistakes:  # which is no matter of a seam
                previous = alone({("gradient", l): g for l, g in self._gradients.items()}, i, problem)
                own = combined(variant.mistakes)(problem, None, {l: g for (_, l), g in previous.items() if l}).run()
                quantities = {key: self._with_own(value, i, own[key]) for key, value in quantities.items()}
        self._gradients = {l: quantities["gradient", l] for l in range(1, len(problem.weights) + 1)}
        return quantities

    def _with_own(self, value: FloatArray, i: int, own: FloatArray) -> FloatArray:
        """The numbers of all variants, those of the i-th replaced."""
        value = np.array(value if value.ndim > own.ndim else np.broadcast_to(value, (len(self.variants), *own.shape)))
        value[i] = own
        return value

    def aside(self, problem: Problem, weights: Sequence[FloatArray] | None = None) -> Quantities:
        """Return every quantity of the next step without taking it; targets too may differ from variant to variant."""
        return _Together(self, problem, weights, self._gradients).run()

    def groups(self, seam: str, l: int, top: int) -> Groups:
        """Return the mistakes made at this seam of layer l, each with the numbers of the variants that make it."""
        if self._groups is None:
            self._groups = _grouped(self.variants, top)
        return self._groups.get((seam, l), [])


def _grouped(variants: Sequence[Variant], top: int) -> dict[tuple[str, int], Groups]:
    """The mistakes by the seam and layer where they are made."""
    members: dict[tuple[str, int], dict[tuple[str, ...], list[int]]] = {}
    for i, variant in enumerate(variants):
        for place, names in seams_of(variant, top).items():
            members.setdefault(place, {}).setdefault(names, []).append(i)
    return {
        place: [(combined(names), np.array(mine)) for names, mine in by_names.items()]
        for place, by_names in members.items()
    }


def alone(quantities: Quantities, i: int, problem: Problem) -> Quantities:
    """Return what the i-th variant of a Lineup made of a problem."""
    return {key: value[i] if value.ndim > len(problem.shape(key)) else value for key, value in quantities.items()}


def mistaken_steps(variant: Variant, problems: Sequence[Problem]) -> list[Quantities]:
    """Return every quantity of these steps with the mistakes made, the steps taken one after the other.

    Raises
    ------
    NotApplicable
        If a mistake does not fit the shapes of the network.
    """
    lineup = Lineup([variant])
    steps = [alone(lineup.run(problem), 0, problem) for problem in problems]
    if lineup.misfits:
        raise NotApplicable(lineup.misfits[0])
    return steps


class _Together(Seams):
    """One step of a Lineup."""

    def __init__(
        self,
        lineup: Lineup,
        problem: Problem,
        weights: Sequence[FloatArray] | None,
        previous: Mapping[int, FloatArray],
    ) -> None:
        stack = problem.weights[0].shape[:-2]
        self.lineup, self.axes = lineup, len(stack) + 2
        inputs, targets = (
            array if array.ndim > self.axes else np.broadcast_to(array, (*stack, *array.shape[-2:]))
            for array in (problem.inputs, problem.targets)
        )
        super().__init__(replace(problem, inputs=inputs, targets=targets), weights, previous)

    def at(self, seam: str, l: int, *arguments: FloatArray) -> FloatArray:
        """Compute a seam as it should be for all, and over it the wrong results of those who get it wrong."""
        right = super().at(seam, l, *arguments)
        groups = self.lineup.groups(seam, l, self.top)
        if not groups:
            return right
        axes = self.axes - 2 if seam == "shared_cost" else self.axes
        count = len(self.lineup.variants)
        all_of_them = right.copy() if right.ndim > axes else np.repeat(right[np.newaxis], count, axis=0)
        for kind, members in groups:
            mine = _Taken(members, self.axes)
            one = kind(self.problem, mine.of(self.weights), mine.of(self.previous))
            try:
                wrong = one.at(seam, l, *map(mine, arguments))
                if wrong.shape[wrong.ndim - axes :] != all_of_them.shape[1:]:
                    raise NotApplicable(f"layer {l}: {wrong.shape[-2:]} where {right.shape[-2:]} belongs")
            except ValueError as misfit:
                self.lineup.misfits.update(dict.fromkeys(members.tolist(), str(misfit)))
            else:
                all_of_them[members] = wrong
        return all_of_them


class _Taken:
    """Takes the members' part of an array that has an axis of variants; what all share stays as it is."""

    def __init__(self, members: NDArray[np.intp], axes: int, source: Any = None) -> None:
        self.members, self.axes, self.source = members, axes, source

    def __call__(self, array: FloatArray) -> FloatArray:
        return array[self.members] if array.ndim > self.axes else array

    def of(self, source: Any) -> Any:
        """Take of each array of a sequence or mapping, once it is asked for."""
        return _Taken(self.members, self.axes, source) if source else None

    def __getitem__(self, key: int) -> FloatArray:
        return self(self.source[key])

    def get(self, key: int, default: Any) -> Any:
        return self[key] if key in self.source else default
