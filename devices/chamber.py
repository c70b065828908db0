"""The temperature chamber of an experiment: goes to a temperature and says when it is reached."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Any, Literal

from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.at_prompt import Described
from devices.clock import Clock, Handle
from devices.errors import InstrumentFault, LimitError, LinkError, NotReachedError
from devices.readings import Listener, Listeners
from devices.roles import Reading
from devices.signals import ReadbackSignal
from devices.surroundings import Approach, ChamberBackend, ChamberReading

log = logging.getLogger(__name__)

SafeAction = Literal["off", "hold", "go_to"]
"""What `stop` does: let the cell go to the room's temperature, leave everything as it is, or bring
it to a temperature of which that is known to be safe."""

_RETRY_S = 1.0
_RETRIES = 3
_SAME_SETPOINT_CELSIUS = 0.05
"""Setpoints read back with one decimal."""


class ChamberState(StrEnum):
    """Where the chamber stands."""

    OFF = "off"
    MOVING = "moving"
    SETTLED = "settled"


class TemperatureChamber(Described, Device):
    """A chamber around the cell; Movable, Triggerable and Stoppable.

    `set` goes to a temperature at the ramp rate; its status is done when the instrument says that
    the temperature has stayed within the band for the soak time and the cell's thermocouple
    agrees, and fails with `NotReachedError` at the deadline. `trigger` takes a reading. A pause
    leaves the chamber as it is; ``stop(success=False)`` does the safe action.

    Args:
        prefix: Not used; ophyd passes it.
        name: Name of the device in documents.
        clock: The experiment's clock.
        backend: The instrument behind its driver.
        limits: Lowest and highest temperature that the bench allows, degree Celsius.
        approach: How it goes to a temperature.
        poll_period_s: Time between polls while it goes there, s.
        safe_action: What `stop` does.
        safe_celsius: Where ``go_to`` goes, degree Celsius.
        resource: The instrument's address, for the documents' `source`.
        **kwargs: As for `ophyd.Device`.
    """

    EXAMPLES = (
        "%mov {name} 40                       # go there, wait until it has settled",
        "%movr {name} 5                       # 5 degree further",
        "RE(bps.mv({name}, 40))               # the same as a plan",
        "%ct {name}                           # one reading, recorded as a run",
    )

    temperature_celsius = Cpt(ReadbackSignal, value=math.nan, units="degC", precision=2)
    air_celsius = Cpt(ReadbackSignal, value=math.nan, units="degC", precision=2)
    setpoint_celsius = Cpt(ReadbackSignal, value=math.nan, units="degC", precision=2)
    state = Cpt(ReadbackSignal, value=ChamberState.OFF.value, dtype="string")

    ramp_celsius_per_min = Cpt(
        ReadbackSignal, value=math.nan, units="degC/min", precision=2, kind=Kind.config
    )
    band_celsius = Cpt(ReadbackSignal, value=math.nan, units="degC", precision=2, kind=Kind.config)
    soak_s = Cpt(ReadbackSignal, value=math.nan, units="s", precision=0, kind=Kind.config)
    deadline_s = Cpt(ReadbackSignal, value=math.nan, units="s", precision=0, kind=Kind.config)
    low_limit_celsius = Cpt(ReadbackSignal, value=math.nan, units="degC", kind=Kind.config)
    high_limit_celsius = Cpt(ReadbackSignal, value=math.nan, units="degC", kind=Kind.config)
    serial = Cpt(ReadbackSignal, value="", dtype="string", kind=Kind.config)

    energised = False
    """A chamber does not drive a cell; the engine asks all devices that it makes safe."""

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        clock: Clock,
        backend: ChamberBackend,
        limits: tuple[float, float],
        approach: Approach,
        poll_period_s: float = 30.0,
        safe_action: SafeAction = "off",
        safe_celsius: float = 25.0,
        resource: str = "",
        **kwargs: Any,
    ) -> None:
        self.clock, self.resource = clock, resource
        super().__init__(prefix, name=name, **kwargs)
        self._backend, self._low_high, self._approach = backend, limits, approach
        self._going = approach
        self._poll_period_s, self.safe_action = poll_period_s, safe_action
        self._safe_celsius = safe_celsius
        self._moving: Status | None = None
        self._timer: Handle | None = None
        self._began_s = 0.0
        self._misses = 0
        self._joins: tuple[float, Approach] | None = None
        self._listeners = Listeners()
        backend.limit(*limits)
        self._show_configuration()

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        now, setpoint = self.temperature_celsius.get(), self.setpoint_celsius.get()
        read = "not read yet" if math.isnan(now) else f"{now:.1f} C"
        sent = "no setpoint" if math.isnan(setpoint) else f"setpoint {setpoint:.1f} C"
        return f"<{type(self).__name__} {self.name}: {self.state.get()}, {read}, {sent}>"

    @property
    def position(self) -> float:
        """Temperature as last read, degree Celsius; what a relative move counts from."""
        return float(self.temperature_celsius.get())

    @property
    def simulated(self) -> bool:
        """Whether the instrument says of itself that it is simulated."""
        return self._backend.identity().simulated

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest temperature, degree Celsius."""
        return self._low_high

    def describe(self) -> dict[str, dict[str, Any]]:
        """Data keys of a reading; the setpoint's with the limits of the bench."""
        described: dict[str, dict[str, Any]] = super().describe()
        low, high = self._low_high
        control = {"control": {"low": low, "high": high}}
        described[self.setpoint_celsius.name]["limits"] = control
        return described

    # --- Movable, Stageable ---

    def set(self, celsius: float, approach: Approach | None = None) -> Status:
        """Go to a temperature.

        Args:
            celsius: Where to, degree Celsius.
            approach: How, and when that counts as reached; None: as the bench says.

        Returns:
            A status that is done when it has settled there.

        Raises:
            LimitError: It is outside the limits, or too fast; nothing was sent.
            DeviceError: The instrument does not take it.
        """
        self.check_value(celsius)
        going = approach or self._approach
        fastest = self._approach.ramp_celsius_per_min
        if going.ramp_celsius_per_min > fastest:
            raise LimitError(
                self.name,
                f"ramp: got {going.ramp_celsius_per_min:g} C/min, expected at most {fastest:g}",
                remedy="lower ramp_celsius_per_min, or allow more in the bench profile",
            )
        self._abandon(f"was sent to {celsius:g} C before")
        joins, self._joins = self._joins == (celsius, going), None
        if not joins:
            self._backend.force(celsius, going)
            self._began_s = self.clock.time()
        self._going, self._misses = going, 0
        self.setpoint_celsius.update(celsius)
        self.state.update(ChamberState.MOVING.value)
        moving = self._moving = Status(obj=self, timeout=None)
        self._poll_after(self._poll_period_s)
        return moving

    def check_value(self, celsius: float) -> None:
        """Refuse what lies outside the limits; bluesky asks too, before it runs a plan.

        Raises:
            LimitError: It does.
        """
        low, high = self._low_high
        if not low <= celsius <= high:
            raise LimitError(
                self.name,
                f"temperature: got {celsius:g} C, expected {low:g} to {high:g} C",
                remedy="change environment.temperature_celsius, or the limits in the bench profile",
            )

    def stage(self) -> list[object]:
        """Begin a run: the instrument must answer without an error."""
        self._take(self._backend.read())
        staged: list[object] = super().stage()
        return staged

    def subscribe_records(self, listener: Listener) -> Callable[[], None]:
        """Show every reading of the cell's temperature to `listener`; returns how to end that."""
        return self._listeners.add(listener)

    # --- after a crash ---

    def checkpoint(self) -> dict[str, Any]:
        """Where it was sent, how, and when, JSON-able; asks the instrument nothing."""
        setpoint = float(self.setpoint_celsius.get())
        return {
            "serial": self._backend.identity().serial,
            "setpoint_celsius": None if math.isnan(setpoint) else setpoint,
            "moving": self._moving is not None and not self._moving.done,
            "approach": asdict(self._going),
            "began_s": self._began_s,
        }

    def adopt(self, state: Mapping[str, Any]) -> str:
        """Read what became of a temperature that a host has left; nothing is sent.

        A `set` to the same temperature in the same way then joins the ramp that goes on there,
        with the deadline that it had.

        Args:
            state: The last `checkpoint`.

        Returns:
            What was found, in words.

        Raises:
            LinkError: The instrument did not answer.
            InstrumentFault: It reports an error.
        """
        self._joins = None
        reading, setpoint = self._backend.read(), state["setpoint_celsius"]
        self._take(reading)
        serial = self._backend.identity().serial
        if serial != state["serial"]:
            return f"{self.name}: serial {serial}, expected {state['serial']}"
        if setpoint is None or not reading.on:
            return f"{self.name}: does not drive the temperature"
        if abs(reading.setpoint_celsius - setpoint) > _SAME_SETPOINT_CELSIUS:
            sent = f"{reading.setpoint_celsius:g} C, expected {setpoint:g} C"
            return f"{self.name}: goes to {sent}"
        self._joins = setpoint, Approach(**state["approach"])
        self._began_s = state["began_s"] if state["moving"] else self.clock.time()
        return f"{self.name}: {self.state.get()}, {reading.temperature_celsius:.1f} C"

    # --- Triggerable, Stoppable ---

    def trigger(self) -> Status:
        """Take a reading.

        Raises:
            LinkError: There is none.
            InstrumentFault: The instrument reports an error.
        """
        self._take(self._backend.read())
        done = Status(obj=self, timeout=None)
        done.set_finished()
        return done

    def stop(self, *, success: bool = False) -> None:
        """Do the safe action; idempotent.

        Args:
            success: A pause, or the end of a plan that went well: the chamber stays as it is.
        """
        if not success:
            self.make_safe(self.safe_action)
        super().stop(success=success)

    def make_safe(self, action: str) -> None:
        """Do what a safe state says of it: one of `SafeAction`; idempotent."""
        self._abandon("was stopped before")
        self._joins = None
        if action == "off":
            self._backend.release()
            self.state.update(ChamberState.OFF.value)
        elif action == "go_to":
            self._backend.force(self._safe_celsius, self._approach)
            self.setpoint_celsius.update(self._safe_celsius)
            self.state.update(ChamberState.MOVING.value)

    def callback_failed(self, error: BaseException) -> None:
        """Fail the status, because a poll raised or the deadline has passed."""
        self._cancel_timer()
        moving, self._moving = self._moving, None
        if moving is not None and not moving.done:
            moving.set_exception(error)

    # --- inside ---

    def _poll_after(self, delay_s: float) -> None:
        left_s = self._began_s + self._going.deadline_s - self.clock.time()
        self._timer = self.clock.call_later(min(delay_s, max(left_s, 0.0)), self._tick, owner=self)

    def _tick(self) -> None:
        try:
            self._take(self._backend.read())
            self._misses = 0
            self._follow()
        except LinkError as error:
            self._misses += 1
            log.warning("%s: poll %d of %d failed: %s", self.name, self._misses, _RETRIES, error)
            if self._misses < _RETRIES:
                self._poll_after(_RETRY_S)
            else:
                self.callback_failed(error)
        except (InstrumentFault, NotReachedError) as error:  # an answer, not a fault of the bench
            self.callback_failed(error)

    def _follow(self) -> None:
        """Is it there, is it too late, or to be looked at again?"""
        waited_s = self.clock.time() - self._began_s
        if self.state.get() == ChamberState.SETTLED.value:
            self._cancel_timer()
            moving, self._moving = self._moving, None
            if moving is not None:
                moving.set_finished()
        elif waited_s >= self._going.deadline_s:
            raise NotReachedError(
                self.name,
                f"got {self.temperature_celsius.get():.1f} C after {waited_s:.0f} s, expected "
                f"{self.setpoint_celsius.get():.1f} C within {self._going.band_celsius:g} C for "
                f"{self._going.soak_s:.0f} s",
                remedy="look at the chamber; allow more time (deadline_s) or a wider band",
            )
        else:
            self._poll_after(self._poll_period_s)

    def _take(self, reading: ChamberReading) -> None:
        self.temperature_celsius.update(reading.temperature_celsius)
        self.air_celsius.update(reading.air_celsius)
        self.setpoint_celsius.update(reading.setpoint_celsius)
        deviation = abs(reading.temperature_celsius - reading.setpoint_celsius)
        settled = reading.settled and deviation <= self._going.band_celsius
        state = ChamberState.SETTLED if settled else ChamberState.MOVING
        self.state.update((state if reading.on else ChamberState.OFF).value)
        now_s = self.clock.time()
        shown = Reading(now_s, reading.temperature_celsius, source=self.name, known_s=now_s)
        self._listeners.tell(shown)

    def _show_configuration(self) -> None:
        approach = self._approach
        self.ramp_celsius_per_min.update(approach.ramp_celsius_per_min)
        self.band_celsius.update(approach.band_celsius)
        self.soak_s.update(approach.soak_s)
        self.deadline_s.update(approach.deadline_s)
        self.low_limit_celsius.update(self._low_high[0])
        self.high_limit_celsius.update(self._low_high[1])
        self.serial.update(self._backend.identity().serial)

    def _abandon(self, why: str) -> None:
        """End the wait for a temperature that nobody wants any more."""
        self.callback_failed(
            NotReachedError(self.name, f"{why} it had settled", remedy="set it again if needed")
        )

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
