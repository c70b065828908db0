"""The Keithley 2450 as the potentiostat of an experiment (`devices.roles.PotentiostatBackend`).

A program is compiled into the instrument's trigger model (`keithley_2450_program`), which runs,
limits and ends it without a host. This backend only loads it, starts it with one write that is
never repeated, and looks at it: a poll is one status query and, if there are new records, one
binary transfer by absolute index, so it may be repeated and deletes nothing.

``*OPC?`` is no barrier here: after INITiate it answers only when the trigger model is idle again
(reference manual 2450-901-01 Rev. B, page B-6); ``:TRIGger:STATe?`` answers at once.

verified on hardware: no
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from devices.adoption import Attached, Fit
from devices.drivers.keithley_2450 import (
    Keithley2450,
    parse_trigger_status,
)
from devices.drivers.keithley_2450_program import (
    BUFFER,
    CAPABILITIES,
    Compiled,
    compile_program,
)
from devices.drivers.keithley_2450_rows import columns, overloaded, read_rows
from devices.drivers.keithley_2450_status import (
    STATE,
    WITH_EXITS,
    WITHOUT_EXITS,
    Status,
    judged,
    new_token,
    parse_output,
    parse_settings,
    parse_status,
    parse_trigger,
    said,
    settings_query,
    token_message,
)
from devices.errors import (
    IdentityError,
    InstrumentFault,
    LimitError,
    LinkError,
    OutputFault,
    output_is_off,
)
from devices.link import Link
from devices.roles import (
    EndReason,
    Floats,
    Identity,
    Page,
    PotentiostatCapabilities,
    Program,
    ProgramState,
)

_SAME_S = 1e-3


class Keithley2450Backend:
    """A 2450 behind an open link; not for several threads at once.

    A program that runs already is left alone and can be read after `rewind`; otherwise the
    output-off state is set to high impedance at once, since the default one drives 0 V.

    Args:
        link: Open link to the instrument.
        remote_sense: Measure the voltage with four wires.

    Raises:
        IdentityError: Something else than a 2450 answered.
        InstrumentFault: The output-off state does not read back.
        LinkError: The link failed.
    """

    def __init__(self, link: Link, *, remote_sense: bool = False) -> None:
        if "2450" not in link.identity.model:
            raise IdentityError(
                link.who,
                f"got model {link.identity.model!r}, expected a Keithley 2450",
                remedy="correct the resource in the bench profile",
            )
        self._link, self._remote_sense = link, remote_sense
        self._instrument = Keithley2450(link.adapter)
        self._compiled: Compiled | None = None
        self._mode = ""
        self._token, self._index, self._at_s = "", 0, -np.inf
        self._row: list[float] | None = None
        self._last_row: int | None = None
        self._end: EndReason = ""
        self._started = self._loaded = False
        self._attach()
        link.on_reconnect(self._read_back)

    def identity(self) -> Identity:
        """Who answered on the link."""
        return self._link.identity

    def capabilities(self) -> PotentiostatCapabilities:
        """What a 2450 can do in its 20 V range."""
        return CAPABILITIES

    def load(self, program: Program, *linked: Program) -> None:
        """Check and program a technique; nothing is energised.

        Raises:
            LimitError: It lies outside the limits, or is one that a 2450 does not have; nothing
                was written.
            InstrumentFault: A program runs, or the instrument refuses or misreads a setting.
            LinkError: The link failed.
        """
        if linked or program.mode not in CAPABILITIES.modes:
            what = "linked programs" if linked else f"mode {program.mode}"
            raise LimitError(
                self._link.who, f"got {what}, which a 2450 does not run", remedy="use one that can"
            )
        compiled = compile_program(program, who=self._link.who, remote_sense=self._remote_sense)
        status = self._look()
        if status.trigger.running or status.output_on:
            raise InstrumentFault(
                self._link.who,
                f"asked to load while {status.trigger.state.lower()}, output "
                f"{'on' if status.output_on else 'off'}",
                remedy="stop it first",
            )
        self._forget()
        self._token = new_token()
        with self._link.transaction():
            for message in (*compiled.messages, token_message(self._token)):
                self._link.write(message)
            self._instrument.check_errors()
            self._require_settings(compiled)
        self._compiled, self._loaded = compiled, True
        self._mode = program.mode

    def start(self) -> None:
        """Energise and run the loaded program.

        Raises:
            InstrumentFault: Nothing is loaded, or the instrument does not run it.
            LinkError: It may or may not run: read back before anything else.
        """
        if self._compiled is None or self._started:
            raise InstrumentFault(
                self._link.who, "asked to start without a fresh program", remedy="load one first"
            )
        self._started = True
        state = parse_trigger_status(self._link.write_once(":INIT", confirm=STATE))
        status = self._look()
        if not status.rows and not (status.trigger.running and status.output_on):
            raise InstrumentFault(
                self._link.who,
                f"does not run after INIT: trigger model {state.state.lower()}, output "
                f"{'on' if status.output_on else 'off'}",
                remedy="read its event log",
            )

    def poll(self) -> Page:
        """Records since the last poll.

        Raises:
            InstrumentFault: Records that were there are gone: the instrument was restarted.
            LinkError: The link failed; the same records come with the next poll.
        """
        return self._page(self._look())

    def rewind(self, index: int) -> None:
        """Let the next poll begin at this row again."""
        self._index, self._row = index, None
        self._started = True

    def mark(self) -> Mapping[str, Any]:
        """Token of the program in the instrument, and the row that was read last."""
        return {
            "token": self._token,
            "index": self._index,
            "row": self._row,
            "started": self._started,
        }

    def attach(self, programs: Sequence[Program], mark: Mapping[str, Any]) -> Attached:
        """Find the program of a host that is gone; reads only.

        It is ours if the token, the settings that protect the cell and the exit blocks are those
        of the program, and the row that was read last reads the same again.

        Raises:
            LinkError: The link failed; nothing was changed.
        """
        self._forget()
        if not programs:
            status = self._look()
            text = said(status) if status.driven else ""
            return Attached(Fit.FOREIGN if text else Fit.GONE, text)
        compiled = compile_program(programs[0], who=self._link.who, remote_sense=self._remote_sense)
        settings = self._link.ask_for(settings_query(compiled), parse_settings)
        ours = len(programs) == 1 and settings.fit(compiled, mark["token"])
        ours = ours and self._has_exits(repeat=True)
        self._loaded = ours
        attached = judged(self._look(), settings, mark, ours=ours)
        if attached.fit is Fit.OURS and mark["row"] is not None:
            again = read_rows(self._link, mark["index"] - 1, mark["index"])[0].tolist()
            if again != mark["row"]:
                text = f"row {mark['index']} reads {again}, {mark['row']} was read before"
                attached = Attached(Fit.CLEARED, text)
        if attached.fit is not Fit.OURS:
            self._forget()
            return attached
        self._compiled, self._mode, self._token = compiled, programs[0].mode, mark["token"]
        self._index, self._row, self._started = mark["index"], mark["row"], True
        self._at_s = -np.inf if self._row is None else self._row[2]
        self._leave_out_last()
        return attached

    def stop(self) -> Page:
        """Record once more, switch the output off and verify it.

        One message does all of it, so that a link that fails after it was sent leaves the cell
        off. If the program had ended before, its reason stays and the record is left out. An
        instrument that does not switch off is told to source 0 A before this raises.

        Raises:
            InstrumentFault: The output reads back as on.
            LinkError: The link failed: the state is unknown, try again; an `UnreadError` says that
                it is off.
        """
        if self._started and not self._end:
            self._link.write(f":ABOR;:TRAC:TRIG {BUFFER};:OUTP OFF")
        else:
            self._link.write(":ABOR;:OUTP OFF")
        status = self._look()
        if status.output_on:
            self._link.write(":ABOR;:OUTP OFF;:SOUR:CURR 0;:SOUR:FUNC CURR;:OUTP OFF")
            status = self._look()
        if status.output_on:
            raise OutputFault(
                self._link.who,
                "the output reads back as on after OUTPUT OFF; it was told to source 0 A",
                remedy="press OUTPUT on its front panel or disconnect the cell",
            )
        with output_is_off(self._link.who):
            if self._started and not self._end and self._reason(status) != "stopped":
                self._last_row = status.rows - 1
                return self._page(status)
            return self._page(status, stopping=self._started and not self._end)

    def output_on(self) -> bool:
        """Read back whether the output is on."""
        return self._look().output_on

    # --- inside ---------------------------------------------------------------------------------

    def _attach(self) -> None:
        """Find out what the instrument does; make it safe to switch off if it does nothing."""
        trigger = self._link.ask_for(STATE, parse_trigger)
        if trigger.running:
            self._loaded = self._started = True
            return
        self._loaded = trigger.state in {"IDLE", "ABORTED"} and self._has_exits()
        if self._link.ask_for(":OUTP?", parse_output):
            return
        self._link.write(":OUTP:SMOD HIMP;:FORM:DATA REAL;:FORM:BORD SWAP")
        self._require_off_states()

    def _has_exits(self, *, repeat: bool = False) -> bool:
        """Whether the trigger model in the instrument is one of ours.

        A foreign one has other blocks at the places of the exit counters: then the query is an
        error and is not answered.

        Args:
            repeat: Ask again before that is believed: a link that fails is no foreign program.
        """
        try:
            self._link.ask_for(WITH_EXITS, parse_status, repeat=repeat)
        except LinkError:
            self._link.write("*CLS")
            return False
        return True

    def _leave_out_last(self) -> None:
        """Whoever stopped it made a record then: at the time of the one before, or too late."""
        status = self._look()
        if status.trigger.running or not status.rows:
            return
        rows = read_rows(self._link, max(status.rows - 2, 0), status.rows)
        repeats = len(rows) > 1 and rows[-1, 2] - rows[-2, 2] < _SAME_S
        if overloaded(rows[-1]) or (status.aborted and repeats):
            self._last_row = status.rows - 1

    def _require_off_states(self) -> None:
        states = self._link.ask(":OUTP:CURR:SMOD?;:OUTP:VOLT:SMOD?").upper()
        if states != "HIMP;HIMP":
            raise InstrumentFault(
                self._link.who,
                f"output-off states read back as {states}, expected HIMP;HIMP",
                remedy="never connect a cell to it: switching off would drive 0 V",
            )

    def _require_settings(self, compiled: Compiled) -> None:
        """Read back what protects the cell before it can be energised."""
        self._require_off_states()
        settings = self._link.ask_for(settings_query(compiled), parse_settings)
        if not settings.fit(compiled, self._token):
            raise InstrumentFault(
                self._link.who,
                f"settings read back as {settings}, expected {compiled.source} of "
                f"{compiled.level:g} within {compiled.source_limit:g}, {compiled.records} records, "
                f"token {self._token}",
                remedy="do not start; read its event log and find out who else uses it",
            )

    def _read_back(self) -> None:
        """After a reconnect: the limits that protect a running program must still be there."""
        if self._compiled is not None and self._started and not self._end:
            self._require_settings(self._compiled)

    def _forget(self) -> None:
        """The program before this one is over."""
        self._compiled, self._loaded, self._started = None, False, False
        self._index, self._last_row, self._end = 0, None, ""
        self._at_s, self._token, self._row = -np.inf, "", None

    def _look(self) -> Status:
        if self._loaded:
            return self._link.ask_for(WITH_EXITS, parse_status)
        return self._link.ask_for(WITHOUT_EXITS, lambda reply: parse_status(f"{reply};0;0"))

    def _page(self, status: Status, *, stopping: bool = False) -> Page:
        first, last = self._index, status.rows
        if self._last_row is not None:
            last = min(last, self._last_row)
        if last < first:
            raise InstrumentFault(
                self._link.who,
                f"holds {status.rows} records, {first} were read",
                remedy="it was restarted or cleared: the program is lost",
            )
        reason = self._reason(status)
        if status.trigger.running and not status.output_on:
            status = self._look()  # it may have ended between the two halves of the reply
            if not (status.trigger.running and not status.output_on):
                return self._page(status)
            reason = "fault"
        rows = self._new_rows(last, stopping=stopping)
        state = ProgramState.RUNNING
        if reason:
            state, self._end = ProgramState.FINISHED, reason
        elif not status.trigger.running:
            state = ProgramState.IDLE
        current_ma, voltage_v = columns(rows, forces_voltage=self._program_mode() == "voltage")
        return Page(first, rows[:, 2], current_ma, voltage_v, state, reason, status.output_on)

    def _new_rows(self, last: int, *, stopping: bool) -> Floats:
        """Rows that were not read yet; a record made by stopping must not repeat the last one."""
        rows = read_rows(self._link, self._index, last)
        if not len(rows):
            return rows
        before_s = rows[-2, 2] if len(rows) > 1 else self._at_s
        if stopping and rows[-1, 2] - before_s < _SAME_S:
            rows = rows[:-1]
            self._last_row = last - 1
        self._index += len(rows)
        if len(rows):
            self._at_s, self._row = float(rows[-1, 2]), rows[-1].tolist()
        return rows

    def _reason(self, status: Status) -> EndReason:
        """How the program ended, from the exits it passed; empty while it runs or has not."""
        if self._end:
            return self._end
        if status.trigger.running or not self._started:
            return ""
        if status.limit_exits:
            return "limit"
        if status.end_exits:
            return "end_current" if self._program_mode() == "voltage" else "end_voltage"
        if status.trigger.state == "ABORTED":
            return "stopped"
        return "time" if status.trigger.state == "IDLE" and status.rows else "fault"

    def _program_mode(self) -> str:
        """Mode of the program; after attaching to a running one, from the instrument."""
        if not self._mode:
            self._mode = "voltage" if self._link.ask(":SOUR:FUNC?") == "VOLT" else "current"
        return self._mode
