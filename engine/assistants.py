"""Assistants: a graph with a configuration. Every graph gets one of its own at start."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow

from engine.caller import Caller
from engine.database import Pool, fetch_all, fetch_one, statements
from engine.errors import Invalid, NotFound
from engine.graphs import Graphs
from engine.ids import parse_uuid, system_assistant_id
from engine.pages import Page
from engine.serialise import column

_KNOWN = 1_000  # assistants kept in memory

SORTABLE = ("assistant_id", "created_at", "updated_at", "name", "graph_id")


@dataclass(frozen=True)
class Assistant:
    """A row of `frontdesk.assistants`."""

    assistant_id: UUID
    graph_id: str
    config: dict[str, Any]
    context: dict[str, Any]
    metadata: dict[str, Any]
    name: str
    created_at: datetime
    updated_at: datetime
    version: int
    description: str | None


@dataclass(frozen=True)
class AssistantQuery:
    """Which assistants: all of it must match; `name` is a part of the name, in any case."""

    graph_id: str | None = None
    name: str | None = None
    metadata: Mapping[str, Any] | None = None


class Assistants:
    """The assistants that a caller can see."""

    def __init__(self, pool: Pool, graphs: Graphs) -> None:
        self._pool = pool
        self._graphs = graphs
        self._sql = statements("engine", "assistants.sql")
        self._known: dict[tuple[str, UUID], Assistant] = {}

    async def register_graphs(self) -> None:
        """Give every graph its assistant."""
        async with self._pool.connection() as conn:
            for graph_id in self._graphs:
                args = {"assistant_id": system_assistant_id(graph_id), "graph_id": graph_id}
                await conn.execute(self._sql["register"], args)

    async def get(self, caller: Caller, assistant_id: UUID) -> Assistant:
        """Raises `NotFound`."""
        args = {"assistant_id": assistant_id, "tenant": caller.tenant, "graphs": list(self._graphs)}
        async with self._pool.connection() as conn:
            if row := await fetch_one(conn, self._sql["get"], args):
                return _assistant(row)
        raise NotFound

    async def resolve(self, caller: Caller, name: str, *, fresh: bool = False) -> Assistant:
        """The assistant with this id, or the own one of the graph with this name.

        As it was when this process last read it, unless `fresh`: whoever writes with it checks its
        version. Raises `NotFound` for an unknown id, `Invalid` for an unknown name.
        """
        assistant_id = parse_uuid(name)
        if assistant_id is None:
            if name not in self._graphs:
                raise Invalid(
                    f"Invalid assistant: '{name}'. Must be either:\n- A valid assistant UUID, or\n"
                    f"- One of the registered graphs: {', '.join(self._graphs)}"
                )
            assistant_id = system_assistant_id(name)
        key = caller.tenant, assistant_id
        if fresh or key not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[key] = await self.get(caller, assistant_id)
        return self._known[key]

    async def search(self, caller: Caller, query: AssistantQuery, page: Page) -> list[Assistant]:
        """Raises `NotFound` for a graph that is not served."""
        sql = self._sql["search"] + page.clause(SORTABLE, default="created_at", tie="assistant_id")
        async with self._pool.connection() as conn:
            rows = await fetch_all(conn, sql, self._filter(caller, query))
        return [_assistant(row) for row in rows]

    async def count(self, caller: Caller, query: AssistantQuery) -> int:
        """Raises `NotFound` for a graph that is not served."""
        async with self._pool.connection() as conn:
            row = await fetch_one(conn, self._sql["count"], self._filter(caller, query))
        return int(row["count"]) if row else 0

    def _filter(self, caller: Caller, query: AssistantQuery) -> dict[str, Any]:
        if query.graph_id is not None:
            self._graphs.get(query.graph_id)
        return {
            "tenant": caller.tenant,
            "graphs": list(self._graphs),
            "graph_id": query.graph_id,
            "name": query.name,
            "metadata": column(query.metadata or {}),
        }


def _assistant(row: DictRow) -> Assistant:
    return Assistant(**{name: row[name] for name in Assistant.__dataclass_fields__})
