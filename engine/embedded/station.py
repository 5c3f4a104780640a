"""A folder in which one server runs, shared by every process that holds its users file.

`users.lock`: a shared `flock` for as long as a process uses the server. `watch.lock`: held by the
watcher, for life. Whoever finds the watch lock free takes it and hands it to a new watcher, so
there is never more than one, and a watcher that was killed is replaced by any user left.
"""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from engine.embedded import watch
from engine.embedded.place import Place
from engine.errors import ConfigError

_START_SECONDS = 60.0
_GUARD_SECONDS = 0.5


class Station:
    """One server's folder `place.folder/name`, and this process's use of it.

    `order` prepares the folder and says what to run; it is called only by the one process that
    is about to start the watcher. `ready` says whether the server answers.
    """

    def __init__(
        self, place: Place, name: str, order: Callable[[], watch.Order], ready: Callable[[], bool]
    ) -> None:
        self.place = place
        self.folder = place.folder / name
        self._order = order
        self._ready = ready
        self._users: int | None = None
        self._left = threading.Event()
        self._guard = threading.Thread(target=self._keep_watched, daemon=True)

    def enter(self) -> None:
        """Use the server, starting it when nobody has; returns when it answers.

        Raises `ConfigError`, with the end of the server's log, when it does not start.
        """
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._users = self._open("users.lock")
        deadline = time.monotonic() + _START_SECONDS
        self._share(deadline)
        watchers = 0
        while not self._ready():
            watchers += self._watch()
            if watchers > 2 or time.monotonic() > deadline or self._left.is_set():
                raise ConfigError(f"{self.folder}: the server does not start:\n{self._log_end()}")
            time.sleep(0.01)
        self._guard.start()

    def leave(self) -> None:
        """Stop using the server: it stops when this was the last user."""
        self._left.set()
        if self._guard.is_alive():
            self._guard.join()
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def wait_until_idle(self) -> None:
        """Return when nothing runs here any more."""
        lock = self._open("watch.lock")
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.close(lock)

    def _share(self, deadline: float) -> None:
        """Hold the users file; a watcher that is stopping keeps us out until it has."""
        while not _locked(self._users or 0, fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                raise ConfigError(f"{self.folder} is in use by a process that shares it with none.")
            time.sleep(0.01)

    def _watch(self) -> bool:
        """Start a watcher unless there is one; whether it did."""
        lock = self._open("watch.lock")
        try:
            if not _locked(lock, fcntl.LOCK_EX):
                return False
            self._spawn(lock)
            return True
        finally:
            os.close(lock)

    def _spawn(self, lock: int) -> None:
        """A watcher in a session of its own, which inherits the lock and nothing else."""
        command = [sys.executable, "-I", "-S", watch.__file__, str(self.folder), str(lock)]
        log = self._open("server.log", os.O_APPEND)
        try:
            watcher = subprocess.Popen(  # noqa: S603 - our own script
                [*command, json.dumps(self._order())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock],
                start_new_session=True,
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            )
        finally:
            os.close(log)
        threading.Thread(target=watcher.wait, daemon=True).start()

    def _keep_watched(self) -> None:
        while not self._left.wait(_GUARD_SECONDS):
            self._watch()

    def _open(self, name: str, flags: int = 0) -> int:
        path = self.folder / name
        descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600
        )
        self.place.own(descriptor)
        return descriptor

    def _log_end(self) -> str:
        lines = (self.folder / "server.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-10:])


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
