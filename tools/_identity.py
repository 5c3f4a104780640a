"""Who is asking: one customer for each conversation, for good, and how sure we are of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from engine.database import Pool, statements
from engine.errors import Refused
from tools._contract import Identified, Level

LEVELS: tuple[Level, ...] = ("anonymous", "claimed", "verified")
_BOTH = frozenset({"email", "name_postcode"})


@cache
def _sql() -> Mapping[str, str]:
    return statements("tools._crm", "identities.sql")


@dataclass(frozen=True)
class Identity:
    """The customer of a conversation, and the facts about them that matched in it."""

    customer_id: str | None = None
    level: Level = "anonymous"
    facts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Identities:
    """Binds conversations to customers in `crm.identities`."""

    pool: Pool

    async def of(
        self, tenant: str, thread_id: str, trusted_customer_id: str | None = None
    ) -> Identity:
        """Who this conversation is with.

        `trusted_customer_id` comes from a credential that may name the customer: it binds them and
        makes this run verified, and leaves no fact behind for runs with a lesser credential.
        Raises `Refused` when the conversation is already with somebody else.
        """
        values = {"tenant": tenant, "thread_id": thread_id}
        async with self.pool.connection() as conn:
            found = await (await conn.execute(_sql()["read"], values)).fetchone()
        if trusted_customer_id is None:
            return _by_facts(found) if found else Identity()
        if found is None or found["customer_id"] != trusted_customer_id:
            found = await self._bind(tenant, thread_id, trusted_customer_id, [])
        return Identity(trusted_customer_id, "verified", frozenset(found["facts"]))

    async def bind(self, tenant: str, thread_id: str, found: Identified) -> Identity:
        """Add the fact that matched to the conversation's customer.

        Raises `Refused` when the conversation is already with somebody else.
        """
        return _by_facts(await self._bind(tenant, thread_id, found.customer_id, [found.fact]))

    async def _bind(
        self, tenant: str, thread_id: str, customer_id: str, facts: list[str]
    ) -> dict[str, Any]:
        values = {
            "tenant": tenant,
            "thread_id": thread_id,
            "customer_id": customer_id,
            "facts": facts,
        }
        async with self.pool.connection() as conn:
            row = await (await conn.execute(_sql()["bind"], values)).fetchone()
        if row is None:
            raise Refused(
                "This conversation is about one customer only. "
                "Please start a new one for anybody else."
            )
        return row


def allows(level: Level, needed: Level) -> bool:
    """Whether somebody at `level` may do what needs `needed`."""
    return LEVELS.index(level) >= LEVELS.index(needed)


def missing(needed: Level, facts: frozenset[str]) -> str:
    """What to ask the customer for, so that they reach `needed`."""
    if needed == "claimed" or not facts & _BOTH:
        both = "and" if needed == "verified" else "or"
        return (
            "I first need to know who you are: please give me your e-mail address, "
            f"{both} your first name, last name and postcode."
        )
    if "email" in facts:
        return (
            "To change anything I also need your first name, last name and postcode, "
            "so that I can be sure it is you."
        )
    return "To change anything I also need your e-mail address, so that I can be sure it is you."


def _by_facts(row: Mapping[str, Any]) -> Identity:
    """A conversation bound by a credential alone is anonymous without it, yet stays bound."""
    facts = frozenset(row["facts"])
    if not facts & _BOTH:
        return Identity()
    return Identity(row["customer_id"], "verified" if facts >= _BOTH else "claimed", facts)
