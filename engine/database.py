"""One driver, one pool, visible SQL: named statements and versioned migrations."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Self

from opentelemetry.trace import SpanKind
from psycopg import AsyncConnection, AsyncCursor
from psycopg.abc import Params
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from checkpoints.pooling import make_pool
from engine.telemetry import span

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]

_LOCK = 7_300_417  # one advisory lock for all migrations, so that processes starting together queue


class Cursor(AsyncCursor[DictRow]):
    """Whose statements are spans, without their parameters, where something is traced."""

    async def execute(self, query: Any, params: Params | None = None, **options: Any) -> Self:
        text = query if isinstance(query, str) else ""
        facts = {"db.system.name": "postgresql", "db.query.text": text}
        with span(next(iter(text.split(None, 1)), "sql"), facts, SpanKind.CLIENT):
            return await super().execute(query, params, **options)


async def fetch_one(conn: Connection, sql: str, args: Mapping[str, Any]) -> DictRow | None:
    return await (await conn.execute(sql, args)).fetchone()


async def fetch_all(conn: Connection, sql: str, args: Mapping[str, Any]) -> list[DictRow]:
    return await (await conn.execute(sql, args)).fetchall()


@asynccontextmanager
async def open_pool(dsn: str, *, size: int = 10) -> AsyncIterator[Pool]:
    """A pool of autocommit connections that return rows as dicts; `transaction()` opens a block.

    Prepared statements stay off, so that PgBouncer in transaction mode can stand in between.
    """

    kwargs: dict[str, Any] = {
        "autocommit": True,
        "row_factory": dict_row,
        "cursor_factory": Cursor,
        "prepare_threshold": None,
    }
    async with make_pool(dsn, size=size, kwargs=kwargs, connection_class=Connection) as pool:
        yield pool


def statements(package: str, name: str) -> Mapping[str, str]:
    """The statements of a `.sql` file by name: each begins with a line `-- name: the_name`."""
    text = files(package).joinpath(name).read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)[^\n]*\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


async def migrate(pool: Pool, package: str, folder: str = "migrations") -> None:
    """Apply `NNN_name.sql` files of `package/folder` that this database has not seen, each once."""
    scripts = sorted(
        (
            entry
            for entry in files(package).joinpath(folder).iterdir()
            if entry.name.endswith(".sql")
        ),
        key=lambda entry: entry.name,
    )
    async with pool.connection() as conn, conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        await conn.execute("create schema if not exists frontdesk")
        await conn.execute(
            "create table if not exists frontdesk.migrations "
            "(package text, script text, applied_at timestamptz default now(), "
            "primary key (package, script))"
        )
        rows = await conn.execute(
            "select script from frontdesk.migrations where package = %s", (package,)
        )
        done = {row["script"] async for row in rows}
        for entry in scripts:
            if entry.name in done:
                continue
            await conn.execute(entry.read_text(encoding="utf-8"))
            await conn.execute(
                "insert into frontdesk.migrations (package, script) values (%s, %s)",
                (package, entry.name),
            )
