"""Who is asking: decided by the credential alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.serialise import column

FIRST = "default"
"""The tenant of whoever names none. What belongs to no tenant is its to change."""


@dataclass(frozen=True)
class Caller:
    """The holder of one credential, and what of its tenant it can see.

    A trusted one is a back end's: it sees every thread of its tenant and may name the customer.
    A public one sits in a browser: it reaches only threads whose id it knows. One that is `alone`
    is one person's: it reaches only what it owns. `scopes` are what it may do, None what its kind
    may; `filter` is what else an object's metadata must contain; `customer_id` the customer that
    the credential itself names; `user` what the project's own code found out about the caller, and
    then that code alone decides; `permissions` what graphs are told. A token opens nothing from
    `expires_at` on, in seconds of the epoch.
    """

    identity: str
    tenant: str
    trusted: bool
    permissions: tuple[str, ...] | None = None
    scopes: frozenset[str] | None = None
    alone: bool = False
    customer_id: str | None = None
    filter: Mapping[str, Any] = field(default_factory=dict)
    user: Mapping[str, Any] | None = None
    expires_at: float | None = None

    @property
    def lists(self) -> bool:
        """Whether it may look for threads whose id it does not know."""
        return self.trusted or self.alone or self.user is not None

    @property
    def edits(self) -> bool:
        """Whether it may write a thread's state past its graph: words into anybody's mouth."""
        return self.trusted or self.user is not None

    @property
    def key_id(self) -> str | None:
        """Of a key in the database: which one."""
        kind, _, key_id = self.identity.partition(":")
        return key_id if kind == "key" and self.user is None else None

    @property
    def quota(self) -> str:
        """Under which name it is counted: a project may call its users as keys are called."""
        kind = "credential" if self.user is None else "user"
        return json.dumps([kind, self.tenant, self.identity])

    @property
    def sight(self) -> dict[str, Any]:
        """Arguments of every statement that looks for objects with an owner:

        `tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
        and metadata @> %(filter)s::jsonb`.
        """
        return {
            "tenant": self.tenant,
            "only": self.identity if self.alone else None,
            "filter": column(self.filter),
        }

    def as_user(self) -> dict[str, Any]:
        """What a graph finds under `configurable["langgraph_auth_user"]`."""
        return {
            **(self.user or {}),
            **({"customer_id": self.customer_id} if self.customer_id else {}),
            "identity": self.identity,
            "tenant": self.tenant,
            "trusted": self.trusted,
            "is_authenticated": True,
            "permissions": list(self._told),
        }

    @property
    def _told(self) -> tuple[str, ...]:
        """A project's own users have the permissions that it gives them, and no others."""
        if self.permissions or self.user is not None:
            return self.permissions or ()
        return (self._kind, *sorted(self.scopes or ()))

    @property
    def _kind(self) -> str:
        return "trusted" if self.trusted else "user" if self.alone else "public"
