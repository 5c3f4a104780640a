"""No head that is read is older than what was acknowledged, whatever becomes of Redis."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis.asyncio

from checkpoints import EPOCH, PostgresCheckpointer, TieredCheckpointer
from tests.checkpoints.proxy import Proxy, proxied
from tests.checkpoints.servers import PROGRAMS, Node, alone
from tests.checkpoints.test_postgres_storage import checkpoint, writes
from tests.checkpoints.test_redis_storage import REDIS_6_CORE
from tests.checkpoints.threads import Thread


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, requires: Callable[..., None]) -> Iterator[Node]:
    requires(*PROGRAMS)
    with alone(tmp_path_factory.mktemp("tiered") / "redis") as node:
        yield node


@dataclass
class Tier:
    """Two processes' savers on one Postgres and one Redis, each on a wire of its own."""

    first: TieredCheckpointer
    second: TieredCheckpointer
    wire: Proxy
    other_wire: Proxy
    dsn: str
    schema: str
    redis: redis.asyncio.Redis

    def aim(self, port: int) -> None:
        """Both wires lead to another server from now on."""
        for wire in (self.wire, self.other_wire):
            wire.cut()
            wire.target = port
            wire.mend()


@pytest.fixture
async def tier(postgres_dsn: str, node: Node) -> AsyncIterator[Tier]:
    async with opened(postgres_dsn, node.port) as tier:
        yield tier


@asynccontextmanager
async def opened(dsn: str, port: int, *, empty: bool = True) -> AsyncIterator[Tier]:
    name = f"tiered{uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(proxied(port)) for _ in range(2)]
        savers = [
            await stack.enter_async_context(
                TieredCheckpointer.open(
                    dsn, f"redis://127.0.0.1:{wire.port}", schema=name, prefix=name, size=3
                )
            )
            for wire in wires
        ]
        client = await stack.enter_async_context(redis.asyncio.Redis(port=port))
        if empty:
            await client.flushall()
        yield Tier(savers[0], savers[1], wires[0], wires[1], dsn, name, client)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(f"drop schema {name} cascade")


@asynccontextmanager
async def without_postgres(tier: Tier) -> AsyncIterator[None]:
    """Whoever looks into the tables of checkpoints waits until this is over."""
    async with await psycopg.AsyncConnection.connect(tier.dsn) as conn:
        tables = ("checkpoints", "writes", "elements")
        await conn.execute(f"lock {','.join(f'{tier.schema}.{name}' for name in tables)}")
        yield


async def rested(tier: Tier, thread: Thread) -> None:
    """Returns when the copy of the thread may be believed."""
    pattern = f"{tier.schema}:{{{thread.thread_id}}}:m"
    async with asyncio.timeout(20):
        while await tier.redis.hkeys(pattern) != [b"g"]:
            await asyncio.sleep(0.02)


async def at_rest(storage: Any) -> None:
    """Returns when this process has taken back all its marks."""
    async with asyncio.timeout(20):
        while storage._copies:
            await asyncio.sleep(0.02)


async def seen(saver: TieredCheckpointer, thread: Thread) -> list[int]:
    values = await thread.through(saver).values()
    return list(values["items"])


async def test_a_thread_at_rest_is_read_from_redis_alone_in_one_round_trip(tier: Tier) -> None:
    thread = Thread(tier.first)
    items = [f"item {n} " * 30 for n in range(50)]
    await thread.put({"items": items})
    await thread.write(("items", ["more " * 60]))
    await rested(tier, thread)
    await seen(tier.second, thread)  # connects, and teaches Redis the scripts

    async with without_postgres(tier), asyncio.timeout(20), tier.redis.monitor() as monitor:
        read = await thread.through(tier.second).read()
        await tier.redis.ping()
        commands = []
        async for command in monitor.listen():
            if command["command"].startswith("PING"):
                break
            word = command["command"].split()[0]
            if command["client_type"] != "lua" and word != "HELLO":  # how this ping begins
                commands.append(word)

    assert read.checkpoint["channel_values"]["items"] == items
    assert read.pending_writes == [("task", "items", ["more " * 60])]
    assert commands == ["EVALSHA", "EVALSHA"]  # one packet: the head, and whether to believe it


