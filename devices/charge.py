"""Charge passed through a cell, from its records, and the charge at any moment of an exposure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import isnan
from typing import Any

import numpy as np

from devices.roles import Floats


class ChargeCounter:
    """Integrates records of current; remembers enough to tell the charge at a past moment.

    Charge between two records of one program is the mean of their currents times the time
    between them (trapezoidal rule; exact for a constant current). Between programs the cell is
    open and nothing flows.

    Args:
        remember_s: How far back `at` may be asked, s.
    """

    def __init__(self, *, remember_s: float = 172_800.0) -> None:
        self._remember_s = remember_s
        self.reset()

    def reset(self) -> None:
        """Begin at zero."""
        self.net_mah = 0.0
        self.throughput_mah = 0.0
        self._last: tuple[float, float] | None = None
        self._knots: deque[tuple[Floats, Floats, Floats]] = deque()

    def state(self) -> dict[str, Any]:
        """Totals and the last record, JSON-able; what `at` knows of the past is not in it."""
        return {
            "net_mah": self.net_mah,
            "throughput_mah": self.throughput_mah,
            "last": None if self._last is None else list(self._last),
            "until_s": float(self._knots[-1][0][-1]) if self._knots else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` has written: the next record continues the last one."""
        self.reset()
        self.net_mah, self.throughput_mah = state["net_mah"], state["throughput_mah"]
        self._last = None if state["last"] is None else (state["last"][0], state["last"][1])
        if state["until_s"] is not None:
            until, net, through = (
                np.array([state[name]]) for name in ("until_s", "net_mah", "throughput_mah")
            )
            self._knots.append((until, net, through))

    def break_(self) -> None:
        """Say that the cell was disconnected: no charge until the next record."""
        self._last = None

    def add(self, t_s: Floats, current_ma: Floats) -> tuple[Floats, Floats]:
        """Add records in order of time; returns net and throughput charge at each, mAh."""
        if len(t_s) == 1:
            return self._add_one(t_s, float(current_ma[0]))
        # an overloaded record tells nothing of the current
        now_ma = np.where(np.isnan(current_ma), 0.0, current_ma)
        last_t, last_ma = self._last or (t_s[0], now_ma[0])
        t = np.concatenate(((last_t,), t_s))
        i = np.concatenate(((last_ma,), now_ma))
        step_mah = (i[1:] + i[:-1]) * (t[1:] - t[:-1]) * (0.5 / 3600.0)
        # one sum from the first record on: its rounding must not depend on who asked when
        net = np.cumsum(np.concatenate(((self.net_mah,), step_mah)))[1:]
        through = np.cumsum(np.concatenate(((self.throughput_mah,), np.abs(step_mah))))[1:]
        self._last = (float(t_s[-1]), float(now_ma[-1]))
        self.net_mah, self.throughput_mah = float(net[-1]), float(through[-1])
        return self._remembered(t_s, net, through)

    def _add_one(self, t_s: Floats, current_ma: float) -> tuple[Floats, Floats]:
        """The same for the one record of most pages, in the same order of operations."""
        now_s, now_ma = float(t_s[0]), 0.0 if isnan(current_ma) else current_ma
        last_t, last_ma = self._last or (now_s, now_ma)
        step_mah = (now_ma + last_ma) * (now_s - last_t) * (0.5 / 3600.0)
        self._last = (now_s, now_ma)
        self.net_mah += step_mah
        self.throughput_mah += abs(step_mah)
        return self._remembered(t_s, np.array([self.net_mah]), np.array([self.throughput_mah]))

    def _remembered(self, t_s: Floats, net: Floats, through: Floats) -> tuple[Floats, Floats]:
        self._knots.append((t_s, net, through))
        while self._knots and self._knots[0][0][-1] < t_s[-1] - self._remember_s:
            self._knots.popleft()
        return net, through

    def at(self, t_s: float) -> tuple[float, float]:
        """Net and throughput charge at a moment, mAh; NaN before what is remembered.

        After the last record of a running program the last current is taken to flow on.
        """
        if not self._knots or t_s < self._knots[0][0][0]:
            return (0.0, 0.0) if self._began_after(t_s) else (np.nan, np.nan)
        last_t = self._knots[-1][0][-1]
        if t_s >= last_t:
            current_ma = self._last[1] if self._last is not None else 0.0
            extra = current_ma * (t_s - last_t) / 3600.0
            return self.net_mah + extra, self.throughput_mah + abs(extra)
        return self._between(t_s)

    def _began_after(self, t_s: float) -> bool:
        """Whether nothing has flowed yet at this moment."""
        if not self._knots:
            return self.throughput_mah == 0.0
        first_t, _, through = self._knots[0]
        return bool(t_s < first_t[0] and through[0] == 0.0)

    def _between(self, t_s: float) -> tuple[float, float]:
        before: tuple[float, float, float] | None = None
        for t, net, through in reversed(self._knots):
            if t[0] <= t_s:
                if t_s <= t[-1] or before is None:
                    return float(np.interp(t_s, t, net)), float(np.interp(t_s, t, through))
                ends = [t[-1], before[0]]
                return (
                    float(np.interp(t_s, ends, [net[-1], before[1]])),
                    float(np.interp(t_s, ends, [through[-1], before[2]])),
                )
            before = (float(t[0]), float(net[0]), float(through[0]))
        return np.nan, np.nan
