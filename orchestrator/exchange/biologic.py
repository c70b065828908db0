"""Biologic settings (.mps) of a protocol, and what their fixed decimals do to its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import aurora_unicycler as unicycler

from orchestrator.inputs.problems import Finding, Path

RANGES_V = ((0.0, 2.5), (0.0, 5.0), (-2.5, 2.5), (-5.0, 5.0), (0.0, 10.0), (-10.0, 10.0))
"""Voltage ranges of the potentiostats, narrowest first (EC-Lab's manual, "E range")."""
MOST_MA = 1000.0
"""Largest current that the converter has a range for, mA."""
LEAST_HZ = 1e-3
"""Lowest frequency that the converter writes, Hz."""
_MOST_GEIS_MA = MOST_MA / 2


@dataclass(frozen=True)
class Number:
    """A number as the converter writes it.

    Attributes:
        path: Where it stands in the experiment file.
        value: Its value, in `unit`.
        factor: Its unit over the unit that is written.
        unit: Of the key in the file.
        decimals: How many are written.
    """

    path: Path
    value: float
    factor: float
    unit: str
    decimals: int = 3

    @property
    def written(self) -> float:
        """What comes of it, in `unit`."""
        return float(f"{self.value * self.factor:.{self.decimals}f}") / self.factor

    @property
    def kept(self) -> bool:
        """Whether it is what it was, to a part in 10^9."""
        return abs(self.written - self.value) <= 1e-9 * abs(self.value)


def written(protocol: unicycler.CyclingProtocol) -> str:
    """The settings file, one Modulo Bat technique."""
    text: str = protocol.to_biologic_mps(range_V=range_v(protocol))
    return text


def range_v(protocol: unicycler.CyclingProtocol) -> tuple[float, float]:
    """Narrowest range of the instrument with the voltages of all steps and the limits in it, V."""
    low, high = protocol.safety.min_voltage_V or 0.0, protocol.safety.max_voltage_V or 0.0
    for _, volts in _voltages(protocol):
        low, high = min(low, volts), max(high, volts)
    fitting = (one for one in RANGES_V if one[0] <= low and high <= one[1])
    return next(fitting, RANGES_V[-1])


def _voltages(protocol: unicycler.CyclingProtocol) -> Iterator[tuple[Path, float]]:
    keys = ("until_voltage_V", "voltage_V", "start_voltage_V", "end_voltage_V")
    for index, step in enumerate(protocol.method):
        for key in keys:
            value = getattr(step, key, None)
            if value is not None:
                yield ("protocol", "method", index, key), value


def numbers(protocol: unicycler.CyclingProtocol) -> Iterator[Number]:
    """Every number that is written with fixed decimals."""
    record, safety = protocol.record, protocol.safety
    yield Number(("protocol", "record", "time_s"), record.time_s, 1, "s")
    for key, value, unit in (
        ("voltage_V", record.voltage_V, "V"),
        ("current_mA", record.current_mA, "mA"),
    ):
        if value is not None:
            yield Number(("protocol", "record", key), value, 1, unit)
    for key in ("max_voltage_V", "min_voltage_V", "max_current_mA", "min_current_mA"):
        value = getattr(safety, key)
        if value is not None:
            yield Number(("protocol", "safety", key), value, 1, key.rsplit("_", 1)[1], 5)
    for path, volts in _voltages(protocol):
        if path[-1] in ("until_voltage_V", "voltage_V"):
            yield Number(path, volts, 1, "V")
    for index, step in enumerate(protocol.method):
        yield from _of_step(step, ("protocol", "method", index), protocol.sample.capacity_mAh)


def _of_step(step: unicycler.Step, path: Path, capacity_mah: float | None) -> Iterator[Number]:
    seconds = getattr(step, "until_time_s", None)
    if seconds is not None:
        yield Number((*path, "until_time_s"), seconds, 1, "s")
    for key, rate in (("current_mA", "rate_C"), ("until_current_mA", "until_rate_C")):
        ma = getattr(step, key, None)
        if ma is None and capacity_mah is not None and getattr(step, rate, None) is not None:
            ma, key = getattr(step, rate) * capacity_mah, rate
        if ma is not None:
            micro = key in ("current_mA", "rate_C") and abs(ma) < 1
            yield Number((*path, key), ma, 1e3 if micro else 1, "mA")
    if isinstance(step, unicycler.ImpedanceSpectroscopy):
        yield from _of_spectrum(step, path)


def _of_spectrum(step: unicycler.ImpedanceSpectroscopy, path: Path) -> Iterator[Number]:
    if step.amplitude_V is not None:
        factor = 1.0 if step.amplitude_V >= 1 else 1e3 if step.amplitude_V >= 1e-3 else 1e6
        yield Number((*path, "amplitude_V"), step.amplitude_V, factor, "V")
    if step.amplitude_mA is not None:
        factor = 1.0 if step.amplitude_mA >= 1 else 1e3
        yield Number((*path, "amplitude_mA"), step.amplitude_mA, factor, "mA")
    for key in ("start_frequency_Hz", "end_frequency_Hz"):
        hz = getattr(step, key)
        factor = 1e-3 if hz >= 1e3 else 1.0 if hz >= 1 else 1e3
        yield Number((*path, key), hz, factor, "Hz")


def refusals(protocol: unicycler.CyclingProtocol) -> Iterator[Finding]:
    """What the settings cannot hold at all."""
    for number in numbers(protocol):
        if number.value != 0 and number.written == 0:
            what = (
                f"got {number.value:g} {number.unit}, which Biologic settings round to 0: they "
                f"hold {number.decimals} decimals of the unit"
            )
            yield Finding(number.path, what, "set it in EC-Lab by hand")
    low, high = RANGES_V[-1]
    for path, volts in _voltages(protocol):
        if not low <= volts <= high:
            what = f"got {volts:g} V, expected within the instruments' {low:g} to {high:g} V"
            yield Finding(path, what, "choose another format")
    for number in numbers(protocol):
        key = number.path[-1]
        most = {"current_mA": MOST_MA, "rate_C": MOST_MA, "amplitude_mA": _MOST_GEIS_MA}.get(
            str(key)
        )
        if most is not None and "method" in number.path and abs(number.value) > most:
            what = f"got {number.value:g} mA, expected at most {most:g} mA: there is no range"
            yield Finding(number.path, what, "choose another format")
        if str(key).endswith("frequency_Hz") and number.value < LEAST_HZ:
            what = f"got {number.value:g} Hz, expected at least {LEAST_HZ:g} Hz"
            yield Finding(number.path, what, "raise it in what you export")
