"""One line of the table: a published number beside the one that came back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["predicted", "arithmetic", "analysis_round_trip", "calibrated"]
"""What agreement shows. ``predicted``: the model was not fitted to it. ``arithmetic``: it follows
from numbers of the paper. ``analysis_round_trip``: the analysis finds in the images and spectra
what the sample was. ``calibrated``: the model was fitted to it, so that it reproduces itself."""

Comparison = Literal["within", "below", "above", "impossible"]

HEADLINE: tuple[Kind, ...] = ("predicted", "arithmetic", "analysis_round_trip")
"""Kinds that count; a calibrated number proves the program, not the model."""


@dataclass(frozen=True)
class Row:
    """A number of a paper and what the full stack gives for it.

    Attributes:
        paper: ``liu``, ``zhao`` or ``siniscalchi``.
        id: Short name, unique within the paper.
        quantity: What it is, for a person.
        published: The paper's number, in `unit`; None where it prints none.
        value: What came back, in `unit`; None where nothing can.
        unit: Unit of both; empty for a count or a ratio.
        tolerance: Largest difference that agrees, in `unit`; None for a bound or an order.
        ok: Whether it agrees.
        kind: What agreement shows.
        note: Where the number stands, how it was measured, why it may differ.
        comparison: How `ok` was decided: ``within`` the tolerance of `published`, ``below`` or
            ``above`` it; ``impossible`` where no program can agree, with the reason in `note`.
    """

    paper: str
    id: str
    quantity: str
    published: float | None
    value: float | None
    unit: str
    tolerance: float | None
    ok: bool
    kind: Kind
    note: str
    comparison: Comparison = "within"


@dataclass(frozen=True)
class Line:
    """What is published, before anything is measured; `Line.row` judges a value.

    Attributes:
        paper: See `Row`.
        id: See `Row`.
        quantity: See `Row`.
        published: See `Row`.
        unit: See `Row`.
        kind: See `Row`.
        note: See `Row`.
        tolerance: See `Row`; needed by ``within``.
        comparison: See `Row`.
    """

    paper: str
    id: str
    quantity: str
    published: float
    unit: str
    kind: Kind
    note: str
    tolerance: float | None = None
    comparison: Comparison = "within"

    def row(self, value: float | None) -> Row:
        """The row for a measured value; what is missing or no number does not agree."""
        number = None if value is None or not math.isfinite(value) else float(value)
        return Row(
            paper=self.paper,
            id=self.id,
            quantity=self.quantity,
            published=self.published,
            value=number,
            unit=self.unit,
            tolerance=self.tolerance,
            ok=number is not None and self._agrees(number),
            kind=self.kind,
            note=self.note,
            comparison=self.comparison,
        )

    def _agrees(self, value: float) -> bool:
        if self.comparison == "below":
            return value < self.published
        if self.comparison == "above":
            return value > self.published
        if self.comparison == "impossible" or self.tolerance is None:
            return False
        return abs(value - self.published) <= self.tolerance * (1.0 + 1e-9)


def headline(rows: Sequence[Row]) -> tuple[int, int]:
    """How many rows of the kinds that count agree, and how many can."""
    count = [row for row in rows if row.kind in HEADLINE and row.comparison != "impossible"]
    return sum(row.ok for row in count), len(count)


def missed(rows: Sequence[Row]) -> list[Row]:
    """Rows that could agree and do not."""
    return [row for row in rows if not row.ok and row.comparison != "impossible"]
