"""Any function in NumPy beside one in torch: results compared number by number, with a tolerance that is derived.

The reference runs once, on the numbers given, and every operation of it bounds what rounding can do to its results.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from comparisons.reference.bounds import RunningErrors
from comparisons.reference.twin import neutral
from comparisons.verdict.comparison import MismatchError, write_csv
from comparisons.verdict.measured import OK, SUSPECT, UNDECIDED, VERDICTS, WRONG
from comparisons.verdict.observers import OBSERVERS, paged, rendered
from handnet.activations import FloatArray

COLUMNS = (
    *("quantity", "shape", "dtype", "elements", "max_abs_error", "max_rel_error", "error_over_tolerance"),
    *("error_over_expected", "resolution", "worst_element", "hand", "torch", "tolerance", "expected", "verdict"),
)
ELEMENT_COLUMNS = ("quantity", "name", "hand", "torch", "error", "tolerance", "expected", "verdict")
# In these a sum is added in float32 and rounded once, by torch and by the bounds.
HALF_DTYPES = ("float16", "bfloat16")
# elements.csv lists all numbers of a quantity that has no more than these, and else what is not ok, and the worst.
FEW_NUMBERS = 1000


class Bounded(NamedTuple):
    """A result of torch, and how far another right evaluation can lie from it.

    Attributes
    ----------
    value : array, in torch's dtype (bfloat16 without ml_dtypes: in float32)
    guaranteed : array of float64; no right evaluation of the same formulas, in any order, lies further off
    expected : array of float64; six standard deviations, where roundings are independent of each other
    """

    value: NDArray[Any]
    guaranteed: FloatArray
    expected: FloatArray


class Backward(NamedTuple):
    """What `backward_of` computes: the outputs, dC/dinput and dC/dparameter by name."""

    outputs: Any
    input_gradient: Any
    gradients: dict[str, Any]


def bounds(reference: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function of torch tensors, and return each of its results with both tolerances.

    In float16 and bfloat16 a sum is taken to be added in float32 and rounded once, as torch does.

    Parameters
    ----------
    reference : a function of tensors, which may call autograd or an optimiser of torch.optim
    arguments : arrays, tensors or numbers, or lists, tuples or dictionaries of them; it gets copies, as tensors

    Returns
    -------
    results : as the reference nests them, each tensor a `Bounded`

    Raises
    ------
    UnknownOperationError
        If an operation has no rule for its rounding errors; `rule` gives it one.
    TypeError
        If the reference returns something else than tensors and numbers.

    Examples
    --------
    >>> value, guaranteed, expected = bounds(torch.sum, np.full(1000, 0.1))
    >>> bool(abs(value - 100) < guaranteed), bool(expected < guaranteed < 1e-10)
    (True, True)
    """
    with neutral(), _plain_kernels():
        tensors = [_mapped(argument, _tensor) for argument in arguments]
        with RunningErrors() as errors:
            results = reference(*tensors)

    def bounded(result: Any) -> Any:
        if isinstance(result, (bool, int, float)):
            result = torch.tensor(result, dtype=torch.float64)
        if not isinstance(result, Tensor):
            raise TypeError(f"the reference returned a {type(result).__name__}: expected torch tensors")
        ball = errors.ball(result.detach())
        tolerances = ball.guaranteed_tolerance, ball.full(ball.expected_tolerance)
        return Bounded(_array(result), *(part.cpu().numpy().copy() for part in tolerances))

    return _mapped(results, bounded)


