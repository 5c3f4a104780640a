"""The servers, a wire of its own from each process to each of them, and the processes."""

import multiprocessing
import os
import signal
import socket
from contextlib import ExitStack, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

from engine.embedded.place import find_place
from engine.embedded.postgres import Postgres
from engine.embedded.redis import Redis
from engine.settings import Role
from tests.chaos.serving import Plan, serve
from tests.checkpoints.crash.proxy import run_proxy
from tests.checkpoints.crash.servers import PostgresServer, RedisServer, die_with_parent

ROLES: dict[str, Role] = {"all-1": "all", "all-2": "all", "api": "api", "worker": "worker"}

_forks = multiprocessing.get_context("forkserver")


def prepare() -> None:
    """Import once for all processes: Python's start costs seconds, a fork nothing."""
    _forks.set_forkserver_preload(["tests.chaos.serving", "tests.checkpoints.crash.proxy"])


class Wire:
    """A proxy on a port of the loopback, in front of a server's socket."""

    def __init__(self, behind: Path) -> None:
        self.port = free_port()
        self._process = _forks.Process(target=_pass_on, args=(self.port, behind), daemon=True)
        self._process.start()
        self._broken = False

    def lose_answers(self) -> None:
        """Each connection loses its next answer: the server has done what was asked."""
        self._signal(signal.SIGUSR1)

    def cut(self) -> None:
        """Connections break, and new ones at once, until it is mended."""
        self._broken = True
        self._signal(signal.SIGUSR2)

    def silence(self) -> None:
        """Nothing comes through, and nobody is told."""
        self._signal(signal.SIGSTOP)

    def mend(self) -> None:
        self._signal(signal.SIGCONT)
        if self._broken:
            self._signal(signal.SIGUSR2)
        self._broken = False

    def close(self) -> None:
        self._process.kill()
        self._process.join()

    def _signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


class Desk:
    """One process of the product, started again and again on the same port and wires."""

    def __init__(self, name: str, stage: "Stage") -> None:
        self.name, self.role = name, ROLES[name]
        self.postgres = Wire(stage.postgres.sockets / Postgres.socket)
        self.redis = Wire(stage.redis.sockets / Redis.socket)
        self._plan = Plan(
            role=self.role,
            port=free_port(),
            database_url=f"postgresql://frontdesk@127.0.0.1:{self.postgres.port}/frontdesk",
            redis_url=f"redis://127.0.0.1:{self.redis.port}",
            remotes=stage.remotes,
            log=stage.folder / f"{name}.log",
            data=stage.folder,
        )
        self.url = f"http://127.0.0.1:{self._plan.port}"
        self._process: BaseProcess | None = None

    def start(self) -> None:
        self._process = _forks.Process(target=serve, args=(self._plan,), daemon=True)
        self._process.start()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self.join(10)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def join(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        assert self._process is not None
        self._process.join(seconds)
        return self._process.exitcode is not None

    @property
    def died(self) -> bool:
        return self._process is not None and self._process.exitcode is not None

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        self.postgres.close()
        self.redis.close()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, number)


class Stage:
    """Everything that can be killed."""

    def __init__(self, folder: Path, remotes: str) -> None:
        self.folder, self.remotes = folder, remotes
        self._open = ExitStack()
        place = find_place(folder)
        self.postgres = PostgresServer(place)
        self.postgres.start()
        self._open.callback(self.postgres.kill)
        self.redis = RedisServer(place, "redis", None)
        self.redis.start()
        self._open.callback(self.redis.kill)
        self.desks = [Desk(name, self) for name in ROLES]
        for desk in self.desks:
            self._open.callback(desk.close)

    @property
    def apis(self) -> list[str]:
        return [desk.url for desk in self.desks if desk.role != "worker"]

    def close(self) -> None:
        self._open.close()


def _pass_on(port: int, behind: Path) -> None:
    die_with_parent()
    run_proxy(port, behind)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
