"""Conditions that stop an experiment or trigger an image, as the file names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler, model_serializer, model_validator
from pydantic_core import PydanticCustomError, core_schema

from orchestrator.inputs.fields import Choice, Count, Expected, Quantity, at, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import described, key_remedy, listed, name_remedy

OPTIONS: dict[str, Expected] = {
    "confirm": Count("a number of consecutive records or frames", le=1000),
    "hysteresis": Quantity("a hysteresis in the unit of the value", "", ge=0),
    "repeat": Choice("whether it can be met again", (True, False)),
    "within_s": Quantity("a time", "s", gt=0, le=86_400),
    "settle_s": Quantity("a time", "s", ge=0, le=86_400),
    "layer": Count("a layer, counted from face A", le=4),
}
"""What the long form of a condition may say beside its value, by the key."""

LEVEL = ("confirm", "hysteresis", "repeat")
"""Options of what can rise, fall back and rise again."""

ONCE = ("confirm",)
"""Options of what happens once in a run."""


@dataclass(frozen=True)
class ConditionKind:
    """One entry of the table below.

    Attributes:
        meaning: What it means that the condition holds.
        value: What its threshold must be; None where it takes none.
        evidence: What it looks at: a key of `EVIDENCE`.
        options: What its long form may say beside the value: keys of `OPTIONS`.
    """

    meaning: str
    value: Expected | None = None
    evidence: str = "records"
    options: tuple[str, ...] = LEVEL

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
    "hard_short": ConditionKind(
        "the cell's resistance collapsed: an electronic short", options=ONCE
    ),
    "soft_short": ConditionKind(
        "the cell's resistance fell suddenly and partly: a soft short",
        options=("confirm", "repeat"),
    ),
    "voltage_above_v": ConditionKind(
        "the magnitude of the cell's voltage is above this",
        Quantity("a voltage", "V", gt=0),
    ),
    "voltage_jump_v": ConditionKind(
        "the voltage changed by more than this within a short time, at an unchanged current",
        Quantity("a voltage", "V", gt=0),
        options=(*LEVEL, "within_s", "settle_s"),
    ),
    "dv_dt_above_v_per_h": ConditionKind(
        "the voltage changes faster than this, at an unchanged current or at rest",
        Quantity("a rate", "V/h", gt=0),
        options=(*LEVEL, "within_s", "settle_s"),
    ),
    "dv_dt_below_v_per_h": ConditionKind(
        "the voltage changes more slowly than this, at an unchanged current or at rest: a plateau",
        Quantity("a rate", "V/h", gt=0),
        options=(*LEVEL, "within_s", "settle_s"),
    ),
    "overpotential_above_v": ConditionKind(
        "while current flows the voltage is further than this from that of the last rest",
        Quantity("a voltage", "V", gt=0),
        options=(*LEVEL, "settle_s"),
    ),
    "charge_mah_per_cm2": ConditionKind(
        "this much net charge, in either direction, has passed since the start",
        Quantity("a charge", "mAh/cm2", gt=0),
    ),
    "throughput_mah_per_cm2": ConditionKind(
        "this much charge, both directions added, has passed since the start",
        Quantity("a charge", "mAh/cm2", gt=0),
        options=ONCE,
    ),
    "duration_s": ConditionKind(
        "this much time has passed since the start", Quantity("a duration", "s", gt=0), options=ONCE
    ),
    "cycle_number": ConditionKind(
        "the cycle of this number, counted from 1, has begun",
        Count("a number of a cycle"),
        options=ONCE,
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
        options=(*LEVEL, "layer"),
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
    """A condition: ``hard_short``, ``{voltage_above_v: 4.2}``, or its long form.

    The long form is ``{contact_loss_above: {value: 0.9, confirm: 2}}``.

    Attributes:
        name: Its name in `CONDITIONS`.
        value: Its threshold, in the unit that its name ends with; None where it takes none.
        confirm: Consecutive records or frames that must meet it; None as it has it.
        hysteresis: How far the number must go back before it can be met again; None as it has it.
        within_s: Time that a jump takes, or window of a slope, s; None as it has it.
        settle_s: Time after a change of current that is not looked at, s; None as it has it.
        layer: Layer of the electrolyte, from 1 at face A; None: all of them.
        repeat: Whether it can be met again after it has gone back.
    """

    name: str
    value: float | None = None
    confirm: int | None = None
    hysteresis: float | None = None
    within_s: float | None = None
    settle_s: float | None = None
    layer: int | None = None
    repeat: bool = False

    @property
    def kind(self) -> ConditionKind:
        """What the table says of it."""
        return CONDITIONS[self.name]

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, data: Any) -> Any:
        if isinstance(data, dict) and "name" in data and set(data) <= set(cls.model_fields):
            data = _file_form(**data)
        form = {data: None} if isinstance(data, str) else data
        if not isinstance(form, dict) or len(form) != 1:
            what = f"got {described(data)}, expected one condition: {listed(CONDITIONS)}"
            raise problem(what, "write its name, `{name: value}` or `{name: {value: ...}}`")
        ((name, body),) = form.items()
        kind = CONDITIONS.get(name)
        inside = (name,) if isinstance(data, dict) else ()
        if kind is None:
            what = f"got {described(name)}, expected a condition"
            raise at(inside, problem(what, name_remedy(str(name), CONDITIONS), at_key=bool(inside)))
        if not isinstance(body, dict):
            return {"name": name, "value": _threshold(name, kind, body, inside)}
        value_at = (name, "value") if "value" in body else inside
        value = _threshold(name, kind, body.get("value"), value_at)
        return {"name": name, "value": value, **_options(name, kind, body)}

    @model_serializer(mode="plain")
    def _write(self) -> Any:
        fields = {key: getattr(self, key) for key in type(self).model_fields}
        return _file_form(**fields)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the forms of a file, not the model's fields."""
        plain = [name for name, kind in CONDITIONS.items() if kind.value is None]
        forms: list[dict[str, Any]] = [{"enum": plain, "description": "A condition."}]
        for name, kind in CONDITIONS.items():
            forms.append(
                {
                    "type": "object",
                    "properties": {name: _body_schema(kind)},
                    "required": [name],
                    "additionalProperties": False,
                    "description": kind.meaning,
                }
            )
        return {"anyOf": forms}


