"""The command `handnet`: it parses, calls, and turns the result into an exit status."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd

from comparisons.checks import check, compare_batches
from comparisons.mistakes.known import MISTAKES
from comparisons.output import page, report
from comparisons.reference.twin import checked_device
from comparisons.studies.cases import CASES, case
from comparisons.studies.equations import POINTS, equation_values, evaluate_equations, sound
from comparisons.studies.examples import MOST_NODES, read_example
from comparisons.studies.planted import all_caught, planted_grid, sweep_planted
from comparisons.studies.proof import cells, prove, proven
from comparisons.studies.speed import measure_scaling, measure_speed
from comparisons.studies.sweep import Setting, Subject, grid, replayed, sweep
from comparisons.studies.work import default_jobs
from comparisons.studies.worked import check_example
from comparisons.subject.apart import in_a_child
from comparisons.subject.implementation import REDUCTIONS, load
from comparisons.subject.reading import LAYOUTS, ImplementationError
from comparisons.verdict.comparison import Comparison

DTYPES = ("float64", "float32")
MATCH, MISMATCH, BAD_INPUT = 0, 1, 2
# The options of check that are of a function.
OF_FUNCTION = ("layout", "sizes", "activation", "batch", "dtype", "reduction", "learning_rate", "seed")


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
    options.shown_out, options.out = options.out, os.path.abspath(options.out)
    try:
        if getattr(options, "html", False):
            page.check_installed()
        # What is to be written is written before anything is shown, whatever becomes of the reader.
        status, text = options.run(options)
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
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # The terminal may lack a letter of somebody's message.
            sys.stdout.reconfigure(errors="backslashreplace")
        print(text, flush=True)
    except OSError:
        # The reader has gone, as `| head` does, or there is no room for the text.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(status)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}\n")


def _bad_input(options: argparse.Namespace, message: str) -> int:
    print(f"handnet {options.command}: {message}", file=sys.stderr)
    return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="handnet", description="Validate hand-written backpropagation against PyTorch's autograd.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    compare = commands.add_parser(
        "compare",
        help="the hand-written network beside autograd",
        description="Compare the hand-written network with autograd. Without a CASE: all, and the note's equations.",
    )
    compare.add_argument("cases", nargs="*", default=[], metavar="CASE", help=f"one of {', '.join(CASES)}")
    compare.add_argument("--dtype", choices=DTYPES, default="float64")
    compare.add_argument("--steps", type=_natural, help="training steps, instead of each case's own")
    compare.add_argument("--learning-rate", type=float, help="instead of each case's own")
    compare.add_argument("--device", default="cpu", help="where torch computes: cpu or cuda")
    compare.add_argument("--elements", choices=("worst", "all"), default="worst", help="what elements.csv lists")
    compare.add_argument("--replay", type=_replay, metavar="SEED:INDEX", help="one network of a sweep, alone")
    compare.add_argument("--sizes", type=_sizes, default=(2, 2, 2), help="of the replayed network: 3,5,2")
    compare.add_argument("--activation", type=_names, default="sigmoid", help="of the replayed network")
    compare.add_argument("--scale", type=float, default=1.0, help="of the replayed network's weights")
    compare.add_argument("--batch", type=_size, default=1, help="samples of the replayed network")
    _add_implementation(compare)
    compare.set_defaults(run=_compare)

    equations = commands.add_parser("equations", help="the note's own equations, as printed, beside autograd")
    equations.add_argument("--points", type=_size, default=POINTS, help="random networks to evaluate them at")
    equations.add_argument("--seed", type=_natural, default=0)
    equations.set_defaults(run=_equations)

    check = commands.add_parser(
        "check",
        help="your own backpropagation, or a worked example, beside autograd",
        description="Check a function backprop(weights, inputs, targets), or the printed numbers of a worked example.",
    )
    check.add_argument("target", metavar="TARGET", help="file.py:function, or a worked example .toml")
    check.add_argument("--layout", choices=LAYOUTS, default="note", help="of its weights and samples")
    check.add_argument("--sizes", type=_sizes, help="3,5,4,3 if it works for these alone")
    check.add_argument("--activation", type=_names, default="sigmoid", help="one name, or one per layer: tanh,sigmoid")
    check.add_argument("--batch", type=_size, help="samples of a probe")
    check.add_argument("--dtype", choices=DTYPES, default="float64")
    check.add_argument("--reduction", choices=REDUCTIONS, default="mean", help="of its cost over the samples")
    check.add_argument("--learning-rate", type=float, default=0.5)
    check.add_argument("--seed", type=_natural, default=0)
    check.set_defaults(run=_check)

    mistakes = commands.add_parser(
        "mistakes", help="the proof that the checker can fail: every known mistake, caught, located, named"
    )
    mistakes.add_argument("--list", action="store_true", help="list them, and make none")
    mistakes.add_argument("--jobs", type=int, default=1, help="processes; more than one needs the extra sweep")
    mistakes.set_defaults(run=_mistakes)

    sweep = commands.add_parser(
        "sweep",
        help="very many random networks beside autograd",
        description="Compare very many random networks. What may be given several times makes a grid with the others.",
    )
    sweep.add_argument("--networks", type=_count, default=1_000_000, help="how many in all (1,000,000)")
    sweep.add_argument("--sizes", type=_sizes, action="append", help="2,2,2; several times for several")
    sweep.add_argument("--activation", type=_names, action="append", help="one name, or one per layer; several times")
    sweep.add_argument("--dtype", choices=DTYPES, action="append", help="several times for both")
    sweep.add_argument("--scale", type=float, action="append", help="standard deviation of the weights; several times")
    sweep.add_argument("--batch", type=_size, help="samples of each network (1; 3 with --planted)")
    sweep.add_argument("--seed", type=_natural, default=0)
    sweep.add_argument("--jobs", type=int, help="processes (as many as there are cores)")
    sweep.add_argument(
        "--cluster", metavar="ADDRESS", help="of a Dask scheduler, tcp://host:port, instead of processes"
    )
    sweep.add_argument("--chunk", type=_count, help="numbers to compare in one go of a process (2,000,000)")
    sweep.add_argument("--resume", action="store_true", help="go on with an interrupted sweep")
    sweep.add_argument("--planted", action="store_true", help="sweep each known mistake instead: which are caught")
    _add_implementation(sweep)
    sweep.set_defaults(run=_sweep)

    speed = commands.add_parser("speed", help="timings side by side")
    speed.add_argument("--rounds", type=_natural, default=7, help="of which the medians are taken")
    speed.add_argument("--threads", type=_natural, default=1, help="of BLAS and torch, the same on all sides")
    speed.add_argument("--networks", type=_count, default=1_000_000, help="of the sweep (1,000,000)")
    speed.add_argument("--small", action="store_true", help="leave out the large networks")
    speed.add_argument("--scaling", action="store_true", help="instead, sweeps of 10^4 to 10^7 networks")
    speed.set_defaults(run=_speed)

    for command in (compare, equations, check, mistakes, sweep):
        command.add_argument("--html", action="store_true", help="also write index.html, a page that shows it")
    for command in (compare, equations, check, mistakes, sweep, speed):
        command.set_defaults(command_parser=command)
        command.add_argument(
            "--out", default="reports", type=_folder, metavar="DIR", help="where the CSV files go (reports)"
        )
    return parser


def _add_implementation(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--implementation", default="", metavar="file.py:function", help="whose numbers, instead of handnet's own"
    )
    command.add_argument("--layout", choices=LAYOUTS, default="note", help="of its weights and samples")
    command.add_argument("--reduction", choices=REDUCTIONS, default="mean", help="of its cost over the samples")


def _folder(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the folder has no name")
    return text


def _natural(text: str) -> int:
    if not text.isdecimal() or len(text) > 15:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to 999,999,999,999,999")
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
        raise argparse.ArgumentTypeError(f"{text!r} is no SEED:INDEX, two whole numbers")
    return _natural(seed), _natural(index)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(_size(part.strip()) for part in text.split(","))


def _names(text: str) -> str | tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    return names[0] if len(names) == 1 else names


def _compare(options: argparse.Namespace) -> tuple[int, str]:
    started = time.time()
    checked_device(options.device)
    of_replay = ("sizes", "activation", "scale", "batch", "implementation", "layout", "reduction")
    if options.replay:
        _refuse(options, ("cases", "steps", "learning_rate", "device"), "with --replay")
        return _compare_replayed(options, started)
    _refuse(options, of_replay, "without --replay")
    results = {name: _run_case(name, options) for name in dict.fromkeys(options.cases or CASES)}
    tables = report.joined_tables(results, options.elements == "all")
    messages = [f"{name}: {result.message()}" for name, result in results.items() if not result.passed]
    parts = [report.case_table(results), report.blind_lines(results), *messages]
    passed, line = all(result.passed for result in results.values()), report.compare_line(results)
    answer = line + report.sharpness(results)
    sections = page.comparison_sections(results) if options.html else []
    if not options.cases:
        frame = evaluate_equations()
        tables["equations.csv"] = frame
        parts.append(report.equation_table(frame))
        passed, of_note = passed and sound(frame), report.equations_line(frame)
        line, answer = f"{line}; {of_note}", f"{answer}; {of_note}"
        sections += _note_section(options, tables)
    shown = _page(options, "The hand-written network beside autograd", answer, passed, sections, messages)
    report.write_reports(tables, options.out, started, shown)
    return MATCH if passed else MISMATCH, _ending(parts, line, options)


def _compare_replayed(options: argparse.Namespace, started: float) -> tuple[int, str]:
    seed, index = options.replay
    how = {"dtype": options.dtype, "scale": options.scale, "batch": options.batch, "seed": seed}
    comparison = replayed(Setting.of(options.sizes, options.activation, **how), index, _subject(options))
    title = f"Network {index} of seed {seed} beside autograd"
    return _shown(comparison, title, options, started, everything=options.elements == "all")


def _run_case(name: str, options: argparse.Namespace) -> Comparison:
    made = case(name, dtype=options.dtype, steps=options.steps, learning_rate=options.learning_rate)
    replay = f"handnet compare {name} --dtype {options.dtype} --steps {made.steps}"
    if options.learning_rate is not None:
        replay += f" --learning-rate {options.learning_rate!r}"
    return compare_batches(
        made.network,
        made.training(),
        learning_rate=made.learning_rate,
        train_biases=made.train_biases,
        device=options.device,
        case=name,
        replay=replay,
    )


def _equations(options: argparse.Namespace) -> tuple[int, str]:
    started = time.time()
    frame = evaluate_equations(options.points, options.seed)
    tables, line = {"equations.csv": frame}, report.equations_line(frame)
    shown = _page(options, "The note's equations beside autograd", line, sound(frame), _note_section(options, tables))
    report.write_reports(tables, options.out, started, shown)
    return MATCH if sound(frame) else MISMATCH, _ending([report.equation_table(frame)], line, options)


def _check(options: argparse.Namespace) -> tuple[int, str]:
    started = time.time()
    if options.target.endswith(".toml"):
        _refuse(options, OF_FUNCTION, "with a worked example")
        example = read_example(options.target)
        frame = check_example(example)
        right = bool((frame["verdict"] == "ok").any() and not (frame["verdict"] == "wrong").any())
        line, names = report.worked_line(frame), [number.name for number in example.printed]
        sections = [page.worked_section(example.title, example.source, frame, names)] if options.html else []
        shown = _page(options, "Printed numbers beside autograd", line, right, sections)
        report.write_reports({"worked.csv": frame}, options.out, started, shown)
        return MATCH if right else MISMATCH, _ending([report.worked_table(example, frame)], line, options)
    comparison = check(
        load(options.target),
        layout=options.layout,
        sizes=options.sizes,
        activation=options.activation,
        batch=options.batch,
        dtype=options.dtype,
        reduction=options.reduction,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    comparison = replace(comparison, replay=_again(options))
    status, text = _shown(comparison, f"{options.target} beside autograd", options, started)
    # What raised on every call gave nothing to judge.
    return status if comparison.measured else BAD_INPUT, text


def _shown(
    comparison: Comparison, title: str, options: argparse.Namespace, started: float, everything: bool = False
) -> tuple[int, str]:
    """Write one comparison, and return the exit status and what to print."""
    shown = page.comparison_page(comparison, title) if options.html else None
    report.write_reports(comparison.tables(everything), options.out, started, shown)
    return MATCH if comparison.passed else MISMATCH, _ending([str(comparison)], report.check_line(comparison), options)


def _again(options: argparse.Namespace) -> str:
    """The command that checks the function again."""
    said = ["handnet", "check", options.target]
    for name, value in _changed(options, OF_FUNCTION):
        said += [_flag(name), ",".join(map(str, value if isinstance(value, tuple) else (value,)))]
    return shlex.join(said)


def _mistakes(options: argparse.Namespace) -> tuple[int, str]:
    started = time.time()
    if options.list:
        _refuse(options, ("jobs", "html"), "with --list")
        return MATCH, f"{report.catalogue_table()}\n\n{len(MISTAKES)} known mistakes"
    frame = prove(list(cells()), options.jobs)
    line, sections = report.mistakes_line(frame), [page.mistake_section(frame)] if options.html else []
    shown = _page(options, "The checker, put to the test", line, proven(frame), sections)
    report.write_reports({"mistakes.csv": frame}, options.out, started, shown)
    return MATCH if proven(frame) else MISMATCH, _ending([report.mistake_table(frame)], line, options)


def _sweep(options: argparse.Namespace) -> tuple[int, str]:
    started = time.time()
    chosen = {
        "sizes": options.sizes,
        "activations": options.activation,
        "dtypes": options.dtype,
        "scales": options.scale,
        "batch": options.batch,
        "seed": options.seed,
    }
    chosen = {name: value for name, value in chosen.items() if value is not None}
    jobs = default_jobs() if options.jobs is None else options.jobs
    if options.planted:
        _refuse(options, ("implementation", "layout", "reduction", "chunk", "resume"), "with --planted")
        frame = sweep_planted(planted_grid(**chosen), options.networks, jobs, options.cluster)
        line, sections = report.planted_line(frame), [page.planted_section(frame)] if options.html else []
        shown = _page(options, "Known mistakes, planted in random networks", line, all_caught(frame), sections)
        report.write_reports({"planted.csv": frame}, options.out, started, shown)
        text = _ending([report.planted_table(frame)], line, options)
        return MATCH if all_caught(frame) else MISMATCH, text
    made = sweep(
        grid(**chosen),
        options.networks,
        subject=_subject(options),
        jobs=jobs,
        cluster=options.cluster,
        chunk=options.chunk,
        journal=Path(options.out) / "sweep.unfinished.jsonl",
        resume=options.resume,
    )
    sections = [page.sweep_section(made)] if options.html else []
    line = report.sweep_line(made).splitlines()[-1]
    shown = _page(options, "Random networks beside autograd", line, made.passed, sections)
    report.write_reports(made.tables(), options.out, started, shown)
    if made.journal:
        made.journal.close()
    return MATCH if made.passed else MISMATCH, _ending([report.sweep_table(made)], report.sweep_line(made), options)


def _speed(options: argparse.Namespace) -> tuple[int, str]:
    started = time.time()
    if options.scaling:
        frame, exponent = measure_scaling()
        report.write_reports({"scaling.csv": frame}, options.out, started)
        return MATCH, _ending([report.scaling_table(frame)], report.scaling_line(frame, exponent), options)
    if options.rounds < 1 or options.networks < 1:
        raise ValueError(f"rounds is {options.rounds}, networks {options.networks}: expected 1 or more")
    frame = measure_speed(
        rounds=options.rounds, threads=options.threads, networks=options.networks, small=options.small
    )
    report.write_reports({"speed.csv": frame}, options.out, started)
    return MATCH, _ending([report.speed_table(frame)], report.speed_line(frame), options)


def _refuse(options: argparse.Namespace, names: Sequence[str], where: str) -> None:
    """Raise ValueError where an option was given that would change nothing."""
    for name, value in _changed(options, names):
        raise ValueError(f"{value[0] if name == 'cases' else _flag(name)} is of no use {where}")


def _changed(options: argparse.Namespace, names: Sequence[str]) -> list[tuple[str, Any]]:
    """The options among these that are not the command's default."""
    given = [(name, getattr(options, name)) for name in names]
    return [(name, value) for name, value in given if value != options.command_parser.get_default(name)]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _subject(options: argparse.Namespace) -> Subject:
    if not options.implementation:
        _refuse(options, ("layout", "reduction"), "without --implementation")
    return Subject(options.implementation, options.layout, options.reduction)


def _note_section(options: argparse.Namespace, tables: dict[str, pd.DataFrame]) -> list[page.Section]:
    """The equations on the page, if one is asked for; their numbers are added to the tables."""
    if not options.html:
        return []
    note = case("note")
    inputs, targets = next(note.training())
    tables["equation_values.csv"] = equation_values(note.network.weights, inputs, targets)
    return [page.equation_section(tables["equations.csv"], tables["equation_values.csv"])]


def _page(
    options: argparse.Namespace,
    title: str,
    answer: str,
    passed: bool,
    sections: Sequence[page.Section],
    messages: Sequence[str] = (),
) -> Callable[[str], str] | None:
    """What makes the page, if one is asked for."""
    if not options.html:
        return None
    return partial(page.render, title, answer, passed, sections, messages)


def _ending(parts: Sequence[str], line: str, options: argparse.Namespace) -> str:
    return "\n\n".join([*filter(None, parts), f"{line} -> {options.shown_out}"])
