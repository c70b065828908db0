"""Commands of a potentiostat; a plug-in for a vendor's library fills in what happens.

No plug-in for a vendor's library comes with this package yet (GamryCOM, EC-Lab development
package); none of this was verified on hardware.
"""

from __future__ import annotations

import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from devices.bridge.protocol import Command, CommandTable, Refusal
from devices.bridge.techniques import checked_program

ROW_COLUMNS = ("t_s", "current_ma", "voltage_v", "charge_mah", "technique")
POINT_COLUMNS = (
    *("t_s", "frequency_hz", "real_ohm", "imag_ohm", "current_ma", "voltage_v"),
    *("amplitude_ma", "amplitude_v", "technique"),
)
MAX_ROWS_PER_BLOCK = 20_000

_COLUMNS: Mapping[str, tuple[str, ...]] = {"transient": ROW_COLUMNS, "spectrum": POINT_COLUMNS}


class PotentiostatPlugin(ABC):
    """A potentiostat behind the bridge.

    A method that cannot do as asked raises `devices.bridge.protocol.Refusal`. Every method is
    short: a program runs in the instrument and shows in `status` and `rows`. Whatever ends a
    program (its end, a limit, a test, a fault, `stop`) leaves the cell open.
    """

    identity: str
    """Reply to ``*IDN?``: manufacturer, model, serial, firmware."""

    _held: Mapping[str, Any] | None = None
    _fresh = False

    @abstractmethod
    def capabilities(self) -> Mapping[str, Any]:
        """The object that ``TECHnique:CAPabilities?`` answers."""

    @abstractmethod
    def load(self, program: Mapping[str, Any]) -> None:
        """Give a program, checked and with every default, to the instrument; energise nothing."""

    @abstractmethod
    def start(self) -> None:
        """Energise the cell and run what was loaded."""

    @abstractmethod
    def stop(self) -> None:
        """End the program, with a last record, and open the cell; idempotent."""

    @abstractmethod
    def status(self) -> Mapping[str, Any]:
        """The object that ``TECHnique:STATus?`` answers."""

    @abstractmethod
    def rows(self, process: str, first: int, count: int) -> Sequence[Sequence[float]]:
        """Rows of ``transient`` or ``spectrum`` as in `ROW_COLUMNS`, `POINT_COLUMNS`."""

    def active(self) -> bool:
        """Whether a program runs, so that the cell may be energised."""
        return bool(self.status()["state"] == "running")

    def make_safe(self, reason: str) -> None:
        """End the program and open the cell."""
        del reason
        self.stop()

    def commands(self) -> CommandTable:
        """The potentiostat's headers."""
        return {
            "TECHnique:CAPabilities?": Command(lambda: {**self.capabilities(), "token": True}),
            "TECHnique:LOAD": Command(self._load, takes=dict),
            "TECHnique:LOAD?": Command(lambda: self._held),
            "TECHnique:STARt": Command(self._start),
            "TECHnique:STOP": Command(self.stop),
            "TECHnique:STATus?": Command(lambda: dict(self.status())),
            "TECHnique:DATA?": Command(self._data, takes=dict),
        }

    def _load(self, given: Mapping[str, Any]) -> None:
        if self.active():
            raise Refusal(-221, "a program runs, expected it stopped")
        program = checked_program(given)
        self.load(program)
        self._held, self._fresh = program, True

    def _start(self) -> None:
        if self._held is None:
            raise Refusal(-221, "nothing is loaded")
        if not self._fresh:
            raise Refusal(-213, "a program is started once; load it again")
        self._fresh = False
        self.start()

    def _data(self, wanted: Mapping[str, Any]) -> bytes:
        """Rows as a block of float64, little endian, with the CRC-32 of their bytes behind."""
        process = str(wanted.get("process"))
        first, count = wanted.get("first"), wanted.get("count")
        if set(wanted) != {"process", "first", "count"} or process not in _COLUMNS:
            raise Refusal(-224, "expected process (transient or spectrum), first and count")
        if type(first) is not int or type(count) is not int:
            raise Refusal(-104, "first and count: expected integers")
        there = int(self.status()["rows" if process == "transient" else "points"])
        if not (0 <= first <= there and 0 <= count <= MAX_ROWS_PER_BLOCK):
            raise Refusal(
                -222,
                f"got rows {first} and {count} more, expected them within the {there} that there "
                f"are, at most {MAX_ROWS_PER_BLOCK} at once",
            )
        width = len(_COLUMNS[process])
        payload = b"".join(
            struct.pack(f"<{width}d", *row)
            for row in self.rows(process, first, min(count, there - first))
        )
        return payload + zlib.crc32(payload).to_bytes(4, "little")
