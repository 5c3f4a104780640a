"""What clients asked for and saw, kept outside of everything that is killed."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Id = tuple[int, int]


@dataclass(frozen=True)
class Seen:
    """An event as a client received it, at `at` on the monotonic clock."""

    at: float
    id: Id
    name: str
    data: Any


@dataclass
class Message:
    """One message, the run it asked for, and what came of it. Times are monotonic."""

    marker: str
    thread: str
    mode: str
    strategy: str
    pace: float
    delay: float = 0.0
    cancel: str | None = None
    began: float = 0.0
    acknowledged: float | None = None
    run_id: str | None = None
    rejected: bool = False
    gone: bool = False
    unsure: bool = False
    """A request may have arrived though its answer did not."""
    events: list[Seen] = field(default_factory=list)
    outcome: str | None = None
    """What the stream's `end` said."""
    ended: float | None = None
    status: str | None = None
    body: Any = None

    @property
    def asked_to_stop(self) -> bool:
        """Whether it stops other runs of its thread, or itself is stopped."""
        return self.strategy in {"interrupt", "rollback"} or self.cancel is not None


@dataclass
class Journal:
    """Everything that the verifier is told."""

    messages: list[Message] = field(default_factory=list)
    tallies: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    redis_away: list[tuple[float, float]] = field(default_factory=list)
    """When a process may have missed Redis, or Redis what it knew."""
    violations: list[str] = field(default_factory=list)

    def wrong(self, text: str) -> None:
        if text not in self.violations:
            self.violations.append(text[:600])
