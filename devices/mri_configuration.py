"""Acquisition parameters of an MRI scanner as components, those of the present method in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, Kind

from devices.errors import InstrumentFault
from devices.imaging_roles import Imager
from devices.mri_methods import SETTINGS, SETTINGS_OF, frame_shape
from devices.signals import ReadbackSignal


def setting(name: str) -> Any:
    """A read-back configuration component for one of `SETTINGS`."""
    value, units = SETTINGS[name]
    applies = name in SETTINGS_OF["flash2d"]
    kind = Kind.config if applies else Kind.omitted
    return Cpt(ReadbackSignal, value=value, units=units, kind=kind)


class MriConfiguration(Device):
    """The settings of an acquisition, as the console reads them back.

    A parameter that the present method does not have is left out of the configuration that
    documents carry; its signal keeps the last value.
    """

    method = setting("method")
    tr_s = setting("tr_s")
    te_s = setting("te_s")
    flip_angle_deg = setting("flip_angle_deg")
    averages = setting("averages")
    repetitions = setting("repetitions")
    dummy_scans = setting("dummy_scans")
    matrix = setting("matrix")
    fov_mm = setting("fov_mm")
    slice_thickness_mm = setting("slice_thickness_mm")
    nucleus = setting("nucleus")
    frequency_mhz = setting("frequency_mhz")
    line = setting("line")
    nuclei = setting("nuclei")
    frequencies_mhz = setting("frequencies_mhz")
    scans = setting("scans")
    recycle_delay_s = setting("recycle_delay_s")
    mas_khz = setting("mas_khz")
    points = setting("points")
    centre_ppm = setting("centre_ppm")
    spectral_width_ppm = setting("spectral_width_ppm")

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters of the present method, as last read back."""
        signals = {name: getattr(self, name) for name in SETTINGS}
        return {name: one.get() for name, one in signals.items() if one.kind & Kind.config}

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame with the present settings."""
        return frame_shape(self.settings)

    def configure_console(self, console: Imager, settings: Mapping[str, Any]) -> None:
        """Set parameters on the console and keep what it reads back.

        Raises:
            InstrumentFault: A parameter is not one of the method's; nothing was set.
        """
        method = str(settings.get("method", self.method.get()))
        known = SETTINGS_OF.get(method, tuple(SETTINGS))
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise InstrumentFault(
                self.name,
                f"unknown settings {', '.join(unknown)} of {method}",
                remedy=f"use some of {', '.join(known)}",
            )
        self.take_held(console.configure(settings))

    def take_held(self, held: Mapping[str, Any]) -> None:
        """Keep what the console reads back."""
        for name in SETTINGS:
            signal = getattr(self, name)
            signal.kind = Kind.config if name in held else Kind.omitted
            if name in held:
                signal.update(held[name])

    def in_short(self) -> str:
        """The method and how much it takes, for a person."""
        held = self.settings
        sides = "x".join(str(side) for side in reversed(self.frame_shape))
        repeats = held.get("averages", held.get("scans"))
        return f"{held['method']} {sides} x {repeats}"
