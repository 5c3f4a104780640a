"""Assistants: a graph with a configuration. Every graph gets one of its own at start."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID, uuid4

from psycopg.rows import DictRow

from engine.caller import FIRST, Caller
from engine.database import Pool, fetch_all, fetch_one, statements
from engine.errors import BadRequest, Conflict, Forbidden, Invalid, NotFound
from engine.graphs import Graphs
from engine.ids import parse_uuid, system_assistant_id
from engine.pages import Page
from engine.serialise import column, exactly

_KNOWN = 1_000  # assistants kept in memory

SORTABLE = ("assistant_id", "created_at", "updated_at", "name", "graph_id")
BOTH = (
    "Cannot specify both configurable and context. Prefer setting context alone. Context was "
    "introduced in LangGraph 0.6.0 and is the long term planned replacement for configurable."
)


@dataclass(frozen=True)
class Version:
    """A row of `frontdesk.assistant_versions`."""

    assistant_id: UUID
    version: int
    graph_id: str
    config: dict[str, Any]
    context: dict[str, Any]
    metadata: dict[str, Any]
    created_at: datetime
    name: str
    description: str | None


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


@dataclass(frozen=True)
class Draft:
    """What an assistant is to be; None leaves it as it is.

    `config["configurable"]` and `context` mirror each other, so one of them may be given.
    """

    graph_id: str | None = None
    name: str | None = None
    description: str | None = None
    config: Mapping[str, Any] | None = None
    context: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None

    def columns(self) -> dict[str, str | None]:
        """`config`, what is to be `mirrored` in it, `context`, `metadata`. Raises `BadRequest`."""
        configurable = (self.config or {}).get("configurable")
        if self.context and configurable:
            raise BadRequest(BOTH)
        context = self.context or configurable or self.context
        return {
            "config": column(self.config or None),
            "mirrored": column({"configurable": context} if context else {}),
            "context": column(context),
            "metadata": column(self.metadata or {}),
        }


class Assistants:
    """The assistants that a caller can see: those of the graphs, and those of its tenant."""

    def __init__(self, pool: Pool, graphs: Graphs) -> None:
        self._pool = pool
        self._graphs = graphs
        self._sql = statements("engine", "assistants.sql")
        self._known: dict[tuple[Any, ...], Assistant] = {}

    async def register_graphs(self, descriptions: Mapping[str, str] | None = None) -> None:
        """Give every graph its assistant, with what is said of the graph."""
        async with self._pool.connection() as conn:
            for graph_id in self._graphs:
                args = {
                    "assistant_id": system_assistant_id(graph_id),
                    "graph_id": graph_id,
                    "description": (descriptions or {}).get(graph_id),
                }
                await conn.execute(self._sql["register"], args)

    async def create(
        self,
        caller: Caller,
        draft: Draft,
        *,
        assistant_id: UUID | None = None,
        keep_existing: bool = False,
    ) -> Assistant:
        """A new assistant, or the existing one.

        Raises `NotFound` for an unknown graph, `Conflict` when the id is taken, `BadRequest`.
        """
        _may_write(caller)
        self._graphs.check(draft.graph_id or "")
        assistant_id = assistant_id or uuid4()
        columns = draft.columns()
        args = {
            **caller.sight,
            **columns,
            "config": column({**(draft.config or {}), **_mirrored(draft)}),
            "context": columns["context"] or "{}",
            "graph_id": draft.graph_id,
            "name": draft.name or "Untitled",
            "description": draft.description,
            "assistant_id": assistant_id,
            "owner": caller.identity,
            "graphs": list(self._graphs),
        }
        async with self._pool.connection() as conn:
            row = await fetch_one(conn, self._sql["insert"], args)
            if row is None and keep_existing:
                row = await fetch_one(conn, self._sql["get"], args)
        if row is None:
            raise Conflict(f"Assistant {assistant_id} already exists")
        return _assistant(row)

    async def get(self, caller: Caller, assistant_id: UUID) -> Assistant:
        """Raises `NotFound`."""
        if found := await self._find("get", caller, assistant_id):
            return found
        raise NotFound

    def identify(self, name: str) -> UUID:
        """The id that this is, or that of the own assistant of the graph with this name.

        Raises `Invalid` for another name.
        """
        if found := parse_uuid(name):
            return found
        if name in self._graphs:
            return system_assistant_id(name)
        raise Invalid(
            f"Invalid assistant: '{name}'. Must be either:\n- A valid assistant UUID, or\n"
            f"- One of the registered graphs: {', '.join(self._graphs)}"
        )

    def is_of_a_graph(self, assistant_id: UUID) -> bool:
        """Whether a graph has it by itself, for every caller to use."""
        return any(assistant_id == system_assistant_id(name) for name in self._graphs)

    async def resolve(self, caller: Caller, name: str, *, fresh: bool = False) -> Assistant:
        """The assistant with this id, or the own one of the graph with this name.

        As it was when this process last read it, unless `fresh`: whoever writes with it checks its
        version. Raises `NotFound` for an unknown id, `Invalid` for an unknown name.
        """
        assistant_id = self.identify(name)
        key = (*caller.sight.values(), assistant_id)
        if fresh or key not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            found = await self._find("usable", caller, assistant_id)
            if found is None:
                raise NotFound
            self._known[key] = found
        return self._known[key]

    async def patch(self, caller: Caller, assistant_id: UUID, draft: Draft) -> Assistant:
        """A new version, whatever the draft says; its metadata is merged, one level deep.

        Raises `NotFound`, for a graph too, `BadRequest`, `Forbidden`.
        """
        if draft.graph_id is not None:
            self._graphs.check(draft.graph_id)
        args = {
            **_writing(caller, assistant_id),
            **draft.columns(),
            "graph_id": draft.graph_id,
            "name": draft.name,
            "description": draft.description,
        }
        async with self._pool.connection() as conn:
            if row := await fetch_one(conn, self._sql["patch"], args):
                return _assistant(row)
        return await self._refuse(caller, assistant_id, f"Assistant {assistant_id} not found")

    async def delete(self, caller: Caller, assistant_id: UUID) -> None:
        """Delete it with its versions; its runs and threads stay. Raises `NotFound`, `Forbidden`.

        The assistant of a graph is there again after the next start.
        """
        async with self._pool.connection() as conn:
            if await fetch_one(conn, self._sql["delete"], _writing(caller, assistant_id)):
                return
        await self._refuse(caller, assistant_id, f"Assistant with ID {assistant_id} not found")

    async def versions(
        self,
        caller: Caller,
        assistant_id: UUID,
        *,
        limit: int,
        offset: int,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Version]:
        """The newest first. Raises `NotFound`."""
        await self._seen(caller, assistant_id)
        args = {
            "assistant_id": assistant_id,
            "metadata": column(metadata or {}),
            "exact": exactly(metadata),
            "limit": limit,
            "offset": offset,
        }
        async with self._pool.connection() as conn:
            rows = await fetch_all(conn, self._sql["versions"], args)
        return [Version(**row) for row in rows]

    async def restore(self, caller: Caller, assistant_id: UUID, version: int | None) -> Assistant:
        """Make it what it was in that version. Raises `NotFound`, `Forbidden`."""
        await self._seen(caller, assistant_id)
        args = {**_writing(caller, assistant_id), "version": version}
        async with self._pool.connection() as conn:
            if row := await fetch_one(conn, self._sql["restore"], args):
                return _assistant(row)
        missing = f"Version {version} not found for assistant {assistant_id}"
        return await self._refuse(caller, assistant_id, missing)

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

    async def _find(self, name: str, caller: Caller, assistant_id: UUID) -> Assistant | None:
        args = {**caller.sight, "assistant_id": assistant_id, "graphs": list(self._graphs)}
        async with self._pool.connection() as conn:
            row = await fetch_one(conn, self._sql[name], args)
        return _assistant(row) if row else None

    async def _seen(self, caller: Caller, assistant_id: UUID) -> Assistant:
        if found := await self._find("get", caller, assistant_id):
            return found
        raise NotFound(f"Assistant {assistant_id} not found")

    async def _refuse(self, caller: Caller, assistant_id: UUID, missing: str) -> NoReturn:
        """Say why nothing was changed."""
        found = await self._find("get", caller, assistant_id)
        if found and assistant_id == system_assistant_id(found.graph_id) and not _is_all(caller):
            raise Forbidden("This assistant is used by all tenants: create one of your own.")
        raise NotFound(missing)

    def _filter(self, caller: Caller, query: AssistantQuery) -> dict[str, Any]:
        if query.graph_id is not None:
            self._graphs.check(query.graph_id)
        return {
            **caller.sight,
            "graphs": list(self._graphs),
            "graph_id": query.graph_id,
            "name": query.name,
            "metadata": column(query.metadata or {}),
            "exact": exactly(query.metadata),
        }


def _assistant(row: DictRow) -> Assistant:
    return Assistant(**{name: row[name] for name in Assistant.__dataclass_fields__})


def _mirrored(draft: Draft) -> dict[str, Any]:
    return {"configurable": draft.context} if draft.context else {}


def _is_all(caller: Caller) -> bool:
    """Whether it may change what all tenants use: a back end of the tenant that is the first."""
    return caller.tenant == FIRST and caller.edits and not caller.alone


def _may_write(caller: Caller) -> None:
    if not caller.lists:
        raise Forbidden("A public key cannot change assistants.")


def _writing(caller: Caller, assistant_id: UUID) -> dict[str, Any]:
    _may_write(caller)
    return {**caller.sight, "assistant_id": assistant_id, "system": _is_all(caller)}
