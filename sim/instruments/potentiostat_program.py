"""What a simulated potentiostat can be told: a linked sequence of techniques, checked.

The vocabulary of `docs/reference/bridge-protocol.md`, after EC-Lab's concepts: techniques one
after another, records on time or on a change, up to three limit tests each. Nothing here touches
a sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.instruments.bridge_protocol import CommandError
from sim.instruments.setting_checks import Check, choice, integer, number, text
from sim.world import Floats

MAX_TECHNIQUES, MAX_TESTS, MAX_ROWS = 20, 3, 2_000_000
MAX_TOKEN = 64
"""Characters of a program's token."""

HIGHEST_HZ, LOWEST_HZ = 7e6, 1e-5
"""The SP-200 of Siniscalchi et al. 2024 sweeps 7 MHz to 500 mHz; EC-Lab goes down to 10 uHz."""

SHORTEST_PERIOD_S = 0.01
LARGEST_V, LARGEST_MA = 10.0, 500.0
"""[A] The envelope of a small research potentiostat."""

SCAN_STEP_V = 1e-3
"""A scan is a staircase of steps of at most this height, V [A]."""

I_RANGES_MA = (*(10.0**exponent for exponent in range(-4, 3)), LARGEST_MA)
E_RANGES_V = (2.5, 5.0, 10.0)
VARIABLES = ("time_s", "voltage_v", "current_ma", "abs_current_ma", "charge_mah")


@dataclass(frozen=True)
class Limits:
    """Safety limits of a whole program."""

    min_voltage_v: float
    max_voltage_v: float
    min_current_ma: float
    max_current_ma: float

    def outside(self, voltage_v: Floats, current_ma: Floats) -> np.typing.NDArray[np.bool_]:
        """Which samples must end the program; what is no number does."""
        inside = (voltage_v >= self.min_voltage_v) & (voltage_v <= self.max_voltage_v)
        inside &= (current_ma >= self.min_current_ma) & (current_ma <= self.max_current_ma)
        return np.asarray(~inside)


@dataclass(frozen=True)
class Test:
    """One limit test: a variable above or below a value."""

    __test__ = False  # not one of pytest's

    variable: str
    above: bool
    value: float

    def met(self, columns: Mapping[str, Floats]) -> np.typing.NDArray[np.bool_]:
        """Which samples meet it."""
        values = columns[self.variable]
        return np.asarray(values > self.value if self.above else values < self.value)


@dataclass(frozen=True)
class Sweep:
    """Frequencies and amplitude of a spectrum.

    Attributes:
        amplitude: Peak amplitude, mA or V.
        start_hz: First frequency.
        end_hz: Last frequency.
        points: Number of frequencies, evenly spaced in the logarithm.
        cycles: Periods that are measured at each frequency.
    """

    amplitude: float
    start_hz: float
    end_hz: float
    points: int
    cycles: int

    def frequencies_hz(self) -> Floats:
        """Frequencies in the order in which they are measured."""
        return np.geomspace(self.start_hz, self.end_hz, self.points)

    def ends_s(self) -> Floats:
        """When each point is complete, s after the sweep's start."""
        return np.cumsum(self.cycles / self.frequencies_hz())


@dataclass(frozen=True)
class Technique:
    """One technique of a program.

    Attributes:
        kind: ``ocv``, ``cc``, ``cv``, ``scan``, ``geis`` or ``peis``.
        value: What is forced, mA or V; the bias of a spectrum, the start of a scan. NaN is the
            open-circuit voltage at which a ``peis`` finds the cell.
        duration_s: It ends by itself after this time.
        period_s: Longest time between records.
        change_v: A record too when the voltage has changed by this; infinite: never.
        tests: Limit tests, at most three.
        all_tests: Whether all of them must be met at once; otherwise one.
        then_stop: Whether meeting them ends the program; otherwise the technique.
        end_v: Where a scan ends.
        sweep: The spectrum of a ``geis`` or ``peis``.
        document: As it was given, with every default filled in.
    """

    kind: str
    value: float
    duration_s: float
    period_s: float
    change_v: float
    tests: tuple[Test, ...]
    all_tests: bool
    then_stop: bool
    end_v: float
    sweep: Sweep | None
    document: Mapping[str, Any]

    @property
    def forces_current(self) -> bool:
        """Whether the current is what is forced; at open circuit it is 0."""
        return self.kind in {"ocv", "cc", "geis"}


