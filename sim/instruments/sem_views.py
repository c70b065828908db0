"""What a microscope sees of each simulated sample: the polished edge, or a peeled face.

A view turns a microscope's settings and a moment into a frame. The metal | sulfide cell is seen
from its polished edge, as in operando; of an LLZTO pellet the microscope shows the plated face as
if the electrode had been peeled, which on a real cell ends the experiment.

Everything is drawn at one reference current; electrons are counted in proportion to the current
that is set. Voltage, working distance and focus are recorded and do not change a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.errors import SimulationError
from sim.images.ebic import amplified, ebic_map_na, smeared, with_noise
from sim.images.eds import net_counts
from sim.images.pellet_face import PelletImager
from sim.images.sem import FilamentOutline, SemImager, SemSettings, VoidOutline
from sim.instruments.sem_settings import FLYBACK_S, area_px, integrations
from sim.samples.llzto_pores import Spallation
from sim.world import World

Floats = npt.NDArray[np.float64]
Frame = npt.NDArray[np.float32]

REFERENCE_NA = 0.1
"""Beam current at which `sim.images.scanning.COUNTS_PER_US` are counted, nA [A]."""
_PERCENTILES, _FULL_SCALE = (0.5, 99.5), 255.0
_US = 1e6


class EdgeView:
    """The polished edge of a metal | Li6PS5Cl cell: metal above, electrolyte below.

    Args:
        world: Its sample has `geometry(t)` with voids and filaments, `magnesium` and a seed.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._imagers: dict[SemSettings, SemImager] = {}

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise `SimulationError` where there is nothing to see with these settings."""
        if settings["method"] == "eds_line":
            return
        window_um = self._world.sample.geometry(0.0).window_um
        if settings["hfw_um"] > window_um + 1e-9:
            raise SimulationError(
                f"SEM: a field of {settings['hfw_um']:g} um, expected at most the {window_um:g} um"
                " of the edge that is simulated (choose a smaller hfw_um)"
            )
        self._imager(settings).noise_free((), drift_um=_offset(settings))

    def take(self, settings: Mapping[str, Any], t_s: float, frame_index: int) -> Frame:
        """The frame, or the line, at a moment."""
        sample = self._world.sample
        if settings["method"] == "eds_line":
            depths_um = line_um(settings)
            return _line(settings, sample.magnesium(depths_um, t_s), sample, frame_index)
        face = sample.geometry(t_s)
        left_um = 0.5 * (face.window_um - settings["hfw_um"])
        voids = [
            VoidOutline(float(left) - left_um, float(right) - left_um, float(height))
            for left, right, height in zip(face.left_um, face.right_um, face.height_um, strict=True)
        ]
        filaments = [
            FilamentOutline(float(place) - left_um, float(diameter), float(length))
            for place, diameter, length in zip(
                face.filament_places_um,
                face.filament_diameters_um,
                face.filament_lengths_um,
                strict=True,
            )
        ]
        electrons = self._imager(settings).frame(
            voids, frame_index, filaments, offset_um=_offset(settings)
        )
        induced = np.zeros(electrons.shape) if "EBIC" in settings["channels"] else None
        return _delivered(settings, electrons, induced, (sample.seed, frame_index))

    def _imager(self, settings: Mapping[str, Any]) -> SemImager:
        """One imager per set of settings."""
        columns, lines = settings["resolution_px"]
        pixel_um = settings["hfw_um"] / columns
        wanted = SemSettings(
            matrix=(columns, lines),
            pixel_um=pixel_um,
            dwell_us=_counting_us(settings),
            interface_um=0.5 * lines * pixel_um,
        )
        if wanted not in self._imagers:
            self._imagers = {wanted: SemImager(self._world.sample.seed, wanted)}
        return self._imagers[wanted]


class FaceView:
    """The plated face of an LLZTO pellet with its spallations, seen from above.

    Args:
        world: Its sample has `spallations(t)` and a seed; with a probe on a spallation, `probe`.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._imagers: dict[tuple[Any, ...], PelletImager] = {}

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise `SimulationError` where there is nothing to see with these settings."""
        if settings["method"] == "eds_line":
            raise SimulationError(
                "SEM: an EDS line across a pellet's face is not simulated (take an image)"
            )
        self._imager(settings)

    def take(self, settings: Mapping[str, Any], t_s: float, frame_index: int) -> Frame:
        """The frame at a moment."""
        sample = self._world.sample
        spallations = plated_face(sample.spallations(t_s))
        imager = self._imager(settings)
        centre_um = (settings["stage_um"][0], settings["stage_um"][1])
        electrons = imager.frame(spallations, frame_index, centre_um=centre_um)
        induced = None
        if "EBIC" in settings["channels"]:
            axes_um = imager.axes_um(frame_index, centre_um)
            collected = spallations if getattr(sample, "probe", "") == "connected" else []
            induced = ebic_map_na(collected, *axes_um, beam_na=settings["current_na"])
        return _delivered(settings, electrons, induced, (sample.seed, frame_index))

    def _imager(self, settings: Mapping[str, Any]) -> PelletImager:
        """One imager per set of settings: it remembers how far the series has drifted."""
        columns, lines = settings["resolution_px"]
        wanted = (columns, lines, settings["hfw_um"] / columns, _counting_us(settings))
        if wanted not in self._imagers:
            imager = PelletImager(
                self._world.sample.seed, (columns, lines), wanted[2], dwell_us=wanted[3]
            )
            self._imagers = {wanted: imager}
        return self._imagers[wanted]


def view_of(world: World) -> EdgeView | FaceView | None:
    """The view of a world's sample; None where a microscope sees nothing of it."""
    sample = world.sample
    if hasattr(sample, "spallations"):
        return FaceView(world)
    if hasattr(sample, "magnesium"):
        return EdgeView(world)
    return None


