"""The note's own 2-2-2 network: each displayed equation once, as printed, and evaluated from that very text.

Where a print is wrong, the corrected form stands beside it. A matrix keeps the shape it is printed with, and shapes
that do not fit are an error, never broadcast away. `notation.py` says how the note is written in plain text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handnet.activations import FloatArray, sigmoid
from handnet.notation import (
    Activated,
    Equal,
    Group,
    Matrix,
    Node,
    NotationError,
    Number,
    Power,
    Product,
    Sum,
    SumOver,
    Symbol,
    parse,
    symbols,
)


class ShapeError(ValueError):
    """Two matrices whose shapes do not fit the operation between them."""


@dataclass(frozen=True)
class Equation:
    """One displayed equation of the note, or one member of a chain of them.

    Attributes
    ----------
    name : str
        Where it stands in the note.
    quantity : str
        The left-hand side, by which its true value is looked up.
    printed : str
        The right-hand side as the note prints it.
    corrected : str
        The right form, where the printed one is wrong; else empty.
    remark : str
        What is wrong with the print.
    """

    name: str
    quantity: str
    printed: str
    corrected: str = ""
    remark: str = ""


# In the order of the note.
EQUATIONS = (
    # Equations (1) to (4), and the same in matrix notation.
    Equation("(1)", "a_0^(1)", "sigma(w_00^(1) a_0^(0) + w_01^(1) a_1^(0) + w_02^(1))"),
    Equation("(2)", "a_1^(1)", "sigma(w_10^(1) a_0^(0) + w_11^(1) a_1^(0) + w_12^(1))"),
    Equation("(3)", "a_0^(2)", "sigma(w_00^(2) a_0^(1) + w_01^(2) a_1^(1) + w_02^(2))"),
    Equation("(4)", "a_1^(2)", "sigma(w_10^(2) a_0^(1) + w_11^(2) a_1^(1) + w_12^(2))"),
    Equation("matrix notation (1)", "a^(1)", "[a_0^(1); a_1^(1)]"),
    Equation(
        "matrix notation (1), of sums",
        "a^(1)",
        "sigma([w_00^(1) a_0^(0) + w_01^(1) a_1^(0) + w_02^(1); w_10^(1) a_0^(0) + w_11^(1) a_1^(0) + w_12^(1)])",
    ),
    Equation(
        "matrix notation (1), as a product",
        "a^(1)",
        "sigma([a_0^(0), a_1^(0), 1] [w_00^(1), w_10^(1); w_01^(1), w_11^(1); w_02^(1), w_12^(1)])",
        "(sigma([a_0^(0), a_1^(0), 1] [w_00^(1), w_10^(1); w_01^(1), w_11^(1); w_02^(1), w_12^(1)]))^T",
        "a row of activations is set equal to a column",
    ),
    Equation(
        "matrix notation (1), in short",
        "a^(1)",
        "sigma(A^(0) W^(1))",
        "(sigma(A^(0) W^(1)))^T",
        "a row of activations is set equal to a column",
    ),
    Equation(
        "matrix notation (2)",
        "a^(2)",
        "sigma(A^(1) W^(2))",
        "(sigma(A^(1) W^(2)))^T",
        "a row of activations is set equal to a column",
    ),
    Equation("with the bias, layer 1", "A^(1)", "[a_0^(1), a_1^(1), 1]"),
    # The cost, equation (5), and equation (6), the same cost by way of both layers.
    Equation("cost function", "C", "1/2 (a_0^(2) - T_0)^2 + 1/2 (a_1^(2) - T_1)^2"),
    Equation(
        "(5)",
        "C",
        "1/2 (sigma(w_00^(2) a_0^(1) + w_01^(2) a_1^(1) + w_02^(2)) - T_0)^2"
        " + 1/2 (sigma(w_10^(2) a_0^(1) + w_11^(2) a_1^(1) + w_12^(2)) - T_1)^2",
    ),
    Equation(
        "(6)",
        "C",
        "1/2 (sigma(w_00^(2) sigma(w_00^(1) a_0^(0) + w_01^(1) a_1^(0) + w_02^(1))"
        " + w_01^(2) sigma(w_10^(1) a_0^(0) + w_11^(1) a_1^(0) + w_12^(1)) + w_02^(2)) - T_0)^2"
        " + 1/2 (sigma(w_10^(2) sigma(w_00^(1) a_0^(0) + w_01^(1) a_1^(0) + w_02^(1))"
        " + w_11^(2) sigma(w_10^(1) a_0^(0) + w_11^(1) a_1^(0) + w_12^(1)) + w_12^(2)) - T_1)^2",
    ),
    # The chain rule for dC/dw_00^(2): f, g and h, their derivatives, and their product.
    Equation("chain rule, f", "C - 1/2 (a_1^(2) - T_1)^2", "1/2 (sigma(h) - T_0)^2"),
    Equation("chain rule, df/dsigma", "dC/da_0^(2)", "(sigma(h) - T_0)"),
    Equation("chain rule, g", "a_0^(2)", "sigma(h)"),
    Equation("chain rule, dsigma/dh", "da_0^(2)/dh", "sigma(h) (1 - sigma(h))"),
    Equation("chain rule, h", "h", "w_00^(2) a_0^(1) + w_01^(2) a_1^(1) + w_02^(2)"),
    Equation("chain rule, dh/dw_00", "dh/dw_00^(2)", "a_0^(1)"),
    Equation("by (3), df/dsigma", "dC/da_0^(2)", "(a_0^(2) - T_0)"),
    Equation("by (3), dsigma/dh", "da_0^(2)/dh", "a_0^(2) (1 - a_0^(2))"),
    Equation("chain rule, as a product", "dC/dw_00^(2)", "df/dsigma dsigma/dh dh/dw_00^(2)"),
    Equation("dC/dw_00^(2)", "dC/dw_00^(2)", "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) a_0^(1)"),
    # The change matrix of layer (2), its deltas, and the update.
    Equation(
        "change matrix (2), written out",
        "dC/dW^(2)",
        "[(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) a_0^(1)"
        ", (a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) a_1^(1), (a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) 1;"
        " (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) a_0^(1)"
        ", (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) a_1^(1), (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) 1]",
    ),
    Equation("delta_0^(2)", "delta_0^(2)", "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2))"),
    Equation("delta_1^(2)", "delta_1^(2)", "(a_1^(2) - T_1) a_1^(2) (1 - a_1^(2))"),
    Equation(
        "change matrix (2), by delta",
        "dC/dW^(2)",
        "[delta_0^(2) a_0^(1), delta_0^(2) a_1^(1), delta_0^(2) 1;"
        " delta_1^(2) a_0^(1), delta_1^(2) a_1^(1), delta_1^(2) 1]",
    ),
    Equation("change matrix (2), as a product", "dC/dW^(2)", "delta^(2) A^(1)"),
    Equation("delta^(2) as a column", "delta^(2)", "[delta_0^(2); delta_1^(2)]"),
    Equation("A^(1) under dC/dW^(2)", "A^(1)", "[a_0^(1), a_1^(1), 1]"),
    Equation(
        "update (2)",
        "W^(2) after the step",
        "W^(2) - gamma dC/dW^(2)",
        "W^(2) - gamma (dC/dW^(2))^T",
        "W^(2) is (3, 2) as the forward pass has it, the change matrix (2, 3)",
    ),
    # The six dC/dw^(1), written out.
    Equation(
        "dC/dw_00^(1)",
        "dC/dw_00^(1)",
        "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_00^(2) a_0^(1) (1 - a_0^(1)) a_0^(0)"
        " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_10^(2) a_0^(1) (1 - a_0^(1)) a_0^(0)",
    ),
    Equation(
        "dC/dw_01^(1)",
        "dC/dw_01^(1)",
        "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_00^(2) a_0^(1) (1 - a_0^(1)) a_1^(0)"
        " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_10^(2) a_0^(1) (1 - a_0^(1)) a_1^(0)",
    ),
    Equation(
        "dC/dw_02^(1)",
        "dC/dw_02^(1)",
        "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_00^(2) a_0^(1) (1 - a_0^(1)) 1"
        " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_10^(2) a_0^(1) (1 - a_0^(1)) 1",
    ),
    Equation(
        "dC/dw_10^(1)",
        "dC/dw_10^(1)",
        "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_01^(2) a_1^(1) (1 - a_1^(1)) a_0^(0)"
        " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_11^(2) a_1^(1) (1 - a_1^(1)) a_0^(0)",
    ),
    Equation(
        "dC/dw_11^(1)",
        "dC/dw_11^(1)",
        "(a_0^(2) - T_0) a_1^(2) (1 - a_1^(2)) w_01^(2) a_0^(1) (1 - a_1^(1)) a_1^(0)"
        " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_11^(2) a_1^(1) (1 - a_1^(1)) a_1^(0)",
        "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_01^(2) a_1^(1) (1 - a_1^(1)) a_1^(0)"
        " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_11^(2) a_1^(1) (1 - a_1^(1)) a_1^(0)",
        "the first term has a_1^(2)(1 - a_1^(2)) for a_0^(2)(1 - a_0^(2)), and a_0^(1) for a_1^(1)",
    ),
    Equation(
        "dC/dw_12^(1)",
        "dC/dw_12^(1)",
        "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_01^(2) a_1^(1) (1 - a_1^(1)) 1"
        " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_11^(2) a_1^(1) (1 - a_1^(1)) 1",
    ),
    # delta_0^(1), delta_1^(1), and the change matrix of layer (1).
    Equation(
        "dC/dw_00^(1), by delta^(2)",
        "dC/dw_00^(1)",
        "delta_0^(2) w_00^(2) a_0^(1) (1 - a_0^(1)) a_0^(0) + delta_1^(2) w_10^(2) a_0^(1) (1 - a_0^(1)) a_0^(0)",
    ),
    Equation("delta_0^(1)", "delta_0^(1)", "a_0^(1) (1 - a_0^(1)) sum_i delta_i^(2) w_i0^(2)"),
    Equation("dC/dw_00^(1), by delta^(1)", "dC/dw_00^(1)", "delta_0^(1) a_0^(0)"),
    Equation("delta_1^(1)", "delta_1^(1)", "a_1^(1) (1 - a_1^(1)) sum_i delta_i^(2) w_i1^(2)"),
    Equation(
        "change matrix (1), by delta",
        "dC/dW^(1)",
        "[delta_0^(1) a_0^(0), delta_0^(1) a_1^(0), delta_0^(1) 1;"
        " delta_1^(1) a_0^(0), delta_1^(1) a_1^(0), delta_1^(1) 1]",
    ),
    Equation("change matrix (1), as a product", "dC/dW^(1)", "delta^(1) A^(0)"),
    Equation("delta^(1) as a column", "delta^(1)", "[delta_0^(1); delta_1^(1)]"),
    Equation(
        "A^(0) under dC/dW^(1)",
        "A^(0)",
        "[a_0^(0), a_1^(0)]",
        "[a_0^(0), a_1^(0), 1]",
        "the trailing 1 for the bias is missing",
    ),
    # The matrices c, w, D^(2) and D^(1), and both deltas by way of them.
    Equation(
        "c",
        "c",
        "[a_0^(2) - T^0; a_1^(2) - T^1]",
        "[a_0^(2) - T_0; a_1^(2) - T_1]",
        "T^0 and T^1 are T_0 and T_1 everywhere else",
    ),
    Equation(
        "w",
        "w^(2)",
        "w_2 = [w_00^(2), w_01^(2); w_10^(2), w_11^(2)]",
        "w^(2) = [w_00^(2), w_01^(2); w_10^(2), w_11^(2)]",
        "w_2 is w^(2) everywhere else",
    ),
    Equation("D^(2)", "D^(2)", "[a_0^(2) (1 - a_0^(2)), 0; 0, a_1^(2) (1 - a_1^(2))]"),
    Equation("D^(1)", "D^(1)", "[a_0^(1) (1 - a_0^(1)), 0; 0, a_1^(1) (1 - a_1^(1))]"),
    Equation("delta^(2) by D^(2)", "delta^(2)", "D^(2) c"),
    Equation(
        "delta^(2) by D^(2), written out",
        "delta^(2)",
        "[(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)); (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2))]",
    ),
    Equation(
        "delta^(1) by D^(1)",
        "delta^(1)",
        "D^(1) w^(2) delta^(2)",
        "D^(1) (w^(2))^T delta^(2)",
        "w^(2) is not transposed; the note's own expanded product has the transpose",
    ),
    Equation(
        "delta^(1) by D^(1), in entries",
        "delta^(1)",
        "[a_0^(1) (1 - a_0^(1)), 0; 0, a_1^(1) (1 - a_1^(1))] [w_00^(2), w_01^(2);"
        " w_10^(2), w_11^(2)] [delta_0^(2); delta_1^(2)]",
        "[a_0^(1) (1 - a_0^(1)), 0; 0, a_1^(1) (1 - a_1^(1))] [w_00^(2), w_10^(2);"
        " w_01^(2), w_11^(2)] [delta_0^(2); delta_1^(2)]",
        "w^(2) is not transposed; the note's own expanded product has the transpose",
    ),
    Equation(
        "delta^(1) by D^(1), multiplied",
        "delta^(1)",
        "[w_00^(2) a_0^(1) (1 - a_0^(1)), w_10^(2) a_0^(1) (1 - a_0^(1));"
        " w_01^(2) a_1^(1) (1 - a_1^(1)), w_11^(2) a_1^(1) (1 - a_1^(1))] [delta_0^(2); delta_1^(2)]",
    ),
    Equation(
        "delta^(1) by D^(1), written out",
        "delta^(1)",
        "[delta_0^(2) w_00^(2) a_0^(1) (1 - a_0^(1)) + delta_1^(2) w_10^(2) a_0^(1) (1 - a_0^(1));"
        " delta_0^(2) w_01^(2) a_1^(1) (1 - a_1^(1)) + delta_1^(2) w_11^(2) a_1^(1) (1 - a_1^(1))]",
    ),
    # The summary: both change matrices.
    Equation("summary (1)", "dC/dW^(1)", "delta^(1) A^(0)"),
    Equation(
        "summary (1), by D^(1)",
        "dC/dW^(1)",
        "D^(1) w^(2) delta^(2) A^(0)",
        "D^(1) (w^(2))^T delta^(2) A^(0)",
        "w^(2) is not transposed",
    ),
    Equation("summary (2)", "dC/dW^(2)", "delta^(2) A^(1)"),
    # delta^(2) once more: with the diagonal matrix, and without it.
    Equation(
        "instead of",
        "delta^(2)",
        "[a_0^(2) (1 - a_0^(2)), 0; 0, a_1^(2) (1 - a_1^(2))] [a_0^(2) - T_0; a_1^(2) - T_1]",
    ),
    Equation(
        "Hadamard form",
        "delta^(2)",
        "[a_0^(2) (1 - a_0^(2)); a_1^(2) (1 - a_1^(2))] (.) [a_0^(2) - T_0; a_1^(2) - T_1]",
    ),
)

# Which equation of the note, by name, says what a symbol stands for; where it is misprinted, its corrected form does.
DEFINED_BY = {
    **{f"a_{i}^({l})": f"({2 * l - 1 + i})" for l in (1, 2) for i in (0, 1)},
    **{f"delta_{i}^({l})": f"delta_{i}^({l})" for l in (1, 2) for i in (0, 1)},
    **{f"delta^({l})": f"delta^({l}) as a column" for l in (1, 2)},
    **{f"D^({l})": f"D^({l})" for l in (1, 2)},
    "A^(0)": "A^(0) under dC/dW^(1)",
    "A^(1)": "A^(1) under dC/dW^(2)",
    "dC/dW^(2)": "change matrix (2), as a product",
    "c": "c",
    "w^(2)": "w",
    "h": "chain rule, h",
    "df/dsigma": "chain rule, df/dsigma",
    "dsigma/dh": "chain rule, dsigma/dh",
    "dh/dw_00^(2)": "chain rule, dh/dw_00",
}
# Symbols that the note never defines, and what they are meant to be.
MEANT = {"T^0": "T_0", "T^1": "T_1", "w_2": "w^(2)"}


def undefined(text: str) -> list[str]:
    """Return the symbols of a form that the note never defines.

    Examples
    --------
    >>> undefined("[a_0^(2) - T^0; a_1^(2) - T^1]")
    ['T^0', 'T^1']
    """
    return [symbol for symbol in symbols(parse(text)) if symbol in MEANT]


class Note:
    """The numbers of the note's network, and what its equations make of them.

    Parameters
    ----------
    inputs : a_0^(0), a_1^(0)
    w1, w2 : two rows of three: w_00 w_01 w_02 and w_10 w_11 w_12 of layers (1) and (2)
    targets : T_0, T_1
    gamma : the learning rate
        Each number is a float or an array of points, all of one shape (...), so that one evaluation covers many
        networks.

    Examples
    --------
    >>> note = Note([0.05, 0.10], [[0.15, 0.20, 0.35], [0.25, 0.30, 0.35]],
    ...             [[0.40, 0.45, 0.60], [0.50, 0.55, 0.60]], [0.01, 0.99])
    >>> for equation in EQUATIONS:
    ...     if equation.name in ("(1)", "(5)"):
    ...         print(equation.quantity, note.evaluate(equation.printed).round(9))
    a_0^(1) 0.593269992
    C 0.298371109
    """

    def __init__(
        self,
        inputs: Sequence[Any],
        w1: Sequence[Sequence[Any]],
        w2: Sequence[Sequence[Any]],
        targets: Sequence[Any],
        gamma: float = 0.5,
    ) -> None:
        self.axes = np.ndim(inputs[0])
        self._values: dict[str, FloatArray] = {"gamma": np.asarray(gamma)}
        for i in range(2):
            self._values[f"a_{i}^(0)"], self._values[f"T_{i}"] = np.asarray(inputs[i]), np.asarray(targets[i])
            for l, w in ((1, w1), (2, w2)):
                self._values |= {f"w_{i}{j}^({l})": np.asarray(w[i][j]) for j in range(3)}
        # W^(l) is printed as a matrix where it is first used, (1) in matrix notation.
        for l in (1, 2):
            rows = "; ".join(f"w_0{j}^({l}), w_1{j}^({l})" for j in range(3))
            self._values[f"W^({l})"] = self.evaluate(f"[{rows}]")

    def evaluate(self, text: str) -> FloatArray:
        """Return the value of a form: a scalar (...), or a matrix (..., rows, columns).

        Raises
        ------
        ShapeError
            If its matrices do not fit.
        NotationError
            If it cannot be read, or has a symbol that the note does not know.
        """
        return self._value(parse(text), {})

    def symbol(self, text: str) -> FloatArray:
        """Return what a symbol stands for: a given number, or what the equation that defines it comes to.

        Raises
        ------
        NotationError
            If the note does not know it.
        """
        text = MEANT.get(text, text)
        if text not in self._values:
            if text not in DEFINED_BY:
                raise NotationError(f"{text!r} is no symbol of the note")
            definition = next(e for e in EQUATIONS if e.name == DEFINED_BY[text])
            self._values[text] = self.evaluate(definition.corrected or definition.printed)
        return self._values[text]

    def _value(self, node: Node, indices: dict[str, str]) -> FloatArray:
        match node:
            case Number(text):
                above, _, below = text.partition("/")
                return np.asarray(float(above) / float(below or 1))
            case Symbol(text):
                return self.symbol(_indexed(text, indices))
            case Group(inside) | Equal(_, inside):
                return self._value(inside, indices)
            case Activated(inside):
                return sigmoid(self._value(inside, indices))
            case Power(base, "T"):
                return np.swapaxes(self._value(base, indices), -1, -2)
            case Power(base, exponent):
                return self._value(base, indices) ** int(exponent)
            case Matrix(rows):
                return matrix(*([self._value(entry, indices) for entry in row] for row in rows))
            case SumOver(index, body):
                return self._value(body, {**indices, index: "0"}) + self._value(body, {**indices, index: "1"})
            case Sum(terms):
                return self._sum([(sign, self._value(term, indices)) for sign, term in terms])
            case Product(factors, sign):
                multiply = self._hadamard if sign else self._product
                first, *others = (self._value(factor, indices) for factor in factors)
                for factor in others:
                    first = multiply(first, factor)
                return first

    def _sum(self, terms: Sequence[tuple[str, FloatArray]]) -> FloatArray:
        total = -terms[0][1] if terms[0][0] == "-" else terms[0][1]
        for sign, term in terms[1:]:
            self._same_shape("minus" if sign == "-" else "plus", total, term)
            total = total - term if sign == "-" else total + term
        return total

    def _product(self, left: FloatArray, right: FloatArray) -> FloatArray:
        if not self._is_matrix(left) or not self._is_matrix(right):
            left, right = (self._beside(one, other) for one, other in ((left, right), (right, left)))
            return left * right
        if left.shape[-1] != right.shape[-2]:
            raise ShapeError(f"{self._shape(left)} times {self._shape(right)} does not fit")
        return left @ right

    def _hadamard(self, left: FloatArray, right: FloatArray) -> FloatArray:
        self._same_shape("(.)", left, right)
        return left * right

    def _shape(self, value: FloatArray) -> str:
        return f"({value.shape[-2]}, {value.shape[-1]})" if self._is_matrix(value) else "a number"

    def _is_matrix(self, value: FloatArray) -> bool:
        return value.ndim == self.axes + 2

    def _beside(self, value: FloatArray, other: FloatArray) -> FloatArray:
        """A scalar with the axes that it needs beside a matrix."""
        return value[..., None, None] if self._is_matrix(other) and value.ndim == self.axes else value

    def _same_shape(self, operation: str, left: FloatArray, right: FloatArray) -> None:
        if (self._is_matrix(left) or self._is_matrix(right)) and left.shape[self.axes :] != right.shape[self.axes :]:
            raise ShapeError(f"{self._shape(left)} {operation} {self._shape(right)} does not fit")


def matrix(*rows: Sequence[Any]) -> FloatArray:
    """Return the matrix with these rows, (..., rows, columns), from scalars that may be arrays of points (...).

    Examples
    --------
    >>> matrix([0.5, 1], [0.25, 1]).shape
    (2, 2)
    """
    scalars = np.broadcast_arrays(*(np.asarray(entry, dtype=np.float64) for row in rows for entry in row))
    return np.stack(scalars, axis=-1).reshape(*scalars[0].shape, len(rows), len(rows[0]))


def _indexed(text: str, indices: dict[str, str]) -> str:
    """The symbol with the letters of its index replaced: w_i0^(2) is w_10^(2) where i is 1."""
    letter, line, rest = text.partition("_")
    index, hat, layer = rest.partition("^")
    return letter + line + "".join(indices.get(sign, sign) for sign in index) + hat + layer
