"""What is checked of the cell before anything drives it, as a file says it."""

# ruff: noqa: N815 - currents are spelled as aurora-unicycler's
from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from orchestrator.experiment.protocol import Safety
from orchestrator.inputs.fields import Choice, Quantity, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import Finding

_VOLTAGE = Quantity("a voltage", "V", ge=-1e3, le=1e3)


class Preflight(StrictModel):
    """Checks before the first energising; a block without keys checks the voltage at rest.

    Attributes:
        ocv_s: How long the cell rests before its voltage counts, s.
        ocv_window_v: Lowest and highest open-circuit voltage, V; None: the limits of `safety`.
        expect_positive: Sign of the voltage of face A against face B at rest.
        max_contact_resistance_ohm: Largest resistance of the cell with its contacts, ohm; None:
            not measured, and no current is passed.
        probe_current_mA: Current of the probe, mA; None: chosen small.
    """

    ocv_s: Annotated[float, Quantity("a time at rest", "s", gt=0, le=86_400)] = 10.0
    ocv_window_v: tuple[Annotated[float, _VOLTAGE], Annotated[float, _VOLTAGE]] | None = Field(
        default=None, description="lowest and highest voltage: [1.5, 4.3]"
    )
    expect_positive: Annotated[bool, Choice("a sign", (True, False))] | None = None
    max_contact_resistance_ohm: Annotated[float, Quantity("a resistance", "ohm", gt=0)] | None = (
        None
    )
    probe_current_mA: Annotated[float, Quantity("a current", "mA", gt=0)] | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.ocv_window_v is not None:
            low, high = self.ocv_window_v
            if low >= high:
                what = f"got a window from {low:g} to {high:g} V, expected the first to be smaller"
                raise problem(what, "are they exchanged, or is a sign missing?")
            if (self.expect_positive is True and high <= 0) or (
                self.expect_positive is False and low >= 0
            ):
                what = f"got a window from {low:g} to {high:g} V, which has no voltage of that sign"
                raise problem(what, "correct expect_positive, or the window")
        if self.probe_current_mA is not None and self.max_contact_resistance_ohm is None:
            what = "got a probe_current_mA, expected max_contact_resistance_ohm to go with it"
            raise problem(what, "add `max_contact_resistance_ohm: ...`, or remove it")
        return self


def preflight_findings(preflight: Preflight | None, safety: Safety | None) -> Iterator[Finding]:
    """A window or a probe that lies outside the limits."""
    if preflight is None or safety is None:
        return
    low, high = safety.min_voltage_V, safety.max_voltage_V
    window = preflight.ocv_window_v
    if window is not None and not low <= window[0] < window[1] <= high:
        what = (
            f"got {window[0]:g} to {window[1]:g} V, expected within safety, {low:g} to {high:g} V"
        )
        remedy = "narrow the window: outside of safety the run would end at once"
        yield Finding(("preflight", "ocv_window_v"), what, remedy)
    probe_ma = preflight.probe_current_mA
    most_ma = min(safety.max_current_mA, -safety.min_current_mA)
    if probe_ma is not None and probe_ma > most_ma:
        what = f"got {probe_ma:g} mA, expected at most safety's {most_ma:g} mA in each direction"
        yield Finding(("preflight", "probe_current_mA"), what, "lower the probe's current")
