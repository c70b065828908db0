"""What brings readings to the monitors: records, sensors, frames, answers, the disk.

Everything here runs on the engine's loop: as listeners of what is read anyway, and as looks on the
clock where nothing else reads often enough. A look never raises for an instrument's sake: what
cannot be read is a reading that is missing.
"""

from __future__ import annotations

import math
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from devices.cell_records import Records
from devices.clock import Clock
from devices.errors import DeviceError
from devices.frame_device import FrameDevice
from devices.link import Link
from devices.potentiostat import Potentiostat
from orchestrator.interlocks.monitor import Monitor
from orchestrator.interlocks.rules import OK, Sample
from orchestrator.profile.interlocks import (
    DataRateInterlock,
    FreeDiskInterlock,
    HeartbeatInterlock,
    ImageInterlock,
)

Take = Callable[[Monitor, Sample], None]
"""Takes a reading to a monitor, and acts where that trips."""

_SENSOR_EVERY_S = 30.0
_SLACK_S = 1e-3
_RECORD_MISSES = 3.0
"""Records that are late by so many times the longest time that they take are missing [A]."""


class Feed(Protocol):
    """Brings readings of one source to its monitors.

    Attributes:
        every_s: Time between looks, s; infinite where listening is enough.
    """

    every_s: float

    @property
    def monitors(self) -> Sequence[Monitor]:
        """Who is shown them."""
        ...

    def look(self, *, fresh: bool = False) -> None:
        """Take a reading, unless there was one within `every_s` or (`fresh`) in any case."""
        ...

    def listen(self) -> None:
        """Begin to listen to what is read anyway; called once."""
        ...


class RecordsFeed:
    """Every record of a potentiostat; while it drives or watches the cell, records must come."""

    def __init__(self, device: Potentiostat, monitors: Sequence[Monitor], take: Take) -> None:
        self._device, self.monitors, self._take = device, monitors, take
        self.every_s = float(device.poll_period_s.get())
        self._seen_s = -math.inf

    def listen(self) -> None:
        """See `Feed.listen`."""
        self._device.subscribe_records(self._records)

    def look(self, *, fresh: bool = False) -> None:
        """A record that is long overdue is one that is missing."""
        del fresh  # an open cell has no reading; the first record shows it
        within_s, under_way = self._device.record_within_s, self._device.under_way
        if under_way is None or not math.isfinite(within_s):
            return
        now_s = self._device.clock.time()
        silent_s = min(now_s - self._seen_s, under_way[0])
        if silent_s > _RECORD_MISSES * within_s:
            late = f"no record for {silent_s:.0f} s, expected one each {within_s:.3g} s"
            for monitor in self.monitors:
                self._take(monitor, Sample(now_s, quality=late))

    def _records(self, records: Records) -> None:
        self._seen_s = self._device.clock.time()
        times = records.t_s.tolist()
        for monitor in self.monitors:
            values = getattr(records, monitor.entry.signal)  # type: ignore[attr-defined]
            for t_s, value in zip(times, values.tolist(), strict=True):
                self._take(monitor, Sample(t_s, value))


class SensorFeed:
    """Readings of a chamber, a load cell, or what else is read by a trigger."""

    def __init__(self, device: Any, monitors: Sequence[Monitor], take: Take) -> None:
        self._device, self.monitors, self._take = device, monitors, take
        asked = [getattr(monitor.entry, "every_s", None) for monitor in monitors]
        self.every_s = min(one or _SENSOR_EVERY_S for one in asked)
        self._seen_s = -math.inf

    def listen(self) -> None:
        """See `Feed.listen`."""
        self._device.subscribe_records(lambda _reading: self._read())

    def look(self, *, fresh: bool = False) -> None:
        """Take a reading, if nobody else has of late; whoever listens is told of it."""
        now_s = self._device.clock.time()
        if not fresh and now_s - self._seen_s < self.every_s - _SLACK_S:
            return
        try:
            self._device.trigger()
        except DeviceError as error:
            self._seen_s = now_s
            for monitor in self.monitors:
                self._take(monitor, Sample(now_s, quality=f"no reading: {error.what}"))

    def _read(self) -> None:
        self._seen_s = self._device.clock.time()
        for monitor in self.monitors:
            signal = getattr(self._device, monitor.entry.signal)  # type: ignore[attr-defined]
            self._take(monitor, Sample(self._seen_s, float(signal.get())))


