"""A thread as Pregel would drive it, for tests that speak to a saver directly."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

SERDE = JsonPlusSerializer(allowed_msgpack_modules=None)

Values = Mapping[str, Any]


def new_id() -> str:
    return str(uuid6(clock_seq=-1))


def id_of(config: RunnableConfig | None) -> str | None:
    return config["configurable"].get("checkpoint_id") if config else None


def checkpoint(values: Values, versions: Mapping[str, Any], **fields: Any) -> Checkpoint:
    return {
        "v": 4,
        "id": new_id(),
        "ts": datetime.now(UTC).isoformat(),
        "channel_values": dict(values),
        "channel_versions": dict(versions),
        "versions_seen": {},
        "updated_channels": None,
        **fields,
    }


@dataclass
class Thread:
    """Puts checkpoints in a row, or from any `parent`, and works out which channels changed."""

    saver: BaseCheckpointSaver
    thread_id: Any = field(default_factory=lambda: str(uuid4()))
    ns: str = ""
    last: RunnableConfig | None = None
    _seen: dict[str | None, tuple[dict[str, Any], dict[str, Any]]] = field(
        default_factory=lambda: {None: ({}, {})}
    )

    @property
    def config(self) -> RunnableConfig:
        return {"configurable": {"thread_id": self.thread_id, "checkpoint_ns": self.ns}}

    def at(self, checkpoint_id: str | None) -> RunnableConfig:
        config = self.config
        if checkpoint_id is not None:
            config["configurable"]["checkpoint_id"] = checkpoint_id
        return config

    def through(self, saver: BaseCheckpointSaver) -> "Thread":
        """The same thread as another saver sees it."""
        return Thread(saver, self.thread_id, self.ns, self.last, self._seen)

    async def put(
        self,
        values: Values,
        *,
        parent: RunnableConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        configurable: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> RunnableConfig:
        config = self.at(id_of(parent or self.last))
        config["configurable"] |= configurable or {}
        if tags is not None:
            config["metadata"] = dict(tags)
        made, changed = self._next(values, id_of(parent or self.last), fields)
        stored = await self.saver.aput(
            config, made, {"source": "loop", "step": 0, "parents": {}, **(metadata or {})}, changed
        )
        self.last = stored
        return stored

    async def write(
        self,
        *writes: tuple[str, Any],
        task: str = "task",
        path: str = "",
        at: RunnableConfig | str | None = None,
    ) -> None:
        config = self.at(at) if isinstance(at, str) else at or self.last
        assert config is not None
        await self.saver.aput_writes(config, writes, task, path)

    async def read(self, at: RunnableConfig | None = None) -> CheckpointTuple:
        found = await self.saver.aget_tuple(at or self.config)
        assert found is not None
        return found

    async def values(self, at: RunnableConfig | None = None) -> dict[str, Any]:
        return (await self.read(at)).checkpoint["channel_values"]

    async def writes(self, at: RunnableConfig | None = None) -> list[tuple[str, str, Any]]:
        return (await self.read(at)).pending_writes or []

    async def history(self, **options: Any) -> list[CheckpointTuple]:
        return [found async for found in self.saver.alist(self.config, **options)]

    async def delta(self, *channels: str, at: RunnableConfig | None = None) -> Mapping[str, Any]:
        return await self.saver.aget_delta_channel_history(
            config=at or self.config, channels=channels
        )

    def _next(
        self, values: Values, parent: str | None, fields: Mapping[str, Any]
    ) -> tuple[Checkpoint, dict[str, Any]]:
        encoded = {name: SERDE.dumps_typed(value) for name, value in values.items()}
        before, versions = self._seen[parent]
        new = self.saver.get_next_version(max(versions.values(), default=None), None)
        names = [*versions, *(name for name in values if name not in versions)]
        changed = {name: new for name in names if encoded.get(name) != before.get(name)}
        made = checkpoint(values, versions | changed, **fields)
        self._seen[made["id"]] = (encoded, made["channel_versions"])
        return made, changed


def plain(found: CheckpointTuple | None) -> Any:
    """A found checkpoint in a form that is equal only where every type and order is."""
    if found is None:
        return None
    checkpoint = {k: v for k, v in found.checkpoint.items() if k not in _UNORDERED}
    return {
        "at": _place(found.config),
        "parent": found.parent_config and _place(found.parent_config),
        "checkpoint": encoded(checkpoint),
        "values": {k: encoded(v) for k, v in found.checkpoint["channel_values"].items()},
        "versions": {k: encoded(v) for k, v in found.checkpoint["channel_versions"].items()},
        "seen": found.checkpoint["versions_seen"],
        "metadata": {k: encoded(v) for k, v in found.metadata.items()},
        "writes": [
            (task, name, encoded(value)) for task, name, value in found.pending_writes or []
        ],
    }


_UNORDERED = {"channel_values", "channel_versions", "versions_seen", "pending_sends"}


def encoded(value: Any) -> Any:
    with suppress(TypeError):
        return SERDE.dumps_typed(value)
    return repr(value)


def _place(config: RunnableConfig) -> tuple[str, ...]:
    where = config["configurable"]
    return (str(where["thread_id"]), where.get("checkpoint_ns", ""), where["checkpoint_id"])


def by_namespace(found: Sequence[CheckpointTuple]) -> dict[str, list[Any]]:
    """Found checkpoints of a thread by namespace, in the order found."""
    spaces: dict[str, list[Any]] = {}
    for each in found:
        spaces.setdefault(each.config["configurable"]["checkpoint_ns"], []).append(plain(each))
    return spaces