async def test_while_a_run_goes_on_others_read_what_it_acknowledged(tier: Tier) -> None:
    thread = Thread(tier.first)
    for n in range(20):
        await thread.put({"items": list(range(n + 1))})
        assert await seen(tier.second, thread) == list(range(n + 1))


async def test_who_cannot_reach_redis_keeps_others_from_believing_it(tier: Tier) -> None:
    thread = Thread(tier.first)
    await thread.put({"items": [1]})
    await rested(tier, thread)
    assert await seen(tier.second, thread) == [1]

    tier.wire.cut()
    await thread.put({"items": [1, 2]})
    assert await seen(tier.second, thread) == [1, 2]
    await thread.put({"items": [1, 2, 3]})
    assert await seen(tier.second, thread) == [1, 2, 3]
    assert await seen(tier.first, thread) == [1, 2, 3]

    tier.wire.mend()
    await thread.put({"items": [1, 2, 3, 4]})
    assert await seen(tier.second, thread) == [1, 2, 3, 4]


async def test_the_other_may_go_on_while_one_is_cut_off(tier: Tier) -> None:
    thread = Thread(tier.first)
    await thread.put({"items": [1]})
    await rested(tier, thread)

    tier.wire.cut()
    await thread.put({"items": [1, 2]})
    other = thread.through(tier.second)
    await other.put({"items": [1, 2, 3]})
    assert await seen(tier.first, thread) == [1, 2, 3]
    thread.last = other.last
    await thread.put({"items": [4]})
    assert await seen(tier.second, thread) == [4]


async def test_a_writer_that_died_between_commit_and_copy_leaves_a_mark(tier: Tier) -> None:
    thread = Thread(tier.first)
    await thread.put({"items": [1]})
    await rested(tier, thread)

    await tier.first._storage._hot.mark({thread.thread_id: None}, 1)
    async with PostgresCheckpointer.open(tier.dsn, schema=tier.schema) as committing:
        await thread.through(committing).put({"items": [1, 2]})

    assert await seen(tier.second, thread) == [1, 2]


async def test_a_new_owner_takes_away_the_marks_of_those_it_superseded(tier: Tier) -> None:
    thread = Thread(tier.first)
    await thread.put({"items": [1]}, configurable={EPOCH: 1})
    await rested(tier, thread)
    await tier.first._storage._hot.mark({thread.thread_id: 1}, 1)

    other = thread.through(tier.second)
    await other.put({"items": [1, 2]}, configurable={EPOCH: 2})
    await rested(tier, thread)

    async with without_postgres(tier), asyncio.timeout(20):
        assert await seen(tier.second, thread) == [1, 2]


async def test_copies_from_before_somebody_wrote_without_them_are_not_believed(tier: Tier) -> None:
    thread = Thread(tier.first)
    await thread.put({"items": [1]})
    await rested(tier, thread)

    async with PostgresCheckpointer.open(tier.dsn, schema=tier.schema) as plain:
        await thread.through(plain).put({"items": [1, 2]})

    url = f"redis://127.0.0.1:{tier.wire.port}"
    names = {"schema": tier.schema, "prefix": tier.schema}
    async with TieredCheckpointer.open(tier.dsn, url, **names) as later:
        assert await seen(later, thread) == [1, 2]


async def test_a_deleted_thread_is_gone_from_redis_too(tier: Tier) -> None:
    thread = Thread(tier.first)
    await thread.put({"items": [1]})
    await rested(tier, thread)

    await tier.second.adelete_thread(thread.thread_id)

    assert await tier.first.aget_tuple(thread.config) is None
    assert await tier.second.aget_tuple(thread.config) is None


