"""One quantity of one layer at one step: both sides, the tolerance, and the verdict of each of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.reference.quantities import Key, element_name, place
from comparisons.verdict.distance import distance, greatest, over, scale_of, sharper
from handnet.activations import FloatArray

# Verdicts in rising order of gravity: a row's verdict is the gravest of its elements'.
OK, UNDECIDED, SUSPECT, INHERITED, WRONG = range(5)
VERDICTS = ("ok", "undecided", "suspect", "inherited", "wrong")
FRAME_COLUMNS = (
    *("case", "step", "activation", "dtype", "sizes", "batch", "quantity", "layer", "elements"),
    *("max_abs_error", "max_rel_error", "error_over_tolerance", "local_error_over_tolerance", "resolution"),
    *("worst_element", "hand", "torch", "tolerance", "expected", "verdict"),
)
ELEMENT_COLUMNS = (
    *("case", "step", "quantity", "layer", "name", "sample", "row", "column"),
    *("hand", "torch", "error", "tolerance", "expected", "verdict"),
)
WORST_LISTED = 5


@dataclass(frozen=True)
class Measured:
    """One quantity of one layer at one step: both sides, the tolerance, and the verdict of each element.

    Attributes
    ----------
    case, step, key : what it is
    sizes, batch : of the network and its samples
    hand, torch, tolerance : arrays, shaped as the quantity
        In float64; torch and tolerance are those of the whole model.
    local_torch, local_tolerance : arrays, or None where what the quantity is computed from was not given
        Those of the one equation, on the implementation's own upstream values.
    grades : array of int8
        The verdicts by the guaranteed tolerances alone, indices into VERDICTS: nothing is `suspect` by these.
    find_expected : function
        Finds `expected`.
    """

    case: str
    step: int
    key: Key
    sizes: tuple[int, ...]
    batch: int
    hand: FloatArray
    torch: FloatArray
    tolerance: FloatArray
    local_torch: FloatArray | None
    local_tolerance: FloatArray | None
    grades: NDArray[np.int8]
    find_expected: Callable[[], FloatArray]

    def of_network(self, network: tuple[int, ...]) -> Measured:
        """Return what was measured of one network of a stack."""
        sides = (self.hand, self.torch, self.tolerance, self.local_torch, self.local_tolerance, self.grades)
        names = ("hand", "torch", "tolerance", "local_torch", "local_tolerance", "grades")
        parts = {name: None if side is None else side[network] for name, side in zip(names, sides, strict=True)}
        return replace(self, find_expected=partial(self._expected_of, network), **parts)  # type: ignore[arg-type]

    @cached_property
    def expected(self) -> FloatArray:
        """How far rounding is expected to take each element from autograd's, found once it is asked for."""
        return self.find_expected()

    def _expected_of(self, network: tuple[int, ...]) -> FloatArray:
        return self.expected[network]

    @cached_property
    def verdicts(self) -> NDArray[np.int8]:
        """The verdict of each element, an index into VERDICTS: what passes is looked at by the expected tolerance."""
        passes = self.grades <= UNDECIDED
        if not passes.any():
            return self.grades
        verdicts = np.array(self.grades)
        # The expected tolerance may still tell a number from zero where no guaranteed one does.
        verdicts[passes & (self.expected < scale_of(self.key, self.torch))] = OK
        verdicts[passes & (distance(self.hand, self.torch) > self.expected)] = SUSPECT
        return verdicts

    @cached_property
    def resolution(self) -> float:
        """Tolerance / largest value of its network, the sharper of the two tolerances, of the bluntest element."""
        return self._over_scale(sharper(self.tolerance, self.local_tolerance))

    @cached_property
    def expected_resolution(self) -> float:
        """The same of the sharpest of all, the expected tolerance too."""
        return self._over_scale(sharper(self.expected, sharper(self.tolerance, self.local_tolerance)))

    def _over_scale(self, tolerance: FloatArray) -> float:
        scale = scale_of(self.key, self.torch)
        with np.errstate(all="ignore"):
            return float(np.max(np.where(tolerance == 0, 0.0, np.where(scale > 0, tolerance / scale, np.inf))))

    @cached_property
    def judges(self) -> bool:
        """Whether 0 in place of all its numbers would be wrong: else the data could not tell it from anything.

        Without any tolerance nothing passes but the exact numbers, be they zero.
        """
        sharpest = sharper(self.tolerance, self.local_tolerance)
        return bool((sharpest < np.abs(self.torch)).any() or (sharpest == 0).all())

    @property
    def expected_judges(self) -> bool:
        """Whether 0 in place of all its numbers would be suspect."""
        return bool((self.expected < np.abs(self.torch)).any())

    @property
    def sharper_ratio(self) -> float:
        """The greatest error / tolerance of each element's sharper comparison, the one that `resolution` is of."""
        # What failed is shown with the whole model: what is inherited has no error of its own.
        failed = self.grades.max() in (INHERITED, WRONG)
        if failed or self.local_ratio is None or self.local_tolerance is None:
            return greatest(self.ratio)
        return greatest(np.where(self.local_tolerance < self.tolerance, self.local_ratio, self.ratio))

    @property
    def is_wrong(self) -> bool:
        """Whether some element is wrong."""
        return bool((self.grades == WRONG).any())

    @property
    def verdict(self) -> str:
        """The gravest verdict of the elements."""
        return VERDICTS[int(self.verdicts.max())]

    @cached_property
    def ratio(self) -> FloatArray:
        """Error / tolerance of each element, with the whole model."""
        return over(distance(self.hand, self.torch), self.tolerance)

    @cached_property
    def local_ratio(self) -> FloatArray | None:
        """Error / tolerance of each element, with the one equation."""
        if self.local_torch is None or self.local_tolerance is None:
            return None
        return over(distance(self.hand, self.local_torch), self.local_tolerance)

    @property
    def graver_ratio(self) -> FloatArray:
        return self.ratio if self.local_ratio is None else np.maximum(self.ratio, self.local_ratio)

    @cached_property
    def worst(self) -> tuple[int, ...]:
        """The index of the worst element: of the gravest verdict, the one with the greatest error / tolerance."""
        ratio = self.graver_ratio
        gravest = self.verdicts == self.verdicts.max()
        return tuple(int(i) for i in np.unravel_index(int(np.where(gravest, ratio, -1.0).argmax()), ratio.shape))

    def judged_by(self, index: tuple[int, ...]) -> tuple[float, float, str]:
        """Torch's value and tolerance that decide this element, and whose they are: "autograd" or "equation"."""
        if self.local_torch is not None and self.local_tolerance is not None:
            local = over(distance(self.hand[index], self.local_torch[index]), self.local_tolerance[index])
            if local > 1 >= self.ratio[index]:
                return float(self.local_torch[index]), float(self.local_tolerance[index]), "equation"
        return float(self.torch[index]), float(self.tolerance[index]), "autograd"

    def row(self) -> dict[str, Any]:
        """The row of comparison.csv, without what is the same for the whole comparison."""
        error = distance(self.hand, self.torch)
        torch, tolerance, _ = self.judged_by(self.worst)
        return {
            "case": self.case,
            "step": self.step,
            "sizes": "-".join(map(str, self.sizes)),
            "batch": self.batch,
            "quantity": self.key[0],
            "layer": self.key[1],
            "elements": self.hand.size,
            "max_abs_error": greatest(error),
            "max_rel_error": greatest(over(error, np.abs(self.torch))),
            "error_over_tolerance": greatest(self.ratio),
            "local_error_over_tolerance": np.nan if self.local_ratio is None else greatest(self.local_ratio),
            "resolution": self.resolution,
            "worst_element": element_name(self.key, self.worst, self.hand.shape),
            "hand": float(self.hand[self.worst]),
            "torch": torch,
            "tolerance": tolerance,
            "expected": float(self.expected[self.worst]),
            "verdict": self.verdict,
        }

    def element_rows(self, everything: bool) -> Iterator[dict[str, Any]]:
        """The rows of elements.csv: all of them, or the worst and all that are not ok."""
        for flat in range(self.hand.size) if everything else self._listed():
            index = tuple(int(i) for i in np.unravel_index(flat, self.hand.shape))
            sample, row, column = place(self.key, index)
            torch, tolerance, _ = self.judged_by(index)
            yield {
                "case": self.case,
                "step": self.step,
                "quantity": self.key[0],
                "layer": self.key[1],
                "name": element_name(self.key, index, self.hand.shape, with_sample=False),
                "sample": sample,
                "row": row,
                "column": column,
                "hand": float(self.hand[index]),
                "torch": torch,
                "error": abs(float(self.hand[index]) - torch),
                "tolerance": tolerance,
                "expected": float(self.expected[index]),
                "verdict": VERDICTS[self.verdicts[index]],
            }

    def _listed(self) -> list[int]:
        worst = np.argsort(-self.graver_ratio, axis=None, kind="stable")[:WORST_LISTED]
        return sorted({*map(int, worst), *map(int, np.flatnonzero(self.verdicts))})
