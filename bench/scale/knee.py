"""Open conversations on one server process, stepped up until it gives way, and beyond.

The engine has a core to itself; Postgres, Redis and the clients share the others. A turn costs
each of them some CPU. A core is full at 1 / CPU per turn, and so many turns a second are what
(think + turn) / CPU per turn conversations ask for: that is the knee predicted at low load. The
knee found is what the most turns a second that were ever carried are asked for by.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import quantiles

import psycopg
from redis.asyncio import Redis

from bench.checkpoints.meters import Meters
from bench.five import TOKENS, Pace
from bench.scale import plan
from bench.scale.client import Answer
from bench.scale.crowd import Crowd
from bench.scale.machine import CORES, five, free_port, seconds_busy, seconds_of

GOAL_CONVERSATIONS = 1_500
GOAL_ADDED = 0.250
GOAL_ERROR = 0.15
_FOREIGN = 0.1
_COMMITS = (
    "select sum(xact_commit)::bigint from pg_stat_database where datname = current_database()"
)
PARTS = ("engine", "postgres", "redis", "client")

MODEL = Pace(0.9, 40)


@dataclass(frozen=True)
class Sizes:
    """How long and how much.

    The first two steps are at low load: `first` conversations, then `low` of the knee that these
    predict. The others are `shares` of the knee that the second predicts.
    """

    pace: Pace = MODEL
    think_seconds: float = 20.0
    first: int = 200
    low: float = 0.6
    shares: Sequence[float] = (0.7, 0.9, 1.1, 2.0)
    settle_seconds: float = 12.0
    room: float = 1.2
    """Slots, as a multiple of what Little's law asks for at the predicted knee."""
    waiting: int = 16
    """Runs that may wait for a slot."""
    lag_seconds: float = 0.25
    """While the engine's loop is later than this, it turns requests away."""

    @property
    def model_seconds(self) -> float:
        return self.pace.first_seconds + (TOKENS - 1) / self.pace.tokens_per_second

    @property
    def cycle_seconds(self) -> float:
        """From one question of a conversation to its next, if nothing but the model took time."""
        return self.think_seconds + self.model_seconds

    @property
    def step_seconds(self) -> float:
        return 1.5 * self.cycle_seconds


SMALL = Sizes(Pace(0.05, 1_000), 0.2, 3, 0.5, (2.0,), 0.5, waiting=4)
_PLENTY = 256  # slots, while the load is low


@dataclass(frozen=True)
class Step:
    """What was seen with so many conversations open. CPU in seconds a turn, by part."""

    size: int
    seconds: float
    answers: Sequence[Answer]
    cpu: Mapping[str, float]
    cores: Mapping[int, float]
    """How busy each core was, as a share."""
    asked: Mapping[str, float]
    """What a turn asked of the stores: `commits`, bytes of `wal`, Redis `commands`."""
    sizes: Sizes = field(repr=False)

    @property
    def good(self) -> Sequence[Answer]:
        return [answer for answer in self.answers if answer.good]

    @property
    def shed(self) -> int:
        return sum(answer.shed for answer in self.answers)

    @property
    def failed(self) -> int:
        return len(self.answers) - len(self.good) - self.shed

    @property
    def rate(self) -> float:
        """Turns a second that were carried to their end."""
        return len(self.good) / self.seconds

    @property
    def most(self) -> float:
        """The turns a second at which the first of the cores is full, by the CPU of a turn."""
        others = sum(self.cpu[part] for part in PARTS[1:])
        return min(1 / self.cpu["engine"], max(1, len(CORES) - 1) / max(others, 1e-9))

    @property
    def knee(self) -> float:
        """The conversations that ask for as many."""
        return self.most * self.sizes.cycle_seconds

    @property
    def slots(self) -> int:
        """What Little's law asks for at the knee, and some room."""
        return max(8, round(self.sizes.room * self.most * self.sizes.model_seconds))

    @property
    def foreign(self) -> float:
        """The share of the engine's core that others took, who have no business there."""
        turns = max(1, len(self.good))
        return self.cores.get(CORES[0], 0.0) - self.cpu["engine"] * turns / self.seconds

    @property
    def demands(self) -> plan.Demands:
        sizes = self.sizes
        return plan.Demands(
            self.cpu,
            self.asked["commits"],
            self.asked["wal"],
            self.asked["commands"],
            sizes.model_seconds,
            sizes.cycle_seconds,
        )

    def added(self, percent: int) -> float:
        """Of a turn's time, what the simulated model did not take."""
        return _at([answer.total - self.sizes.model_seconds for answer in self.good], percent)

    def added_first(self, percent: int) -> float:
        """The same up to the first token."""
        firsts = [answer.first for answer in self.good if answer.first is not None]
        return _at([first - self.sizes.pace.first_seconds for first in firsts], percent)


