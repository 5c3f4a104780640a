"""The savers that are compared, and the stores that each has to itself."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

import checkpoints

Saver = BaseCheckpointSaver[Any]
OFFICIAL, NOTHING = "official", "nothing"
OURS = ("postgres", "tiered", "redis")


@dataclass(frozen=True)
class Stores:
    """Where one contender stores: a database of its own, and the Redis that all share."""

    dsn: str
    redis: str | None


@dataclass(frozen=True)
class Contender:
    name: str
    open: Callable[[Stores], AbstractAsyncContextManager[Saver]]
    uses: str = ""
    """Which servers: "postgres", "redis", or both with a blank between."""


class Nothing(BaseCheckpointSaver[Any]):
    """Keeps each thread's latest checkpoint as it is, which Pregel needs: the limit."""

    def __init__(self) -> None:
        super().__init__()
        self._heads: dict[str, CheckpointTuple] = {}

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._heads.get(config["configurable"]["thread_id"])

    async def aput(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: Any, new_versions: Any
    ) -> RunnableConfig:
        place = config["configurable"]
        head: RunnableConfig = {
            "configurable": {
                "thread_id": place["thread_id"],
                "checkpoint_ns": place["checkpoint_ns"],
                "checkpoint_id": checkpoint["id"],
            }
        }
        self._heads[place["thread_id"]] = CheckpointTuple(head, checkpoint, metadata, None, [])
        return head

    async def aput_writes(
        self, config: RunnableConfig, writes: Any, task_id: str, task_path: str = ""
    ) -> None:
        pass


@asynccontextmanager
async def _official(stores: Stores) -> AsyncIterator[Saver]:
    kwargs = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(
        stores.dsn,
        min_size=10,
        max_size=20,
        kwargs=kwargs,
        open=False,
        connection_class=AsyncConnection[DictRow],
    ) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        yield saver


def _postgres(stores: Stores) -> AbstractAsyncContextManager[Saver]:
    return checkpoints.PostgresCheckpointer.open(stores.dsn)


def _redis(stores: Stores) -> AbstractAsyncContextManager[Saver]:
    assert stores.redis
    return checkpoints.RedisCheckpointer.open(stores.redis)


def _tiered(stores: Stores) -> AbstractAsyncContextManager[Saver]:
    assert stores.redis
    return checkpoints.TieredCheckpointer.open(stores.dsn, stores.redis)


@asynccontextmanager
async def _memory(_: Stores) -> AsyncIterator[Saver]:
    yield InMemorySaver()


@asynccontextmanager
async def _nothing(_: Stores) -> AsyncIterator[Saver]:
    yield Nothing()


ALL = (
    Contender(OFFICIAL, _official, "postgres"),
    Contender("postgres", _postgres, "postgres"),
    Contender("tiered", _tiered, "postgres redis"),
    Contender("redis", _redis, "redis"),
    Contender("memory", _memory),
    Contender(NOTHING, _nothing),
)


@dataclass(frozen=True)
class Arena:
    """The contenders that can run, and the servers they run on."""

    contenders: Sequence[Contender]
    dsn: str
    redis: str | None
    _numbers: Iterator[int]

    async def stores(self) -> Stores:
        """An empty database."""
        name = f"bench_{next(self._numbers)}"
        async with await AsyncConnection.connect(self.dsn, autocommit=True) as admin:
            await admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return Stores(make_conninfo(self.dsn, dbname=name), self.redis)

    def using(self, server: str) -> Sequence[Contender]:
        return [each for each in self.contenders if server in each.uses]


def arena(dsn: str, redis: str | None, names: Sequence[str]) -> Arena:
    """Of the contenders of these names, those for which there is a server."""
    able = [each for each in ALL if each.name in names and (redis or "redis" not in each.uses)]
    return Arena(able, dsn, redis, count())
