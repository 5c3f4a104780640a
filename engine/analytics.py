"""Analytics: one row a run, written by a job that follows it."""

from dataclasses import dataclass
from typing import Any

from engine.claims import Ending, Run
from engine.database import Pool, statements
from engine.outbox import Follower
from engine.serialise import column

Json = dict[str, Any]


@dataclass(frozen=True)
class Analytics:
    """Table `frontdesk.analytics`."""

    pool: Pool

    @property
    def follower(self) -> Follower:
        return Follower(self.add, carry=_usage)

    async def add(self, *, tokens: Json, ms: Json, **run: Any) -> None:
        """Add the run's row unless it is there."""
        total = {
            f"{way}_tokens": sum(count[way] for count in tokens.values())
            for way in ("input", "output")
        }
        args = {**run, **total, "tokens": column(tokens), "ms": column(ms)}
        async with self.pool.connection() as conn:
            await conn.execute(statements("engine", "analytics.sql")["add"], args)


def _usage(run: Run, ending: Ending) -> Json:
    """What the run cost, if its graph keeps `usage`: tokens by model, milliseconds by node."""
    values = ending.state.values
    usage = values.get("usage") if isinstance(values, dict) else None
    if not isinstance(usage, dict) or usage.get("run_id") != str(run.run_id):
        usage = {}  # none, or that of an earlier run
    return {"tokens": usage.get("tokens", {}), "ms": usage.get("ms", {})}
