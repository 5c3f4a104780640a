"""Commands to a Redis of any kind, and its errors as ours."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

from redis.asyncio import Connection, ConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterError,
    ConnectionError,  # noqa: A004
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from checkpoints.errors import CheckpointError, Unavailable

_log = logging.getLogger(__name__)
_PASSING = (
    ConnectionError,
    TimeoutError,
    ReadOnlyError,
    TryAgainError,
    ClusterError,
    RedisClusterException,
    OSError,
)
# Of errors that redis-py has no class for, or that a script of Redis 6 wraps into another.
_PASSING_CODES = ("READONLY", "NOREPLICAS", "MISCONF", "BUSY")

Client = Redis | RedisCluster
Command = tuple[bytes, ...]


class _Wire(Protocol):
    async def exchange(self, commands: Sequence[Command]) -> list[Any]: ...


class Server:
    """Takes commands. Every method raises `Unavailable`, or `CheckpointError` for a refusal."""

    def __init__(self, client: Client, wire: _Wire, timeout: float) -> None:
        self._client = client
        self._wire = wire
        self._timeout = timeout

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Answers, some of which may be `ResponseError`, in one round trip (to each node)."""
        with _our_errors():
            async with asyncio.timeout(self._timeout):
                return await self._wire.exchange(commands)

    async def keys(self, pattern: str) -> AsyncIterator[bytes]:
        """Sorted sets with names of this pattern, on every node; each once."""
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


def raise_first_error(answers: Sequence[Any]) -> None:
    """Raises `Unavailable` or `CheckpointError` for the first answer that is an error."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise _ours(answer) from answer


@asynccontextmanager
async def connected(
    client: str | Client,
    *,
    connections: int,
    timeout: float,  # noqa: ASYNC109 - of each call
) -> AsyncIterator[Server]:
    """The server at a URL or of a client. Raises `ValueError` for a client that decodes answers."""
    if not isinstance(client, str):
        if client.get_encoder().decode_responses:
            raise ValueError("The Redis client must have decode_responses=False.")
        yield Server(client, _Pipeline(client), timeout)
        return
    pool = ConnectionPool.from_url(
        client,
        protocol=2,
        driver_info=None,  # else each new connection looks for its version on disk
        retry=Retry(NoBackoff(), 1),
        socket_timeout=None,  # ours is cheaper
    )
    async with Redis.from_pool(pool) as ours:
        lines = _Lines(pool, connections)
        try:
            yield Server(ours, lines, timeout)
        finally:
            await lines.close()


class _Pipeline:
    """The way of somebody else's client, of which we know nothing."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        if len(commands) == 1:
            return [await self._one(*commands[0])]
        pipe = self._client.pipeline(transaction=False)
        for name, *arguments in commands:
            pipe.execute_command(name.decode(), *arguments)
        return await pipe.execute(raise_on_error=False)

    async def _one(self, name: bytes, *arguments: bytes) -> Any:
        try:
            return await self._client.execute_command(name.decode(), *arguments)
        except ResponseError as error:
            return error


class _Lines:
    """Connections of our own: a pool's bookkeeping takes longer than Redis does."""

    def __init__(self, pool: ConnectionPool, count: int) -> None:
        self._pool = pool
        self._idle: list[Connection] = []
        self._count = count
        self._room = asyncio.Semaphore(count)

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        async with self._room:
            line = self._idle.pop() if self._idle else self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await self._pool.ensure_connection(line)  # anew, if it broke while idle
                await line.send_packed_command(b"".join(map(_packed, commands)))
                answers = [await _answer(line) for _ in commands]
            except BaseException:
                await line.disconnect(nowait=True)  # else answers to us would reach the next
                raise
            self._idle.append(line)
            return answers

    async def close(self) -> None:
        for _ in range(self._count):
            await self._room.acquire()  # whoever is at it comes to an end
        for line in self._idle:
            await line.disconnect()


def _packed(command: Command) -> bytes:
    words = [b"$%d\r\n%b\r\n" % (len(word), word) for word in command]
    return b"*%d\r\n%b" % (len(words), b"".join(words))


async def _answer(line: Connection) -> Any:
    try:
        return await line.read_response()
    except ResponseError as error:
        return error


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:  # a timeout is an OSError
        raise _ours(error) from error


def _ours(error: Exception) -> CheckpointError:
    message = str(error) or type(error).__name__
    if isinstance(error, _PASSING) or any(code in message for code in _PASSING_CODES):
        return Unavailable(f"Redis: {message}")
    if isinstance(error, OutOfMemoryError) or "OOM command not allowed" in message:
        return CheckpointError("Redis has no memory left for checkpoints: raise its maxmemory.")
    return CheckpointError(f"Redis: {message}")
