"""The SQL of a schema: statements by name, and the migrations that make it what they expect."""

import re
from collections.abc import Mapping
from importlib.resources import files

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import Identifier

from checkpoints.errors import CheckpointError


def statements(name: str, schema: str) -> Mapping[str, bytes]:
    """The statements of a `.sql` file: each begins with a line `-- name: the_name`.

    They say `{schema}` where the schema's name belongs: search paths are lost behind PgBouncer.
    """
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    schema = schema.replace("%", "%%")  # which has a meaning where parameters are
    return {
        name: _in_schema(sql.strip(), schema)
        for name, sql in zip(parts[1::2], parts[2::2], strict=True)
    }


async def migrate(conn: AsyncConnection[TupleRow], schema: str) -> None:
    """Make the schema or bring it up to date: one process at a time, all of it or nothing.

    The connection must be in autocommit mode. Raises `CheckpointError` when a newer version of
    this library has been there.
    """
    sql = statements("schema.sql", schema)
    latest = max(_steps())
    version = await _version(conn, schema, sql)
    if version < latest:  # else nothing is asked that takes the right to create
        async with conn.transaction():
            await conn.execute(sql["lock"], {"schema": schema})
            version = await _version(conn, schema, sql)
            await _apply(conn, schema, sql, version)
    if version > latest:
        raise CheckpointError(
            f"Schema {schema} is of version {version}, and this library knows {latest} at most: "
            "update it."
        )


async def _apply(
    conn: AsyncConnection[TupleRow], schema: str, sql: Mapping[str, bytes], version: int
) -> None:
    if await _one(conn, sql["found"], schema) is None:
        await conn.execute(sql["create"], {})
    await conn.execute(sql["prepare"], {})
    for number, (name, text) in sorted(_steps().items()):
        if number > version:
            await conn.execute(_in_schema(text, schema))
            await conn.execute(sql["record"], [number, name])


async def _version(conn: AsyncConnection[TupleRow], schema: str, sql: Mapping[str, bytes]) -> int:
    """The number of the last migration; 0 when there was none."""
    if await _one(conn, sql["recorded"], schema) is None:
        return 0
    return await _one(conn, sql["version"], schema) or 0


async def _one(conn: AsyncConnection[TupleRow], query: bytes, schema: str) -> int | None:
    row = await (await conn.execute(query, {"schema": schema})).fetchone()
    return row[0] if row else None


def _steps() -> dict[int, tuple[str, str]]:
    return {
        int(entry.name[:3]): (entry.name, entry.read_text(encoding="utf-8"))
        for entry in files(__package__).joinpath("migrations").iterdir()
        if entry.name.endswith(".sql")
    }


def _in_schema(sql: str, schema: str) -> bytes:
    return sql.replace("{schema}", Identifier(schema).as_string()).encode()
