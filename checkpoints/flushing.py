"""Saves of many threads, each thread's in their order, grouped into few commits."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from checkpoints.errors import CheckpointError, Closed, Superseded, Unavailable
from checkpoints.records import Outcome, Put, Refusal, Storage
from checkpoints.sessions import Session

_PUTS = 512
_BYTES = 1 << 20
_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Save(Protocol):
    """A put of a session, not composed yet: what it rests on is settled when it is sent."""

    session: Session

    @property
    def thread_id(self) -> str: ...

    @property
    def size(self) -> int: ...

    def put(self) -> Put:
        """What is new, resting on what the session put before."""
        ...

    def whole(self) -> Put:
        """All it refers to, at places of its own, resting on nothing."""
        ...


class Flusher:
    """Lanes, each with one flush under way; what arrives meanwhile is the next flush.

    A thread belongs to one lane, so its saves are committed in the order of their calls, together
    or one after the other. When more than `backlog` bytes wait, callers wait before they queue.
    """

    def __init__(
        self, storage: Storage, *, lanes: int = 2, backlog: int = 64 << 20, patience: float = 30.0
    ) -> None:
        self._lanes = [_Lane(storage, patience) for _ in range(lanes)]
        self._backlog = backlog

    async def save(self, save: Save) -> None:
        """Returns when it is committed. Raises why it is not: then nothing of it is stored."""
        lane = self._lane(save.thread_id)
        try:
            if lane.size > self._backlog or lane.door.locked():
                async with lane.door:  # fair: those who wait enter in the order they came
                    while lane.size > self._backlog:
                        await lane.flushed()
                    done = lane.add(save)
            else:
                done = lane.add(save)
        except BaseException as error:
            # What it would have stored, later saves of the session may rest on.
            save.session.failure = save.session.failure or CheckpointError(f"not saved: {error!r}")
            raise
        await done

    async def settled(self, thread_id: str) -> None:
        """Wait until no save of this thread is under way, whether its caller waits or not."""
        lane = self._lane(thread_id)
        while lane.holds(thread_id):
            await lane.flushed()

    def _lane(self, thread_id: str) -> "_Lane":
        return self._lanes[hash(thread_id) % len(self._lanes)]

    def start(self) -> None:
        for lane in self._lanes:
            lane.start()

    @property
    def bytes_written(self) -> int:
        """Of rows and elements, since the start, as far as their commits are known."""
        return sum(lane.bytes_written for lane in self._lanes)

    async def stop(self) -> None:
        """Flush what was queued, then stop."""
        await asyncio.gather(*(lane.stop() for lane in self._lanes))


class _Lane:
    def __init__(self, storage: Storage, patience: float) -> None:
        self.size = 0
        self.bytes_written = 0
        self.door = asyncio.Lock()
        self._storage = storage
        self._patience = patience
        self._queue: deque[tuple[Save, asyncio.Future[None]]] = deque()
        self._batch: list[tuple[Save, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._flushed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def add(self, save: Save) -> asyncio.Future[None]:
        if self._stopping or self._task is None:
            raise Closed
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((save, done))
        self.size += save.size
        self._arrived.set()
        return done

    def holds(self, thread_id: str) -> bool:
        return any(save.thread_id == thread_id for save, _ in (*self._batch, *self._queue))

    async def flushed(self) -> None:
        self._flushed.clear()
        await self._flushed.wait()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="checkpoints")

    async def stop(self) -> None:
        self._stopping = True
        self._arrived.set()
        if self._task:
            await self._task

    async def _run(self) -> None:
        while self._queue or not self._stopping:
            self._arrived.clear()
            if not self._queue and not self._stopping:
                await self._arrived.wait()
            self._batch = self._next()
            if self._batch:
                await self._flush(self._batch)
                self.size -= sum(save.size for save, _ in self._batch)
                self._batch = []
                self._flushed.set()

    def _next(self) -> list[tuple[Save, asyncio.Future[None]]]:
        batch: list[tuple[Save, asyncio.Future[None]]] = []
        size = 0
        while self._queue and len(batch) < _PUTS and size < _BYTES:
            save, done = self._queue.popleft()
            batch.append((save, done))
            size += save.size
        return batch

    async def _flush(self, batch: list[tuple[Save, asyncio.Future[None]]]) -> None:
        """Commit the batch; if it fails as a whole, each of its sessions alone, then each save."""
        sound = [(save, done) for save, done in batch if not _failed(save, done)]
        try:
            await self._commit([save for save, _ in sound])
        except Unavailable as error:
            _fail(sound, error)
        except Exception as error:  # noqa: BLE001 - one save must not take other threads' with it
            if len(sound) == 1:
                _fail(sound, error)
            else:
                for part in _split(sound):
                    await self._flush(part)
        else:
            for save, done in sound:
                if not _failed(save, done) and not done.done():
                    done.set_result(None)

    async def _commit(self, saves: Sequence[Save]) -> None:
        outcomes = await self._write([save.put() for save in saves])
        again: list[Save] = []
        for save, outcome in zip(saves, outcomes, strict=True):
            if outcome is Refusal.INCOMPLETE:
                again.append(save)
            else:
                _settle(save, outcome)
        if again:
            outcomes = await self._write([save.whole() for save in again])
            for save, outcome in zip(again, outcomes, strict=True):
                _settle(save, outcome)

    async def _write(self, puts: Sequence[Put]) -> Sequence[Outcome]:
        """Write, again and again while the storage is away: what was stored already stays once."""
        if not puts:
            return ()
        deadline = asyncio.get_running_loop().time() + self._patience
        pause = _PAUSE
        while True:
            try:
                outcomes = await self._storage.write(puts)
            except Unavailable:
                if asyncio.get_running_loop().time() + pause > deadline:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self.bytes_written += sum(
                    len(put.body) + sum(map(len, put.elements.values()))
                    for put, outcome in zip(puts, outcomes, strict=True)
                    if not isinstance(outcome, Refusal)
                )
                return outcomes


def _settle(save: Save, outcome: Outcome) -> None:
    if outcome is Refusal.SUPERSEDED:
        save.session.failure = Superseded(
            f"Thread {save.thread_id} has a newer owner than epoch {save.session.epoch}."
        )
    elif isinstance(outcome, Refusal):
        save.session.failure = CheckpointError(outcome.value)
    elif save.session.salt is None:
        save.session.salt = outcome
    elif save.session.salt != outcome:
        save.session.stale = True


def _failed(save: Save, done: asyncio.Future[None]) -> bool:
    """Whether the session of the save has failed, and with it this save."""
    if save.session.failure and not done.done():
        done.set_exception(save.session.failure)
    return save.session.failure is not None


def _fail(batch: Sequence[tuple[Save, asyncio.Future[None]]], error: Exception) -> None:
    for save, done in batch:
        save.session.failure = save.session.failure or error
        _failed(save, done)


def _split(
    batch: list[tuple[Save, asyncio.Future[None]]],
) -> list[list[tuple[Save, asyncio.Future[None]]]]:
    """By session, or if there is only one, one by one."""
    sessions: dict[int, list[tuple[Save, asyncio.Future[None]]]] = {}
    for each in batch:
        sessions.setdefault(id(each[0].session), []).append(each)
    return list(sessions.values()) if len(sessions) > 1 else [[each] for each in batch]
