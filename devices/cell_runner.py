"""Runs the programs of one step after another on a potentiostat, with spectra between or within.

What `devices.potentiostat.Potentiostat` shows to bluesky, this does to the instrument: it starts
and polls programs, ends them for a pause or a spectrum, knows what is left of the step, and leaves
the cell off on every way out. It knows no documents.
"""

from __future__ import annotations

import logging

import numpy as np

from devices.answering import AnsweringClock
from devices.cell_face import Face, Phase, Place, ended_with_fault
from devices.cell_records import CellLog
from devices.cell_run import CellRun, SpectrumRequest, free_spectrum, with_spectrum
from devices.clock import Clock
from devices.errors import DeviceError, InstrumentFault, LimitError, LinkError, OutputFault
from devices.impedance import ImpedanceSpectra
from devices.polling import Poller
from devices.roles import Page, PotentiostatBackend, Program, ProgramState
from devices.technique import Technique, remainder

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_TRIES = 3

_BY_ITSELF = frozenset({"time", "end_voltage", "end_current", "ended"})
"""Reasons after which a spectrum that waits may still be taken."""


class CellRunner:
    """The work of a potentiostat.

    Args:
        face: What shows it.
        clock: The experiment's clock.
        backend: The instrument behind its driver.
        log: Where records go.
        eis: Who asks for spectra, and keeps them.

    Attributes:
        phase: Where the step stands.
        run: What is loaded and runs; None while the cell is off.
        poll_period_s: Longest time between polls, s.
        counted_mah: Net charge since the run began by the instrument's own counter, mAh.
        failure: Why the step failed, where its technique survives that.
    """

    def __init__(
        self,
        face: Face,
        clock: Clock,
        backend: PotentiostatBackend,
        log: CellLog,
        eis: ImpedanceSpectra,
    ) -> None:
        self._face, self._backend = face, backend
        self._clock = AnsweringClock(clock, self._survives)
        self._log, self._eis = log, eis
        self._poller = Poller(face, self._clock, self._look)
        self.phase = Phase.IDLE
        self.run: CellRun | None = None
        self.failure: DeviceError | None = None
        self.poll_period_s = 30.0
        self.counted_mah = 0.0
        self._technique: Technique | None = None
        self._left: Program | None = None
        self._place = Place()
        self._last, self._last_s = (np.nan, np.nan), -np.inf
        self._on_hold = self._interrupting = False

    @property
    def technique(self) -> Technique | None:
        """The step that was prepared last."""
        return self._technique

    def reset(self) -> None:
        """A run of the experiment begins; nothing runs on the instrument."""
        self.phase, self._left, self._technique = Phase.IDLE, None, None
        self._place, self._on_hold, self.counted_mah = Place(), False, 0.0
        self.failure = None
        self._log.reset()

    def prepare(self, technique: Technique) -> None:
        """Load a step; nothing is energised.

        Raises:
            LimitError: The instrument refuses it.
            InstrumentFault: A spectrum is being taken.
        """
        if self.run is not None:
            raise InstrumentFault(
                self._face.name, "asked to prepare during a spectrum", remedy="wait for its end"
            )
        program = self._left if technique.continues else technique.program()
        if program is None:
            raise InstrumentFault(self._face.name, "nothing is left", remedy="prepare a new step")
        self._technique, self._left, self.failure = technique, program, None
        self._place = Place(technique.step_index, technique.cycle)
        self.phase = Phase.PREPARED
        self._clock.attempt(lambda: self._backend.load(program))

    def kickoff(self) -> None:
        """Energise the cell and run the prepared step."""
        if self._left is not None:
            run = CellRun((self._left,), self._clock.time())
            self._clock.attempt(lambda: self._go(run))

    def pause(self) -> None:
        """Switch the cell off; remember the rest of the step, and spectra not yet taken."""
        self._on_hold = True
        if self.run is not None:
            self.end_program()
        if self.phase is Phase.RUNNING:
            self.phase = Phase.PAUSED

    def resume(self) -> None:
        """Go on with the rest of the step, begin it again or drop it, as the technique says."""
        self._on_hold = False
        if self.phase is not Phase.PAUSED or self._technique is None:
            self._later()
            return
        policy = self._technique.on_pause
        if policy == "restart":
            self._left = self._technique.program()
        if policy == "drop" and self._left is not None:
            self._end("stopped")
        else:
            self._clock.attempt(lambda: self._go(self._load_rest()))

    def end_step(self) -> None:
        """End the step as if its time were over, or do without the rest of one that failed."""
        if self.phase is Phase.RUNNING:
            self._clock.attempt(lambda: self.end_program(otherwise="ended"))
        elif self.phase in (Phase.PAUSED, Phase.FAILED):
            self._end("ended")

    def stop(self) -> None:
        """End whatever runs and leave the cell off, verified by read-back; idempotent.

        Raises:
            InstrumentFault: The output does not read back as off.
        """
        self._on_hold = False
        self._eis.drop_all("the cell was switched off")
        running = self.phase in (Phase.RUNNING, Phase.PAUSED)
        self.end_program()
        if running and self.phase in (Phase.RUNNING, Phase.PAUSED):
            self._end("stopped")

    def failed(self, error: BaseException) -> None:
        """A callback failed: nothing is polled any more; the engine switches off."""
        self._poller.cancel()
        self._eis.drop_all(f"the potentiostat failed: {error}")

    def _survives(self, error: DeviceError) -> bool:
        """End the step by a failure, if it survives one; the cell is switched off if possible.

        While the link is down the cell may be on: its program goes on in the instrument, within
        its limits, and `run` stays, until `stop` has read it and verified that the cell is off.
        """
        technique = self._technique
        in_step = self.phase in (Phase.PREPARED, Phase.RUNNING, Phase.PAUSED)
        if technique is None or not (technique.survivable and in_step):
            return False
        log.warning("%s: the step failed: %s", self._face.name, error)
        self._poller.cancel()
        self.phase, self.failure, self._interrupting = Phase.FAILED, error, False
        self._eis.drop_all(f"the step failed: {error}")
        try:
            self.end_program()
        except LinkError as again:
            log.warning("%s: not read after the failure: %s", self._face.name, again)
        if self.phase is Phase.FAILED:
            self._face.show_end("failed")
        return True

    def poll(self) -> None:
        """Read what the instrument recorded since the last time."""
        if self.run is not None and not self._interrupting:
            self._take(self._backend.poll())

    def end_program(self, reason: str = "", otherwise: str = "") -> None:
        """Stop the program, keep its last records and what is left of it, leave the cell off.

        Args:
            reason: The step is over with this reason.
            otherwise: The step is over with this reason if it had not ended by itself before.
        """
        self._poller.cancel()
        run, page = self.run, self._backend.stop()
        self._face.show_cell(on=False)
        if run is None:
            return
        self._store(run, page)
        self._keep_spectrum(run, page)
        self._ran(run)
        if self.phase not in (Phase.RUNNING, Phase.FAILED):
            return
        nothing_left = "ended" if self.phase is Phase.FAILED and self._left is None else ""
        over = reason or page.reason.removeprefix("stopped") or otherwise or nothing_left
        if over and not (over == "fault" and self.phase is Phase.FAILED):
            self._end(over)

    # --- spectra --------------------------------------------------------------------------------

    def spectrum_wanted(self) -> None:
        """A spectrum was asked for; it is begun on the clock.

        Whoever asks may survive a failure (an image does): one that comes while the step is
        interrupted must end the run instead, and an exception on the clock does.
        """
        self._later()

    def _next_spectrum(self) -> None:
        """Take the spectrum whose turn has come, if that can be now."""
        request = self._eis.next
        if request is None or self._on_hold or self._sweeping or self._interrupting:
            return
        if self.phase is Phase.RUNNING:
            self._interrupt_for(request)
        elif self.phase in (Phase.IDLE, Phase.ENDED) and self.run is None:
            program = free_spectrum(request)
            if self._loaded(request, program):
                self._start(CellRun((program,), self._clock.time(), request))

    def spectrum_dropped(self) -> None:
        """Nobody waits for a spectrum any more: the open cell is not driven for it."""
        run = self.run
        forgotten = run is not None and run.request not in (None, self._eis.next)
        if forgotten and self.phase not in (Phase.RUNNING, Phase.FAILED):
            self.end_program()
            self._later()

    @property
    def _sweeping(self) -> bool:
        """Whether a spectrum is being taken."""
        return self.run is not None and self.run.sweep is not None and not self.run.stored

    def _interrupt_for(self, request: SpectrumRequest) -> None:
        """End the step's program and load it again behind the spectrum, if that fits in."""
        try:
            self.poll()
        except LinkError as error:
            self._eis.drop(request, str(error), error)  # the step goes on, polled as before
            return
        run, left = self.run, self._left
        if run is None or left is None or self.phase is not Phase.RUNNING:
            return
        rest = remainder(left, self._clock.time() - run.began_s)
        if rest is None or with_spectrum(rest, request, self._last) is None:
            return  # it waits for the end of the step
        self._interrupt(_TRIES)

    def _in_step(self) -> bool:
        return self.phase is Phase.RUNNING

    def _interrupt(self, tries: int) -> None:
        """End the step's program and go on; stopping and loading may be repeated, starting not."""
        self._interrupting = False
        try:
            if self.run is not None and self._in_step():
                self.end_program()
            if not self._in_step():
                return  # it had ended by itself, or was paused or stopped meanwhile
            following = self._load_rest()
        except LinkError as error:
            if tries <= 1:
                raise
            log.warning("%s: interrupting the step failed: %s", self._face.name, error)
            self._interrupting = True
            self._clock.call_later(_RETRY_S, lambda: self._interrupt(tries - 1), owner=self._face)
            return
        self._go(following)

    def _load_rest(self) -> CellRun | None:
        """Load what is left of the step, behind the spectrum that is wanted if it fits in."""
        left, request = self._left, self._eis.next
        if left is None:
            return None
        pair = None if request is None else with_spectrum(left, request, self._last)
        if pair is not None and self._loaded(request, *pair):
            return CellRun(pair, self._clock.time(), request)
        self._backend.load(left)
        return CellRun((left,), self._clock.time())

    def _go(self, run: CellRun | None) -> None:
        """Start what was loaded; without anything the step is over."""
        if run is None:
            self._end("time")
            return
        self.phase = Phase.RUNNING
        self._start(run)
        self._later()

    def _loaded(self, request: SpectrumRequest | None, *programs: Program) -> bool:
        """Load a spectrum; an instrument that refuses it fails the spectrum, not the step."""
        try:
            self._backend.load(*programs)
        except LimitError as error:
            self._eis.drop(request, str(error), error)
            return False
        return True

    def _later(self) -> None:
        """Look for a spectrum that waits, once what goes on now is done."""
        if self._eis.next is not None and not self._on_hold:
            self._clock.call_later(0.0, self._next_spectrum, owner=self._face)

    def _keep_spectrum(self, run: CellRun, page: Page) -> None:
        """Keep a spectrum that is whole; one that the instrument ended early is none."""
        if run.sweep is None or run.stored:
            return
        points = run.points()
        if points is not None:
            run.stored = True
            if run.request in (None, self._eis.next):
                charge = self._log.charge
                self._eis.store(points, run.began_s, lambda t_s: charge.at(t_s)[0], run.request)
            self._later()
        elif page.reason not in ("", "stopped"):
            self._eis.drop(run.request, f"ended early: {page.reason}")

    # --- programs -------------------------------------------------------------------------------

    def _start(self, run: CellRun) -> None:
        """Start what was loaded; where that fails the cell may be driven all the same."""
        self.run = run
        self._log.charge.break_()
        self._face.show_cell(on=True)
        self._backend.start()
        run.began_s = self._clock.time()
        marks = (run.programs[0].duration_s,) if run.request is not None else ()
        self._poller.begin(self.poll_period_s, run.duration_s, marks)

    def _look(self) -> bool:
        """Poll; whether the program goes on."""
        self.poll()
        return self.run is not None

    def _take(self, page: Page) -> None:
        """Store a page, and end the step if the instrument has."""
        run = self.run
        assert run is not None  # noqa: S101 - only a running program is polled
        self._store(run, page)
        if self.run is not run:
            return  # who saw the records has stopped it
        self._keep_spectrum(run, page)
        technique = self._technique if self.phase is Phase.RUNNING else None
        if technique and abs(self._log.charge.net_mah) > technique.max_capacity_mah:
            self.end_program(reason="limit")
        if page.state is ProgramState.FINISHED and self.run is run:
            if page.output_on:
                raise OutputFault(
                    self._face.name,
                    "the step ended with the output on",
                    remedy="switch it off by hand",
                )
            self._ran(run)
            if self.phase is Phase.RUNNING:
                self._end(page.reason or "fault")
            else:
                self._later()

    def _store(self, run: CellRun, page: Page) -> None:
        run.take(page)
        if not len(page.elapsed_s):
            return
        # the sum of two times may be rounded to before the record that came last
        t_s = np.maximum(run.began_s + page.elapsed_s, self._last_s)
        columns = (t_s, page.current_ma, page.voltage_v)
        self._last_s = float(t_s[-1])
        place = (self._place.step_index, self._place.cycle)
        self._last = float(page.current_ma[-1]), float(page.voltage_v[-1])
        records = self._log.add(columns, place, run.began_s)
        self._face.show_records(records)
        self._log.tell(records)

    def _ran(self, run: CellRun) -> None:
        """A program is over: what is left of the step, and what its counter showed."""
        self._poller.cancel()
        self.run = None
        self._log.charge.break_()
        self.counted_mah += float(np.nan_to_num(run.counter_mah))
        self._face.show_cell(on=False)
        if self._left is not None and self.phase in (Phase.RUNNING, Phase.FAILED):
            self._left = remainder(self._left, run.ran_s)

    def _end(self, reason: str) -> None:
        """The step is over, whatever the reason."""
        if reason == "fault" and self._survives(ended_with_fault(self._face.name)):
            return
        self.phase, self._left = Phase.ENDED, None
        if reason not in _BY_ITSELF:
            self._eis.drop_all(f"the step ended: {reason}")
        self._face.show_end(reason)
        self._later()
