"""Checkpoints in Postgres: one statement a flush, one a read, and no state in a session."""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed

from checkpoints import arrays
from checkpoints.errors import Closed, InvalidCheckpoint, Unavailable
from checkpoints.pooling import make_pool
from checkpoints.records import Found, Ordinal, Outcome, Put, Query, Range, Refusal, Row, Writes
from checkpoints.schema import migrate, statements

Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]

_PAGES = (16, 64, 256)  # rows of the first page, the second, all further ones
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PATIENCE = 10.0  # seconds to wait for a connection
_SESSION: dict[str, Any] = {
    "autocommit": True,
    "prepare_threshold": None,  # PgBouncer hands each statement to another session
    "client_encoding": "utf8",
}
_CONNECTING = {  # unless the caller's DSN says otherwise
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "application_name": "checkpoints",
}


class PostgresStorage:
    """A `Storage` in one schema of a Postgres database.

    Ids of threads, namespaces and runs may hold no NUL and no lone surrogate, and ids of
    checkpoints must be UUIDs in their usual form; others are refused with `InvalidCheckpoint`.
    """

    def __init__(self, pool: Pool, schema: str = "checkpoints") -> None:
        self.pool = pool
        self.schema = schema
        self._sql = statements("postgres.sql", schema)

    async def write(self, puts: Sequence[Put]) -> Sequence[Outcome]:
        if not puts:
            return []
        ((stored, refused),) = await self._fetch("write", _arguments(puts))
        return [
            Refusal[reason] if reason else salt
            for salt, reason in zip(stored, refused, strict=True)
        ]

    async def find(
        self,
        thread_id: str,
        ns: str,
        checkpoint_id: str | None,
        *,
        known: str | None = None,
        epoch: int | None = None,
    ) -> Found | None:
        """Elements never come along. `epoch` raises nothing here: that is what `fence` is for."""
        if not _storable(thread_id, ns) or not _is_id(checkpoint_id):
            return None
        found = await self._fetch(
            "find", {"thread": thread_key(thread_id), "ns": ns, "id": checkpoint_id}
        )
        for id_, parent, body, salt, writes in found:
            return Found(Row(thread_id, ns, id_, parent, body, writes, salt))
        return None

    async def early(self, thread_id: str) -> Sequence[Writes]:
        """The writes upon checkpoints after the latest that is stored of their namespace."""
        return await self._fetch("early", {"thread": thread_key(thread_id)})

    async def elements(self, thread_id: str, ranges: Sequence[Range]) -> Mapping[Ordinal, bytes]:
        if not ranges or not _storable(thread_id):
            return {}
        found = await self._fetch(
            "elements", {"thread": thread_key(thread_id), **_range_arrays(ranges)}
        )
        return {(stream, seq): data for stream, seq, data in found}

    async def rows(self, query: Query) -> AsyncIterator[Row]:
        if not _storable(query.thread_id, query.ns, query.run_id):
            return
        if not _is_id(query.checkpoint_id) or not _is_id(query.before):
            return
        threads: Sequence[str | None] = [query.thread_id]
        if query.run_id is not None:
            threads = [
                thread
                for thread in await self.threads_of_runs([query.run_id])
                if query.thread_id in {None, thread}
            ]
        for thread in threads:
            async for row in self._pages(thread, query):
                yield row

    async def threads_of_runs(self, run_ids: Sequence[str]) -> Sequence[str]:
        runs = [run_id for run_id in run_ids if _storable(run_id)]
        return [thread for (thread,) in await self._fetch("threads_of_runs", {"runs": runs})]

    async def remove(
        self,
        thread_id: str,
        checkpoints: Sequence[tuple[str, str]],
        ranges: Sequence[Range],
        writes: Sequence[Writes] = (),
    ) -> None:
        gone = [(ns, id_) for ns, id_ in checkpoints if _storable(ns) and _is_id(id_)]
        if _storable(thread_id):
            arguments = {
                "thread": thread_key(thread_id),
                "nss": arrays.texts([ns.encode() for ns, _ in gone]),
                "ids": arrays.uuids([_id(id_) for _, id_ in gone]),
                "write_nss": arrays.texts([_text(ns) for ns, _, _ in writes]),
                "write_ids": arrays.uuids([_id(id_) for _, id_, _ in writes]),
                "bodies": arrays.byteas([body for _, _, body in writes]),
                **_range_arrays(ranges),
            }
            await self._fetch("remove", arguments)

    async def delete_thread(self, thread_id: str, *, if_swept: bool = False) -> None:
        """With `if_swept` only if nothing was written to it since `sweep` gave it."""
        if _storable(thread_id):
            await self._fetch(
                "delete_thread", {"thread": thread_key(thread_id), "if_swept": if_swept}
            )

    async def sweep(self, idle_seconds: float, limit: int) -> list[str]:
        """Threads that nothing was written to for so long (give or take a minute), oldest first.

        Each is given to one caller, and again when it is still there after as long.
        """
        found = await self._fetch("sweep", {"idle": idle_seconds, "limit": limit})
        return [thread for (thread,) in found]

    async def _pages(self, thread_id: str | None, query: Query) -> AsyncIterator[Row]:
        arguments: dict[str, Any] = {
            "thread": None if thread_id is None else thread_key(thread_id),
            "ns": query.ns,
            "id": query.checkpoint_id,
            "before": query.before,
            "last_thread": None,
            "last_ns": None,
            "last_id": None,
        }
        page = 0
        while True:
            limit = _PAGES[min(page, len(_PAGES) - 1)]
            found = await self._fetch("rows", {**arguments, "limit": limit})
            for key, thread, ns, id_, parent, body, salt, writes in found:
                yield Row(thread, ns, id_, parent, body, writes, salt)
                arguments |= {"last_thread": key, "last_ns": ns, "last_id": id_}
            if len(found) < limit:
                return
            page += 1

    async def _fetch(
        self, statement: str, arguments: Sequence[Any] | Mapping[str, Any]
    ) -> list[Any]:
        async with self._connection() as conn:
            cursor = conn.cursor(binary=True)
            await cursor.execute(self._sql[statement], arguments)
            return await cursor.fetchall()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        async with reaching(), self.pool.connection() as conn:
            yield conn


