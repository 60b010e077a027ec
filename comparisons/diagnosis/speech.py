"""How a message speaks: of somebody's function in its own names, layout and order of indices; of a Network as the note.

What stands in the note's notation elsewhere, `D^(2) (w^(3))^T delta^(3)`, becomes `(delta3 @ W3.T) * sigmoid'(z2)`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from comparisons.diagnosis.wrong import Wrong
from comparisons.reference.quantities import Key, element_name, quantity_name
from comparisons.subject.layouts import PAIRED, UPRIGHT
from comparisons.verdict.trial import Called, Trial

# What people call the arrays of a layer who did not say.
USUAL = {
    ("activation", ""): "a",
    ("delta", ""): "delta",
    ("gradient", "weights"): "dW",
    ("gradient", "biases"): "db",
    ("weight", "weights"): "W",
    ("weight", "biases"): "b",
}
# One matrix holds weights and biases: the weights alone, and a with the ones that the biases are multiplied by.
WEIGHTS_OF = {"note": "{}[:-1]", "bias_first": "{}[:, 1:]", "bias_last": "{}[:, :-1]"}
WITH_ONES = {"note": "np.c_[{}, ones]", "bias_first": "np.c_[ones, {}]", "bias_last": "np.c_[{}, ones]"}
# A factor of a product in the note's notation: its name, whether it is transposed, "samples" or "weights".
Factor = tuple[str, bool, str]


@dataclass(frozen=True)
class Speech:
    """The names and the layout of whoever wrote it.

    Attributes
    ----------
    layout : one of LAYOUTS; empty of a Network, which speaks as the note does
    activation : one name per layer
    biases : whether there are any
    called : what its author calls the arrays of the answer, by quantity, layer and part
    """

    layout: str
    activation: Sequence[str]
    biases: bool
    called: Called

    @classmethod
    def of(cls, trial: Trial) -> Speech:
        """Return the speech of whoever answered."""
        problem = trial.truths[0].problem
        return cls(trial.layout, problem.activation, problem.stated.biases, trial.called)

    @property
    def is_the_notes(self) -> bool:
        """Whether it is of a Network."""
        return not self.layout

    # Names.

    def name(self, quantity: str, layer: int | None, part: str = "") -> str:
        """Return what an array is called: delta2, dW2, or what its author calls it."""
        usual = USUAL.get((quantity, part), quantity)
        return self.called.get((quantity, layer, part), f"{usual}{layer}")

    def quantity(self, key: Key, parts: Sequence[str] = ("weights", "biases")) -> str:
        """Return what a quantity, or the parts of it that are meant, are called: delta2; dW2 and db2."""
        quantity, layer = key
        if self.is_the_notes or layer is None:
            return quantity_name(key)
        if quantity in ("activation", "delta"):
            return self.name(quantity, layer)
        whole = [part for part in parts if part == "weights" or self._has_pairs]
        said = " and ".join(self.name(quantity, layer, part) for part in whole or ("weights",))
        return said + (" after the step" if quantity == "weight" else "")

    def element(self, wrong: Wrong) -> str:
        """Return the worst number by its index in their own array: db2[3], dW1[2, 0]."""
        key, index = wrong.key, wrong.worst
        if self.is_the_notes or key[1] is None:
            is_bias = self.biases and key[0] in ("gradient", "weight") and index[-2] == wrong.hand.shape[-2] - 1
            return element_name(key, index, wrong.hand.shape) + (" (a bias)" if is_bias else "")
        row, column = index[-2:]
        if key[0] in ("activation", "delta"):
            return f"{self.name(*key)}[{self._ordered(row, column, self.layout == 'columns')}]"
        is_bias = self.biases and row == wrong.hand.shape[-2] - 1
        if is_bias and self._has_pairs:
            place = f"{column}, 0" if self.layout == "columns" else f"{column}"
            return f"{self.name(*key, 'biases')}[{place}]"
        if self.layout == "bias_first" and self.biases:
            row = 0 if is_bias else row + 1
        place = self._ordered(row, column, self.layout not in UPRIGHT)
        return f"{self.name(*key, 'weights')}[{place}]" + (" (a bias)" if is_bias else "")

    @staticmethod
    def _ordered(row: int, column: int, turned: bool) -> str:
        return f"{column}, {row}" if turned else f"{row}, {column}"

    @property
    def _has_pairs(self) -> bool:
        return self.biases and self.layout in PAIRED

    # Code.

    def product(self, left: Factor, right: Factor, of: str) -> str:
        """Return a product of the note as code in their layout: `delta3 @ W3.T`.

        Parameters
        ----------
        of : what it is: "samples" or "weights"
        """
        turned = {"samples": self.layout == "columns", "weights": self.layout not in UPRIGHT}
        factors = [(name, transposed != turned[kind]) for name, transposed, kind in (left, right)]
        if turned[of]:
            factors = [(name, not transposed) for name, transposed in reversed(factors)]
        return " @ ".join(f"{name}.T" if transposed else name for name, transposed in factors)

    def weights(self, layer: int) -> str:
        """Return how to write the weights of a layer without the biases."""
        return WEIGHTS_OF.get(self.layout if self.biases else "", "{}").format(f"W{layer}")

    def with_ones(self, a: str) -> str:
        """Return how to write what is multiplied by weights and biases at once, where these are in one matrix."""
        return WITH_ONES.get(self.layout if self.biases else "", "{}").format(a)

    def forward(self, layer: int) -> str:
        """Return the equation of z as code."""
        below, w = self.with_ones(self.name("activation", layer - 1)), f"W{layer}"
        biases = f" + b{layer}" if self._has_pairs else ""
        return self.product((below, False, "samples"), (w, False, "weights"), "samples") + biases

    def passed_back(self, vector: str, weights: str, transposed: bool = True) -> str:
        """Return what is passed down through the weights as code."""
        return self.product((vector, False, "samples"), (weights, transposed, "weights"), "samples")

    def gradient(self, below: str, delta: str) -> str:
        """Return the gradient of the weights as code."""
        return self.product((self.with_ones(below), True, "samples"), (delta, False, "samples"), "weights")

    def bias_gradient(self, delta: str) -> str:
        """Return the gradient of the biases as code; empty where it is in one matrix with that of the weights."""
        how = "axis=1, keepdims=True" if self.layout == "columns" else "axis=0"
        return f"{delta}.sum({how})" if self._has_pairs else ""

    # From the note's notation.

    def of_note(self, text: str) -> str:
        """Return a text in which every formula of the note is code, and every array has its name."""
        if self.is_the_notes:
            return text
        text = text.replace("^(L)", f"^({len(self.activation)})")
        for pattern, write in (
            (r"\(w\^\((\d+)\) - gamma dC/dw\^\(\d+\)\)\^T (\w+)\^\((\d+)\)", self._updated),
            (r"\(w\^\((\d+)\)\)\^T (\w+)(?:\^\((\d+)\))?", self._back),
            (r"(?<![\w(])w\^\((\d+)\) (delta|e)\^\((\d+)\)", self._turned_back),
            (r"sigma\(w\^\((\d+)\) a\^\(\d+\)\)", self._without_biases),
            (r"delta\^\((\d+)\) A\^\((\d+)\)", self._gradient),
            (r"\(?a\^\((\d+)\)(\)\^T)? \(?delta\^\((\d+)\)(\)\^T)?", self._pair),
            (r"D\^\((\d+)\) (?=\(|\S+ @|e\b|e\^|a\^|z\^|delta|D\^|T\b|c\b)(.+?)(?=, |; |$)", self._with_slope),
            (r"\be sigma'", "e * sigma'"),
            (r"sigma'\((\w)\^\((\d+)\)\)", lambda m: f"{self.activation[int(m[2]) - 1]}'({m[1]}{m[2]})"),
            (r"D\^\((\d+)\)", lambda m: self._slope(int(m[1]))),
            (r"dC/d[wW](?:_ij)?\^\((\d+)\)", lambda m: self.name("gradient", int(m[1]), "weights")),
            (r"delta\^\((\d+)\)", lambda m: self.name("delta", int(m[1]))),
            (r"\b(?:a|A)\^\((\d+)\)", lambda m: self.name("activation", int(m[1]))),
            (r"\b(z|e)\^\((\d+)\)", r"\1\2"),
            (r"\b[wW]\^\((\d+)\)", r"W\1"),
            (r"\bgamma ", "learning_rate * "),
            (r"(?<![\w/'])c\b(?!')", "dC/da"),
        ):
            text = re.sub(pattern, write, text)
        return text

    def _slope(self, layer: int) -> str:
        return f"{self.activation[layer - 1]}'(z{layer})"

    def _with_slope(self, match: re.Match[str]) -> str:
        product = match[2].strip()
        return f"{f'({product})' if ' @ ' in product else product} * {self._slope(int(match[1]))}"

    def _back(self, match: re.Match[str]) -> str:
        return self.passed_back(self._vector(match[2], match[3]), self.weights(int(match[1])))

    def _turned_back(self, match: re.Match[str]) -> str:
        return self.passed_back(self._vector(match[2], match[3]), self.weights(int(match[1])), transposed=False)

    def _updated(self, match: re.Match[str]) -> str:
        step = f"({self.weights(int(match[1]))} - learning_rate * {self.name('gradient', int(match[1]), 'weights')})"
        return self.passed_back(self._vector(match[2], match[3]), step)

    def _without_biases(self, match: re.Match[str]) -> str:
        layer = int(match[1])
        below = (self.name("activation", layer - 1), False, "samples")
        z = self.product(below, (self.weights(layer), False, "weights"), "samples")
        return f"{self.activation[layer - 1]}({z})"

    def _gradient(self, match: re.Match[str]) -> str:
        return self.gradient(self.name("activation", int(match[2])), self.name("delta", int(match[1])))

    def _pair(self, match: re.Match[str]) -> str:
        a, delta = self.name("activation", int(match[1])), self.name("delta", int(match[3]))
        return self.product((a, bool(match[2]), "samples"), (delta, bool(match[4]), "samples"), "weights")

    def _vector(self, letter: str, layer: str | None) -> str:
        quantity = {"a": "activation", "delta": "delta"}.get(letter)
        return self.name(quantity, int(layer)) if quantity and layer else f"{letter}{layer or ''}"
