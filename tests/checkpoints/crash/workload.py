"""Conversations as Pregel would save them, random but for a seed."""

import asyncio
import string
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.base.id import uuid6

from checkpoints.checkpointer import EPOCH
from tests.checkpoints.crash.journal import Save, digest, state_digest

Write = tuple[str, Any]


class Recorder(Protocol):
    """Keeps the journal."""

    async def save(self, save: Save, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Do it, with a line before and after. Raises what the saver raised."""
        ...

    def read(self, lane: tuple[str, str], began: int, head: CheckpointTuple | None) -> None:
        """A head was read."""
        ...


@dataclass
class Head:
    """Where a conversation stands: what the next checkpoint is made from."""

    checkpoint_id: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    step: int = -1


class Conversation:
    """One namespace of one thread, and the client's view of where it stands."""

    def __init__(
        self,
        saver: BaseCheckpointSaver[Any],
        recorder: Recorder,
        seed: str,
        lane: tuple[str, str],
        configurable: dict[str, Any],
        pruned: bool,
    ) -> None:
        self.thread, self.ns = lane
        self.head = Head()
        self._saver, self._recorder, self._pruned = saver, recorder, pruned
        self._rng = dice(f"{seed}/{lane}")
        self._configurable = configurable
        self._epoch = configurable.get(EPOCH)
        self._background: set[asyncio.Task[None]] = set()
        self._saved: dict[str, str] = {}
        self._texts = 0
        self._written: list[BaseMessage] = []
        self._dropped: list[BaseMessage] = []

    def config(self, checkpoint_id: str | None = None) -> RunnableConfig:
        here = {"thread_id": self.thread, "checkpoint_ns": self.ns, **self._configurable}
        return {"configurable": here | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}

    async def read_head(self) -> str | None:
        """Go on from the latest checkpoint, as a new run would."""
        self._take(await self._read_head())
        return self.head.checkpoint_id

    async def settle(self) -> None:
        """Wait for writes under way, as at the end of a run. Raises what the first one raised."""
        while self._background:
            waiting, self._background = self._background, set()
            results = await asyncio.gather(*waiting, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    async def step(self) -> None:
        """A super-step: the writes of its tasks, and the checkpoint that applies them."""
        if self._rng.random() < 0.08 and len(self._saved) > 2:
            await self._fork()
        if self.head.checkpoint_id is not None:
            self._write_tasks()
            if self._rng.random() < 0.25:
                await self.settle()
            if self._rng.random() < 0.1:
                await self._interrupt()
        await self._put_next()

    async def misread(self, *, alone: bool) -> str | None:
        """What the latest checkpoint is read as, if that is wrong."""
        mine = self.head.checkpoint_id
        found = await self._read_head()
        if mine is None:
            return None
        if found is None:
            return f"{self.thread}/{self.ns}: {mine} was saved, and nothing is found"
        latest = found.checkpoint["id"]
        if latest < mine or (alone and latest != mine):
            return f"{self.thread}/{self.ns}: stale head {latest}, saved was {mine}"
        expected = self._saved.get(latest)
        if expected and state_digest(found.checkpoint, found.metadata) != expected:
            return f"{self.thread}/{self.ns}: {latest} reads differently from what was saved"
        return None

    async def _read_head(self) -> CheckpointTuple | None:
        began = time.monotonic_ns()
        found = await self._saver.aget_tuple(self.config())
        self._recorder.read((self.thread, self.ns), began, found)
        return found

    def _take(self, found: CheckpointTuple | None) -> None:
        if found is None:
            self.head = Head()
            return
        kept = found.checkpoint
        self.head = Head(
            kept["id"],
            dict(kept["channel_values"]),
            dict(kept["channel_versions"]),
            found.metadata["step"],
        )

    async def _fork(self) -> None:
        """Go on from an earlier checkpoint."""
        await self.settle()
        earlier = self._rng.choice(list(self._saved)[-6:])
        found = await self._saver.aget_tuple(self.config(earlier))
        if found is None and self._pruned:
            return
        if found is None or state_digest(found.checkpoint, found.metadata) != self._saved[earlier]:
            raise Misread(f"{self.thread}/{self.ns}: {earlier} is {'wrong' if found else 'gone'}")
        self._take(found)

    def _write_tasks(self) -> None:
        for number in range(self._rng.randint(1, 3)):
            self._written.append(self._message())
            writes: list[Write] = [("messages", self._written[-1:])]
            if self._rng.random() < 0.5:
                writes.append(("notes", {self._word(): self._text()}))
            if self._rng.random() < 0.2:
                writes.append(("__error__", self._text()))
            task = self._id()
            self._spawn(self._save_writes(writes, task, f"~__pregel_pull, node{number}"))
            if self._rng.random() < 0.1:  # sent once more: stored once
                self._spawn(self._save_writes(writes, task, f"~__pregel_pull, node{number}"))

    async def _interrupt(self) -> None:
        """A task asks twice, the last question counts; the answer comes in a list that grows."""
        task = self._id()
        for _ in range(2):
            await self._save_writes([("__interrupt__", [self._text()])], task, "~ask")
        task = self._id()  # others may answer at the same time: each for themselves
        answers: list[Write] = [("__resume__", self._word()), ("count", 1)]
        for end in (1, 2):
            await self._save_writes(answers[:end], task, "")

    async def _save_writes(self, writes: Sequence[Write], task: str, path: str) -> None:
        assert self.head.checkpoint_id is not None
        config = self.config(self.head.checkpoint_id)
        sums = [
            (WRITES_IDX_MAP.get(channel, position), channel, digest(value))
            for position, (channel, value) in enumerate(writes)
        ]
        here = self.thread, self.ns, self.head.checkpoint_id
        save = Save(*here, task=task, writes=sums, epoch=self._epoch)
        await self._recorder.save(save, lambda: self._saver.aput_writes(config, writes, task, path))

    async def _put_next(self) -> None:
        parent = self.head.checkpoint_id
        changed = self._changes(self.head.values)
        values = {name: value for name, value in (self.head.values | changed).items() if value}
        now = max(self.head.versions.values(), default=None)
        version = self._saver.get_next_version(now, None)
        versions = dict.fromkeys(changed, version)
        checkpoint: Checkpoint = {
            "v": 4,
            "id": str(uuid6(clock_seq=self.head.step + 1)),
            "ts": f"2026-01-01T00:00:{self._rng.random():09.6f}+00:00",
            "channel_values": values,
            "channel_versions": self.head.versions | versions,
            "versions_seen": {"node0": versions},
            "updated_channels": sorted(changed),
        }
        metadata: CheckpointMetadata = {
            "source": "loop",
            "step": self.head.step + 1,
            "parents": {},
        }
        put = self._put(parent, checkpoint, metadata, versions)
        saving = asyncio.create_task(put)  # a task as the writes are, so that it starts after them
        await saving
        if self._rng.random() < 0.05:
            await self._put(parent, checkpoint, metadata, versions)
        self.head = Head(checkpoint["id"], values, checkpoint["channel_versions"], metadata["step"])
        self._saved[checkpoint["id"]] = state_digest(checkpoint, metadata)

    def _put(
        self,
        parent: str | None,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        versions: dict[str, Any],
    ) -> Coroutine[Any, Any, None]:
        sums = state_digest(checkpoint, metadata)
        save = Save(self.thread, self.ns, checkpoint["id"], parent, sums, epoch=self._epoch)
        config = self.config(parent)
        return self._recorder.save(
            save, lambda: self._saver.aput(config, checkpoint, metadata, versions)
        )

    def _changes(self, values: dict[str, Any]) -> dict[str, Any]:
        """New values of the channels that this step changes; an empty one is to be absent."""
        rng = self._rng
        changed: dict[str, Any] = {"messages": self._changed_messages(values.get("messages", []))}
        if rng.random() < 0.5:
            notes = values.get("notes", {}) | {self._word(): self._text()}
            changed["notes"] = {} if rng.random() < 0.1 else notes
        if rng.random() < 0.3:
            changed["docs"] = [*values.get("docs", [])[-8:], {"text": self._text(), "score": 0.5}]
        if rng.random() < 0.3:
            changed["summary"] = rng.choice(["", self._word(), rng.randbytes(2000).hex()])
        changed["count"] = values.get("count", 0) + 1
        return changed

    def _changed_messages(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """With what the tasks wrote, and now and then with what was there once before."""
        kept = list(messages)
        chance = self._rng.random()
        if chance < 0.1 and kept:
            kept[self._rng.randrange(len(kept))] = self._message()
        elif chance < 0.2:
            kept = kept[-4:]
        elif chance < 0.25:
            kept.reverse()
        elif chance < 0.3:
            kept = []
        elif chance < (0.8 if self._pruned else 0.4):
            kept += self._dropped[-3:]
        new = [self._message() for _ in range(self._rng.randint(0, 2))]
        result = (kept + self._written + new)[-40:]
        self._dropped = [one for one in [*self._dropped, *messages] if one not in result][-20:]
        self._written = []
        return result

    def _message(self) -> BaseMessage:
        kind = self._rng.choice((AIMessage, HumanMessage))
        return kind(content=self._text(), id=self._id())

    def _text(self) -> str:
        """Never the same twice, and now and then longer than a page."""
        self._texts += 1
        words = self._rng.choice((3, 20, 120, 300))
        return f"{self._texts} {' '.join(self._word() for _ in range(words))}"

    def _word(self) -> str:
        return "".join(self._rng.choices(string.ascii_lowercase, k=5))

    def _id(self) -> str:
        return f"{self._rng.getrandbits(128):032x}"

    def _spawn(self, saving: Coroutine[Any, Any, None]) -> None:
        self._background.add(asyncio.create_task(saving))


def dice(seed: str) -> Random:
    """Chance that comes out the same again."""
    return Random(seed)  # noqa: S311


class Misread(Exception):
    """The saver returned something else than what it had acknowledged."""
