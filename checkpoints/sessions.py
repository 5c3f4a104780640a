"""What this process knows of the threads it works on, so that it stores every element once."""

import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from checkpoints.parts import Kind, Part, extend, leaves, ordinals
from checkpoints.records import Ordinal, Range

_HEADS = 2


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint this process read or put, its channels and the writes upon it taken apart.

    `body` is as stored.
    """

    body: bytes
    parts: Mapping[str, Part]
    versions: Mapping[str, Any]
    writes: list[Part] = field(default_factory=list)


class Session:
    """One owner's view of a thread: all it rests on was stored under one salt.

    What is put here may rest on what was put here before, so a put that fails takes the later ones
    of its session with it (`failure`), and no one else's.
    """

    def __init__(self, epoch: int | None, streams: dict[str, list[int]]) -> None:
        self.epoch = epoch
        self.salt: int | None = None
        self.failure: Exception | None = None
        self.stale = False
        self.size = 0
        self._streams = streams
        self._heads: dict[str, dict[str, Head]] = {}
        self._places: dict[bytes, Ordinal] = {}
        self._indexed = True
        self._fresh: dict[Ordinal, bytes] = {}
        self._runs: set[str] = set()

    def head(self, ns: str, checkpoint_id: str | None) -> Head | None:
        return self._heads.get(ns, {}).get(checkpoint_id or "")

    def latest(self, ns: str) -> str | None:
        """The latest checkpoint known here."""
        return max(self._heads.get(ns, ()), default=None)

    def remember(self, ns: str, checkpoint_id: str, head: Head, *, stored: bool) -> None:
        """Keep a checkpoint to compare the next one with; only the last few of a namespace."""
        heads = self._heads.setdefault(ns, {})
        heads.pop(checkpoint_id, None)
        heads[checkpoint_id] = head
        if len(heads) > _HEADS:
            del heads[next(iter(heads))]
        items = [leaf.items for part in head.parts.values() for leaf in leaves(part)]
        self.size = sum(sum(map(len, each)) for each in items)
        if len(self._places) > 2 * sum(map(len, items)) + 1000:
            self._places, stored = {}, True  # most of it is no longer in use
        if stored:
            self._indexed = False

    def known(self) -> dict[Ordinal, bytes]:
        """Every element of the checkpoints kept, by its place."""
        return {
            at: item
            for heads in self._heads.values()
            for head in heads.values()
            for part in chain(head.parts.values(), head.writes)
            for leaf in leaves(part)
            for at, item in zip(ordinals(leaf.ranges), leaf.items, strict=True)
        }

    def place(self, items: Sequence[bytes], name: str, before: Part | None) -> Part:
        """Where these items lie; those that the thread does not have yet get the next places."""
        ranges: list[Range] = []
        shared: Sequence[bytes] = ()
        if before and before.ranges and items[: len(before.items)] == before.items:
            ranges, shared = list(before.ranges), before.items
        tail = items[len(shared) :]
        if len(tail) > 1 and not self._indexed:
            self._places = {item: at for at, item in self.known().items()} | self._places
            self._indexed = True
        for item in tail:
            extend(ranges, self._places.get(item) or self._append(name, item))
        return Part(Kind.LIST, [*shared, *tail], ranges)

    def is_new(self, run_id: str) -> bool:
        """Whether this is the first put of the run here."""
        if run_id in self._runs:
            return False
        self._runs.add(run_id)
        return True

    def take_fresh(self) -> dict[Ordinal, bytes]:
        """The elements placed since the last call: new to the thread."""
        fresh, self._fresh = self._fresh, {}
        return fresh

    def _append(self, name: str, item: bytes) -> Ordinal:
        stream = self._streams.setdefault(name, [new_stream(), 0])
        at = (stream[0], stream[1])
        stream[1] += 1
        self._places[item] = at
        self._fresh[at] = item
        return at


@dataclass(slots=True)
class _Thread:
    """The sessions on a thread, by epoch. They append to the same streams, so none does twice."""

    streams: dict[str, list[int]] = field(default_factory=dict)
    sessions: dict[int | None, Session] = field(default_factory=dict)
    size: int = 0


class Sessions:
    """The sessions of all threads; the least recently used go when they exceed `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._threads: OrderedDict[str, _Thread] = OrderedDict()

    def of(self, thread_id: str, epoch: int | None) -> Session:
        """The thread's session of this epoch: a new one if it failed or does not exist."""
        thread = self._threads.setdefault(thread_id, _Thread())
        self._threads.move_to_end(thread_id)
        session = thread.sessions.get(epoch)
        if session is None or session.failure or session.stale:
            session = thread.sessions[epoch] = Session(epoch, thread.streams)
            fenced = sorted(one for one in thread.sessions if one is not None)
            for old in fenced[:-2]:
                del thread.sessions[old]
        return session

    def all(self, thread_id: str) -> list[Session]:
        """The thread's sessions, the latest first: what one of them read is true for all."""
        thread = self._threads.get(thread_id)
        return [*reversed(thread.sessions.values())] if thread else []

    def settle(self, thread_id: str) -> None:
        """Count what the thread holds now, and make room."""
        if thread := self._threads.get(thread_id):
            size = sum(session.size for session in thread.sessions.values()) + 500
            self._size += size - thread.size
            thread.size = size
        while self._size > self._limit and len(self._threads) > 1:
            _, gone = self._threads.popitem(last=False)
            self._size -= gone.size

    def drop(self, thread_id: str, session: Session | None = None) -> None:
        """Forget a session that is out of date, or the whole thread."""
        thread = self._threads.get(thread_id)
        if thread is None:
            return
        if session is None:
            self._size -= thread.size
            del self._threads[thread_id]
        elif thread.sessions.get(session.epoch) is session:
            del thread.sessions[session.epoch]


def new_stream() -> int:
    """A stream that no other process has: only its starter appends to it."""
    return secrets.randbits(62)


def relocated(part: Part) -> Part:
    """The same part with its elements in streams of their own."""
    parts = {key: relocated(one) for key, one in part.parts.items()}
    ranges = [(new_stream(), 0, len(part.items))] if part.ranges else []
    return Part(part.kind, part.items, ranges, parts)
