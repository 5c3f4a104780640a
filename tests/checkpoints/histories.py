"""Random histories of a thread, lived through by two savers, and what must then be equal."""

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, TASKS, _DeltaSnapshot
from langgraph.types import Interrupt, Send

from tests.checkpoints.threads import SERDE, encoded, id_of, new_id, plain

LOG = "log"
NAMESPACES = ["", "inner:1", "inner:1|deeper:2"]


class Memory(InMemorySaver):
    """`InMemorySaver` and what it lacks. Ids in `hidden` are gone but for delta histories."""

    def __init__(self) -> None:
        super().__init__(serde=SERDE)
        self.hidden: set[tuple[str, str, str]] = set()
        self.calls: list[tuple[dict[str, Any], Any, str, str]] = []

    async def aput_writes(self, config: Any, writes: Any, task_id: str, path: str = "") -> None:
        self.calls.append((config["configurable"], writes, task_id, path))
        super().put_writes(config, writes, task_id, path)

    async def aget_tuple(self, config: RunnableConfig) -> Any:
        async for found in self.alist(config, limit=1):
            return found
        return None

    async def alist(self, config: RunnableConfig | None, **options: Any) -> Any:
        limit = options.pop("limit", None)
        for found in super().list(config, **options):
            if _place(found.config) not in self.hidden:
                if limit == 0:
                    return
                limit = limit and limit - 1
                yield found

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        for thread_id, spaces in list(self.storage.items()):
            for ns, found in spaces.items():
                for checkpoint_id, (_, metadata, _) in found.items():
                    if self.serde.loads_typed(metadata).get("run_id") in run_ids:
                        self.hidden.add((thread_id, ns, checkpoint_id))
        self.calls = [call for call in self.calls if call[0].get("run_id") not in run_ids]
        self.writes.clear()
        for where, *rest in self.calls:
            super().put_writes({"configurable": where}, *rest)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        for thread_id in thread_ids:
            for ns, found in list(self.storage[thread_id].items()):
                here = [one for one in found if (thread_id, ns, one) not in self.hidden]
                for one in sorted(here)[:-1]:
                    self.hidden.add((thread_id, ns, one))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        def moved(key: Any) -> Any:
            return (target_thread_id, *key[1:])

        spaces = self.storage[source_thread_id]
        for ns, found in spaces.items():
            self.storage[target_thread_id][ns].update(found)
        for mapping in (self.writes, self.blobs):
            for key in [key for key in mapping if key[0] == source_thread_id]:
                value = mapping[key]
                mapping[moved(key)] = dict(value) if isinstance(value, dict) else value
        self.hidden |= {moved(key) for key in self.hidden if key[0] == source_thread_id}
        self.calls += [
            (where | {"thread_id": target_thread_id}, *rest)
            for where, *rest in self.calls
            if where["thread_id"] == source_thread_id
        ]


# What may be put into channels: few things of every kind, so that they come again and long
# histories of them are soon drawn.

things: list[Any] = [
    *[HumanMessage(f"said {n}", id=str(n)) for n in range(4)],
    *[AIMessage(f"long {n} {'x' * 200}", id=str(n)) for n in range(4)],
    AIMessage([{"type": "text", "text": "block"}], id="0", additional_kwargs={"k": [None, {}]}),
    HumanMessage("é✓\0" * 90, id="1"),
    *[0, -0.0, 1, 1.0, True, False, None, 2**40, "", "1", "\0", "straße ✓", b"", b"1", [], {}],
    *["text " * 40, "é" * 700, b"\xff" * 300, ["nested " * 30, [1]], {"a": {"b": ["c" * 150]}}],
    *[{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"": None}, [[], [None]], (1, "2"), [1], [True]],
]
items = st.sampled_from(things)
texts = st.sampled_from(["", "edited", "edited ✓ " * 30, "\0"])
keys = st.sampled_from(["a", "b", "c", "d"])
many = st.integers(0, 30).map(lambda n: {f"key {k}": things[k % len(things)] for k in range(n)})

# How the value of a channel changes from one checkpoint to the next.

