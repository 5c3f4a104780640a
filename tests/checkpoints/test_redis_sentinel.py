"""Behind Sentinel: what a failover does not lose, and what it loses without a trace."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Sentinel

from checkpoints.errors import Unavailable
from checkpoints.records import Outcome, Put, Refusal
from checkpoints.redis import RedisStorage, open_redis
from tests.checkpoints.servers import PROGRAMS, SERVICE, Watched, watched

pytestmark = pytest.mark.requires(*PROGRAMS)


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("redis") / "watched") as servers:
        yield servers


@pytest.fixture
async def storage(servers: Watched) -> AsyncIterator[RedisStorage]:
    options = {"protocol": 2, "driver_info": None}
    places = [("127.0.0.1", servers.sentinel.port)]
    sentinel = Sentinel(places, sentinel_kwargs=options, socket_timeout=1, **options)
    async with sentinel.master_for(SERVICE) as client, open_redis(client) as storage:
        yield storage
    for each in sentinel.sentinels:
        await each.aclose()


def checkpoint(at: int, salt: int | None = None, **fields: object) -> Put:
    values: dict[str, object] = {"elements": {(5, at): b"%d" % at}, "ranges": [(5, 0, at + 1)]}
    return Put("t", "", f"{at:04d}", b"body", salt=salt, **{**values, **fields})


async def patiently(storage: RedisStorage, put: Put) -> Outcome:
    """As a checkpointer does: again, for as long as the storage is unavailable."""
    async with asyncio.timeout(30):
        while True:
            try:
                [outcome] = await storage.write([put])
                return outcome
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_a_failover_is_survived_with_all_that_was_replicated(
    storage: RedisStorage, servers: Watched
) -> None:
    [salt] = await storage.write([checkpoint(0, epoch=5)])
    servers.replicate()
    servers.master.kill()
    assert await patiently(storage, checkpoint(1, salt)) == salt
    assert servers.replica.port == _port_of(storage)
    assert len((await storage.find("t", "", None)).elements) == 2
    assert await storage.write([checkpoint(2, epoch=4)]) == [Refusal.SUPERSEDED]


async def test_nothing_rests_on_what_a_failover_lost(
    storage: RedisStorage, servers: Watched
) -> None:
    [salt] = await storage.write([checkpoint(0)])
    servers.replicate()
    with servers.unreplicated():
        assert await storage.write([checkpoint(1, salt), checkpoint(2, salt)]) == [salt, salt]
    assert await patiently(storage, checkpoint(3, salt)) is Refusal.INCOMPLETE
    assert (await storage.find("t", "", None)).row.checkpoint_id == "0000"
    whole = checkpoint(3, elements={(5, at): b"%d" % at for at in range(4)})
    assert isinstance(await patiently(storage, whole), int)
    assert len((await storage.find("t", "", None)).elements) == 4


async def test_a_master_made_a_replica_is_left(storage: RedisStorage, servers: Watched) -> None:
    [salt] = await storage.write([checkpoint(0)])
    servers.replicate()
    with servers.sentinel.client() as sentinel:
        sentinel.execute_command("SENTINEL FAILOVER", SERVICE)
    servers.wait_until_promoted()
    assert await patiently(storage, checkpoint(1, salt)) == salt
    assert (await storage.find("t", "", None)).row.checkpoint_id == "0001"


def _port_of(storage: RedisStorage) -> int:
    host_and_port: tuple[str, int] = storage._server._client.connection_pool.master_address
    return host_and_port[1]
