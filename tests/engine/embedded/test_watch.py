"""Servers live exactly as long as their users, whoever is killed meanwhile."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engine.embedded.place import Place, find_place
from engine.embedded.postgres import Postgres
from engine.embedded.shared import SharedServer
from engine.errors import ConfigError

STARTED = "select pg_postmaster_start_time()::text"
Ask = Callable[[str, str], Any]
Use = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def place(folder: Path) -> Place:
    return find_place(folder)


@pytest.fixture
def server(place: Place) -> Iterator[SharedServer]:
    """A PostgreSQL that nobody uses yet."""
    server = SharedServer(place, Postgres(fsync=False))
    yield server
    server.release()


def url(server: SharedServer) -> str:
    return Postgres().url(server.sockets)


def first_line(user: subprocess.Popen[str]) -> str:
    assert user.stdout
    line = user.stdout.readline().strip()
    assert line, user.communicate()[1]
    return line


def kill_together(processes: Any, user: subprocess.Popen[str]) -> None:
    (watcher,) = processes.watchers()
    os.kill(watcher, signal.SIGSTOP)  # or it would replace the server; its death would stop it
    for pid in (*processes.servers(), watcher, user.pid):
        os.kill(pid, signal.SIGKILL)


def test_what_was_written_is_there_after_a_restart(
    place: Place, server: SharedServer, ask: Ask
) -> None:
    server.acquire()
    ask(url(server), "create table restarted as select 42 as value")
    before = ask(url(server), STARTED)
    server.release()
    again = SharedServer(place, Postgres(fsync=False))
    again.acquire()
    try:
        assert ask(url(again), "select value from restarted") == 42
        assert ask(url(again), STARTED) > before
    finally:
        again.release()


def test_two_processes_share_one_server_and_the_last_one_ends_when_it_has_stopped(
    use: Use, ask: Ask, processes: Any
) -> None:
    first, second = use(), use()
    where = first_line(first)
    assert first_line(second) == where
    started = ask(where, STARTED)
    assert len(processes.watchers()) == len(processes.servers()) == 1
    assert first.communicate() == ("", "")
    assert ask(where, STARTED) == started
    assert second.communicate() == ("", "")
    assert processes.servers() == []


def test_a_killed_user_stops_the_server_when_it_was_the_last(
    use: Use, processes: Any, eventually: Any
) -> None:
    user = use()
    first_line(user)
    user.kill()
    eventually(lambda: processes.all() == [])


def test_a_killed_server_is_started_again_for_those_who_use_it(
    server: SharedServer, ask: Ask, processes: Any
) -> None:
    server.acquire()
    ask(url(server), "create table crashed as select 42 as value")
    started, watchers = ask(url(server), STARTED), processes.watchers()
    os.kill(processes.servers()[0], signal.SIGKILL)
    assert ask(url(server), "select value from crashed") == 42
    assert ask(url(server), STARTED) > started
    assert processes.watchers() == watchers
    assert processes.zombies() == []


def test_a_killed_watcher_is_replaced_and_the_new_one_stops_the_server_in_the_end(
    server: SharedServer, ask: Ask, processes: Any, eventually: Any
) -> None:
    server.acquire()
    (watcher,), (postgres,) = processes.watchers(), processes.servers()
    os.kill(watcher, signal.SIGKILL)
    eventually(lambda: processes.watchers() not in ([], [watcher]))
    eventually(lambda: processes.servers() not in ([], [postgres]))
    assert ask(url(server), "select 1") == 1
    assert len(processes.watchers()) == len(processes.servers()) == 1
    assert processes.zombies() == []
    server.release()
    eventually(lambda: processes.all() == [])


def test_nothing_is_left_when_the_watcher_and_the_only_user_are_killed_together(
    use: Use, processes: Any, eventually: Any
) -> None:
    user = use()
    first_line(user)
    os.kill(processes.watchers()[0], signal.SIGKILL)
    user.kill()
    eventually(lambda: processes.all() == [])


def test_files_left_by_processes_that_were_all_killed_do_not_hinder_the_next_start(
    use: Use, server: SharedServer, ask: Ask, processes: Any
) -> None:
    user = use()
    ask(first_line(user), "create table kept as select 42 as value")
    kill_together(processes, user)
    assert (server.folder / "data" / "postmaster.pid").exists()
    server.acquire()
    assert ask(url(server), "select value from kept") == 42


def test_a_server_without_a_watcher_is_stopped_before_another_starts(
    place: Place, server: SharedServer, ask: Ask, processes: Any, eventually: Any
) -> None:
    place.private_folder(server.folder)
    place.private_folder(server.sockets)
    arguments = Postgres().prepare(place, server.folder, server.sockets)["arguments"]
    with as_account(place, arguments) as orphan:
        ask(Postgres().url(server.sockets, "postgres"), "select 1")
        server.acquire()
        assert orphan.wait(10) == 0
    assert ask(url(server), "select 1") == 1
    eventually(lambda: len(processes.servers()) == 1)


def test_lock_files_that_name_a_living_stranger_do_not_hinder_the_start(
    place: Place, use: Use, server: SharedServer, ask: Ask, processes: Any
) -> None:
    user = use()
    first_line(user)
    kill_together(processes, user)
    (lock,) = server.sockets.glob(".*.lock")
    with as_account(place, ["sleep", "60"]) as stranger:
        for file in (server.folder / "data" / "postmaster.pid", lock):
            file.write_text(f"{stranger.pid}\n" + file.read_text().partition("\n")[2])
        try:
            server.acquire()
            assert ask(url(server), "select 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_users_that_arrive_while_the_server_stops_get_one_that_runs(place: Place, ask: Ask) -> None:
    with ThreadPoolExecutor() as leaving:
        for pause in (0.0, 0.01, 0.03, 0.06, 0.1):
            server = SharedServer(place, Postgres(fsync=False))
            server.acquire()
            assert ask(url(server), "select 1") == 1
            leaving.submit(server.release)
            time.sleep(pause)


def test_servers_hold_none_of_the_locks(server: SharedServer, processes: Any) -> None:
    server.acquire()
    locks = [path.name for path in processes.open_files() if path.suffix == ".lock"]
    assert sorted(locks) == ["users.lock", "watch.lock"]  # the watcher's own


def test_a_server_that_cannot_start_says_why(server: SharedServer, place: Place) -> None:
    server.acquire()
    server.release()
    options = server.folder / "data" / "postgresql.auto.conf"
    options.write_text("no_such_option = 1\n")
    broken = SharedServer(place, Postgres(fsync=False))
    try:
        with pytest.raises(ConfigError, match=r"(?s)DATABASE_URL.*no_such_option"):
            broken.acquire()
    finally:
        broken.release()
        options.write_text("")


def test_only_the_servers_account_can_enter_the_data_and_the_sockets(
    place: Place, server: SharedServer
) -> None:
    server.acquire()
    uid = place.user[0] if place.user else os.geteuid()
    for name in ("data", "run"):
        found = (server.folder / name).stat()
        assert (found.st_mode & 0o777, found.st_uid) == (0o700, uid)


def as_account(place: Place, arguments: list[str]) -> subprocess.Popen[bytes]:
    """A process under the account of the servers."""
    uid, gid = place.user or (None, None)
    return subprocess.Popen(
        arguments,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        env={"PATH": os.defpath},
        stderr=subprocess.DEVNULL,
    )
