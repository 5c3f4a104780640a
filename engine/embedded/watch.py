"""Keep one server running for as long as anybody uses it, and not a moment longer.

Run as a script, detached, by `engine.embedded.shared`; it imports the standard library only, so
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
_ATTEMPTS = 5
"""After so many deaths in a row within a second of the start, the watcher gives up."""
_PATIENCE = 20.0
"""Seconds a server may take to stop cleanly before it is killed."""


class Command(TypedDict):
    """What to run: handed over as JSON on the command line."""

    arguments: list[str]
    user: tuple[int, int] | None
    """Numeric user and group to become first, when started by root."""
    stop: int
    """The signal that makes the server stop at once and cleanly."""
    pid_file: str
    """The server's process id is in its first line, and the server works in its folder."""
    sockets: str
    """A folder of ours for the server's socket and what belongs to it."""


class Watcher:
    """Runs the command, and again when it dies, until told to stop."""

    def __init__(self, command: Command, watch_lock: int) -> None:
        self.command = command
        self.watch_lock = watch_lock
        self.server: subprocess.Popen[bytes] | None = None
        self.stopping = False
        self.lock = threading.Lock()
        self.libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def run(self) -> bool:
        """Start the server, reap it, start it again; True when stopped, False when hopeless."""
        failures = 0
        while failures < _ATTEMPTS:
            clear_remains(self.command)
            begun = time.monotonic()
            server = self._start()
            if server is None:
                return True
            status = server.wait()
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
            self.server.send_signal(self.command["stop"])
        try:
            self.server.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.server.kill()

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self.lock:
            if self.stopping:
                return None
            self.server = subprocess.Popen(  # noqa: S603 - our own command
                self.command["arguments"], stdin=subprocess.DEVNULL, preexec_fn=self._die_with_us
            )
            os.pwrite(self.watch_lock, b"serving\n", 0)
            return self.server

    def _die_with_us(self) -> None:
        """On Linux the kernel stops the server should this process be killed."""
        if self.libc:
            self.libc.prctl(_PR_SET_PDEATHSIG, self.command["stop"])


def works_in(pid: int, folder: Path) -> bool:
    """Whether this process is the server of `folder`, and not a stranger with a reused id."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
        except OSError:  # no such process, only its zombie, or somebody else's
            return False
    found = subprocess.run(  # noqa: S603 - a fixed program and a number
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(folder.parent) in found.stdout


def clear_remains(command: Command) -> None:
    """Stop a server that an earlier watcher left running, and disarm what a killed one left.

    A pid in a stale file may be some other program's by now, or a zombie's, and would keep
    PostgreSQL from starting. The pid file is not removed, as its other lines protect from
    surviving children of the old server: the pid in it becomes ours, which PostgreSQL, being our
    child, knows is no rival.
    """
    pid_file = Path(command["pid_file"])
    first, _, rest = pid_file.read_text().partition("\n") if pid_file.exists() else ("", "", "")
    if first.strip().isdigit():
        stop_orphan(int(first), pid_file.parent, command["stop"])
        if pid_file.exists():
            pid_file.write_text(f"{os.getpid()}\n{rest}")
    for path in Path(command["sockets"]).iterdir():
        path.unlink()


def stop_orphan(pid: int, folder: Path, stop: int) -> None:
    """Stop process `pid` if it is a server that works in `folder`."""
    deadline = time.monotonic() + _PATIENCE
    while works_in(pid, folder):
        try:
            os.kill(pid, stop if time.monotonic() < deadline else signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.05)


def stop_without_users(users: int, watcher: Watcher) -> None:
    """Wait until no process holds the users file, and keep new ones out while stopping."""
    fcntl.flock(users, fcntl.LOCK_EX)
    watcher.stop()


def main(folder: Path, watch_lock: int, command: Command) -> int:
    """Watch over the server of `folder`. The watch lock is inherited from whoever took it."""
    fcntl.fcntl(watch_lock, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    users = os.open(folder / "users.lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    if command["user"]:
        uid, gid = command["user"]
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    watcher = Watcher(command, watch_lock)
    threading.Thread(target=stop_without_users, args=(users, watcher), daemon=True).start()
    return 0 if watcher.run() else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])))
