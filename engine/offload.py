"""Runs a node that blocks in a thread with an event loop of its own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any

Work = Callable[[], Awaitable[Any]]


async def in_thread(work: Work, name: str) -> Any:
    """What `work` returns or raises. It sees the caller's context variables; its own stay there.

    A cancelled caller does not wait: `work` is cancelled as soon as it yields, and what it returns
    is dropped. What belongs to the caller's event loop cannot be used in `work`: a connection pool,
    an HTTP or Redis client that was opened there, a checkpointer, locks.
    """
    guest = _Guest(work)
    thread = threading.Thread(target=copy_context().run, args=(guest.run,), name=name, daemon=True)
    thread.start()
    try:
        return await guest.result
    except asyncio.CancelledError:
        guest.cancel()
        raise


class _Guest:
    """One call in its thread. Not in a pool, which cancelled calls that go on would fill up."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._home = asyncio.get_running_loop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False
        self.result: asyncio.Future[Any] = self._home.create_future()

    def run(self) -> None:
        value: Any = None
        failure: BaseException | None = None
        try:
            with asyncio.Runner() as runner:
                value = runner.run(self._main())
        except BaseException as error:  # noqa: BLE001 - the caller gets it, whatever it is
            failure = error
        with suppress(RuntimeError):  # the caller's loop was closed meanwhile
            self._home.call_soon_threadsafe(self._settle, value, failure)

    def cancel(self) -> None:
        self._cancelled = True
        if self._loop and self._task:
            with suppress(RuntimeError):  # it is over
                self._loop.call_soon_threadsafe(self._task.cancel)

    async def _main(self) -> Any:
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        if self._cancelled:
            raise asyncio.CancelledError
        return await self._work()

    def _settle(self, value: Any, failure: BaseException | None) -> None:
        if self.result.done():
            return
        if failure is None:
            self.result.set_result(value)
        else:
            self.result.set_exception(failure)
