"""A network as a torch model, and a torch model as a network: the weights are copied, nothing is shared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from comparisons.reference.twin import MODULES, build, neutral
from handnet import Network
from handnet.activations import FloatArray


def to_torch(network: Network) -> nn.Sequential:
    """Return the identical torch model: nn.Linear and activation in turn, the weights copied.

    Parameters
    ----------
    network : a single network, not a stack

    Raises
    ------
    TypeError
        If it is no Network.
    ValueError
        If the network is a stack: a module holds one network.

    Examples
    --------
    >>> net = Network.random([2, 3, 1], rng=np.random.default_rng(0))
    >>> [type(module).__name__ for module in to_torch(net)]
    ['Linear', 'Sigmoid', 'Linear', 'Sigmoid']
    """
    if not isinstance(network, Network):
        raise TypeError(f"network is {network!r:.60}: expected a handnet.Network")
    if network.stack:
        raise ValueError(f"network is a stack of shape {network.stack}: expected a single network")
    with neutral():
        shapes = [w.shape for w in network.weights]
        model = build(shapes, network.activation, network.dtype, network.biases)
        with torch.no_grad():
            linears = (module for module in model if isinstance(module, nn.Linear))
            for linear, w in zip(linears, network.weights, strict=True):
                linear.weight.copy_(torch.tensor((w[:-1] if network.biases else w).T, device="cpu"))
                if network.biases:
                    linear.bias.copy_(torch.tensor(w[-1], device="cpu"))
    return model


def from_torch(module: nn.Module) -> Network:
    """Return the hand-written network of a torch model, the weights copied.

    Parameters
    ----------
    module : an nn.Sequential of nn.Linear, nn.Sigmoid, nn.Tanh, nn.ReLU and nn.Identity, nested or not
        A Linear that no activation follows gets "identity"; one without a bias gets biases of zero.

    Raises
    ------
    ValueError
        If the module holds anything else.

    Examples
    --------
    >>> net = Network.random([2, 3, 1], rng=np.random.default_rng(0), activation="tanh")
    >>> from_torch(to_torch(net))
    Network(2-3-1, tanh tanh, float64)
    """
    # By how torch prints them, which says their constants.
    names = {repr(make()): name for name, make in MODULES.items()} | {repr(nn.Softplus()): "softplus"}
    weights: list[FloatArray] = []
    activation: list[str] = []
    for where, part in _flattened(module):
        if type(part) is nn.Linear:
            weights.append(_joined_linear(part))
            activation.append("identity")
        elif repr(part) in names and weights and activation[-1] == "identity":
            activation[-1] = names[repr(part)]
        elif type(part) is not nn.Identity:
            raise ValueError(
                f"module{where} is {type(part).__name__}: expected Linear layers, each followed by at most one of"
                f" {', '.join(names)}"
            )
    return Network(weights, activation)


def _flattened(module: nn.Module, where: str = "") -> Iterator[tuple[str, nn.Module]]:
    if isinstance(module, nn.Sequential):
        for i, part in enumerate(module):
            yield from _flattened(part, f"{where}[{i}]")
    else:
        yield where, module


def _joined_linear(linear: nn.Linear) -> FloatArray:
    weight = linear.weight.detach().cpu().numpy().T
    bias = np.zeros(weight.shape[1], weight.dtype) if linear.bias is None else linear.bias.detach().cpu().numpy()
    return np.vstack([weight, bias])
