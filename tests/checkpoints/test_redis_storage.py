"""On a server alone: what is stored, refused, lost, and what Redis is asked to do."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing

import pytest
import redis.asyncio

from checkpoints.errors import CheckpointError, InvalidCheckpoint, Unavailable
from checkpoints.records import Outcome, Put, Query, Refusal, Row
from checkpoints.redis import RedisStorage, open_redis
from tests.checkpoints.servers import PROGRAMS, Node, alone

pytestmark = pytest.mark.requires(*PROGRAMS)

STREAM = 2**61 + 12345

# All of them in Redis 6.0 without modules; options used: SCAN's MATCH, COUNT and TYPE.
REDIS_6_CORE = {
    "eval",
    "evalsha",
    "exists",
    "hdel",
    "hexists",
    "hget",
    "hkeys",
    "hmget",
    "hset",
    "info",
    "persist",
    "pexpire",
    "pexpireat",
    "sadd",
    "scan",
    "select",
    "smembers",
    "time",
    "unlink",
    "zadd",
    "zrangebylex",
    "zrem",
    "zrevrangebylex",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with alone(tmp_path_factory.mktemp("redis") / "alone") as node:
        yield node


@pytest.fixture
async def client(node: Node) -> AsyncIterator[redis.asyncio.Redis]:
    """For the test's own questions; the server is empty and as it was started."""
    async with redis.asyncio.Redis.from_url(node.url, protocol=2, driver_info=None) as client:
        await client.flushall()
        await client.config_resetstat()
        yield client
        await client.config_set("maxmemory", 0)
        await client.config_set("maxmemory-policy", "noeviction")


@pytest.fixture(params=["url", "client"])
async def storage(
    request: pytest.FixtureRequest, node: Node, client: redis.asyncio.Redis
) -> AsyncIterator[RedisStorage]:
    async with open_redis(node.url if request.param == "url" else client) as storage:
        yield storage


@pytest.fixture
async def ours(node: Node, client: redis.asyncio.Redis) -> AsyncIterator[RedisStorage]:
    """With connections of its own, and threads that go after an hour."""
    async with open_redis(node.url, ttl=3600, connections=2) as storage:
        yield storage


def key(thread_id: str) -> str:
    return f"checkpoints:{{{thread_id}}}"


def checkpoint(at: int, thread_id: str = "t", ns: str = "", **fields: object) -> Put:
    """The `at`th of a thread whose every checkpoint adds an element to those before."""
    values: dict[str, object] = {
        "body": b"body %d" % at,
        "elements": {(STREAM, at): b"element %d" % at},
        "ranges": [(STREAM, 0, at + 1)],
    }
    return Put(thread_id, ns, f"{at:04d}", **{**values, **fields})


async def put(storage: RedisStorage, *puts: Put) -> Outcome:
    """The last outcome."""
    return (await storage.write(puts))[-1]


async def listed(storage: RedisStorage, query: Query) -> list[Row]:
    return [row async for row in storage.rows(query)]


def ids(rows: Sequence[Row]) -> list[str]:
    return [row.checkpoint_id for row in rows]


async def test_a_checkpoint_reads_back_with_its_writes_and_elements(storage: RedisStorage) -> None:
    salt = await put(
        storage,
        Put("t", "a|b", "2", b"\0body", parent_id="1", elements={(9, 0): b""}, ranges=[(9, 0, 1)]),
        Put("t", "a|b", "2", b"second", nonce=2**63 + 5, elements={(9, 1): b"x"}),
        Put("t", "a|b", "2", b"third", nonce=6, elements={(8, 7): b"y" * 70_000}),
        Put("t", "a|b", "2", b"fourth", nonce=7, ranges=[(8, 7, 8), (9, 1, 2)]),
    )
    found = await storage.find("t", "a|b", None)
    assert found is not None
    assert found.row == Row("t", "a|b", "2", "1", b"\0body", [b"second", b"third", b"fourth"], salt)
    assert found.elements == {(9, 0): b"", (9, 1): b"x", (8, 7): b"y" * 70_000}


async def test_elements_of_every_size_read_back(storage: RedisStorage) -> None:
    sizes = [0, 1, 31, 32, 255, 256, 65_535, 65_536]
    elements = {(STREAM, at): b"\xc2" * size for at, size in enumerate(sizes)}
    await put(storage, Put("t", "", "1", b"", elements=elements, ranges=[(STREAM, 0, len(sizes))]))
    assert (await storage.find("t", "", "1")).elements == elements


