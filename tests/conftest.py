"""Real servers for every test: one PostgreSQL and one Redis a session, a fresh database a test."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
import redis.asyncio
from psycopg import sql

from engine.database import Pool, open_pool
from engine.embedded.place import Place, find_place
from engine.embedded.postgres import Postgres
from engine.embedded.redis import Redis, find_program
from engine.settings import Settings


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "requires(*programs): skips where a program is not installed, naming it"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("requires"):
        _require(*marker.args)


def _require(*programs: str) -> None:
    """Skip when none of these programs is installed; fail when everything must be there."""
    if any(shutil.which(program) for program in programs):
        return
    reason = f"not installed: {' or '.join(programs)}"
    if os.environ.get("FRONTDESK_REQUIRE_ALL"):
        pytest.fail(f"{reason}, and FRONTDESK_REQUIRE_ALL is set", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def requires() -> Callable[..., None]:
    """For fixtures: `requires("chromium", "chrome")` skips unless one of them is installed."""
    return _require


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """The session's servers live in a folder that the unprivileged account can reach."""
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-"))
    folder.chmod(0o755)
    yield find_place(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(place: Place) -> Iterator[Postgres]:
    server = Postgres(place, fsync=False)
    station = server.station()
    station.enter()
    yield server
    station.leave()
    station.wait_until_idle()


@pytest.fixture(scope="session")
def postgres_dsn(postgres: Postgres) -> str:
    """The maintenance database of the session's PostgreSQL."""
    return postgres.url("postgres")


@pytest.fixture(scope="session")
def _names() -> Iterator[int]:
    return count()


@pytest.fixture
async def database_url(postgres: Postgres, _names: Iterator[int]) -> AsyncIterator[str]:
    """An empty database with the vector extension, for this test alone."""
    name = sql.Identifier(f"test_{next(_names)}")
    async with await psycopg.AsyncConnection.connect(
        postgres.url("postgres"), autocommit=True
    ) as admin:
        await admin.execute(sql.SQL("create database {} template frontdesk").format(name))
        yield postgres.url(name.as_string().strip('"'))
        await admin.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url) as pool:
        yield pool


@pytest.fixture(scope="session")
def _redis_server(place: Place) -> Iterator[str | None]:
    if find_program() is None:
        yield None
        return
    server = Redis(place)
    station = server.station()
    station.enter()
    yield server.url()
    station.leave()
    station.wait_until_idle()


@pytest.fixture
async def _emptied_redis(_redis_server: str | None) -> str | None:
    if _redis_server is not None:
        async with redis.asyncio.Redis.from_url(_redis_server) as client:
            await client.flushall()
    return _redis_server


@pytest.fixture
def redis_url(_emptied_redis: str | None) -> str:
    """A real Redis, emptied for this test; skips when none is installed."""
    if _emptied_redis is None:
        _require("redis-server", "valkey-server")
    return _emptied_redis or ""


@pytest.fixture(name="redis")
async def redis_client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of `redis_url` that answers with bytes."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def settings(database_url: str, _emptied_redis: str | None, tmp_path: Path) -> Settings:
    """Defaults on the test's own database and Redis, whatever the environment says."""
    return Settings(
        _env_file=None, database_url=database_url, redis_url=_emptied_redis, data=tmp_path / "data"
    )
