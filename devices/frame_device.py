"""An imaging instrument as an experiment sees it: begins a frame, follows it, delivers it.

What every imaging device has in common: the poll on the experiment's clock with its misses, the
frame fetched and written in the worker, the charge through the cell at both ends of the exposure,
pauses. What differs (how an acquisition begins, shape and quality of a frame) is left to the
derived classes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.at_prompt import Described, TakesTime
from devices.attempt import DROPPED
from devices.clock import Clock, Handle
from devices.derived import Analyses
from devices.errors import DeviceError, InstrumentFault, LinkError, NotReachedError
from devices.exposure import Exposures, Scan
from devices.frame_watchers import FrameWatchers
from devices.imaging_roles import AcquisitionStatus, Imager
from devices.roles import ChargeSource, FrameSink, Worker
from devices.signals import ReadbackSignal
from devices.technique import OnPause

log = logging.getLogger(__name__)

_RETRY_S, _RETRIES = 1.0, 3
_LATE_FRAME_S = 600.0
_FAST_POLL_S = 0.5
_LOOK = "look at the instrument"


class FrameDevice(Described, TakesTime, Device):
    """An imaging instrument; Triggerable, stageable, Pausable.

    `stage` checks it and opens the stream, `trigger` begins an acquisition, whose status is done
    when the frame is safely on disk; `read` gives its number, times, charges, and external array.

    Args:
        prefix: Not used; ophyd passes it.
        name: Name of the device in documents.
        clock: The experiment's clock.
        imager: The instrument behind its driver.
        frames: Where frames are written.
        worker: Fetches and writes frames off the engine's loop.
        charge: What knows the charge through the cell; None leaves the charges NaN.
        on_pause: What a pause does to a frame: it goes on, is begun again, or is dropped.
        resource: The instrument's address, for the documents' `source`.
        **kwargs: As for `ophyd.Device`.

    Attributes:
        analyses: What is got out of each frame, beside the frame itself.
        watchers: Told of each frame.
        FREE, STAGEABLE: States in which nothing is acquired, and in which a run may begin.
    """

    FREE: ClassVar[frozenset[str]] = frozenset()
    STAGEABLE: ClassVar[frozenset[str]] = frozenset()

    frame = Cpt(ReadbackSignal, value=-1, dtype="integer")
    t_start_s = Cpt(ReadbackSignal, value=np.nan, units="s", precision=3)
    t_end_s = Cpt(ReadbackSignal, value=np.nan, units="s", precision=3)
    charge_start_mah = Cpt(ReadbackSignal, value=np.nan, units="mAh", precision=6)
    charge_end_mah = Cpt(ReadbackSignal, value=np.nan, units="mAh", precision=6)
    exposure_charge_mah = Cpt(ReadbackSignal, value=np.nan, units="mAh", precision=6)
    exposure_throughput_mah = Cpt(ReadbackSignal, value=np.nan, units="mAh", precision=6)
    frame_clock_offset_s = Cpt(ReadbackSignal, value=np.nan, units="s", precision=6)
    frame_clock_offset_error_s = Cpt(ReadbackSignal, value=np.nan, units="s", precision=7)
    quality = Cpt(ReadbackSignal, value="", dtype="string")
    new_frame = Cpt(ReadbackSignal, value=0, dtype="integer", kind=Kind.omitted)

    expected_duration_s = Cpt(ReadbackSignal, value=np.nan, units="s", kind=Kind.config)
    clock_offset_s = Cpt(ReadbackSignal, value=np.nan, units="s", kind=Kind.config)
    clock_offset_error_s = Cpt(ReadbackSignal, value=np.nan, units="s", kind=Kind.config)
    serial = Cpt(ReadbackSignal, value="", dtype="string", kind=Kind.config)

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        clock: Clock,
        imager: Imager,
        frames: FrameSink,
        worker: Worker,
        charge: ChargeSource | None = None,
        on_pause: OnPause = "continue",
        resource: str = "",
        **kwargs: Any,
    ) -> None:
        self.clock, self.resource = clock, resource
        super().__init__(prefix, name=name, **kwargs)
        self._imager = imager
        self._frames, self._worker = frames, worker
        self._exposures = Exposures(name, clock, imager.time, charge)
        self.analyses = Analyses(name, clock)
        self.on_pause: OnPause = on_pause
        self._scan = Scan.IDLE
        self._acquisition: AcquisitionStatus | None = None
        self._done: Status | None = None
        self._timer: Handle | None = None
        self._documents: list[tuple[str, dict[str, Any]]] = []
        self._restart, self._misses = False, 0
        self.watchers = FrameWatchers()
        self.serial.update(imager.identity().serial)

    @property
    def simulated(self) -> bool:
        """Whether the instrument says of itself that it is simulated."""
        return self._imager.identity().simulated

    # --- what derived classes say ---

    def image_shape(self) -> tuple[int, ...]:
        """Shape of a frame with the present settings."""
        raise NotImplementedError

    def image_axes(self) -> tuple[tuple[str, ...], str]:
        """Names of a frame's axes, and its unit."""
        raise NotImplementedError

    def judged(self, image: npt.NDArray[Any]) -> str:
        """``ok``, or what is wrong with a frame."""
        raise NotImplementedError

    def header_scalars(self, header: Mapping[str, Any]) -> dict[str, float]:
        """Readings that a frame's header gives, by component; each becomes part of its event."""
        del header
        return {}

    def configure_imager(self, imager: Imager, settings: Mapping[str, Any]) -> None:
        """Set parameters on the instrument and keep what it reads back.

        Raises:
            InstrumentFault: A parameter is not known; nothing was set.
        """
        raise NotImplementedError

    def start_scan(self) -> AcquisitionStatus:
        """Make the instrument acquire; returns what it says then."""
        self._imager.arm()
        return self._imager.status()

    def has_started(self, status: AcquisitionStatus) -> bool:
        """Whether the instrument says, right after the start, that it acquires."""
        return status.state != "error" and not self._ended_early(status)

    def may_stage(self, status: AcquisitionStatus) -> bool:
        """Whether a run may begin with the instrument as it is."""
        return status.state in (self.STAGEABLE or self.FREE)

    def check_header(self, header: Mapping[str, Any]) -> None:
        """Raise if a frame is not the one that was waited for."""

    def check_waiting(self, status: AcquisitionStatus, waited_s: float) -> None:
        """Raise if the scan waits for something that will not come."""

    # --- Configurable, Stageable ---

    def configure(self, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Set acquisition parameters; what the instrument reads back is what is recorded.

        Args:
            settings: Those of the instrument.

        Returns:
            Configuration before and after, as bluesky wants it.

        Raises:
            InstrumentFault: A parameter is unknown, or a scan is running.
        """
        if self._scan is not Scan.IDLE:
            raise InstrumentFault(
                self.name,
                "asked to configure during a scan",
                remedy="wait for the frame or stop it",
            )
        before = dict(self.read_configuration())
        self.configure_imager(self._imager, settings)
        self.expected_duration_s.update(self._imager.expected_duration_s())
        return before, dict(self.read_configuration())

    def stage(self) -> list[object]:
        """Begin a run: the instrument must be free, and frames count from zero."""
        status = self._imager.status()
        if not self.may_stage(status):
            raise InstrumentFault(
                self.name,
                f"the instrument is {status.state} {status.error}".strip(),
                remedy="end what goes on there, then begin again",
            )
        self.expected_duration_s.update(self._imager.expected_duration_s())
        offset = self._exposures.clocks.measure()
        self.clock_offset_s.update(offset.seconds)
        self.clock_offset_error_s.update(offset.error_s)
        self.frame.update(-1)
        _, units = self.image_axes()
        self._frames.open(self.name, self._image_key, self.image_shape(), "<f4", units=units)
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
        axes, units = self.image_axes()
        described[self._image_key] = {
            "source": f"{self.resource or 'operando'}:{self._image_key}",
            "dtype": "array",
            "dtype_numpy": "<f4",
            "shape": [1, *self.image_shape()],
            "dims": ["frame", *axes],
            "units": units,
            "external": "STREAM:",
        }
        return described

    def collect_asset_docs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents that say where the last frame is."""
        documents, self._documents = self._documents, []
        yield from documents

    # --- Pausable, Stoppable ---

    def pause(self) -> None:
        """Let the frame go on, or end it, as `on_pause` says; what fails there fails the frame."""
        if self._scan is Scan.ACQUIRING and self.on_pause != "continue":
            self._cancel_timer()
            self._scan = Scan.IDLE
            try:
                self._imager.abort()
            except DeviceError as error:
                self.callback_failed(error)
                return
            self._restart = self.on_pause == "restart"
            if not self._restart:
                self._end_without_frame(DROPPED)

    def resume(self) -> None:
        """Begin the frame again if the pause ended it; what fails there fails the frame."""
        if self._restart:
            self._restart = False
            try:
                self._begin()
            except DeviceError as error:
                self.callback_failed(error)

    def stop(self, *, success: bool = False) -> None:
        """End any acquisition; idempotent."""
        self._cancel_timer()
        if self._scan is Scan.ACQUIRING:
            self._scan = Scan.IDLE
            self._imager.abort()
            self._end_without_frame("aborted")
        elif self._restart:
            self._end_without_frame("aborted")
        self._restart = False
        super().stop(success=success)

    def callback_failed(self, error: BaseException) -> None:
        """Fail the frame, because its poll raised or the instrument says so."""
        self._cancel_timer()
        self._scan = Scan.IDLE
        if self._done is not None and not self._done.done:
            self._done.set_exception(error)
            self.watchers.tell(f"missing: {error}")

    # --- inside ---

    @property
    def _image_key(self) -> str:
        return f"{self.name}_image"

    def _ended_early(self, status: AcquisitionStatus) -> bool:
        """Whether nothing runs and nothing was finished: somebody ended it."""
        return status.state in self.FREE and not math.isfinite(status.t_end_s)

    def _begin(self) -> None:
        self.new_frame.update(0)
        offset = self._exposures.clocks.now()
        status = self.start_scan()
        if not self.has_started(status):
            raise InstrumentFault(
                self.name,
                f"the scan did not start: it is {status.state} {status.error}".strip(),
                remedy="look at the instrument and what triggers it",
            )
        self._exposures.begin(offset)
        self._acquisition, self._misses, self._scan = status, 0, Scan.ACQUIRING
        self._poll_after(self.expected_duration_s.get())

    def _poll_after(self, delay_s: float) -> None:
        self._timer = self.clock.call_later(delay_s, self._tick, owner=self)

    def _tick(self) -> None:
        try:
            status = self._imager.status()
            self._misses = 0
            self._follow(status)
        except LinkError as error:
            self._misses += 1
            log.warning("%s: poll %d of %d failed: %s", self.name, self._misses, _RETRIES, error)
            if self._misses < _RETRIES:
                self._poll_after(_RETRY_S)
                return
            self.callback_failed(error)
        except DeviceError as error:  # a frame that fails is an answer, not a fault of the bench
            self.callback_failed(error)

    def _follow(self, status: AcquisitionStatus) -> None:
        waited_s = self.clock.time() - self._exposures.begun_s
        if status.state in self.FREE and math.isfinite(status.t_end_s):
            self._fetch(status)
            return
        if status.state == "error" or self._ended_early(status):
            text = status.error or "it was ended at the instrument"
            raise InstrumentFault(self.name, f"the scan failed: {text}", remedy=_LOOK)
        self.check_waiting(status, waited_s)
        late_s = waited_s - self.expected_duration_s.get()
        if late_s > _LATE_FRAME_S:
            raise NotReachedError(self.name, f"the frame is {late_s:.0f} s late", remedy=_LOOK)
        self._poll_after(_FAST_POLL_S)

    def _fetch(self, status: AcquisitionStatus) -> None:
        """Download and write the frame in the worker; virtual time stands still meanwhile."""
        exposure = self._exposures.end(status.t_start_s, status.t_end_s)
        self._scan = Scan.FETCHING

        def work() -> tuple[Any, ...]:
            image, header = self._imager.read_image()
            self.check_header(header)
            if image.shape != self.image_shape():
                raise InstrumentFault(
                    self.name,
                    f"frame of shape {image.shape}, expected {self.image_shape()}",
                    remedy="compare the instrument's settings with the experiment's",
                )
            scalars = {**exposure, **self.header_scalars(header)}
            quality = self.judged(image)
            index = self._frames.write(self.name, image, scalars)
            # asked for here: when the run ends meanwhile, that fails this frame and nothing else
            documents = self._frames.asset_documents(self.name, index)
            seen = self.analyses.look(image, quality), self.watchers.spread(image)
            return index, quality, scalars, documents, *seen

        self._worker.submit(work, self._fetched, owner=self)

    def _fetched(self, result: Any, error: BaseException | None) -> None:
        self._scan = Scan.IDLE
        if self._done is None or self._done.done:
            return
        if error is not None:
            self._done.set_exception(error)
            self.watchers.tell(f"missing: {error}")
            return
        index, quality, scalars, self._documents, found, spread = result
        self.frame.update(index)
        self.quality.update(quality)
        for key, value in scalars.items():
            getattr(self, key).update(float(value))
        self.new_frame.update(1)
        self.analyses.tell(found, index, scalars["t_end_s"])
        self._done.set_finished()
        self.watchers.tell(quality, spread)

    def _end_without_frame(self, why: str) -> None:
        log.info("%s: no frame: %s", self.name, why)
        self.quality.update(why)
        if self._done is not None and not self._done.done:
            self._done.set_finished()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
