"""A table of a running plan in the terminal: rows that a week of records leaves readable."""

from __future__ import annotations

import textwrap
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from devices.cell_records import Records
from orchestrator.session.line import COLUMNS, charge, current, span, voltage

INTERVALS_S = (60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
"""Experiment time between rows, s: the longest that is at most a fifth of what has passed."""

_SHARE = 5.0
_HEADER_EVERY = 20
_ALL_ROWS = 30
_EACH_TIME = 3
_CELL_HEADER = (
    f"{'time':>9}{'cycle':>7}{'step':>6}{'voltage':>12}{'current':>13}"
    f"{'net charge':>13}{'moved':>12}{'frames':>8}"
)
NOT_SHOWN = ("t_start_s", "t_end_s")
"""Ends of keys that are Unix times, which say nothing to a person."""

_UNSEEN_STREAMS = frozenset({"events", "interruptions", "baseline"})


def interval_s(elapsed_s: float) -> float:
    """Experiment time between two rows after so much of it, s."""
    fitting = [each for each in INTERVALS_S if each * _SHARE <= elapsed_s]
    return float(fitting[-1] if fitting else INTERVALS_S[0])


class LiveTable:
    """Turns documents and records into rows of at most 80 columns.

    Documents and records come on the engine's loop, rows are taken by the thread that owns the
    terminal. While a cell is cycled the rows are its records, each minute at first and at last
    each day, with images counted; of other plans they are their events, with readings in columns.
    """

    def __init__(self) -> None:
        self._rows: deque[str] = deque()
        self._clear(0.0)

    def _clear(self, began_s: float) -> None:
        self._began_s, self._due_s = began_s, began_s + interval_s(0.0)
        self._streams: dict[str, _Stream] = {}
        self._frames = self._since_header = 0
        self._cell = False
        self._noted: Counter[str] = Counter()
        self._title = ""

    def take(self) -> list[str]:
        """Rows that nobody has taken yet."""
        rows = []
        while self._rows:
            rows.append(self._rows.popleft())
        return rows

    def document(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take note of a document."""
        take = {
            "start": self._start,
            "descriptor": self._descriptor,
            "event": self._event,
            "stop": self._stop,
        }.get(name)
        if take is not None:
            take(doc)

    def records(self, records: Records) -> None:
        """Take note of records of the cell; those of a moment that is due become a row."""
        if not self._cell or not len(records.t_s) or records.t_s[-1] < self._due_s:
            return
        due = np.searchsorted(records.t_s, self._due_s)
        elapsed_s = float(records.t_s[due]) - self._began_s
        self._row(
            _CELL_HEADER,
            f"{span(elapsed_s):>9}{records.cycle:>7}{records.step_index + 1:>6}"
            f"{voltage(float(records.voltage_v[due])):>12}"
            f"{current(float(records.current_ma[due])):>13}"
            f"{charge(float(records.charge_mah[due])):>13}"
            f"{charge(float(records.throughput_mah[due]), signed=False):>12}{self._frames:>8}",
        )
        self._schedule(float(records.t_s[-1]) - self._began_s)

    # --- documents ---

    def _start(self, doc: Mapping[str, Any]) -> None:
        self._clear(doc["time"])
        sample = doc.get("sample")
        sample = sample.get("name", "") if isinstance(sample, Mapping) else sample
        words = [f"run {doc['uid'][:8]}", f"scan {doc.get('scan_id', '')}", doc.get("plan_name")]
        simulated = doc.get("simulated")
        if isinstance(simulated, Mapping) and all(simulated.values()):
            words.append("SIMULATED")
        self._say("  ".join(str(word) for word in [*words, sample] if word))

    def _descriptor(self, doc: Mapping[str, Any]) -> None:
        stream = _Stream.of(doc)
        self._streams[doc["uid"]] = stream
        self._cell = self._cell or stream.name == "echem"

    def _event(self, doc: Mapping[str, Any]) -> None:
        stream = self._streams[doc["descriptor"]]
        elapsed_s = doc["time"] - self._began_s
        self._frames += stream.images
        if stream.name == "events":
            self._happened(elapsed_s, doc["data"])
        elif not self._cell and stream.keys:
            self._reading(stream, elapsed_s, doc)

    def _happened(self, elapsed_s: float, data: Mapping[str, Any]) -> None:
        """What goes on happening is said three times, then each time there are ten times more."""
        kind = str(data.get("event_kind", ""))
        self._noted[kind] += 1
        times = self._noted[kind]
        if times <= _EACH_TIME or str(times) == f"{10 ** (len(str(times)) - 1)}":
            often = f" ({times} times so far)" if times > _EACH_TIME else ""
            self._say(f"{span(elapsed_s):>9}  {data.get('event_text', kind)}{often}")

    def _reading(self, stream: _Stream, elapsed_s: float, doc: Mapping[str, Any]) -> None:
        stream.seen += 1
        if stream.seen > _ALL_ROWS and doc["time"] < self._due_s:
            return
        self._row(stream.header, f"{span(elapsed_s):>9}{doc['seq_num']:>6}{stream.row(doc)}")
        self._schedule(elapsed_s)

    def _stop(self, doc: Mapping[str, Any]) -> None:
        elapsed_s = doc["time"] - self._began_s
        why = f": {doc['reason']}," if doc.get("reason") else ""
        counts = ", ".join(f"{n} {stream}" for stream, n in doc.get("num_events", {}).items() if n)
        after = f"after {span(elapsed_s)} of experiment time"
        self._say(f"run {doc['run_start'][:8]} {doc['exit_status']}{why} {after}")
        if counts:
            self._say(f"events: {counts}", indent="        ")

    # --- rows ---

    def _schedule(self, elapsed_s: float) -> None:
        every_s = interval_s(elapsed_s)
        self._due_s = self._began_s + (int(elapsed_s / every_s + 1e-9) + 1) * every_s

    def _row(self, header: str, row: str) -> None:
        if self._since_header % _HEADER_EVERY == 0 or header != self._title:
            self._title, self._since_header = header, 0
            self._rows.append(header)
        self._since_header += 1
        self._rows.append(row)

    def _say(self, text: str, indent: str = "           ") -> None:
        self._rows.extend(textwrap.wrap(text, COLUMNS, subsequent_indent=indent))


class _Stream:
    """Which readings of a stream fit into a row.

    Args:
        name: Its name.
        images: Frames that each event stands for.
        keys: Data keys with their column's title and unit.
    """

    def __init__(self, name: str, images: int, keys: list[tuple[str, str]]) -> None:
        self.name, self.images = name, images
        self.keys: list[tuple[str, int]] = []
        self.header, self.seen = f"{'time':>9}{'#':>6}", 0
        for key, title in keys:
            width = max(len(title), 10) + 2
            if len(self.header) + width <= COLUMNS:
                self.keys.append((key, width))
                self.header += f"{title:>{width}}"

    @classmethod
    def of(cls, descriptor: Mapping[str, Any]) -> _Stream:
        """The stream of a descriptor: hinted readings first, then the other numbers and words."""
        name, data_keys = descriptor.get("name", ""), descriptor["data_keys"]
        images = int(any("external" in key for key in data_keys.values()))
        hinted = [
            field
            for hints in descriptor.get("hints", {}).values()
            for field in hints.get("fields", [])
        ]
        readable = [
            key
            for key in dict.fromkeys([*hinted, *data_keys])
            if key in data_keys
            and data_keys[key]["dtype"] in ("number", "integer", "string")
            and not key.endswith(NOT_SHOWN)
        ]
        if name in _UNSEEN_STREAMS:
            readable = []
        devices = descriptor.get("object_keys", {})
        return cls(name, images, [(key, _title(key, devices)) for key in readable])

    def row(self, doc: Mapping[str, Any]) -> str:
        """The readings of an event."""
        return "".join(
            f"{_value(doc['data'].get(key), width):>{width}}" for key, width in self.keys
        )


def _title(key: str, devices: Mapping[str, Any]) -> str:
    """The key without the device's name where there is one device only."""
    names = [name for name in devices if key.startswith(f"{name}_")]
    return key.removeprefix(f"{names[0]}_") if len(devices) == 1 and names else key


def _value(value: Any, width: int) -> str:
    if value is None or value != value:
        return "--"
    text = f"{value:.5g}" if isinstance(value, float) else str(value)
    return text if len(text) < width else f"{text[: width - 3]}.."
