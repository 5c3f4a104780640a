"""One thread's events in order, each once, from memory or from Redis."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

Position = tuple[int, int]
"""Epoch and number: where an event stands among all events of its thread."""

START: Position = (0, 0)
PAGE = 500
INBOX = 2_000  # a follower slower than this reads from Redis instead

Read = Callable[[Position], Awaitable[list["Event"]]]
"""A page of what Redis remembers after a position."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a run; `data` is JSON."""

    position: Position
    run_id: UUID
    name: str
    data: bytes

    @property
    def id(self) -> str:
        return f"{self.position[0]}-{self.position[1]}"


def parse_position(text: str) -> Position | None:
    """The position that an event id names, or None when it is not one."""
    epoch, _, seq = text.partition("-")
    return (int(epoch), int(seq)) if epoch.isdecimal() and seq.isdecimal() else None


def behind_epoch(epoch: int) -> Position:
    """After every event of `epoch`, before any of the next."""
    return (epoch + 1, 0)


class Inbox:
    """What has reached one follower and was not read yet."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self.wake = asyncio.Event()
        self.behind = False  # Redis has more
        self.check = False  # the run's row has changed

    def push(self, event: Event) -> None:
        if len(self.events) >= INBOX:
            self.events.clear()
            self.behind = True
        self.events.append(event)
        self.wake.set()

    def nudge(self, *, behind: bool, check: bool) -> None:
        self.behind |= behind
        self.check |= check
        self.wake.set()


class Follower:
    """Reads one thread's events in order, each once, from memory or from Redis."""

    def __init__(self, read: Read, inbox: Inbox, position: Position) -> None:
        self._read = read
        self._inbox = inbox
        self._page: deque[Event] = deque()
        self.position = position

    def look_again(self) -> None:
        """Read what Redis has, even if nobody said that there is more."""
        self._inbox.behind = True

    async def next(self, seconds: float) -> Event | None:
        """The next event; None after that many seconds, or when a run's row has changed."""
        inbox = self._inbox
        while True:
            if event := self._take(self._page):
                return event
            if inbox.behind:
                inbox.behind = False
                page = await self._read(self.position)
                inbox.behind |= len(page) == PAGE
                self._page.extend(page)
                continue
            if event := self._take(inbox.events):
                return event
            if inbox.check:
                inbox.check = False
                return None
            inbox.wake.clear()
            try:
                async with asyncio.timeout(seconds):
                    await inbox.wake.wait()
            except TimeoutError:
                return None

    def _take(self, source: deque[Event]) -> Event | None:
        while source:
            event = source.popleft()
            if event.position > self.position:
                self.position = event.position
                return event
        return None
