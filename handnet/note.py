"""The note's own 2-2-2 network, written out scalar by scalar: each displayed equation as printed.

Where a print is wrong, the corrected form stands beside it. What is printed is what is evaluated: a matrix
keeps the shape it is printed with, and shapes that do not fit are an error, never broadcast away.

Names are the note's: `a1_0` is a_0^(1), `w2_01` is w_01^(2), `T_0` is T_0; a matrix is a capital. Every
scalar may be an array of points, so that one evaluation covers many networks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handnet.activations import FloatArray, sigmoid


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
    as_printed : callable
        Evaluates the printed form; raises ShapeError where its matrices do not fit.
    corrected, as_corrected : str and callable, or None
        The right form, where the printed one is wrong.
    remark : str
        What is wrong with the print.
    """

    name: str
    quantity: str
    printed: str
    as_printed: Callable[[], FloatArray]
    corrected: str | None = None
    as_corrected: Callable[[], FloatArray] | None = None
    remark: str = ""


def matrix(*rows: Sequence[Any]) -> FloatArray:
    """Return the matrix with these rows, (..., rows, columns), from scalars that may be arrays of points (...).

    Examples
    --------
    >>> matrix([0.5, 1], [0.25, 1]).shape
    (2, 2)
    """
    scalars = np.broadcast_arrays(*(np.asarray(entry, dtype=np.float64) for row in rows for entry in row))
    return np.stack(scalars, axis=-1).reshape(*scalars[0].shape, len(rows), len(rows[0]))


def product(*factors: FloatArray) -> FloatArray:
    """Return the matrix product of the factors, from left to right; their inner sizes must agree."""
    result = factors[0]
    for factor in factors[1:]:
        if result.shape[-1] != factor.shape[-2]:
            raise ShapeError(f"{_shape(result)} times {_shape(factor)} does not fit")
        result = result @ factor
    return result


