"""How checkpoints, writes and elements are packed into the fields of a Redis hash."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from struct import Struct

from checkpoints.errors import InvalidCheckpoint
from checkpoints.records import Ordinal, Put, Range, Row

_ARRAY_16 = 0xDC  # of more than 15; ours are of 1000 at most
_SHORTEST = 0xA0  # a string with its length in five bits of its mark
_SIZES = {0xD9: 1, 0xDA: 2, 0xDB: 4}  # of the length of a string, by its mark
_COUNT = Struct(">I")
_SHORT = Struct(">H")
_RANGE = Struct(">QII")
_ELEMENT = Struct(">cQI")
_NONCE = Struct(">Q")


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


def epoch_argument(epoch: int | None) -> bytes:
    """Digits that compare as text like the numbers do, for any 64-bit integer."""
    return b"" if epoch is None else b"%020d" % (epoch + 2**63)


def pack_ranges(ranges: Sequence[Range]) -> bytes:
    """16 bytes each."""
    return b"".join(_RANGE.pack(*each) for each in ranges)


def put_arguments(put: Put) -> list[bytes]:
    """What the script takes for a put."""
    arguments = [
        epoch_argument(put.epoch),
        b"%d" % put.salt if put.salt is not None else b"",
        member(put.ns, put.checkpoint_id),
        _NONCE.pack(put.nonce % 2**64) if put.nonce else b"",
        _pack_record(put),
        b"".join(_needed(put)) if put.salt is not None else b"",
        b"%d" % len(put.elements),
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


def unpack_elements(packs: Sequence[bytes], ranges: Sequence[Range]) -> Mapping[Ordinal, bytes]:
    """Such elements of these ranges as exist. A pack is an array of MessagePack."""
    found = chain.from_iterable(map(_unpack_strings, packs))
    ordinals = ((stream, seq) for stream, lo, hi in ranges for seq in range(lo, hi))
    return {at: data for at, data in zip(ordinals, found, strict=True) if data is not None}


def _unpack_strings(pack: bytes) -> Iterator[bytes | None]:
    """By hand: libraries take a string of MessagePack for text."""
    at = 3 if pack[0] == _ARRAY_16 else 1
    while at < len(pack):
        mark = pack[at]
        at += 1
        if mark & 0xE0 == _SHORTEST:
            length = mark & 0x1F
        elif size := _SIZES.get(mark):
            length = int.from_bytes(pack[at : at + size])
            at += size
        else:
            yield None
            continue
        yield pack[at : at + length]
        at += length


def row(thread_id: str, name: bytes, salt: int, record: Record, writes: Sequence[Record]) -> Row:
    """The row of the checkpoint of this name."""
    ns, _, checkpoint_id = untext(name).partition("\0")
    bodies = [write.body for write in writes]
    return Row(thread_id, ns, checkpoint_id, record.parent_id, record.body, bodies, salt)
