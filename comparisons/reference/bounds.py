"""Any torch computation with its errors: forward, backward and step, operation by operation.

Under `RunningErrors` every operation that torch really runs comes by, those of autograd, of `torch.func.vmap` and of
`torch.optim` too. The errors of a tensor lie in two storages of their own beside its storage, laid out alike: a view of
the tensor is the same view of its errors, and what is written in place has its errors written in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from comparisons.reference import layers
from comparisons.reference.ball import EXACT, SIGMAS, ZERO, Ball, Errors, Rounding, rounding_of
from comparisons.reference.operations import EXACT_OPERATIONS, RULES, UnknownOperationError

aten = torch.ops.aten


@dataclass(frozen=True)
class _Mirror:
    """The errors of a storage, number by number, and of which sum its numbers are the result."""

    storage: StorageWeakRef
    error: Tensor
    variance: Tensor
    terms: int = 1
    sum_of_magnitudes: Tensor | None = None
    coherence: Mapping[int, float] | None = None  # by the stride of the axis
    drift: float = 1.0


class RunningErrors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Carries the two errors of every tensor along; what comes from outside is exact.

    Raises
    ------
    UnknownOperationError
        Within, by an operation without a rule.

    Examples
    --------
    >>> x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    >>> with RunningErrors() as errors:
    ...     y = x.exp().sum()
    >>> bool(errors.ball(y).error < 2e-14)
    True
    >>> errors.ball(x).is_exact
    True
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._mirrors: dict[int, _Mirror] = {}
        self._sweep_at = 256
        self._coarsest: Rounding | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to keep the compiler out, torch would import it, which takes seconds."""
        return False

    # What is known of a tensor.

    def ball(self, tensor: Tensor) -> Ball:
        """Return a tensor with its errors."""
        if not self._mirrors:
            return Ball(tensor)
        key = tensor.untyped_storage()._cdata
        mirror = self._mirrors.get(key)
        if mirror is None:
            return Ball(tensor)
        error, variance = (_like(part, tensor) for part in (mirror.error, mirror.variance))
        terms = mirror.sum_of_magnitudes
        along = mirror.coherence
        coherence = along and {axis: along.get(stride, 0.0) for axis, stride in enumerate(tensor.stride())}
        magnitudes = None if terms is None else _like(terms, tensor)
        return Ball(tensor, error, variance, mirror.terms, magnitudes, coherence, mirror.drift)

    def given(self, tensor: Tensor, error: Tensor) -> None:
        """Say how far a tensor that came from outside may lie from the exact one."""
        self._record(tensor, Errors(error, error.square()))

    def _record(self, tensor: Tensor, errors: Errors) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        mirror = self._mirrors.get(key)
        if mirror is None and errors.error is ZERO:
            return
        count = storage.nbytes() // tensor.element_size()
        whole = tensor.is_contiguous() and tensor.numel() == count
        if whole and errors.error is ZERO:
            del self._mirrors[key]
            return
        if mirror is None:
            mirror = _Mirror(StorageWeakRef(storage), ZERO, ZERO)  # type: ignore[no-untyped-call]
            self._sweep()
        if whole:
            error, variance = _flat(errors.error, tensor), _flat(errors.variance, tensor)
            terms = errors.sum_of_magnitudes
            magnitudes = None if terms is None else _flat(terms, tensor)
            coherence = {tensor.stride(axis): along for axis, along in (errors.coherence or {}).items()}
            mirror = _Mirror(mirror.storage, error, variance, errors.terms, magnitudes, coherence, errors.drift)
        else:
            if mirror.error is ZERO:
                mirror = replace(mirror, error=errors.error.new_zeros(count), variance=errors.error.new_zeros(count))
            _like(mirror.error, tensor).copy_(errors.error)
            _like(mirror.variance, tensor).copy_(errors.variance)
            mirror = replace(mirror, terms=1, sum_of_magnitudes=None, drift=1.0)
        self._mirrors[key] = mirror

    def _sweep(self) -> None:
        """Forget the storages that are gone; a weak reference keeps their address from being used again."""
        if len(self._mirrors) > self._sweep_at:
            gone = [key for key, mirror in self._mirrors.items() if mirror.storage.expired()]  # type: ignore[no-untyped-call]
            for key in gone:
                del self._mirrors[key]
            self._sweep_at = 2 * len(self._mirrors) + 256

    # What comes by.

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        known = _known(operation)
        if known.special is not None:
            return known.special(self, known, args, kwargs)
        if known.is_view:
            result = operation(*args, **kwargs)
            if not _fresh(result, args, kwargs):
                return result
            # Some only say that they are views, and copy.
        written = known.written(args, kwargs)
        balls = _mapped((args, kwargs), lambda t: self._before(t, written))
        result = operation(*args, **kwargs)
        fresh = _fresh(result, args, kwargs)
        if fresh or written:
            self._carry(known, result if fresh else written, fresh, written, *balls)
        return result

    def _exact(self, known: _Known, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = known.operation(*args, **kwargs)
        for tensor in _leaves(result):
            self._record(tensor, EXACT)
        return result

    def _item(self, known: _Known, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if bool(self.ball(args[0]).error > 0):
            raise UnknownOperationError(
                "item(), float() and if take a number out of torch, where its rounding errors get lost:"
                " keep it a tensor, or, where it decides something, let it be further from the decision"
            )
        return known.operation(*args)

    def _refused(self, known: _Known, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise UnknownOperationError("the bits of a number taken for another have no rule: use .to(dtype)")

    def _before(self, tensor: Tensor, written: Sequence[Tensor]) -> Ball:
        """The ball of an argument; what is about to be written over is copied."""
        ball = self.ball(tensor)
        if not written or not any(tensor is other for other in written):
            return ball
        if ball.is_exact:
            return replace(ball, tensor=tensor.clone())
        return replace(ball, tensor=tensor.clone(), error=ball.error.clone(), variance=ball.variance.clone())

    def _carry(
        self,
        known: _Known,
        result: Any,
        fresh: list[Tensor],
        written: list[Tensor],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Find the errors of the result, and keep them."""
        if any(t.is_complex() for t in (*fresh, *written)):
            raise UnknownOperationError(f"{known.operation} gives complex numbers, for which there are no rules")
        inputs = [ball for ball in _leaves((args, kwargs)) if isinstance(ball, Ball)]
        if all(ball.is_exact for ball in inputs) and not any(t.is_floating_point() for t in (*fresh, *written)):
            for tensor in (*fresh, *written):
                self._record(tensor, EXACT)
            return
        found = RULES.get(known.plain)
        if found is None:
            self._apart(known, fresh, written, args, kwargs)
            return
        kwargs = {name: value for name, value in kwargs.items() if name not in _NO_MATTER}
        single = isinstance(result, Tensor) or (not fresh and len(written) == 1)
        balls = [
            Ball(t) if isinstance(t, Tensor) else None for t in ([result] if isinstance(result, Tensor) else result)
        ]
        errors = found(self._rounding([*fresh, *written], inputs), balls[0] if single else balls, *args, **kwargs)
        for ball, own in zip(balls, [errors] if single else errors, strict=True):
            if ball is not None and own is not None:
                self._record(ball.tensor, _own(_bounded(ball, _coherent(ball, own, inputs)), inputs))

    def _rounding(self, outputs: Sequence[Tensor], inputs: Sequence[Ball]) -> Rounding:
        floating = [t for t in (*outputs, *(ball.tensor for ball in inputs)) if t.is_floating_point()]
        rounding = rounding_of(floating[0].dtype if floating else torch.float64)
        if self._coarsest is not None and self._coarsest.unit > rounding.unit:
            return self._coarsest
        return rounding

    def _apart(
        self,
        known: _Known,
        fresh: list[Tensor],
        written: list[Tensor],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Take the operation apart into others, and give their errors to its own results."""
        parts = layers.TAKEN_APART.get(known.plain) or _decomposition(known)
        unknown = UnknownOperationError(
            f"{known.operation} has no rule for its rounding errors: give it one with"
            f" @comparisons.rule(torch.ops.{known.plain}), or write the reference with other operations"
        )
        if parts is None:
            raise unknown
        given, options = _mapped((args, kwargs), lambda ball: ball.tensor, Ball)
        aside = self._aside(args, kwargs)
        inner, self._coarsest = self._coarsest, self._rounding(fresh or written, [])
        try:
            with self:
                result = parts(*given, **options)
        except UnknownOperationError as part_of_it:
            raise unknown from part_of_it
        finally:
            self._coarsest = inner
        results = [part for part in _leaves(result) if isinstance(part, Tensor)]
        # What was to be written over is a copy here, which the parts may have written over in its place.
        pairs = [*zip(fresh, results), *zip(written, known.written(given, options))]  # noqa: B905
        for tensor, part in pairs if fresh else zip(written, results, strict=True):
            ball = self.ball(part)
            if not ball.is_exact:
                error, variance = ball.error.clone(), ball.variance.clone()
                terms = ball.terms, ball.sum_of_magnitudes, ball.coherence, ball.drift
                self._record(tensor, Errors(error, variance, *terms))
        del aside

    def _aside(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
        """Keep the errors of arguments that were copied before they were written over."""
        copies = []
        for ball in _leaves((args, kwargs)):
            if isinstance(ball, Ball) and not ball.is_exact and self.ball(ball.tensor).is_exact:
                self._record(ball.tensor, Errors(ball.error, ball.variance))
                copies.append(ball.tensor)
        return copies

    def _each(self, known: _Known, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One operation for a list of tensors: the plain operation for each."""
        name = known.name
        plain = getattr(aten, name.removeprefix("_foreach_"))
        if name.startswith("_foreach_addc") and len(args) > 3:
            args, kwargs = args[:3], {"value": args[3]}

        def of(argument: Any, i: int) -> Any:
            return argument[i] if isinstance(argument, (list, tuple)) else argument

        with self:
            results = [
                plain(*(of(argument, i) for argument in args), **{key: of(value, i) for key, value in kwargs.items()})
                for i in range(len(args[0]))
            ]
        return None if name.endswith("_") else results


# Arguments that say how a result is stored, and nothing of its value.
_NO_MATTER = frozenset({"dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "out"})


def _coherent(result: Ball, errors: Errors, inputs: Sequence[Ball]) -> Errors:
    """What is computed number by number is as coherent as what it is computed from."""
    if errors.coherence is not None:
        return errors
    coherence: dict[int, float] = {}
    for ball in inputs:
        if ball.coherence and ball.tensor.shape == result.tensor.shape:
            for axis, along in ball.coherence.items():
                coherence[axis] = max(along, coherence.get(axis, 0.0))
    return replace(errors, coherence=coherence) if coherence else errors


def _own(errors: Errors, inputs: Sequence[Ball]) -> Errors:
    """A copy of errors that were passed on as they are: each storage has its own."""
    theirs = {part.data_ptr() for ball in inputs if not ball.is_exact for part in (ball.error, ball.variance)}
    if errors.error.data_ptr() in theirs or errors.variance.data_ptr() in theirs:
        return replace(errors, error=errors.error.clone(), variance=errors.variance.clone())
    return errors


def _bounded(result: Ball, errors: Errors) -> Errors:
    """What is not finite, or may pass the largest number, has no bound."""
    if errors.error is ZERO or not result.tensor.is_floating_point() or result.tensor.numel() == 0:
        return errors
    huge = torch.finfo(result.tensor.dtype).max
    least, most = torch.aminmax(result.tensor)
    if max(-float(least), float(most)) + 4 * float(errors.error.max()) < huge:
        return errors
    # On the way, what is added up may be greater than the result by twice its error.
    bounded = result.size + 4 * errors.error < huge
    likely = result.size + SIGMAS * errors.variance.sqrt() < huge
    return replace(
        errors,
        error=torch.where(bounded, errors.error, torch.inf),
        variance=torch.where(likely, errors.variance, torch.inf),
    )


def _fresh(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors among the results that do not share the storage of an argument."""
    keys = {t.untyped_storage()._cdata for t in _leaves((args, kwargs)) if isinstance(t, Tensor)}
    return [t for t in _leaves(result) if isinstance(t, Tensor) and t.untyped_storage()._cdata not in keys]


def _flat(part: Tensor, tensor: Tensor) -> Tensor:
    return part.expand(tensor.shape).reshape(-1).contiguous()


def _like(flat: Tensor, tensor: Tensor) -> Tensor:
    return flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def _leaves(nested: Any) -> list[Any]:
    """What is nested in lists, tuples and dictionaries, one after the other."""
    found: list[Any] = []
    for part in (
        nested.values() if isinstance(nested, dict) else nested if isinstance(nested, (list, tuple)) else (nested,)
    ):
        if isinstance(part, (list, tuple, dict)):
            found += _leaves(part)
        elif part is not None:
            found.append(part)
    return found


def _mapped(nested: Any, function: Callable[[Any], Any], kind: type = Tensor) -> Any:
    """The same nesting, with the function of each leaf of this kind."""
    if isinstance(nested, kind):
        return function(nested)
    if isinstance(nested, (list, tuple)):
        return type(nested)([_mapped(part, function, kind) for part in nested])
    if isinstance(nested, dict):
        return {name: _mapped(part, function, kind) for name, part in nested.items()} if nested else nested
    return nested


@dataclass(frozen=True)
class _Known:
    """What there is to know of an operation, whatever its arguments.

    Attributes
    ----------
    operation, name : add_.Tensor, and add_
    plain : the operation without its overload, and not in place: add
    is_view : whether it gives another look at the same numbers, whose errors are then the same, too
    writes : the places and names of the arguments that it writes into
    special : what `RunningErrors` does with it, if not the usual
    """

    operation: Any
    name: str
    plain: Any
    is_view: bool
    writes: tuple[tuple[int, str], ...]
    special: Callable[..., Any] | None

    def written(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Tensor]:
        """The tensors that it writes into."""
        given = (args[i] if i < len(args) else kwargs.get(name) for i, name in self.writes)
        return [t for t in _leaves(list(given)) if isinstance(t, Tensor)] if self.writes else []


@cache
def _known(operation: Any) -> _Known:
    name, schema = str(operation._schema.name.split("::")[1]), operation._schema
    unmarked = operation.overloadpacket in layers.WRITES_UNMARKED
    writes = tuple(
        (i, argument.name)
        for i, argument in enumerate(schema.arguments)
        if _writes(argument) or (unmarked and argument.name in ("running_mean", "running_var"))
    )
    plain = operation.overloadpacket
    if name.endswith("_") and writes and writes[0][0] == 0:
        plain = getattr(getattr(torch.ops, operation.namespace), name[:-1])
    returns = schema.returns
    is_view = bool(returns) and all(part.alias_info is not None and not _writes(part) for part in returns)
    special: Callable[..., Any] | None = None
    if operation is aten.view.dtype:
        special = RunningErrors._refused
    elif name == "_local_scalar_dense":
        special = RunningErrors._item
    elif name in EXACT_OPERATIONS:
        special = RunningErrors._exact
    elif name.startswith("_foreach_"):
        special = RunningErrors._each
    return _Known(operation, name, plain, is_view, writes, special)


def _writes(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


@cache  # torch makes its table anew whenever it is asked
def _decomposition(known: _Known) -> Callable[..., Any] | None:
    """How torch itself takes an operation apart, if it does."""
    from torch._decomp import core_aten_decompositions, decomposition_table  # seldom needed

    operation, plain = known.operation, known.plain
    for overload in (operation, *(getattr(plain, name) for name in plain.overloads())):
        found = core_aten_decompositions().get(overload) or decomposition_table.get(overload)
        if found is not None:
            return found
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(operation.name(), "CompositeImplicitAutograd")
    return operation.decompose if composite else None
