"""Folders for servers that tests start and kill, and a look at the processes in them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.folders import reachable_folder

User = subprocess.Popen[str]


@dataclass(frozen=True)
class Processes:
    """What runs for the servers of `folder`."""

    folder: Path

    def watchers(self) -> list[int]:
        return [pid for pid in _pids() if _is_watcher(pid, str(self.folder))]

    def servers(self, name: str = "postgres") -> list[int]:
        """The main process of each server of that name: works in its data, child of no such."""
        data = self.folder / name / "data"
        found = [pid for pid in _pids() if _cwd(pid) == data]
        return [pid for pid in found if _status(pid).get("PPid") not in map(str, found)]

    def zombies(self) -> list[int]:
        """Dead children that this process or a watcher has not reaped."""
        parents = {str(pid) for pid in (os.getpid(), *self.watchers())}
        states = [(pid, _status(pid)) for pid in _pids()]
        return [
            pid
            for pid, state in states
            if state.get("State", "").startswith("Z") and state["PPid"] in parents
        ]

    def open_files(self) -> list[Path]:
        """What the processes hold open, as far as they do not end meanwhile."""
        found = []
        for pid in self.all():
            with suppress(OSError):
                found += [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
        return found

    def all(self) -> list[int]:
        return self.watchers() + [
            pid for pid in _pids() if (cwd := _cwd(pid)) and cwd.is_relative_to(self.folder)
        ]


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _is_watcher(pid: int, folder: str) -> bool:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        return any(word.endswith("embedded/watch.py") for word in words) and any(
            word.startswith(folder) for word in words
        )
    return False


def _cwd(pid: int) -> Path | None:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cwd").readlink()
    return None


def _status(pid: int) -> dict[str, str]:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return {}


def _eventually(check: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """Wait until a condition holds; fails when it does not in time."""
    return _eventually


@contextmanager
def _left_idle(folder: Path) -> Iterator[Path]:
    """Nothing may run in the folder after the test."""
    if not Path("/proc/self/cwd").exists():
        pytest.skip("looks at processes through /proc")
    processes = Processes(folder)
    try:
        yield folder
        _eventually(lambda: not processes.all())
    finally:
        for pid in processes.all():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def _used_folder() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@pytest.fixture
def folder(_used_folder: Path) -> Iterator[Path]:
    """A data folder that every account can reach; tests share it one after the other."""
    with _left_idle(_used_folder):
        yield _used_folder


@pytest.fixture
def new_folder() -> Iterator[Path]:
    """A data folder that every account can reach, in which no server has been yet."""
    with reachable_folder() as folder, _left_idle(folder):
        yield folder


@pytest.fixture
def processes(folder: Path) -> Processes:
    return Processes(folder)


@pytest.fixture
def launch(folder: Path) -> Iterator[Callable[..., User]]:
    """Start a script beside this file; what still runs at the end is killed."""
    started: list[User] = []

    def launch(script: str, *words: str, **variables: str) -> User:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", Path(__file__).with_name(script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def use(launch: Callable[..., User], folder: Path) -> Callable[[], User]:
    """Another process that uses the PostgreSQL in `folder`; its first line of output is a URL."""
    return lambda: launch("user.py", str(folder))


@pytest.fixture(scope="session")
def ask() -> Callable[[str, str], object]:
    """The first value that a statement returns, as soon as the server answers."""

    def ask(url: str, statement: str) -> object:
        deadline = time.monotonic() + 10
        while True:
            try:
                with psycopg.connect(url, autocommit=True) as connection:
                    cursor = connection.execute(statement)
                    return (cursor.fetchone() or (None,))[0] if cursor.description else None
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    return ask
