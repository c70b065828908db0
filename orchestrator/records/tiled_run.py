"""A run's documents on their way into Tiled, whole columns at a time.

bluesky-tiled-plugins writes a run event by event: 2,000 records a second on a busy machine. Its
writer is used here for everything but events, whose columns are gathered and appended as Arrow
tables of the types that the descriptor declares, so that a column that begins with whole numbers
does not refuse a fraction later. SQLite has no arrays: in the catalogue's tables an array is its
JSON text; `runs.load_run` gives it as it was.
"""

from __future__ import annotations

import contextlib
import copy
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from bluesky_tiled_plugins.writing.tiled_writer import (
    JSON_TO_NUMPY_DTYPE,
    _RunWriter,
)

BATCH_ROWS = 20_000
"""Records that are sent together."""

_TYPES: Mapping[str, Any] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "array": pa.string(),
}


class RunUpload(_RunWriter):  # the only class that takes one run, pinned and tested against
    """Writes the documents of one run into Tiled; call it with each of them.

    Args:
        client: Tiled's client of the catalogue.
        batch_rows: Records that are sent together.

    Attributes:
        orphans: Events and frames left out because the journal lost what they refer to.
    """

    def __init__(self, client: Any, *, batch_rows: int = BATCH_ROWS) -> None:
        super().__init__(client.include_data_sources(), batch_size=batch_rows)
        self._batch_rows = batch_rows
        self._schemas: dict[str, dict[str, Any]] = {}
        self._columns: dict[str, dict[str, list[Any]]] = {}
        self.orphans = 0

    def __call__(self, name: str, doc: dict[str, Any], validate: bool = False) -> Any:  # noqa: FBT001, FBT002 - DocumentRouter's signature
        """Take a document; the writer may change it, so it gets its own copy if it is small."""
        taken = doc if name in ("event", "event_page") else copy.deepcopy(doc)
        with _quiet():
            return super().__call__(name, taken, validate)

    def descriptor(self, doc: dict[str, Any]) -> None:
        """Make the stream, and remember its columns' types."""
        for keys in (doc["data_keys"], *_configured(doc)):
            for described in keys.values():
                described.setdefault("dtype_numpy", JSON_TO_NUMPY_DTYPE[described["dtype"]])
        for device, keys in doc.get("object_keys", {}).items():
            for key in keys:
                doc["data_keys"][key]["object_name"] = device
        inside = {k: d for k, d in doc["data_keys"].items() if "external" not in d}
        self._schemas[doc["uid"]] = {
            "seq_num": pa.int64(),
            "time": pa.float64(),
            **{key: _TYPES[described["dtype"]] for key, described in inside.items()},
            **{f"ts_{key}": pa.float64() for key in inside},
        }
        super().descriptor(doc)

    def event(self, doc: dict[str, Any]) -> None:
        """Gather an event."""
        one = {key: [value] for key, value in doc["data"].items()}
        stamps = {key: [value] for key, value in doc["timestamps"].items()}
        self._gather(doc["descriptor"], [doc["seq_num"]], [doc["time"]], one, stamps)

    def event_page(self, doc: dict[str, Any]) -> None:
        """Gather a page."""
        page = (doc["seq_num"], doc["time"], doc["data"], doc["timestamps"])
        self._gather(doc["descriptor"], *page)

    def stream_datum(self, doc: dict[str, Any]) -> None:
        """Register a frame."""
        known = doc["stream_resource"] in self._stream_resource_cache
        if not known or doc["descriptor"] not in self._desc_nodes:
            self.orphans += 1
            return
        super().stream_datum(doc)

    def flush(self) -> None:
        """Send everything gathered so far."""
        for descriptor in list(self._columns):
            self._send(descriptor)
        datums = list(self._external_data_cache.values())
        self._external_data_cache.clear()
        with _quiet():
            for datum in datums:
                self._write_external_data(datum)

    def stop(self, doc: dict[str, Any]) -> None:
        """Send the rest and close the run."""
        self.flush()
        super().stop(doc)

    def _gather(
        self,
        descriptor: str,
        seq_nums: Sequence[int],
        times: Sequence[float],
        data: Mapping[str, Sequence[Any]],
        stamps: Mapping[str, Sequence[float]],
    ) -> None:
        schema = self._schemas.get(descriptor)
        if schema is None:
            self.orphans += len(times)
            return
        columns = self._columns.setdefault(descriptor, {key: [] for key in schema})
        missing: list[Any] = [None] * len(times)
        for key, column in columns.items():
            if key == "seq_num":
                column.extend(seq_nums)
            elif key == "time":
                column.extend(times)
            elif key in data:
                column.extend(data[key])
            else:
                column.extend(stamps.get(key.removeprefix("ts_"), missing))
        if len(columns["time"]) >= self._batch_rows:
            self._send(descriptor)

    def _send(self, descriptor: str) -> None:
        columns = self._columns.pop(descriptor)
        schema = self._schemas[descriptor]
        table = pa.table({key: _typed(column, schema[key]) for key, column in columns.items()})
        node = self._desc_nodes[descriptor]
        stream = node.item["id"]
        if stream not in self._internal_tables:
            self._internal_tables[stream] = node.create_appendable_table(
                schema=table.schema,
                key="internal",
                metadata={k: v for k, v in self.data_keys.items() if k in columns},
            )
        # not repeated here if it fails: the uploader begins the run again instead
        self._internal_tables[stream].append_partition(0, table)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that "concat" is going out of use: other readers know nothing else."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*join_method='concat'.*")
        yield


def _configured(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [device["data_keys"] for device in doc.get("configuration", {}).values()]


def _typed(values: list[Any], kind: Any) -> Any:
    """Values as an Arrow array of the declared type; what does not fit becomes null."""
    try:
        if pa.types.is_integer(kind):
            return pa.array(values).cast(kind)  # the other way would cut fractions off silently
        return pa.array(values, type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([_fitting(value, kind) for value in values], type=kind)


def _fitting(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if pa.types.is_string(kind):
        return json.dumps(value)
    try:
        return pa.scalar(value).cast(kind).as_py()
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return float(value) if pa.types.is_floating(kind) and isinstance(value, int) else None
