"""Arrays for Postgres, packed in its binary format: half the price of psycopg's lists."""

from collections.abc import Sequence
from struct import Struct, pack

from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

_HEAD = Struct("!iiIii")  # dimensions, whether there are nulls, type of the items, length, from 1
_NULL = b"\xff\xff\xff\xff"
_INT4, _INT8, _BYTEA, _TEXT, _UUID = 23, 20, 17, 25, 2950


class Array(bytes):
    """A packed array; what it is an array of, the server sees."""


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> bytes:
        return obj


def register(adapters: AdaptersMap) -> None:
    """Let connections with these adapters take `Array` as a parameter."""
    adapters.register_dumper(Array, _ArrayDumper)


def ints(values: Sequence[int]) -> Array:
    parts = [part for value in values for part in (4, value)]
    return Array(_HEAD.pack(1, 0, _INT4, len(values), 1) + pack(f"!{len(parts)}i", *parts))


def bigints(values: Sequence[int | None]) -> Array:
    return _packed(_INT8, [None if value is None else pack("!q", value) for value in values])


def byteas(values: Sequence[bytes]) -> Array:
    return _packed(_BYTEA, values)


def texts(values: Sequence[bytes | None]) -> Array:
    """Of text in UTF-8, which the connection must speak."""
    return _packed(_TEXT, values)


def uuids(values: Sequence[bytes | None]) -> Array:
    return _packed(_UUID, values)


def _packed(oid: int, items: Sequence[bytes | None]) -> Array:
    parts = [_HEAD.pack(1, None in items, oid, len(items), 1)]
    for item in items:
        parts += (_NULL,) if item is None else (len(item).to_bytes(4, "big"), item)
    return Array(b"".join(parts))
