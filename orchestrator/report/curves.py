"""The overview of a run without layers: voltage and current against time and charge."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.analysis.cycles import Records, flowing
from orchestrator.analysis.measured import Measured
from orchestrator.analysis.transport import ohmic_resistance_ohm
from orchestrator.report.contents import Contents, Electrochemistry
from orchestrator.report.overview import envelope, mark_gaps, mark_short
from orchestrator.report.scales import TimeUnit, place, time_unit, with_error
from orchestrator.report.style import INK, LAYER_COLOURS, SOFT, VOLTAGE, new_figure, panel

Floats = npt.NDArray[np.float64]

_BINS = 1500
_TOP_IN, _BOTTOM_IN, _PANEL_IN, _THIRD_IN = 0.55, 0.55, 1.9, 2.8
_MOST_POINTS = 4000
_CURRENT = "#8C4A00"
_DECADES = 30.0
"""Greatest over least current from which a decay is drawn on a logarithmic axis."""
_HELD_SHARE = 0.01
_LEVELS = 4
"""Different currents, of both signs, from which a run holds a curve of current and voltage."""
_LEVEL_SHARE = 0.05
_OHMIC_SHARE = 0.9


def draw_curves(contents: Contents) -> Figure | None:
    """Voltage and current against time; against each other where the current was stepped.

    None for a run without records of a potentiostat.
    """
    echem = contents.echem
    if echem is None:
        return None
    unit = time_unit(contents.duration_s)
    curve = current_and_voltage(echem.records)
    varies = echem.capacity is None and not _held(echem.records.voltage_v)
    third = curve or (varies and echem.records.throughput_mah[-1] > 0)
    height_in = 5.0 + (_THIRD_IN if third else 0.0)
    figure = new_figure(contents.provenance, height_in=height_in)
    sides = {"left": 0.085, "right": 0.915, "top": 1 - _TOP_IN / height_in}
    bottom_in = _BOTTOM_IN + (_THIRD_IN if third else 0.0)
    grid = figure.add_gridspec(2, 1, **sides, bottom=bottom_in / height_in, hspace=0.24)
    voltage = figure.add_subplot(grid[0])
    current = figure.add_subplot(grid[1], sharex=voltage)
    below = figure.add_gridspec(
        1, 1, left=0.085, right=0.915, bottom=_BOTTOM_IN / height_in,
        top=(_BOTTOM_IN + _PANEL_IN) / height_in,
    )  # fmt: skip
    panel(voltage, "a", "Cell voltage")
    panel(current, "b", "Current, positive from A to B")
    _draw_voltage(voltage, contents, echem, unit)
    _draw_current(current, echem, unit)
    _mark_moments(voltage, contents, unit)
    voltage.tick_params(labelbottom=False)
    current.set_xlabel(f"Time since the run began / {unit.name}")
    voltage.set_xlim(0, max(contents.duration_s / unit.seconds, 1e-6) * 1.01)
    for axes in (voltage, current):
        mark_gaps(axes, contents.gaps, unit.seconds, contents.duration_s)
    if curve:
        _draw_curve(figure.add_subplot(below[0]), echem.records)
    elif third:
        _draw_against_charge(figure.add_subplot(below[0]), contents, echem)
    return figure


def _draw_voltage(axes: Axes, contents: Contents, echem: Electrochemistry, unit: TimeUnit) -> None:
    records = echem.records
    kept = np.isfinite(records.voltage_v)
    scale, name = _volts(records.voltage_v[kept])
    axes.set_ylabel(name)
    _draw_band(axes, records.time_s[kept] / unit.seconds, records.voltage_v[kept] / scale, VOLTAGE)
    axes.margins(y=0.12)
    if _held(records.voltage_v[kept]):  # its noise is not the news
        level = float(np.median(records.voltage_v[kept])) / scale
        axes.set_ylim(*sorted((0.0, 1.3 * level)))
    if contents.short is not None:
        mark_short(axes, contents.short, contents.short.time_s / unit.seconds)


def _held(voltage_v: Floats) -> bool:
    """Whether the voltage stayed where it was put."""
    if not len(voltage_v):
        return False
    return 0.0 < float(np.ptp(voltage_v)) < _HELD_SHARE * abs(float(np.median(voltage_v)))


def _volts(voltage_v: Floats) -> tuple[float, str]:
    """Volts or millivolts, whichever people would say."""
    largest = float(np.abs(voltage_v).max()) if len(voltage_v) else 1.0
    return (1.0, "V") if largest >= 1.0 else (1e-3, "mV")


def _draw_band(axes: Axes, x: Floats, values: Floats, colour: str) -> None:
    """Every record of a short run; of a long one least, mean and greatest in narrow bins."""
    if len(x) <= _MOST_POINTS:
        axes.plot(x, values, color=colour, lw=1.2)
        return
    middle_x, low, middle, high = envelope(x, values, _BINS)
    axes.fill_between(middle_x, low, high, color=colour, alpha=0.35, lw=0.6)
    axes.plot(middle_x, middle, color=colour, lw=1.0)


def _amperes(current_ma: Floats) -> tuple[float, str]:
    largest = float(np.abs(current_ma).max()) if len(current_ma) else 1.0
    for least, scale, name in ((1.0, 1.0, "mA"), (1e-3, 1e-3, "µA")):
        if largest >= least:
            return scale, name
    return 1e-6, "nA"


def _draw_current(axes: Axes, echem: Electrochemistry, unit: TimeUnit) -> None:
    records = echem.records
    kept = np.isfinite(records.current_ma)
    values = records.current_ma[kept]
    scale, name = _amperes(values)
    axes.set_ylabel(name)
    size = np.abs(values[values != 0])
    decays = len(size) and (values >= 0).mean() in (0.0, 1.0) and not (values == 0).any()
    if decays and size.max() > _DECADES * np.median(size):
        axes.set_yscale("log")
        values = np.abs(values)
    else:
        axes.axhline(0, color=SOFT, lw=0.6)
    _draw_band(axes, records.time_s[kept] / unit.seconds, values / scale, _CURRENT)
    axes.margins(y=0.12)
    if echem.area_cm2 > 0:
        area = echem.area_cm2
        other = axes.secondary_yaxis(
            "right",
            functions=(partial(np.multiply, scale / area), partial(np.multiply, area / scale)),
        )
        other.set_ylabel("mA cm$^{-2}$")


def _mark_moments(axes: Axes, contents: Contents, unit: TimeUnit) -> None:
    """Ticks where frames and spectra were taken."""
    kinds: list[tuple[str, Floats, str]] = []
    if contents.micrographs is not None:
        kinds.append(("frame", contents.micrographs.time_s, LAYER_COLOURS[1]))
    if contents.imaging is not None:
        kinds.append(("frame", contents.imaging.centre_s, LAYER_COLOURS[1]))
    if contents.impedance is not None:
        kinds.append(("impedance spectrum", contents.impedance.time_s, LAYER_COLOURS[3]))
    for row, (name, time_s, colour) in enumerate(kinds):
        axes.plot(
            time_s / unit.seconds, np.full(len(time_s), 0.04 + 0.07 * row), "^", color=colour, ms=4,
            transform=axes.get_xaxis_transform(), label=name, clip_on=False,
        )  # fmt: skip
    if kinds:
        axes.legend(
            loc="lower right", bbox_to_anchor=(0.86, 1.0), ncols=len(kinds), borderaxespad=0
        )


def _draw_against_charge(axes: Axes, contents: Contents, echem: Electrochemistry) -> None:
    records = echem.records
    panel(axes, "c", "Voltage against charge, with current on")
    at = place(echem, records.time_s, contents.duration_s)
    on = flowing(records.current_ma) & np.isfinite(records.voltage_v)
    if not on.any():
        return
    scale, name = _volts(records.voltage_v[on])
    x, values = at.values[on], records.voltage_v[on] / scale
    if len(x) > _MOST_POINTS and x[-1] > x[0]:
        _draw_band(axes, x, values, VOLTAGE)
    else:
        axes.plot(x, values, color=VOLTAGE, lw=1.2)
    axes.set_xlabel(at.label)
    axes.set_ylabel(name)
    axes.set_xlim(0, None)


def current_and_voltage(records: Records) -> bool:
    """Whether the run stepped or swept the current through both signs of a passive cell."""
    on = flowing(records.current_ma) & np.isfinite(records.voltage_v)
    current = records.current_ma[on]
    if not len(current) or not (current.min() < 0 < current.max()):
        return False
    passive = float((records.voltage_v[on] * current > 0).mean())
    apart = np.diff(np.sort(current)) > _LEVEL_SHARE * float(np.abs(current).max())
    return passive >= _OHMIC_SHARE and int(apart.sum()) + 1 >= _LEVELS


def resistance(records: Records) -> Measured:
    """Slope of the curve of current and voltage, ohm."""
    on = flowing(records.current_ma) & np.isfinite(records.voltage_v)
    return ohmic_resistance_ohm(records.voltage_v[on], records.current_ma[on])


def _draw_curve(axes: Axes, records: Records) -> None:
    panel(axes, "c", "Current against voltage")
    on = flowing(records.current_ma) & np.isfinite(records.voltage_v)
    volts, amperes = _volts(records.voltage_v[on]), _amperes(records.current_ma[on])
    voltage_v = records.voltage_v[on]
    axes.plot(voltage_v / volts[0], records.current_ma[on] / amperes[0], "o", ms=3.5,
              color=_CURRENT, mfc="none")  # fmt: skip
    ohm = resistance(records)
    if ohm.value > 0:
        ends = np.array([voltage_v.min(), voltage_v.max()])
        offset = (
            float(np.mean(records.current_ma[on])) - 1e3 * float(np.mean(voltage_v)) / ohm.value
        )
        axes.plot(ends / volts[0], (1e3 * ends / ohm.value + offset) / amperes[0], color=INK,
                  lw=1.0, label=f"{with_error(ohm.value, ohm.error)} Ω")  # fmt: skip
        axes.legend(loc="upper left")
    axes.axhline(0, color=SOFT, lw=0.6)
    axes.axvline(0, color=SOFT, lw=0.6)
    axes.set_xlabel(volts[1])
    axes.set_ylabel(amperes[1])
