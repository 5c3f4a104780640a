"""Commands for operators: open outcomes, dead letters and webhooks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

import typer

from engine.database import Pool, migrate, open_pool
from engine.embedded import open_servers
from engine.errors import BadRequest
from engine.jobs import Jobs, open_jobs
from engine.settings import Settings
from engine.unknown import Unknowns
from engine.webhooks import Deliveries, State
from server.terminal import say, when

effects = typer.Typer(
    help="Writes to remote systems: find open outcomes and settle them.", no_args_is_help=True
)
jobs = typer.Typer(
    help="Background work: list what failed for good and replay it.", no_args_is_help=True
)
webhooks = typer.Typer(
    help="Webhooks: list their deliveries and replay those that failed.", no_args_is_help=True
)

Happened = Annotated[
    bool, typer.Option("--happened/--did-not", help="What you have found out at the remote system.")
]
Ids = Annotated[list[int] | None, typer.Argument(help="As `frontdesk jobs dead` shows them.")]
Runs = Annotated[list[UUID] | None, typer.Argument(help="Runs, by their ids.")]
Only = Annotated[State | None, typer.Option("--state", help="Only deliveries in this state.")]
All = Annotated[bool, typer.Option("--all", help="All that failed.")]
Thread = Annotated[str, typer.Argument(help="As `frontdesk effects unknown` shows it.")]
Call = Annotated[str, typer.Argument(help="The call of the tool, shown beside it.")]


@effects.command("unknown")
def unknown() -> None:
    """List the writes of which nobody knows whether they were done."""
    asyncio.run(_unknown())


@effects.command("settle")
def settle(thread: Thread, call: Call, happened: Happened) -> None:
    """Say what became of one: it gets its receipt, or may be done again."""
    asyncio.run(_settle(thread, call, happened=happened))


@jobs.command("dead")
def dead() -> None:
    """List the jobs that failed too often or for good."""
    asyncio.run(_dead())


@jobs.command("replay")
def replay(ids: Ids = None, everything: All = False) -> None:  # noqa: FBT002 - an option of typer
    """Have dead letters tried again from the beginning."""
    if bool(ids) == everything:
        raise BadRequest("Name the jobs by their ids, or all of them by --all.")
    asyncio.run(_replay(None if everything else ids))


@webhooks.command("list")
def listed(runs: Runs = None, state: Only = None) -> None:
    """List the deliveries of the last 30 days."""
    asyncio.run(_listed(runs, state))


@webhooks.command("replay")
def redeliver(runs: Runs = None, everything: All = False) -> None:  # noqa: FBT002 - as above
    """Have failed deliveries tried again from the beginning."""
    if bool(runs) == everything:
        raise BadRequest("Name the runs by their ids, or all that failed by --all.")
    asyncio.run(_redeliver(None if everything else runs))


async def _unknown() -> None:
    async with _open() as (pool, _):
        found = await Unknowns(pool).listed()
    for one in found:
        say(f"{one.thread_id} {one.call_id} {one.tool} {one.args} since {when(one.at)}")
    say(f"{len(found)} unknown")


async def _settle(thread: str, call: str, *, happened: bool) -> None:
    async with _open() as (pool, _):
        await Unknowns(pool).settle(thread, call, "operator", happened=happened)
    say(f"{thread} {call}: {'it happened' if happened else 'it did not happen'}")


async def _dead() -> None:
    async with _open() as (_, jobs):
        letters = await jobs.dead()
    for one in letters:
        at = f"at {when(one.at)}" if one.at else ""
        say(f"{one.id} {one.kind} {one.key} after {one.attempts} attempts {at} {one.error}")
    say(f"{len(letters)} dead")


async def _replay(ids: list[int] | None) -> None:
    async with _open() as (_, jobs):
        replayed = await jobs.replay(ids)
    say(f"{len(replayed)} to be tried again")


async def _listed(runs: list[UUID] | None, state: State | None) -> None:
    async with _open() as (pool, jobs):
        found = await Deliveries(pool, jobs).listed(None, run_ids=runs, state=state)
    for one in found:
        error = f" {one.error}" if one.error else ""
        say(f"{one.run_id} {one.state} after {one.attempts} attempts {one.url}{error}")
    say(f"{len(found)} webhooks")


async def _redeliver(runs: list[UUID] | None) -> None:
    async with _open() as (pool, jobs):
        failed = await Deliveries(pool, jobs).listed(None, run_ids=runs, state="failed")
        replayed = await jobs.replay([one.job_id for one in failed])
    say(f"{len(replayed)} to be tried again")


@asynccontextmanager
async def _open() -> AsyncIterator[tuple[Pool, Jobs]]:
    settings = Settings()
    settings.check()
    async with (
        open_servers(settings) as servers,
        open_pool(servers.database_url, size=2) as pool,
    ):
        await migrate(pool, "engine")
        async with open_jobs(pool, servers.database_url, {}) as jobs:
            yield pool, jobs