@asynccontextmanager
async def open_postgres(
    dsn: str, *, schema: str = "checkpoints", size: int = 10
) -> AsyncIterator[PostgresStorage]:
    """The storage in `schema`, made or brought up to date, on a pool of at most `size` connections.

    The pool is the storage's `pool`: autocommit, nothing prepared, rows as tuples.
    """
    conninfo = make_conninfo("", **{**_CONNECTING, **conninfo_to_dict(dsn)})
    async with (
        reaching(),
        await AsyncConnection.connect(conninfo, **_SESSION) as conn,
    ):
        await migrate(conn, schema)
    async with _pool(conninfo, size) as pool:
        async with reaching():
            await pool.wait(_PATIENCE)
        yield PostgresStorage(pool, schema)


def _pool(conninfo: str, size: int) -> Pool:
    adapters = AdaptersMap(psycopg.adapters)
    arrays.register(adapters)
    return make_pool(
        conninfo,
        size=size,
        kwargs={**_SESSION, "context": adapters},
        connection_class=AsyncConnection[TupleRow],
        name="checkpoints",
    )


def thread_key(thread_id: str) -> str:
    """What the thread is called in the tables: as the function `key` of the schema."""
    return hashlib.sha256(thread_id.encode()).hexdigest()[:32]


@asynccontextmanager
async def reaching() -> AsyncIterator[None]:
    """What psycopg says of a connection, in our words."""
    try:
        yield
    except PoolClosed as error:
        raise Closed from error
    except errors.ProgramLimitExceeded:  # says Postgres itself, and would again
        raise
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Unavailable(f"Postgres cannot be reached: {error}") from error


def _arguments(puts: Sequence[Put]) -> list[arrays.Array]:
    """The parameters of the function `write`."""
    names = {put.thread_id: _text(put.thread_id) for put in puts}
    threads = sorted((bytes.fromhex(thread_key(thread_id)), thread_id) for thread_id in names)
    position = {thread_id: n for n, (_, thread_id) in enumerate(threads, 1)}
    pieces = [
        (n, stream, seq, data)
        for n, put in enumerate(puts, 1)
        for (stream, seq), data in put.elements.items()
    ]
    return [
        arrays.uuids([key for key, _ in threads]),
        arrays.texts([names[thread_id] for _, thread_id in threads]),
        arrays.ints([position[put.thread_id] for put in puts]),
        arrays.texts([_text(put.ns) for put in puts]),
        arrays.uuids([_id(put.checkpoint_id) for put in puts]),
        arrays.uuids([None if put.parent_id is None else _id(put.parent_id) for put in puts]),
        arrays.texts([None if put.run_id is None else _text(put.run_id) for put in puts]),
        arrays.bigints([put.nonce for put in puts]),
        arrays.byteas([put.body for put in puts]),
        arrays.bigints([put.epoch for put in puts]),
        arrays.bigints([put.salt for put in puts]),
        arrays.ints([n for n, _, _, _ in pieces]),
        arrays.bigints([stream for _, stream, _, _ in pieces]),
        arrays.ints([seq for _, _, seq, _ in pieces]),
        arrays.byteas([data for _, _, _, data in pieces]),
    ]


def _range_arrays(ranges: Sequence[Range]) -> dict[str, arrays.Array]:
    return {
        "streams": arrays.bigints([stream for stream, _, _ in ranges]),
        "los": arrays.ints([lo for _, lo, _ in ranges]),
        "his": arrays.ints([hi for _, _, hi in ranges]),
    }


def _id(checkpoint_id: str) -> bytes:
    if not _ID.fullmatch(checkpoint_id):
        raise InvalidCheckpoint(f"A checkpoint's id must be a UUID, not {checkpoint_id!r}.")
    return bytes.fromhex(checkpoint_id.replace("-", ""))


def _is_id(checkpoint_id: str | None) -> bool:
    return checkpoint_id is None or _ID.fullmatch(checkpoint_id) is not None


def _text(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidCheckpoint(f"Postgres cannot store the id {text!r}.") from error
    if b"\0" in data:
        raise InvalidCheckpoint(f"Postgres cannot store the id {text!r}.")
    return data


def _storable(*texts: str | None) -> bool:
    try:
        return all(text is None or _text(text) is not None for text in texts)
    except InvalidCheckpoint:
        return False
