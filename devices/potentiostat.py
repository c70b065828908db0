"""The potentiostat of an experiment: runs one step at a time and streams its records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.adoptable import Adoptable
from devices.adoption import Adoption
from devices.at_prompt import Described
from devices.cell_adopting import AdoptingRunner
from devices.cell_face import Phase, ended_with_fault
from devices.cell_hold import HeldCell
from devices.cell_limits import check_sweep, check_within
from devices.cell_records import COLUMNS, CellLog, Records
from devices.cell_run import record_within_s
from devices.clock import Clock
from devices.errors import DeviceError, InstrumentFault
from devices.impedance import ImpedanceSpectra
from devices.roles import CellLimits, PotentiostatBackend, Sweep, Worker
from devices.signals import ReadbackSignal
from devices.technique import Amendment, Technique, charge_of


class Potentiostat(Adoptable, Described, Device):
    """A galvanostat/potentiostat that runs each step by itself; Flyable and Pausable.

    `prepare` programs a `Technique`, `kickoff` energises the cell, `complete` gives a status that
    is done when the step has ended, `collect` empties what was read into pages of ``echem``.
    Records are polled on the experiment's clock and never deleted from the instrument. `stop`
    leaves the cell off, verified by read-back. `pause` switches it off and remembers the rest of
    the step; `resume` does with it what the technique says.

    Spectra come from `eis` (`devices.impedance`), within a running step, to which their time and
    charge count, or of the open cell. For exposures that want the cell at rest or open
    (`held_cell`) the running step stands still.

    Args:
        prefix: Not used; ophyd passes it.
        name: Name of the device in documents.
        clock: The experiment's clock.
        backend: The instrument behind its driver.
        limits: What the bench allows at this cell.
        poll_period_s: Longest time between polls, s; bounds how late a condition is seen.
        worker: Analyses spectra off the engine's loop; None does it at once.
        journal_every_s: Longest time that records wait before they become a page, s.
        resource: The instrument's address, for the documents' `source`.
        **kwargs: As for `ophyd.Device`.

    Attributes:
        eis: The spectra that it takes; an ophyd device of its own.
    """

    EXAMPLES = (
        "{name}.voltage_v.get()                  # last voltage, V",
        "{name}.charge_mah.get()                 # net charge of the run, mAh",
        "RE(plans.in_situ_mri({name}, mri, area_cm2=0.1257, cycles=2,",
        "        max_capacity_mah=1, limits=CellLimits(-5, 5, -1, 1)))",
        "bench.off()                           # off now, verified by read-back",
    )

    voltage_v = Cpt(ReadbackSignal, value=np.nan, units="V", precision=6, kind=Kind.hinted)
    current_ma = Cpt(ReadbackSignal, value=np.nan, units="mA", precision=6, kind=Kind.hinted)
    charge_mah = Cpt(ReadbackSignal, value=0.0, units="mAh", precision=6)
    throughput_mah = Cpt(ReadbackSignal, value=0.0, units="mAh", precision=6)
    step_index = Cpt(ReadbackSignal, value=-1, dtype="integer")
    cycle = Cpt(ReadbackSignal, value=0, dtype="integer")
    cell_on = Cpt(ReadbackSignal, value=0, dtype="integer", kind=Kind.omitted)
    end_reason = Cpt(ReadbackSignal, value="", dtype="string", kind=Kind.omitted)
    poll_period_s = Cpt(ReadbackSignal, value=30.0, units="s", precision=3, kind=Kind.config)
    charge_counter = Cpt(ReadbackSignal, value=0, dtype="integer", kind=Kind.config)
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
        worker: Worker | None = None,
        journal_every_s: float = 900.0,
        resource: str = "",
        **kwargs: Any,
    ) -> None:
        self.clock, self.resource = clock, resource
        self.journal_every_s = journal_every_s
        super().__init__(prefix, name=name, **kwargs)
        self._backend, self._limits = backend, limits
        self._log = CellLog()
        self.eis = ImpedanceSpectra(
            name=f"{name}_eis",
            clock=clock,
            wanted=lambda: self._runner.later(),
            worker=worker,
            resource=resource,
        )
        self._runner = AdoptingRunner(self, clock, backend, self._log, self.eis)
        self._runner.poll_period_s = poll_period_s
        self._done = _finished(self)
        self.poll_period_s.update(poll_period_s)
        for field in ("max_voltage_v", "min_voltage_v", "max_current_ma", "min_current_ma"):
            getattr(self, field).update(getattr(limits, field))
        self.serial.update(backend.identity().serial)
        self.charge_counter.update(int(self.counts_charge))

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        volts, amps = self.voltage_v.get(), self.current_ma.get()
        cell = "cell on" if self.energised else "cell off"
        measured = "nothing measured" if volts != volts else f"{volts:.4g} V, {amps:.4g} mA"
        charge = f"{self._log.charge.net_mah:.4g} mAh"
        phase = self._runner.phase
        return f"<{type(self).__name__} {self.name}: {phase}, {cell}, {measured}, {charge}>"

    # --- what it is and knows ---

    @property
    def energised(self) -> bool:
        """Whether the cell is, or may be, driven by this device."""
        return self._runner.run is not None

    @property
    def technique(self) -> Technique | None:
        """The step that was prepared last; None before the first of a run."""
        return self._runner.technique

    @property
    def under_way(self) -> tuple[float, float] | None:
        """How long what drives or watches the cell has run, and its longest time, s."""
        run = self._runner.run
        return None if run is None else (run.elapsed_s(self.clock.time()), run.duration_s)

    @property
    def simulated(self) -> bool:
        """Whether the instrument says of itself that it is simulated."""
        return self._backend.identity().simulated

    @property
    def counts_charge(self) -> bool:
        """Whether the instrument has a charge counter of its own."""
        return self._backend.capabilities().counter

    @property
    def takes_spectra(self) -> bool:
        """Whether the instrument takes impedance spectra."""
        return self._backend.capabilities().frequency_hz is not None

    @property
    def failure(self) -> DeviceError | None:
        """Why the step failed that was prepared last, if its technique survives that."""
        return self._runner.failure

    @property
    def least_period_s(self) -> float:
        """Shortest time between records that the instrument can do, s."""
        return self._backend.capabilities().min_period_s

    @property
    def record_within_s(self) -> float:
        """Longest time until the next record is known, s; infinite where none is due."""
        return record_within_s(self._runner.run, self._runner.poll_period_s)

    def left_of_step(self) -> tuple[float, float]:
        """What is left of the running step at this moment, in time only: s and mAh.

        Zero where none runs; NaN mAh where the charge depends on the cell, or the step has no end
        in time.
        """
        left = self._runner.left
        return (0.0, 0.0) if left is None else (left.duration_s, charge_of(left))

    @property
    def closure_error(self) -> float | None:
        """Net charge of the records less that of the instrument's own counter, of the throughput.

        None where the instrument has no counter, or nothing has flowed.
        """
        charge = self._log.charge
        if not (self.counts_charge and charge.throughput_mah):
            return None
        return (charge.net_mah - self._runner.counted_mah) / charge.throughput_mah

    # --- Stageable, Preparable, Flyable ---

    def stage(self) -> list[object]:
        """Begin a run: the cell must be off, and charge and spectra count from zero.

        After `adopt` the work of the run before goes on instead.
        """
        if not self._adopted:
            if self.energised or self._backend.output_on():
                self.stop()
            self._runner.reset()
        self._adopted = False
        self._publish_charge()
        self.eis.stage()
        staged: list[object] = super().stage()
        return staged

    def unstage(self) -> list[object]:
        """End a run: the cell is off."""
        self.stop(success=True)
        self.eis.unstage()
        unstaged: list[object] = super().unstage()
        return unstaged

    def prepare(self, technique: Technique | Amendment) -> Status:
        """Check and program a step; nothing is energised. Or change the one that runs.

        Args:
            technique: The step; or an amendment of the running one, which then goes on with what
                is left of it: an instant of open circuit, no charge twice. Its status is done
                when it goes on, or the amendment says why it was refused.

        Raises:
            LimitError: The step or its limits lie outside what the bench allows.
            InstrumentFault: Another step runs, a spectrum is being taken, or an exposure holds
                the cell.
        """
        if isinstance(technique, Amendment):
            return self._amend(technique)
        if self._runner.phase in (Phase.RUNNING, Phase.PAUSED):
            if self._runner.join(technique):
                return _finished(self)
            raise InstrumentFault(
                self.name, "asked to prepare while a step runs", remedy="stop it first"
            )
        check_within(technique.limits, self._limits, who=self.name)
        self._done = Status(obj=self, timeout=None)
        self.end_reason.update("")
        self._runner.prepare(technique)
        self.step_index.update(technique.step_index)
        self.cycle.update(technique.cycle)
        return _finished(self)

    def _amend(self, amendment: Amendment) -> Status:
        if amendment.technique is self._runner.technique:
            return _finished(self)  # asked again
        check_within(amendment.technique.limits, self._limits, who=self.name)
        status = Status(obj=self, timeout=None)
        self._runner.amend(amendment, status.set_finished)
        return status

    def kickoff(self) -> Status:
        """Energise the cell and run the prepared step; asked again, does nothing."""
        if self._runner.phase is Phase.PREPARED:
            self._runner.kickoff()
        elif self._runner.phase is Phase.IDLE:
            raise InstrumentFault(self.name, "kickoff without a step", remedy="prepare one first")
        return _finished(self)

    def complete(self) -> Status:
        """A status that is done when the step has ended, in whatever way; see `end_reason`."""
        return self._done

    def end_step(self) -> None:
        """End the running step as if its time were over; what is left of a failed one is dropped.

        What waits for a spectrum gets it of the open cell. Idempotent.
        """
        self._runner.end_step()

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        """Data keys of the pages."""
        described: dict[str, dict[str, Any]] = {}
        for name in COLUMNS:
            described.update(getattr(self, name).describe())
        return described

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        """Everything read since the last collection, as one page; nothing if there is nothing."""
        for stamps, columns in self._log.take_page():
            data = {getattr(self, key).name: values.tolist() for key, values in columns.items()}
            yield {"data": data, "timestamps": dict.fromkeys(data, stamps), "time": stamps}

    # --- Pausable, Stoppable ---

    def pause(self) -> None:
        """Switch the cell off and remember the rest of the step, and spectra not yet taken."""
        self._runner.pause()

    def resume(self) -> None:
        """Go on with the rest of the step, begin it again or drop it, as the technique says."""
        self._runner.resume()

    def stop(self, *, success: bool = False) -> None:
        """End whatever runs and leave the cell off, verified by read-back; idempotent.

        Raises:
            InstrumentFault: The output does not read back as off.
        """
        self._runner.stop()
        super().stop(success=success)

    def callback_failed(self, error: BaseException) -> None:
        """Fail the step because its poll raised (called by the clock)."""
        self._runner.failed(error)
        if not self._done.done:
            self._done.set_exception(error)

    # --- for conditions, images and spectra ---

    def subscribe_records(self, listener: Callable[[Records], None]) -> Callable[[], None]:
        """Show every batch of new records to `listener`; returns how to end that."""
        return self._log.subscribe(listener)

    def charge_at(self, t_s: float) -> tuple[float, float]:
        """Net and throughput charge since the run began, mAh, at experiment time `t_s`."""
        run = self._runner.run
        if run is not None and t_s > run.began_s + run.ran_s:
            self.poll()
        return self._log.charge.at(t_s)

    def poll(self) -> None:
        """Read what the instrument recorded since the last time."""
        self._runner.poll()

    def held_cell(self, who: str, limits: CellLimits, period_s: float) -> HeldCell:
        """The cell as a series of exposures wants it while each of them lasts.

        Args:
            who: Whose exposures they are.
            limits: Limits at the cell while it rests.
            period_s: Time between records while it rests, s.

        Raises:
            LimitError: The limits lie outside what the bench allows.
        """
        check_within(limits, self._limits, who=self.name)
        name = f"{self.name}_for_{who}"
        return HeldCell(name, self.clock, self._runner.hold, limits, period_s)

    def check_spectrum(self, sweep: Sweep, limits: CellLimits) -> None:
        """See that a spectrum can be taken.

        Raises:
            LimitError: The instrument takes none, or not with these frequencies; the amplitude
                or the limits lie outside what is allowed.
        """
        check_within(limits, self._limits, who=self.name)
        check_sweep(sweep, limits, self._backend.capabilities(), who=self.name)

    def spectrum_dropped(self) -> None:
        """A spectrum was asked for and is not wanted any more."""
        self._runner.spectrum_dropped()

    # --- what the runner shows ---

    def show_records(self, records: Records) -> None:
        """Update the readings to the newest record."""
        t_s = float(records.t_s[-1])
        self.voltage_v.update(float(records.voltage_v[-1]), timestamp=t_s)
        self.current_ma.update(float(records.current_ma[-1]), timestamp=t_s)
        self._publish_charge()

    def show_cell(self, *, on: bool) -> None:
        """Say whether the cell is connected."""
        self.cell_on.update(int(on))

    def show_end(self, reason: str) -> None:
        """Say that the step has ended, and why."""
        self.end_reason.update(reason)
        if self._done.done:
            return
        if reason == "fault":
            self._done.set_exception(ended_with_fault(self.name))
        else:
            self._done.set_finished()

    def _end_adoption(self, adoption: Adoption) -> None:
        """Readings are those of the last record; only a step that runs has yet to end."""
        current_ma, voltage_v = self._runner.last
        self.voltage_v.update(voltage_v)
        self.current_ma.update(current_ma)
        self._publish_charge()
        if adoption.found != "running":
            self.show_end(self.end_reason.get())

    def _publish_charge(self) -> None:
        self.charge_mah.update(self._log.charge.net_mah)
        self.throughput_mah.update(self._log.charge.throughput_mah)


def _finished(device: Device) -> Status:
    status = Status(obj=device, timeout=None)
    status.set_finished()
    return status
