"""Figures of Liu et al. 2025 as they come back: voltage, layers, isotopes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from orchestrator.report.style import LAYER_COLOURS, LAYER_MARKERS, VOLTAGE, panel
from orchestrator.reproduce.drawing import Drawing, panels, published
from orchestrator.reproduce.task import Observation


def draw(observations: Mapping[tuple[str, str], Observation]) -> list[Drawing]:
    """The figures that there are observations for."""
    return [_in_situ(observations["in_situ_mri", ""]), _isotopes(observations)]


def _in_situ(seen: Observation) -> Drawing:
    figure, (left, right) = panels(2)
    panel(left, "a", "Voltage at 0.1 mA/cm² (Fig. 4a)")
    left.plot(seen["curve_d"], seen["curve_mv"], color=VOLTAGE, linewidth=0.6)
    published(left, 50.0, "50 mV")
    published(left, 7.6, "short at 7.6 d", vertical=True)
    left.set(xlabel="time / d", ylabel="voltage / mV", ylim=(-300.0, 300.0))
    panel(right, "b", "Metallic lithium by depth (Fig. 4b)")
    for layer, amounts in enumerate(np.array(seen["layers_umol_per_cm2"]).T):
        right.plot(
            seen["layers_d"], amounts, LAYER_MARKERS[layer], color=LAYER_COLOURS[layer],
            markersize=3.5, label=f"layer {layer + 1}",
        )  # fmt: skip
    for bound in seen["stage_bounds_d"]:
        right.axvline(bound, color="#c9cfd6", linewidth=0.8, zorder=0)
    right.set(xlabel="time / d", ylabel="lithium / µmol cm⁻²")
    right.legend(loc="upper left")
    alt = "Voltage against time to the short; lithium in four layers against time"
    caption = (
        "a: every half cycle; the paper states about 50 mV and a short at 7.6 d. b: lithium in "
        "four layers from the simulated images, one standard deviation is about 0.2 µmol/cm²; "
        "lines: boundaries of the stages I to IV. The paper's points exist in its figure only."
    )
    return Drawing("in-situ", figure, alt, caption)


def _isotopes(observations: Mapping[tuple[str, str], Observation]) -> Drawing:
    whole = observations["tracer_exchange", ""]
    figure, (left, right) = panels(2)
    panel(left, "a", "⁶Li at 0.1 mA/cm² (Fig. 2d)")
    for name, words, colour in (
        ("metal", "dendrites", LAYER_COLOURS[0]),
        ("llzo", "LLZO", LAYER_COLOURS[1]),
    ):
        left.errorbar(
            whole["passed_c"], whole[f"x6_{name}"], whole[f"x6_{name}_errors"],
            fmt="o", markersize=3.5, elinewidth=0.8, color=colour, label=words,
        )  # fmt: skip
    for coulomb in (5.0, 24.0, 61.0, 122.0):
        published(left, coulomb, f"{coulomb:g} C", vertical=True)
    left.set(xlabel="charge passed / C", ylabel="fraction of ⁶Li", ylim=(0.0, 0.5))
    left.legend(loc="upper right", bbox_to_anchor=(0.93, 1.0))
    panel(right, "b", "⁶Li at 61 C, by voltage")
    for row, label in enumerate(("5 mV", "40 mV")):
        seen = observations["tracer_exchange", label]
        right.plot([seen["x6_metal"][-1]], [row], "o", color=LAYER_COLOURS[0])
        right.plot([seen["x6_llzo"][-1]], [row], "s", color=LAYER_COLOURS[1])
    right.set(
        xlabel="fraction of ⁶Li", xlim=(0.0, 0.5), ylim=(-0.6, 1.6), yticks=[0, 1],
        yticklabels=["5 mV", "40 mV"],
    )  # fmt: skip
    right.plot([], [], "o", color=LAYER_COLOURS[0], label="dendrites")
    right.plot([], [], "s", color=LAYER_COLOURS[1], label="LLZO")
    right.legend(loc="upper right")
    right.tick_params(axis="y", length=0)
    alt = (
        "Fraction of 6Li in dendrites and LLZO against the charge passed; the same at two voltages"
    )
    caption = (
        "a: fractions from pairs of simulated spectra; dashed: charges at which the paper opened "
        "cells. Dendrites begin between electrode and LLZO, fall, and end below LLZO. b: at low "
        "voltage dendrites stay above LLZO, at high voltage they lie below it."
    )
    return Drawing("isotopes", figure, alt, caption)
