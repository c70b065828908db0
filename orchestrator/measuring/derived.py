"""Numbers that conditions look at while an experiment runs: out of images, volumes and spectra.

Each implements `devices.roles.Derived` for one device and calls the analysis that reports call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.derived import Analysis, DerivedNumber, Finding
from devices.mri import MriScanner
from devices.potentiostat import Potentiostat
from devices.roles import UPPER_BOUND, SpectrumPoints
from devices.sem import Sem
from orchestrator.analysis.components import volume_layers
from orchestrator.analysis.electrolyte import (
    first_bulk_ohm_cm2,
    fitted,
    stated_electrolyte_ohm_cm2,
)
from orchestrator.analysis.image_model import LAYERS
from orchestrator.analysis.imaged_cells import (
    VOLUME_METHOD,
    flash_settings,
    imaged_cell,
    volume_cell,
)
from orchestrator.analysis.impedance import TwoArcFit
from orchestrator.analysis.layers import layers_from_frames
from orchestrator.analysis.voids import measure_voids

CONTACT_LOSS = "contact_loss"
LITHIUM = "lithium_umol_per_cm2"
BULK, INTERFACE = "bulk_ohm_cm2", "interface_ohm_cm2"
_INDUCED = "EBIC"

MOST_FRAMES = 400
"""Frames from which the electrodes of a cell are told; older ones are forgotten then."""


def layer(number: int) -> str:
    """Key of the lithium in one layer, from 1 at face A."""
    return f"lithium_layer_{number}_umol_per_cm2"


def micrographs(sem: Sem) -> dict[str, DerivedNumber]:
    """Contact loss (0 to 1) of each micrograph of a microscope, by `measure_voids`."""

    def look(frame: npt.NDArray[np.float32]) -> dict[str, Finding]:
        if sem.method.get() != "image" or _INDUCED in list(sem.channels.get()):
            raise ValueError(f"{sem.name}: takes no micrographs of the interface")
        electrons = frame if frame.ndim == 2 else frame[0]
        found = measure_voids(electrons, sem.hfw_um.get() / electrons.shape[1])
        loss = Finding(found.contact_loss, found.contact_loss_error, found.quality)
        return {CONTACT_LOSS: loss}

    return Analysis(sem.analyses, look, units={CONTACT_LOSS: ""}).numbers


def lithium(mri: MriScanner, sample: Mapping[str, Any]) -> dict[str, DerivedNumber]:
    """Metallic lithium in the electrolyte and its four layers of each MRI image, umol/cm2.

    A volume is read by itself. What does not change between images in two dimensions (electrodes,
    position) is told from all of a run so far: the last image's numbers are those of a report,
    those of earlier ones have larger errors than a report, which looks back, gives them.

    Args:
        mri: The scanner.
        sample: The sample's metadata, as in a start document.
    """
    seen = _Images(mri, sample)
    keys = (LITHIUM, *(layer(number) for number in range(1, LAYERS + 1)))
    units = dict.fromkeys(keys, "umol/cm2")
    return Analysis(
        mri.analyses, seen.look, units=units, begin=seen.forget, remember=seen.remember
    ).numbers


class _Images:
    """The MRI images of one run so far."""

    def __init__(self, mri: MriScanner, sample: Mapping[str, Any]) -> None:
        self._mri, self._sample = mri, sample
        self._frames: list[npt.NDArray[np.float32]] = []

    def forget(self) -> None:
        """A run begins."""
        self._frames.clear()

    def remember(self, frame: npt.NDArray[np.float32]) -> None:
        """An image that was looked at before the run was cut off."""
        if flash_settings(self._mri.settings) is not None and frame.ndim == 2:
            self._frames = [*self._frames[-MOST_FRAMES + 1 :], frame]

    def look(self, frame: npt.NDArray[np.float32]) -> dict[str, Finding]:
        """Amounts in the last image."""
        held = self._mri.settings
        if held.get("method") == VOLUME_METHOD and frame.ndim == 3:
            volume = volume_layers(frame, volume_cell(held, self._sample))
            amounts, errors, total = (
                volume.amounts_umol_per_cm2,
                volume.errors_umol_per_cm2,
                (volume.total.value, volume.total.error),
            )
            return _amounts(amounts, errors, total, volume.quality)
        settings = flash_settings(held)
        if settings is None or frame.ndim != 2:
            raise ValueError(f"{self._mri.name}: takes no images of lithium")
        self.remember(frame)
        images = np.stack(self._frames)
        flags = ["ok"] * len(images)
        cell, _ = imaged_cell(images, settings, self._sample, flags)
        series = layers_from_frames(images, cell, flags=flags)
        sums, sum_errors = series.total()
        return _amounts(
            series.amounts_umol_per_cm2[-1],
            series.errors_umol_per_cm2[-1],
            (float(sums[-1]), float(sum_errors[-1])),
            series.quality[-1],
        )


def _amounts(
    amounts: npt.NDArray[np.float64],
    errors: npt.NDArray[np.float64],
    total: tuple[float, float],
    quality: str,
) -> dict[str, Finding]:
    found = {LITHIUM: Finding(*total, quality)}
    rows = zip(amounts.tolist(), errors.tolist(), strict=True)
    for number, (amount, error) in enumerate(rows, start=1):
        found[layer(number)] = Finding(amount, error, quality)
    return found


def resistances(potentiostat: Potentiostat, sample: Mapping[str, Any]) -> dict[str, DerivedNumber]:
    """Resistance of bulk and interfaces from each impedance spectrum, ohm cm2.

    Two arcs, as a report fits them. The spectrum of a short has no arcs: its impedance at low
    frequency is an upper bound of the bulk's.

    Args:
        potentiostat: Takes the spectra.
        sample: The sample's metadata, as in a start document.
    """
    seen = _Spectra(sample)
    units = {BULK: "ohm cm2", INTERFACE: "ohm cm2"}
    analyses = potentiostat.eis.analyses
    return Analysis(
        analyses, seen.look, units=units, begin=seen.forget, remember=seen.remember
    ).numbers


class _Spectra:
    """The spectra of one run so far."""

    def __init__(self, sample: Mapping[str, Any]) -> None:
        self._sample = sample
        self.forget()

    def forget(self) -> None:
        """A run begins."""
        self._electrolyte = stated_electrolyte_ohm_cm2(self._sample)

    def remember(self, points: SpectrumPoints) -> float:
        """The first spectrum tells the electrolyte, where nobody has stated it; the area, cm2."""
        area_cm2 = float(self._sample.get("area_cm2") or math.nan)
        if not area_cm2 > 0:
            raise ValueError("the sample's area_cm2 is not known")
        if not self._electrolyte > 0:
            ohm = points.real_ohm + 1j * points.imag_ohm
            self._electrolyte = first_bulk_ohm_cm2(points.frequency_hz, ohm, area_cm2)
        return area_cm2

    def look(self, points: SpectrumPoints) -> dict[str, Finding]:
        """Resistances in one spectrum."""
        area_cm2 = self.remember(points)
        hertz = points.frequency_hz
        ohm = points.real_ohm + 1j * points.imag_ohm
        usable = np.isfinite(ohm) & (hertz > 0)
        fit = fitted(hertz[usable], ohm[usable], area_cm2, self._electrolyte)
        if fit is None:
            raise ValueError("no two arcs can be fitted")
        # the fit says what is wrong first with the bulk: then nothing of it is wrong
        of_bulk = "ok" if fit.quality.startswith("interface") else fit.quality
        bulk = Finding(fit.bulk.ohm_cm2, fit.bulk.error_ohm_cm2, of_bulk)
        interface = Finding(fit.interface.ohm_cm2, fit.interface.error_ohm_cm2, fit.quality)
        return {BULK: _of_a_short(fit) if fit.state == "short" else bulk, INTERFACE: interface}


def _of_a_short(fit: TwoArcFit) -> Finding:
    return Finding(fit.low_frequency_ohm_cm2, quality=f"{UPPER_BOUND}: the cell is shorted")


def derive(device: Any, sample: Mapping[str, Any] | None = None) -> dict[str, DerivedNumber]:
    """Everything that is got out of a device's frames or spectra, by key; empty if nothing is.

    Give one to a condition: ``condition("contact_loss_above", derive(bench.sem)["contact_loss"],
    value=0.5)``.

    Args:
        device: A microscope, an MRI scanner, or a potentiostat that takes spectra.
        sample: The sample's metadata, as in a start document; its `area_cm2` is needed for
            lithium and resistances.
    """
    known = sample or {}
    if isinstance(device, Sem):
        return micrographs(device)
    if isinstance(device, MriScanner):
        return lithium(device, known)
    return resistances(device, known) if isinstance(device, Potentiostat) else {}
