"""What is known of an exposure beside its image: its times on the host's clock, and its charge."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from devices.clock import Clock
from devices.clock_offset import ClockOffset, Offset
from devices.errors import DeviceError
from devices.roles import ChargeSource

log = logging.getLogger(__name__)

SCALARS = (
    *("t_start_s", "t_end_s", "frame_clock_offset_s", "frame_clock_offset_error_s"),
    *("charge_start_mah", "charge_end_mah", "exposure_charge_mah", "exposure_throughput_mah"),
)
"""What is told of each exposure, by component of the device."""


class Scan(StrEnum):
    """Where a device stands with its frame."""

    IDLE = "idle"
    ACQUIRING = "acquiring"
    FETCHING = "fetching"


@dataclass(frozen=True)
class _Begun:
    """The beginning of an exposure: when, the charge then, the clocks' offset then."""

    t_s: float
    charge: tuple[float, float]
    offset: Offset


class Exposures:
    """The exposures of one device.

    Args:
        name: The device's, for the log.
        clock: The experiment's clock.
        ask: Asks the instrument for its time, Unix s.
        charge: What knows the charge through the cell; None leaves the charges NaN.
    """

    def __init__(
        self, name: str, clock: Clock, ask: Callable[[], float], charge: ChargeSource | None
    ) -> None:
        self._name, self._clock, self._charge = name, clock, charge
        self.clocks = ClockOffset(clock, ask)
        self._begun: _Begun | None = None

    def state(self) -> dict[str, Any] | None:
        """The exposure that was begun last, JSON-able."""
        begun = self._begun
        if begun is None:
            return None
        charge = [None if np.isnan(mah) else mah for mah in begun.charge]
        return {"t_s": begun.t_s, "charge": charge, "offset": asdict(begun.offset)}

    def restore(self, state: Mapping[str, Any] | None, start_s: float) -> None:
        """An exposure goes on that another process has begun.

        Args:
            state: What `state` of that process has given; None where it saw no beginning.
            start_s: When it began, on the instrument's clock, Unix s.
        """
        if state is None:
            offset = self.clocks.now()
            self._begun = _Begun(start_s - offset.seconds, (np.nan, np.nan), offset)
            return
        net, through = (np.nan if mah is None else mah for mah in state["charge"])
        self._begun = _Begun(state["t_s"], (net, through), Offset(**state["offset"]))

    @property
    def begun_s(self) -> float:
        """When the last exposure began, Unix s on the host's clock."""
        return self._clock.time() if self._begun is None else self._begun.t_s

    def begin(self, offset: Offset) -> None:
        """An exposure has begun.

        Args:
            offset: Of the clocks, estimated just before.
        """
        now_s = self._clock.time()
        self._begun = _Begun(now_s, self._charge_at(now_s), offset)

    def end(self, start_s: float, end_s: float) -> dict[str, float]:
        """An exposure is over: what is told of it, by `SCALARS`.

        Each time is corrected by the offset at that time. The charge at the beginning is that at
        the instrument's own beginning; where the records no longer reach so far back, that which
        was known when it was begun.

        Args:
            start_s: When it began, on the instrument's clock, Unix s.
            end_s: When it ended, on the instrument's clock, Unix s.
        """
        offset = self.clocks.now()
        begun = self._begun or _Begun(end_s, (np.nan, np.nan), offset)
        t_start_s, t_end_s = start_s - begun.offset.seconds, end_s - offset.seconds
        charge_start, charge_end = self._charge_at(t_start_s), self._charge_at(t_end_s)
        if np.isnan(charge_start[0]):
            charge_start = begun.charge
        return {
            "t_start_s": t_start_s,
            "t_end_s": t_end_s,
            "frame_clock_offset_s": offset.seconds,
            "frame_clock_offset_error_s": max(offset.error_s, begun.offset.error_s),
            "charge_start_mah": charge_start[0],
            "charge_end_mah": charge_end[0],
            "exposure_charge_mah": charge_end[0] - charge_start[0],
            "exposure_throughput_mah": charge_end[1] - charge_start[1],
        }

    def _charge_at(self, t_s: float) -> tuple[float, float]:
        if self._charge is None:
            return np.nan, np.nan
        try:
            return self._charge.charge_at(t_s)
        except DeviceError as error:
            log.warning("%s: the charge is not known at this frame: %s", self._name, error)
            return np.nan, np.nan
