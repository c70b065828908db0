"""Numbers that conditions compare, from a cell's records or from readings.

Each looks at what is new and gives a number for every record or reading, NaN where it says
nothing. What a number needs from before (a window, a rest, a first value) is remembered, so that
it does not matter how records fall into batches.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from devices.cell_records import Records
from devices.roles import UPPER_BOUND, Reading

Floats = npt.NDArray[np.float64]

MIN_CURRENT_MA = 1e-5
"""Records with less current than this are at rest, mA."""

SETTLE_S = 5.0
"""Time after the current changed, or the cell was connected, that is not looked at, s [A]: a real
cell's capacitance still charges."""

SAME_CURRENT = 0.02
"""Relative change up to which a current is the same one [A]: noise and regulation."""

_FEWEST = 3
"""Records from which a slope is told."""


class Evidence(Protocol):
    """Gives a number for each record or reading."""

    def of(self, records: Any) -> tuple[Floats, Floats]:
        """Experiment times, Unix s, and numbers, for what is new."""
        ...

    def state(self) -> dict[str, Any]:
        """What it remembers, JSON-able."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Remember it again."""
        ...


class Forgetful:
    """Evidence that needs nothing from before."""

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to remember."""


class Column(Forgetful):
    """A column of the records.

    Args:
        name: Attribute of `Records`.
        magnitude: Whether the absolute value is taken.
    """

    def __init__(self, name: str, *, magnitude: bool = False) -> None:
        self.name, self.magnitude = name, magnitude

    def of(self, records: Records) -> tuple[Floats, Floats]:
        """See `Evidence.of`."""
        values = np.asarray(getattr(records, self.name), dtype=float)
        values = np.broadcast_to(values, records.t_s.shape)
        return records.t_s, np.abs(values) if self.magnitude else values


class SinceFirst:
    """Time since the first record, s."""

    def __init__(self) -> None:
        self._first_s: float | None = None

    def of(self, records: Records) -> tuple[Floats, Floats]:
        """See `Evidence.of`."""
        if self._first_s is None:
            self._first_s = float(records.t_s[0])
        return records.t_s, records.t_s - self._first_s

    def state(self) -> dict[str, Any]:
        """The first record's time."""
        return {"first_s": self._first_s}

    def restore(self, state: dict[str, Any]) -> None:
        """Remember it again."""
        self._first_s = state["first_s"]


