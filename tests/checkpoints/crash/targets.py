"""What is tried: our savers, and some that are broken."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import psycopg
from langgraph.checkpoint.base import BaseCheckpointSaver
from psycopg import sql

from checkpoints.checkpointer import EPOCH as EPOCH
from checkpoints.savers import PostgresCheckpointer, RedisCheckpointer, TieredCheckpointer
from tests.checkpoints.crash.broken import Doubling, Forgetful, Hasty, Piecemeal, Stale

Opened = AbstractAsyncContextManager[BaseCheckpointSaver[Any]]


@dataclass(frozen=True)
class Order:
    """A run to be made."""

    saver: str
    kind: str
    seed: str

    def __str__(self) -> str:
        return f"{self.saver}:{self.kind}:{self.seed}"


@dataclass(frozen=True)
class Site:
    """A saver by name, and where it stores: `space` keeps the runs on one server apart."""

    saver: str
    dsn: str
    url: str
    space: str


def open_saver(site: Site) -> Opened:
    return SAVERS[site.saver](site)


async def fence(site: Site, thread: str, epoch: int) -> None:
    """Claim the thread as the engine does. In Redis its first read does it."""
    if site.dsn:
        claim = sql.SQL("select {}.fence(%s, %s)").format(sql.Identifier(site.space))
        async with await psycopg.AsyncConnection.connect(site.dsn) as conn:
            await conn.execute(claim, (thread, epoch))


def _postgres(saver: type[PostgresCheckpointer]) -> Callable[[Site], Opened]:
    return lambda site: saver.open(site.dsn, schema=site.space)


SAVERS: dict[str, Callable[[Site], Opened]] = {
    "postgres": _postgres(PostgresCheckpointer),
    "redis": lambda site: RedisCheckpointer.open(site.url, prefix=site.space),
    "tiered": lambda site: TieredCheckpointer.open(
        site.dsn, site.url, schema=site.space, prefix=site.space
    ),
    "hasty": _postgres(Hasty),
    "forgetful": _postgres(Forgetful),
    "piecemeal": _postgres(Piecemeal),
    "doubling": _postgres(Doubling),
    "stale": _postgres(Stale),
}
