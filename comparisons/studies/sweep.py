"""Very many random networks: each compared with autograd in every quantity, in stacks, in chunks, on any machine.

Networks are drawn in blocks of 1,024, each from its own seed, and evaluated in whole blocks. So a network is the same,
to the last bit, in whatever chunk, process or machine it is compared, and when it is replayed.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple, dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from comparisons.checks import hand_quantities
from comparisons.diagnosis.diagnose import diagnose
from comparisons.output import page, report
from comparisons.output.outcome import Outcome
from comparisons.reference.quantities import Key, Problem, Quantities, quantity_name
from comparisons.reference.truth import Pair, Truth
from comparisons.studies.journal import Journal
from comparisons.studies.work import keep_memory, progress, results
from comparisons.subject.implementation import Implementation, load
from comparisons.subject.probes import network_of
from comparisons.subject.reading import ImplementationError
from comparisons.verdict.comparison import Comparison
from comparisons.verdict.distance import distance, over
from comparisons.verdict.judging import measure
from comparisons.verdict.trial import Trial
from handnet import Network, __version__
from handnet.activations import FloatArray

BLOCK = 1024
# What is compared at once stays in the processor's cache; what is one chunk takes a fraction of a second.
NUMBERS_AT_ONCE, NUMBERS_IN_CHUNK = 500_000, 2_000_000
# A block is compared at once, whatever its size: this many numbers take some 13 GB.
MOST_NUMBERS = 200_000_000
# Error / tolerance is counted by powers of 2: less than 2^-24, then up to 1, and more.
LEAST = -24

SWEEP_COLUMNS = (
    *("sizes", "activation", "dtype", "scale", "batch", "seed", "networks", "numbers", "failures", "undecided"),
    *("max_error_over_tolerance", "worst_index", "seconds", "networks_per_second"),
    *("suspect", "max_error_over_expected", "suspect_index"),
)
HISTOGRAM_COLUMNS = ("sizes", "activation", "dtype", "scale", "batch", "seed", "at_least", "below", "numbers")

SIZES = ((2, 2, 2), (3, 5, 2), (4, 4, 4, 4))
ACTIVATIONS = ("sigmoid", "tanh", "relu", "identity")
DTYPES = ("float64", "float32")
SCALES = (0.01, 0.5, 2.0, 10.0, 40.0)


@dataclass(frozen=True)
class Setting:
    """One kind of random network, with normal weights, biases and inputs, and targets between 0 and 1.

    Attributes
    ----------
    sizes : m_0 .. m_L
    activation : one name per layer
    dtype : "float64" or "float32"
    scale : standard deviation of the weights and biases
    batch : samples
    seed : of the whole sweep
    """

    sizes: tuple[int, ...]
    activation: tuple[str, ...]
    dtype: str = "float64"
    scale: float = 1.0
    batch: int = 1
    seed: int = 0

    @classmethod
    def of(cls, sizes: Sequence[int], activation: str | Sequence[str], **options: Any) -> Setting:
        """Return the setting, one activation name standing for every layer.

        Raises
        ------
        ValueError
            If sizes, activation, scale or batch make no sense, or a block of such networks would not fit in memory.
        """
        names = (activation,) * (len(sizes) - 1) if isinstance(activation, str) else tuple(activation)
        setting = cls(tuple(sizes), names, **options)
        if setting.batch < 1:
            raise ValueError(f"batch is {setting.batch}: expected 1 or more")
        if not 0 < setting.scale < np.inf:
            raise ValueError(f"scale is {setting.scale}: expected a finite number above 0")
        Network.random(setting.sizes, rng=np.random.default_rng(0), activation=names)
        if setting.numbers * BLOCK > MOST_NUMBERS:
            raise ValueError(
                f"sizes {'-'.join(map(str, sizes))} with {setting.batch} samples: {BLOCK:,} networks, which are"
                f" compared at once, have {setting.numbers * BLOCK:,} numbers; expected at most {MOST_NUMBERS:,}"
            )
        return setting

    @property
    def numbers(self) -> int:
        """How many numbers of one network are compared."""
        weights = sum((m + 1) * n for m, n in pairwise(self.sizes))
        return 2 * self.batch * sum(self.sizes[1:]) + 1 + 2 * weights

    def blocks(self, numbers: int) -> int:
        """Return how many blocks have about this many numbers."""
        return max(1, numbers // (BLOCK * self.numbers))

    def problem(self, blocks: Iterable[int]) -> Problem:
        """Return the networks of these blocks, with their samples, as one stack."""
        drawn = zip(*(self._block(block) for block in blocks), strict=True)
        with np.errstate(over="ignore"):
            *weights, inputs, targets = (np.concatenate(parts).astype(self.dtype, copy=False) for parts in drawn)
        return Problem(tuple(weights), self.activation, inputs, targets)

    def _block(self, block: int) -> list[FloatArray]:
        rng = np.random.default_rng([self.seed, block])
        weights = [self.scale * rng.standard_normal((BLOCK, m + 1, n)) for m, n in pairwise(self.sizes)]
        inputs = rng.standard_normal((BLOCK, self.batch, self.sizes[0]))
        return [*weights, inputs, rng.random((BLOCK, self.batch, self.sizes[-1]))]

    def replay(self, index: int) -> str:
        """Return the command that compares handnet's own network of this number alone."""
        names = self.activation[:1] if len(set(self.activation)) == 1 else self.activation
        return (
            f"handnet compare --replay {self.seed}:{index} --sizes {','.join(map(str, self.sizes))}"
            f" --activation {','.join(names)} --dtype {self.dtype} --scale {self.scale!r} --batch {self.batch}"
        )

    def row(self) -> dict[str, Any]:
        """Return what the CSV files say of the setting."""
        names = self.activation[:1] if len(set(self.activation)) == 1 else self.activation
        return {
            "sizes": "-".join(map(str, self.sizes)),
            "activation": " ".join(names),
            "dtype": self.dtype,
            "scale": self.scale,
            "batch": self.batch,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Figures:
    """What is left of the networks compared.

    Attributes
    ----------
    networks, numbers : how many were compared
    failures : networks of which some number is off by more than its tolerance
    undecided : numbers whose tolerance is not smaller than the largest of their quantity
    worst, worst_index : the greatest error / tolerance, and the network that it is of
    histogram : numbers by error / tolerance: below 2^-24, 2^-23 .. 1, and above 1
    seconds : taken
    suspect : numbers that lie further off than rounding is expected to take them, where that was looked at
    worst_expected, suspect_index : the greatest error / expected tolerance, and the network that it is of
    given, judged : names of the quantities compared, and of those that some network tells from zero
    """

    networks: int = 0
    numbers: int = 0
    failures: int = 0
    undecided: int = 0
    worst: float = -1.0
    worst_index: int = -1
    histogram: tuple[int, ...] = (0,) * (2 - LEAST)
    seconds: float = 0.0
    suspect: int = 0
    worst_expected: float = -1.0
    suspect_index: int = -1
    given: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()

    @property
    def unjudged(self) -> tuple[str, ...]:
        """The quantities whose tolerance is never smaller than the number that it belongs to: 0 would pass for them."""
        return tuple(name for name in self.given if name not in self.judged)

    def __add__(self, other: Figures) -> Figures:
        # Of two equally bad networks the earlier, whichever was compared first.
        worst, index = max((self.worst, -self.worst_index), (other.worst, -other.worst_index))
        pairs = ((part.worst_expected, -part.suspect_index) for part in (self, other))
        worst_expected, suspect_index = max(pairs)
        return Figures(
            self.networks + other.networks,
            self.numbers + other.numbers,
            self.failures + other.failures,
            self.undecided + other.undecided,
            worst,
            -index,
            tuple(a + b for a, b in zip(self.histogram, other.histogram, strict=True)),
            self.seconds + other.seconds,
            self.suspect + other.suspect,
            worst_expected,
            -suspect_index,
            tuple(dict.fromkeys(self.given + other.given)),
            tuple(dict.fromkeys(self.judged + other.judged)),
        )


@dataclass(frozen=True)
class Subject:
    """Whose numbers are swept: the hand-written network's, or those of somebody's function.

    Attributes
    ----------
    target : file.py:function, or empty for handnet's own
    layout, reduction : as in `check`
    """

    target: str = ""
    layout: str = "note"
    reduction: str = "mean"

    def answer(self, setting: Setting, block: int, problem: Problem) -> Quantities:
        """Return what the subject computes of the networks of a block, which are all that it is given at once.

        Raises
        ------
        ImplementationError
            If it raises, its answer cannot be read, or it gives other quantities of some networks than of others.
        """
        if not self.target:
            return hand_quantities(network_of(problem), problem)[0]
        implementation = _implementation(self)
        if implementation.takes_stacks(problem):
            with suppress(ImplementationError):  # which of them it is that it fails with is found out below
                return implementation.ask(problem, problem.learning_rate).right_way_up()
        alone: list[Quantities] = []
        for i in range(len(problem.weights[0])):
            try:
                given = implementation.ask(problem.of_network((i,)), problem.learning_rate).right_way_up()
                if alone and given.keys() != alone[0].keys():
                    raise ImplementationError("it gives other quantities than of the networks before")
            except ImplementationError as failure:
                replay = self.replay(setting, block * BLOCK + i)
                raise ImplementationError(f"{failure}; replay: {replay}") from None
            alone.append(given)
        return {key: np.stack([given[key] for given in alone]) for key in alone[0]}

    def replay(self, setting: Setting, index: int) -> str:
        """Return the command that compares one network of the sweep alone."""
        if not self.target:
            return setting.replay(index)
        own = f"--implementation {shlex.quote(self.target)} --layout {self.layout} --reduction {self.reduction}"
        return f"{setting.replay(index)} {own}"

    @property
    def source(self) -> str:
        """A digest of the file that the function is in: another one is another subject."""
        file = self.target.rpartition(":")[0]
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


@cache
def _implementation(subject: Subject) -> Implementation:
    return Implementation(load(subject.target), subject.layout, subject.reduction)


@dataclass(frozen=True)
class Chunk:
    """A whole number of blocks of one setting: what one process compares, and one line of the journal.

    Attributes
    ----------
    setting, subject : what is compared
    first : number of the first block
    networks : how many; the last block may count in part
    strict : whether to look for numbers that are suspect
    """

    setting: Setting
    subject: Subject
    first: int
    networks: int
    strict: bool = False

    def compare(self) -> Figures:
        """Compare its networks with autograd."""
        started = time.perf_counter()
        keep_memory()
        # Somebody's function gets one block at a time, as it does when one of its networks is replayed.
        at_once = 1 if self.subject.target else self.setting.blocks(NUMBERS_AT_ONCE)
        blocks = range(self.first, self.first + -(-self.networks // BLOCK))
        figures = Figures()
        with one_thread():
            for start in range(0, len(blocks), at_once):
                some = blocks[start : start + at_once]
                left = min(self.networks - start * BLOCK, len(some) * BLOCK)
                figures += compared(self.setting, some, self.subject, left, self.strict)
        return replace(figures, seconds=time.perf_counter() - started)


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch to one thread: the processes are as many as there are cores to use."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def compared(setting: Setting, blocks: Sequence[int], subject: Subject, count: int, strict: bool = False) -> Figures:
    """Compare the networks of some blocks with autograd, as one stack.

    Parameters
    ----------
    setting, blocks : which networks
    subject : whose numbers
    count : how many of the networks count
    strict : whether to look for numbers that are suspect; a network with one fails
    """
    first, problem = blocks[0] * BLOCK, setting.problem(blocks)
    truth = Truth(problem)
    given = subject.answer(setting, blocks[0], problem)
    figures = Figures()
    failed = np.zeros(count, bool)
    for key, pair in truth.pairs.items():
        if key in given:
            part, failures = _quantity(key, given[key][:count], (pair[0][:count], pair[1][:count]), first)
            figures += part
            failed |= failures
            if strict:
                part, suspects = _suspects(given[key][:count], pair[0][:count], truth.expected[key][:count], first)
                figures += part
                failed |= suspects
    return replace(figures, networks=count, failures=int(failed.sum()))


def _quantity(key: Key, hand: FloatArray, pair: Pair, first: int) -> tuple[Figures, Any]:
    """The figures of one quantity of a stack, and which networks fail."""
    right, tolerance = pair
    error = distance(hand, right)
    with np.errstate(all="ignore"):
        ratio = error / tolerance
    if not np.isfinite(ratio).all():
        ratio = over(error, tolerance)
    size = ratio[0].size
    flat = ratio.reshape(-1)
    at = int(flat.argmax())
    wrong = np.flatnonzero(flat > 1)
    failed = np.zeros(len(ratio), bool)
    failed[wrong // size] = True
    counts = np.bincount(np.clip(np.frexp(flat)[1] - LEAST, 0, 1 - LEAST), minlength=2 - LEAST)
    # 0 and infinity have no exponent, and 1 itself is still within the tolerance.
    counts[0] += flat.size - np.count_nonzero(flat)
    counts[1 - LEAST] = wrong.size
    counts[-LEAST] += flat.size - counts.sum()
    blunt = ~(tolerance < np.abs(right))
    figures = Figures(
        numbers=flat.size,
        undecided=_undecided(blunt, right, tolerance, ratio),
        worst=float(flat[at]),
        worst_index=first + at // size,
        histogram=tuple(counts.tolist()),
        given=(quantity_name(key),),
        judged=() if blunt.all() and (tolerance > 0).any() else (quantity_name(key),),
    )
    return figures, failed


def _suspects(hand: FloatArray, right: FloatArray, expected: FloatArray, first: int) -> tuple[Figures, Any]:
    """How many numbers of a quantity lie further off than rounding is expected to take them, and of which networks."""
    ratio = over(distance(hand, right), expected)
    flat = ratio.reshape(len(ratio), -1)
    at = int(flat.max(axis=1).argmax())
    suspect = flat > 1
    figures = Figures(suspect=int(suspect.sum()), worst_expected=float(flat[at].max()), suspect_index=first + at)
    return figures, suspect.any(axis=1)


def _undecided(blunt: NDArray[np.bool_], right: FloatArray, tolerance: FloatArray, ratio: FloatArray) -> int:
    """How many numbers pass though their tolerance is not smaller than the largest of their quantity."""
    doubtful = np.unique(np.flatnonzero(blunt) // ratio[0].size)
    if not doubtful.size:
        return 0
    axes = tuple(range(1, right.ndim))
    scale = np.abs(right[doubtful]).max(axis=axes, keepdims=True) if axes else np.abs(right[doubtful])
    decided = (tolerance[doubtful] < scale) | (tolerance[doubtful] == 0)
    return int((~decided & (ratio[doubtful] <= 1)).sum())


# The whole sweep.


@dataclass(frozen=True)
class Sweep:
    """The figures of each setting, of whose numbers; and the journal, to be closed once these are written."""

    figures: dict[Setting, Figures]
    subject: Subject = Subject()
    journal: Journal | None = None

    @property
    def total(self) -> Figures:
        """The figures of all settings together; the worst index says nothing then."""
        return sum(self.figures.values(), Figures())

    @property
    def passed(self) -> bool:
        """True if no network failed, and each quantity was told from zero in some network."""
        return self.total.failures == 0 and self.total.numbers > self.total.undecided and not self.total.unjudged

    @property
    def worst(self) -> Setting:
        """The setting with the greatest error / tolerance."""
        return max(self.figures, key=lambda setting: self.figures[setting].worst)

    @property
    def replay(self) -> str:
        """The command that compares the worst network alone; where none is wrong, the one that is most suspect."""
        if self.total.suspect and self.total.worst <= 1:
            setting = max(self.figures, key=lambda setting: self.figures[setting].worst_expected)
            return f"{self.subject.replay(setting, self.figures[setting].suspect_index)} --strict"
        return self.subject.replay(self.worst, self.figures[self.worst].worst_index)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per setting: the columns of sweep.csv."""
        rows = [
            {
                **setting.row(),
                "networks": f.networks,
                "numbers": f.numbers,
                "failures": f.failures,
                "undecided": f.undecided,
                "max_error_over_tolerance": f.worst,
                "worst_index": f.worst_index,
                "seconds": f.seconds,
                "networks_per_second": f.networks / f.seconds,
                # Empty where it was not looked at.
                "suspect": f.suspect if f.suspect_index >= 0 else None,
                "max_error_over_expected": f.worst_expected if f.suspect_index >= 0 else None,
                "suspect_index": f.suspect_index if f.suspect_index >= 0 else None,
            }
            for setting, f in self.figures.items()
        ]
        frame = pd.DataFrame(rows, columns=SWEEP_COLUMNS)
        return frame.astype({"suspect": "Int64", "max_error_over_expected": float, "suspect_index": "Int64"})

    @property
    def histogram(self) -> pd.DataFrame:
        """How many numbers have an error / tolerance between two powers of 2; 1 itself counts as below 1."""
        edges = [0.0, *(2.0**power for power in range(LEAST, 1)), np.inf]
        rows = [
            {**setting.row(), "at_least": low, "below": high, "numbers": count}
            for setting, f in self.figures.items()
            for low, high, count in zip(edges, edges[1:], f.histogram, strict=False)
        ]
        return pd.DataFrame(rows, columns=HISTOGRAM_COLUMNS)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables by file name."""
        return {"sweep.csv": self.frame, "sweep_histogram.csv": self.histogram}


def grid(
    sizes: Iterable[Sequence[int]] = SIZES,
    activations: Iterable[str | Sequence[str]] = ACTIVATIONS,
    dtypes: Iterable[str] = DTYPES,
    scales: Iterable[float] = SCALES,
    batch: int = 1,
    seed: int = 0,
) -> list[Setting]:
    """Return every combination of these as a setting, each once.

    Raises
    ------
    ValueError
        If one of them makes no sense.
    """
    made = (
        Setting.of(m, activation, dtype=dtype, scale=scale, batch=batch, seed=seed)
        for m in sizes
        for activation in activations
        for dtype in dtypes
        for scale in scales
    )
    return list(dict.fromkeys(made))


def chunks(
    settings: Sequence[Setting], networks: int, subject: Subject, numbers: int, strict: bool = False
) -> list[Chunk]:
    """Return the chunks of a sweep of so many networks, shared evenly by the settings, of so many numbers each."""
    made = []
    for i, setting in enumerate(settings):
        left = networks // len(settings) + (i < networks % len(settings))
        size = setting.blocks(numbers) * BLOCK
        for first in range(0, left, size):
            made.append(Chunk(setting, subject, first // BLOCK, min(size, left - first), strict))
    return made


def sweep(
    settings: Sequence[Setting],
    networks: int,
    *,
    subject: Subject = Subject(),
    jobs: int = 1,
    cluster: str | None = None,
    chunk: int | None = None,
    journal: Path | None = None,
    resume: bool = False,
    strict: bool = False,
) -> Sweep:
    """Compare very many random networks with autograd.

    Parameters
    ----------
    settings : kinds of networks, which share the networks evenly
    networks : how many in all
    subject : whose numbers
    jobs : processes on this machine
    cluster : address of a Dask scheduler, whose workers do it instead
    chunk : numbers to compare in one go of a process; the figures do not depend on it
    journal : where finished chunks are written down, until the sweep is done
    resume : go on with what the journal holds
    strict : look for numbers that are suspect too, which takes several times as long; a network with one fails

    Raises
    ------
    ValueError
        If networks, jobs or chunk is less than 1, or the journal is of another sweep or not to be resumed.
    ImplementationError
        If the implementation raises, or its answer cannot be read.

    Examples
    --------
    >>> result = sweep([Setting.of((2, 2, 2), "tanh")], 3000)
    >>> result.total.networks, result.total.numbers, result.total.failures
    (3000, 99000, 0)
    """
    if networks < 1:
        raise ValueError(f"networks is {networks}: expected 1 or more")
    numbers = NUMBERS_IN_CHUNK if chunk is None else chunk
    if numbers < 1:
        raise ValueError(f"chunk is {numbers}: expected 1 or more")
    parts = chunks(settings, networks, subject, numbers, strict)
    run = {
        "networks": networks,
        "settings": [list(map(str, setting.row().values())) for setting in settings],
        "subject": astuple(subject),
        "source": subject.source,
        "chunk": numbers,
        "strict": strict,
        "versions": [__version__, np.__version__, torch.__version__],
    }
    written = Journal(journal, run, resume) if journal else None
    done = {i: _figures_of(part, i, parts, written.path) for i, part in written.done.items()} if written else {}
    left = [i for i in range(len(parts)) if i not in done]
    counted = results(Chunk.compare, [parts[i] for i in left], jobs, cluster)
    for i, part in progress(counted, [parts[i].networks for i in left], "networks"):
        done[left[i]] = part
        if written:
            written.add(left[i], asdict(part))
    figures = {one.setting: Figures() for one in parts}
    for i, one in enumerate(parts):
        figures[one.setting] += done[i]
    return Sweep(figures, subject, written)


def _figures_of(part: dict[str, Any], i: int, parts: Sequence[Chunk], path: Path) -> Figures:
    """The figures of a chunk that the journal says is done."""
    try:
        tuples = {name: tuple(value) for name, value in part.items() if isinstance(value, list)}
        figures = Figures(**{**part, **tuples})
        whole = figures.networks == parts[i].networks and sum(figures.histogram) == figures.numbers
    except (TypeError, KeyError, IndexError):
        whole = False
    if not whole:
        raise ValueError(f"{path} is damaged: its part {i} is no finished part of this sweep; delete the file")
    return figures


def replayed(setting: Setting, index: int, subject: Subject = Subject()) -> Comparison:
    """Compare one network of a sweep alone, with the numbers it had there: its block is evaluated whole.

    Parameters
    ----------
    index : of the network, as the sweep gives it

    Raises
    ------
    ImplementationError
        If the implementation raises, or its answer cannot be read.
    """
    block = index // BLOCK
    truth = Truth(setting.problem([block]))
    given = subject.answer(setting, block, truth.problem)
    network = (index % BLOCK,)
    measured = tuple(m.of_network(network) for m in measure(truth, given, case=f"{setting.seed}:{index}"))
    trial = Trial((truth,), (given,), f"{setting.seed}:{index}").of_network(network)
    return Comparison(
        measured,
        sizes=setting.sizes,
        activation=setting.activation,
        dtype=setting.dtype,
        replay=subject.replay(setting, index),
        diagnosis=diagnose([trial], measured),
    )


def outcome(settings: Sequence[Setting], networks: int, **how: Any) -> Outcome:
    """Sweep random networks, as `sweep` does; the journal goes once the figures are written."""
    swept = sweep(settings, networks, **how)
    return Outcome(
        swept.passed,
        sweep_line(swept),
        [sweep_table(swept), unjudged_line(swept), "" if swept.passed else f"replay: {swept.replay}"],
        swept.tables(),
        "Random networks beside autograd",
        sections=lambda: [sweep_section(swept)],
        written=swept.journal.close if swept.journal else lambda: None,
    )


def sweep_table(result: Sweep) -> str:
    """Return a table of the figures by dtype and scale."""
    rows: list[tuple[str, ...]] = [
        ("dtype", "scale", "networks", "numbers", "failures", "undecided", "error/tolerance")
    ]
    for (dtype, scale), part in result.frame.groupby(["dtype", "scale"], sort=False):
        share = part["undecided"].sum() / part["numbers"].sum()
        counts = (f"{part[name].sum():,}" for name in ("networks", "numbers", "failures"))
        rows.append(
            (str(dtype), f"{scale:g}", *counts, f"{share:.3%}", f"{part['max_error_over_tolerance'].max():.3f}")
        )
    return report.table(rows, left=1)


def sweep_line(result: Sweep) -> str:
    """Return the result of a sweep in one line."""
    total = result.total
    share = total.undecided / total.numbers if total.numbers else 1.0
    figures = f"{total.networks:,} networks, {total.numbers:,} numbers, {total.failures:,} failures"
    if total.suspect_index >= 0:
        figures += f", {total.suspect:,} suspect (the worst at {total.worst_expected:.3g} of what is expected)"
    rate = f"{total.seconds / total.networks * 1e6:.2f} us a network on one core"
    line = f"{figures}, {share:.2%} undecided, the worst at {total.worst:.2g} of its tolerance; {rate}"
    answer = "match" if result.passed else "MISMATCH" if total.failures else "UNDECIDED"
    return f"{answer}: {line}"


def unjudged_line(result: Sweep) -> str:
    """Return what could not be judged in any network, if anything."""
    names = ", ".join(result.total.unjudged)
    return f"could not be judged: {names}: in no network is a tolerance smaller than the number" if names else ""


SWEEP_ORDER = (
    *("sizes", "activation", "dtype", "scale", "networks", "failures", "undecided", "max_error_over_tolerance"),
    *("numbers", "worst_index", "batch", "seed", "seconds", "networks_per_second"),
)


def sweep_section(result: Sweep) -> page.Section:
    """Return the histogram and the rows of a sweep."""
    section = page.Section("sweep", "Random networks")
    section.text = [] if result.passed else [f"The worst network alone: {result.replay}"]
    section.figures.append(sweep_figure(result.histogram))
    frame = result.frame
    section.tables.append(page.table(frame, "sweep-rows", "The rows of sweep.csv", SWEEP_ORDER))
    return section


def sweep_figure(histogram: pd.DataFrame) -> dict[str, str]:
    """Return how many numbers of a sweep have which error / tolerance."""
    plot, axes = page.axes(8)
    counts = histogram.groupby(["dtype", "at_least"])["numbers"].sum().unstack("dtype")
    edges = [f"$2^{{{int(np.log2(edge))}}}$" if edge > 0 else "0" for edge in counts.index]
    places = np.arange(len(edges))
    width = 0.8 / len(counts.columns)
    for i, (dtype, colour) in enumerate(zip(counts.columns, (page.FIRST, page.SECOND), strict=False)):
        axes.bar(places + i * width, counts[dtype], width, color=colour, align="edge", label=str(dtype))
    tolerance = list(counts.index).index(1.0)
    axes.axvline(tolerance, color=page.INK, linestyle="--", linewidth=1)
    beside = {"xytext": (-4, 0), "textcoords": "offset points", "ha": "right", "va": "top"}
    axes.annotate("tolerance", (tolerance, counts.max().max()), color=page.INK, **beside)
    axes.set_yscale("log")
    axes.set(xlabel="error / tolerance, from this power of 2 on", ylabel="numbers")
    axes.set_xticks(places[::4], edges[::4])
    axes.legend(frameon=False, labelcolor=page.INK, loc="upper center")
    beyond = int(histogram[histogram["at_least"] >= 1]["numbers"].sum())
    total = int(histogram["numbers"].sum())
    return {
        "svg": page.svg(plot),
        "alternative": f"Histogram of error / tolerance of {total:,} numbers; {beyond:,} lie beyond the tolerance.",
        "caption": "How far from autograd the numbers lie, in units of their tolerance, as in sweep_histogram.csv.",
    }
