"""Impedance spectra of a run: fits of two arcs, shorts, and whether each may be believed.

Found by shape: a stream with a row per frequency, whose columns end in ``_z_real_ohm``,
``_z_imag_ohm`` and ``_frequency_hz``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.electrolyte import (
    first_bulk_ohm_cm2,
    fitted,
    stated_electrolyte_ohm_cm2,
)
from orchestrator.analysis.impedance import SHORT_FRACTION, TwoArcFit
from orchestrator.analysis.kramers_kronig import MIN_POINTS as KK_POINTS
from orchestrator.analysis.kramers_kronig import kramers_kronig
from orchestrator.records.runs import Columns, Run
from orchestrator.report.scales import chosen_rows
from orchestrator.report.surroundings import find_surroundings

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

MOST_ANALYSED = 60
"""Spectra that are fitted of longer series, evenly spread."""
SMALL_SIGNAL_V = 0.02
"""Peak amplitude up to which a cell is taken to respond linearly, V: that of the devices [A]."""
_SAME_CELSIUS = 3.0
"""Temperatures nearer than this are one, degree Celsius: 13 % of a resistance at 0.42 eV."""
_READ_WITHIN_S = 900.0
"""A temperature that was read longer before or after a spectrum is not its own, s."""


@dataclass(frozen=True)
class Spectrum:
    """One spectrum.

    Attributes:
        number: Its number in the run.
        time_s: Its middle, seconds since the run began.
        frequency_hz: Frequencies as they were taken, Hz.
        ohm: Impedance, ohm.
        amplitude_v: Largest peak amplitude of the voltage, V; NaN where unknown.
        dc_current_ma: Median direct current, mA; NaN where unknown.
        fit: Two arcs; None where the area is not known or there are too few points.
        kramers_kronig: ``ok``, or why it is not the spectrum of a linear, steady cell.
        temperature_celsius: Measured temperature of the cell, degree Celsius; NaN where unknown.
    """

    number: int
    time_s: float
    frequency_hz: Floats
    ohm: Complexes
    amplitude_v: float
    dc_current_ma: float
    fit: TwoArcFit | None
    kramers_kronig: str
    temperature_celsius: float = math.nan

    @property
    def linear(self) -> bool:
        """Whether the amplitude was that of a small signal, as far as is known."""
        return not self.amplitude_v > SMALL_SIGNAL_V


@dataclass(frozen=True)
class Impedance:
    """The spectra of a run.

    Attributes:
        device: Name of the device in the documents.
        spectra: Those that were analysed, in the order in which they were taken.
        count: How many there are.
        area_cm2: Electrode area, cm2; 1 where it is not known.
        known_area: Whether it is known.
        electrolyte_ohm_cm2: What a short is told by, ohm cm2; NaN without.
        electrolyte_source: Where that comes from, in words.
    """

    device: str
    spectra: tuple[Spectrum, ...]
    count: int
    area_cm2: float
    known_area: bool
    electrolyte_ohm_cm2: float
    electrolyte_source: str

    @property
    def unit(self) -> str:
        """Unit of the resistances."""
        return "Ω cm²" if self.known_area else "Ω"

    @property
    def celsius(self) -> Floats:
        """Temperature of each spectrum, degree Celsius; NaN where unknown."""
        return np.array([one.temperature_celsius for one in self.spectra])

    @property
    def warmed(self) -> bool:
        """Whether the spectra were taken at several temperatures."""
        return several_temperatures(self.celsius)

    @property
    def time_s(self) -> Floats:
        """Middle of each spectrum, s since the run began."""
        return np.array([one.time_s for one in self.spectra])


def find_impedance(run: Run, begin_s: float, sample: Mapping[str, Any]) -> Impedance | None:
    """Find the spectra of a run and analyse them; None if it took none.

    Args:
        run: The run.
        begin_s: Unix time at which it began, s.
        sample: Its sample's metadata.
    """
    found = [
        (len(columns["time"]), key.removesuffix("_z_real_ohm"), columns)
        for columns in run.streams.values()
        for key in columns
        if key.endswith("_z_real_ohm") and len(columns["time"])
    ]
    found = [
        (rows, device, columns)
        for rows, device, columns in found
        if f"{device}_z_imag_ohm" in columns and f"{device}_frequency_hz" in columns
    ]
    if not found:
        return None
    _, device, columns = max(found, key=lambda row: row[0])
    parts = _parts(columns, device)
    area = sample.get("area_cm2")
    known = isinstance(area, int | float) and area > 0
    area_cm2 = float(area) if known and area is not None else 1.0
    electrolyte, source = _electrolyte(columns, device, parts, (sample, area_cm2))
    kept = [parts[k] for k in chosen_rows(len(parts), MOST_ANALYSED)]
    celsius = _temperatures(run, begin_s, columns, kept)
    references = [electrolyte] * len(kept)
    if several_temperatures(celsius):
        references = _at_each_temperature(columns, device, kept, (celsius, area_cm2))
        source = "of the first one at each temperature, taken to be that of a cell without a short"
        electrolyte = math.nan
    return Impedance(
        device=device,
        spectra=tuple(
            replace(
                _spectrum(columns, device, rows, (begin_s, area_cm2, reference)),
                temperature_celsius=float(t),
            )
            for rows, reference, t in zip(kept, references, celsius, strict=True)
        ),
        count=len(parts),
        area_cm2=area_cm2,
        known_area=known,
        electrolyte_ohm_cm2=electrolyte,
        electrolyte_source=source,
    )


def several_temperatures(celsius: Floats) -> bool:
    """Whether temperatures differ by more than a chamber's band and noise."""
    known = celsius[np.isfinite(celsius)]
    return len(known) > 1 and bool(np.ptp(known) > _SAME_CELSIUS)


