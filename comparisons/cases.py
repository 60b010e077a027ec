"""The named cases, by the short name under which scripts and notebooks import them."""

from comparisons.studies.cases import CASES, Case, case, load_digits

__all__ = ["CASES", "Case", "case", "load_digits"]
