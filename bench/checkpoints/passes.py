"""Every measurement. The contenders take turns, so that what the machine does hits them alike."""

import asyncio
import gc
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple

from bench.checkpoints.contenders import NOTHING, Arena, Contender, Saver, Stores
from bench.checkpoints.load import Graph, Long, graph, thread, turn
from bench.checkpoints.meters import Meters, held, relayed, stored
from bench.checkpoints.table import Row

Figures = dict[str, list[float]]


@dataclass(frozen=True)
class Sizes:
    """How much of everything; the defaults are what the goals speak of."""

    turns: int = 100
    bands: Sequence[tuple[int, int]] = ((1, 10), (45, 55), (91, 100))
    threads_of_turns: int = 3
    crowds: Sequence[tuple[int, int]] = ((1, 40), (16, 4), (64, 2))
    """Concurrent threads, and the turns of each."""
    crowd_rounds: int = 5
    checkpoints: int = 1000
    reads: int = 15
    alternating: int = 40


SMALL = Sizes(
    turns=6,
    bands=((1, 2), (3, 4), (5, 6)),
    threads_of_turns=1,
    crowds=((1, 2), (4, 1)),
    crowd_rounds=2,
    checkpoints=20,
    reads=3,
    alternating=4,
)


@dataclass(frozen=True)
class Entry:
    """A contender with its saver open on stores of its own, and warm."""

    contender: Contender
    stores: Stores
    saver: Saver
    graph: Graph

    @property
    def name(self) -> str:
        return self.contender.name


@asynccontextmanager
async def opened(arena: Arena, contenders: Sequence[Contender]) -> AsyncIterator[list[Entry]]:
    async with AsyncExitStack() as stack:
        entries = []
        for contender in contenders:
            stores = await arena.stores()
            saver = await stack.enter_async_context(contender.open(stores))
            entries.append(Entry(contender, stores, saver, graph(saver)))
            warm = thread()
            for _ in range(2):
                await turn(entries[-1].graph, warm)
        yield entries


def rounds(entries: Sequence[Entry], number: int) -> Sequence[Sequence[Entry]]:
    """Another first one each round, so that none always follows the same."""
    return [[*entries[n % len(entries) :], *entries[: n % len(entries)]] for n in range(number)]


async def turns(arena: Arena, sizes: Sizes) -> list[Row]:
    """Latency of a turn as a thread grows, and what it costs this process."""
    wall: dict[tuple[int, int], Figures] = {band: defaultdict(list) for band in sizes.bands}
    cpu: Figures = defaultdict(list)
    async with opened(arena, arena.contenders) as entries:
        for _ in range(sizes.threads_of_turns):
            threads = {entry.name: thread() for entry in entries}
            for n, order in enumerate(rounds(entries, sizes.turns), 1):
                for entry in order:
                    began, used = perf_counter(), process_time()
                    await turn(entry.graph, threads[entry.name])
                    for low, high in sizes.bands:
                        if low <= n <= high:
                            wall[low, high][entry.name].append((perf_counter() - began) * 1000)
                    cpu[entry.name].append((process_time() - used) * 1000)
    goals = [2.5, 0, 8]
    return [
        *(
            Row(f"turn {low}-{high}, ms", figures, goal)
            for ((low, high), figures), goal in zip(wall.items(), goals, strict=True)
        ),
        Row(f"client CPU of turns 1-{sizes.turns}, ms", cpu),
    ]


