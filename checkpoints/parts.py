"""How a value is made up of elements, and where in its thread they lie."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from langgraph.checkpoint.serde.types import _DeltaSnapshot

from checkpoints.encoding import Encoding
from checkpoints.records import Ordinal, Range

INLINE = 128
"""Bytes up to which a value lies in the checkpoint's body: a row of its own would cost more."""

_FEW = 16


class Kind(IntEnum):
    """What a part is. The numbers are stored."""

    INLINE = 0
    WHOLE = 1
    LIST = 2
    FIELDS = 3
    ENTRIES = 4
    SNAPSHOT = 5


@dataclass(frozen=True, slots=True)
class Part:
    """A value taken apart.

    INLINE: its only item lies in the body. WHOLE: its only item is an element. LIST: an element an
    item. FIELDS: a part a key (few keys). ENTRIES: an element a [key, value] (many keys).
    SNAPSHOT: a delta channel's snapshot of the value in its only part.
    """

    kind: Kind
    items: Sequence[bytes] = ()
    ranges: Sequence[Range] = ()
    parts: Mapping[str, "Part"] = field(default_factory=dict)


Place = Callable[[Sequence[bytes], str, Part | None], Part]
"""Gives items their places: (items, stream's name, the part before) -> a LIST part."""


def take_apart(
    encoding: Encoding, value: Any, name: str, before: Part | None, place: Place
) -> Part:
    """The parts of `value`, its elements placed in streams named after `name`.

    `before` is the part that the channel was, so that what it shares with it is found at once.
    """
    if type(value) is _DeltaSnapshot:
        inner = before.parts.get("") if before else None
        return Part(
            Kind.SNAPSHOT, parts={"": take_apart(encoding, value.value, name, inner, place)}
        )
    if encoding.splits and type(value) is dict and _worth_splitting(value):
        return _dict_apart(encoding, value, name, before, place)
    return _apart(encoding, value, name, before, place)


def _apart(encoding: Encoding, value: Any, name: str, before: Part | None, place: Place) -> Part:
    if encoding.splits and type(value) is list and value:
        items = [encoding.encode(one) for one in value]
        if sum(map(len, items)) > INLINE:
            return place(items, name, before)
    whole = encoding.encode(value)
    if len(whole) <= INLINE:
        return Part(Kind.INLINE, (whole,))
    placed = place((whole,), name, before)
    return Part(Kind.WHOLE, placed.items, placed.ranges)


def _dict_apart(
    encoding: Encoding, value: dict[str, Any], name: str, before: Part | None, place: Place
) -> Part:
    if len(value) > _FEW:
        placed = place([encoding.encode([*entry]) for entry in value.items()], name, before)
        return Part(Kind.ENTRIES, placed.items, placed.ranges)
    old = before.parts if before else {}
    parts = {
        key: _apart(encoding, one, f"{name}.{key}", old.get(key), place)
        for key, one in value.items()
    }
    return Part(Kind.FIELDS, parts=parts)


def _worth_splitting(value: dict[Any, Any]) -> bool:
    return all(type(key) is str for key in value) and (
        len(value) > _FEW
        or any(
            type(one) is list or (isinstance(one, str | bytes) and len(one) > INLINE)
            for one in value.values()
        )
    )


def put_together(encoding: Encoding, part: Part) -> Any:
    """The value that was taken apart: new objects every time."""
    match part.kind:
        case Kind.INLINE | Kind.WHOLE:
            return encoding.decode(part.items[0])
        case Kind.LIST:
            return encoding.decode_all(part.items)
        case Kind.FIELDS:
            return {key: put_together(encoding, one) for key, one in part.parts.items()}
        case Kind.ENTRIES:
            return dict(encoding.decode_all(part.items))
        case Kind.SNAPSHOT:
            return _DeltaSnapshot(put_together(encoding, part.parts[""]))


def packed(part: Part) -> list[Any]:
    """The part as it is stored in a body."""
    if part.parts or part.kind in (Kind.FIELDS, Kind.SNAPSHOT):
        return [int(part.kind), {key: packed(one) for key, one in part.parts.items()}]
    if part.kind is Kind.INLINE:
        return [0, part.items[0]]
    return [int(part.kind), [number for one in part.ranges for number in one]]


def unpacked(stored: Sequence[Any], item: Callable[[Ordinal], bytes]) -> Part:
    """The part that was stored, its items asked of `item`."""
    kind, content = Kind(stored[0]), stored[1]
    if kind is Kind.INLINE:
        return Part(kind, (content,))
    if kind in (Kind.FIELDS, Kind.SNAPSHOT):
        return Part(kind, parts={key: unpacked(one, item) for key, one in content.items()})
    ranges = _triples(content)
    return Part(kind, [item(at) for at in ordinals(ranges)], ranges)


def stored_ranges(stored: Sequence[Any]) -> Iterator[Range]:
    """Where the elements of a stored part lie."""
    kind, content = stored
    if kind in (Kind.FIELDS, Kind.SNAPSHOT):
        for one in content.values():
            yield from stored_ranges(one)
    elif kind != Kind.INLINE:
        yield from _triples(content)


def leaves(part: Part) -> Iterator[Part]:
    """The parts within a part that hold elements."""
    if part.ranges:
        yield part
    for one in part.parts.values():
        yield from leaves(one)


def ordinals(ranges: Iterable[Range]) -> Iterator[Ordinal]:
    """Every place in the ranges, in order."""
    for stream, low, high in ranges:
        for seq in range(low, high):
            yield stream, seq


def extend(ranges: list[Range], at: Ordinal) -> None:
    """Add a place at the end of the ranges."""
    stream, seq = at
    if ranges and ranges[-1][0] == stream and ranges[-1][2] == seq:
        ranges[-1] = (stream, ranges[-1][1], seq + 1)
    else:
        ranges.append((stream, seq, seq + 1))


def union(ranges: Iterable[Range]) -> list[Range]:
    """The same places, each once, as few ranges in ascending order."""
    merged: list[Range] = []
    for stream, low, high in sorted(ranges):
        if merged and merged[-1][0] == stream and low <= merged[-1][2]:
            merged[-1] = (stream, merged[-1][1], max(high, merged[-1][2]))
        else:
            merged.append((stream, low, high))
    return merged


def without(ranges: Iterable[Range], kept: Iterable[Range]) -> list[Range]:
    """The places in `ranges` that are not in `kept`."""
    keep: dict[int, list[Range]] = {}
    for one in union(kept):
        keep.setdefault(one[0], []).append(one)
    left: list[Range] = []
    for stream, low, high in union(ranges):
        for _, start, end in keep.get(stream, ()):
            if start >= high or end <= low:
                continue
            if low < start:
                left.append((stream, low, start))
            low = end
        if low < high:
            left.append((stream, low, high))
    return left


def _triples(flat: Sequence[int]) -> list[Range]:
    return list(zip(flat[0::3], flat[1::3], flat[2::3], strict=True))
