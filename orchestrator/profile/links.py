"""One instrument on a wire, and what the bench allows at the cell."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Self

from pydantic import model_validator
from typing_extensions import override

from orchestrator.inputs.fields import Count, Expected, Quantity, Text, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import listed, name_remedy
from orchestrator.profile.resources import Resource, is_simulated
from orchestrator.profile.tables import drivers

_LONGEST_IN_LOOP_S = 1.5


class _DriverName(Expected):
    """The name of a driver of a role; which role is the model's to check."""

    @property
    @override
    def words(self) -> str:
        return f"a driver: {listed(sorted(drivers()))}"

    @override
    def check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in drivers():
            raise self.refuse(value, name_remedy(str(value), drivers()))
        return value

    @override
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "description": "A driver by name.", "examples": sorted(drivers())}


class _Pattern(Expected):
    """A regular expression."""

    @property
    @override
    def words(self) -> str:
        return "a regular expression that the reply to *IDN? must match"

    @override
    def check(self, value: Any) -> str:
        text: str = Text("a regular expression").check(value)
        try:
            re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise self.refuse(value, f"correct it: {error}") from None
        return text

    @override
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "description": "What the reply to *IDN? must match."}


class Link(StrictModel):
    """One instrument on a wire.

    Attributes:
        driver: Driver by name, looked up in a written table.
        resource: Its address.
        identity: Regular expression that its `*IDN?` reply must match; None takes the driver's.
        timeout_s: Longest wait for a reply, s; a transaction has 1.5 s in all.
        min_spacing_s: Shortest time between two commands, s.
        dead_socket_port: TCP port at which a connection makes the instrument end all its others,
            for one that takes a single connection, so that it can be switched off while a program
            that hangs holds that one; None where it has none.
    """

    driver: Annotated[str, _DriverName()]
    resource: Annotated[str, Resource()]
    identity: Annotated[str, _Pattern()] | None = None
    timeout_s: Annotated[float, Quantity("a timeout", "s", gt=0, le=_LONGEST_IN_LOOP_S)] = 1.0
    min_spacing_s: Annotated[float, Quantity("a time between commands", "s", ge=0, le=1)] = 0.0
    dead_socket_port: Annotated[int, Count("a TCP port", ge=1, le=65_535)] | None = None

    @model_validator(mode="after")
    def _port_of_a_socket(self) -> Self:
        if self.dead_socket_port is not None and not self.resource.upper().startswith("TCPIP"):
            what = f"got dead_socket_port with {self.resource}, expected a TCPIP address"
            raise problem(what, "leave dead_socket_port out")
        return self

    @property
    def simulated(self) -> bool:
        """Whether the address names a simulated instrument."""
        return is_simulated(self.resource)


class Limits(StrictModel):
    """What the bench allows at the cell, whatever an experiment asks for.

    Attributes:
        max_voltage_v: Highest voltage, V.
        max_current_ma: Most positive current, mA.
        min_voltage_v: Lowest voltage, V; where left out, minus the highest.
        min_current_ma: Most negative current, mA; where left out, minus the most positive.
    """

    max_voltage_v: Annotated[float, Quantity("the highest voltage", "V", le=1e3)]
    max_current_ma: Annotated[float, Quantity("the most positive current", "mA", ge=0, le=1e6)]
    min_voltage_v: Annotated[float, Quantity("the lowest voltage", "V", ge=-1e3)] | None = None
    min_current_ma: (
        Annotated[float, Quantity("the most negative current", "mA", le=0, ge=-1e6)] | None
    ) = None

    @model_validator(mode="before")
    @classmethod
    def _symmetric(cls, data: Any) -> Any:
        """What is left out is the mirror image."""
        if not isinstance(data, dict):
            return data
        mirrored = dict(data)
        for low, high in (("min_voltage_v", "max_voltage_v"), ("min_current_ma", "max_current_ma")):
            value = data.get(high)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue  # said of the other limit
            if data.get(low) is None and math.isfinite(value):
                mirrored[low] = -abs(value)
        return mirrored

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (("min_voltage_v", "max_voltage_v"), ("min_current_ma", "max_current_ma")):
            lower, upper = getattr(self, low), getattr(self, high)
            if lower is not None and lower >= upper:
                what = f"got {low} {lower:g} and {high} {upper:g}, expected the first to be smaller"
                raise problem(what, "are they exchanged, or is a sign missing?")
        return self

    @property
    def span(self) -> tuple[float, float, float, float]:
        """(lowest V, highest V, most negative mA, most positive mA)."""
        low_v = -abs(self.max_voltage_v) if self.min_voltage_v is None else self.min_voltage_v
        low_ma = -abs(self.max_current_ma) if self.min_current_ma is None else self.min_current_ma
        return low_v, self.max_voltage_v, low_ma, self.max_current_ma
