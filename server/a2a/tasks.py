"""Tasks as A2A tells them: their status, what was said in them, what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from engine.caller import Caller
from engine.runtime import Engine
from engine.tasks import Task
from engine.threads import Thread
from server.a2a.shapes import Dialect
from server.bodies import Object, moment

Scope = Literal["context", "task"]

_AGENT = frozenset({"ai", "assistant"})
_USER = frozenset({"human", "user"})
_PIECES = "AIMessageChunk"


@dataclass(frozen=True)
class Wanted:
    """How much of a task: `length` is of the last messages, `artifacts` what came out."""

    scope: Scope = "context"
    length: int | None = None
    artifacts: bool = True


@dataclass(frozen=True)
class Teller:
    """Tells tasks to one caller, in one dialect."""

    engine: Engine
    caller: Caller
    dialect: Dialect
    wanted: Wanted

    async def task(self, task: Task) -> Object:
        """Raises `NotFound` when its thread is gone."""
        thread = await self.engine.threads.get(self.caller, task.run.thread_id)
        rows = spoken(thread.values, await self.engine.tasks.said(thread.thread_id), task)
        told: Object = {}
        if self.wanted.length != 0:
            mine = [one for one in rows if self.wanted.scope == "context" or one[0] == task.task_id]
            history = [one for row in mine if (one := self._message(thread.thread_id, row))]
            told["history"] = history[-(self.wanted.length or 0) :]
        if self.wanted.artifacts and (artifacts := self.artifacts(task, thread, rows)):
            told["artifacts"] = artifacts
        place = placed(thread.thread_id, task.task_id)
        return self.dialect.task(place, self._status(task, thread), **told)

    def artifacts(
        self, task: Task, thread: Thread, rows: Sequence[tuple[str | None, Object]]
    ) -> list[Object]:
        """What it answered, or what it asks."""
        if task.state == "input-required":
            about = {"name": "Interrupt", "description": "Agent requires input to continue"}
            return [
                {"artifactId": one["id"], **about, "parts": [self.dialect.data(one)]}
                for one in _interrupts(thread)
            ]
        answers = [one for owner, one in rows if owner == task.task_id and _role(one) in _AGENT]
        parts = [parts for one in answers if (parts := self.dialect.parts(one.get("content")))]
        if task.state != "completed" or not parts:
            return []
        return [
            {
                "artifactId": str(task.run.run_id),
                "name": "Assistant Response",
                "description": f"Response from assistant {task.run.assistant_id}",
                "parts": parts[-1],
            }
        ]

    def _message(self, thread_id: UUID, row: tuple[str | None, Object]) -> Object | None:
        owner, message = row
        parts = self.dialect.parts(message.get("content"))
        if not parts or _role(message) not in _AGENT | _USER:
            return None
        place = placed(thread_id, owner) if owner else {"contextId": str(thread_id)}
        return self.dialect.message(
            parts, place, message_id=message.get("id"), agent=_role(message) in _AGENT
        )

    def _status(self, task: Task, thread: Thread) -> Object:
        dialect, run = self.dialect, task.run
        parts: list[Object] = []
        if task.state == "failed":
            error = run.error or {"error": "Error", "message": run.status}
            told = f"Error executing assistant: {error['error']}: {error['message']}"
            parts = [dialect.text(told)]
        elif task.state == "canceled":
            parts = [dialect.text("Task was canceled")]
        elif task.state == "input-required":
            questions = [dialect.question(one["value"]) for one in _interrupts(thread)]
            parts = [part for question in questions for part in question]
        place = placed(thread.thread_id, task.task_id)
        message = dialect.message(parts, place) if parts else None
        return dialect.status(task.state, moment(run.updated_at), message)


class Answering:
    """What an assistant says, as it says it. A new message takes the place of the one before."""

    def __init__(self) -> None:
        self._id: str | None = None
        self.text = ""

    def hear(self, message: Object) -> None:
        """One message of a `messages` event, or a piece of one."""
        if message.get("type") not in {_PIECES, "ai"}:
            return
        said = "".join(_texts(message.get("content")))
        goes_on = message["type"] == _PIECES and message.get("id") == self._id
        self.text = self.text + said if goes_on else said or self.text
        self._id = message.get("id")


def spoken(values: Any, said: Mapping[str, str], task: Task) -> list[tuple[str | None, Object]]:
    """The messages of a thread up to the task's last, each with the task in which it was said."""
    found = values.get("messages") if isinstance(values, dict) else None
    owner: str | None = None if task.task_id in said.values() else task.task_id
    rows: list[tuple[str | None, Object]] = []
    for message in found if isinstance(found, list) else ():
        if isinstance(message, dict):
            owner = said.get(str(message.get("id")), owner)
            rows.append((owner, message))
    last = max((n for n, (owner, _) in enumerate(rows) if owner == task.task_id), default=None)
    return [*rows, *_asked(task)] if last is None else rows[: last + 1]


def placed(thread_id: UUID, task_id: str) -> dict[str, str]:
    return {"taskId": f"{thread_id}:{task_id}", "contextId": str(thread_id)}


def _asked(task: Task) -> list[tuple[str | None, Object]]:
    """What the task was asked with: the thread does not tell it yet."""
    given = task.run.kwargs["input"]
    messages = given.get("messages") if isinstance(given, dict) else None
    found = messages if isinstance(messages, list) else []
    return [(task.task_id, message) for message in found if isinstance(message, dict)]


def _role(message: Object) -> Any:
    return message.get("type") or message.get("role")


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [
        str(block.get("text", ""))
        for block in content or ()
        if isinstance(block, dict) and block.get("type") == "text"
    ]


def _interrupts(thread: Thread) -> list[Object]:
    return [one for several in (thread.interrupts or {}).values() for one in several]
