"""In what the weights are handed out: pairs, lists, a dictionary, nodes; and how a bare answer is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from comparisons.subject.layouts import LAYOUTS, Layout
from handnet.activations import FloatArray

CONTAINERS = {
    "list": "one entry per layer",
    "dict": 'a dictionary with "W1", "b1", "W2" ..',
    "flat": "one list W1, b1, W2, b2 ..",
    "split": "a list of all W, and one of all b",
    "alone": "the one layer by itself",
    "nodes": 'a list of nodes per layer, each a dictionary with its "weights"',
}
# One vector that holds all: the order of its parts, and that of the numbers of each matrix.
UNROLLED = {
    "layers by rows": "W1, b1, W2, b2 .., each row by row",
    "layers by columns": "W1, b1, W2, b2 .., each column by column",
    "kinds by rows": "all W, then all b, each row by row",
    "kinds by columns": "all W, then all b, each column by column",
}
# What a bare answer holds.
BARE = ("gradients", "updated")


@dataclass(frozen=True)
class Form:
    """How the weights and samples are handed out, and a bare answer is read.

    Attributes
    ----------
    layout : of each layer's arrays, and of the samples
    container : one of CONTAINERS
    plain : whether numbers come in plain Python lists
    classes : whether the targets are class numbers
    vector : whether the one sample is a vector
    unrolled : one of UNROLLED, how an answer that is one vector is read
    bare : one of BARE
    """

    layout: Layout
    container: str = "list"
    plain: bool = False
    classes: bool = False
    vector: bool = False
    unrolled: str = "layers by rows"
    bare: str = "gradients"

    @property
    def is_rare(self) -> bool:
        """Whether few hand their samples and biases out so, or other digits are computed of them."""
        return self.classes or self.vector or self.plain or self.layout.thresholds

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
            "alone": layers[0],
            "nodes": [[{"weights": node} for node in layer] for layer in layers],
        }[self.container]
        by_layer = {name.lower(): part for name, part in named.items()}
        parts = {"weights": whole, "inputs": self._samples(inputs), "targets": self._targets(targets), **by_layer}
        if self.plain:
            parts = {role: plainly(part) for role, part in parts.items()}
        return parts

    def _samples(self, array: FloatArray) -> FloatArray:
        return array[0].copy() if self.vector else self.layout.samples_out(array)

    def _targets(self, targets: FloatArray) -> Any:
        return targets.argmax(axis=-1) if self.classes else self._samples(targets)

    def separately(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Return the parts for a function that takes all W and all b as two arguments."""
        if not self.layout.is_paired:
            return parts
        layers = sum(role[0] == "w" and role[1:].isdigit() for role in parts)
        split = {"weights": "w", "biases": "b"}
        return parts | {role: [parts[f"{letter}{l}"] for l in range(1, layers + 1)] for role, letter in split.items()}

    def readings(self, is_vector: bool, is_updated: bool) -> Iterator[Form]:
        """Return this form with each way to read a bare answer.

        Parameters
        ----------
        is_vector : whether the answer is one vector
        is_updated : whether it may hold the weights after the step
        """
        for bare in BARE if is_updated else (self.bare,):
            for unrolled in UNROLLED if is_vector else (self.unrolled,):
                yield replace(self, bare=bare, unrolled=unrolled)

    def rolled_up(self, vector: FloatArray, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
        """Return one entry per layer, as the layout has it, from one vector of all.

        Parameters
        ----------
        vector : array (P,), as many numbers as there are weights and biases
        shapes : those of our W, layer by layer
        """
        layout, order = self.layout, "F" if self.unrolled.endswith("columns") else "C"
        paired = [[layout.weight_shape(shape), layout.bias_shape(shape[1])] for shape in shapes]
        expected = paired if layout.is_paired else [[layout.matrix_shape(shape)] for shape in shapes]
        places = [(l, i) for l, parts in enumerate(expected) for i in range(len(parts))]
        if self.unrolled.startswith("kinds"):
            places.sort(key=lambda place: place[1])
        found: dict[tuple[int, int], FloatArray] = {}
        start = 0
        for l, i in places:
            size = int(np.prod(expected[l][i]))
            found[l, i] = vector[start : start + size].reshape(expected[l][i], order=order)  # type: ignore[call-overload]
            start += size
        layers = [[found[l, i] for i in range(len(parts))] for l, parts in enumerate(expected)]
        return layers if layout.is_paired else [layer[0] for layer in layers]

    def weights_in(self, parts: Mapping[str, Any]) -> list[FloatArray]:
        """Return W of each layer from what was handed out by role: the reverse of `parts`."""
        whole, paired = parts.get("weights", parts), self.layout.is_paired
        layers: Iterable[Any] = whole
        if self.container == "alone":
            layers = [whole]
        elif self.container == "nodes":
            layers = [[node["weights"] for node in layer] for layer in whole]
        elif "biases" in parts:
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
        more = [
            *([f"in {CONTAINERS[self.container]}"] if self.container != "list" else []),
            *(["in plain lists"] if self.plain else []),
            *(["targets as class numbers"] if self.classes else []),
            *(["the sample as a vector"] if self.vector else []),
            *(["its biases belong to an input of -1"] if self.layout.thresholds else []),
        ]
        return "; ".join([said, *more])


def plainly(part: Any) -> Any:
    """Return arrays as lists of lists of floats, also in lists and dictionaries."""
    if isinstance(part, np.ndarray):
        return part.tolist()
    if isinstance(part, Mapping):
        return {name: plainly(entry) for name, entry in part.items()}
    return [plainly(entry) for entry in part]


def forms(biases: bool, classes: bool = False, vector: bool = False, one_layer: bool = False) -> list[Form]:
    """Return all forms, the usual first: arrays before plain lists, a list of layers before other containers.

    Parameters
    ----------
    biases : whether there are any
    classes : whether the targets may be handed out as class numbers
    vector : whether there is one sample alone, which may be handed out as a vector
    one_layer : whether there is one layer alone
    """
    return [
        Form(Layout(name, biases, thresholds), container, plain, as_classes, as_vector)
        for thresholds in (False, True)[: 1 + biases]
        for as_vector in (False, True)[: 1 + vector]
        for as_classes in (False, True)[: 1 + classes]
        for plain in (False, True)
        for container in CONTAINERS
        for name in LAYOUTS
        if _exists(container, Layout(name, biases), plain) and (one_layer or container != "alone")
    ]


def _exists(container: str, layout: Layout, plain: bool) -> bool:
    if container == "nodes":  # each with its own weights, and its bias among them
        return plain and layout.name in (("bias_first", "bias_last") if layout.biases else ("linear",))
    return container in ("list", "dict", "alone") or layout.is_paired
