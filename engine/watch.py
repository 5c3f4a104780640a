"""Watching runs: their events as they come, or only what comes out in the end."""

from collections.abc import AsyncIterator
from uuid import UUID

from engine.caller import Caller
from engine.claims import Run
from engine.errors import NotFound
from engine.events import Events
from engine.following import Event, Position, behind_epoch, parse_position
from engine.runs import Runs
from engine.serialise import dumps
from engine.threads import Threads

_LOOK_SECONDS = 5.0  # how often the row is read while nothing is heard


class Watch:
    """Follows runs wherever they are executed."""

    def __init__(self, runs: Runs, threads: Threads, events: Events) -> None:
        self._runs = runs
        self._threads = threads
        self._events = events

    def from_start(self, caller: Caller, run: Run) -> AsyncIterator[Event]:
        """All events of the run, until it is over."""
        return self._follow(caller, run, behind_epoch(run.since), replay=True)

    async def from_now(self, caller: Caller, run: Run) -> AsyncIterator[Event]:
        """What the run still has to say; nothing when it is over."""
        if not run.over:
            position = await self._events.last(run.thread_id)
            async for event in self._follow(caller, run, position, replay=False):
                yield event

    async def rejoin(
        self, caller: Caller, run: Run, last_event_id: str | None
    ) -> AsyncIterator[Event]:
        """Events after the last one seen. Only resumable runs are replayed; `-1` is the start."""
        if last_event_id is None or not run.kwargs["resumable"]:
            source = self.from_now(caller, run)
        elif last_event_id == "-1":
            source = self.from_start(caller, run)
        elif position := parse_position(last_event_id):
            source = self._follow(caller, run, position, replay=True)
        else:
            return
        async for event in source:
            yield event

    async def output(self, caller: Caller, events: AsyncIterator[Event], run: Run) -> bytes:
        """JSON of the run's last values, or of the error it ended with."""
        values = None
        async for event in events:
            if event.name == "values":
                values = event.data
            elif event.name == "error":
                return b'{"__error__":' + event.data + b"}"
        return values or await self.result(caller, run.thread_id, run.run_id)

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

    async def _follow(
        self, caller: Caller, run: Run, position: Position, *, replay: bool
    ) -> AsyncIterator[Event]:
        over = run.over
        async with self._events.follow(run.thread_id, position, replay=replay) as follower:
            while True:
                event = await follower.next(0 if over else _LOOK_SECONDS)
                if event is None:
                    if over:
                        return
                    if over := await self._is_over(caller, run):
                        follower.look_again()
                elif event.run_id == run.run_id:
                    yield event
                    if event.name == "end":
                        return

    async def _is_over(self, caller: Caller, run: Run) -> bool:
        try:
            return (await self._runs.get(caller, run.thread_id, run.run_id)).over
        except NotFound:
            return True
