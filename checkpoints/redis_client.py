"""Scripts on a Redis of any kind, and its errors as ours."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterError,
    ConnectionError,  # noqa: A004
    NoScriptError,
    OutOfMemoryError,
    RedisClusterException,
    RedisError,
    TimeoutError,  # noqa: A004
)

from checkpoints.errors import CheckpointError, Unavailable

_log = logging.getLogger(__name__)

Client = Redis | RedisCluster
Command = tuple[Any, ...]

_PASSING = ("READONLY", "LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS", "BUSY")


@asynccontextmanager
async def connected(client: str | Client, connections: int) -> AsyncIterator[Client]:
    """The client, or one of our own for a URL. Raises `ValueError` where it decodes answers."""
    if not isinstance(client, str):
        if client.get_encoder().decode_responses:
            raise ValueError("The Redis client must have decode_responses=False.")
        yield client
        return
    pool = BlockingConnectionPool.from_url(
        client,
        max_connections=connections,
        timeout=None,
        protocol=2,
        driver_info=None,  # else each new connection looks for its version on disk
        retry=Retry(NoBackoff(), 1),  # for what an idle connection missed
        socket_timeout=None,
    )
    async with Redis.from_pool(pool) as ours:
        yield ours


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name Redis knows it by."""

    source: str
    sha: str


def load_scripts(*names: str) -> dict[str, Script]:
    """The scripts `redis_<name>.lua`, each after `redis_thread.lua`. Reads files."""
    folder = files("checkpoints")
    shared = folder.joinpath("redis_thread.lua").read_text(encoding="utf-8")
    sources = {
        name: shared + folder.joinpath(f"redis_{name}.lua").read_text(encoding="utf-8")
        for name in names
    }
    return {
        name: Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())
        for name, source in sources.items()
    }


@dataclass(frozen=True, slots=True)
class Call:
    """A script to be run on a thread's keys."""

    script: Script
    keys: tuple[bytes, bytes]
    arguments: Sequence[bytes | str | int]

    def command(self) -> Command:
        """For a server that knows the script."""
        return "EVALSHA", self.script.sha, 2, *self.keys, *self.arguments

    def lesson(self) -> Command:
        """For one that does not: it runs it and learns it."""
        return "EVAL", self.script.source, 2, *self.keys, *self.arguments


class Server:
    """Runs scripts and commands. All raise `Unavailable`, or `CheckpointError` for a refusal."""

    def __init__(self, client: Client, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    async def run(self, call: Call) -> Any:
        """What the script answers. One round trip."""
        with _our_errors():
            async with asyncio.timeout(self._timeout):
                try:
                    return await self._client.execute_command(*call.command())
                except NoScriptError:
                    return await self._client.execute_command(*call.lesson())

    async def run_all(self, calls: Sequence[Call], first: Sequence[Command] = ()) -> list[Any]:
        """What the scripts answer, in one round trip (to each node) with commands before them."""
        with _our_errors():
            async with asyncio.timeout(self._timeout):
                answers = await self._pipe([*first, *(call.command() for call in calls)])
                unknown = [
                    at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)
                ]
                if unknown:
                    lessons = [calls[at - len(first)].lesson() for at in unknown]
                    for at, answer in zip(unknown, await self._pipe(lessons), strict=True):
                        answers[at] = answer
                for answer in answers:
                    if isinstance(answer, Exception):
                        raise answer
        return answers[len(first) :]

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """What plain commands answer, in one round trip."""
        with _our_errors():
            async with asyncio.timeout(self._timeout):
                answers = await self._pipe(commands)
                for answer in answers:
                    if isinstance(answer, Exception):
                        raise answer
        return answers

    async def keys(self, pattern: str) -> AsyncIterator[bytes]:
        """Sorted sets of this pattern, on every node; each once."""
        seen: set[bytes] = set()
        with _our_errors():
            async for key in self._client.scan_iter(match=pattern, count=1000, _type="zset"):
                if key not in seen:
                    seen.add(key)
                    yield key

    async def warn_of_eviction(self) -> None:
        """Log it when the server may throw threads away to make room."""
        with _our_errors():
            async with asyncio.timeout(self._timeout):
                info = await self._client.info("memory")
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            _log.warning(
                "The maxmemory-policy of Redis is %s: it may evict threads. Set noeviction.", policy
            )

    async def _pipe(self, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        pipe = self._client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        return await pipe.execute(raise_on_error=False)


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:  # TimeoutError is an OSError
        raise _ours(error) from error


def _ours(error: Exception) -> CheckpointError:
    message = str(error) or type(error).__name__
    passing = (ConnectionError, TimeoutError, ClusterError, RedisClusterException, OSError)
    if isinstance(error, passing) or any(word in message for word in _PASSING):
        return Unavailable(f"Redis: {message}")
    if "OOM command not allowed" in message or isinstance(error, OutOfMemoryError):
        return CheckpointError("Redis has no memory left for checkpoints: raise its maxmemory.")
    return CheckpointError(f"Redis: {message}")
