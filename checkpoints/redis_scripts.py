"""Scripts that a Redis runs by their name, and is taught where it does not know them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from checkpoints.redis_client import Command, Server, raise_first_error


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the name Redis knows it by."""

    source: bytes
    sha: bytes


def load_scripts(*names: str) -> dict[str, Script]:
    """The scripts `redis_<name>.lua`, each after `redis_thread.lua`. Reads files."""
    folder = files(__package__)
    shared = folder.joinpath("redis_thread.lua").read_bytes()
    sources = {name: shared + folder.joinpath(f"redis_{name}.lua").read_bytes() for name in names}
    return {
        name: Script(source, sha1(source, usedforsecurity=False).hexdigest().encode())
        for name, source in sources.items()
    }


@dataclass(frozen=True, slots=True)
class Call:
    """A script to be run on the two keys of a thread."""

    script: Script
    keys: tuple[bytes, bytes]
    arguments: Sequence[bytes]

    def by_name(self) -> Command:
        """For a server that knows the script."""
        return b"EVALSHA", self.script.sha, b"2", *self.keys, *self.arguments

    def in_full(self) -> Command:
        """For one that does not; then it does."""
        return b"EVAL", self.script.source, b"2", *self.keys, *self.arguments


async def run(server: Server, calls: Sequence[Call], *, first: Sequence[Command] = ()) -> list[Any]:
    """What the scripts answer, in one round trip, with other commands before them.

    Raises as `Server` does, when one fails; others may have run.
    """
    answers = await server.exchange([*first, *(call.by_name() for call in calls)])
    raise_first_error(answers[: len(first)])
    results = answers[len(first) :]
    unknown = [at for at, result in enumerate(results) if isinstance(result, NoScriptError)]
    if unknown:
        learned = await server.exchange([calls[at].in_full() for at in unknown])
        for at, result in zip(unknown, learned, strict=True):
            results[at] = result
    raise_first_error(results)
    return results
