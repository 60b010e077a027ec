"""How far apart two right answers can lie: a bound for every element, derived and never chosen.

Running error analysis (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., ch. 3): any
evaluation of an inner product of n terms, in any order, lies within gamma_n = n u / (1 - n u) times the sum of the
terms' magnitudes of the exact value. Elementary functions are taken to be right within 4 units in the last
place, and whatever may underflow gets an absolute term of the smallest normal number. All bounds are
computed in float64: that of the whole model from the twin's numbers, never from those under check; that of one
equation from what the equation was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.reference.quantities import Quantities, in_order
from comparisons.reference.twin import TwinPass
from handnet.activations import FloatArray

# The bounds are themselves computed in float64; this covers what their own evaluation may lose.
SLACK = 1 + 2.0**-20
# The activations that there is a bound for.
ACTIVATIONS = frozenset({"sigmoid", "tanh", "relu", "identity"})


@dataclass(frozen=True)
class Ball:
    """A computed number and how far any evaluation of it, this one too, can lie from the exact one.

    Attributes
    ----------
    value : array
        What the twin computed, or a bound on the exact magnitude.
    error : array
        |evaluation - exact| is at most this.
    """

    value: FloatArray
    error: FloatArray

    @classmethod
    def of(cls, value: FloatArray, error: FloatArray | float = 0.0) -> Ball:
        """Make a ball in float64 around `value`; what is NaN or infinite has no bound."""
        wide = value.astype(np.float64)
        radius = np.asarray(error, np.float64) * SLACK
        if radius.shape != wide.shape:
            radius = np.broadcast_to(radius, wide.shape)
        return cls(wide, where_bounded(np.isfinite(wide) & ~np.isnan(radius), radius))

    @cached_property
    def exact(self) -> FloatArray:
        """A bound on the magnitude of the exact number."""
        return np.abs(self.value) + self.error

    @cached_property
    def any(self) -> FloatArray:
        """A bound on the magnitude of any evaluation."""
        return np.abs(self.value) + 2 * self.error

    @property
    def mT(self) -> Ball:
        """The ball of the transposed matrix."""
        return Ball(np.swapaxes(self.value, -1, -2), np.swapaxes(self.error, -1, -2))

    def augmented(self) -> Ball:
        """The ball of A: a with a trailing, exact 1."""
        edge = (*self.value.shape[:-1], 1)
        return Ball(
            np.concatenate([self.value, np.ones(edge)], axis=-1), np.concatenate([self.error, np.zeros(edge)], axis=-1)
        )


def where_bounded(bounded: NDArray[np.bool_], values: FloatArray) -> FloatArray:
    """Return the values, and infinity where there is no bound."""
    return values if np.all(bounded) else np.where(bounded, values, np.inf)


@dataclass(frozen=True)
class Bounds:
    """How far any evaluation of each quantity can lie from the exact one; shapes as in `TwinPass`."""

    preactivations: tuple[FloatArray, ...]
    activations: tuple[FloatArray, ...]
    slopes: tuple[FloatArray, ...]
    error: FloatArray
    cost: FloatArray
    activation_gradients: tuple[FloatArray, ...]
    deltas: tuple[FloatArray, ...]
    gradients: tuple[FloatArray, ...]
    updated: tuple[FloatArray, ...]

    def quantities(self) -> Quantities:
        """Return the bounds of what is compared, keyed as the quantities themselves."""
        return in_order(self.activations, self.cost, self.deltas, self.gradients, self.updated)


class Rounding:
    """The bounds for one dtype.

    Parameters
    ----------
    dtype : float32 or float64, that of the evaluations
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.unit = float(np.finfo(dtype).eps) / 2
        self.tiny = float(np.finfo(dtype).tiny)
        self.huge = float(np.finfo(dtype).max)

    # The whole pass.

    def bounds(
        self,
        weights: Sequence[FloatArray],
        activation: Sequence[str],
        twin: TwinPass,
        inputs: FloatArray,
        targets: FloatArray,
        learning_rate: float,
        train_biases: bool = True,
    ) -> Bounds:
        """Carry the errors through a forward pass, a backward pass and a step, beside the twin's numbers."""
        layers = len(weights)
        with np.errstate(all="ignore"):
            below = [Ball.of(inputs)]
            z: list[Ball] = []
            slopes: list[Ball] = []
            for w, name, twin_z, twin_a in zip(weights, activation, twin.preactivations, twin.activations, strict=True):
                z.append(Ball.of(twin_z, self.preactivation(below[-1], w)))
                below.append(Ball.of(twin_a, self.activation(name, z[-1], twin_a)))
                slopes.append(self.slope(name, below[-1], z[-1]))
            error = self.output_error(below[-1], targets)
            passed = [Ball.of(twin.activation_gradients[-1], error.error)]
            deltas = [Ball.of(twin.deltas[-1], self.times(error, slopes[-1]))]
            for l in range(layers - 1, 0, -1):
                passed.insert(0, self.passed_back(deltas[0], weights[l]))
                deltas.insert(0, Ball.of(twin.deltas[l - 1], self.times(passed[0], slopes[l - 1])))
            gradients = [
                Ball.of(twin_g, self.gradient(a, delta))
                for twin_g, a, delta in zip(twin.gradients, below, deltas, strict=False)
            ]
            updated = [
                self.updated(new, gradient, learning_rate, train_biases)
                for new, gradient in zip(twin.updated, gradients, strict=True)
            ]
            return Bounds(
                preactivations=tuple(ball.error for ball in z),
                activations=tuple(ball.error for ball in below[1:]),
                slopes=tuple(ball.error for ball in slopes),
                error=error.error,
                cost=self.cost(below[-1], targets),
                activation_gradients=tuple(ball.error for ball in passed),
                deltas=tuple(ball.error for ball in deltas),
                gradients=tuple(ball.error for ball in gradients),
                updated=tuple(updated),
            )

    # One equation, on numbers taken as exact.

    def local_activation(
        self, name: str, a_below: FloatArray, w: FloatArray, z: FloatArray, a: FloatArray
    ) -> FloatArray:
        """Bound a^(l) computed from this a^(l-1)."""
        with np.errstate(all="ignore"):
            ball = Ball.of(z, self.preactivation(Ball.of(a_below), w))
            return Ball.of(a, self.activation(name, ball, a)).error

    def local_cost(self, output: FloatArray, targets: FloatArray) -> FloatArray:
        """Bound C computed from this a^(L)."""
        with np.errstate(all="ignore"):
            return self.cost(Ball.of(output), targets)

    def local_output_delta(self, name: str, output: FloatArray, targets: FloatArray) -> FloatArray:
        """Bound delta^(L) computed from this a^(L)."""
        with np.errstate(all="ignore"):
            error = self.output_error(Ball.of(output), targets)
            return self.times(error, self._local_slope(name, output))

    def local_hidden_delta(self, name: str, delta_above: FloatArray, w_above: FloatArray, a: FloatArray) -> FloatArray:
        """Bound delta^(l) computed from this delta^(l+1) and a^(l)."""
        with np.errstate(all="ignore"):
            return self.times(self.passed_back(Ball.of(delta_above), w_above), self._local_slope(name, a))

    def local_gradient(self, a_below: FloatArray, delta: FloatArray) -> FloatArray:
        """Bound dC/dW^(l) computed from this a^(l-1) and delta^(l)."""
        with np.errstate(all="ignore"):
            return self.gradient(Ball.of(a_below), Ball.of(delta))

    def local_updated(
        self, new: FloatArray, gradient: FloatArray, learning_rate: float, train_biases: bool = True
    ) -> FloatArray:
        """Bound W^(l) after the step along this dC/dW^(l)."""
        with np.errstate(all="ignore"):
            return self.updated(new, Ball.of(gradient), learning_rate, train_biases)

    def _local_slope(self, name: str, a: FloatArray) -> Ball:
        # The implementation may have taken the slope before it rounded a: near saturation that is all of 1 - a, and of
        # a where a sigmoid vanishes. Where a tanh cancels, near 0, its slope hardly depends on it.
        if name not in ("sigmoid", "tanh"):
            return self.slope(name, Ball.of(a), None)
        plain = self.gamma(8) * np.abs(a.astype(np.float64))
        rounded = self._evaluated(name, a, 8) if name == "sigmoid" else plain
        return self.slope(name, Ball.of(a, rounded + 8 * self.tiny), None)

    # The equations. Each bounds what it adds and what it inherits.

    def preactivation(self, a_below: Ball, w: FloatArray) -> FloatArray:
        """z = A W: an inner product of m + 1 terms, the weights exact."""
        return self.product(a_below.augmented(), Ball.of(w)).error

    def activation(self, name: str, z: Ball, a: FloatArray) -> FloatArray:
        """a = sigma(z): the error of z times the steepest slope within it, and the rounding of the function."""
        if name == "identity":
            return z.error
        if name == "relu":
            return np.where(z.value + 2 * z.error < 0, 0.0, z.error)
        e = np.exp(-np.abs(z.value))
        if name == "sigmoid":
            # d log sigma' / dz lies within +-1, so sigma' grows by less than exp(2 e) over the interval.
            spread = np.fmin(z.error * e / (1 + e) ** 2 * np.exp(2 * z.error), 1.0)
        elif name == "tanh":
            # The same with +-2; sech^2 z = 4 exp(-2|z|) / (1 + exp(-2|z|))^2.
            spread = np.fmin(z.error * 4 * e**2 / (1 + e**2) ** 2 * np.exp(4 * z.error), 2.0)
        else:
            raise ValueError(f"activation {name!r} has no bound")
        # Not `underflow`: an exponential may vanish wholly in one evaluation and be subnormal in another.
        return spread + self._evaluated(name, a, 9) + self.gamma(18) * spread + 8 * self.tiny

    def _evaluated(self, name: str, a: FloatArray, plain: int) -> FloatArray:
        """The rounding of a sigmoid or tanh itself, however it is written: of the plain form, so many u |a|."""
        size = np.abs(a.astype(np.float64))
        if name == "sigmoid":
            # 1 - 1 / (1 + e^z), for one: sum and quotient round by u of 1 - a each, e^z by 8 u, of which a (1 - a)
            # remain, and the difference by u of a. Larger than 9 u a only where a < 0.4, and 2 u at a = 0.
            other = (self.gamma(2) + self.gamma(8) * size) * np.abs(1 - size) + self.gamma(1) * size
        else:
            # (e^z - e^-z) / (e^z + e^-z), for one: each exponential rounds by 8 u, of which half of 1 - a^2 remains,
            # and difference, sum and quotient by u of a each. Larger than 9 u |a| only where |a| < 0.7, and 8 u at 0.
            # (e^2z - 1) / (e^2z + 1), 2 / (1 + e^-2z) - 1 and 1 - 2 / (1 + e^2z) lie within the greater of the two.
            other = self.gamma(8) * np.abs(1 - size**2) + self.gamma(3) * size
        return np.fmax(self.gamma(plain) * size, other)

    def slope(self, name: str, a: Ball, z: Ball | None) -> Ball:
        """sigma' in terms of a, as a ball; for relu near its kink, where both 0 and 1 are right, the whole of 1."""
        if name == "sigmoid":
            inherited = a.error * (np.abs(1 - 2 * a.value) + a.error)
            added = self.gamma(3) * a.any * (np.abs(1 - a.value) + 2 * a.error)
            return Ball.of(a.value * (1 - a.value), inherited + added)
        if name == "tanh":
            inherited = a.error * (2 * np.abs(a.value) + a.error)
            added = self.gamma(2) * a.any**2 + self.gamma(3) * (np.abs(1 - a.value**2) + inherited)
            return Ball.of(1 - a.value**2, inherited + added)
        if name == "relu":
            kink = 0.0 if z is None else ((np.abs(z.value) <= 2 * z.error) & (z.error > 0)).astype(np.float64)
            return Ball.of((a.value > 0).astype(np.float64), kink)
        if name == "identity":
            return Ball.of(np.ones_like(a.value))
        raise ValueError(f"the slope of activation {name!r} has no bound")

    def output_error(self, output: Ball, targets: FloatArray) -> Ball:
        """c = (a - T) / N."""
        samples = output.value.shape[-2]
        c = self._deviation(output, targets)
        return Ball.of(c.value / samples, (c.error + self.gamma(3) * c.any) / samples + self.underflow(1, c.any))

    def cost(self, output: Ball, targets: FloatArray) -> FloatArray:
        """C = sum of (a - T)^2 over outputs and samples, / 2N."""
        c = self._deviation(output, targets)
        terms = c.value.shape[-2] * c.value.shape[-1]
        square = self.gamma(terms + 4) * c.any**2 + c.any * c.error + c.error * c.exact
        total = square.sum(axis=(-2, -1)) / (2 * c.value.shape[-2]) * SLACK + self.underflow(
            terms, c.any.max(axis=(-2, -1))
        )
        return np.asarray(where_bounded(~np.isnan(total), total))

    def passed_back(self, delta: Ball, w: FloatArray) -> Ball:
        """dC/da = delta w: the magnitude is bounded term by term, so cancellation counts against nobody."""
        return self.product(delta, Ball.of(np.swapaxes(w[..., :-1, :], -1, -2)))

    def gradient(self, a_below: Ball, delta: Ball) -> FloatArray:
        """dC/dW = A^T delta: an inner product over the N samples."""
        return self.product(a_below.augmented().mT, delta).error

    def updated(self, new: FloatArray, gradient: Ball, learning_rate: float, train_biases: bool) -> FloatArray:
        """W - gamma dC/dW; biases that are not trained are exact."""
        rate = abs(learning_rate)
        step = rate * gradient.error + self.gamma(3) * rate * gradient.any + self.underflow(1, rate * gradient.any)
        error = Ball.of(new, step + self.gamma(2) * (np.abs(new.astype(np.float64)) + 2 * step)).error
        if not train_biases:
            error = error.copy()
            error[..., -1, :] = 0.0
        return error

    # The arithmetic.

    def gamma(self, n: int) -> float:
        """gamma_n = n u / (1 - n u); without bound where n u reaches 1."""
        return n * self.unit / (1 - n * self.unit) if n * self.unit < 1 else np.inf

    def underflow(self, operations: int, magnitude: FloatArray) -> FloatArray:
        """What underflow can add; a sum whose every term is exactly zero cannot underflow."""
        return (magnitude > 0) * (2 * operations * self.tiny)

    def overflowing(self, magnitude: FloatArray) -> FloatArray:
        """What may pass the largest number on the way has no bound, even where a zero follows."""
        return where_bounded(magnitude < self.huge, magnitude)

    def product(self, p: Ball, q: Ball) -> Ball:
        """Bound the matrix product p q of balls, terms added in any order: its exact magnitude, and its error."""
        terms = p.value.shape[-1]
        values = np.abs(p.value) @ np.abs(q.value)
        inherited = p.error @ q.exact if p.error.any() else np.zeros_like(values)
        if q.error.any():
            inherited = inherited + p.any @ q.error
        magnitude = self.overflowing(values + 2 * inherited)
        return Ball.of(values + inherited, self.gamma(terms) * magnitude + inherited + self.underflow(terms, magnitude))

    def times(self, p: Ball, q: Ball) -> FloatArray:
        """Bound the product p q entry by entry, with room for the factors to be grouped otherwise."""
        magnitude = self.overflowing(p.any * q.any)
        error = self.gamma(3) * magnitude + p.any * q.error + p.error * q.exact
        error = error + self.underflow(3, np.sign(p.any) * np.sign(q.any))
        return where_bounded(~np.isnan(error), error * SLACK)

    def _deviation(self, output: Ball, targets: FloatArray) -> Ball:
        d = output.value - targets.astype(np.float64)
        return Ball.of(d, output.error + self.gamma(2) * (np.abs(d) + output.error))
