"""A thread's stored events as protocol events, numbered: the same for every reader, every time.

Events are counted from the thread's first one. Where what came before cannot be known (a stream
that was shortened or has expired, an attempt that died, a store that was away) the count goes on
from a number that depends on the position alone and lies above every count before it. So a
client's `since` never hides anything; an event that comes to it again has the same `event_id`.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from engine.following import Event, Position
from engine.protocol.telling import Item, Namespace, RunTelling
from engine.serialise import dumps

_EPOCH = 2**23  # so that a billion epochs fit into the integers of JavaScript
_EACH = 8  # more protocol events than a stored one makes, by and large


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a run comes from: its graph, and whether others told something before it.

    `since` is the thread's epoch when the run was asked for, `before` the last epoch of another
    run before its own; 0 where there was none.
    """

    graph_name: str | None = None
    since: int = 0
    before: int = 0


UNKNOWN = Origin(since=1)
"""A run that is gone, so that nobody can tell what was before it."""


@dataclass(frozen=True, slots=True)
class Told:
    """One protocol event. `timestamp` is in milliseconds since 1970, and when it was read."""

    seq: int
    event_id: str
    item: Item
    timestamp: int

    @property
    def method(self) -> str:
        return self.item.method

    @property
    def namespace(self) -> Namespace:
        return self.item.namespace

    @property
    def data(self) -> Any:
        return self.item.data() if callable(self.item.data) else self.item.data

    def dumps(self) -> bytes:
        """The event as JSON."""
        params: dict[str, Any] = {
            "namespace": self.namespace,
            "timestamp": self.timestamp,
            "data": self.data,
        }
        if self.item.node:
            params["node"] = self.item.node
        return dumps(
            {
                "type": "event",
                "event_id": self.event_id,
                "seq": self.seq,
                "method": self.method,
                "params": params,
            }
        )


def _now() -> int:
    return time.time_ns() // 1_000_000


class Translator:
    """Reads one thread's events from the first that is there."""

    def __init__(self, clock: Callable[[], int] = _now) -> None:
        self.seq = 0
        self._clock = clock
        self._last: Position = (0, 0)
        self._ended = True  # the last event was its run's end
        self._runs: dict[UUID, RunTelling] = {}
        self._steps: dict[Namespace, int] = {}

    @property
    def open_runs(self) -> list[UUID]:
        """Those that have begun and whose end has not been told."""
        return [run_id for run_id, run in self._runs.items() if not run.over]

    def knows(self, run_id: UUID) -> bool:
        return run_id in self._runs

    def read(self, events: Iterable[Event], origins: Mapping[UUID, Origin]) -> list[Told]:
        """What these tell, which come next on the thread."""
        return [
            told
            for event in events
            for told in self._read(event, origins.get(event.run_id, UNKNOWN))
        ]

    def close(self, run_id: UUID, status: str, error: str | None = None) -> list[Told]:
        """The end of a run that its events do not tell."""
        run = self._runs[run_id]
        return self._number(run, run.close(status, error))

    def recall(
        self,
        run_id: UUID,
        epoch: int,
        graph_name: str,
        interrupts: Iterable[Mapping[str, Any]],
        status: str,
        error: str | None = None,
    ) -> list[Told]:
        """How the thread's last run left it, where no event is there to tell it any more."""
        run = self._runs[run_id] = RunTelling(run_id, graph_name)
        run.recall(interrupts)
        items = [*run.begin(), *run.close(status, error)]
        self.seq = (epoch + 1) * _EPOCH - len(items) - 1  # behind all that the run has told
        return self._number(run, items)

    def _read(self, event: Event, origin: Origin) -> list[Told]:
        if not self._follows(event, origin):
            epoch, number = event.position
            self.seq = max(self.seq, epoch * _EPOCH + number * _EACH)
        self._last, self._ended = event.position, event.name == "end"
        items: list[Item] = []
        if (run := self._runs.get(event.run_id)) is None:
            run = self._runs[event.run_id] = RunTelling(
                event.run_id, origin.graph_name, self._steps
            )
            items += run.begin()
        items += run.read(event)
        return self._number(run, items)

    def _follows(self, event: Event, origin: Origin) -> bool:
        """Whether nothing is missing between the last event and this one, as far as is known."""
        (epoch, number), (last_epoch, last_number) = event.position, self._last
        if epoch == last_epoch:
            return number == last_number + 1
        if self.knows(event.run_id) or number != 1 or not self._ended:
            return False
        return origin.before <= last_epoch and (last_epoch > 0 or origin.since == 0)

    def _number(self, run: RunTelling, items: Iterable[Item]) -> list[Told]:
        told: list[Told] = []
        of_one: dict[Position, int] = {}
        for item in items:
            self.seq += 1
            told.append(Told(self.seq, _id(run, item, of_one), item, self._clock()))
        return told


def _id(run: RunTelling, item: Item, of_one: dict[Position, int]) -> str:
    if item.event is None:
        return f"synth:{run.run_id}:{item.key}"
    number = of_one.get(item.event.position, 0)
    of_one[item.event.position] = number + 1
    return f"{item.event.id}.{number}" if number else item.event.id
