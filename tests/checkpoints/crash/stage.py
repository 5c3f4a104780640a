"""The servers, and the clients that are forked to use them.

Forked from a process that has imported everything and opened nothing: Python's start costs a
second, and a run has little more.
"""

import logging
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from engine.embedded.place import find_place
from engine.embedded.postgres import Postgres
from engine.embedded.redis import Redis
from tests.checkpoints.crash.client import POINTS, Plan, Role, run_client
from tests.checkpoints.crash.proxy import run_proxy
from tests.checkpoints.crash.servers import PostgresServer, RedisServer, die_with_parent
from tests.checkpoints.crash.targets import EPOCH, Order, Site
from tests.checkpoints.crash.workload import dice

_PATIENCE = 60.0


class Child:
    """A forked process."""

    def __init__(self, work: Callable[[], None], errors: Path) -> None:
        self._status: int | None = None
        self._pid = os.fork()
        if self._pid == 0:
            _live(work, errors)

    def kill(self) -> None:
        if not self.ended():
            os.kill(self._pid, signal.SIGKILL)
            self.join()

    def finish(self) -> None:
        """Tell it to come to an end, and wait for that."""
        if not self.ended():
            os.kill(self._pid, signal.SIGTERM)
            self.join()

    def lose_answers(self) -> None:
        os.kill(self._pid, signal.SIGUSR1)

    def toggle(self) -> None:
        """Of a proxy: throw everybody out and let nobody in, or let them in again."""
        os.kill(self._pid, signal.SIGUSR2)

    def freeze(self) -> None:
        if not self.ended():
            os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if not self.ended():
            os.kill(self._pid, signal.SIGCONT)

    def ended(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None

    def join(self) -> None:
        """Raises `TimeoutError` when it hangs; it is killed then."""
        deadline = time.monotonic() + _PATIENCE
        while not self.ended():
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"process {self._pid} does not end")
            time.sleep(0.002)

    @property
    def failed(self) -> bool:
        """It ended neither by itself and well, nor by a kill."""
        return self._status is not None and os.waitstatus_to_exitcode(self._status) not in {0, -9}


def _live(work: Callable[[], None], errors: Path) -> None:
    try:
        die_with_parent()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until the client is ready
        out = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        _quieten()
        work()
    except BaseException:  # noqa: BLE001 - a fork must not return into its parent's code
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _quieten() -> None:
    """A pool may log that connections break; that nobody looked at an exception is a fault."""
    logging.getLogger().addHandler(logging.NullHandler())
    faults = logging.StreamHandler()
    faults.setLevel(logging.ERROR)
    logging.getLogger("asyncio").addHandler(faults)


class Stage:
    """The servers that a target needs, and proxies in front of them."""

    def __init__(self, folder: Path, saver: str) -> None:
        self.folder = folder
        place = find_place(folder)
        self._open = ExitStack()
        self.dsn = self.url = ""
        if saver != "redis":
            self.postgres = PostgresServer(place)
            self.postgres.start()
            self._open.callback(self.postgres.kill)
            self.postgres_proxy, sockets = self._proxy("p", self.postgres.sockets, Postgres.socket)
            self.dsn, self.proxied_dsn = self.postgres.url(), self.postgres.url(sockets)
        if saver in {"redis", "tiered"}:
            self.redis = RedisServer(place, "redis", "always" if saver == "redis" else None)
            self.redis.start()
            self._open.callback(self.redis.kill)
            self.redis_proxy, sockets = self._proxy("r", self.redis.sockets, Redis.socket)
            self.url, self.proxied_url = self.redis.url(), self.redis.url(sockets)

    def close(self) -> None:
        self._open.close()

    def site(self, saver: str, space: str, through: str = "") -> Site:
        dsn = self.proxied_dsn if through == "postgres" else self.dsn
        url = self.proxied_url if through == "redis" else self.url
        return Site(saver, dsn, url, space)

    def _proxy(self, name: str, behind: Path, socket: str) -> tuple[Child, Path]:
        front = self.folder / name
        front.mkdir()
        proxy = Child(lambda: run_proxy(front / socket, behind / socket), self.folder / "proxies")
        self._open.callback(proxy.kill)
        while not (front / socket).exists():
            time.sleep(0.005)
        return proxy, front


class Run:
    """One story on a stage: what its clients journal is in its folder."""

    def __init__(self, stage: Stage, order: Order) -> None:
        self.stage = stage
        self.rng = dice(str(order))
        self.folder = Path(tempfile.mkdtemp(prefix="run_", dir=stage.folder))
        self.clients: list[Child] = []
        self._order = order
        self._space = self.folder.name
        self._epoch = 0
        self._pipe = os.pipe()

    def close(self) -> None:
        for client in self.clients:
            client.kill()
        for end in self._pipe:
            os.close(end)

    def client(
        self,
        *,
        point: str | None = None,
        nth: int = 1,
        told: bool = False,
        through: str = "",
        alone: bool = True,
        epoch: int | None = None,
        role: Role = "writer",
        pruned: bool = False,
    ) -> Child:
        """Start one. `told`: it tells `moment` when it is at a point that chance has chosen."""
        if told and self.rng.random() < 0.5:
            point, nth = self.rng.choice(POINTS), self.rng.randint(1, 60)
        plan = Plan(
            life=f"{len(self.clients):02}",
            seed=str(self._order),
            folder=self.folder,
            site=self.stage.site(self._order.saver, self._space, through),
            threads=tuple(f"{self._space}-{n}" for n in range(3)),
            alone=alone,
            role=role,
            pruned=pruned,
            configurable={} if epoch is None else {EPOCH: epoch},
            point=point,
            nth=nth,
            pipe=self._pipe[1] if told else None,
        )
        self.clients.append(Child(lambda: run_client(plan), self.errors))
        return self.clients[-1]

    @property
    def errors(self) -> Path:
        return self.folder / "errors"

    def readers(self) -> list[Site]:
        """Through which savers everything is read back: what is tried, and what lies under it."""
        savers = [self._order.saver] + (["postgres"] if self._order.saver == "tiered" else [])
        return [self.stage.site(saver, self._space) for saver in savers]

    def next_epoch(self) -> int:
        self._epoch += 1
        return self._epoch

    def moment(self, client: Child) -> None:
        """When the client says so, or some time after."""
        ready, _, _ = select.select([self._pipe[0]], [], [], self.rng.uniform(0.05, 0.6))
        if ready:
            os.read(self._pipe[0], 100)

    def wait(self, client: Child, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not client.ended():
            time.sleep(0.002)

    def pause(self, seconds: float) -> None:
        """Up to so long."""
        time.sleep(self.rng.uniform(0, seconds))
