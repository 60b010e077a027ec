"""Why printed numbers are wrong: one cause for the page, then for each number; and none that chance would give.

A cause is a known mistake, another statement or learning rate, an update from another weight, a layer that is not
activated, rounding on the way, or a slip of arithmetic. Each says what the numbers would be; those that are as printed
it explains. By chance it would explain some too: how many is reckoned, and what is more likely than one in ten counts
for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from comparisons.mistakes.effects import effects
from comparisons.mistakes.known import narrowed
from comparisons.mistakes.lineup import Lineup
from comparisons.mistakes.seams import Seams
from comparisons.mistakes.variants import Variant, alone_in, overridden, pairs, singles
from comparisons.reference.quantities import Problem, Quantities
from comparisons.reference.truth import Truth
from comparisons.studies.conventions import FIRST_STEPS, Reading, differences, rates, statements, with_rate
from comparisons.studies.examples import Example
from comparisons.studies.given import follows_from, hanging_together
from comparisons.studies.numbers import UNITS, Judged, Recomputing, recomputed
from comparisons.studies.slips import slips
from comparisons.verdict.distance import distance
from handnet.activations import FloatArray

# By chance less than one number in ten, as far off, may fit what explains it.
CHANCE = 0.1
# A page may have been rounded to so many places on the way.
PLACES = range(2, 7)
# An update from another weight is tried in a network of so many: in a larger one, some weight would fit by chance.
MOST_WEIGHTS = 60


@dataclass(frozen=True)
class PageCause:
    """What explains several wrong numbers at once.

    Attributes
    ----------
    names : of the causes that explain the same numbers
    explained : these
    of : how many are wrong
    chance : how likely it would explain as many if they were wrong at random
    """

    names: tuple[str, ...]
    explained: tuple[Judged, ...]
    of: int
    chance: float


@dataclass
class Causes:
    """Why the wrong numbers of a page are wrong.

    Attributes
    ----------
    page : one cause for many of them, or none
    named : of each number its causes, the simplest first
    follows : the wrong numbers that a number follows from
    """

    page: PageCause | None = None
    named: dict[Judged, list[str]] = field(default_factory=dict)
    follows: dict[Judged, tuple[Judged, ...]] = field(default_factory=dict)


@dataclass
class _Tried:
    """What the numbers would be by each cause: one row for each, one column for each printed number."""

    names: list[str]
    values: FloatArray
    # Found from one of the numbers, which it then explains in any case.
    found: list[bool]

    def and_also(self, other: _Tried) -> _Tried:
        """Return both, these first."""
        return _Tried(self.names + other.names, np.concatenate([self.values, other.values]), self.found + other.found)


def causes(reading: Reading) -> Causes:
    """Find out why the wrong numbers of a page are wrong."""
    wrong = [j for j in reading.judged if j.verdict == "wrong"]
    if not wrong:
        return Causes()
    with np.errstate(all="ignore"):
        found = Causes(follows=follows_from(reading.example, wrong))
        tried = _others(reading).and_also(_known(reading, "singles"))
        _explain(reading, found, tried)
        _explain_alone(reading, found, _without_found(tried))
        _name_slips(reading, found, tried)
        if _unexplained(reading, found):
            both = tried.and_also(_known(reading, "pairs"))
            # Two mistakes together can be bent to much: they must explain all.
            _explain(reading, found, both, every=True)
            _explain_alone(reading, found, _without_found(both))
        _name_precision(reading, found)
    return found


def _unexplained(reading: Reading, found: Causes) -> list[Judged]:
    """The wrong numbers that nothing explains yet, and that do not follow from another."""
    wrong = [j for j in reading.judged if j.verdict == "wrong"]
    return [j for j in wrong if not found.named.get(j) and j not in found.follows]


def _without_found(tried: _Tried) -> _Tried:
    """What may explain a number by itself: not what was found from that very number."""
    own = np.flatnonzero(~np.array(tried.found, dtype=bool))
    return _Tried([tried.names[i] for i in own], tried.values[own], [False] * len(own))


# One cause for the page.


def _explain(reading: Reading, found: Causes, tried: _Tried, every: bool = False) -> None:
    """Name the cause that explains most of the wrong numbers, two or more or every one, if it is no chance."""
    if found.page is not None:
        return
    judged = reading.judged
    wrong = np.array([j.verdict == "wrong" for j in judged])
    if wrong.sum() < 2 or not tried.names:
        return
    fits = _fits(judged, tried.values)
    explained = (fits & wrong).sum(axis=1)
    against, others = _against(judged, fits, wrong)
    best = int(np.lexsort((np.arange(len(explained)), others, against - explained))[0])
    mine = fits[best] & wrong
    if explained[best] < (wrong.sum() if every else 2) or explained[best] <= against[best]:
        return
    chance = _joint_chance(reading, found, tried, mine, tried.found[best])
    if chance >= CHANCE:
        return
    same = [
        i
        for i in range(len(explained))
        if (fits[i] & wrong == mine).all() and against[i] == against[best] and others[i] == others[best]
    ]
    names = tuple(dict.fromkeys(tried.names[i] for i in same))
    numbers = tuple(j for j, is_mine in zip(judged, mine, strict=True) if is_mine)
    found.page = PageCause(names, numbers, int(wrong.sum()), chance)
    found.named |= {j: list(names) for j in numbers}


def _fits(judged: Sequence[Judged], values: FloatArray) -> FloatArray:
    """Whether each number is as each cause would have it; a wrong one, only if that is not the right one too."""
    names = ("printed", "autograd", "tolerance", "error")
    printed, autograd, tolerance, error = (np.array([getattr(j, name) for j in judged]) for name in names)
    right = error <= tolerance
    return np.asarray((distance(printed, values) <= tolerance) & (right | (distance(autograd, values) > tolerance)))


def _against(judged: Sequence[Judged], fits: FloatArray, wrong: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How many right numbers speak against each cause: of the quantity, layer and step of a wrong one, and in all."""
    places = {(j.number.key, j.number.step) for j, is_wrong in zip(judged, wrong, strict=True) if is_wrong}
    beside = np.array([(j.number.key, j.number.step) in places for j in judged])
    return (~fits & ~wrong & beside).sum(axis=1), (~fits & ~wrong).sum(axis=1)


