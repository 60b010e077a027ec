"""Which mistakes are made, and in which layers: one alone, or two together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from comparisons.mistakes.known import MISTAKES
from comparisons.mistakes.seams import SEAMS, Seams
from comparisons.reference.quantities import THE_NOTES, Key, Problem, Statement


@cache
def overridden(name: str) -> frozenset[str]:
    """Return the seams that a mistake overrides."""
    return frozenset(seam for seam in SEAMS if getattr(MISTAKES[name], seam) is not getattr(Seams, seam))


@cache
def combined(names: tuple[str, ...]) -> type[Seams]:
    """Return the Seams with all of these mistakes made, by inheritance."""
    return type("And".join(MISTAKES[name].__name__ for name in names), tuple(MISTAKES[name] for name in names), {})


@dataclass(frozen=True)
class Variant:
    """One mistake or several, and where.

    Attributes
    ----------
    mistakes : tuple of ids of MISTAKES
    placement : "everywhere", "hidden", or "layer 2"
    factor : of all that the cost is differentiated by, in words: "-2 N"; empty where there is none
    digits : how many the numbers have in common with those of the mistakes, where these are few; else 0
    """

    mistakes: tuple[str, ...]
    placement: str = "everywhere"
    factor: str = ""
    digits: int = 0

    def __str__(self) -> str:
        where = "" if self.placement == "everywhere" else f" ({self.placement})"
        return (f"{self.factor} times " if self.factor else "") + " + ".join(self.mistakes) + where

    def layers(self, top: int) -> Sequence[int]:
        """Return the layers in which it is made, in a network of `top` layers."""
        if self.placement == "hidden":
            return range(1, top)
        return range(1, top + 1) if self.placement == "everywhere" else (int(self.placement.removeprefix("layer ")),)

    def computes(self, top: int) -> frozenset[Key]:
        """Return the quantities that the overridden seams are a part of, in a network of `top` layers."""
        return frozenset((SEAMS[seam], None if SEAMS[seam] == "cost" else l) for seam, l in seams_of(self, top))


@cache
def seams_of(variant: Variant, top: int) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return the mistakes of the variant by the seam and layer where they are made, in a network of `top` layers."""
    by_seam: dict[tuple[str, int], tuple[str, ...]] = {}
    for name in variant.mistakes:
        for seam in overridden(name):
            for l in variant.layers(top):
                by_seam[seam, l] = (*by_seam.get((seam, l), ()), name)
    return by_seam


@cache
def applicable(stated: Statement = THE_NOTES, activation: tuple[str, ...] = ("sigmoid",)) -> tuple[str, ...]:
    """Return the mistakes that can be made in a network of this kind; by default the note's."""
    return tuple(name for name, kind in MISTAKES.items() if kind.applies(stated, activation))


def alone_in(problem: Problem) -> tuple[Variant, ...]:
    """Return each mistake that can be made in a network of this kind, made everywhere."""
    return tuple(Variant((name,)) for name in applicable(problem.stated, problem.activation))


def singles(top: int, names: Sequence[str] | None = None) -> Iterator[Variant]:
    """Every mistake alone: everywhere, in the hidden layers only, in one layer; the simplest first.

    Parameters
    ----------
    top : how many layers there are
    names : of the mistakes; by default of those that can be made in the note's network
    """
    names = applicable() if names is None else names
    yield from (Variant((name,)) for name in names)
    by_layer = [name for name in names if name not in ("single_precision", "first_layer_not_trained")]
    yield from (Variant((name,), "hidden") for name in by_layer if top > 2)
    yield from (Variant((name,), f"layer {l}") for l in range(1, top + 1) for name in by_layer if top > 1)


def pairs(names: Sequence[str] | None = None) -> Iterator[Variant]:
    """Every two that combine, but for two in the cost of which one is in nothing else: it would mend the other."""
    names = [name for name in (applicable() if names is None else names) if MISTAKES[name].combines]
    in_cost = {name for name in names if "shared_cost" in overridden(name)}
    alone = {name for name in in_cost if len(overridden(name)) == 1}
    return (Variant(pair) for pair in combinations(names, 2) if not (in_cost >= {*pair} and alone & {*pair}))
