"""/a2a: every assistant that takes messages is an agent, over A2A 0.3 and 1.0.

A context is a thread, a task a run, with the runs that answered what it asked. Whoever goes away
leaves the task at work.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.assistants import Assistant
from engine.errors import FrontdeskError, NotFound
from engine.ids import parse_uuid
from engine.runtime import Engine
from engine.serialise import dumps, loads
from engine.tasks import OVER, Task, TaskQuery
from engine.watch import Batches
from server.a2a.calls import TASK_NOT_CANCELABLE, Call, Work, begin, section, task_of
from server.a2a.card import card
from server.a2a.shapes import Dialect
from server.a2a.tasks import Answering
from server.auth.access import Access, Asks
from server.bodies import Json, Object, TheEngine, moment
from server.jsonrpc import (
    ASKED_WRONGLY,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    RpcError,
    failure,
    parse,
    result,
)
from server.sse import BEAT, EventStream, SlowJson, frame

router = APIRouter(tags=["A2A"])

_NO_STREAM = "Accept header must include text/event-stream for streaming"
_STATES = frozenset({"submitted", "working", "input-required", *OVER})


Answer = Callable[[Call], Awaitable[Response]]


@router.post("/a2a/{assistant_id}")
async def receive(assistant_id: str, request: Request, access: Asks, engine: TheEngine) -> Response:
    """One JSON-RPC request. Its method says which generation of the protocol answers."""
    message_id = None
    try:
        message = parse(await request.body())
        message_id = message.id
        if message.method is None:
            told = "Invalid JSON-RPC request: missing 'method' field"
            raise RpcError(INVALID_REQUEST, told)
        if message.id is None:
            told = "Invalid message format: must be a JSON-RPC request or notification"
            raise RpcError(INVALID_REQUEST, told)
        if message.method not in _METHODS:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {message.method}")
        answer, modern = _METHODS[message.method]
        assistant = await _assistant(engine, access, assistant_id)
        return await answer(
            Call(engine, access, request, assistant, message, Dialect(modern=modern))
        )
    except (RpcError, *ASKED_WRONGLY) as error:
        if message_id is None and isinstance(error, RpcError):
            message_id = error.message_id
        return Json(failure(message_id, error))


@router.get("/a2a/{assistant_id}")
@router.get("/a2a/{assistant_id}/.well-known/agent-card.json")
async def agent_card(
    assistant_id: str, request: Request, access: Asks, engine: TheEngine
) -> Response:
    """What the agent is and how to reach it."""
    try:
        assistant = await _assistant(engine, access, assistant_id)
    except RpcError as error:
        return Json({"error": {"code": error.code, "message": str(error)}}, 400)
    return Json(await _card(engine, request, assistant))


@router.get("/.well-known/agent-card.json")
async def well_known(
    request: Request, access: Asks, engine: TheEngine, assistant_id: str | None = None
) -> Response:
    """The card of the agent that the query names."""
    if assistant_id is None:
        told = "Missing required query parameter: assistant_id"
        return Json({"error": {"code": INVALID_PARAMS, "message": told}}, 400)
    return await agent_card(assistant_id, request, access, engine)


async def _send(call: Call) -> Response:
    configuration = section(call.params, "configuration")
    work = await begin(call, "custom")
    at_once = configuration.get("blocking") is False or configuration.get("returnImmediately")
    if at_once:
        return call.answer(call.dialect.sent(await work.teller.task(await work.task())))
    return SlowJson(_finished(call, work))


async def _stream(call: Call) -> Response:
    accepted = call.request.headers.get("accept", "*/*")
    if "text/event-stream" not in accepted and "*/*" not in accepted:
        return Json({"error": _NO_STREAM}, 400)
    try:
        work = await begin(call, "messages-tuple")
    except (RpcError, *ASKED_WRONGLY) as error:
        return EventStream(_refused(call, error))
    return EventStream(_events(call, work))


async def _get(call: Call) -> Response:
    caller, task = await task_of(call)
    wanted = call.wanted(call.params.get("historyLength"))
    return call.answer(await call.teller(caller, wanted).task(task))


async def _cancel(call: Call) -> Response:
    _, task = await task_of(call)
    run, told = task.run, "Task is not cancelable in its current state"
    caller = await call.access(
        "threads", "update", {"thread_id": run.thread_id, "metadata": {}, "action": "interrupt"}
    )
    if run.over or run.cancel:
        raise RpcError(TASK_NOT_CANCELABLE, told)
    try:
        await call.engine.runs.cancel(caller, run.thread_id, run.run_id)
    except NotFound as error:
        raise RpcError(TASK_NOT_CANCELABLE, told) from error
    canceled = await call.engine.tasks.get(caller, run.thread_id, task.task_id)
    return call.answer(await call.teller(caller, call.wanted()).task(canceled))


async def _list(call: Call) -> Response:
    params = call.params
    size, offset = params.get("pageSize", 50), str(params.get("pageToken") or 0)
    known = offset.isdecimal() and len(offset) < 10
    if not (isinstance(size, int) and 1 <= size <= 100 and known):
        raise RpcError(INVALID_PARAMS, "pageSize must be from 1 to 100, pageToken a token")
    context = params.get("contextId") or None
    thread_id = parse_uuid(str(context)) if context else None
    value: Object = {"metadata": {}, "thread_id": thread_id, "limit": size, "offset": int(offset)}
    caller = await call.access("threads", "search", value)
    artifacts = bool(params.get("includeArtifacts"))
    teller = call.teller(caller, call.wanted(params.get("historyLength"), artifacts=artifacts))
    query = TaskQuery(
        thread_id=thread_id,
        assistant_id=call.assistant.assistant_id,
        state=_state(params.get("status")),
        since=_moment(params.get("statusTimestampAfter")),
    )
    found: list[Task] = []
    total, shown = 0, int(offset)
    if thread_id or not context:
        found, total = await call.engine.tasks.search(caller, query, limit=size, offset=shown)
    after = shown + len(found)
    return call.answer(
        {
            "tasks": [await teller.task(task) for task in found],
            "totalSize": total,
            "pageSize": len(found),
            "nextPageToken": str(after) if after < total else "",
        }
    )


async def _tell_card(call: Call) -> Response:
    return call.answer(await _card(call.engine, call.request, call.assistant))


async def _assistant(engine: Engine, access: Access, text: str) -> Assistant:
    """Raises `RpcError`."""
    assistant_id = parse_uuid(text)
    if assistant_id is None:
        raise RpcError(INVALID_PARAMS, "Invalid assistant ID: must be a UUID")
    value = {"assistant_id": assistant_id, "metadata": {}}
    caller = await access("assistants", "read", value)
    try:
        return await engine.assistants.get(caller, assistant_id)
    except NotFound as error:
        raise RpcError(INVALID_PARAMS, f"Assistant '{text}' not found") from error


async def _card(engine: Engine, request: Request, assistant: Assistant) -> Object:
    schema = await engine.graphs.input_schema(assistant.graph_id)
    return card(assistant, schema, str(request.base_url))


async def _finished(call: Call, work: Work) -> AsyncIterator[bytes]:
    """Blank lines while the run is at work, then the task."""
    try:
        async for events in _follow(work):
            if not events:
                yield b"\n"
        told = call.dialect.sent(await work.teller.task(await work.task()))
        yield dumps(result(call.message.id, told))
    except FrontdeskError as error:
        yield dumps(failure(call.message.id, _internal(error)))


async def _refused(call: Call, error: FrontdeskError) -> AsyncIterator[bytes]:
    yield frame("message", dumps(failure(call.message.id, error)))


async def _events(call: Call, work: Work) -> AsyncIterator[bytes]:
    """The task, what is said as it is said, what came out, how it ended."""

    def told(value: Object) -> bytes:
        return frame("message", dumps(result(call.message.id, value)))

    dialect, place, answering = call.dialect, work.place, Answering()
    try:
        first = await work.teller.task(Task(work.task_id, "submitted", work.run))
        yield told(dialect.sent(first))
        async for events in _follow(work):
            if not events:
                yield BEAT
            before = answering.text
            for event in events:
                if event.name == "messages":
                    answering.hear(loads(event.data)[0])
            if answering.text != before:
                message = dialect.message([dialect.text(answering.text)], place)
                status = dialect.status("working", _now(), message)
                yield told(dialect.status_update(place, status, final=False))
        last = await work.teller.task(await work.task())
        for artifact in last.get("artifacts", ()):
            yield told(dialect.artifact_update(place, artifact))
        yield told(dialect.status_update(place, last["status"], final=True))
    except FrontdeskError as error:
        yield frame("message", dumps(failure(call.message.id, _internal(error))))


def _follow(work: Work) -> Batches:
    return work.teller.engine.watch.from_start(work.teller.caller, work.run)


def _state(text: Any) -> str | None:
    """Raises `RpcError` for a state that there is not."""
    state = str(text or "").removeprefix("TASK_STATE_").lower().replace("_", "-")
    if state in {"", "unspecified"}:
        return None
    if state not in _STATES:
        raise RpcError(INVALID_PARAMS, f"Unknown task state: {text}")
    return state


def _moment(text: Any) -> datetime | None:
    """Raises `RpcError` for what is no time."""
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError as error:
        raise RpcError(INVALID_PARAMS, f"Not a timestamp: {text}") from error


def _now() -> str:
    return moment(datetime.now(UTC))


def _internal(error: FrontdeskError) -> RpcError:
    return error if isinstance(error, RpcError) else RpcError(INTERNAL_ERROR, str(error))


_METHODS: Mapping[str, tuple[Answer, bool]] = {
    "message/send": (_send, False),
    "message/stream": (_stream, False),
    "tasks/get": (_get, False),
    "tasks/cancel": (_cancel, False),
    "agent/getAuthenticatedExtendedCard": (_tell_card, False),
    "SendMessage": (_send, True),
    "SendStreamingMessage": (_stream, True),
    "GetTask": (_get, True),
    "ListTasks": (_list, True),
    "CancelTask": (_cancel, True),
    "GetExtendedAgentCard": (_tell_card, True),
}
"""What answers a method, and whether it is one of version 1.0."""
