"""An engine on the test's own database, with the sample graphs."""

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from engine.caller import Caller
from engine.database import Pool, migrate
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
async def engine(
    settings: Settings, migrated: Pool, redis: redis.asyncio.Redis, database_url: str
) -> AsyncIterator[Engine]:
    quick = settings.model_copy(update={"lease_seconds": 1.0, "drain_seconds": 0.0})
    async with open_engine(quick, migrated, redis, GRAPHS, database_url) as engine:
        yield engine
