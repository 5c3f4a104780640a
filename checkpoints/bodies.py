"""What a checkpoint's row and a task's writes say, apart from their elements."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import ormsgpack
from langgraph.checkpoint.base import WRITES_IDX_MAP, Checkpoint, writes_sort_key

from checkpoints.encoding import Encoding
from checkpoints.parts import Part, leaves, packed, stored_ranges
from checkpoints.records import Ordinal, Put, Range, Row
from checkpoints.sealing import Sealing
from checkpoints.sessions import Session, relocated

_KNOWN = {
    "v",
    "id",
    "ts",
    "channel_values",
    "channel_versions",
    "versions_seen",
    "updated_channels",
}

Packed = Sequence[Any]
"""A part as it is stored (`parts.packed`)."""


def body_context(thread_id: str, ns: str, checkpoint_id: str, kind: str) -> bytes:
    """The associated data of a body; kind `c` is a checkpoint, `w` are writes."""
    return f"{kind}\0{thread_id}\0{ns}\0{checkpoint_id}".encode(errors="surrogatepass")


def element_context(thread_id: str, at: Ordinal) -> bytes:
    """The associated data of an element."""
    return f"e\0{thread_id}\0{at[0]}\0{at[1]}".encode(errors="surrogatepass")


@dataclass(frozen=True, slots=True)
class CheckpointBody:
    """A checkpoint to be stored: its fields as plain values, its channels taken apart."""

    fields: Sequence[Any]
    channels: Mapping[str, Part]

    @classmethod
    def of(
        cls, encoding: Encoding, checkpoint: Checkpoint, metadata: Any, channels: Mapping[str, Part]
    ) -> "CheckpointBody":
        rest = {key: value for key, value in checkpoint.items() if key not in _KNOWN and value}
        fields = [
            checkpoint["v"],
            checkpoint["ts"],
            checkpoint["channel_versions"],
            checkpoint["versions_seen"],
            checkpoint.get("updated_channels"),
            encoding.encode(metadata),
            encoding.encode(rest) if rest else None,
        ]
        return cls(fields, channels)

    def parts(self) -> Iterator[Part]:
        yield from self.channels.values()

    def relocated(self) -> "CheckpointBody":
        moved = {channel: relocated(part) for channel, part in self.channels.items()}
        return replace(self, channels=moved)

    def pack(self) -> bytes:
        channels = {channel: packed(part) for channel, part in self.channels.items()}
        return ormsgpack.packb([*self.fields, channels], option=ormsgpack.OPT_NON_STR_KEYS)


@dataclass(frozen=True, slots=True)
class WritesBody:
    """The writes of a task to be stored: (position or special index, channel, value)."""

    task_id: str
    task_path: str
    run_id: str | None
    writes: Sequence[tuple[int, str, Part]]

    def parts(self) -> Iterator[Part]:
        yield from (part for _, _, part in self.writes)

    def relocated(self) -> "WritesBody":
        return replace(self, writes=[(i, name, relocated(part)) for i, name, part in self.writes])

    def pack(self) -> bytes:
        writes = [[idx, channel, packed(part)] for idx, channel, part in self.writes]
        return ormsgpack.packb([self.task_id, self.task_path, self.run_id, writes])


def new_nonce() -> int:
    """Names a put of writes, so that one sent twice is stored once; 0 is a checkpoint's."""
    return secrets.randbits(62) + 1


def index_of(channel: str, position: int) -> int:
    """The index of a write: its position, or for a special channel that channel's own."""
    return WRITES_IDX_MAP.get(channel, position)


class Address(NamedTuple):
    """What a config names."""

    thread_id: str
    ns: str
    checkpoint_id: str
    epoch: int | None


