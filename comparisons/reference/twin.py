"""The identical network in PyTorch: weights copied in, every number copied out of autograd.

The twin takes plain arrays and borrows nothing of handnet's mathematics: layers are nn.Linear and torch's own
activations, the loss is torch's own, the gradients are autograd's and the step is torch's SGD.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.optim.sgd import sgd

from comparisons.reference.bounds import RunningErrors
from comparisons.reference.quantities import THE_NOTES, Key, Problem, Quantities, Statement, in_order
from handnet.activations import FloatArray

# Beyond its threshold torch's softplus leaves out log(1 + e^z) - z = e^-z. With its own of 20 that is 2e-9; from 37 on
# float64 cannot see it, and up to 88 nothing overflows in float32.
SOFTPLUS_THRESHOLD = 40
MODULES: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "softplus": partial(nn.Softplus, threshold=SOFTPLUS_THRESHOLD),
    "softmax": partial(nn.Softmax, dim=-1),
}
aten = torch.ops.aten
# torch's own derivative kernels, the ones autograd itself calls: each takes a gradient and the activation a. That of
# softplus takes z, where the slope is 1 - e^-a.
SLOPE_KERNELS: dict[str, Any] = {
    "sigmoid": aten.sigmoid_backward,
    "tanh": aten.tanh_backward,
    "relu": lambda gradient, a: aten.threshold_backward(gradient, a, 0),
    "identity": lambda gradient, a: gradient,
    "leaky_relu": lambda gradient, a: aten.leaky_relu_backward(gradient, a, 0.01, True),
    "elu": lambda gradient, a: aten.elu_backward(gradient, 1, 1, 1, True, a),
    "softplus": lambda gradient, a: -gradient * torch.expm1(-a),
    "softmax": lambda gradient, a: aten._softmax_backward_data(gradient, a, -1, a.dtype),
}
# torch's own losses, summed over samples and outputs. A cross-entropy is taken of z, where a may round to 0 or 1.
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "half_squared_error": partial(nn.MSELoss, reduction="sum"),
    "squared_error": partial(nn.MSELoss, reduction="sum"),
    "mean_squared_error": partial(nn.MSELoss, reduction="sum"),
    "binary_cross_entropy": partial(nn.BCEWithLogitsLoss, reduction="sum"),
    "cross_entropy": partial(nn.CrossEntropyLoss, reduction="sum"),
}
# The z that belongs to an activation, up to what makes no difference.
LOGITS: dict[str, Callable[[Tensor], Tensor]] = {"binary_cross_entropy": torch.logit, "cross_entropy": torch.log}
Parameters = tuple[Tensor, ...]


@dataclass(frozen=True)
class TwinPass:
    """Everything autograd says of one pass and one step, as NumPy arrays.

    Attributes
    ----------
    preactivations, activations : tuples of arrays (..., N, m_l)
        z and a of the layers 1 .. L.
    cost : array (...)
    activation_gradients, deltas : tuples of arrays (..., N, m_l)
        dC/da and dC/dz of the layers 1 .. L.
    gradients, updated : tuples of arrays (..., m_(l-1) + 1, m_l)
        dC/dW, and W after the step.
    """

    preactivations: tuple[FloatArray, ...]
    activations: tuple[FloatArray, ...]
    cost: FloatArray
    activation_gradients: tuple[FloatArray, ...]
    deltas: tuple[FloatArray, ...]
    gradients: tuple[FloatArray, ...]
    updated: tuple[FloatArray, ...]

    @classmethod
    def of(cls, tensors: dict[str, Any], array: Callable[[Tensor], FloatArray]) -> TwinPass:
        """Make it of tensors, each turned into an array."""
        arrays: dict[str, Any] = {
            name: tuple(map(array, part)) if isinstance(part, tuple) else array(part) for name, part in tensors.items()
        }
        return cls(**arrays)

    def quantities(self) -> Quantities:
        """Return what is compared, in the order in which it is computed."""
        return in_order(self.activations, self.cost, self.deltas, self.gradients, self.updated)


class Twin:
    """The torch model of a network, or of a whole stack of networks.

    A stack runs through the very same modules: `torch.func.vmap` over their parameters.

    Parameters
    ----------
    weights : sequence of arrays (..., m_(l-1) + 1, m_l)
    activation : one name per layer
    device : where torch computes, "cpu" or "cuda"
    stated : the cost and the like

    Raises
    ------
    ValueError
        If the device is not there.
    """

    def __init__(
        self,
        weights: Sequence[FloatArray],
        activation: Sequence[str],
        device: str = "cpu",
        stated: Statement = THE_NOTES,
    ) -> None:
        self.device = checked_device(device)
        self.activation, self.stated = tuple(activation), stated
        self.stack: tuple[int, ...] = weights[0].shape[:-2]
        with neutral():
            self.model = build([w.shape[-2:] for w in weights], activation, weights[0].dtype, stated.biases)
            # Of each layer its weight and bias, as nn.Linear keeps them: what the model is called with.
            self.parameters = [self._linear(w) for w in weights]
            for tensor in self._leaves():
                tensor.requires_grad_()

    # The whole model.

    def run(self, inputs: FloatArray, targets: FloatArray, learning_rate: float, train_biases: bool = True) -> TwinPass:
        """Return autograd's pass and torch's step of gradient descent.

        Parameters
        ----------
        inputs, targets : arrays (..., N, m_0) and (..., N, m_L), in the dtype of the weights
        learning_rate : gamma
        train_biases : False leaves the biases as they are
        """
        with neutral():
            tensors, _ = self._pass(inputs, targets, learning_rate, train_biases)
            return TwinPass.of(tensors, self._array)

    def bounded_run(
        self, inputs: FloatArray, targets: FloatArray, learning_rate: float, train_biases: bool = True
    ) -> tuple[TwinPass, TwinPass, TwinPass]:
        """Return the same, how far any evaluation of each number can lie from the exact one, and is expected to.

        The last is the expected tolerance, of two evaluations; see `Ball.expected_tolerance`.
        """
        with neutral(), RunningErrors() as errors:
            tensors, _ = self._pass(inputs, targets, learning_rate, train_biases)
        bounds = TwinPass.of(tensors, lambda tensor: self._array(_error(errors, tensor)))
        expected = TwinPass.of(tensors, lambda tensor: self._array(_expected(errors, tensor)))
        return TwinPass.of(tensors, self._array), bounds, expected

    def bounded_descent(self, problem: Problem) -> tuple[TwinPass, TwinPass, TwinPass]:
        """Return the last pass and step of a descent with a step after each sample, its bounds and what is expected."""
        first = self.parameters
        with neutral(), RunningErrors() as errors:
            for one in problem.steps():
                tensors, steps = self._pass(one.inputs, one.targets, one.learning_rate, one.train_biases)
                self.parameters = [tuple(tensor.requires_grad_() for tensor in step) for step in steps]
        self.parameters = first
        bounds = TwinPass.of(tensors, lambda tensor: self._array(_error(errors, tensor)))
        expected = TwinPass.of(tensors, lambda tensor: self._array(_expected(errors, tensor)))
        return TwinPass.of(tensors, self._array), bounds, expected

    def _pass(
        self, inputs: FloatArray, targets: FloatArray, learning_rate: float, train_biases: bool
    ) -> tuple[dict[str, Any], list[Parameters]]:
        """The pass and the step in tensors, and the parameters after it."""
        seen = self._forward(self._tensor(inputs))
        for tensor in seen:
            tensor.retain_grad()
        cost = self._cost(seen[-2], seen[-1], self._tensor(targets))
        total = cost.sum() + self._penalty(self.parameters).sum() if self.stated.l2 else cost.sum()
        for leaf in self._leaves():
            leaf.grad = None
        torch.autograd.backward(total)
        gradients = [tuple(map(_grad, parameters)) for parameters in self.parameters]
        steps = [
            self._step(old, gradient, learning_rate, train_biases)
            for old, gradient in zip(self.parameters, gradients, strict=True)
        ]
        z, a = seen[0::2], seen[1::2]
        tensors = {
            "preactivations": z,
            "activations": a,
            "cost": cost + self._penalty(self.parameters) if self.stated.l2 else cost,
            # A cross-entropy is computed from z, and dC/da is no number of its own.
            "activation_gradients": tuple(tensor.grad for tensor in a if tensor.grad is not None),
            "deltas": tuple(map(_grad, z)),
            "gradients": tuple(map(self._joined, gradients)),
            "updated": tuple(map(self._joined, steps)),
        }
        return tensors, steps

    def _forward(self, inputs: Tensor, parameters: Sequence[Parameters] | None = None) -> tuple[Tensor, ...]:
        """z^(1), a^(1) .. z^(L), a^(L), caught by forward hooks on the modules of the model."""

        def model(parameters: dict[str, Tensor], x: Tensor) -> tuple[Tensor, ...]:
            seen: list[Tensor] = []
            hooks = [
                module.register_forward_hook(lambda _module, _arguments, output: seen.append(output))
                for module in self.model
            ]
            try:
                functional_call(self.model, parameters, (x,))
            finally:
                for hook in hooks:
                    hook.remove()
            return tuple(seen)

        outputs: tuple[Tensor, ...] = self._over_stack(model)(self._named(parameters or self.parameters), inputs)
        return outputs

    def train(
        self, inputs: FloatArray, targets: FloatArray, learning_rate: float, steps: int, train_biases: bool = True
    ) -> tuple[FloatArray, ...]:
        """Return the weights W^(1) .. W^(L) after so many steps of torch's own training.

        Parameters
        ----------
        inputs, targets, learning_rate, train_biases : of each step, as in `run`
        steps : 0 or more
        """
        with neutral():
            x, t = self._tensor(inputs), self._tensor(targets)
            trained = self.parameters
            for _ in range(steps):
                leaves = [tensor.requires_grad_() for parameters in trained for tensor in parameters]
                *_, z, a = self._forward(x, trained)
                cost = self._cost(z, a, t).sum()
                cost = cost + self._penalty(trained).sum() if self.stated.l2 else cost
                found = iter(torch.autograd.grad(cost, leaves))
                pairs = [(old, tuple(next(found) for _ in old)) for old in trained]
                trained = [self._step(old, gradient, learning_rate, train_biases) for old, gradient in pairs]
            return tuple(self._array(self._joined(parameters)) for parameters in trained)

    # One equation at a time, on numbers that somebody else computed.

    def local_activation(self, l: int, a_below: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return z^(l) and a^(l) from this a^(l-1)."""
        with neutral(), torch.no_grad():
            z = self._through(l, self._tensor(a_below))
            return self._array(z), self._array(self.model[2 * l - 1](z))

    def local_cost(self, output: FloatArray, targets: FloatArray) -> FloatArray:
        """Return C from this a^(L)."""
        with neutral(), torch.no_grad():
            return self._array(self._cost_of_output(self._tensor(output), targets))

    def local_output_delta(self, output: FloatArray, targets: FloatArray) -> FloatArray:
        """Return delta^(L) from this a^(L)."""
        with neutral():
            return self._array(self._output_delta(self._tensor(output), targets))

    def local_hidden_delta(self, l: int, delta_above: FloatArray, a: FloatArray) -> FloatArray:
        """Return delta^(l) from this delta^(l+1) and a^(l)."""
        with neutral():
            return self._array(self._hidden_delta(l, self._tensor(delta_above), self._tensor(a)))

    def local_gradient(self, l: int, a_below: FloatArray, delta: FloatArray) -> FloatArray:
        """Return dC/dW^(l) from this a^(l-1) and delta^(l)."""
        with neutral():
            return self._array(self._gradient(l, self._tensor(a_below), self._tensor(delta)))

    def local_updated(
        self, l: int, gradient: FloatArray, learning_rate: float, train_biases: bool = True
    ) -> FloatArray:
        """Return W^(l) after the step along this dC/dW^(l)."""
        with neutral():
            step = self._step(self.parameters[l - 1], self._linear(gradient), learning_rate, train_biases)
            return self._array(self._joined(step))

    def bounded_local(
        self, key: Key, upstream: Sequence[FloatArray], problem: Problem
    ) -> tuple[FloatArray, FloatArray]:
        """Return the quantity from these upstream values by its own equation, and the bound on any evaluation of it."""
        quantity, layer = key
        l = len(self.parameters) if layer is None else layer
        with neutral(), RunningErrors() as errors:
            values = [self._tensor(value) for value in upstream]
            if quantity == "activation":
                result = self.model[2 * l - 1](self._through(l, *values))
            elif quantity == "cost":
                result = self._cost_of_output(self._rounded(errors, l, *values), problem.targets)
            elif quantity == "delta" and l == len(self.parameters):
                result = self._output_delta(self._rounded(errors, l, *values), problem.targets)
            elif quantity == "delta":
                result = self._hidden_delta(l, values[0], self._rounded(errors, l, values[1]))
            elif quantity == "gradient":
                result = self._gradient(l, *values)
            else:
                gradient = self._linear(upstream[0])
                step = self._step(self.parameters[l - 1], gradient, problem.learning_rate, problem.train_biases)
                result = self._joined(step)
        return self._array(result), self._array(_error(errors, result))

    def _rounded(self, errors: RunningErrors, l: int, a: Tensor) -> Tensor:
        """The activations of a curve, of which the implementation may have gone on with more digits than it returned.

        It may have taken the slope, or the logarithm, before it rounded a: near saturation that is all of 1 - a, and
        where a softplus is written log(1 + e^z) all of a.
        """
        if self.activation[l - 1] not in ("relu", "leaky_relu", "identity"):
            info = torch.finfo(a.dtype)
            lost = info.eps if self.activation[l - 1] == "softplus" else 0.0
            errors.given(a, 4 * info.eps * a.double().abs() + lost + 8 * info.tiny)
        return a

    def _cost_of_output(self, a: Tensor, targets: FloatArray) -> Tensor:
        logit = LOGITS.get(self.stated.cost)
        cost = self._cost(logit(a) if logit else a, a, self._tensor(targets))
        return cost + self._penalty(self.parameters) if self.stated.l2 else cost

    def _output_delta(self, a: Tensor, targets: FloatArray) -> Tensor:
        logit = LOGITS.get(self.stated.cost)
        with torch.no_grad():
            leaf = logit(a) if logit else a
        leaf = leaf.requires_grad_()
        (error,) = torch.autograd.grad(self._cost(leaf, leaf, self._tensor(targets)).sum(), leaf)
        return error if logit else SLOPE_KERNELS[self.activation[-1]](error, a.detach())

    def _hidden_delta(self, l: int, delta_above: Tensor, a: Tensor) -> Tensor:
        here = a.requires_grad_()
        above = self._through(l + 1, here)
        (passed,) = _pulled_back(delta_above, above, [here])
        delta: Tensor = SLOPE_KERNELS[self.activation[l - 1]](passed, here.detach())
        return delta

    def _gradient(self, l: int, a_below: Tensor, delta: Tensor) -> Tensor:
        z = self._through(l, a_below)
        cost = (z * delta).sum()
        if self.stated.l2:
            cost = cost + self._penalty(self.parameters[l - 1 : l]).sum()
        return self._joined(torch.autograd.grad(cost, self.parameters[l - 1]))

    def slopes(self, preactivations: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
        """Return da^(l)/dz^(l) of the layers 1 .. L, by autograd, from these z^(1) .. z^(L)."""
        with neutral():
            leaves = [self._tensor(z).requires_grad_() for z in preactivations]
            values = [self.model[2 * l + 1](z) for l, z in enumerate(leaves)]
            return tuple(map(self._array, torch.autograd.grad([a.sum() for a in values], leaves)))

    def bounded_slopes(
        self, preactivations: Sequence[FloatArray], bounds: Sequence[FloatArray]
    ) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
        """Return the same, and the bounds on them, from z that may lie so far off."""
        with neutral(), RunningErrors() as errors:
            leaves = [self._tensor(z) for z in preactivations]
            for leaf, bound in zip(leaves, bounds, strict=True):
                errors.given(leaf, self._tensor(bound))
                leaf.requires_grad_()
            values = [self.model[2 * l + 1](z) for l, z in enumerate(leaves)]
            slopes = torch.autograd.grad([a.sum() for a in values], leaves)
        return tuple(map(self._array, slopes)), tuple(self._array(_error(errors, slope)) for slope in slopes)

    # The pieces.

    def _named(self, parameters: Sequence[Parameters]) -> dict[str, Tensor]:
        """The parameters by the names that the model has for them."""
        return {
            f"{2 * l}.{name}": tensor
            for l, of_layer in enumerate(parameters)
            for name, tensor in zip(("weight", "bias"), of_layer, strict=False)
        }

    def _over_stack(self, function: Any) -> Any:
        return vmap(function) if self.stack else function

    def _through(self, l: int, a_below: Tensor) -> Tensor:
        """z^(l), by the function that nn.Linear calls."""
        z: Tensor = self._over_stack(nn.functional.linear)(a_below, *self.parameters[l - 1])
        return z

    def _cost(self, z: Tensor, a: Tensor, targets: Tensor) -> Tensor:
        """C from z^(L) or a^(L), without the penalty."""
        stated, made_of = self.stated, z if self.stated.cost in LOGITS else a

        def loss(output: Tensor, targets: Tensor) -> Tensor:
            # With reduction="mean" MSELoss would divide by the number of outputs too, which the note's C does not.
            total: Tensor = LOSSES[stated.cost]()(output, targets)
            if stated.cost == "half_squared_error":
                total = total / 2
            if stated.cost == "mean_squared_error":
                total = total / output.shape[-1]
            return total / output.shape[-2] if stated.reduction == "mean" else total

        cost: Tensor = self._over_stack(loss)(made_of, targets)
        return cost

    def _penalty(self, parameters: Sequence[Parameters]) -> Tensor:
        """l2 / 2 |w|^2, of each network of a stack."""
        squares = [weight.square().sum(dim=(-2, -1)) for weight, *_ in parameters]
        return self.stated.l2 / 2 * torch.stack(squares).sum(dim=0)

    def _step(self, old: Parameters, gradient: Parameters, learning_rate: float, train_biases: bool) -> Parameters:
        """Torch's own SGD; in its functional form, since the class imports torch._dynamo for seconds."""
        new = tuple(tensor.detach().clone() for tensor in old)
        trained = len(new) if train_biases else 1
        with torch.no_grad():
            sgd(
                list(new[:trained]),
                list(gradient[:trained]),
                [None] * trained,
                foreach=False,
                weight_decay=0.0,
                momentum=0.0,
                lr=learning_rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
        return new

    def _leaves(self) -> list[Tensor]:
        return [tensor for pair in self.parameters for tensor in pair]

    # In and out. Inside torch a stack is one leading axis.

    def _tensor(self, array: FloatArray) -> Tensor:
        """Copy an array (..., rows, columns) in, spread over the stack."""
        core = array.shape[-2:]
        if self.stack:
            array = np.broadcast_to(array, (*self.stack, *core)).reshape((math.prod(self.stack), *core))
        return torch.tensor(array, device=self.device)

    def _array(self, tensor: Tensor) -> FloatArray:
        """Copy a tensor out, its stack unfolded."""
        core = tensor.shape[1:] if self.stack else tensor.shape
        return np.array(tensor.detach().cpu().numpy()).reshape((*self.stack, *core))

    def _linear(self, w: FloatArray) -> Parameters:
        """Split W (..., m + 1, n) into nn.Linear's weight (n, m) and bias (n,)."""
        whole = self._tensor(w)
        if not self.stated.biases:
            return (whole.mT.contiguous(),)
        return whole[..., :-1, :].mT.contiguous(), whole[..., -1, :].contiguous()

    def _joined(self, parameters: Sequence[Tensor]) -> Tensor:
        """Put nn.Linear's weight and bias back together as W."""
        weight, *bias = parameters
        return torch.cat([weight.mT, bias[0].unsqueeze(-2)], dim=-2) if bias else weight.mT


@contextmanager
def neutral() -> Iterator[None]:
    """Shut out the caller's no_grad, inference mode, autocast, and products of reduced float32 precision.

    Hooks that the caller has put on every module or every saved tensor remain: they are asked for.
    """
    with ExitStack() as stack:
        # Only what is not as it should be is set: to enter them all takes longer than a small layer.
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        for backend in (torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None)):
            # A torch older than the setting has nothing to set.
            if getattr(backend, "fp32_precision", "ieee") != "ieee":
                stack.enter_context(_full_precision(backend))
        yield


@contextmanager
def _full_precision(backend: Any) -> Iterator[None]:
    """Products in full float32; set per backend, since torch refuses its older global switch after a newer one."""
    precision = backend.fp32_precision
    backend.fp32_precision = "ieee"
    try:
        yield
    finally:
        backend.fp32_precision = precision


def checked_device(device: str | torch.device) -> torch.device:
    """Return the torch device, given itself or its name, or raise one line saying that it is not there."""
    name = str(device) if isinstance(device, torch.device) else device
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device is {name!r}: expected 'cpu' or 'cuda'")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', but torch sees no CUDA device here: expected 'cpu'")
    return torch.device(name)


