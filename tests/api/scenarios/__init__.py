"""Importing it registers every scenario."""

from tests.api.scenarios import (
    agents,
    assistants,
    crons,
    general,
    meta,
    multitask,
    protocol,
    runs,
    stateless,
    states,
    steering,
    store,
    streams,
    threads,
    traps,
)

__all__ = [
    "agents",
    "assistants",
    "crons",
    "general",
    "meta",
    "multitask",
    "protocol",
    "runs",
    "stateless",
    "states",
    "steering",
    "store",
    "streams",
    "threads",
    "traps",
]

general.register()
