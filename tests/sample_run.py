"""Documents of a small run as the engine emits them, with values that can be computed again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.records.recorder import Recorder

EPOCH_S = 1_735_689_600.0
SHAPE = (6, 9)
ECHEM = {
    "pstat_voltage_v": "V",
    "pstat_current_ma": "mA",
    "pstat_charge_mah": "mAh",
    "pstat_throughput_mah": "mAh",
}
COUNTS = ("pstat_step_index", "pstat_cycle")


def voltage(seq_num: np.ndarray) -> np.ndarray:
    """What record number `seq_num` reads, V."""
    return 0.1 + np.asarray(seq_num) / 7.0


def image(index: int) -> np.ndarray:
    """Frame number `index`."""
    return (np.arange(np.prod(SHAPE), dtype="<f4") + 1000.0 * index).reshape(SHAPE)


def start(uid: str, **md: Any) -> dict[str, Any]:
    return {
        "uid": uid,
        "time": EPOCH_S,
        "scan_id": 1,
        "plan_name": "in_situ_mri",
        "sample": {"name": "LLZO-7", "area_cm2": 0.1257},
        "operator": "somebody",
        "simulated": {"pstat": True, "mri": True},
        **md,
    }


def echem_descriptor(uid: str) -> dict[str, Any]:
    keys: dict[str, Any] = {
        key: {"source": "sim", "dtype": "number", "shape": [], "units": units, "precision": 6}
        for key, units in ECHEM.items()
    }
    keys |= {key: {"source": "sim", "dtype": "integer", "shape": []} for key in COUNTS}
    return descriptor(uid, "echem", "pstat", keys)


def mri_descriptor(uid: str) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "mri_frame": {"source": "sim", "dtype": "integer", "shape": []},
        "mri_t_start_s": {"source": "sim", "dtype": "number", "shape": [], "units": "s"},
        "mri_quality": {"source": "sim", "dtype": "string", "shape": []},
        "mri_image": {
            "source": "sim",
            "dtype": "array",
            "dtype_numpy": "<f4",
            "shape": [1, *SHAPE],
            "external": "STREAM:",
        },
    }
    return descriptor(uid, "mri", "mri", keys)


def events_descriptor(uid: str) -> dict[str, Any]:
    keys = {
        "event_kind": {"source": "sim", "dtype": "string", "shape": []},
        "event_text": {"source": "sim", "dtype": "string", "shape": []},
        "event_value": {"source": "sim", "dtype": "number", "shape": []},
    }
    return descriptor(uid, "events", "event", keys)


def descriptor(uid: str, stream: str, device: str, keys: dict[str, Any]) -> dict[str, Any]:
    setting = {"source": "sim", "dtype": "number", "shape": []}
    configuration = {
        "data": {f"{device}_tr_s": 0.3},
        "timestamps": {f"{device}_tr_s": EPOCH_S},
        "data_keys": {f"{device}_tr_s": setting},
    }
    return {
        "uid": f"{uid}-{stream}",
        "run_start": uid,
        "time": EPOCH_S,
        "name": stream,
        "data_keys": keys,
        "object_keys": {device: list(keys)},
        "configuration": {device: configuration},
        "hints": {},
    }


def page(uid: str, first: int, rows: int) -> dict[str, Any]:
    """Records `first` to ``first + rows - 1`` (seq_num from 1), 10 s apart."""
    seq_num = np.arange(first, first + rows)
    times = (EPOCH_S + 10.0 * (seq_num - 1)).tolist()
    data = {key: (voltage(seq_num) * k).tolist() for k, key in enumerate(ECHEM, 1)}
    data |= {key: (seq_num // 10).tolist() for key in COUNTS}
    return {
        "descriptor": f"{uid}-echem",
        "uid": [str(uuid.uuid4()) for _ in range(rows)],
        "seq_num": seq_num.tolist(),
        "time": times,
        "data": data,
        "timestamps": dict.fromkeys(data, times),
        "filled": {},
    }


def event(uid: str, stream: str, seq_num: int, data: dict[str, Any]) -> dict[str, Any]:
    t_s = EPOCH_S + seq_num
    return {
        "descriptor": f"{uid}-{stream}",
        "uid": str(uuid.uuid4()),
        "seq_num": seq_num,
        "time": t_s,
        "data": data,
        "timestamps": dict.fromkeys(data, t_s),
        "filled": {},
    }


def frame_event(uid: str, index: int) -> dict[str, Any]:
    data = {"mri_frame": index, "mri_t_start_s": EPOCH_S + index, "mri_quality": "ok"}
    return event(uid, "mri", index + 1, data)


def stop(uid: str, **more: Any) -> dict[str, Any]:
    return {
        "uid": str(uuid.uuid4()),
        "run_start": uid,
        "time": EPOCH_S + 1e4,
        "exit_status": "success",
        "reason": "completed",
        "num_events": {},
        **more,
    }


def echem_documents(
    uid: str, pages: int = 3, rows: int = 5, **md: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Start, one stream of pages, stop."""
    yield "start", start(uid, **md)
    yield "descriptor", echem_descriptor(uid)
    for k in range(pages):
        yield "event_page", page(uid, 1 + k * rows, rows)
    yield "stop", stop(uid, num_events={"echem": pages * rows})


def take_frame(recorder: Recorder, uid: str, index: int) -> None:
    """Write and announce one frame as the MRI device does."""
    recorder.frames.write("mri", image(index), {"t_start_s": EPOCH_S + index, "charge_mah": 0.5})
    for name, doc in recorder.frames.asset_documents("mri", index):
        filled = {"descriptor": f"{uid}-mri", "seq_nums": {"start": index + 1, "stop": index + 2}}
        recorder(name, {**doc, **filled} if name == "stream_datum" else doc)
    recorder("event", frame_event(uid, index))


def record_run(
    data: Path, *, pages: int = 3, rows: int = 5, frames: int = 2, close: bool = True, **md: Any
) -> str:
    """Record a whole run with frames and notes; returns its uid."""
    recorder = Recorder(data)
    uid = str(uuid.uuid4())
    recorder.frames.open("mri", "mri_image", SHAPE, "<f4")
    recorder("start", start(uid, **md))
    recorder("descriptor", echem_descriptor(uid))
    recorder("descriptor", events_descriptor(uid))
    for k in range(pages):
        recorder("event_page", page(uid, 1 + k * rows, rows))
    note = {"event_kind": "note", "event_text": "ünïcode", "event_value": float("nan")}
    recorder("event", event(uid, "events", 1, note))
    if frames:
        recorder("descriptor", mri_descriptor(uid))
    for index in range(frames):
        take_frame(recorder, uid, index)
    if close:
        counts = {"echem": pages * rows, "events": 1, "mri": frames}
        recorder("stop", stop(uid, num_events=counts))
    recorder.close()
    return uid
