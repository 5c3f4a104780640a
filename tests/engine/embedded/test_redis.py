"""The embedded Redis, and the stand-in where none is installed."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from engine.embedded.place import find_place
from engine.embedded.redis import Redis
from engine.embedded.shared import SharedServer

needs_redis = pytest.mark.requires("redis-server", "valkey-server")
Open = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def server(folder: Path) -> SharedServer:
    return SharedServer(find_place(folder), Redis())


@pytest.fixture
def opened(launch: Callable[..., subprocess.Popen[str]], folder: Path) -> Open:
    """A process that opens all servers; without `program`, as if no Redis were installed."""

    def opened(*, program: bool = False, **variables: str) -> subprocess.Popen[str]:
        where = {} if program else {"PATH": str(folder)}
        return launch(
            "opener.py",
            DATABASE_URL="postgresql://not.asked.for",
            FRONTDESK_DATA=str(folder),
            **where,
            **variables,
        )

    return opened


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


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
    server.wait_until_stopped()
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


def test_without_a_program_a_stand_in_serves_one_process_and_warns_once(opened: Open) -> None:
    process = opened()
    assert first_line(process) == "None"
    _, errors = process.communicate()
    assert errors.count("WARNING") == 1
    assert "stand-in" in errors


def test_a_second_process_beside_a_stand_in_is_refused(opened: Open) -> None:
    first = opened()
    assert first_line(first) == "None"
    _, errors = opened().communicate()
    assert "ConfigError" in errors
    assert "set REDIS_URL" in errors
    first.kill()
    first.wait()
    assert first_line(opened()) == "None"


@needs_redis
def test_a_real_redis_is_not_started_beside_a_stand_in(opened: Open) -> None:
    first = opened()
    assert first_line(first) == "None"
    _, errors = opened(program=True).communicate()
    assert "set REDIS_URL" in errors


@needs_redis
def test_a_process_without_the_program_shares_the_redis_that_runs(opened: Open) -> None:
    first = opened(program=True)
    url = first_line(first)
    assert url.startswith("unix://")
    assert first_line(opened(FRONTDESK_ROLE="worker")) == url


@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_split_role_does_not_start_with_a_stand_in(opened: Open, role: str) -> None:
    _, errors = opened(FRONTDESK_ROLE=role).communicate()
    assert f"ConfigError: The role `{role}`" in errors
    assert "set REDIS_URL" in errors
