"""How a row is said, in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.reproduce.row import Kind, Row

TITLES: Mapping[str, str] = {
    "liu": "Liu et al., Nature Materials 2025: Li/LLZO/Li, 7Li MRI, tracer exchange",
    "zhao": "Zhao et al., Nature Communications 2025: voids in Li and Li-Mg",
    "siniscalchi": "Siniscalchi et al., Energy Environ. Sci. 2024: plating of LLZTO",
}
"""What a paper is about, by its short name."""

KINDS: Mapping[Kind, str] = {
    "predicted": "predicted",
    "arithmetic": "arithmetic",
    "analysis_round_trip": "round trip",
    "calibrated": "calibrated",
}
"""Kinds of rows, as people read them."""


def stated(row: Row) -> str:
    """The published number with its tolerance or its sense."""
    if row.published is None:
        return "-"
    number = f"{row.published:.5g}"
    if row.comparison in ("below", "above"):
        return f"{'<' if row.comparison == 'below' else '>'} {number}"
    return f"{number} ± {row.tolerance:.2g}" if row.tolerance else number


def measured(row: Row) -> str:
    """The number that came back, with its unit."""
    return "-" if row.value is None else f"{row.value:.4g} {row.unit}".strip()


def verdict(row: Row) -> str:
    """``ok``, ``MISS``, or ``n/a`` where nothing can agree."""
    if row.comparison == "impossible":
        return "n/a"
    return "ok" if row.ok else "MISS"
