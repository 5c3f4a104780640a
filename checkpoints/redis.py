"""Checkpoints in plain Redis: a hash and a sorted set for each thread, a script for each step."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from itertools import chain, repeat
from secrets import randbits

from checkpoints.records import Found, Ordinal, Outcome, Put, Query, Range, Refusal, Row
from checkpoints.redis_client import Call, Client, Command, Server, connected, load_scripts
from checkpoints.redis_records import (
    Argument,
    epoch_argument,
    member,
    pack_ranges,
    put_arguments,
    row,
    text,
    unpack_elements,
    unpack_record,
    unpack_writes,
    untext,
)

_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_GLOB = re.compile(r"([*?\[\]\\^])")
_PAGES = (16, 64, 256)
_REFUSALS = {b"superseded": Refusal.SUPERSEDED, b"incomplete": Refusal.INCOMPLETE}


class RedisStorage:
    """A `Storage` on Redis 6.0 or later, Valkey, a cluster or behind Sentinel; no modules.

    A commit is one script a thread: several threads of one `write` are several commits, sent in
    one round trip, of which an error may leave some done.
    """

    def __init__(
        self, server: Server, *, prefix: str = "checkpoints", ttl: float | None, history: bool
    ) -> None:
        self._server = server
        self._prefix = prefix
        self._ttl = "" if ttl is None else str(max(1, round(ttl * 1000)))
        self._heads_only = "" if history else "1"
        self._scripts = load_scripts("write", "find", "elements", "rows", "remove", "delete")

    async def write(self, puts: Sequence[Put]) -> Sequence[Outcome]:
        """One round trip. See `Storage`."""
        by_thread: dict[str, list[int]] = {}
        for at, put in enumerate(puts):
            by_thread.setdefault(put.thread_id, []).append(at)
        calls = [
            self._write_call(thread_id, [puts[at] for at in places])
            for thread_id, places in by_thread.items()
        ]
        answers = await self._server.run_all(calls, self._notes_of_runs(puts))
        outcomes: dict[int, Outcome] = {}
        for places, answer in zip(by_thread.values(), answers, strict=True):
            for at, word in zip(places, answer, strict=True):
                outcomes[at] = _REFUSALS.get(word) or int(word)
        return [outcomes[at] for at in range(len(puts))]

    def _write_call(self, thread_id: str, puts: Sequence[Put]) -> Call:
        start = (_fresh_salt(), self._ttl, text(thread_id), self._heads_only)
        return self._call("write", thread_id, *start, *chain(*map(put_arguments, puts)))

    def _notes_of_runs(self, puts: Sequence[Put]) -> Sequence[Command]:
        """Which threads a run wrote in lies in other slots, so no script can write it."""
        notes: list[Command] = []
        for run_id, thread_id in {(put.run_id, put.thread_id) for put in puts if put.run_id}:
            notes.append(("SADD", self._run_key(run_id), text(thread_id)))
            if self._ttl:
                notes.append(("PEXPIRE", self._run_key(run_id), self._ttl))
        return notes

    async def find(
        self,
        thread_id: str,
        ns: str,
        checkpoint_id: str | None,
        *,
        known: str | None = None,
        epoch: int | None = None,
    ) -> Found | None:
        """One round trip, in which all elements come unless the id is `known`."""
        wanted = (text(ns), text(checkpoint_id or ""), text(known or ""))
        call = self._call("find", thread_id, self._ttl, epoch_argument(epoch), *wanted)
        answer = await self._server.run(call)
        if answer is None:
            return None
        salt, found_id, packed, packed_writes, packed_elements = answer
        record, writes = unpack_record(packed), unpack_writes(packed_writes)
        found = row(thread_id, member(ns, untext(found_id)), int(salt), record, writes)
        if not packed_elements:
            return Found(found)
        ranges = [*record.ranges, *chain.from_iterable(write.ranges for write in writes)]
        return Found(found, unpack_elements(packed_elements, ranges))

    async def elements(self, thread_id: str, ranges: Sequence[Range]) -> Mapping[Ordinal, bytes]:
        """One round trip."""
        call = self._call("elements", thread_id, self._ttl, pack_ranges(ranges))
        return unpack_elements(await self._server.run(call), ranges)

    async def rows(self, query: Query) -> AsyncIterator[Row]:
        """A round trip a page: of 16, of 64, then of 256. The order of threads is none."""
        if query.thread_id is not None:
            async for found in self._rows(self._keys(query.thread_id), self._ttl, query):
                yield found
            return
        pattern = _GLOB.sub(r"\\\1", self._prefix) + ":{*}:i"
        async for key in self._server.keys(pattern):
            # Looking through all threads does not make them live longer.
            async for found in self._rows((key[:-2], key), "keep", query):
                yield found

    async def _rows(self, keys: tuple[bytes, bytes], ttl: str, query: Query) -> AsyncIterator[Row]:
        highest, lowest = _bounds(query)
        for size in chain(_PAGES, repeat(_PAGES[-1])):
            call = Call(self._scripts["rows"], keys, (ttl, highest, lowest, size))
            salt, thread_id, *fields = await self._server.run(call) or (0, b"")
            triples = list(zip(*[iter(fields)] * 3, strict=True))
            for name, packed, writes in triples:
                if packed and _asked_for(query, name):
                    record = unpack_record(packed)
                    yield row(untext(thread_id), name, int(salt), record, unpack_writes(writes))
            if len(triples) < size:
                return
            highest = b"(" + triples[-1][0]

    async def threads_of_runs(self, run_ids: Sequence[str]) -> Sequence[str]:
        """Threads of runs that wrote less than a ttl ago; perhaps some deleted since."""
        answers = await self._server.ask([("SMEMBERS", self._run_key(each)) for each in run_ids])
        return [untext(thread_id) for thread_id in set(chain(*answers))]

    async def remove(
        self, thread_id: str, checkpoints: Sequence[tuple[str, str]], ranges: Sequence[Range]
    ) -> None:
        """See `Storage`. Elements that a checkpoint written meanwhile rests on stay."""
        names = [member(ns, checkpoint_id) for ns, checkpoint_id in checkpoints]
        call = self._call("remove", thread_id, _fresh_salt(), pack_ranges(ranges), *names)
        await self._server.run(call)

    async def delete_thread(self, thread_id: str) -> None:
        """Remove all of a thread but its epoch."""
        await self._server.run(self._call("delete", thread_id, self._ttl))

    def _call(self, script: str, thread_id: str, *arguments: Argument) -> Call:
        return Call(self._scripts[script], self._keys(thread_id), arguments)

    def _keys(self, thread_id: str) -> tuple[bytes, bytes]:
        tag = thread_id
        if not _PLAIN.fullmatch(thread_id):
            tag = "h" + blake2b(text(thread_id), digest_size=16).hexdigest()
        key = f"{self._prefix}:{{{tag}}}".encode()
        return key, key + b":i"

    def _run_key(self, run_id: str) -> bytes:
        return text(f"{self._prefix}:run:{run_id}")


def _fresh_salt() -> str:
    return str(randbits(62))


def _bounds(query: Query) -> tuple[bytes, bytes]:
    """The highest and the lowest names that may be asked for, as Redis wants them."""
    if query.ns is None:
        return b"+", b"("  # all but the empty name, which is no checkpoint's
    lowest = b"[" + member(query.ns, query.checkpoint_id or "")
    if query.checkpoint_id is not None:
        return lowest, lowest
    if query.before is not None:
        return b"(" + member(query.ns, query.before), lowest
    return b"(" + text(query.ns) + b"\x01", lowest


def _asked_for(query: Query, name: bytes) -> bool:
    checkpoint_id = name.partition(b"\0")[2]
    if query.checkpoint_id is not None and checkpoint_id != text(query.checkpoint_id):
        return False
    return query.before is None or checkpoint_id < text(query.before)


@asynccontextmanager
async def open_redis(
    url_or_client: str | Client,
    *,
    prefix: str = "checkpoints",
    ttl: float | None = None,
    history: bool = True,
    connections: int = 8,
    call_timeout: float = 10,
) -> AsyncIterator[RedisStorage]:
    """A storage on the Redis at this URL (redis, rediss, unix), or of a client, which stays open.

    `ttl`: seconds after its last use that a thread goes. Without `history`, of each namespace only
    the latest checkpoint is kept. `call_timeout`: seconds one may take. Raises `ValueError` for a
    prefix with braces or a client that decodes answers, `Unavailable` where no server answers.
    """
    if "{" in prefix or "}" in prefix:
        raise ValueError("The prefix of keys cannot contain braces.")
    async with connected(url_or_client, connections) as client:
        server = Server(client, call_timeout)
        await server.warn_of_eviction()
        yield await asyncio.to_thread(RedisStorage, server, prefix=prefix, ttl=ttl, history=history)
