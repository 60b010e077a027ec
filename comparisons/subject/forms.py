"""In what the weights are handed out: lists of pairs, one flat list, two lists, a dictionary; arrays or plain lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from comparisons.subject.layouts import LAYOUTS, Layout
from handnet.activations import FloatArray

CONTAINERS = {
    "list": "one entry per layer",
    "dict": 'a dictionary with "W1", "b1", "W2" ..',
    "flat": "one list W1, b1, W2, b2 ..",
    "split": "a list of all W, and one of all b",
}


@dataclass(frozen=True)
class Form:
    """How the weights and samples are handed out.

    Attributes
    ----------
    layout : of each layer's arrays, and of the samples
    container : one of CONTAINERS
    plain : whether numbers come in plain Python lists
    """

    layout: Layout
    container: str = "list"
    plain: bool = False

    def parts(self, weights: Sequence[FloatArray], inputs: FloatArray, targets: FloatArray) -> dict[str, Any]:
        """Return copies of the weights and samples, by the role of the argument that they are for."""
        layers = [self.layout.weights_out(w) for w in weights]
        paired = self.layout.is_paired
        all_w, all_b = ([pair[i] for pair in layers] if paired else layers for i in (0, 1))
        named = {f"W{l}": w for l, w in enumerate(all_w, start=1)}
        if paired:
            named |= {f"b{l}": b for l, b in enumerate(all_b, start=1)}
        whole: Any = {
            "list": layers,
            "dict": named,
            "flat": [part for layer in layers for part in layer] if paired else layers,
            "split": [all_w, all_b] if paired else layers,
        }[self.container]
        samples = {"inputs": self.layout.samples_out(inputs), "targets": self.layout.samples_out(targets)}
        by_layer = {name.lower(): part for name, part in named.items()}
        parts = {"weights": whole, **samples, **by_layer}
        if self.plain:
            parts = {role: plainly(part) for role, part in parts.items()}
        return parts

    def separately(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Return the parts for a function that takes all W and all b as two arguments."""
        if not self.layout.is_paired:
            return parts
        layers = sum(role[0] == "w" and role[1:].isdigit() for role in parts)
        split = {"weights": "w", "biases": "b"}
        return parts | {role: [parts[f"{letter}{l}"] for l in range(1, layers + 1)] for role, letter in split.items()}

    def weights_in(self, parts: Mapping[str, Any]) -> list[FloatArray]:
        """Return W of each layer from what was handed out by role: the reverse of `parts`."""
        whole, paired = parts.get("weights", parts), self.layout.is_paired
        layers: Iterable[Any] = whole
        if "biases" in parts:
            layers = zip(whole, parts["biases"], strict=True)
        elif isinstance(whole, Mapping):
            layers = self._numbered({name.lower(): part for name, part in whole.items()})
        elif paired and self.container == "flat":
            layers = zip(whole[::2], whole[1::2], strict=True)
        elif paired and self.container == "split":
            layers = zip(*whole, strict=True)
        return [self.layout.layer_in(layer) for layer in layers]

    def _numbered(self, parts: Mapping[str, Any]) -> list[Any]:
        """The layers of w1, b1, w2, b2 .."""
        count = sum(name[0] == "w" and name[1:].isdigit() for name in parts)
        if not self.layout.is_paired:
            return [parts[f"w{l}"] for l in range(1, count + 1)]
        return [(parts[f"w{l}"], parts[f"b{l}"]) for l in range(1, count + 1)]

    def __str__(self) -> str:
        said = f"layout={self.layout.name!r}: {LAYOUTS[self.layout.name]}"
        if not self.layout.biases:
            said = f"layout={self.layout.name!r}, without biases"
        said += f"; in {CONTAINERS[self.container]}" if self.container != "list" else ""
        return said + ("; in plain lists" if self.plain else "")


def plainly(part: Any) -> Any:
    """Return arrays as lists of lists of floats, also in lists and dictionaries."""
    if isinstance(part, np.ndarray):
        return part.tolist()
    if isinstance(part, Mapping):
        return {name: plainly(entry) for name, entry in part.items()}
    return [plainly(entry) for entry in part]


def forms(biases: bool) -> list[Form]:
    """Return all forms, the usual first: arrays before plain lists, a list of layers before other containers."""
    containers = list(CONTAINERS) if biases else ["list", "dict"]
    return [
        Form(Layout(name, biases), container, plain)
        for plain in (False, True)
        for container in containers
        for name in LAYOUTS
        if container in ("list", "dict") or Layout(name, biases).is_paired
    ]
