"""Threads of LangGraph's official Postgres saver, copied with their ids."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import ormsgpack
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.base import WRITES_IDX_MAP, Checkpoint, writes_sort_key
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import (
    EXT_DELTA_SNAPSHOT,
    EXT_PYDANTIC_V2,
    JsonPlusSerializer,
)
from langgraph.checkpoint.serde.types import TASKS, _DeltaSnapshot
from psycopg import AsyncConnection, OperationalError
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from checkpoints.checkpointer import Checkpointer
from checkpoints.errors import CheckpointError, Unavailable
from checkpoints.reading import config_of
from checkpoints.schema import statements

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]
Key = tuple[str, str]
"""Namespace and id of a checkpoint, or channel and version of a blob."""
Fingerprint = list[tuple[str, str, str]]
"""Task, channel and, where the last write counts, the value of every write of a checkpoint."""

_TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
_AT_ONCE = 4
_PLAIN = JsonPlusSerializer(allowed_msgpack_modules=None)


@dataclass
class Report:
    """What was copied, and which threads could not be read and why."""

    threads: int = 0
    checkpoints: int = 0
    writes: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Write:
    """A row of `checkpoint_writes`, its value still encoded."""

    task: str
    path: str
    idx: int
    channel: str
    typed: tuple[str, bytes]


async def import_official(
    source: str,
    saver: Checkpointer,
    *,
    schema: str = "public",
    threads: Sequence[str] = (),
    serde: SerializerProtocol | None = None,
    progress: Callable[[str, Report], None] = lambda thread, so_far: None,
) -> Report:
    """Copy `threads`, or all, from the database `source` to `saver`.

    What is there already is left alone, so it may be cut and run again, also while the source is
    in use. A thread at a time is one snapshot of the source. `serde` is the one it was written
    with, if it was not the default. Raises `CheckpointError` when the tables are not there,
    `Unavailable`; a thread that cannot be read or stored is left where it failed, and reported.
    """
    report = Report()
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(official: _Official, thread: str) -> None:
        try:
            await _Thread(official, saver, thread, report).copy()
            report.threads += 1
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - others can still be copied
            report.failed[thread] = f"{type(error).__name__}: {error}"
        finally:
            room.release()
        progress(thread, report)

    async with _open(source, schema, serde or saver.serde) as official:
        try:
            async with asyncio.TaskGroup() as group:
                async for thread in official.threads(threads):
                    await room.acquire()
                    group.create_task(one(official, thread))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
    return report


class _Thread:
    """A thread on its way: of each namespace only the last checkpoint's values are held."""

    def __init__(
        self, official: "_Official", saver: Checkpointer, thread: str, report: Report
    ) -> None:
        self._official = official
        self._saver = saver
        self._thread = thread
        self._report = report
        self._ids: set[Key] = set()
        self._last: tuple[Key, Mapping[str, Any]] = ("", ""), {}
        self._values: dict[Key, Any] = {}

    async def copy(self) -> None:
        there = await self._there()
        async with self._official.snapshot() as conn:
            async for row in self._official.checkpoints(conn, self._thread):
                key = (row["ns"], row["id"])
                if self._last[0][0] != row["ns"]:
                    self._values = {}
                if key not in there:
                    await self._put(conn, row)
                self._ids.add(key)
                writes = await self._official.writes(conn, self._thread, *key)
                if self._official.fingerprint(writes) != there.get(key, []):
                    await self._put_writes(key, writes)

    async def _there(self) -> dict[Key, Fingerprint]:
        config: Any = {"configurable": {"thread_id": self._thread}}
        return {
            (found.config["configurable"]["checkpoint_ns"], found.checkpoint["id"]): _fingerprint(
                found.pending_writes or ()
            )
            async for found in self._saver.alist(config)
        }

    async def _put(self, conn: AsyncConnection[DictRow], row: DictRow) -> None:
        key = (row["ns"], row["id"])
        checkpoint = await self._checkpoint(conn, row)
        parent, versions = row["parent"], checkpoint["channel_versions"]
        known = self._last[1] if self._last[0] == (row["ns"], parent) else {}
        changed = {name: one for name, one in versions.items() if known.get(name) != one}
        config = config_of(self._thread, row["ns"], parent)
        await self._saver.aput(config, checkpoint, row["metadata"], changed)
        self._last = (key, versions)
        self._report.checkpoints += 1

    async def _checkpoint(self, conn: AsyncConnection[DictRow], row: DictRow) -> Checkpoint:
        wanted = [(channel, version) for channel, version in row["versions"]]
        known = {pair: value for pair, value in self._values.items() if pair in wanted}
        missing = [pair for pair in wanted if pair not in known]
        known |= await self._official.values(conn, self._thread, row["ns"], missing)
        self._values = known
        stored = row["checkpoint"]
        checkpoint: Any = {
            "v": 1,
            "ts": "",
            "versions_seen": {},
            **stored,
            "id": row["id"],
            "channel_versions": dict(stored.get("channel_versions") or {}),
            "channel_values": {
                **(stored.get("channel_values") or {}),
                **{channel: value for (channel, _), value in known.items()},
            },
        }
        if checkpoint["v"] < 4 and row["parent"] and (row["ns"], row["parent"]) not in self._ids:
            await self._add_sends(conn, row, checkpoint)
        return checkpoint  # type: ignore[no-any-return]

    async def _add_sends(
        self, conn: AsyncConnection[DictRow], row: DictRow, checkpoint: Checkpoint
    ) -> None:
        """Old formats find in the parent's writes what it sent: here the parent itself is gone."""
        writes = await self._official.writes(conn, self._thread, row["ns"], row["parent"])
        sends = [self._official.load(one.typed) for one in writes if one.channel == TASKS]
        if sends:
            versions = checkpoint["channel_versions"]
            checkpoint["channel_values"][TASKS] = sends
            versions[TASKS] = max(versions.values(), default=1)

    async def _put_writes(self, key: Key, writes: Sequence[Write]) -> None:
        config = config_of(self._thread, *key)
        calls = []
        for (task, path), rows in groupby(writes, key=lambda one: (one.task, one.path)):
            indexed = [(one.idx, one.channel, self._official.load(one.typed)) for one in rows]
            calls.append(self._saver.aput_indexed(config, indexed, task, path))
            self._report.writes += len(indexed)
        await asyncio.gather(*calls)