async def test_it_opens_and_serves_without_redis(postgres_dsn: str) -> None:
    async with opened(postgres_dsn, 1, empty=False) as tier:
        thread = Thread(tier.first)
        await thread.put({"items": [1]})
        await thread.put({"items": [1, 2]})
        assert await seen(tier.second, thread) == [1, 2]


@pytest.mark.parametrize("loss", ["flush", "restart", "old dump"])
async def test_what_redis_loses_or_turns_back_is_not_believed(
    postgres_dsn: str, tmp_path: Path, requires: Callable[..., None], loss: str
) -> None:
    requires(*PROGRAMS)
    with alone(tmp_path / "first") as node:
        async with opened(postgres_dsn, node.port) as tier:
            thread = Thread(tier.first)
            await thread.put({"items": [1]})
            await rested(tier, thread)
            await tier.redis.save()
            dump = (tmp_path / "first" / "dump.rdb").read_bytes()
            await thread.put({"items": [1, 2]})
            await rested(tier, thread)
            if loss == "flush":
                await tier.redis.flushall()
                await _goes_on(tier, thread)
                return
            (tmp_path / "kept").mkdir()
            if loss == "old dump":
                (tmp_path / "kept" / "dump.rdb").write_bytes(dump)
            with alone(tmp_path / "second", "--dir", str(tmp_path / "kept")) as again:
                node.kill()
                tier.aim(again.port)
                await _goes_on(tier, thread)


