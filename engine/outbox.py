"""The outbox: what has to follow a run becomes jobs in the transaction that ends the run.

So a run that ended has its jobs, and one whose end was rolled back has none. Jobs are done at
least once: their handlers get a key that is the same for every attempt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from engine.claims import Ending, Run
from engine.database import Connection, statements
from engine.jobs import BACKGROUND, Handler
from engine.serialise import column

Json = dict[str, Any]

Carry = Callable[[Run, Ending], Json | None]
"""What a job is told besides the run's facts; None when this run needs no such job."""


def _nothing(run: Run, ending: Ending) -> Json | None:
    return {}


@dataclass(frozen=True)
class Follower:
    """Work that follows runs of these graphs (None: of all).

    `handler` is called with `key`, `run_id`, `thread_id`, `graph_id`, `status`, `tenant`,
    `started_at` and `ended_at` (ISO 8601), and with what `carry` adds. `delay` is in seconds. With
    `merge`, a thread's runs that end during the delay make one job, told of the first: such a
    handler reads how things are now. With `unbegun` it also hears of runs that were told to stop
    before they began.
    """

    handler: Handler
    graphs: frozenset[str] | None = None
    carry: Carry = _nothing
    delay: float = 0.0
    merge: bool = False
    unbegun: bool = False


@dataclass(frozen=True)
class Outbox:
    """The followers by the name of their jobs."""

    followers: Mapping[str, Follower]

    def wants(self, run: Run, ending: Ending) -> bool:
        """Whether `add` has anything to do."""
        return bool(self._jobs(run, ending))

    async def add(self, conn: Connection, run: Run, ending: Ending) -> None:
        """Defer what follows this ending: one statement, or none. The run's row is still there."""
        if jobs := self._jobs(run, ending):
            args = {
                "queue": BACKGROUND,
                "thread_id": run.thread_id,
                "run_id": run.run_id,
                "jobs": column(jobs),
            }
            await conn.execute(_sql()["add"], args)

    def _jobs(self, run: Run, ending: Ending) -> list[Json]:
        return [
            {
                "name": name,
                "lock": f"{name}:{run.thread_id}" if follower.merge else None,
                "args": _facts(name, run, ending) | carried,
                "delay": follower.delay,
            }
            for name, follower in self.followers.items()
            if follower.graphs is None or run.graph_id in follower.graphs
            if ending.begun or follower.unbegun
            if (carried := follower.carry(run, ending)) is not None
        ]


def _facts(name: str, run: Run, ending: Ending) -> Json:
    return {
        "key": f"{run.run_id}:{name}",
        "run_id": str(run.run_id),
        "thread_id": str(run.thread_id),
        "graph_id": run.graph_id,
        "status": ending.status,
    }


@cache
def _sql() -> Mapping[str, str]:
    return statements("engine", "outbox.sql")
