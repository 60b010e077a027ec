"""Any torch computation with its errors: forward, backward and step, operation by operation.

Under `RunningErrors` every operation that torch really runs comes by, those of autograd, of `torch.func.vmap` and of
`torch.optim` too. The errors of a tensor lie in two storages of their own beside its storage, laid out alike: a view of
the tensor is the same view of its errors, and what is written in place has its errors written in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from comparisons.reference import layers
from comparisons.reference.ball import EXACT, ZERO, Ball, Errors, Rounding, rounding_of
from comparisons.reference.operations import EXACT_OPERATIONS, RULES

aten = torch.ops.aten


class UnknownOperationError(NotImplementedError):
    """An operation that has no rule."""


@dataclass(frozen=True)
class _Mirror:
    """The errors of a storage, number by number, and of which sum its numbers are the result."""

    storage: StorageWeakRef
    error: Tensor
    variance: Tensor
    terms: int = 1
    sum_of_magnitudes: Tensor | None = None


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
        return Ball(tensor, error, variance, mirror.terms, None if terms is None else _like(terms, tensor))

    def given(self, tensor: Tensor, error: Tensor) -> None:
        """Say how far a tensor that came from outside may lie from the exact one."""
        self._record(tensor, Errors(error, error.square()))

    def _record(self, tensor: Tensor, errors: Errors) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        mirror = self._mirrors.get(key)
        count = storage.nbytes() // tensor.element_size()
        whole = tensor.is_contiguous() and tensor.numel() == count
        if mirror is None:
            if errors.error is ZERO:
                return
            mirror = _Mirror(StorageWeakRef(storage), ZERO, ZERO)  # type: ignore[no-untyped-call]
            self._sweep()
        if whole:
            error, variance = _flat(errors.error, tensor), _flat(errors.variance, tensor)
            terms = errors.sum_of_magnitudes
            magnitudes = None if terms is None else _flat(terms, tensor)
            mirror = _Mirror(mirror.storage, error, variance, errors.terms, magnitudes)
        else:
            if mirror.error is ZERO:
                mirror = replace(mirror, error=errors.error.new_zeros(count), variance=errors.error.new_zeros(count))
            _like(mirror.error, tensor).copy_(errors.error)
            _like(mirror.variance, tensor).copy_(errors.variance)
            mirror = replace(mirror, terms=1, sum_of_magnitudes=None)
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
        name = _name(operation)
        if name == "_local_scalar_dense":
            return self._item(operation, args[0])
        if name in EXACT_OPERATIONS:
            return self._exact(operation, args, kwargs)
        if name.startswith("_foreach_"):
            return self._each(name, operation, args, kwargs)
        if _is_view(operation):
            if operation is aten.view.dtype:
                raise UnknownOperationError("the bits of a number taken for another have no rule: use .to(dtype)")
            return operation(*args, **kwargs)
        written = _written(operation, args, kwargs)
        balls = _mapped((args, kwargs), lambda t: self._before(t, written))
        result = operation(*args, **kwargs)
        fresh = [part for part in _leaves(result) if isinstance(part, Tensor) and not _shares(part, args)]
        if fresh or written:
            self._carry(operation, result if fresh else written, fresh, written, *balls)
        return result

    def _exact(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = operation(*args, **kwargs)
        for tensor in _leaves(result):
            self._record(tensor, EXACT)
        return result

    def _item(self, operation: Any, tensor: Tensor) -> Any:
        if bool(self.ball(tensor).error > 0):
            raise UnknownOperationError(
                "item(), float() and if take a number out of torch, where its rounding errors get lost:"
                " keep it a tensor, or, where it decides something, let it be further from the decision"
            )
        return operation(tensor)

    def _before(self, tensor: Tensor, written: Sequence[Tensor]) -> Ball:
        """The ball of an argument; what is about to be written over is copied."""
        ball = self.ball(tensor)
        if not any(tensor is other for other in written):
            return ball
        if ball.is_exact:
            return replace(ball, tensor=tensor.clone())
        return replace(ball, tensor=tensor.clone(), error=ball.error.clone(), variance=ball.variance.clone())

    def _carry(
        self,
        operation: Any,
        result: Any,
        fresh: list[Tensor],
        written: list[Tensor],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Find the errors of the result, and keep them."""
        inputs = [ball for ball in _leaves((args, kwargs)) if isinstance(ball, Ball)]
        if all(ball.is_exact for ball in inputs) and not any(t.is_floating_point() for t in (*fresh, *written)):
            for tensor in (*fresh, *written):
                self._record(tensor, EXACT)
            return
        found = RULES.get(_plain(operation))
        if found is None:
            self._apart(operation, fresh, written, args, kwargs)
            return
        kwargs = {name: value for name, value in kwargs.items() if name not in _NO_MATTER}
        single = isinstance(result, Tensor) or (not fresh and len(written) == 1)
        balls = [
            Ball(t) if isinstance(t, Tensor) else None for t in ([result] if isinstance(result, Tensor) else result)
        ]
        errors = found(self._rounding([*fresh, *written], inputs), balls[0] if single else balls, *args, **kwargs)
        for ball, own in zip(balls, [errors] if single else errors, strict=True):
            if ball is not None and own is not None:
                self._record(ball.tensor, _own(_bounded(ball, own), inputs))

    def _rounding(self, outputs: Sequence[Tensor], inputs: Sequence[Ball]) -> Rounding:
        floating = [t for t in (*outputs, *(ball.tensor for ball in inputs)) if t.is_floating_point()]
        rounding = rounding_of(floating[0].dtype if floating else torch.float64)
        if self._coarsest is not None and self._coarsest.unit > rounding.unit:
            return self._coarsest
        return rounding

    def _apart(
        self,
        operation: Any,
        fresh: list[Tensor],
        written: list[Tensor],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Take the operation apart into others, and give their errors to its own results."""
        parts = layers.TAKEN_APART.get(_plain(operation)) or _decomposition(operation)
        unknown = UnknownOperationError(
            f"{operation} has no rule for its rounding errors: give it one with"
            f" @comparisons.rule(torch.ops.{_plain(operation)}), or write the reference with other operations"
        )
        if parts is None:
            raise unknown
        given, options = _mapped((args, kwargs), lambda ball: ball.tensor, Ball)
        aside = self._aside(args, kwargs)
        inner, self._coarsest = self._coarsest, self._rounding(fresh or written, [])
        try:
            with self:
                result = parts(*given, **options)
        except UnknownOperationError as error:
            raise unknown from error
        finally:
            self._coarsest = inner
        results = [part for part in _leaves(result) if isinstance(part, Tensor)]
        # What was to be written over is a copy here, which the parts may have written over in its place.
        pairs = [*zip(fresh, results), *zip(written, _written(operation, given, options))]  # noqa: B905
        for tensor, part in pairs if fresh else zip(written, results, strict=True):
            ball = self.ball(part)
            if not ball.is_exact:
                errors = Errors(ball.error.clone(), ball.variance.clone(), ball.terms, ball.sum_of_magnitudes)
                self._record(tensor, errors)
        del aside

    def _aside(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
        """Keep the errors of arguments that were copied before they were written over."""
        copies = []
        for ball in _leaves((args, kwargs)):
            if isinstance(ball, Ball) and not ball.is_exact and self.ball(ball.tensor).is_exact:
                self._record(ball.tensor, Errors(ball.error, ball.variance))
                copies.append(ball.tensor)
        return copies

    def _each(self, name: str, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One operation for a list of tensors: the plain operation for each."""
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


def _own(errors: Errors, inputs: Sequence[Ball]) -> Errors:
    """A copy of errors that were passed on as they are: each storage has its own."""
    theirs = {part.untyped_storage()._cdata for ball in inputs for part in (ball.error, ball.variance)}
    kept = [
        part.clone() if part is not ZERO and part.untyped_storage()._cdata in theirs else part
        for part in (errors.error, errors.variance)
    ]
    return replace(errors, error=kept[0], variance=kept[1])


def _bounded(result: Ball, errors: Errors) -> Errors:
    """What is not finite, or may pass the largest number, has no bound."""
    if errors.error is ZERO or not result.tensor.is_floating_point() or result.tensor.numel() == 0:
        return errors
    huge = torch.finfo(result.tensor.dtype).max
    least, most = torch.aminmax(result.tensor)
    if max(-float(least), float(most)) + 2 * float(errors.error.max()) < huge:
        return errors
    bounded = result.size + 2 * errors.error < huge
    return replace(
        errors,
        error=torch.where(bounded, errors.error, torch.inf),
        variance=torch.where(bounded, errors.variance, torch.inf),
    )


def _flat(part: Tensor, tensor: Tensor) -> Tensor:
    return part.expand(tensor.shape).reshape(-1).contiguous()


def _like(flat: Tensor, tensor: Tensor) -> Tensor:
    return flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


@cache
def _is_view(operation: Any) -> bool:
    """Whether it gives another look at the same numbers, whose errors are then the same, too."""
    returns = operation._schema.returns
    return bool(returns) and all(part.alias_info is not None and not part.alias_info.is_write for part in returns)


def _shares(result: Tensor, args: Any) -> bool:
    key = result.untyped_storage()._cdata
    return any(isinstance(a, Tensor) and a.untyped_storage()._cdata == key for a in _leaves(args))


def _leaves(nested: Any) -> Iterator[Any]:
    if isinstance(nested, (list, tuple)):
        for part in nested:
            yield from _leaves(part)
    elif isinstance(nested, dict):
        yield from _leaves(list(nested.values()))
    elif nested is not None:
        yield nested


def _mapped(nested: Any, function: Callable[[Any], Any], kind: type = Tensor) -> Any:
    if isinstance(nested, kind):
        return function(nested)
    if isinstance(nested, (list, tuple)):
        return type(nested)(_mapped(part, function, kind) for part in nested)
    if isinstance(nested, dict):
        return {name: _mapped(part, function, kind) for name, part in nested.items()}
    return nested


@cache
def _name(operation: Any) -> str:
    return str(operation._schema.name.split("::")[1])


@cache
def _plain(operation: Any) -> Any:
    """The operation without its overload, and not in place: add for add_.Tensor."""
    name, arguments = _name(operation), operation._schema.arguments
    if name.endswith("_") and arguments and _writes(arguments[0]):
        return getattr(getattr(torch.ops, operation.namespace), name[:-1])
    return operation.overloadpacket


def _writes(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _written(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors that an operation writes into."""
    unmarked = operation.overloadpacket in layers.WRITES_UNMARKED
    if not unmarked and not operation._schema.is_mutable:
        return []
    written = []
    for i, argument in enumerate(operation._schema.arguments):
        if _writes(argument) or (unmarked and argument.name in ("running_mean", "running_var")):
            given = args[i] if i < len(args) else kwargs.get(argument.name)
            written += [t for t in _leaves(given) if isinstance(t, Tensor)]
    return written


def _decomposition(operation: Any) -> Callable[..., Any] | None:
    """How torch itself takes an operation apart, if it does."""
    from torch._decomp import core_aten_decompositions, decomposition_table  # seldom needed

    plain = _plain(operation)
    for overload in (operation, *(getattr(plain, name) for name in plain.overloads())):
        found = core_aten_decompositions().get(overload) or decomposition_table.get(overload)
        if found is not None:
            return found
    return operation.decompose if operation._can_decompose() else None
