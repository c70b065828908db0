"""The load cell under the stack: pressure with its error, from a calibrated bridge amplifier."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.at_prompt import Described
from devices.clock import Clock
from devices.errors import InstrumentFault, LimitError
from devices.readings import Listener, Listeners
from devices.roles import Reading
from devices.signals import ReadbackSignal
from devices.surroundings import Calibration, Voltmeter

_SIGMAS = 3.0
"""A deviation counts beyond so many standard errors."""

_TARE_SIGMAS = 10.0
"""A tare that moves the offset by more than so many of its uncertainties is refused."""


class LoadCell(Described, Device):
    """Reads the stack pressure; Triggerable. Nothing here presses: a person closed the press.

    Args:
        prefix: Not used; ophyd passes it.
        name: Name of the device in documents.
        clock: The experiment's clock.
        voltmeter: The meter at the amplifier's output.
        calibration: What the amplifier's output means.
        tolerance_percent: Deviation from a stated pressure, and drift from the pressure at the
            beginning of a run, that is tolerated; never less than three standard errors.
        resource: The meter's address, for the documents' `source`.
        **kwargs: As for `ophyd.Device`.
    """

    EXAMPLES = (
        "%ct {name}                           # one reading, recorded as a run",
        "{name}.pressure_mpa.get()            # as last read, MPa",
        "{name}.tare()                        # with the press open",
    )

    pressure_mpa = Cpt(ReadbackSignal, value=math.nan, units="MPa", precision=4)
    pressure_error_mpa = Cpt(ReadbackSignal, value=math.nan, units="MPa", precision=4)
    force_n = Cpt(ReadbackSignal, value=math.nan, units="N", precision=2)
    raw_v = Cpt(ReadbackSignal, value=math.nan, units="V", precision=6)
    drift_alarm = Cpt(ReadbackSignal, value=0, dtype="integer")

    gain_v_per_kn = Cpt(ReadbackSignal, value=math.nan, units="V/kN", kind=Kind.config)
    gain_uncertainty_percent = Cpt(ReadbackSignal, value=math.nan, units="%", kind=Kind.config)
    offset_v = Cpt(ReadbackSignal, value=math.nan, units="V", precision=6, kind=Kind.config)
    offset_uncertainty_v = Cpt(ReadbackSignal, value=math.nan, units="V", kind=Kind.config)
    area_cm2 = Cpt(ReadbackSignal, value=math.nan, units="cm2", kind=Kind.config)
    calibration_date = Cpt(ReadbackSignal, value="", dtype="string", kind=Kind.config)
    tared_at_s = Cpt(ReadbackSignal, value=math.nan, units="s", precision=3, kind=Kind.config)
    serial = Cpt(ReadbackSignal, value="", dtype="string", kind=Kind.config)

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        clock: Clock,
        voltmeter: Voltmeter,
        calibration: Calibration,
        tolerance_percent: float = 5.0,
        resource: str = "",
        **kwargs: Any,
    ) -> None:
        self.clock, self.resource = clock, resource
        super().__init__(prefix, name=name, **kwargs)
        self._voltmeter, self._calibration = voltmeter, calibration
        self._tolerance = 0.01 * tolerance_percent
        self._reference_mpa = math.nan
        self._listeners = Listeners()
        self.gain_v_per_kn.update(calibration.gain_v_per_kn)
        self.gain_uncertainty_percent.update(calibration.gain_uncertainty_percent)
        self.offset_v.update(calibration.offset_v)
        self.offset_uncertainty_v.update(calibration.offset_uncertainty_v)
        self.area_cm2.update(calibration.area_cm2)
        self.calibration_date.update(calibration.date.isoformat())
        self.serial.update(voltmeter.identity().serial)

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        if math.isnan(self.pressure_mpa.get()):
            return f"<{type(self).__name__} {self.name}: not read yet>"
        alarm = ", DRIFT" if self.drift_alarm.get() else ""
        return (
            f"<{type(self).__name__} {self.name}: {self.pressure_mpa.get():.3f} +- "
            f"{self.pressure_error_mpa.get():.3f} MPa{alarm}>"
        )

    @property
    def simulated(self) -> bool:
        """Whether the meter says of itself that it is simulated."""
        return self._voltmeter.identity().simulated

    def tolerance_mpa(self, pressure_mpa: float, percent: float | None = None) -> float:
        """Deviation from a pressure that is tolerated, MPa.

        Args:
            pressure_mpa: The pressure, MPa.
            percent: Of it; None: as the bench says. Never less than three standard errors.
        """
        error_mpa = self._calibration.error_mpa(pressure_mpa)
        part = self._tolerance if percent is None else 0.01 * percent
        return max(part * pressure_mpa, _SIGMAS * error_mpa)

    def check(self, got_mpa: float, *, stated_mpa: float) -> None:
        """Compare a reading with the pressure that a person stated.

        Raises:
            LimitError: They differ by more than the tolerance.
        """
        tolerance = self.tolerance_mpa(stated_mpa)
        if not abs(got_mpa - stated_mpa) <= tolerance:
            error = self._calibration.error_mpa(got_mpa)
            raise LimitError(
                self.name,
                f"stack pressure: got {got_mpa:.3g} +- {error:.2g} MPa, expected "
                f"{stated_mpa:g} MPa within {tolerance:.2g} MPa",
                remedy="adjust the press, or correct environment.stack_pressure_mpa",
            )

    def subscribe_records(self, listener: Listener) -> Callable[[], None]:
        """Show every reading of the pressure, MPa, to `listener`; returns how to end that."""
        return self._listeners.add(listener)

    # --- Stageable, Triggerable ---

    def stage(self) -> list[object]:
        """Begin a run: the pressure now is what drift is measured from."""
        self._reference_mpa = math.nan
        self._measure()
        self._reference_mpa = self.pressure_mpa.get()
        staged: list[object] = super().stage()
        return staged

    def take_reference(self) -> None:
        """The pressure that was read last is what drift is measured from."""
        self._reference_mpa = self.pressure_mpa.get()

    def trigger(self) -> Status:
        """Take a reading.

        Raises:
            LinkError: There is none.
            InstrumentFault: The amplifier is beyond the meter's range.
        """
        self._measure()
        done = Status(obj=self, timeout=None)
        done.set_finished()
        return done

    def tare(self) -> float:
        """Take the present output as that without force: the press must be open.

        Returns:
            The new offset, V. It holds until the bench is closed; write it into the profile.

        Raises:
            LimitError: The output is far from the calibrated offset, as with a closed press.
        """
        volts = self._volts()
        moved = abs(volts - self._calibration.offset_v)
        allowed = _TARE_SIGMAS * self._calibration.offset_uncertainty_v
        if moved > allowed:
            raise LimitError(
                self.name,
                f"tare: got {volts:.5g} V, expected {self._calibration.offset_v:.5g} V within "
                f"{allowed:.2g} V",
                remedy="open the press; if it is open, calibrate the amplifier again",
            )
        self.offset_v.update(volts)
        self.tared_at_s.update(self.clock.time())
        self._measure()
        return volts

    # --- inside ---

    def _volts(self) -> float:
        volts = self._voltmeter.voltage_v()
        if not math.isfinite(volts):
            raise InstrumentFault(
                self.name,
                "got an output beyond the meter's range, expected the amplifier's",
                remedy="check the amplifier, its bridge and the cable",
            )
        return volts

    def _measure(self) -> None:
        volts = self._volts()
        force_n = self._calibration.force_n(volts, self.offset_v.get())
        pressure = self._calibration.pressure_mpa(force_n)
        self.raw_v.update(volts)
        self.force_n.update(force_n)
        self.pressure_mpa.update(pressure)
        error = self._calibration.error_mpa(pressure)
        self.pressure_error_mpa.update(error)
        moved = abs(pressure - self._reference_mpa)
        drifted = math.isfinite(moved) and moved > self.tolerance_mpa(self._reference_mpa)
        self.drift_alarm.update(int(drifted))
        now_s = self.clock.time()
        self._listeners.tell(Reading(now_s, pressure, error, source=self.name, known_s=now_s))