def _joint_chance(reading: Reading, found: Causes, tried: _Tried, mine: FloatArray, was_found: bool) -> float:
    """How likely some cause would explain as many numbers, if the wrong ones were wrong at random.

    What hangs together counts once: what follows from another, and what one wrong number that is not printed could
    have put wrong just so. But numbers that agree on what was found from one of them count each, less that one.
    """
    wrong = [(i, j) for i, j in enumerate(reading.judged) if j.verdict == "wrong"]
    evidence = [(i, j) for i, j in wrong if j not in found.follows]
    explained = [j for i, j in evidence if mine[i]]
    if not explained:
        return 1.0
    groups = [[j] for j in explained] if was_found else hanging_together(reading.example, explained)
    shares = [min(_share(j) for j in group) for group in groups]
    if was_found:
        shares = sorted(shares)[1:]
    others = [_share(j) for i, j in evidence if not mine[i]]
    columns = [i for i, _ in evidence]
    return _distinct(reading.judged, columns, tried.values) * _at_least(len(shares), shares + others)


def _share(j: Judged) -> float:
    """The share of the numbers that are not further off, to which a cause's own number would be as near."""
    return min(1.0, j.tolerance / j.error)


def _at_least(count: int, shares: Sequence[float]) -> float:
    """The probability that at least so many of independent events with these probabilities happen."""
    exactly = np.zeros(len(shares) + 1)
    exactly[0] = 1.0
    for share in shares:
        exactly[1:] = exactly[1:] * (1 - share) + exactly[:-1] * share
        exactly[0] *= 1 - share
    return float(exactly[count:].sum())


def _distinct(judged: Sequence[Judged], columns: Sequence[int], values: FloatArray) -> int:
    """How many causes change some of these numbers, each its own way."""
    tolerance, autograd = (np.array([getattr(judged[i], name) for i in columns]) for name in ("tolerance", "autograd"))
    away = np.nan_to_num(np.round((values[:, columns] - autograd) / tolerance), posinf=0, neginf=0)
    return len(np.unique(away[np.any(away != 0, axis=1)], axis=0))


# A cause for each number.


def _explain_alone(reading: Reading, found: Causes, tried: _Tried) -> None:
    """Name, for each number that is left, what gives it: if few numbers that are as far off would be given too."""
    fits = _fits(reading.judged, tried.values)
    wrong = np.array([j.verdict == "wrong" for j in reading.judged])
    against, others = _against(reading.judged, fits, wrong)
    left = _unexplained(reading, found)
    for n, j in enumerate(reading.judged):
        if j in left and tried.names and _chance(j, tried.values[:, n]) < CHANCE:
            fitting = sorted(np.flatnonzero(fits[:, n]), key=lambda i: (against[i], others[i]))
            found.named[j] = list(dict.fromkeys(tried.names[int(i)] for i in fitting))


