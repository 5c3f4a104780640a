"""A PostgreSQL and a Redis of our own to kill, and their return over the same data."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from engine.embedded.place import Place
from engine.embedded.postgres import Postgres
from engine.embedded.redis import Redis

_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """To be called in a child: nothing stays behind when the tests are killed."""
    _libc.prctl(1, signal.SIGKILL)


class PostgresServer:
    """Without fsync: what a killed process has written, the kernel still has. But the kill can
    come in the middle of a page, so whole pages are logged, as they are in production.
    """

    def __init__(self, place: Place) -> None:
        self._folder = place.server_folder("postgres")
        self.sockets = self._folder / "run"
        place.private_folder(self.sockets)
        self._command = Postgres(fsync=False).prepare(place, self._folder, self.sockets)
        self._command["arguments"].append("--full_page_writes=on")
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, sockets: Path | None = None) -> str:
        return Postgres().url(sockets or self.sockets)

    def start(self) -> None:
        self.launch()
        self.await_answer()

    def launch(self) -> None:
        self._process = _spawn(self._command["arguments"], self._command["user"], self._folder)

    def await_answer(self) -> None:
        _until(lambda: Postgres().answers(self.sockets))

    def kill(self) -> None:
        """The postmaster and everything it started, at once."""
        assert self._process is not None
        family = self._family()
        self._process.kill()
        _kill(family)
        self._process.wait()
        _until(lambda: not any(_alive(pid) for pid in family))

    def stop(self) -> None:
        """In order: clients are thrown out, and what they had committed is there."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def kill_backend(self, choose: Callable[[Sequence[int]], int]) -> None:
        """One that serves a client, if there is one: the server then throws everybody out."""
        backends = [pid for pid in self._family() if "[local]" in _title(pid)]
        if backends:
            _kill([choose(backends)])

    def _family(self) -> list[int]:
        assert self._process is not None
        pid = self._process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class RedisServer:
    """`fsync` None: it keeps nothing, but for a dump it is asked for."""

    def __init__(self, place: Place, name: str, fsync: str | None) -> None:
        folder = place.server_folder(name)
        self.sockets = folder / "run"
        place.private_folder(self.sockets)
        command = Redis().prepare(place, folder, self.sockets)
        keep = ["--appendfsync", fsync] if fsync else ["--appendonly", "no"]
        self._arguments = [*command["arguments"], *keep]
        self._user, self._folder = command["user"], folder
        self._dump = folder / "data" / "dump.rdb"
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, sockets: Path | None = None) -> str:
        return Redis().url(sockets or self.sockets)

    def start(self) -> None:
        self.launch()
        self.await_answer()

    def launch(self) -> None:
        self._process = _spawn(self._arguments, self._user, self._folder)

    def await_answer(self) -> None:
        _until(lambda: Redis().answers(self.sockets))

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        self._tell("FLUSHALL")

    def dump(self) -> None:
        """Keep what it holds now for the next start."""
        self._tell("SAVE")

    def forget_dump(self) -> None:
        self._dump.unlink(missing_ok=True)

    def configure(self, name: str, value: str) -> None:
        """Until the next start."""
        self._tell(f"CONFIG SET {name} {value}")

    def _tell(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.sockets / Redis.socket))
            connection.sendall(f"{command}\r\n".encode())
            reply = connection.recv(64)
        assert reply.startswith(b"+OK"), reply


def _spawn(
    arguments: Sequence[str], user: tuple[int, int] | None, folder: Path
) -> subprocess.Popen[bytes]:
    uid, gid = user or (None, None)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            arguments,
            cwd="/",
            env={},
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            preexec_fn=die_with_parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    """A zombie is dead: it holds no memory that the next server would trip over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _until(done: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)
