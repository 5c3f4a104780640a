"""Following runs over HTTP: their events as they come, or what comes out in the end.

All of it is answered with 200 at once; a run that is missing is told in the answer.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Query
from pydantic import BeforeValidator
from starlette.responses import Response

from engine.caller import Caller
from engine.claims import Run
from engine.errors import NotFound
from engine.following import Event
from engine.runs import GONE_REASON
from engine.runtime import Engine
from engine.serialise import dumps
from engine.watch import Batches
from server.auth.access import Access
from server.bodies import Json
from server.runs.body import RunBody
from server.sse import EventStream, OnGone, SlowJson, frame, frames, only

LastEventId = Annotated[str | None, Header(alias="last-event-id")]
Modes = Annotated[list[str] | None, Query()]
Flag = Annotated[bool, BeforeValidator(lambda value: str(value).lower() in {"1", "true"})]
"""A switch in a query: on for `1` and `true`, off for whatever else clients send."""


@dataclass(frozen=True)
class Joining:
    """How a run that is there already is to be followed: which events, from where, how firmly."""

    modes: list[str] | None
    last_event_id: str | None
    cancel: bool


async def _joining(
    stream_mode: Modes = None,
    last_event_id: LastEventId = None,
    *,
    cancel_on_disconnect: Flag = False,
) -> Joining:
    return Joining(stream_mode, last_event_id, cancel_on_disconnect)


Joins = Annotated[Joining, Depends(_joining)]

_MISSING = {"error": "HTTPException", "message": "404: Run not found"}
_ALWAYS = frozenset({"metadata", "error", "end"})


def path_of(run: Run) -> str:
    return f"/threads/{run.thread_id}/runs/{run.run_id}"


def streamed(
    engine: Engine, caller: Caller, run: Run, body: RunBody, *, stateless: bool = False
) -> Response:
    """The events of a new run."""
    path = f"/runs/{run.run_id}" if stateless else path_of(run)
    return EventStream(
        frames(engine.watch.from_start(caller, run), resumable=body.stream_resumable, whole=True),
        _located(path, "stream"),
        canceller(engine, caller, run) if body.on_disconnect == "cancel" else None,
    )


def waited(engine: Engine, caller: Caller, run: Run, body: RunBody) -> Response:
    """What a new run leaves."""
    on_gone = canceller(engine, caller, run) if body.on_disconnect == "cancel" else None
    return _output(engine, caller, run, engine.watch.from_start(caller, run), on_gone)


async def joined(
    engine: Engine, access: Access, thread_id: UUID, run_id: UUID, *, cancel: bool
) -> Response:
    """What a run leaves that was asked for before."""
    caller = await access("threads", "read", {"thread_id": thread_id, "run_id": run_id})
    try:
        run = await engine.runs.get(caller, thread_id, run_id)
    except NotFound:
        located = _located(f"/threads/{thread_id}/runs/{run_id}", "join")
        return Json({"__error__": _MISSING}, headers=located)
    batches = engine.watch.from_now(caller, run)
    return _output(engine, caller, run, batches, await _on_gone(engine, access, run, cancel=cancel))


async def rejoined(
    engine: Engine, access: Access, thread_id: UUID | None, run_id: UUID, asked: Joining
) -> Response:
    """The events of a run that was asked for before."""
    caller = await access("threads", "read", {"thread_id": thread_id, "run_id": run_id})
    try:
        run = await engine.runs.get(caller, thread_id, run_id)
    except NotFound:
        return EventStream(_missing())
    path = path_of(run) if thread_id else f"/runs/{run.run_id}"
    events = engine.watch.rejoin(caller, run, asked.last_event_id)
    return EventStream(
        frames(only(events, _of(asked.modes)), resumable=run.kwargs["resumable"]),
        _located(path, "stream"),
        await _on_gone(engine, access, run, cancel=asked.cancel),
    )


def stopped(engine: Engine, caller: Caller, run: Run) -> Response:
    """`{}`, once a run that was told to stop is over."""

    async def over() -> AsyncIterator[bytes]:
        async for events in engine.watch.from_now(caller, run):
            if not events:
                yield b"\n"
        yield b"{}"

    return SlowJson(over(), _located(path_of(run), "join"))


def canceller(engine: Engine, caller: Caller, run: Run) -> OnGone:
    """Stops the run when its reader is gone."""

    async def cancel() -> None:
        try:
            await engine.runs.cancel(caller, run.thread_id, run.run_id, reason=GONE_REASON)
        except NotFound:
            return  # it was over

    return cancel


async def _on_gone(engine: Engine, access: Access, run: Run, *, cancel: bool) -> OnGone | None:
    """Who may only read a run must not end it by going away. Raises `Forbidden`."""
    if not cancel:
        return None
    ids = {"thread_id": run.thread_id, "run_id": run.run_id}
    value = {**ids, "action": "interrupt", "metadata": {}}
    return canceller(engine, await access("threads", "update", value), run)


def _output(
    engine: Engine, caller: Caller, run: Run, batches: Batches, on_gone: OnGone | None
) -> Response:
    answer = engine.watch.output(caller, batches, run)
    return SlowJson(answer, _located(path_of(run), "join"), on_gone)


def _located(path: str, how: str) -> dict[str, str]:
    """Where to go on, and where clients read the run's id."""
    return {"Location": f"{path}/{how}", "Content-Location": path}


def _of(modes: list[str] | None) -> Callable[[Event], bool]:
    """Whether an event is of these modes, or says how the run goes."""
    kinds = {"messages" if mode == "messages-tuple" else mode for mode in modes or () if mode}

    def wanted(event: Event) -> bool:
        kind = event.name.partition("|")[0].partition("/")[0]
        return not kinds or kind in kinds | _ALWAYS

    return wanted


async def _missing() -> AsyncIterator[bytes]:
    yield frame("error", dumps(_MISSING))
