"""Who is measured: processes of their own on one core, while the client is on another."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from bench.checkpoints.contenders import Stores
from bench.five import TOKENS
from bench.peer import DEV
from bench.server.inside import SAID
from bench.server.load import Crowd, Durability, Streamed, crowd, streams
from bench.wire import Wire, WireError, wired

CORES = sorted(os.sched_getaffinity(0))
"""The first is for who is measured, the last for the client."""

SLOTS = 300
_LIMIT = 1 << 24


class Contender(Protocol):
    name: str
    pid: int

    async def crowd(self, threads: int, turns: int, durability: Durability) -> Crowd: ...

    async def streams(self, number: int, durability: Durability) -> list[Streamed]: ...


class InProcess:
    """The graph in a process that does nothing else."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name, self.pid = name, process.pid
        self._process = process

    async def crowd(self, threads: int, turns: int, durability: Durability) -> Crowd:
        runs, seconds = await self._order([threads, turns, durability])
        return Crowd(runs, seconds)

    async def streams(self, number: int, durability: Durability) -> list[Streamed]:
        return [Streamed(*each) for each in await self._order([number, durability])]

    async def _order(self, order: list[Any]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return json.loads(await self._process.stdout.readline())


class Served:
    """The graph behind the API, called by clients that keep their connections."""

    def __init__(self, name: str, pid: int, port: int) -> None:
        self.name, self.pid, self.port = name, pid, port

    async def crowd(self, threads: int, turns: int, durability: Durability) -> Crowd:
        body = _body(durability)
        async with wired(self.port, threads) as wires:

            async def call(number: int, thread: str) -> None:
                said = await wires[number].ask("POST", f"/threads/{thread}/runs/wait", body)
                if b'"valid":true' not in said.replace(b" ", b""):
                    raise WireError(said.decode())

            return await crowd(call, threads, turns)

    async def streams(self, number: int, durability: Durability) -> list[Streamed]:
        async with wired(self.port) as (wire,):
            return await streams(lambda thread: _stream(wire, thread, durability), number)


async def _stream(wire: Wire, thread: str, durability: Durability) -> Streamed:
    body = _body(durability) | {"stream_mode": ["custom"]}
    began, first, said = perf_counter(), 0.0, b""
    async for part in wire.parts("POST", f"/threads/{thread}/runs/stream", body):
        said += part
        if not first and b'"token"' in said:
            first = (perf_counter() - began) * 1000
    if said.count(b'"token"') != TOKENS:
        raise WireError(said.decode())
    return Streamed(first, (perf_counter() - began) * 1000)


def _body(durability: Durability) -> dict[str, Any]:
    return {
        "assistant_id": "five",
        "input": {"said": SAID},
        "if_not_exists": "create",
        "durability": durability,
    }


@asynccontextmanager
async def inside(name: str, stores: Stores) -> AsyncIterator[Contender]:
    with on_core(CORES[0]):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.server.inside", name, stores.dsn, stores.redis or ""),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=_LIMIT,
        )
    try:
        assert process.stdin
        assert process.stdout
        assert await process.stdout.readline() == b"ready\n"
        yield InProcess(name, process)
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def served(stores: Stores, checkout: Path | None = None) -> AsyncIterator[Served]:
    """Our server, as it is in this checkout or in that one: one process, room for everybody."""
    folder = str(checkout or Path.cwd())
    env = {
        "DATABASE_URL": stores.dsn,
        "REDIS_URL": stores.redis or "",
        "FRONTDESK_SLOTS": str(SLOTS),
        "FRONTDESK_RATE_LIMIT": "1000000000",
        "PYTHONPATH": folder,
    }
    port = free_port()
    command = [sys.executable, "-m", "bench.five_server", str(port)]
    async with serving("server", command, port, env, folder) as contender:
        yield contender


@asynccontextmanager
async def official() -> AsyncIterator[Served]:
    """`langgraph dev`, with as many jobs at a time as the widest pass that it takes part in."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-") as folder:
        _write_project(Path(folder))
        command = [*DEV, "--port", str(port), "--n-jobs-per-worker", "64"]
        env = {"LANGSMITH_TRACING": "false", "PYTHONPATH": str(Path.cwd())}
        async with serving("langgraph dev", command, port, env, folder) as contender:
            yield contender


def _write_project(folder: Path) -> None:
    code = "from bench.five import build\n\ngraph = build().compile()\n"
    (folder / "served.py").write_text(code)
    written = {"dependencies": ["."], "graphs": {"five": "./served.py:graph"}}
    (folder / "langgraph.json").write_text(json.dumps(written))


@asynccontextmanager
async def serving(
    name: str, command: Sequence[str], port: int, env: Mapping[str, str], folder: str | None = None
) -> AsyncIterator[Served]:
    """A server on its core, once it answers at `/ok`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FRONTDESK_", "OPENAI_"))}
    with on_core(CORES[0]), tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *command, env={**clean, **env}, cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        await _ready(process, port)
        yield Served(name, process.pid, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(process: asyncio.subprocess.Process, port: int) -> None:
    for _ in range(600):
        if process.returncode is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        try:
            async with wired(port) as (wire,):
                await wire.ask("GET", "/ok")
                return
        except (OSError, WireError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.1)
    raise SystemExit("the server did not become ready")


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside the block stays on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
