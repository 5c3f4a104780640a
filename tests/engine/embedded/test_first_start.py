"""The first start in a folder, and what hinders one."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.embedded.place import find_place
from engine.embedded.postgres import Postgres
from engine.embedded.shared import SharedServer
from engine.errors import ConfigError


@pytest.fixture
def folder(new_folder: Path) -> Path:
    return new_folder


@pytest.fixture
def server(folder: Path) -> SharedServer:
    """A PostgreSQL that was never initialised."""
    return SharedServer(find_place(folder), Postgres(fsync=False))


def start(server: SharedServer) -> None:
    try:
        server.acquire()
    finally:
        server.release()


def test_processes_that_start_at_the_same_moment_share_one_server(
    use: Callable[[], subprocess.Popen[str]], ask: Callable[[str, str], Any], processes: Any
) -> None:
    users = [use() for _ in range(3)]
    urls = {user.stdout.readline().strip() for user in users if user.stdout}
    assert len(urls) == 1
    started = {ask(urls.copy().pop(), "select pg_postmaster_start_time()::text") for _ in users}
    assert len(started) == len(processes.watchers()) == len(processes.servers()) == 1
    assert [user.communicate() for user in users] == [("", "")] * 3


def test_data_of_another_major_version_is_left_alone(server: SharedServer) -> None:
    data = server.folder / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(ConfigError, match=r"PostgreSQL 16, and this is 18.*DATABASE_URL"):
        start(server)
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_folder_named_data_that_is_no_database_is_left_alone(server: SharedServer) -> None:
    (server.folder / "data").mkdir(parents=True)
    with pytest.raises(ConfigError, match="something else"):
        start(server)


def test_a_start_that_was_cut_off_is_done_again(server: SharedServer) -> None:
    (server.folder / "draft-1").mkdir(parents=True)
    (server.folder / "draft-1" / "PG_VERSION").write_text("18\n")
    start(server)
    assert not (server.folder / "draft-1").exists()
    assert (server.folder / "data" / "PG_VERSION").exists()


def test_modes_and_owners_of_folders_that_are_not_ours_stay_as_they_were(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    data.chmod(0o751)
    folder.chmod(0o711)
    above = [data, *data.parents]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in above]
    start(SharedServer(find_place(data), Postgres(fsync=False)))
    assert [(path.stat().st_mode, path.stat().st_uid) for path in above] == before


def test_a_path_too_long_for_a_socket_is_no_hindrance(
    folder: Path, ask: Callable[[str, str], Any]
) -> None:
    deep = folder / ("long" * 20) / ("longer" * 20)
    server = SharedServer(find_place(deep), Postgres(fsync=False))
    try:
        server.acquire()
        assert ask(Postgres().url(server.sockets), "select 1") == 1
        assert not server.sockets.is_relative_to(folder)
        assert server.sockets.stat().st_mode & 0o777 == 0o700
    finally:
        server.release()
        server.sockets.rmdir()
