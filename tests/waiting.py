"""Waiting for what happens elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any


async def until(condition: Callable[[], Awaitable[Any] | Any], seconds: float = 30) -> Any:
    """What the condition says as soon as that is true; it may be an async one."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)
