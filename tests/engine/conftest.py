"""An engine on the test's own database, with the sample graphs."""

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from engine.caller import Caller
from engine.database import Pool, migrate
from engine.embedded import Servers
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from tests.fakes.graphs import GRAPHS


@pytest.fixture
def me() -> Caller:
    return Caller("acme:trusted:1", "acme", trusted=True)


@pytest.fixture
async def migrated(pool: Pool) -> Pool:
    await migrate(pool, "engine")
    return pool


@pytest.fixture
def servers(database_url: str, redis: redis.asyncio.Redis, redis_url: str) -> Servers:
    return Servers(database_url, redis, redis_url)


@pytest.fixture
async def engine(settings: Settings, servers: Servers, migrated: Pool) -> AsyncIterator[Engine]:
    quick = settings.model_copy(update={"lease_seconds": 1.0, "drain_seconds": 0.0})
    async with open_engine(quick, servers, migrated, GRAPHS) as engine:
        yield engine
