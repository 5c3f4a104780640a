"""A server of its own for a benchmark: a real process, a fresh data folder, local models."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient


@asynccontextmanager
async def served(**settings: str) -> AsyncIterator[LangGraphClient]:
    """Start `frontdesk serve` on a free port of loopback, wait for `/ok`, stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-") as folder:
        # As root, the servers' own account has to reach it.
        await asyncio.to_thread(os.chmod, folder, 0o755)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FRONTDESK_", "OPENAI_"))}
        env |= {"FRONTDESK_DATA": folder, "FRONTDESK_RATE_LIMIT": "1000000", **settings}
        command = [sys.executable, "-m", "server", "serve", "--port", str(port)]
        process = await asyncio.to_thread(subprocess.Popen, command, env=env, cwd=folder)
        try:
            url = f"http://127.0.0.1:{port}"
            await _ready(url, process)
            yield get_client(url=url, timeout=120)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 30)


async def _ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(2400):
            if process.poll() is not None:
                raise SystemExit(f"the server ended with {process.returncode}")
            try:
                if (await client.get(f"{url}/ok")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise SystemExit("the server did not become ready")
