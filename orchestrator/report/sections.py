"""Parts of the page that a run has or has not: a figure, its caption, tables, warnings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

Rows = list[list[str]]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        heads: Head of each column.
        rows: Rows of text.
        note: What the numbers are; may be empty.
    """

    heads: tuple[str, ...]
    rows: Rows
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: Its heading.
        name: Stem of its figure's file.
        draw: Draws the figure; None if there is nothing to draw.
        alt: What the figure shows, for those who cannot see it.
        caption: What the figure shows, for those who can.
        tables: Its tables; those without rows are left out.
        notes: Sentences below the figure.
        warnings: What a reader must know before believing the numbers.
    """

    title: str
    name: str
    draw: Callable[[], Figure | None]
    alt: str
    caption: str
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
