"""What the ancestors of a checkpoint wrote to channels that store no value at every step."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langgraph.checkpoint.base import DeltaChannelHistory

from checkpoints.bodies import Stored
from checkpoints.encoding import Encoding
from checkpoints.reading import Elements, Reader, value
from checkpoints.records import Query


async def history(
    reader: Reader,
    encoding: Encoding,
    query: Query,
    checkpoint_id: str | None,
    channels: Sequence[str],
) -> Mapping[str, DeltaChannelHistory]:
    """For each channel the writes since its nearest stored value, oldest first, and that value.

    The walk follows parents, not the order of the list: forks have writes of their own.
    """
    if not channels:
        return {}
    path = await _path(reader, query, checkpoint_id, set(channels))
    known: Elements = {}
    if path:
        needed = [_only(stored, set(channels)) for stored in path]
        await reader.complete(needed, known)
    return {name: _of(encoding, path, name, known) for name in channels}


def _of(
    encoding: Encoding, path: Sequence[Stored], channel: str, known: Elements
) -> DeltaChannelHistory:
    batches: list[list[Any]] = []
    found: DeltaChannelHistory = {"writes": []}
    for stored in path:
        writes = [one for one in stored.writes if one.channel == channel]
        batches.append(
            [(one.task_id, channel, value(encoding, one.value, known)) for one in writes]
        )
        if channel in stored.channels:
            found["seed"] = value(encoding, stored.channels[channel], known)
            break
    found["writes"] = [write for batch in reversed(batches) for write in batch]
    return found


async def _path(
    reader: Reader, query: Query, checkpoint_id: str | None, channels: set[str]
) -> list[Stored]:
    """The ancestors, nearest first, up to where each channel has a value."""
    ancestors = ancestry(_opened(reader, query), checkpoint_id)
    path: list[Stored] = []
    wanted = set(channels)
    async for stored in ancestors:
        path.append(stored)
        wanted -= stored.channels.keys()
        if not wanted:
            break
    return path


async def ancestry(rows: AsyncIterator[Stored], checkpoint_id: str | None) -> AsyncIterator[Stored]:
    """The ancestors of a checkpoint (None: of the first) in a namespace's rows, nearest first."""
    passed: dict[str, Stored] = {}
    wanted: str | None = checkpoint_id
    target = True
    async for stored in rows:
        passed[stored.row.checkpoint_id] = stored
        wanted = wanted or stored.row.checkpoint_id
        while wanted in passed:
            found = passed.pop(wanted)
            if not target:
                yield found
            target = False
            wanted = found.row.parent_id
            if wanted is None:
                return


async def _opened(reader: Reader, query: Query) -> AsyncIterator[Stored]:
    async for row in reader.storage.rows(query):
        yield reader.open(row)


def _only(stored: Stored, channels: set[str]) -> Stored:
    """The row without the channels nobody asked for, so that their elements are not fetched."""
    return replace(
        stored,
        channels={name: one for name, one in stored.channels.items() if name in channels},
        writes=[one for one in stored.writes if one.channel in channels],
    )
