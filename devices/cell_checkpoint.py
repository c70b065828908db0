"""What a potentiostat remembers of its work, as JSON: programs, steps, records that wait."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import aurora_unicycler
import numpy as np

from devices.cell_hold import Wish
from devices.cell_program import CellLimits, Program, Sweep
from devices.cell_records import Records
from devices.technique import CellStep, Technique

VERSION = 1
"""Of the form of a checkpoint."""

_STEPS: Mapping[str, type[Any]] = {
    "constant_current": aurora_unicycler.ConstantCurrent,
    "constant_voltage": aurora_unicycler.ConstantVoltage,
    "open_circuit_voltage": aurora_unicycler.OpenCircuitVoltage,
    "voltage_scan": aurora_unicycler.VoltageScan,
    "impedance_spectroscopy": aurora_unicycler.ImpedanceSpectroscopy,
}
_ARRAYS = ("t_s", "voltage_v", "current_ma", "charge_mah", "throughput_mah")


def finite(value: float) -> float | None:
    """A number, or nothing where it is none: JSON has no word for that."""
    return float(value) if math.isfinite(value) else None


def number(value: float | None, otherwise: float = math.nan) -> float:
    """The number that `finite` has written."""
    return otherwise if value is None else float(value)


def column(values: Sequence[float]) -> list[float | None]:
    """A column of numbers."""
    return [finite(value) for value in np.asarray(values, dtype=float).tolist()]


def array(values: Sequence[float | None]) -> Any:
    """The array that `column` has written."""
    return np.array([number(value) for value in values], dtype=float)


def program_state(program: Program | None) -> dict[str, Any] | None:
    """A program."""
    return None if program is None else asdict(program)


def program_of(state: Mapping[str, Any] | None) -> Program | None:
    """The program that `program_state` has written."""
    if state is None:
        return None
    sweep = state["sweep"]
    return Program(**{
        **state,
        "limits": CellLimits(**state["limits"]),
        "sweep": None if sweep is None else Sweep(**sweep),
    })  # fmt: skip


def technique_state(technique: Technique | None) -> dict[str, Any] | None:
    """A step as the potentiostat takes it."""
    if technique is None:
        return None
    fields = {name: getattr(technique, name) for name in Technique.__dataclass_fields__}
    step: Any = technique.step
    return {
        **fields,
        "limits": asdict(technique.limits),
        "step": step.model_dump(mode="json"),
        "left": program_state(technique.left),
    }


def technique_of(state: Mapping[str, Any] | None) -> Technique | None:
    """The step that `technique_state` has written."""
    if state is None:
        return None
    step: CellStep = _STEPS[state["step"]["step"]].model_validate(state["step"])
    return Technique(**{
        **state,
        "limits": CellLimits(**state["limits"]),
        "step": step,
        "left": program_of(state["left"]),
    })  # fmt: skip


def records_state(records: Records) -> dict[str, Any]:
    """Records that wait to become a page."""
    arrays: dict[str, Any] = {name: column(getattr(records, name)) for name in _ARRAYS}
    place = {"step_index": records.step_index, "cycle": records.cycle}
    return {**arrays, **place, "connected_s": finite(records.connected_s)}


def records_of(state: Mapping[str, Any]) -> Records:
    """The records that `records_state` has written."""
    arrays = {name: array(state[name]) for name in _ARRAYS}
    connected_s = number(state["connected_s"], -math.inf)
    return Records(
        **arrays, step_index=state["step_index"], cycle=state["cycle"], connected_s=connected_s
    )


def wish_of(state: Mapping[str, Any]) -> Wish:
    """What an exposure wants of the cell, as `dataclasses.asdict` has written it."""
    return Wish(state["state"], CellLimits(**state["limits"]), state["period_s"])
