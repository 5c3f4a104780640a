"""Threads that nobody uses any more."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

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


Idle = Callable[[float, int], Awaitable[Sequence[str]]]
"""The threads idle for so many seconds, at most so many; a thread is given once."""

Prune = Callable[[Sequence[str], str], Awaitable[None]]
"""Prunes threads by a strategy."""


@asynccontextmanager
async def sweeping(ttl: Ttl | None, idle: Idle, prune: Prune) -> AsyncIterator[None]:
    """Sweep in the background while inside."""
    if ttl is None:
        yield
        return
    task = asyncio.create_task(_sweep_forever(ttl, idle, prune), name="checkpoints ttl")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _sweep_forever(ttl: Ttl, idle: Idle, prune: Prune) -> None:
    while True:
        try:
            while thread_ids := await idle(ttl.idle, _BATCH):
                await prune(thread_ids, ttl.strategy)
        except Unavailable:
            _log.warning("Idle threads could not be removed: the storage is away.")
        await asyncio.sleep(ttl.every)