async def crowd(arena: Arena, sizes: Sizes) -> list[Row]:
    """Turns a second of many new threads at once, and the CPU of both sides."""
    rows = []
    meters = Meters(arena.dsn)
    async with opened(arena, arena.contenders) as entries:
        for threads, length in sizes.crowds:
            rate, client, server = defaultdict(list), defaultdict(list), defaultdict(list)
            for order in rounds(entries, sizes.crowd_rounds):
                for entry in order:
                    number = threads * length
                    gc.collect()
                    began, used, there = perf_counter(), process_time(), meters.cpu()
                    await asyncio.gather(*(_converse(entry, length) for _ in range(threads)))
                    rate[entry.name].append(number / (perf_counter() - began))
                    client[entry.name].append((process_time() - used) * 1000 / number)
                    if "postgres" in entry.contender.uses:
                        server[entry.name].append((meters.cpu() - there) * 1000 / number)
            many = threads == max(sizes.crowds)[0]
            rows += [
                Row(f"{threads} threads, turns/s", rate, 6 if many else 0, more=True),
                Row(
                    f"{threads} threads, share of the limit",
                    _shares(rate),
                    0.65 if many else 0,
                    NOTHING,
                    more=True,
                ),
                Row(f"{threads} threads, client CPU of a turn, ms", client),
                Row(f"{threads} threads, Postgres CPU of a turn, ms", server),
            ]
    meters.close()
    return rows


def _shares(rates: Figures) -> Figures:
    limit = rates.get(NOTHING, [])
    return {
        name: [rate / most for rate, most in zip(own, limit, strict=True)]
        for name, own in rates.items()
        if limit
    }


async def _converse(entry: Entry, length: int) -> None:
    place = thread()
    for _ in range(length):
        await turn(entry.graph, place)


async def alone(arena: Arena, sizes: Sizes) -> list[Row]:
    """What one long thread leaves behind, each contender by itself."""
    wal, server, packed, raw = (defaultdict(list) for _ in range(4))
    redis: Figures = defaultdict(list)
    meters = Meters(arena.dsn)
    for contender in arena.contenders:
        if not contender.uses:
            continue
        async with opened(arena, [contender]) as (entry,):
            empty = await asyncio.to_thread(stored, entry.stores.dsn, packed=True)
            before = await held(arena.redis) if arena.redis else 0
            meters.settle()
            log, used = meters.wal(), meters.cpu()
            await _converse(entry, sizes.turns)
            if "postgres" in contender.uses:
                wal[entry.name].append((meters.wal() - log) / sizes.turns / 1000)
                server[entry.name].append((meters.cpu() - used) * 1000 / sizes.turns)
            if "redis" in contender.uses and arena.redis:
                await asyncio.sleep(0.5)  # a copy is completed when its thread rests
                redis[entry.name].append((await held(arena.redis) - before) / 1000)
        if "postgres" in contender.uses:
            for figures, full in ((raw, False), (packed, True)):
                size = await asyncio.to_thread(stored, entry.stores.dsn, packed=full)
                figures[entry.name].append((size - empty) / 1000)
    meters.close()
    return [
        Row(f"thread of {sizes.turns} turns, kB", packed, 40),
        Row("  before a full vacuum, kB", raw),
        Row("  in Redis, kB", redis),
        Row("  write-ahead log of a turn, kB", wal, 35),
        Row("  Postgres CPU of a turn, ms", server),
    ]


async def long(arena: Arena, sizes: Sizes) -> list[Row]:
    """A thread of many checkpoints: put, read with and without what the process knows, list."""
    put, warm, cold, listed = (defaultdict(list) for _ in range(4))
    able = [contender for contender in arena.contenders if contender.name != NOTHING]
    async with opened(arena, able) as entries:
        threads = {entry.name: Long(entry.saver) for entry in entries}
        for entry in entries:
            await threads[entry.name].grow(sizes.checkpoints)
        for order in rounds(entries, sizes.reads):
            for entry in order:
                long = threads[entry.name]
                put[entry.name].append(await _timed(long.grow(1)))
                await entry.saver.aget_tuple(long.config)
                warm[entry.name].append(await _timed(entry.saver.aget_tuple(long.config)))
                listed[entry.name].append(await _timed(_list(entry.saver, long)))
                if entry.contender.uses:
                    cold[entry.name].append(await _cold(entry, long))
    size = sizes.checkpoints
    return [
        Row(f"aput at {size} checkpoints, ms", put),
        Row(f"aget_tuple at {size}, warm, ms", warm, 10),
        Row(f"aget_tuple at {size}, cold, ms", cold, 2),
        Row(f"alist(limit=10) at {size}, ms", listed, 20),
    ]


