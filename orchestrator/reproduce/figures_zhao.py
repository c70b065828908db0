"""Figures of Zhao et al. 2025 as they come back: overpotentials and voids."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.report.style import LAYER_COLOURS, panel
from orchestrator.reproduce.drawing import Drawing, panels, published
from orchestrator.reproduce.task import Observation


def draw(observations: Mapping[tuple[str, str], Observation]) -> list[Drawing]:
    """The figures that there are observations for."""
    return [_pressures(observations)]


def _pressures(observations: Mapping[tuple[str, str], Observation]) -> Drawing:
    figure, axes = panels(2)
    titles = {"li": "Li (Fig. 3l)", "limg": "Li0.97Mg0.03 (Fig. 3m)"}
    for at, letter, metal in zip(axes, "ab", titles, strict=True):
        panel(at, letter, f"{titles[metal]}, 0.5 mA/cm²")
        first = sorted(
            (float(label.split()[1]), label)
            for _, label in observations
            if label.startswith(f"{metal} ") and label.endswith("0.5 mA/cm2#0")
        )
        for colour, (pressure, label) in zip(LAYER_COLOURS, first, strict=False):
            seen = observations["strip_lithium", label]
            at.plot(
                seen["curve_mah_per_cm2"], seen["curve_mv"], color=colour, linewidth=1.2,
                label=f"{pressure:g} MPa",
            )  # fmt: skip
        at.set(xlabel="charge stripped / mAh cm⁻²", ylabel="overpotential / mV", ylim=(0.0, 300.0))
        at.legend(loc="upper left")
    published(axes[0], 1.0, "diverges near 1", vertical=True)
    published(axes[1], 3.0, "stable to 3", vertical=True)
    alt = "Overpotential against charge at several stack pressures, for lithium and Li-Mg"
    caption = (
        "Overpotential of the first sample under each pressure. The paper: lithium diverges at "
        "0.2 and 1 MPa and is flat at 1.5 and 7 MPa; the alloy does not rise within 3 mAh/cm², and "
        "later only at 0.2 and 1 MPa."
    )
    return Drawing("pressure", figure, alt, caption)
