"""A temperature chamber and a load cell as a bench profile describes them."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from orchestrator.inputs.fields import Expected, Quantity, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.profile.links import Link


class _Date(Expected):
    """A day, as ISO 8601 writes it."""

    @property
    @override
    def words(self) -> str:
        return "a date such as 2026-03-02"

    @override
    def check(self, value: Any) -> str:
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            return value.isoformat()  # YAML reads an unquoted date as one
        try:
            return datetime.date.fromisoformat(value).isoformat()
        except (TypeError, ValueError):
            raise self.refuse(value, "write year-month-day") from None

    @override
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date", "description": "A date: 2026-03-02."}


class TemperatureLimits(StrictModel):
    """What the bench allows of a chamber, whatever an experiment asks for.

    Attributes:
        min_celsius: Lowest temperature of the cell, degree Celsius.
        max_celsius: Highest temperature of the cell, degree Celsius.
        max_ramp_celsius_per_min: Rate at which the chamber goes to a temperature, degree Celsius
            per minute.
    """

    min_celsius: Annotated[float, Quantity("a temperature", "degree Celsius", ge=-196, le=1200)]
    max_celsius: Annotated[float, Quantity("a temperature", "degree Celsius", ge=-196, le=1200)]
    max_ramp_celsius_per_min: Annotated[
        float, Quantity("a rate", "degree Celsius per minute", gt=0, le=1000)
    ]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_celsius >= self.max_celsius:
            what = (
                f"got min_celsius {self.min_celsius:g} and max_celsius {self.max_celsius:g}, "
                "expected the first to be smaller"
            )
            raise problem(what, "are they exchanged?")
        return self


class ChamberEntry(Link):
    """A temperature chamber.

    Attributes:
        kind: ``chamber``.
        limits: What the bench allows; required.
        settle_band_celsius: Largest deviation that counts as reached, degree Celsius.
        soak_s: Time that the temperature must stay within the band before the experiment, s.
        deadline_s: Longest wait until then, s; after it the experiment fails, the cell still off.
        poll_period_s: Time between readings during a run, s.
    """

    kind: Literal["chamber"]
    limits: TemperatureLimits = Field(
        description="what the bench allows: {min_celsius, max_celsius, max_ramp_celsius_per_min}"
    )
    settle_band_celsius: Annotated[
        float, Quantity("a deviation", "degree Celsius", ge=0.1, le=9.9)
    ] = 0.5
    soak_s: Annotated[float, Quantity("a time", "s", ge=0, le=9999)] = 600.0
    deadline_s: Annotated[float, Quantity("a time", "s", gt=0, le=1e6)] = 14400.0
    poll_period_s: Annotated[float, Quantity("a time between readings", "s", gt=0, le=86400)] = (
        300.0
    )

    def links(self) -> dict[str, Link]:
        """Its links by part; the part ``""`` is the device itself."""
        return {"": self}


class CalibrationEntry(StrictModel):
    """Calibration of the amplifier of a load cell; uncertainties are one standard deviation.

    Attributes:
        gain_v_per_kn: Output per force, V/kN.
        offset_v: Output without force, V.
        gain_uncertainty_percent: Uncertainty of the gain, % of it.
        offset_uncertainty_v: Uncertainty of the offset, V: zero drift until the next calibration.
        date: When it was calibrated.
    """

    gain_v_per_kn: Annotated[float, Quantity("a gain", "V/kN", gt=0, le=1e6)]
    offset_v: Annotated[float, Quantity("an output", "V", ge=-100, le=100)]
    gain_uncertainty_percent: Annotated[float, Quantity("an uncertainty", "%", ge=0, le=100)]
    offset_uncertainty_v: Annotated[float, Quantity("an uncertainty", "V", ge=0, le=100)]
    date: Annotated[str, _Date()]


class LoadCellEntry(Link):
    """A load cell under the stack: a bridge amplifier read by the voltmeter that the link names.

    Attributes:
        kind: ``load_cell``.
        area_cm2: Area of the stack that the force acts on, cm2.
        calibration: What the amplifier's output means; required.
        tolerance_percent: Deviation of the pressure from the stated one, and drift in a run, that
            is tolerated, %; never less than three standard errors.
        poll_period_s: Time between readings during a run, s.
    """

    kind: Literal["load_cell"]
    area_cm2: Annotated[float, Quantity("an area", "cm2", gt=0, le=1e4)]
    calibration: CalibrationEntry = Field(
        description="what the output means: {gain_v_per_kn, offset_v, "
        "gain_uncertainty_percent, offset_uncertainty_v, date}"
    )
    tolerance_percent: Annotated[float, Quantity("a tolerance", "%", gt=0, le=100)] = 5.0
    poll_period_s: Annotated[float, Quantity("a time between readings", "s", gt=0, le=86400)] = (
        300.0
    )

    def links(self) -> dict[str, Link]:
        """Its links by part; the part ``""`` is the device itself."""
        return {"": self}
