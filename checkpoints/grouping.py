"""Many small calls made into few large ones."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from checkpoints.errors import Unavailable

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_MOST = 256


class Grouped(Generic[Asked, Answer]):
    """Calls that come while `lanes` are under way wait and become one call of `run`.

    `run` answers a list in its order. Where it fails, the list is halved until only those whose
    fault it is are left; `Unavailable` is nobody's fault, and fails all.
    """

    def __init__(
        self, run: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]], *, lanes: int
    ) -> None:
        self._run = run
        self._free = lanes
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, asked: Asked) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if self._free:
            self._free -= 1
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _drain(self) -> None:
        try:
            while self._waiting:
                most = min(_MOST, len(self._waiting))
                await self._settle([self._waiting.popleft() for _ in range(most)])
        finally:
            self._free += 1

    async def _settle(self, batch: Sequence[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._run([asked for asked, _ in batch])
        except Exception as error:  # noqa: BLE001 - one caller's value must not fail the others'
            if len(batch) > 1 and not isinstance(error, Unavailable):
                half = len(batch) // 2
                await self._settle(batch[:half])
                await self._settle(batch[half:])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
