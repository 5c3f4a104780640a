"""Work beside a block, which ends with the block."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_log = logging.getLogger(__name__)


@asynccontextmanager
async def beside(
    work: Coroutine[Any, Any, None], name: str, *, patience: float = 1.0
) -> AsyncIterator[None]:
    """Do `work` while inside. At the end it is cancelled, every `patience` seconds until it heeds.

    Libraries may swallow a cancellation, and so does `asyncio.wait_for` of Python 3.11. What the
    work failed with is logged.
    """
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=patience)
        if not task.cancelled() and (error := task.exception()):
            _log.error("%s had failed", name, exc_info=error)