list_edits = st.one_of(
    st.tuples(st.just("append"), st.lists(items, min_size=1, max_size=4)),
    st.tuples(st.just("edit"), st.integers(0, 20), items),
    st.tuples(st.just("remove"), st.integers(0, 20)),
    st.tuples(st.just("insert"), st.integers(0, 20), items),
    st.tuples(st.just("shuffle"), st.integers(0, 99)),
    st.tuples(st.just("repeat")),
    st.tuples(st.just("reset"), st.lists(items, max_size=3)),
    st.tuples(st.just("empty")),
    st.tuples(st.just("in place"), st.integers(0, 20), texts),
)
dict_edits = st.one_of(
    st.tuples(st.just("set"), st.dictionaries(keys, items, max_size=3) | many),
    st.tuples(st.just("drop"), keys),
    st.tuples(st.just("empty")),
    st.tuples(st.just("grow"), st.sampled_from(["a", "b"]), st.lists(items, max_size=3)),
)
value_edits = st.one_of(st.tuples(st.just("value"), items), st.tuples(st.just("empty")))
edits = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(list_edits, min_size=1, max_size=3),
        "again": st.lists(list_edits, min_size=1, max_size=2),  # of the same things
        "facts": st.lists(dict_edits, min_size=1, max_size=2),
        "note": st.lists(value_edits, min_size=1, max_size=1),
    },
)
writes = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["messages", "note", "x"]), items),
        st.tuples(st.just(INTERRUPT), st.builds(lambda text: (Interrupt(text, id="i"),), texts)),
        st.tuples(st.just(RESUME), st.lists(items, max_size=2)),
        st.tuples(st.just(ERROR), texts),
        st.tuples(st.just(TASKS), st.builds(Send, st.just("node"), items)),
    ),
    max_size=4,
)


@dataclass(frozen=True)
class Step:
    """Write what tasks found upon a checkpoint (the last one, or any), and put the next."""

    edits: Mapping[str, Any]
    log: Sequence[Any]
    tasks: Sequence[tuple[str, str, Sequence[Any]]]
    parent: int | None
    snapshot: bool
    order: str
    run: int
    by: int


@dataclass(frozen=True)
class Write:
    """More writes upon a checkpoint, of a task that may have written there before."""

    writes: Sequence[Any]
    task: str
    path: str
    target: int
    run: int
    by: int


@dataclass(frozen=True)
class Again:
    """Put a checkpoint again with other values."""

    edits: Mapping[str, Any]
    target: int
    by: int


@dataclass(frozen=True)
class Look:
    """Read some of it, as another process would or the writer itself."""

    target: int | None
    by: int


@dataclass(frozen=True)
class Clear:
    """Remove or copy."""

    how: str
    run: int
    by: int


_tasks = st.sampled_from(["task a", "task b", "task c"])
_paths = st.sampled_from(["", "~1", "~2"])
_by = st.integers(0, 1)
_index = st.integers(0, 30)
steps = st.builds(
    Step,
    edits,
    st.lists(items, max_size=2),
    st.lists(st.tuples(_tasks, _paths, writes), max_size=3, unique_by=lambda one: one[0]),
    st.one_of(st.none(), st.none(), st.none(), _index),
    st.booleans(),
    st.sampled_from(["first", "late", "early"]),
    st.integers(0, 2),
    _by,
)
others = [
    st.builds(Write, writes, _tasks, _paths, _index, st.integers(0, 2), _by),
    st.builds(Again, edits, _index, _by),
    st.builds(Look, st.none() | _index, _by),
    st.builds(Clear, st.sampled_from(["prune", "runs", "copy"]), st.integers(0, 2), _by),
]
kinds = st.sampled_from([*[steps] * 6, *others]).flatmap(lambda kind: kind)
events = st.tuples(st.sampled_from(["", "", "", *NAMESPACES]), kinds)
histories = st.tuples(
    st.booleans(), st.sampled_from([str, int]), st.lists(events, min_size=6, max_size=30)
)


