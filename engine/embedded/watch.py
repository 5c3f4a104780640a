"""Keep one server running for as long as anybody uses it, and not a moment longer.

Run as a script, detached, by `engine.embedded.station`; it imports the standard library only, so
that it is small and starts quickly. It never asks process ids who is alive: users hold a shared
`flock` on the users file, the watcher an exclusive one on the watch file, and the kernel drops a
lock with its holder, however that one ended.
"""

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TypedDict

_PR_SET_PDEATHSIG = 1
_HOPELESS = 8
"""After so many deaths in a row within a second of the start, the watcher gives up."""
_PATIENCE = 20.0
"""Seconds a server may take to stop cleanly before it is killed."""


class Order(TypedDict):
    """What to run: handed over as JSON on the command line."""

    command: list[str]
    user: tuple[int, int] | None
    """Numeric user and group to run as, when started by root."""
    stop: int
    """The signal that makes the server stop at once and cleanly."""
    pid_file: str
    """Where the server writes its process id: for finding what a killed watcher left behind."""


class Watcher:
    """Runs the ordered command, and again when it dies, until told to stop."""

    def __init__(self, station: Path, order: Order) -> None:
        self.station = station
        self.order = order
        self.server: subprocess.Popen[bytes] | None = None
        self.stopping = False
        self.lock = threading.Lock()
        self.libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def run(self) -> bool:
        """Start the server, reap it, start it again; True when stopped, False when hopeless."""
        failures = 0
        while failures < _HOPELESS:
            clear_orphan(self.station, Path(self.order["pid_file"]), self.order["stop"])
            begun = time.monotonic()
            if not self._start():
                return True
            status = self._wait()
            if self.stopping:
                return True
            sys.stderr.write(f"watch: the server ended with {status}\n")
            failures = failures + 1 if time.monotonic() - begun < 1 else 0
            time.sleep(0.1 * failures)
        return False

    def stop(self) -> None:
        """Stop the server for good; `run` returns."""
        with self.lock:
            self.stopping = True
            if self.server is None or self.server.poll() is not None:
                return
            self.server.send_signal(self.order["stop"])
        try:
            self.server.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.server.kill()

    def _start(self) -> bool:
        with self.lock:
            if not self.stopping:
                self.server = subprocess.Popen(
                    self.order["command"], stdin=subprocess.DEVNULL, preexec_fn=self._die_with_us
                )
            return not self.stopping

    def _wait(self) -> int:
        return self.server.wait() if self.server else 0

    def _die_with_us(self) -> None:
        """On Linux the kernel stops the server should this process be killed."""
        if self.libc:
            self.libc.prctl(_PR_SET_PDEATHSIG, self.order["stop"])


def belongs(pid: int, station: Path) -> bool:
    """Whether this process is a server of ours, and not a stranger who got a reused id."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(station)
        except OSError:
            return False
    found = subprocess.run(
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(station) in found.stdout


def clear_orphan(station: Path, pid_file: Path, stop: int) -> None:
    """Stop a server that an earlier watcher left running here, and disarm a stale pid file.

    A pid that is now some other program's would keep PostgreSQL from starting. The file is not
    removed, as its other lines protect from surviving children of the old server: the pid in it
    becomes ours, which PostgreSQL, being our child, knows is no rival.
    """
    try:
        first, _, rest = pid_file.read_text().partition("\n")
        pid = int(first)
    except (OSError, ValueError):
        return
    deadline = time.monotonic() + _PATIENCE
    while belongs(pid, station):
        try:
            os.kill(pid, stop if time.monotonic() < deadline else signal.SIGKILL)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    if pid_file.exists():
        pid_file.write_text(f"{os.getpid()}\n{rest}")


def stop_without_users(users: int, watcher: Watcher) -> None:
    """Wait until no process holds the users file, and keep new ones out while stopping."""
    fcntl.flock(users, fcntl.LOCK_EX)
    watcher.stop()


def main(station: Path, watch_lock: int, order: Order) -> int:
    """Watch over `station`. The watch lock is inherited from the process that took it."""
    os.set_inheritable(watch_lock, False)
    users = os.open(station / "users.lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    if order["user"]:
        uid, gid = order["user"]
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    watcher = Watcher(station, order)
    threading.Thread(target=stop_without_users, args=(users, watcher), daemon=True).start()
    return 0 if watcher.run() else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])))
