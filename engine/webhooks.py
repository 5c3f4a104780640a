"""Webhooks: what became of a run is posted to the address that its request named."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import httpx

from engine.caller import Caller
from engine.claims import Ending, Run
from engine.database import Pool, fetch_all, statements
from engine.errors import Conflict, Forbidden, Invalid, NotFound, Permanent, Unavailable
from engine.jobs import Jobs
from engine.outbox import Follower
from engine.serialise import column, dumps
from engine.signing import Signer
from engine.targets import Targets

Json = dict[str, Any]
State = Literal["pending", "delivered", "failed"]

_LATER = frozenset({408, 425, 429})
_EVERYBODY = {"tenant": None, "only": None, "filter": column({})}


@dataclass(frozen=True)
class Webhooks:
    """Delivers them, with these headers and signatures. `sent` is off where none are wanted."""

    pool: Pool
    targets: Targets
    signer: Signer = field(default_factory=Signer)
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 10.0
    sent: bool = True

    @property
    def follower(self) -> Follower:
        return Follower(self.deliver, carry=self._carry, unbegun=True)

    async def check(self, url: str) -> None:
        """Raise `Invalid` for an address that nothing can be posted to."""
        try:
            await self.targets.address(self.targets.parse(url))
        except (Permanent, Unavailable) as error:
            raise Invalid(str(error)) from error

    async def deliver(self, *, run_id: str, **job: Any) -> None:
        """Post it and write that down. Raises `Permanent` when the receiver will not have it, else
        what went wrong.
        """
        await self.post(**job)
        async with self.pool.connection() as conn:
            await conn.execute(_sql()["delivered"], {"run_id": run_id})

    async def post(
        self,
        *,
        key: str,
        url: str,
        body: Json,
        started_at: str | None,
        ended_at: str,
        **_: Any,
    ) -> None:
        """Raises as `deliver` does."""
        target = self.targets.parse(url)
        sent = {
            **body,
            "updated_at": _spelt(ended_at),
            "run_started_at": started_at and _spelt(started_at),
            "run_ended_at": _spelt(ended_at),
            "webhook_sent_at": datetime.now(UTC).isoformat(),
        }
        content = dumps(sent)
        headers = httpx.Headers(self.headers)  # in which ours come once, however theirs are spelt
        headers.update({"Content-Type": "application/json", "Idempotency-Key": key})
        headers.update({"Host": target.netloc.decode(), **self.signer.headers(key, content)})
        # To the address that was checked: the name may mean another one a moment later.
        address = target.copy_with(host=await self.targets.address(target))
        named = {"sni_hostname": target.raw_host.decode()}
        async with (
            asyncio.timeout(self.seconds),
            httpx.AsyncClient(timeout=self.seconds, trust_env=False) as client,
            client.stream(
                "POST", address, content=content, headers=headers, extensions=named
            ) as response,
        ):
            pass  # what it says is not read: it may have no end
        if response.is_success:
            return
        said = f"the receiver answered {response.status_code}"
        if response.is_server_error or response.status_code in _LATER:
            raise Unavailable(said)
        raise Permanent(said)

    def _carry(self, run: Run, ending: Ending) -> Json | None:
        url = run.kwargs.get("webhook")
        return {"url": url, "body": _body(run, ending)} if url and self.sent else None


@dataclass(frozen=True)
class Delivery:
    """How far the webhook of a run is. A pending one is tried at `next_attempt_at`, or any moment;
    a failed one is not tried again unless it is replayed. `error` is of the last attempt.
    """

    run_id: UUID
    thread_id: UUID
    url: str
    state: State
    attempts: int
    error: str | None
    created_at: datetime
    delivered_at: datetime | None
    next_attempt_at: datetime | None
    job_id: int


@dataclass(frozen=True)
class Deliveries:
    """The webhooks of the last 30 days."""

    pool: Pool
    jobs: Jobs

    async def of_run(self, caller: Caller, thread_id: UUID, run_id: UUID) -> list[Delivery]:
        """One, or none for a run without a webhook or that is not over."""
        return await self._fetch(caller, thread_id=thread_id, run_ids=[run_id])

    async def listed(
        self,
        caller: Caller | None,
        *,
        state: State | None = None,
        run_ids: Sequence[UUID] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Delivery]:
        """The latest first; without a caller, those of every tenant.

        Raises `Forbidden` for a public key.
        """
        if caller and not caller.lists:
            raise Forbidden("A public key cannot list webhooks: ask for those of a run.")
        return await self._fetch(caller, state=state, run_ids=run_ids, limit=limit, offset=offset)

    async def replay(self, caller: Caller, thread_id: UUID, run_id: UUID) -> Delivery:
        """Have a failed one tried again. Raises `NotFound`, or `Conflict` if it has not failed."""
        for delivery in await self.of_run(caller, thread_id, run_id):
            if delivery.state != "failed" or not await self.jobs.replay([delivery.job_id]):
                raise Conflict(f"The webhook is {delivery.state}: only a failed one is replayed.")
            (now,) = await self.of_run(caller, thread_id, run_id)
            return now
        raise NotFound("This run has no webhook")

    async def _fetch(self, caller: Caller | None, **which: Any) -> list[Delivery]:
        sight = caller.sight if caller else _EVERYBODY
        args = {"thread_id": None, "run_ids": None, "state": None, "limit": None, "offset": 0}
        async with self.pool.connection() as conn:
            rows = await fetch_all(conn, _sql()["deliveries"], {**args, **sight, **which})
        return [Delivery(**row) for row in rows]


def _sql() -> Mapping[str, str]:
    return statements("engine", "webhooks.sql")


def _spelt(moment: str) -> str:
    """As Python does: JSON of PostgreSQL drops zeros at the end, which some parsers do not read."""
    return datetime.fromisoformat(moment).isoformat()


def _body(run: Run, ending: Ending) -> Json:
    rolled_back = (ending.error or {}).get("error") == "UserRollback"
    body = {
        "run_id": str(run.run_id),
        "thread_id": str(run.thread_id),
        "assistant_id": str(run.assistant_id),
        "metadata": run.metadata,
        "status": "rollback" if rolled_back else ending.status,
        "kwargs": run.seen_kwargs,
        "multitask_strategy": run.multitask_strategy,
        "created_at": run.created_at.isoformat(),
        "langsmith_session_name": None,
        "values": None if run.kwargs.get("temporary") else ending.state.values,
    }
    if ending.status == "error":
        body["error"] = ending.error
    return body
