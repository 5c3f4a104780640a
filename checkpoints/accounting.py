"""How much room a thread takes."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from checkpoints.bodies import Stored
from checkpoints.parts import stored_ranges, union, without
from checkpoints.reading import Reader
from checkpoints.records import Query, Range

_AT_ONCE = 500  # ranges


@dataclass
class Room:
    """How many things there are, and their bytes as they are stored: compressed, sealed."""

    count: int = 0
    bytes: int = 0


@dataclass
class Usage:
    """A thread's share. Values that are small lie within their checkpoint and count there.

    `channels` are, for each channel, its versions and what lies outside; `writes` those of tasks.
    """

    checkpoints: Room = field(default_factory=Room)
    channels: dict[str, Room] = field(default_factory=dict)
    writes: Room = field(default_factory=Room)


async def usage_of(reader: Reader, thread_id: str) -> Usage:
    """Raises `Undecipherable`."""
    usage = Usage()
    versions: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    places: defaultdict[str, list[Range]] = defaultdict(list)
    written: list[Range] = []
    async for row in reader.storage.rows(Query(thread_id)):
        stored = reader.open(row)
        usage.checkpoints.count += 1
        usage.checkpoints.bytes += len(row.body)
        usage.writes.count += len(stored.writes)
        usage.writes.bytes += sum(map(len, row.writes))
        written += [each for call in stored.calls for each in call.ranges()]
        _note(stored, versions, places)
    for name, seen in versions.items():
        usage.channels[name] = Room(len(seen), await _size(reader, thread_id, places[name]))
    held = [each for ranges in places.values() for each in ranges]
    usage.writes.bytes += await _size(reader, thread_id, without(written, held))
    return usage


def _note(
    stored: Stored,
    versions: defaultdict[str, set[tuple[str, str]]],
    places: defaultdict[str, list[Range]],
) -> None:
    for name, value in stored.channels.items():
        versions[name].add((stored.row.ns, str(stored.versions.get(name))))
        places[name] = union([*places[name], *stored_ranges(value)])


async def _size(reader: Reader, thread_id: str, ranges: Iterable[Range]) -> int:
    """The bytes of these elements, each counted once."""
    wanted, size = union(ranges), 0
    for start in range(0, len(wanted), _AT_ONCE):
        found = await reader.storage.elements(thread_id, wanted[start : start + _AT_ONCE])
        size += sum(map(len, found.values()))
    return size
