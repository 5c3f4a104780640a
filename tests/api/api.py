"""What a scenario works with: one server, and a record of what it answered."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk.client import LangGraphClient

from tests.api.transcript import Answer, Frame, frame, plain, shape
from tests.sse import live
from tests.waiting import until

NOTHING = object()
ABSENT = "00000000-0000-4000-8000-000000000000"
"""An id that nothing has."""


@dataclass
class Api:
    """`http` and `guarded` ask the open and the guarded project; `sdk` asks the open one, and
    nothing of what it does is recorded."""

    http: httpx.AsyncClient
    guarded: httpx.AsyncClient
    sdk: LangGraphClient
    ours: bool
    gates: Path
    steps: list[Any] = field(default_factory=list)

    async def call(
        self, method: str, path: str, body: Any = NOTHING, *, user: str | None = None, **kwargs: Any
    ) -> Answer:
        """Ask, and record the answer; with `user` the guarded project is asked, "" being nobody."""
        answer = await self.ask(method, path, body, user=user, **kwargs)
        self.steps.append([f"{method} {plain(path)}", answer.told()])
        return answer

    async def ask(
        self, method: str, path: str, body: Any = NOTHING, *, user: str | None = None, **kwargs: Any
    ) -> Answer:
        """Ask without a record."""
        if body is not NOTHING:
            kwargs["content"] = json.dumps(body)
            kwargs["headers"] = {"content-type": "application/json", **kwargs.get("headers", {})}
        http, kwargs = self._door(user, kwargs)
        answer = await http.request(method, path, **kwargs)
        return Answer(answer.status_code, dict(answer.headers), answer.text)

    async def stream(
        self,
        method: str,
        path: str,
        body: Any = NOTHING,
        *,
        until: Callable[[list[Frame]], bool] | None = None,
        then: Callable[[], Awaitable[None]] | None = None,
        record: bool = True,
        user: str | None = None,
        **kwargs: Any,
    ) -> list[Frame]:
        """Read events to the end, or until `until` is content with them; without comments.

        `then` is done once the stream is open.
        """
        found: list[Frame] = []
        async with self.opened(method, path, body, user=user, **kwargs) as (answer, parts):
            if then:
                await then()
            async for part in parts:
                found.append(part)
                if until and until(found):
                    break
        if record:
            events = [frame.told() for frame in found]
            self.steps.append([f"{method} {plain(path)}", answer.told() | {"events": events}])
        return found

    @asynccontextmanager
    async def opened(
        self, method: str, path: str, body: Any = NOTHING, *, user: str | None = None, **kwargs: Any
    ) -> AsyncIterator[tuple[Answer, AsyncIterator[Frame]]]:
        """An answer that goes on: its head, and its events as they come."""
        http, kwargs = self._door(user, kwargs)
        if body is not NOTHING:
            kwargs["json"] = body
        async with http.stream(method, path, **kwargs) as answer:
            yield Answer(answer.status_code, dict(answer.headers), ""), _frames(answer)

    def _door(
        self, user: str | None, kwargs: dict[str, Any]
    ) -> tuple[httpx.AsyncClient, dict[str, Any]]:
        if user is None:
            return self.http, kwargs
        headers = dict(kwargs.pop("headers", {}))
        if user:
            headers["authorization"] = f"Bearer {user}"
        return self.guarded, kwargs | {"headers": headers}

    def note(self, name: str, value: Any) -> None:
        """Record the shape of something that was found."""
        self.steps.append([name, shape(value)])

    def tell(self, name: str, value: Any) -> None:
        """Record something as it is."""
        self.steps.append([name, value])

    async def thread(self, **kwargs: Any) -> str:
        """A new thread's id."""
        return str((await self.sdk.threads.create(**kwargs))["thread_id"])

    async def ran(self, graph: str, value: Any, **kwargs: Any) -> tuple[str, str]:
        """A new thread, and the run on it that has ended, however it did."""
        thread = await self.thread()
        run = await self.sdk.runs.create(thread, graph, input=value, **kwargs)
        await self.sdk.runs.join(thread, run["run_id"])
        await self.settled(thread, run["run_id"])
        return thread, str(run["run_id"])

    async def running(self, **kwargs: Any) -> tuple[str, str]:
        """A new thread, and the run on it that is inside its slow node until it is released."""
        thread = await self.thread()
        value = {"mode": "slow", "gate": str(self.gates / thread)}
        run = await self.sdk.runs.create(thread, "work", input=value, **kwargs)
        await self.begun(thread, str(run["run_id"]))
        return thread, str(run["run_id"])

    async def release(self, thread: str) -> None:
        """Let whatever is slow on this thread go on."""
        (self.gates / thread).touch()

    async def begun(self, thread: str, run: str) -> None:
        """Wait until the run is inside its slow node."""

        async def inside() -> bool:
            status = (await self.sdk.runs.get(thread, run))["status"]
            state = await self.sdk.threads.get_state(thread)
            return status == "running" and "slow" in state["next"]

        await until(inside, 45)

    async def settled(self, thread: str, run: str | None = None) -> None:
        """Wait until the run, or whatever the thread does, has ended."""

        async def ended() -> bool:
            if run and (await self.sdk.runs.get(thread, run))["status"] in {"pending", "running"}:
                return False
            return (await self.sdk.threads.get(thread))["status"] != "busy"

        await until(ended, 45)


async def _frames(answer: httpx.Response) -> AsyncIterator[Frame]:
    async for event in live(answer):
        if "event" in event:
            yield frame(event)
