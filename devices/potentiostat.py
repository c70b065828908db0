"""The potentiostat of an experiment: runs one step at a time and streams its records."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from typing import Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.cell_records import COLUMNS, Records, joined
from devices.charge import ChargeCounter
from devices.clock import Clock, Handle
from devices.errors import InstrumentFault, LimitError, LinkError, NotReachedError
from devices.roles import CellLimits, Page, PotentiostatBackend, Program, ProgramState
from devices.signals import ReadbackSignal
from devices.technique import Technique

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_RETRIES = 3
_LATE_END_POLL_S = 0.2
_LATE_END_S = 60.0


class Phase(StrEnum):
    """Where the device stands with its step."""

    IDLE = "idle"
    PREPARED = "prepared"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


class Potentiostat(Device):
    """A galvanostat/potentiostat that runs each step by itself; Flyable and Pausable.

    `prepare` programs a `Technique`, `kickoff` energises the cell, `complete` gives a status that
    is done when the step has ended, and `collect` empties what was read into pages of the stream
    ``echem``. Records are polled on the experiment's clock and never deleted from the instrument.
    `stop` at any moment leaves the cell off, verified by read-back. `pause` switches the cell off
    and remembers the rest of the step; `resume` does with it what the technique says.

    Args:
        prefix: Not used; ophyd passes it.
        name: Name of the device in documents.
        clock: The experiment's clock.
        backend: The instrument behind its driver.
        limits: What the bench allows at this cell.
        poll_period_s: Longest time between polls, s; bounds how late a condition is seen.
        resource: The instrument's address, for the documents' `source`.
        **kwargs: As for `ophyd.Device`.
    """

    voltage_v = Cpt(ReadbackSignal, value=np.nan, units="V", precision=6, kind=Kind.hinted)
    current_ma = Cpt(ReadbackSignal, value=np.nan, units="mA", precision=6, kind=Kind.hinted)
    charge_mah = Cpt(ReadbackSignal, value=0.0, units="mAh", precision=6)
    throughput_mah = Cpt(ReadbackSignal, value=0.0, units="mAh", precision=6)
    step_index = Cpt(ReadbackSignal, value=-1, dtype="integer")
    cycle = Cpt(ReadbackSignal, value=0, dtype="integer")
    cell_on = Cpt(ReadbackSignal, value=0, dtype="integer", kind=Kind.omitted)
    end_reason = Cpt(ReadbackSignal, value="", dtype="string", kind=Kind.omitted)
    poll_period_s = Cpt(ReadbackSignal, value=30.0, units="s", precision=3, kind=Kind.config)
    serial = Cpt(ReadbackSignal, value="", dtype="string", kind=Kind.config)
    max_voltage_v = Cpt(ReadbackSignal, value=0.0, units="V", kind=Kind.config)
    min_voltage_v = Cpt(ReadbackSignal, value=0.0, units="V", kind=Kind.config)
    max_current_ma = Cpt(ReadbackSignal, value=0.0, units="mA", kind=Kind.config)
    min_current_ma = Cpt(ReadbackSignal, value=0.0, units="mA", kind=Kind.config)

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        clock: Clock,
        backend: PotentiostatBackend,
        limits: CellLimits,
        poll_period_s: float = 30.0,
        resource: str = "",
        **kwargs: Any,
    ) -> None:
        self.clock, self.resource = clock, resource
        super().__init__(prefix, name=name, **kwargs)
        self._backend, self._limits = backend, limits
        self._charge = ChargeCounter()
        self._listeners: list[Callable[[Records], None]] = []
        self._waiting: list[Records] = []
        self._phase = Phase.IDLE
        self._technique: Technique | None = None
        self._program: Program | None = None
        self._began_s = self._last_record_s = self._ran_s = 0.0
        self._polls = 0
        self._done = _finished(self)
        self._timer: Handle | None = None
        self._misses = 0
        self.poll_period_s.update(poll_period_s)
        for field in ("max_voltage_v", "min_voltage_v", "max_current_ma", "min_current_ma"):
            getattr(self, field).update(getattr(limits, field))
        self.serial.update(backend.identity().serial)

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        volts, amps = self.voltage_v.get(), self.current_ma.get()
        cell = "cell on" if self.energised else "cell off"
        measured = "nothing measured" if volts != volts else f"{volts:.4g} V, {amps:.4g} mA"
        charge = f"{self._charge.net_mah:.4g} mAh"
        return f"<{type(self).__name__} {self.name}: {self._phase}, {cell}, {measured}, {charge}>"

    # --- Stageable, Preparable, Flyable ---

    @property
    def energised(self) -> bool:
        """Whether the cell is, or may be, driven by this device."""
        return self._phase is Phase.RUNNING

    @property
    def simulated(self) -> bool:
        """Whether the instrument says of itself that it is simulated."""
        return self._backend.identity().simulated

    def stage(self) -> list[object]:
        """Begin a run: the cell must be off, and charge counts from zero."""
        if self._backend.output_on():
            self.stop()
        self._charge.reset()
        self._waiting.clear()
        self._phase = Phase.IDLE
        self._publish_charge()
        staged: list[object] = super().stage()
        return staged

    def unstage(self) -> list[object]:
        """End a run: the cell is off."""
        self.stop(success=True)
        unstaged: list[object] = super().unstage()
        return unstaged

    def prepare(self, technique: Technique) -> Status:
        """Check and program a step; nothing is energised.

        Raises:
            LimitError: The step or its limits lie outside what the bench allows.
        """
        if self._phase in (Phase.RUNNING, Phase.PAUSED):
            if technique is self._technique:
                return _finished(self)
            raise InstrumentFault(
                self.name, "asked to prepare while a step runs", remedy="stop it first"
            )
        self._check_limits(technique.limits)
        program = technique.program()
        self._backend.load(program)
        self._technique, self._program = technique, program
        self._done = Status(obj=self, timeout=None)
        self._phase = Phase.PREPARED
        self.step_index.update(technique.step_index)
        self.cycle.update(technique.cycle)
        self.end_reason.update("")
        return _finished(self)

    def kickoff(self) -> Status:
        """Energise the cell and run the prepared step; asked again, does nothing."""
        if self._phase is Phase.PREPARED:
            self._start()
        elif self._phase is Phase.IDLE:
            raise InstrumentFault(self.name, "kickoff without a step", remedy="prepare one first")
        return _finished(self)

    def complete(self) -> Status:
        """A status that is done when the step has ended, in whatever way; see `end_reason`."""
        return self._done

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        """Data keys of the pages."""
        described: dict[str, dict[str, Any]] = {}
        for name in COLUMNS:
            described.update(getattr(self, name).describe())
        return described

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        """Everything read since the last collection, as one page; nothing if there is nothing."""
        records, self._waiting = self._waiting, []
        if not records:
            return
        stamps, columns = joined(records)
        data = {getattr(self, key).name: values.tolist() for key, values in columns.items()}
        yield {"data": data, "timestamps": dict.fromkeys(data, stamps), "time": stamps}

    # --- Pausable, Stoppable ---

    def pause(self) -> None:
        """Switch the cell off and remember the rest of the step."""
        if self._phase is not Phase.RUNNING:
            return
        self._end_on_instrument()
        if self._phase is Phase.RUNNING:
            self._phase = Phase.PAUSED

    def resume(self) -> None:
        """Go on with the rest of the step, begin it again or drop it, as the technique says."""
        if self._phase is not Phase.PAUSED or self._technique is None or self._program is None:
            return
        policy = self._technique.on_pause
        remaining_s = self._program.duration_s - self._ran_s
        if policy == "restart":
            self._program, remaining_s = self._technique.program(), 1.0
        elif policy == "continue":
            self._program = replace(self._program, duration_s=max(remaining_s, 0.0))
        if policy == "drop" or remaining_s <= 0.0:
            self._end("time" if remaining_s <= 0.0 else "stopped")
            return
        self._phase = Phase.PREPARED
        self._backend.load(self._program)
        self._start()

    def stop(self, *, success: bool = False) -> None:
        """End whatever runs and leave the cell off, verified by read-back; idempotent.

        Raises:
            InstrumentFault: The output does not read back as off.
        """
        running = self._phase in (Phase.RUNNING, Phase.PAUSED)
        self._end_on_instrument()
        if running and self._phase in (Phase.RUNNING, Phase.PAUSED):
            self._end("stopped")
        super().stop(success=success)

    def callback_failed(self, error: BaseException) -> None:
        """Fail the step because its poll raised (called by the clock)."""
        self._cancel_timer()
        if not self._done.done:
            self._done.set_exception(error)

    # --- for conditions and images ---

    def subscribe_records(self, listener: Callable[[Records], None]) -> Callable[[], None]:
        """Show every batch of new records to `listener`; returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def charge_at(self, t_s: float) -> tuple[float, float]:
        """Net and throughput charge since the run began, mAh, at experiment time `t_s`."""
        if self._phase is Phase.RUNNING and t_s > self._last_record_s:
            self.poll()
        return self._charge.at(t_s)

    def poll(self) -> None:
        """Read what the instrument recorded since the last time."""
        if self._phase is Phase.RUNNING:
            self._take(self._backend.poll())

    # --- inside ---

    def _check_limits(self, limits: CellLimits) -> None:
        outside = [
            f"{name} {getattr(limits, name):g} (bench {getattr(self._limits, name):g})"
            for name, sign in (
                ("max_voltage_v", 1),
                ("min_voltage_v", -1),
                ("max_current_ma", 1),
                ("min_current_ma", -1),
            )
            if sign * (getattr(limits, name) - getattr(self._limits, name)) > 0
        ]
        if outside:
            raise LimitError(
                self.name,
                f"the experiment's limits exceed the bench's: {', '.join(outside)}",
                remedy="lower the protocol's safety block or use another bench",
            )

    def _start(self) -> None:
        self._backend.start()
        self._began_s = self._last_record_s = self.clock.time()
        self._ran_s = 0.0
        self._polls, self._misses = 0, 0
        self._charge.break_()
        self._phase = Phase.RUNNING
        self.cell_on.update(1)
        self._schedule()

    def _schedule(self) -> None:
        """Poll at fixed times after the start, and exactly when the step should end."""
        assert self._program is not None  # noqa: S101 - invariant of a running step
        self._polls += 1
        elapsed_s = self.clock.time() - self._began_s
        next_s = min(self._polls * self.poll_period_s.get(), self._program.duration_s)
        if next_s <= elapsed_s:
            late_s = elapsed_s - self._program.duration_s
            if late_s > _LATE_END_S:
                raise NotReachedError(
                    self.name,
                    f"the step should have ended {late_s:.0f} s ago and still runs",
                    remedy="check the instrument's trigger model and clock",
                )
            next_s = elapsed_s + _LATE_END_POLL_S
        self._timer = self.clock.call_later(next_s - elapsed_s, self._tick, owner=self)

    def _tick(self) -> None:
        try:
            self.poll()
        except LinkError as error:
            self._misses += 1
            log.warning("%s: poll %d of %d failed: %s", self.name, self._misses, _RETRIES, error)
            if self._misses >= _RETRIES:
                raise
            self._timer = self.clock.call_later(_RETRY_S, self._tick, owner=self)
            return
        self._misses = 0
        if self._phase is Phase.RUNNING:
            self._schedule()

    def _take(self, page: Page) -> None:
        """Store a page, tell the listeners, and end the step if the instrument has."""
        if len(page.elapsed_s):
            self._store(page)
        if self._technique and abs(self._charge.net_mah) > self._technique.max_capacity_mah:
            self._end_on_instrument(reason="limit")
        if page.state is ProgramState.FINISHED and self._phase is Phase.RUNNING:
            if page.output_on:
                raise InstrumentFault(
                    self.name, "the step ended with the output on", remedy="switch it off by hand"
                )
            self._end(page.reason or "fault")

    def _store(self, page: Page) -> None:
        assert self._technique is not None  # noqa: S101 - records come from a step
        t_s = self._began_s + page.elapsed_s
        net, through = self._charge.add(t_s, page.current_ma)
        self._last_record_s, self._ran_s = float(t_s[-1]), float(page.elapsed_s[-1])
        records = Records(
            t_s,
            page.voltage_v,
            page.current_ma,
            net,
            through,
            self._technique.step_index,
            self._technique.cycle,
        )
        self._waiting.append(records)
        self.voltage_v.update(float(page.voltage_v[-1]), timestamp=self._last_record_s)
        self.current_ma.update(float(page.current_ma[-1]), timestamp=self._last_record_s)
        self._publish_charge()
        for listener in list(self._listeners):
            listener(records)

    def _publish_charge(self) -> None:
        self.charge_mah.update(self._charge.net_mah)
        self.throughput_mah.update(self._charge.throughput_mah)

    def _end_on_instrument(self, reason: str = "") -> None:
        """Stop the program, keep its last records, leave the cell off."""
        self._cancel_timer()
        page = self._backend.stop()
        self.cell_on.update(0)
        if self._phase is Phase.RUNNING:
            if len(page.elapsed_s):
                self._store(page)
            self._charge.break_()
            if reason:
                self._end(reason)
            elif page.reason not in ("", "stopped"):
                self._end(page.reason)  # it had ended by itself before it was stopped

    def _end(self, reason: str) -> None:
        self._cancel_timer()
        self._charge.break_()
        self._phase = Phase.ENDED
        self.cell_on.update(0)
        self.end_reason.update(reason)
        if self._done.done:
            return
        if reason == "fault":
            self._done.set_exception(
                InstrumentFault(self.name, "ended the step with a fault", remedy="read its log")
            )
        else:
            self._done.set_finished()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _finished(device: Device) -> Status:
    status = Status(obj=device, timeout=None)
    status.set_finished()
    return status