@dataclass
class Made:
    """A checkpoint as it was put, with what its writer knew."""

    checkpoint: Checkpoint
    parent: str | None
    metadata: dict[str, Any]
    has_child: bool = False
    logged: bool = False


@dataclass
class Life:
    """Lives a history with ours and with `Memory`: `savers` are two processes on one storage."""

    savers: Sequence[BaseCheckpointSaver]
    with_log: bool
    kind: type
    memory: Memory = field(default_factory=Memory)
    thread_id: str = field(default_factory=lambda: str(uuid4()))
    made: dict[str, dict[str, Made]] = field(default_factory=dict)
    version: int = 0
    copies: list[str] = field(default_factory=list)

    async def live(self, events: Sequence[tuple[str, Any]]) -> None:
        for ns, event in events:
            handler = getattr(self, f"_{type(event).__name__.lower()}")
            await handler(ns, event)

    async def compare(self, reader: BaseCheckpointSaver) -> None:
        """All that can be read is equal."""
        for thread_id in (self.thread_id, *self.copies):
            everywhere = {"configurable": {"thread_id": thread_id}}
            ours = [found async for found in reader.alist(everywhere)]
            theirs = [found async for found in self.memory.alist(everywhere)]
            assert self._by_namespace(ours) == self._by_namespace(theirs)
            for found in theirs:
                await self._compare_tuple(reader, found.config)
            for ns in NAMESPACES:
                await self._compare_tuple(reader, _config(thread_id, ns))

    async def _step(self, ns: str, step: Step) -> None:
        made = self.made.setdefault(ns, {})
        parent = await self._parent(ns, step.parent)
        before = made[parent].checkpoint if parent else None
        # As Pregel does: a checkpoint that was gone on from gets no writes to a delta channel any
        # more, for its children would read them too; the new branch begins with a snapshot.
        fork = made[parent] if parent and made[parent].has_child else None
        logs = [(LOG, [item]) for item in step.log] if self.with_log and parent and not fork else []
        wanted = step.snapshot or bool(fork and (step.log or fork.logged))
        snapshot = self.with_log and wanted
        values = edited(before["channel_values"] if before else {}, step.edits)
        values.pop(LOG, None)
        if snapshot:
            values[LOG] = _DeltaSnapshot([*await self._log(ns, parent), *step.log])
        changed = self._changed(before, values, logged=bool(logs) or snapshot)
        checkpoint: Checkpoint = {
            "v": 4,
            "id": new_id(),
            "ts": datetime.now(UTC).isoformat(),
            "channel_values": values,
            "channel_versions": {**(before["channel_versions"] if before else {}), **changed},
            "versions_seen": {"node": dict(changed)},
            "updated_channels": sorted(changed),
        }
        metadata = {"source": "loop", "step": len(made), "run_id": self._run(step.run)}
        if self.with_log:
            metadata["counters_since_delta_snapshot"] = {LOG: [1, 1]}
        made[checkpoint["id"]] = Made(checkpoint, parent, metadata)
        if parent:
            made[parent].has_child = True
        saver = self.savers[step.by]
        for task, path, found in step.tasks if parent else ():
            await self._put_writes(saver, ns, parent, found, task, path, step.run)
        if logs:
            made[parent].logged = True
            await self._put_writes(saver, ns, parent, logs, f"log {checkpoint['id']}", "")
        if step.order == "early":
            await self._put_writes(saver, ns, checkpoint["id"], [("x", "early")], "early", "")
        await self._put(saver, ns, checkpoint["id"], changed)
        if step.order == "late" and parent:
            await self._put_writes(saver, ns, parent, [("x", "late")], "late", "")

    async def _write(self, ns: str, write: Write) -> None:
        if checkpoint_id := await self._existing(ns, write.target):
            saver = self.savers[write.by]
            await self._put_writes(
                saver, ns, checkpoint_id, write.writes, write.task, write.path, write.run
            )

    async def _again(self, ns: str, again: Again) -> None:
        checkpoint_id = await self._existing(ns, again.target)
        if not checkpoint_id:
            return
        made = self.made[ns][checkpoint_id]
        log = {k: v for k, v in made.checkpoint["channel_values"].items() if k == LOG}
        values = edited(made.checkpoint["channel_values"], again.edits) | log
        changed = self._changed(made.checkpoint, values, logged=False)
        made.checkpoint = {
            **made.checkpoint,
            "channel_values": values,
            "channel_versions": made.checkpoint["channel_versions"] | changed,
        }
        versions = made.checkpoint["channel_versions"]
        before = self.made[ns][made.parent].checkpoint["channel_versions"] if made.parent else {}
        new = {name: one for name, one in versions.items() if before.get(name) != one}
        await self._put(self.savers[again.by], ns, checkpoint_id, new)

    async def _look(self, ns: str, look: Look) -> None:
        target = await self._existing(ns, look.target) if look.target is not None else None
        await self._compare_tuple(self.savers[look.by], _config(self.thread_id, ns, target))

    async def _clear(self, ns: str, clear: Clear) -> None:
        saver = self.savers[clear.by]
        if clear.how == "copy":
            target = f"copy {len(self.copies)} of {self.thread_id}"
            self.copies.append(target)
            for one in (saver, self.memory):
                await one.acopy_thread(self.thread_id, target)
            return
        if clear.how == "prune":
            for one in (saver, self.memory):
                await one.aprune([self.thread_id])
        elif not self.with_log:
            for one in (saver, self.memory):
                await one.adelete_for_runs([self._run(clear.run)])
        if self.with_log:  # what a delta channel needs may stay, and everything else must not
            everywhere = {"configurable": {"thread_id": self.thread_id}}
            kept = {_place(each.config) async for each in saver.alist(everywhere)}
            heads = {_place(each.config) async for each in self.memory.alist(everywhere)}
            assert heads <= kept
            self.memory.hidden -= kept

    async def _put(
        self, saver: BaseCheckpointSaver, ns: str, checkpoint_id: str, changed: Mapping[str, Any]
    ) -> None:
        made = self.made[ns][checkpoint_id]
        config = _config(self.thread_id, ns, made.parent)
        for one in (self.memory, saver):
            await one.aput(config, made.checkpoint, made.metadata, dict(changed))
        self.memory.hidden.discard((self.thread_id, ns, checkpoint_id))

    async def _put_writes(
        self,
        saver: BaseCheckpointSaver,
        ns: str,
        at: str,
        found: Any,
        task: str,
        path: str,
        run: int | None = None,
    ) -> None:
        config = _config(self.thread_id, ns, at)
        if run is not None:
            config["configurable"]["run_id"] = self._run(run)
        for one in (self.memory, saver):
            await one.aput_writes(config, found, task, path)

    async def _compare_tuple(self, reader: BaseCheckpointSaver, config: RunnableConfig) -> None:
        ours, theirs = await reader.aget_tuple(config), await self.memory.aget_tuple(config)
        assert self._plain(ours) == self._plain(theirs)
        if theirs and self.with_log:
            assert await _rebuilt(reader, theirs.config) == await _rebuilt(
                self.memory, theirs.config
            )

    async def _parent(self, ns: str, index: int | None) -> str | None:
        if index is None:
            found = await self.memory.aget_tuple(_config(self.thread_id, ns))
            return id_of(found.config) if found else None
        return await self._existing(ns, index)

    async def _existing(self, ns: str, index: int) -> str | None:
        config = _config(self.thread_id, ns)
        ids = sorted([id_of(found.config) async for found in self.memory.alist(config)])
        return ids[index % len(ids)] if ids else None

    async def _log(self, ns: str, parent: str | None) -> list[Any]:
        if parent is None:
            return []
        return await _rebuilt(self.memory, _config(self.thread_id, ns, parent))

    def _changed(
        self, before: Checkpoint | None, values: Mapping[str, Any], *, logged: bool
    ) -> dict[str, Any]:
        """The new versions: each is used once, so that forks do not collide in `InMemorySaver`."""
        self.version += 1
        new = self.version if self.kind is int else f"{self.version:032}.{self.version / 7:016}"
        old = before["channel_values"] if before else {}
        versions = before["channel_versions"] if before else {}
        changed = {
            name: new
            for name in sorted({*values, *versions} - {LOG})
            if encoded(values.get(name, _NONE)) != encoded(old.get(name, _NONE))
        }
        return changed | ({LOG: new} if logged else {})

    def _plain(self, found: Any) -> Any:
        """As `plain`; the inherited snapshot of a delta channel may be read from an ancestor."""
        seen = plain(found)
        if seen is not None:
            seen["values"].pop(LOG, None)
        return seen

    def _by_namespace(self, found: Sequence[Any]) -> dict[str, list[Any]]:
        spaces: dict[str, list[Any]] = {}
        for each in found:
            spaces.setdefault(each.config["configurable"]["checkpoint_ns"], []).append(
                self._plain(each)
            )
        return spaces

    def _run(self, number: int) -> str:
        return f"run {number} of {self.thread_id}"