class RateFeed:
    """How many records came of late, while a potentiostat drives or watches the cell."""

    def __init__(self, device: Potentiostat, monitor: Monitor, take: Take) -> None:
        entry = monitor.entry
        assert isinstance(entry, DataRateInterlock)  # noqa: S101 - as `feeds_of` has it
        self._device, self.monitors, self._take = device, (monitor,), take
        self._within_s = entry.within_s
        self.every_s = max(1.0, entry.within_s / 4.0)
        self._came: deque[tuple[float, int]] = deque()
        self._due_since_s = math.inf

    def listen(self) -> None:
        """See `Feed.listen`."""
        self._device.subscribe_records(self._records)

    def look(self, *, fresh: bool = False) -> None:
        """Count, once records have been due for long enough."""
        now_s = self._device.clock.time()
        if fresh or not math.isfinite(self._device.record_within_s):
            self._due_since_s = math.inf
            return
        self._due_since_s = min(self._due_since_s, now_s)
        while self._came and self._came[0][0] < now_s - self._within_s:
            self._came.popleft()
        if now_s - self._due_since_s >= self._within_s - _SLACK_S:
            count = float(sum(number for _, number in self._came))
            self._take(self.monitors[0], Sample(now_s, count))

    def _records(self, records: Records) -> None:
        self._came.append((self._device.clock.time(), len(records.t_s)))


class FrameFeed:
    """Frames of an image device, those that failed included."""

    every_s = math.inf

    def __init__(self, device: FrameDevice, monitors: Sequence[Monitor], take: Take) -> None:
        self._device, self.monitors, self._take = device, monitors, take

    def listen(self) -> None:
        """See `Feed.listen`."""
        self._device.watchers.add(self._frame)

    def look(self, *, fresh: bool = False) -> None:
        """Frames come by themselves."""

    def _frame(self, quality: str, spread: float) -> None:
        sample = Sample(self._device.clock.time(), spread, quality)
        for monitor in self.monitors:
            self._take(monitor, sample)


class HeartbeatFeed:
    """Asks every instrument of a device who it is."""

    def __init__(self, links: Sequence[Link], clock: Clock, monitor: Monitor, take: Take) -> None:
        entry = monitor.entry
        assert isinstance(entry, HeartbeatInterlock)  # noqa: S101 - as `feeds_of` has it
        self._links, self._clock, self.monitors, self._take = links, clock, (monitor,), take
        self.every_s = entry.every_s

    def listen(self) -> None:
        """Nobody else asks."""

    def look(self, *, fresh: bool = False) -> None:
        """Ask; one that is in the midst of a transaction is alive."""
        del fresh
        quality = OK
        for link in self._links:
            if link.busy:
                continue
            try:
                link.ask("*IDN?")
            except DeviceError as error:
                quality = f"no answer: {error}"
        self._take(self.monitors[0], Sample(self._clock.time(), quality=quality))


class DiskFeed:
    """Space on the disk of the data directory, GB."""

    def __init__(self, data: Path, clock: Clock, monitor: Monitor, take: Take) -> None:
        entry = monitor.entry
        assert isinstance(entry, FreeDiskInterlock)  # noqa: S101 - as `feeds_of` has it
        self._data, self._clock, self.monitors, self._take = data, clock, (monitor,), take
        self.every_s = entry.every_s

    def listen(self) -> None:
        """Nobody else looks."""

    def look(self, *, fresh: bool = False) -> None:
        """Look."""
        del fresh
        now_s = self._clock.time()
        try:
            folder = self._data.resolve()
            existing = next(path for path in (folder, *folder.parents) if path.exists())
            sample = Sample(now_s, 1e-9 * shutil.disk_usage(existing).free)
        except OSError as error:
            sample = Sample(now_s, quality=f"no reading: {error.strerror or error}")
        self._take(self.monitors[0], sample)


def feeds_of(
    monitors: Sequence[Monitor],
    devices: Mapping[str, Any],
    links: Mapping[str, Link],
    clock: Clock,
    data: Path,
    *,
    take: Take,
) -> list[Feed]:
    """A feed for each source that some monitors look at.

    Args:
        monitors: All of them.
        devices: Devices of the bench by name.
        links: Their links by ``device`` or ``device.part``.
        clock: The experiment's clock.
        data: The data directory.
        take: Takes the readings.
    """
    feeds: list[Feed] = []
    shared: dict[str, list[Monitor]] = {}
    for monitor in monitors:
        entry, name = monitor.entry, getattr(monitor.entry, "device", "")
        if isinstance(entry, FreeDiskInterlock):
            feeds.append(DiskFeed(data, clock, monitor, take))
        elif isinstance(entry, HeartbeatInterlock):
            own = [link for who, link in links.items() if who.split(".")[0] == name]
            feeds.append(HeartbeatFeed(own, clock, monitor, take))
        elif isinstance(entry, DataRateInterlock):
            feeds.append(RateFeed(devices[name], monitor, take))
        elif isinstance(entry, ImageInterlock):
            feeds.append(FrameFeed(devices[name], [monitor], take))
        else:
            shared.setdefault(name, []).append(monitor)
    for name, watching in shared.items():
        device = devices[name]
        kind = RecordsFeed if isinstance(device, Potentiostat) else SensorFeed
        feeds.append(kind(device, watching, take))
    return feeds
