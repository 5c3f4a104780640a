"""Errors become answers here and nowhere else: one table, one shape."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from psycopg import DataError, OperationalError
from starlette.responses import JSONResponse, Response

from checkpoints import errors as checkpoints
from engine import errors
from engine.errors import FrontdeskError

log = logging.getLogger(__name__)

STATUS: dict[type[FrontdeskError], int] = {
    errors.BadRequest: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Refused: 409,
    errors.TooLarge: 413,
    errors.Invalid: 422,
    errors.Busy: 429,
    errors.Unavailable: 503,
}

_IDS = {
    "thread_id": "thread ID",
    "run_id": "run ID",
    "assistant_id": "assistant ID",
    "cron_id": "cron ID",
}


def problem(error: FrontdeskError) -> Response:
    """`{"detail": "<sentence>"}` with the status of the error's class."""
    headers = {}
    if isinstance(error, errors.Busy | errors.Unavailable):
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if isinstance(error, errors.Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"detail": str(error)}, STATUS.get(type(error), 500), headers)


def install(app: FastAPI) -> None:
    """Let the app answer with these."""

    @app.exception_handler(FrontdeskError)
    async def ours(_: Request, error: FrontdeskError) -> Response:
        return problem(error)

    @app.exception_handler(DataError)
    async def unstorable(_: Request, error: DataError) -> Response:
        return problem(errors.Invalid(f"The database cannot hold this: {error}"))

    @app.exception_handler(OperationalError)
    async def away(_: Request, error: OperationalError) -> Response:
        log.error("the database cannot be reached: %s", error)
        return problem(errors.Unavailable())

    @app.exception_handler(checkpoints.Unavailable)
    async def unreachable(_: Request, error: checkpoints.Unavailable) -> Response:
        log.error("the checkpoints cannot be reached: %s", error)
        return problem(errors.Unavailable())

    @app.exception_handler(checkpoints.InvalidCheckpoint)
    async def impossible(_: Request, error: checkpoints.InvalidCheckpoint) -> Response:
        return problem(errors.Invalid(str(error)))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return problem(errors.Invalid(_sentence(error)))


def _sentence(error: RequestValidationError) -> str:
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if first["type"] == "json_invalid" or where == ["body"]:
        return "Invalid JSON in request body"
    if where[0] == "path" and where[-1] in _IDS:
        return f"Invalid {_IDS[where[-1]]}: must be a UUID"
    return f"{'.'.join(where[1:])}: {first['msg']}"
