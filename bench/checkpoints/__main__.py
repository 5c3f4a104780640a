"""`python -m bench.checkpoints`: under ten minutes; `--quick` only shows that it works."""

import argparse
import asyncio
import logging
import tempfile
from pathlib import Path
from time import perf_counter

from bench.checkpoints import passes
from bench.checkpoints.contenders import ALL, arena
from bench.checkpoints.table import Row, show
from engine.embedded import open_servers
from engine.settings import Settings

PASSES = (
    passes.turns,
    passes.crowd,
    passes.alone,
    passes.long,
    passes.trips,
    passes.alternating,
)


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.checkpoints", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything small")
    parser.add_argument("--only", nargs="*", help="passes", choices=[p.__name__ for p in PASSES])
    parser.add_argument("--savers", nargs="*", default=[each.name for each in ALL])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-") as folder:
        # As root, the servers' own account has to reach it.
        await asyncio.to_thread(Path(folder).chmod, 0o755)
        settings = Settings(_env_file=None, data=Path(folder), database_url=None, redis_url=None)
        async with open_servers(settings) as servers:
            field = arena(servers.database_url, servers.redis_url, chosen.savers)
            sizes = passes.SMALL if chosen.quick else passes.Sizes()
            rows: list[Row] = []
            for run in PASSES:
                if not chosen.only or run.__name__ in chosen.only:
                    began = perf_counter()
                    rows += await run(field, sizes)
                    print(f"{run.__name__}: {perf_counter() - began:.0f} s", flush=True)
            print(show(rows, [each.name for each in field.contenders]))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main())
