"""A hand-written network beside autograd: does it match, and if not, where does it go wrong.

>>> import numpy as np
>>> from handnet import Network
>>> from comparisons import compare
>>> net = Network.random([2, 3, 1], rng=np.random.default_rng(0))
>>> compare(net, [0.5, -0.5], [1.0]).passed
True
"""

from comparisons.checks import assert_matches_autograd, check, compare
from comparisons.functions import assert_matches, backward_of, bounds, check_function
from comparisons.output.page import to_html
from comparisons.reference.operations import rule
from comparisons.reference.twin import from_torch, to_torch
from comparisons.verdict.comparison import Comparison, MismatchError

__all__ = [
    "Comparison",
    "MismatchError",
    "assert_matches",
    "assert_matches_autograd",
    "backward_of",
    "bounds",
    "check",
    "check_function",
    "compare",
    "from_torch",
    "rule",
    "to_html",
    "to_torch",
]
