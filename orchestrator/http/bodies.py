"""Bodies of requests: strict, so that a word that is misspelt is never ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from plans.control import LONGEST_TEXT

Text = Annotated[str, Field(max_length=200)]
WAIT_S = 10.0
"""Longest wait for a run's answer, real s; what comes later is an event of the run."""


class Body(BaseModel):
    """A body: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Nothing(Body):
    """No arguments: leave the body out, or send ``{}``."""


class Stop(Body):
    """When a stop takes effect."""

    after: Literal["now", "frame", "step", "cycle"] = "now"


class ImageNow(Body):
    """Which device takes an image; without it all that do."""

    device: Annotated[str, Field(max_length=100)] | None = None


class Note(Body):
    """What to write down."""

    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


class Set(Body):
    """What to change, as `operando set` takes it."""

    path: Text
    value: float | Annotated[str, Field(max_length=100)]


class Ack(Body):
    """What is to become of a job that waits for a person."""

    decision: Literal["again", "resume", "done", "failed"]


class Interlock(Body):
    """A latched interlock that somebody has seen to."""

    interlock: Annotated[str, Field(min_length=1, max_length=200)]


class NewJob(Body):
    """An experiment to queue: a file on the serving machine, or its text."""

    experiment: Annotated[str, Field(max_length=4096)] | None = Field(
        None, description="path of a file below a folder named by `serve --experiments`"
    )
    text: Annotated[str, Field(max_length=262_144)] | None = Field(
        None, description="the experiment file itself, YAML"
    )
    bench: Text | None = Field(None, description="name of a bench; without it as the file says")
    at: Text = Field("", description="not before, ISO 8601 with an offset or `zone`")
    zone: Text | None = None
    after: Annotated[list[Text], Field(max_length=100)] = []
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    missed: Literal["ask", "start", "skip"] = "ask"
    grace_s: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 3600.0
    on_interruption: Literal["ask", "resume"] = "ask"


class Answered(BaseModel):
    """What came of a request to a run."""

    run: str
    verb: str
    id: str
    standing: Literal["waiting", "accepted", "done", "refused"]
    text: str


class Explained(BaseModel):
    """Why a request was not carried out."""

    who: str
    what: str
    remedy: str
    problems: list[dict[str, Any]] | None = None