def _chance(j: Judged, values: FloatArray) -> float:
    """The share of the numbers not further off than this one, right ones aside, that some cause would give as nearly.

    As nearly: to the half unit to which a number is rounded, or to what lies between.
    """
    digits = j.number.unit / 2 + j.tolerance - UNITS * j.number.unit
    nearest = np.nanmin(distance(np.array(j.printed), values), initial=np.inf)
    radius = min(max(digits, float(nearest)), j.tolerance)
    apart = np.sort(values[np.isfinite(values)] - j.autograd)
    apart = apart[(np.abs(apart) > j.tolerance) & (np.abs(apart) <= (j.error + radius) * (1 + 1e-9))]
    # Where two lie closer than twice the radius, what they give overlaps.
    covered = 2 * radius + np.minimum(np.diff(apart), 2 * radius).sum()
    return float(covered / (2 * j.error))


def _name_slips(reading: Reading, found: Causes, tried: _Tried) -> None:
    """Name the slip of arithmetic that gives a number."""
    left = [j for j in _unexplained(reading, found) if j.number.step <= FIRST_STEPS]
    for j, candidates in slips(reading.example, left).items():
        values = np.array([value for _, value in candidates])
        others = tried.values[:, reading.judged.index(j)]
        fits = (distance(np.array(j.printed), values) <= j.tolerance) & (np.abs(values - j.autograd) > j.tolerance)
        if fits.any() and _chance(j, np.concatenate([values, others])) < CHANCE:
            nearest = np.where(fits, np.abs(values - j.printed), np.inf)
            found.named[j] = [candidates[int(np.argmin(nearest))][0]]


def _name_precision(reading: Reading, found: Causes) -> None:
    """Name float32, where most numbers of more digits than it has are right but for what it rounds off."""
    problem = reading.example.problem
    single = Truth(narrowed(problem)).pairs
    long = [j for j in reading.judged if j.number.unit * UNITS < np.finfo(np.float32).eps / 2 * abs(j.autograd)]
    explained = []
    for j in set(long) & set(_unexplained(reading, found)):
        if j.number.step == 1 and j.number.key in single and (j.number.sample, j.number.output) == (None, None):
            value, tolerance = (float(part[j.number.index]) for part in single[j.number.key])
            if abs(j.printed - j.factor * value) <= tolerance:
                explained.append(j)
    if len(explained) > 1 and 2 * len(explained) > len(long):
        found.named |= {j: ["single_precision"] for j in explained}


# The causes that are tried.


def _values(example: Example, reading: Reading, passes: Recomputing) -> FloatArray:
    """Each printed number as `passes` computes it, with the page's own factor."""
    made = recomputed(example, passes, [j.number for j in reading.judged])
    return np.array([j.factor * float(np.squeeze(made[j.number])) for j in reading.judged])


def _known(reading: Reading, how: str) -> _Tried:
    """The known mistakes, one everywhere or in one layer, or two together."""
    tried = _variants(reading.example, how)
    numbers = [j.number for j in reading.judged]
    made = recomputed(reading.example, Lineup(tried), numbers, bar=True)
    values = [np.broadcast_to(made[j.number], len(tried)) * j.factor for j in reading.judged]
    return _Tried([" + ".join(v.mistakes) for v in tried], np.stack(values, axis=1), [False] * len(tried))


def _variants(example: Example, how: str) -> list[Variant]:
    """The variants worth training: of mistakes that change something in the first two steps, and not at one seam."""
    first = Truth(example.at(1))
    second = Truth(example.at(2, first.run.updated))
    variants = alone_in(first.problem)
    shown = effects(variants, [first, second]).shown({key[0] for key in first.derived})
    names = {v.mistakes[0] for v, show in zip(variants, shown, strict=True) if show} - {"single_precision"}
    every = [variant.mistakes[0] for variant in variants]
    if how == "singles":
        return [v for v in singles(len(example.problem.weights), every) if v.mistakes[0] in names]
    two = (variant for variant in pairs(every) if names.issuperset(variant.mistakes))
    return [variant for variant in two if not overridden(variant.mistakes[0]) & overridden(variant.mistakes[1])]


def _others(reading: Reading) -> _Tried:
    """What is no mistake of the known ones."""
    rows = list(_other_causes(reading))
    values = np.stack([row for _, row, _ in rows]) if rows else np.empty((0, len(reading.judged)))
    return _Tried([name for name, _, _ in rows], values, [found for _, _, found in rows])


