"""What travels between a checkpointer and its storage. Bodies and elements are opaque, sealed."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

Ordinal = tuple[int, int]
"""Where an element lies within its thread: (stream, seq)."""

Range = tuple[int, int, int]
"""Consecutive elements of a stream: (stream, first seq, seq after the last)."""


class Refusal(Enum):
    """Why a `Put` was not stored."""

    SUPERSEDED = "another owner of the thread has a higher epoch"
    INCOMPLETE = "elements it rests on may be gone: send them along"


@dataclass(frozen=True, slots=True)
class Put:
    """A checkpoint, or the writes of one task upon a checkpoint, to be stored.

    `nonce` is 0 for a checkpoint and random for writes, so that one sent twice is stored once.
    `elements` are the new ones; `ranges` everything the body refers to, new or not. With a `salt`
    the put rests on elements stored before; without, it carries all it refers to.
    """

    thread_id: str
    ns: str
    checkpoint_id: str
    body: bytes
    nonce: int = 0
    parent_id: str | None = None
    run_id: str | None = None
    elements: Mapping[Ordinal, bytes] = field(default_factory=dict)
    ranges: Sequence[Range] = ()
    epoch: int | None = None
    salt: int | None = None


Outcome = int | Refusal
"""The thread's salt as of a stored `Put`, or why it was not stored."""


@dataclass(frozen=True, slots=True)
class Row:
    """A stored checkpoint. `writes` are the bodies of its writes in the order of their commits."""

    thread_id: str
    ns: str
    checkpoint_id: str
    parent_id: str | None
    body: bytes
    writes: Sequence[bytes]
    salt: int


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint and such of its elements as came along with it (perhaps none)."""

    row: Row
    elements: Mapping[Ordinal, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """Which checkpoints to list, newest first within each namespace of each thread.

    `thread_id` None: all threads. `ns` None: all namespaces. `before`: ids below it only.
    `run_id`: a hint; rows of other runs may come too, but none of that run's may be missing.
    """

    thread_id: str | None = None
    ns: str | None = None
    checkpoint_id: str | None = None
    before: str | None = None
    run_id: str | None = None


Writes = tuple[str, str, bytes]
"""Writes as one call brought them: (ns, checkpoint id, body as stored)."""


class Storage(Protocol):
    """Where checkpoints lie. Every method may raise `Unavailable`."""

    async def write(self, puts: Sequence[Put]) -> Sequence[Outcome]:
        """Store all in one commit; outcomes in the order of the puts.

        An error stores none. Putting a checkpoint again replaces its body; writes with a known
        nonce are left as they are. The puts of one thread are applied in their order.
        """
        ...

    async def find(
        self,
        thread_id: str,
        ns: str,
        checkpoint_id: str | None,
        *,
        known: str | None = None,
        epoch: int | None = None,
    ) -> Found | None:
        """A checkpoint, or with None the latest. If its id is `known`, elements need not come."""
        ...

    async def elements(self, thread_id: str, ranges: Sequence[Range]) -> Mapping[Ordinal, bytes]:
        """The elements of these ranges; those that do not exist are left out."""
        ...

    def rows(self, query: Query) -> AsyncIterator[Row]:
        """Checkpoints with their writes, fetched as they are consumed."""
        ...

    async def threads_of_runs(self, run_ids: Sequence[str]) -> Sequence[str]:
        """Ids of the threads these runs wrote in."""
        ...

    async def remove(
        self,
        thread_id: str,
        checkpoints: Sequence[tuple[str, str]],
        ranges: Sequence[Range],
        writes: Sequence[Writes] = (),
    ) -> None:
        """Remove checkpoints, as (ns, id), with their writes, and these elements; new salt.

        `writes` are removed from checkpoints that stay. All of it is one commit.
        """
        ...

    async def delete_thread(self, thread_id: str) -> None:
        """Remove all of a thread but its epoch."""
        ...
