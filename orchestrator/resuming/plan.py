"""The plan of an interrupted run, made again from what its start document says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from bluesky.utils import MsgGenerator
from pydantic import ValidationError

from orchestrator.bench import Bench
from orchestrator.errors import ResumeError
from orchestrator.experiment import Experiment
from orchestrator.planning import experiment_plan
from orchestrator.records.bench_metadata import RESERVED
from orchestrator.records.software import versions
from orchestrator.running import start_metadata
from plans import PLANS
from plans.environment import Environment
from plans.named import devices_in

_SAID = ("plan_args", "resumes_first", "resumption", "job", "hints")
"""Keys that the new run says itself, beside those of `RESERVED`."""


def experiment_of(start: Mapping[str, Any], who: str) -> Experiment | None:
    """The experiment of a run; None where it was a plan at the prompt.

    Raises:
        ResumeError: This software does not understand it any more.
    """
    document = start.get("experiment")
    if document is None:
        return None
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        what = f"its experiment is not understood by this software: {error.errors()[0]['msg']}"
        raise ResumeError(who, what, remedy="install the software it was run with") from error


def check_plan(start: Mapping[str, Any], who: str) -> None:
    """See that the plan of a run can be made again.

    Raises:
        ResumeError: It is none of the named plans, or was given what a record cannot hold.
    """
    if experiment_of(start, who) is not None:
        return
    name = start.get("plan_name")
    if name not in PLANS or "plan_args" not in start:
        what = f"its plan {name!r} is not registered, expected a named plan or an experiment file"
        raise ResumeError(who, what, remedy=f"named plans are {', '.join(sorted(PLANS))}")
    lost = start.get("plan_args_lost")
    if lost:
        what = f"{name} was given objects as {', '.join(lost)}, which no record holds"
        raise ResumeError(who, what, remedy="name conditions as an experiment file does")


def plan_of(
    start: Mapping[str, Any], bench: Bench, said: Mapping[str, Any], who: str
) -> MsgGenerator[Any]:
    """The plan of an interrupted run on a bench.

    Args:
        start: Its start document.
        bench: The open bench.
        said: What the new start document says beside what the old one said.
        who: The run, for messages.

    Raises:
        ResumeError: It cannot be made again.
    """
    check_plan(start, who)
    experiment = experiment_of(start, who)
    if experiment is not None:
        md = start_metadata(experiment, start.get("campaign"))
        return experiment_plan(experiment, bench, md={**md, **said})
    arguments = {
        name: _argument(name, value, bench, start, who)
        for name, value in start["plan_args"].items()
    }
    own = {k: v for k, v in start.items() if k not in RESERVED and k not in _SAID}
    plan = PLANS[start["plan_name"]]
    return plan(**arguments, md={**own, "versions": versions(), **said})


def _argument(name: str, value: Any, bench: Bench, start: Mapping[str, Any], who: str) -> Any:
    """An argument of a named plan as the plan was given it."""
    plan = PLANS[start["plan_name"]]
    if isinstance(value, Mapping) and name == "environment":
        known = {field.name for field in fields(Environment)}
        given = {key: one for key, one in value.items() if key in known}
        for key in ("chamber", "load_cell"):
            given[key] = None if given.get(key) is None else _device(given[key], bench, who)
        return Environment(**given)
    if name in devices_in(plan):
        return _device(value, bench, who)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _device(name: str, bench: Bench, who: str) -> Any:
    if name not in bench.devices:
        what = f"was run with the device {name}, which {bench.profile.bench} has not"
        raise ResumeError(who, what, remedy="name the bench with --bench")
    return bench.devices[name]
