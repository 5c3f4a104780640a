"""`python -m bench.server.against CHECKOUT`: our server as it is here, and as it is elsewhere.

Both serve the five-node graph on one core, in turns of a few runs, so that what disturbs the
machine disturbs both. Prints the median of the ratios of neighbours: 1.00 is the same, more is
worse here. Both are run by this interpreter, with its packages.
"""

import argparse
import asyncio
import dataclasses
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from bench.checkpoints.__main__ import serving
from bench.checkpoints.contenders import Arena, arena
from bench.server.contenders import CORES, Served, on_core, served
from bench.server.load import Durability
from bench.server.readings import cpu_seconds
from bench.server.table import median

WIDTHS = {1: 30, 4: 10}
"""Conversations at once, and the turns of each in a round."""


@dataclasses.dataclass
class Rounds:
    """Milliseconds of CPU a run and of the median run, a round after the other."""

    cpu: list[float] = dataclasses.field(default_factory=list)
    p50: list[float] = dataclasses.field(default_factory=list)


async def compare(
    field: Arena, checkouts: list[Path], durability: Durability, rounds: int
) -> dict[int, list[Rounds]]:
    """By the number of conversations at once: what each checkout took."""
    async with AsyncExitStack() as stack:
        entries = [
            await stack.enter_async_context(served(await field.stores(), checkout))
            for checkout in checkouts
        ]
        for entry in entries:
            await entry.crowd(2, 30, durability)
        return {
            width: await _rounds(entries, width, turns, durability, rounds)
            for width, turns in WIDTHS.items()
        }


async def _rounds(
    entries: list[Served], width: int, turns: int, durability: Durability, rounds: int
) -> list[Rounds]:
    found = [Rounds() for _ in entries]
    for n in range(rounds):
        each = list(zip(entries, found, strict=True))
        for entry, took in each[:: -1 if n % 2 else 1]:
            before = cpu_seconds(entry.pid)
            crowd = await entry.crowd(width, turns, durability)
            took.cpu.append((cpu_seconds(entry.pid) - before) * 1000 / len(crowd.runs))
            took.p50.append(crowd.p50)
    return found


def _ratio(here: list[float], there: list[float]) -> str:
    return f"{median([a / b for a, b in zip(here, there, strict=True)]):.2f}"


def main() -> int:
    """Measure on servers of our own, with fsync."""
    parser = argparse.ArgumentParser(prog="python -m bench.server.against", description=__doc__)
    parser.add_argument("checkout", type=Path, help="another checkout, such as a git worktree")
    parser.add_argument("--rounds", type=int, default=24)
    asked = parser.parse_args()
    if not (asked.checkout / "bench" / "five_server.py").is_file():
        parser.error(f"{asked.checkout} is not a checkout that has bench/five_server.py")
    print(
        "| durability | at once | CPU a run: there, here ms, ratio | p50: there, here ms, ratio |"
    )
    print("|---|---|---|---|")
    with serving() as (dsn, redis), on_core(CORES[-1]):
        field, checkouts = arena(dsn, redis, []), [asked.checkout.resolve(), Path.cwd()]
        for durability in ("exit", "async"):
            got = compare(field, checkouts, durability, asked.rounds)
            for width, (there, here) in asyncio.run(got).items():
                print(
                    f"| {durability} | {width} | {median(there.cpu):.2f}, {median(here.cpu):.2f}, "
                    f"{_ratio(here.cpu, there.cpu)} | {median(there.p50):.2f}, "
                    f"{median(here.p50):.2f}, {_ratio(here.p50, there.p50)} |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
