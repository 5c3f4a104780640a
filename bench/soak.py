"""Nine minutes of a hundred conversations: does anything grow? `python -m bench.soak`.

Turns are streamed, waited for, cancelled and left in the middle, and there are at times more of
them than slots, so that the queue and its hints work, too. After twenty turns a conversation is
followed by a new one. What should be flat is compared by its means over the second and the last
third of the time; what is kept of every turn must be as much in the last third as in the second.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from uuid import uuid4

import psycopg
from redis.asyncio import Redis

from bench.checkpoints.__main__ import serving
from bench.scale.client import ask, turn
from bench.scale.machine import five, free_port

CONVERSATIONS = 100
TURNS = 20
THINK_SECONDS = 3.0
SLOTS = 44  # about as many as turns are open on average: half of the time some must wait
_SAMPLES = 90
_SIZES = """
select
  (select count(*) from pg_stat_activity where backend_type = 'client backend') as backends,
  (select count(*) from frontdesk.runs) as runs,
  (select count(*) from frontdesk.runs where status in ('pending', 'running')) as unended,
  (select coalesce(sum(pg_total_relation_size(c.oid)), 0) from pg_class c
     join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and c.relname like 'procrastinate%') as job_bytes,
  (select coalesce(sum(pg_total_relation_size(c.oid)), 0) from pg_class c
     join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and n.nspname = 'frontdesk'
       and c.relname not like 'procrastinate%') as run_bytes,
  (select coalesce(sum(pg_total_relation_size(c.oid)), 0) from pg_class c
     join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and n.nspname = 'checkpoints') as checkpoint_bytes
"""
_JOB_ROWS = (
    "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
    "where c.relkind = 'r' and c.relname in ('procrastinate_jobs', 'procrastinate_events')"
)


@dataclass(frozen=True)
class Measure:
    """What is looked at, and how much the last third may be above the second."""

    name: str
    title: str
    share: float
    """As a share of the second third."""
    more: float
    """Or so much in any case."""
    unit: float = 1.0
    per_run: bool = False
    """Whether it grows with every run by nature: then its growth a run is compared."""


# Pools grow to the largest crowd they have seen, and stay so: a leak grows with every run.
MEASURES = (
    Measure("rss", "resident memory of the server, MB", 0.05, 4e6, 1e6),
    Measure("descriptors", "its file descriptors", 0.25, 12),
    Measure("sockets", "its sockets", 0.25, 12),
    Measure("backends", "Postgres connections", 0.0, 4),
    Measure("redis_clients", "Redis connections", 0.25, 12),
    Measure("job_rows", "rows of jobs and of their events", 0.0, 200),
    Measure("job_bytes", "bytes of the jobs' tables, kB", 0.25, 256e3, 1e3),
    Measure("unended", "runs not ended", 0.25, 12),
    Measure("stream_longest", "events of the longest stream in Redis", 0.10, 200),
    Measure("run_bytes", "bytes of runs and threads, a run", 0.25, 500, per_run=True),
    Measure("checkpoint_bytes", "bytes of checkpoints, a run", 0.25, 500, per_run=True),
    Measure("redis_bytes", "bytes in Redis, a run", 0.25, 500, per_run=True),
)

Sample = dict[str, float]


def compare(samples: Sequence[Sample], measure: Measure) -> tuple[float, float, bool]:
    """The second third, the last third, and whether the last is within its limit."""
    third = len(samples) // 3
    parts = samples[third : 2 * third], samples[2 * third :]
    if measure.per_run:
        second, last = (_growth(part, measure.name) for part in parts)
    else:
        second, last = (mean(sample[measure.name] for sample in part) for part in parts)
    return second, last, last - second <= max(measure.share * abs(second), measure.more)


def table(samples: Sequence[Sample]) -> tuple[str, bool]:
    """All measures, and whether all of them are flat."""
    lines, good = [f"{'':42}{'2nd third':>12}{'last third':>12}{'may be':>12}"], True
    for measure in MEASURES:
        second, last, flat = compare(samples, measure)
        limit = second + max(measure.share * abs(second), measure.more)
        figures = "".join(f"{value / measure.unit:12,.1f}" for value in (second, last, limit))
        lines.append(f"{measure.title:42}{figures}  {'flat' if flat else 'GROWS'}")
        good &= flat
    return "\n".join(lines), good


def _growth(part: Sequence[Sample], name: str) -> float:
    """Bytes a run, by least squares: one vacuum or rewrite must not decide."""
    runs, sizes = [sample["runs"] for sample in part], [sample[name] for sample in part]
    centre, middle = mean(runs), mean(sizes)
    spread = sum((run - centre) ** 2 for run in runs)
    if not spread:
        return 0.0
    return sum((r - centre) * (s - middle) for r, s in zip(runs, sizes, strict=True)) / spread


class Talk:
    """The conversations, and what became of their turns."""

    def __init__(self, port: int, think_seconds: float) -> None:
        self.outcomes = Counter[str]()
        self._port = port
        self._think = think_seconds
        self._draw = random.Random(7)  # noqa: S311 - the same every time

    async def converse(self) -> None:
        while True:
            thread_id = uuid4()
            for number in range(TURNS):
                await asyncio.sleep(self._draw.expovariate(1 / self._think))
                await self._turn(f"/threads/{thread_id}/runs", number)

    async def _turn(self, path: str, number: int) -> None:
        body = turn(f"question {number}")
        kind = self._draw.choices(("streamed", "waited", "left", "cancelled"), (80, 8, 6, 6))[0]
        if kind == "waited":
            # its answer is a document, in which there are no events to count
            answer = await ask(self._port, f"{path}/wait", body)
            good = answer.status == 200 and answer.whole
        elif kind == "streamed":
            answer = await ask(self._port, f"{path}/stream", body)
            good = answer.good
        else:
            body["on_disconnect"] = "cancel" if kind == "cancelled" else "continue"
            leave = self._draw.randint(5, 50)
            answer = await ask(self._port, f"{path}/stream", body, leave_after=leave)
            good = answer.status == 200
        if answer.shed:
            await asyncio.sleep(answer.retry_after)
        self.outcomes[kind if good else "shed" if answer.shed else "failed"] += 1


class Eyes:
    """Takes samples of the server and its stores."""

    def __init__(self, pid: int, dsn: str, redis: Redis) -> None:
        self._pid = pid
        self._dsn = dsn
        self._redis = redis

    async def look(self) -> Sample:
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as conn:
            cursor = await conn.execute(_SIZES)
            row, names = (
                await cursor.fetchone(),
                [column.name for column in cursor.description or ()],
            )
            rows = 0
            for schema, name in await (await conn.execute(_JOB_ROWS)).fetchall():
                count = await conn.execute(f'select count(*) from "{schema}"."{name}"')  # noqa: S608
                rows += (await count.fetchone() or (0,))[0]
        assert row is not None
        info = await self._redis.info()
        links = await asyncio.to_thread(_links, self._pid)
        return {
            **{name: float(value) for name, value in zip(names, row, strict=True)},
            "job_rows": float(rows),
            "rss": float(await asyncio.to_thread(_rss, self._pid)),
            "descriptors": float(len(links)),
            "sockets": float(sum(link.startswith("socket:") for link in links)),
            "redis_clients": float(info["connected_clients"]),
            "redis_bytes": float(info["used_memory_dataset"]),
            "stream_longest": float(await self._longest()),
        }

    async def _longest(self) -> int:
        keys = [key async for key in self._redis.scan_iter(count=1000, _type="stream")]
        pipe = self._redis.pipeline(transaction=False)
        for key in keys:
            pipe.xlen(key)
        return max(await pipe.execute(), default=0)


def _rss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _links(pid: int) -> list[str]:
    """What the process's file descriptors point at."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


