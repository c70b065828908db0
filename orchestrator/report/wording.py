"""Metadata and numbers as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.report import steps_wording
from orchestrator.report.contents import Contents
from orchestrator.report.micrographs import LINE

_SHOWN_VALUE = 400


def duration(seconds: float) -> str:
    """A duration in its natural unit."""
    for unit, size_s in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if abs(seconds) >= 2 * size_s:
            return f"{seconds / size_s:.3g} {unit}"
    return f"{seconds:.3g} s"


def instant(unix_s: float) -> str:
    """A time as UTC, to the second."""
    return datetime.fromtimestamp(unix_s, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def value(thing: Any) -> str:
    """Any metadata value as short text."""
    if isinstance(thing, str):
        text = thing
    elif isinstance(thing, Mapping):
        text = ", ".join(f"{key} {value(item)}" for key, item in thing.items())
    elif isinstance(thing, float):
        text = f"{thing:.6g}"
    else:
        text = json.dumps(thing, default=str)
    return text if len(text) <= _SHOWN_VALUE else text[: _SHOWN_VALUE - 1] + "…"


def protocol(start: Mapping[str, Any]) -> list[str]:
    """The protocol in words, one sentence per step; empty if the start document has none."""
    experiment = start.get("experiment")
    method = _mapping(_mapping(experiment).get("protocol")).get("method")
    if not isinstance(method, Sequence) or isinstance(method, str):
        return []
    return [_step(step) for step in method if _mapping(step).get("step") != "tag"]


def block(start: Mapping[str, Any], name: str) -> str:
    """The steps before or after the protocol in words; empty if there are none."""
    steps = _mapping(start.get("experiment")).get(name)
    return "; ".join(_step(step) for step in steps) if isinstance(steps, list | tuple) else ""


def _mapping(thing: Any) -> Mapping[str, Any]:
    return thing if isinstance(thing, Mapping) else {}


def _step(step: Any) -> str:
    """One step as a phrase, with what is special about it."""
    fields = dict(_mapping(step))
    more = [
        steps_wording.on_failure(fields.pop("on_failure", None)),
        steps_wording.on_pause(fields.pop("on_pause", None)),
    ]
    phrase = steps_wording.own_step(fields) or _cell_step(fields)
    extra = "; ".join(text for text in more if text)
    return f"{phrase} ({extra})" if extra else phrase


def _cell_step(fields: dict[str, Any]) -> str:
    kind = str(fields.pop("step", "step"))
    fields.pop("id", None)
    if kind == "loop":
        return f"repeat from “{fields.get('loop_to')}”, {fields.get('cycle_count')} times in total"
    phrase = _KINDS.get(kind, kind.replace("_", " "))
    until_s = fields.pop("until_time_s", None)
    rest = ", ".join(_field(key, item) for key, item in fields.items() if item is not None)
    phrase = f"{phrase} {rest}".strip()
    return phrase if until_s is None else f"{phrase} for {duration(float(until_s))}"


_KINDS = {
    "constant_current": "current",
    "constant_voltage": "voltage",
    "open_circuit_voltage": "rest at open circuit",
}
_UNITS = (
    ("_mA_per_cm2", "mA/cm²"),
    ("_mA", "mA"),
    ("_mV_per_s", "mV/s"),
    ("_mAh", "mAh"),
    ("_Hz", "Hz"),
    ("_V", "V"),
    ("_s", "s"),
    ("_C", "C"),
)


def _field(key: str, item: Any) -> str:
    for suffix, unit in _UNITS:
        if key.endswith(suffix):
            name = key.removesuffix(suffix).replace("_", " ")
            name = "" if name in ("current", "voltage") else f"{name} "
            return f"{name}{value(item)} {unit}"
    return f"{key.replace('_', ' ')} {value(item)}"


def header(contents: Contents, data_path: str) -> list[tuple[str, str]]:
    """Rows of the page's head: label and text."""
    start = contents.start
    sample = contents.sample
    rows = [
        ("Sample", _sample(sample)),
        ("Before", block(start, "before")),
        ("Protocol", "; ".join(protocol(start)) or str(start.get("plan_name", ""))),
        ("After", block(start, "after")),
        ("Recording", _recording(start)),
        ("Campaign", _campaign(start)),
        ("Resumed", _resumed(contents)),
        ("Operator", value(start.get("operator", ""))),
        ("Instrument", value(start.get("instrument_name", ""))),
        ("Proposal", value(start.get("proposal_id", ""))),
        ("Began", instant(contents.begin_s)),
        ("Duration", duration(contents.duration_s)),
        ("Ended", ending(contents)),
        ("Frames", _frames(contents)),
        ("Spectra", _spectra(contents)),
        ("Charge", _charge(contents)),
        ("Charge closure", _closure(contents)),
        ("Simulation", _simulation(start)),
        ("Faults injected", _faults(start)),
        ("Software", value(start.get("versions", ""))),
        ("Run", value(start.get("uid", ""))),
        ("Experiment", _hash(start.get("experiment_hash"))),
        ("Bench profile", _hash(start.get("profile_hash"))),
        ("Data", data_path),
    ]
    return [(label, text) for label, text in rows if text]


