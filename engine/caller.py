"""Who is asking: decided by the credential alone."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Caller:
    """The holder of one API key.

    A trusted key is a back end's: it sees every thread of its tenant and may name the customer.
    A public key sits in a browser: it reaches only threads whose id it knows.
    """

    identity: str
    tenant: str
    trusted: bool

    def as_user(self) -> dict[str, Any]:
        """What a graph finds under `configurable["langgraph_auth_user"]`."""
        return {
            "identity": self.identity,
            "tenant": self.tenant,
            "trusted": self.trusted,
            "is_authenticated": True,
            "permissions": ["trusted"] if self.trusted else ["public"],
        }
