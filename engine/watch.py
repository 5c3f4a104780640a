"""Watching runs: their events as they come, or only what comes out in the end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from engine.caller import Caller
from engine.claims import Run
from engine.errors import Elsewhere, Invalid, NotFound
from engine.events import Events
from engine.following import START, Event, Follower, Position, behind_epoch, parse_position
from engine.patience import AWAY
from engine.runs import Runs
from engine.serialise import dumps, loads
from engine.threads import Threads

BEAT_SECONDS = 4.5
_LAST_WORDS_SECONDS = 0.08  # what a run that was told to stop may still say
_STARTS = frozenset({"-1", "-", "0", "0-0"})
_AFTER_ALL = 2**53  # a number behind that of every event of its epoch

Batches = AsyncIterator[Sequence[Event]]
"""Events in order, as many at once as there are; none to say that the run is silent."""


class Watch:
    """Follows runs wherever they are executed.

    A stream ends with the run's `end`; without one when the run is gone. It raises `Elsewhere` when
    this process stops first.
    """

    def __init__(
        self, runs: Runs, threads: Threads, events: Events, beat_seconds: float = BEAT_SECONDS
    ) -> None:
        """`beat_seconds`: after so long without events an empty batch is told."""
        self._beat = beat_seconds
        self._runs = runs
        self._threads = threads
        self._events = events

    def from_start(self, caller: Caller, run: Run) -> Batches:
        """All events of the run, until it is over."""
        position = behind_epoch(run.since)
        if run.epoch is not None and run.attempt == 0:  # claimed as it was created, in this process
            position = (run.epoch, 0)
        return self._follow(caller, run, position)

    async def from_now(self, caller: Caller, run: Run) -> Batches:
        """What the run still has to say; nothing when it is over."""
        if not run.over:
            position = await self._events.last(run.thread_id)
            async for events in self._follow(caller, run, position):
                yield events

    async def rejoin(self, caller: Caller, run: Run, last_event_id: str | None) -> Batches:
        """Events after the last one seen, live ones only after one that is none.

        Only resumable runs are replayed; `-1` is the start.
        """
        position = parse_position(last_event_id or "")
        if not run.kwargs["resumable"]:
            source = self.from_now(caller, run)
        elif last_event_id in _STARTS:
            source = self.from_start(caller, run)
        elif position:
            source = self._follow(caller, run, position)
        else:
            source = self.from_now(caller, run)
        async for events in source:
            yield events

    async def thread(self, caller: Caller, thread_id: UUID, cursor: str | None) -> Batches:
        """The events of all runs of a thread, for ever: after `cursor`, or from now on.

        Of a thread that the caller does not have, or not yet, nothing is told. Raises `Invalid` at
        once for a cursor that is none, and `Elsewhere` in the end.
        """
        position = await self._position(thread_id, cursor)
        return self._all(caller, thread_id, position)

    async def _position(self, thread_id: UUID, cursor: str | None) -> Position:
        if cursor is None:
            return await self._events.last(thread_id)
        if cursor == "-" or cursor.isdecimal():
            cursor = f"{cursor if cursor.isdecimal() else 0}-0"
        if position := parse_position(cursor):
            return position
        raise Invalid("Invalid last-event-id: must be a valid Redis stream ID")

    async def _all(self, caller: Caller, thread_id: UUID, position: Position) -> Batches:
        clock, seen, until = asyncio.get_running_loop().time, False, 0.0
        async with self._events.follow(thread_id, position) as follower:
            while not follower.closed:
                events = await follower.next(self._beat)
                if events and not (seen and clock() < until):
                    seen = await self._sees(caller, thread_id, before=seen)
                    until = clock() + self._beat
                yield events if seen else ()
            raise Elsewhere

    async def _sees(self, caller: Caller, thread_id: UUID, *, before: bool) -> bool:
        """While nobody can tell, it is as it was before."""
        try:
            return await self._threads.exists(caller, thread_id)
        except AWAY:
            return before

    async def output(self, caller: Caller, batches: Batches, run: Run) -> AsyncIterator[bytes]:
        """JSON of the run's last values, or of the error it ended with; before it blank lines.

        Raises `Elsewhere`.
        """
        values, waiting, last = None, list[Any](), START
        async for events in batches:
            if not events:
                yield b"\n"
            for event in events:
                if not event.follows(last):  # another attempt's, or something before it was lost
                    values, waiting = None, []
                last = event.position
                if event.name == "values":
                    values = event.data
                    waiting += _interrupts(values)
                elif event.name == "error":
                    yield b'{"__error__":' + event.data + b"}"
                    return
        if values and waiting:  # parallel ones are told one by one, and not with the last values
            values = dumps({**loads(values), "__interrupt__": waiting})
        yield values or await self.result(caller, run.thread_id, run.run_id)

    async def result(self, caller: Caller, thread_id: UUID, run_id: UUID) -> bytes:
        """JSON of what a finished run left on its thread."""
        try:
            run = await self._runs.get(caller, thread_id, run_id)
            thread = await self._threads.get(caller, thread_id)
        except NotFound:
            return dumps({})
        if run.status == "error":
            return dumps({"__error__": run.error})
        if thread.interrupts:
            waiting = [one for several in thread.interrupts.values() for one in several]
            return dumps({"__interrupt__": waiting})
        return dumps(thread.values or {})

    async def _follow(self, caller: Caller, run: Run, position: Position) -> Batches:
        clock = asyncio.get_running_loop().time
        async with self._events.follow(run.thread_id, position) as follower:
            due = clock() + self._beat
            while not follower.closed:
                events = await follower.next(max(0.0, due - clock()))
                mine = [event for event in events if event.run_id == run.run_id]
                if mine:
                    yield mine
                    if mine[-1].name == "end":
                        return
                    position = mine[-1].position
                elif events and clock() < due:  # another run of the thread is at work
                    continue
                else:
                    now = await self._look(caller, run)
                    if now is None or now.over or now.cancel:
                        async for last in self._rest(follower, position, run, now):
                            yield last
                        return
                    yield ()
                due = clock() + self._beat
            with suppress(*AWAY):
                await self._runs.keep(run)
            now = await self._look(caller, run)
            if now and not now.over:
                raise Elsewhere
            async for last in self._rest(follower, position, run, now):
                yield last

    async def _rest(
        self, follower: Follower, heard: Position, run: Run, now: Run | None
    ) -> Batches:
        """What a run that is over has said; where its end was lost, how it ended.

        `heard`: up to where the reader has heard it. One that was told to stop and is still at work
        gets a moment for its last words.
        """
        until = asyncio.get_running_loop().time()
        if now and not now.over:
            until += _LAST_WORDS_SECONDS
        follower.look_again()
        while True:
            left = until - asyncio.get_running_loop().time()
            events = await follower.next(max(0.0, left))
            if mine := [event for event in events if event.run_id == run.run_id]:
                yield mine
                if mine[-1].name == "end":
                    return
                heard = mine[-1].position
            elif not events and left <= 0:
                break
        if now and (unheard := await self._unheard(heard, now)):
            yield unheard

    async def _unheard(self, position: Position, run: Run) -> Sequence[Event]:
        """The end of a run as its row tells it, behind `position`; none if the end is there."""
        told, (epoch, number) = _told(run), position
        if epoch != told[0].position[0]:
            return told
        if 0 < number < _AFTER_ALL:
            events, _ = await self._events.read(run.thread_id, (epoch, number - 1))
            if any(_is_end(event, run) for event in events if event.position == position):
                return ()
        return [event for event in told if event.position > position]

    async def _look(self, caller: Caller, run: Run) -> Run | None:
        try:
            return await self._runs.get(caller, run.thread_id, run.run_id)
        except NotFound:
            return None
        except AWAY:
            return run  # nobody knows: it is looked for again


def _interrupts(values: bytes) -> list[Any]:
    """What these values say is waited for."""
    if b'"__interrupt__"' not in values:
        return []
    state = loads(values)
    return list(state.get("__interrupt__", ())) if isinstance(state, dict) else []


def _is_end(event: Event, run: Run) -> bool:
    return event.name == "end" and event.run_id == run.run_id


def _told(run: Run) -> list[Event]:
    """The end of a run as its row tells it."""
    said = {"run_id": str(run.run_id), "status": run.seen_status}
    told = [("end", dumps(said))]
    if run.status == "error":
        told.insert(0, ("error", dumps(run.error)))
    return [
        Event((run.epoch or run.since, _AFTER_ALL + number), run.run_id, name, data)
        for number, (name, data) in enumerate(told)
    ]
