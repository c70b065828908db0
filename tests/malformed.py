"""Experiment files with a mistake whose place is known, and a guard that nothing is touched."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from orchestrator.inputs.problems import Path as KeyPath
from orchestrator.inputs.source import Place, parse_source

ROOT = Path(__file__).parents[1]

PLACED = re.compile(r"^(?P<file>[^:\n]+):(?P<line>\d+):(?P<column>\d+): (?P<rest>.+) \(.+\)$")
"""The form of every error: ``file:line:column: path: what (remedy)``."""

EVERYTHING = """\
experiment: everything
bench: sim-chamber
variables: {q: 0.02, t: 3600 * $q / $j}
sweep:
  zip: {j: [0.1, 0.2], celsius: [25, 60]}
  on_failure: go_on
sample:
  name: LLZTO-1
  area_cm2: 0.031416
  thickness_cm: 0.12
  electrode_diameter_mm: 2
  capacity_mAh: 0.1
  electrodes: 2
  simulate_as: {model: llzto_pellet, preset: lithiophobic, seed: 3, relative_density: 0.95}
roles: {potentiostat: pstat}
environment: {temperature_celsius: $celsius, stack_pressure_mpa: 5}
preflight: {ocv_s: 30, ocv_window_v: [-0.5, 0.5], max_contact_resistance_ohm: 5e4, probe_current_mA: 0.001}
before:
  - {step: ocv_check, min_voltage_V: -0.5, max_voltage_V: 0.5, until_time_s: 30}
protocol:
  record: {time_s: 1}
  safety: {max_voltage_V: 4, min_voltage_V: -4, max_current_mA: 0.1, min_current_mA: -0.1, max_capacity_mAh: 0.1}
  method:
    - {step: tag, tag: cycle}
    - {step: constant_current, current_mA_per_cm2: $j, until_time_s: $t, on_failure: {retry: 2, wait_s: 60, then: skip}}
    - {step: constant_current, rate_C: D/20, until_time_s: 60, until_voltage_V: -2, on_pause: continue}
    - {step: constant_voltage, voltage_V: 0.1, until_rate_C: 0.01, until_time_s: 60}
    - {step: temperature, celsius: 30, deadline_s: 3600}
    - {step: impedance_spectroscopy, amplitude_V: 0.01, start_frequency_Hz: 1e6, end_frequency_Hz: 10, points_per_decade: 5}
    - {step: loop, loop_to: cycle, cycle_count: 2}
spectra:
  - when: {every_s: 240}
    settings: {amplitude_mA: 0.001, start_frequency_Hz: 7e6, end_frequency_Hz: 0.5, points_per_decade: 10}
after:
  - {step: open_circuit_voltage, until_time_s: 60}
stop_when:
  - hard_short
  - {voltage_above_v: 3}
  - {duration_s: 86400}
  - {soft_short: {confirm: 4}}
  - {dv_dt_above_v_per_h: {value: 30, within_s: 60, confirm: 2, hysteresis: 5}}
  - {temperature_above_celsius: 75}
  - {pressure_below_mpa: {value: 1, hysteresis: 0.2}}
  - {bulk_resistance_drop: 0.5}
md: {operator: "your name", tags: [a, b]}
"""  # noqa: E501 - as people write it
"""A file with parts that no example has."""

IMAGED = """\
experiment: imaged
bench: sim-mri
sample: {name: LLZO-7, area_cm2: 0.1257, simulate_as: {model: llzo_cell, preset: small_4p8}}
protocol:
  record: {time_s: 10}
  safety: {max_voltage_V: 5, min_voltage_V: -5, max_current_mA: 1, min_current_mA: -1, max_capacity_mAh: 10}
  method:
    - {step: constant_current, current_mA_per_cm2: 0.1, until_time_s: 3600}
images:
  - device: mri
    when: {on: {lithium_above_umol_per_cm2: {value: 0.5, layer: 2, repeat: true}}}
    cell: rest
    on_pause: restart
    settings: {method: flash2d, tr_s: 0.3, te_s: 0.000918, flip_angle_deg: 30, averages: 4, matrix: [81, 52], fov_mm: [17, 11]}
  - device: mri
    when: {every_s: 900}
    settings: {method: flash2d, tr_s: 0.3, te_s: 0.000918, flip_angle_deg: 30, averages: 4, matrix: [81, 52], fov_mm: [17, 11]}
after:
  - {step: image, device: mri, count: 2}
