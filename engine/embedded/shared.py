"""A server in a folder, shared by every process that holds the folder's users file.

`users.lock`: a shared `flock` for as long as a process uses the server. `watch.lock`: held by the
watcher, for life. Whoever finds the watch lock free takes it and hands it to a new watcher, so
there is never more than one, and one that was killed is replaced by any user that is left. The
watch file is empty until its watcher has got rid of what an earlier one left, and serves.
"""

import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Protocol

from engine.embedded import watch
from engine.embedded.place import Place, explained
from engine.errors import ConfigError

_log = logging.getLogger(__name__)

_START_SECONDS = 120.0  # recovery after a crash may take long
_POLL_SECONDS = 0.02
_GUARD_SECONDS = 0.5
_LOG_BYTES = 10_000_000
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH")  # our secrets are none of the servers' business


class Server(Protocol):
    """What differs between servers; the methods may block."""

    name: ClassVar[str]
    socket: ClassVar[str]
    """File name of the socket."""
    setting: ClassVar[str]
    """The variable that replaces the embedded server by the user's own."""

    def prepare(self, place: Place, folder: Path, sockets: Path) -> watch.Command:
        """Initialise `folder` if need be, and say what to run. Never called twice at a time."""

    def answers(self, sockets: Path) -> bool:
        """Whether the server is ready."""


class SharedServer:
    """This process's use of the server in `place`: acquired once, then released."""

    def __init__(self, place: Place, server: Server) -> None:
        self.folder = place.folder / server.name
        self.sockets = place.socket_folder(self.folder, server.socket)
        self._place = place
        self._server = server
        self._users: int | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._released = threading.Event()
        self._guard = threading.Thread(target=self._keep_watched, daemon=True)

    def acquire(self) -> None:
        """Use the server, starting it when nobody has; returns when it answers.

        Raises `ConfigError`, with the end of the server's log, when it does not start. Call
        `release` in any case.
        """
        with explained(f"{self.folder}"):
            self._users = users = self._open_users()
            deadline = time.monotonic() + _START_SECONDS
            self._share(users, deadline)
            self._place.private_folder(self.sockets)
            self._start(deadline)
        self._guard.start()

    def acquire_alone(self) -> bool:
        """Keep every other process out, and run no server; False when one is in already."""
        with explained(f"{self.folder}"):
            self._users = self._open_users()
            if not _locked(self._users, fcntl.LOCK_EX):
                self.release()
        return self._users is not None

    def release(self) -> None:
        """Stop using the server; when nobody else uses it, return when it has stopped.

        So the folder is at rest for whoever removes it next, and a container that ends with this
        process does not cut the server off.
        """
        self._released.set()
        if self._guard.is_alive():
            self._guard.join()
        users, self._users = self._users, None
        if users is None:
            return
        fcntl.flock(users, fcntl.LOCK_UN)
        with suppress(FileNotFoundError):  # somebody has removed the folder already
            while self._watched() and not _used(users):
                time.sleep(_POLL_SECONDS)
        os.close(users)

    def _share(self, users: int, deadline: float) -> None:
        """Hold the users file; a watcher that is stopping its server keeps us out meanwhile."""
        alone_since = time.monotonic()
        while not _locked(users, fcntl.LOCK_SH):
            now = time.monotonic()
            if self._watched():
                alone_since = now
            if now - alone_since > 1:
                raise ConfigError(
                    f"{self.folder} is in use by one process that cannot share it: "
                    f"set {self._server.setting}."
                )
            if now > deadline:
                raise ConfigError(f"{self.folder}: the server does not stop.")
            time.sleep(_POLL_SECONDS)

    def _start(self, deadline: float) -> None:
        while True:
            self._watch()
            if self._serves() and self._server.answers(self.sockets):
                return
            if time.monotonic() > deadline:
                raise self._no_start()
            time.sleep(_POLL_SECONDS)

    def _serves(self) -> bool:
        return (self.folder / "watch.lock").stat().st_size > 0

    def _watched(self) -> bool:
        lock = self._open("watch.lock")
        try:
            return not _locked(lock, fcntl.LOCK_SH)
        finally:
            os.close(lock)

    def _watch(self) -> None:
        """Start a watcher unless there is one, or ours has given up."""
        lock = self._open("watch.lock")
        try:
            if not _locked(lock, fcntl.LOCK_EX):
                return
            ended, self._watcher = self._watcher, None
            if ended and ended.wait() > 0:  # gave up; a negative status is a kill
                raise self._no_start()
            os.ftruncate(lock, 0)
            command = self._server.prepare(self._place, self.folder, self.sockets)
            self._watcher = self._spawn(lock, command)
        finally:
            os.close(lock)

    def _spawn(self, lock: int, command: watch.Command) -> subprocess.Popen[bytes]:
        """A watcher in a session of its own, which inherits the lock and nothing else."""
        program = [sys.executable, "-I", "-S", watch.__file__, str(self.folder), str(lock)]
        inherited = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        log = self._open("server.log", os.O_APPEND)
        try:
            if os.fstat(log).st_size > _LOG_BYTES:
                os.ftruncate(log, 0)
            watcher = subprocess.Popen(  # noqa: S603 - our own script
                [*program, json.dumps(command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock],
                start_new_session=True,
                cwd="/",
                env={"LC_ALL": "C", **inherited},
            )
        finally:
            os.close(log)
        threading.Thread(target=watcher.wait, daemon=True).start()  # leaves no zombie
        return watcher

    def _keep_watched(self) -> None:
        pause = _GUARD_SECONDS
        while not self._released.wait(pause):
            pause = _GUARD_SECONDS
            try:
                self._watch()
            except (ConfigError, OSError) as error:
                _log.error("%s has no watcher: %s", self.folder, error)
                pause = 30.0

    def _open_users(self) -> int:
        self._place.server_folder(self._server.name)
        return self._open("users.lock")

    def _open(self, name: str, flags: int = 0) -> int:
        flags |= os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.folder / name, flags, 0o600)
        self._place.own(descriptor)
        return descriptor

    def _no_start(self) -> ConfigError:
        log = (self.folder / "server.log").read_text(errors="replace").splitlines()
        return ConfigError(
            f"{self.folder}: the server does not start. Set {self._server.setting} "
            "to use your own. The end of its log:\n" + "\n".join(log[-10:])
        )


def _used(users: int) -> bool:
    """Whether somebody shares the users file: neither nobody, nor a watcher that is stopping."""
    if _locked(users, fcntl.LOCK_EX):
        fcntl.flock(users, fcntl.LOCK_UN)
        return False
    return _locked(users, fcntl.LOCK_SH)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
