"""`python -m bench.server`: the waits, the rates and the streams of everyone, interleaved."""

import argparse
import asyncio
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack

from bench.checkpoints.__main__ import serving
from bench.checkpoints.contenders import OFFICIAL, Arena, arena
from bench.server.contenders import CORES, Contender, inside, official, on_core, served
from bench.server.inside import BARE
from bench.server.load import Crowd, Durability

NAMES = (BARE, OFFICIAL, "tiered", "server", "dev")
TURNS = {1: 30, 16: 8, 64: 4, 256: 2}


async def measure(
    field: Arena, names: Sequence[str], widths: Sequence[int], rounds: int, durability: Durability
) -> None:
    """Print a line for each width and contender."""
    async with AsyncExitStack() as stack:
        entries: list[Contender] = []
        for name in names:
            stores = await field.stores()
            own = {"server": served(stores), "dev": official()}.get(name) or inside(name, stores)
            entries.append(await stack.enter_async_context(own))
        for entry in entries:
            await entry.crowd(8, 3, durability)
        for threads in widths:
            got: dict[str, list[Crowd]] = {entry.name: [] for entry in entries}
            for n in range(rounds):
                for entry in [*entries[n % len(entries) :], *entries[: n % len(entries)]]:
                    got[entry.name].append(await entry.crowd(threads, TURNS[threads], durability))
            for name, crowds in got.items():
                p50, p95 = (_median([c.p50 for c in crowds]), _median([c.p95 for c in crowds]))
                rate = _median([c.rate for c in crowds])
                print(
                    f"{durability:6} {threads:4} {name:14} p50 {p50:8.1f} p95 {p95:8.1f} "
                    f"runs/s {rate:8.1f}",
                    flush=True,
                )
        for entry in entries:
            done = await entry.streams(20, durability)
            first, total = _median([each.first for each in done]), [each.total for each in done]
            print(
                f"{durability:6} stream {entry.name:14} first {first:.1f} "
                f"total {_median(total):.1f}"
            )


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def main() -> None:
    """Measure on servers of our own."""
    parser = argparse.ArgumentParser(prog="python -m bench.server", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--widths", nargs="*", type=int, default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--durability", nargs="*", default=["async", "exit"])
    chosen = parser.parse_args()
    with serving() as (dsn, redis), on_core(CORES[-1]):
        field = arena(dsn, redis, [])
        for durability in chosen.durability:
            asyncio.run(measure(field, chosen.only, chosen.widths, chosen.rounds, durability))


if __name__ == "__main__":
    main()
