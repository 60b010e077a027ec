"""The note's notation, as it is written in plain text, read into a tree that can be evaluated or set as mathematics.

`w_01^(2)` is a weight with its indices and layer, `[a, b; c, d]` a matrix, `(w^(2))^T` a transpose, `(.)` the Hadamard
product, `1/2` a fraction, `dC/dw_00^(2)` a derivative, `sum_i` a sum over i = 0, 1 of what stands after it; factors
stand side by side, and `sigma(...)` is the activation function.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

SYMBOL = r"[A-Za-z]+(?:_\w+)?(?:\^\(\w\)|\^\d)?"
TOKEN = re.compile(
    rf"(?P<derivative>d{SYMBOL}/d{SYMBOL})|(?P<fraction>\d+/\d+)|(?P<hadamard>\(\.\))|(?P<sum>sum_\w)"
    rf"|(?P<symbol>{SYMBOL})|(?P<number>\d+(?:\.\d+)?)|(?P<power>\^\w)|(?P<sign>[-+=()\[\],;])|(?P<space>\s+)"
)


class NotationError(ValueError):
    """The text is not in the note's notation."""


@dataclass(frozen=True)
class Number:
    """A number as it is written, or a fraction like 1/2."""

    text: str


@dataclass(frozen=True)
class Symbol:
    """A letter with its index and layer, or a derivative of one by another."""

    text: str


@dataclass(frozen=True)
class Matrix:
    """A matrix in entries."""

    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Group:
    """What stands in parentheses."""

    inside: Node


@dataclass(frozen=True)
class Activated:
    """sigma of what stands in the parentheses after it."""

    inside: Node


@dataclass(frozen=True)
class Power:
    """A square, or with the exponent T a transpose."""

    base: Node
    exponent: str


@dataclass(frozen=True)
class Product:
    """Factors side by side; the sign between them is empty, or (.)."""

    factors: tuple[Node, ...]
    sign: str = ""


@dataclass(frozen=True)
class SumOver:
    """The sum of a product over an index."""

    index: str
    body: Node


@dataclass(frozen=True)
class Sum:
    """Terms, each with the sign before it: + or -; the first may have none."""

    terms: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Equal:
    """Two sides."""

    left: Node
    right: Node


Node = Number | Symbol | Matrix | Group | Activated | Power | Product | SumOver | Sum | Equal


@cache
def parse(text: str) -> Node:
    """Return the text as a tree.

    Raises
    ------
    NotationError
        If there is anything in it that the notation does not have, or something is missing.

    Examples
    --------
    >>> parse("D^(2) c")
    Product(factors=(Symbol(text='D^(2)'), Symbol(text='c')), sign='')
    """
    parser = _Parser(text)
    tree = parser.statement()
    if parser.kind:
        raise NotationError(f"{text!r} has {parser.token!r} where it should end")
    return tree


def symbols(node: Node) -> Iterator[str]:
    """Yield the symbols of a tree, from left to right."""
    if isinstance(node, Symbol):
        yield node.text
    for part in _parts(node):
        yield from symbols(part)


def _parts(node: Node) -> tuple[Node, ...]:
    match node:
        case Matrix(rows):
            return tuple(entry for row in rows for entry in row)
        case Group(inside) | Activated(inside):
            return (inside,)
        case Power(base, _):
            return (base,)
        case Product(factors, _):
            return factors
        case SumOver(_, body):
            return (body,)
        case Sum(terms):
            return tuple(term for _, term in terms)
        case Equal(left, right):
            return (left, right)
        case _:
            return ()


class _Parser:
    """Reads one token after the other; a method for each level of the grammar, the loosest binding first."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.kind, self.token = "", ""
        self._next()

    def _tokens(self) -> Iterator[tuple[str, str]]:
        at = 0
        while at < len(self.text):
            match = TOKEN.match(self.text, at)
            if match is None:
                raise NotationError(f"{self.text!r} has {self.text[at]!r}, which the notation does not")
            if match.lastgroup != "space":
                yield str(match.lastgroup), match[0]
            at = match.end()

    def _next(self) -> str:
        before = self.token
        self.kind, self.token = next(self.tokens, ("", ""))
        return before

    def statement(self) -> Node:
        left = self._sum()
        while self.token == "=":
            self._next()
            left = Equal(left, self._sum())
        return left

    def _sum(self) -> Node:
        terms = [(self._next() if self.token in ("+", "-") else "", self._hadamard())]
        while self.token in ("+", "-"):
            terms.append((self._next(), self._hadamard()))
        return terms[0][1] if terms[0][0] == "" and len(terms) == 1 else Sum(tuple(terms))

    def _hadamard(self) -> Node:
        factors = [self._product()]
        while self.kind == "hadamard":
            self._next()
            factors.append(self._product())
        return factors[0] if len(factors) == 1 else Product(tuple(factors), "(.)")

    def _product(self) -> Node:
        factors = [self._powered()]
        while self.kind in ("derivative", "fraction", "sum", "symbol", "number") or self.token in ("(", "["):
            factors.append(self._powered())
        return factors[0] if len(factors) == 1 else Product(tuple(factors))

    def _powered(self) -> Node:
        base = self._factor()
        while self.kind == "power":
            base = Power(base, self._next()[1:])
        return base

    def _factor(self) -> Node:
        kind, token = self.kind, self._next()
        if kind in ("fraction", "number"):
            return Number(token)
        if kind == "sum":
            return SumOver(token[-1], self._product())
        if token == "sigma" and self.token == "(":
            self._next()
            return Activated(self._closed())
        if kind in ("derivative", "symbol"):
            return Symbol(token)
        if token == "(":
            return Group(self._closed())
        if token == "[":
            return self._matrix()
        where = f"{token!r} where a factor should stand" if token else "an end where a factor should stand"
        raise NotationError(f"{self.text!r} has {where}")

    def _closed(self) -> Node:
        inside = self._sum()
        if self._next() != ")":
            raise NotationError(f"{self.text!r} has no closing )")
        return inside

    def _matrix(self) -> Node:
        rows: list[list[Node]] = [[]]
        while True:
            rows[-1].append(self._sum())
            sign = self._next()
            if sign == "]":
                return Matrix(tuple(map(tuple, rows)))
            if sign == ";":
                rows.append([])
            elif sign != ",":
                raise NotationError(f"{self.text!r} has no closing ]")
