"""Turns requests away before a queue without end, or a busy event loop, slows everybody down."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from engine.claims import Claims
from engine.errors import Busy, Unavailable

_KNOWN_SECONDS = 0.5


@dataclass(frozen=True)
class Limits:
    """How many due runs may wait, in all and of one tenant; seconds that the loop may be late."""

    waiting: int
    tenant_waiting: int | None
    lag_seconds: float


class Admission:
    """Decides whether one more run is taken on."""

    def __init__(self, claims: Claims, limits: Limits, lag: Callable[[], float]) -> None:
        self._claims = claims
        self._limits = limits
        self._lag = lag
        self._waiting: Counter[str] = Counter()
        self._known_until = -math.inf

    def work(self) -> None:
        """For every run: raises `Unavailable` while the event loop is late."""
        if (lag := self._lag()) > self._limits.lag_seconds:
            raise Unavailable(
                f"This process is overloaded ({lag:.1f} s behind): try again later.",
                retry_after=1 + lag,
            )

    async def queue(self, tenant: str) -> None:
        """For a run that finds no free slot here: raises `Busy` when too many wait already.

        What waits is counted at most twice a second; between, this process counts its own.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._known_until:
            self._known_until = now + _KNOWN_SECONDS
            self._waiting = Counter(await self._claims.load(self._limits.waiting))
        most = self._limits.tenant_waiting
        if most is not None and self._waiting[tenant] >= most:
            raise Busy(f"{most} runs of this tenant wait already: try again later.", retry_after=2)
        if self._waiting.total() >= self._limits.waiting:
            raise Busy("Too many runs wait already: try again later.", retry_after=2)
        self._waiting[tenant] += 1
