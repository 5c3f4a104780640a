import asyncio

from engine.embedded import open_servers
from engine.settings import Settings


async def test_many_commands_at_once_wait_for_a_connection(
    settings: Settings, redis_url: str
) -> None:
    async with open_servers(settings) as servers:
        answers = await asyncio.gather(*(servers.redis.incr("n") for _ in range(1_000)))
        assert sorted(answers) == list(range(1, 1_001))
        assert len(await servers.redis.client_list()) < 100
