"""What flows between the steps of the knowledge pipeline: counters; the texts are in the stage."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from engine.errors import Forbidden
from engine.knowledge import Knowledge

Open = Callable[[], Awaitable[Knowledge]]
"""Gives the knowledge base, opening it if nobody has yet."""


class Problem(TypedDict):
    """A file that could not be used, and why; the others went on."""

    file: str
    reason: str


@dataclass(kw_only=True)
class Input:
    """What to ingest."""

    path: str
    """A file, or a folder that is read with its subfolders."""
    tenant: str = "default"
    """Whose knowledge it becomes, when no credential decides."""
    source: str = ""
    """What the new documents replace; by default the name of the file or folder."""
    locale: str = "en"
    """The language of documents that do not name theirs."""


@dataclass(kw_only=True)
class State(Input):
    """How far this ingest is, and in the end what was published."""

    stage: int = 0
    files: int = 0
    documents: int = 0
    """Documents of this source in the new version."""
    unchanged: int = 0
    removed: int = 0
    """Documents that were published before and are gone now."""
    chunks: int = 0
    """Chunks embedded now; those of unchanged documents were kept."""
    version: int = 0
    problems: list[Problem] = field(default_factory=list)


Update = dict[str, Any]


def tenant_of(state: State, config: RunnableConfig) -> str:
    """The credential's tenant if there is a credential. Raises `Forbidden` for a public key."""
    user = config.get("configurable", {}).get("langgraph_auth_user")
    if not isinstance(user, dict) or "tenant" not in user:
        return state.tenant
    if not user.get("trusted"):
        raise Forbidden("Only a trusted key may change the knowledge base.")
    return str(user["tenant"])
