"""The first wrong quantity, and the known mistake that explains the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from comparisons.diagnosis.factors import factor_between
from comparisons.diagnosis.matching import DERIVATIVES, explanations, factor_of_all
from comparisons.diagnosis.patterns import Pattern, patterns_of, scaled_parts
from comparisons.diagnosis.single_sample import read_off_single
from comparisons.diagnosis.speech import Speech
from comparisons.diagnosis.wording import (
    evidence,
    explanation,
    headline,
    origin_of,
    should_be_text,
)
from comparisons.diagnosis.wrong import BOTH, Wrong, of_measured
from comparisons.mistakes.known import MISTAKES
from comparisons.mistakes.lineup import Lineup, alone
from comparisons.mistakes.variants import Variant, overridden
from comparisons.reference.quantities import Key, quantity_name
from comparisons.verdict.distance import distance
from comparisons.verdict.judging import measure
from comparisons.verdict.measured import Measured
from comparisons.verdict.trial import Trial

COST = ("cost", None)
SAY_MORE = (
    "Next: the error is here, or in what it is computed from: return activations and deltas too, and I can say which."
)
FACTOR_OF_ALL = (
    "Next: look at the error of the output, at the 1/N, and at what you return: one factor is in all derivatives."
)


@dataclass(frozen=True)
class Diagnosis:
    """Where an implementation goes wrong first, and why.

    Attributes
    ----------
    first_wrong : (quantity, layer), or None where nothing could be compared
    mistakes : ids of the simplest explanation, empty if none fits
        Of MISTAKES, or what else has a name: biases_not_summed, other_factor, scaled, summed_over_nodes.
    candidates : every explanation that fits, as text, the simplest first
    message : a short paragraph, what str() gives
    exactly : whether the explanation gives all digits of all numbers by itself, under no factor
    wrong : the first wrong array, of which its line may be found; None where there is none
    factor : of all derivatives, which may be in that array or not
    """

    first_wrong: Key | None
    mistakes: tuple[str, ...]
    candidates: tuple[str, ...]
    message: str
    exactly: bool = True
    wrong: Wrong | None = field(default=None, repr=False, compare=False)
    factor: float = 1.0

    @property
    def is_settled(self) -> bool:
        """Whether there is an explanation, and nothing better is to be looked for."""
        return bool(self.candidates) and self.exactly

    def __str__(self) -> str:
        return self.message


def diagnose(trials: Sequence[Trial], measured: Sequence[Measured], single: Trial | None = None) -> Diagnosis | None:
    """Say what is wrong first, and which known mistake explains the numbers.

    Parameters
    ----------
    trials : what the implementation was asked and answered
    measured : the verdicts on it, in order
    single : the gradients of a single sample, where only gradients were given, or these and the cost

    Returns
    -------
    diagnosis : None where nothing is wrong
    """
    wrong = [m for m in measured if m.is_wrong]
    if not wrong:
        return _only_turned(trials)
    if trials[0].stack_axes:
        return _of_stack(trials[0], wrong[0])
    misshapen = {(trial.case, key) for trial in trials for key in trial.misshapen}
    numbers = [m for m in wrong if (m.case, m.key) not in misshapen]
    if not numbers:
        return _misshapen(wrong[0].key, trials)
    seen = of_measured(numbers[0], trials)
    if seen.is_rounding:
        return Diagnosis(seen.key, (), (), _rounding_only(seen))
    variants = explanations([*trials, single] if single else trials, numbers[0])
    read_off = read_off_single(single) if single else None
    if variants:
        return _explained(variants, seen, read_off, trials)
    alike = [of_measured(m, trials) for m in numbers if m.key == seen.key]
    said = _unexplained(None if seen.key == COST else read_off, alike, trials)
    if seen.key == COST:
        # Nothing else is computed from the cost, so it is no reason for what else is wrong.
        others = [m for m in measured if m.key != COST]
        rest = diagnose([trial.where(COST.__ne__) for trial in trials], others, single and single.where(COST.__ne__))
        if rest:
            own = explanations([trial.where(COST.__eq__) for trial in trials], numbers[0])
            own = [variant for variant in own if all(overridden(name) == {"shared_cost"} for name in variant.mistakes)]
            said = _explained(own, seen, None, trials) if own else said
            both = said.mistakes + rest.mistakes
            return replace(rest, first_wrong=COST, mistakes=both, message=f"{said}\nBesides:\n{rest}")
    return said


def _explained(variants: Sequence[Variant], seen: Wrong, read_off: Wrong | None, trials: Sequence[Trial]) -> Diagnosis:
    key, how, shown = seen.key, "", seen
    origin = origin_of(variants[0], seen, trials)
    if variants[0].factor:
        # The factor is wrong before it, and is no mistake.
        key, how = origin, ", but for a factor"
    elif origin[0] not in {key[0] for trial in trials for step in trial.actual for key in step}:
        # The explanation says where it is made, though that was not given.
        key, how = origin, ", as far as what was returned shows"
        if read_off and read_off.key == origin:
            how, shown = ", read off the gradients of a single sample", read_off
    should_be = should_be_text(origin, trials[0])
    if variants[0].mistakes == ("single_precision",):
        should_be = "Should be: float64 throughout, or checked with dtype float32."
    said = [
        headline(key, trials[0], how, shown.wrong_parts if shown.key == key else BOTH),
        explanation(variants, key, seen, trials),
        should_be,
    ]
    message = "\n".join([*said, evidence(shown, trials[0])])
    exactly = not variants[0].factor and not variants[0].digits
    array, factor = _wrong_array(variants[0], origin, trials[0])
    return Diagnosis(key, variants[0].mistakes, tuple(map(str, variants)), message, exactly, array, factor)


def _wrong_array(variant: Variant, origin: Key, trial: Trial) -> tuple[Wrong | None, float]:
    """The array that the mistakes make wrong first, of the first step at which that shows; and the factor over it."""
    lineup, factor = Lineup([variant]), 1.0
    array: Wrong | None = None
    for truth, answer in zip(trial.truths, trial.actual, strict=True):
        mistaken = alone(lineup.run(truth.problem), 0, truth.problem)
        if lineup.misfits:
            return None, 1.0
        derived = [key for key in answer if key[0] in DERIVATIVES and variant.factor]
        factors = (factor_between(answer[key], mistaken[key], truth.derived[key][1]) for key in derived)
        factor = next(filter(None, factors), 1.0)
        array = Wrong(origin, mistaken[origin], *truth.derived[origin], truth.problem)
        if not array.is_right and np.unique(array.hand).size > 2:
            break
    return array, factor


def _unexplained(read_off: Wrong | None, seen: Sequence[Wrong], trials: Sequence[Trial]) -> Diagnosis:
    how, wrong = "", seen
    if read_off and read_off.key[0] == "delta":
        how, wrong = ", read off the gradients of a single sample", [read_off]
    # The sentence and the number under it are of the same step of the same probe.
    patterns = zip(wrong, patterns_of(wrong, trials), strict=True)
    shown, pattern = next((pair for pair in patterns if pair[1].said), (wrong[0], Pattern("")))
    factor = _factor_of_all(seen[0].key, trials)
    if scaled := factor or (None if how else _factor_of_parts(seen[0].key, trials)):
        how, shown, pattern = "", seen[0], scaled
    name = (pattern.name,) if pattern.name else ()
    said = Speech.of(trials[0]).of_note(pattern.said)
    why = f"Why: {said} [{pattern.name}]." if name else "Why: no known mistake explains it."
    if said and not name:
        why = f"{why.rstrip('.')}; {said}."
    mend = FACTOR_OF_ALL if factor else should_be_text(shown.key, trials[0])
    if not how and not name and _could_come_from_above(shown.key, trials):
        mend = SAY_MORE
    lines = [headline(shown.key, trials[0], how, shown.wrong_parts), why, mend, evidence(shown, trials[0])]
    # A factor may be all that is seen of what is wrong; one of all derivatives may be a matter of what was stated.
    return Diagnosis(shown.key, name, () if factor else name, "\n".join(lines), pattern.name != "scaled", shown)


def _factor_of_all(first: Key, trials: Sequence[Trial]) -> Pattern | None:
    """What to say where all derivatives are autograd's but for one factor."""
    factor, name = factor_of_all(trials) if first[0] in DERIVATIVES else ("", "")
    which = f", which is {name}" if name else ""
    it = "its step" if first[0] == "weight" else "it"
    said = f"{it} is {factor} times autograd's{which}, and so are all derivatives"
    return Pattern(said, "scaled") if factor else None


