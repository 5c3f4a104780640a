"""A place for checkpoints on each of our savers, one a module; a test keeps to its own threads."""

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver

from tests.checkpoints.backends import Backend, OnBoth, OnPostgres, OnRedis, dropped
from tests.checkpoints.threads import Thread

NewBackend = Callable[[], Backend]


@pytest.fixture(scope="session")
def _names() -> Iterator[int]:
    return count()


@pytest.fixture(
    scope="module", params=[OnPostgres, OnRedis, OnBoth], ids=["postgres", "redis", "tiered"]
)
def new_backend(
    request: pytest.FixtureRequest,
    postgres_dsn: str,
    _redis_server: str | None,
    _names: Iterator[int],
    requires: Callable[..., None],
) -> NewBackend:
    """Makes backends of one kind, each empty and by itself."""
    if _redis_server is None and request.param is not OnPostgres:
        requires("redis-server", "valkey-server")
    return lambda: request.param(postgres_dsn, _redis_server, f"place{next(_names)}_")


@pytest.fixture(scope="module")
async def backend(new_backend: NewBackend) -> AsyncIterator[Backend]:
    async with dropped(new_backend()) as backend:
        yield backend


@pytest.fixture
async def empty(new_backend: NewBackend) -> AsyncIterator[Backend]:
    """A backend for this test alone."""
    async with dropped(new_backend()) as backend:
        yield backend


@pytest.fixture(scope="module")
async def saver(backend: Backend) -> AsyncIterator[BaseCheckpointSaver]:
    async with backend.open() as saver:
        yield saver


@pytest.fixture(scope="module")
async def other(backend: Backend) -> AsyncIterator[BaseCheckpointSaver]:
    """As another process would: it shares the storage with `saver`, and no memory."""
    async with backend.open() as saver:
        yield saver


@pytest.fixture
def thread(saver: BaseCheckpointSaver) -> Thread:
    return Thread(saver)
