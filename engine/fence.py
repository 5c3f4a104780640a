"""Who may write a thread's checkpoints: whoever has its latest epoch.

An epoch is raised in the transaction that decides about the thread, and every save carries the
one of its writer. No epoch comes twice, so not even a new thread with an old id meets its own.
"""

from contextlib import suppress
from typing import Any, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from psycopg.sql import Identifier

from checkpoints import EPOCH, CheckpointError
from engine.database import Connection, fetch_all, statements
from engine.snapshots import address


class Fence:
    """Raises epochs. `schema` is that of the checkpoints; None when they are in Redis alone.

    Redis learns of an owner when that one reads under its epoch, which it does before it writes.
    """

    def __init__(self, schema: str | None) -> None:
        self.schema = schema
        self._sql = statements("engine", "fence.sql")

    async def raise_to(self, conn: Connection, thread_id: UUID, epoch: int) -> None:
        """Shut out older epochs when the transaction commits; saves wait until then.

        It waits for saves under way: at most one thread in a transaction, and its row locked first.
        """
        if self.schema is not None:
            schema = Identifier(self.schema).as_string().replace("%", "%%")
            sql = self._sql["fence"].replace("{schema}", schema)
            await conn.execute(sql, {"thread_id": thread_id, "epoch": epoch})

    async def renew(self, conn: Connection, thread_id: UUID) -> int:
        """The same with a new epoch of the thread, which has to be there."""
        (row,) = await fetch_all(conn, self._sql["next_epoch"], {"thread_id": thread_id})
        epoch = int(row["epoch"])
        await self.raise_to(conn, thread_id, epoch)
        return epoch

    async def tell(
        self, checkpointer: BaseCheckpointSaver[Any], thread_id: UUID, epoch: int
    ) -> None:
        """After the commit: let checkpoints in Redis alone know, if nobody is going to read."""
        if self.schema is None:
            with suppress(CheckpointError):  # what cannot be read can still be fenced
                await checkpointer.aget_tuple(fenced(address(thread_id), epoch))


def fenced(config: RunnableConfig, epoch: int | None) -> RunnableConfig:
    """The config with the epoch under which its saves are made."""
    configurable = {**config["configurable"], EPOCH: epoch}
    return cast("RunnableConfig", {**config, "configurable": configurable})
