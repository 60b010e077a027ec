"""Each hand-written layer matches torch, and each mistake that people make in it does not.

A mistake is a line of the layer with something else in its place.
"""

import inspect

import layers
import numpy as np
import pytest
import torch
from torch import nn

from comparisons import assert_matches, backward_of, check_function

DTYPES = ["float64", "float32"]


class Cell(nn.LSTMCell):
    def forward(self, x, h, c):
        return super().forward(x, (h, c))


def cross_entropy(z, classes):
    cost = nn.functional.cross_entropy(z.requires_grad_(), classes)
    return cost, *torch.autograd.grad(cost, z)


def attention(q, k, v, upstream):
    leaves = [t.requires_grad_() for t in (q, k, v)]
    y = nn.functional.scaled_dot_product_attention(*leaves)
    return y, *torch.autograd.grad(y, leaves, upstream)


def problem(name, dtype):
    """The reference and some arguments for a layer."""
    rng = np.random.default_rng(5)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    norm = {"weight": 1 + draw(6), "bias": draw(6)}
    lstm = {"weight_ih": draw(20, 3), "weight_hh": draw(20, 5), "bias_ih": draw(20), "bias_hh": draw(20)}
    return {
        "linear": lambda: (
            backward_of(nn.Linear(3, 4)),
            {"weight": draw(4, 3), "bias": draw(4)},
            draw(7, 3),
            draw(7, 4),
        ),
        "conv2d": lambda: (
            backward_of(nn.Conv2d(3, 4, (3, 2), stride=2, padding=1)),
            *({"weight": draw(4, 3, 3, 2), "bias": draw(4)}, draw(2, 3, 7, 6), draw(2, 4, 4, 4)),
        ),
        "max_pool2d": lambda: (backward_of(nn.MaxPool2d(3, 2)), {}, draw(2, 3, 7, 9), draw(2, 3, 3, 4)),
        # Numbers so small that epsilon counts.
        "batch_norm": lambda: (backward_of(nn.BatchNorm1d(6)), norm, draw(8, 6) / 20, draw(8, 6)),
        "layer_norm": lambda: (backward_of(nn.LayerNorm(6)), norm, draw(8, 6) / 20, draw(8, 6)),
        "cross_entropy": lambda: (cross_entropy, 3 * draw(8, 5), rng.integers(0, 5, 8)),
        "gelu": lambda: (backward_of(nn.GELU()), {}, draw(8, 5), draw(8, 5)),
        "attention": lambda: (attention, draw(2, 5, 4), draw(2, 6, 4), draw(2, 6, 3), draw(2, 5, 3)),
        "lstm_cell": lambda: (
            backward_of(Cell(3, 5)),
            *(lstm, (draw(7, 3), draw(7, 5), draw(7, 5)), (draw(7, 5), draw(7, 5))),
        ),
    }[name]()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "layer",
    [
        *(layers.linear, layers.conv2d, layers.max_pool2d, layers.batch_norm, layers.layer_norm),
        *(layers.cross_entropy, layers.gelu, layers.attention, layers.lstm_cell),
    ],
)
def test_a_layer_matches_torch(layer, dtype):
    assert_matches(layer, *problem(layer.__name__, dtype), strict=True)


