"""Right implementations drawn at random: however right code is written, whatever it is handed and returns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from comparisons.subject.forms import CONTAINERS, Form
from comparisons.subject.layouts import LAYOUTS, Layout
from tests.test_finding import layers_of


def logistic(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# Value and slope of each activation, each in the ways in which people write it.
VALUES = {
    "sigmoid": [logistic, lambda z: 1 / (1 + np.exp(-np.maximum(z, -700))), lambda z: np.exp(z) / (1 + np.exp(z))],
    "tanh": [np.tanh, lambda z: np.sinh(z) / np.cosh(z)],
    "relu": [lambda z: np.maximum(z, 0), lambda z: z * (z > 0), lambda z: np.where(z > 0, z, 0)],
    "identity": [lambda z: z, lambda z: 1.0 * z],
    "leaky_relu": [lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.maximum(z, 0.01 * z)],
    "elu": [lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0)))],
    "softplus": [
        lambda z: np.logaddexp(0, z),
        lambda z: np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0),
        lambda z: np.log(1 + np.exp(z)),
    ],
    "softmax": [softmax],
}
SLOPES = {
    "sigmoid": [lambda z, a: a * (1 - a), lambda z, a: logistic(z) * (1 - logistic(z)), lambda z, a: a - a**2],
    "tanh": [lambda z, a: 1 - a**2, lambda z, a: (1 - a) * (1 + a), lambda z, a: 1 - np.tanh(z) ** 2],
    "relu": [lambda z, a: (z > 0) * 1, lambda z, a: np.where(a > 0, 1, 0), lambda z, a: np.heaviside(z, 0)],
    "identity": [lambda z, a: np.ones_like(z), lambda z, a: 1],
    "leaky_relu": [lambda z, a: np.where(z > 0, 1, 0.01), lambda z, a: np.where(a > 0, 1, 0.01)],
    "elu": [lambda z, a: np.where(z > 0, 1, np.exp(np.minimum(z, 0))), lambda z, a: np.where(a > 0, 1, a + 1)],
    "softplus": [lambda z, a: logistic(z), lambda z, a: 1 / (1 + np.exp(-z)), lambda z, a: 1 - np.exp(-a)],
}
# A^T delta, summed over the samples, and delta W^T.
PRODUCTS = [
    lambda a, d: a.T @ d,
    lambda a, d: np.dot(d.T, a).T,
    lambda a, d: np.einsum("ni,nj->ij", a, d),
    lambda a, d: sum(np.outer(one, other) for one, other in zip(a, d, strict=True)),
    lambda a, d: sum(np.outer(one, other) for one, other in zip(a[::-1], d[::-1], strict=True)),
    lambda a, d: (a[:, :, None] * d[:, None, :]).sum(axis=0),
]
SUMS = [
    lambda d: d.sum(axis=0),
    lambda d: np.ones(len(d), d.dtype) @ d,
    lambda d: np.einsum("nj->j", d),
    lambda d: reduce(np.add, d),
    lambda d: d[::-1].sum(axis=0),
]
BACK = [
    lambda d, w: d @ w.T,
    lambda d, w: np.dot(w, d.T).T,
    lambda d, w: np.einsum("nj,ij->ni", d, w),
    lambda d, w: np.array([w @ one for one in d]),
]
HIDDEN = [name for name in VALUES if name != "softmax"]
COSTS = {
    "half_squared_error": (1.0, [*VALUES]),
    "squared_error": (2.0, [*VALUES]),
    "mean_squared_error": (2.0, [*VALUES]),
    "binary_cross_entropy": (0.0, ["sigmoid"]),
    "cross_entropy": (0.0, ["softmax"]),
}
ANSWERS = ("reversed", "gradients", "names", "parts", "with cost")


@dataclass(frozen=True)
class Right:
    """A right implementation, and the options of `check` that state it.

    Attributes
    ----------
    form : in which it takes its weights and samples
    options : of check
    answer : one of ANSWERS
    ways : which of the ways of writing each operation, by the number of the operation
    """

    form: Form
    options: dict[str, Any]
    answer: str
    ways: tuple[int, ...]

    def __call__(self, weights: Any, inputs: Any, targets: Any) -> Any:
        """Return the gradients, as arrays in the layout in which the weights came."""
        o, layout = self.options, self.form.layout
        x, t = (np.array(part, o["dtype"]) for part in (inputs, targets))
        x, t = (x.T, t.T) if layout.in_columns else (x, t)
        layers = [np.asarray(w, o["dtype"]) for w in layers_of(weights, self.form)]
        ws = [w[:-1] if layout.biases else w for w in layers]
        bs = [w[-1] if layout.biases else 0 for w in layers]
        a, z = [x], []
        for w, b, name in zip(ws, bs, o["activation"], strict=True):
            z.append(a[-1] @ w + b)
            a.append(self.way(VALUES[name], 0)(z[-1]))
        share = len(x) if o["reduction"] == "mean" else 1
        deltas = [self.output_delta(z[-1], a[-1], t) / share]
        for l in range(len(ws) - 1, 0, -1):
            back = self.way(BACK, 1)(deltas[0], ws[l])
            deltas.insert(0, back * self.way(SLOPES[o["activation"][l - 1]], 2)(z[l - 1], a[l]))
        gradients = []
        for below, d, w in zip(a, deltas, ws, strict=False):
            g = self.way(PRODUCTS, 3)(below, d) + o["l2"] * w
            gradients.append(np.vstack([g, self.way(SUMS, 4)(d)]) if layout.biases else g)
        return self.told(gradients, a, deltas, t, ws)

    def way(self, ways: list[Any], operation: int) -> Any:
        return ways[self.ways[operation] % len(ways)]

    def output_delta(self, z, a, t):
        """dC/dz of each sample."""
        cost, name = self.options["cost"], self.options["activation"][-1]
        if cost.endswith("cross_entropy"):
            return a - t
        c = COSTS[cost][0] * (a - t) / (a.shape[1] if cost == "mean_squared_error" else 1)
        if name == "softmax":
            return a * (c - (c * a).sum(axis=1, keepdims=True))
        return c * self.way(SLOPES[name], 2)(z, a)

    def told(self, gradients, a, deltas, t, ws):
        """The answer in its container."""
        layout = self.form.layout
        layers = [layout.weights_out(g) for g in gradients]
        if self.answer == "reversed":
            return layers[::-1]
        if self.answer == "names":
            pairs = enumerate(layers, start=1)
            if layout.is_paired:
                return {f"d{name}{l}": part for l, pair in pairs for name, part in zip("Wb", pair, strict=True)}
            return {f"dW{l}": part for l, part in pairs}
        if self.answer == "parts":
            parts = {"activations": a[1:], "deltas": deltas}
            return {"gradients": layers} | {name: [*map(layout.samples_out, part)] for name, part in parts.items()}
        return (self.cost(a[-1], t, ws), layers) if self.answer == "with cost" else layers

    def cost(self, a, t, ws):
        """C itself."""
        o = self.options
        of_each = {
            "half_squared_error": lambda: ((a - t) ** 2).sum(axis=1) / 2,
            "squared_error": lambda: ((a - t) ** 2).sum(axis=1),
            "mean_squared_error": lambda: ((a - t) ** 2).mean(axis=1),
            "binary_cross_entropy": lambda: -(t * np.log(a) + (1 - t) * np.log(1 - a)).sum(axis=1),
            "cross_entropy": lambda: -(t * np.log(a)).sum(axis=1),
        }[o["cost"]]()
        total = of_each.sum() / (len(a) if o["reduction"] == "mean" else 1)
        return total + o["l2"] / 2 * sum((w**2).sum() for w in ws)


def setting(number: int) -> dict[str, Any]:
    """Return the options of check of this number: what is stated, and what is asked."""
    rng = np.random.default_rng([number, 2026])
    cost = str(rng.choice([*COSTS]))
    layers = int(rng.integers(1, 5))
    last = rng.choice(COSTS[cost][1])
    activation = [str(name) for name in (*rng.choice(HIDDEN, layers - 1), last)]
    options: dict[str, Any] = {
        "activation": activation,
        "cost": cost,
        "reduction": str(rng.choice(["mean", "sum"])),
        "l2": float(rng.choice([0.0, 0.0, 0.1, 0.003])),
        "biases": bool(rng.random() < 0.8),
        "dtype": np.float64 if rng.random() < 0.7 else np.float32,
        "seed": int(rng.integers(1000)),
    }
    if rng.random() < 0.5:
        widths = [int(width) for width in rng.integers(1, 7, layers + 1)]
        # A softmax of one output is 1, whatever comes in.
        options["sizes"] = (*widths[:-1], max(widths[-1], 2 if activation[-1] == "softmax" else 1))
    if rng.random() < 0.3:
        options["batch"] = int(rng.integers(1, 9))
    return options


def drawn(number: int, seed: int) -> Right:
    """Return one of the right implementations of a setting.

    Examples
    --------
    >>> drawn(0, 1) == drawn(0, 1)
    True
    """
    options = setting(number)
    rng = np.random.default_rng([number, seed])
    layout = Layout(str(rng.choice([*LAYOUTS])), options["biases"])
    # A layer by itself, and nodes as dictionaries, have tests of their own.
    containers = (
        [name for name in CONTAINERS if name not in ("alone", "nodes")] if layout.is_paired else ["list", "dict"]
    )
    plain = options["dtype"] == np.float64 and rng.random() < 0.15
    form = Form(layout, str(rng.choice(containers)), bool(plain))
    # From equal widths nobody can tell that a list comes deepest layer first; float32 is lost in plain lists.
    answers = ANSWERS if "sizes" not in options and len(options["activation"]) > 1 else ANSWERS[1:]
    # With all its parts given each equation is judged on its own, which takes ten times as long.
    answers = [answer for answer in answers for _ in range(1 if answer == "parts" else 8)]
    if form.container == "list" and not plain and rng.random() < 0.7:
        options["layout"] = layout.name
    return Right(form, options, str(rng.choice(answers)), tuple(int(way) for way in rng.integers(0, 60, 5)))
