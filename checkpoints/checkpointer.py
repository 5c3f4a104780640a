"""LangGraph's checkpointer contract, over any storage."""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    EXCLUDED_METADATA_KEYS,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpoints import retention
from checkpoints.accounting import Usage, usage_of
from checkpoints.addresses import EPOCH as EPOCH
from checkpoints.addresses import address, is_id, query_of, run_of, saved
from checkpoints.bodies import (
    Address,
    CheckpointBody,
    Save,
    Stored,
    WritesBody,
    index_of,
    new_nonce,
)
from checkpoints.bridge import Bridge
from checkpoints.delta import history
from checkpoints.encoding import Encoding
from checkpoints.errors import Torn
from checkpoints.flushing import Flusher
from checkpoints.parts import Part, take_apart
from checkpoints.reading import (
    Elements,
    Reader,
    as_tuple,
    chunks,
    config_of,
    parts_of,
    with_sends,
    writes_of,
)
from checkpoints.records import Found, Query, Storage
from checkpoints.sealing import Cipher, Sealing
from checkpoints.sessions import Head, Session, Sessions

_T = TypeVar("_T")
_KEPT = frozenset({"run_id", "graph_id", "assistant_id", "user_id"})


class Checkpointer(Bridge):
    """Stores every element once and every super-step in one commit.

    Of `config["configurable"]` only `metadata_keys`, those that its own `__metadata_keys` names,
    and a few ids reach the metadata: it is where applications keep their secrets. Types that are
    not LangChain's or LangGraph's own come back as plain data unless they are in `allow`, as
    (module, name), or the graph's schema has them.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        serde: SerializerProtocol | None = None,
        cipher: Cipher | None = None,
        allow: Sequence[tuple[str, str]] = (),
        metadata_keys: Sequence[str] = (),
        cache_bytes: int = 256 << 20,
        patience: float = 30.0,
    ) -> None:
        super().__init__(serde=serde or JsonPlusSerializer(allowed_msgpack_modules=allow or None))
        self._encoding = Encoding(self.serde)
        self._storage = storage
        self._sealing = Sealing(cipher)
        self._reader = Reader(storage, self._sealing)
        self._sessions = Sessions(cache_bytes)
        self._flusher = Flusher(storage, patience=patience)
        self._metadata_keys = _KEPT | set(metadata_keys)

    async def __aenter__(self) -> Self:
        self._flusher.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._flusher.stop()

    @property
    def bytes_written(self) -> int:
        """How many bytes of rows and elements this process has stored, compressed and sealed."""
        return self._flusher.bytes_written

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint. Returns its address once it is committed.

        Raises `Superseded`, `Unavailable`, and `InvalidCheckpoint` for an id that is no UUID.
        """
        # Everything is encoded before the first await: the run may change its objects meanwhile.
        at, parent_id = saved(config, checkpoint["id"]), address(config).checkpoint_id
        session = self._sessions.of(at.thread_id, at.epoch)
        head = session.head(at.ns, parent_id)
        encoding, channels = self._codec(), dict[str, Part]()
        versions = dict(checkpoint["channel_versions"])
        for name, value in checkpoint["channel_values"].items():
            before = head.parts.get(name) if head else None
            # A checkpoint copied beside itself names nothing as new, yet differs from its parent.
            moved = not head or head.versions.get(name) != versions.get(name)
            if before is None or moved or name in new_versions:
                stream = f"{at.ns}\0{name}"
                before = take_apart(encoding, value, stream, before, session.place)
            channels[name] = before
        kept = self._metadata(config, metadata)
        content = CheckpointBody.of(encoding, checkpoint, kept, channels)
        run_id = str(kept["run_id"]) if kept.get("run_id") else None
        save = Save(session, self._sealing, at, content, parent_id=parent_id or None, run_id=run_id)
        session.remember(at.ns, at.checkpoint_id, Head(save.body, channels, versions), stored=False)
        await self._save(save)
        return config_of(at.thread_id, at.ns, at.checkpoint_id)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store the writes of a task upon a checkpoint, which may come later.

        Of one task and position the first write counts; of a special channel the last.
        """
        indexed = [(index_of(name, n), name, value) for n, (name, value) in enumerate(writes)]
        await self.aput_indexed(config, indexed, task_id, task_path)

    async def aput_indexed(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[int, str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """The same of writes that bring their indexes along, as those of another saver do."""
        at = saved(config, address(config).checkpoint_id)
        session = self._sessions.of(at.thread_id, at.epoch)
        encoding, parts = self._codec(), list[tuple[int, str, Part]]()
        for index, name, value in writes:
            part = take_apart(encoding, value, f"{at.ns}\0{name}", None, session.place)
            parts.append((index, name, part))
        if head := session.head(at.ns, at.checkpoint_id):
            head.writes.extend(part for _, _, part in parts)
        content = WritesBody(task_id, task_path, run_of(config), parts)
        await self._save(
            Save(session, self._sealing, at, content, nonce=new_nonce(), run_id=content.run_id)
        )

    async def settled(self, thread_id: str) -> None:
        """Wait until no save of this thread that was asked for here is under way.

        A graph that is cancelled asks for some that it does not wait for.
        """
        await self._flusher.settled(thread_id)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint of `config`, or the latest; None if there is none. Raises `Torn`."""
        at = address(config)
        if at.checkpoint_id and not is_id(at.checkpoint_id):
            return None
        before: tuple[str, int] | None = None
        while found := await self._found(at):
            try:
                return await self._loaded(found, at.epoch)
            except Torn:  # unless something was removed between the row and its elements
                now = (found.row.checkpoint_id, found.row.salt)
                if now == before:
                    raise
                before = now
        return None

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - the contract's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, the newest of a namespace first; `filter` compares metadata by equality."""
        if limit is not None and limit <= 0:
            return
        query = query_of(config, filter, before)
        known: Elements = {}
        thread_id = None
        async for chunk in chunks(self._matching(query, filter), limit):
            if chunk[0].row.thread_id != thread_id:
                thread_id = chunk[0].row.thread_id
                known = {}
                for session in self._sessions.all(thread_id):
                    known |= session.known()
            for stored in await self._reader.present(chunk, known):
                yield await self._tuple(stored, parts_of(stored, known), known)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What the writes of the ancestors contributed to each channel since its last value."""
        thread_id, ns, checkpoint_id, _ = address(config)
        return await history(
            self._reader, self._codec(), Query(thread_id, ns), checkpoint_id or None, channels
        )

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete all of a thread."""
        self._sessions.drop(str(thread_id))
        await self._storage.delete_thread(str(thread_id))

    async def adelete_for_runs(
        self, run_ids: Sequence[str], *, thread_id: str | None = None
    ) -> None:
        """Delete the checkpoints of these runs, and what they wrote upon those of others.

        So a checkpoint that a deleted run went on from reads as before it. What a delta channel of
        a checkpoint that stays needs, stays too. With a `thread_id` only there: a copy of a thread
        names its source's runs.
        """
        runs = [str(one) for one in run_ids]
        await retention.delete_for_runs(self._reader, self._codec(), runs, thread_id)

    async def ausage(self, thread_id: str) -> Usage:
        """How much room the thread takes."""
        return await usage_of(self._reader, str(thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints and writes of a thread to another. Without a source, nothing."""
        await retention.copy_thread(
            self._reader,
            self._codec(),
            self._sealing,
            str(source_thread_id),
            str(target_thread_id),
        )

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep only the latest checkpoint of each namespace (and what its delta channels need).

        Strategy "delete" keeps nothing. Raises `ValueError` for another one.
        """
        if strategy not in {"keep_latest", "delete"}:
            raise ValueError(f"strategy is keep_latest or delete, not {strategy!r}")
        for thread_id in map(str, thread_ids):
            if strategy == "delete":
                await self.adelete_thread(thread_id)
            else:
                await retention.keep_latest(self._reader, self._codec(), thread_id)

    def get_next_version(self, current: Any, channel: None) -> Any:
        """The version after `current`, of its type: an int unless an imported thread has others."""
        if current is None:
            return 1
        if isinstance(current, str):
            return f"{int(current.split('.')[0]) + 1:032}.{random.random():016}"  # noqa: S311
        return current + 1

    async def _save(self, save: Save) -> None:
        self._sessions.settle(save.thread_id)
        await self._flusher.save(save)

    def _session(self, found: Found, epoch: int | None) -> Session:
        """The session that what was found belongs to: another one if much was removed since."""
        thread_id, salt = found.row.thread_id, found.row.salt
        session = self._sessions.of(thread_id, epoch)
        if session.salt not in (None, salt):
            session.stale = True
            session = self._sessions.of(thread_id, epoch)
        session.salt = salt
        return session

    async def _found(self, at: Address) -> Found | None:
        seeds = self._sessions.all(at.thread_id)
        known = max((one.latest(at.ns) or "" for one in seeds), default="")
        return await self._storage.find(
            at.thread_id, at.ns, at.checkpoint_id or None, known=known or None, epoch=at.epoch
        )

    async def _loaded(self, found: Found, epoch: int | None) -> CheckpointTuple:
        row = found.row
        session = self._session(found, epoch)
        seeds = self._sessions.all(row.thread_id)
        stored = self._reader.open(row)
        known = self._reader.unseal(row.thread_id, found.elements)
        heads = (one.head(row.ns, row.checkpoint_id) for one in seeds)
        head = next((one for one in heads if one and one.body == row.body), None)
        if head is None or stored.writes:
            for one in seeds:
                known |= one.known()
            await self._reader.complete([stored], known)
        if head is None:
            head = Head(row.body, parts_of(stored, known), dict(stored.versions))
        head.writes[:] = writes_of(stored, known)
        if session.head(row.ns, row.checkpoint_id) is not head:
            session.remember(row.ns, row.checkpoint_id, head, stored=True)
            self._sessions.settle(row.thread_id)
        return await self._tuple(stored, head.parts, known)

    async def _tuple(
        self, stored: Stored, parts: Mapping[str, Part], known: Elements
    ) -> CheckpointTuple:
        found = as_tuple(self._codec(), stored, parts, known)
        if parent := await self._reader.parent(stored):
            await self._reader.complete([parent], known)
            return with_sends(self._codec(), found, parent, known)
        return found

    async def _matching(
        self, query: Query, conditions: Mapping[str, Any] | None
    ) -> AsyncIterator[Stored]:
        async for row in self._storage.rows(query):
            stored = self._reader.open(row)
            if conditions:
                metadata: Any = self._codec().decode(stored.metadata)
                if any(metadata.get(key) != value for key, value in conditions.items()):
                    continue
            yield stored

    def _codec(self) -> Encoding:
        if self._encoding.serde is not self.serde:  # a copy made by `with_allowlist`
            self._encoding = Encoding(self.serde)
        return self._encoding

    def _metadata(self, config: RunnableConfig, metadata: CheckpointMetadata) -> dict[str, Any]:
        """What is kept: all that is given as such, and only the allowed keys of `configurable`.

        LangGraph copies `configurable` into the config's metadata, so both are looked through. They
        may hold anything at all; as with every saver, only plain text and numbers are kept.
        """
        configurable, given = config.get("configurable", {}), config.get("metadata", {})
        allowed = self._metadata_keys.union(configurable.get("__metadata_keys", ()))
        merged = {
            key: value
            for source in (configurable, given)
            for key, value in source.items()
            if key in allowed
            or (source is given and key not in configurable and not key.startswith("__"))
        }
        kept = {
            key: value
            for key, value in merged.items()
            if isinstance(value, str | int | float) and key not in EXCLUDED_METADATA_KEYS
        }
        return {**kept, **metadata}