class Save:
    """A body on its way to the storage, with the elements that are new to its thread.

    `nonce` is 0 for a checkpoint.
    """

    __slots__ = (
        "_at",
        "_content",
        "_fresh",
        "_ids",
        "_noted",
        "_sealing",
        "body",
        "session",
        "size",
    )

    def __init__(
        self,
        session: Session,
        sealing: Sealing,
        at: Address,
        content: CheckpointBody | WritesBody,
        *,
        nonce: int = 0,
        parent_id: str | None = None,
        run_id: str | None = None,
    ) -> None:
        self.session = session
        self._sealing = sealing
        self._at = at
        self._content = content
        self._ids = (nonce, parent_id, run_id)
        self._noted = run_id is None or not session.is_new(run_id)
        self._fresh = session.take_fresh()
        self.body = self._seal(content)
        self.size = len(self.body) + sum(map(len, self._fresh.values()))

    @property
    def thread_id(self) -> str:
        return self._at.thread_id

    def put(self) -> Put:
        ids = (*self._ids[:2], None) if self._noted else self._ids
        return self._put(self.body, self._content, self._fresh, ids, self.session.salt)

    def whole(self) -> Put:
        content = self._content.relocated()
        every = {at: item for part in content.parts() for at, item in _elements(part)}
        return self._put(self._seal(content), content, every, self._ids, None)

    def _put(
        self,
        body: bytes,
        content: CheckpointBody | WritesBody,
        elements: Mapping[Ordinal, bytes],
        ids: tuple[int, str | None, str | None],
        salt: int | None,
    ) -> Put:
        thread_id, ns, checkpoint_id, epoch = self._at
        seal = self._sealing.seal
        sealed = {at: seal(item, element_context(thread_id, at)) for at, item in elements.items()}
        ranges = [each for part in content.parts() for each in _ranges(part)]
        return Put(thread_id, ns, checkpoint_id, body, *ids, sealed, ranges, epoch, salt)

    def _seal(self, content: CheckpointBody | WritesBody) -> bytes:
        kind = "w" if self._ids[0] else "c"
        at = self._at
        return self._sealing.seal(
            content.pack(), body_context(at.thread_id, at.ns, at.checkpoint_id, kind)
        )


def _ranges(part: Part) -> Iterator[Range]:
    for leaf in leaves(part):
        yield from leaf.ranges


def _elements(part: Part) -> Iterator[tuple[Ordinal, bytes]]:
    for leaf in leaves(part):
        for stream, low, _ in leaf.ranges:  # a relocated part lies in one range
            yield from (((stream, low + i), item) for i, item in enumerate(leaf.items))


class StoredWrites(NamedTuple):
    """The writes of a task as one call brought them; some may not count (`merged`)."""

    task_id: str
    task_path: str
    run_id: str | None
    writes: Sequence[tuple[int, str, Packed]]

    def ranges(self) -> Iterator[Range]:
        """Where all their elements lie."""
        for _, _, value in self.writes:
            yield from stored_ranges(value)


@dataclass(frozen=True, slots=True)
class StoredWrite:
    """A write as read: its value is still packed."""

    task_id: str
    task_path: str
    idx: int
    channel: str
    value: Packed


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint as read: metadata encoded, values packed, writes merged and in order.

    `calls` are the writes before that, one for each of `row.writes`.
    """

    row: Row
    v: int
    ts: str
    versions: dict[str, Any]
    seen: dict[str, dict[str, Any]]
    updated: list[str] | None
    metadata: bytes
    rest: bytes | None
    channels: Mapping[str, Packed]
    writes: Sequence[StoredWrite]
    calls: Sequence[StoredWrites]

    def ranges(self) -> Iterator[Range]:
        """Where all elements of the checkpoint and of the writes that count lie."""
        yield from self.own_ranges()
        for write in self.writes:
            yield from stored_ranges(write.value)

    def own_ranges(self) -> Iterator[Range]:
        """Where the elements of the checkpoint alone lie."""
        for value in self.channels.values():
            yield from stored_ranges(value)

    def all_ranges(self) -> Iterator[Range]:
        """The same with those of writes that do not count, and may when others are removed."""
        yield from self.own_ranges()
        for call in self.calls:
            yield from call.ranges()


def opened(sealing: Sealing, row: Row) -> Stored:
    """What a row says. Raises `Undecipherable`."""
    at = (row.thread_id, row.ns, row.checkpoint_id)
    fields = ormsgpack.unpackb(
        sealing.open(row.body, body_context(*at, "c")), option=ormsgpack.OPT_NON_STR_KEYS
    )
    context = body_context(*at, "w") if row.writes else b""
    calls = [StoredWrites(*ormsgpack.unpackb(sealing.open(body, context))) for body in row.writes]
    v, ts, versions, seen, updated, metadata, rest, channels = fields
    writes = merged(calls)
    return Stored(row, v, ts, versions, seen, updated, metadata, rest, channels, writes, calls)


def merged(calls: Sequence[StoredWrites]) -> list[StoredWrite]:
    """The writes that count, in the order they apply.

    Of one task and index the first counts, of a special channel (negative index) the last.
    """
    writes: dict[tuple[str, int], StoredWrite] = {}
    for task_id, path, _, each in calls:
        for idx, channel, value in each:
            if idx < 0 or (task_id, idx) not in writes:
                writes[task_id, idx] = StoredWrite(task_id, path, idx, channel, value)
    return sorted(
        writes.values(), key=lambda one: writes_sort_key(one.task_path, one.task_id, one.idx)
    )