MISTAKES = {
    "linear": {
        "the bias left out": ("x @ w.T + b", "x @ w.T"),
        "its gradient averaged": ("upstream.sum(axis=0)", "upstream.mean(axis=0)"),
        "the gradient of the weights averaged": ('"weight": upstream.T @ x', '"weight": upstream.T @ x / len(x)'),
        "the gradient of the weights transposed": ('"weight": upstream.T @ x', '"weight": x.T @ upstream'),
        "the weights' magnitude passed back": ("upstream @ w,", "upstream @ abs(w),"),
    },
    "conv2d": {
        "the kernel flipped": ('"nchwij,ocij->nohw", windows, w)', '"nchwij,ocij->nohw", windows, w[..., ::-1, ::-1])'),
        "the stride left out on the way back": ("i : i + stride * height : stride", "i : i + height"),
        "overlapping gradients written over": ("dx[at] += ", "dx[at] = "),
        "the padding cut off at one end only": ("dx[:, :, padding : padding + x.shape[2],", "dx[:, :, : x.shape[2],"),
        "the gradient of the bias averaged": ("upstream.sum(axis=(0, 2, 3))", "upstream.mean(axis=(0, 2, 3))"),
    },
    "max_pool2d": {
        "overlapping gradients written over": (
            "np.add.at(dx, (n, c, row, column), upstream)",
            "dx[n, c, row, column] = upstream",
        ),
        "the stride left out on the way back": ("row, column = row * stride +", "row, column = row +"),
        "rows and columns swapped in the window": ("argmax(-1) // size, column", "argmax(-1) % size, column"),
        "the mean in the place of the greatest": ("windows.max(-1)", "windows.mean(-1)"),
        "the gradient shared out": ("column), upstream)", "column), upstream / size**2)"),
    },
    "batch_norm": {
        "N - 1 for N": ("variance = ((x - mean) ** 2).mean(axis=0)", "variance = x.var(axis=0, ddof=1)"),
        "epsilon outside the root": ("np.sqrt(variance + eps)", "(np.sqrt(variance) + eps)"),
        "epsilon left out": ("np.sqrt(variance + eps)", "np.sqrt(variance)"),
        "the mean's own derivative left out": (" - d.mean(axis=0)", ""),
        "the variance's own derivative left out": (" - normal * (d * normal).mean(axis=0)", ""),
        "gamma left out on the way back": ("d = gamma * upstream", "d = upstream"),
    },
    "layer_norm": {
        "N - 1 for N": ("keepdims=True) / m\n", "keepdims=True) / (m - 1)\n"),
        "epsilon outside the root": ("np.sqrt(variance + eps)", "(np.sqrt(variance) + eps)"),
        "the mean's own derivative left out": (" + d_mean / m", ""),
        "the variance's own derivative left out": (" + d_variance * 2 * centred / m", ""),
        "the 2 of the square left out": ("d_variance * 2 * centred", "d_variance * centred"),
        "over the samples": ("x.mean(axis=-1, keepdims=True)", "x.mean(axis=0, keepdims=True)"),
    },
    "cross_entropy": {
        "the softmax's Jacobian taken as diagonal": ("(p - t) / n", "-t / p / n * p * (1 - p)"),
        "not averaged": ("(p - t) / n", "p - t"),
        "softmax over the samples": (
            "np.exp(shifted) / np.exp(shifted).sum(axis=1,",
            "np.exp(shifted) / np.exp(shifted).sum(axis=0,",
        ),
        "softmax applied twice": ("(p - t) / n", "(np.exp(p) / np.exp(p).sum(1, keepdims=True) - t) / n"),
        "an epsilon in the logarithm": (
            "log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))",
            "log_p = np.log(p + 1e-4)",
        ),
    },
    "gelu": {
        "the slope of x left out": ("(cdf + x * density)", "x * density"),
        "the slope of Phi left out": ("(cdf + x * density)", "cdf"),
        "the root of 2 left out": ("x / math.sqrt(2)", "x"),
        "the tanh form": (
            "np.vectorize(math.erf)(x / math.sqrt(2)).astype(x.dtype)",
            "np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))",
        ),
        "the density of another variance": ("np.exp(-(x**2) / 2)", "np.exp(-(x**2))"),
    },
    "attention": {
        "not scaled": ("q @ k.swapaxes(-1, -2) / scale", "q @ k.swapaxes(-1, -2)"),
        "not scaled on the way back": ("d_scores @ k / scale", "d_scores @ k"),
        "the softmax's Jacobian taken as diagonal": (
            "p * (dp - (dp * p).sum(axis=-1, keepdims=True))",
            "p * (1 - p) * dp",
        ),
        "scaled by d": ("scale = math.sqrt(q.shape[-1])", "scale = q.shape[-1]"),
        "softmax over the queries": ("p = e / e.sum(axis=-1,", "p = e / e.sum(axis=-2,"),
    },
    "lstm_cell": {
        "the gates in another order": ("zi, zf, zg, zo =", "zf, zi, zg, zo ="),
        "the slope of tanh(c') left out": (" * o * (1 - np.tanh(c_new) ** 2)", " * o"),
        "what comes from c' left out": ("dc = dc_new + dh_new", "dc = dh_new"),
        "the slope of the sigmoid for that of tanh": ("dc * i * (1 - g**2)", "dc * i * g * (1 - g)"),
        "dC/dc without the forget gate": ("dc * f), gradients", "dc), gradients"),
        "one bias for two": ('+ parameters["bias_ih"] + h', "+ h"),
    },
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [(name, *lines) for name, mistakes in MISTAKES.items() for lines in mistakes.values()],
    ids=[f"{name}: {mistake}" for name, mistakes in MISTAKES.items() for mistake in mistakes],
)
def test_a_mistake_in_a_layer_is_seen(name, right, wrong, dtype):
    source = inspect.getsource(getattr(layers, name))
    assert source.count(right) == 1
    names = dict(vars(layers))
    exec(source.replace(right, wrong), names)
    assert not check_function(names[name], *problem(name, dtype)).passed
