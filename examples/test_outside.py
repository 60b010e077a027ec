"""A test as it stands in anybody's project: pytest --comparisons-csv DIR keeps what it compared."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "styles"))

from rows import backprop

from comparisons import assert_matches_autograd


def test_backprop():
    assert_matches_autograd(backprop, layout="rows")
