"""What everyone is loaded with: conversations on threads of their own, all at once."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Literal
from uuid import uuid4

Durability = Literal["async", "exit"]

Call = Callable[[int, str], Awaitable[None]]
"""Does a run from its beginning to its end, as the n-th of the conversations, on this thread."""

Stream = Callable[[str], Awaitable["Streamed"]]
"""Streams a run on this thread."""


@dataclass(frozen=True)
class Streamed:
    """Milliseconds to the first of the tokens, and to the end."""

    first: float
    total: float


@dataclass(frozen=True)
class Crowd:
    """Milliseconds of each run, and seconds of all together."""

    runs: list[float]
    seconds: float

    @property
    def p50(self) -> float:
        return statistics.median(self.runs)

    @property
    def p95(self) -> float:
        return sorted(self.runs)[int(len(self.runs) * 0.95)]

    @property
    def rate(self) -> float:
        """Runs a second."""
        return len(self.runs) / self.seconds


async def crowd(call: Call, threads: int, turns: int) -> Crowd:
    """So many conversations at once, each of so many turns."""
    runs: list[float] = []

    async def converse(number: int) -> None:
        thread = str(uuid4())
        for _ in range(turns):
            began = perf_counter()
            await call(number, thread)
            runs.append((perf_counter() - began) * 1000)

    began = perf_counter()
    await asyncio.gather(*(converse(number) for number in range(threads)))
    return Crowd(runs, perf_counter() - began)


async def streams(stream: Stream, number: int) -> list[Streamed]:
    """Streamed runs, one after the other, each on a new thread."""
    return [await stream(str(uuid4())) for _ in range(number)]
