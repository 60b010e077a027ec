"""The note's notation, set as mathematics: MathML, which browsers draw by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from handnet.notation import (
    Activated,
    Equal,
    Group,
    Matrix,
    Node,
    Number,
    Power,
    Product,
    Sum,
    SumOver,
    Symbol,
    parse,
)

GREEK = {"sigma": "&#x3C3;", "delta": "&#x3B4;", "gamma": "&#x3B3;"}
SIGNS = {"-": "<mo>&#x2212;</mo>", "+": "<mo>+</mo>", "(.)": "<mo>&#x2299;</mo>", "": ""}


def mathml(text: str) -> str:
    """Return the text as a <math> element.

    Raises
    ------
    NotationError
        If there is anything in it that the notation does not have.

    Examples
    --------
    >>> mathml("c")
    '<math><mrow><mi>c</mi></mrow></math>'
    >>> mathml("T_0")
    '<math><mrow><msub><mi>T</mi><mn>0</mn></msub></mrow></math>'
    """
    return f"<math><mrow>{_set(parse(text))}</mrow></math>"


def _set(node: Node) -> str:
    match node:
        case Number(text):
            above, line, below = text.partition("/")
            return f"<mfrac><mn>{above}</mn><mn>{below}</mn></mfrac>" if line else f"<mn>{text}</mn>"
        case Symbol(text):
            above, line, below = text.partition("/")
            return f"<mfrac>{_differential(above)}{_differential(below)}</mfrac>" if line else _symbol(text)
        case Group(inside):
            return _parenthesized(inside)
        case Activated(inside):
            return _symbol("sigma") + _parenthesized(inside)
        case Power(base, exponent):
            return f"<msup>{_set(base)}{_plain(exponent)}</msup>"
        case Matrix(rows):
            # The page draws its brackets.
            return f"<mtable>{''.join(map(_row, rows))}</mtable>"
        case SumOver(index, body):
            return f"<munder><mo>&#x2211;</mo><mi>{index}</mi></munder>{_set(body)}"
        case Sum(terms):
            return "".join(SIGNS[sign] + _set(term) for sign, term in terms)
        case Product(factors, sign):
            return SIGNS[sign].join(map(_set, factors))
        case Equal(left, right):
            return f"{_set(left)}<mo>=</mo>{_set(right)}"


def _parenthesized(inside: Node) -> str:
    return f"<mrow><mo>(</mo><mrow>{_set(inside)}</mrow><mo>)</mo></mrow>"


def _row(entries: Iterable[Node]) -> str:
    return f"<mtr>{''.join(f'<mtd><mrow>{_set(entry)}</mrow></mtd>' for entry in entries)}</mtr>"


def _differential(text: str) -> str:
    return f"<mrow><mi>d</mi>{_symbol(text[1:])}</mrow>"


def _symbol(text: str) -> str:
    name, _, superscript = text.partition("^")
    letter, _, subscript = name.partition("_")
    base = f"<mi>{GREEK.get(letter, escape(letter))}</mi>"
    if superscript.startswith("("):
        upper = f"<mrow><mo stretchy='false'>(</mo>{_plain(superscript[1:-1])}<mo stretchy='false'>)</mo></mrow>"
    else:
        upper = _plain(superscript)
    if subscript and superscript:
        return f"<msubsup>{base}{_plain(subscript)}{upper}</msubsup>"
    if subscript:
        return f"<msub>{base}{_plain(subscript)}</msub>"
    return f"<msup>{base}{upper}</msup>" if superscript else base


def _plain(text: str) -> str:
    return f"<mn>{text}</mn>" if text.isdigit() else f"<mi>{escape(text)}</mi>"
