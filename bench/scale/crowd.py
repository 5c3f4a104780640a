"""Open conversations: each asks, reads the answer as it comes, thinks, and asks again.

A closed loop. Times of thinking are drawn from an exponential distribution, so that a conversation
that begins to think is like one in the middle of it, and a step is steady after a few turns. Who is
turned away waits as long as the server asks for, and asks the same again.
"""

import asyncio
import random
from dataclasses import dataclass
from uuid import UUID, uuid4

from bench.scale.client import Answer, ask, turn

_PATIENCE = 60.0  # nobody waits longer than this before asking again


@dataclass(frozen=True)
class Heard:
    """An answer, and when it had been read, on the loop's clock."""

    at: float
    answer: Answer


class Crowd:
    """Conversations with the server on `port`; thinking takes `think_seconds` on average."""

    def __init__(self, port: int, think_seconds: float, seed: int = 4) -> None:
        self.heard: list[Heard] = []
        self._port = port
        self._think = think_seconds
        self._draw = random.Random(seed)  # noqa: S311 - the same every time
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._tasks)

    def grow(self, size: int) -> None:
        """Let so many conversations be open."""
        while len(self._tasks) < size:
            self._tasks.append(asyncio.create_task(self._converse(uuid4())))

    async def disperse(self) -> None:
        for task in self._tasks:
            task.cancel()
        done = await asyncio.gather(*self._tasks, return_exceptions=True)
        for error in done:
            if not isinstance(error, asyncio.CancelledError):
                raise RuntimeError("a conversation ended by itself") from error

    async def _converse(self, thread_id: UUID) -> None:
        loop, number = asyncio.get_running_loop(), 0
        path = f"/threads/{thread_id}/runs/stream"
        while True:
            await asyncio.sleep(self._draw.expovariate(1 / self._think))
            number += 1
            while True:
                answer = await ask(self._port, path, turn(f"question {number}"))
                self.heard.append(Heard(loop.time(), answer))
                if not answer.shed:
                    break
                wait = min(answer.retry_after, _PATIENCE)
                await asyncio.sleep(wait * self._draw.uniform(1, 1.5))  # not all at once again
