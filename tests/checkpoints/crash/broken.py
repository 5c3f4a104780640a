"""Savers with a fault each, to see that the verifier finds it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple

from checkpoints.postgres import PostgresStorage
from checkpoints.records import Outcome, Put
from checkpoints.savers import PostgresCheckpointer


class Hasty(PostgresCheckpointer):
    """Acknowledges before the commit, which comes in its time."""

    async def aput(self, config: RunnableConfig, *rest: Any) -> RunnableConfig:
        self._saving = asyncio.create_task(self._put_later(config, *rest))
        return config

    async def _put_later(self, *call: Any) -> None:
        await asyncio.sleep(0.1)
        await super().aput(*call)


class _Losing:
    """A storage that now and then loses the elements of a put, and stores the rest."""

    def __init__(self, storage: PostgresStorage) -> None:
        self._storage = storage
        self._written = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def write(self, puts: Sequence[Put]) -> Sequence[Outcome]:
        self._written += 1
        if self._written % 5 == 0:
            puts = [replace(put, elements={}) for put in puts]
        return await self._storage.write(puts)


class Forgetful(PostgresCheckpointer):
    """Drops the elements of one flush in five."""

    def __init__(self, storage: PostgresStorage, **options: Any) -> None:
        super().__init__(_Losing(storage), **options)


class Piecemeal(PostgresCheckpointer):
    """Commits the writes of a task one after the other."""

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        for end in range(1, len(writes) + 1):
            await super().aput_writes(config, writes[:end], task_id, task_path)
            await asyncio.sleep(0.02)


class Doubling(PostgresCheckpointer):
    """Applies a write twice."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = await super().aget_tuple(config)
        if found is None or not found.pending_writes:
            return found
        return found._replace(pending_writes=[*found.pending_writes, found.pending_writes[-1]])


class Stale(PostgresCheckpointer):
    """Serves a head that is no longer one."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = await super().aget_tuple(config)
        if found is None or "checkpoint_id" in config["configurable"] or not found.parent_config:
            return found
        return await super().aget_tuple(found.parent_config)
