"""Layers written by hand in NumPy, forward and backward, each as its equations read.

Each layer returns its outputs, dC/dinput and dC/dparameter by name, from its parameters, its inputs and dC/doutputs.
`test_layers.py` beside this file checks each of them against torch with one line, and no tolerance to choose.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def linear(parameters, x, upstream):
    """y = x W^T + b, for x of shape (N, m) and W of shape (n, m)."""
    w, b = parameters["weight"], parameters["bias"]
    y = x @ w.T + b
    return y, upstream @ w, {"weight": upstream.T @ x, "bias": upstream.sum(axis=0)}


def conv2d(parameters, x, upstream, stride=2, padding=1):
    """y_o = sum over the channels c and places i, j of the kernel of x_c shifted by (i, j), times w_ocij, plus b_o."""
    w, b = parameters["weight"], parameters["bias"]
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    windows = sliding_window_view(padded, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    y = np.einsum("nchwij,ocij->nohw", windows, w) + b[:, None, None]
    dw = np.einsum("nohw,nchwij->ocij", upstream, windows)
    dx = np.zeros_like(padded)
    height, width = y.shape[2:]
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            at = np.s_[:, :, i : i + stride * height : stride, j : j + stride * width : stride]
            dx[at] += np.einsum("nohw,oc->nchw", upstream, w[:, :, i, j])
    dx = dx[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return y, dx, {"weight": dw, "bias": upstream.sum(axis=(0, 2, 3))}


def max_pool2d(parameters, x, upstream, size=3, stride=2):
    """The greatest number of each window; its gradient goes to where that number stood."""
    windows = sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    windows = windows.reshape(*windows.shape[:4], size * size)
    n, c, row, column = np.indices(windows.shape[:4])
    row, column = row * stride + windows.argmax(-1) // size, column * stride + windows.argmax(-1) % size
    dx = np.zeros_like(x)
    np.add.at(dx, (n, c, row, column), upstream)
    return windows.max(-1), dx, {}


def batch_norm(parameters, x, upstream, eps=1e-5):
    """y = gamma (x - mean) / sqrt(variance + eps) + beta, mean and variance over the samples."""
    gamma, beta = parameters["weight"], parameters["bias"]
    mean = x.mean(axis=0)
    variance = ((x - mean) ** 2).mean(axis=0)
    r = 1 / np.sqrt(variance + eps)
    normal = (x - mean) * r
    y = gamma * normal + beta
    d = gamma * upstream
    dx = r * (d - d.mean(axis=0) - normal * (d * normal).mean(axis=0))
    return y, dx, {"weight": (upstream * normal).sum(axis=0), "bias": upstream.sum(axis=0)}


def layer_norm(parameters, x, upstream, eps=1e-5):
    """The same over the features of each sample. Here the derivatives of mean and variance stand by themselves."""
    gamma, beta = parameters["weight"], parameters["bias"]
    m = x.shape[-1]
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).sum(axis=-1, keepdims=True) / m
    r = 1 / np.sqrt(variance + eps)
    y = gamma * centred * r + beta
    d = gamma * upstream
    d_variance = (d * centred).sum(axis=-1, keepdims=True) * -0.5 * r**3
    d_mean = -(d * r).sum(axis=-1, keepdims=True)
    dx = d * r + d_variance * 2 * centred / m + d_mean / m
    return y, dx, {"weight": (upstream * centred * r).sum(axis=0), "bias": upstream.sum(axis=0)}


def cross_entropy(z, classes):
    """C = the mean of -log p_class, for p = softmax(z); dC/dz = (p - T) / N, T the classes as rows of 0 and 1."""
    n = len(z)
    shifted = z - z.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    t = np.eye(z.shape[1], dtype=z.dtype)[classes]
    return -(t * log_p).sum() / n, (p - t) / n


def gelu(parameters, x, upstream):
    """y = x Phi(x), for Phi(x) = (1 + erf(x / sqrt 2)) / 2; its slope is Phi(x) + x phi(x)."""
    erf = np.vectorize(math.erf)(x / math.sqrt(2)).astype(x.dtype)
    cdf = (1 + erf) / 2
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return x * cdf, upstream * (cdf + x * density), {}


def attention(q, k, v, upstream):
    """Y = softmax(Q K^T / sqrt d) V, and the gradients at Y, Q, K and V."""
    scale = math.sqrt(q.shape[-1])
    scores = q @ k.swapaxes(-1, -2) / scale
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    dp = upstream @ v.swapaxes(-1, -2)
    d_scores = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    return p @ v, d_scores @ k / scale, d_scores.swapaxes(-1, -2) @ q / scale, p.swapaxes(-1, -2) @ upstream


def lstm_cell(parameters, inputs, upstream):
    """i, f, o = sigma(z), g = tanh(z); c' = f c + i g; h' = o tanh(c')."""
    (x, h, c), (dh_new, dc_new) = inputs, upstream
    z = x @ parameters["weight_ih"].T + parameters["bias_ih"] + h @ parameters["weight_hh"].T + parameters["bias_hh"]
    zi, zf, zg, zo = np.split(z, 4, axis=1)
    i, f, g, o = sigmoid(zi), sigmoid(zf), np.tanh(zg), sigmoid(zo)
    c_new = f * c + i * g
    h_new = o * np.tanh(c_new)

    dc = dc_new + dh_new * o * (1 - np.tanh(c_new) ** 2)
    di, df, dg = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2)
    do = dh_new * np.tanh(c_new) * o * (1 - o)
    dz = np.concatenate([di, df, dg, do], axis=1)
    gradients = {"weight_ih": dz.T @ x, "weight_hh": dz.T @ h, "bias_ih": dz.sum(axis=0), "bias_hh": dz.sum(axis=0)}
    return (h_new, c_new), (dz @ parameters["weight_ih"], dz @ parameters["weight_hh"], dc * f), gradients


def sigmoid(z):
    return 1 / (1 + np.exp(-z))