def build(
    shapes: Sequence[tuple[int, ...]], activation: Sequence[str], dtype: np.dtype[Any], biases: bool = True
) -> nn.Sequential:
    """Return Linear, activation, Linear, activation .. for W of these shapes, weights still to be copied in.

    The caller's random numbers go on as if no layer had been initialised.
    """
    torch_dtype = torch.float32 if dtype == np.float32 else torch.float64
    modules: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        for (rows, outputs), name in zip(shapes, activation, strict=True):
            modules.append(nn.Linear(rows - biases, outputs, bias=biases, dtype=torch_dtype, device="cpu"))
            modules.append(MODULES[name]())
    return nn.Sequential(*modules)


def _error(errors: RunningErrors, tensor: Tensor) -> Tensor:
    ball = errors.ball(tensor.detach())
    return ball.full(ball.error)


def _expected(errors: RunningErrors, tensor: Tensor) -> Tensor:
    return errors.ball(tensor.detach()).expected_tolerance


def _pulled_back(gradient: Tensor, output: Tensor, leaves: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Take a gradient at `output` back to the leaves.

    By way of a scalar whose gradient at `output` is just that: `grad_outputs` imports sympy, half a second.
    """
    return torch.autograd.grad((output * gradient).sum(), leaves)


def _grad(tensor: Tensor) -> Tensor:
    if tensor.grad is None:
        raise RuntimeError("autograd left a tensor without a gradient")
    return tensor.grad
