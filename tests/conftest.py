"""Real servers for every test: one PostgreSQL and one Redis a session, a fresh database a test."""

import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import redis.asyncio
from hypothesis import settings as hypothesis_settings

from engine.database import Pool, open_pool
from engine.embedded.place import Place, find_place
from engine.embedded.postgres import Postgres
from engine.embedded.redis import Redis, find_program
from engine.embedded.shared import Server, SharedServer
from engine.settings import Settings
from tests.databases import database
from tests.folders import reachable_folder

hypothesis_settings.register_profile("untimed", deadline=None)  # machines differ
hypothesis_settings.load_profile("untimed")

_SWITCHES = {"FRONTDESK_EVAL_DATA", "FRONTDESK_REQUIRE_ALL"}


def pytest_configure(config: pytest.Config) -> None:
    for name in list(os.environ):  # what the developer has set must not decide a test
        if name.startswith(("FRONTDESK_", "OPENAI_", "OTEL_", "PG")) and name not in _SWITCHES:
            del os.environ[name]
    for name in ("DATABASE_URL", "REDIS_URL", "HOST", "PORT"):
        os.environ.pop(name, None)
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


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """For FRONTDESK_DATA of processes that start servers of their own.

    Other than `tmp_path`, which root closes, the servers' account can reach it.
    """
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """Where the session's servers live."""
    with reachable_folder() as folder:
        yield find_place(folder)


@contextmanager
def _running(place: Place, server: Server) -> Iterator[SharedServer]:
    shared = SharedServer(place, server)
    try:
        shared.acquire()
        yield shared
    finally:
        shared.release()


@pytest.fixture(scope="session")
def postgres_dsn(place: Place) -> Iterator[str]:
    """The maintenance database of the session's PostgreSQL."""
    postgres = Postgres(fsync=False)
    with _running(place, postgres) as shared:
        yield postgres.url(shared.sockets, "postgres")


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return count()


@pytest.fixture
async def database_url(postgres_dsn: str, _numbers: Iterator[int]) -> AsyncIterator[str]:
    """An empty database with the vector extension, for this test alone."""
    async with database(postgres_dsn, f"test_{next(_numbers)}") as url:
        yield url


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url) as pool:
        yield pool


@pytest.fixture(scope="session")
def _redis_server(place: Place) -> Iterator[str | None]:
    if find_program() is None:
        yield None
        return
    server = Redis()
    with _running(place, server) as shared:
        yield server.url(shared.sockets)


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
    """Defaults, on the test's own database and Redis."""
    return Settings(
        _env_file=None,
        database_url=database_url,
        redis_url=_emptied_redis,
        data=tmp_path / "data",
        max_lag_seconds=30.0,  # a busy machine must not refuse what a test asks for
    )


@pytest.fixture
def imports_as_before(tmp_path: Path) -> Iterator[None]:
    """For tests that import a project in `tmp_path`: it is forgotten, what it hid is back."""
    path, finders, modules = list(sys.path), list(sys.meta_path), dict(sys.modules)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    for name, module in list(sys.modules.items()):
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        if any(str(place).startswith(str(tmp_path)) for place in places):
            del sys.modules[name]
    sys.modules.update(modules)
