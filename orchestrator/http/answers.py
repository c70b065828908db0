"""Answers: JSON that every browser can read, and errors that say who, what and the remedy."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from devices.errors import ExplainedError
from orchestrator import errors
from orchestrator.inputs.invalid import ExperimentFileError, ProfileFileError, problem_lines

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS

_STATUS: tuple[tuple[type[ExplainedError], int], ...] = (
    (errors.ExperimentError, 422),
    (errors.ProfileError, 422),
    (errors.DataFileError, 422),
    (errors.NoAnswerError, 504),
    (errors.ControlError, 409),
    (errors.ScheduleError, 409),
    (errors.BusyError, 409),
    (errors.UnsafeBenchError, 409),
    (errors.RecordError, 404),
)


class Json(Response):
    """JSON; numbers that it lacks (NaN) are null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """As bytes."""
        return orjson.dumps(content, default=str, option=_OPTIONS)


def explain_errors(app: FastAPI) -> None:
    """Let an application answer our errors in our form."""

    @app.exception_handler(ExplainedError)
    async def explained(_: Request, error: ExplainedError) -> Response:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        body: dict[str, Any] = {"who": error.who, "what": error.what, "remedy": error.remedy}
        if isinstance(error, ExperimentFileError | ProfileFileError):
            body["problems"] = problem_lines(error.problems)
        return Json(body, status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        problems = [
            {"path": ".".join(str(part) for part in one["loc"]), "what": one["msg"]}
            for one in error.errors()[:20]
        ]
        what = "; ".join(f"{one['path']}: {one['what']}" for one in problems)
        remedy = "see /api/openapi.json"
        return Json({"who": "http", "what": what, "remedy": remedy, "problems": problems}, 422)

    @app.exception_handler(HTTPException)
    async def failed(_: Request, error: HTTPException) -> Response:
        body = {"who": "http", "what": str(error.detail), "remedy": "see /api/openapi.json"}
        return Json(body, error.status_code, headers=dict(error.headers or {}))
