"""What a run tells while it works: at once to followers here, in batches to Redis for the others.

Every thread has one Redis stream of batches, with ids `{epoch}-{seq of the last event}`. A claim
raises the epoch, so ids rise across runs and attempts, and a superseded worker's batches are
refused. One channel per thread says that there is more to read. Followers in the process that
writes read its memory, which also stands in for Redis while that is away, and refills it.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid4

import ormsgpack
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.following import START, Event, Follower, Inbox, Position, parse_position
from engine.telling import Appended, Writer

log = logging.getLogger(__name__)

_REDIS_SECONDS = 3.0  # a late event loop is not an absent Redis
_REST_SECONDS = 2.0
_KEEP_SECONDS = 3600
_KEEP_BYTES = 16_000_000
_KEEP_BATCHES = 10_000
_PAGE = 32  # batches
_EVENTS = 1_000
_CANCEL = b"frontdesk:cancel"
_CHECK = b"check"


class Events:
    """The events of all threads, as seen from this process."""

    def __init__(self, redis: Redis) -> None:
        self.on_cancel: Callable[[UUID], None] = lambda _: None
        self._redis = redis
        self._append = redis.register_script(
            files("engine").joinpath("append.lua").read_text(encoding="utf-8")
        )
        self._pubsub = redis.pubsub()
        self._tuning = asyncio.Lock()  # one at a time, or a first connection is opened twice
        self._me = uuid4().hex.encode()
        self._inboxes: defaultdict[UUID, set[Inbox]] = defaultdict(set)
        self._subscribed: set[UUID] = set()
        self._writers: defaultdict[UUID, list[Writer]] = defaultdict(list)
        self._down_until = 0.0
        self._dismissed = False
        self.bytes_written = 0

    @asynccontextmanager
    async def write(
        self,
        thread_id: UUID,
        run_id: UUID,
        epoch: int,
        *,
        heard: bool = True,
        replayed: bool = True,
    ) -> AsyncIterator[Writer]:
        """For the holder of this claim; on exit everything is in Redis, if it can be reached.

        Without `heard` nobody is thought to listen elsewhere until Redis says otherwise; without
        `replayed` nobody will ask later for what was told.
        """
        store, wake = partial(self._store, thread_id), partial(self._wake, thread_id)
        writer = Writer(run_id, epoch, store, wake, heard=heard, replayed=replayed)
        self._writers[thread_id].append(writer)
        flusher = asyncio.create_task(writer.keep_flushing())
        try:
            yield writer
        finally:
            writer.close()  # not cancelled: a cancelled Redis command may swallow it
            await flusher
            await writer.flush()
            if not self._inboxes.get(thread_id):
                self._drop(thread_id)
            elif thread_id not in self._subscribed:  # what comes next may come from elsewhere
                await self._subscribe(thread_id)

    @asynccontextmanager
    async def follow(self, thread_id: UUID, position: Position) -> AsyncIterator[Follower]:
        """Events after `position`, past ones too."""
        inbox = Inbox()
        inbox.closed = self._dismissed
        self._inboxes[thread_id].add(inbox)
        here = self._writing(thread_id) is not None
        inbox.check = not here  # it may have ended before we came
        try:
            if not here and thread_id not in self._subscribed:
                await self._subscribe(thread_id)
            yield Follower(partial(self.read, thread_id), inbox, position)
        finally:
            self._inboxes[thread_id].discard(inbox)
            if not self._inboxes[thread_id]:
                del self._inboxes[thread_id]
                if not self._writing(thread_id):
                    self._drop(thread_id)
                if thread_id in self._subscribed:
                    await self._unsubscribe(thread_id)

    async def last(self, thread_id: UUID) -> Position:
        """Where the thread's events end now."""
        if writer := self._writing(thread_id):
            return writer.position
        rows = await self._try(self._redis.xrevrange(_stream(thread_id), count=1))
        return (parse_position(rows[0][0].decode()) or START) if rows else START

    async def read(self, thread_id: UUID, position: Position) -> tuple[Sequence[Event], bool]:
        """Some of what is known after `position`, and whether there may be more."""
        writers = self._writers.get(thread_id, ())
        for writer in writers:
            known = writer.after(position)
            if known or (known is not None and not writer.closed):
                return known[:_EVENTS], len(known) > _EVENTS
        for writer in writers:
            await writer.flush()
        first = f"({position[0]}-{position[1]}"
        rows = await self._try(self._redis.xrange(_stream(thread_id), min=first, count=_PAGE))
        events = [event for key, fields in rows or () for event in _unpack(key, fields[b"b"])]
        if events := [event for event in events if event.position > position]:
            return events, len(rows) == _PAGE
        for writer in writers:  # what Redis has lost or never got
            if writer.epoch > position[0] and (tail := writer.tail()):
                return tail, True
        return (), False

    async def check(self, thread_id: UUID) -> None:
        """Tell followers everywhere to look at the runs' rows again."""
        self._nudge(thread_id, check=True)
        await self._try(self._redis.publish(_channel(thread_id), _CHECK))

    async def cancel(self, run_id: UUID) -> None:
        """Tell whoever executes this run to stop."""
        self.on_cancel(run_id)
        await self._try(self._redis.publish(_CANCEL, run_id.bytes))

    async def forget(self, thread_id: UUID) -> None:
        """Delete what Redis remembers of a thread that is gone."""
        await self._try(self._redis.delete(_stream(thread_id), _size(thread_id)))
        await self.check(thread_id)

    async def listen(self) -> None:
        """Hear the other processes, for ever."""
        while True:
            try:
                async with self._tuning:
                    await self._pubsub.subscribe(_CANCEL)
                async for message in self._pubsub.listen():
                    self._hear(message["type"], message["channel"], message["data"])
            except (RedisError, OSError) as error:
                log.warning("Redis cannot be heard (%s): trying again", error)
                await asyncio.sleep(1)
                for thread_id in list(self._inboxes):  # something may have been said meanwhile
                    self._nudge(thread_id, behind=True, check=True)

    def dismiss(self) -> None:
        """End all following here: this process stops, and another goes on."""
        self._dismissed = True
        for thread_id in list(self._inboxes):
            self._nudge(thread_id, closed=True)

    async def close(self) -> None:
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    def _writing(self, thread_id: UUID) -> Writer | None:
        writers = self._writers.get(thread_id)
        return writers[-1] if writers and not writers[-1].closed else None

    def _drop(self, thread_id: UUID) -> None:
        """Forget the writers that have ended: the thread's next may have begun."""
        if writing := [one for one in self._writers.pop(thread_id, ()) if not one.closed]:
            self._writers[thread_id] = writing

    def _wake(self, thread_id: UUID) -> None:
        for inbox in self._inboxes.get(thread_id, ()):
            inbox.behind = True
            inbox.wake.set()

    async def _store(self, thread_id: UUID, before: int, batch: Sequence[Event]) -> Appended | None:
        data = ormsgpack.packb(
            [(event.position[1], event.run_id.bytes, event.name, event.data) for event in batch]
        )
        epoch, seq = batch[-1].position
        channel = _channel(thread_id)
        limits = _KEEP_BYTES, _KEEP_BATCHES, _KEEP_SECONDS
        answer = await self._try(
            self._append(
                keys=[_stream(thread_id), _size(thread_id)],
                args=[epoch, before, seq, data, *limits, channel, self._me],
            )
        )
        if answer is None:
            return None
        outcome, there, listeners = answer
        if outcome == 1:
            self.bytes_written += len(data)
        if outcome == -1:
            log.warning("events of a superseded claim on thread %s were refused", thread_id)
            await self.check(thread_id)
        return Appended(refused=outcome == -1, seq=there, listeners=listeners)

    async def _subscribe(self, thread_id: UUID) -> None:
        self._subscribed.add(thread_id)
        async with self._tuning:
            await self._try(self._pubsub.subscribe(_channel(thread_id)))

    async def _unsubscribe(self, thread_id: UUID) -> None:
        self._subscribed.discard(thread_id)
        async with self._tuning:
            if thread_id not in self._subscribed:
                await self._try(self._pubsub.unsubscribe(_channel(thread_id)))

    def _hear(self, kind: str, channel: bytes, data: Any) -> None:
        if channel == _CANCEL:
            if kind == "message":
                self.on_cancel(UUID(bytes=data))
            return
        thread_id = UUID(channel.rpartition(b":")[2].decode())
        if kind == "subscribe":  # something may have been said before we could hear
            self._nudge(thread_id, behind=True)
        elif kind == "message" and data != self._me:
            self._nudge(thread_id, behind=data != _CHECK, check=data == _CHECK)

    def _nudge(self, thread_id: UUID, **what: bool) -> None:
        for inbox in self._inboxes.get(thread_id, ()):
            inbox.nudge(**what)

    async def _try(self, command: Any) -> Any:
        """The answer, or None while Redis is away: events are worth no error."""
        now = asyncio.get_running_loop().time()
        if now < self._down_until:
            command.close()
            return None
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                return await command
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("Redis is away, events stay in this process: %s", error)
            self._down_until = asyncio.get_running_loop().time() + _REST_SECONDS
            return None


def _stream(thread_id: UUID) -> str:
    return f"frontdesk:events:{{{thread_id}}}"


def _size(thread_id: UUID) -> str:
    return f"frontdesk:events:{{{thread_id}}}:bytes"


def _channel(thread_id: UUID) -> str:
    return f"frontdesk:thread:{thread_id}"


def _unpack(key: bytes, data: bytes) -> list[Event]:
    position = parse_position(key.decode()) or START
    return [
        Event((position[0], seq), UUID(bytes=run_id), name, payload)
        for seq, run_id, name, payload in ormsgpack.unpackb(data)
    ]
