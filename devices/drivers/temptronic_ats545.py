"""Temptronic ATS-545 ThermoStream as the temperature chamber of a cell.

`Ats545` is PyMeasure's own driver with the link's strict replies before it; `ThermoStream` serves
`devices.surroundings.ChamberBackend` with it. After the TP04300 Series Interface & Applications
Manual, section 4, whose command language the ATS-545 shares.

The stream is controlled by the thermocouple on the cell (DUT mode), and *settled* is the
instrument's own judgement: within the window for the whole soak time (TECR?, page 4-24). What is
set is read back, because the instrument has no error queue to check a command with.

Two things of upstream are not used: its `wait_for` sleeps 50 ms before every reply (the link waits
for the reply itself; give `min_spacing_s` where the instrument needs rest between commands), and
its `mode`, whose table has a comma too many in PyMeasure 0.16.

Verified on hardware: no.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from pymeasure.instruments import Instrument, SCPIUnknownMixin, temptronic

from devices.errors import InstrumentFault, LimitError
from devices.link import Link, StrictInstrumentMixin
from devices.roles import Identity
from devices.surroundings import Approach, ChamberReading

LOWEST_CELSIUS, HIGHEST_CELSIUS = -80.0, 225.0
"""What the ATS-545 reaches (PyMeasure's driver)."""

_FLOW_ON = 0x20
"""Bit 5 of the auxiliary condition register (AUXC?, page 4-17)."""

_AT_TEMPERATURE = 0x01
"""Bit 0 of the temperature event condition register (TECR?, page 4-24)."""

_NO_SENSOR_ABOVE_CELSIUS = 400.0
"""A higher reading means that there is no valid one (TEMP?, PyMeasure's driver)."""

_RANGES = {
    "temperature_setpoint": (LOWEST_CELSIUS, HIGHEST_CELSIUS),
    "temperature_setpoint_window": (0.1, 9.9),
    "temperature_soak_time": (0, 9999),
    "ramp_rate": (0.1, 9999.0),
}
"""What the instrument takes; upstream would cut the first three to it without a word."""

_LOW_LIMIT, _HIGH_LIMIT = (-80.0, 25.0), (25.0, 225.0)
"""Ranges of LLIM and ULIM (ULIM: page 4-25), whole degrees."""


class Ats545(StrictInstrumentMixin, temptronic.ATS545):
    """PyMeasure's driver with atomic queries and strict numbers.

    Args:
        adapter: A link's adapter.
        name: Name for messages.
        **kwargs: As for `pymeasure.instruments.Instrument`.
    """

    wait_for: ClassVar[Any] = Instrument.wait_for

    def __init__(self, adapter: Any, name: str = "Temptronic ATS-545", **kwargs: Any) -> None:
        # Past `SCPIUnknownMixin`, which warns each user that upstream does not know whether this
        # instrument has SCPI's common commands: beyond *IDN? none is used here.
        super(SCPIUnknownMixin, self).__init__(adapter, name=name, **kwargs)


class ThermoStream:
    """Serves `devices.surroundings.ChamberBackend`.

    Args:
        link: Open link to the instrument.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._limits: dict[str, float] = {}
        self.driver = Ats545(link.adapter, link.who)
        link.on_reconnect(self._restore_limits)

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        return self._link.identity

    def limit(self, low_celsius: float, high_celsius: float) -> None:
        """Program the limits of the air, in whole degrees outside the given ones.

        Raises:
            InstrumentFault: They read back otherwise.
        """
        self._limits = {
            "temperature_limit_air_low": _within(math.floor(low_celsius), _LOW_LIMIT),
            "temperature_limit_air_high": _within(math.ceil(high_celsius), _HIGH_LIMIT),
        }
        with self._link.transaction():
            self._restore_limits()

    def force(self, celsius: float, approach: Approach) -> None:
        """Begin to bring the cell to a temperature; air flows only if everything reads back.

        Raises:
            LimitError: A number is out of the instrument's range; nothing was sent.
            InstrumentFault: Something reads back otherwise.
            LinkError: The link failed; the air may flow or not.
        """
        wanted = {
            "temperature_setpoint_window": round(approach.band_celsius, 1),
            "temperature_soak_time": round(approach.soak_s),
            "ramp_rate": round(approach.ramp_celsius_per_min, 1),
            "temperature_setpoint": round(celsius, 1),
        }
        self._check(wanted)
        driver = self.driver
        with self._link.transaction():
            driver.remote_mode = True
            driver.dut_mode = "ON"
            driver.set_point_number = _number_of(celsius)
            self._set(wanted)
            driver.enable_air_flow = True
            self._require_flow(on=True)

    def release(self) -> None:
        """Stop the air, so that the cell goes to the room's temperature; verified, idempotent.

        Raises:
            InstrumentFault: The flow reads back as on.
        """
        with self._link.transaction():
            self.driver.enable_air_flow = False
            self._require_flow(on=False)

    def read(self) -> ChamberReading:
        """What the instrument shows now.

        Raises:
            InstrumentFault: It reports an error, or has no thermocouple.
        """
        driver = self.driver
        with self._link.transaction():
            error = driver.error_code
            reading = ChamberReading(
                temperature_celsius=float(driver.dut_temperature),
                air_celsius=float(driver.air_temperature),
                setpoint_celsius=float(driver.temperature_setpoint),
                on=self._flows(),
                settled=bool(int(driver.temperature_condition_status_code) & _AT_TEMPERATURE),
            )
        if int(error):
            raise InstrumentFault(
                self._link.who,
                f"reports {error!s} ({int(error):#06x})",
                remedy="see EROR? in the instrument's manual",
            )
        if reading.temperature_celsius > _NO_SENSOR_ABOVE_CELSIUS:
            raise InstrumentFault(
                self._link.who,
                f"got {reading.temperature_celsius:g} C, expected a temperature of the cell",
                remedy="connect the thermocouple and select its type (DSNS)",
            )
        return reading

    def _flows(self) -> bool:
        return bool(int(self.driver.auxiliary_condition_code) & _FLOW_ON)

    def _require_flow(self, *, on: bool) -> None:
        if self._flows() != on:
            got, expected = ("off", "on") if on else ("on", "off")
            raise InstrumentFault(
                self._link.who,
                f"air flow is {got}, expected {expected}",
                remedy="look at the instrument: its head, its air supply, its error display",
            )

    def _check(self, wanted: Mapping[str, float]) -> None:
        for name, value in wanted.items():
            low, high = _RANGES[name]
            if not low <= value <= high:
                raise LimitError(
                    self._link.who,
                    f"{name}: got {value:g}, expected {low:g} to {high:g}",
                    remedy="change it in the experiment or the bench profile",
                )

    def _set(self, wanted: Mapping[str, float]) -> None:
        """Set and read back."""
        for name, value in wanted.items():
            setattr(self.driver, name, value)
        for name, value in wanted.items():
            got = float(getattr(self.driver, name))
            if not math.isclose(got, value, abs_tol=0.05):
                raise InstrumentFault(
                    self._link.who,
                    f"{name} reads back {got:g}, expected {value:g}",
                    remedy="look at the instrument's error display (EROR?)",
                )

    def _restore_limits(self) -> None:
        """What was programmed, also after a reconnect."""
        self._set(self._limits)


def _number_of(celsius: float) -> int:
    """Setpoint of the Operator screen, divided as PyMeasure's `set_temperature` does."""
    if celsius <= 20.0:
        return 2  # cold
    return 1 if celsius < 30.0 else 0  # ambient, hot


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(max(float(value), limits[0]), limits[1])
