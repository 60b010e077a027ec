"""The gallery as a table: what `check` says of each mistake, and who else would have noticed it."""

from __future__ import annotations

from typing import Any

from comparisons import check
from comparisons.reference.quantities import quantity_name

from .bugs import BUGS, Bug
from .checkers import SAMPLES, Checkers

COLUMNS = ("first wrong", "named", "gradcheck, 1 sample", f"gradcheck, {SAMPLES} samples", "allclose", "the loss rises")


def row(bug: Bug) -> dict[str, Any]:
    """Return what `check` says of the mistake, and whether each of the others notices it."""
    found = check(bug.written(mended=False), **bug.options).diagnosis
    several = Checkers(bug, mended=False)
    notices = (
        Checkers(bug, mended=False, samples=1).gradcheck_notices,
        several.gradcheck_notices,
        several.allclose_notices,
        several.loss_notices,
    )
    first = quantity_name(found.first_wrong) if found and found.first_wrong else ""
    named = " + ".join(found.mistakes) if found else ""
    said = (first, named, *(notice() for notice in notices))
    return dict(zip(COLUMNS, said, strict=True))


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown; the last one counts."""
    cells = {True: "yes", False: "-"}
    lines = [("mistake", *COLUMNS), ("---",) * (len(COLUMNS) + 1)]
    for name, one in rows.items():
        values = [cells[value] if isinstance(value, bool) else value for value in one.values()]
        lines.append((name.replace("_", " "), *values))
    counts = [str(sum(bool(one[column]) for one in rows.values())) for column in COLUMNS]
    lines.append((f"of {len(rows)}", *counts))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def gallery() -> dict[str, dict[str, Any]]:
    """Return the row of each mistake, by name."""
    return {bug.name: row(bug) for bug in BUGS}
