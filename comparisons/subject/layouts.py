"""How somebody's code keeps its weights and samples: our arrays in their layout, and theirs in ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from handnet.activations import FloatArray

# What the weights of a layer of n nodes above m are, and where the samples are.
LAYOUTS = {
    "note": "W (m + 1, n), the last row the biases; samples in rows",
    "rows": "pairs (W (m, n), b (n,)); samples in rows, X @ W + b",
    "linear": "pairs (W (n, m), b (n,)); samples in rows, as torch.nn.Linear",
    "columns": "pairs (W (n, m), b (n, 1)); samples in columns, W @ X + b",
    "bias_first": "W (n, m + 1), the first column the biases; samples in rows",
    "bias_last": "W (n, m + 1), the last column the biases; samples in rows",
}
# Those that keep W as the note does, with a row for each node below.
UPRIGHT = ("note", "rows")
PAIRED = ("rows", "linear", "columns")


@dataclass(frozen=True)
class Layout:
    """One of LAYOUTS; without biases every layer is one plain W.

    Attributes
    ----------
    name : of LAYOUTS
    biases : whether there are any
    thresholds : whether they are those of an input of -1, and are handed out and come back negated
    """

    name: str
    biases: bool = True
    thresholds: bool = False

    @property
    def is_paired(self) -> bool:
        """Whether a layer is a pair of weights and biases."""
        return self.biases and self.name in PAIRED

    @property
    def in_columns(self) -> bool:
        """Whether each sample is a column."""
        return self.name == "columns"

    def negated(self, w: FloatArray) -> FloatArray:
        """Return our W with the sign of its biases that the layout has."""
        return np.concatenate([w[..., :-1, :], -w[..., -1:, :]], axis=-2) if self.thresholds else w

    # Out.

    def weights_out(self, w: FloatArray) -> Any:
        """Return a copy of W as the layout has it: a matrix, or a list [weights, biases]."""
        w = self.negated(w)
        if not self.is_paired:
            return copied(self._matrix_out(w))
        bias = copied(w[..., -1, :])
        return [copied(self._turned(w[..., :-1, :])), bias[..., np.newaxis] if self.in_columns else bias]

    def samples_out(self, array: FloatArray) -> FloatArray:
        """Return a copy of what has a row for each sample."""
        return copied(array.T if self.in_columns else array)

    def _matrix_out(self, w: FloatArray) -> FloatArray:
        if self.biases and self.name == "bias_first":
            w = np.concatenate([w[..., -1:, :], w[..., :-1, :]], axis=-2)
        return self._turned(w)

    def _turned(self, w: FloatArray) -> FloatArray:
        return w if self.name in UPRIGHT else np.swapaxes(w, -1, -2)

    # In.

    def matrix_shape(self, ours: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a layer's one matrix, from that of our W."""
        return ours if self.name in UPRIGHT else ours[::-1]

    def weight_shape(self, ours: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the weights of a pair, from that of our W."""
        rows, columns = ours
        return self.matrix_shape((rows - 1, columns))

    def bias_shape(self, columns: int) -> tuple[int, ...]:
        """Return the shape of the biases of a pair."""
        return (columns, 1) if self.in_columns else (columns,)

    def matrix_in(self, theirs: FloatArray) -> FloatArray:
        """Return our W from their matrix."""
        w = self._turned(theirs)
        return np.concatenate([w[1:], w[:1]]) if self.biases and self.name == "bias_first" else w

    def layer_in(self, theirs: Any) -> FloatArray:
        """Return our W from a layer as `weights_out` makes it, in arrays or plain lists."""
        if not self.is_paired:
            return self.matrix_in(np.asarray(theirs))
        weight, bias = map(np.asarray, theirs)
        return np.concatenate([self.weight_in(weight), bias.reshape(1, -1)])

    def samples_in(self, theirs: FloatArray) -> FloatArray:
        """Return an array with a row for each sample; what is no matrix, as a single sample, stays as it is."""
        return theirs.T if self.in_columns and theirs.ndim == 2 else theirs

    def weight_in(self, theirs: FloatArray) -> FloatArray:
        """Return the rows of our W above the biases, from the weights of their pair."""
        return self._turned(theirs)


def copied(array: FloatArray) -> FloatArray:
    """Return a copy in ordinary order."""
    return np.array(array, order="C")
