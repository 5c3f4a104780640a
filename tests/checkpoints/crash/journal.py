"""What a client did, line by line: what it attempted, and what was acknowledged to it."""

import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import Checkpoint, CheckpointTuple


@dataclass(frozen=True)
class Save:
    """A checkpoint (its `task` is None), or the writes of a task upon it: (idx, channel, digest).

    `digest` is that of the whole expected state, so an element that is missing shows.
    """

    thread: str
    ns: str
    checkpoint: str
    parent: str | None = None
    digest: str = ""
    task: str | None = None
    writes: Sequence[tuple[int, str, str]] = ()
    epoch: int | None = None


@dataclass
class Attempt:
    """A save that a client began. `raised` and `acknowledged` are the ns at which it ended."""

    save: Save
    life: str
    number: int
    at: int
    acknowledged: int | None = None
    raised: int | None = None
    error: str = ""


@dataclass(frozen=True)
class Note:
    """Something else that a client has to say: what it read wrongly, or that it has the thread."""

    what: str
    text: str
    at: int


class Journal:
    """Appends lines, each on the disk before the next thing happens."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_DSYNC
        self._file = os.open(path, flags, 0o600)
        self._number = 0

    def attempted(self, save: Save) -> int:
        self._number += 1
        self._write(what="attempted", number=self._number, save=vars(save))
        return self._number

    def acknowledged(self, number: int) -> None:
        self._write(what="acknowledged", number=number)

    def raised(self, number: int, error: BaseException) -> None:
        self._write(what="raised", number=number, text=described(error))

    def note(self, what: str, text: str) -> None:
        self._write(what=what, text=text)

    def read(self, lane: tuple[str, str], began: int, head: CheckpointTuple | None) -> None:
        """The head of a thread's namespace, asked for at `began`."""
        seen = head and {
            "id": head.checkpoint["id"],
            "digest": state_digest(head.checkpoint, head.metadata),
            "writes": pending(head),
        }
        self._write(what="read", at=began, text=json.dumps([lane, seen]))

    def _write(self, **entry: Any) -> None:
        line = json.dumps({"at": time.monotonic_ns()} | entry).encode() + b"\n"
        os.write(self._file, line)


def read_journals(folder: Path) -> tuple[list[Attempt], list[Note]]:
    """What all clients of a run did, each client's attempts in their order."""
    attempts: list[Attempt] = []
    notes: list[Note] = []
    for path in sorted(folder.glob("journal-*")):
        numbered: dict[int, Attempt] = {}
        for entry in _lines(path):
            _take(entry, path.name, numbered, notes)
        attempts += numbered.values()
    return attempts, notes


def _take(
    entry: Mapping[str, Any], life: str, numbered: dict[int, Attempt], notes: list[Note]
) -> None:
    match entry["what"]:
        case "attempted":
            fields = entry["save"]
            save = Save(**{**fields, "writes": [tuple(one) for one in fields["writes"]]})
            numbered[entry["number"]] = Attempt(save, life, entry["number"], entry["at"])
        case "acknowledged":
            numbered[entry["number"]].acknowledged = entry["at"]
        case "raised":
            numbered[entry["number"]].raised = entry["at"]
            numbered[entry["number"]].error = entry["text"]
        case what:
            notes.append(Note(what, entry["text"], entry["at"]))


def _lines(path: Path) -> Iterator[Any]:
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):  # else the kill came in the middle of it
            yield json.loads(line)


def state_digest(checkpoint: Checkpoint, metadata: Mapping[str, Any]) -> str:
    """Of everything a reader can see of a checkpoint but its parent and its writes."""
    seen = {key: checkpoint[key] for key in _CONTENTS}  # type: ignore[literal-required]
    return digest([seen, metadata.get("source"), metadata.get("step")])


_CONTENTS = ("id", "ts", "channel_values", "channel_versions", "versions_seen")


def pending(found: CheckpointTuple) -> dict[str, list[tuple[str, str]]]:
    """The writes upon a checkpoint by task, in the order they are read: (channel, digest)."""
    writes: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for task, channel, value in found.pending_writes or []:
        writes[task].append((channel, digest(value)))
    return writes


def digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(message: Any) -> Any:
    """Messages, and what a serde may return in place of a tuple or a set."""
    if hasattr(message, "content"):
        return [message.type, message.id, message.content, message.additional_kwargs]
    return [type(message).__name__, repr(message)]


def described(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__name__}: {error}"