class Steady:
    """Records of one unbroken stretch of the same current, the last `within_s` of them.

    A stretch ends when the current changes by more than `SAME_CURRENT`, or the cell is connected
    anew; its first `settle_s` are left out.

    Args:
        within_s: How far back a record still counts, s.
        settle_s: Time at the beginning of a stretch that is left out, s.
        most: How many records count at most, the newest included; None: all of that time.
    """

    def __init__(
        self, within_s: float, settle_s: float = SETTLE_S, *, most: int | None = None
    ) -> None:
        self.within_s, self.settle_s, self.most = within_s, settle_s, most
        self._began_s = -np.inf
        self._current_ma = np.nan
        self._t_s: list[float] = []
        self._volts: list[float] = []

    def windows(self, records: Records) -> list[tuple[Floats, Floats] | None]:
        """Times and voltages up to and including each record; None where nothing can be said."""
        self._connected(records.connected_s)
        rows = zip(
            records.t_s.tolist(),
            records.voltage_v.tolist(),
            records.current_ma.tolist(),
            strict=True,
        )
        return [self._window(*row) for row in rows]

    def state(self) -> dict[str, Any]:
        """The stretch so far."""
        return {
            "began_s": _plain(self._began_s),
            "current_ma": _plain(self._current_ma),
            "t_s": list(self._t_s),
            "volts": list(self._volts),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Remember it again."""
        began_s, current_ma = state["began_s"], state["current_ma"]
        self._began_s = -np.inf if began_s is None else began_s
        self._current_ma = np.nan if current_ma is None else current_ma
        self._t_s, self._volts = list(state["t_s"]), list(state["volts"])

    def _connected(self, at_s: float) -> None:
        if at_s > self._began_s:
            self._began_s, self._current_ma = at_s, np.nan
            self._t_s.clear()
            self._volts.clear()

    def _window(self, t_s: float, volts: float, amps: float) -> tuple[Floats, Floats] | None:
        if not self._same(amps):
            just_connected = not np.isfinite(self._current_ma) and np.isfinite(self._began_s)
            self._began_s = self._began_s if just_connected else t_s
            self._current_ma = amps
            self._t_s.clear()
            self._volts.clear()
        if not np.isfinite(volts) or t_s - self._began_s < self.settle_s:
            return None
        self._t_s.append(t_s)
        self._volts.append(volts)
        while t_s - self._t_s[0] > self.within_s or len(self._t_s) == self._too_many:
            del self._t_s[0], self._volts[0]
        return np.array(self._t_s), np.array(self._volts)

    @property
    def _too_many(self) -> int | None:
        return None if self.most is None else self.most + 1

    def _same(self, amps: float) -> bool:
        allowed = max(SAME_CURRENT * abs(self._current_ma), MIN_CURRENT_MA)
        return not np.isfinite(amps) or abs(amps - self._current_ma) <= allowed


class VoltageChange:
    """Largest change of the voltage within a time, while the same current flows, V.

    Args:
        within_s: The time, s.
        settle_s: See `Steady`.
    """

    def __init__(self, within_s: float, settle_s: float = SETTLE_S) -> None:
        self._steady = Steady(within_s, settle_s)

    def of(self, records: Records) -> tuple[Floats, Floats]:
        """See `Evidence.of`."""
        windows = self._steady.windows(records)
        flows = np.abs(records.current_ma) >= MIN_CURRENT_MA
        changes = [
            np.nan if one is None or not on else float(np.abs(one[1] - one[1][-1]).max())
            for one, on in zip(windows, flows.tolist(), strict=True)
        ]
        return records.t_s, np.array(changes)

    def state(self) -> dict[str, Any]:
        """The stretch so far."""
        return self._steady.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Remember it again."""
        self._steady.restore(state)


class VoltageSlope:
    """Magnitude of dV/dt over a time of the same current, or of rest, V/h.

    The straight line of least squares through the window; told once it is full.

    Args:
        within_s: Length of the window, s.
        settle_s: See `Steady`.
    """

    def __init__(self, within_s: float, settle_s: float = SETTLE_S) -> None:
        self._steady = Steady(within_s, settle_s)

    def of(self, records: Records) -> tuple[Floats, Floats]:
        """See `Evidence.of`."""
        slopes = [self._slope(window) for window in self._steady.windows(records)]
        return records.t_s, np.array(slopes)

    def _slope(self, window: tuple[Floats, Floats] | None) -> float:
        if window is None or len(window[0]) < _FEWEST:
            return float("nan")
        t_s, volts = window
        spacing_s = (t_s[-1] - t_s[0]) / (len(t_s) - 1)
        if t_s[-1] - t_s[0] < self._steady.within_s - 1.5 * spacing_s:
            return float("nan")
        away_s = t_s - t_s.mean()
        return float(3600.0 * abs(away_s @ (volts - volts.mean())) / (away_s @ away_s))

    def state(self) -> dict[str, Any]:
        """The stretch so far."""
        return self._steady.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Remember it again."""
        self._steady.restore(state)


class Overpotential:
    """Distance of the voltage from that of the last rest, while current flows, V.

    Nothing is said before a rest was seen that lasted `settle_s`.

    Args:
        settle_s: See `Steady`; also how long a rest must have lasted.
    """

    def __init__(self, settle_s: float = SETTLE_S) -> None:
        self._steady = Steady(0.0, settle_s)
        self._rest_v = np.nan

    def of(self, records: Records) -> tuple[Floats, Floats]:
        """See `Evidence.of`."""
        found = []
        rows = zip(records.current_ma.tolist(), self._steady.windows(records), strict=True)
        for amps, window in rows:
            volts = np.nan if window is None else float(window[1][-1])
            if abs(amps) >= MIN_CURRENT_MA:
                found.append(abs(volts - self._rest_v))
                continue
            found.append(np.nan)
            self._rest_v = volts if np.isfinite(volts) else self._rest_v
        return records.t_s, np.array(found)

    def state(self) -> dict[str, Any]:
        """The stretch so far, and the rest."""
        return {"steady": self._steady.state(), "rest_v": _plain(self._rest_v)}

    def restore(self, state: dict[str, Any]) -> None:
        """Remember it again."""
        self._steady.restore(state["steady"])
        rest_v = state["rest_v"]
        self._rest_v = np.nan if rest_v is None else rest_v


class Value(Forgetful):
    """The number of a reading; NaN where its quality is not ``ok``."""

    def of(self, records: Reading) -> tuple[Floats, Floats]:
        """See `Evidence.of`."""
        value = records.value if records.quality == "ok" else np.nan
        return np.array([records.t_s]), np.array([value])


class LostPart:
    """How much of its first value a number has lost, as a part of it.

    A reading that is only an upper bound counts: the number has lost at least that much.
    """

    def __init__(self) -> None:
        self._first: float | None = None

    def of(self, records: Reading) -> tuple[Floats, Floats]:
        """See `Evidence.of`."""
        usable = records.quality == "ok"
        if self._first is None and usable and records.value > 0.0:
            self._first = records.value
        bounded = usable or records.quality.startswith(UPPER_BOUND)
        lost = np.nan
        if self._first is not None and bounded:
            lost = 1.0 - records.value / self._first
        return np.array([records.t_s]), np.array([lost])

    def state(self) -> dict[str, Any]:
        """The first value."""
        return {"first": self._first}

    def restore(self, state: dict[str, Any]) -> None:
        """Remember it again."""
        self._first = state["first"]


def _plain(value: float) -> float | None:
    """A number as JSON knows it: None where it is not finite."""
    return float(value) if np.isfinite(value) else None
