"""Threads that nobody uses any more."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from checkpoints.background import beside
from checkpoints.errors import Unavailable

_log = logging.getLogger(__name__)
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Ttl:
    """What becomes of a thread without a save for `idle` seconds; looked for `every` so many.

    Strategy "delete" removes it, "keep_latest" keeps its latest checkpoints.
    """

    idle: float
    strategy: str = "delete"
    every: float = 300.0

    def __post_init__(self) -> None:
        if self.strategy not in {"delete", "keep_latest"}:
            raise ValueError(f"A TTL's strategy is delete or keep_latest, not {self.strategy!r}.")


class Idle(Protocol):
    """A storage that knows which threads rest."""

    async def sweep(self, idle_seconds: float, limit: int) -> Sequence[str]: ...

    async def delete_thread(self, thread_id: str, *, if_swept: bool = False) -> None: ...


KeepLatest = Callable[[Sequence[str]], Awaitable[None]]


@asynccontextmanager
async def sweeping(ttl: Ttl | None, storage: Idle, keep_latest: KeepLatest) -> AsyncIterator[None]:
    """Sweep in the background while inside."""
    if ttl is None:
        yield
        return
    async with beside(_sweep_forever(ttl, storage, keep_latest), "checkpoints ttl"):
        yield


async def _sweep_forever(ttl: Ttl, storage: Idle, keep_latest: KeepLatest) -> None:
    while True:
        try:
            while thread_ids := await storage.sweep(ttl.idle, _BATCH):
                if ttl.strategy == "keep_latest":
                    await keep_latest(thread_ids)
                else:
                    for thread_id in thread_ids:
                        await storage.delete_thread(thread_id, if_swept=True)
        except Unavailable:
            _log.warning("Idle threads could not be removed: the storage is away.")
        await asyncio.sleep(ttl.every)