async def _timed(work: Any) -> float:
    gc.collect()
    began = perf_counter()
    await work
    return (perf_counter() - began) * 1000


async def _list(saver: Saver, long: Long) -> list[CheckpointTuple]:
    return [found async for found in saver.alist(long.config, limit=10)]


async def _cold(entry: Entry, long: Long) -> float:
    """A saver that knows nothing of the thread, its connections and their plans being there."""
    async with entry.contender.open(entry.stores) as saver:
        short = Long(saver)
        await short.grow(1)
        await asyncio.gather(*(saver.aget_tuple(short.config) for _ in range(10)))
        return await _timed(saver.aget_tuple(long.config))


async def alternating(arena: Arena, sizes: Sizes) -> list[Row]:
    """A thread whose turns alternate between two processes, as if each had its own saver."""
    wall: Figures = defaultdict(list)
    size: Figures = defaultdict(list)
    able = [contender for contender in arena.contenders if contender.uses]
    async with AsyncExitStack() as stack:
        entries = await stack.enter_async_context(opened(arena, able))
        others = {
            entry.name: graph(await stack.enter_async_context(entry.contender.open(entry.stores)))
            for entry in entries
        }
        empty = {
            e.name: await asyncio.to_thread(stored, e.stores.dsn, packed=True) for e in entries
        }
        threads = {entry.name: thread() for entry in entries}
        for n, order in enumerate(rounds(entries, sizes.alternating)):
            for entry in order:
                one = entry.graph if n % 2 else others[entry.name]
                wall[entry.name].append(await _timed(turn(one, threads[entry.name])))
    for entry in entries:
        if "postgres" in entry.contender.uses:
            full = await asyncio.to_thread(stored, entry.stores.dsn, packed=True)
            size[entry.name].append((full - empty[entry.name]) / 1000)
    last = sizes.alternating // 4
    return [
        Row(
            f"two processes, last {last} of {sizes.alternating} turns, ms",
            {name: values[-last:] for name, values in wall.items()},
        ),
        Row("  the thread, kB", size),
    ]


async def trips(arena: Arena, _: Sizes) -> list[Row]:
    """Round trips of a turn, and of what it begins with: reading the latest checkpoint.

    What a saver asks in the background now and then may fall into one of them: hence the median.
    """
    postgres: dict[str, Figures] = defaultdict(dict)
    redis: dict[str, Figures] = defaultdict(dict)
    for contender in filter(lambda each: each.uses, arena.contenders):
        async with (
            relayed(await arena.stores()) as (stores, *relays),
            contender.open(stores) as saver,
            contender.open(stores) as other,
        ):
            for title, work in _works(saver, other):
                for _ in range(12):  # on every connection
                    await work()
                await asyncio.sleep(0.5)  # what a saver does once its thread rests
                for _ in range(5):
                    before = [relay.trips for relay in relays]
                    await work()
                    for name, figures, n in (("postgres", postgres, 0), ("redis", redis, 1)):
                        if name in contender.uses:
                            done = relays[n].trips - before[n]
                            figures[title].setdefault(contender.name, []).append(done)
    rows = []
    for title in postgres:
        hot = "read" in title
        rows += [
            Row(
                f"{title}, round trips to Postgres",
                postgres[title],
                exact=("tiered", 0) if hot else None,
            ),
            Row(
                f"{title}, round trips to Redis", redis[title], exact=("tiered", 1) if hot else None
            ),
        ]
    return rows


def _works(saver: Saver, other: Saver) -> Sequence[tuple[str, Callable[[], Awaitable[Any]]]]:
    place, runner = thread(), graph(saver)
    return [
        ("a turn", lambda: turn(runner, place)),
        ("a read", lambda: saver.aget_tuple(place)),
        ("a read by another process", lambda: other.aget_tuple(place)),
    ]