@dataclass(frozen=True)
class Program:
    """What was loaded.

    Attributes:
        techniques: They run one after another without a gap.
        limits: Safety limits of all of them.
        i_range_ma: Current range; None follows the current.
        e_range_v: Voltage range.
        document: As it was given, with every default filled in.
    """

    techniques: tuple[Technique, ...]
    limits: Limits
    i_range_ma: float | None
    e_range_v: float
    document: Mapping[str, Any]


def read_program(given: Mapping[str, Any]) -> Program:
    """Check a program.

    Raises:
        CommandError: -224 for an unknown name or word, -104 for a wrong type, -109 for what is
            missing, -222 for a value out of range or outside the program's own limits.
    """
    entry = _Entry("program", given)
    limits = _limits(entry.mapping("limits"))
    listed = entry.take("techniques", _list)
    if not 1 <= len(listed) <= MAX_TECHNIQUES:
        raise CommandError(-222, f"techniques: got {len(listed)}, expected 1 to {MAX_TECHNIQUES}")
    i_range = entry.take("i_range_ma", _range(I_RANGES_MA), "auto")
    e_range = entry.take("e_range_v", _range(E_RANGES_V), "auto")
    bandwidth = entry.take("bandwidth", integer(1, 9), 8)
    token = entry.take("token", text(MAX_TOKEN), "")
    entry.end()
    techniques = tuple(_technique(f"techniques[{k}]", one) for k, one in enumerate(listed))
    for place, one in enumerate(techniques):
        _check_limits(f"techniques[{place}]", one, limits)
    rows = sum(one.duration_s / one.period_s + 2 for one in techniques)
    if rows > MAX_ROWS:
        raise CommandError(-223, f"{rows:.0f} records, at most {MAX_ROWS}")
    document = {
        "limits": vars(limits),
        "techniques": [one.document for one in techniques],
        "i_range_ma": i_range,
        "e_range_v": e_range,
        "bandwidth": bandwidth,
        "token": token,
    }
    return Program(
        techniques,
        limits,
        None if i_range == "auto" else i_range,
        max(E_RANGES_V) if e_range == "auto" else e_range,
        document,
    )


_REQUIRED = object()


class _Entry:
    """A JSON object whose keys are taken one by one; what is left over is refused."""

    def __init__(self, where: str, given: object) -> None:
        if not isinstance(given, Mapping):
            raise CommandError(-104, f"{where}: got {given!r:.40}, expected an object")
        self._where, self._left = where, dict(given)
        self.held: dict[str, Any] = {}

    def take(self, name: str, check: Check, default: Any = _REQUIRED) -> Any:
        """A checked value; a default is not checked."""
        if name in self._left:
            self.held[name] = check(f"{self._where}.{name}", self._left.pop(name))
        elif default is _REQUIRED:
            raise CommandError(-109, f"{self._where}: {name} is missing")
        else:
            self.held[name] = default
        return self.held[name]

    def mapping(self, name: str, default: Any = _REQUIRED) -> _Entry:
        """A nested object."""
        return _Entry(f"{self._where}.{name}", self.take(name, lambda _name, value: value, default))

    def end(self) -> None:
        """Refuse keys that nothing took."""
        if self._left:
            unknown = ", ".join(sorted(str(key)[:30] for key in self._left))
            raise CommandError(-224, f"{self._where}: unknown {unknown}")


def _limits(entry: _Entry) -> Limits:
    volts, milliamps = number(-LARGEST_V, LARGEST_V), number(-LARGEST_MA, LARGEST_MA)
    limits = Limits(
        entry.take("min_voltage_v", volts),
        entry.take("max_voltage_v", volts),
        entry.take("min_current_ma", milliamps),
        entry.take("max_current_ma", milliamps),
    )
    entry.end()
    if limits.min_voltage_v >= limits.max_voltage_v:
        raise CommandError(-222, "limits: min_voltage_v is not below max_voltage_v")
    if limits.min_current_ma >= limits.max_current_ma:
        raise CommandError(-222, "limits: min_current_ma is not below max_current_ma")
    return limits


def _technique(where: str, given: object) -> Technique:
    entry = _Entry(where, given)
    kind = entry.take("technique", choice("ocv", "cc", "cv", "scan", "geis", "peis"))
    volts, milliamps = number(-LARGEST_V, LARGEST_V), number(-LARGEST_MA, LARGEST_MA)
    value, end_v, sweep = 0.0, math.nan, None
    if kind in {"ocv", "cc", "cv"}:
        if kind != "ocv":
            value = entry.take(
                *(("current_ma", milliamps) if kind == "cc" else ("voltage_v", volts))
            )
        duration_s = entry.take("duration_s", number(1e-3, 1e8))
    elif kind == "scan":
        value, end_v = entry.take("start_v", volts), entry.take("end_v", volts)
        rate = entry.take("rate_mv_per_s", number(1e-3, 1e5))
        duration_s = abs(end_v - value) / rate * 1e3
        if not duration_s >= SHORTEST_PERIOD_S:
            raise CommandError(-222, f"{where}: a scan of {duration_s:g} s is too short")
    else:
        value = entry.take(*_BIAS[kind](milliamps, volts))
        value = math.nan if value == "ocv" else value
        sweep = _sweep(where, entry, kind)
        duration_s = float(sweep.ends_s()[-1])
    return _finished(where, entry, kind, (value, end_v, duration_s, sweep))


