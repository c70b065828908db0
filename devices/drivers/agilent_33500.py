"""Agilent 33500 waveform generator as the source of a TTL trigger.

`Agilent33500` is PyMeasure's own driver with the link's strict replies before it; `TtlTrigger`
programs channel 1 for one 5 V pulse per bus trigger and sends it. After the Agilent 33500 Series
Operating and Service Guide (33500-90901): BURSt, OUTPut and TRIGger subsystems.

Verified on hardware: no.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pymeasure.instruments.agilent import Agilent33500 as UpstreamAgilent33500

from devices.errors import InstrumentFault, LimitError
from devices.link import Link, StrictInstrumentMixin
from devices.roles import Identity

MAX_HIGH_V = 5.0
"""TTL: a higher level may destroy the input at the other end of the cable."""


class Agilent33500(StrictInstrumentMixin, UpstreamAgilent33500):
    """PyMeasure's driver with atomic queries, strict numbers and errors that raise.

    Args:
        adapter: A link's adapter.
        name: Name for messages.
        **kwargs: As for `pymeasure.instruments.Instrument`.
    """

    text_queries: ClassVar[frozenset[str]] = frozenset(
        {"FUNC?", "VOLT:UNIT?", "FUNC:PULS:HOLD?", "BURS:MODE?", "TRIG:SOUR?"}
    )

    def __init__(self, adapter: Any, name: str = "Agilent 33500", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)


class TtlTrigger:
    """One TTL pulse at a time from channel 1; a `devices.roles.TriggerSource`.

    The output is programmed for a high-impedance input: low 0 V, high `high_v`. The trigger
    source is set to BUS before the output goes on, because a generator left at its default
    (IMMediate) sends pulses by itself. What was programmed is read back, also after a reconnect.

    Args:
        link: Open link to the generator.
        high_v: High level into high impedance, 2.4 to 5 V.
        width_s: Width of the pulse, 1e-6 to 0.5 s.

    Raises:
        LimitError: A level or width is out of range.
        InstrumentFault: The generator reports an error or reads back something else.
    """

    def __init__(self, link: Link, *, high_v: float = 5.0, width_s: float = 1e-3) -> None:
        _require(link.who, "high_v", high_v, (2.4, MAX_HIGH_V))
        _require(link.who, "width_s", width_s, (1e-6, 0.5))
        self._link, self._high_v, self._width_s = link, high_v, width_s
        self._is_off = False
        self.driver = Agilent33500(link.adapter, link.who)
        with link.transaction():
            self._prepare()
        link.on_reconnect(self._prepare)

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        return self._link.identity

    def pulse(self) -> None:
        """Send one pulse; returns when the generator has taken the command. Never repeated.

        An output that was switched off with `off` goes on again first.

        Raises:
            InstrumentFault: The generator ignored the trigger.
            LinkError: It was not sent, or (the message says so) it may have been.
        """
        if self._is_off:
            with self._link.transaction():
                self._prepare()
            self._is_off = False
        entry = self._link.write_once("*TRG", confirm="SYST:ERR?")
        if _code(entry) != 0:
            raise InstrumentFault(
                self._link.who,
                f"no pulse was sent: {entry}",
                remedy="look at the generator's trigger source and burst mode",
            )

    def off(self) -> None:
        """Switch the output off and read that back; idempotent.

        Raises:
            InstrumentFault: The output reads back as on.
        """
        with self._link.transaction():
            self._is_off = True
            self.driver.output = False
            if self.driver.output:
                raise InstrumentFault(
                    self._link.who,
                    "output is on, expected off",
                    remedy="switch it off at the generator",
                )

    def _prepare(self) -> None:
        """Program one pulse per bus trigger, unless that is what the generator holds already."""
        if self._differences():
            self._program()
            wrong = self._differences()
            if wrong:
                raise InstrumentFault(
                    self._link.who,
                    f"reads back {', '.join(wrong)}",
                    remedy="check the generator's model and settings",
                )

    def _program(self) -> None:
        generator = self.driver
        generator.clear()
        generator.output = False
        generator.trigger_source = "BUS"
        generator.output_load = "INF"
        generator.shape = "PULS"
        generator.frequency = 0.5 / self._width_s
        generator.pulse_width = self._width_s
        # From 0.2 Vpp about 0 V the low level must move before the high one may.
        generator.amplitude = 0.1
        generator.offset = self._high_v / 2
        generator.amplitude = self._high_v
        generator.burst_mode = "TRIG"
        generator.burst_ncycles = 1
        generator.burst_state = True
        generator.check_errors()
        generator.output = True
        generator.check_errors()

    def _differences(self) -> list[str]:
        """What reads back otherwise than it must, each as ``name got, expected``."""
        generator = self.driver
        expected: dict[str, Any] = {
            "output": True,
            "trigger_source": "BUS",
            "output_load": math.inf,
            "shape": "PULS",
            "pulse_width": self._width_s,
            "voltage_low": 0.0,
            "voltage_high": self._high_v,
            "burst_state": True,
            "burst_mode": "TRIG",
            "burst_ncycles": 1,
        }
        found = {name: getattr(generator, name) for name in expected}
        return [
            f"{name} {found[name]!r}, expected {value!r}"
            for name, value in expected.items()
            if not _same(found[name], value)
        ]


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return isinstance(found, float) and (
            found == expected or math.isclose(found, expected, rel_tol=1e-3, abs_tol=1e-3)
        )
    return bool(found == expected)


def _code(entry: str) -> int:
    """Number of an error entry; Agilent writes ``+0,"No error"``."""
    number = entry.partition(",")[0].strip()
    return int(number) if number.lstrip("+-").isdigit() else 1


def _require(who: str, name: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= value <= high:
        raise LimitError(
            who,
            f"{name}: got {value:g}, expected {low:g} to {high:g}",
            remedy="change it in the bench profile",
        )
