"""Copies of active threads' heads in Redis, and marks of who is about to outdate them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from checkpoints.records import Found, Put
from checkpoints.redis import REFUSALS, RedisStorage
from checkpoints.redis_client import Server, raise_first_error
from checkpoints.redis_records import epoch_argument, put_arguments, text
from checkpoints.redis_scripts import Call, load_scripts, run

_MARKING = ("mark", "trust", "clear")


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark was set. `whole`: the copy was left complete and unmarked; `kept`: we had one."""

    whole: int
    kept: int
    run: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a copy: whether it was `stamped` whole, and how many marks are on it."""

    stamped: int
    mine: int
    others: int
    run: bytes


class HotStorage(RedisStorage):
    """Heads only. What a copy lacks says nothing: only what is there may be believed."""

    def __init__(self, server: Server, process: str, *, prefix: str, ttl: float) -> None:
        super().__init__(server, prefix=prefix, ttl=ttl, history=False)
        self._process = process.encode()
        self._scripts |= load_scripts(*_MARKING)

    async def ping(self) -> None:
        """Raises `Unavailable` while Redis does not answer."""
        raise_first_error(await self._server.exchange([(b"PING",)]))

    async def mark(
        self, epochs: Mapping[str, int | None], generation: int | None
    ) -> dict[str, Mark]:
        """Mark threads, given with the epochs of their writers. One round trip."""
        answers = await run(self._server, self._marks(epochs, generation))
        return {thread: Mark(*answer) for thread, answer in zip(epochs, answers, strict=True)}

    async def apply(
        self,
        epochs: Mapping[str, int | None],
        puts: Mapping[str, Sequence[Put]],
        generation: int | None,
    ) -> dict[str, Mark | None]:
        """Bring the copies of some of the threads up to date, and mark them all again.

        `puts` were committed, and say the salt of their thread. One round trip. None: the copy
        could not be brought up to date.
        """
        writes = [self._write_call(thread, each) for thread, each in puts.items()]
        answers = await run(self._server, [*writes, *self._marks(epochs, generation)])
        marks: dict[str, Mark | None] = {
            thread: Mark(*answer)
            for thread, answer in zip(epochs, answers[len(writes) :], strict=True)
        }
        for thread, words in zip(puts, answers[: len(writes)], strict=True):
            if any(word in REFUSALS for word in words.split()):
                marks[thread] = None
        return marks

    async def look(
        self, thread_id: str, ns: str, checkpoint_id: str | None, known: str | None, generation: int
    ) -> tuple[Found | None, Standing]:
        """A head, and whether it may be believed. One round trip."""
        call = self._find_call(thread_id, ns, checkpoint_id, known, None)
        asked = self._call("trust", thread_id, self._ttl, self._process, b"%d" % generation)
        answer, standing = await run(self._server, [call, asked])
        return self._found(thread_id, ns, answer), Standing(*standing)

    async def clear(self, thread_id: str, generation: int | None, server_run: bytes) -> None:
        """Take the mark back; with a generation, the copy is whole in it, on this server run."""
        stamp = b"" if generation is None else b"%d" % generation
        await run(self._server, [self._call("clear", thread_id, self._process, stamp, server_run)])

    async def copy(self, salt: int, puts: Sequence[Put]) -> None:
        """Put a head and its writes, which carry all they refer to, under the salt of Postgres."""
        arguments = chain(*map(put_arguments, puts))
        thread_id = puts[0].thread_id
        start = (b"%d" % salt, self._ttl, text(thread_id), b"1")
        await run(self._server, [self._call("write", thread_id, *start, *arguments)])

    def _marks(self, epochs: Mapping[str, int | None], generation: int | None) -> list[Call]:
        return [
            self._call(
                "mark",
                thread,
                self._ttl,
                self._process,
                epoch_argument(epoch),
                b"%d" % (generation or 0),
            )
            for thread, epoch in epochs.items()
        ]

    def _call(self, script: str, thread_id: str, *arguments: bytes) -> Call:
        """The scripts of marks have a hash of their own instead of the index."""
        call = super()._call(script, thread_id, *arguments)
        if script not in _MARKING:
            return call
        copy, _ = call.keys
        return Call(call.script, (copy, copy + b":m"), call.arguments)
