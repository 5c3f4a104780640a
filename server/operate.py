"""Commands for whoever operates the desk: open outcomes and dead letters."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from engine.database import Pool, migrate, open_pool
from engine.embedded import open_servers
from engine.errors import BadRequest
from engine.jobs import Jobs, open_jobs
from engine.settings import Settings
from engine.unknown import Unknowns

effects = typer.Typer(help="Writes to remote systems.", no_args_is_help=True)
jobs = typer.Typer(help="Background work.", no_args_is_help=True)

Happened = Annotated[
    bool, typer.Option("--happened/--did-not", help="What you have found out at the remote system.")
]
Ids = Annotated[list[int] | None, typer.Argument(help="As `frontdesk jobs dead` shows them.")]
All = Annotated[bool, typer.Option("--all", help="Every dead letter.")]


@effects.command("unknown")
def unknown() -> None:
    """List the writes of which nobody knows whether they were done."""
    asyncio.run(_unknown())


@effects.command("settle")
def settle(thread: str, call: str, happened: Happened) -> None:
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


async def _unknown() -> None:
    async with _open() as (pool, _):
        found = await Unknowns(pool).listed()
    for one in found:
        _say(f"{one.thread_id} {one.call_id} {one.tool} {one.args} since {_when(one.at)}")
    _say(f"{len(found)} unknown")


async def _settle(thread: str, call: str, *, happened: bool) -> None:
    async with _open() as (pool, _):
        await Unknowns(pool).settle(thread, call, "operator", happened=happened)
    _say(f"{thread} {call}: {'it happened' if happened else 'it did not happen'}")


async def _dead() -> None:
    async with _open() as (_, jobs):
        letters = await jobs.dead()
    for one in letters:
        when = f"at {_when(one.at)}" if one.at else ""
        _say(f"{one.id} {one.kind} {one.key} after {one.attempts} attempts {when} {one.error}")
    _say(f"{len(letters)} dead")


async def _replay(ids: list[int] | None) -> None:
    async with _open() as (_, jobs):
        replayed = await jobs.replay(ids)
    _say(f"{len(replayed)} to be tried again")


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


def _when(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _say(line: str) -> None:
    Console().print(line, markup=False, highlight=False, soft_wrap=True)
