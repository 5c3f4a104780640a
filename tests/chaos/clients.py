"""Customers: each says a few things on a thread, and does not give up before all have ended."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import httpx

from tests.chaos.journal import Journal, Message, Seen
from tests.sse import live

_PAUSE = 0.15
_THINKING = 1.0  # seconds between what a customer says at once, as a mean
_SILENT = httpx.Timeout(8, connect=2)  # longer than the server's heartbeat
_OVER = {"success", "error", "timeout", "interrupted"}


class Customers:
    """Talk to whichever API process answers."""

    def __init__(self, apis: Sequence[str], journal: Journal, rng: Random) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=40)
        self._client = httpx.AsyncClient(timeout=_SILENT, limits=limits)
        self._apis, self._journal, self._rng = apis, journal, rng
        self._cancelling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in self._cancelling:
            task.cancel()
        await asyncio.gather(*self._cancelling, return_exceptions=True)
        await self._client.aclose()

    async def make_thread(self, thread: str) -> None:
        await self.ask("POST", "/threads", {"thread_id": thread, "if_exists": "do_nothing"})

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """An answer that is neither 429 nor 5xx, from whichever process gives it."""
        while True:
            with suppress(httpx.TransportError):
                url = self._rng.choice(self._apis) + path
                response = await self._client.request(method, url, json=body)
                if response.status_code != 429 and response.status_code < 500:
                    return response
            self._journal.tallies["requests repeated"] += 1
            await asyncio.sleep(_PAUSE)

    async def converse(self, messages: Sequence[Message]) -> None:
        """One after the other as they are acknowledged; waits for the ends of a few at a time."""
        while messages:
            burst = self._rng.randint(1, 3)
            following = []
            for message in messages[:burst]:
                heard = asyncio.Event()
                following.append(asyncio.create_task(self._say(message, heard)))
                await heard.wait()
            await asyncio.gather(*following)
            messages = messages[burst:]
            await asyncio.sleep(self._rng.uniform(0, 2 * _THINKING))

    async def _say(self, message: Message, heard: asyncio.Event) -> None:
        message.began = time.monotonic()
        try:
            await getattr(self, f"_{message.mode}")(message, heard)
        finally:
            heard.set()
        if message.run_id and not message.gone:
            await self._settle(message)

    async def _create(self, message: Message, heard: asyncio.Event) -> None:
        if await self._ask_for(message, "", heard) is None:
            return
        heard.set()
        await self._follow(message)

    async def _stream(self, message: Message, heard: asyncio.Event) -> None:
        if await self._ask_for(message, "/stream", heard) is None:
            return
        await self._follow(message)

    async def _wait(self, message: Message, heard: asyncio.Event) -> None:
        body = await self._ask_for(message, "/wait", heard)
        if body is not None:
            message.body = body

    async def _ask_for(self, message: Message, kind: str, heard: asyncio.Event) -> Any:
        """Ask with the same key until it is acknowledged. None: there is no run to follow."""
        path = f"/threads/{message.thread}/runs{kind}"
        while True:
            try:
                async with self._posted(message, path) as response:
                    if response.status_code == 409:
                        self._refused(message, (await response.aread()).decode())
                        return None
                    if response.status_code == 429 or response.status_code >= 500:
                        message.unsure |= response.status_code != 429
                        raise httpx.ReadError("try again")
                    if response.status_code != 200:
                        said = (await response.aread()).decode()
                        self._journal.wrong(f"{message.marker}: {response.status_code} {said}")
                        return None
                    self._acknowledge(message, response, heard)
                    return await self._taken(message, kind, response)
            except (httpx.TransportError, json.JSONDecodeError):
                if message.run_id and kind == "/stream":
                    return {}
                message.unsure = True
                self._journal.tallies["requests repeated"] += 1
                await asyncio.sleep(_PAUSE)

    def _posted(self, message: Message, path: str) -> Any:
        asked = {
            "assistant_id": "talk",
            "input": {"messages": [message.marker], "pace": message.pace},
            "multitask_strategy": message.strategy,
            "after_seconds": message.delay,
        }
        if message.mode != "wait":
            asked |= {"stream_mode": ["custom", "updates"], "stream_resumable": True}
        hasty = self._rng.random() < 0.1
        return self._client.stream(
            "POST",
            self._rng.choice(self._apis) + path,
            json=asked,
            headers={"Idempotency-Key": message.marker},
            timeout=httpx.Timeout(self._rng.uniform(0.005, 0.1), connect=2) if hasty else _SILENT,
        )

    def _refused(self, message: Message, said: str) -> None:
        if "is gone" in said:  # made by an earlier request, and rolled back since
            message.gone, message.acknowledged = True, message.acknowledged or time.monotonic()
        elif message.strategy == "reject":
            message.rejected = True
        else:
            self._journal.wrong(f"{message.marker}: refused: {said}")

    def _acknowledge(
        self, message: Message, response: httpx.Response, heard: asyncio.Event
    ) -> None:
        run_id = response.headers["content-location"].rpartition("/")[2]
        if message.run_id not in {None, run_id}:
            self._journal.wrong(f"{message.marker}: one key, two runs {message.run_id} {run_id}")
        message.run_id = run_id
        message.acknowledged = message.acknowledged or time.monotonic()
        heard.set()
        if message.cancel:
            action, message.cancel = message.cancel, f"{message.cancel} sent"
            self._cancelling.add(asyncio.create_task(self._cancel(message, action)))

    async def _taken(self, message: Message, kind: str, response: httpx.Response) -> Any:
        if kind == "/stream":
            await self._read(message, response)
            return {}
        return json.loads(await response.aread())

    async def _cancel(self, message: Message, action: str) -> None:
        await asyncio.sleep(self._rng.uniform(0, 1))
        path = f"/threads/{message.thread}/runs/{message.run_id}/cancel?action={action}"
        await self.ask("POST", path)

    async def _follow(self, message: Message) -> None:
        """Until the stream says how the run ended, going on behind the last event seen."""
        silent = 0
        path = f"/threads/{message.thread}/runs/{message.run_id}/stream"
        while message.outcome is None and not message.gone:
            last = "-".join(map(str, message.events[-1].id)) if message.events else "-1"
            seen = len(message.events)
            self._journal.tallies["streams reopened"] += 1
            try:
                url = self._rng.choice(self._apis) + path
                async with self._client.stream("GET", url, headers={"Last-Event-ID": last}) as got:
                    if got.status_code == 429 or got.status_code >= 500:
                        raise httpx.ReadError("try again")
                    await self._read(message, got)
            except httpx.TransportError:
                await asyncio.sleep(_PAUSE)
                continue
            if message.outcome is None and seen == len(message.events):
                await asyncio.sleep(_PAUSE)
                silent = silent + 1 if await self._is_over(message) else 0
                if silent == 3:
                    self._journal.wrong(f"{message.marker}: its stream never says how it ended")
                    return

    async def _is_over(self, message: Message) -> bool:
        path = f"/threads/{message.thread}/runs/{message.run_id}"
        answer = await self.ask("GET", path)
        return answer.status_code == 404 or self._status(message, answer) in _OVER

    def _status(self, message: Message, answer: httpx.Response) -> str:
        status: str | None = answer.json().get("status")
        if status is None:
            self._journal.wrong(f"{message.marker}: {answer.status_code} {answer.text}")
        return status or "error"

    async def _read(self, message: Message, response: httpx.Response) -> None:
        async for event_id, name, data in _events(response):
            if event_id is None:  # the run is unknown: it was rolled back
                message.gone = True
                return
            message.events.append(Seen(time.monotonic(), event_id, name, data))
            if name == "end":
                message.outcome, message.ended = data["status"], time.monotonic()
                return
            if self._rng.random() < 0.01:
                raise httpx.ReadError("the client lost its connection")

    async def _settle(self, message: Message) -> None:
        """What the API says of the run in the end."""
        path = f"/threads/{message.thread}/runs/{message.run_id}"
        while True:
            answer = await self.ask("GET", path)
            if answer.status_code == 404:
                return
            message.status = self._status(message, answer)
            if message.status in _OVER:
                return
            await asyncio.sleep(_PAUSE)


async def _events(
    response: httpx.Response,
) -> AsyncIterator[tuple[tuple[int, int] | None, str, Any]]:
    async for event in live(response):
        epoch, _, number = event.get("id", "").partition("-")
        event_id = (int(epoch), int(number)) if number else None
        yield event_id, event["event"], json.loads(event["data"])
