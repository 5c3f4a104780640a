"""An engine on the test's own database, with the sample graphs."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from checkpoints import PostgresCheckpointer, open_store
from engine.caller import Caller
from engine.database import Pool, migrate, open_pool
from engine.embedded import Servers
from engine.jobs import open_jobs
from engine.project.manifest import Project, read_project
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from tests.databases import database
from tests.fakes.graphs import GRAPHS


@pytest.fixture
def me() -> Caller:
    return Caller("acme:trusted:1", "acme", trusted=True)


@pytest.fixture(scope="session")
async def _template(postgres_dsn: str) -> AsyncIterator[str]:
    """A database with all tables of an engine: to copy it takes a fraction of making them."""
    async with database(postgres_dsn, "engine_template") as url:
        async with open_pool(url) as pool, open_store(pool), PostgresCheckpointer.open(url):
            await migrate(pool, "engine")
            async with open_jobs(pool, url, {}):
                pass
        yield "engine_template"


@pytest.fixture
async def database_url(
    postgres_dsn: str, _template: str, _numbers: Iterator[int]
) -> AsyncIterator[str]:
    async with database(postgres_dsn, f"engine_{next(_numbers)}", _template) as url:
        yield url


@pytest.fixture
def migrated(pool: Pool) -> Pool:
    """Its database has the engine's tables."""
    return pool


@pytest.fixture
def servers(database_url: str, redis: redis.asyncio.Redis, redis_url: str) -> Servers:
    return Servers(database_url, redis, redis_url)


@pytest.fixture
async def engine(settings: Settings, servers: Servers, migrated: Pool) -> AsyncIterator[Engine]:
    quick = settings.model_copy(update={"lease_seconds": 1.0, "drain_seconds": 0.0})
    async with open_engine(quick, servers, migrated, GRAPHS) as engine:
        yield engine


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Project]:
    """Writes a `langgraph.json` with these keys, and reads it."""

    def write(**keys: Any) -> Project:
        file = tmp_path / "langgraph.json"
        file.write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}, **keys}, indent=1))
        return read_project(file)

    return write
