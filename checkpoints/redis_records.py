"""How checkpoints, writes and elements are packed into the fields of a Redis hash."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from struct import Struct

from checkpoints.errors import InvalidCheckpoint
from checkpoints.records import Ordinal, Put, Range, Row

_MISSING = 0xFFFFFFFF
_COUNT = Struct(">I")
_SHORT = Struct(">H")
_RANGE = Struct(">QII")
_ELEMENT = Struct(">cQI")
_NONCE = Struct(">Q")

Argument = bytes | str | int


def text(value: str) -> bytes:
    """UTF-8 that also takes the lone surrogates a Python string may hold."""
    return value.encode("utf-8", "surrogatepass")


def untext(data: bytes) -> str:
    """What `text` was given."""
    return data.decode("utf-8", "surrogatepass")


def member(ns: str, checkpoint_id: str) -> bytes:
    """A checkpoint's name within its thread; sorts by namespace, then by id."""
    if "\0" in ns:
        raise InvalidCheckpoint("A namespace cannot contain NUL.")
    return text(f"{ns}\0{checkpoint_id}")


def epoch_argument(epoch: int | None) -> str:
    """Digits that compare as text like the numbers do, for any 64-bit integer."""
    return "" if epoch is None else f"{epoch + 2**63:020d}"


def pack_ranges(ranges: Sequence[Range]) -> bytes:
    """16 bytes each."""
    return b"".join(_RANGE.pack(*each) for each in ranges)


def put_arguments(put: Put) -> list[Argument]:
    """What the script takes for a put."""
    rests_on = put.salt is not None
    arguments: list[Argument] = [
        epoch_argument(put.epoch),
        str(put.salt) if rests_on else "",
        member(put.ns, put.checkpoint_id),
        _NONCE.pack(put.nonce % 2**64) if put.nonce else b"",
        _pack_record(put),
        b"".join(_needed(put)) if rests_on else b"",
        len(put.elements),
    ]
    for (stream, seq), data in put.elements.items():
        arguments += (_ELEMENT.pack(b"e", stream, seq), data)
    return arguments


def _pack_record(put: Put) -> bytes:
    parent = text(put.parent_id or "")
    ranges = pack_ranges(put.ranges)
    return b"".join(
        (_COUNT.pack(len(put.ranges)), ranges, _SHORT.pack(len(parent)), parent, put.body)
    )


def _needed(put: Put) -> Iterator[bytes]:
    """Elements whose presence proves that of all the others the put rests on.

    The elements of a stream are written in their order, and a failover loses the newest of them:
    it is enough to look at the last element of each gap between those that come along.
    """
    for stream, lo, hi in put.ranges:
        carried = sorted(seq for of, seq in put.elements if of == stream and lo <= seq < hi)
        for before, after in pairwise((lo - 1, *carried, hi)):
            if after - before > 1:
                yield _ELEMENT.pack(b"e", stream, after - 1)


@dataclass(frozen=True, slots=True)
class Record:
    """A checkpoint, or writes upon one."""

    ranges: Sequence[Range]
    parent_id: str | None
    body: bytes


def unpack_record(data: bytes) -> Record:
    """The reverse of what `put_arguments` made."""
    (count,) = _COUNT.unpack_from(data)
    at = _COUNT.size + count * _RANGE.size
    ranges: list[Range] = list(_RANGE.iter_unpack(data[_COUNT.size : at]))
    (length,) = _SHORT.unpack_from(data, at)
    at += _SHORT.size
    return Record(ranges, untext(data[at : at + length]) or None, data[at + length :])


def unpack_writes(data: bytes) -> Sequence[Record]:
    """The writes upon one checkpoint, in the order of their commits."""
    writes, at = [], 0
    while at < len(data):
        (length,) = _COUNT.unpack_from(data, at)
        start = at + _COUNT.size + _NONCE.size
        at += _COUNT.size + length
        writes.append(unpack_record(data[start:at]))
    return writes


def unpack_elements(data: bytes, ranges: Sequence[Range]) -> Mapping[Ordinal, bytes]:
    """The elements of these ranges, as the script strung them together."""
    found: dict[Ordinal, bytes] = {}
    at = 0
    for stream, lo, hi in ranges:
        for seq in range(lo, hi):
            (length,) = _COUNT.unpack_from(data, at)
            at += _COUNT.size
            if length != _MISSING:
                found[stream, seq] = data[at : at + length]
                at += length
    return found


def row(thread_id: str, name: bytes, salt: int, record: Record, writes: Sequence[Record]) -> Row:
    """The row of the checkpoint of this name."""
    ns, _, checkpoint_id = untext(name).partition("\0")
    bodies = [write.body for write in writes]
    return Row(thread_id, ns, checkpoint_id, record.parent_id, record.body, bodies, salt)
