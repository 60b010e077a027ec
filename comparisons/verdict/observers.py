"""Who is told of each comparison that is made; apart from it, so that the pytest plugin needs no torch to ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OBSERVERS: list[Callable[[Any], None]] = []
