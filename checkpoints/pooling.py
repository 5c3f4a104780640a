"""Connection pools that notice a server which hung up and a caller who was cancelled."""

import asyncio
from typing import Any, TypeVar

from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool

C = TypeVar("C", bound=AsyncConnection[Any])

_PATIENCE = 10.0  # seconds to wait for a connection


class _Pool(AsyncConnectionPool[C]):
    async def getconn(self, timeout: float | None = None) -> C:  # noqa: ASYNC109 - inherited
        """On Python 3.11 a cancellation is lost when the connection comes at the same moment."""
        task = asyncio.current_task()
        asked = task.cancelling() if task else 0
        conn = await super().getconn(timeout)
        if task and task.cancelling() > asked:
            await self.putconn(conn)
            raise asyncio.CancelledError
        return conn


def make_pool(
    conninfo: str,
    *,
    size: int,
    kwargs: dict[str, Any],
    connection_class: type[C],
    name: str | None = None,
) -> AsyncConnectionPool[C]:
    """A pool, still closed, of one to `size` connections. `kwargs` are for each of them."""

    async def check(conn: C) -> None:
        """Notice that the server has hung up, without asking it; then drop all that are like it."""
        try:
            for _ in range(2):  # its last words, and the end
                conn.pgconn.consume_input()
        except OperationalError:
            await pool.check()
            raise

    pool = _Pool(
        conninfo,
        min_size=1,
        max_size=size,
        kwargs=kwargs,
        connection_class=connection_class,
        open=False,
        check=check,
        timeout=_PATIENCE,
        # Its pauses between attempts double: better begin anew than find out late.
        reconnect_timeout=1.0,
        reconnect_failed=lambda pool: pool.check(),
        name=name,
    )
    return pool
