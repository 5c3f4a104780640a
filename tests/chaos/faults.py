"""What goes wrong, by chance with a seed: processes, servers and wires, up to two at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from random import Random

from tests.chaos.journal import Journal
from tests.chaos.serving import LEASE_SECONDS
from tests.chaos.stage import Desk, Stage, Wire

WEIGHTS = {
    "kill -9": 6,
    "SIGTERM": 3,
    "pause": 5,
    "Postgres kill -9": 1,
    "Postgres restart": 1,
    "Postgres backend killed": 1,
    "Redis flushed": 2,
    "Redis restart": 1,
    "Redis 10 s away": 1,
    "Redis 10 s silent": 1,
    "cut from Postgres": 2,
    "silence to Postgres": 1,
    "answers of Postgres lost": 2,
    "cut from Redis": 2,
    "silence to Redis": 1,
}


class Faults:
    """Injects them until it is cancelled, and then mends everything."""

    def __init__(
        self, stage: Stage, journal: Journal, rng: Random, weights: Mapping[str, int]
    ) -> None:
        self._stage, self._journal, self._rng, self._weights = stage, journal, rng, weights
        self._busy: set[object] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._kinds: Mapping[str, Callable[[], Awaitable[None]]] = {
            "kill -9": self._kill,
            "SIGTERM": self._terminate,
            "pause": self._pause,
            "Postgres kill -9": lambda: self._postgres(stage.postgres.kill),
            "Postgres restart": lambda: self._postgres(stage.postgres.stop),
            "Postgres backend killed": self._kill_backend,
            "Redis flushed": self._flush,
            "Redis restart": lambda: self._redis_down(0.2),
            "Redis 10 s away": lambda: self._redis_down(10),
            "Redis 10 s silent": self._freeze_redis,
            "cut from Postgres": lambda: self._wire("postgres", Wire.cut),
            "silence to Postgres": lambda: self._wire("postgres", Wire.silence),
            "answers of Postgres lost": self._lose_answers,
            "cut from Redis": lambda: self._wire("redis", Wire.cut),
            "silence to Redis": lambda: self._wire("redis", Wire.silence),
        }

    async def inject(self) -> None:
        """For ever, if there are any: each as often as its weight before they begin again."""
        deck: list[str] = []
        while self._weights:
            await asyncio.sleep(self._rng.uniform(0.2, 2.0))
            if len(self._under_way) == 2:
                continue
            if not deck:
                deck = [name for name, weight in self._weights.items() for _ in range(weight)]
                self._rng.shuffle(deck)
            task = asyncio.create_task(self._one(deck.pop()))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def mended(self) -> None:
        """When what is under way is over."""
        if self._under_way:
            await asyncio.gather(*self._under_way)

    async def _one(self, name: str) -> None:
        began = time.monotonic()
        await self._kinds[name]()
        if "Redis" in name:
            self._journal.redis_away.append((began - 1.5, time.monotonic() + 12))

    def _counted(self, name: str) -> None:
        self._journal.faults[name] += 1

    def _pick(self) -> Desk | None:
        free = [desk for desk in self._stage.desks if desk not in self._busy]
        return self._rng.choice(free) if len(free) > 2 else None

    async def _kill(self) -> None:
        if desk := self._pick():
            self._counted(f"kill -9 of {desk.role}")
            self._busy.add(desk)
            await asyncio.to_thread(desk.kill)
            await asyncio.sleep(self._rng.uniform(0, 1.5))
            desk.start()
            await asyncio.sleep(2)
            self._busy.discard(desk)

    async def _terminate(self) -> None:
        if desk := self._pick():
            self._counted(f"SIGTERM of {desk.role}")
            self._busy.add(desk)
            desk.terminate()
            if not await asyncio.to_thread(desk.join, 20):
                self._journal.wrong(f"{desk.name} does not stop within 20 s of a SIGTERM")
                await asyncio.to_thread(desk.kill)
            desk.start()
            await asyncio.sleep(2)
            self._busy.discard(desk)

    async def _pause(self) -> None:
        if desk := self._pick():
            self._counted(f"SIGSTOP of {desk.role}")
            self._busy.add(desk)
            desk.pause()
            await asyncio.sleep(LEASE_SECONDS * self._rng.uniform(1.2, 3.5))
            desk.wake()
            await asyncio.sleep(1)
            self._busy.discard(desk)

    async def _postgres(self, stop: Callable[[], None]) -> None:
        postgres = self._stage.postgres
        if postgres in self._busy:
            return
        self._counted("Postgres kill -9" if stop == postgres.kill else "Postgres restart")
        self._busy.add(postgres)
        await asyncio.to_thread(stop)
        await asyncio.sleep(self._rng.uniform(0, 1.5))
        postgres.launch()
        await asyncio.to_thread(postgres.await_answer)
        await asyncio.sleep(5)
        self._busy.discard(postgres)

    async def _kill_backend(self) -> None:
        postgres = self._stage.postgres
        if postgres in self._busy:
            return
        self._counted("Postgres backend killed")
        self._busy.add(postgres)
        await asyncio.to_thread(postgres.kill_backend, self._rng.choice)
        await asyncio.sleep(3)
        self._busy.discard(postgres)

    async def _flush(self) -> None:
        if self._stage.redis not in self._busy:
            self._counted("Redis flushed")
            await asyncio.to_thread(self._stage.redis.flush)

    async def _redis_down(self, seconds: float) -> None:
        redis = self._stage.redis
        if redis in self._busy:
            return
        self._counted(f"Redis away for {seconds:g} s")
        self._busy.add(redis)
        await asyncio.to_thread(redis.kill)
        await asyncio.sleep(seconds)
        redis.launch()
        await asyncio.to_thread(redis.await_answer)
        self._busy.discard(redis)

    async def _freeze_redis(self) -> None:
        redis = self._stage.redis
        if redis in self._busy:
            return
        self._counted("Redis silent for 10 s")
        self._busy.add(redis)
        redis.freeze()
        await asyncio.sleep(10)
        redis.thaw()
        self._busy.discard(redis)

    async def _wire(self, server: str, how: Callable[[Wire], None]) -> None:
        if desk := self._pick():
            wire: Wire = getattr(desk, server)
            said = "cut" if how is Wire.cut else "silence"
            self._counted(f"{said} between {desk.role} and {server}")
            self._busy.add(desk)
            how(wire)
            await asyncio.sleep(self._rng.uniform(0.5, 6))
            wire.mend()
            await asyncio.sleep(0.5)
            self._busy.discard(desk)

    async def _lose_answers(self) -> None:
        desk = self._rng.choice(self._stage.desks)
        if desk not in self._busy:
            self._counted("answers of Postgres lost")
            desk.postgres.lose_answers()