_NONE = "\0none"


async def _rebuilt(saver: BaseCheckpointSaver, config: RunnableConfig) -> list[Any]:
    """The log at a checkpoint, from its own value or its history."""
    found = await saver.aget_tuple(config)
    if found and LOG in found.checkpoint["channel_values"]:
        return encoded_all(found.checkpoint["channel_values"][LOG].value)
    history = (await saver.aget_delta_channel_history(config=config, channels=[LOG]))[LOG]
    seed = history["seed"].value if "seed" in history else []
    return encoded_all([*seed, *(item for _, _, value in history["writes"] for item in value)])


def encoded_all(values: Sequence[Any]) -> list[Any]:
    return list(values)


def edited(values: Mapping[str, Any], edits: Mapping[str, Any]) -> dict[str, Any]:
    """The values after these edits: unshared copies, as a process has them that loaded them."""
    new = SERDE.loads_typed(SERDE.dumps_typed(dict(values)))
    # Of their own, too: an edit in place must change neither other checkpoints nor what is drawn.
    for name, (how, *arguments) in (
        (channel, copy.deepcopy(edit)) for channel in edits for edit in edits[channel]
    ):
        if how == "empty":
            new.pop(name, None)
        elif name == "facts":
            new[name] = _edited_dict(new.get(name, {}), how, *arguments)
        elif name == "note":
            new[name] = arguments[0]
        else:
            new[name] = _edited_list(new.get(name, []), how, *arguments)
    return new


