"""The checkpointers on one storage."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from checkpoints.checkpointer import Checkpointer
from checkpoints.expiry import Ttl, sweeping
from checkpoints.postgres import open_postgres
from checkpoints.redis import Client, open_redis


class PostgresCheckpointer(Checkpointer):
    """Checkpoints in PostgreSQL, whatever pooler is in front of it."""

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
            cls(storage, **options) as saver,
            sweeping(ttl, storage.sweep, lambda ids, how: saver.aprune(ids, strategy=how)),
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
