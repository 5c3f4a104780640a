"""What the configs of LangGraph name: threads, checkpoints, runs."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from checkpoints.bodies import Address
from checkpoints.errors import InvalidCheckpoint
from checkpoints.records import Query

EPOCH = "__checkpoint_epoch"
"""The key of `config["configurable"]` that carries the writer's epoch.

Underscores keep LangChain from copying it into the metadata that streams and traces show.
"""


def address(config: RunnableConfig) -> Address:
    """What a config names; without a checkpoint, its id is empty."""
    configurable = config["configurable"]
    return Address(
        str(configurable["thread_id"]),
        configurable.get("checkpoint_ns") or "",
        str(configurable.get("checkpoint_id") or ""),
        configurable.get(EPOCH),
    )


def saved(config: RunnableConfig, checkpoint_id: str) -> Address:
    """Where something is saved. Raises `InvalidCheckpoint`."""
    if not is_id(checkpoint_id):
        raise InvalidCheckpoint(f"A checkpoint's id is a UUID in lower case: {checkpoint_id!r}.")
    return address(config)._replace(checkpoint_id=checkpoint_id)


def is_id(checkpoint_id: str) -> bool:
    """Whether a checkpoint can have it."""
    try:
        return str(UUID(checkpoint_id)) == checkpoint_id
    except ValueError:
        return False


def query_of(
    config: RunnableConfig | None,
    conditions: Mapping[str, Any] | None,
    before: RunnableConfig | None,
) -> Query:
    """What is to be listed."""
    configurable = config["configurable"] if config else {}
    thread_id = configurable.get("thread_id")
    return Query(
        thread_id=None if thread_id is None else str(thread_id),
        ns=configurable.get("checkpoint_ns"),
        checkpoint_id=configurable.get("checkpoint_id"),
        before=before["configurable"].get("checkpoint_id") if before else None,
        run_id=(conditions or {}).get("run_id"),
    )


def run_of(config: RunnableConfig) -> str | None:
    """The run that a config names."""
    for source in (config.get("metadata", {}), config.get("configurable", {})):
        if (run_id := source.get("run_id")) and isinstance(run_id, str | int | float):
            return str(run_id)
    return None