async def soak(
    dsn: str, url: str, *, minutes: float, conversations: int
) -> tuple[list[Sample], Counter[str]]:
    """Talk for so long; returns what was seen, evenly spread over the time."""
    port, think = free_port(), min(THINK_SECONDS, minutes * 60 / 10)
    settings = {
        "FIRST_SECONDS": "0.9",
        "TOKENS_PER_SECOND": "40",
        "FRONTDESK_SLOTS": str(max(2, SLOTS * conversations // CONVERSATIONS)),
    }
    async with five(0, (dsn, url), port, **settings) as pid, Redis.from_url(url) as redis:
        talk, eyes, samples = Talk(port, think), Eyes(pid, dsn, redis), list[Sample]()
        talks = [asyncio.create_task(talk.converse()) for _ in range(conversations)]
        began = time.monotonic()
        try:
            for number in range(_SAMPLES):
                until = began + (number + 1) * minutes * 60 / _SAMPLES
                await asyncio.sleep(max(0.0, until - time.monotonic()))
                samples.append(await eyes.look())
        finally:
            for task in talks:
                task.cancel()
            ended = await asyncio.gather(*talks, return_exceptions=True)
        for error in ended:
            if not isinstance(error, asyncio.CancelledError):
                raise RuntimeError("a conversation ended by itself") from error
    return samples, talk.outcomes


def main() -> int:
    """Print the table. 1 when something grows or a turn failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS)
    chosen = parser.parse_args()
    print(
        f"soak: {chosen.conversations} conversations for {chosen.minutes:g} minutes, "
        f"{THINK_SECONDS:g} s of thinking, {TURNS} turns each, then a new one",
        flush=True,
    )
    with serving() as (dsn, redis):
        assert redis, "no redis-server or valkey-server is installed"
        samples, outcomes = asyncio.run(
            soak(dsn, redis, minutes=chosen.minutes, conversations=chosen.conversations)
        )
    text, flat = table(samples)
    print(text)
    print(f"turns: {', '.join(f'{name} {n:,}' for name, n in sorted(outcomes.items()))}")
    return 0 if flat and not outcomes["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
