"""A hand-written network beside autograd: does it match, and if not, where does it go wrong.

>>> import numpy as np
>>> from handnet import Network
>>> from comparisons import compare
>>> net = Network.random([2, 3, 1], rng=np.random.default_rng(0))
>>> compare(net, [0.5, -0.5], [1.0]).passed
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from comparisons.verdict.observers import PAGES, RENDERERS

if TYPE_CHECKING:
    from comparisons.checks import assert_matches_autograd, check, compare
    from comparisons.functions import assert_matches, backward_of, bounds, check_function
    from comparisons.output.page import to_html
    from comparisons.reference.conversion import from_torch, to_torch
    from comparisons.reference.operations import rule
    from comparisons.studies.audit import audit
    from comparisons.studies.grade import grade
    from comparisons.verdict.comparison import Comparison, MismatchError

__all__ = [
    "Comparison",
    "MismatchError",
    "assert_matches",
    "assert_matches_autograd",
    "audit",
    "backward_of",
    "bounds",
    "check",
    "check_function",
    "compare",
    "from_torch",
    "grade",
    "rule",
    "to_html",
    "to_torch",
]

# Where each name is at home. It is imported when it is first asked for: a type of the ground floor needs no torch.
HOMES = {
    "comparisons.checks": ("assert_matches_autograd", "check", "compare"),
    "comparisons.functions": ("assert_matches", "backward_of", "bounds", "check_function"),
    "comparisons.output.page": ("to_html",),
    "comparisons.reference.conversion": ("from_torch", "to_torch"),
    "comparisons.reference.operations": ("rule",),
    "comparisons.studies.audit": ("audit",),
    "comparisons.studies.grade": ("grade",),
    "comparisons.verdict.comparison": ("Comparison", "MismatchError"),
}


def _as_html(comparison: Any) -> str:
    html: str = import_module("comparisons.output.notebook").html(comparison)
    return html


def _as_page(comparison: Any, directory: Any) -> None:
    import_module("comparisons.output.page").to_html(comparison, directory)


RENDERERS.append(_as_html)
PAGES.append(_as_page)


def __getattr__(name: str) -> Any:
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