def _campaign(start: Mapping[str, Any]) -> str:
    """Which run of a campaign it is; empty where it is of none."""
    told = _mapping(start.get("campaign"))
    if not told:
        return ""
    values = value(told.get("values", {}))
    number, runs = value(told.get("number", "?")), value(told.get("runs", "?"))
    return f"run {number} of {runs}, {values}; {value(told.get('uid', ''))}"


def _resumed(contents: Contents) -> str:
    """How often it was cut off and went on; empty where it never was."""
    if not contents.parts:
        return ""
    times = len(contents.parts) - 1
    runs = ", ".join(uid[:8] for uid in contents.parts)
    return f"{'once' if times == 1 else f'{times} times'}, see the gaps below; runs {runs}"


def ending(contents: Contents) -> str:
    """How the run ended."""
    if contents.stop is None:
        return "interrupted: there is no stop document; the last recorded data are shown"
    status = contents.stop.get("exit_status", "")
    reason = str(contents.stop.get("reason", "")).replace("_", " ")
    return f"{status}: {reason}" if reason else str(status)


def _sample(sample: Mapping[str, Any]) -> str:
    name = value(sample.get("name", ""))
    rest = [
        _property(key, item) for key, item in sample.items() if key != "name" and item is not None
    ]
    return "; ".join([name, *rest]) if name else "; ".join(rest)


def _property(key: str, item: Any) -> str:
    for suffix, unit in (
        ("_cm2", "cm²"),
        ("_cm", "cm"),
        ("_mm", "mm"),
        ("_mg", "mg"),
        ("_mAh", "mAh"),
    ):
        if key.endswith(suffix):
            return f"{key.removesuffix(suffix).replace('_', ' ')} {value(item)} {unit}"
    return f"{key.replace('_', ' ')} {value(item)}"


def _recording(start: Mapping[str, Any]) -> str:
    """Recording interval and limits, from the experiment."""
    described = _mapping(_mapping(start.get("experiment")).get("protocol"))
    changes = dict(_mapping(described.get("record")))
    every_s = changes.pop("time_s", None)
    record = [f"every {value(every_s)} s"] if every_s else []
    record += [f"at each change of {_field(k, v)}" for k, v in changes.items() if v]
    safety = ", ".join(
        _field(k, v) for k, v in _mapping(described.get("safety")).items() if v is not None
    )
    parts = [
        f"a record {' and '.join(record)}" if record else "",
        f"limits {safety}" if safety else "",
    ]
    return "; ".join(part for part in parts if part)


