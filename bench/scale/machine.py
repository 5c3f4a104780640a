"""Which core does what, the processes that are measured, and the CPU they use."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
_TICKS = os.sysconf("SC_CLK_TCK")
_READY_SECONDS = 60.0


@contextmanager
def on_cores(*cores: int) -> Iterator[None]:
    """What is started here runs on these cores; so do we meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def seconds_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def seconds_busy() -> dict[int, float]:
    """Seconds that each core was not idle since the machine's start."""
    lines = Path("/proc/stat").read_text().splitlines()
    cores = [line.split() for line in lines if line[:3] == "cpu" and line[3].isdecimal()]
    # user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user already
    return {
        int(name[3:]): (sum(map(int, times[:8])) - int(times[3]) - int(times[4])) / _TICKS
        for name, *times in cores
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def five(
    core: int, stores: tuple[str, str], port: int = 0, **settings: str
) -> AsyncIterator[int]:
    """The five-node graph in a process of its own, on one core; yields its pid.

    Ready when it answers on `port`; a worker has none. `stores` are the URLs of Postgres and Redis.
    """
    folder = tempfile.TemporaryDirectory(prefix="frontdesk-bench-")
    env = _environment(stores, {"FRONTDESK_DATA": folder.name, **settings})
    said = Path(folder.name, "said")
    process = await asyncio.to_thread(_start, core, port, env, said)
    try:
        if port:
            await _ready(port, process)
        yield process.pid
        if process.poll() is not None:
            raise SystemExit(f"the server ended by itself, with {process.returncode}")
    finally:
        await asyncio.to_thread(_stop, process)
        _repeat(said)
        folder.cleanup()


def _start(core: int, port: int, env: Mapping[str, str], said: Path) -> "subprocess.Popen[bytes]":
    # The affinity is of this thread alone, and of what it starts.
    with on_cores(core), said.open("wb") as log:
        command = [sys.executable, "-m", "bench.five_server", str(port)]
        return subprocess.Popen(command, env=dict(env), stderr=log)


def _repeat(said: Path) -> None:
    """What the process complained of, each complaint once."""
    lines = said.read_text(errors="replace").splitlines()
    plain = [
        line for line in lines if line and not line.startswith((" ", "Traceback", "The above"))
    ]
    for line, times in Counter(plain).most_common(5):
        print(f"  the server said {times} times: {line[:120]}", flush=True)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment(stores: tuple[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FRONTDESK_", "OPENAI_"))}
    return {**kept, "DATABASE_URL": stores[0], "REDIS_URL": stores[1], **settings}


async def _ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while True:
            if process.poll() is not None:
                raise SystemExit(f"the server ended with {process.returncode}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.close()
            return
