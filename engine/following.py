"""One thread's events in order, each once, from memory or from Redis."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

Position = tuple[int, int]
"""Epoch and number: where an event stands among all events of its thread."""

START: Position = (0, 0)
_MOST = 2**63  # more does not fit into the ids of Redis, whose error would look like its absence

Read = Callable[[Position], Awaitable[tuple[Sequence["Event"], bool]]]
"""Some of what there is after a position, and whether there may be more."""


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

    def follows(self, position: Position) -> bool:
        """Whether it is the very next one of the same attempt."""
        return self.position == (position[0], position[1] + 1)


def parse_position(text: str) -> Position | None:
    """The position that an event id names, or None when it is not one."""
    epoch, _, seq = text.partition("-")
    if not (epoch.isdecimal() and seq.isdecimal() and len(text) < 2 * len(str(_MOST))):
        return None
    position = int(epoch), int(seq)
    return position if max(position) < _MOST else None


def behind_epoch(epoch: int) -> Position:
    """After every event of `epoch`, before any of the next."""
    return (epoch + 1, 0)


class Inbox:
    """What a follower was told since it last looked. It holds no events, so a slow reader costs
    nobody memory: it reads where they are kept.
    """

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.behind = True  # there may be more to read
        self.check = False  # the run's row may have changed
        self.closed = False  # this process stops

    def nudge(self, *, behind: bool = False, check: bool = False, closed: bool = False) -> None:
        self.behind |= behind
        self.check |= check
        self.closed |= closed
        self.wake.set()


class Follower:
    """Reads one thread's events."""

    def __init__(self, read: Read, inbox: Inbox, position: Position) -> None:
        self._read = read
        self._inbox = inbox
        self.position = position

    @property
    def closed(self) -> bool:
        """Whether this process stops, so that the reader has to go on elsewhere."""
        return self._inbox.closed

    def look_again(self) -> None:
        """Read what there is, even if nobody said that there is more."""
        self._inbox.behind = True

    async def next(self, seconds: float) -> Sequence[Event]:
        """The next events; none after that many seconds, or when a run's row may have changed."""
        inbox, until = self._inbox, asyncio.get_running_loop().time() + seconds
        while True:
            if inbox.behind:
                inbox.behind = False
                events, more = await self._read(self.position)
                inbox.behind |= more
                if events:
                    self.position = events[-1].position
                    return events
                continue
            if inbox.check or inbox.closed:
                inbox.check = False
                return ()
            inbox.wake.clear()
            try:
                async with asyncio.timeout_at(until):  # however often it is woken for nothing
                    await inbox.wake.wait()
            except TimeoutError:
                return ()
