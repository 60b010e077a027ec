"""The command `handnet`: it parses, calls, and turns the result into an exit status."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from comparisons.checks import checked
from comparisons.diagnosis.hint import LEVELS, hint
from comparisons.output import page, report
from comparisons.output.outcome import Outcome
from comparisons.reference.quantities import Statement
from comparisons.reference.twin import checked_device
from comparisons.studies import (
    audit,
    compare,
    equations,
    grade,
    gradebook,
    own_test,
    planted,
    proof,
    speed,
    sweep,
    worked,
)
from comparisons.studies.cases import CASES
from comparisons.studies.examples import MOST_NODES, read_example
from comparisons.studies.own_test import OwnTest
from comparisons.studies.processes import PATIENCE
from comparisons.studies.rubric import read_rubric
from comparisons.studies.sweep import Setting, Subject, replayed
from comparisons.studies.work import cores, default_jobs
from comparisons.subject.child import in_a_child
from comparisons.subject.implementation import REDUCTIONS, load
from comparisons.subject.layouts import LAYOUTS
from comparisons.subject.reading import ImplementationError
from handnet.costs import COSTS

DTYPES = ("float64", "float32")
MATCH, MISMATCH, BAD_INPUT = 0, 1, 2
# The options of check that are of a function.
OF_FUNCTION = (
    *("layout", "biases", "activation", "cost", "reduction", "l2", "online", "sizes", "batch", "dtype"),
    *("learning_rate", "seed", "strict"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    status : 0 match, 1 mismatch, 2 bad input
    """
    if arguments is None:
        return in_a_child(main, sys.argv[1:])
    options = _parser().parse_args(arguments)
    # Somebody's file may change the folder that it runs in, and the reports stay where they were asked for.
    folder, started, html = os.path.abspath(options.out), time.time(), getattr(options, "html", False)
    options.shown_out, options.out = options.out, folder
    try:
        if html:
            page.check_installed()
        outcome = options.run(options)
        # What is to be written is written before anything is shown, whatever becomes of the reader.
        if outcome.tables:
            report.write_reports(outcome.tables, folder, started, partial(_page, outcome) if html else None)
        outcome.written()
    except OSError as problem:
        where = f" {problem.filename}" if problem.filename else ""
        return _bad_input(options, f"cannot write or read{where}: {problem.strerror or problem}")
    except ImplementationError as problem:
        print(f"handnet {options.command}: {' '.join(str(problem).split())}", file=sys.stderr)
        return MISMATCH
    except MemoryError:
        return _bad_input(options, "out of memory")
    except BrokenExecutor:
        return _bad_input(options, "a process of its --jobs ended by itself: os._exit, a crash, or out of memory")
    except (ValueError, TypeError, ImportError) as problem:
        return _bad_input(options, " ".join(str(problem).split()) or type(problem).__name__)
    except KeyboardInterrupt:
        return _bad_input(options, "interrupted")
    _show(outcome, options.shown_out)
    return BAD_INPUT if not outcome.judged else MATCH if outcome.passed else MISMATCH


def _page(outcome: Outcome, footer: str) -> str:
    answer = outcome.answer or outcome.line
    return page.render(outcome.title, answer, outcome.passed, outcome.sections(), outcome.messages, footer)


def _show(outcome: Outcome, out: str) -> None:
    """Print what the outcome says, the line last, and where the reports went."""
    ending = f"{outcome.line} -> {out}" if outcome.tables else outcome.line
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # The terminal may lack a letter of somebody's message.
            sys.stdout.reconfigure(errors="backslashreplace")
        print("\n\n".join([*filter(None, outcome.text), ending]), flush=True)
    except OSError:
        # The reader has gone, as `| head` does, or there is no room for the text.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}\n")


