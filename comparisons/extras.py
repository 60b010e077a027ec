"""Libraries that only some commands need, imported where they are used."""

from __future__ import annotations

import importlib
from typing import Any


class MissingExtraError(ImportError):
    """A library that only some commands need is not installed."""


def extra(module: str, name: str) -> Any:
    """Import a module of an extra.

    Parameters
    ----------
    module : to import
    name : of the extra that brings it

    Raises
    ------
    MissingExtraError
        One line that says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise MissingExtraError(f'{package} is not installed: pip install "handnet[{name}]"') from None
