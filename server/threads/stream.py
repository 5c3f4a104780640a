"""GET /threads/{thread_id}/stream: all runs of a thread, one after the other, for ever."""

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from engine.errors import Invalid
from engine.following import Event
from engine.serialise import dumps
from engine.watch import Batches
from server.auth.access import Asks
from server.bodies import TheEngine
from server.runs.joining import LastEventId, Modes
from server.sse import BEAT, EventStream, frame, only

router = APIRouter(prefix="/threads", tags=["Thread runs"])

_ALL = "run_modes"
_LIFECYCLE = "lifecycle"
_MODES = frozenset({_ALL, _LIFECYCLE, "state_update"})  # no event is of the last kind yet


@router.get("/{thread_id}/stream")
async def stream(
    thread_id: UUID,
    access: Asks,
    engine: TheEngine,
    stream_modes: Modes = None,
    stream_mode: Modes = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Both spellings of the modes are clients'. Every event has an id to go on from."""
    modes = {mode for mode in (*(stream_modes or ()), *(stream_mode or ())) if mode} or {_ALL}
    if unknown := sorted(modes - _MODES):
        raise Invalid(f"Invalid stream mode: {unknown[0]}")
    caller = await access("threads", "read", {"thread_id": thread_id})
    batches = await engine.watch.thread(caller, thread_id, last_event_id)
    return EventStream(_frames(batches, modes))


async def _frames(batches: Batches, modes: set[str]) -> AsyncIterator[bytes]:
    async for events in only(batches, partial(_is_of, modes)):
        yield b"".join(map(_frame, events)) or BEAT


def _is_of(modes: set[str], event: Event) -> bool:
    return _ALL in modes or (_LIFECYCLE in modes and event.name in {"metadata", "end"})


def _frame(event: Event) -> bytes:
    """A run's end is told as one of its metadata, as other runs follow on the same stream."""
    if event.name != "end":
        return frame(event.name, event.data, event.id)
    return frame("metadata", dumps({"status": "run_done", "run_id": event.run_id}), event.id)
