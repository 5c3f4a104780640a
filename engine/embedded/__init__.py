"""Private PostgreSQL and Redis servers, started with the first process and gone with the last."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import fakeredis
from redis.asyncio import Redis as Client

from engine.embedded.place import Place, find_place
from engine.embedded.postgres import Postgres
from engine.embedded.redis import Redis, find_program
from engine.embedded.station import Station
from engine.errors import ConfigError
from engine.settings import Settings

__all__ = ["Servers", "open_servers"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Servers:
    """What the process stores into."""

    database_url: str
    """PostgreSQL with pgvector."""
    redis: Client
    """Answers with bytes."""
    redis_url: str | None
    """None when Redis is a stand-in inside this process."""


@asynccontextmanager
async def open_servers(settings: Settings) -> AsyncIterator[Servers]:
    """The user's own servers, or embedded ones where a URL is not set; released on exit.

    Raises `ConfigError` when an embedded server cannot run here.
    """
    async with AsyncExitStack() as stack:
        place = await asyncio.to_thread(find_place, settings.data)
        database_url = settings.database_url or await _postgres(stack, place)
        redis_url = settings.redis_url or await _redis(stack, place)
        client = Client.from_url(redis_url) if redis_url else _stand_in(settings)
        stack.push_async_callback(client.aclose)
        yield Servers(database_url, client, redis_url)


async def _postgres(stack: AsyncExitStack, place: Place) -> str:
    server = Postgres(place)
    await _use(stack, server.station())
    return server.url()


async def _redis(stack: AsyncExitStack, place: Place) -> str | None:
    if find_program() is None:
        return None
    server = Redis(place)
    await _use(stack, server.station())
    return server.url()


async def _use(stack: AsyncExitStack, station: Station) -> None:
    stack.push_async_callback(asyncio.to_thread, station.leave)
    await _to_its_end(station.enter)


async def _to_its_end(work: Callable[[], None]) -> None:
    """In a thread; who is cancelled meanwhile still waits, so that nothing is left half done."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _stand_in(settings: Settings) -> Client:
    if settings.role != "all":
        raise ConfigError(
            f"The role `{settings.role}` shares Redis with other processes: set REDIS_URL, "
            "or install redis-server."
        )
    _log.warning("No redis-server is installed: using a stand-in inside this process.")
    return fakeredis.FakeAsyncRedis()
