"""The process that saves: several conversations at once, until it is killed or told to stop."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from checkpoints.errors import CheckpointError, Superseded, Unavailable
from tests.checkpoints.crash.journal import Journal, Save, described
from tests.checkpoints.crash.targets import EPOCH, Site, fence, open_saver
from tests.checkpoints.crash.workload import Conversation, Misread, dice

_PATIENCE = 40.0
"""Seconds a save may take: longer than the saver waits for a server that is away."""

POINTS = ("attempted", "sent", "stored", "acknowledged")
"""Where in a save a kill can be asked for: before it, within, and before and after its line."""


Role = Literal["writer", "reader", "pruner"]


@dataclass(frozen=True)
class Plan:
    """What a client does. At the `nth` time it reaches `point` it kills itself, or says so."""

    life: str
    seed: str
    folder: Path
    site: Site
    threads: tuple[str, ...]
    steps: int = 30
    alone: bool = True
    role: Role = "writer"
    pruned: bool = False
    configurable: dict[str, Any] = field(default_factory=dict)
    point: str | None = None
    nth: int = 1
    pipe: int | None = None


def run_client(plan: Plan) -> None:
    asyncio.run(_Client(plan).run())


class _Client:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._seed = f"{plan.seed}/{plan.life}"
        self._rng = dice(self._seed)
        self._journal = Journal(plan.folder / f"journal-{plan.life}")
        self._reached: Counter[str] = Counter()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        async with AsyncExitStack() as stack:
            saver = await self._opened(stack)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            if self._plan.role == "pruner":
                group.create_task(self._prune(saver))
                return
            for number, thread in enumerate(self._plan.threads):
                for ns in ("", "child:1") if number == 0 else ("",):
                    conversation = Conversation(
                        saver,
                        self,
                        self._seed,
                        (thread, ns),
                        self._plan.configurable,
                        pruned=self._plan.pruned,
                    )
                    group.create_task(
                        self._watch(conversation)
                        if self._plan.role == "reader"
                        else self._converse(conversation)
                    )

    async def _watch(self, conversation: Conversation) -> None:
        """Read the head again and again."""
        while not self._stop.is_set():
            await self._recovered(conversation)
            await asyncio.sleep(self._rng.uniform(0, 0.05))

    async def _prune(self, saver: BaseCheckpointSaver[Any]) -> None:
        """Remove all but the latest checkpoints, again and again."""
        while not self._stop.is_set():
            try:
                await saver.aprune(self._plan.threads)
            except CheckpointError as error:
                self._journal.note("unread", described(error))
            await asyncio.sleep(self._rng.uniform(0, 0.01))

    def read(self, lane: tuple[str, str], began: int, head: CheckpointTuple | None) -> None:
        self._journal.read(lane, began, head)

    async def _opened(self, stack: AsyncExitStack) -> BaseCheckpointSaver[Any]:
        """Try again while the server is away, as whatever supervises a process would."""
        while True:
            try:
                return await stack.enter_async_context(open_saver(self._plan.site))
            except Unavailable as error:
                self._journal.note("unread", described(error))
                await asyncio.sleep(0.05)

    async def _converse(self, conversation: Conversation) -> None:
        alive = await self._claimed(conversation)
        taken = extra = 0
        while alive and extra < 2:
            if taken < self._plan.steps or self._stop.is_set():
                alive = await self._step(conversation)
                taken += 1
                await asyncio.sleep(self._rng.choice((0, 0, 0.002, 0.01)))
                if alive and self._rng.random() < 0.06:
                    alive = await self._next_turn(conversation)
            else:
                await self._stop.wait()
            extra += self._stop.is_set()
        await self._settled(conversation)

    async def _claimed(self, conversation: Conversation) -> bool:
        epoch = self._plan.configurable.get(EPOCH)
        if epoch is None:
            return await self._recovered(conversation)
        await fence(self._plan.site, conversation.thread, epoch)
        read = await self._recovered(conversation)
        if read:
            self._journal.note("fenced", f"{conversation.thread} {epoch}")
        return read

    async def _next_turn(self, conversation: Conversation) -> bool:
        """After a rest, in which a saver may tidy up."""
        await self._settled(conversation)
        await asyncio.sleep(self._rng.uniform(0, 0.5))
        return await self._recovered(conversation)

    async def _step(self, conversation: Conversation) -> bool:
        """False when somebody else has the thread now."""
        try:
            await conversation.step()
            if self._rng.random() < 0.1:
                await conversation.settle()
                wrong = await conversation.misread(alone=self._plan.alone)
                if wrong:
                    self._journal.note("violation", wrong)
        except Misread as error:
            self._journal.note("violation", str(error))
        except Superseded:
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, it is to be journaled
            self._journal.note("interrupted", described(error))
            return await self._recovered(conversation)
        return True

    async def _recovered(self, conversation: Conversation) -> bool:
        """Read where the conversation stands, as often as it takes."""
        await self._settled(conversation)
        for _ in range(400):
            try:
                async with asyncio.timeout(_PATIENCE):
                    await conversation.read_head()
            except Superseded:
                return False
            except Exception as error:  # noqa: BLE001
                self._journal.note("unread", described(error))
                await asyncio.sleep(0.05)
            else:
                return True
        self._journal.note("violation", f"{conversation.thread} is never read again")
        return False

    async def _settled(self, conversation: Conversation) -> None:
        while True:
            try:
                await conversation.settle()
            except Superseded:
                pass
            except Exception as error:  # noqa: BLE001
                self._journal.note("interrupted", described(error))
            else:
                return

    async def save(self, save: Save, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        number = self._journal.attempted(save)
        self._reach("attempted")
        saving = asyncio.create_task(call())
        for _ in range(self._rng.randrange(5)):
            await asyncio.sleep(0)
        self._reach("sent")
        try:
            async with asyncio.timeout(_PATIENCE):
                await saving
        except Exception as error:
            self._journal.raised(number, error)
            raise
        self._reach("stored")
        self._journal.acknowledged(number)
        self._reach("acknowledged")

    def _reach(self, point: str) -> None:
        self._reached[point] += 1
        if point == self._plan.point and self._reached[point] == self._plan.nth:
            if self._plan.pipe is None:
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                os.write(self._plan.pipe, b"!")
