"""The store of memories beside the official one: `python -m bench.store`, two minutes.

Both and plain statements ("plain": one a call, straight on the pool, no store at all) work on one
pool of ten connections, interleaved in one run, on an embedded PostgreSQL that syncs. Rates are
medians; trust the ratios.
"""

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from langgraph.store.base import BaseStore, IndexConfig, PutOp
from langgraph.store.postgres.aio import AsyncPostgresStore
from psycopg.types.json import Jsonb

from checkpoints.store import open_store
from engine.database import Pool, open_pool
from engine.embedded import open_servers
from engine.settings import Settings

CROWD = 64
ROUNDS = 9
DIMS = 384
VALUE = {"text": "prefers to be called in the morning " * 6, "kind": "fact", "n": 5}

Call = Callable[[int], Awaitable[Any]]


async def embed(texts: Sequence[str]) -> list[list[float]]:
    """Vectors without a meaning, at no cost worth speaking of."""
    return [[*map(float, random.Random(text).randbytes(DIMS))] for text in texts]  # noqa: S311


def space(n: int) -> tuple[str, ...]:
    return ("users", str(n))


def calls(store: BaseStore) -> dict[str, Call]:
    return {
        "put": lambda n: store.aput(space(n), "k", VALUE, index=False),
        "get": lambda n: store.aget(space(n), "k"),
        "search": lambda n: store.asearch(space(n), filter={"kind": "fact"}),
        "nearest": lambda n: store.asearch(space(n), query=f"morning {n}"),
    }


def plain(pool: Pool) -> dict[str, Call]:
    async def run(sql: str, *args: Any) -> Any:
        async with pool.connection() as conn:
            cursor = await conn.execute(sql, args)
            return await cursor.fetchall() if cursor.description else None

    return {
        "put": lambda n: run(
            "insert into store (prefix, key, value) values (%s, %s, %s) on conflict (prefix, key)"
            " do update set value = excluded.value, updated_at = now()",
            f"users.{n}",
            "k",
            Jsonb(VALUE),
        ),
        "get": lambda n: run(
            "select key, value, created_at, updated_at from store where prefix = %s and key = %s",
            f"users.{n}",
            "k",
        ),
        "search": lambda n: run(
            "select * from store where (prefix = %s or prefix like %s)"
            " and value -> 'kind' = %s::jsonb order by updated_at desc limit 10",
            f"users.{n}",
            f"users.{n}.%",
            '"fact"',
        ),
    }


async def rate(call: Call, at_once: int) -> float:
    """Calls a second."""
    began = perf_counter()
    for _ in range(CROWD // at_once):
        await asyncio.gather(*(call(n) for n in range(at_once)))
    return CROWD / (perf_counter() - began)


async def compare(contenders: dict[str, dict[str, Call]]) -> None:
    print(f"{'calls a second':20}" + "".join(f"{name:>10}" for name in contenders) + "     ratio")
    for what in ("put", "get", "search", "nearest"):
        for at_once in (1, CROWD):
            rates: dict[str, list[float]] = {name: [] for name in contenders}
            for _ in range(ROUNDS):
                for name, known in contenders.items():
                    if what in known:
                        rates[name].append(await rate(known[what], at_once))
            middle = {name: median(each) for name, each in rates.items() if each}
            shown = "".join(f"{middle.get(name, 0):10.0f}" for name in contenders)
            ratio = middle["ours"] / middle["official"]
            print(f"{what:8}{at_once:4} at once {shown}{ratio:9.1f}x", flush=True)


async def beside_embedding(store: BaseStore) -> float:
    """Milliseconds of a get while somebody else's text is embedded, which takes 50."""
    taken = []
    for _ in range(ROUNDS):
        slow = asyncio.create_task(store.aput(("slow",), "k", {"text": "slow"}))
        await asyncio.sleep(0.005)
        began = perf_counter()
        await store.aget(space(1), "k")
        taken.append((perf_counter() - began) * 1e3)
        await slow
    return median(taken)


async def beside_a_bad_value(store: BaseStore) -> int:
    """How many of the puts of others fail that come together with one that PostgreSQL refuses."""
    puts = [store.aput(space(n), "k", VALUE, index=False) for n in range(CROWD)]
    bad = store.aput(("bad",), "k", {"n": float("nan")}, index=False)
    _, *done = await asyncio.gather(bad, *puts, return_exceptions=True)
    return sum(isinstance(each, Exception) for each in done)


async def wide(store: BaseStore, size: int) -> float:
    """Milliseconds of a search by meaning in one namespace of so many vectors."""
    for start in range(0, size, 500):
        ops = [PutOp(("wide",), str(n), {"text": str(n)}) for n in range(start, start + 500)]
        await store.abatch(ops)
    taken = []
    for n in range(5):
        began = perf_counter()
        await store.asearch(("wide",), query=f"morning {n}")
        taken.append((perf_counter() - began) * 1e3)
    return median(taken)


async def main() -> None:
    """Print the table."""

    async def slowly(texts: Sequence[str]) -> list[list[float]]:
        if "slow" in "".join(texts):
            await asyncio.sleep(0.05)
        return await embed(texts)

    index: IndexConfig = {"dims": DIMS, "embed": slowly, "fields": ["text"]}
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-") as folder:
        # As root, the servers' own account has to reach it.
        await asyncio.to_thread(Path(folder).chmod, 0o755)
        settings = Settings(_env_file=None, data=Path(folder), database_url=None, redis_url=None)
        async with (
            open_servers(settings) as servers,
            open_pool(servers.database_url) as pool,
            open_store(pool, index=index) as ours,
        ):
            official = AsyncPostgresStore(pool, index=index)  # type: ignore[arg-type]
            await official.setup()
            stores: dict[str, BaseStore] = {"official": official, "ours": ours}
            for store in stores.values():
                texts = [PutOp(space(n), f"{i}", VALUE) for n in range(CROWD) for i in range(20)]
                await store.abatch(texts)
            async with pool.connection() as conn:
                await conn.execute("analyze")
            named = {name: calls(store) for name, store in stores.items()}
            await compare({**named, "plain": plain(pool)})
            for name, store in stores.items():
                print(
                    f"{name}: a get beside a slow embedding {await beside_embedding(store):.1f} ms,"
                    f" puts that fail with another's bad value {await beside_a_bad_value(store)},"
                    f" nearest of 10,000 {await wide(store, 10_000):.0f} ms"
                )


if __name__ == "__main__":
    asyncio.run(main())
