"""Databases of the session's PostgreSQL, one a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg


@asynccontextmanager
async def database(dsn: str, name: str, template: str = "frontdesk") -> AsyncIterator[str]:
    """The URL of a copy of `template`, while inside. `dsn` is that of the maintenance database."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as admin:
        await admin.execute(f"create database {name} template {template}")
        yield dsn.replace("/postgres?", f"/{name}?")
        await admin.execute(f"drop database {name} with (force)")
