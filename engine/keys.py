"""API keys that the operator makes: in the database, where only their digests are."""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from engine.caller import Caller
from engine.database import Pool, fetch_all, fetch_one, statements
from engine.errors import BadRequest, NotFound
from engine.ids import new_id
from engine.patience import AWAY

log = logging.getLogger(__name__)

Kind = Literal["trusted", "public", "user"]
SCOPES = tuple(
    f"{resource}:{access}"
    for resource in ("assistants", "threads", "runs", "crons", "store")
    for access in ("read", "write")
)
"""What a key may be allowed: to read or to write one kind of object."""

_KNOWN_SECONDS = 5.0  # so long after it was made or revoked every process knows of it

_HINT_CHARS = 11


@dataclass(frozen=True)
class ApiKey:
    """A row of `frontdesk.keys`, without its digest."""

    key_id: UUID
    hint: str
    name: str
    tenant: str
    kind: Kind
    scopes: Sequence[str] | None
    customer_id: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def caller(self) -> Caller:
        """Whoever holds it."""
        return Caller(
            identity=f"key:{self.key_id}",
            tenant=self.tenant,
            trusted=self.kind == "trusted",
            scopes=None if self.scopes is None else frozenset(self.scopes),
            alone=self.kind == "user",
            customer_id=self.customer_id,
        )


class ApiKeys:
    """Makes, lists, revokes and recognises them."""

    def __init__(self, pool: Pool, known_seconds: float = _KNOWN_SECONDS) -> None:
        """`known_seconds`: how old what this process knows of them may be."""
        self._pool = pool
        self._known_seconds = known_seconds
        self._sql = statements("engine", "keys.sql")
        self._known: Mapping[bytes, ApiKey] = {}
        self._ids: frozenset[str] = frozenset()
        self._ever_made = False
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def create(
        self,
        name: str,
        *,
        tenant: str = "default",
        kind: Kind = "trusted",
        scopes: Sequence[str] | None = None,
        customer_id: str | None = None,
        days: float | None = None,
    ) -> tuple[ApiKey, str]:
        """The key and its secret, which nobody can read again. Raises `BadRequest`."""
        if kind not in get_args(Kind):
            raise BadRequest(f"A key is {', '.join(get_args(Kind))}; not {kind}.")
        if unknown := sorted(set(scopes or ()) - set(SCOPES)):
            raise BadRequest(f"Unknown scopes {unknown}. There are: {', '.join(SCOPES)}.")
        if customer_id is not None and kind != "user":
            raise BadRequest("Only a key of the kind `user` speaks for one customer.")
        if not name.strip() or not tenant.strip():
            raise BadRequest("A key needs a name and a tenant.")
        secret = f"fd_{secrets.token_urlsafe(32)}"
        args = {
            "key_id": new_id(),
            "digest": digest(secret),
            "hint": secret[:_HINT_CHARS],
            "name": name,
            "tenant": tenant,
            "kind": kind,
            "scopes": None if scopes is None else sorted(set(scopes)),
            "customer_id": customer_id,
            "days": days,
        }
        async with self._pool.connection() as conn, conn.transaction():
            row = await fetch_one(conn, self._sql["insert"], args)
            await conn.execute(self._sql["audit"], {**args, "action": "key.created"})
        return ApiKey(**(row or {})), secret

    async def listed(self) -> list[ApiKey]:
        """All, the revoked and expired ones too, the oldest first."""
        async with self._pool.connection() as conn:
            return [ApiKey(**row) for row in await fetch_all(conn, self._sql["list"], {})]

    async def revoke(self, key_id: UUID) -> None:
        """It opens nothing any more. Raises `NotFound`."""
        async with self._pool.connection() as conn, conn.transaction():
            row = await fetch_one(conn, self._sql["revoke"], {"key_id": key_id})
            if row is None:
                raise NotFound(f"There is no valid key {key_id}.")
            await conn.execute(self._sql["audit"], {**row, "action": "key.revoked"})

    async def find(self, secret: str) -> ApiKey | None:
        """The valid key with this secret."""
        return (await self._valid()).get(digest(secret))

    async def opens(self, key_id: str) -> bool:
        """Whether it is still valid."""
        await self._valid()
        return key_id in self._ids

    async def exist(self) -> bool:
        """Whether there is a valid key at all."""
        return bool(await self._valid())

    async def ever_made(self) -> bool:
        """Whether there is or was a key: what one shut does not open when the last one ends."""
        await self._valid()
        return self._ever_made

    async def _valid(self) -> Mapping[bytes, ApiKey]:
        """As they were a moment ago, also while the database is away."""
        if time.monotonic() - self._read_at < self._known_seconds:
            return self._known
        async with self._reading:
            if time.monotonic() - self._read_at >= self._known_seconds:
                await self._read()
        return self._known

    async def _read(self) -> None:
        try:
            async with self._pool.connection() as conn:
                rows: list[dict[str, Any]] = await fetch_all(conn, self._sql["valid"], {})
                (ever,) = await fetch_all(conn, self._sql["ever"], {})
        except AWAY as error:
            if self._read_at == float("-inf"):
                raise  # nobody knows whether there are any
            log.warning("the keys cannot be read, those known go on (%s)", error)
        else:
            self._known = {
                bytes(row["digest"]): ApiKey(**{k: v for k, v in row.items() if k != "digest"})
                for row in rows
            }
            self._ids = frozenset(str(row["key_id"]) for row in rows)
            self._ever_made = ever["made"]
        self._read_at = time.monotonic()


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
