"""The checkpointers on one storage."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from checkpoints.checkpointer import Checkpointer
from checkpoints.expiry import Ttl, sweeping
from checkpoints.hot import HotStorage
from checkpoints.postgres import open_postgres
from checkpoints.redis import open_redis
from checkpoints.redis_client import Client, connected
from checkpoints.tiered import TieredStorage
from checkpoints.trust import Trust

_CONNECTIONS = 8
_CALL_SECONDS = 2.0


class PostgresCheckpointer(Checkpointer):
    """Checkpoints in PostgreSQL, whatever pooler is in front of it.

    Not beside a `TieredCheckpointer` on the same schema, whose copies would not follow; before or
    after it is fine.
    """

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        *,
        schema: str = "checkpoints",
        size: int = 10,
        ttl: Ttl | None = None,
        **options: Any,
    ) -> AsyncIterator[Self]:
        """Connect with at most `size` connections, bring the schema up to date, serve, flush.

        `options` are those of `Checkpointer`. Raises `Unavailable`.
        """
        async with (
            open_postgres(dsn, schema=schema, size=size) as storage,
            Trust(storage.pool, schema).outdated(),
            cls(storage, **options) as saver,
            sweeping(ttl, storage, saver.aprune),
        ):
            yield saver


class RedisCheckpointer(Checkpointer):
    """Checkpoints in plain Redis: alone, a cluster or behind Sentinel.

    As durable as the Redis: it should write its append-only file and evict nothing.
    """

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str | Client,
        *,
        prefix: str = "checkpoints",
        ttl: float | None = None,
        **options: Any,
    ) -> AsyncIterator[Self]:
        """Connect to a URL, or use a client of redis-py that stays the caller's.

        A thread that is neither read nor written for `ttl` seconds goes, as a whole. `options`
        are those of `Checkpointer`. Raises `Unavailable`.
        """
        async with (
            open_redis(url, prefix=prefix, ttl=ttl) as storage,
            cls(storage, **options) as saver,
        ):
            yield saver


class TieredCheckpointer(Checkpointer):
    """Checkpoints in PostgreSQL, the heads of active threads also in Redis.

    Redis may vanish, lose or turn back what it had at any moment: nothing is lost, nothing stale
    is read; what it costs is time.
    """

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        url: str | Client,
        *,
        ttl: float = 3600.0,
        schema: str = "checkpoints",
        prefix: str = "checkpoints",
        size: int = 10,
        sweep: Ttl | None = None,
        **options: Any,
    ) -> AsyncIterator[Self]:
        """Connect to both. `ttl`: seconds after its last use that a thread leaves Redis.

        `sweep` says what becomes of idle threads in PostgreSQL. `options` are those of
        `Checkpointer`. Redis may be away at the start too. Raises `Unavailable` for PostgreSQL.
        """
        process = secrets.token_hex(8)
        async with (
            open_postgres(dsn, schema=schema, size=size) as cold,
            connected(url, connections=_CONNECTIONS, timeout=_CALL_SECONDS) as server,
        ):
            trust = Trust(cold.pool, schema)
            hot = await asyncio.to_thread(HotStorage, server, process, prefix=prefix, ttl=ttl)
            storage = TieredStorage(cold, hot, trust)
            async with (
                trust.watched(),
                storage.resting(),
                cls(storage, **options) as saver,
                sweeping(sweep, storage, saver.aprune),
            ):
                yield saver
