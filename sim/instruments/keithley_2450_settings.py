"""Settings of the simulated 2450 and how text sets and shows them (section 6 of the manual)."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim.instruments.scpi import number
from sim.instruments.smu_meter import CURRENT, VOLTAGE
from sim.instruments.smu_output import OPEN, Drive

SCALES = {"CURR": CURRENT, "VOLT": VOLTAGE}
NAMES = {"CURR": "CURRent", "VOLT": "VOLTage", "RES": "RESistance"}
"""Functions by their short form."""

_OFF_LIMIT = 0.1
"""Part of full scale that limits the source in the NORMAL and GUARD output-off states."""


@dataclass
class Source:
    """Settings of one source function; A and V, s."""

    range: float
    limit: float
    level: float = 0.0
    auto_range: bool = True
    delay_s: float = 0.0
    auto_delay: bool = True
    readback: bool = True
    off_state: str = "NORM"


@dataclass
class Sense:
    """Settings of one measure function."""

    range: float
    auto_range: bool = True
    nplc: float = 1.0
    remote: bool = False
    auto_zero: bool = True
    filter_kind: str = "REP"
    filter_count: int = 10
    filter_on: bool = False


@dataclass
class Settings:
    """Everything that ``*RST`` returns to its default (section 6 of the manual)."""

    function: str = "VOLT"
    measured: str = "CURR"
    terminals: str = "FRON"
    source: dict[str, Source] = field(
        default_factory=lambda: {"CURR": Source(1e-8, 0.2), "VOLT": Source(0.02, 1.05e-4)}
    )
    sense: dict[str, Sense] = field(
        default_factory=lambda: {"CURR": Sense(1e-4), "VOLT": Sense(0.02), "RES": Sense(200.0)}
    )

    def drive_on(self) -> Drive:
        """What the output does while it is on; mA and V."""
        source = self.source[self.function]
        if self.function == "CURR":
            return Drive("current", source.level * 1e3, source.limit)
        return Drive("voltage", source.level, source.limit * 1e3)

    def drive_off(self) -> Drive:
        """What it does while it is off: output-off states, pages 2-82 to 2-83, 6-31 to 6-32."""
        state = self.source[self.function].off_state
        if state == "HIMP":
            return OPEN
        if state == "GUAR":
            return Drive("current", 0.0, _OFF_LIMIT * self._present_range("VOLT"))
        part = 1.0 if state == "ZERO" else _OFF_LIMIT
        return Drive("voltage", 0.0, part * self._present_range("CURR") * 1e3)

    def _present_range(self, quantity: str) -> float:
        source = self.source[quantity]
        if self.function != quantity:
            return self.sense[quantity].range
        return SCALES[quantity].range_for(source.level) if source.auto_range else source.range


def show(value: float | str) -> str:
    """A setting as a reply."""
    if isinstance(value, str):
        return value
    return str(int(value)) if isinstance(value, bool | int) else f"{value:.9G}"


def set_range(owner: Source | Sense, key: str, text: str) -> None:
    """Selecting a range switches autoranging off (page 6-74)."""
    if key == "RES":
        owner.range = number(text, 0.0, 210e6)
    else:
        scale = SCALES[key]
        owner.range = scale.range_from(number(text, -scale.top, scale.top))
    owner.auto_range = False


def set_delay(source: Source, text: str) -> None:
    """Setting a delay switches the automatic delay off, as PyMeasure says of it."""
    source.delay_s, source.auto_delay = number(text, 0.0, 10_000.0), False


def beep(hertz: str, seconds: str) -> None:
    """Accept a beep and its ranges."""
    number(hertz, 20.0, 8000.0)
    number(seconds, 0.001, 100.0)
