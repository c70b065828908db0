"""Keithley 2450 SourceMeter in its own SCPI command set, for PyMeasure.

Extends PyMeasure's `Keithley2450` (which covers the settings, and whose buffer methods are those
of the 2400 command set) with what runs by itself: trigger model, trigger timers, reading buffer,
source limits and the output-off state. Pages refer to the Model 2450 reference manual,
2450-901-01 Rev. B (September 2013).

verified on hardware: no
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pymeasure.instruments import Instrument
from pymeasure.instruments.keithley import Keithley2450 as UpstreamKeithley2450
from pymeasure.instruments.validators import strict_discrete_set, strict_range

from devices.link import StrictInstrumentMixin

_COLUMNS = 3
_BYTES_PER_ROW = 8 * _COLUMNS
_HEAD, _TAIL = b"#0", b"\n"


@dataclass(frozen=True)
class TriggerStatus:
    """Reply to ``:TRIGger:STATe?`` (page 6-166).

    Attributes:
        state: ``IDLE``, ``RUNNING``, ``WAITING``, ``EMPTY``, ``BUILDING``, ``FAILED``,
            ``ABORTING`` or ``ABORTED``.
        block: Block that was executed last.
    """

    state: str
    block: int

    @property
    def running(self) -> bool:
        """Whether the trigger model executes."""
        return self.state in {"RUNNING", "WAITING", "ABORTING"}


class Keithley2450(StrictInstrumentMixin, UpstreamKeithley2450):
    """Keithley 2450 with its trigger model, buffers and output-off state.

    verified on hardware: no

    Args:
        adapter: PyMeasure adapter of an open link.
        name: Name in log and errors.
        **kwargs: As for `pymeasure.instruments.Instrument`.
    """

    text_queries: ClassVar[frozenset[str]] = frozenset(
        {":OUTP:CURR:SMOD?", ":OUTP:VOLT:SMOD?", ":SENS:CURR:AVER:TCON?", ":SENS:VOLT:AVER:TCON?"}
    )
    """Upstream properties whose reply is a word."""

    def __init__(
        self, adapter: Any, name: str = "Keithley 2450 SourceMeter", **kwargs: Any
    ) -> None:
        super().__init__(adapter, name, **kwargs)

    output_off_state = Instrument.setting(
        ":OUTP:SMOD %s",
        """Set the output-off state of all source functions (``NORM``, ``HIMP``, ``ZERO``,
        ``GUAR``; page 6-31). NORM and ZERO drive 0 V and so discharge a cell; HIMP opens the
        output relay.""",
        validator=strict_discrete_set,
        values=["NORM", "HIMP", "ZERO", "GUAR"],
    )

    source_current_readback = Instrument.control(
        ":SOUR:CURR:READ:BACK?",
        ":SOUR:CURR:READ:BACK %d",
        """Control whether a sourced current is measured, not only assumed (bool; page 6-77).""",
        values={True: 1, False: 0},
        map_values=True,
    )

    source_voltage_readback = Instrument.control(
        ":SOUR:VOLT:READ:BACK?",
        ":SOUR:VOLT:READ:BACK %d",
        """Control whether a sourced voltage is measured, not only assumed (bool; page 6-77).""",
        values={True: 1, False: 0},
        map_values=True,
    )

    voltage_limit_tripped = Instrument.measurement(
        ":SOUR:CURR:VLIM:TRIP?",
        """Get whether the voltage limit clamps the current source (bool; page 6-72).""",
        cast=bool,
    )

    current_limit_tripped = Instrument.measurement(
        ":SOUR:VOLT:ILIM:TRIP?",
        """Get whether the current limit clamps the voltage source (bool; page 6-72).""",
        cast=bool,
    )

    voltage_four_wire = Instrument.control(
        ":SENS:VOLT:RSEN?",
        ":SENS:VOLT:RSEN %d",
        """Control whether the voltage is sensed with four wires (bool; SENSe:VOLTage:RSENse).""",
        values={True: 1, False: 0},
        map_values=True,
    )

    data_format = Instrument.control(
        ":FORM:DATA?",
        ":FORM:DATA %s",
        """Control the format of readings (``ASC``, ``REAL`` double precision, ``SRE`` single
        precision; page 6-30).""",
        validator=strict_discrete_set,
        values=["ASC", "REAL", "SRE"],
        cast=str,
    )

    byte_order = Instrument.control(
        ":FORM:BORD?",
        ":FORM:BORD %s",
        """Control the byte order of binary readings (``NORM`` big endian, ``SWAP`` little
        endian; 2461 manual, page 6-45).""",
        validator=strict_discrete_set,
        values=["NORM", "SWAP"],
        cast=str,
    )

    buffer_fill_mode = Instrument.control(
        ":TRAC:FILL:MODE?",
        ":TRAC:FILL:MODE %s",
        """Control what a full default buffer does (``ONCE`` drop new readings, ``CONT``
        overwrite the oldest; page 6-112). Only while it is empty.""",
        validator=strict_discrete_set,
        values=["ONCE", "CONT"],
        cast=str,
    )

    buffer_readings = Instrument.measurement(
        ":TRAC:ACT?",
        """Get the number of readings in the default buffer (page 6-107).""",
        cast=int,
    )

    buffer_end = Instrument.measurement(
        ":TRAC:ACT:END?",
        """Get the index of the newest reading in the default buffer, from 1.""",
        cast=int,
    )

    timer_period = Instrument.control(
        ":TRIG:TIM1:DEL?",
        ":TRIG:TIM1:DEL %.9g",
        """Control the period of trigger timer 1 in s (8e-6 to 100,000; 2461 manual,
        page 6-238).""",
        validator=strict_range,
        values=[8e-6, 100_000.0],
    )

    timer_count = Instrument.control(
        ":TRIG:TIM1:COUN?",
        ":TRIG:TIM1:COUN %d",
        """Control the number of events of trigger timer 1 (0 without end, to 1,048,575; page
        8-216).""",
        validator=strict_range,
        values=[0, 1_048_575],
        cast=int,
    )

    def trigger_status(self) -> TriggerStatus:
        """Where the trigger model stands."""
        return parse_trigger_status(str(self.ask(":TRIG:STAT?")))

    def clear_trigger_model(self) -> None:
        """Remove all blocks (``:TRIGger:LOAD "Empty"``)."""
        self.write(':TRIG:LOAD "Empty"')

    def counter_block(self, block: int) -> int:
        """How often a counter block was reached since the trigger model started."""
        return int(self.values(f":TRIG:BLOC:BRAN:COUN:COUN? {block}", cast=int)[0])

    def abort(self) -> None:
        """Stop the trigger model; that the output then stays as it is, is an assumption."""
        self.write(":ABOR")

    def clear_buffer(self) -> None:
        """Empty the default buffer."""
        self.write(':TRAC:CLE "defbuffer1"')

    def store_reading(self) -> None:
        """Make one reading now and store it in the default buffer (page 6-124)."""
        self.write(':TRAC:TRIG "defbuffer1"')

    def read_records(self, first: int, last: int) -> npt.NDArray[np.float64]:
        """Readings `first` to `last` (from 1) of the default buffer in one transfer.

        The data format must be ``REAL`` in ``SWAP`` order. The instrument announces a block of
        unknown length (``#0``) that ends with a new line (page 6-30), and a new line may also be
        part of a number: so exactly the bytes that were asked for are read.

        Returns:
            Shape (n, 3): reading, source value, time since the first reading in s.

        Raises:
            ValueError: What came is no such block.
        """
        command, size = records_query(first, last)
        self.write(command)
        return parse_records(self.read_bytes(size))


def records_query(first: int, last: int) -> tuple[str, int]:
    """Query for readings `first` to `last` of the default buffer, and the size of its reply."""
    size = len(_HEAD) + (last - first + 1) * _BYTES_PER_ROW + len(_TAIL)
    return f':TRAC:DATA? {first},{last},"defbuffer1",READ,SOUR,REL', size


def parse_records(data: bytes) -> npt.NDArray[np.float64]:
    """Rows of reading, source value and time out of the reply to `records_query`.

    Raises:
        ValueError: It is no such block.
    """
    rows, extra = divmod(len(data) - len(_HEAD) - len(_TAIL), _BYTES_PER_ROW)
    if extra or not data.startswith(_HEAD) or not data.endswith(_TAIL):
        raise ValueError(f"got {len(data)} bytes, {data[:2]!r} to {data[-1:]!r}, expected #0, rows")
    numbers = np.frombuffer(data, dtype="<f8", count=rows * _COLUMNS, offset=len(_HEAD))
    return numbers.reshape(rows, _COLUMNS)


def parse_trigger_status(reply: str) -> TriggerStatus:
    """Trigger status from ``<state>;<state>;<block>``.

    Raises:
        ValueError: The reply has another form.
    """
    state, _, block = reply.strip().split(";")
    return TriggerStatus(state.strip(), int(block))
