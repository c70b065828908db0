"""A potentiostat behind the bridge protocol: PyMeasure-style driver and its role.

`PotentiostatBridge` speaks the lines of `docs/reference/bridge-protocol.md` ("Potentiostat");
`BridgePotentiostat` makes of it what an experiment expects (`devices.roles.PotentiostatBackend`),
spectra included. The same bytes go to the simulated potentiostat and to the agent on a vendor's
PC. Starting is sent at most once; a poll deletes nothing; off is read back.

Verified on hardware: no.
"""

from __future__ import annotations

import json
import math
import secrets
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from devices.adoption import Attached, Fit
from devices.drivers.bridge_lines import BridgeInstrument, command_once, greet, parse_object
from devices.drivers.potentiostat_program import compile_programs
from devices.drivers.potentiostat_status import Status, capabilities_of, judged, status_of
from devices.errors import (
    IdentityError,
    InstrumentFault,
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
    SpectrumPoints,
)

_ROWS_PER_TRANSFER = 10_000
_COLUMNS = {"transient": 5, "spectrum": 9}
_CRC_BYTES = 4
_TRIES_TO_STOP = 2


class PotentiostatBridge(BridgeInstrument):
    """A potentiostat that speaks the bridge protocol.

    Args:
        adapter: A link's adapter.
        name: Name for messages.
        **kwargs: As for `pymeasure.instruments.Instrument`.
    """

    def __init__(self, adapter: Any, name: str = "potentiostat bridge", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    @property
    def program(self) -> dict[str, Any]:
        """Control the linked sequence of techniques (dict; empty where nothing is loaded)."""
        return self.answer("TECH:LOAD?", _object_or_nothing)

    @program.setter
    def program(self, program: Mapping[str, Any]) -> None:
        self.write(f"TECH:LOAD {json.dumps(dict(program), allow_nan=False)}")

    @property
    def capabilities(self) -> dict[str, Any]:
        """Get techniques, limits and frequencies of the instrument (dict)."""
        return self.answer("TECH:CAP?", parse_object)

    @property
    def status(self) -> dict[str, Any]:
        """Get where the program stands, records and points counted (dict)."""
        return self.answer("TECH:STAT?", parse_object)

    def halt(self) -> None:
        """End the program and open the cell."""
        self.write("TECH:STOP")


class BridgePotentiostat:
    """A potentiostat for experiments, over a link to a bridge.

    A program that runs already is left alone and can be read after `rewind`. After a reconnect
    the token is proved again, and a program that was running must still be the one loaded.

    Args:
        link: Open link to the bridge.
        token: Token shared with the agent; None where it needs none.

    Raises:
        IdentityError: The agent wants a token, does not accept this one, or serves something
            that is no potentiostat.
        LinkError: The link failed.
    """

    def __init__(self, link: Link, *, token: str | None = None) -> None:
        self._link, self._token = link, token
        self.driver = PotentiostatBridge(link.adapter, link.who)
        self._held: dict[str, Any] = {}
        self._index = self._point = 0
        self._program, self._token_held = 0, ""
        self._row: list[float | None] | None = None
        self._fresh = self._started = False
        self._end: EndReason = ""
        with link.transaction():
            greet(link, self.driver, token)
            self._capabilities = self._ask_capabilities()
            self._attach(self._look())
        link.on_reconnect(self._read_back)

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        return self._link.identity

    def capabilities(self) -> PotentiostatCapabilities:
        """What it can do, as it said when it was connected."""
        return self._capabilities

    def load(self, program: Program, *linked: Program) -> None:
        """Check and program techniques; nothing is energised.

        Raises:
            LimitError: Something lies outside the limits or what the instrument can do.
            NotReachedError: A program runs: stop it first.
            InstrumentFault: What is read back is not what was loaded.
            LinkError: The link failed.
        """
        wanted = compile_programs((program, *linked), self._capabilities, who=self._link.who)
        token = secrets.token_hex(8) if self._takes_tokens else ""
        wanted |= {"token": token} if token else {}
        with self._link.transaction():
            self.driver.program = wanted
            self.driver.check_errors()
            held = self.driver.program
            status = self._look()
        if not _holds(held, wanted) or status.cell_on:
            raise InstrumentFault(
                self._link.who,
                f"the program reads back as {json.dumps(held)[:200]}, cell "
                f"{'on' if status.cell_on else 'off'}",
                remedy="do not start; compare the agent's version with the driver's",
            )
        self._held, self._program, self._token_held = held, status.program + 1, token
        self._index, self._point, self._row = 0, 0, None
        self._fresh, self._started, self._end = True, False, ""

    def start(self) -> None:
        """Energise and run what is loaded; sent at most once.

        Raises:
            InstrumentFault: Nothing fresh is loaded, or the instrument does not run it.
            LinkError: It may or may not run: read back before anything else.
        """
        if not self._fresh:
            raise InstrumentFault(
                self._link.who, "asked to start without a fresh program", remedy="load one first"
            )
        self._fresh, self._started = False, True
        command_once(self._link, "TECH:STAR")
        status = self._look()
        if not (status.state is ProgramState.RUNNING or status.rows):
            raise InstrumentFault(
                self._link.who, f"does not run, it is {status.word}", remedy="look at its software"
            )

    def poll(self) -> Page:
        """Records and points since the last poll; deletes nothing.

        Raises:
            InstrumentFault: Records that were there are gone, or another program runs.
            LinkError: The link failed; the same rows come with the next poll.
        """
        with self._link.transaction():
            return self._page(self._look())

    def rewind(self, index: int) -> None:
        """Let the next poll begin at this row, and at the spectrum's first point, again."""
        self._index, self._point, self._row = index, 0, None
        self._started = True

    def mark(self) -> Mapping[str, Any]:
        """Number and token of the program in the instrument, and the row that was read last."""
        return {
            "program": self._program,
            "token": self._token_held,
            "index": self._index,
            "row": self._row,
            "started": self._started,
        }

    def attach(self, programs: Sequence[Program], mark: Mapping[str, Any]) -> Attached:
        """Find the programs of a host that is gone; reads only.

        They are ours if the loaded program reads back as they compile, with their token where the
        instrument keeps one, if it was started as often as then, and if the row that was read
        last reads the same again.

        Raises:
            LinkError: The link failed; nothing was changed.
        """
        self._fresh, self._started, self._end = False, False, ""
        with self._link.transaction():
            held, status = self.driver.program, self._look()
            if not programs:
                return Attached(Fit.FOREIGN if status.driven else Fit.GONE, status.text)
            wanted = compile_programs(programs, self._capabilities, who=self._link.who)
            wanted |= {"token": mark["token"]} if mark["token"] else {}
            attached = judged(status, mark, held=bool(held), ours=_holds(held, wanted))
            if attached.fit is Fit.OURS and mark["row"] is not None:
                again = _row(self._rows("transient", mark["index"] - 1, mark["index"])[0])
                if again != mark["row"]:
                    text = f"row {mark['index']} reads {again}, {mark['row']} was read before"
                    attached = Attached(Fit.CLEARED, text)
        if attached.fit is Fit.OURS:
            self._held, self._program, self._token_held = held, status.program, mark["token"]
            self._index, self._point, self._row = mark["index"], 0, mark["row"]
            self._started = True
        return attached

    def stop(self) -> Page:
        """End the program, open the cell and verify it; idempotent.

        Raises:
            InstrumentFault: The cell reads back as on.
            LinkError: The link failed: the state is unknown, try again; an `UnreadError` says that
                it is off.
        """
        for _ in range(_TRIES_TO_STOP):
            self.driver.halt()
            status = self._look()
            if not status.cell_on and status.state is not ProgramState.RUNNING:
                with output_is_off(self._link.who), self._link.transaction():
                    return self._page(status)
        raise OutputFault(
            self._link.who,
            f"the cell reads back as {'on' if status.cell_on else 'open'}, {status.word}, after "
            "it was stopped twice",
            remedy="disconnect the cell by hand",
        )

    def output_on(self) -> bool:
        """Read back whether the cell is connected and driven."""
        return self._look().cell_on

    # --- inside ---------------------------------------------------------------------------------

    def _attach(self, status: Status) -> None:
        """A program that runs or has run is known, so that it can be read."""
        if status.state is not ProgramState.IDLE:
            self._held, self._program = self.driver.program, status.program
            self._started = status.state is ProgramState.RUNNING

    def _ask_capabilities(self) -> PotentiostatCapabilities:
        try:
            said = self.driver.capabilities
            self._takes_tokens = said.get("token") is True
            return capabilities_of(said)
        except (InstrumentFault, KeyError, TypeError, ValueError) as error:
            raise IdentityError(
                self._link.who,
                f"the bridge serves no potentiostat that this driver knows: {error}",
                remedy="check the resource in the bench profile and the agent's plug-in",
            ) from error

    def _look(self) -> Status:
        try:
            return status_of(self.driver.status)
        except (KeyError, TypeError, ValueError) as error:
            raise LinkError(
                self._link.who,
                f"garbled status, {type(error).__name__}: {error}",
                remedy="compare the agent's version with the driver's",
            ) from error

    def _read_back(self) -> None:
        """After a reconnect: the limits that protect a running program must still be there."""
        greet(self._link, self.driver, self._token)
        if self._started and not self._end and not _holds(self.driver.program, self._held):
            raise InstrumentFault(
                self._link.who,
                "another program is loaded after a reconnect",
                remedy="find out who else uses the instrument",
            )

    def _page(self, status: Status) -> Page:
        rows, points = self._new_rows(status)
        if status.reason and self._started:
            self._end = self._reason(status)
        running = status.state is ProgramState.RUNNING
        return Page(
            index=self._index - len(rows),
            elapsed_s=rows[:, 0],
            current_ma=rows[:, 1],
            voltage_v=rows[:, 2],
            state=status.state if self._started or running else ProgramState.IDLE,
            reason=self._end,
            output_on=status.cell_on,
            technique=status.technique,
            counter_mah=status.charge_mah if self._capabilities.counter else math.nan,
            spectrum=SpectrumPoints(*points[:, :8].T) if len(points) else None,
        )

    def _new_rows(self, status: Status) -> tuple[Floats, Floats]:
        """Rows and points that were not read yet."""
        waits_loaded = status.word == "loaded" and status.program == self._program - 1
        if not self._started or waits_loaded:  # or its start never arrived
            return np.empty((0, _COLUMNS["transient"])), np.empty((0, _COLUMNS["spectrum"]))
        gone = status.rows < self._index or status.points < self._point
        if gone or status.program != self._program:
            raise InstrumentFault(
                self._link.who,
                f"holds {status.rows} records and {status.points} points of program "
                f"{status.program}, {self._index} and {self._point} of {self._program} were read",
                remedy="it was restarted, or somebody else uses it: the program is lost",
            )
        rows = self._rows("transient", self._index, status.rows)
        points = self._rows("spectrum", self._point, status.points)
        self._index, self._point = status.rows, status.points
        if len(rows):
            self._row = _row(rows[-1])
        return rows, points

    def _reason(self, status: Status) -> EndReason:
        if status.reason != "test":
            return status.end_reason
        kind = self._held["techniques"][status.technique]["technique"]
        return "end_current" if kind == "cv" else "end_voltage"

    def _rows(self, process: str, first: int, last: int) -> Floats:
        """Rows `first` to `last - 1` of a process, counted from 0."""
        parts = [
            self._transfer(process, start, min(_ROWS_PER_TRANSFER, last - start))
            for start in range(first, last, _ROWS_PER_TRANSFER)
        ]
        return np.concatenate(parts) if parts else np.empty((0, _COLUMNS[process]))

    def _transfer(self, process: str, first: int, count: int) -> Floats:
        """One block; it changes nothing, so the link may ask again."""
        wanted = json.dumps({"process": process, "first": first, "count": count})
        received = self._link.query_binary(f"TECH:DATA? {wanted}", "u1", repeat=True).tobytes()
        data, checksum = received[:-_CRC_BYTES], received[-_CRC_BYTES:]
        size = 8 * count * _COLUMNS[process]
        if len(data) != size or zlib.crc32(data) != int.from_bytes(checksum, "little"):
            self._link.distrust("rows that do not fit their checksum")
            raise LinkError(
                self._link.who,
                f"rows: got {len(received)} bytes, expected {size + _CRC_BYTES} with their CRC-32",
                remedy="read them again",
            )
        return np.frombuffer(data, "<f8").reshape(count, -1).copy()


def _row(values: Floats) -> list[float | None]:
    """A row as JSON has it: nothing for what was overloaded."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _object_or_nothing(reply: str) -> dict[str, Any]:
    return {} if reply.strip() == "null" else parse_object(reply)


def _holds(held: Any, wanted: Any) -> bool:
    """Whether what is read back has everything that was asked for."""
    if isinstance(wanted, Mapping):
        return isinstance(held, Mapping) and all(
            key in held and _holds(held[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(held, list)
            and len(held) == len(wanted)
            and all(_holds(one, other) for one, other in zip(held, wanted, strict=True))
        )
    return bool(held == wanted)
