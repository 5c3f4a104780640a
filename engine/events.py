"""What a run tells while it works: at once to followers here, in batches to Redis for the others.

Every thread has one Redis stream with ids `{epoch}-{seq}`. A claim raises the epoch, so ids rise
across runs and attempts, and Redis itself refuses a superseded worker's entries. One channel per
thread says that there is more to read. Without Redis only followers in this process hear more.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from engine.following import INBOX, PAGE, START, Event, Follower, Inbox, Position, parse_position

log = logging.getLogger(__name__)

_BATCH_SECONDS = 0.02
_REDIS_SECONDS = 1.0
_REST_SECONDS = 10.0
_KEEP_SECONDS = 3600
_KEEP_EVENTS = 10_000
_CANCEL = b"frontdesk:cancel"
_CHECK = b"check"


class Writer:
    """Writes the events of one claim."""

    def __init__(self, events: "Events", thread_id: UUID, run_id: UUID, epoch: int) -> None:
        self._events = events
        self._thread_id = thread_id
        self._run_id = run_id
        self._position: Position = (epoch, 0)
        self._buffer: deque[Event] = deque(maxlen=_KEEP_EVENTS)
        self._tail: deque[Event] = deque(maxlen=INBOX)
        self._more = asyncio.Event()
        self._closed = asyncio.Event()
        self._flushing = asyncio.Lock()

    def put(self, name: str, data: bytes) -> None:
        self._position = (self._position[0], self._position[1] + 1)
        event = Event(self._position, self._run_id, name, data)
        self._events.deliver(self._thread_id, event)
        self._buffer.append(event)
        self._tail.append(event)
        self._more.set()

    def since(self, position: Position) -> list[Event] | None:
        """Everything after `position`, or None when that is not all in memory."""
        first = self._tail[0].position if self._tail else self._position
        if position < (first[0], first[1] - 1 if self._tail else first[1]):
            return None
        return [event for event in self._tail if event.position > position]

    async def flush(self) -> None:
        """Return when everything put so far is in Redis, or Redis cannot be reached."""
        async with self._flushing:
            batch = list(self._buffer)
            self._buffer.clear()
            if batch:
                await self._events.store(self._thread_id, batch)

    async def keep_flushing(self) -> None:
        """Flush at once what comes after a silence, and in batches what comes faster."""
        while not self._closed.is_set():
            await self._more.wait()
            self._more.clear()
            await self.flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(_BATCH_SECONDS):
                    await self._closed.wait()

    def close(self) -> None:
        self._closed.set()
        self._more.set()


class Events:
    """The events of all threads, as seen from this process."""

    def __init__(self, redis: Redis) -> None:
        self.on_cancel: Callable[[UUID], None] = lambda _: None
        self._redis = redis
        self._pubsub = redis.pubsub()
        self._tuning = asyncio.Lock()  # one at a time, or a first connection is opened twice
        self._me = uuid4().hex.encode()
        self._inboxes: defaultdict[UUID, set[Inbox]] = defaultdict(set)
        self._writers: dict[UUID, Writer] = {}
        self._down_until = 0.0

    @asynccontextmanager
    async def write(self, thread_id: UUID, run_id: UUID, epoch: int) -> AsyncIterator[Writer]:
        """For the holder of this claim; on exit everything is in Redis."""
        writer = Writer(self, thread_id, run_id, epoch)
        self._writers[thread_id] = writer
        flusher = asyncio.create_task(writer.keep_flushing())
        try:
            yield writer
        finally:
            writer.close()  # not cancelled: a cancelled Redis command may swallow it
            await flusher
            await writer.flush()
            if self._writers.get(thread_id) is writer:
                del self._writers[thread_id]

    @asynccontextmanager
    async def follow(
        self, thread_id: UUID, position: Position, *, replay: bool
    ) -> AsyncIterator[Follower]:
        """Events after `position`: the ones there have been with `replay`, else new ones only."""
        inbox = Inbox()
        self._inboxes[thread_id].add(inbox)
        if replay:
            writer = self._writers.get(thread_id)
            known = writer.since(position) if writer else None
            inbox.behind = known is None
            inbox.events.extend(known or ())
        inbox.check = thread_id not in self._writers  # it may have ended before we came
        try:
            if len(self._inboxes[thread_id]) == 1:
                async with self._tuning:
                    await self._try(self._pubsub.subscribe(_channel(thread_id)))
            yield Follower(partial(self.read, thread_id), inbox, position)
        finally:
            self._inboxes[thread_id].discard(inbox)
            if not self._inboxes[thread_id]:
                del self._inboxes[thread_id]
                async with self._tuning:
                    await self._try(self._pubsub.unsubscribe(_channel(thread_id)))

    async def last(self, thread_id: UUID) -> Position:
        """Where the thread's events end now."""
        await self._flush(thread_id)
        rows = await self._try(self._redis.xrevrange(_stream(thread_id), count=1))
        return (parse_position(rows[0][0].decode()) or START) if rows else START

    async def read(self, thread_id: UUID, position: Position) -> list[Event]:
        """What Redis remembers after `position`, a page at most."""
        await self._flush(thread_id)
        first = f"({position[0]}-{position[1]}"
        rows = await self._try(self._redis.xrange(_stream(thread_id), min=first, count=PAGE))
        return [_event(key, fields) for key, fields in rows or ()]

    def deliver(self, thread_id: UUID, event: Event) -> None:
        for inbox in self._inboxes.get(thread_id, ()):
            inbox.push(event)

    async def store(self, thread_id: UUID, batch: list[Event]) -> None:
        """Append to the thread's stream. A newer epoch there refuses it, which is the fence."""
        pipe = self._redis.pipeline(transaction=False)
        key = _stream(thread_id)
        for event in batch:
            fields: dict[Any, Any] = {
                "run": event.run_id.hex,
                "name": event.name,
                "data": event.data,
            }
            pipe.xadd(key, fields, id=event.id, maxlen=_KEEP_EVENTS, approximate=True)
        pipe.expire(key, _KEEP_SECONDS)
        pipe.publish(_channel(thread_id), self._me)
        results = await self._try(pipe.execute(raise_on_error=False))
        if any(isinstance(result, ResponseError) for result in results or ()):
            log.warning("events of a superseded claim on thread %s were refused", thread_id)
            await self.check(thread_id)

    async def check(self, thread_id: UUID) -> None:
        """Tell followers everywhere to look at the runs' rows again."""
        self._nudge(thread_id, behind=False, check=True)
        await self._try(self._redis.publish(_channel(thread_id), _CHECK))

    async def cancel(self, run_id: UUID) -> None:
        """Tell whoever executes this run to stop."""
        self.on_cancel(run_id)
        await self._try(self._redis.publish(_CANCEL, run_id.bytes))

    async def forget(self, thread_id: UUID) -> None:
        """Delete what Redis remembers of a thread that is gone."""
        await self._try(self._redis.delete(_stream(thread_id)))
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

    async def close(self) -> None:
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    def _hear(self, kind: str, channel: bytes, data: Any) -> None:
        if channel == _CANCEL:
            if kind == "message":
                self.on_cancel(UUID(bytes=data))
            return
        thread_id = UUID(channel.rpartition(b":")[2].decode())
        if kind == "subscribe":  # something may have been said before we could hear
            self._nudge(thread_id, behind=thread_id not in self._writers, check=False)
        elif kind == "message" and data != self._me:
            self._nudge(thread_id, behind=data != _CHECK, check=data == _CHECK)

    def _nudge(self, thread_id: UUID, *, behind: bool, check: bool) -> None:
        for inbox in self._inboxes.get(thread_id, ()):
            inbox.nudge(behind=behind, check=check)

    async def _flush(self, thread_id: UUID) -> None:
        if writer := self._writers.get(thread_id):
            await writer.flush()

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
            self._down_until = now + _REST_SECONDS
            return None


def _stream(thread_id: UUID) -> str:
    return f"frontdesk:events:{thread_id}"


def _channel(thread_id: UUID) -> str:
    return f"frontdesk:thread:{thread_id}"


def _event(key: bytes, fields: dict[bytes, bytes]) -> Event:
    return Event(
        parse_position(key.decode()) or START,
        UUID(fields[b"run"].decode()),
        fields[b"name"].decode(),
        fields[b"data"],
    )
