"""An implementation put to its probes; and where it is not right what else is tried, in order, each a small rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce
from itertools import product

import numpy as np

from comparisons.diagnosis.diagnose import Diagnosis, diagnose
from comparisons.diagnosis.line import with_line
from comparisons.diagnosis.statements import (
    CONSISTENT,
    Otherwise,
    consistent_with,
    cost_of,
    momentum_of,
    own_rate,
    stated_otherwise,
)
from comparisons.reference.quantities import Problem, Statement
from comparisons.reference.truth import Truth
from comparisons.subject.finding import found_form
from comparisons.subject.forms import Form, forms
from comparisons.subject.implementation import Implementation
from comparisons.subject.layouts import Layout
from comparisons.subject.probes import Probe, architectures, far_probe, probe, square
from comparisons.subject.session import WITHOUT, Session, findings_of
from comparisons.verdict.trial import Trial

# What is tried is tried on numbers of its own, so that no answer is remembered from there.
ASIDE = 1_000_003
FIRST, ALONE = "it uses the first sample only", "it runs with one sample only"
JUDGED = ": judged with "
NOT_SUMMED = "[biases_not_summed]"


@dataclass(frozen=True)
class Setting:
    """What is stated of an implementation, and on what it is examined.

    Attributes
    ----------
    activation, stated, online : of the network
    reduction : of the probes: "sum" takes steps N times as large
    layout : as it was stated; None finds it
    sizes, batch : as they were stated; None leaves the choice to the probes
    dtype, rate, seed : of the probes
    one_rate : whether the learning rate is the same at each step, for who is not told
    call : writes the call of check with these options in the place of those that were stated
    """

    activation: str | tuple[str, ...]
    stated: Statement
    online: bool
    reduction: str
    layout: str | None
    sizes: tuple[int, ...] | None
    batch: int | None
    dtype: np.dtype
    rate: float
    seed: int
    one_rate: bool
    call: Callable[[Mapping[str, object]], str]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The sizes of the probes."""
        return architectures(self.activation) if self.sizes is None else [self.sizes]

    def probe(self, sizes: tuple[int, ...], seed: int = 0) -> Probe:
        """Return the probe of these sizes."""
        return probe(
            sizes,
            activation=self.activation,
            batch=self.batch,
            dtype=self.dtype,
            learning_rate=self.rate,
            seed=self.seed + seed,
            reduction=self.reduction,
            one_rate=self.one_rate,
            stated=self.stated,
            online=self.online,
        )

    def far_probe(self) -> Probe:
        """Return the probe of what is rarer."""
        how = (self.activation, self.dtype, self.rate, self.seed, self.reduction, self.stated, self.online)
        return far_probe(*how)

    def forms(self) -> list[Form]:
        """Return the forms in which it may want its weights and samples."""
        one_layer = len(self.shapes[0]) == 2
        return forms(self.stated.biases, self.stated.cost == "cross_entropy", self.batch == 1, one_layer)