async def test_thousands_of_elements_come_in_one_answer(storage: RedisStorage) -> None:
    elements = {(STREAM, at): b"%d" % at for at in range(3001)}
    ranges = [(STREAM, 0, 1500), (STREAM, 1500, 3001)]
    await put(storage, Put("t", "", "1", b"", elements=elements, ranges=ranges))
    assert (await storage.find("t", "", None)).elements == elements


async def test_elements_of_a_known_checkpoint_stay_where_they_are(storage: RedisStorage) -> None:
    await put(storage, checkpoint(0), checkpoint(1))
    assert (await storage.find("t", "", None, known="0001")).elements == {}
    assert len((await storage.find("t", "", None, known="0000")).elements) == 2


async def test_what_does_not_exist_is_left_out(storage: RedisStorage) -> None:
    assert await storage.find("t", "", None) is None
    await put(storage, checkpoint(0))
    assert await storage.find("t", "", "0001") is None
    assert await storage.find("t", "other", None) is None
    assert await storage.elements("t", [(STREAM, 0, 2), (1, 0, 1)]) == {(STREAM, 0): b"element 0"}
    assert await storage.elements("t", []) == {}
    assert await storage.elements("u", [(STREAM, 0, 1)]) == {}


async def test_the_latest_is_the_highest_id_of_its_namespace(storage: RedisStorage) -> None:
    namespaces = ["", "a", "a|b", "ab", "é"]
    for ns in namespaces:
        await put(storage, checkpoint(10, ns=ns), checkpoint(9, ns=ns))
    for ns in namespaces:
        found = await storage.find("t", ns, None)
        assert (found.row.ns, found.row.checkpoint_id) == (ns, "0010")


async def test_a_checkpoint_put_again_has_the_new_body_and_its_writes(
    storage: RedisStorage,
) -> None:
    await put(storage, checkpoint(0), Put("t", "", "0000", b"w", nonce=1))
    await put(storage, checkpoint(0, body=b"new", parent_id="p"))
    row = (await storage.find("t", "", None)).row
    assert (row.body, row.parent_id, row.writes) == (b"new", "p", [b"w"])


async def test_writes_sent_twice_are_stored_once(storage: RedisStorage) -> None:
    writes = [Put("t", "", "0000", b"w%d" % nonce, nonce=nonce) for nonce in (3, 1, 2)]
    await put(storage, checkpoint(0), *writes)
    await put(storage, *reversed(writes), Put("t", "", "0000", b"w4", nonce=4))
    assert (await storage.find("t", "", None)).row.writes == [b"w3", b"w1", b"w2", b"w4"]


async def test_writes_may_come_before_their_checkpoint(storage: RedisStorage) -> None:
    salt = await put(storage, Put("t", "", "0000", b"w", nonce=1))
    assert await storage.find("t", "", "0000") is None
    assert await listed(storage, Query("t")) == []
    assert await put(storage, checkpoint(0, salt=salt)) == salt
    assert (await storage.find("t", "", None)).row.writes == [b"w"]


async def test_a_batch_is_for_any_threads_and_its_outcomes_in_order(storage: RedisStorage) -> None:
    first = await put(storage, checkpoint(0, "a"))
    outcomes = await storage.write(
        [
            checkpoint(0, "b", salt=1),
            checkpoint(1, "a", salt=first),
            checkpoint(0, "c", epoch=3),
            checkpoint(1, "b"),
            checkpoint(1, "c", epoch=2),
            checkpoint(2, "a", salt=first),
        ]
    )
    assert outcomes[0] is outcomes[3] is Refusal.INCOMPLETE
    assert outcomes[1] == outcomes[5] == first
    assert isinstance(outcomes[2], int)
    assert outcomes[4] is Refusal.SUPERSEDED
    assert await storage.write([]) == []
    assert await storage.find("b", "", None) is None
    assert ids(await listed(storage, Query("a"))) == ["0002", "0001", "0000"]