def backward_of(module: nn.Module, loss: Callable[[Any, Any], Tensor] | None = None) -> Callable[..., Backward]:
    """Return the forward and backward pass of a module as a reference for `check_function`.

    Parameters
    ----------
    module : any torch module; it gives the formulas, the parameters are given with each call
    loss : C of (outputs, targets), or None where dC/doutputs is given

    Returns
    -------
    reference : function of (parameters, inputs, upstream), or of (parameters, inputs, targets) where there is a loss
        `parameters` by their name in the module, `inputs` one array or a tuple of them, and `upstream` as the
        outputs; it returns the outputs, dC/dinput, and dC/dparameter by name.

    Examples
    --------
    >>> def linear(parameters, x, upstream):
    ...     y = x @ parameters["weight"].T + parameters["bias"]
    ...     return y, upstream @ parameters["weight"], {"weight": upstream.T @ x, "bias": upstream.sum(0)}
    >>> rng = np.random.default_rng(0)
    >>> parameters = {"weight": rng.standard_normal((2, 3)), "bias": rng.standard_normal(2)}
    >>> x, upstream = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    >>> check_function(linear, backward_of(nn.Linear(3, 2)), parameters, x, upstream)
    <FunctionComparison: match in 33 numbers>
    """

    def reference(parameters: Mapping[str, Tensor], inputs: Any, last: Any) -> Backward:
        unknown = set(parameters) ^ {name for name, _ in module.named_parameters()}
        if unknown:
            names = [name for name, _ in module.named_parameters()]
            raise ValueError(f"parameters has {sorted(parameters)}: expected {names}, as in the module")
        own = {name: parameter.requires_grad_() for name, parameter in parameters.items()}
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        leaves = [x.requires_grad_() if x.is_floating_point() else None for x in given]
        dtype = next((p.dtype for p in own.values()), None)
        buffers = {name: _copied(buffer, dtype) for name, buffer in module.named_buffers()}
        outputs = functional_call(module, {**own, **buffers}, given)
        cost = loss(outputs, last) if loss else _inner(outputs, last)
        wanted = [*own.values(), *(x for x in leaves if x is not None)]
        found = iter(torch.autograd.grad(cost, wanted, allow_unused=True))
        gradients = {name: _or_zeros(next(found), parameter) for name, parameter in own.items()}
        at_inputs = tuple(None if x is None else _or_zeros(next(found), x) for x in leaves)
        return Backward(outputs, at_inputs if isinstance(inputs, tuple) else at_inputs[0], gradients)

    return reference


def _inner(outputs: Any, upstream: Any) -> Tensor:
    """The scalar whose gradient at the outputs is just what comes from upstream."""
    pairs = zip(outputs, upstream, strict=True) if isinstance(outputs, tuple) else [(outputs, upstream)]
    total: Tensor = sum((y * g).sum() for y, g in pairs)
    return total


def _copied(buffer: Tensor, dtype: torch.dtype | None) -> Tensor:
    return buffer.clone() if dtype is None or not buffer.is_floating_point() else buffer.to(dtype, copy=True)


def _or_zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient


def check_function(
    function: Callable[..., Any], reference: Callable[..., Any], *arguments: Any, strict: bool = False
) -> FunctionComparison:
    """Compare what a function of arrays returns with what a function of tensors returns.

    Parameters
    ----------
    function : of NumPy arrays; it gets a copy of the arguments
    reference : of torch tensors, nesting its results alike; `backward_of` makes one of a module
    arguments : arrays, tensors or numbers, or lists, tuples or dictionaries of them
    strict : whether a `suspect` number fails too: its error is larger than rounding is expected to cause

    Raises
    ------
    UnknownOperationError, TypeError
        As `bounds`; what the function itself raises.

    Examples
    --------
    >>> x = np.linspace(-3, 3, 7)
    >>> check_function(lambda x: 1 / (1 + np.exp(-x)), torch.sigmoid, x)
    <FunctionComparison: match in 7 numbers>
    >>> print(check_function(lambda x: 1 / (1 + np.exp(x)), torch.sigmoid, x).message().splitlines()[0])
    result is wrong in 6 of 7 numbers
    """
    expected = bounds(reference, *arguments)
    with np.errstate(all="ignore"):
        actual = function(*(_mapped(argument, _array) for argument in arguments))
        return _compared(actual, expected, strict)


def assert_matches(
    function: Callable[..., Any], reference: Callable[..., Any], *arguments: Any, strict: bool = False
) -> None:
    """Raise MismatchError unless the function matches the reference; the arguments are those of `check_function`.

    Raises
    ------
    MismatchError
        An AssertionError that says which number is the first wrong one, so that pytest shows it as a failed test.

    Examples
    --------
    >>> assert_matches(lambda x, w: x @ w, torch.matmul, np.eye(2), np.ones((2, 3)))
    """
    __tracebackhide__ = True
    check_function(function, reference, *arguments, strict=strict).assert_close()


