"""Postgres keeps everything; Redis has copies of the heads of active threads.

A copy is believed when it was left whole and nobody has marked it since. Who is about to commit
marks the copy first, brings it up to date after the commit and before acknowledging it, and takes
the mark back when the thread rests. So a crash at any point leaves a mark, and a marked copy is
not believed. A copy says which run of the server it was made on: a restart, a failover or an old
dump is not believed either. A writer that cannot reach Redis forbids to believe any (`trust`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from checkpoints.background import beside
from checkpoints.errors import CheckpointError
from checkpoints.hot import HotStorage, Mark
from checkpoints.parts import union
from checkpoints.postgres import PostgresStorage
from checkpoints.records import Found, Ordinal, Outcome, Put, Query, Range, Refusal, Row, Writes
from checkpoints.trust import Trust

_log = logging.getLogger(__name__)

_REST = 0.2
_PROBE = 0.5


@dataclass(slots=True)
class _Copy:
    """A copy this process marked. `whole`: it says what Postgres says, as far as we know.

    `heads` are the puts of each namespace's latest checkpoint and its writes: to make it whole.
    """

    epoch: int | None
    generation: int | None
    touched: float
    whole: bool = False
    run: bytes = b""
    flying: int = 0
    clearing: "asyncio.Task[None] | None" = None
    heads: dict[str, list[Put]] = field(default_factory=dict)

    def follow(self, mark: Mark | None) -> None:
        """Note what became of the mark while something was committed."""
        if mark is None or not mark.kept or mark.run != self.run:
            self.whole = False
        if mark is not None:
            self.run = mark.run

    def note(self, put: Put) -> None:
        head = self.heads.setdefault(put.ns, [])
        if put.nonce == 0:
            head[:] = [one for one in head if one.checkpoint_id >= put.checkpoint_id]
            head[:] = [one for one in head if one.nonce or one.checkpoint_id > put.checkpoint_id]
        head.append(replace(put, elements={}, salt=None))


class TieredStorage:
    """A `Storage`: writes go to Postgres and through to Redis, heads are read from Redis."""

    def __init__(self, cold: PostgresStorage, hot: HotStorage, trust: Trust) -> None:
        self._cold = cold
        self._hot = hot
        self._trust = trust
        self._copies: dict[str, _Copy] = {}
        self._clock = asyncio.get_running_loop().time
        self._away = False

    async def write(self, puts: Sequence[Put]) -> Sequence[Outcome]:
        """See `Storage`. Redis may be away: then the first write takes a second longer."""
        epochs = {put.thread_id: put.epoch for put in puts}
        async with self._outdating(epochs) as committed:
            outcomes = await self._cold.write(puts)
            committed += [
                replace(put, salt=outcome, epoch=None)
                for put, outcome in zip(puts, outcomes, strict=True)
                if not isinstance(outcome, Refusal)
            ]
        return outcomes

    async def find(
        self,
        thread_id: str,
        ns: str,
        checkpoint_id: str | None,
        *,
        known: str | None = None,
        epoch: int | None = None,
    ) -> Found | None:
        """One round trip to Redis; one to Postgres if the copy is missing or not believed."""
        found = await self._copied(thread_id, ns, checkpoint_id, known)
        if found is None:
            found = await self._cold.find(thread_id, ns, checkpoint_id, known=known, epoch=epoch)
        return found

    async def elements(self, thread_id: str, ranges: Sequence[Range]) -> Mapping[Ordinal, bytes]:
        return await self._cold.elements(thread_id, ranges)

    def rows(self, query: Query) -> AsyncIterator[Row]:
        return self._cold.rows(query)

    async def threads_of_runs(self, run_ids: Sequence[str]) -> Sequence[str]:
        return await self._cold.threads_of_runs(run_ids)

    async def remove(
        self,
        thread_id: str,
        checkpoints: Sequence[tuple[str, str]],
        ranges: Sequence[Range],
        writes: Sequence[Writes] = (),
    ) -> None:
        async with self._outdating({thread_id: None}, anew=True):
            await self._cold.remove(thread_id, checkpoints, ranges, writes)

    async def delete_thread(self, thread_id: str, *, if_swept: bool = False) -> None:
        async with self._outdating({thread_id: None}, anew=True):
            await self._cold.delete_thread(thread_id, if_swept=if_swept)

    async def sweep(self, idle_seconds: float, limit: int) -> list[str]:
        """See `PostgresStorage.sweep`."""
        return await self._cold.sweep(idle_seconds, limit)

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """While inside, take back the marks of threads at rest; at the end those of all."""
        try:
            async with beside(self._rest_forever(), "checkpoints copies"):
                yield
        finally:
            await self._rest(float("inf"))

    async def _copied(
        self, thread_id: str, ns: str, checkpoint_id: str | None, known: str | None
    ) -> Found | None:
        """What the copy says, if it may be believed."""
        if self._away or (generation := await self._trust.generation()) is None:
            return None
        try:
            found, standing = await self._hot.look(thread_id, ns, checkpoint_id, known, generation)
        except CheckpointError as error:
            self._stay_away(error)
            return None
        if standing.others:
            return None
        if not standing.mine:
            return found if standing.stamped else None
        copy = self._copies.get(thread_id)
        ours = copy is not None and copy.whole and not copy.flying
        return (
            found
            if ours and copy and (copy.run, copy.generation) == (standing.run, generation)
            else None
        )

    @asynccontextmanager
    async def _outdating(
        self, epochs: Mapping[str, int | None], *, anew: bool = False
    ) -> AsyncIterator[list[Put]]:
        """While inside nobody believes the copies; after it they have the puts committed inside.

        With Redis away, no copy at all is believed any more before this goes on. `anew`: what is
        done inside is more than puts.
        """
        held: list[_Copy] = []
        committed: list[Put] = []
        done = False
        try:
            if not (marked := await self._mark(epochs, held)):
                await self._trust.distrust()
            yield committed
            done = not anew
            if not (marked and await self._follow(epochs, committed)):
                await self._trust.distrust()
        finally:
            for copy in held:
                copy.whole = copy.whole and done  # else perhaps it is yet to be committed
                copy.flying -= 1
                copy.touched = self._clock()

    def _hold(self, threads: Iterable[str], held: list[_Copy]) -> None:
        """Keep the copies of these threads marked, each once, for as long as it is held."""
        for thread_id in threads:
            copy = self._copies.get(thread_id)
            if copy and not any(copy is one for one in held):
                copy.flying += 1
                held.append(copy)

    async def _mark(self, epochs: Mapping[str, int | None], held: list[_Copy]) -> bool:
        """Mark the copies that are not, and hold them all. False if Redis is away."""
        while True:
            await self._cleared(epochs)
            self._hold(epochs, held)  # from here on the marks of those that there are stay
            if self._away:
                return self._unmark(epochs)
            new = {
                thread_id: epoch
                for thread_id, epoch in epochs.items()
                if (copy := self._copies.get(thread_id)) is None or copy.epoch != epoch
            }
            if not new:
                return True
            generation = await self._trust.generation()
            try:
                marks = await self._hot.mark(new, generation)
            except CheckpointError as error:
                self._stay_away(error)
                return self._unmark(epochs)
            for thread_id, mark in marks.items():
                copy = self._copies.get(thread_id)
                if copy is None:
                    self._copies[thread_id] = _Copy(
                        new[thread_id], generation, self._clock(), bool(mark.whole), mark.run
                    )
                elif not copy.clearing:  # another's mark that is being taken back: once more
                    copy.epoch = new[thread_id]
                    copy.follow(mark)

    async def _follow(self, epochs: Mapping[str, int | None], committed: Sequence[Put]) -> bool:
        """Bring the whole copies up to date, and see that no mark was lost meanwhile.

        False if Redis is away.
        """
        puts: dict[str, list[Put]] = {}
        copies = self._copies
        for put in committed:
            if copy := copies.get(put.thread_id):
                copy.note(put)
                if copy.whole:
                    puts.setdefault(put.thread_id, []).append(put)
        try:
            marks = await self._hot.apply(epochs, puts, None)
        except CheckpointError as error:
            self._stay_away(error)
            return self._unmark(epochs)
        for thread_id, mark in marks.items():
            if copy := copies.get(thread_id):
                copy.follow(mark)
        return all(thread_id in copies for thread_id in epochs)

    async def _cleared(self, threads: Iterable[str]) -> None:
        """Returns when no mark of theirs is being taken back, though the next may be at once."""
        copies = self._copies
        while clearing := {
            copy.clearing
            for thread_id in threads
            if (copy := copies.get(thread_id)) and copy.clearing
        }:
            await asyncio.wait(clearing)

    def _unmark(self, threads: Iterable[str]) -> bool:
        """Forget copies that cannot be kept up to date: our marks on them stay."""
        for thread_id in threads:
            self._copies.pop(thread_id, None)
        return False

    def _stay_away(self, error: Exception) -> None:
        """Leave Redis alone until it answers again, so that no save waits for it."""
        if not self._away:
            _log.warning("Working without copies in Redis: %s", error)
        self._away = True

    async def _rest_forever(self) -> None:
        while True:
            await asyncio.sleep(_PROBE if self._away else _REST / 2)
            if self._away:
                await self._probe()
            else:
                await self._rest(self._clock() - _REST)

    async def _probe(self) -> None:
        with suppress(CheckpointError):
            await self._hot.ping()
            self._away = False
            _log.info("Redis answers again.")

    async def _rest(self, before: float) -> None:
        for thread_id, copy in list(self._copies.items()):
            if not copy.flying and not copy.clearing and copy.touched <= before:
                copy.clearing = asyncio.create_task(self._clear(thread_id, copy))
        if clearing := [copy.clearing for copy in self._copies.values() if copy.clearing]:
            await asyncio.wait(clearing)

    async def _clear(self, thread_id: str, copy: _Copy) -> None:
        """Make the copy whole if it is not, and take the mark back."""
        try:
            generation = await self._trust.generation()
            if not copy.whole or generation != copy.generation:
                copy.whole = generation is not None and await self._rebuild(thread_id, copy)
            stamp = generation if copy.whole else None
            await self._hot.clear(thread_id, stamp, copy.run)
        except CheckpointError as error:
            self._stay_away(error)
        finally:
            if self._copies.get(thread_id) is copy:
                del self._copies[thread_id]

    async def _rebuild(self, thread_id: str, copy: _Copy) -> bool:
        """Copy the heads this process put anew from Postgres. False if one is not what it put.

        With them go the writes that came before their checkpoints, whose heads are yet to come.
        """
        await self._hot.delete_thread(thread_id)
        early = await self._cold.early(thread_id)
        if any(ns not in copy.heads for ns, _, _ in early):
            return False
        for ns, puts in copy.heads.items():
            found = await self._cold.find(thread_id, ns, None)
            if found is None or not _same(found.row, early, puts):
                return False
            ranges = union(each for put in puts for each in put.ranges)
            elements = await self._cold.elements(thread_id, ranges)
            head = replace(puts[0], elements=elements)
            await self._hot.copy(found.row.salt, [head, *puts[1:]])
        return True


def _same(row: Row, early: Sequence[Writes], puts: list[Put]) -> bool:
    """Whether head, its writes and the early ones are those of the puts; orders and picks these.

    Only our own puts say which elements they refer to.
    """
    own = {(put.checkpoint_id, put.body): put for put in puts}
    found = [(row.checkpoint_id, body) for body in (row.body, *row.writes)]
    found += [(checkpoint_id, body) for ns, checkpoint_id, body in early if ns == row.ns]
    if any(one not in own for one in found):
        return False
    puts[:] = [own[one] for one in found]
    return True
