"""Prints the gallery: python -m tests.real_bugs."""

from .table import gallery, table

print(table(gallery()))
