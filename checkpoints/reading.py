"""Rows as LangGraph wants them, with the elements they refer to."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.serde.types import TASKS

from checkpoints.bodies import Packed, Stored, element_context, opened
from checkpoints.encoding import Encoding
from checkpoints.errors import Torn
from checkpoints.parts import Part, ordinals, put_together, union, unpacked
from checkpoints.records import Ordinal, Row, Storage
from checkpoints.sealing import Sealing

Elements = dict[Ordinal, bytes]


class Reader:
    """Opens what a storage holds."""

    def __init__(self, storage: Storage, sealing: Sealing) -> None:
        self.storage = storage
        self._sealing = sealing

    def open(self, row: Row) -> Stored:
        """What the row says. Raises `Undecipherable`."""
        return opened(self._sealing, row)

    def unseal(self, thread_id: str, sealed: Mapping[Ordinal, bytes]) -> Elements:
        unseal = self._sealing.open
        return {at: unseal(one, element_context(thread_id, at)) for at, one in sealed.items()}

    async def complete(self, rows: Sequence[Stored], known: Elements) -> None:
        """Add to `known` what the rows of one thread refer to and it lacks. Raises `Torn`."""
        needed = list(ordinals(union(each for row in rows for each in row.ranges())))
        thread_id = rows[0].row.thread_id
        await self.add(thread_id, needed, known)
        if gone := sum(at not in known for at in needed):
            raise Torn(f"Thread {thread_id} lacks {gone} of the elements its checkpoints refer to.")

    async def add(self, thread_id: str, wanted: Iterable[Ordinal], known: Elements) -> None:
        """Add to `known` such of these elements as it lacks and the thread has."""
        missing = union(
            (stream, seq, seq + 1) for stream, seq in wanted if (stream, seq) not in known
        )
        if missing:
            found = await self.storage.elements(thread_id, missing)
            known |= self.unseal(thread_id, found)

    async def present(self, rows: Sequence[Stored], known: Elements) -> Sequence[Stored]:
        """Complete rows of one thread, without those that were removed since. Raises `Torn`."""
        try:
            await self.complete(rows, known)
        except Torn:
            found = [await self._again(stored, known) for stored in rows]
            return [stored for stored in found if stored]
        return rows

    async def _again(self, stored: Stored, known: Elements) -> Stored | None:
        """The row as it is now, complete. It is torn only if nothing was removed meanwhile."""
        while True:
            row = stored.row
            found = await self.storage.find(row.thread_id, row.ns, row.checkpoint_id)
            if found is None:
                return None
            stored = self.open(found.row)
            try:
                await self.complete([stored], known)
            except Torn:
                if found.row.salt == row.salt:
                    raise
            else:
                return stored

    async def parent(self, stored: Stored) -> Stored | None:
        """The parent of a checkpoint that is needed to read it: only of old formats."""
        row = stored.row
        if stored.v >= 4 or row.parent_id is None:
            return None
        found = await self.storage.find(row.thread_id, row.ns, row.parent_id)
        return self.open(found.row) if found else None


def config_of(thread_id: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    """The config that names a checkpoint."""
    return {
        "configurable": {
            "thread_id": thread_id,
            "checkpoint_ns": ns,
            "checkpoint_id": checkpoint_id,
        }
    }


def parts_of(stored: Stored, known: Elements) -> dict[str, Part]:
    """The channels' parts. Their elements must all be `known`."""
    return {name: unpacked(value, known.__getitem__) for name, value in stored.channels.items()}


def writes_of(stored: Stored, known: Elements) -> list[Part]:
    """The parts of the writes' values. Their elements must all be `known`."""
    return [unpacked(write.value, known.__getitem__) for write in stored.writes]


def metadata_of(encoding: Encoding, stored: Stored) -> CheckpointMetadata:
    metadata: CheckpointMetadata = encoding.decode(stored.metadata)
    return metadata


def as_tuple(
    encoding: Encoding, stored: Stored, parts: Mapping[str, Part], known: Elements
) -> CheckpointTuple:
    """The tuple LangGraph knows; every value is new, none is shared with another reader."""
    row = stored.row
    parent = config_of(row.thread_id, row.ns, row.parent_id) if row.parent_id else None
    checkpoint: Any = {
        "v": stored.v,
        "id": row.checkpoint_id,
        "ts": stored.ts,
        "channel_values": {name: put_together(encoding, part) for name, part in parts.items()},
        "channel_versions": stored.versions,
        "versions_seen": stored.seen,
        "updated_channels": stored.updated,
        **(encoding.decode(stored.rest) if stored.rest else {}),
    }
    return CheckpointTuple(
        config=config_of(row.thread_id, row.ns, row.checkpoint_id),
        checkpoint=checkpoint,
        metadata=metadata_of(encoding, stored),
        parent_config=parent,
        pending_writes=[
            (write.task_id, write.channel, value(encoding, write.value, known))
            for write in stored.writes
        ],
    )


def value(encoding: Encoding, stored: Packed, known: Elements) -> Any:
    """A stored value. Its elements must all be `known`."""
    return put_together(encoding, unpacked(stored, known.__getitem__))


def with_sends(
    encoding: Encoding, found: CheckpointTuple, parent: Stored, known: Elements
) -> CheckpointTuple:
    """Formats before 4 keep what a step sent in the writes of the checkpoint before it."""
    checkpoint = found.checkpoint
    sends = [value(encoding, one.value, known) for one in parent.writes if one.channel == TASKS]
    if not sends:
        return found
    checkpoint["channel_values"][TASKS] = sends
    versions = checkpoint["channel_versions"]
    versions[TASKS] = max(versions.values(), default=1)
    return found


async def chunks(rows: AsyncIterator[Stored], limit: int | None) -> AsyncIterator[list[Stored]]:
    """Up to `limit` rows in short lists, each of one thread: their elements come together."""
    chunk: list[Stored] = []
    taken = 0
    async for stored in rows:
        if chunk and (len(chunk) == 16 or chunk[0].row.thread_id != stored.row.thread_id):
            yield chunk
            chunk = []
        chunk.append(stored)
        taken += 1
        if taken == limit:
            break
    if chunk:
        yield chunk
