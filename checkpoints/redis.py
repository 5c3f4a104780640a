"""Checkpoints in plain Redis: a hash and a sorted set for each thread, a script for each step."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from itertools import chain, repeat
from secrets import randbits
from typing import Any

from checkpoints.records import Found, Ordinal, Outcome, Put, Query, Range, Refusal, Row, Writes
from checkpoints.redis_client import Client, Command, Server, connected, raise_first_error
from checkpoints.redis_records import (
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
from checkpoints.redis_scripts import Call, load_scripts, run

_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_GLOB = re.compile(r"([*?\[\]\\^])")
_PAGES = (16, 64, 256)
REFUSALS = {b"superseded": Refusal.SUPERSEDED, b"incomplete": Refusal.INCOMPLETE}


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
        self._ttl = b"" if ttl is None else b"%d" % max(1, round(ttl * 1000))
        self._heads_only = b"" if history else b"1"
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
        answers = await run(self._server, calls, first=self._notes_of_runs(puts))
        outcomes: dict[int, Outcome] = {}
        for places, answer in zip(by_thread.values(), answers, strict=True):
            for at, word in zip(places, answer.split(), strict=True):
                outcomes[at] = REFUSALS.get(word) or int(word)
        return [outcomes[at] for at in range(len(puts))]

    def _write_call(self, thread_id: str, puts: Sequence[Put]) -> Call:
        start = (_fresh_salt(), self._ttl, text(thread_id), self._heads_only)
        return self._call("write", thread_id, *start, *chain(*map(put_arguments, puts)))

    def _notes_of_runs(self, puts: Sequence[Put]) -> Sequence[Command]:
        """Which threads a run wrote in lies in other slots, so no script can write it."""
        notes: list[Command] = []
        for run_id, thread_id in {(put.run_id, put.thread_id) for put in puts if put.run_id}:
            notes.append((b"SADD", self._run_key(run_id), text(thread_id)))
            if self._ttl:
                notes.append((b"PEXPIRE", self._run_key(run_id), self._ttl))
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
        call = self._find_call(thread_id, ns, checkpoint_id, known, epoch)
        (answer,) = await run(self._server, [call])
        return self._found(thread_id, ns, answer)

    def _find_call(
        self,
        thread_id: str,
        ns: str,
        checkpoint_id: str | None,
        known: str | None,
        epoch: int | None,
    ) -> Call:
        wanted = (text(ns), text(checkpoint_id or ""), text(known or ""))
        return self._call("find", thread_id, self._ttl, epoch_argument(epoch), *wanted)

    def _found(self, thread_id: str, ns: str, answer: Any) -> Found | None:
        if answer is None:
            return None
        salt, found_id, packed, packed_writes, *packs = answer
        record, writes = unpack_record(packed), unpack_writes(packed_writes)
        found = row(thread_id, member(ns, untext(found_id)), int(salt), record, writes)
        if not packs:
            return Found(found)
        ranges = [*record.ranges, *chain.from_iterable(write.ranges for write in writes)]
        return Found(found, unpack_elements(packs, ranges))

    async def elements(self, thread_id: str, ranges: Sequence[Range]) -> Mapping[Ordinal, bytes]:
        """One round trip."""
        call = self._call("elements", thread_id, self._ttl, pack_ranges(ranges))
        (packs,) = await run(self._server, [call])
        return unpack_elements(packs, ranges)

    async def rows(self, query: Query) -> AsyncIterator[Row]:
        """A round trip a page: of 16, of 64, then of 256. The order of threads is none."""
        if query.thread_id is not None:
            async for found in self._rows(self._keys(query.thread_id), self._ttl, query):
                yield found
            return
        pattern = _GLOB.sub(r"\\\1", self._prefix) + ":{*}:i"
        async for key in self._server.keys(pattern):
            # Looking through all threads does not make them live longer.
            async for found in self._rows((key[:-2], key), b"keep", query):
                yield found

    async def _rows(
        self, keys: tuple[bytes, bytes], ttl: bytes, query: Query
    ) -> AsyncIterator[Row]:
        highest, lowest = _bounds(query)
        for size in chain(_PAGES, repeat(_PAGES[-1])):
            call = Call(self._scripts["rows"], keys, (ttl, highest, lowest, b"%d" % size))
            (page,) = await run(self._server, [call])
            salt, thread_id, *fields = page or (0, b"")
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
        commands = [(b"SMEMBERS", self._run_key(run_id)) for run_id in run_ids]
        answers = await self._server.exchange(commands)
        raise_first_error(answers)
        return [untext(thread_id) for thread_id in set(chain(*answers))]

    async def remove(
        self,
        thread_id: str,
        checkpoints: Sequence[tuple[str, str]],
        ranges: Sequence[Range],
        writes: Sequence[Writes] = (),
    ) -> None:
        """See `Storage`. Elements that a checkpoint written meanwhile rests on stay."""
        names = [member(ns, checkpoint_id) for ns, checkpoint_id in checkpoints]
        pairs = chain(*((member(ns, id_), body) for ns, id_, body in writes))
        start = (_fresh_salt(), pack_ranges(ranges), b"%d" % len(names))
        await run(self._server, [self._call("remove", thread_id, *start, *names, *pairs)])

    async def delete_thread(self, thread_id: str) -> None:
        """Remove all of a thread but its epoch."""
        await run(self._server, [self._call("delete", thread_id, self._ttl)])

    def _call(self, script: str, thread_id: str, *arguments: bytes) -> Call:
        return Call(self._scripts[script], self._keys(thread_id), arguments)

    def _keys(self, thread_id: str) -> tuple[bytes, bytes]:
        tag = thread_id
        if not _PLAIN.fullmatch(thread_id):
            tag = "h" + blake2b(text(thread_id), digest_size=16).hexdigest()
        key = f"{self._prefix}:{{{tag}}}".encode()
        return key, key + b":i"

    def _run_key(self, run_id: str) -> bytes:
        return text(f"{self._prefix}:run:{run_id}")


def _fresh_salt() -> bytes:
    return b"%d" % randbits(62)


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
    reached = connected(url_or_client, connections=connections, timeout=call_timeout)
    async with reached as server:
        await server.warn_of_eviction()
        yield await asyncio.to_thread(RedisStorage, server, prefix=prefix, ttl=ttl, history=history)
