"""Which of a thread's events a client asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.protocol.translate import Told

CHANNELS = (
    "values",
    "updates",
    "messages",
    "tools",
    "custom",
    "lifecycle",
    "input",
    "tasks",
    "checkpoints",
)
_NAMED = "custom:"


def is_channel(name: Any) -> bool:
    """Whether there is such a channel; `custom:<name>` is one for every name."""
    if not isinstance(name, str):
        return False
    return name in CHANNELS or (name.startswith(_NAMED) and len(name) > len(_NAMED))


@dataclass(frozen=True)
class Filter:
    """Channels, the namespaces below which to look, and how many levels below them."""

    channels: frozenset[str]
    namespaces: Sequence[Sequence[str]] | None = None
    depth: int | None = None
    since: int = 0

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> "Filter":
        """From a request whose channels are known to be right; the rest counts where it is."""
        namespaces, depth, since = (asked.get(name) for name in ("namespaces", "depth", "since"))
        return cls(
            frozenset(asked["channels"]),
            namespaces if _are_namespaces(namespaces) else None,
            _count(depth),
            _count(since) or 0,
        )

    def wants(self, told: Told) -> bool:
        return told.seq > self.since and self._listens(told) and self._covers(told.namespace)

    def _listens(self, told: Told) -> bool:
        if told.method == "input.requested":
            return "input" in self.channels
        if told.method in self.channels:
            return True
        if told.method != "custom" or not isinstance(told.data, dict):
            return False
        return f"{_NAMED}{told.data.get('name')}" in self.channels

    def _covers(self, namespace: Sequence[str]) -> bool:
        if not self.namespaces:
            return True
        return any(
            _starts(namespace, prefix)
            and (self.depth is None or len(namespace) - len(prefix) <= self.depth)
            for prefix in self.namespaces
        )


def _starts(namespace: Sequence[str], prefix: Sequence[str]) -> bool:
    """A segment without a colon means every task of that node."""
    return len(prefix) <= len(namespace) and all(
        wanted in {segment, segment.partition(":")[0]}
        for segment, wanted in zip(namespace, prefix, strict=False)
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _are_namespaces(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, list) and all(isinstance(segment, str) for segment in one) for one in value
    )
