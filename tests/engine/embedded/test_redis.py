"""The embedded Redis, and the stand-in where none is installed."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from engine.embedded import open_servers
from engine.embedded.place import find_place
from engine.embedded.redis import Redis
from engine.embedded.shared import SharedServer
from engine.errors import ConfigError
from engine.settings import Role, Settings

needs_redis = pytest.mark.requires("redis-server", "valkey-server")


@pytest.fixture
def server(folder: Path) -> Iterator[SharedServer]:
    """A Redis that nobody uses yet."""
    server = SharedServer(find_place(folder), Redis())
    yield server
    server.release()


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """As if no Redis were installed."""
    monkeypatch.setenv("PATH", str(folder))


def settings(folder: Path, role: Role = "all") -> Settings:
    return Settings(_env_file=None, data=folder, role=role, database_url="postgresql://not.asked")


@needs_redis
def test_what_was_written_is_there_after_a_kill_and_after_a_restart(
    server: SharedServer, folder: Path, processes: Any, eventually: Callable[..., None]
) -> None:
    server.acquire()
    with redis.Redis.from_url(Redis().url(server.sockets)) as client:
        client.set("kept", "yes")
        (killed,) = processes.servers("redis")
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: Redis().answers(server.sockets))
        assert client.get("kept") == b"yes"
        client.set("kept", "still")
    server.release()
    again = SharedServer(find_place(folder), Redis())
    again.acquire()
    with redis.Redis.from_url(Redis().url(again.sockets)) as client:
        assert client.get("kept") == b"still"
    again.release()


@needs_redis
def test_an_orphan_is_stopped_before_another_writes_to_the_same_files(
    server: SharedServer, processes: Any, eventually: Callable[..., None]
) -> None:
    server.acquire()
    (watcher,), (orphan,) = processes.watchers(), processes.servers("redis")
    os.kill(watcher, signal.SIGKILL)
    eventually(lambda: processes.servers("redis") not in ([], [orphan]))
    assert len(processes.servers("redis")) == 1
    server.release()


@needs_redis
def test_a_stand_in_warns_once_and_lets_no_second_process_in(
    launch: Callable[..., subprocess.Popen[str]], folder: Path
) -> None:
    variables = {"DATABASE_URL": "postgresql://not.asked", "FRONTDESK_DATA": str(folder)}
    first = launch("opener.py", PATH=str(folder), **variables)
    assert first.stdout
    assert first.stdout.readline().strip() == "None"
    for path in (str(folder), os.environ["PATH"]):  # whether it could start a real one or not
        _, errors = launch("opener.py", PATH=path, **variables).communicate()
        assert "ConfigError" in errors
        assert "set REDIS_URL" in errors
    _, errors = first.communicate()
    assert errors.count("WARNING") == 1
    assert "stand-in" in errors


@pytest.mark.usefixtures("missing")
async def test_a_stand_in_runs_scripts_and_can_be_opened_again_after_it_was_closed(
    folder: Path,
) -> None:
    for _ in range(2):
        async with open_servers(settings(folder)) as servers:
            assert servers.redis_url is None
            assert await servers.redis.eval("return redis.call('incr', KEYS[1])", 1, "n") == 1


@needs_redis
async def test_a_process_without_the_program_shares_the_redis_that_runs(
    server: SharedServer, request: pytest.FixtureRequest, folder: Path
) -> None:
    server.acquire()
    request.getfixturevalue("missing")
    async with open_servers(settings(folder, "worker")) as servers:
        assert servers.redis_url == Redis().url(server.sockets)
        assert await servers.redis.ping()
    server.release()


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize("role", ["api", "worker"])
async def test_a_split_role_does_not_start_with_a_stand_in(folder: Path, role: Role) -> None:
    with pytest.raises(ConfigError, match=f"(?s)The role `{role}` .*set REDIS_URL"):
        async with open_servers(settings(folder, role)):
            pass
