"""The note's notation, as it is written in plain text, set as mathematics: MathML, which browsers draw by themselves.

`w_01^(2)` is a weight with its indices and layer, `[a, b; c, d]` a matrix, `(w^(2))^T` a transpose, `(.)` the Hadamard
product, `1/2` a fraction, `dC/dw_00^(2)` a derivative; factors stand side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

SYMBOL = r"[A-Za-z]+(?:_\w+)?(?:\^\(\w\)|\^\d)?"
TOKEN = re.compile(
    rf"(?P<derivative>d{SYMBOL}/d{SYMBOL})|(?P<fraction>\d+/\d+)|(?P<hadamard>\(\.\))|(?P<sum>sum_\w)"
    rf"|(?P<symbol>{SYMBOL})|(?P<number>\d+(?:\.\d+)?)|(?P<power>\^\w)|(?P<sign>[-+=()\[\],;])|(?P<space>\s+)"
)
GREEK = {"sigma": "&#x3C3;", "delta": "&#x3B4;", "gamma": "&#x3B3;"}


class NotationError(ValueError):
    """The text is not in the note's notation."""


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
    parser = _Parser(text)
    row = parser.row(())
    if parser.kind:
        raise NotationError(f"{text!r} has {parser.token!r} where it should end")
    return f"<math>{row}</math>"


class _Parser:
    """Reads one token after the other."""

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

    def row(self, until: tuple[str, ...]) -> str:
        """Everything up to one of these signs."""
        parts = []
        while self.kind and self.token not in until:
            parts.append(self._powered())
        return f"<mrow>{''.join(parts)}</mrow>"

    def _powered(self) -> str:
        base = self._factor()
        while self.kind == "power":
            power = self._next()[1:]
            base = f"<msup>{base}{_plain(power)}</msup>"
        return base

    def _factor(self) -> str:
        kind, token = self.kind, self._next()
        if token == "(":
            inside = self.row((")",))
            self._expect(")")
            return f"<mrow><mo>(</mo>{inside}<mo>)</mo></mrow>"
        if token == "[":
            return self._matrix()
        if kind == "derivative":
            above, below = (_differential(part) for part in token.split("/"))
            return f"<mfrac>{above}{below}</mfrac>"
        if kind == "fraction":
            above, below = token.split("/")
            return f"<mfrac><mn>{above}</mn><mn>{below}</mn></mfrac>"
        if kind == "hadamard":
            return "<mo>&#x2299;</mo>"
        if kind == "sum":
            return f"<munder><mo>&#x2211;</mo><mi>{token[-1]}</mi></munder>"
        if kind == "symbol":
            return _symbol(token)
        if kind == "sign" and token in "+-=":
            return f"<mo>{'&#x2212;' if token == '-' else token}</mo>"
        if kind == "number":
            return f"<mn>{token}</mn>"
        raise NotationError(f"{self.text!r} has {token!r} where a factor should stand")

    def _matrix(self) -> str:
        rows: list[list[str]] = [[]]
        while True:
            rows[-1].append(self.row((",", ";", "]")))
            sign = self._next()
            if sign == "]":
                break
            if not sign:
                raise NotationError(f"{self.text!r} has no closing ]")
            if sign == ";":
                rows.append([])
        cells = ("".join(f"<mtd>{cell}</mtd>" for cell in row) for row in rows)
        table = "".join(f"<mtr>{row}</mtr>" for row in cells)
        return f"<mtable>{table}</mtable>"  # the page draws its brackets

    def _expect(self, sign: str) -> None:
        if self._next() != sign:
            raise NotationError(f"{self.text!r} has no closing {sign}")


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
