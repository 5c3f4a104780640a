"""Assistants as other programs' tools and agents: what MCP and A2A have in common."""

from typing import Any
from uuid import UUID

from engine.assistants import Assistant, AssistantQuery
from engine.caller import Caller
from engine.claims import Run
from engine.pages import Page
from engine.runtime import Engine
from server.auth.access import Access
from server.bodies import Object
from server.runs import asking
from server.runs.body import RunBody

_MOST = 1_000  # assistants that are told


async def assistants(engine: Engine, access: Access) -> list[Assistant]:
    """All that the caller sees, the oldest first."""
    value: Object = {"graph_id": None, "metadata": {}, "limit": _MOST, "offset": 0}
    caller = await access("assistants", "search", value)
    query = AssistantQuery(metadata=value["metadata"])
    return await engine.assistants.search(caller, query, Page(_MOST, 0, "created_at", "asc"))


async def ask(
    engine: Engine,
    access: Access,
    assistant_id: UUID,
    thread_id: UUID | None = None,
    **fields: Any,
) -> tuple[Caller, Run]:
    """As whom to follow it, and the run with these fields of a `RunBody`.

    Without a thread it gets one that goes with it. It goes on when whoever asked goes away.
    Raises what `Runs.create` raises.
    """
    body = RunBody(assistant_id=str(assistant_id), if_not_exists="create", **fields)
    return await asking.create(engine, access, thread_id, body, asking.Headers(None, None))