@pytest.mark.parametrize(("low", "high"), [(1, 2), (9, 10), (-5, 3), (2**53, 2**53 + 1)])
async def test_a_lower_epoch_can_write_nothing(storage: RedisStorage, low: int, high: int) -> None:
    assert isinstance(await put(storage, checkpoint(0, epoch=low)), int)
    assert isinstance(await put(storage, checkpoint(1, epoch=high)), int)
    assert await put(storage, checkpoint(2, epoch=low)) is Refusal.SUPERSEDED
    assert isinstance(await put(storage, checkpoint(3)), int)
    assert isinstance(await put(storage, checkpoint(4, epoch=high)), int)
    assert ids(await listed(storage, Query("t"))) == ["0004", "0003", "0001", "0000"]


async def test_reading_with_an_epoch_raises_it(storage: RedisStorage) -> None:
    assert await storage.find("t", "", None, epoch=7) is None
    assert await put(storage, checkpoint(0, epoch=6)) is Refusal.SUPERSEDED
    assert isinstance(await put(storage, checkpoint(0, epoch=7)), int)
    assert await storage.find("t", "", None, epoch=5) is not None
    assert await put(storage, checkpoint(1, epoch=6)) is Refusal.SUPERSEDED


async def test_a_deleted_thread_keeps_its_epoch_alone(
    storage: RedisStorage, client: redis.asyncio.Redis
) -> None:
    await put(storage, checkpoint(0, epoch=7), checkpoint(0, "u"))
    await storage.delete_thread("t")
    await storage.delete_thread("u")
    await storage.delete_thread("never was")
    assert await client.keys() == [key("t").encode()]
    assert await client.hlen(key("t")) == 1
    assert await storage.find("t", "", None) is None
    assert await put(storage, checkpoint(0, epoch=6)) is Refusal.SUPERSEDED


async def test_what_rests_on_another_life_of_the_thread_is_incomplete(
    storage: RedisStorage,
) -> None:
    salt = await put(storage, checkpoint(0))
    await storage.delete_thread("t")
    assert await put(storage, checkpoint(1, salt=salt)) is Refusal.INCOMPLETE
    assert await put(storage, checkpoint(1)) != salt
    assert await put(storage, checkpoint(2, salt=salt)) is Refusal.INCOMPLETE


async def test_a_write_that_rests_on_nothing_leaves_the_salt(storage: RedisStorage) -> None:
    salt = await put(storage, checkpoint(0))
    assert await put(storage, checkpoint(1)) == salt
    assert (await storage.find("t", "", None)).row.salt == salt


@pytest.mark.parametrize(
    ("lost", "carried"), [([2], [3]), ([1, 2], [3]), ([2], []), ([0], [1, 2, 3])]
)
async def test_what_rests_on_elements_that_a_failover_lost_is_incomplete(
    storage: RedisStorage, client: redis.asyncio.Redis, lost: list[int], carried: list[int]
) -> None:
    salt = await put(storage, *(checkpoint(at) for at in range(3)))
    for at in lost:
        await client.hdel(key("t"), b"e" + STREAM.to_bytes(8) + at.to_bytes(4))
    elements = {(STREAM, at): b"element %d" % at for at in carried}
    ranges = [(STREAM, 0, max([2, *carried]) + 1)]
    late = checkpoint(3, salt=salt, elements=elements, ranges=ranges)
    assert await put(storage, late) is Refusal.INCOMPLETE
    # Others may rest on what was lost without it being seen, so theirs is refused as well.
    harmless = checkpoint(4, salt=salt, elements={}, ranges=[])
    assert await put(storage, harmless) is Refusal.INCOMPLETE


async def test_listing_goes_from_new_to_old_across_pages(storage: RedisStorage) -> None:
    await put(storage, *(checkpoint(at, elements={}, ranges=[]) for at in range(400)))
    rows = await listed(storage, Query("t", ns=""))
    assert ids(rows) == [f"{at:04d}" for at in reversed(range(400))]
    assert rows[0].body == b"body 399"
    async with aclosing(storage.rows(Query("t"))) as first:
        assert (await anext(first)).checkpoint_id == "0399"


