"""What a request of an A2A client asks for: a task that there is, or work on a message."""

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

from fastapi import Request

from engine.assistants import Assistant
from engine.caller import Caller
from engine.claims import Run
from engine.errors import NotFound
from engine.ids import parse_uuid
from engine.runtime import Engine
from engine.tasks import KEY, OVER, Task
from server.a2a.card import HISTORY_SCOPE
from server.a2a.messages import Incoming, read
from server.a2a.shapes import Dialect
from server.a2a.tasks import Scope, Teller, Wanted, placed
from server.agents import ask
from server.auth.access import Access
from server.bodies import Json, Object
from server.jsonrpc import ASKED_WRONGLY, INVALID_PARAMS, Message, RpcError, result

TASK_NOT_FOUND = -32001
TASK_NOT_CANCELABLE = -32002
UNSUPPORTED_OPERATION = -32004


@dataclass(frozen=True)
class Call:
    """One request and what it takes to answer it."""

    engine: Engine
    access: Access
    request: Request
    assistant: Assistant
    message: Message
    dialect: Dialect

    @property
    def params(self) -> Object:
        return self.message.params

    def answer(self, value: Any) -> Json:
        return Json(result(self.message.id, value))

    def wanted(self, length: Any = None, *, artifacts: bool = True) -> Wanted:
        """How much of a task to tell. Raises `RpcError` for a length or scope that is none."""
        scope = self.request.headers.get(HISTORY_SCOPE, "context")
        if scope not in {"context", "task"}:
            raise RpcError(INVALID_PARAMS, "historyScope must be 'context' or 'task'")
        if not (length is None or (isinstance(length, int) and length >= 0)):
            raise RpcError(INVALID_PARAMS, "historyLength must be a non-negative integer")
        return Wanted(cast("Scope", scope), length, artifacts)

    def teller(self, caller: Caller, wanted: Wanted) -> Teller:
        return Teller(self.engine, caller, self.dialect, wanted)


@dataclass(frozen=True)
class Work:
    """A run that was asked for in a task."""

    run: Run
    task_id: str
    teller: Teller

    @property
    def place(self) -> dict[str, str]:
        return placed(self.run.thread_id, self.task_id)

    async def task(self) -> Task:
        engine, caller = self.teller.engine, self.teller.caller
        return await engine.tasks.get(caller, self.run.thread_id, self.task_id)


async def begin(call: Call, stream_mode: str) -> Work:
    """Ask for the run that a message stands for: the answer to what is asked, or the next turn."""
    await _takes_messages(call)
    wanted = call.wanted(section(call.params, "configuration").get("historyLength"))
    message = read(call.params)
    task = await _continued(call, message)
    resumed = task is not None and task.state == "input-required"
    context = section(call.params, "metadata").get("context")
    fields = {
        "input": None if resumed else message.turn(),
        "command": {"resume": message.reply()} if resumed else None,
        "context": context if isinstance(context, dict) else None,
        "metadata": {KEY: task.task_id} if task else {},
        "stream_mode": stream_mode,
    }
    thread_id, assistant_id = _context(message, task), call.assistant.assistant_id
    try:
        caller, run = await ask(call.engine, call.access, assistant_id, thread_id, **fields)
    except ASKED_WRONGLY as error:
        raise RpcError(INVALID_PARAMS, f"Failed to create run: {error}") from error
    task_id = task.task_id if task else str(run.run_id)
    return Work(run, task_id, call.teller(caller, wanted))


async def task_of(call: Call, named: Any = None) -> tuple[Caller, Task]:
    """The task that the parameters name, and as whom it is seen. Raises `RpcError`."""
    text = named or call.params.get("id")
    if not text:
        raise RpcError(INVALID_PARAMS, "Missing required parameter: id (task_id)")
    context, _, task_id = str(text).partition(":")
    thread_id, missing = parse_uuid(context), f"Task not found: {text}"
    if thread_id is None or not task_id:
        raise RpcError(TASK_NOT_FOUND, missing)
    value = {"thread_id": thread_id, "run_id": parse_uuid(task_id)}
    caller = await call.access("threads", "read", value)
    try:
        task = await call.engine.tasks.get(caller, thread_id, task_id)
    except NotFound as error:
        raise RpcError(TASK_NOT_FOUND, missing) from error
    if task.run.assistant_id != call.assistant.assistant_id:
        raise RpcError(TASK_NOT_FOUND, missing)
    return caller, task


async def _continued(call: Call, message: Incoming) -> Task | None:
    """The task that a message goes on with: the one that it names, or that waits in its context.

    Raises `RpcError` for one that is unknown or over.
    """
    if message.task_id:
        _, task = await task_of(call, message.task_id)
        if message.context_id not in {None, str(task.run.thread_id)}:
            raise RpcError(INVALID_PARAMS, "The task is not in this context")
        if task.state in OVER:
            raise RpcError(UNSUPPORTED_OPERATION, "A terminal task cannot accept another message")
        return task
    thread_id = parse_uuid(message.context_id or "")
    if thread_id is None:
        return None
    caller = await call.access("threads", "read", {"thread_id": thread_id, "run_id": None})
    return await call.engine.tasks.waiting(caller, thread_id)


async def _takes_messages(call: Call) -> None:
    """Raises `RpcError` for an assistant whose graph does not take messages."""
    schema = await call.engine.graphs.input_schema(call.assistant.graph_id)
    fields = list(schema.get("properties") or {})
    if "messages" not in fields:
        raise RpcError(
            INVALID_PARAMS,
            f"Assistant '{call.assistant.assistant_id}' (graph '{call.assistant.graph_id}') does "
            "not support A2A conversational messages. Graph input schema must include a "
            f"'messages' field to accept text or file parts. Available input fields: {fields}",
        )


def _context(message: Incoming, waiting: Task | None) -> UUID:
    """The thread of a message; a new one where it names none. Raises `RpcError`."""
    if waiting:
        return waiting.run.thread_id
    if not message.context_id:
        return uuid4()
    if (thread_id := parse_uuid(message.context_id)) is None:
        raise RpcError(INVALID_PARAMS, "Failed to create run: Invalid thread ID")
    return thread_id


def section(params: Object, name: str) -> Object:
    value = params.get(name)
    return value if isinstance(value, dict) else {}