class _Official:
    """The tables of the official saver."""

    def __init__(self, pool: Pool, sql: Mapping[str, bytes], serde: SerializerProtocol) -> None:
        self._serde = serde
        self._pool = pool
        self._sql = sql
        self._unopened = type(serde) is JsonPlusSerializer

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        """A connection that sees the source as it is now, and cannot change it."""
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute("set transaction isolation level repeatable read, read only")
            yield conn

    async def threads(self, only: Sequence[str]) -> AsyncIterator[str]:
        for thread in only:
            yield thread
        after: str | None = None
        while not only:
            async with self._pool.connection() as conn:
                rows = await _rows(conn, self._sql["next_thread"], after=after)
            if not rows:
                return
            after = rows[0]["thread_id"]
            yield rows[0]["thread_id"]

    async def checkpoints(
        self, conn: AsyncConnection[DictRow], thread: str
    ) -> AsyncIterator[DictRow]:
        """Of every namespace the oldest first."""
        ns, id_ = "", ""
        while True:
            rows = await _rows(conn, self._sql["checkpoints"], thread=thread, ns=ns, id=id_)
            for row in rows:
                yield row
                ns, id_ = row["ns"], row["id"]
            if not rows:
                return

    async def values(
        self, conn: AsyncConnection[DictRow], thread: str, ns: str, pairs: Sequence[Key]
    ) -> dict[Key, Any]:
        """Channels that are empty, or whose value lies in the checkpoint, are left out."""
        channels, versions = [one for one, _ in pairs], [one for _, one in pairs]
        rows = await _rows(
            conn, self._sql["blobs"], thread=thread, ns=ns, channels=channels, versions=versions
        )
        return {
            (row["channel"], row["version"]): self.load((row["type"], row["blob"]))
            for row in rows
            if row["type"] != "empty"
        }

    async def writes(
        self, conn: AsyncConnection[DictRow], thread: str, ns: str, id_: str
    ) -> list[Write]:
        """The writes upon a checkpoint, in the order they apply."""
        rows = await _rows(conn, self._sql["writes"], thread=thread, ns=ns, id=id_)
        writes = [
            Write(row["task"], row["path"], row["idx"], row["channel"], (row["type"], row["blob"]))
            for row in rows
        ]
        return sorted(writes, key=lambda one: writes_sort_key(one.path, one.task, one.idx))

    def fingerprint(self, writes: Sequence[Write]) -> Fingerprint:
        return _fingerprint(
            (
                one.task,
                one.channel,
                self._serde.loads_typed(one.typed) if one.channel in WRITES_IDX_MAP else None,
            )
            for one in writes
        )

    def load(self, typed: tuple[str, bytes]) -> Any:
        """The value; what a saver of ours does not look into is carried over unopened.

        So no type needs to be allowed, known or even installed here for its values to survive.
        """
        if self._unopened and typed[0] == "msgpack":
            return self._unpacked(typed[1])
        return self._serde.loads_typed(typed)

    def _unpacked(self, data: bytes) -> Any:
        return ormsgpack.unpackb(data, ext_hook=self._opened, option=ormsgpack.OPT_NON_STR_KEYS)

    def _opened(self, code: int, data: bytes) -> Any:
        if code == EXT_DELTA_SNAPSHOT:
            return _DeltaSnapshot(self._unpacked(data))
        unopened = ormsgpack.Ext(code, data)
        if code == EXT_PYDANTIC_V2 and b"langchain_core.messages" in data[:40]:
            packed = ormsgpack.packb(unopened)
            message = self._serde.loads_typed(("msgpack", packed))
            if isinstance(message, BaseMessage) and _PLAIN.dumps_typed(message)[1] == packed:
                return message
        return unopened


