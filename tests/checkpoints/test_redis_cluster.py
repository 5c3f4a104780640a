"""On a cluster: a thread lies on one node, a batch goes to many."""

import gc
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from checkpoints.errors import Unavailable
from checkpoints.records import Put, Query, Refusal
from checkpoints.redis import RedisStorage, open_redis
from tests.checkpoints.servers import PROGRAMS, Node, cluster

pytestmark = pytest.mark.requires(*PROGRAMS)

THREADS = [f"thread-{at}" for at in range(30)]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with cluster(tmp_path_factory.mktemp("redis") / "cluster") as nodes:
        yield nodes


@pytest.fixture
async def client(nodes: list[Node]) -> AsyncIterator[RedisCluster]:
    async with RedisCluster.from_url(nodes[0].url, protocol=2, driver_info=None) as client:
        await client.flushall(target_nodes=RedisCluster.PRIMARIES)
        yield client


@pytest.fixture
async def storage(client: RedisCluster) -> AsyncIterator[RedisStorage]:
    async with open_redis(client, ttl=3600) as storage:
        yield storage


def checkpoint(at: int, thread_id: str, salt: int | None = None) -> Put:
    return Put(
        thread_id,
        "",
        f"{at:04d}",
        b"body",
        elements={(5, at): b"%d" % at},
        ranges=[(5, 0, at + 1)],
        run_id=f"run of {thread_id}",
        salt=salt,
    )


async def test_a_batch_reaches_threads_on_every_node(
    storage: RedisStorage, nodes: list[Node]
) -> None:
    salts = await storage.write([checkpoint(0, thread) for thread in THREADS])
    later = [checkpoint(1, *pair) for pair in zip(THREADS, salts, strict=True)]
    assert await storage.write(later) == salts
    for thread in THREADS:
        found = await storage.find(thread, "", None)
        assert (found.row.thread_id, found.row.checkpoint_id) == (thread, "0001")
        assert found.elements == {(5, 0): b"0", (5, 1): b"1"}
        assert await storage.elements(thread, [(5, 1, 2)]) == {(5, 1): b"1"}
    for node in nodes:
        with node.client() as client:
            assert client.dbsize() > 0


async def test_the_keys_of_a_thread_lie_and_expire_together(
    storage: RedisStorage, client: RedisCluster
) -> None:
    odd = ["a b", "{x}", "é", ""]
    await storage.write([checkpoint(0, thread) for thread in [*THREADS, *odd]])
    keys = [key async for key in client.scan_iter(match="checkpoints:{*")]
    assert len(keys) == 2 * (len(THREADS) + len(odd))
    for key in keys:
        if not key.endswith(b":i"):
            assert client.keyslot(key) == client.keyslot(key + b":i")
            assert await client.pexpiretime(key) == await client.pexpiretime(key + b":i") > 0


async def test_all_threads_are_listed_whatever_node_they_are_on(storage: RedisStorage) -> None:
    await storage.write([checkpoint(at, thread) for thread in THREADS for at in range(2)])
    rows = [(row.thread_id, row.checkpoint_id) async for row in storage.rows(Query())]
    assert sorted(rows) == sorted((thread, at) for thread in THREADS for at in ("0000", "0001"))
    runs = [f"run of {thread}" for thread in THREADS]
    assert sorted(await storage.threads_of_runs(runs)) == sorted(THREADS)


async def test_removal_and_deletion_find_their_node(storage: RedisStorage) -> None:
    await storage.write([checkpoint(at, thread) for thread in THREADS for at in range(2)])
    for thread in THREADS:
        await storage.remove(thread, [("", "0000")], [(5, 0, 2)])
        [row] = [row async for row in storage.rows(Query(thread))]
        assert row.checkpoint_id == "0001"
        await storage.delete_thread(thread)
    assert [row async for row in storage.rows(Query())] == []


async def test_nodes_that_forgot_the_scripts_are_taught_again(
    storage: RedisStorage, nodes: list[Node]
) -> None:
    salts = await storage.write([checkpoint(0, thread) for thread in THREADS])
    for node in nodes:
        with node.client() as client:
            client.script_flush()
    again = [checkpoint(0, *pair) for pair in zip(THREADS, salts, strict=True)]
    assert await storage.write(again) == salts


async def test_a_thread_is_followed_to_another_node(
    storage: RedisStorage, client: RedisCluster, nodes: list[Node]
) -> None:
    thread = THREADS[0]
    key = f"checkpoints:{{{thread}}}"
    [salt] = await storage.write([checkpoint(0, thread)])
    home = client.get_node_from_key(key)
    source, target = sorted(nodes, key=lambda node: node.port != home.port)[:2]
    _move(client.keyslot(key), [key, f"{key}:i"], source, target, nodes)
    outcome = await storage.write([checkpoint(1, thread, salt), checkpoint(0, THREADS[1])])
    assert outcome[0] == salt
    assert client.get_node_from_key(key).port == target.port
    assert len((await storage.find(thread, "", None)).elements) == 2


def _move(slot: int, keys: list[str], source: Node, target: Node, nodes: list[Node]) -> None:
    with source.client() as old, target.client() as new:
        old_id, new_id = (node.execute_command("CLUSTER MYID").decode() for node in (old, new))
        new.execute_command(f"CLUSTER SETSLOT {slot} IMPORTING {old_id}")
        old.execute_command(f"CLUSTER SETSLOT {slot} MIGRATING {new_id}")
        old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    for node in sorted(nodes, key=lambda node: node is not target):  # the new owner first
        with node.client() as each:
            each.execute_command(f"CLUSTER SETSLOT {slot} NODE {new_id}")


async def test_flushing_a_node_makes_its_threads_incomplete_and_no_others(
    storage: RedisStorage, nodes: list[Node]
) -> None:
    salts = await storage.write([checkpoint(0, thread) for thread in THREADS])
    with nodes[0].client() as client:
        client.flushall()
    later = [checkpoint(1, *pair) for pair in zip(THREADS, salts, strict=True)]
    outcomes = await storage.write(later)
    assert set(outcomes) - {Refusal.INCOMPLETE} < set(salts)
    assert Refusal.INCOMPLETE in outcomes


async def test_without_one_of_its_nodes_a_cluster_is_unavailable(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with cluster(tmp_path_factory.mktemp("redis") / "cluster") as nodes:
        options = {"protocol": 2, "driver_info": None, "retry": Retry(NoBackoff(), 1)}
        async with (
            RedisCluster.from_url(nodes[0].url, **options) as client,
            open_redis(client) as storage,
        ):
            puts = [checkpoint(0, thread) for thread in THREADS]
            await storage.write(puts)
            nodes[2].kill()
            with pytest.raises(Unavailable):
                await storage.write(puts)
            lost = [thread for thread in THREADS if await _is_unavailable(storage, thread)]
            assert lost
        await _close_what_redis_py_forgot()


async def _close_what_redis_py_forgot() -> None:
    """Once a cluster is broken, redis-py drops nodes of it with their connections open."""
    for each in gc.get_objects():
        if type(each) is ClusterNode:
            await each.disconnect()


async def _is_unavailable(storage: RedisStorage, thread_id: str) -> bool:
    try:
        return await storage.find(thread_id, "", None) is None
    except Unavailable:
        return True
