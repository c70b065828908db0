"""Routes that only look: any token may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from devices.clock import wall_time
from orchestrator.http.answers import Json
from orchestrator.http.lookout import MOST_STREAMS
from orchestrator.http.pictures import frame_png
from orchestrator.http.refusals import Refused
from orchestrator.http.rows import MOST_POINTS
from orchestrator.http.service import Service
from orchestrator.records.reading import last_document, scan

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
Bench = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Stream = Annotated[str, Path(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]
Last = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[int, Query(ge=-1, le=2**53)]

_LOG_BYTES = 64 * 1024


def looking(service: Service) -> APIRouter:
    """Every route that only looks."""
    router = APIRouter(prefix="/api", default_response_class=Json)
    _everything(router, service)
    _benches(router, service)
    _audit(router, service)
    _runs(router, service)
    _jobs(router, service)
    _records(router, service)
    return router


def _everything(router: APIRouter, service: Service) -> None:
    state = service.state

    @router.get("", summary="Who asks, and what this is")
    def me(request: Request) -> Json:
        caller = request.state.caller
        said = {"name": caller.name, "role": caller.role, "ends_s": caller.ends_s}
        return Json({"caller": said, "data": str(service.directory.root), "time_s": wall_time()})

    @router.get("/state", summary="Everything a page shows, as it is now")
    def now() -> Json:
        return Json(state.everything())

    @router.get("/changes", summary="Changes as Server-Sent Events; resumes after Last-Event-ID")
    async def changes(
        request: Request,
        last_event_id: Annotated[str, Header(max_length=40)] = "",
    ) -> Response:
        lookout = service.lookout
        if lookout.changes.streams >= MOST_STREAMS:
            refusal = Refused(503, f"{MOST_STREAMS} streams are open", "close one")
            return Json(refusal.body(), 503)

        async def stream() -> AsyncIterator[bytes]:
            await lookout.joined()
            try:
                async for piece in lookout.changes.stream(last_event_id):
                    if not request.state.still():
                        return
                    yield piece
            finally:
                lookout.left()

        return StreamingResponse(stream(), media_type="text/event-stream")


def _benches(router: APIRouter, service: Service) -> None:
    state = service.state

    @router.get("/benches", summary="Benches and their states")
    def benches() -> Json:
        return Json(state.everything()["bench"])

    @router.get(
        "/benches/{bench}", summary="One bench, its interlocks and what its last watchdog did"
    )
    def bench(bench: Bench) -> Json:
        found = state.everything()
        if bench not in found["bench"]:
            return Json({"who": "bench", "what": f"no {bench}", "remedy": "see /api/benches"}, 404)
        more = {"watchdog": found["watchdog"].get(bench), "seen": found["interlock"].get(bench)}
        return Json({**found["bench"][bench], **more})

    @router.get("/alerts", summary="What needs a person; what people were told and if it arrived")
    def alerts(last: Last = 50) -> Json:
        return Json({"now": state.everything()["alert"], "told": state.told(last)})

    @router.get("/disk", summary="Room on the disk of the data directory")
    def disk() -> Json:
        return Json(state.disk())

    @router.get("/watchdog", summary="What watchdogs did, the latest last")
    def watchdog(last: Last = 100) -> Json:
        return Json({"lines": state.watchdog_log(last), "by_bench": state.watchdogs()})


def _audit(router: APIRouter, service: Service) -> None:
    state = service.state

    @router.get("/audit", summary="Who asked for what, the latest last")
    def audit(last: Last = 100) -> Json:
        lines = state.audit()
        return Json({"lines": lines[-last:], "head": state.audit_head(), "length": len(lines)})

    @router.get("/audit/verify", summary="Whether the audit log is as it was written")
    def verified(
        head: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
    ) -> Json:
        check = state.checked(head)
        said = {"ok": check.ok, "lines": check.lines, "head": check.head}
        return Json({**said, "problems": check.problems[:100]})


def _jobs(router: APIRouter, service: Service) -> None:
    state, store = service.state, service.store

    @router.get("/jobs", summary="The queue; with `all` also what has ended")
    def jobs(all: bool = False) -> Json:  # noqa: A002, FBT001, FBT002 - the parameter's name
        return Json({"jobs": [state.job(job) for job in store.jobs(ended=all)]})

    @router.get("/jobs/{job}", summary="One job with its history")
    def job(job: Name) -> Json:
        found = store.get(job)
        history = [{"time_s": t, "what": what, "by": by} for t, what, by in store.history(found.id)]
        return Json({**state.job(found), "history": history})

    @router.get("/jobs/{job}/log", summary="What its runner printed, the last 64 KiB")
    def log(job: Name) -> Response:
        path = service.directory.root / "jobs" / f"{store.get(job).id}.log"
        try:
            with path.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - _LOG_BYTES))
                text = file.read()
        except FileNotFoundError:
            text = b""
        plain = text.decode("utf-8", "replace")
        return Response(plain, media_type="text/plain; charset=utf-8")


def _runs(router: APIRouter, service: Service) -> None:
    runs = service.state.runs

    @router.get("/runs", summary="The last runs, the latest first")
    def listed(last: Last = 50) -> Json:
        return Json({"runs": runs.summaries(last)})

    @router.get("/runs/{run}", summary="Summary and first and last document of a run")
    def shown(run: Name) -> Json:
        uid = service.uid(run)
        journal = service.directory.journal(uid)
        first, last = next(iter(scan(journal)), None), last_document(journal)
        documents = {
            "start": getattr(first, "doc", None),
            "stop": last[1] if last is not None and last[0] == "stop" else None,
        }
        return Json({**(runs.summary(uid) or {}), **documents})

    @router.get("/runs/{run}/status", summary="Where a run stands, asked of its process")
    def status(run: Name) -> Json:
        return Json(runs.status(service.uid(run)))


def _records(router: APIRouter, service: Service) -> None:
    growing, directory = service.growing, service.directory

    @router.get("/runs/{run}/streams/{stream}", summary="Records, thinned; extremes are kept")
    def rows(
        run: Name,
        stream: Stream,
        columns: Annotated[
            str, Query(max_length=2000, description="data keys, commas between")
        ] = "",
        after: Annotated[After, Query(description="only larger seq_num")] = -1,
        points: Annotated[int, Query(ge=2, le=MOST_POINTS)] = 1000,
    ) -> Json:
        names = [one for one in columns.split(",") if one]
        journal = directory.journal(service.uid(run))
        return Json(growing.page(journal, stream, columns=names, after=after, points=points))

    @router.get("/runs/{run}/events", summary="Events of a run, the latest last")
    def events(run: Name, after: After = -1, last: Last = 200) -> Json:
        found = growing.events(directory.journal(service.uid(run)), after=after, last=last)
        return Json({"events": found})

    @router.get("/runs/{run}/frames/{stream}/{frame}.png", summary="A frame as PNG")
    def frame(
        run: Name, stream: Stream, frame: Annotated[str, Path(pattern=r"^(latest|[0-9]{1,9})$")]
    ) -> Response:
        index = -1 if frame == "latest" else int(frame)
        png, number = frame_png(directory, service.uid(run), stream, index)
        return Response(png, media_type="image/png", headers={"x-operando-frame": str(number)})


def described() -> dict[str, Any]:
    """Title and text of the interface's own description."""
    return {
        "title": "Operando",
        "description": "State of a data directory, changes as they happen, and requests to what "
        "runs. Everything needs a token; what changes anything needs the role operate, the time "
        "of the request in X-Operando-Time (Unix s) and an Idempotency-Key.",
    }