def _edited_dict(value: dict[str, Any], how: str, *arguments: Any) -> dict[str, Any]:
    match how, *arguments:
        case "set", entries:
            return value | entries
        case "drop", key:
            value.pop(key, None)
        case "grow", key, more:
            old = value.get(key)
            value[key] = [*(old if isinstance(old, list) else []), *more]
    return value


def _edited_list(value: list[Any], how: str, *arguments: Any) -> list[Any]:
    at = (
        arguments[0] % len(value)
        if value and isinstance(arguments[:1], tuple) and how in _AT
        else 0
    )
    match how, *arguments:
        case "append", more:
            value = [*value, *more]
        case "insert", _, item:
            value.insert(at, item)
        case "edit", _, item if value:
            value[at] = item
        case "in place", _, text if value and isinstance(value[at], HumanMessage | AIMessage):
            value[at].content = text
        case "remove", _ if value:
            del value[at]
        case "shuffle", seed:
            random.Random(seed).shuffle(value)  # noqa: S311 - the example's own dice
        case ("repeat",):
            value = (value + value)[:40]
        case "reset", new:
            value = new
    return value


_AT = {"insert", "edit", "in place", "remove"}


def _config(thread_id: str, ns: str, checkpoint_id: str | None = None) -> RunnableConfig:
    where = {"thread_id": thread_id, "checkpoint_ns": ns}
    return {"configurable": where | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


def _place(config: RunnableConfig) -> tuple[str, str, str]:
    where = config["configurable"]
    return (str(where["thread_id"]), where["checkpoint_ns"], where["checkpoint_id"])
