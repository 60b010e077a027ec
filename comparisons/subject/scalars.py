"""Weights that a class keeps one by one, self.w1 .. self.b3: which node each belongs to, as its own sums say.

    h1 = sigmoid(self.w1 * x[0] + self.w2 * x[1] + self.b1)

is a node with two weights and a bias; nodes that multiply the same numbers make a layer.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from comparisons.subject.reading import ImplementationError
from handnet.activations import FloatArray

WEIGHT, BIAS = re.compile(r"_*(w|theta)", re.IGNORECASE), re.compile(r"_*b", re.IGNORECASE)


@dataclass(frozen=True)
class Scalars:
    """An array of which an instance keeps each number in an attribute.

    Attributes
    ----------
    names : of the attributes, row by row for a matrix
    """

    names: tuple[Any, ...]

    def fits(self, instance: Any) -> bool:
        """Return whether these attributes hold single numbers, as far as they are there."""
        return all(np.size(getattr(instance, name, np.nan)) == 1 for name in self._flat)

    def read(self, instance: Any) -> FloatArray:
        """Return the array, NaN where the class leaves it to others to set one.

        Raises
        ------
        ImplementationError
            If one of them has become something else than one number.
        """
        shape = np.shape(self.names)
        return np.array([_number(instance, name) for name in self._flat]).reshape(shape)

    def write(self, instance: Any, value: FloatArray) -> None:
        """Put each number into its attribute."""
        for name, number in zip(self._flat, np.ravel(value), strict=True):
            setattr(instance, name, number)

    @property
    def _flat(self) -> list[str]:
        return [name for row in self.names for name in ([row] if isinstance(row, str) else row)]

    def __str__(self) -> str:
        return ", ".join(self._flat)


@dataclass(frozen=True)
class Node:
    """A node as its sum is written: the attribute that multiplies each number, and its bias, if it has one."""

    weights: Mapping[str, str]
    bias: str | None

    @property
    def multiplied(self) -> list[str]:
        """What it multiplies, x[0] before x[1]; what has no number, in the order it is written."""
        return sorted(self.weights, key=lambda text: [int(digits) for digits in re.findall(r"\d+", text)])


def scalars_of(kind: type) -> tuple[list[Scalars], list[Scalars]] | None:
    """Return the weights (m, n) and the biases (n,) of each layer of a class; None where its sums make no network."""
    for one in kind.__mro__:
        try:
            found = scalars_in(textwrap.dedent(inspect.getsource(one)))
        except (OSError, TypeError, SyntaxError):
            continue
        if found:
            return found
    return None


def scalars_in(source: str) -> tuple[list[Scalars], list[Scalars]] | None:
    """Return the same of the source of a class: of its first method with sums that make a network.

    Examples
    --------
    >>> sums = "self.w1 * x[0] + self.w2 * x[1] + self.b"
    >>> weights, biases = scalars_in(f"class Net:\\n    def forward(self, x):\\n        return {sums}")
    >>> weights[0].names, biases[0].names
    ((('w1',), ('w2',)), ('b',))
    """
    for method in ast.iter_child_nodes(ast.parse(source).body[0]):
        if isinstance(method, ast.FunctionDef) and (layers := _layers(list(_nodes(method)))):
            weights = [
                Scalars(tuple(tuple(node.weights[one] for node in layer) for one in layer[0].multiplied))
                for layer in layers
            ]
            biases = [Scalars(tuple(node.bias for node in layer)) for layer in layers if layer[0].bias]
            return weights, biases
    return None


def _number(instance: Any, name: str) -> Any:
    value = getattr(instance, name, np.nan)
    if np.size(value) != 1:
        raise ImplementationError(f"self.{name} has become an array of shape {np.shape(value)}: expected one number")
    return np.reshape(value, ())[()]


def _layers(nodes: Sequence[Node]) -> list[list[Node]]:
    """The nodes layer by layer; empty where these make no network, or two nodes share a weight or a bias."""
    found: dict[frozenset[str], dict[str, Node]] = {}
    for node in nodes:
        found.setdefault(frozenset(node.weights), {})[str(node)] = node
    layers = [list(layer.values()) for layer in found.values()]
    whole = [node for layer in layers for node in layer]
    names = [name for node in whole for name in (*node.weights.values(), node.bias) if name]
    fits = all(len(above[0].weights) == len(below) for below, above in pairwise(layers))
    alike = len({node.bias is None for node in whole}) == 1
    return layers if fits and alike and len(set(names)) == len(names) else []


def _nodes(method: ast.FunctionDef) -> Iterator[Node]:
    """The sums of a method, as they are written, that multiply weights."""
    inner: set[ast.AST] = set()
    sums = [one for one in ast.walk(method) if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Add)]
    # The whole of a sum starts where its first part does, and ends behind it.
    for one in sorted(sums, key=lambda one: (one.lineno, one.col_offset, -len(ast.unparse(one)))):
        if one in inner:
            continue
        terms = list(_terms(one, inner))
        weights = {text: name for name, text in filter(None, map(_product, terms))}
        biases = [name for name in map(_attribute, terms) if name and BIAS.match(name)]
        if weights and len(weights) + len(biases) == len(terms) and len(biases) <= 1:
            yield Node(weights, next(iter(biases), None))


def _terms(one: ast.AST, inner: set[ast.AST]) -> Iterator[ast.AST]:
    if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Add):
        inner.add(one)
        yield from _terms(one.left, inner)
        yield from _terms(one.right, inner)
    else:
        yield one


def _product(term: ast.AST) -> tuple[str, str] | None:
    """The weight of a product, and what it multiplies."""
    if not (isinstance(term, ast.BinOp) and isinstance(term.op, ast.Mult)):
        return None
    for weight, other in ((term.left, term.right), (term.right, term.left)):
        name = _attribute(weight)
        if name and WEIGHT.match(name):
            return name, ast.unparse(other)
    return None


def _attribute(one: ast.AST) -> str | None:
    """The name of an attribute of the instance."""
    if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id == "self":
        return one.attr
    return None
