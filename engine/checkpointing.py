"""The checkpointer that the settings ask for, on the servers there are."""

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from checkpoints import (
    CheckpointError,
    Cipher,
    PostgresCheckpointer,
    RedisCheckpointer,
    TieredCheckpointer,
    Ttl,
)
from checkpoints.checkpointer import Checkpointer
from engine.embedded import Servers
from engine.errors import ConfigError
from engine.settings import Settings


@asynccontextmanager
async def open_checkpointer(settings: Settings, servers: Servers) -> AsyncIterator[Checkpointer]:
    """Migrated and ready. Raises `ConfigError` for what cannot be opened."""
    chosen = kind(settings, servers)
    async with AsyncExitStack() as stack:
        try:
            saver = await stack.enter_async_context(_opening(chosen, settings, servers))
        except CheckpointError as error:
            raise ConfigError(f"The checkpointer `{chosen}` cannot be opened: {error}") from error
        yield saver


def kind(settings: Settings, servers: Servers) -> str:
    """`tiered`, `postgres` or `redis`. Raises `ConfigError` where that needs a Redis."""
    real = servers.redis_url is not None
    chosen = settings.checkpointer or ("tiered" if real else "postgres")
    if chosen != "postgres" and not real:
        raise ConfigError(
            f"FRONTDESK_CHECKPOINTER={chosen} needs a real Redis: set REDIS_URL, or install "
            "redis-server or valkey-server."
        )
    return chosen


def cipher(settings: Settings) -> Cipher | None:
    """The keys, of which the first seals; None when there are none. Raises `ConfigError`."""
    keys: dict[str, bytes] = {}
    for number, pair in enumerate(settings.checkpoint_keys.get_secret_value().split(","), 1):
        name, _, text = pair.strip().partition(":")
        if not name and not text:
            continue
        if not (key := _key(text)) or not 0 < len(name.encode()) < 256 or name in keys:
            raise ConfigError(  # without what it is: part of it is a secret
                f"FRONTDESK_CHECKPOINT_KEYS: part {number} is not `id:key`, with an id of its own "
                "and a key of 32 bytes in base64."
            )
        keys[name] = key
    return Cipher(keys, next(iter(keys))) if keys else None


def _key(text: str) -> bytes | None:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return key if len(key) == 32 else None


def _opening(
    chosen: str, settings: Settings, servers: Servers
) -> AbstractAsyncContextManager[Checkpointer]:
    schema, prefix = settings.checkpoint_schema, settings.checkpoint_prefix
    idle, strategy = settings.checkpoint_idle_seconds, settings.checkpoint_idle_strategy
    options: dict[str, Any] = {"cipher": cipher(settings)}
    dsn, url = servers.database_url, servers.redis_url or ""
    if chosen == "redis":
        if idle and strategy != "delete":
            raise ConfigError(
                "FRONTDESK_CHECKPOINT_IDLE_STRATEGY=keep_latest needs checkpoints in PostgreSQL."
            )
        return RedisCheckpointer.open(url, prefix=prefix, ttl=idle, **options)
    sweep = Ttl(idle, strategy) if idle else None
    if chosen == "postgres":
        return PostgresCheckpointer.open(dsn, schema=schema, ttl=sweep, **options)
    ttl = settings.checkpoint_redis_seconds
    options |= {"schema": schema, "prefix": prefix, "sweep": sweep}
    return TieredCheckpointer.open(dsn, url, ttl=ttl, **options)
