"""Which argument of somebody's function is which: by their names, where these tell, else by their order."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
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
    },
    "rate": {"learningrate", "lr", "alpha", "eta", "gamma", "rate", "lrate", "stepsize"},
}
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
    """

    positional: tuple[str, ...]
    keywords: Mapping[str, str]

    @property
    def takes_rate(self) -> bool:
        """Whether it is told the learning rate."""
        return "rate" in (*self.positional, *self.keywords.values())

    @property
    def weights(self) -> list[str]:
        """The roles of the arguments that hold the weights."""
        return [role for role in self.positional if role not in ("inputs", "targets", "rate")]

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
    roles = [(parameter, _role(parameter.name)) for parameter in parameters]
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    rates = {p.name: "rate" for p, role in roles if role == "rate" and p.kind not in (*plain, p.VAR_POSITIONAL)}
    known = [(p, role) for p, role in roles if p.kind in plain and (role or p.default is p.empty)]
    named = [role for _, role in known]
    if _is_complete(named):
        return Arguments(tuple(role for role in named if role), rates)
    # By their order; the learning rate, which may have a place of its own, by its name.
    by_name = {p.name: "rate" for p, role in known if role == "rate" and p.kind is not p.POSITIONAL_ONLY}
    last = ("rate",) if any(role == "rate" and p.kind is p.POSITIONAL_ONLY for p, role in known) else ()
    return Arguments((*USUAL, *last), {**by_name, **rates})


def _role(name: str) -> str | None:
    """The role of a parameter of this name: one of NAMES, or that of one layer, like w1."""
    match = NUMBERED.fullmatch(name.lower())
    if match:
        return f"{'b' if match[1].startswith('b') else 'w'}{int(match[2])}"
    return ROLES.get(name.lower().replace("_", ""))


def _is_complete(roles: Sequence[str | None]) -> bool:
    """Whether all are known, each once, and weights, inputs and targets are among them."""
    weights = "weights" in roles or any(role and role[0] == "w" and role[1:].isdigit() for role in roles)
    return None not in roles and len(set(roles)) == len(roles) and {"inputs", "targets"} <= set(roles) and weights
