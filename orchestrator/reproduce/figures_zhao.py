"""Figures of Zhao et al. 2025 as they come back: overpotentials and voids."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.report.style import LAYER_COLOURS, panel
from orchestrator.reproduce.drawing import Drawing, panels, published
from orchestrator.reproduce.task import Observation


def draw(observations: Mapping[tuple[str, str], Observation]) -> list[Drawing]:
    """The figures that there are observations for."""
    return [_voids(observations), _pressures(observations), _cells(observations)]


def _voids(observations: Mapping[tuple[str, str], Observation]) -> Drawing:
    figure, axes = panels(3)
    panel(axes[0], "a", "Voids (Fig. 1c)")
    panel(axes[1], "b", "Largest width (Fig. 1d)")
    panel(axes[2], "c", "Contact loss")
    for colour, example, metal in zip(
        LAYER_COLOURS, ("operando_sem", "operando_sem_limg"), ("Li", "Li-Mg"), strict=False
    ):
        samples = [seen for (name, _), seen in observations.items() if name == example]
        for number, seen in enumerate(samples):
            bold = number == 0
            for at, values in zip(
                axes,
                (seen["per_100_um"], [row[4] for row in seen["widths_um"]], seen["contact_loss"]),
                strict=True,
            ):
                at.plot(
                    seen["charge"], values, color=colour, linewidth=1.4 if bold else 0.5,
                    alpha=1.0 if bold else 0.35, label=metal if bold else None,
                )  # fmt: skip
    published(axes[0], 17.0, "Li first: 16-18")
    published(axes[1], 20.0, "Li-Mg: about 20 µm")
    published(axes[2], 0.9, "90 %")
    axes[0].set(xlabel="charge / mAh cm⁻²", ylabel="voids per 100 µm", ylim=(0.0, None))
    axes[1].set(xlabel="charge / mAh cm⁻²", ylabel="largest width / µm", ylim=(0.0, 60.0))
    axes[2].set(xlabel="charge / mAh cm⁻²", ylabel="contact loss", ylim=(0.0, 1.05))
    axes[2].legend(loc="lower right")
    alt = "Number of voids, largest width and contact loss against charge for lithium and Li-Mg"
    caption = (
        "Every sample, the first one bold, measured in the simulated micrographs. The paper: voids "
        "of lithium merge to a single gap at 1.25 mAh/cm²; those of the alloy grow to about 20 µm, "
        "split and collapse, and contact lasts to 3 mAh/cm² and more."
    )
    return Drawing("voids", figure, alt, caption)


def _cells(observations: Mapping[tuple[str, str], Observation]) -> Drawing:
    figure, (left, right) = panels(2)
    panel(left, "a", "Rate capability (Fig. 5)")
    rates = observations["rate_test", ""]["specific_mah_per_g"]
    left.plot((0.1, 0.2, 0.33, 0.5, 1.0), rates, "o-", color=LAYER_COLOURS[0])
    published(left, 208.0, "208 mAh/g at 0.1 C")
    published(left, 163.0, "163 mAh/g at 1 C")
    left.set(xlabel="rate / C", ylabel="discharge / mAh g⁻¹", ylim=(140.0, 220.0))
    panel(right, "b", "Retention (Fig. 5)")
    for colour, mpa, end in zip(LAYER_COLOURS, ("1", "14"), (76.0, 80.0), strict=False):
        seen = observations["full_cell_cycling", f"{mpa} MPa"]
        percent = [100.0 * value for value in seen["retention"]]
        right.plot(seen["cycle"], percent, color=colour, label=f"{mpa} MPa")
        right.plot([seen["cycle"][-1]], [end], "x", color=colour)
    right.set(xlabel="cycle", ylabel="retention / %", ylim=(60.0, 102.0))
    right.legend(loc="lower left")
    alt = "Discharge capacity against rate; retention against cycle under two pressures"
    caption = "Full cell. Crosses: published 76 % after 260 cycles and 80 % after 750."
    return Drawing("full-cell", figure, alt, caption)


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
