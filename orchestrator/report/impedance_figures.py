"""Nyquist and Bode plots of a run's spectra, resistances against charge, and their table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.analysis.activation import activation_energy
from orchestrator.analysis.impedance import two_arc_ohm
from orchestrator.analysis.interface import OK
from orchestrator.analysis.resistance_series import resistance_course
from orchestrator.report.impedance import SMALL_SIGNAL_V, Impedance, Spectrum
from orchestrator.report.scales import Place, ascending, chosen_rows, first_middle_last, with_error
from orchestrator.report.sections import Rows
from orchestrator.report.style import LAYER_COLOURS, LAYER_MARKERS, MARK, new_figure, panel

Floats = npt.NDArray[np.float64]

_HEIGHT_IN = 7.4
_TABLE_ROWS = 16
_LOG_FROM = 15.0
_BULK, _INTERFACE = LAYER_COLOURS[0], LAYER_COLOURS[1]


def draw_impedance(provenance: str, seen: Impedance, at: Place) -> Figure:
    """Three spectra with their fits in two views; resistances of all.

    Args:
        provenance: A key of `orchestrator.report.style.BANNERS`.
        seen: The spectra.
        at: Place of each of them in the run.
    """
    figure = new_figure(provenance, height_in=_HEIGHT_IN)
    grid = figure.add_gridspec(
        2, 2, left=0.085, right=0.985, top=0.93, bottom=0.075, hspace=0.3, wspace=0.24
    )
    nyquist, bode = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    title = (
        "Coldest, middle and warmest spectrum" if seen.warmed else "First, middle and last spectrum"
    )
    panel(nyquist, "a", title)
    panel(bode, "b", "|Z| against frequency")
    for k, colour, marker in zip(_shown(seen), LAYER_COLOURS, LAYER_MARKERS, strict=False):
        label = at.text(k)
        _draw_spectrum(nyquist, bode, seen, seen.spectra[k], (colour, marker, label))
    nyquist.set_xlabel(f"Re Z / {seen.unit}")
    nyquist.set_ylabel(f"−Im Z / {seen.unit}")
    nyquist.set_aspect("equal", adjustable="datalim")
    nyquist.axhline(0, color="#999999", lw=0.6, zorder=0)
    bode.set_xscale("log")
    bode.set_yscale("log")
    bode.set_xlabel("Frequency / Hz")
    bode.set_ylabel(f"|Z| / {seen.unit}")
    bode.legend(loc="best")
    axes = figure.add_subplot(grid[1, :])
    panel(axes, "c", "Resistances of the two arcs")
    _draw_resistances(axes, seen, at)
    return figure


def _shown(seen: Impedance) -> list[int]:
    """Three of the course, or of the temperatures."""
    if not seen.warmed:
        return first_middle_last(list(range(len(seen.spectra))))
    order = np.argsort(seen.celsius, kind="stable").tolist()
    return [order[k] for k in first_middle_last(list(range(len(order))))]


def _draw_spectrum(
    nyquist: Axes, bode: Axes, seen: Impedance, one: Spectrum, look: tuple[str, str, str]
) -> None:
    colour, marker, label = look
    z = one.ohm * seen.area_cm2
    points: dict[str, Any] = {
        "color": colour,
        "marker": marker,
        "ms": 3.6,
        "lw": 0,
        "mfc": "white",
        "mew": 0.9,
    }
    nyquist.plot(z.real, -z.imag, **points, label=label)
    bode.plot(one.frequency_hz, np.abs(z), **points, label=label)
    if one.fit is None or not math.isfinite(one.fit.bulk.ohm_cm2):
        return
    hertz = np.geomspace(one.frequency_hz.min(), one.frequency_hz.max(), 300)
    fitted = two_arc_ohm(hertz, one.fit, area_cm2=seen.area_cm2) * seen.area_cm2
    nyquist.plot(fitted.real, -fitted.imag, color=colour, lw=1.1)
    bode.plot(hertz, np.abs(fitted), color=colour, lw=1.1)


def _draw_resistances(axes: Axes, seen: Impedance, at: Place) -> None:
    axes.set_xlabel(at.label)
    axes.set_ylabel(f"Resistance / {seen.unit}")
    every: list[float] = []
    line = "" if seen.warmed else "-"
    for name, arc, colour, marker in (
        ("bulk", "bulk", _BULK, "o"),
        ("interface", "interface", _INTERFACE, "s"),
    ):
        kept = [k for k, s in enumerate(seen.spectra) if _fitted(s)]
        arcs = [getattr(seen.spectra[k].fit, arc) for k in kept]
        values = [a.ohm_cm2 for a in arcs]
        every += values
        axes.errorbar(at.values[kept], values, [a.error_ohm_cm2 for a in arcs], fmt=marker + line,
                      color=colour, ms=4.5, lw=1.0, capsize=2, label=name)  # fmt: skip
    shorts = [k for k, s in enumerate(seen.spectra) if s.fit is not None and s.fit.state == "short"]
    if shorts:
        values = [_low(seen.spectra[k]) for k in shorts]
        every += values
        axes.plot(
            at.values[shorts], values, "X", color=MARK, ms=9, label="short: |Z| at the lowest"
        )
    doubtful = [k for k, s in enumerate(seen.spectra) if _fitted(s) and s.kramers_kronig != OK]
    axes.plot(at.values[doubtful], np.full(len(doubtful), 0.03), "x", color=MARK, ms=6,
              transform=axes.get_xaxis_transform(),
              label="Kramers-Kronig test failed" if doubtful else None)  # fmt: skip
    positive = [v for v in every if v > 0]
    if positive and max(positive) / min(positive) > _LOG_FROM:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, None)
    axes.legend(loc="best", ncols=2)


def _fitted(one: Spectrum) -> bool:
    return one.fit is not None and math.isfinite(one.fit.bulk.ohm_cm2)


def _low(one: Spectrum) -> float:
    return one.fit.low_frequency_ohm_cm2 if one.fit is not None else math.nan


def impedance_rows(seen: Impedance, at: Place) -> Rows:
    """Number, place, direct current, amplitude, state, both arcs, tests and remarks."""
    rows: Rows = []
    for k in chosen_rows(len(seen.spectra), _TABLE_ROWS):
        one, fit = seen.spectra[k], seen.spectra[k].fit
        start = [
            str(one.number),
            f"{at.values[k]:.3f}",
            f"{one.dc_current_ma:.4g}" if math.isfinite(one.dc_current_ma) else "–",
            f"{1e3 * one.amplitude_v:.3g}" if math.isfinite(one.amplitude_v) else "–",
        ]
        verdict = "passed" if one.kramers_kronig == OK else "failed"
        if fit is None:
            rows.append([*start, "–", "–", "–", "–", verdict, "no fit"])
            continue
        remarks = [fit.quality, one.kramers_kronig, "" if one.linear else "not a small signal"]
        rows.append(
            [
                *start,
                fit.state,
                with_error(fit.bulk.ohm_cm2, fit.bulk.error_ohm_cm2),
                with_error(fit.interface.ohm_cm2, fit.interface.error_ohm_cm2),
                f"{fit.low_frequency_ohm_cm2:.4g}",
                verdict,
                "; ".join(text for text in remarks if text not in (OK, "")),
            ]
        )
    return rows


def impedance_warnings(seen: Impedance) -> list[str]:
    """Amplitudes that were not small, spectra that fail the test, in words."""
    words: list[str] = []
    large = [s for s in seen.spectra if not s.linear]
    if large:
        most = max(s.amplitude_v for s in large)
        words.append(
            f"The amplitude was not small in {_some(large, seen)}: up to {1e3 * most:.0f} mV at "
            f"the cell, expected at most {1e3 * SMALL_SIGNAL_V:.0f} mV. A cell need not respond "
            "linearly to that; its arcs may depend on the amplitude (take less current)."
        )
    failed = [s for s in seen.spectra if s.kramers_kronig != OK]
    if failed:
        words.append(
            f"The Kramers-Kronig test fails for {_some(failed, seen)}: "
            f"{failed[0].kramers_kronig}. Such a cell was not steady or not linear meanwhile."
        )
    return words


def _some(kept: list[Spectrum], seen: Impedance) -> str:
    return f"{len(kept)} of {len(seen.spectra)} spectra"


def impedance_notes(seen: Impedance, at: Place) -> list[str]:
    """How the bulk's resistance went, and what a short is told by."""
    notes: list[str] = []
    if not seen.known_area:
        notes.append("The sample's area is not known: resistances are those of the cell, Ω.")
    if seen.count > len(seen.spectra):
        notes.append(f"{len(seen.spectra)} of {seen.count} spectra, evenly chosen, are analysed.")
    fits = [s.fit for s in seen.spectra]
    if any(fit is None for fit in fits):
        return notes
    if seen.warmed:
        return [*notes, _activated(seen)]
    x = at.values if ascending(at.values) else seen.time_s
    unit = at.unit if ascending(at.values) else "s"
    values = [(f.bulk.ohm_cm2, f.bulk.error_ohm_cm2, f.state) for f in fits if f is not None]
    course = resistance_course(
        x, [v[0] for v in values], [v[1] for v in values], [v[2] for v in values]
    )
    if course.quality == OK:
        change = with_error(course.change.value, course.change.error, 100.0)
        notes.append(
            f"The bulk's resistance {_verb(course.course)} ({change} % from first to last)."
        )
    if course.sudden is not None:
        sudden = course.sudden
        what = "The cell shorted" if sudden.short else "The bulk's resistance dropped suddenly"
        notes.append(f"{what} between {sudden.after:.4g} and {sudden.by:.4g} {unit}.")
    return notes


def _activated(seen: Impedance) -> str:
    """The activation energy of the bulk, or why there is none."""
    kept = [s for s in seen.spectra if _fitted(s)]
    arcs = [s.fit.bulk for s in kept if s.fit is not None]
    celsius = np.array([s.temperature_celsius for s in kept])
    energy = activation_energy(celsius, [a.ohm_cm2 for a in arcs], [a.error_ohm_cm2 for a in arcs])
    if energy.quality != OK:
        return f"Several temperatures, but no activation energy: {energy.quality}."
    return (
        f"The bulk conducts with an activation energy of {with_error(energy.value, energy.error)} "
        f"eV between {celsius.min():.0f} and {celsius.max():.0f} °C (ln R against 1/kT)."
    )


def _verb(course: str) -> str:
    return {"steady": "is steady"}.get(course, course)