def _bad_input(options: argparse.Namespace, message: str) -> int:
    print(f"handnet {options.command}: {message}", file=sys.stderr)
    return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="handnet", description="Validate hand-written backpropagation against PyTorch's autograd.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser(
        "compare",
        help="the hand-written network beside autograd",
        description="Compare the hand-written network with autograd. Without a CASE: all, and the note's equations.",
    )
    command.add_argument("cases", nargs="*", default=[], metavar="CASE", help=f"one of {', '.join(CASES)}")
    command.add_argument("--dtype", choices=DTYPES, default="float64")
    command.add_argument("--steps", type=_natural, help="training steps, instead of each case's own")
    command.add_argument("--learning-rate", type=float, help="instead of each case's own")
    command.add_argument("--device", default="cpu", help="where torch computes: cpu or cuda")
    _add_strict(command)
    command.add_argument("--elements", choices=("worst", "all"), default="worst", help="what elements.csv lists")
    command.add_argument("--replay", type=_replay, metavar="SEED:INDEX", help="one network of a sweep, alone")
    command.add_argument("--sizes", type=_sizes, default=(2, 2, 2), help="of the replayed network: 3,5,2")
    command.add_argument("--activation", type=_names, default="sigmoid", help="of the replayed network")
    command.add_argument("--scale", type=float, default=1.0, help="of the replayed network's weights")
    command.add_argument("--batch", type=_size, default=1, help="samples of the replayed network")
    _add_implementation(command)
    command.set_defaults(run=_compare)

    command = commands.add_parser("equations", help="the equations of docs/the-note.md, as printed, beside autograd")
    command.add_argument("--points", type=_size, default=equations.POINTS, help="on how many random networks")
    command.add_argument("--seed", type=_natural, default=0)
    command.set_defaults(run=_equations)

    command = commands.add_parser(
        "check",
        help="your own backpropagation, or a worked example, beside autograd",
        description="Check a function backprop(weights, inputs, targets), or the printed numbers of a worked example.",
    )
    command.add_argument("target", metavar="TARGET", help="file.py:function, or a worked example .toml")
    command.add_argument(
        "--layout", choices=LAYOUTS, help="how it keeps weights and samples (by default found by trying)"
    )
    command.add_argument("--sizes", type=_sizes, help="such as 3,5,4,3, if it works for these only")
    command.add_argument(
        "--activation", type=_names, default="sigmoid", help="one name, or one per layer: tanh,sigmoid"
    )
    command.add_argument("--batch", type=_size, help="with how many samples it is called")
    command.add_argument("--dtype", choices=DTYPES, default="float64")
    _add_statement(command)
    command.add_argument("--online", action="store_true", help="if it updates its weights after each sample")
    command.add_argument("--learning-rate", type=float, default=0.5)
    command.add_argument("--seed", type=_natural, default=0)
    _add_strict(command)
    command.add_argument(
        "--hint", choices=LEVELS, default="fix", help="how much the message gives away (by default all)"
    )
    command.set_defaults(run=_check)

    command = commands.add_parser(
        "grade",
        help="points for submissions, each run in a process of its own",
        description="Grade submissions by points.toml: grade.csv has a row for each, --format writes more beside it.",
    )
    command.add_argument("targets", nargs="+", metavar="TARGET", help="file.py or file.py:function, several times")
    command.add_argument("--points", required=True, metavar="points.toml", help="the file that says what earns points")
    command.add_argument("--function", default="backprop", help="which function, where a TARGET names none (backprop)")
    command.add_argument("--format", choices=gradebook.FORMATS, default="csv", help="for whom to write files too")
    command.add_argument(
        "--time", type=float, default=PATIENCE, metavar="SECONDS", help="time limit for one submission (20)"
    )
    command.add_argument("--jobs", type=int, help="submissions at a time (as many as there are cores)")
    command.set_defaults(run=_grade)

    command = commands.add_parser(
        "mistakes", help="proof that the checker can fail: make every known mistake, and catch it"
    )
    command.add_argument("--list", action="store_true", help="only list them")
    command.add_argument("--every", type=_natural, default=1, metavar="N", help="only every N-th cell, as a sample (1)")
    command.add_argument("--jobs", type=int, default=1, help="processes; more than one needs the extra sweep")
    command.set_defaults(run=_mistakes)

    command = commands.add_parser(
        "audit",
        help="which known mistakes your own gradient test does not notice",
        description="Run a pytest TEST with each known mistake planted in the function that it tests. Without a TEST,"
        " make each mistake on some data and say which ones a tolerance lets pass; without --sizes and the like, the"
        " data are the note's 2-2-2 network with its one sample.",
    )
    command.add_argument("test", nargs="?", default="", metavar="TEST", help="test_mine.py::test_gradient")
    command.add_argument(
        "--target", default="", metavar="mine.py:function", help="the function that the TEST tests; it must be right"
    )
    command.add_argument("--layout", choices=LAYOUTS, help="how the target keeps weights and samples")
    command.add_argument(
        "--time", type=float, default=PATIENCE, metavar="SECONDS", help="time limit for one run of the TEST (20)"
    )
    command.add_argument("--jobs", type=int, help="runs of the TEST at a time (as many as there are cores)")
    command.add_argument("--rtol", type=float, default=audit.RTOL, help="relative tolerance of the test (1e-5)")
    command.add_argument("--atol", type=float, default=audit.ATOL, help="absolute tolerance of the test (1e-8)")
    command.add_argument("--like", metavar="NAME", help=f"or the tolerance of {', '.join(audit.LIKE)} or decimal=5")
    command.add_argument("--sizes", type=_sizes, default=(2, 2, 2), help="of a random network: 3,5,2")
    command.add_argument("--activation", type=_names, default="sigmoid", help="of the random network, or the target")
    command.add_argument("--batch", type=_size, default=1, help="samples of the random network (1)")
    command.add_argument("--dtype", choices=DTYPES, default="float64")
    command.add_argument("--seed", type=_natural, default=0)
    _add_statement(command)
    command.set_defaults(run=_audit)

    command = commands.add_parser(
        "sweep",
        help="very many random networks beside autograd",
        description="Compare very many random networks. Options that may be given several times make a grid.",
    )
    command.add_argument("--networks", type=_count, default=1_000_000, help="how many in all (1,000,000)")
    command.add_argument("--sizes", type=_sizes, action="append", help="2,2,2; several times for several")
    command.add_argument("--activation", type=_names, action="append", help="one name, or one per layer; several times")
    command.add_argument("--dtype", choices=DTYPES, action="append", help="several times for both")
    command.add_argument(
        "--scale", type=float, action="append", help="standard deviation of the weights; several times"
    )
    command.add_argument("--batch", type=_size, help="samples of each network (1; 3 with --planted)")
    command.add_argument("--seed", type=_natural, default=0)
    command.add_argument("--jobs", type=int, help="processes (as many as there are cores)")
    command.add_argument(
        "--cluster", metavar="ADDRESS", help="a Dask scheduler, tcp://host:port, instead of processes here"
    )
    command.add_argument("--chunk", type=_count, help="how many numbers a process compares at a time (2,000,000)")
    command.add_argument("--resume", action="store_true", help="go on with an interrupted sweep")
    _add_strict(command)
    command.add_argument("--planted", action="store_true", help="instead, make each known mistake: is it caught?")
    _add_implementation(command)
    command.set_defaults(run=_sweep)

    command = commands.add_parser("speed", help="timings side by side")
    command.add_argument("--rounds", type=_natural, default=7, help="rounds to take the medians of (7)")
    command.add_argument("--threads", type=_natural, default=1, help="of BLAS and torch, the same on all sides")
    command.add_argument("--networks", type=_count, default=1_000_000, help="of the sweep (1,000,000)")
    command.add_argument("--small", action="store_true", help="leave out the large networks")
    command.add_argument("--scaling", action="store_true", help="instead, sweeps of 10^4 to 10^7 networks")
    command.set_defaults(run=_speed)

    for name, command in commands.choices.items():
        command.set_defaults(command_parser=command)
        command.add_argument(
            "--out", default="reports", type=_folder, metavar="DIR", help="where the CSV files go (reports)"
        )
        if name != "speed":
            command.add_argument("--html", action="store_true", help="also write index.html, a page that shows it")
    return parser


