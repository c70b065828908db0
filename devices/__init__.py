"""Instruments as the experiment sees them: clock, link, drivers and ophyd devices.

The devices and what describes them are public here, imported at their first use: a program that
wants only the clock or the errors does not load ophyd.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devices.chamber import TemperatureChamber
    from devices.load_cell import LoadCell
    from devices.mri import MriScanner
    from devices.potentiostat import Potentiostat
    from devices.roles import CellLimits
    from devices.sem import Sem
    from devices.technique import Technique

__all__ = [
    "CellLimits",
    "LoadCell",
    "MriScanner",
    "Potentiostat",
    "Sem",
    "Technique",
    "TemperatureChamber",
]

_HOMES = {
    "CellLimits": "devices.roles",
    "LoadCell": "devices.load_cell",
    "MriScanner": "devices.mri",
    "Potentiostat": "devices.potentiostat",
    "Sem": "devices.sem",
    "Technique": "devices.technique",
    "TemperatureChamber": "devices.chamber",
}


def __getattr__(name: str) -> Any:
    """A public name, imported at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """Public names, for completion."""
    return sorted({*globals(), *__all__})
