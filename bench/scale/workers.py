"""What a second worker process adds: runs wait in Postgres, workers without API carry them.

The runs are made before the workers start, so that only their work is seen. One worker and two
take turns, each time in fresh processes.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import mean
from uuid import uuid4

import psycopg

from bench.scale.client import ask
from bench.scale.machine import CORES, five, free_port, seconds_busy, seconds_of

GOAL_RATIO = 1.9
GOAL_CPU = 1.10
_FILLERS = 16
_LOOKS = 600  # a tenth of a second apart
_ENDED = "select count(*) from frontdesk.runs where status = 'success'"
_RUNNING = "select count(*) from frontdesk.runs where status = 'running'"
_WAITING = "select count(*) from frontdesk.runs where status = 'pending'"


@dataclass(frozen=True)
class Sizes:
    slots: int = 50
    model_seconds: float = 1.0
    """To the first token; the others come with it, as from a model that is not streamed."""
    settle_seconds: float = 3.0
    seconds: float = 14.0
    rounds: int = 2


SMALL = Sizes(3, 0.2, 0.3, 1.0, 1)


@dataclass(frozen=True)
class Seen:
    """So many workers: runs a second, and seconds of the workers' CPU a run."""

    workers: int
    rate: float
    cpu: float
    full: float
    """The share of the slots that was at work, on average."""
    busy: float
    """The share of the whole machine that was: near 1 there was no room for a second worker."""


async def measure(dsn: str, redis: str, sizes: Sizes) -> list[Seen]:
    """One worker, two, and again; each printed as it ends."""
    seen = list[Seen]()
    port, roles = free_port(), {"FRONTDESK_ROLE": "api", "FRONTDESK_MAX_WAITING": "1000000"}
    async with five(CORES[-1], (dsn, redis), port, **roles):
        for number in [1, 2] * sizes.rounds:
            await _fill(dsn, port, number, sizes)
            seen.append(await _work(dsn, redis, number, sizes))
            print(
                f"{number} worker{'s' * (number > 1)}: {seen[-1].rate:.1f} runs/s, "
                f"{1000 * seen[-1].cpu:.1f} ms of their CPU a run, slots {seen[-1].full:.0%} full, "
                f"all cores {seen[-1].busy:.0%} busy",
                flush=True,
            )
    return seen


def verdict(seen: Sequence[Seen]) -> tuple[str, bool]:
    """What two carry of what one does, and what a run costs then."""
    one, two = ([s for s in seen if s.workers == n] for n in (1, 2))
    ratio = mean(s.rate for s in two) / mean(s.rate for s in one)
    cpu = mean(s.cpu for s in two) / mean(s.cpu for s in one)
    good = ratio >= GOAL_RATIO and cpu <= GOAL_CPU
    return (
        f"two carry {ratio:.2f} times the runs of one (goal {GOAL_RATIO}), at {cpu:.2f} times the "
        f"CPU a run (goal at most {GOAL_CPU:.2f}): {'reached' if good else 'MISSED'}",
        good,
    )


def says(sizes: Sizes) -> str:
    """What is measured, declared."""
    return (
        f"\nworkers: {sizes.slots} slots each, one a core; five nodes, a simulated model of "
        f"{sizes.model_seconds:g} s, nobody listening; Postgres and Redis on any core; runs made "
        f"before; {sizes.seconds:g} s of steady work, {sizes.rounds} times each, in turns"
    )


async def _fill(dsn: str, port: int, workers: int, sizes: Sizes) -> None:
    """Let more runs wait than the workers can carry meanwhile."""
    seconds = sizes.seconds + 2 * sizes.settle_seconds + 3
    wanted = round(workers * sizes.slots * (seconds / sizes.model_seconds + 1))
    body = {"assistant_id": "five", "input": {"said": "?"}, "if_not_exists": "create"}

    async def fill(number: int) -> None:
        for _ in range(number):
            answer = await ask(port, f"/threads/{uuid4()}/runs", body)
            if answer.status != 200:
                raise SystemExit(f"a run could not be made: {answer}")

    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        missing = max(0, wanted - await _count(conn, _WAITING))
    await asyncio.gather(*(fill(missing // _FILLERS + 1) for _ in range(_FILLERS)))


async def _work(dsn: str, redis: str, number: int, sizes: Sizes) -> Seen:
    settings = {
        "FRONTDESK_ROLE": "worker",
        "FRONTDESK_SLOTS": str(sizes.slots),
        "FRONTDESK_DRAIN_SECONDS": "3",
        "FIRST_SECONDS": str(sizes.model_seconds),
        "TOKENS_PER_SECOND": "1e9",
    }
    async with AsyncExitStack() as stack:
        conn = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        await stack.enter_async_context(conn)
        pids = [
            await stack.enter_async_context(
                five(CORES[n % len(CORES)], (dsn, redis), 0, **settings)
            )
            for n in range(number)
        ]
        await _until_full(conn, number * sizes.slots)
        await asyncio.sleep(sizes.settle_seconds)
        began, ended, cpu = time.monotonic(), await _count(conn, _ENDED), sum(map(seconds_of, pids))
        running, busy = list[int](), sum(seconds_busy().values())
        while time.monotonic() - began < sizes.seconds:
            await asyncio.sleep(min(1.0, sizes.seconds / 4))
            running.append(await _count(conn, _RUNNING))
        runs = await _count(conn, _ENDED) - ended
        seconds, cpu = time.monotonic() - began, sum(map(seconds_of, pids)) - cpu
        busy = (sum(seconds_busy().values()) - busy) / seconds / len(seconds_busy())
        if not await _count(conn, _WAITING):
            raise SystemExit("the workers ran out of work")
    full = mean(running) / (number * sizes.slots)
    return Seen(number, runs / seconds, cpu / max(1, runs), full, busy)


async def _until_full(conn: psycopg.AsyncConnection, slots: int) -> None:
    """Return when as good as every slot is at work."""
    for _ in range(_LOOKS):
        if await _count(conn, _RUNNING) >= 0.8 * slots:
            return
        await asyncio.sleep(0.1)
    raise SystemExit("the workers did not take up their work")


async def _count(conn: psycopg.AsyncConnection, question: str) -> int:
    row = await (await conn.execute(question)).fetchone()
    assert row is not None
    return int(row[0])
