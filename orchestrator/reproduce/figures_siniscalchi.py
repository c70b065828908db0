"""Figures of Siniscalchi et al. 2024 as they come back: spectra and resistances while plating."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.report.style import LAYER_COLOURS, panel
from orchestrator.reproduce.drawing import Drawing, panels, published
from orchestrator.reproduce.task import Observation


def draw(observations: Mapping[tuple[str, str], Observation]) -> list[Drawing]:
    """The figures that there are observations for."""
    return [_plating(observations["geis_plating", "phobic#0"])]


def _plating(seen: Observation) -> Drawing:
    figure, (left, right) = panels(2)
    panel(left, "a", "First spectrum (Fig. 1b)")
    real, minus_imaginary = seen["nyquist"]
    left.plot(real, minus_imaginary, "o", markersize=3.0, color=LAYER_COLOURS[0])
    left.set(xlabel="Re Z / Ω cm²", ylabel="-Im Z / Ω cm²", xlim=(0.0, None))
    left.set_aspect("equal", adjustable="datalim")
    panel(right, "b", "Resistances while plating 0.5 mA/cm²")
    right.plot(
        seen["charge"], seen["interface"], "o-", markersize=3.0, linewidth=0.8,
        color=LAYER_COLOURS[0], label="interface",
    )  # fmt: skip
    right.plot(
        seen["charge"], seen["bulk"], "s-", markersize=3.0, linewidth=0.8,
        color=LAYER_COLOURS[1], label="bulk",
    )  # fmt: skip
    published(right, 2000.0, "2000 Ω cm²")
    published(right, 500.0, "500 Ω cm²")
    right.set(xlabel="charge plated / mAh cm⁻²", ylabel="resistance / Ω cm²", yscale="log")
    right.legend(loc="upper right", bbox_to_anchor=(1.0, 0.9))
    alt = "Nyquist plot of the first spectrum; bulk and interface resistance against charge"
    caption = (
        "First sample, to its short. a: before plating. b: two arcs fitted to each spectrum that "
        "was taken within the plating step; the paper states 2000 and soon 500 Ω cm², and a bulk "
        "that falls gradually."
    )
    return Drawing("plating", figure, alt, caption)