def _factor_of_parts(first: Key, trials: Sequence[Trial]) -> Pattern | None:
    """What to say where some gradients, or a part of some, are autograd's but for a factor, and all else is right."""
    quantities = {key[0] for trial in trials for step in trial.actual for key in step}
    alone = first[0] == "gradient" or (first[0] == "weight" and "gradient" not in quantities)
    return scaled_parts(first[0], trials) if alone else None


def _could_come_from_above(key: Key, trials: Sequence[Trial]) -> bool:
    """Whether the cause may lie in activations or deltas that were not given."""
    kinds = {quantity for trial in trials for step in trial.actual for quantity, _ in step}
    return key[0] in ("delta", "gradient", "weight") and not kinds >= {"activation", "delta"}


def _rounding_only(wrong: Wrong) -> str:
    error = float(distance(wrong.hand, wrong.torch).max())
    return (
        f"{quantity_name(wrong.key)} is off by no more than rounding: by {error:.2g}, where right answers may lie"
        f" {float(wrong.derived.max()):.2g} apart; the tolerance that was asked for is smaller."
    )


def _of_stack(trial: Trial, first: Measured) -> Diagnosis | None:
    """The diagnosis of the network with the first wrong number, compared again on its own."""
    network = first.worst[: trial.stack_axes]
    alone = trial.of_network(network)
    steps = enumerate(zip(alone.truths, alone.actual, strict=True), start=trial.step)
    again = [m for step, (truth, answer) in steps for m in measure(truth, answer, case=trial.case, step=step)]
    diagnosis = diagnose([alone], again)
    where = f"Where: network {', '.join(map(str, network))} of the stack: "
    return diagnosis and replace(diagnosis, message=where + diagnosis.message.removeprefix("Where: "))