async def measure(dsn: str, redis: str, sizes: Sizes) -> list[Step]:
    """Step up, each step printed as it ends: at low load, then with slots for the knee, beyond."""
    print(HEADING, flush=True)
    async with _served(dsn, redis, sizes, _PLENTY) as (crowd, cpu):
        steps = [await _step(crowd, sizes, cpu, sizes.first)]
        size = max(sizes.first, _tens(sizes.low * steps[0].knee))
        steps.append(await _step(crowd, sizes, cpu, size))
    low = steps[1]
    print(f"{low.slots} slots from here: {sizes.room:g} times Little's law", flush=True)
    async with _served(dsn, redis, sizes, low.slots) as (crowd, cpu):
        for share in sizes.shares:
            steps.append(await _step(crowd, sizes, cpu, _tens(share * low.knee)))  # noqa: PERF401
    return steps


@asynccontextmanager
async def _served(
    dsn: str, redis: str, sizes: Sizes, slots: int
) -> AsyncIterator[tuple[Crowd, "_Cpu"]]:
    """A server process, a crowd that talks to it, and who reads the CPU of all."""
    port, meters = free_port(), Meters(dsn)
    settings = {
        "FIRST_SECONDS": str(sizes.pace.first_seconds),
        "TOKENS_PER_SECOND": str(sizes.pace.tokens_per_second),
        "FRONTDESK_SLOTS": str(slots),
        "FRONTDESK_MAX_WAITING": str(sizes.waiting),
        "FRONTDESK_MAX_LAG_SECONDS": str(sizes.lag_seconds),
    }
    async with (
        Redis.from_url(redis) as client,
        five(CORES[0], (dsn, redis), port, **settings) as pid,
    ):
        redis_pid = int((await client.info("server"))["process_id"])
        crowd = Crowd(port, sizes.think_seconds)
        try:
            yield crowd, _Cpu(meters, pid, redis_pid, client, dsn)
        finally:
            await crowd.disperse()
            meters.close()


def _tens(size: float) -> int:
    return max(10, round(size / 10) * 10)


class _Cpu:
    """Reads the CPU of everybody, and what was asked of the stores."""

    def __init__(self, meters: Meters, engine: int, redis: int, client: Redis, dsn: str) -> None:
        self._meters = meters
        self._engine = engine
        self._redis = redis
        self._client = client
        self._dsn = dsn

    def read(self) -> dict[str, float]:
        pids = self._engine, self._redis, os.getpid()
        engine, redis, client = map(seconds_of, pids)
        return dict(zip(PARTS, (engine, self._meters.cpu(), redis, client), strict=True))

    async def asked(self) -> dict[str, float]:
        """So far, all told."""
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as conn:
            row = await (await conn.execute(_COMMITS)).fetchone()
        assert row is not None
        commands = (await self._client.info("stats"))["total_commands_processed"]
        return {"commits": row[0], "wal": self._meters.wal(), "commands": commands}


async def _step(crowd: Crowd, sizes: Sizes, cpu: _Cpu, size: int) -> Step:
    crowd.grow(size)
    await asyncio.sleep(sizes.settle_seconds)
    loop = asyncio.get_running_loop()
    asked = await cpu.asked()
    first, began, busy, used = len(crowd.heard), loop.time(), seconds_busy(), cpu.read()
    await asyncio.sleep(sizes.step_seconds)
    seconds = loop.time() - began
    answers = [heard.answer for heard in crowd.heard[first:]]
    turns = max(1, sum(answer.good for answer in answers))
    now, busy_now, asked_now = cpu.read(), seconds_busy(), await cpu.asked()
    step = Step(
        len(crowd),
        seconds,
        answers,
        {part: (now[part] - used[part]) / turns for part in PARTS},
        {core: (value - busy[core]) / seconds for core, value in busy_now.items()},
        {name: (asked_now[name] - asked[name]) / turns for name in asked},
        sizes,
    )
    print(line(step), flush=True)
    return step