@dataclass(frozen=True)
class Examination:
    """An implementation, put to its probes.

    Attributes
    ----------
    setting, implementation : who was asked what
    sessions : one for each probe
    explanation : a better diagnosis than that of the sessions
    headlines : what was found by trying otherwise: no match, and said first
    comments : what was found by trying otherwise, and hides nothing
    rarer : whether the last session is of what is rarer, and of another depth
    """

    setting: Setting
    implementation: Implementation
    sessions: Sequence[Session]
    explanation: Diagnosis | None = None
    headlines: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    rarer: bool = False

    @property
    def is_right(self) -> bool:
        """Whether it answered all that it was asked, and nothing was wrong."""
        wrong = any(m.is_wrong for session in self.sessions for m in session.measured)
        turned = any(trial.turned for trial in self.trials)
        return not (wrong or turned or self.findings) and all(session.trial for session in self.sessions)

    @cached_property
    def diagnosis(self) -> Diagnosis | None:
        """What is wrong first, and why; of what is rarer by itself, since all else was right."""
        if self.explanation:
            return self.explanation
        sessions = self.sessions[-1:] if self.rarer else self.sessions
        trials = [session.trial for session in sessions if session.trial]
        measured = [m for session in sessions for m in session.measured]
        alone = next((session.single for session in sessions if session.single), None)
        if not trials:
            return None
        of_single = None
        if self.setting.online:
            # Where there is one sample, and one step, everything can be said; but it has to explain the others too.
            singles = [trial for trial in (trial.of_single_samples() for trial in trials) if trial.truths]
            places = {(trial.case, trial.step) for trial in singles}
            of_single = diagnose(singles, [m for m in measured if (m.case, m.step) in places]) if singles else None
        of_all = diagnose(trials, measured, alone)
        return of_single if of_single and of_all and of_single.mistakes == of_all.mistakes else of_all

    @property
    def runs(self) -> bool:
        """Whether on unequal widths it answered, and anything of it in the right shape."""
        trial = self.sessions[0].trial
        return bool(trial and any(key not in trial.misshapen for actual in trial.actual for key in actual))

    @property
    def findings(self) -> tuple[str, ...]:
        """What is wrong beyond the numbers."""
        return (*self.headlines, *findings_of(self.sessions))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is worth knowing and not wrong."""
        return tuple(dict.fromkeys([*self.comments, *(said for session in self.sessions for said in session.remarks)]))

    @cached_property
    def trials(self) -> list[Trial]:
        """What it was asked and answered, probe by probe."""
        return [session.trial for session in self.sessions if session.trial]

    @property
    def questions(self) -> list[Truth]:
        """What autograd says of each question that it answered."""
        trials = (trial for session in self.sessions for trial in (session.trial, session.single) if trial)
        return [truth for trial in trials for truth in trial.truths]

    @property
    def usual(self) -> list[Trial]:
        """The trials that show every known mistake: all but one of what is rarer."""
        sessions = self.sessions[:-1] if self.rarer else self.sessions
        return [session.trial for session in sessions if session.trial]

    @property
    def problem(self) -> Problem:
        """The problem of a single sample."""
        return self.sessions[0].probe.single.problem

    def repeated(self, implementation: Implementation, comment: str = "", **changes: object) -> Examination:
        """Return another examination: of this implementation, in a setting with these changes."""
        setting = replace(self.setting, **changes)  # type: ignore[arg-type]
        return replace(
            examine(implementation, setting),
            headlines=self.headlines,
            comments=(*self.comments, *filter(None, [comment])),
        )


def examine(implementation: Implementation, setting: Setting, trusting: bool = True) -> Examination:
    """Put an implementation to the probes of a setting.

    Parameters
    ----------
    trusting : as in `settled`
    """
    sessions: list[Session] = []
    for sizes in setting.shapes:
        sessions.append(Session(implementation, setting.probe(sizes), trusting))
        # Where all widths are equal, the shapes do not tell.
        implementation = implementation.read_backwards({*implementation.deepest_first, *sessions[-1].backwards})
    equal = square(len(setting.shapes[0]) - 1)
    if equal not in setting.shapes and any(session.misfit for session in sessions):
        # On equal widths a missing transpose computes, and can be named.
        extra = Session(implementation, setting.probe(equal), trusting)
        sessions.append(extra.silent() if extra.misfit else extra)
    if all(session.misfit for session in sessions):
        # With as many samples as nodes a transpose that is missing on the axis of the samples computes, too.
        as_many = replace(setting, batch=equal[0]).probe(equal)
        as_many = replace(as_many, name=f"{equal[0]} samples of {'-'.join(map(str, equal))}")
        extra = Session(implementation, as_many, trusting)
        sessions.append(extra.silent() if extra.misfit else extra)
    return Examination(setting, implementation, sessions)


# What else is tried, in order. Each takes an examination, and returns it, or a better one.


def in_another_form(examination: Examination) -> Examination:
    """The form is found by trying; a layout that was stated is kept, unless it does not run in it."""
    setting = examination.setting
    if examination.is_right:
        return examination
    stated = setting.layout is not None and examination.runs
    candidates = [
        form for form in setting.forms() if not stated or form.layout == examination.implementation.form.layout
    ]
    truth = setting.probe(setting.shapes[0], seed=ASIDE).truths[0]
    form = found_form(examination.implementation, truth, setting.rate, candidates)
    if form is None:
        return examination
    other = examination.implementation.in_form(form)
    said = f"it is called with {form}" if str(form) != str(examination.implementation.form) else ""
    if setting.layout and form.layout.name != setting.layout:
        said = f"it does not run with layout={setting.layout!r}: judged with layout={form.layout.name!r}"
    return examination.repeated(other, said)


def without_biases(examination: Examination) -> Examination:
    """Code that has no biases says so by running in no form that has any."""
    setting = examination.setting
    if examination.runs or not setting.stated.biases:
        return examination
    bare = examination.implementation.in_form(Form(Layout(examination.implementation.layout, biases=False)))
    call = partial(_with, setting.call, {"biases": False})
    other = examination.repeated(bare, stated=replace(setting.stated, biases=False), call=call)
    other = in_another_form(other)
    if not other.runs:
        return examination
    line = f"{CONSISTENT}biases=False" if other.is_right else f"it has no biases{JUDGED}biases=False"
    return replace(other, headlines=(f"{line}\nNext: {call({})}",))


def one_sample_at_a_time(examination: Examination) -> Examination:
    """Code that takes one sample at a time is asked so; where it answers several all the same, that is no match."""
    setting, implementation = examination.setting, examination.implementation
    if examination.is_right or setting.batch is not None or setting.online:
        return examination
    not_summed = any(NOT_SUMMED in finding for finding in examination.findings)
    takes_first = bool(examination.trials) and not not_summed and examination.sessions[0].takes_first_alone()
    if examination.trials and not takes_first and not not_summed:
        return examination
    call = partial(_with, setting.call, {"batch": 1})
    other = in_another_form(
        replace(examination, comments=implementation.described).repeated(implementation, batch=1, call=call)
    )
    if not_summed and not (implementation.is_class and other.is_right):
        said = f"one sample at a time it is right: {call({})}"
        return replace(examination, comments=(*examination.comments, said)) if other.is_right else examination
    if not other.runs:
        return examination
    if other.implementation.form.vector:
        # It wants no more than one; else it may be a mistake that more of them raise.
        return replace(other, comments=(*other.comments, "it takes one sample at a time: judged with batch=1"))
    if takes_first:
        other = with_a_cost_of_its_own(other)
    line = f"{CONSISTENT}batch=1" if other.is_right else f"{FIRST if takes_first else ALONE}{JUDGED}batch=1"
    line = f"{line}\nNext: {call({})}"
    return explained(examination, other, line) if takes_first else replace(other, headlines=(*other.headlines, line))


def explained(examination: Examination, other: Examination, line: str) -> Examination:
    """The verdicts as stated, explained by what another statement makes of them."""
    if not examination.diagnosis:
        return examination
    if other.is_right or not other.diagnosis:
        return replace(examination, explanation=consistent_with(examination.diagnosis, line))
    diagnosis = replace(other.diagnosis, message=f"{line}\n{other.diagnosis}")
    return replace(examination, explanation=diagnosis, implementation=other.implementation, comments=other.comments)


def with_momentum(examination: Examination) -> Examination:
    """Steps that go on with what is left of those before."""
    if examination.explanation or not examination.trials or not _gives_weights_alone(examination):
        return examination
    line = momentum_of(examination.trials, examination.implementation.arguments.takes_velocity)
    if line and examination.diagnosis and not examination.findings:
        return replace(examination, explanation=consistent_with(examination.diagnosis, line))
    return replace(examination, headlines=(line, *examination.headlines)) if line else examination


def _gives_weights_alone(examination: Examination) -> bool:
    return all(key[0] == "weight" for trial in examination.trials for _, key, _, _ in trial.answers())


def with_its_own_steps(examination: Examination) -> Examination:
    """Code that steps at a learning rate of its own, or after each sample, may be wrong in something else besides."""
    if examination.explanation or not _is_open(examination) or not _gives_weights_alone(examination):
        return examination
    setting = examination.setting
    # Who is not told a rate may have one, or leave it out.
    rates = (own_rate(examination.trials), 1.0) if setting.one_rate else (None,)
    for rate, online in product(dict.fromkeys(rates), dict.fromkeys((setting.online, setting.batch != 1))):
        options: dict[str, object] = {"online": True} if online and not setting.online else {}
        options |= {"learning_rate": rate} if rate and rate != setting.rate else {}
        if not options:
            continue  # it has been tried
        call = partial(_with, setting.call, options)
        other = with_another_statement(
            examination.repeated(examination.implementation, online=online, rate=rate or setting.rate, call=call)
        )
        written = Otherwise(options).written
        if other.is_right:
            return explained(examination, other, f"{CONSISTENT}{written}\nNext: {call({})}")
        if other.explanation:
            message = other.explanation.message.replace(CONSISTENT, f"{CONSISTENT}{written}, ", 1)
            return replace(examination, explanation=replace(other.explanation, message=message))
        if other.diagnosis and other.diagnosis.is_settled:
            return explained(examination, other, f"{_more_with(written)}\nNext: {call({})}")
    return examination


def _more_with(written: str) -> str:
    return f"with {written} more of it can be explained"


def with_a_cost_of_its_own(examination: Examination) -> Examination:
    """Where the last layer is right but for the factor of another cost, what has another shape is looked at by that."""
    diagnosis, setting = examination.diagnosis, examination.setting
    misshapen = {key for trial in examination.trials for key in trial.misshapen}
    if not diagnosis or not misshapen or diagnosis.first_wrong in misshapen:
        return examination
    other = cost_of(examination.trials)
    if other is None:
        return examination
    call = partial(_with, setting.call, other.options)
    stated = replace(setting.stated, **other.options)
    tried = examination.repeated(examination.implementation, stated=stated, call=call)
    if not (tried.diagnosis and tried.diagnosis.mistakes):
        return examination
    return explained(examination, tried, f"{_more_with(other.written)}\nNext: {call({})}")


def _with(
    call: Callable[[Mapping[str, object]], str], options: Mapping[str, object], instead: Mapping[str, object]
) -> str:
    """The call with these options too."""
    return call({**options, **instead})


def with_their_mean_left_out(examination: Examination) -> Examination:
    """Deltas that are wrong either way: perhaps the 1/N was in them after all."""
    if _is_open(examination) and WITHOUT in examination.remarks:
        other = examine(examination.implementation, examination.setting, trusting=False)
        if other.diagnosis and other.diagnosis.is_settled:
            return replace(other, headlines=examination.headlines, comments=examination.comments)
    return examination


def as_float32(examination: Examination) -> Examination:
    """What is wrong besides shows where float32 is no mistake."""
    if not (_is_open(examination) and examination.setting.dtype == np.float64 and _is_float32(examination.trials)):
        return examination
    besides = examine(examination.implementation, replace(examination.setting, dtype=np.dtype(np.float32))).diagnosis
    if not (besides and besides.mistakes):
        return examination
    both = ("single_precision", *besides.mistakes)
    message = f"It computes in float32 [single_precision]. Judged as float32:\n{besides}"
    return replace(examination, explanation=replace(besides, mistakes=both, message=message))


def _is_open(examination: Examination) -> bool:
    """Whether something is wrong that no mistake explains."""
    return bool(examination.diagnosis and not examination.diagnosis.is_settled)


def _is_float32(trials: Sequence[Trial]) -> bool:
    answers = [actual for trial in trials for _, _, actual, _ in trial.answers()]
    return bool(answers) and all((actual.astype(np.float32) == actual).all() for actual in answers)


def with_another_statement(examination: Examination) -> Examination:
    """Right up to a convention is no mistake, but no match either."""
    setting, trials = examination.setting, examination.trials
    if not examination.diagnosis:
        return examination
    if setting.online:
        # Only a single step is made of gradients alone; what is found there has to hold for several.
        trials = [trial for trial in (trial.of_single_samples() for trial in trials) if trial.truths]
    other = stated_otherwise(trials, setting.one_rate)
    if other is None or (setting.online and not _is_right_for(examination, other)):
        return examination
    return replace(examination, explanation=consistent_with(examination.diagnosis, other.line(setting.call)))


def _is_right_for(examination: Examination, other: Otherwise) -> bool:
    """Whether it is right in another setting, which options of check state."""
    if other.more:
        return False
    options, setting = dict(other.options), examination.setting
    rate = options.pop("learning_rate", setting.rate)
    names = options.pop("activation", setting.activation)
    activation = names if isinstance(names, str) else tuple(names)
    stated = replace(setting.stated, **options)
    return examination.repeated(examination.implementation, stated=stated, rate=rate, activation=activation).is_right


def further(examination: Examination) -> Examination:
    """What was right so far is put to a probe of another depth, whose diagnosis is its own."""
    setting = examination.setting
    if not examination.is_right or setting.sizes is not None or setting.batch is not None:
        return examination
    last = Session(examination.implementation, setting.far_probe())
    if not last.trial:
        last.remarks.append(f"it runs with sizes={setting.probe(setting.shapes[0]).single.problem.sizes}")
    return replace(examination, sessions=[*examination.sessions, last], rarer=True)


def with_fewer_layers(examination: Examination) -> Examination:
    """Code that never answers is told with how many layers it would run."""
    setting = examination.setting
    if not examination.trials and isinstance(setting.activation, str) and setting.sizes is None:
        sizes = architectures(["sigmoid"] * 2)[0]
        if Session(examination.implementation, setting.probe(sizes)).trial:
            return replace(examination, comments=(*examination.comments, f"it runs with sizes={sizes}"))
    return examination


def at_its_line(examination: Examination) -> Examination:
    """What is wrong is shown where it is computed; a convention is nothing to be mended."""
    diagnosis = examination.diagnosis
    if not diagnosis or CONSISTENT in diagnosis.message:
        return examination
    return replace(examination, explanation=with_line(diagnosis, examination.implementation, examination.setting.rate))


RULES: tuple[Callable[[Examination], Examination], ...] = (
    in_another_form,
    without_biases,
    one_sample_at_a_time,
    with_their_mean_left_out,
    as_float32,
    with_another_statement,
    with_momentum,
    with_its_own_steps,
    with_a_cost_of_its_own,
)
LAST = (further, with_fewer_layers, at_its_line)


def examined(implementation: Implementation, setting: Setting) -> Examination:
    """Return what comes of the implementation, each rule tried in order."""
    start = replace(examine(implementation, setting), comments=implementation.described)
    return reduce(lambda examination, rule: rule(examination), (*RULES, *LAST), start)
