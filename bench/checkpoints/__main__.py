"""`python -m bench.checkpoints`: under ten minutes; `--quick` only shows that it works."""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

from bench.checkpoints import passes
from bench.checkpoints.contenders import ALL, Arena, arena
from bench.checkpoints.table import Row, show
from engine.embedded.place import Place, find_place
from engine.embedded.postgres import Postgres
from engine.embedded.redis import Redis, find_program
from engine.embedded.shared import Server, SharedServer

PASSES = (passes.turns, passes.crowd, passes.alone, passes.long, passes.trips, passes.alternating)


async def measure(field: Arena, sizes: passes.Sizes, only: list[str] | None) -> None:
    """Print the table; the goals speak of the full sizes only."""
    rows: list[Row] = []
    for run in PASSES:
        if not only or run.__name__ in only:
            began = perf_counter()
            rows += await run(field, sizes)
            print(f"{run.__name__}: {perf_counter() - began:.0f} s", flush=True)
    names = [each.name for each in field.contenders]
    print(show(rows, names, judged=sizes != passes.SMALL))


def main() -> None:
    """Measure on servers of our own."""
    parser = argparse.ArgumentParser(prog="python -m bench.checkpoints", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything small")
    parser.add_argument("--only", nargs="*", choices=[run.__name__ for run in PASSES])
    parser.add_argument("--savers", nargs="*", default=[each.name for each in ALL])
    chosen = parser.parse_args()
    sizes = passes.SMALL if chosen.quick else passes.Sizes()
    with serving() as (dsn, redis):
        if redis is None:
            print("not run: redis, tiered (no redis-server or valkey-server is installed)")
        asyncio.run(measure(arena(dsn, redis, chosen.savers), sizes, chosen.only))


@contextmanager
def serving() -> Iterator[tuple[str, str | None]]:
    """A PostgreSQL that waits for its disk, and a Redis where one is installed."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="frontdesk-bench-"))
        Path(folder).chmod(0o755)  # as root, the servers' own account has to reach it
        place = find_place(Path(folder))
        postgres, redis = Postgres(), Redis()
        dsn = postgres.url(stack.enter_context(_running(place, postgres)))
        url = redis.url(stack.enter_context(_running(place, redis))) if find_program() else None
        yield dsn, url


@contextmanager
def _running(place: Place, server: Server) -> Iterator[Path]:
    shared = SharedServer(place, server)
    try:
        shared.acquire()
        yield shared.sockets
    finally:
        shared.release()


if __name__ == "__main__":
    main()
