"""`python -m bench.server`: one graph in process, behind our server and behind the official one.

Everybody runs the five-node graph (60 tokens, no model) in turns, on one core; the client has
another, PostgreSQL and Redis are wherever they fall. Prints a table, the goals, and ends with 1
when one was missed.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.checkpoints.__main__ import serving
from bench.checkpoints.contenders import OFFICIAL, Arena, arena
from bench.server.contenders import CORES, SLOTS, Contender, inside, official, on_core, served
from bench.server.inside import BARE
from bench.server.load import Durability
from bench.server.readings import commits, idle_share, touched_rss
from bench.server.table import DEV, OURS, SERVER, Measured, Row, median, verdicts

NAMES = (BARE, OFFICIAL, OURS, SERVER, DEV)
TURNS = {1: 40, 16: 12, 64: 6, 256: 3}
LONG = 100


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    widths: Sequence[int]
    rounds: int
    streams: int
    long: int
    touched: Sequence[int]
    idle_seconds: float


FULL = Sizes((1, 16, 64, 256), 3, 30, LONG, (0, 1_000, 10_000), 15)
QUICK = Sizes((1, 4), 1, 3, 10, (0, 20), 1)


async def measure(
    field: Arena, names: Sequence[str], sizes: Sizes, durability: Durability
) -> Measured:
    """Everybody in turns, a width after the other."""
    found = Measured(durability)
    async with AsyncExitStack() as stack:
        entries: dict[str, Contender] = {}
        dsns: dict[str, str] = {}
        for name in names:
            stores = await field.stores()
            own = {SERVER: served(stores), DEV: official()}.get(name) or inside(name, stores)
            entries[name] = await stack.enter_async_context(own)
            dsns[name] = stores.dsn
        for entry in entries.values():
            await entry.crowd(8, 3, durability)
        for width in sizes.widths:
            await _crowds(entries, found, sizes, width)
        for name, entry in entries.items():
            patience = 5 if name == DEV else sizes.long
            done = await entry.streams(min(sizes.streams, patience), durability)
            found.first[name] = median([each.first for each in done])
            found.total[name] = median([each.total for each in done])
            found.commits[name] = await commits(
                dsns[name], lambda entry=entry: entry.crowd(4, 5, durability), 20
            )
            runs = (await entry.crowd(1, min(sizes.long, patience), durability)).runs
            tenth = max(1, len(runs) // 10)
            found.growth[name] = median(runs[-tenth:]) / median(runs[:tenth])
    return found


async def _crowds(entries: dict[str, Contender], found: Measured, sizes: Sizes, width: int) -> None:
    names = list(entries)
    got: dict[str, list[Row]] = {name: [] for name in names}
    for n in range(sizes.rounds):
        for name in [*names[n % len(names) :], *names[: n % len(names)]]:
            if name == DEV and (n or width > 16):  # it looks for work once a second
                continue
            turns = 5 if name == DEV else TURNS.get(width, 3)
            done = await entries[name].crowd(width, turns, found.durability)
            got[name].append(Row(done.p50, done.p95, done.rate))
    for name, rows in got.items():
        if rows:
            found.rows[name, width] = Row.of(rows)


async def weigh(field: Arena, sizes: Sizes) -> tuple[list[tuple[int, float]], float]:
    """Our server alone: MB of memory after so many threads, and its share of a core when idle."""
    stores = await field.stores()
    async with served(stores) as entry:
        memory = await touched_rss(entry, sizes.touched)
        return memory, await idle_share(entry.pid, sizes.idle_seconds)


def main() -> int:
    """Measure on servers of our own, with fsync."""
    parser = argparse.ArgumentParser(prog="python -m bench.server", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--durability", nargs="*", default=["async", "exit"])
    parser.add_argument("--quick", action="store_true", help="tiny counts: only to see it work")
    asked = parser.parse_args()
    sizes = QUICK if asked.quick else FULL
    print(
        f"fsync on; measured on core {CORES[0]}, the client on core {CORES[-1]}, PostgreSQL and "
        f"Redis on any; {SLOTS} slots; conversations of 3 to 40 turns"
    )
    missed = 0
    with serving() as (dsn, redis), on_core(CORES[-1]):
        field = arena(dsn, redis, [])
        for durability in asked.durability:
            found = asyncio.run(measure(field, asked.only, sizes, durability))
            print(found.text(), flush=True)
            missed += verdicts(found)
        memory, idle = asyncio.run(weigh(field, sizes))
    print(
        "\nour server's memory: " + ", ".join(f"{mb:.0f} MB at {n:,} threads" for n, mb in memory)
    )
    print(
        f"idle it takes {idle:.2%} of a core (goal 1%): {'reached' if idle <= 0.01 else 'MISSED'}"
    )
    return 1 if missed or idle > 0.01 else 0


if __name__ == "__main__":
    sys.exit(main())
