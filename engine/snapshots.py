"""LangGraph's state snapshots in the API's shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt, PregelTask, StateSnapshot

Json = dict[str, Any]

_POINTER = ("checkpoint_ns", "checkpoint_id", "checkpoint_map")


@dataclass(frozen=True)
class Settled:
    """A thread between runs. `interrupts` are by task id."""

    status: str
    values: Any
    interrupts: dict[str, list[Json]]


def settled(snapshot: StateSnapshot) -> Settled:
    return Settled(
        status="interrupted" if snapshot.next else "idle",
        values=snapshot.values,
        interrupts={
            task.id: _interrupts(task.interrupts) for task in snapshot.tasks if task.interrupts
        },
    )


def address(thread_id: UUID, checkpoint: Mapping[str, Any] | None = None) -> RunnableConfig:
    """The config that points at a thread, or at one checkpoint of it.

    Whatever thread the checkpoint names: it is this one.
    """
    pointer = {key: value for key in _POINTER if (value := (checkpoint or {}).get(key))}
    return {"configurable": {"checkpoint_ns": "", **pointer, "thread_id": str(thread_id)}}


def render(snapshot: StateSnapshot) -> Json:
    """The API's ThreadState."""
    checkpoint = _checkpoint(snapshot.config)
    parent = _checkpoint(snapshot.parent_config)
    metadata = None
    if snapshot.metadata and checkpoint:
        metadata = {**snapshot.metadata, "thread_id": checkpoint["thread_id"]}
    return {
        "values": snapshot.values,
        "next": list(snapshot.next),
        "tasks": [_task(task) for task in snapshot.tasks],
        "metadata": metadata,
        "created_at": snapshot.created_at,
        "checkpoint": checkpoint,
        "parent_checkpoint": parent,
        "interrupts": [one for task in snapshot.tasks for one in _interrupts(task.interrupts)],
        "checkpoint_id": checkpoint and checkpoint["checkpoint_id"],
        "parent_checkpoint_id": parent and parent["checkpoint_id"],
    }


def empty(config: RunnableConfig) -> StateSnapshot:
    """The state of a thread that no graph has touched."""
    return StateSnapshot({}, (), config, None, None, None, (), ())


def _task(task: PregelTask) -> Json:
    """A subgraph's state is there when it was asked for, else the way to it."""
    inner = task.state
    error = task.error
    return {
        "id": task.id,
        "name": task.name,
        "path": list(task.path),
        "error": repr(error) if isinstance(error, BaseException) else error,
        "interrupts": _interrupts(task.interrupts),
        "checkpoint": _pointer(inner) if isinstance(inner, dict) else None,
        "state": render(inner) if isinstance(inner, StateSnapshot) else None,
        "result": task.result,
    }


def _interrupts(interrupts: Sequence[Interrupt]) -> list[Json]:
    return [{"id": one.id, "value": one.value} for one in interrupts]


def _checkpoint(config: RunnableConfig | None) -> Json | None:
    pointer = _pointer(config) if config else {}
    return pointer if pointer.get("checkpoint_id") else None


def _pointer(config: RunnableConfig) -> Json:
    found = config["configurable"]
    order = ("checkpoint_id", "thread_id", "checkpoint_ns", "checkpoint_map")
    return {key: found[key] for key in order if key in found}
