"""The MRI scanner of an experiment: arms the console, triggers a scan, delivers a frame.

A frame is an image, a volume or a pair of spectra, as the configured method has it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from ophyd import Component as Cpt
from ophyd import Kind
from ophyd.status import Status

from devices.clock import Clock, Handle
from devices.errors import DeviceError, InstrumentFault, LinkError, NotReachedError
from devices.mri_configuration import MriConfiguration
from devices.mri_judgement import ended_early, judge
from devices.roles import (
    ChargeSource,
    ConsoleState,
    ConsoleStatus,
    FrameSink,
    MriConsole,
    TriggerSource,
    Worker,
)
from devices.signals import ReadbackSignal

log = logging.getLogger(__name__)

OnPause = Literal["continue", "restart", "drop"]

_WAIT_FOR_TRIGGER_S = 5.0
_RETRY_S = 1.0
_RETRIES = 3
_LATE_FRAME_S = 600.0
_FAST_POLL_S = 0.5


class Scan(StrEnum):
    """Where the device stands with its frame."""

    IDLE = "idle"
    ACQUIRING = "acquiring"
    FETCHING = "fetching"


class MriScanner(MriConfiguration):
    """An MRI console with its TTL trigger; Triggerable, stageable, Pausable.

    `stage` checks the console and opens the stream of frames, `trigger` arms the console, sends
    the pulse and gives a status that is done when the frame is reconstructed, fetched and safely
    on disk; `read` gives its number, times and charges, and the image as an external array.

    Args:
        prefix: Not used; ophyd passes it.
        name: Name of the device in documents.
        clock: The experiment's clock.
        console: The console behind its driver.
        ttl: What starts an armed scan; None where the console starts by itself.
        frames: Where frames are written.
        worker: Fetches and writes frames off the engine's loop.
        charge: What knows the charge through the cell; None leaves the charges NaN.
        on_pause: What a pause does to a frame: it goes on by itself, or is begun again, or is
            dropped.
        resource: The console's address, for the documents' `source`.
        **kwargs: As for `ophyd.Device`.
    """

    frame = Cpt(ReadbackSignal, value=-1, dtype="integer")
    t_start_s = Cpt(ReadbackSignal, value=np.nan, units="s", precision=3)
    t_end_s = Cpt(ReadbackSignal, value=np.nan, units="s", precision=3)
    charge_start_mah = Cpt(ReadbackSignal, value=np.nan, units="mAh", precision=6)
    charge_end_mah = Cpt(ReadbackSignal, value=np.nan, units="mAh", precision=6)
    exposure_charge_mah = Cpt(ReadbackSignal, value=np.nan, units="mAh", precision=6)
    exposure_throughput_mah = Cpt(ReadbackSignal, value=np.nan, units="mAh", precision=6)
    quality = Cpt(ReadbackSignal, value="", dtype="string")
    new_frame = Cpt(ReadbackSignal, value=0, dtype="integer", kind=Kind.omitted)

    clock_offset_s = Cpt(ReadbackSignal, value=np.nan, units="s", kind=Kind.config)
    serial = Cpt(ReadbackSignal, value="", dtype="string", kind=Kind.config)

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        clock: Clock,
        console: MriConsole,
        ttl: TriggerSource | None,
        frames: FrameSink,
        worker: Worker,
        charge: ChargeSource | None = None,
        on_pause: OnPause = "continue",
        resource: str = "",
        **kwargs: Any,
    ) -> None:
        self.clock, self.resource = clock, resource
        super().__init__(prefix, name=name, **kwargs)
        self._console, self._ttl = console, ttl
        self._frames, self._worker, self._charge = frames, worker, charge
        self.on_pause: OnPause = on_pause
        self._scan = Scan.IDLE
        self._done: Status | None = None
        self._timer: Handle | None = None
        self._documents: list[tuple[str, dict[str, Any]]] = []
        self._restart = False
        self._misses = 0
        self._triggered_s = 0.0
        self._charge_start = (np.nan, np.nan)
        self.serial.update(console.identity().serial)

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        return (
            f"<{type(self).__name__} {self.name}: {self._scan}, {self.in_short()}, "
            f"last frame {self.frame.get()}>"
        )

    @property
    def simulated(self) -> bool:
        """Whether the console says of itself that it is simulated."""
        return self._console.identity().simulated

    # --- Configurable, Stageable ---

    def configure(self, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Set acquisition parameters; what the console reads back is what is recorded.

        Args:
            settings: Some of `devices.mri_methods.SETTINGS`; another `method` begins with the
                console's own settings of that method.

        Returns:
            Configuration before and after, as bluesky wants it.

        Raises:
            InstrumentFault: A parameter is not one of the method's, or a scan is running.
        """
        self._refuse_if_busy("configure")
        before = dict(self.read_configuration())
        self.configure_console(self._console, settings)
        return before, dict(self.read_configuration())

    def stage(self) -> list[object]:
        """Begin a run: the console must be free, and frames count from zero."""
        status = self._console.status()
        if status.state not in (ConsoleState.IDLE, ConsoleState.ARMED):
            raise InstrumentFault(
                self.name,
                f"the console is {status.state} {status.error}".strip(),
                remedy="end the acquisition on the console, then begin again",
            )
        self.expected_duration_s.update(self._console.expected_duration_s())
        self.clock_offset_s.update(round(self._console.time() - self.clock.time(), 6))
        self.frame.update(-1)
        self._frames.open(self.name, self._image_key, self.frame_shape, "<f4")
        staged: list[object] = super().stage()
        return staged

    def unstage(self) -> list[object]:
        """End a run: no scan goes on."""
        self.stop(success=True)
        unstaged: list[object] = super().unstage()
        return unstaged

    # --- Triggerable, Readable ---

    def trigger(self) -> Status:
        """Take one frame; asked again while one is taken, returns the same status."""
        if self._done is not None and not self._done.done:
            return self._done
        self._begin()  # if it raises, nothing was promised
        self._done = Status(obj=self, timeout=None)
        return self._done

    def describe(self) -> dict[str, dict[str, Any]]:
        """Data keys of a frame's event, the image as an external array."""
        described: dict[str, dict[str, Any]] = super().describe()
        source = f"{self.resource or 'operando'}:{self._image_key}"
        described[self._image_key] = self.image_key(source)
        return described

    def collect_asset_docs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents that say where the last frame is."""
        documents, self._documents = self._documents, []
        yield from documents

    # --- Pausable, Stoppable ---

    def pause(self) -> None:
        """Let the frame go on, or end it, as `on_pause` says."""
        if self._scan is Scan.ACQUIRING and self.on_pause != "continue":
            self._cancel_timer()
            self._console.abort()
            self._scan = Scan.IDLE
            self._restart = self.on_pause == "restart"
            if not self._restart:
                self._end_without_frame("dropped by a pause")

    def resume(self) -> None:
        """Begin the frame again if the pause ended it."""
        if self._restart:
            self._restart = False
            self._begin()

    def stop(self, *, success: bool = False) -> None:
        """End any acquisition; idempotent."""
        self._cancel_timer()
        self._restart = False
        if self._scan is Scan.ACQUIRING:
            self._scan = Scan.IDLE
            self._console.abort()
            self._end_without_frame("aborted")
        super().stop(success=success)

    def callback_failed(self, error: BaseException) -> None:
        """Fail the frame, because its poll raised or the console says so."""
        self._cancel_timer()
        self._scan = Scan.IDLE
        if self._done is not None and not self._done.done:
            self._done.set_exception(error)

    # --- inside ---

    @property
    def _image_key(self) -> str:
        return f"{self.name}_image"

    def _refuse_if_busy(self, what: str) -> None:
        if self._scan is not Scan.IDLE:
            raise InstrumentFault(
                self.name, f"asked to {what} during a scan", remedy="wait for the frame or stop it"
            )

    def _begin(self) -> None:
        self.new_frame.update(0)
        self._console.arm()
        if self._ttl is not None:
            self._ttl.pulse()
        status = self._console.status()
        if status.state in (ConsoleState.ERROR, ConsoleState.ARMED) or ended_early(status):
            raise InstrumentFault(
                self.name,
                f"the scan did not start: the console is {status.state} {status.error}".strip(),
                remedy="look at the console; check the trigger cable",
            )
        self._triggered_s = self.clock.time()
        self._misses = 0
        self._scan = Scan.ACQUIRING
        self._charge_start = self._charge_at(self._triggered_s)
        self._poll_after(self.expected_duration_s.get())

    def _poll_after(self, delay_s: float) -> None:
        self._timer = self.clock.call_later(delay_s, self._tick, owner=self)

    def _tick(self) -> None:
        try:
            status = self._console.status()
            self._misses = 0
            self._follow(status)
        except LinkError as error:
            self._misses += 1
            log.warning("%s: poll %d of %d failed: %s", self.name, self._misses, _RETRIES, error)
            if self._misses < _RETRIES:
                self._poll_after(_RETRY_S)
                return
            self.callback_failed(error)
        except DeviceError as error:  # a scan that fails is an answer, not a fault of the bench
            self.callback_failed(error)

    def _follow(self, status: ConsoleStatus) -> None:
        waited_s = self.clock.time() - self._triggered_s
        if status.state is ConsoleState.IDLE and math.isfinite(status.t_end_s):
            self._fetch(status)
        elif status.state is ConsoleState.ERROR or ended_early(status):
            text = status.error or "it was ended at the console"
            raise InstrumentFault(
                self.name, f"the scan failed: {text}", remedy="look at the console"
            )
        elif status.state is ConsoleState.WAITING_TRIGGER and waited_s > _WAIT_FOR_TRIGGER_S:
            raise NotReachedError(
                self.name,
                f"no trigger reached the console in {waited_s:.1f} s",
                remedy="check the trigger cable and the generator's output",
            )
        elif waited_s > self.expected_duration_s.get() + _LATE_FRAME_S:
            raise NotReachedError(
                self.name,
                f"the frame is {waited_s - self.expected_duration_s.get():.0f} s late",
                remedy="look at the console",
            )
        else:
            self._poll_after(_FAST_POLL_S)

    def _fetch(self, status: ConsoleStatus) -> None:
        """Download and write the frame in the worker; virtual time stands still meanwhile."""
        offset_s = np.nan_to_num(self.clock_offset_s.get())
        start_s, end_s = status.t_start_s - offset_s, status.t_end_s - offset_s
        charge_end = self._charge_at(end_s)
        scalars = {
            "t_start_s": start_s,
            "t_end_s": end_s,
            "charge_start_mah": self._charge_start[0],
            "charge_end_mah": charge_end[0],
            "exposure_charge_mah": charge_end[0] - self._charge_start[0],
            "exposure_throughput_mah": charge_end[1] - self._charge_start[1],
        }
        self._scan = Scan.FETCHING

        def work() -> tuple[int, str]:
            image, _header = self._console.read_image()
            if image.shape != self.frame_shape:
                raise InstrumentFault(
                    self.name,
                    f"frame of shape {image.shape}, expected {self.frame_shape}",
                    remedy="compare the console's matrix with the experiment's",
                )
            return self._frames.write(self.name, image, scalars), judge(image)

        def done(result: Any, error: BaseException | None) -> None:
            self._fetched(result, error, scalars)

        self._worker.submit(work, done, owner=self)

    def _fetched(
        self, result: Any, error: BaseException | None, scalars: Mapping[str, float]
    ) -> None:
        self._scan = Scan.IDLE
        if self._done is None or self._done.done:
            return
        if error is not None:
            self._done.set_exception(error)
            return
        index, quality = result
        self._documents = self._frames.asset_documents(self.name, index)
        self.frame.update(index)
        self.quality.update(quality)
        for key, value in scalars.items():
            getattr(self, key).update(float(value))
        self.new_frame.update(1)
        self._done.set_finished()

    def _charge_at(self, t_s: float) -> tuple[float, float]:
        if self._charge is None:
            return np.nan, np.nan
        try:
            return self._charge.charge_at(t_s)
        except DeviceError as error:
            log.warning("%s: the charge is not known at this frame: %s", self.name, error)
            return np.nan, np.nan

    def _end_without_frame(self, why: str) -> None:
        log.info("%s: no frame: %s", self.name, why)
        self.quality.update(why)
        if self._done is not None and not self._done.done:
            self._done.set_finished()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
