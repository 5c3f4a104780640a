"""`python -m bench.scale`: under nine minutes; `--quick` only shows that it works."""

import argparse
import asyncio
import sys

from bench.checkpoints.__main__ import serving
from bench.scale import knee, workers
from bench.scale.machine import CORES, on_cores


def main() -> int:
    """Print both tables. 1 when a goal was missed; the goals speak of the full sizes only."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything small")
    parser.add_argument("--only", choices=["workers", "knee"])
    chosen = parser.parse_args()
    good = True
    if chosen.only != "knee":
        good &= _workers(workers.SMALL if chosen.quick else workers.Sizes())
    if chosen.only != "workers":
        good &= _knee(knee.SMALL if chosen.quick else knee.Sizes())
    return 0 if good or chosen.quick else 1


def _workers(sizes: workers.Sizes) -> bool:
    print(workers.says(sizes))
    with serving() as (dsn, redis):
        assert redis, "no redis-server or valkey-server is installed"
        text, good = workers.verdict(asyncio.run(workers.measure(dsn, redis, sizes)))
    print(text, flush=True)
    return good


def _knee(sizes: knee.Sizes) -> bool:
    print(knee.says(sizes))
    with on_cores(*(CORES[1:] or CORES)), serving() as (dsn, redis):
        assert redis, "no redis-server or valkey-server is installed"
        text, good = knee.verdict(asyncio.run(knee.measure(dsn, redis, sizes)))
    print(text, flush=True)
    return good


if __name__ == "__main__":
    sys.exit(main())
