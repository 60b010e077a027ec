"""Arrays as pictures: error / tolerance of each number, and in a colour of its own what is more than 1, so wrong."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from comparisons.extras import extra
from comparisons.verdict.distance import greatest
from handnet.activations import FloatArray

# A picture has at most so many cells a side, and goes down to this power of ten of error / tolerance at the most.
CELLS, LOW = 64, -12
# How wide it is at most, in pixels.
WIDE = 160
# The orange of Okabe and Ito, which the colours from dark to bright do not have.
WRONG = "#d55e00"


class Array(NamedTuple):
    """What one picture shows.

    Attributes
    ----------
    name : of the array
    shape : and what else there is to say of it, in words
    ratio : error / tolerance, as a matrix
    """

    name: str
    shape: str
    ratio: FloatArray


def pictures(arrays: Mapping[Any, Array]) -> tuple[dict[Any, dict[str, Any]], int]:
    """Return a picture of each array, and the power of ten at the dark end, the same for all."""
    powers = {key: _powers(array.ratio) for key, array in arrays.items()}
    least = min((float(part[np.isfinite(part)].min(initial=-1)) for part in powers.values()), default=-1)
    low = max(LOW, int(np.floor(least)))
    return {key: _picture(array, powers[key], low) for key, array in arrays.items()}, low


def _picture(array: Array, powers: FloatArray, low: int) -> dict[str, Any]:
    """Powers of ten of error / tolerance, from `low` to 0 from dark to bright, and what is above."""
    picture = io.BytesIO()
    image, colours = extra("matplotlib.image", "html"), extra("matplotlib", "html").colormaps["cividis"]
    shown = np.minimum(np.maximum(powers, low), 1)
    image.imsave(picture, shown, cmap=colours.with_extremes(over=WRONG), vmin=low, vmax=0, format="png")
    worst, wrong = greatest(array.ratio), int((array.ratio > 1).sum())
    scale = max(1, round(WIDE / max(powers.shape)))
    said = f", {wrong} of {array.ratio.size:,} numbers wrong" if wrong else ""
    return {
        "uri": "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode(),
        "alternative": f"error / tolerance of {array.name}, {array.shape}: the greatest is {worst:.4g}{said}",
        "caption": f"{array.name}, {array.shape}, up to {worst:.4g} of its tolerance{said}",
        "width": powers.shape[1] * scale,
        "height": powers.shape[0] * scale,
    }


def _powers(values: FloatArray) -> FloatArray:
    """log10 of the values, of a large matrix the greatest of each patch."""
    for axis in (0, 1):
        size = values.shape[axis]
        starts = np.unique(np.linspace(0, size, min(size, CELLS), endpoint=False).astype(int))
        values = np.maximum.reduceat(values, starts, axis=axis)
    with np.errstate(divide="ignore"):
        return np.log10(values)
