"""Routes that change something; `gate` lets only the role ``operate`` reach them, and each once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Body, Request

from orchestrator.http import bodies
from orchestrator.http.acting import Asker
from orchestrator.http.answers import Json
from orchestrator.http.looking import Bench, Name
from orchestrator.http.service import Service

_ANSWERED = bodies.Answered
_EMPTY = Body(default_factory=bodies.Nothing)
Ask = Callable[..., Json]

_CODES: dict[int | str, dict[str, Any]] = {
    code: {"model": bodies.Explained} for code in (400, 401, 403, 404, 409, 413, 422, 503, 504)
}


def changing(service: Service) -> APIRouter:
    """Every route that changes something."""
    router = APIRouter(prefix="/api", default_response_class=Json, responses=_CODES)
    _runs(router, service)
    _jobs(router, service)

    @router.post("/benches/{bench}/off", summary="Switch a bench off now and end its runs")
    def off(request: Request, bench: Bench, _: bodies.Nothing = _EMPTY) -> Json:
        return Json(service.acting.off(bench, asker(request)))

    @router.post("/benches/{bench}/acknowledge", summary="Acknowledge a latched interlock")
    def acknowledge(request: Request, bench: Bench, body: bodies.Interlock) -> Json:
        return Json(service.acting.acknowledge(bench, body.interlock, asker(request)))

    return router


def asker(request: Request) -> Asker:
    """Who asks, as the gate let them in."""
    return Asker(request.state.caller, request.state.request_id)


def _runs(router: APIRouter, service: Service) -> None:
    def ask(request: Request, run: str, verb: str, **arguments: Any) -> Json:
        return Json(service.acting.run(service.uid(run), verb, arguments, asker(request)))

    @router.post(
        "/runs/{run}/pause",
        summary="Pause: the cell is off until resume-now",
        response_model=_ANSWERED,
    )
    def pause(request: Request, run: Name, _: bodies.Nothing = _EMPTY) -> Json:
        return ask(request, run, "pause")

    @router.post(
        "/runs/{run}/resume-now", summary="Let a paused run go on", response_model=_ANSWERED
    )
    def resume_now(request: Request, run: Name, _: bodies.Nothing = _EMPTY) -> Json:
        return ask(request, run, "resume")

    @router.post("/runs/{run}/stop", summary="End a run in order", response_model=_ANSWERED)
    def stop(
        request: Request,
        run: Name,
        body: bodies.Stop = Body(default_factory=bodies.Stop),  # noqa: B008
    ) -> Json:
        return ask(request, run, "stop", after=body.after)

    @router.post("/runs/{run}/skip-step", summary="End the present step", response_model=_ANSWERED)
    def skip_step(request: Request, run: Name, _: bodies.Nothing = _EMPTY) -> Json:
        return ask(request, run, "skip_step")

    @router.post("/runs/{run}/set", summary="Change what may be changed", response_model=_ANSWERED)
    def change(request: Request, run: Name, body: bodies.Set) -> Json:
        return ask(request, run, "set", path=body.path, value=body.value)

    _more(router, ask)


def _more(router: APIRouter, ask: Ask) -> None:
    @router.post(
        "/runs/{run}/image-now", summary="Take a frame or a spectrum", response_model=_ANSWERED
    )
    def image_now(
        request: Request,
        run: Name,
        body: bodies.ImageNow = Body(default_factory=bodies.ImageNow),  # noqa: B008
    ) -> Json:
        return ask(request, run, "image_now", device=body.device)

    @router.post("/runs/{run}/note", summary="Write something down", response_model=_ANSWERED)
    def note(request: Request, run: Name, body: bodies.Note) -> Json:
        return ask(request, run, "note", text=body.text)


def _jobs(router: APIRouter, service: Service) -> None:
    acting, state = service.acting, service.state

    @router.post("/jobs", summary="Queue an experiment; the whole file is checked first")
    def add(request: Request, body: bodies.NewJob) -> Json:
        added = acting.add(body, asker(request))
        said = {"new": added.new, "name": added.name, "planned_runs": added.runs}
        return Json({**state.job(added.job), **said})

    @router.post("/jobs/{job}/hold", summary="Let a job wait until it is released")
    def hold(request: Request, job: Name, _: bodies.Nothing = _EMPTY) -> Json:
        return Json(state.job(acting.change(job, "hold", asker(request))))

    @router.post("/jobs/{job}/release", summary="Let a held job go")
    def release(request: Request, job: Name, _: bodies.Nothing = _EMPTY) -> Json:
        return Json(state.job(acting.change(job, "release", asker(request))))

    @router.post("/jobs/{job}/remove", summary="Take a job out that has not begun")
    def remove(request: Request, job: Name, _: bodies.Nothing = _EMPTY) -> Json:
        return Json(state.job(acting.change(job, "remove", asker(request))))

    @router.post("/jobs/{job}/ack", summary="Decide about an interrupted or missed job")
    def ack(request: Request, job: Name, body: bodies.Ack) -> Json:
        changed = acting.change(job, "ack", asker(request), body.decision)
        return Json(state.job(changed))
