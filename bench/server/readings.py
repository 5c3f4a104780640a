"""What is read off the servers: commits, memory, idle CPU."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from bench.server.contenders import Served
from bench.wire import wired

_QUIET_SECONDS = 2.0
_AT_ONCE = 32
_NEXT = "select pg_snapshot_xmax(pg_current_snapshot())::text"


async def commits(dsn: str, work: Callable[[], Awaitable[Any]], runs: int) -> float:
    """Write transactions a run, by the numbers that PostgreSQL gives them; those of waiting off.

    Its counters of commits would tell ten seconds later.
    """
    before = await asyncio.to_thread(_numbers, dsn)
    await asyncio.sleep(_QUIET_SECONDS)
    quiet = await asyncio.to_thread(_numbers, dsn)
    began = asyncio.get_running_loop().time()
    await work()
    worked = asyncio.get_running_loop().time() - began
    after = await asyncio.to_thread(_numbers, dsn)
    pace = (quiet - before) / _QUIET_SECONDS
    return max(0.0, (after - quiet - pace * worked) / runs)


def _numbers(dsn: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(_NEXT).fetchone()
    return int(row[0]) if row else 0


async def touched_rss(entry: Served, counts: Sequence[int]) -> list[tuple[int, float]]:
    """MB resident after a run on each of so many threads."""
    done, found = 0, []
    for count in counts:
        await _touch(entry.port, count - done)
        done = count
        await asyncio.sleep(1)
        found.append((count, _rss(entry.pid)))
    return found


async def _touch(port: int, number: int) -> None:
    left = iter(range(number))
    body = {"assistant_id": "five", "input": {"said": "hello"}, "if_not_exists": "create"}
    async with wired(port, _AT_ONCE) as wires:

        async def work(n: int) -> None:
            for _ in left:
                await wires[n].ask("POST", f"/threads/{uuid4()}/runs/wait", body)

        await asyncio.gather(*(work(n) for n in range(_AT_ONCE)))


async def idle_share(pid: int, seconds: float) -> float:
    """The share of a core that the process takes while nobody asks it for anything."""
    await asyncio.sleep(2)
    before = cpu_seconds(pid)
    await asyncio.sleep(seconds)
    return (cpu_seconds(pid) - before) / seconds


def cpu_seconds(pid: int) -> float:
    """Of all the process's threads that are alive."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _rss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (each for each in lines if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1000
