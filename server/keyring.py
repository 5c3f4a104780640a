"""Commands about API keys."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

import typer

from engine.database import migrate, open_pool
from engine.embedded import open_servers
from engine.keys import SCOPES, ApiKey, ApiKeys, Kind
from engine.settings import Settings
from server.terminal import say, when

keys = typer.Typer(help="API keys: make, list and revoke them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What you know it by.")]
KeyId = Annotated[UUID, typer.Argument(help="As `frontdesk keys list` shows it.")]
Tenant = Annotated[str, typer.Option(help="Whose objects it reaches.")]
OfKind = Annotated[
    Kind,
    typer.Option(
        "--kind",
        help="`trusted` is a back end's and may name the customer; `public` sits in a browser and "
        "reaches threads whose id it knows; `user` is one person's and reaches what it owns.",
    ),
]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help=f"May be repeated; of {', '.join(SCOPES)}. None: by its kind."),
]
Customer = Annotated[str | None, typer.Option(help="The customer for whom a `user` speaks.")]
Days = Annotated[float | None, typer.Option(min=0.0, help="It opens nothing after so many days.")]


@keys.command("create")
def create(
    name: Name,
    tenant: Tenant = "default",
    kind: OfKind = "trusted",
    scope: Scopes = None,
    customer: Customer = None,
    days: Days = None,
) -> None:
    """Make a key and print its secret, which is shown this once."""

    async def made() -> tuple[ApiKey, str]:
        async with _open() as known:
            return await known.create(
                name, tenant=tenant, kind=kind, scopes=scope, customer_id=customer, days=days
            )

    key, secret = asyncio.run(made())
    say(f"{key.key_id} {key.kind} key of {key.tenant}; its secret is not shown again:")
    say(secret)


@keys.command("list")
def listed() -> None:
    """List the keys, without their secrets."""

    async def known() -> list[ApiKey]:
        async with _open() as keyring:
            return await keyring.listed()

    found = asyncio.run(known())
    for key in found:
        scopes = "all" if key.scopes is None else ",".join(key.scopes)
        until = "" if key.expires_at is None else f", until {when(key.expires_at)}"
        until = until if key.revoked_at is None else f", revoked {when(key.revoked_at)}"
        speaks = "" if key.customer_id is None else f" for {key.customer_id}"
        say(
            f"{key.key_id} {key.hint}… {key.name}: {key.kind} of {key.tenant}{speaks}, "
            f"scopes {scopes}, made {when(key.created_at)}{until}"
        )
    say(f"{len(found)} keys")


@keys.command("revoke")
def revoke(key_id: KeyId) -> None:
    """Let a key open nothing any more; running servers follow within seconds."""

    async def gone() -> None:
        async with _open() as known:
            await known.revoke(key_id)

    asyncio.run(gone())
    say(f"{key_id} is revoked")


@asynccontextmanager
async def _open() -> AsyncIterator[ApiKeys]:
    async with (
        open_servers(Settings()) as servers,
        open_pool(servers.database_url) as pool,
    ):
        await migrate(pool, "engine")
        yield ApiKeys(pool)
