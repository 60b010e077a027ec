"""The command `handnet`: it parses, calls, and turns the result into an exit status."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from comparisons import report
from comparisons.cases import CASES, case
from comparisons.checks import check, compare_batches
from comparisons.comparison import Comparison
from comparisons.equations import POINTS, evaluate_equations, sound
from comparisons.implementation import LAYOUTS, REDUCTIONS, load
from comparisons.proof import cells, prove, proven
from comparisons.twin import checked_device
from comparisons.worked import check_example, read_example

DTYPES = ("float64", "float32")
MATCH, MISMATCH, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    status : 0 match, 1 mismatch, 2 bad input
    """
    options = _parser().parse_args(arguments)
    try:
        # What is to be written is written before anything is shown, whatever becomes of the reader.
        status, text = options.run(options)
    except OSError as problem:
        where = f" {problem.filename}" if problem.filename else ""
        return _bad_input(options, f"cannot write or read{where}: {problem.strerror or problem}")
    except (ValueError, TypeError, ImportError, MemoryError) as problem:
        return _bad_input(options, str(problem) or "out of memory")
    except KeyboardInterrupt:
        return _bad_input(options, "interrupted")
    try:
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
    compare.add_argument("cases", nargs="*", metavar="CASE", help=f"one of {', '.join(CASES)}")
    compare.add_argument("--dtype", choices=DTYPES, default="float64")
    compare.add_argument("--steps", type=int, help="training steps, instead of each case's own")
    compare.add_argument("--learning-rate", type=float, help="instead of each case's own")
    compare.add_argument("--device", default="cpu", help="where torch computes: cpu or cuda")
    compare.add_argument("--elements", choices=("worst", "all"), default="worst", help="what elements.csv lists")
    compare.set_defaults(run=_compare)

    equations = commands.add_parser("equations", help="the note's own equations, as printed, beside autograd")
    equations.add_argument("--points", type=int, default=POINTS, help="random networks to evaluate them at")
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
    check.add_argument("--batch", type=int, help="samples of a probe")
    check.add_argument("--dtype", choices=DTYPES, default="float64")
    check.add_argument("--reduction", choices=REDUCTIONS, default="mean", help="of its cost over the samples")
    check.add_argument("--learning-rate", type=float, default=0.5)
    check.add_argument("--seed", type=_natural, default=0)
    check.set_defaults(run=_check)

    mistakes = commands.add_parser(
        "mistakes", help="the proof that the checker can fail: every known mistake, caught, located, named"
    )
    mistakes.add_argument("--jobs", type=int, default=1, help="processes; more than one needs the extra sweep")
    mistakes.set_defaults(run=_mistakes)

    for command in (compare, equations, check, mistakes):
        command.add_argument(
            "--out", default="reports", type=_folder, metavar="DIR", help="where the CSV files go (reports)"
        )
    return parser


def _folder(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the folder has no name")
    return text


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number, 0 or more")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(_natural(part.strip()) for part in text.split(","))


def _names(text: str) -> str | tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    return names[0] if len(names) == 1 else names


def _compare(options: argparse.Namespace) -> tuple[int, str]:
    started = time.time()
    checked_device(options.device)
    results = {name: _run_case(name, options) for name in dict.fromkeys(options.cases or CASES)}
    tables = report.joined_tables(results, options.elements == "all")
    parts = [report.case_table(results), report.blind_lines(results)]
    parts += [f"{name}: {result.message()}" for name, result in results.items() if not result.passed]
    passed, line = all(result.passed for result in results.values()), report.compare_line(results)
    if not options.cases:
        frame = evaluate_equations()
        tables["equations.csv"] = frame
        parts.append(report.equation_table(frame))
        passed, line = passed and sound(frame), f"{line}; {report.equations_line(frame)}"
    report.write_reports(tables, options.out, started)
    return MATCH if passed else MISMATCH, _ending(parts, line, options)


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
    report.write_reports({"equations.csv": frame}, options.out, started)
    text = _ending([report.equation_table(frame)], report.equations_line(frame), options)
    return MATCH if sound(frame) else MISMATCH, text


def _check(options: argparse.Namespace) -> tuple[int, str]:
    started = time.time()
    if options.target.endswith(".toml"):
        example = read_example(options.target)
        frame = check_example(example)
        report.write_reports({"worked.csv": frame}, options.out, started)
        text = _ending([report.worked_table(example, frame)], report.worked_line(frame), options)
        return MISMATCH if (frame["verdict"] == "wrong").any() else MATCH, text
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
    report.write_reports(comparison.tables(), options.out, started)
    return MATCH if comparison.passed else MISMATCH, _ending([str(comparison)], report.check_line(comparison), options)


def _mistakes(options: argparse.Namespace) -> tuple[int, str]:
    started = time.time()
    frame = prove(list(cells()), options.jobs)
    report.write_reports({"mistakes.csv": frame}, options.out, started)
    text = _ending([report.mistake_table(frame)], report.mistakes_line(frame), options)
    return MATCH if proven(frame) else MISMATCH, text


def _ending(parts: Sequence[str], line: str, options: argparse.Namespace) -> str:
    return "\n\n".join([*filter(None, parts), f"{line} -> {options.out}"])
