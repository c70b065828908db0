"""Signals whose timestamps come from the experiment's clock."""

from __future__ import annotations

from typing import Any

import ophyd
from ophyd.status import Status

from devices.clock import Clock


def clock_of(device: Any) -> Clock:
    """Find the clock of a device or of the nearest parent that has one.

    Raises:
        TypeError: Nobody in the chain of parents has a clock.
    """
    while device is not None:
        clock = getattr(device, "clock", None)
        if clock is not None:
            found: Clock = clock
            return found
        device = getattr(device, "parent", None)
    raise TypeError("ClockSignal: no parent has a clock (pass clock=, or set it before super())")


class ClockSignal(ophyd.Signal):  # noqa: TID251 - the one subclass everything derives from
    """An ophyd signal on the experiment's clock, with units and precision in its description.

    Args:
        units: Unit of the value, as in the name's suffix; empty where it has none.
        precision: Decimal places to show; None where the value is not a float.
        limits: Lowest and highest value that may be put, in `units`; None: not limited here.
        clock: Source of timestamps; by default that of the parent device.
        dtype: Forced data type of the document (``number``, ``integer``, ``string``,
            ``array``, ``boolean``); by default taken from the value.
        **kwargs: As for `ophyd.Signal`.
    """

    def __init__(
        self,
        *,
        units: str = "",
        precision: int | None = None,
        limits: tuple[float, float] | None = None,
        clock: Clock | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._clock = clock if clock is not None else clock_of(kwargs.get("parent"))
        self._units, self._precision = units, precision
        self._limits, self._dtype = limits, dtype
        kwargs.setdefault("timestamp", self._clock.time())
        super().__init__(**kwargs)

    def __repr__(self) -> str:
        """Name, value and unit, as last read."""
        value, units = getattr(self, "_readback", None), self._units
        text = f"{value:.6g}" if isinstance(value, float) else repr(value)
        return f"<{type(self).__name__} {self.name}: {text}{' ' + units if units else ''}>"

    @property
    def units(self) -> str:
        """Unit of the value; empty where it has none."""
        return self._units

    @property
    def source_name(self) -> str:
        """Where the value comes from: the parent device's resource, else this program."""
        resource = getattr(self.root, "resource", "")
        return f"{resource or 'operando'}:{self.name}"

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest value; (0, 0) where not limited, as ophyd has it."""
        return self._limits if self._limits is not None else (0.0, 0.0)

    def put(self, value: Any, *, timestamp: float | None = None, **kwargs: Any) -> None:
        """Store a value, stamped with the experiment's time unless told otherwise."""
        stamp = self._clock.time() if timestamp is None else timestamp
        super().put(value, timestamp=stamp, **kwargs)

    def set(self, value: Any, *, timeout: None = None, settle_time: float = 0) -> Status:
        """Store a value at once; the status is done, and no thread is started."""
        del timeout, settle_time
        self.put(value)
        status = Status(obj=self, timeout=None)
        status.set_finished()
        return status

    def describe(self) -> dict[str, dict[str, Any]]:
        """Data key with dtype, shape, source, units, precision and limits."""
        described: dict[str, dict[str, Any]] = super().describe()
        key = described[self.name]
        if self._dtype is not None:
            key["dtype"] = self._dtype
        if self._units:
            key["units"] = self._units
        if self._precision is not None:
            key["precision"] = self._precision
        if self._limits is not None:
            low, high = self._limits
            key["limits"] = {"control": {"low": low, "high": high}}
        return described


class ReadbackSignal(ClockSignal):
    """A value that only its device may change."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._metadata["write_access"] = False

    def check_value(self, value: Any, **kwargs: Any) -> None:
        """Accept what the device itself reports."""

    def put(self, value: Any, **kwargs: Any) -> None:
        """Refuse: only the device changes a readback.

        Raises:
            ophyd.utils.ReadOnlyError: Always.
        """
        del value, kwargs
        from ophyd.utils import ReadOnlyError

        raise ReadOnlyError(f"{self.name}: read-only, it shows what the instrument reports")

    def update(self, value: Any, *, timestamp: float | None = None) -> None:
        """Store what the instrument reported.

        Without subscribers the value is stored directly: ophyd's `put` costs 30 us, and a week of
        polls makes a hundred thousand of them.
        """
        stamp = self._clock.time() if timestamp is None else timestamp
        if self._callbacks[self.SUB_VALUE]:
            ophyd.Signal.put(self, value, timestamp=stamp, force=True)  # noqa: TID251
            return
        old: Any = self._readback
        self._readback: Any = value
        self._metadata["timestamp"] = stamp
        shown = {"old_value": old, "value": value, "timestamp": stamp, "obj": self}
        self._args_cache[self.SUB_VALUE] = ((), {**shown, "sub_type": self.SUB_VALUE})
