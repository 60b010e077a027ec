"""Which argument of somebody's function is which: by their names, where these tell, else by their order."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What people call them, in lower case and without underscores.
NAMES = {
    "weights": {"weights", "w", "ws", "params", "parameters", "theta", "thetas", "network", "net", "model", "layers"},
    "biases": {"biases", "b", "bs", "bias"},
    "inputs": {"inputs", "input", "x", "xs", "data", "features", "xtrain", "xbatch", "samples"},
    "targets": {
        "targets",
        "target",
        "t",
        "y",
        "ys",
        "labels",
        "label",
        "expected",
        "ytrain",
        "ybatch",
        "ytrue",
        "desired",
        "keys",
    },
    "rate": {"learningrate", "lr", "alpha", "eta", "gamma", "rate", "lrate", "stepsize", "coef"},
    "velocity": {"velocity", "velocities", "v", "vs", "vel"},
    "momentum": {"momentum", "mu", "beta"},
    "epochs": {"epochs", "epoch", "nepochs", "iterations", "iters", "niter", "niters", "numiterations", "steps"},
}
# What it is told beside weights and samples, where it asks for it.
TOLD = ("rate", "velocity", "momentum", "epochs")
ROLES = {name: role for role, names in NAMES.items() for name in names}
# W1, b_2, theta1: one layer's own.
NUMBERED = re.compile(r"(w|weights|theta|b|bias)_?(\d+)")
USUAL = ("weights", "inputs", "targets")


@dataclass(frozen=True)
class Arguments:
    """How a function is called: the role of each of its parameters, and their names where they are keywords.

    Attributes
    ----------
    positional : roles in order
    keywords : role by name
    by_name : whether their names tell, and not their order
    """

    positional: tuple[str, ...]
    keywords: Mapping[str, str]
    by_name: bool = False

    @property
    def takes_rate(self) -> bool:
        """Whether it is told the learning rate."""
        return "rate" in (*self.positional, *self.keywords.values())

    @property
    def weights(self) -> list[str]:
        """The roles of the arguments that hold the weights."""
        return [role for role in self.positional if role not in ("inputs", "targets", *TOLD)]

    @property
    def weights_by_name(self) -> bool:
        """Whether the names of all arguments tell what they are."""
        return self.by_name and "weights" in self.positional

    @property
    def takes_velocity(self) -> bool:
        """Whether it is given what is left of its steps before."""
        return "velocity" in (*self.positional, *self.keywords.values())

    def call(self, function: Callable[..., Any], parts: Mapping[str, Any]) -> Any:
        """Call the function with the part that belongs to each role."""
        keywords = {name: parts[role] for name, role in self.keywords.items()}
        return function(*(parts[role] for role in self.positional), **keywords)

    def parts(self, function: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a call of the function hands over, by role: the reverse of `call`.

        Raises
        ------
        TypeError
            If it cannot be called so.
        """
        bound = inspect.signature(function).bind(*arguments, **named)
        bound.apply_defaults()
        keywords = {role: bound.arguments[name] for name, role in self.keywords.items() if name in bound.arguments}
        return {**dict(zip(self.positional, bound.args, strict=False)), **keywords}


def arguments_of(function: Callable[..., Any]) -> Arguments:
    """Return how to call a function of weights, inputs and targets, in whichever order.

    Examples
    --------
    >>> arguments_of(lambda X, y, params, lr=0.1: None).positional
    ('inputs', 'targets', 'weights', 'rate')
    >>> arguments_of(lambda first, second, third: None).positional
    ('weights', 'inputs', 'targets')
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return Arguments(USUAL, {})
    roles = [(parameter, _role(parameter)) for parameter in parameters]
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    told = {p.name: role for p, role in roles if role in TOLD and p.kind not in (*plain, p.VAR_POSITIONAL)}
    known = [(p, role) for p, role in roles if p.kind in plain and (role or p.default is p.empty)]
    named = _with_the_last(role for _, role in known)
    if _is_complete(named):
        return Arguments(tuple(role for role in named if role), told, by_name=True)
    # By their order; the learning rate and its like, which may have a place of their own, by their names.
    by_name = {p.name: role for p, role in known if role in TOLD and p.kind is not p.POSITIONAL_ONLY}
    last = ("rate",) if any(role == "rate" and p.kind is p.POSITIONAL_ONLY for p, role in known) else ()
    return Arguments((*USUAL, *last), {**by_name, **told})


def _role(parameter: inspect.Parameter) -> str | None:
    """The role of a parameter: one of NAMES, or that of one layer, like w1; none where its own default stays."""
    role = role_of(parameter.name)
    return None if role == "momentum" and parameter.default is not parameter.empty else role


def role_of(name: str) -> str | None:
    """Return the role of an argument or attribute of this name.

    Examples
    --------
    >>> role_of("X_train"), role_of("W_2"), role_of("lr"), role_of("colour")
    ('inputs', 'w2', 'rate', None)
    """
    match = NUMBERED.fullmatch(name.lower())
    if match:
        return f"{'b' if match[1].startswith('b') else 'w'}{int(match[2])}"
    return ROLES.get(name.lower().replace("_", ""))


def _with_the_last(roles: Iterable[str | None]) -> list[str | None]:
    """The roles, where one name alone tells nothing and one role alone is missing: it has that one."""
    named = list(roles)
    numbered = any(role and role[0] == "w" and role[1:].isdigit() for role in named)
    missing = [role for role in USUAL if role not in named and not (role == "weights" and numbered)]
    if named.count(None) == len(missing) == 1:
        named[named.index(None)] = missing[0]
    return named


def _is_complete(roles: Sequence[str | None]) -> bool:
    """Whether all are known, each once, and weights, inputs and targets are among them."""
    weights = "weights" in roles or any(role and role[0] == "w" and role[1:].isdigit() for role in roles)
    return None not in roles and len(set(roles)) == len(roles) and {"inputs", "targets"} <= set(roles) and weights