_BIAS: Mapping[str, Callable[[Check, Check], tuple[str, Check]]] = {
    "geis": lambda milliamps, _volts: ("bias_ma", milliamps),
    "peis": lambda _milliamps, volts: (
        "bias_v",
        lambda name, value: "ocv" if value == "ocv" else volts(name, value),
    ),
}


def _sweep(where: str, entry: _Entry, kind: str) -> Sweep:
    name, most = ("amplitude_ma", LARGEST_MA) if kind == "geis" else ("amplitude_v", LARGEST_V)
    hertz = number(LOWEST_HZ, HIGHEST_HZ)
    sweep = Sweep(
        entry.take(name, number(1e-9, most)),
        entry.take("start_hz", hertz),
        entry.take("end_hz", hertz),
        entry.take("points", integer(1, 10_000)),
        entry.take("cycles", integer(1, 10_000), 1),
    )
    if sweep.points > 1 and sweep.start_hz == sweep.end_hz:
        raise CommandError(-222, f"{where}: {sweep.points} points at one frequency")
    return sweep


def _finished(
    where: str, entry: _Entry, kind: str, own: tuple[float, float, float, Sweep | None]
) -> Technique:
    """What every technique has besides: records and limit tests."""
    value, end_v, duration_s, sweep = own
    record = entry.mapping("record")
    period_s = record.take("dt_s", number(SHORTEST_PERIOD_S, 1e6))
    change_v = record.take("de_v", number(1e-5, LARGEST_V), None)
    record.end()
    tests = entry.take("tests", _list, [])
    if len(tests) > MAX_TESTS:
        raise CommandError(-222, f"{where}.tests: got {len(tests)}, at most {MAX_TESTS}")
    combine = entry.take("combine", choice("or", "and"), "or")
    then = entry.take("then", choice("next", "stop"), "next")
    entry.end()
    return Technique(
        kind=kind,
        value=value,
        duration_s=duration_s,
        period_s=period_s,
        change_v=math.inf if change_v is None else change_v,
        tests=tuple(_test(f"{where}.tests[{k}]", one) for k, one in enumerate(tests)),
        all_tests=combine == "and",
        then_stop=then == "stop",
        end_v=end_v,
        sweep=sweep,
        document={**entry.held, "record": record.held, "duration_s": duration_s},
    )


def _test(where: str, given: object) -> Test:
    entry = _Entry(where, given)
    test = Test(
        entry.take("variable", choice(*VARIABLES)),
        entry.take("comparison", choice(">", "<")) == ">",
        entry.take("value", number(-1e9, 1e9)),
    )
    entry.end()
    return test


def _check_limits(where: str, technique: Technique, limits: Limits) -> None:
    """What is forced, with its amplitude, lies inside the program's limits."""
    low, high, unit = (
        (limits.min_current_ma, limits.max_current_ma, "mA")
        if technique.forces_current
        else (limits.min_voltage_v, limits.max_voltage_v, "V")
    )
    swing = technique.sweep.amplitude if technique.sweep is not None else 0.0
    ends = [technique.value, technique.end_v] if technique.kind == "scan" else [technique.value]
    for value in ends:
        if not math.isnan(value) and not low <= value - swing <= value + swing <= high:
            raise CommandError(
                -222,
                f"{where}: got {value:g} {unit} +- {swing:g}, expected within the limits "
                f"{low:g} to {high:g} {unit}",
            )


def _range(sizes: tuple[float, ...]) -> Check:
    def check(name: str, value: object) -> float | str:
        if value == "auto":
            return "auto"
        wanted = number(0.0, math.inf)(name, value)
        fitting = [size for size in sizes if size >= wanted]
        if not fitting:
            raise CommandError(-222, f"{name}: got {wanted:g}, expected at most {sizes[-1]:g}")
        return fitting[0]

    return check


def _list(name: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise CommandError(-104, f"{name}: got {value!r:.60}, expected a list")
    return value
