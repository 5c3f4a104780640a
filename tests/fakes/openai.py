"""A server that speaks OpenAI's wire protocol on loopback: it simulates a model, and says so.

    async with open_fake_openai() as fake:
        fake.script(Reply("Yes."), Reply(status=429, retry_after=0.1), Reply("Hm", cut="dropped"))
        ...  # any OpenAI client with base_url=fake.url
        assert fake.requests[0].body["model"] == "large"

Alone, for other processes and benchmarks: `python -m tests.fakes.openai --port 8000`.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from tests.fakes.wire import (
    JSON,
    Rejected,
    Reply,
    check_chat,
    cite_first_passage,
    pieces,
    vector,
    whole,
)

__all__ = ["FakeOpenAI", "Latency", "Reply", "Request", "open_fake_openai"]

Send = Callable[[JSON], Awaitable[None]]
Receive = Callable[[], Awaitable[JSON]]


@dataclass(frozen=True)
class Latency:
    """Seconds until the first piece, and between pieces."""

    first: float = 0.0
    piece: float = 0.0


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    path: str
    headers: dict[str, str]
    body: JSON


class Dropped(Exception):
    """Raised inside the application so that the server closes the connection."""


@dataclass
class FakeOpenAI:
    """The ASGI application, what it will say, and what it was asked."""

    answer: Callable[[JSON], Reply] = cite_first_passage
    """Answers whatever the script has no reply for."""
    latency: Latency = Latency()
    key: str | None = None
    """Refuses every other key; None takes all."""
    models: tuple[str, ...] = ("fake-large", "fake-small", "fake-embedding")
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    replies: deque[Reply] = field(default_factory=deque)

    def script(self, *replies: Reply) -> None:
        """Say these next, one a request."""
        self.replies.extend(replies)

    async def __call__(self, scope: JSON, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        raw = b""
        while True:
            event = await receive()
            raw += event.get("body", b"")
            if not event.get("more_body"):
                break
        path = scope["path"]
        try:
            self._check_key(headers)
            body = json.loads(raw) if raw else {}
            self.requests.append(Request(path, headers, body))
            if path.endswith("/chat/completions"):
                await self._chat(body, receive, send)
            elif path.endswith("/embeddings"):
                await respond(send, self._embeddings(body))
            elif path.endswith("/models"):
                data = [{"id": name, "object": "model", "created": 0} for name in self.models]
                await respond(send, {"object": "list", "data": data})
            else:
                raise Rejected(f"Invalid URL ({scope['method']} {path})", 404)
        except Rejected as error:
            await respond(send, problem(str(error), error.code), error.status)

    def _check_key(self, headers: dict[str, str]) -> None:
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if self.key is not None and given != self.key:
            raise Rejected("Incorrect API key provided.", 401, "invalid_api_key")

    async def _chat(self, body: JSON, receive: Receive, send: Send) -> None:
        check_chat(body)
        reply = self.replies.popleft() if self.replies else self.answer(body)
        if reply.status != 200:
            await respond(send, problem("Scripted failure."), reply.status, reply.retry_after)
            return
        prompt = len(json.dumps(body["messages"])) // 4
        said = sum(1 for _ in pieces(reply))
        usage = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
        finish = reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")
        head = {"id": f"chatcmpl-{len(self.requests)}", "created": int(time.time())}
        head["model"] = body["model"]
        if body.get("stream"):
            await self._stream(body, reply, {**head, "usage": usage}, finish, receive, send)
            return
        await asyncio.sleep(self.latency.first + self.latency.piece * said)
        if reply.hang:
            await until_gone(receive)
            return
        choice = {"index": 0, "message": whole(reply), "finish_reason": finish, "logprobs": None}
        answer = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
        await respond(send, answer)

    async def _stream(
        self, body: JSON, reply: Reply, head: JSON, finish: str, receive: Receive, send: Send
    ) -> None:
        wants_usage = (body.get("stream_options") or {}).get("include_usage")
        usage = head.pop("usage")
        head["object"] = "chat.completion.chunk"

        async def event(delta: JSON | None, finish_reason: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
            chunk = {**head, "choices": [] if delta is None else [choice]}
            if wants_usage:
                chunk["usage"] = usage if delta is None else None
            await send(body_part(f"data: {json.dumps(chunk)}\n\n".encode(), more=True))

        await asyncio.sleep(self.latency.first)
        await send(start(200, b"text/event-stream"))
        for number, delta in enumerate(pieces(reply)):
            if (reply.cut or reply.hang) and number == reply.after:
                break
            await event(delta)
            await asyncio.sleep(self.latency.piece)
        if reply.hang:
            await until_gone(receive)
        elif reply.cut == "dropped":
            raise Dropped
        elif reply.cut == "ended":
            await send(body_part(b"", more=False))
        else:
            await event({}, finish)
            if wants_usage:
                await event(None)
            await send(body_part(b"data: [DONE]\n\n", more=False))

    def _embeddings(self, body: JSON) -> JSON:
        if not body.get("model"):
            raise Rejected("you must provide a model parameter")
        given = body.get("input")
        texts = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
        data = []
        for index, text in enumerate(texts):
            values: Any = vector(text, body.get("dimensions") or 256)
            if body.get("encoding_format") == "base64":
                values = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
            data.append({"object": "embedding", "index": index, "embedding": values})
        tokens = sum(len(str(text)) // 4 + 1 for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}


async def until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def problem(message: str, code: str | None = None) -> JSON:
    kind = "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def start(status: int, content_type: bytes, *headers: tuple[bytes, bytes]) -> JSON:
    listed = [(b"content-type", content_type), *headers]
    return {"type": "http.response.start", "status": status, "headers": listed}


def body_part(body: bytes, *, more: bool) -> JSON:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def respond(
    send: Send, body: JSON, status: int = 200, retry_after: float | None = None
) -> None:
    extra = [] if retry_after is None else [(b"retry-after", str(retry_after).encode())]
    await send(start(status, b"application/json", *extra))
    await send(body_part(json.dumps(body).encode(), more=False))


class _Server(uvicorn.Server):
    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()  # the test runner keeps its own


@contextlib.asynccontextmanager
async def open_fake_openai(
    fake: FakeOpenAI | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[FakeOpenAI]:
    """Serve on a free loopback port of this loop; `fake.url` is the base URL for clients."""
    fake = fake or FakeOpenAI()
    listening = socket.create_server((host, port))
    fake.url = f"http://{host}:{listening.getsockname()[1]}/v1"
    config = uvicorn.Config(
        fake, lifespan="off", ws="none", log_level="critical", timeout_graceful_shutdown=1
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield fake
    finally:
        server.should_exit = True
        await task


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--first", type=float, default=0.0, help="seconds to the first piece")
    parser.add_argument("--piece", type=float, default=0.0, help="seconds between pieces")
    parser.add_argument("--key", help="refuse every other key")
    parser.add_argument("--script", type=Path, help="a Reply's fields as JSON on each line")
    given = parser.parse_args()
    fake = FakeOpenAI(latency=Latency(given.first, given.piece), key=given.key)
    if given.script:
        fake.script(*(Reply(**json.loads(line)) for line in given.script.open()))
    async with open_fake_openai(fake, host=given.host, port=given.port):
        print(fake.url, flush=True)  # noqa: T201 - whoever started this waits for the line
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
