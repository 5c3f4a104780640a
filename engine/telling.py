"""What one claim tells: kept in memory while it works, and brought to where others can read it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from engine.following import Event, Position

_BATCH_BYTES = 256_000
_TAIL_BYTES = 8_000_000
_HEARD_SECONDS = 0.02
_PIECES = frozenset({"messages", "custom"})  # of which there are many in a step
_UNHEARD_SECONDS = 0.25  # nobody elsewhere listens: fewer batches, each of which costs


@dataclass(frozen=True)
class Appended:
    """What became of a batch: the last `seq` of the claim that is there, and who listens."""

    refused: bool
    seq: int
    listeners: int


Store = Callable[[int, Sequence[Event]], Awaitable[Appended | None]]
"""Appends a batch behind that seq (-1: whatever is there); None while it cannot."""


class Writer:
    """Writes the events of one claim.

    The last `_TAIL_BYTES` stay in memory, so that what the store loses, or cannot take for a while,
    is sent again in its place.
    """

    def __init__(
        self,
        run_id: UUID,
        epoch: int,
        store: Store,
        wake: Callable[[], None],
        *,
        heard: bool,
        replayed: bool,
    ) -> None:
        """`heard`: somebody may listen elsewhere, until the first answer tells.

        `replayed`: readers may come later, so a step's events do not wait for a batch.
        """
        self._replayed = replayed
        self._run_id = run_id
        self.epoch = epoch
        self._store = store
        self._wake = wake
        self._seq = 0
        self._sent = 0
        self._tail: deque[Event] = deque()
        self._bytes = 0
        self._refused = False
        self._listeners = int(heard)
        self._more = asyncio.Event()
        self._closing = asyncio.Event()
        self._soon = asyncio.Event()  # do not wait
        self._flushing = asyncio.Lock()

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    @property
    def position(self) -> Position:
        """That of the last event."""
        return (self.epoch, self._seq)

    def put(self, name: str, data: bytes) -> None:
        self._seq += 1
        self._tail.append(Event((self.epoch, self._seq), self._run_id, name, data))
        self._bytes += len(data)
        while self._bytes > _TAIL_BYTES and len(self._tail) > 1:
            self._bytes -= len(self._tail.popleft().data)
        self._wake()
        self._more.set()
        if self._replayed and name.partition("|")[0] not in _PIECES:
            self._soon.set()

    def after(self, position: Position) -> Sequence[Event] | None:
        """Everything after `position`, or None when that is not all in memory."""
        if position[0] != self.epoch or position[1] < self._first() - 1:
            return None
        return self._behind(position[1])

    def tail(self) -> Sequence[Event]:
        """What is in memory."""
        return list(self._tail)

    async def flush(self) -> None:
        """Return when everything put so far is stored, or cannot be."""
        async with self._flushing:
            while self._sent < self._seq and not self._refused:
                batch = self._batch()
                before = self._sent if batch[0].position[1] == self._sent + 1 else -1
                appended = await self._store(before, batch)
                if appended is None:
                    return
                self._refused, self._sent = appended.refused, appended.seq
                self._listeners = appended.listeners

    async def keep_flushing(self) -> None:
        """Flush in batches; at once, if somebody listens, what comes after a silence."""
        while not self.closed:
            await self._more.wait()
            self._more.clear()
            if not self._listeners:
                await self._pause(_UNHEARD_SECONDS)
            if self.closed:
                return
            self._soon.clear()
            await self.flush()
            if self._listeners:
                await self._pause(_HEARD_SECONDS)
            if self._sent < self._seq:
                self._more.set()

    def close(self) -> None:
        self._closing.set()
        self._more.set()
        self._soon.set()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._soon.wait()

    def _first(self) -> int:
        return self._tail[0].position[1] if self._tail else self._seq + 1

    def _behind(self, seq: int) -> list[Event]:
        fresh = self._seq - seq
        if 0 < fresh < len(self._tail) // 2:  # near the end, which is the usual case
            return list(islice(reversed(self._tail), fresh))[::-1]
        return list(islice(self._tail, max(0, seq - self._first() + 1), None))

    def _batch(self) -> list[Event]:
        batch: list[Event] = []
        size = 0
        for event in self._behind(self._sent):
            if batch and size + len(event.data) > _BATCH_BYTES:
                break
            batch.append(event)
            size += len(event.data)
        return batch
