"""Liu et al. 2025, Fig. 2 and last section of the results: 6Li in dendrites and electrolyte."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from orchestrator.records.runs import Run
from orchestrator.report.contents import gather
from orchestrator.reproduce.row import Line, Row
from orchestrator.reproduce.task import Observation, Task
from orchestrator.running import RunResult

_P = "liu"
_EXAMPLE = "tracer_exchange"
_AREA_CM2 = 0.6044
_CHARGES_C = (5.0, 24.0, 61.0, 122.0)
"""Charges at which the paper opened cells (Fig. 2c, d)."""

_LOW, _HIGH = "5 mV", "40 mV"


def tasks(seeds: int) -> list[Task]:
    """Exchange to 122 C, and to 61 C at the two currents of the last section."""
    del seeds
    return [
        Task(
            _EXAMPLE,
            isotopes,
            {
                "protocol.record.time_s": 300.0,
                "stop_when": ["hard_short", {"throughput_mah_per_cm2": _per_cm2(122.5)}],
            },
            poll_period_s=1800.0,
            keep=True,
            weight=12.0,
        ),
        _at_current(_LOW, 0.010),
        _at_current(_HIGH, 0.078),
    ]


def _at_current(label: str, density: float) -> Task:
    """To 61 C at another current, with the charge of a half cycle kept: 0.05 mAh/cm2."""
    half_s = round(0.05 / density * 3600.0)
    return Task(
        _EXAMPLE,
        isotopes,
        {
            "protocol.record.time_s": 600.0,
            "protocol.method.1.current_mA_per_cm2": density,
            "protocol.method.3.current_mA_per_cm2": -density,
            "protocol.method.1.until_time_s": half_s,
            "protocol.method.3.until_time_s": half_s,
            "images.0.when": {"at": ["end"]},
            "stop_when": ["hard_short", {"throughput_mah_per_cm2": _per_cm2(61.0)}],
        },
        label,
        poll_period_s=3600.0,
        weight=7.0,
    )


def _per_cm2(coulomb: float) -> float:
    return coulomb / 3.6 / _AREA_CM2


def isotopes(run: Run, result: RunResult) -> Observation:
    """Fractions of 6Li in the dendrites and in the electrolyte against the charge passed."""
    del result
    contents = gather(run)
    imaging, echem = contents.imaging, contents.echem
    assert imaging is not None  # noqa: S101 - the protocol takes spectra
    assert imaging.spectra is not None  # noqa: S101
    assert echem is not None  # noqa: S101
    records = echem.records
    passed_c = 3.6 * np.interp(imaging.centre_s, records.time_s, records.throughput_mah)
    start_v, _ = echem.beginning()
    return {
        "start_mv": 1e3 * start_v,
        "passed_c": passed_c.tolist(),
        "x6_metal": [line.fraction.x6 for line in imaging.spectra.metal],
        "x6_metal_errors": [line.fraction.error for line in imaging.spectra.metal],
        "x6_llzo": [line.fraction.x6 for line in imaging.spectra.electrolyte],
        "x6_llzo_errors": [line.fraction.error for line in imaging.spectra.electrolyte],
    }


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Order and course of the fractions."""
    whole = observations[_EXAMPLE, ""]
    low, high = observations[_EXAMPLE, _LOW], observations[_EXAMPLE, _HIGH]
    metal = {c: _at(whole, "x6_metal", c) for c in _CHARGES_C}
    llzo = {c: _at(whole, "x6_llzo", c) for c in _CHARGES_C}
    values = (
        metal[5.0] - llzo[5.0],
        metal[5.0],
        metal[24.0] - metal[5.0],
        metal[61.0] - metal[24.0],
        metal[61.0] - llzo[61.0],
        metal[122.0] - llzo[122.0],
        low["start_mv"],
        low["x6_metal"][-1] - low["x6_llzo"][-1],
        high["start_mv"],
        high["x6_metal"][-1] - high["x6_llzo"][-1],
    )
    return [line.row(value) for line, value in zip(_LINES, values, strict=True)]


def _at(seen: Observation, name: str, coulomb: float) -> float:
    return float(np.interp(coulomb, seen["passed_c"], seen[name]))


_FIG = "Fig. 2d, from the spectra"
_LINES = (
    Line(_P, "x6_5_c_over_llzo", "6Li in dendrites minus LLZO at 5 C", 0.0, "", "calibrated",
         f"{_FIG}: dendrites lie above LLZO", comparison="above"),
    Line(_P, "x6_5_c", "6Li in dendrites at 5 C", 0.95, "", "calibrated",
         f"{_FIG}: below the electrodes' 0.95", comparison="below"),
    Line(_P, "x6_falls_to_24_c", "change of 6Li in dendrites, 5 to 24 C", 0.0, "", "calibrated",
         f"{_FIG}: falls", comparison="below"),
    Line(_P, "x6_falls_to_61_c", "change of 6Li in dendrites, 24 to 61 C", 0.0, "", "calibrated",
         f"{_FIG}: falls on", comparison="below"),
    Line(_P, "x6_61_c_under_llzo", "6Li in dendrites minus LLZO at 61 C", 0.0, "", "calibrated",
         f"{_FIG}: after parity dendrites lie below LLZO", comparison="below"),
    Line(_P, "x6_122_c_under_llzo", "the same at 122 C", 0.0, "", "calibrated",
         f"{_FIG}; a cell of 7.6 d cannot pass 122 C: the tracer cells live longer",
         comparison="below"),
    Line(_P, "voltage_0p010", "voltage at 0.010 mA/cm2, tracer cell", 5.0, "mV", "calibrated",
         "the paper's low voltage", 1.0),
    Line(_P, "x6_5_mv", "5 mV, 61 C: 6Li in dendrites minus LLZO", 0.0, "", "calibrated",
         "text: mechanism 2 negligible, dendrites above LLZO", comparison="above"),
    Line(_P, "voltage_0p078", "voltage at 0.078 mA/cm2, tracer cell", 40.0, "mV", "calibrated",
         "the paper's high voltage", 4.0),
    Line(_P, "x6_40_mv", "40 mV, 61 C: 6Li in dendrites minus LLZO", 0.0, "", "calibrated",
         "text: more than half by mechanism 2, dendrites far below LLZO", comparison="below"),
)  # fmt: skip
