"""Graphs that are built anew for each use: for whom, why and with which configuration."""

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from langgraph.graph.state import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk.runtime import AccessContext, _ExecutionRuntime, _ReadRuntime

from engine.user import User

Uncompiled = StateGraph[Any, Any, Any, Any]
Compiled = Pregel[Any, Any, Any, Any]
Wanted = Literal["config", "runtime"]


@dataclass(frozen=True)
class Use:
    """Why a graph is built: `access` as `langgraph_sdk.runtime` names it; `context` for runs."""

    access: AccessContext
    config: Mapping[str, Any] = field(default_factory=dict)
    context: Any = None

    @property
    def tenant(self) -> str:
        """Whose graph it is; empty where nobody asks."""
        user = (self.config.get("configurable") or {}).get("langgraph_auth_user") or {}
        return str(user.get("tenant") or "")

    def runtime(self, store: BaseStore) -> Any:
        """The `ServerRuntime` that a factory may ask for."""
        user = (self.config.get("configurable") or {}).get("langgraph_auth_user")
        known = User(user) if user else None
        if self.access == "threads.create_run":
            return _ExecutionRuntime(
                access_context=self.access, user=known, store=store, context=self.context
            )
        return _ReadRuntime(access_context=self.access, user=known, store=store)


@dataclass(frozen=True)
class Factory:
    """Something to call for a graph; `wants` says what to give it, by the parameter's name."""

    call: Callable[..., Any]
    wants: Mapping[str, Wanted]

    def once(self) -> AbstractAsyncContextManager[Any]:
        """What it makes when it wants nothing."""
        return opened(lambda: self.call())

    @asynccontextmanager
    async def open(self, use: Use, store: BaseStore) -> AsyncIterator[Any]:
        """What it makes: returned, awaited, or from a context manager, entered while it is used."""
        given = {
            name: {"configurable": {}, **use.config} if what == "config" else use.runtime(store)
            for name, what in self.wants.items()
        }
        async with opened(lambda: self.call(**given)) as made:
            yield made


@asynccontextmanager
async def opened(call: Callable[[], Any]) -> AsyncIterator[Any]:
    """What the call returns, awaited and entered as far as it can be."""
    made = call()
    if inspect.isawaitable(made):
        made = await made
    if isinstance(made, AbstractAsyncContextManager):
        async with made as inner:
            yield inner
    elif isinstance(made, AbstractContextManager):
        with made as inner:
            yield inner
    else:
        yield made
