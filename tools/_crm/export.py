"""The whole CRM as one JSON state in a canonical form, so that two states compare by one hash."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from engine.database import Pool, statements


@cache
def _sql() -> Mapping[str, str]:
    return statements("tools._crm", "export.sql")


async def export(
    pool: Pool, tenant: str, customers: Sequence[str] | None = None
) -> dict[str, dict[str, Any]]:
    """`{"products", "users", "orders"}` as the importer reads them, money as text, without nulls.

    With `customers`, only these and their orders.
    """
    values = {"tenant": tenant, "customers": list(customers) if customers is not None else None}
    state: dict[str, dict[str, Any]] = {}
    async with pool.connection() as conn:
        for name in ("products", "users", "orders"):
            rows = await (await conn.execute(_sql()[name], values)).fetchall()
            state[name] = {row["id"]: row["state"] for row in rows}
    return state


def canonical(state: Any) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(state, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(state: Any) -> str:
    """SHA-256 of the canonical form."""
    return hashlib.sha256(canonical(state).encode()).hexdigest()
