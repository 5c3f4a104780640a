"""Errors become answers here and nowhere else: one table, one shape."""

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from psycopg import DataError, OperationalError
from starlette.responses import JSONResponse, Response

from checkpoints import errors as checkpoints
from engine import errors
from engine.errors import FrontdeskError

log = logging.getLogger(__name__)

_STATUS: dict[type[FrontdeskError], int] = {
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
    "thread_ids": "thread ID",
    "run_id": "run ID",
    "run_ids": "run ID",
    "assistant_id": "assistant ID",
    "cron_id": "cron ID",
}

NO_JSON = "Invalid JSON in request body"
_NO_OBJECT = frozenset({"missing", "model_attributes_type"})


class Answer(FrontdeskError):
    """What the project's own code answers instead."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})


def status_of(error: FrontdeskError) -> int:
    return error.status if isinstance(error, Answer) else _STATUS.get(type(error), 500)


def problem(error: FrontdeskError) -> Response:
    """`{"detail": "<sentence>"}` with the status of the error's class."""
    headers = dict(error.headers) if isinstance(error, Answer) else {}
    if isinstance(error, errors.Busy | errors.Unavailable):
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if isinstance(error, errors.Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    detail = str(error).encode(errors="replace").decode()  # what it quotes may be no text
    return JSONResponse({"detail": detail}, status_of(error), headers)


def refused(error: DataError) -> errors.Invalid:
    """What the database says of a value; the statement that it was in is nobody's business."""
    return errors.Invalid(f"The database cannot hold this: {error.diag.message_primary or error}")


def install(app: FastAPI) -> None:
    """Let the app answer with these."""

    @app.exception_handler(FrontdeskError)
    async def ours(_: Request, error: FrontdeskError) -> Response:
        return problem(error)

    @app.exception_handler(DataError)
    async def unstorable(_: Request, error: DataError) -> Response:
        return problem(refused(error))

    @app.exception_handler(UnicodeEncodeError)
    async def unwritable(_: Request, error: UnicodeEncodeError) -> Response:
        return problem(errors.Invalid(f"The database cannot hold this text: {error.reason}"))

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
        return problem(_said(error))

    @app.exception_handler(400)
    async def unreadable(_: Request, error: Exception) -> Response:
        """What FastAPI alone raises: bytes that are no text."""
        return problem(errors.Invalid(NO_JSON))


def _said(error: RequestValidationError) -> FrontdeskError:
    """What is wrong first."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if first["type"] == "json_invalid" or (where == ["body"] and first["type"] in _NO_OBJECT):
        return errors.Invalid(NO_JSON)
    if first["type"] == "int_parsing" and where[0] == "query":
        said = f"invalid literal for int() with base 10: {first['input']!r}"
        return errors.BadRequest(said)
    named = [part for part in where if part in _IDS]
    if named and (where[0] == "path" or first["type"].startswith("uuid")):
        return errors.Invalid(f"Invalid {_IDS[named[-1]]}: must be a UUID")
    what = first["msg"].removeprefix("Value error, ")
    return errors.Invalid(f"{'.'.join(where[1:])}: {what}" if where[1:] else what)
