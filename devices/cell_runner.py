"""Runs the programs of one step after another on a potentiostat, with spectra between or within.

What `devices.potentiostat.Potentiostat` shows to bluesky, this does to the instrument: it starts
and polls programs, ends them for a pause, a spectrum or an exposure of the resting cell, knows what
is left of the step, and leaves the cell off on every way out. It knows no documents.
"""

from __future__ import annotations

import logging

import numpy as np

from devices.answering import AnsweringClock
from devices.cell_face import Face, Phase, Place, ended_with_fault
from devices.cell_hold import CellHold
from devices.cell_intake import CellIntake
from devices.cell_records import CellLog
from devices.cell_run import BY_ITSELF, CellRun, SpectrumRequest, during, free_spectrum
from devices.clock import Clock
from devices.errors import DeviceError, InstrumentFault, LimitError, LinkError, OutputFault
from devices.impedance import ImpedanceSpectra
from devices.polling import Poller
from devices.roles import Page, PotentiostatBackend, Program, ProgramState
from devices.technique import Technique, remainder

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_TRIES = 3


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
        hold: What exposures want of the cell.
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
        self._intake = CellIntake(face, log, eis)
        self._poller = Poller(face, self._clock, self._look)
        self.phase = Phase.IDLE
        self.run: CellRun | None = None
        self.failure: DeviceError | None = None
        self.poll_period_s, self.counted_mah = 30.0, 0.0
        self._technique: Technique | None = None
        self._left: Program | None = None
        self.hold = CellHold(self.later)
        self._paused = self._interrupting = False

    @property
    def technique(self) -> Technique | None:
        """The step that was prepared last."""
        return self._technique

    @property
    def _in_step(self) -> bool:
        return self.phase in (Phase.RUNNING, Phase.PAUSED)

    @property
    def _sweeping(self) -> bool:
        """Whether a spectrum is being taken."""
        return self.run is not None and self.run.sweep is not None and not self.run.stored

    def reset(self) -> None:
        """A run of the experiment begins; nothing runs on the instrument."""
        self.phase, self._left, self._technique = Phase.IDLE, None, None
        self._intake.place, self._paused, self.counted_mah = Place(), False, 0.0
        self.failure = None
        self.hold.clear()
        self._log.reset()

    def prepare(self, technique: Technique) -> None:
        """Load a step; nothing is energised.

        Raises:
            LimitError: The instrument refuses it.
            InstrumentFault: A spectrum is being taken, or an exposure holds the cell.
        """
        if self.run is not None or self.hold.in_force != "keep":
            what = "asked to prepare during a spectrum, or an exposure of the resting cell"
            raise InstrumentFault(self._face.name, what, remedy="wait for its end")
        program = technique.left or (self._left if technique.continues else technique.program())
        if program is None:
            raise InstrumentFault(self._face.name, "nothing is left", remedy="prepare a new step")
        self._technique, self._left, self.failure = technique, program, None
        self._intake.place = Place(technique.step_index, technique.cycle)
        self.phase = Phase.PREPARED
        self._clock.attempt(lambda: self._backend.load(program))

    def kickoff(self) -> None:
        """Energise the cell and run the prepared step."""
        if self._left is not None:
            run, self.phase = CellRun((self._left,), self._clock.time()), Phase.RUNNING
            self._clock.attempt(lambda: self._start(run))
            self.later()

    def pause(self) -> None:
        """Switch the cell off; remember the rest of the step, and spectra not yet taken."""
        self._paused = True
        if self.run is not None:
            self.end_program()
        if self.phase is Phase.RUNNING:
            self.phase = Phase.PAUSED

    def resume(self) -> None:
        """Go on with the rest of the step, begin it again or drop it, as the technique says."""
        self._paused = False
        if self.phase is Phase.PAUSED and self._technique is not None:
            policy = self._technique.on_pause
            if policy == "restart":
                self._left = self._technique.program()
            if policy == "drop" and self._left is not None:
                self._end("stopped")
        if self.phase is Phase.PAUSED or self.hold.in_force == "rest":
            self._clock.attempt(lambda: self._go(self._load_next()))
        else:
            self.later()

    def end_step(self) -> None:
        """End the step as if its time were over, or do without the rest of one that failed."""
        if self.phase is Phase.RUNNING:
            self._clock.attempt(lambda: self.end_program(otherwise="ended"))
            if self.hold.in_force == "rest":
                self._interrupt(_TRIES)
        elif self.phase in (Phase.PAUSED, Phase.FAILED):
            self._end("ended")

    def stop(self) -> None:
        """End whatever runs and leave the cell off, verified by read-back; idempotent.

        Raises:
            InstrumentFault: The output does not read back as off.
        """
        self._paused = False
        self._eis.drop_all("the cell was switched off")
        self.hold.clear()
        running = self._in_step
        self.end_program()
        if running and self._in_step:
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
        technique, in_step = self._technique, self._in_step or self.phase is Phase.PREPARED
        if technique is None or not (technique.survivable and in_step):
            return False
        log.warning("%s: the step failed: %s", self._face.name, error)
        self._poller.cancel()
        self.phase, self.failure, self._interrupting = Phase.FAILED, error, False
        self._eis.drop_all(f"the step failed: {error}")
        self.hold.lost()
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
        own = ""
        if run is not None:
            self._intake.take(run, page)
            if self._intake.keep_spectrum(run, page):
                self.later()
            self._ran(run)
            over_apart = run.apart and page.reason in BY_ITSELF
            own = "" if over_apart else page.reason.removeprefix("stopped")
        if self.phase not in (Phase.RUNNING, Phase.FAILED):
            return
        nothing_left = "ended" if self.phase is Phase.FAILED and self._left is None else ""
        over = reason or own or otherwise or nothing_left
        if over and not (over == "fault" and self.phase is Phase.FAILED):
            self._end(over)

    # --- spectra --------------------------------------------------------------------------------

    def _next(self) -> None:
        """Do what waits, if that can be now: first what exposures want, then a spectrum."""
        if self._paused or self._sweeping or self._interrupting:
            return
        if self.hold.pending:
            if self.phase not in (Phase.PREPARED, Phase.FAILED):  # a step's beginning comes first
                self._interrupt(_TRIES)
        elif self.hold.in_force == "keep" and self._eis.next is not None:
            self._next_spectrum(self._eis.next)

    def _next_spectrum(self, request: SpectrumRequest) -> None:
        """Take the spectrum whose turn has come, if that can be now."""
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
            self.later()

    def _interrupt_for(self, request: SpectrumRequest) -> None:
        """End the step's program and load it again behind the spectrum, if it fits in."""
        try:
            self.poll()
        except LinkError as error:
            self._eis.drop(request, str(error), error)  # the step goes on, polled as before
            return
        run, left = self.run, self._left
        if run is None or left is None or self.phase is not Phase.RUNNING:
            return
        rest = remainder(left, run.elapsed_s(self._clock.time()))
        if rest is None or not during(rest, request, self._intake.last):
            return  # it waits for the end of the step
        self._interrupt(_TRIES)

    def _interrupt(self, tries: int) -> None:
        """End what runs, do what is wanted; stopping and loading may be repeated, starting not."""
        self._interrupting = False
        try:
            if self.run is not None:
                self.end_program()
            if self._paused or self.phase is Phase.FAILED:
                return
            following = self._load_next()
        except LinkError as error:
            if tries <= 1:
                raise
            log.warning("%s: interrupting the step failed: %s", self._face.name, error)
            self._interrupting = True
            self._clock.call_later(_RETRY_S, lambda: self._interrupt(tries - 1), owner=self._face)
            return
        self._go(following)

    def _load_next(self) -> CellRun | None:
        """Load what is wanted: rest, or what is left of the step behind the spectrum that waits.

        Returns:
            What was loaded; None where the cell is to be open, or nothing is left of the step.
        """
        left, request, wish = self._left, self._eis.next, self.hold.wish
        if wish is not None and wish.state == "open":
            return None
        now_s = self._clock.time()
        if wish is not None:
            self._backend.load(wish.program())
            return CellRun((wish.program(),), now_s, apart=True)
        if left is None or not self._in_step:
            return None
        programs = () if request is None else during(left, request, self._intake.last)
        if programs and self._loaded(request, *programs):
            return CellRun(programs, now_s, request, apart=len(programs) == 1)
        self._backend.load(left)
        return CellRun((left,), now_s)

    def _go(self, run: CellRun | None) -> None:
        """Start what was loaded, if anything was; what exposures want is in force."""
        if self._in_step:
            self.phase = Phase.RUNNING
        if run is not None:
            self._start(run)
        if self._in_step and self._left is None:
            self._end("time")
        self.hold.carried_out()
        self.later()

    def _loaded(self, request: SpectrumRequest | None, *programs: Program) -> bool:
        """Load a spectrum; an instrument that refuses it fails the spectrum, not the step."""
        try:
            self._backend.load(*programs)
        except LimitError as error:
            self._eis.drop(request, str(error), error)
            return False
        return True

    def later(self) -> None:
        """Look for what waits, once what goes on now is done.

        On the clock: whoever asks may survive a failure (an image does); one that comes while the
        step is interrupted must end the run instead, and an exception on the clock does.
        """
        if (self._eis.next is not None or self.hold.pending) and not self._paused:
            self._clock.call_later(0.0, self._next, owner=self._face)

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
        self._intake.take(run, page)
        if self.run is not run:
            return  # who saw the records has stopped it
        if self._intake.keep_spectrum(run, page):
            self.later()
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
            self._ended(run, page.reason or "fault")

    def _ended(self, run: CellRun, reason: str) -> None:
        """A program has ended by itself; one apart from the step is followed by what is wanted."""
        if run.apart and reason in BY_ITSELF:
            self._interrupt(_TRIES)
        elif self.phase is Phase.RUNNING:
            self._end(reason)
        else:
            self.later()

    def _ran(self, run: CellRun) -> None:
        """A program is over: what is left of the step, and what its counter showed."""
        self._poller.cancel()
        self.run = None
        self._log.charge.break_()
        self.counted_mah += float(np.nan_to_num(run.counter_mah))
        self._face.show_cell(on=False)
        if self._left is not None and self.phase in (Phase.RUNNING, Phase.FAILED) and not run.apart:
            self._left = remainder(self._left, run.ran_s)

    def _end(self, reason: str) -> None:
        """The step is over, whatever the reason."""
        if reason == "fault" and self._survives(ended_with_fault(self._face.name)):
            return
        self.phase, self._left = Phase.ENDED, None
        if reason not in BY_ITSELF:
            self._eis.drop_all(f"the step ended: {reason}")
        self._face.show_end(reason)
        self.later()