def _add_strict(command: argparse.ArgumentParser) -> None:
    command.add_argument("--strict", action="store_true", help="suspect numbers fail too")


def _add_statement(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cost", choices=COSTS, default="half_squared_error", help="the cost whose gradient it computes"
    )
    command.add_argument(
        "--reduction",
        choices=REDUCTIONS,
        default="mean",
        help="whether its cost is the mean or the sum over the samples",
    )
    command.add_argument("--l2", type=float, default=0.0, help="lambda of a penalty lambda / 2 |w|^2 on the weights")
    command.add_argument("--no-biases", dest="biases", action="store_false", help="if it has no biases")


def _add_implementation(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--implementation",
        default="",
        metavar="file.py:function",
        help="a function to compare, instead of handnet's own network",
    )
    command.add_argument("--layout", choices=LAYOUTS, default="note", help="how it keeps weights and samples")
    command.add_argument(
        "--reduction",
        choices=REDUCTIONS,
        default="mean",
        help="whether its cost is the mean or the sum over the samples",
    )


def _folder(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the folder has no name")
    return text


def _natural(text: str) -> int:
    if not text.isdecimal() or len(text) > 15:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 999,999,999,999,999")
    return int(text)


def _size(text: str) -> int:
    if _natural(text) > MOST_NODES:
        raise argparse.ArgumentTypeError(f"{text} is too large: expected {MOST_NODES:,} at most")
    return int(text)


def _count(text: str) -> int:
    return _natural(text.replace("_", "").replace(",", ""))


def _replay(text: str) -> tuple[int, int]:
    seed, colon, index = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not SEED:INDEX, two whole numbers")
    return _natural(seed), _natural(index)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(_size(part.strip()) for part in text.split(","))


def _names(text: str) -> str | tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    return names[0] if len(names) == 1 else names


def _compare(options: argparse.Namespace) -> Outcome:
    checked_device(options.device)
    everything = options.elements == "all"
    if options.replay:
        _refuse(options, ("cases", "steps", "learning_rate", "device"), "with --replay")
        seed, index = options.replay
        how = {"dtype": options.dtype, "scale": options.scale, "batch": options.batch, "seed": seed}
        comparison = replayed(Setting.of(options.sizes, options.activation, **how), index, _subject(options))
        comparison = replace(comparison, strict=options.strict)
        return compare.of_one(comparison, f"Network {index} of seed {seed} beside autograd", everything)
    of_replay = ("sizes", "activation", "scale", "batch", "implementation", "layout", "reduction")
    _refuse(options, of_replay, "without --replay")
    run = compare.Run(options.dtype, options.steps, options.learning_rate, options.device, options.strict)
    outcome = compare.outcome(list(dict.fromkeys(options.cases or CASES)), run, everything)
    return outcome if options.cases else outcome.and_also(equations.outcome(with_values=options.html))


def _equations(options: argparse.Namespace) -> Outcome:
    return equations.outcome(options.points, options.seed, options.html)


def _check(options: argparse.Namespace) -> Outcome:
    if options.target.endswith(".toml"):
        _refuse(options, (*OF_FUNCTION, "hint"), "with a worked example")
        return worked.outcome(read_example(options.target))
    stated = {name: getattr(options, name) for name in OF_FUNCTION}
    comparison = checked(load(options.target), stated, partial(_again, options))
    if options.hint != "fix":
        # The tables, and the page, have what autograd says.
        _refuse(options, ("html",), f"with --hint {options.hint}")
        return compare.hinted(comparison, hint(comparison, options.hint, options.reduction == "sum"))
    return compare.of_one(comparison, f"{options.target} beside autograd")


def _again(options: argparse.Namespace, _: str, stated: Mapping[str, Any]) -> str:
    """The command that checks the function again, with these options."""
    said = ["handnet", "check", options.target]
    for name, value in _changed(argparse.Namespace(**{**vars(options), **stated}), OF_FUNCTION):
        said += [_flag(name)] if isinstance(value, bool) else [_flag(name), _written(value)]
    return shlex.join(said)


def _written(value: Any) -> str:
    return ",".join(map(str, value if isinstance(value, (tuple, list)) else (value,)))


def _grade(options: argparse.Namespace) -> Outcome:
    targets, rubric = grade.targets_of(options.targets, options.function), read_rubric(options.points)
    jobs = cores() if options.jobs is None else options.jobs
    return grade.outcome(targets, rubric, options.format, options.out, options.time, jobs)


def _mistakes(options: argparse.Namespace) -> Outcome:
    if options.list:
        _refuse(options, ("jobs", "every", "html"), "with --list")
        return proof.catalogue()
    return proof.outcome(options.jobs, options.every)


def _audit(options: argparse.Namespace) -> Outcome:
    if options.test:
        return _audit_test(options)
    _refuse(options, ("target", "layout", "time", "jobs"), "without a TEST")
    if options.like:
        _refuse(options, ("rtol", "atol"), "with --like")
        options.rtol, options.atol = audit.tolerance_like(options.like, options.dtype)
    data, stated = ("sizes", "activation", "batch", "dtype", "seed"), ("cost", "reduction", "l2", "biases")
    if not _changed(options, (*data, *stated)):
        return audit.outcome(options.rtol, options.atol, audit.data_of(None, None, None))
    statement = Statement(**{name: getattr(options, name) for name in stated})
    problem = audit.drawn(**{name: getattr(options, name) for name in data}, stated=statement)
    return audit.outcome(options.rtol, options.atol, problem)


def _audit_test(options: argparse.Namespace) -> Outcome:
    _refuse(options, ("rtol", "atol", "like", "batch", "dtype", "seed"), "with a TEST")
    if ":" not in options.target:
        raise ValueError(f"--target is {options.target!r}: expected module:function, what {options.test} tests")
    of_target = ("layout", "biases", "activation", "cost", "reduction", "l2", "sizes")
    own = OwnTest(options.test, options.target, dict(_changed(options, of_target)), os.getcwd())
    jobs = cores() if options.jobs is None else options.jobs
    return own_test.outcome(own, options.time, jobs)


def _sweep(options: argparse.Namespace) -> Outcome:
    axes = {
        "sizes": options.sizes,
        "activations": options.activation,
        "dtypes": options.dtype,
        "scales": options.scale,
        "batch": options.batch,
        "seed": options.seed,
    }
    chosen = {name: value for name, value in axes.items() if value is not None}
    jobs = default_jobs() if options.jobs is None else options.jobs
    if options.planted:
        _refuse(options, ("implementation", "layout", "reduction", "chunk", "resume", "strict"), "with --planted")
        return planted.outcome(planted.planted_grid(**chosen), options.networks, jobs, options.cluster)
    return sweep.outcome(
        sweep.grid(**chosen),
        options.networks,
        subject=_subject(options),
        jobs=jobs,
        cluster=options.cluster,
        chunk=options.chunk,
        journal=Path(options.out) / "sweep.unfinished.jsonl",
        resume=options.resume,
        strict=options.strict,
    )


def _speed(options: argparse.Namespace) -> Outcome:
    if options.scaling:
        return speed.scaling_outcome()
    return speed.outcome(options.rounds, options.threads, options.networks, options.small)


def _refuse(options: argparse.Namespace, names: Sequence[str], where: str) -> None:
    """Raise ValueError where an option was given that would change nothing."""
    for name, value in _changed(options, names):
        raise ValueError(f"{value[0] if name == 'cases' else _flag(name)} is of no use {where}")


def _changed(options: argparse.Namespace, names: Sequence[str]) -> list[tuple[str, Any]]:
    """The options among these that are not the command's default."""
    given = [(name, getattr(options, name)) for name in names]
    return [(name, value) for name, value in given if value != options.command_parser.get_default(name)]


def _flag(name: str) -> str:
    return "--no-biases" if name == "biases" else f"--{name.replace('_', '-')}"


def _subject(options: argparse.Namespace) -> Subject:
    if not options.implementation:
        _refuse(options, ("layout", "reduction"), "without --implementation")
    return Subject(options.implementation, options.layout, options.reduction)
