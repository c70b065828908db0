"""What interlocks and the safe state say of devices that are there and can do it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from orchestrator.inputs.problems import Finding, listed, name_remedy
from orchestrator.profile.interlocks import DataRateInterlock, ImageInterlock, InterlockEntry
from orchestrator.profile.surroundings import ChamberEntry

if TYPE_CHECKING:
    from orchestrator.profile.models import BenchProfile

_Path = tuple[str | int, ...]


def interlock_findings(profile: BenchProfile) -> Iterator[Finding]:
    """What is wrong with the interlocks of a profile whose parts are valid."""
    labels: dict[str, int] = {}
    for index, lock in enumerate(profile.interlocks):
        path: _Path = ("interlocks", index)
        if lock.label in labels:
            what = f"is called {lock.label}, as interlock {labels[lock.label] + 1} is"
            yield Finding(path, what, "give it a name of its own: `name: ...`")
        labels.setdefault(lock.label, index)
        device = getattr(lock, "device", None)
        if device is not None and device not in profile.devices:
            yield _no_device((*path, "device"), device, profile)
        else:
            yield from _of_device(profile, path, lock)
            yield from _evidence(profile, path, lock)


def _of_device(profile: BenchProfile, path: _Path, lock: InterlockEntry) -> Iterator[Finding]:
    """Whether the device can be looked at in that way."""
    device, signal = getattr(lock, "device", ""), getattr(lock, "signal", None)
    if not device:
        return
    kind = profile.kind_of(device)
    if signal is not None and signal not in kind.signals:
        what = f"got '{signal}', expected a reading of {device}"
        yield Finding((*path, "signal"), what, name_remedy(signal, kind.signals))
    if isinstance(lock, ImageInterlock) and not kind.takes_images:
        what = f"got '{device}', expected a device that takes images"
        able = [name for name in profile.devices if profile.kind_of(name).takes_images]
        yield Finding((*path, "device"), what, name_remedy(device, able))
    if isinstance(lock, DataRateInterlock) and not kind.drives_cell:
        what = f"got '{device}', expected a potentiostat"
        able = [name for name in profile.devices if profile.kind_of(name).drives_cell]
        yield Finding((*path, "device"), what, name_remedy(device, able))
    recorded = signal is not None and kind.drives_cell
    if recorded and getattr(lock, "every_s", None) is not None:
        what = f"got every_s, but every record of {device} is looked at as it is polled"
        yield Finding((*path, "every_s"), what, f"set poll_period_s of {device} instead")


def _evidence(profile: BenchProfile, path: _Path, lock: InterlockEntry) -> Iterator[Finding]:
    """A cell that has left its limits is not driven again, not even for a spectrum."""
    device = getattr(lock, "device", "")
    if "frame" in lock.evidence and not any(
        profile.kind_of(name).takes_images for name in profile.devices
    ):
        what = "got frame, and nothing on this bench takes images"
        yield Finding((*path, "evidence"), what, "leave it out")
    if "spectrum" not in lock.evidence:
        return
    if device and profile.kind_of(device).drives_cell:
        what = f"got spectrum after a trip of {device} itself: the cell is not driven again then"
        yield Finding((*path, "evidence"), what, "leave it out, or take a frame")
    elif not any(_takes_spectra(profile, name) for name in profile.devices):
        what = "got spectrum, and no potentiostat of this bench takes any"
        yield Finding((*path, "evidence"), what, "leave it out")


def _takes_spectra(profile: BenchProfile, name: str) -> bool:
    return profile.kind_of(name).drives_cell and (
        "impedance_spectroscopy" in profile.driver_of(name).steps
    )


def safe_state_findings(profile: BenchProfile) -> Iterator[Finding]:
    """What is wrong with the safe state of a profile whose parts are valid."""
    for index, safe in enumerate(profile.safe_state):
        path: _Path = ("safe_state", index)
        if safe.device not in profile.devices:
            yield _no_device((*path, "device"), safe.device, profile)
            continue
        actions = profile.kind_of(safe.device).safe_actions
        if safe.action not in actions:
            what = f"got '{safe.action}', expected what {safe.device} can do: {listed(actions)}"
            yield Finding((*path, "action"), what, name_remedy(safe.action, actions))
        elif safe.celsius is not None:
            yield from _temperature(path, safe, profile.devices[safe.device])


def _temperature(path: _Path, safe: Any, entry: Any) -> Iterator[Finding]:
    if not isinstance(entry, ChamberEntry):
        return
    low, high = entry.limits.min_celsius, entry.limits.max_celsius
    if not low <= safe.celsius <= high:
        what = f"got {safe.celsius:g} C, expected {low:g} to {high:g} C as {safe.device} allows"
        yield Finding((*path, "celsius"), what, "change it, or the limits")


def _no_device(path: _Path, name: str, profile: BenchProfile) -> Finding:
    what = f"got '{name}', expected a device of this bench"
    return Finding(path, what, name_remedy(name, profile.devices))
