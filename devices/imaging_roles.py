"""What an experiment may expect of an imaging instrument, and of a microscope in particular.

`MriConsole` and `Microscope` are both `Imager`s: configured, armed, polled, read. Devices and
plans know these protocols; drivers supply them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from devices.roles import Identity


class AcquisitionStatus(Protocol):
    """What an imaging instrument says of its acquisition."""

    @property
    def state(self) -> StrEnum:
        """Its state, in the instrument's own words."""
        ...

    @property
    def progress(self) -> float:
        """Part of the acquisition done, 0 to 1."""
        ...

    @property
    def experiment(self) -> int:
        """Number of the current or last acquisition."""
        ...

    @property
    def t_start_s(self) -> float:
        """Instrument time at which it began, Unix s; NaN before."""
        ...

    @property
    def t_end_s(self) -> float:
        """Instrument time at which it ended, Unix s; NaN before."""
        ...

    @property
    def error(self) -> str:
        """The instrument's own text where it failed, else empty."""
        ...


class Imager(Protocol):
    """An imaging instrument behind its driver."""

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        ...

    def configure(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Set the acquisition's parameters and return them as read back."""
        ...

    def held(self) -> Mapping[str, Any]:
        """The acquisition's parameters as read back; nothing is set."""
        ...

    def arm(self) -> None:
        """Begin an acquisition, or prepare it for its trigger."""
        ...

    def status(self) -> AcquisitionStatus:
        """Where the acquisition stands."""
        ...

    def expected_duration_s(self) -> float:
        """Duration of an acquisition with the present settings, s."""
        ...

    def read_image(self) -> tuple[npt.NDArray[np.float32], Mapping[str, Any]]:
        """Last image, of the shape that its settings promise, and its header."""
        ...

    def abort(self) -> None:
        """End the acquisition; idempotent."""
        ...

    def time(self) -> float:
        """The instrument's own clock, Unix s."""
        ...


class MicroscopeState(StrEnum):
    """State of a scanning electron microscope."""

    IDLE = "idle"
    """Nothing is acquired, and the beam is on the specimen."""
    BLANKED = "blanked"
    """Nothing is acquired, and the beam is off the specimen."""
    SCANNING = "scanning"
    ERROR = "error"


@dataclass(frozen=True)
class MicroscopeStatus:
    """What a microscope says of its acquisition.

    Attributes:
        state: Its state.
        progress: Part of the acquisition done, 0 to 1.
        experiment: Number of the current or last acquisition.
        t_start_s: Microscope time at which the scan began, Unix s; NaN before.
        t_end_s: Microscope time at which it ended, Unix s; NaN before.
        accumulated_dose_uc_per_cm2: Beam dose since the microscope was switched on, uC/cm2, live
            scanning included.
        error: The microscope's own text in state ``error``, else empty.
    """

    state: MicroscopeState
    progress: float
    experiment: int
    t_start_s: float
    t_end_s: float
    accumulated_dose_uc_per_cm2: float
    error: str


class Microscope(Imager, Protocol):
    """A scanning electron microscope behind its driver."""

    def status(self) -> MicroscopeStatus:
        """Where the acquisition stands, and the dose so far."""
        ...

    def blank(self) -> None:
        """Take the beam off the specimen until the next acquisition, verified; idempotent."""
        ...