async def test_listing_keeps_to_what_is_asked_for(storage: RedisStorage) -> None:
    puts = [checkpoint(at, thread, ns) for at in range(4) for ns in ("", "n") for thread in "tu"]
    await put(storage, *puts, Put("t", "n", "0002", b"w", nonce=1))

    async def names(query: Query) -> list[tuple[str, str, str]]:
        rows = await listed(storage, query)
        return [(row.thread_id, row.ns, row.checkpoint_id) for row in rows]

    assert await names(Query("t", "n", "0002")) == [("t", "n", "0002")]
    assert await names(Query("t", "n", before="0002")) == [("t", "n", "0001"), ("t", "n", "0000")]
    assert await names(Query("t", None, "0003")) == [("t", "n", "0003"), ("t", "", "0003")]
    assert await names(Query("t", None, before="0001")) == [("t", "n", "0000"), ("t", "", "0000")]
    assert len(await names(Query("t", run_id="any"))) == 8
    assert sorted(await names(Query())) == sorted(
        (p.thread_id, p.ns, p.checkpoint_id) for p in puts
    )
    assert await names(Query(None, "n", "0001", before="0001")) == []
    assert sorted(await names(Query(None, "", "0001"))) == [("t", "", "0001"), ("u", "", "0001")]
    assert [row.writes for row in await listed(storage, Query("t", "n", "0002"))] == [[b"w"]]


async def test_threads_of_runs_are_remembered(storage: RedisStorage) -> None:
    await put(storage, checkpoint(0, "a", run_id="r"), checkpoint(0, "b", run_id="r"))
    await put(storage, checkpoint(0, "é", run_id="s"), checkpoint(1, "a", run_id="s"))
    assert sorted(await storage.threads_of_runs(["r"])) == ["a", "b"]
    assert sorted(await storage.threads_of_runs(["r", "s", "x"])) == ["a", "b", "é"]
    assert await storage.threads_of_runs([]) == []


async def test_removal_takes_writes_and_elements_and_changes_the_salt(
    storage: RedisStorage, client: redis.asyncio.Redis
) -> None:
    salt = await put(storage, checkpoint(0), Put("t", "", "0000", b"w", nonce=1))
    await put(storage, checkpoint(1, ranges=[(STREAM, 1, 2)]))
    await storage.remove("t", [("", "0000"), ("", "absent")], [(STREAM, 0, 1), (1, 0, 5)])
    [row] = await listed(storage, Query("t"))
    assert row.checkpoint_id == "0001"
    assert row.salt != salt
    assert await client.hlen(key("t")) == 4  # salt, thread id, a checkpoint, an element
    assert await put(storage, checkpoint(2, salt=salt)) is Refusal.INCOMPLETE


async def test_removal_spares_what_a_checkpoint_written_meanwhile_rests_on(
    storage: RedisStorage,
) -> None:
    salt = await put(storage, *(checkpoint(at) for at in range(4)))
    await put(storage, checkpoint(4, elements={}, ranges=[(STREAM, 1, 2)], salt=salt))
    await put(storage, Put("t", "", "0004", b"w", nonce=1, ranges=[(STREAM, 3, 4)], salt=salt))
    await storage.remove("t", [("", f"000{at}") for at in range(4)], [(STREAM, 0, 4)])
    left = await storage.elements("t", [(STREAM, 0, 4)])
    assert sorted(left) == [(STREAM, 1), (STREAM, 3)]


async def test_removal_from_no_thread_makes_none(
    storage: RedisStorage, client: redis.asyncio.Redis
) -> None:
    await storage.remove("t", [("", "0000")], [(STREAM, 0, 1)])
    assert await client.keys() == []


async def test_without_history_only_heads_stay(node: Node, client: redis.asyncio.Redis) -> None:
    async with open_redis(node.url, history=False) as storage:
        for at in range(3):
            writes = Put("t", "n", f"{at:04d}", b"w", nonce=1)
            await put(storage, checkpoint(at), checkpoint(at, ns="n"), writes)
        await put(storage, checkpoint(1))
        rows = await listed(storage, Query("t"))
        assert [(row.ns, row.checkpoint_id) for row in rows] == [("n", "0002"), ("", "0002")]
        assert len((await storage.find("t", "", None)).elements) == 3
        assert await client.zcard(key("t") + ":i") == 3


@pytest.mark.parametrize(
    "thread_id", ["", "a b", "{x}", "é" * 100, "\udc80", "a:i", "\0", "x" * 65]
)
async def test_any_thread_id_will_do(storage: RedisStorage, thread_id: str) -> None:
    await put(storage, checkpoint(0, thread_id, "\udc80{", run_id="r"))
    assert [row.thread_id for row in await listed(storage, Query(thread_id))] == [thread_id]
    assert [row.ns for row in await listed(storage, Query())] == ["\udc80{"]
    assert await storage.threads_of_runs(["r"]) == [thread_id]


