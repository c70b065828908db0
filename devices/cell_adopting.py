"""A potentiostat's work that a later process can go on with: what it stood at, and what it finds.

`checkpoint` says where the work stands, `adopt` reads the instrument and goes on from there. It
re-issues nothing: a program that still runs is followed, one that is over is its step's end, and
what does not fit is switched off, verified, and left to people. It may be repeated, and ended at
any point: the state is what counts, and the instrument forgets no rows until the next load.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from devices.adoption import (
    Adoption,
    Attached,
    Fit,
    Gap,
    Journaled,
    charge_bound_mah,
    largest_current_ma,
)
from devices.cell_amending import AmendableRunner
from devices.cell_checkpoint import (
    VERSION,
    finite,
    number,
    program_of,
    program_state,
    records_of,
    records_state,
    technique_of,
    technique_state,
    wish_of,
)
from devices.cell_face import Phase, Place
from devices.cell_program import CellLimits, Page, Program, ProgramState, Sweep
from devices.cell_reckoning import began_s, skew_s
from devices.cell_run import BY_ITSELF, CellRun, SpectrumRequest
from devices.technique import Technique

log = logging.getLogger(__name__)


class AdoptingRunner(AmendableRunner):
    """The work of a potentiostat that survives its process.

    Args:
        *args: As for `devices.cell_runner.CellRunner`.

    Attributes:
        remember: Called before the instrument forgets rows, before the cell is energised, and
            once it is: whoever keeps checkpoints writes one, durably, before it returns. What it
            raises keeps the cell off.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.remember: Callable[[], None] = lambda: None
        self._journaled = Journaled()

    # --- before anything is forgotten or energised ----------------------------------------------

    def join(self, technique: Technique) -> bool:
        """Whether a step is the one that runs already, begun by whatever process."""
        if not technique.is_same(self._technique):
            return False
        self._technique = technique
        return True

    def prepare(self, technique: Technique) -> None:
        """Load a step; nothing is energised. See `devices.cell_runner.CellRunner.prepare`."""
        self.remember()
        super().prepare(technique)

    def _load_next(self) -> CellRun | None:
        self.remember()
        return super()._load_next()

    def _loaded(self, request: SpectrumRequest | None, *programs: Program) -> bool:
        self.remember()
        return super()._loaded(request, *programs)

    def _start(self, run: CellRun) -> None:
        self.run = run
        try:
            self.remember()
        except BaseException:
            self.run = None
            raise
        super()._start(run)
        self.remember()

    @property
    def last(self) -> tuple[float, float]:
        """Last current (mA) and voltage (V) of a step or a spectrum; NaN before the first."""
        return self._intake.last

    # --- where it stands ------------------------------------------------------------------------

    def checkpoint(self) -> dict[str, Any]:
        """Where the work stands, JSON-able; asks the instrument nothing."""
        intake, mark = self._intake, dict(self._backend.mark())
        return {
            "version": VERSION,
            "serial": self._backend.identity().serial,
            "at_s": self._clock.time(),
            "phase": str(self.phase),
            "technique": technique_state(self._technique),
            "left": program_state(self._left),
            "place": [intake.place.step_index, intake.place.cycle],
            "last": [finite(value) for value in (*intake.last, intake.last_s)],
            "run": self._run_state(),
            "mark": mark,
            "charge": self._log.charge.state(),
            "counted_mah": self.counted_mah,
            "waiting": [records_state(records) for records in self._log.waiting],
            "hold": self.hold.state(),
            "paused": self._paused,
        }

    def _run_state(self) -> dict[str, Any] | None:
        run = self.run
        if run is None:
            return None
        asked = run.request
        return {
            "programs": [program_state(program) for program in run.programs],
            "began_s": run.began_s,
            "ran_s": run.ran_s,
            "counter_mah": finite(run.counter_mah),
            "stored": run.stored,
            "apart": run.apart,
            "skew_s": run.skew_s,
            "request": None
            if asked is None
            else {
                "sweep": asdict(asked.sweep),
                "limits": asdict(asked.limits),
                "series": asked.series,
                "at_rest": asked.at_rest,
            },
        }

    # --- going on from there --------------------------------------------------------------------

    def adopt(self, state: Mapping[str, Any], journaled: Journaled) -> Adoption:
        """Find out what became of the work, and go on with it; see `Potentiostat.adopt`."""
        adoption = self._found(state, journaled)
        if self.phase is Phase.ENDED and adoption.found in ("off", "running"):
            reason = adoption.end_reason or state["end_reason"]
            self._face.show_end(reason)  # whatever runs, a spectrum of the open cell, is beside it
            return replace(adoption, found="finished", end_reason=reason)
        return adoption

    # --- inside ---------------------------------------------------------------------------------

    def _found(self, state: Mapping[str, Any], journaled: Journaled) -> Adoption:
        self._poller.cancel()
        self._journaled = journaled
        self._restore(state)
        serial = self._backend.identity().serial
        run = self._run_of(state["run"])
        if serial != state["serial"]:
            found = Attached(Fit.FOREIGN, f"serial {serial}, expected {state['serial']}")
        else:
            programs = () if run is None else run.programs
            found = self._backend.attach(programs, state["mark"])
        if found.fit in (Fit.FOREIGN, Fit.CLEARED):
            return self._lost(run, found)
        if run is None:
            return self._between()
        if found.fit is Fit.OURS:
            return self._followed(run, found, state)
        if found.fit is Fit.WAITING:
            self._set_off()
            return self._off("the program that was loaded was never started", "")
        return self._restarted(run, found)

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Everything that is not the instrument's stands as it did."""
        self.reset()
        waiting = [records_of(one) for one in state["waiting"]]
        held = self._journaled
        self._log.restore(state["charge"], waiting, held.until_s, held.place)
        self._technique, self._left = technique_of(state["technique"]), program_of(state["left"])
        self.counted_mah = state["counted_mah"]
        self._intake.place = Place(*state["place"])
        *last, last_s = state["last"]
        self._intake.last = number(last[0]), number(last[1])
        self._intake.last_s = number(last_s, -math.inf)
        self.run, self._interrupting = None, False
        self.phase = Phase(state["phase"])

    def _run_of(self, state: Mapping[str, Any] | None) -> CellRun | None:
        if state is None:
            return None
        programs = tuple(p for p in map(program_of, state["programs"]) if p is not None)
        asked, request = state["request"], None
        if asked is not None:
            sweep, limits = Sweep(**asked["sweep"]), CellLimits(**asked["limits"])
            at_rest = asked["at_rest"]
            if state["stored"]:
                request = SpectrumRequest(sweep, limits, asked["series"], _nobody, at_rest=at_rest)
            else:
                request = self._eis.expect(sweep, limits, asked["series"], at_rest=at_rest)
        return CellRun(
            programs,
            state["began_s"],
            request,
            ran_s=state["ran_s"],
            counter_mah=number(state["counter_mah"]),
            stored=state["stored"],
            apart=state["apart"],
            skew_s=state["skew_s"],
        )

    def _between(self) -> Adoption:
        """Nothing was loaded and started then, and nothing runs now."""
        self._set_off()
        return self._off("the cell was off, and is", "")

    def _followed(self, run: CellRun, found: Attached, state: Mapping[str, Any]) -> Adoption:
        """The program is there: its rows are read, and it is followed or over."""
        if self.phase in (Phase.PREPARED, Phase.FAILED):
            self.phase = Phase.RUNNING
        page = self._backend.poll()
        now_s = self._clock.time()
        if not state["mark"]["started"]:
            times = state["at_s"], now_s
            run.began_s = began_s(run, page, found, times, self._journaled.until_s)
        self.run = run
        self._intake.take(run, page)
        self._intake.keep_spectrum(run, page)
        run.skew_s = skew_s(run, page, found, now_s)
        technique = self._technique if self._in_step else None
        if technique and abs(self._log.charge.net_mah) > technique.max_capacity_mah:
            self.end_program(reason="limit")
            text = (
                "read back: the net charge had left what is allowed, so the cell was switched off"
            )
            return self._told("finished", text, "limit", run, page)
        if page.state is ProgramState.FINISHED:
            return self._over(run, page)
        return self._running(run, page, state, now_s)

    def _running(
        self, run: CellRun, page: Page, state: Mapping[str, Any], now_s: float
    ) -> Adoption:
        self._face.show_cell(on=True)
        elapsed_s = run.elapsed_s(now_s)
        if run.apart:
            self.hold.restore({who: wish_of(one) for who, one in state["hold"].items()})
        marks = (run.programs[0].duration_s,) if run.request is not None else ()
        self._poller.begin(self.poll_period_s, run.duration_s, marks, elapsed_s=elapsed_s)
        text = (
            f"its program still runs, {elapsed_s:.0f} s of {run.duration_s:.0f} s; followed again"
        )
        return self._told("running", text, "", run, page)

    def _over(self, run: CellRun, page: Page) -> Adoption:
        """The program had ended by itself, or somebody ended it."""
        if page.output_on:
            return self._lost(run, Attached(Fit.FOREIGN, "its program is over and the cell is on"))
        self._ran(run)
        reason = page.reason or "fault"
        of_step = self._in_step and not run.apart
        if of_step and self._left is None and reason == "stopped":
            reason = "time"  # it was stopped when nothing was left of it
        if of_step and reason in (*BY_ITSELF, "limit"):
            self._end(reason)
            text = f"its program had ended by itself ({reason})"
            return self._told("finished", text, reason, run, page)
        self._set_off()
        ended = "was switched off" if reason == "stopped" else f"had ended ({reason})"
        return self._told("off", f"its program {ended}; all of its records are there", reason,
                          run, page)  # fmt: skip

    def _told(self, found: Any, text: str, reason: str, run: CellRun, page: Page) -> Adoption:
        rows = len(page.elapsed_s)
        skew = f"; the clock was set by {run.skew_s:+.0f} s" if run.skew_s else ""
        told = Adoption(
            found,
            left=self.left if found == "running" else self._left,
            end_reason=reason,
            text=f"{self._face.name}: {text}; {rows} records read back{skew}",
            rows=rows,
            clock_skew_s=run.skew_s,
            holds=tuple(self.hold.names),
        )
        log.info("%s", told.text)
        return told

    def _off(self, text: str, reason: str) -> Adoption:
        return Adoption(
            "off", left=self._left, end_reason=reason, text=f"{self._face.name}: {text}"
        )

    def _lost(self, run: CellRun | None, found: Attached) -> Adoption:
        """What is there does not fit: off, verified; what passed since nobody knows."""
        self._backend.stop()
        now_s = self._clock.time()
        bound_mah = math.inf
        if run is not None and found.fit is Fit.CLEARED:  # nothing else than its program ran
            largest_ma = max(largest_current_ma(program) for program in run.programs)
            bound_mah = largest_ma * (now_s - self._known_s(run)) / 3600.0
        gap = Gap(self._known_s(run), now_s, bound_mah)
        self._gone(run)
        text = f"{self._face.name}: {found.text}; the cell was switched off"
        log.warning("%s", text)
        return Adoption("lost", left=self._left, gap=gap, text=text)

    def _restarted(self, run: CellRun, found: Attached) -> Adoption:
        """The instrument was switched off and on: nothing is driven, and no records are left."""
        known_s, end_s = self._known_s(run), run.began_s + run.skew_s + run.duration_s
        to_s = max(min(end_s, self._clock.time()), known_s)
        bound_mah = charge_bound_mah(run.programs, run.elapsed_s(known_s), run.elapsed_s(to_s))
        self._gone(run)
        text = f"the instrument was switched off and on ({found.text}): its records are gone"
        return replace(self._off(text, ""), gap=Gap(known_s, to_s, bound_mah))

    def _known_s(self, run: CellRun | None) -> float:
        """Until when the cell is known: its last record in checkpoint or journal, Unix s."""
        began_s = -math.inf if run is None else run.began_s
        known_s = max(self._intake.last_s, self._journaled.until_s, began_s)
        return known_s if math.isfinite(known_s) else self._clock.time()

    def _gone(self, run: CellRun | None) -> None:
        """The rest of the records of a program is gone: what the journal has of it counts."""
        held = self._journaled
        if run is not None:
            run.ran_s = max(run.ran_s, run.elapsed_s(held.until_s))
            self._ran(run)
        if held.until_s > self._intake.last_s and math.isfinite(held.charge_mah):
            self._log.charge.net_mah = held.charge_mah
            self._log.charge.throughput_mah = held.throughput_mah
        self._set_off()

    def _set_off(self) -> None:
        """The cell is off: what is left of the step waits for who decides."""
        self.run, self._paused = None, False
        self._log.charge.break_()
        self._eis.drop_all("the run was cut off, and the cell is off")
        self.hold.clear()
        self._face.show_cell(on=False)
        if self.phase not in (Phase.IDLE, Phase.ENDED) and self._left is not None:
            self.phase = Phase.FAILED
            self._face.show_end("failed")


def _nobody(_outcome: Any) -> None:
    """A spectrum that was stored already."""
