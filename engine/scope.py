"""Which run, and which of its nodes, the code that is running works for."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from engine.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Scope:
    """`node` is empty outside nodes. Tasks and threads that a node starts inherit its scope.

    `user` is who asked for the run, as its graph is told.
    """

    graph: str
    run_id: str
    thread_id: str
    tenant: str = ""
    node: str = ""
    user: Mapping[str, Any] = field(default_factory=dict, compare=False)


scope: ContextVar[Scope | None] = ContextVar("frontdesk_scope", default=None)

metering: ContextVar[Metrics | None] = ContextVar("frontdesk_metering", default=None)
"""Where what happens is counted."""

threaded: ContextVar[frozenset[str]] = ContextVar("frontdesk_threaded", default=frozenset())
"""The nodes that run in threads, as `graph.node`; `*` is all."""