async def test_a_namespace_with_nul_is_refused(storage: RedisStorage) -> None:
    with pytest.raises(InvalidCheckpoint, match="NUL"):
        await put(storage, checkpoint(0, ns="a\0b"))


@pytest.mark.parametrize("prefix", ["other", "a*[b]?", "é"])
async def test_prefixes_keep_apart(node: Node, storage: RedisStorage, prefix: str) -> None:
    async with open_redis(node.url, prefix=prefix) as other:
        await put(other, checkpoint(0, "theirs", run_id="r"))
        await put(storage, checkpoint(0, "ours"))
        assert await other.find("ours", "", None) is None
        assert [row.thread_id for row in await listed(other, Query())] == ["theirs"]
        assert [row.thread_id for row in await listed(storage, Query())] == ["ours"]
        assert await storage.threads_of_runs(["r"]) == []


async def test_a_prefix_with_braces_is_refused(node: Node) -> None:
    with pytest.raises(ValueError, match="braces"):
        async with open_redis(node.url, prefix="a{b}"):
            pass


async def test_a_client_that_decodes_is_refused(node: Node) -> None:
    async with redis.asyncio.Redis.from_url(
        node.url, decode_responses=True, driver_info=None
    ) as client:
        with pytest.raises(ValueError, match="decode_responses"):
            async with open_redis(client):
                pass


async def test_a_client_stays_open(client: redis.asyncio.Redis) -> None:
    async with open_redis(client) as storage:
        await put(storage, checkpoint(0))
    assert await client.ping()


async def expiries(client: redis.asyncio.Redis, *names: str) -> list[int]:
    return [await client.pexpiretime(name) for name in names]


@pytest.mark.parametrize("access", ["write", "refused", "find", "elements", "rows"])
async def test_the_keys_of_a_thread_expire_at_the_same_later_millisecond(
    ours: RedisStorage, client: redis.asyncio.Redis, access: str
) -> None:
    await put(ours, checkpoint(0, run_id="r"))
    names = (key("t"), key("t") + ":i")
    first, second = await expiries(client, *names)
    assert first == second
    assert first == pytest.approx((time.time() + 3600) * 1000, abs=5000)
    await asyncio.sleep(0.01)
    if access == "write":
        await put(ours, checkpoint(1))
    elif access == "refused":
        await put(ours, checkpoint(1, salt=1))
    elif access == "find":
        await ours.find("t", "", None, known="0000")
    elif access == "elements":
        await ours.elements("t", [(STREAM, 0, 1)])
    else:
        await listed(ours, Query("t"))
    later = await expiries(client, *names)
    assert later[0] == later[1] > first


async def test_runs_and_epochs_expire_too(ours: RedisStorage, client: redis.asyncio.Redis) -> None:
    await put(ours, checkpoint(0, epoch=1, run_id="r"))
    await ours.delete_thread("t")
    await ours.find("u", "", None, epoch=1)
    assert sorted(await client.keys()) == sorted(
        [b"checkpoints:run:r", key("t").encode(), key("u").encode()]
    )
    assert min(await expiries(client, key("t"), key("u"), "checkpoints:run:r")) > 0


async def test_looking_through_all_threads_keeps_none_alive(
    ours: RedisStorage, client: redis.asyncio.Redis
) -> None:
    await put(ours, checkpoint(0))
    before = await expiries(client, key("t"))
    await asyncio.sleep(0.01)
    assert len(await listed(ours, Query())) == 1
    assert await expiries(client, key("t")) == before


async def test_without_a_ttl_a_thread_stays_even_if_it_once_had_one(
    ours: RedisStorage, node: Node, client: redis.asyncio.Redis
) -> None:
    await put(ours, checkpoint(0))
    async with open_redis(node.url) as lasting:
        await put(lasting, checkpoint(1))
    assert await expiries(client, key("t"), key("t") + ":i") == [-1, -1]


