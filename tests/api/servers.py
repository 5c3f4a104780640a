"""The two servers, each with the open and the guarded project, in processes of their own."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.peer import DEV

PROJECT = Path(__file__).with_name("project")
ROOT = Path(__file__).parents[2]
_SECONDS = 120
_QUIET = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "NO_COLOR": "1"}


@dataclass(frozen=True)
class Place:
    """Where a server answers for the open and for the guarded project."""

    ours: bool
    open: str
    guarded: str


@asynccontextmanager
async def official() -> AsyncIterator[Place]:
    """`langgraph dev`, on copies of the project: it writes beside what it serves."""
    with tempfile.TemporaryDirectory(prefix="frontdesk-official-") as name:
        urls, starts = [], []
        for config in ("langgraph.json", "guarded.json"):
            folder = Path(name) / config.partition(".")[0]
            shutil.copytree(PROJECT, folder)
            port = free_port()
            command = [*DEV, "--port", str(port), "--config", config, "--n-jobs-per-worker", "64"]
            starts.append(_Starting(command, port, _QUIET, folder))
            urls.append(f"http://127.0.0.1:{port}")
        async with _together(starts):
            yield Place(False, *urls)


@asynccontextmanager
async def frontdesk(stores: Sequence[Mapping[str, str]]) -> AsyncIterator[Place]:
    """Ours; `stores` are the environments that name the stores of either project."""
    urls, starts = [], []
    for config, env in zip(("langgraph.json", "guarded.json"), stores, strict=True):
        port = free_port()
        command = [sys.executable, "-m", "server", "serve", "--config", str(PROJECT / config)]
        command += ["--port", str(port)]
        starts.append(_Starting(command, port, {**_PATIENT, **env}, ROOT))
        urls.append(f"http://127.0.0.1:{port}")
    async with _together(starts):
        yield Place(True, *urls)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _together(starts: Sequence["_Starting"]) -> AsyncIterator[None]:
    async with starts[0], starts[1]:
        await asyncio.gather(*(one.ready() for one in starts))
        yield


_PATIENT = {"FRONTDESK_RATE_LIMIT": "1000000", "FRONTDESK_MAX_LAG_SECONDS": "60"}


class _Starting:
    """A process, from its start to its end."""

    def __init__(self, command: Sequence[str], port: int, env: Mapping[str, str], cwd: Path):
        self._command, self._url, self._cwd = command, f"http://127.0.0.1:{port}", cwd
        self._env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115

    async def __aenter__(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, env=self._env, cwd=self._cwd, stdout=self._log, stderr=self._log
        )

    async def ready(self) -> None:
        async with httpx.AsyncClient() as http, asyncio.timeout(_SECONDS):
            while True:
                if self._process.returncode is not None:
                    raise RuntimeError(self.log())
                try:
                    if (await http.get(f"{self._url}/ok")).status_code == 200:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.2)

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 15)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._log.close()