def plated_face(spallations: list[Spallation]) -> list[Spallation]:
    """Those of the face that has more of them; B where both have as many."""
    by_face = {face: [one for one in spallations if one.face == face] for face in ("A", "B")}
    return by_face["A"] if len(by_face["A"]) > len(by_face["B"]) else by_face["B"]


def line_um(settings: Mapping[str, Any]) -> Floats:
    """Depths of the points of a line scan, um from the electrolyte into the metal."""
    return np.linspace(0.0, settings["line_length_um"], settings["line_points"])


def _counting_us(settings: Mapping[str, Any]) -> float:
    """Time per pixel at the reference current that counts as many electrons, us."""
    dwell_us = settings["dwell_time_s"] * _US * integrations(settings)
    return float(dwell_us * settings["current_na"] / REFERENCE_NA)


def _offset(settings: Mapping[str, Any]) -> tuple[float, float]:
    """How far the stage moves the object in the frame, um: a stage to the right, object left."""
    x_um, y_um = settings["stage_um"]
    return -float(x_um), -float(y_um)


def _line(settings: Mapping[str, Any], magnesium: Floats, sample: Any, frame_index: int) -> Frame:
    counts = net_counts(
        magnesium,
        current_na=settings["current_na"],
        dwell_s=settings["dwell_time_s"],
        seed=sample.seed,
        frame_index=frame_index,
    )
    return counts.astype(np.float32)[None, :]


def _delivered(
    settings: Mapping[str, Any], electrons: Frame, induced: Floats | None, at: tuple[int, int]
) -> Frame:
    """The channels that were asked for, cropped to the reduced area.

    Args:
        settings: As read back.
        electrons: Grey values of the whole frame.
        induced: Induced current of the whole frame, nA; None where it is not asked for.
        at: Seed of the sample and number of the frame.
    """
    left, top, columns, lines = area_px(settings)
    area = np.s_[top : top + lines, left : left + columns]
    grey = electrons[area]
    if settings["autocontrast"]:
        low, high = np.percentile(grey, _PERCENTILES)
        grey = (grey - low) * np.float32(_FULL_SCALE / max(float(high - low), 1e-6))
        grey = np.clip(grey, 0.0, _FULL_SCALE)
    if induced is None:
        return grey
    return np.stack([grey, _measured(settings, induced[area], at).astype(np.float32)])


def _measured(settings: Mapping[str, Any], induced: Floats, at: tuple[int, int]) -> Floats:
    """The induced current as the preamplifier gives it, averaged over integrations, nA."""
    followed = smeared(
        induced,
        dwell_s=settings["dwell_time_s"],
        time_constant_s=settings["ebic_time_constant_s"],
        flyback_s=FLYBACK_S,
    )
    # noise of n integrations averages as that of one with a beam weaker by the root of n
    beam_na = settings["current_na"] / float(np.sqrt(integrations(settings)))
    noisy = with_noise(followed, seed=at[0], frame_index=at[1], beam_na=beam_na)
    return amplified(noisy, settings["ebic_gain_v_per_a"])
