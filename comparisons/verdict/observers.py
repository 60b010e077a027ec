"""Who is told of each comparison that is made, and who shows it in a notebook.

Apart from it, so that the pytest plugin needs no torch to ask, and judging knows nothing of how it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OBSERVERS: list[Callable[[Any], None]] = []
# A function that returns a comparison as HTML; the last one shows it.
RENDERERS: list[Callable[[Any], str]] = []
# A function that writes a comparison as a page into a folder; the last one does.
PAGES: list[Callable[[Any, Any], None]] = []


def rendered(comparison: Any) -> str | None:
    """Return a comparison as HTML; None where there is nothing that shows it."""
    return RENDERERS[-1](comparison) if RENDERERS else None


def paged(comparison: Any, directory: Any) -> None:
    """Write a comparison as a page into a folder."""
    PAGES[-1](comparison, directory)