def _frames(contents: Contents) -> str:
    imaging = contents.imaging
    if imaging is None:
        return _micrographs(contents)
    flagged = sum(flag != "ok" for flag in imaging.flags)
    text = f"{len(imaging.flags)}" + (f", {flagged} flagged by the device" if flagged else "")
    settings = imaging.settings
    if settings is not None:
        text += (
            f"; FLASH, TR {settings.tr_s:g} s, TE {1e3 * settings.te_s:g} ms, flip "
            f"{settings.flip_angle_deg:g}°, {settings.averages:,} averages, "
            f"{settings.matrix[0]} × {settings.matrix[1]} pixels, "
            f"{settings.fov_mm[0]:g} × {settings.fov_mm[1]:g} mm"
        )
    elif imaging.method:
        text += f"; {imaging.method.replace('_', ' ')}"
    return text


def _micrographs(contents: Contents) -> str:
    seen = contents.micrographs
    if seen is None:
        return "none"
    flagged = sum(flag != "ok" for flag in seen.flags)
    text = f"{len(seen.flags)}" + (f", {flagged} flagged by the device" if flagged else "")
    settings = seen.configuration
    size = settings.get("resolution_px") or ()
    if seen.method == LINE:
        parts = [
            f"lines of {settings.get('line_points')} points over "
            f"{settings.get('line_length_um'):g} µm"
        ]
    else:
        parts = [
            " and ".join(seen.channels),
            f"{' × '.join(str(n) for n in size)} pixels",
            f"{settings.get('hfw_um'):g} µm wide",
        ]
    dwell_s = settings.get("dwell_time_s")
    parts += [f"dwell {1e6 * dwell_s:g} µs"] if dwell_s else []
    parts += [f"{settings[key]:g} {unit}" for key, unit in _BEAM if settings.get(key) is not None]
    return f"{text}; {', '.join(parts)}"


_BEAM = (("voltage_kv", "kV"), ("current_na", "nA"))


def _spectra(contents: Contents) -> str:
    seen = contents.impedance
    if seen is None:
        return ""
    hertz = seen.spectra[0].frequency_hz
    return (
        f"{seen.count}; impedance at {len(hertz)} frequencies, {hertz.max():.4g} to "
        f"{hertz.min():.4g} Hz"
    )


def _closure(contents: Contents) -> str:
    """How well records and the instrument's own counter agree, or why that is not known."""
    if contents.echem is None:
        return ""
    found = [text for _, kind, text in contents.events if kind == "charge_closure"]
    if found:
        return found[-1]
    if contents.echem.counter is None:
        return ""
    if contents.echem.counter:
        return "not known: the run ended before its charge was compared, or no charge has flowed"
    return "not known: the potentiostat has no charge counter of its own"


def _charge(contents: Contents) -> str:
    if contents.echem is None:
        return ""
    records = contents.echem.records
    net, passed = records.charge_mah[-1], records.throughput_mah[-1]
    text = f"{net:+.4f} mAh net A → B, {passed:.4f} mAh in either direction"
    if contents.echem.area_cm2 > 0:
        text += f" ({passed / contents.echem.area_cm2:.2f} mAh/cm²)"
    return text


def _simulation(start: Mapping[str, Any]) -> str:
    simulation = _mapping(start.get("simulation"))
    shown = {
        key: simulation[key] for key in ("model", "preset", "seed", "jitter") if key in simulation
    }
    return value(shown) if shown else ""


def _faults(start: Mapping[str, Any]) -> str:
    faults = _mapping(start.get("simulation")).get("faults")
    return ", ".join(value(one) for one in faults) if isinstance(faults, list | tuple) else ""


def _hash(thing: Any) -> str:
    return str(thing)[:16] + "…" if thing else ""


def title(contents: Contents) -> str:
    """The sample and what was done to it."""
    plan = str(contents.start.get("plan_name", "run")).replace("_", " ")
    name = contents.sample.get("name")
    return f"{value(name)}: {plan}" if name else plan


def simulated_devices(start: Mapping[str, Any]) -> str:
    """Names of the devices that are simulated, if only some are."""
    said = _mapping(start.get("simulated"))
    simulated = sorted(str(name) for name, yes in said.items() if yes)
    return ", ".join(simulated) if len(simulated) < len(said) else ""