def met_once(found: Condition) -> Condition:
    """Refuse what can be met again where the first time ends the run."""
    if found.repeat:
        what = "got repeat, and the first time ends the run"
        raise at((found.name, "repeat"), problem(what, "leave it out", at_key=True))
    return found


def _file_form(name: Any, value: Any = None, **options: Any) -> Any:
    """The shortest form that a file may have."""
    said = {key: one for key, one in options.items() if one is not None and one is not False}
    if said:
        return {name: said if value is None else {"value": value, **said}}
    return name if value is None else {name: value}


def _body_schema(kind: ConditionKind) -> dict[str, Any]:
    """A value alone, or a mapping with the options."""
    properties = {key: OPTIONS[key].schema() for key in kind.options}
    long: dict[str, Any] = {"type": "object", "additionalProperties": False}
    if kind.value is None:
        return {**long, "properties": properties}
    value = kind.value.schema()
    long |= {"properties": {"value": value, **properties}, "required": ["value"]}
    return {"anyOf": [value, long]}


def _options(name: str, kind: ConditionKind, body: dict[Any, Any]) -> dict[str, Any]:
    """What a long form says beside the value."""
    found: dict[str, Any] = {}
    for key, value in body.items():
        if key == "value":
            continue
        if key not in kind.options:
            known = [*(() if kind.value is None else ("value",)), *kind.options]
            what = f"is not a key of {name}"
            raise at((name, key), problem(what, key_remedy(str(key), known), at_key=True))
        try:
            found[key] = OPTIONS[key].check(value)
        except PydanticCustomError as error:
            raise at((name, key), error) from None
    return found


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