async def test_a_thread_goes_as_a_whole(node: Node, client: redis.asyncio.Redis) -> None:
    async with open_redis(node.url, ttl=0.05) as storage:
        salt = await put(storage, checkpoint(0, epoch=1, run_id="r"))
        await asyncio.sleep(0.1)
        assert await client.keys() == []
        assert await storage.find("t", "", "0000") is None
        assert await put(storage, checkpoint(1, salt=salt)) is Refusal.INCOMPLETE


@pytest.mark.parametrize("evicted", ["", ":i"])
async def test_what_eviction_left_of_a_thread_is_no_thread(
    storage: RedisStorage, client: redis.asyncio.Redis, evicted: str
) -> None:
    async def torn() -> int:
        salt = await put(storage, checkpoint(0), checkpoint(1))
        await client.delete(key("t") + evicted)
        assert isinstance(salt, int)
        return salt

    await torn()
    assert await storage.find("t", "", "0001") is None
    await torn()
    assert await storage.find("t", "", None) is None
    await torn()
    assert await listed(storage, Query()) == []
    assert await put(storage, checkpoint(2, salt=await torn())) is Refusal.INCOMPLETE
    assert await client.keys() == []
    salt = await torn()
    assert await put(storage, checkpoint(2)) != salt
    assert sorted((await storage.find("t", "", None)).elements) == [(STREAM, 2)]
    assert ids(await listed(storage, Query("t"))) == ["0002"]


async def test_eviction_of_the_index_leaves_the_epoch(
    storage: RedisStorage, client: redis.asyncio.Redis
) -> None:
    await put(storage, checkpoint(0, epoch=5))
    await client.delete(key("t") + ":i")
    assert await put(storage, checkpoint(1, epoch=4)) is Refusal.SUPERSEDED


async def test_a_flushed_server_takes_only_what_is_complete(
    storage: RedisStorage, client: redis.asyncio.Redis
) -> None:
    salt = await put(storage, checkpoint(0))
    await client.flushall()
    assert await put(storage, checkpoint(1, salt=salt)) is Refusal.INCOMPLETE
    assert isinstance(await put(storage, checkpoint(1)), int)
    assert sorted((await storage.find("t", "", None)).elements) == [(STREAM, 1)]


async def test_a_server_that_forgot_the_scripts_is_taught_again(
    storage: RedisStorage, client: redis.asyncio.Redis
) -> None:
    await put(storage, checkpoint(0))
    await client.script_flush()
    puts = [checkpoint(1, thread, run_id="r") for thread in "tuv"]
    assert all(isinstance(outcome, int) for outcome in await storage.write(puts))
    await client.script_flush()
    assert (await storage.find("t", "", None)).row.checkpoint_id == "0001"
    assert sorted(await storage.threads_of_runs(["r"])) == ["t", "u", "v"]


async def test_nothing_outside_redis_6_is_asked_for(
    node: Node, client: redis.asyncio.Redis
) -> None:
    await client.script_flush()
    async with open_redis(f"{node.url}/1", ttl=60, history=False) as brief:
        await put(brief, checkpoint(0, run_id="r"), checkpoint(1))
    async with open_redis(node.url) as storage:
        await put(storage, checkpoint(0, epoch=1), checkpoint(0, "u", run_id="r"))
        salt = await put(storage, checkpoint(1, epoch=2), Put("t", "", "0001", b"w", nonce=1))
        await put(storage, checkpoint(2, salt=salt))
        await put(storage, checkpoint(2, salt=salt, ranges=[(STREAM, 5, 9)]))
        await storage.find("t", "", None, epoch=3)
        await storage.elements("t", [(STREAM, 0, 5)])
        await listed(storage, Query())
        await listed(storage, Query("t", "", before="0002"))
        await storage.threads_of_runs(["r"])
        await storage.remove("t", [("", "0000")], [(STREAM, 0, 1), (STREAM, 9, 10)])
        await storage.delete_thread("t")
        await client.delete(key("u"))
        await storage.find("u", "", None)
    sent = {name.removeprefix("cmdstat_") for name in await client.info("commandstats")}
    of_the_test = {"config|resetstat", "del", "flushall", "script|flush"}
    assert sent - of_the_test == REDIS_6_CORE


async def test_the_list_of_commands_is_of_redis_6(client: redis.asyncio.Redis) -> None:
    docs = await client.execute_command("COMMAND DOCS", *REDIS_6_CORE)
    about = {
        name: dict(zip(doc[::2], doc[1::2], strict=True))
        for name, doc in zip(docs[::2], docs[1::2], strict=True)
    }
    assert {name.decode() for name in about} == REDIS_6_CORE
    for name, doc in about.items():
        assert doc[b"since"] < b"6.2", name
        assert doc[b"group"] != b"module", name


