"""A table, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kd_monai.report.scores_text import wrap

FIRST = 26


@dataclass(frozen=True)
class Table:
    """Rows of text under a title.

    Attributes:
        title: what is shown, with its unit.
        columns: names of the columns behind the first, which names the row.
        rows: as many cells as columns and one.
        notes: sentences below.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())

    def text(self) -> str:
        """Aligned, the first column cut to 26 characters."""
        cells = [["", *self.columns], *self.rows]
        first = min(FIRST, max(len(row[0]) for row in cells))
        widths = [max(len(row[i]) for row in cells) for i in range(1, len(self.columns) + 1)]
        lines = [
            f"{row[0] if len(row[0]) <= first else row[0][: first - 1] + '…':<{first}}"
            + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths, strict=True))
            for row in cells
        ]
        return "\n".join([wrap(self.title), *(line.rstrip() for line in lines), *map(wrap, self.notes)])

    def markdown(self) -> str:
        """As GitHub shows it."""
        rows = [["", *self.columns], ["---"] * (len(self.columns) + 1), *self.rows]
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        return "\n\n".join([f"**{self.title}**", "\n".join(lines), *self.notes])


def noted_once(tables: Sequence[Table]) -> list[Table]:
    """The tables, a note that several have below the first of them alone."""
    seen: set[str] = set()
    kept = []
    for table in tables:
        kept.append(replace(table, notes=[note for note in table.notes if note not in seen]))
        seen |= set(table.notes)
    return kept
