"""A request for a run becomes one: asked for as its caller may, whatever it is for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, Header

from engine.caller import Caller
from engine.claims import Run
from engine.errors import BadRequest
from engine.runs import RunRequest
from engine.runtime import Engine
from server.auth.access import Access
from server.bodies import Object, moment
from server.runs.body import RunBody

RequestId = Annotated[str | None, Header(alias="x-request-id")]
IdempotencyKey = Annotated[
    str | None, Header(alias="idempotency-key", min_length=1, max_length=255)
]
_TOLD = {"stream_subgraphs": "subgraphs", "stream_resumable": "resumable"}
"""What handlers know by other names."""


@dataclass(frozen=True)
class Headers:
    """What a request for a run says beside its body."""

    request_id: str | None
    idempotency_key: str | None


async def _headers(request_id: RequestId = None, idempotency_key: IdempotencyKey = None) -> Headers:
    return Headers(request_id, idempotency_key)


Asked = Annotated[Headers, Depends(_headers)]


async def create(
    engine: Engine, access: Access, thread_id: UUID | None, body: RunBody, asked: Headers
) -> tuple[Caller, Run]:
    """Who asked, and the run; without a thread it gets one of its own."""
    caller, request = await admitted(engine, access, thread_id, body, asked)
    return caller, await engine.runs.create(caller, thread_id, request)


async def admitted(
    engine: Engine, access: Access, thread_id: UUID | None, body: RunBody, asked: Headers
) -> tuple[Caller, RunRequest]:
    """The request as the caller may make it. Raises `Forbidden`, `Invalid`, and `BadRequest` for
    an answer on no thread.
    """
    kwargs = body.kwargs(stateless=thread_id is None)
    value = _value(engine, thread_id, body, kwargs)
    caller = await access("threads", "create_run", value)
    if thread_id is None and body.command and body.command.resume is not None:
        raise BadRequest("You must provide a thread_id when resuming.")
    left, metadata = value["kwargs"], value.get("metadata") or {}
    kwargs |= {name: left[told] for name in kwargs if (told := _TOLD.get(name, name)) in left}
    request = RunRequest(
        assistant_id=body.assistant_id,
        **kwargs,
        metadata=metadata,
        checkpoint=body.pointer(),
        multitask_strategy=body.multitask_strategy,
        create_thread=thread_id is None or body.if_not_exists == "create",
        thread_metadata=await _thread_metadata(engine, access, caller, thread_id, body, metadata),
        assistant_filter=await _assistant_filter(engine, access, body),
        after_seconds=body.after_seconds,
        request_id=asked.request_id or str(uuid4()),
        idempotency_key=asked.idempotency_key,
        headers=access.headers,
    )
    if request.webhook is not None:
        await engine.webhooks.check(request.webhook)
    return caller, request


async def _assistant_filter(engine: Engine, access: Access, body: RunBody) -> Mapping[str, Any]:
    """Who runs an assistant that somebody made must be allowed to read it, by handlers too."""
    assistant_id = engine.assistants.identify(body.assistant_id)
    if not access.has_handlers or engine.assistants.is_of_a_graph(assistant_id):
        return {}
    caller = await access("assistants", "read", {"assistant_id": assistant_id, "metadata": {}})
    return caller.filter


async def _thread_metadata(
    engine: Engine,
    access: Access,
    caller: Caller,
    thread_id: UUID | None,
    body: RunBody,
    metadata: Object,
) -> Object:
    """Of the thread that the run makes, if it does: whoever may not make one is refused."""
    if thread_id and body.if_not_exists == "reject":
        return {}
    if access.always("threads", "create"):  # saves asking whether there is one
        return dict(metadata)
    if thread_id and await engine.threads.exists(caller, thread_id):
        return {}
    value: Object = {"thread_id": thread_id, "metadata": dict(metadata), "if_exists": "do_nothing"}
    await access("threads", "create", value)
    return value.get("metadata") or {}


def _value(engine: Engine, thread_id: UUID | None, body: RunBody, kwargs: Object) -> Object:
    """In the shape of `langgraph_sdk.auth.types.RunsCreate`. Raises `Invalid`."""
    return {
        "assistant_id": engine.assistants.identify(body.assistant_id),
        "thread_id": thread_id,
        "run_id": None,
        "status": "pending",
        "metadata": {**(body.config.metadata or {}), **body.metadata},
        "prevent_insert_if_inflight": body.multitask_strategy == "reject",
        "multitask_strategy": body.multitask_strategy,
        "if_not_exists": body.if_not_exists,
        "after_seconds": body.after_seconds,
        "kwargs": {_TOLD.get(name, name): asked for name, asked in kwargs.items()},
    }


def render(run: Run) -> Object:
    return {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "metadata": run.metadata,
        "status": run.seen_status,
        "kwargs": run.seen_kwargs,
        "multitask_strategy": run.multitask_strategy,
        "created_at": moment(run.created_at),
        "updated_at": moment(run.updated_at),
        "langsmith_session_name": None,
    }
