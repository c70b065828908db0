"""Conditions that stop an experiment or trigger an image, as the file names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler, model_serializer, model_validator
from pydantic_core import PydanticCustomError, core_schema

from orchestrator.inputs.fields import Count, Expected, Quantity, at, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import described, listed, name_remedy


@dataclass(frozen=True)
class ConditionKind:
    """One entry of the table below.

    Attributes:
        meaning: What it means that the condition holds.
        value: What its threshold must be; None where it takes none.
        evidence: What it looks at: a key of `EVIDENCE`.
    """

    meaning: str
    value: Expected | None = None
    evidence: str = "records"

    @property
    def device_kind(self) -> str:
        """Kind of device that its evidence comes from; the bench must have one."""
        return EVIDENCE[self.evidence]


EVIDENCE = {
    "records": "potentiostat",
    "contact_loss": "sem",
    "lithium_umol_per_cm2": "mri",
    "bulk_ohm_cm2": "potentiostat",
    "interface_ohm_cm2": "potentiostat",
    "temperature_celsius": "chamber",
    "pressure_mpa": "load_cell",
}
"""What conditions look at, and the kind of device that it comes from: the records of the cell, the
readings of a sensor, or a number out of each micrograph, MRI image or spectrum."""


CONDITIONS: dict[str, ConditionKind] = {
    "hard_short": ConditionKind("the cell's resistance collapsed: an electronic short"),
    "soft_short": ConditionKind("the cell's resistance fell suddenly and partly: a soft short"),
    "voltage_above_v": ConditionKind(
        "the magnitude of the cell's voltage is above this", Quantity("a voltage", "V", gt=0)
    ),
    "voltage_jump_v": ConditionKind(
        "the voltage changed by more than this within a short time, at an unchanged current",
        Quantity("a voltage", "V", gt=0),
    ),
    "dv_dt_above_v_per_h": ConditionKind(
        "the voltage changes faster than this, at an unchanged current or at rest",
        Quantity("a rate", "V/h", gt=0),
    ),
    "dv_dt_below_v_per_h": ConditionKind(
        "the voltage changes more slowly than this, at an unchanged current or at rest: a plateau",
        Quantity("a rate", "V/h", gt=0),
    ),
    "overpotential_above_v": ConditionKind(
        "while current flows the voltage is further than this from that of the last rest",
        Quantity("a voltage", "V", gt=0),
    ),
    "charge_mah_per_cm2": ConditionKind(
        "this much net charge, in either direction, has passed since the start",
        Quantity("a charge", "mAh/cm2", gt=0),
    ),
    "throughput_mah_per_cm2": ConditionKind(
        "this much charge, both directions added, has passed since the start",
        Quantity("a charge", "mAh/cm2", gt=0),
    ),
    "duration_s": ConditionKind(
        "this much time has passed since the start", Quantity("a duration", "s", gt=0)
    ),
    "cycle_number": ConditionKind(
        "the cycle of this number, counted from 1, has begun", Count("a number of a cycle")
    ),
    "contact_loss_above": ConditionKind(
        "this fraction of the interface has lost contact, seen in the last micrograph",
        Quantity("a fraction", "", gt=0, lt=1),
        evidence="contact_loss",
    ),
    "lithium_above_umol_per_cm2": ConditionKind(
        "more metallic lithium than this is in the electrolyte, seen in the last MRI image",
        Quantity("an amount", "umol/cm2", gt=0),
        evidence="lithium_umol_per_cm2",
    ),
    "bulk_resistance_drop": ConditionKind(
        "the bulk's resistance has lost more than this part of that in the first spectrum",
        Quantity("a fraction", "", gt=0, lt=1),
        evidence="bulk_ohm_cm2",
    ),
    "interface_above_ohm_cm2": ConditionKind(
        "the interfaces' resistance in the last spectrum is above this",
        Quantity("a resistance", "ohm cm2", gt=0),
        evidence="interface_ohm_cm2",
    ),
    "temperature_above_celsius": ConditionKind(
        "the cell is warmer than this",
        Quantity("a temperature", "degree Celsius", ge=-196, le=1200),
        evidence="temperature_celsius",
    ),
    "temperature_below_celsius": ConditionKind(
        "the cell is colder than this",
        Quantity("a temperature", "degree Celsius", ge=-196, le=1200),
        evidence="temperature_celsius",
    ),
    "pressure_above_mpa": ConditionKind(
        "the stack pressure is above this",
        Quantity("a pressure", "MPa", gt=0, le=1e3),
        evidence="pressure_mpa",
    ),
    "pressure_below_mpa": ConditionKind(
        "the stack pressure is below this",
        Quantity("a pressure", "MPa", gt=0, le=1e3),
        evidence="pressure_mpa",
    ),
}
"""Every condition a file may name; the criteria are in `plans.criteria` and `plans.shorts`."""


class Condition(StrictModel):
    """A condition by name: ``hard_short`` or ``{voltage_above_v: 4.2}``.

    Attributes:
        name: Its name in `CONDITIONS`.
        value: Its threshold, in the unit that its name ends with; None where it takes none.
    """

    name: str
    value: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, data: Any) -> Any:
        if isinstance(data, dict) and "name" in data and set(data) <= set(cls.model_fields):
            data = _file_form(data["name"], data.get("value"))
        form = {data: None} if isinstance(data, str) else data
        if not isinstance(form, dict) or len(form) != 1:
            what = f"got {described(data)}, expected one condition: {listed(CONDITIONS)}"
            raise problem(what, "write its name, or `{name: value}`")
        ((name, value),) = form.items()
        kind = CONDITIONS.get(name)
        inside = (name,) if isinstance(data, dict) else ()
        if kind is None:
            what = f"got {described(name)}, expected a condition"
            raise at(inside, problem(what, name_remedy(str(name), CONDITIONS), at_key=bool(inside)))
        return {"name": name, "value": _threshold(name, kind, value, inside)}

    @model_serializer(mode="plain")
    def _write(self) -> Any:
        return _file_form(self.name, self.value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the forms of a file, not the model's fields."""
        plain = [name for name, kind in CONDITIONS.items() if kind.value is None]
        forms: list[dict[str, Any]] = [{"enum": plain, "description": "A condition."}]
        for name, kind in CONDITIONS.items():
            if kind.value is not None:
                forms.append(
                    {
                        "type": "object",
                        "properties": {name: kind.value.schema()},
                        "required": [name],
                        "additionalProperties": False,
                        "description": kind.meaning,
                    }
                )
        return {"anyOf": forms}


def _file_form(name: Any, value: Any) -> Any:
    return name if value is None else {name: value}


def _threshold(name: str, kind: ConditionKind, value: Any, inside: tuple[str, ...]) -> float | None:
    if kind.value is None:
        if value is None:
            return None
        what = f"got {described(value)}, expected no value"
        raise at(inside, problem(what, f"write `{name}` alone"))
    if value is None:
        what = f"is missing its value, expected {kind.value.words}"
        raise at(inside, problem(what, f"write `{{{name}: ...}}`"))
    try:
        return float(kind.value.check(value))
    except PydanticCustomError as error:
        raise at(inside, error) from None