def difference(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return left - right for two matrices of the same shape."""
    _same_shape("minus", left, right)
    return left - right


def hadamard(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the Hadamard product, entry by entry, of two matrices of the same shape."""
    _same_shape("(.)", left, right)
    return left * right


def transposed(m: FloatArray) -> FloatArray:
    """Return the transpose of a matrix."""
    return np.swapaxes(m, -1, -2)


def _same_shape(operation: str, left: FloatArray, right: FloatArray) -> None:
    if left.shape[-2:] != right.shape[-2:]:
        raise ShapeError(f"{_shape(left)} {operation} {_shape(right)} does not fit")


def _shape(m: FloatArray) -> str:
    return f"({m.shape[-2]}, {m.shape[-1]})"


class Note:
    """The numbers of the note's network: what is given, and what its equations make of it.

    Parameters
    ----------
    inputs : a_0^(0), a_1^(0)
    w1, w2 : two rows of three: w_00 w_01 w_02 and w_10 w_11 w_12 of layers (1) and (2)
    targets : T_0, T_1
    gamma : the learning rate
        Each number is a float or an array of points, all of one shape.

    Examples
    --------
    >>> note = Note([0.05, 0.10], [[0.15, 0.20, 0.35], [0.25, 0.30, 0.35]],
    ...             [[0.40, 0.45, 0.60], [0.50, 0.55, 0.60]], [0.01, 0.99])
    >>> for equation in note.equations():
    ...     if equation.name in ("(1)", "(5)"):
    ...         print(equation.quantity, equation.as_printed().round(9))
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
        self.inputs, self.w1, self.w2, self.targets, self.gamma = inputs, w1, w2, targets, gamma
        a0_0, a0_1 = inputs
        (w1_00, w1_01, w1_02), (w1_10, w1_11, w1_12) = w1
        (w2_00, w2_01, w2_02), (w2_10, w2_11, w2_12) = w2
        T_0, T_1 = targets

        # What later equations build on, so that a misprint in one of them does not spoil the next.
        a1_0 = sigmoid(np.asarray(w1_00 * a0_0 + w1_01 * a0_1 + w1_02))
        a1_1 = sigmoid(np.asarray(w1_10 * a0_0 + w1_11 * a0_1 + w1_12))
        a2_0 = sigmoid(np.asarray(w2_00 * a1_0 + w2_01 * a1_1 + w2_02))
        a2_1 = sigmoid(np.asarray(w2_10 * a1_0 + w2_11 * a1_1 + w2_12))
        self.a1, self.a2 = (a1_0, a1_1), (a2_0, a2_1)
        d2_0 = (a2_0 - T_0) * a2_0 * (1 - a2_0)
        d2_1 = (a2_1 - T_1) * a2_1 * (1 - a2_1)
        d1_0 = a1_0 * (1 - a1_0) * (d2_0 * w2_00 + d2_1 * w2_10)
        d1_1 = a1_1 * (1 - a1_1) * (d2_0 * w2_01 + d2_1 * w2_11)
        self.d1, self.d2 = (d1_0, d1_1), (d2_0, d2_1)

    def equations(self) -> tuple[Equation, ...]:
        """Return every displayed equation, in the order of the note."""
        return (
            *self.forward_pass(),
            *self.cost_function(),
            *self.first_derivative(),
            *self.change_of_layer_2(),
            *self.change_of_layer_1(),
            *self.deltas_of_layer_1(),
            *self.matrices(),
            *self.summary(),
            *self.hadamard_form(),
        )

    def forward_pass(self) -> Iterator[Equation]:
        """Equations (1) to (4), and the same in matrix notation."""
        a0_0, a0_1 = self.inputs
        a1_0, a1_1 = self.a1
        (w1_00, w1_01, w1_02), (w1_10, w1_11, w1_12) = self.w1
        (w2_00, w2_01, w2_02), (w2_10, w2_11, w2_12) = self.w2

        yield Equation(
            "(1)",
            "a_0^(1)",
            "sigma(w_00^(1) a_0^(0) + w_01^(1) a_1^(0) + w_02^(1))",
            lambda: sigmoid(w1_00 * a0_0 + w1_01 * a0_1 + w1_02),
        )
        yield Equation(
            "(2)",
            "a_1^(1)",
            "sigma(w_10^(1) a_0^(0) + w_11^(1) a_1^(0) + w_12^(1))",
            lambda: sigmoid(w1_10 * a0_0 + w1_11 * a0_1 + w1_12),
        )
        yield Equation(
            "(3)",
            "a_0^(2)",
            "sigma(w_00^(2) a_0^(1) + w_01^(2) a_1^(1) + w_02^(2))",
            lambda: sigmoid(w2_00 * a1_0 + w2_01 * a1_1 + w2_02),
        )
        yield Equation(
            "(4)",
            "a_1^(2)",
            "sigma(w_10^(2) a_0^(1) + w_11^(2) a_1^(1) + w_12^(2))",
            lambda: sigmoid(w2_10 * a1_0 + w2_11 * a1_1 + w2_12),
        )

        A0 = matrix([a0_0, a0_1, 1])
        W1 = matrix([w1_00, w1_10], [w1_01, w1_11], [w1_02, w1_12])
        A1 = matrix([a1_0, a1_1, 1])
        W2 = matrix([w2_00, w2_10], [w2_01, w2_11], [w2_02, w2_12])
        row = "a row of activations is set equal to a column"
        yield Equation(
            "matrix notation (1)",
            "a^(1)",
            "[a_0^(1); a_1^(1)]",
            lambda: matrix([a1_0], [a1_1]),
        )
        yield Equation(
            "matrix notation (1), of sums",
            "a^(1)",
            "sigma([w_00^(1) a_0^(0) + w_01^(1) a_1^(0) + w_02^(1); w_10^(1) a_0^(0) + w_11^(1) a_1^(0) + w_12^(1)])",
            lambda: sigmoid(matrix([w1_00 * a0_0 + w1_01 * a0_1 + w1_02], [w1_10 * a0_0 + w1_11 * a0_1 + w1_12])),
        )
        yield Equation(
            "matrix notation (1), as a product",
            "a^(1)",
            "sigma([a_0^(0), a_1^(0), 1] [w_00^(1), w_10^(1); w_01^(1), w_11^(1); w_02^(1), w_12^(1)])",
            lambda: sigmoid(product(A0, W1)),
            "(sigma([a_0^(0), a_1^(0), 1] [w_00^(1), w_10^(1); w_01^(1), w_11^(1); w_02^(1), w_12^(1)]))^T",
            lambda: transposed(sigmoid(product(A0, W1))),
            row,
        )
        yield Equation(
            "matrix notation (1), in short",
            "a^(1)",
            "sigma(A^(0) W^(1))",
            lambda: sigmoid(product(A0, W1)),
            "(sigma(A^(0) W^(1)))^T",
            lambda: transposed(sigmoid(product(A0, W1))),
            row,
        )
        yield Equation(
            "matrix notation (2)",
            "a^(2)",
            "sigma(A^(1) W^(2))",
            lambda: sigmoid(product(A1, W2)),
            "(sigma(A^(1) W^(2)))^T",
            lambda: transposed(sigmoid(product(A1, W2))),
            row,
        )
        yield Equation("with the bias, layer 1", "A^(1)", "[a_0^(1), a_1^(1), 1]", lambda: A1)

    def cost_function(self) -> Iterator[Equation]:
        """The cost, equation (5), and equation (6), the same cost by way of both layers."""
        a0_0, a0_1 = self.inputs
        a1_0, a1_1 = self.a1
        a2_0, a2_1 = self.a2
        (w1_00, w1_01, w1_02), (w1_10, w1_11, w1_12) = self.w1
        (w2_00, w2_01, w2_02), (w2_10, w2_11, w2_12) = self.w2
        T_0, T_1 = self.targets

        yield Equation(
            "cost function",
            "C",
            "1/2 (a_0^(2) - T_0)^2 + 1/2 (a_1^(2) - T_1)^2",
            lambda: 1 / 2 * (a2_0 - T_0) ** 2 + 1 / 2 * (a2_1 - T_1) ** 2,
        )
        yield Equation(
            "(5)",
            "C",
            "1/2 (sigma(w_00^(2) a_0^(1) + w_01^(2) a_1^(1) + w_02^(2)) - T_0)^2"
            " + 1/2 (sigma(w_10^(2) a_0^(1) + w_11^(2) a_1^(1) + w_12^(2)) - T_1)^2",
            lambda: (
                1 / 2 * (sigmoid(w2_00 * a1_0 + w2_01 * a1_1 + w2_02) - T_0) ** 2
                + 1 / 2 * (sigmoid(w2_10 * a1_0 + w2_11 * a1_1 + w2_12) - T_1) ** 2
            ),
        )
        yield Equation(
            "(6)",
            "C",
            "1/2 (sigma(w_00^(2) sigma(w_00^(1) a_0^(0) + w_01^(1) a_1^(0) + w_02^(1))"
            " + w_01^(2) sigma(w_10^(1) a_0^(0) + w_11^(1) a_1^(0) + w_12^(1)) + w_02^(2)) - T_0)^2"
            " + 1/2 (sigma(w_10^(2) sigma(w_00^(1) a_0^(0) + w_01^(1) a_1^(0) + w_02^(1))"
            " + w_11^(2) sigma(w_10^(1) a_0^(0) + w_11^(1) a_1^(0) + w_12^(1)) + w_12^(2)) - T_1)^2",
            lambda: (
                1 / 2 * (
                    sigmoid(
                        w2_00 * sigmoid(w1_00 * a0_0 + w1_01 * a0_1 + w1_02)
                        + w2_01 * sigmoid(w1_10 * a0_0 + w1_11 * a0_1 + w1_12)
                        + w2_02
                    )
                    - T_0
                ) ** 2
                + 1 / 2 * (
                    sigmoid(
                        w2_10 * sigmoid(w1_00 * a0_0 + w1_01 * a0_1 + w1_02)
                        + w2_11 * sigmoid(w1_10 * a0_0 + w1_11 * a0_1 + w1_12)
                        + w2_12
                    )
                    - T_1
                ) ** 2
            ),
        )  # fmt: skip

    def first_derivative(self) -> Iterator[Equation]:
        """The chain rule for dC/dw_00^(2): f, g and h, their derivatives, and their product."""
        a1_0, a1_1 = self.a1
        a2_0, _ = self.a2
        (w2_00, w2_01, w2_02), _ = self.w2
        T_0, _ = self.targets
        h = w2_00 * a1_0 + w2_01 * a1_1 + w2_02

        yield Equation(
            "chain rule, f",
            "C - 1/2 (a_1^(2) - T_1)^2",
            "1/2 (sigma(h) - T_0)^2",
            lambda: 1 / 2 * (sigmoid(h) - T_0) ** 2,
        )
        yield Equation(
            "chain rule, df/dsigma",
            "dC/da_0^(2)",
            "(sigma(h) - T_0)",
            lambda: sigmoid(h) - T_0,
        )
        yield Equation("chain rule, g", "a_0^(2)", "sigma(h)", lambda: sigmoid(h))
        yield Equation(
            "chain rule, dsigma/dh",
            "da_0^(2)/dh",
            "sigma(h) (1 - sigma(h))",
            lambda: sigmoid(h) * (1 - sigmoid(h)),
        )
        yield Equation(
            "chain rule, h",
            "h",
            "w_00^(2) a_0^(1) + w_01^(2) a_1^(1) + w_02^(2)",
            lambda: w2_00 * a1_0 + w2_01 * a1_1 + w2_02,
        )
        yield Equation("chain rule, dh/dw_00", "dh/dw_00^(2)", "a_0^(1)", lambda: a1_0)
        yield Equation("by (3), df/dsigma", "dC/da_0^(2)", "(a_0^(2) - T_0)", lambda: a2_0 - T_0)
        yield Equation("by (3), dsigma/dh", "da_0^(2)/dh", "a_0^(2) (1 - a_0^(2))", lambda: a2_0 * (1 - a2_0))
        yield Equation(
            "chain rule, as a product",
            "dC/dw_00^(2)",
            "df/dsigma dsigma/dh dh/dw_00^(2)",
            lambda: (sigmoid(h) - T_0) * (sigmoid(h) * (1 - sigmoid(h))) * a1_0,
        )
        yield Equation(
            "dC/dw_00^(2)",
            "dC/dw_00^(2)",
            "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) a_0^(1)",
            lambda: (a2_0 - T_0) * a2_0 * (1 - a2_0) * a1_0,
        )

    def change_of_layer_2(self) -> Iterator[Equation]:
        """The change matrix of layer (2), its deltas, and the update."""
        a1_0, a1_1 = self.a1
        a2_0, a2_1 = self.a2
        d2_0, d2_1 = self.d2
        (w2_00, w2_01, w2_02), (w2_10, w2_11, w2_12) = self.w2
        T_0, T_1 = self.targets
        gamma = self.gamma

        yield Equation(
            "change matrix (2), written out",
            "dC/dW^(2)",
            "[(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) a_0^(1),"
            " (a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) a_1^(1),"
            " (a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) 1;"
            " (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) a_0^(1),"
            " (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) a_1^(1),"
            " (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) 1]",
            lambda: matrix(
                [
                    (a2_0 - T_0) * a2_0 * (1 - a2_0) * a1_0,
                    (a2_0 - T_0) * a2_0 * (1 - a2_0) * a1_1,
                    (a2_0 - T_0) * a2_0 * (1 - a2_0) * 1,
                ],
                [
                    (a2_1 - T_1) * a2_1 * (1 - a2_1) * a1_0,
                    (a2_1 - T_1) * a2_1 * (1 - a2_1) * a1_1,
                    (a2_1 - T_1) * a2_1 * (1 - a2_1) * 1,
                ],
            ),
        )
        yield Equation(
            "delta_0^(2)",
            "delta_0^(2)",
            "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2))",
            lambda: (a2_0 - T_0) * a2_0 * (1 - a2_0),
        )
        yield Equation(
            "delta_1^(2)",
            "delta_1^(2)",
            "(a_1^(2) - T_1) a_1^(2) (1 - a_1^(2))",
            lambda: (a2_1 - T_1) * a2_1 * (1 - a2_1),
        )
        yield Equation(
            "change matrix (2), by delta",
            "dC/dW^(2)",
            "[delta_0^(2) a_0^(1), delta_0^(2) a_1^(1), delta_0^(2) 1;"
            " delta_1^(2) a_0^(1), delta_1^(2) a_1^(1), delta_1^(2) 1]",
            lambda: matrix([d2_0 * a1_0, d2_0 * a1_1, d2_0 * 1], [d2_1 * a1_0, d2_1 * a1_1, d2_1 * 1]),
        )
        delta2, A1 = matrix([d2_0], [d2_1]), matrix([a1_0, a1_1, 1])
        yield Equation("change matrix (2), as a product", "dC/dW^(2)", "delta^(2) A^(1)", lambda: product(delta2, A1))
        yield Equation("delta^(2) as a column", "delta^(2)", "[delta_0^(2); delta_1^(2)]", lambda: delta2)
        yield Equation("A^(1) under dC/dW^(2)", "A^(1)", "[a_0^(1), a_1^(1), 1]", lambda: A1)

        W2 = matrix([w2_00, w2_10], [w2_01, w2_11], [w2_02, w2_12])
        yield Equation(
            "update (2)",
            "W^(2) after the step",
            "W^(2) - gamma dC/dW^(2)",
            lambda: difference(W2, gamma * product(delta2, A1)),
            "W^(2) - gamma (dC/dW^(2))^T",
            lambda: difference(W2, gamma * transposed(product(delta2, A1))),
            "W^(2) is (3, 2) as the forward pass has it, the change matrix (2, 3)",
        )

    def change_of_layer_1(self) -> Iterator[Equation]:
        """The six dC/dw^(1), written out."""
        a0_0, a0_1 = self.inputs
        a1_0, a1_1 = self.a1
        a2_0, a2_1 = self.a2
        (w2_00, w2_01, _), (w2_10, w2_11, _) = self.w2
        T_0, T_1 = self.targets

        yield Equation(
            "dC/dw_00^(1)",
            "dC/dw_00^(1)",
            "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_00^(2) a_0^(1) (1 - a_0^(1)) a_0^(0)"
            " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_10^(2) a_0^(1) (1 - a_0^(1)) a_0^(0)",
            lambda: (
                (a2_0 - T_0) * a2_0 * (1 - a2_0) * w2_00 * a1_0 * (1 - a1_0) * a0_0
                + (a2_1 - T_1) * a2_1 * (1 - a2_1) * w2_10 * a1_0 * (1 - a1_0) * a0_0
            ),
        )
        yield Equation(
            "dC/dw_01^(1)",
            "dC/dw_01^(1)",
            "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_00^(2) a_0^(1) (1 - a_0^(1)) a_1^(0)"
            " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_10^(2) a_0^(1) (1 - a_0^(1)) a_1^(0)",
            lambda: (
                (a2_0 - T_0) * a2_0 * (1 - a2_0) * w2_00 * a1_0 * (1 - a1_0) * a0_1
                + (a2_1 - T_1) * a2_1 * (1 - a2_1) * w2_10 * a1_0 * (1 - a1_0) * a0_1
            ),
        )
        yield Equation(
            "dC/dw_02^(1)",
            "dC/dw_02^(1)",
            "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_00^(2) a_0^(1) (1 - a_0^(1)) 1"
            " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_10^(2) a_0^(1) (1 - a_0^(1)) 1",
            lambda: (
                (a2_0 - T_0) * a2_0 * (1 - a2_0) * w2_00 * a1_0 * (1 - a1_0) * 1
                + (a2_1 - T_1) * a2_1 * (1 - a2_1) * w2_10 * a1_0 * (1 - a1_0) * 1
            ),
        )
        yield Equation(
            "dC/dw_10^(1)",
            "dC/dw_10^(1)",
            "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_01^(2) a_1^(1) (1 - a_1^(1)) a_0^(0)"
            " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_11^(2) a_1^(1) (1 - a_1^(1)) a_0^(0)",
            lambda: (
                (a2_0 - T_0) * a2_0 * (1 - a2_0) * w2_01 * a1_1 * (1 - a1_1) * a0_0
                + (a2_1 - T_1) * a2_1 * (1 - a2_1) * w2_11 * a1_1 * (1 - a1_1) * a0_0
            ),
        )
        yield Equation(
            "dC/dw_11^(1)",
            "dC/dw_11^(1)",
            "(a_0^(2) - T_0) a_1^(2) (1 - a_1^(2)) w_01^(2) a_0^(1) (1 - a_1^(1)) a_1^(0)"
            " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_11^(2) a_1^(1) (1 - a_1^(1)) a_1^(0)",
            lambda: (
                (a2_0 - T_0) * a2_1 * (1 - a2_1) * w2_01 * a1_0 * (1 - a1_1) * a0_1
                + (a2_1 - T_1) * a2_1 * (1 - a2_1) * w2_11 * a1_1 * (1 - a1_1) * a0_1
            ),
            "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_01^(2) a_1^(1) (1 - a_1^(1)) a_1^(0)"
            " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_11^(2) a_1^(1) (1 - a_1^(1)) a_1^(0)",
            lambda: (
                (a2_0 - T_0) * a2_0 * (1 - a2_0) * w2_01 * a1_1 * (1 - a1_1) * a0_1
                + (a2_1 - T_1) * a2_1 * (1 - a2_1) * w2_11 * a1_1 * (1 - a1_1) * a0_1
            ),
            "the first term has a_1^(2)(1 - a_1^(2)) for a_0^(2)(1 - a_0^(2)), and a_0^(1) for a_1^(1)",
        )
        yield Equation(
            "dC/dw_12^(1)",
            "dC/dw_12^(1)",
            "(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)) w_01^(2) a_1^(1) (1 - a_1^(1)) 1"
            " + (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2)) w_11^(2) a_1^(1) (1 - a_1^(1)) 1",
            lambda: (
                (a2_0 - T_0) * a2_0 * (1 - a2_0) * w2_01 * a1_1 * (1 - a1_1) * 1
                + (a2_1 - T_1) * a2_1 * (1 - a2_1) * w2_11 * a1_1 * (1 - a1_1) * 1
            ),
        )

    def deltas_of_layer_1(self) -> Iterator[Equation]:
        """delta_0^(1), delta_1^(1), and the change matrix of layer (1)."""
        a0_0, a0_1 = self.inputs
        a1_0, a1_1 = self.a1
        d1_0, d1_1 = self.d1
        d2_0, d2_1 = self.d2
        (w2_00, w2_01, _), (w2_10, w2_11, _) = self.w2

        yield Equation(
            "dC/dw_00^(1), by delta^(2)",
            "dC/dw_00^(1)",
            "delta_0^(2) w_00^(2) a_0^(1) (1 - a_0^(1)) a_0^(0) + delta_1^(2) w_10^(2) a_0^(1) (1 - a_0^(1)) a_0^(0)",
            lambda: d2_0 * w2_00 * a1_0 * (1 - a1_0) * a0_0 + d2_1 * w2_10 * a1_0 * (1 - a1_0) * a0_0,
        )
        yield Equation(
            "delta_0^(1)",
            "delta_0^(1)",
            "a_0^(1) (1 - a_0^(1)) sum_i delta_i^(2) w_i0^(2)",
            lambda: a1_0 * (1 - a1_0) * (d2_0 * w2_00 + d2_1 * w2_10),
        )
        yield Equation("dC/dw_00^(1), by delta^(1)", "dC/dw_00^(1)", "delta_0^(1) a_0^(0)", lambda: d1_0 * a0_0)
        yield Equation(
            "delta_1^(1)",
            "delta_1^(1)",
            "a_1^(1) (1 - a_1^(1)) sum_i delta_i^(2) w_i1^(2)",
            lambda: a1_1 * (1 - a1_1) * (d2_0 * w2_01 + d2_1 * w2_11),
        )
        yield Equation(
            "change matrix (1), by delta",
            "dC/dW^(1)",
            "[delta_0^(1) a_0^(0), delta_0^(1) a_1^(0), delta_0^(1) 1;"
            " delta_1^(1) a_0^(0), delta_1^(1) a_1^(0), delta_1^(1) 1]",
            lambda: matrix([d1_0 * a0_0, d1_0 * a0_1, d1_0 * 1], [d1_1 * a0_0, d1_1 * a0_1, d1_1 * 1]),
        )
        delta1, A0 = matrix([d1_0], [d1_1]), matrix([a0_0, a0_1, 1])
        yield Equation("change matrix (1), as a product", "dC/dW^(1)", "delta^(1) A^(0)", lambda: product(delta1, A0))
        yield Equation("delta^(1) as a column", "delta^(1)", "[delta_0^(1); delta_1^(1)]", lambda: delta1)
        yield Equation(
            "A^(0) under dC/dW^(1)",
            "A^(0)",
            "[a_0^(0), a_1^(0)]",
            lambda: matrix([a0_0, a0_1]),
            "[a_0^(0), a_1^(0), 1]",
            lambda: A0,
            "the trailing 1 for the bias is missing",
        )

    def matrices(self) -> Iterator[Equation]:
        """The matrices c, w, D^(2) and D^(1), and both deltas by way of them."""
        a1_0, a1_1 = self.a1
        a2_0, a2_1 = self.a2
        d2_0, d2_1 = self.d2
        (w2_00, w2_01, _), (w2_10, w2_11, _) = self.w2
        T_0, T_1 = self.targets
        c = matrix([a2_0 - T_0], [a2_1 - T_1])
        w2 = matrix([w2_00, w2_01], [w2_10, w2_11])
        D2 = matrix([a2_0 * (1 - a2_0), 0], [0, a2_1 * (1 - a2_1)])
        D1 = matrix([a1_0 * (1 - a1_0), 0], [0, a1_1 * (1 - a1_1)])
        delta2 = matrix([d2_0], [d2_1])
        transpose = "w^(2) is not transposed; the note's own expanded product has the transpose"

        yield Equation(
            "c",
            "c",
            "[a_0^(2) - T^0; a_1^(2) - T^1]",
            lambda: c,
            "[a_0^(2) - T_0; a_1^(2) - T_1]",
            lambda: c,
            "T^0 and T^1 are T_0 and T_1 everywhere else",
        )
        yield Equation(
            "w",
            "w^(2)",
            "w_2 = [w_00^(2), w_01^(2); w_10^(2), w_11^(2)]",
            lambda: w2,
            "w^(2) = [w_00^(2), w_01^(2); w_10^(2), w_11^(2)]",
            lambda: w2,
            "w_2 is w^(2) everywhere else",
        )
        yield Equation("D^(2)", "D^(2)", "[a_0^(2) (1 - a_0^(2)), 0; 0, a_1^(2) (1 - a_1^(2))]", lambda: D2)
        yield Equation("D^(1)", "D^(1)", "[a_0^(1) (1 - a_0^(1)), 0; 0, a_1^(1) (1 - a_1^(1))]", lambda: D1)
        yield Equation("delta^(2) by D^(2)", "delta^(2)", "D^(2) c", lambda: product(D2, c))
        yield Equation(
            "delta^(2) by D^(2), written out",
            "delta^(2)",
            "[(a_0^(2) - T_0) a_0^(2) (1 - a_0^(2)); (a_1^(2) - T_1) a_1^(2) (1 - a_1^(2))]",
            lambda: matrix([(a2_0 - T_0) * a2_0 * (1 - a2_0)], [(a2_1 - T_1) * a2_1 * (1 - a2_1)]),
        )
        yield Equation(
            "delta^(1) by D^(1)",
            "delta^(1)",
            "D^(1) w^(2) delta^(2)",
            lambda: product(D1, w2, delta2),
            "D^(1) (w^(2))^T delta^(2)",
            lambda: product(D1, transposed(w2), delta2),
            transpose,
        )
        yield Equation(
            "delta^(1) by D^(1), in entries",
            "delta^(1)",
            "[a_0^(1) (1 - a_0^(1)), 0; 0, a_1^(1) (1 - a_1^(1))]"
            " [w_00^(2), w_01^(2); w_10^(2), w_11^(2)] [delta_0^(2); delta_1^(2)]",
            lambda: product(
                matrix([a1_0 * (1 - a1_0), 0], [0, a1_1 * (1 - a1_1)]),
                matrix([w2_00, w2_01], [w2_10, w2_11]),
                matrix([d2_0], [d2_1]),
            ),
            "[a_0^(1) (1 - a_0^(1)), 0; 0, a_1^(1) (1 - a_1^(1))]"
            " [w_00^(2), w_10^(2); w_01^(2), w_11^(2)] [delta_0^(2); delta_1^(2)]",
            lambda: product(
                matrix([a1_0 * (1 - a1_0), 0], [0, a1_1 * (1 - a1_1)]),
                matrix([w2_00, w2_10], [w2_01, w2_11]),
                matrix([d2_0], [d2_1]),
            ),
            transpose,
        )
        yield Equation(
            "delta^(1) by D^(1), multiplied",
            "delta^(1)",
            "[w_00^(2) a_0^(1) (1 - a_0^(1)), w_10^(2) a_0^(1) (1 - a_0^(1));"
            " w_01^(2) a_1^(1) (1 - a_1^(1)), w_11^(2) a_1^(1) (1 - a_1^(1))] [delta_0^(2); delta_1^(2)]",
            lambda: product(
                matrix(
                    [w2_00 * a1_0 * (1 - a1_0), w2_10 * a1_0 * (1 - a1_0)],
                    [w2_01 * a1_1 * (1 - a1_1), w2_11 * a1_1 * (1 - a1_1)],
                ),
                matrix([d2_0], [d2_1]),
            ),
        )
        yield Equation(
            "delta^(1) by D^(1), written out",
            "delta^(1)",
            "[delta_0^(2) w_00^(2) a_0^(1) (1 - a_0^(1)) + delta_1^(2) w_10^(2) a_0^(1) (1 - a_0^(1));"
            " delta_0^(2) w_01^(2) a_1^(1) (1 - a_1^(1)) + delta_1^(2) w_11^(2) a_1^(1) (1 - a_1^(1))]",
            lambda: matrix(
                [d2_0 * w2_00 * a1_0 * (1 - a1_0) + d2_1 * w2_10 * a1_0 * (1 - a1_0)],
                [d2_0 * w2_01 * a1_1 * (1 - a1_1) + d2_1 * w2_11 * a1_1 * (1 - a1_1)],
            ),
        )

    def summary(self) -> Iterator[Equation]:
        """The summary: both change matrices."""
        a0_0, a0_1 = self.inputs
        a1_0, a1_1 = self.a1
        (w2_00, w2_01, _), (w2_10, w2_11, _) = self.w2
        delta1, delta2 = (matrix([d_0], [d_1]) for d_0, d_1 in (self.d1, self.d2))
        A0, A1 = matrix([a0_0, a0_1, 1]), matrix([a1_0, a1_1, 1])
        w2 = matrix([w2_00, w2_01], [w2_10, w2_11])
        D1 = matrix([a1_0 * (1 - a1_0), 0], [0, a1_1 * (1 - a1_1)])

        yield Equation("summary (1)", "dC/dW^(1)", "delta^(1) A^(0)", lambda: product(delta1, A0))
        yield Equation(
            "summary (1), by D^(1)",
            "dC/dW^(1)",
            "D^(1) w^(2) delta^(2) A^(0)",
            lambda: product(D1, w2, delta2, A0),
            "D^(1) (w^(2))^T delta^(2) A^(0)",
            lambda: product(D1, transposed(w2), delta2, A0),
            "w^(2) is not transposed",
        )
        yield Equation("summary (2)", "dC/dW^(2)", "delta^(2) A^(1)", lambda: product(delta2, A1))

    def hadamard_form(self) -> Iterator[Equation]:
        """delta^(2) once more: with the diagonal matrix, and without it."""
        a2_0, a2_1 = self.a2
        T_0, T_1 = self.targets

        yield Equation(
            "instead of",
            "delta^(2)",
            "[a_0^(2) (1 - a_0^(2)), 0; 0, a_1^(2) (1 - a_1^(2))] [a_0^(2) - T_0; a_1^(2) - T_1]",
            lambda: product(
                matrix([a2_0 * (1 - a2_0), 0], [0, a2_1 * (1 - a2_1)]),
                matrix([a2_0 - T_0], [a2_1 - T_1]),
            ),
        )
        yield Equation(
            "Hadamard form",
            "delta^(2)",
            "[a_0^(2) (1 - a_0^(2)); a_1^(2) (1 - a_1^(2))] (.) [a_0^(2) - T_0; a_1^(2) - T_1]",
            lambda: hadamard(
                matrix([a2_0 * (1 - a2_0)], [a2_1 * (1 - a2_1)]),
                matrix([a2_0 - T_0], [a2_1 - T_1]),
            ),
        )
