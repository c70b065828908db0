"""An imaging instrument whose frame survives its host: found again, and fetched.

An acquisition is known by its number on the instrument and by the instrument's own time of its
beginning; its settings must be those that were read back when it was begun. What does not fit is
nobody's frame: it is left alone, unless it only waits for a trigger, and the frame is missing.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from ophyd.status import Status

from devices.adoption import FrameAdoption
from devices.errors import InstrumentFault
from devices.exposure import Scan
from devices.frame_device import FrameDevice
from devices.imaging_roles import AcquisitionStatus

log = logging.getLogger(__name__)

VERSION = 1
"""Of the form of a checkpoint."""

_SAME_TIME_S = 1e-3
_ABOUT_S = 2.0
"""An acquisition that began at most so long before it was asked for is another one [A]: the
clocks are known much better, and nobody asks twice in that time."""


class AdoptableFrames(FrameDevice):
    """A `FrameDevice` with a checkpoint, that can go on with a frame of a host that is gone.

    Attributes:
        remember: Called before an acquisition is begun and once it is; whoever keeps checkpoints
            writes one then. None: nobody does.
    """

    remember: Callable[[], None] | None = None
    _before: int | None = None
    _pending: int | None = None
    _expected: Mapping[str, Any] | None = None

    def held_settings(self) -> dict[str, Any]:
        """The acquisition's parameters as last read back."""
        raise NotImplementedError

    def take_held(self, held: Mapping[str, Any]) -> None:
        """Keep parameters as they were read back."""
        raise NotImplementedError

    # --- where it stands ------------------------------------------------------------------------

    def checkpoint(self) -> dict[str, Any]:
        """Where the frame stands, JSON-able; asks the instrument nothing."""
        taking = self._scan is not Scan.IDLE or self._restart or self._pending is not None
        begun = self._acquisition if self._before is None else None
        number = self._pending if begun is None else begun.experiment
        expected_s = self.expected_duration_s.get()
        return {
            "version": VERSION,
            "serial": self.serial.get(),
            "at_s": self.clock.time(),
            "taking": taking or self._before is not None,
            "before": self._before,
            "experiment": number,
            "t_start_s": _finite(begun.t_start_s) if begun is not None else None,
            "exposure": self._exposures.state() if number is not None else None,
            "frame": self.frame.get(),
            "expected_duration_s": _finite(expected_s),
            "settings": _plain(self.held_settings()),
        }

    # --- going on -------------------------------------------------------------------------------

    def adopt(self, state: Mapping[str, Any], recorded: int | None = None) -> FrameAdoption:
        """Look for the frame that was being taken, before anything else is asked of the device.

        Nothing is begun, and no trigger sent. If it still runs or is there to be fetched, the
        run's `configure` with the same settings and `stage` leave it alone, and the next
        `trigger` joins it instead of beginning another. May be repeated.

        Args:
            state: The last `checkpoint`.
            recorded: Number of frames of this device in the journal of the run before; None where
                that is as the checkpoint says.

        Raises:
            LinkError: The instrument did not answer; nothing was changed.
        """
        self._cancel_timer()
        self._scan, self._pending, self._expected = Scan.IDLE, None, None
        adoption = self._look_for(state, recorded)
        log.info("%s: %s", self.name, adoption.text)
        return adoption

    def _look_for(self, state: Mapping[str, Any], recorded: int | None) -> FrameAdoption:
        if not state["taking"]:
            return FrameAdoption("none", "no frame was being taken")
        if recorded is not None and recorded > state["frame"] + 1:
            return FrameAdoption("none", "its frame was recorded already")
        serial = self._imager.identity().serial
        if serial != state["serial"]:
            return FrameAdoption("missing", f"serial {serial}, expected {state['serial']}")
        status = self._imager.status()
        number = state["experiment"]
        number = state["before"] + 1 if number is None else number
        wrong = self._wrong(status, number, state)
        if wrong:
            if status.experiment == number and status.state not in self.FREE:
                self._imager.abort()  # it waits for what nobody sends, or has failed
            return FrameAdoption("missing", f"{wrong}: its frame is missing")
        self.take_held(state["settings"])
        self.expected_duration_s.update(_number(state["expected_duration_s"]))
        self._exposures.restore(state["exposure"], status.t_start_s)
        self._acquisition, self._pending = status, number
        self._expected = {"experiment": number, "settings": state["settings"]}
        if status.state in self.FREE:
            return FrameAdoption("finished", f"acquisition {number} had ended: its frame is there")
        self._scan = Scan.ACQUIRING
        text = f"acquisition {number} goes on, {100.0 * status.progress:.0f} % are done"
        return FrameAdoption("running", text)

    def _wrong(self, status: AcquisitionStatus, number: int, state: Mapping[str, Any]) -> str:
        """Why an acquisition is not the one that was being taken, or will give no frame."""
        if status.experiment != number:
            return f"its acquisition {status.experiment}, expected {number}"
        if status.state == "error" or self._ended_early(status):
            return f"acquisition {number} {status.error or 'was ended at the instrument'}"
        if not math.isfinite(status.t_start_s):
            return f"acquisition {number} is {status.state} and has not begun"
        known_s = _number(state["t_start_s"])
        if math.isfinite(known_s) and abs(status.t_start_s - known_s) > _SAME_TIME_S:
            return f"acquisition {number} began at {status.t_start_s:.3f} s, expected {known_s:.3f}"
        began_s = status.t_start_s - self._exposures.clocks.now().seconds
        if began_s < state["at_s"] - _ABOUT_S and state["experiment"] is None:
            return f"acquisition {number} began before it was asked for"
        return ""

    # --- what it changes of a frame device ------------------------------------------------------

    def configure(self, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """As of `FrameDevice`; the settings of an adopted frame are what they are.

        Raises:
            InstrumentFault: Other settings than those of a frame that goes on, or is to be fetched.
        """
        if self._pending is None:
            return super().configure(settings)
        held = _plain(self.held_settings())
        other = sorted(name for name, value in _plain(settings).items() if held.get(name) != value)
        if other:
            raise InstrumentFault(
                self.name,
                f"other settings ({', '.join(other)}) than those of the frame that is there",
                remedy="fetch that frame first, or begin a new run",
            )
        configuration = dict(self.read_configuration())
        return configuration, configuration

    def may_stage(self, status: AcquisitionStatus) -> bool:
        """Whether a run may begin: also while an adopted frame is acquired."""
        return self._pending is not None or super().may_stage(status)

    def trigger(self) -> Status:
        """Take one frame, or wait for the one that was adopted; idempotent as of `FrameDevice`."""
        if self._pending is None:
            return super().trigger()
        self._pending, self._misses, self._scan = None, 0, Scan.ACQUIRING
        self._done = Status(obj=self, timeout=None)
        self.new_frame.update(0)
        left_s = self._exposures.begun_s + self.expected_duration_s.get() - self.clock.time()
        self._poll_after(max(left_s, 0.0))
        return self._done

    def check_header(self, header: Mapping[str, Any]) -> None:
        """Raise if a frame is not the one that was adopted."""
        expected = self._expected or {}
        got = {name: _plain(header[name]) for name in expected if name in header}
        wrong = [name for name, value in got.items() if not _has(value, expected[name])]
        if wrong:
            raise InstrumentFault(
                self.name,
                f"the frame has another {' and '.join(wrong)} than the one that was adopted",
                remedy="look at the instrument: somebody else has used it",
            )

    def stop(self, *, success: bool = False) -> None:
        """End any acquisition, an adopted one too; idempotent."""
        self._pending = None
        super().stop(success=success)

    def _begin(self) -> None:
        self._expected = None
        if self.remember is None:
            super()._begin()
            return
        self._before = self._imager.status().experiment
        try:
            self.remember()
            super()._begin()
        finally:
            self._before = None
        self.remember()


def _plain(value: Any) -> Any:
    """As JSON has it: lists, no tuples."""
    return json.loads(json.dumps(value))


def _has(held: Any, wanted: Any) -> bool:
    """Whether settings have everything that is expected of them; of a number, that it is it."""
    if isinstance(wanted, Mapping):
        return isinstance(held, Mapping) and all(held.get(k) == v for k, v in wanted.items())
    return bool(held == wanted)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