async def test_a_policy_that_evicts_is_warned_of(
    node: Node, client: redis.asyncio.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await client.config_set("maxmemory-policy", "volatile-lru")
    with caplog.at_level(logging.WARNING, "checkpoints"):
        async with open_redis(node.url):
            pass
    assert "volatile-lru" in caplog.text


async def test_a_server_without_memory_says_so_and_still_reads(
    storage: RedisStorage, client: redis.asyncio.Redis
) -> None:
    await put(storage, checkpoint(0))
    await client.config_set("maxmemory", 1)
    with pytest.raises(CheckpointError, match="memory") as raised:
        await put(storage, checkpoint(1))
    assert not isinstance(raised.value, Unavailable)
    assert ids(await listed(storage, Query("t"))) == ["0000"]
    await client.config_set("maxmemory", 0)
    assert isinstance(await put(storage, checkpoint(1)), int)


async def test_a_replica_is_unavailable(storage: RedisStorage, client: redis.asyncio.Redis) -> None:
    await put(storage, checkpoint(0))
    await client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(Unavailable):
            await put(storage, checkpoint(1))
        with pytest.raises(Unavailable):
            await storage.find("t", "", None)
    finally:
        await client.replicaof("NO", "ONE")
    assert isinstance(await put(storage, checkpoint(1)), int)


async def test_another_kind_of_key_is_an_error(
    storage: RedisStorage, client: redis.asyncio.Redis
) -> None:
    await client.set(key("t"), "somebody else's")
    with pytest.raises(CheckpointError, match="WRONGTYPE"):
        await put(storage, checkpoint(0))


async def test_connections_broken_while_idle_are_made_anew(
    ours: RedisStorage, client: redis.asyncio.Redis
) -> None:
    await put(ours, checkpoint(0))
    await client.client_kill_filter(_type="normal", skipme=True)
    await asyncio.sleep(0.05)
    assert await ours.find("t", "", None) is not None


async def test_many_calls_share_few_connections(
    ours: RedisStorage, client: redis.asyncio.Redis
) -> None:
    threads = [f"t{at}" for at in range(60)]
    await asyncio.gather(*(put(ours, checkpoint(0, thread)) for thread in threads))
    found = await asyncio.gather(*(ours.find(thread, "", None) for thread in threads))
    assert [each.row.thread_id for each in found] == threads
    assert len(await client.client_list()) <= 2 + 1 + 1  # its own, the one of INFO, the test's


async def test_a_cancelled_call_leaves_no_answer_to_the_next(ours: RedisStorage) -> None:
    threads = [f"t{at}" for at in range(40)]
    await ours.write([checkpoint(0, thread) for thread in threads])
    for pause in (at / 20_000 for at in range(20)):
        finding = [asyncio.create_task(ours.find(thread, "", None)) for thread in threads]
        await asyncio.sleep(pause)
        for task in finding[::2]:
            task.cancel()
        found = await asyncio.gather(*finding, return_exceptions=True)
        for thread, each in zip(threads, found, strict=True):
            assert isinstance(each, asyncio.CancelledError) or each.row.thread_id == thread


async def test_a_server_that_hangs_is_unavailable_until_it_goes_on(
    node: Node, client: redis.asyncio.Redis
) -> None:
    async with open_redis(node.url, call_timeout=1) as storage:
        await put(storage, checkpoint(0))
        with node.frozen(), pytest.raises(Unavailable):
            await put(storage, checkpoint(1))
        assert isinstance(await put(storage, checkpoint(1)), int)


async def test_a_server_that_dies_is_unavailable(tmp_path_factory: pytest.TempPathFactory) -> None:
    with alone(tmp_path_factory.mktemp("redis") / "alone") as node:
        async with open_redis(node.url) as storage:
            await put(storage, checkpoint(0))
            node.kill()
            with pytest.raises(Unavailable):
                await put(storage, checkpoint(1))
            with pytest.raises(Unavailable):
                await listed(storage, Query())
        with pytest.raises(Unavailable):
            async with open_redis(node.url):
                pass