@dataclass(frozen=True)
class Leaf:
    """One array of the results: both sides, both tolerances, and the verdict of each number.

    Attributes
    ----------
    path : where it stands in the results, as Python would write it
    dtype : torch's
    hand, torch, tolerance, expected : arrays of float64
    verdicts : array of int8, indices into VERDICTS
    """

    path: str
    dtype: str
    hand: FloatArray
    torch: FloatArray
    tolerance: FloatArray
    expected: FloatArray

    @cached_property
    def error(self) -> FloatArray:
        """|hand - torch|; 0 for the same infinity, and infinite for what is not a number."""
        with np.errstate(all="ignore"):
            error = np.where(self.hand == self.torch, 0.0, np.abs(self.hand - self.torch))
        return np.where(np.isnan(error), np.inf, error)

    @cached_property
    def verdicts(self) -> NDArray[np.int8]:
        size = np.where(np.isfinite(self.torch), np.abs(self.torch), np.inf)
        blind = (self.expected >= size.max(initial=0.0)) & (self.expected > 0)
        grades = [(self.error > self.tolerance) | self._nan, self.error > self.expected, blind]
        return np.select(grades, [WRONG, SUSPECT, UNDECIDED], OK).astype(np.int8)

    @property
    def _nan(self) -> NDArray[np.bool_]:
        return np.isnan(self.hand) | np.isnan(self.torch)

    @property
    def verdict(self) -> str:
        """The gravest verdict of its numbers."""
        return VERDICTS[int(self.verdicts.max(initial=OK))]

    @cached_property
    def worst(self) -> tuple[int, ...]:
        """The index of the worst number: of the gravest verdict, the one with the greatest error / tolerance."""
        ratio = np.where(self.verdicts == self.verdicts.max(), self.ratio(self.tolerance), -1.0)
        return tuple(int(i) for i in np.unravel_index(int(ratio.argmax()), ratio.shape))

    def ratio(self, tolerance: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            ratio = np.where(self.error == 0, 0.0, self.error / tolerance)
        # Infinitely far off, where there is no bound: that says nothing, but what is not a number is never right.
        return np.where(self._nan, np.inf, np.where(np.isnan(ratio), 0.0, ratio))

    def element(self, index: tuple[int, ...]) -> str:
        return self.path + (f"[{', '.join(map(str, index))}]" if index else "")

    def row(self) -> dict[str, Any]:
        """The row of comparison.csv."""
        size = np.abs(self.torch)
        with np.errstate(all="ignore"):
            relative = np.where(self.error == 0, 0.0, self.error / size)
            resolution = self.expected.max(initial=0.0) / size.max(initial=0.0) if self.expected.any() else 0.0
        return {
            "quantity": self.path,
            "shape": "x".join(map(str, self.torch.shape)),
            "dtype": self.dtype,
            "elements": self.torch.size,
            "max_abs_error": self.error.max(initial=0.0),
            "max_rel_error": relative.max(initial=0.0),
            "error_over_tolerance": self.ratio(self.tolerance).max(initial=0.0),
            "error_over_expected": self.ratio(self.expected).max(initial=0.0),
            "resolution": resolution,
            **(self._element_row(self.worst) if self.torch.size else {}),
            "verdict": self.verdict,
        }

    def element_rows(self) -> Iterator[dict[str, Any]]:
        """The rows of elements.csv."""
        few = self.torch.size <= FEW_NUMBERS
        listed = range(self.torch.size) if few else [*np.flatnonzero(self.verdicts != OK)]
        for flat in listed:
            index = tuple(int(i) for i in np.unravel_index(flat, self.torch.shape))
            row = self._element_row(index)
            name, verdict = row.pop("worst_element"), VERDICTS[self.verdicts[index]]
            yield {"quantity": self.path, "name": name, "error": self.error[index], **row, "verdict": verdict}

    def _element_row(self, index: tuple[int, ...]) -> dict[str, Any]:
        return {
            "worst_element": self.element(index),
            "hand": float(self.hand[index]),
            "torch": float(self.torch[index]),
            "tolerance": float(self.tolerance[index]),
            "expected": float(self.expected[index]),
        }


@dataclass(frozen=True, repr=False)
class FunctionComparison:
    """A function beside its reference.

    Attributes
    ----------
    leaves : tuple of Leaf
        The arrays of the results, in the order of the reference.
    findings : tuple of str
        What does not fit and is no number: a shape, a missing part.
    remarks : tuple of str
        What is worth knowing and not wrong: another dtype.
    strict : whether `suspect` fails
    """

    leaves: tuple[Leaf, ...]
    findings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    strict: bool = False

    def __post_init__(self) -> None:
        for observer in OBSERVERS:
            observer(self)

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        numbers = sum(leaf.torch.size for leaf in self.leaves)
        return f"<FunctionComparison: {'match' if self.passed else 'MISMATCH'} in {numbers:,} numbers>"

    def _repr_html_(self) -> str | None:
        """As Jupyter shows it."""
        return rendered(self)

    @property
    def passed(self) -> bool:
        """True if nothing was found, no number is wrong (or suspect, if strict), and some number could be judged."""
        bad = self.count("wrong") + (self.count("suspect") if self.strict else 0)
        return not self.findings and not bad and any((leaf.verdicts != UNDECIDED).any() for leaf in self.leaves)

    def count(self, verdict: str) -> int:
        """How many numbers got this verdict."""
        return sum(int((leaf.verdicts == VERDICTS.index(verdict)).sum()) for leaf in self.leaves)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per array of the results: the columns of comparison.csv."""
        return pd.DataFrame([leaf.row() for leaf in self.leaves], columns=COLUMNS)

    def elements(self) -> pd.DataFrame:
        """One row per number: the columns of elements.csv."""
        return pd.DataFrame([row for leaf in self.leaves for row in leaf.element_rows()], columns=ELEMENT_COLUMNS)

    def to_csv(self, directory: str | os.PathLike[str]) -> None:
        """Write comparison.csv and elements.csv; both of them, or, on failure, none.

        Raises
        ------
        OSError
            If they cannot be written.
        """
        write_csv({"comparison.csv": self.frame, "elements.csv": self.elements()}, directory)

    def to_html(self, directory: str | os.PathLike[str]) -> None:
        """Write index.html, a page that shows which numbers are wrong; it needs the extra html.

        Raises
        ------
        MissingExtraError
            If jinja2 or matplotlib is not installed.
        OSError
            If the file cannot be written.
        """
        paged(self, directory)

    def assert_close(self) -> None:
        """Raise MismatchError unless the comparison passed."""
        __tracebackhide__ = True
        if not self.passed:
            raise MismatchError(self.message())

    def message(self) -> str:
        """Say which number is the first wrong one, or that all of them match."""
        lines = [*self.findings]
        wrong = [leaf for leaf in self.leaves if leaf.verdict == "wrong"]
        suspect = [leaf for leaf in self.leaves if leaf.verdict == "suspect"]
        if wrong or suspect:
            lines += _first(*(wrong or suspect))
        elif not self.findings and self.passed:
            lines.append(f"{self.count('ok')} numbers match torch")
        elif not self.findings:
            lines.append("nothing could be judged: every tolerance is as large as the numbers themselves, try float64")
        if wrong and suspect:
            lines.append(f"suspect: {', '.join(leaf.path for leaf in suspect)}")
        blind = [leaf.path for leaf in self.leaves if leaf.verdicts.size and (leaf.verdicts == UNDECIDED).all()]
        if blind and self.passed:
            lines.append(f"undecided, since rounding alone could be as large: {', '.join(blind)}")
        return "\n".join([*lines, *self.remarks])


def _first(leaf: Leaf, *others: Leaf) -> list[str]:
    """The lines on the first leaf that is wrong, or suspect."""
    count, index = int((leaf.verdicts == leaf.verdicts.max()).sum()), leaf.worst
    hand, torch_value = float(leaf.hand[index]), float(leaf.torch[index])
    lines = [
        f"{leaf.path} is {leaf.verdict} in {count} of {leaf.torch.size} numbers",
        f"  furthest off: {leaf.element(index)}",
        f"  function:     {hand!r}",
        f"  torch:        {torch_value!r}",
        f"  error:        {leaf.error[index]:.3g}",
        f"  tolerance:    {leaf.tolerance[index]:.2g} guaranteed, {leaf.expected[index]:.2g} expected",
    ]
    if leaf.dtype in HALF_DTYPES:
        lines.append(f"  sums:         added in float32, as torch does, and rounded once to {leaf.dtype}")
    if np.isnan(torch_value):
        lines.append("  torch itself gives no number here")
    return lines + ([f"then {leaf.verdict}: {', '.join(other.path for other in others)}"] if others else [])


# Both sides, leaf by leaf.


def _compared(actual: Any, expected: Any, strict: bool) -> FunctionComparison:
    leaves: list[Leaf] = []
    findings: list[str] = []
    remarks: list[str] = []
    for path, hand, right in _paired("", actual, expected, findings):
        name = path or "result"
        try:
            array = np.asarray(_array(hand))
        except ValueError:
            array = np.asarray(None)
        if array.dtype.kind not in "fiubV":
            findings.append(f"{name} is a {type(hand).__name__}: expected an array of numbers")
            continue
        if array.shape != right.value.shape:
            findings.append(f"{name} has shape {array.shape}: expected {right.value.shape}")
            continue
        if isinstance(hand, (np.ndarray, np.generic, Tensor)) and array.dtype != right.value.dtype:
            remarks.append(f"{name} has dtype {array.dtype}, torch has {right.value.dtype}")
        sides = (array.astype(np.float64), right.value.astype(np.float64), right.guaranteed, right.expected)
        leaves.append(Leaf(name, str(right.value.dtype), *sides))
    if not leaves and not findings:
        findings.append("nothing was compared: expected at least one array of numbers")
    return FunctionComparison(tuple(leaves), tuple(findings), tuple(remarks), strict)


def _paired(path: str, actual: Any, expected: Any, findings: list[str]) -> Iterator[tuple[str, Any, Bounded]]:
    """Go through both results, and yield what belongs together with its path."""
    if isinstance(expected, Bounded):
        yield path, actual, expected
        return
    if expected is None:
        if actual is not None:
            findings.append(f"{path or 'result'} is not None: expected None")
        return
    parts = _parts(path, expected)
    own = _parts(path, actual) if isinstance(actual, (Mapping, list, tuple)) else {}
    if not isinstance(actual, Mapping) and len(own) == len(parts):
        own = dict(zip(parts, own.values(), strict=True))  # by their place
    missing, more = [name for name in parts if name not in own], [name for name in own if name not in parts]
    findings += [f"{name} is missing" for name in missing]
    findings += [f"{name} is not among what torch returned: expected {', '.join(parts)}" for name in more]
    for name, part in parts.items():
        if name in own:
            yield from _paired(name, own[name], part, findings)


def _parts(path: str, nested: Any) -> dict[str, Any]:
    """The parts of a result by their path."""
    if hasattr(nested, "_asdict"):
        return {f"{path}.{name}" if path else name: part for name, part in nested._asdict().items()}
    if isinstance(nested, Mapping):
        return {_key(path, key): part for key, part in nested.items()}
    return {f"{path or 'result'}[{i}]": part for i, part in enumerate(nested)}


def _key(path: str, key: Any) -> str:
    if not path and isinstance(key, str) and key.isidentifier():
        return key
    return f'{path or "result"}["{key}"]' if isinstance(key, str) else f"{path or 'result'}[{key!r}]"


# In and out of torch.


def _mapped(nested: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to what is nested in lists, tuples and dictionaries, and keep their kind."""
    if isinstance(nested, Mapping):
        return {key: _mapped(part, function) for key, part in nested.items()}
    if hasattr(nested, "_fields"):
        return type(nested)(*(_mapped(part, function) for part in nested))
    if isinstance(nested, (list, tuple)):
        return type(nested)(_mapped(part, function) for part in nested)
    return None if nested is None else function(nested)


def _tensor(argument: Any) -> Any:
    """A copy of an array or tensor as a tensor; all else as it is."""
    if isinstance(argument, Tensor):
        return argument.detach().clone()
    if not isinstance(argument, (np.ndarray, np.generic)):
        return argument
    if argument.dtype.name == "bfloat16":
        return torch.tensor(argument.view(np.int16)).view(torch.bfloat16)
    return torch.tensor(np.asarray(argument))


def _array(argument: Any) -> Any:
    """A copy of a tensor or array as an array; all else as it is."""
    if isinstance(argument, (np.ndarray, np.generic)):
        return argument.copy()
    if not isinstance(argument, Tensor):
        return argument
    tensor = argument.detach().cpu()
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy().copy()
    try:
        import ml_dtypes  # type: ignore[import-not-found]  # NumPy itself has no bfloat16
    except ImportError:
        return tensor.float().numpy().copy()
    return tensor.view(torch.int16).numpy().copy().view(ml_dtypes.bfloat16)


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Attention and recurrent layers by their formulas, not as one kernel each: then their parts have rules."""
    cuda, mkldnn = torch.backends.cuda, torch.backends.mkldnn
    before = cuda.flash_sdp_enabled(), getattr(mkldnn, "enabled", True)  # type: ignore[no-untyped-call]
    cuda.enable_flash_sdp(False)
    mkldnn.enabled = False  # type: ignore[assignment]
    try:
        yield
    finally:
        cuda.enable_flash_sdp(before[0])
        mkldnn.enabled = before[1]  # type: ignore[assignment]
