"""Accepted steps of a whole run, as cubics that can be asked for any time.

Each step is the cubic Hermite interpolant of its end states and rates. Steps are collected in a
list and packed into arrays when somebody asks; what was asked before never changes an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sim.samples.bogacki_shampine import State
from sim.samples.llzo_equations import AT, SIZE, Drive

Floats = npt.NDArray[np.float64]

REDUCED = 6
"""Contact losses u_A and u_B and the four layers: what the terminals depend on."""
_CHUNK = 16_384
_LOOSE = 1024
_POWERS = 4
_DRIVE = 4


class Step(NamedTuple):
    """One accepted step."""

    t0_s: float
    t1_s: float
    y0: State
    y1: State
    f0: State
    f1: State
    drive: Drive


class Window(NamedTuple):
    """Reduced state of some ascending times, with the drive that was on.

    Attributes:
        times_s: The times, s.
        reduced: u_A, u_B, L1..L4 (mAh/cm2) in rows, shape (6, n).
        drive: The `Drive` fields as floats in rows, shape (4, n).
    """

    times_s: Floats
    reduced: Floats
    drive: Floats


class History:
    """Accepted steps in order of time, without gaps, beginning at t = 0."""

    def __init__(self) -> None:
        self._loose: list[Step] = []
        self._count = 0
        self._grow(256)

    def append(self, step: Step) -> None:
        """Keep an accepted step that begins where the last one ended."""
        self._loose.append(step)
        if len(self._loose) >= _LOOSE:
            self._pack()

    def cut(self, t_s: float) -> tuple[float, list[float], Drive] | None:
        """Forget every step that ends after `t_s`.

        Returns:
            Time, state and drive at the start of the earliest forgotten step; None if no step
            ends after `t_s`.
        """
        first: Step | None = None
        while self._loose and self._loose[-1].t1_s > t_s:
            first = self._loose.pop()
        start = None if first is None else (first.t0_s, list(first.y0), first.drive)
        kept = int(np.searchsorted(self._t1[: self._count], t_s, side="right"))
        if not self._loose and kept < self._count:
            is_voltage, value, short, exhausted = self._drive[kept].tolist()
            drive = Drive(bool(is_voltage), value, short, bool(exhausted))
            start = float(self._t0[kept]), self._cubics[kept, 0].tolist(), drive
            self._count = kept
        return start

    def state(self, t_s: float) -> Floats:
        """Whole state at one time, shape (20,)."""
        self._pack()
        row = int(np.searchsorted(self._t0[: self._count], t_s, side="right")) - 1
        s = (t_s - self._t0[row]) / (self._t1[row] - self._t0[row])
        c = self._cubics[row]
        return np.asarray(c[0] + s * (c[1] + s * (c[2] + s * c[3])), dtype=np.float64)

    def windows(self, times_s: Floats) -> Iterator[Window]:
        """Reduced states at ascending times, in pieces that stay in the cache."""
        self._pack()
        starts = self._t0[: self._count]
        for begin in range(0, len(times_s), _CHUNK):
            times = times_s[begin : begin + _CHUNK]
            rows = np.searchsorted(starts, times, side="right") - 1
            t0 = self._t0[rows]
            s = (times - t0) / (self._t1[rows] - t0)
            c = self._reduced.take(rows, axis=0).T.reshape(_POWERS, REDUCED, len(times))
            reduced = c[0] + s * (c[1] + s * (c[2] + s * c[3]))
            yield Window(times, reduced, self._drive[rows].T)

    def integral(self, t_s: float) -> Floats:
        """Integral of the reduced state's interpolant from 0 to `t_s`, shape (6,), times s."""
        self._pack()
        row = int(np.searchsorted(self._t0[: self._count], t_s, side="right")) - 1
        h_s = self._t1[row] - self._t0[row]
        s = (t_s - self._t0[row]) / h_s
        c = self._reduced[row].reshape(_POWERS, REDUCED)
        inside = s * (c[0] + s * (c[1] / 2.0 + s * (c[2] / 3.0 + s * (c[3] / 4.0))))
        return np.asarray(self._integrals[row] + h_s * inside, dtype=np.float64)

    def size_bytes(self) -> int:
        """Memory that the packed steps need, bytes."""
        return sum(table.nbytes for table in self._tables())

    def _tables(self) -> tuple[Floats, ...]:
        return (self._t0, self._t1, self._cubics, self._reduced, self._drive, self._integrals)

    def _grow(self, capacity: int) -> None:
        old = self._tables() if self._count else ()
        self._t0, self._t1 = np.empty(capacity), np.empty(capacity)
        self._cubics = np.empty((capacity, _POWERS, SIZE))
        self._reduced = np.empty((capacity, _POWERS * REDUCED))
        self._drive = np.empty((capacity, _DRIVE))
        self._integrals = np.zeros((capacity, REDUCED))
        for new, table in zip(self._tables(), old, strict=False):
            new[: self._count] = table[: self._count]

    def _pack(self) -> None:
        """Move loose steps into the arrays."""
        steps, self._loose = self._loose, []
        if not steps:
            return
        first, last = self._count, self._count + len(steps)
        if last > len(self._t0):
            self._grow(max(last, 2 * len(self._t0)))
        self._t0[first:last] = [step.t0_s for step in steps]
        self._t1[first:last] = [step.t1_s for step in steps]
        self._drive[first:last] = [step.drive for step in steps]
        self._cubics[first:last] = cubics(steps)
        reduced = reduce(self._cubics[first:last])
        self._reduced[first:last] = reduced.reshape(len(steps), -1)
        self._count = last
        self._integrate(first, last, reduced)

    def _integrate(self, first: int, last: int, reduced: Floats) -> None:
        """Integrals up to the start of each step, added one by one in order of time."""
        h_s = (self._t1[first:last] - self._t0[first:last])[:, np.newaxis]
        parts = reduced[:, 0] + reduced[:, 1] / 2.0 + reduced[:, 2] / 3.0 + reduced[:, 3] / 4.0
        before = self._whole_integral(first)
        self._integrals[first:last] = np.cumsum(np.vstack([before, h_s * parts]), axis=0)[:-1]

    def _whole_integral(self, row: int) -> Floats:
        """Integral up to the start of step `row`, from the step before it."""
        if row == 0:
            return np.zeros(REDUCED)
        c = self._reduced[row - 1].reshape(_POWERS, REDUCED)
        h_s = self._t1[row - 1] - self._t0[row - 1]
        part = c[0] + c[1] / 2.0 + c[2] / 3.0 + c[3] / 4.0
        return np.asarray(self._integrals[row - 1] + h_s * part, dtype=np.float64)


def cubics(steps: list[Step]) -> Floats:
    """Coefficients of each step's cubic Hermite in the step's own 0..1, shape (n, 4, 20)."""
    y0, y1 = np.array([step.y0 for step in steps]), np.array([step.y1 for step in steps])
    h_s = np.array([[step.t1_s - step.t0_s] for step in steps])
    hf0, hf1 = h_s * np.array([s.f0 for s in steps]), h_s * np.array([s.f1 for s in steps])
    rise = y1 - y0
    return np.stack([y0, hf0, 3.0 * rise - 2.0 * hf0 - hf1, hf0 + hf1 - 2.0 * rise], axis=1)


def reduce(states: Floats) -> Floats:
    """u_A, u_B and the four layers of states (..., 20), shape (..., 6)."""
    return np.stack(
        [
            states[..., AT.u_a],
            states[..., AT.u_b],
            states[..., AT.amorphous_a] + states[..., AT.crystalline_a] + states[..., AT.bulk_1],
            states[..., AT.bulk_2],
            states[..., AT.bulk_3],
            states[..., AT.amorphous_b] + states[..., AT.crystalline_b] + states[..., AT.bulk_4],
        ],
        axis=-1,
    )