"""  # noqa: E501 - as people write it
"""The same of images."""


@dataclass(frozen=True)
class Spot:
    """A key or a scalar of a good file.

    Attributes:
        file: Name of the file.
        text: All of it.
        path: Keys and indices.
        place: Line and column.
        word: As it is written.
        value: What a scalar means; None for a key.
        key: Whether it is a key.
    """

    file: str
    text: str
    path: KeyPath
    place: Place
    word: str
    value: Any
    key: bool

    def changed(self, word: str) -> str:
        """The file with another word here."""
        lines = self.text.splitlines(keepends=True)
        line, at = lines[self.place.line - 1], self.place.column - 1
        assert line[at:].startswith(self.word)
        lines[self.place.line - 1] = line[:at] + word + line[at + len(self.word) :]
        return "".join(lines)


_WORD = re.compile(r'"[^"]*"|[^,\[\]{}#\n]+')
_FREE = ("md", "roles", "variables")
"""Parts whose keys are an author's own, or are checked against the bench."""


def good_files() -> dict[str, str]:
    """Every example, `EVERYTHING` and `IMAGED`."""
    examples = {path.name: path.read_text("utf-8") for path in (ROOT / "examples").glob("*.yaml")}
    ours = {"everything.yaml": EVERYTHING, "imaged.yaml": IMAGED}
    return {**dict(sorted(examples.items())), **ours}


def spots(file: str, text: str) -> Iterator[Spot]:
    """Every key and scalar that can be spoiled in place."""
    source = parse_source(text.encode(), file)
    lines = text.splitlines()
    seen: set[Place] = set()  # what an alias repeats is spoiled where it stands
    for path, place in source.keys.items():
        if place in seen:
            continue
        seen.add(place)
        own = path[0] in _FREE or (path[:1] == ("sweep",) and path[-1] not in ("product", "zip"))
        if not own:
            yield Spot(file, text, path, place, str(path[-1]), None, key=True)
    for path, place in source.values.items():
        value: Any = source.data
        for part in path:
            value = value[part]
        found = _WORD.match(lines[place.line - 1], place.column - 1)
        if place in seen:
            continue
        seen.add(place)
        if path and found and not isinstance(value, dict | list) and value is not None:
            word = found[0].rstrip()
            yield Spot(file, text, path, place, word, value, key=False)


SPOTS = [spot for name, text in good_files().items() for spot in spots(name, text)]

_NO_NUMBER = ("abc", "[1, 2]", "{a: 1}", "true", ".nan", "1e400", "'3'", "-.inf")
_NO_TEXT = ("[x]", "{x: 1}", "3.5", "''", "true", ".inf")
_NO_FLAG = ("maybe", "1", "[true]")
_NO_METADATA = (".nan", "-.inf", "9007199254740993")


def wrong_words(spot: Spot) -> tuple[str, ...]:
    """What cannot stand in a place, whatever stands elsewhere."""
    if spot.key:
        block = re.search(r"[{,]\s*$", lines_before(spot)) is None
        doubled = () if block else (f"{spot.word}: x, {spot.word}",)
        return (f"{spot.word}q", f"not_{spot.word}", *doubled)
    if spot.path[0] == "md":
        return _NO_METADATA
    if isinstance(spot.value, bool):
        return _NO_FLAG
    if str(spot.path[-1]).endswith("rate_C"):
        return tuple(word for word in _NO_NUMBER if word != "'3'")
    if isinstance(spot.value, int | float) or "$" in str(spot.value):
        return _NO_NUMBER
    return _NO_TEXT


def lines_before(spot: Spot) -> str:
    """The line up to a spot."""
    return spot.text.splitlines()[spot.place.line - 1][: spot.place.column - 1]


@st.composite
def spoiled(draw: Any) -> tuple[Spot, str]:
    """A spot and a word that is wrong there."""
    spot = draw(st.sampled_from(SPOTS))
    return spot, draw(st.sampled_from(wrong_words(spot)))


# --- nothing is touched --------------------------------------------------------------------------

_WATCHING: list[list[str]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what writes, connects or starts something while somebody watches."""
    if not _WATCHING:
        return
    said = ""
    if event == "open":
        path, mode, flags = arguments
        writes = any(c in str(mode or "") for c in "wax+") or (isinstance(flags, int) and flags & 3)
        if writes and "__pycache__" not in str(path) and str(path) != "/dev/null":
            said = f"opened {path} to write"
    elif event in ("os.mkdir", "os.remove", "os.rename", "subprocess.Popen", "socket.connect"):
        said = f"{event} {arguments[:1]}"
    if said and "__pycache__" not in said:
        _WATCHING[-1].append(said)


sys.addaudithook(_hear)


@contextmanager
def nothing_touched() -> Iterator[None]:
    """Assert that nothing is written, made, started or connected to in a block."""
    heard: list[str] = []
    _WATCHING.append(heard)
    try:
        yield
    finally:
        _WATCHING.pop()
    assert heard == []