def _misshapen(key: Key, trials: Sequence[Trial]) -> Diagnosis:
    """The diagnosis where all that is wrong has another shape."""
    said, name = "it has the wrong shape", ""
    if _biases_not_summed(trials):
        name = "biases_not_summed"
        said = f"the biases' gradients are not summed over the samples: one sample's have the right shape [{name}]"
    lines = [headline(key, trials[0], parts=(BOTH[1],) if name else BOTH), f"Why: {said}."]
    lines += [should_be_text(key, trials[0])] if name else []
    return Diagnosis(key, (name,) if name else (), (name,) if name else (), "\n".join(lines))


def _biases_not_summed(trials: Sequence[Trial]) -> bool:
    """Whether of gradients the biases alone have another shape, where there is more than one sample."""
    seen = set()
    for trial in trials:
        for truth, answer in zip(trial.truths, trial.actual, strict=True):
            several = len(truth.problem.inputs) > 1
            for key in trial.misshapen & answer.keys():
                biases, weights = np.isnan(answer[key][-1]), np.isnan(answer[key][:-1])
                if key[0] != "gradient" or weights.any() or biases.all() != several:
                    return False
                seen.add(several)
    return seen == {True, False}


def _only_turned(trials: Sequence[Trial]) -> Diagnosis | None:
    """The diagnosis where every number is right, but in transposed matrices."""
    turned = [(key, trial) for trial in trials for key in trial.truths[0].pairs if key in trial.turned]
    if not turned:
        return None
    key, trial = turned[0]
    name = "transposed_gradient"
    said = f"Why: it equals {MISTAKES[name].formula}: the matrix is transposed [{name}]."
    return Diagnosis(key, (name,), (name,), f"{headline(key, trial)}\n{said}\n{should_be_text(key, trial)}")