def _fingerprint(writes: Iterable[tuple[str, str, Any]]) -> Fingerprint:
    """Of ordinary writes the first counts, so their values never change."""
    return sorted(
        (task, channel, repr(_PLAIN.dumps_typed(value)) if channel in WRITES_IDX_MAP else "")
        for task, channel, value in writes
    )


@asynccontextmanager
async def _open(dsn: str, schema: str, serde: SerializerProtocol) -> AsyncIterator[_Official]:
    pool: Pool = AsyncConnectionPool(
        dsn,
        min_size=1,
        max_size=_AT_ONCE + 1,
        kwargs={"autocommit": True, "prepare_threshold": None, "row_factory": dict_row},
        connection_class=AsyncConnection[DictRow],
        open=False,
    )
    async with pool:
        try:
            await pool.wait(10)
        except OperationalError as error:
            raise Unavailable(f"The source cannot be reached: {error}") from error
        sql = statements("official.sql", schema)
        async with pool.connection() as conn:
            lacking = await _rows(conn, sql["missing"], tables=[*_TABLES], schema=schema)
            paths = await _rows(conn, sql["has_paths"], schema=schema)
        if lacking:
            names = ", ".join(f"{schema}.{row['name']}" for row in lacking)
            raise CheckpointError(f"The source has no {names}: no official saver was set up there.")
        path = b"task_path" if paths[0]["found"] else b"''"
        sql = {name: one.replace(b"{task_path}", path) for name, one in sql.items()}
        yield _Official(pool, sql, serde)


async def _rows(conn: AsyncConnection[DictRow], sql: bytes, **args: Any) -> list[DictRow]:
    return await (await conn.execute(sql, args)).fetchall()