async def _goes_on(tier: Tier, thread: Thread) -> None:
    assert await seen(tier.second, thread) == [1, 2]
    await thread.put({"items": [1, 2, 3]})
    assert await seen(tier.second, thread) == [1, 2, 3]
    assert await seen(tier.first, thread) == [1, 2, 3]
    await thread.put({"items": [1, 2, 3, 4]})
    assert await seen(tier.second, thread) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 14))]
)
async def test_no_read_is_older_than_the_last_acknowledged_save(tier: Tier, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - mishaps, not secrets
    threads = [Thread(tier.first) for _ in range(3)]
    said: dict[str, list[int]] = {}

    async def readings() -> None:
        while True:
            for thread in threads:
                before = said.get(thread.thread_id, [])
                found = await thread.through(chance.choice(savers)).saver.aget_tuple(thread.config)
                items = found.checkpoint["channel_values"]["items"] if found else []
                assert len(items) >= len(before), (seed, items, before)
            await asyncio.sleep(0)

    savers = [tier.first, tier.second]
    reading = asyncio.create_task(readings())
    for n in range(40):
        thread = chance.choice(threads)
        by = thread.through(chance.choice(savers))
        items = [*said.get(thread.thread_id, []), n]
        await by.put({"items": items}, configurable={EPOCH: n})
        thread.last, said[thread.thread_id] = by.last, items
        await _mishap(tier, chance)
        if chance.random() < 0.2:
            await asyncio.sleep(0.4)  # marks are taken back
        assert not reading.done(), reading.exception()
    reading.cancel()


async def _mishap(tier: Tier, chance: random.Random) -> None:
    match chance.randrange(12):
        case 0:
            tier.wire.cut()
        case 1:
            tier.other_wire.cut()
        case 2 | 3 | 4:
            tier.wire.mend()
            tier.other_wire.mend()
        case 5:
            await tier.redis.flushall()
        case 6:
            await tier.redis.script_flush()


async def test_it_sends_no_command_that_redis_6_does_not_know(tier: Tier) -> None:
    await tier.redis.config_resetstat()
    for saver in (tier.first, tier.second):
        thread = Thread(saver)
        for n in range(3):
            await thread.put({"items": ["item " * 60 * n]}, configurable={EPOCH: n})
            await thread.write(("items", ["more " * 60]))
            await thread.read()
        await tier.redis.script_flush()
        await saver.aprune([thread.thread_id])
        await saver.adelete_thread(thread.thread_id)
    await asyncio.sleep(1)  # marks are taken back

    names = {name.removeprefix("cmdstat_") for name in await tier.redis.info("commandstats")}
    tests_own = {"config|resetstat", "script|flush", "client|setinfo", "hello"}
    ours = {name for name in names if name not in tests_own}
    assert ours <= REDIS_6_CORE | {"hgetall", "ping"}
    assert "info" in ours


@asynccontextmanager
async def paused(tier: Tier) -> AsyncIterator[None]:
    """Redis answers nobody who writes until this is over."""
    await tier.redis.client_pause(60_000, all=False)
    try:
        yield
    finally:
        await tier.redis.client_unpause()


async def waiting_in_postgres(tier: Tier, number: int) -> None:
    """Returns when so many statements wait for a lock."""
    sql = (
        "select count(distinct pid) from pg_locks where not granted and relation in"
        " (select oid from pg_class where relnamespace = %s::regnamespace)"
    )
    async with (
        await psycopg.AsyncConnection.connect(tier.dsn, autocommit=True) as conn,
        asyncio.timeout(20),
    ):
        while (await (await conn.execute(sql, (tier.schema,))).fetchone()) != (number,):
            await asyncio.sleep(0.01)


async def test_a_copy_is_not_made_whole_while_its_thread_is_written_to(tier: Tier) -> None:
    """One thread waits for the mark of another that is written with it, past its time to rest."""
    storage: Any = tier.first._storage
    resting, other = checkpoint("resting"), checkpoint("other")
    await storage.write([resting])
    async with await psycopg.AsyncConnection.connect(tier.dsn) as conn:
        tables = ",".join(f"{tier.schema}.{name}" for name in ("checkpoints", "writes", "elements"))
        await conn.execute(f"lock {tables} in share mode")  # nobody writes
        await conn.execute("savepoint reads")
        await conn.execute(f"lock {tables}")  # nor reads
        async with paused(tier):
            writing = asyncio.create_task(storage.write([writes(resting, 1), other]))
            await asyncio.sleep(0.5)  # long enough to be taken to rest
        clearing = storage._copies["resting"].clearing is not None
        await waiting_in_postgres(tier, 1 + clearing)
        async with paused(tier):
            await conn.execute("rollback to reads")
            await waiting_in_postgres(tier, 1)
            await conn.commit()
            await waiting_in_postgres(tier, 0)
            await asyncio.sleep(0.3)
    await writing
    await at_rest(storage)
    for each in (tier.first, tier.second):
        found = await each._storage.find("resting", "", None)  # type: ignore[attr-defined]
        assert found
        assert len(found.row.writes) == 1


async def test_writes_that_come_before_their_checkpoint_are_in_the_copy(tier: Tier) -> None:
    storage: Any = tier.first._storage
    now, then = checkpoint(), checkpoint()
    early = writes(then, 1)
    await storage.write([now, writes(now, 2), early])
    await at_rest(storage)
    await storage.write([then])
    await at_rest(storage)
    async with without_postgres(tier), asyncio.timeout(20):
        found = await storage.find("t", "", None)
    assert found.row.checkpoint_id == then.checkpoint_id
    assert list(found.row.writes) == [early.body]


@pytest.mark.parametrize("ns", ["", "inner:1"])
async def test_no_copy_is_believed_that_may_lack_writes_of_somebody_else(
    tier: Tier, ns: str
) -> None:
    first: Any = tier.first._storage
    second: Any = tier.second._storage
    now, then = checkpoint(), checkpoint(ns=ns)
    early = writes(then, 1, ns=ns)
    await first.write([early])
    await at_rest(first)
    await second.write([now])
    await at_rest(second)
    await second.write([then])
    await at_rest(second)
    for each in (first, second):
        found = await each.find("t", ns, None)
        assert found.row.checkpoint_id == then.checkpoint_id
        assert list(found.row.writes) == [early.body]
