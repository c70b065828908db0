"""The safe state of a bench: what drives the cell off first, then what the profile lists."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from orchestrator.engine import Engine
from orchestrator.profile.interlocks import SafeAction
from orchestrator.profile.models import BenchProfile

log = logging.getLogger(__name__)


def cell_off(profile: BenchProfile, engine: Engine) -> bool:
    """Switch off everything that drives a cell, verified; what fails is tried again.

    Returns:
        Whether all of it is known to be off; `Engine.unsafe` tells what is not. Never raises.
    """
    drivers = {name for name in profile.devices if profile.kind_of(name).drives_cell}
    engine.switch_off(only=drivers)
    return not drivers & set(engine.unsafe)


def make_safe(profile: BenchProfile, devices: Mapping[str, Any]) -> dict[str, str]:
    """Do what the profile's safe state says of everything that does not drive the cell, in order.

    Returns:
        What failed, by device; one that fails does not keep the next from it.
    """
    failed: dict[str, str] = {}
    for action in profile.safe_actions:
        if profile.kind_of(action.device).drives_cell:
            continue  # off already
        try:
            _carry_out(action, devices[action.device])
        except Exception as error:  # noqa: BLE001 - whatever it is, the next device must be tried
            log.critical("%s: not made safe (%s): %s", action.device, action.action, error)
            failed[action.device] = str(error)
    return failed


def _carry_out(action: SafeAction, device: Any) -> None:
    if action.action in ("keep", "hold"):
        return
    if action.action == "abort" or not hasattr(device, "make_safe"):
        device.stop()
    else:
        device.make_safe(action.action)
