"""Siniscalchi et al. 2024: electronic conductivity, and the dendrite under the probe."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from orchestrator.analysis.measured import Measured
from orchestrator.analysis.spallations import spallations
from orchestrator.analysis.transport import (
    electronic_conductivity_s_per_cm,
    ohmic_resistance_ohm,
    wire_diameter_nm,
)
from orchestrator.records.runs import Run
from orchestrator.report.contents import electrochemistry
from orchestrator.reproduce.row import Line, Row
from orchestrator.reproduce.task import Observation, Task
from orchestrator.running import RunResult

_P = "siniscalchi"
_ELECTRONIC, _EBIC = "electronic_conductivity", "ebic_map"
_PROBE, _CELL = "", "cell"
_POINTS = 60
_LENGTH_CM = 0.12
"""Thickness of the pellet (Methods), cm."""


def tasks(seeds: int) -> list[Task]:
    """A potential step on a blocking pellet; I-V and a map of the dendrite, I-V of its cell."""
    del seeds
    return [
        Task(_ELECTRONIC, electronic, keep=True, weight=0.5),
        Task(_EBIC, dendrite, keep=True, weight=1.5),
        Task(
            _EBIC,
            current_voltage,
            {"images": [], "sample.simulate_as.probe": None},
            _CELL,
            weight=0.3,
        ),
    ]


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """What came back of each."""
    probe, cell = observations[_EBIC, _PROBE], observations[_EBIC, _CELL]
    values = (
        observations[_ELECTRONIC, ""]["electronic_s_per_cm"],
        probe["ohm"],
        probe["wire_nm"],
        cell["ohm"],
        probe["dark_diameter_um"],
        probe["dark_diameter_um"],
    )
    return [line.row(value) for line, value in zip(_LINES, values, strict=True)]


def current_voltage(run: Run, result: RunResult) -> Observation:
    """Resistance between the terminals, ohm, from currents in both directions."""
    del result
    echem = electrochemistry(run)
    assert echem is not None  # noqa: S101 - the protocol records
    records = echem.records
    on = np.abs(records.current_ma) > 1e-6
    found = ohmic_resistance_ohm(records.voltage_v[on], records.current_ma[on])
    return {"ohm": found.value, "ohm_error": found.error}


def dendrite(run: Run, result: RunResult) -> Observation:
    """Resistance of the dendrite, the wire it would be, and the largest dark spot of the map."""
    seen = current_voltage(run, result)
    settings = run.descriptors["sem"]["configuration"]["sem"]["data"]
    pixel_um = float(settings["sem_hfw_um"]) / float(settings["sem_resolution_px"][0])
    channels = list(settings["sem_channels"])
    induced = np.asarray(run.frames("sem")[0][channels.index("EBIC")], dtype=float)
    found = spallations(induced, pixel_um, polarity="dark")
    wire = wire_diameter_nm(Measured(seen["ohm"], seen["ohm_error"]), length_cm=_LENGTH_CM)
    return {
        **seen,
        "wire_nm": wire.value,
        "dark_spots": found.number.value,
        "dark_diameter_um": max(
            (spot.diameter_um for spot in found.spots if spot.quality == "ok" and not spot.cut),
            default=None,
        ),
    }


def electronic(run: Run, result: RunResult) -> Observation:
    """Electronic conductivity from the last of log-spaced points after the step."""
    del result
    echem = electrochemistry(run)
    assert echem is not None  # noqa: S101 - the protocol records
    records = echem.records
    elapsed_s = records.time_s - records.time_s[0]
    wanted = np.geomspace(1.0, elapsed_s[-1], _POINTS)
    index = np.unique(np.searchsorted(elapsed_s, wanted).clip(0, len(elapsed_s) - 1))
    step_v = float(np.median(records.voltage_v))
    sample = run.start["sample"]
    found = electronic_conductivity_s_per_cm(
        elapsed_s[index],
        1e-3 * records.current_ma[index],
        step_v=step_v,
        area_cm2=float(sample["area_cm2"]),
        thickness_cm=float(sample["thickness_cm"]),
    )
    return {
        "electronic_s_per_cm": found.value,
        "electronic_error_s_per_cm": found.error,
        "leak_na_per_v": 1e6 * float(records.current_ma[-1]) / step_v,
    }


_LINES = (
    Line(_P, "electronic_s_per_cm", "electronic conductivity of LLZTO", 1e-8, "S/cm",
         "analysis_round_trip", "text; potential step on Ni/LLZTO/Ni, last 10 of 60 log-spaced "
         "points of one hour", 5e-10),
    Line(_P, "dendrite_ohm", "resistance of the dendrite under the probe", 440.0, "ohm",
         "analysis_round_trip", "text; I-V in both directions; the sample has this resistance",
         9.0),
    Line(_P, "measured_wire_nm", "diameter of a lithium wire of that resistance", 500.0, "nm",
         "arithmetic", "text: about 500 nm, straight", 100.0),
    Line(_P, "cell_ohm", "resistance of the shorted cell, I-V", 487.0, "ohm", "predicted",
         "text: 487 ohm; the dendrite with its leads, beside the ionic path", 10.0),
    Line(_P, "spot_over_5_um", "largest single connected spallation in the map", 5.0, "um",
         "analysis_round_trip", "Fig. 1, 2: 5-100 um", comparison="above"),
    Line(_P, "spot_under_100_um", "the same", 105.0, "um", "analysis_round_trip",
         "Fig. 1, 2: 5-100 um, and the error of a diameter", comparison="below"),
)  # fmt: skip