def _other_causes(reading: Reading) -> Iterator[tuple[str, FloatArray, bool]]:
    example, problem = reading.example, reading.example.problem
    if max(j.number.step for j in reading.judged if j.verdict == "wrong") > FIRST_STEPS:
        return
    right = Lineup([Variant(())])
    autograd = np.array([j.autograd for j in reading.judged])
    seen = [autograd]
    for name, other in _other_examples(example):
        values = _values(other, reading, right)
        if not any(np.allclose(values, before, rtol=1e-12, atol=0) for before in seen):
            seen.append(values)
            yield name, values, False
    for rate in rates(example, reading.judged):
        values = _values(with_rate(example, rate), reading, right)
        alone = _in_weights(reading, values)
        yield f"learning_rate = {rate:g}", values, True
        if not np.allclose(values, alone, rtol=1e-12, atol=0):
            yield f"learning_rate = {rate:g} in this step alone", alone, True
    for l in range(1, len(problem.weights)):
        yield f"layer {l} not activated", _not_activated(reading, l), False
    yield from _from_other_weights(reading)
    for places in PLACES:
        yield f"rounded to {places} places on the way", _values(example, reading, _rounded(places)), False


def _other_examples(example: Example) -> Iterator[tuple[str, Example]]:
    """The page with something else stated, or with the weights of a layer transposed."""
    problem = example.problem
    for stated in statements(problem):
        yield differences(problem.stated, stated), replace(example, problem=replace(problem, stated=stated))
    if problem.stated.biases:
        other = replace(example, shared_biases=not example.shared_biases)
        yield f"shared_biases = {'true' if other.shared_biases else 'false'}", other
    if example.momentum:
        yield "momentum = 0", replace(example, momentum=0.0)
    for l, w in enumerate(problem.weights, start=1):
        square, biases = w[: w.shape[1]], w[w.shape[1] :]
        if problem.sizes[l - 1] == problem.sizes[l] > 1:
            weights = [*problem.weights]
            weights[l - 1] = np.concatenate([square.T, biases])
            yield f"w^({l}) transposed", replace(example, problem=replace(problem, weights=tuple(weights)))


def _in_weights(reading: Reading, values: FloatArray) -> FloatArray:
    """These values of the weights and steps first printed wrong, and the right ones of everything else."""
    wrong = [j.number.step for j in reading.judged if j.verdict == "wrong" and j.number.key[0] in ("weight", "step")]
    mine = [j.number.key[0] in ("weight", "step") and j.number.step == wrong[0] for j in reading.judged]
    return np.where(mine, values, [j.autograd for j in reading.judged])


def _not_activated(reading: Reading, l: int) -> FloatArray:
    """z of the layer above as it is where z^(l) stands for a^(l); everything else is right."""
    example = reading.example
    passes = _above_not_activated(l)
    wanted = [j.number.key == ("preactivation", l + 1) for j in reading.judged]
    return np.where(wanted, _values(example, reading, passes), [j.autograd for j in reading.judged])


def _from_other_weights(reading: Reading) -> Iterator[tuple[str, FloatArray, bool]]:
    """The weights after the first step as they are where each is updated from this one."""
    problem = reading.example.problem
    if sum(w.size for w in problem.weights) > MOST_WEIGHTS:
        return
    right = np.array([j.autograd for j in reading.judged])
    old, first = np.zeros(len(right)), np.zeros(len(right), dtype=bool)
    for i, j in enumerate(reading.judged):
        quantity, layer = j.number.key
        if quantity == "weight" and layer and j.number.step == 1:
            old[i], first[i] = problem.weights[layer - 1][j.number.index], True
    if not first.any():
        return
    for l, w in enumerate(problem.weights, start=1):
        for (row, column), weight in np.ndenumerate(w):
            bias = problem.stated.biases and row == len(w) - 1
            name = f"b_{column}^({l})" if bias else f"w_{column}{row}^({l})"
            yield f"updated from {name}", np.where(first, right - old + weight, right), False


@dataclass(frozen=True)
class _Passes:
    """A kind of pass, as something that recomputes a page."""

    kind: type[Seams]

    def run(self, problem: Problem, weights: Sequence[FloatArray]) -> Quantities:
        """Return the quantities of a step."""
        return self.kind(problem, weights).run()

    def aside(self, problem: Problem, weights: Sequence[FloatArray]) -> Quantities:
        """Return those of a part of the problem."""
        return self.run(problem, weights)


def _above_not_activated(layer: int) -> _Passes:
    """The pass in which the layer hands on z, and not a."""

    class NotActivated(Seams):
        def activated(self, l: int, z: FloatArray) -> FloatArray:
            return z if l == layer else super().activated(l, z)

    return _Passes(NotActivated)


def _rounded(places: int) -> _Passes:
    """The pass in which whatever is computed is rounded at once."""

    class Rounded(Seams):
        def at(self, seam: str, l: int, *arguments: FloatArray) -> FloatArray:
            return np.round(super().at(seam, l, *arguments), places)

    return _Passes(Rounded)
