"""Runs one experiment on a bench, from the validated file to its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from typing import IO, Any, Literal

from bluesky.utils import RunEngineInterrupted

from devices.clock import monotonic
from devices.errors import InstrumentFault
from devices.potentiostat import Potentiostat
from orchestrator.bench import Bench
from orchestrator.estimate import check_disk
from orchestrator.experiment import Experiment
from orchestrator.planning import experiment_plan
from orchestrator.records.software import versions
from plans.trip import INTERLOCK

Decision = Literal["resume", "stop", "abort"]
"""What to do with a paused run; ``stop`` ends it here as a success."""


@dataclass(frozen=True)
class RunResult:
    """What a run came to; the object that ``run --json`` prints.

    Attributes:
        uid: Uid of the run.
        exit_status: ``success``, ``abort`` or ``fail``.
        stop_reason: Why it ended.
        duration_s: Experiment time of the whole run, s, a last frame included.
        stopped_at_s: Experiment time at which the protocol ended (its condition met), s.
        wall_s: Real time, s.
        events: Events by stream.
        frames: Frames by device.
        charge_mah: Net charge A -> B, mAh.
        throughput_mah: Charge in both directions, mAh.
        closure_error: Net charge integrated from the records less that of the instrument's own
            counter, relative to the throughput; None where there is none.
        closure_reason: Why `closure_error` is None.
        simulated: By device.
        data: The data directory.
        spectra: Impedance spectra.
    """

    uid: str
    exit_status: str
    stop_reason: str
    duration_s: float
    stopped_at_s: float
    wall_s: float
    events: Mapping[str, int]
    frames: Mapping[str, int]
    charge_mah: float
    throughput_mah: float
    closure_error: float | None
    closure_reason: str
    simulated: Mapping[str, bool]
    data: str
    spectra: int = 0


def start_metadata(
    experiment: Experiment, campaign: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The start document of an experiment's run; the engine adds what it says of the bench.

    Args:
        experiment: The validated file.
        campaign: Uid, number and values, where the run is one of a campaign.
    """
    return {
        **experiment.md,
        "plan_name": experiment.experiment,
        "sample": experiment.sample.to_document(),
        "experiment": experiment.to_document(),
        "experiment_hash": experiment.experiment_hash,
        "versions": versions(),
        **({} if campaign is None else {"campaign": dict(campaign)}),
    }


def run_experiment(
    experiment: Experiment,
    bench: Bench,
    *,
    speak: IO[str],
    on_pause: Callable[[Bench], Decision] | None = None,
    campaign: Mapping[str, Any] | None = None,
) -> RunResult:
    """Run an experiment to its end on an open bench.

    Args:
        experiment: The validated file.
        bench: Open, with the experiment's sample on it if it is simulated.
        speak: Where bluesky's own messages go.
        on_pause: Asked what to do each time the run is paused. None aborts.
        campaign: What the start document says of the campaign that the run is one of.

    Raises:
        RecordError: The disk is too full.
        DeviceError: An instrument failed; the cell is off unless it says otherwise.
        KeyboardInterrupt: It was interrupted before the run began; there is nothing to keep.
    """
    check_disk(experiment, bench.data)
    plan = experiment_plan(experiment, bench, md=start_metadata(experiment, campaign))
    return run_plan(plan, bench, speak=speak, on_pause=on_pause)


def run_plan(
    plan: Any,
    bench: Bench,
    *,
    speak: IO[str],
    on_pause: Callable[[Bench], Decision] | None = None,
) -> RunResult:
    """Run a plan that records one run to its end; see `run_experiment`."""
    began_s = monotonic()
    stops: list[dict[str, Any]] = []
    token = bench.RE.subscribe(lambda _name, doc: stops.append(doc), "stop")
    try:
        with redirect_stdout(speak):
            bench.RE.run(plan)
            while str(bench.RE.state) == "paused":
                _carry_out(_decided(bench, on_pause), bench)
    except Exception as error:
        if bench.RE.unsafe:  # matters more than why the run failed
            raise _not_off(bench) from error
        raise
    finally:
        bench.RE.unsubscribe(token)
    if bench.RE.unsafe:
        raise _not_off(bench)
    if not stops:
        raise KeyboardInterrupt
    return _result(bench, stops[-1], monotonic() - began_s)


def _not_off(bench: Bench) -> InstrumentFault:
    told = "; ".join(f"{name}: {why}" for name, why in bench.RE.unsafe.items())
    return InstrumentFault(
        bench.profile.bench, f"not known to be off: {told}", remedy="disconnect the cell by hand"
    )


def _decided(bench: Bench, ask: Callable[[Bench], Decision] | None) -> Decision:
    """What to do with a paused run; another Ctrl-C, whenever it comes, is an answer: abort."""
    try:
        return "abort" if ask is None else ask(bench)
    except KeyboardInterrupt:
        return "abort"


def _carry_out(decision: Decision, bench: Bench) -> None:
    act = {"resume": bench.resume, "stop": bench.stop, "abort": bench.abort}[decision]
    with suppress(RunEngineInterrupted):  # paused or aborted again: the engine's state says which
        act()


def _result(bench: Bench, stop: Mapping[str, Any], wall_s: float) -> RunResult:
    live = bench.live.snapshot()
    closure_error, closure_reason = _closure(bench)
    exit_status = str(stop["exit_status"])
    reason = str(stop.get("reason") or "stopped")  # a person's stop gives none
    return RunResult(
        uid=str(stop["run_start"]),
        exit_status=exit_status,
        stop_reason=reason if exit_status == "success" or reason == INTERLOCK else "aborted",
        duration_s=live.elapsed_s,
        stopped_at_s=live.elapsed_s if live.stopped_at_s is None else live.stopped_at_s,
        wall_s=wall_s,
        events=dict(stop.get("num_events", {})),
        frames=dict(live.frames or {}),
        charge_mah=live.charge_mah,
        throughput_mah=live.throughput_mah,
        closure_error=closure_error,
        closure_reason=closure_reason,
        simulated=bench.simulated,
        data=str(bench.data.resolve()),
        spectra=live.spectra,
    )


def _closure(bench: Bench) -> tuple[float | None, str]:
    """The closure error of the charge, or why there is none."""
    cells = [device for device in bench.devices.values() if isinstance(device, Potentiostat)]
    if not cells or not cells[0].counts_charge:
        return None, "the potentiostat has no charge counter of its own"
    error = cells[0].closure_error
    return error, "" if error is not None else "no charge has flowed"