HEADING = (
    "convers.  turns/s  of asked   CPU ms/turn: engine  postgres  redis  client   core: first "
    " others   added ms p50    p95   first token p50    p95    shed  failed"
)


def line(step: Step) -> str:
    """One step under `HEADING`."""
    engine, postgres, redis, client = (1000 * step.cpu[part] for part in PARTS)
    others = [busy for core, busy in step.cores.items() if core in CORES[1:]] or [0.0]
    return (
        f"{step.size:8,} {step.rate:8.1f} {step.rate * step.sizes.cycle_seconds / step.size:9.0%}"
        f" {engine:21.1f} {postgres:9.1f} {redis:6.1f} {client:7.1f}"
        f" {step.cores.get(CORES[0], 0):13.0%} {sum(others) / len(others):7.0%}"
        f" {1000 * step.added(50):14.0f} {1000 * step.added(95):6.0f}"
        f" {1000 * step.added_first(50):17.0f} {1000 * step.added_first(95):6.0f}"
        f" {step.shed:7,} {step.failed:7,}"
    )


def verdict(steps: Sequence[Step]) -> tuple[str, bool]:
    """What the steps say, in sentences, and whether the knee was where it was predicted."""
    low = steps[1]
    best = max(step.rate for step in steps)
    found = best * low.sizes.cycle_seconds
    error = found / low.knee - 1
    kept = [s.size for s in steps if s.added(95) <= GOAL_ADDED and not s.shed and not s.failed]
    allowed = low.sizes.cycle_seconds / GOAL_CONVERSATIONS
    last = steps[-1]
    goal = (
        f"goal {GOAL_CONVERSATIONS:,} conversations at p95 <= {GOAL_ADDED * 1000:.0f} ms: "
        f"{'reached' if max(kept, default=0) >= GOAL_CONVERSATIONS else 'MISSED'}; they need a "
        f"turn of {1000 * allowed:.1f} ms of the engine's core at most, and it takes "
        f"{1000 * low.cpu['engine']:.1f} ms ({low.cpu['engine'] / allowed:.2f} times that)"
    )
    lines = [
        f"knee predicted at {low.size:,} conversations: {low.knee:,.0f}; found: {found:,.0f} "
        f"({error:+.0%}, goal within {GOAL_ERROR:.0%}: {_mark(abs(error) <= GOAL_ERROR)})",
        f"most conversations with p95 of added latency <= {GOAL_ADDED * 1000:.0f} ms and nobody "
        f"turned away: {max(kept, default=0):,} of the steps tried",
        goal,
        f"at {last.size:,} ({last.size / found:.1f} times the knee found): accepted "
        f"{len(last.good):,}, shed {last.shed:,}, failed {last.failed:,}, "
        f"p95 added to those accepted {1000 * last.added(95):,.0f} ms, {last.rate:.1f} turns/s "
        f"({last.rate / best:.0%} of the most)",
    ]
    foreign = max(step.foreign for step in steps)
    if foreign > _FOREIGN:
        lines.append(f"NOT TO BE QUOTED: others took up to {foreign:.0%} of the engine's core")
    lines.append(plan.says(low.demands))
    return "\n".join(lines), abs(error) <= GOAL_ERROR and not last.failed


def _mark(reached: bool) -> str:  # noqa: FBT001
    return "reached" if reached else "MISSED"


def _at(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0] if values else 0.0
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def says(sizes: Sizes) -> str:
    """What is measured, declared."""
    return (
        f"\nopen conversations: five nodes, a simulated model ({sizes.pace.first_seconds:g} s to "
        f"the first of {TOKENS} tokens, {sizes.pace.tokens_per_second:g} a second), "
        f"{sizes.think_seconds:g} s of thinking (exponential), streamed over SSE, a connection a "
        f"turn\none engine process alone on core {CORES[0]}; Postgres, Redis and the clients on "
        f"{CORES[1:] or CORES}; {sizes.waiting} runs may wait for a slot, 503 from a lag of "
        f"{sizes.lag_seconds:g} s; durability async; steps of {sizes.step_seconds:.0f} s after "
        f"{sizes.settle_seconds:g} s"
    )
