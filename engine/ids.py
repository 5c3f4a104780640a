"""Ids in the shapes that LangGraph clients know."""

from functools import lru_cache
from uuid import UUID, uuid5

from langchain_core.utils.uuid import uuid7

_SYSTEM = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")  # clients have ids made from it built in


def new_id() -> UUID:
    """For threads and runs: UUIDv7, so that ids sort by time."""
    return uuid7()


@lru_cache
def system_assistant_id(graph_id: str) -> UUID:
    """The assistant that every graph gets, the same everywhere."""
    return uuid5(_SYSTEM, graph_id)


def parse_uuid(text: str) -> UUID | None:
    """The UUID that `text` is, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None
