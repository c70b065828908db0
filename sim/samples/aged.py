"""A sample to which something was done before the world began.

A world's time begins at zero for every instrument. What was done to the sample before, `age_s`
long, lies at negative times of the world: `AgedSample` stands between world and sample and moves
every time by the age. Which arguments are times their names say.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from sim.errors import SimulationError
from sim.world import Floats, Terminals

_TIMES = frozenset({"t_s", "t_now_s", "t0_s", "t1_s", "times_s"})
_FIRST_LOOK_S, _LAST_LOOK_S = 3600.0, 60 * 86_400.0


class AgedSample:
    """A sample with a past; implements `sim.world.Sample` and whatever else the sample has.

    Args:
        sample: The sample, at the end of what was done to it; nobody else may drive it.
        age_s: Its own time when the world begins, s.
        prior: What was done, for the provenance.

    Attributes:
        area_cm2: Electrode area, cm2.
    """

    def __init__(self, sample: Any, age_s: float, prior: dict[str, Any]) -> None:
        self.area_cm2: float = sample.area_cm2
        self._sample, self._age_s, self._prior = sample, age_s, prior

    def apply_current(self, t_s: float, current_ma: float) -> None:
        """Force a current from `t_s` of the world on, mA."""
        self._sample.apply_current(t_s + self._age_s, current_ma)

    def apply_voltage(self, t_s: float, voltage_v: float) -> None:
        """Force a voltage from `t_s` of the world on, V."""
        self._sample.apply_voltage(t_s + self._age_s, voltage_v)

    def terminals(self, times_s: Floats) -> Terminals:
        """Voltage and current at times of the world."""
        seen: Terminals = self._sample.terminals(np.asarray(times_s) + self._age_s)
        return seen

    def charge_mah(self, t_s: float) -> tuple[float, float]:
        """Charge that the lithium carried until `t_s` of the world, the past included, mAh."""
        charge: tuple[float, float] = self._sample.charge_mah(t_s + self._age_s)
        return charge

    def snapshot(self, t_s: float) -> dict[str, Any]:
        """The whole truth at `t_s` of the world."""
        truth: dict[str, Any] = self._sample.snapshot(t_s + self._age_s)
        return {**truth, "t_s": t_s, "age_s": self._age_s}

    def describe(self) -> dict[str, Any]:
        """Provenance of the sample, with what was done to it."""
        return {**self._sample.describe(), "prior": {**self._prior, "duration_s": self._age_s}}

    def __getattr__(self, name: str) -> Any:
        """Whatever else the sample has, its times moved."""
        if name.startswith("_"):
            raise AttributeError(name)
        own = getattr(self._sample, name)
        if not callable(own):
            return own
        moved = self._moved(own)
        return self._back(moved) if name == "short_time_s" else moved

    def _moved(self, method: Callable[..., Any]) -> Callable[..., Any]:
        names = list(inspect.signature(method).parameters)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            named = {**dict(zip(names, args, strict=False)), **kwargs}
            shift = {key: value + self._age_s for key, value in named.items() if key in _TIMES}
            return method(**{**named, **shift})

        return call

    def _back(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> float | None:
            found = method(*args, **kwargs)
            return None if found is None else found - self._age_s

        return call


def aged(
    sample: Any,
    *,
    current_ma_per_cm2: float,
    mah_per_cm2: float | None = None,
) -> AgedSample:
    """A sample after a constant current, at rest.

    Args:
        sample: A fresh sample.
        current_ma_per_cm2: Current density of what was done, mA/cm2; positive from A to B.
        mah_per_cm2: Charge density that passed, mAh/cm2; None: until the cell shorted.

    Raises:
        SimulationError: The cell does not short within 60 days.
    """
    sample.apply_current(0.0, current_ma_per_cm2 * sample.area_cm2)
    if mah_per_cm2 is None:
        age_s = _short_s(sample, current_ma_per_cm2)
    else:
        age_s = 3600.0 * mah_per_cm2 / abs(current_ma_per_cm2)
    sample.apply_current(age_s, 0.0)
    until = {"until": "short"} if mah_per_cm2 is None else {"mah_per_cm2": mah_per_cm2}
    return AgedSample(sample, age_s, {"current_ma_per_cm2": current_ma_per_cm2, **until})


def _short_s(sample: Any, current_ma_per_cm2: float) -> float:
    look_s = _FIRST_LOOK_S
    while hasattr(sample, "short_time_s") and look_s <= _LAST_LOOK_S:
        found = sample.short_time_s(look_s)
        if found is not None:
            return float(found)
        look_s *= 2.0
    raise SimulationError(
        f"{sample.describe()['model']}: no short at {current_ma_per_cm2:g} mA/cm2 within"
        f" {_LAST_LOOK_S / 86_400:.0f} days (give mah_per_cm2 in place of `until: short`)"
    )
