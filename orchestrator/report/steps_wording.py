"""Steps that aurora-unicycler does not have, and what happens when a step fails, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def own_step(step: Mapping[str, Any]) -> str | None:
    """A step of the surroundings, a check or frames as a phrase; None for any other."""
    phrase = _PHRASES.get(str(step.get("step")))
    return None if phrase is None else phrase(step)


def on_failure(said: Any) -> str:
    """What happens when a step fails, as a phrase; empty where nothing is said."""
    if not said or said == "safe_state":
        return ""
    if said == "skip":
        return "left out if it fails"
    words = []
    if said.get("retry"):
        often = "once" if said["retry"] == 1 else f"{said['retry']} times"
        words.append(f"tried again {often} if it fails")
    if said.get("rest_s"):
        words.append(f"then {said['rest_s']:g} s of rest")
    elif said.get("then") == "skip":
        words.append("then left out")
    return ", ".join(words)


def on_pause(said: Any) -> str:
    """What happens to the rest of a step after a pause; empty where it goes on."""
    return {"restart": "begun again after a pause", "drop": "left after a pause"}.get(said, "")


def _temperature(step: Mapping[str, Any]) -> str:
    settle = step.get("settle") or {}
    ramp, band, soak = (
        step.get("ramp_celsius_per_min"), settle.get("band_celsius"), settle.get("soak_s")
    )  # fmt: skip
    text = f"temperature to {step.get('celsius'):g} °C"
    text += f" at {ramp:g} °C/min" if ramp else ""
    return text + (f", settled within {band:g} °C for {soak:g} s" if band and soak else "")


def _pressure(step: Mapping[str, Any]) -> str:
    settle = step.get("settle") or {}
    percent, soak = settle.get("tolerance_percent"), settle.get("soak_s")
    text = f"stack pressure of {step.get('mpa'):g} MPa waited for"
    return text + (f", within {percent:g} % for {soak:g} s" if percent and soak else "")


def _check(step: Mapping[str, Any]) -> str:
    low, high = step.get("min_voltage_V"), step.get("max_voltage_V")
    return f"open-circuit voltage within {low:g} to {high:g} V after {step.get('until_time_s'):g} s"


def _image(step: Mapping[str, Any]) -> str:
    count = int(step.get("count") or 1)
    return f"{count} frame{'' if count == 1 else 's'} of {step.get('device')}"


_PHRASES = {
    "temperature": _temperature,
    "stack_pressure": _pressure,
    "ocv_check": _check,
    "image": _image,
}
