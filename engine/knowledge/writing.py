"""One writer a tenant at a time: transactions under the tenant's lock."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from psycopg.sql import Composed

from engine.database import Connection, Pool


@asynccontextmanager
async def writing(
    pool: Pool, sql: Mapping[str, Composed], tenant: str
) -> AsyncIterator[Connection]:
    """A transaction that no other writer of this tenant's knowledge runs beside; readers do."""
    async with pool.connection() as conn, conn.transaction():
        await conn.execute(sql["lock"], {"key": f"knowledge {tenant}"})
        yield conn