def _temperatures(
    run: Run, begin_s: float, columns: Columns, parts: list[npt.NDArray[np.intp]]
) -> Floats:
    """Measured temperature of the cell in the middle of each spectrum, degree Celsius."""
    around = find_surroundings(run.streams, begin_s)
    if around is None or around.temperature_celsius is None:
        return np.full(len(parts), math.nan)
    time_s = np.asarray(columns["time"], float) - begin_s
    middle_s = np.array([0.5 * (time_s[rows[0]] + time_s[rows[-1]]) for rows in parts])
    known = np.isfinite(around.temperature_celsius)
    if not known.any():
        return np.full(len(parts), math.nan)
    read_s, read = around.time_s[known], around.temperature_celsius[known]
    near = np.abs(read_s[None, :] - middle_s[:, None]).min(axis=1) <= _READ_WITHIN_S
    return np.where(near, np.interp(middle_s, read_s, read), math.nan)


def _at_each_temperature(
    columns: Columns,
    device: str,
    parts: list[npt.NDArray[np.intp]],
    known: tuple[Floats, float],
) -> list[float]:
    """Bulk resistance of the first spectrum at the temperature of each one, ohm cm2."""
    celsius, area_cm2 = known
    fits: dict[int, float] = {}
    references = []
    for t in celsius:
        if not math.isfinite(t):
            references.append(math.nan)  # nothing to tell a short by
            continue
        first = int(np.flatnonzero(np.abs(celsius - t) <= _SAME_CELSIUS)[0])
        if first not in fits:
            fits[first] = first_bulk_ohm_cm2(*_values(columns, device, parts[first]), area_cm2)
        references.append(fits[first])
    return references


def _parts(columns: Columns, device: str) -> list[npt.NDArray[np.intp]]:
    """Rows of each spectrum: by its number, else wherever the sweep begins again."""
    numbers = columns.get(f"{device}_spectrum")
    if numbers is None:
        hertz = np.asarray(columns[f"{device}_frequency_hz"], float)
        falling = len(hertz) > 1 and hertz[1] < hertz[0]
        again = np.diff(hertz) > 0 if falling else np.diff(hertz) < 0
        numbers = np.concatenate([[0], np.cumsum(again)])
    numbers = np.asarray(numbers)
    return [np.flatnonzero(numbers == number) for number in dict.fromkeys(numbers.tolist())]


def _values(columns: Columns, device: str, rows: npt.NDArray[np.intp]) -> tuple[Floats, Complexes]:
    hertz, real, imaginary = (
        np.asarray(columns[f"{device}_{name}"], float)[rows]
        for name in ("frequency_hz", "z_real_ohm", "z_imag_ohm")
    )
    return hertz, np.asarray(real + 1j * imaginary, dtype=np.complex128)


def _electrolyte(
    columns: Columns,
    device: str,
    parts: list[npt.NDArray[np.intp]],
    known: tuple[Mapping[str, Any], float],
) -> tuple[float, str]:
    """Resistance of the electrolyte alone: from the metadata, else the first spectrum's bulk."""
    sample, area_cm2 = known
    stated = stated_electrolyte_ohm_cm2(sample)
    if stated > 0:
        return stated, "thickness over conductivity in the sample's metadata"
    value = first_bulk_ohm_cm2(*_values(columns, device, parts[0]), area_cm2)
    return value, "the bulk of the first spectrum, taken to be that of a cell without a short"


def _spectrum(
    columns: Columns,
    device: str,
    rows: npt.NDArray[np.intp],
    known: tuple[float, float, float],
) -> Spectrum:
    begin_s, area_cm2, electrolyte = known
    hertz, ohm = _values(columns, device, rows)
    usable = np.isfinite(ohm) & (hertz > 0)
    verdict = f"not tested: {int(usable.sum())} usable points, expected {KK_POINTS}"
    if usable.sum() >= KK_POINTS:
        verdict = kramers_kronig(hertz[usable], ohm[usable]).quality
    time_s = np.asarray(columns["time"], float)[rows] - begin_s
    amplitude = columns.get(f"{device}_amplitude_v", np.full(len(columns["time"]), np.nan))
    current = columns.get(f"{device}_dc_current_ma", np.full(len(columns["time"]), np.nan))
    numbers = columns.get(f"{device}_spectrum", np.zeros(len(columns["time"])))
    return Spectrum(
        number=int(numbers[rows[0]]),
        time_s=0.5 * float(time_s[0] + time_s[-1]),
        frequency_hz=hertz,
        ohm=ohm,
        amplitude_v=_largest(np.asarray(amplitude, float)[rows]),
        dc_current_ma=float(np.median(np.asarray(current, float)[rows])),
        fit=fitted(hertz[usable], ohm[usable], area_cm2, electrolyte),
        kramers_kronig=verdict,
    )


def _largest(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else math.nan


SHORT_NOTE = (
    f"A spectrum is a short where |Z| at its lowest frequencies is less than {SHORT_FRACTION:g} of "
    "the electrolyte's resistance: no ionic path can be."
)
