"""Keithley DMM6500 multimeter as the voltmeter behind a bridge amplifier.

`KeithleyDmm6500` is PyMeasure's own driver with the link's strict replies before it;
`DcVoltmeter` programs it for DC volts on one fixed range and reads. After the Model DMM6500
Reference Manual (DMM6500-901-01 Rev. A, April 2018), "SCPI command reference": [SENSe]:FUNCtion,
[SENSe]:VOLTage, READ?.

Verified on hardware: no.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pymeasure.instruments.keithley import KeithleyDMM6500 as UpstreamDmm6500

from devices.errors import InstrumentFault
from devices.link import Link, StrictInstrumentMixin
from devices.roles import Identity

_OVERFLOW_V = 1e30


class KeithleyDmm6500(StrictInstrumentMixin, UpstreamDmm6500):
    """PyMeasure's driver with atomic queries, strict numbers and errors that raise.

    Args:
        adapter: A link's adapter.
        name: Name for messages.
        **kwargs: As for `pymeasure.instruments.Instrument`.
    """

    text_queries: ClassVar[frozenset[str]] = frozenset({"*LANG?", ":SENS:FUNC?", "ROUT:TERM?"})

    def __init__(self, adapter: Any, name: str = "Keithley DMM6500", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)


class DcVoltmeter:
    """Serves `devices.surroundings.Voltmeter`.

    A fixed range is used: autoranging would make the time of a reading depend on its value. What
    was programmed is read back, also after a reconnect.

    Args:
        link: Open link to the multimeter.
        range_v: Range, V: 0.1, 1, 10, 100 or 1000.
        cycles: Integration time, power-line cycles; 5 are 0.1 s at 50 Hz.

    Raises:
        InstrumentFault: The multimeter reports an error or reads back something else.
    """

    def __init__(self, link: Link, *, range_v: float = 10.0, cycles: float = 5.0) -> None:
        self._link, self._range_v, self._cycles = link, range_v, cycles
        self.driver = KeithleyDmm6500(link.adapter, link.who)
        with link.transaction():
            self._prepare()
        link.on_reconnect(self._prepare)

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        return self._link.identity

    def voltage_v(self) -> float:
        """One measurement, V; NaN where the input is beyond the range.

        Raises:
            LinkError: No reply came in time.
        """
        volts = float(self.driver.voltage)
        return volts if math.isfinite(volts) and abs(volts) < _OVERFLOW_V else math.nan

    def _prepare(self) -> None:
        meter = self.driver
        meter.clear()
        meter.measure_voltage(max_voltage=self._range_v)
        meter.voltage_nplc = self._cycles
        meter.voltage_relative_enabled = False
        meter.check_errors()
        expected = {
            "mode": "voltage",
            "voltage_range": self._range_v,
            "voltage_nplc": self._cycles,
            "voltage_relative_enabled": False,
        }
        wrong = [
            f"{name} {getattr(meter, name)!r}, expected {value!r}"
            for name, value in expected.items()
            if getattr(meter, name) != value
        ]
        if wrong:
            raise InstrumentFault(
                self._link.who,
                f"reads back {', '.join(wrong)}",
                remedy="check the multimeter's command set (SCPI) and its settings",
            )
