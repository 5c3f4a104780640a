"""Removing and copying checkpoints, with what is no longer, or now also, referred to."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from typing import Any

from langgraph.checkpoint.serde.types import TASKS

from checkpoints.bodies import Stored, StoredWrites, body_context, element_context, new_nonce
from checkpoints.encoding import Encoding
from checkpoints.errors import CheckpointError
from checkpoints.parts import ordinals, union, without
from checkpoints.reading import Elements, Reader
from checkpoints.records import Ordinal, Put, Query, Range, Refusal, Row
from checkpoints.sealing import Sealing

_BATCH = 256
_COUNTERS = "counters_since_delta_snapshot"


async def keep_latest(reader: Reader, encoding: Encoding, thread_id: str) -> None:
    """Remove all but the latest checkpoint of each namespace and what it needs to be read."""
    latest: dict[str, str] = {}

    def superseded(stored: Stored) -> bool:
        return (
            latest.setdefault(stored.row.ns, stored.row.checkpoint_id) != stored.row.checkpoint_id
        )

    await _remove(reader, encoding, thread_id, superseded)


async def delete_for_runs(
    reader: Reader, encoding: Encoding, run_ids: Sequence[str], only: str | None = None
) -> None:
    """Remove the checkpoints of these runs, and what they wrote upon those of others.

    `only` is the one thread to look in, else it is all. Writes are only ever added, so those that
    they took the place of count again. What other checkpoints need to be read stays.
    """
    runs = set(run_ids)

    def of_runs(stored: Stored) -> bool:
        return str(encoding.decode(stored.metadata).get("run_id")) in runs

    threads = [only] if only else await reader.storage.threads_of_runs(run_ids)
    for thread_id in threads:
        await _remove(reader, encoding, thread_id, of_runs, runs)


async def _remove(
    reader: Reader,
    encoding: Encoding,
    thread_id: str,
    goes: Callable[[Stored], bool],
    runs: Set[str] = frozenset(),
) -> None:
    """First the rows, and the writes of `runs`, then the elements that none refers to any more.

    Removing rows changes the thread's salt, so whoever rests on what went with them sends it
    again, at other places: nothing that the second step removes can come into use between.
    """
    rows = [reader.open(row) async for row in reader.storage.rows(Query(thread_id))]
    gone = [stored for stored in rows if goes(stored)]
    needed = _needed(encoding, rows, {_key(stored.row) for stored in gone})
    gone = [stored for stored in gone if _key(stored.row) not in needed]
    keys = [_key(stored.row) for stored in gone]
    undone = [
        ((*_key(stored.row), body), call)
        for stored in rows
        if _key(stored.row) not in keys
        for body, call in zip(stored.row.writes, stored.calls, strict=True)
        if call.run_id in runs and not _channels(call) & needed.get(_key(stored.row), set())
    ]
    if not keys and not undone:
        return
    dropped = union(
        [each for stored in gone for each in stored.all_ranges()]
        + [each for _, call in undone for each in call.ranges()]
    )
    await reader.storage.remove(thread_id, keys, (), [writes for writes, _ in undone])
    kept: list[Range] = []
    async for row in reader.storage.rows(Query(thread_id)):
        kept = union([*kept, *reader.open(row).all_ranges()])
    if unused := without(dropped, kept):
        await reader.storage.remove(thread_id, (), unused)


def _needed(
    encoding: Encoding, rows: Iterable[Stored], gone: set[tuple[str, str]]
) -> dict[tuple[str, str], set[str]]:
    """Checkpoints without which one that stays would lose state, and the channels it reads there.

    A delta channel is rebuilt from the writes of the ancestors down to its last snapshot; formats
    before 4 keep sends in the parent's writes.
    """
    by_key = {_key(stored.row): stored for stored in rows}
    needed: dict[tuple[str, str], set[str]] = {}
    for key, stored in by_key.items():
        if key in gone:
            continue
        metadata: Any = encoding.decode(stored.metadata)
        counted = stored.versions.keys() & (metadata.get(_COUNTERS) or ())  # never written: no need
        channels = counted - stored.channels.keys()
        parent = _parent(stored)
        if stored.v < 4 and parent in by_key and _sends(by_key[parent]):
            needed.setdefault(parent, set()).add(TASKS)
        while channels and parent in by_key:
            needed.setdefault(parent, set()).update(channels)
            channels -= by_key[parent].channels.keys()
            parent = _parent(by_key[parent])
    return needed


def _channels(call: StoredWrites) -> set[str]:
    return {channel for _, channel, _ in call.writes}


def _sends(stored: Stored) -> bool:
    return any(write.channel == TASKS for write in stored.writes)


async def copy_thread(
    reader: Reader, encoding: Encoding, sealing: Sealing, source: str, target: str
) -> None:
    """Copy every checkpoint and write to the thread `target`. Raises `CheckpointError`."""
    known: Elements = {}
    sent: set[Ordinal] = set()
    salt: int | None = None
    batch: list[Put] = []
    async for row in reader.storage.rows(Query(source)):
        for stored in await reader.present([reader.open(row)], known):
            fresh = [at for at in ordinals(union(stored.all_ranges())) if at not in sent]
            await reader.add(source, fresh, known)
            sent.update(fresh)
            elements = {
                at: sealing.seal(known[at], element_context(target, at))
                for at in fresh
                if at in known  # of a write that does not count, it may have been lost
            }
            metadata: Any = encoding.decode(stored.metadata)
            batch += _copies(sealing, stored, target, elements, metadata.get("run_id"))
        if len(batch) >= _BATCH:
            salt, batch = await _write(reader, batch, salt), []
    if batch:
        await _write(reader, batch, salt)


def _copies(
    sealing: Sealing, stored: Stored, target: str, elements: dict[Ordinal, bytes], run_id: Any
) -> Iterator[Put]:
    row = stored.row
    copies = [
        (0, "c", row.body, run_id, stored.own_ranges()),
        *(
            (new_nonce(), "w", body, call.run_id, call.ranges())
            for body, call in zip(row.writes, stored.calls, strict=True)
        ),
    ]
    for nonce, kind, body, of_run, ranges in copies:
        plain = sealing.open(body, body_context(row.thread_id, row.ns, row.checkpoint_id, kind))
        yield Put(
            target,
            row.ns,
            row.checkpoint_id,
            sealing.seal(plain, body_context(target, row.ns, row.checkpoint_id, kind)),
            nonce=nonce,
            parent_id=None if nonce else row.parent_id,
            run_id=str(of_run) if of_run else None,
            elements={} if nonce else elements,
            ranges=list(ranges),
        )


async def _write(reader: Reader, puts: Sequence[Put], salt: int | None) -> int | None:
    """Write a part of a copy that rests on the parts before it. Returns the salt."""
    for outcome in await reader.storage.write([replace(put, salt=salt) for put in puts]):
        if isinstance(outcome, Refusal):
            raise CheckpointError(f"The copy was cut off: {outcome.value}.")
        salt = outcome
    return salt


def _key(row: Row) -> tuple[str, str]:
    return row.ns, row.checkpoint_id


def _parent(stored: Stored) -> tuple[str, str]:
    return stored.row.ns, stored.row.parent_id or ""
