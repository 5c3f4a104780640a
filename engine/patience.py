"""Doing again what failed because PostgreSQL could not be reached."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from psycopg import OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout

from checkpoints.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

AWAY = (OperationalError, IdleInTransactionSessionTimeout, Unavailable)
"""What is raised while a store cannot be reached, or when this process slept within a transaction:
nothing is wrong with what was asked."""

_SECONDS = 60.0
_PAUSE = 0.2


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns, which must bear to be done twice. Raises `AWAY` after a minute of it."""
    clock = asyncio.get_running_loop().time
    until = clock() + _SECONDS
    while True:
        try:
            return await work()
        except AWAY as error:
            if clock() >= until:
                raise
            log.warning("a store cannot be reached (%s): trying again", error)
            await asyncio.sleep(_PAUSE)
