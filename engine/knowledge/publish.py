"""Make a staged version the one that readers see: one number in one row, in one transaction."""

from collections.abc import Mapping
from datetime import timedelta

from psycopg.sql import Composed

from engine.database import Connection
from engine.knowledge.records import Published

PATIENCE = timedelta(minutes=10)
"""Older versions stay this long for searches under way, and so do stages that nobody works on."""


async def publish(
    conn: Connection, sql: Mapping[str, Composed], tenant: str, stage: int
) -> Published:
    """Count the words of the listed chunks, give the version its number, drop what is left over.

    Runs inside a `writing` transaction.
    """
    await conn.execute(sql["count_lexemes"], {"stage": stage})
    published = await conn.execute(sql["publish"], {"stage": stage})
    row = (await published.fetchall())[0]
    await prune(conn, sql, tenant)
    return Published(row["number"], row["documents"], row["chunks"])


async def prune(conn: Connection, sql: Mapping[str, Composed], tenant: str) -> None:
    """Forget superseded versions, abandoned stages, and documents that no version lists."""
    await conn.execute(sql["prune_versions"], {"tenant": tenant, "patience": PATIENCE})
    await conn.execute(sql["prune_documents"], {"tenant": tenant})
