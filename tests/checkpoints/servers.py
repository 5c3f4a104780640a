"""Redis of a test's own on free ports of the loopback: alone, a cluster, behind Sentinel."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

PROGRAMS = ("redis-server", "valkey-server")
SERVICE = "frontdesk"

_SLOTS = 16384
_BUS = 10_000  # a node of a cluster talks to the others on its port and this


@dataclass(frozen=True)
class Node:
    """A server that runs."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """For the test's own questions. Not to be used while its loop has to run."""
        client = redis.Redis(port=self.port, protocol=2, driver_info=None)
        try:
            yield client
        finally:
            client.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def alone(folder: Path, *options: str) -> Iterator[Node]:
    """One server that writes nothing to disk, unless `options` say so."""
    folder.mkdir()
    port = _free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with _running([_program(), *words, *options], port, folder) as node:
        yield node


@contextmanager
def cluster(folder: Path) -> Iterator[list[Node]]:
    """Three nodes that share the slots."""
    folder.mkdir()
    with ExitStack() as stack:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        nodes = [stack.enter_context(alone(folder / name, *options)) for name in "abc"]
        clients = [stack.enter_context(node.client()) for node in nodes]
        for at, client in enumerate(clients):
            first, after = (_SLOTS * each // len(clients) for each in (at, at + 1))
            client.execute_command("CLUSTER ADDSLOTS", *range(first, after))
            client.execute_command("CLUSTER MEET", "127.0.0.1", nodes[0].port)
        _until(lambda: all(_is_complete(client, len(nodes)) for client in clients))
        yield nodes


def _is_complete(client: redis.Redis, nodes: int) -> bool:
    info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(nodes)


@dataclass(frozen=True)
class Watched:
    """A master and a replica that a sentinel watches."""

    master: Node
    replica: Node
    sentinel: Node

    def replicate(self) -> None:
        """Until the replica has all that the master has."""
        with self.master.client() as client:
            client.set("the last write", 1)
            assert client.wait(1, 10_000) == 1

    @contextmanager
    def unreplicated(self) -> Iterator[None]:
        """Within, the master works alone and in the end dies: the replica never hears of it."""
        with self.replica.frozen():
            with self.master.client() as client:
                client.client_kill_filter(_type="replica")
            yield
            self.master.kill()

    def wait_until_promoted(self) -> None:
        """Until the sentinel sends clients to the replica."""
        with self.sentinel.client() as sentinel:
            ask = ("SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE)
            _until(lambda: int(sentinel.execute_command(*ask)[1]) == self.replica.port)


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """A replica that has caught up with its master, and a sentinel that knows both."""
    folder.mkdir()
    with ExitStack() as stack:
        at_once = ("--repl-diskless-sync-delay", "0")
        master = stack.enter_context(alone(folder / "master", *at_once))
        replicating = ("--replicaof", f"127.0.0.1 {master.port}")
        replica = stack.enter_context(alone(folder / "replica", *replicating))
        sentinel = stack.enter_context(_sentinel(folder / "sentinel", master))
        with sentinel.client() as client:
            _until(lambda: _can_be_promoted(client))
        yield Watched(master, replica, sentinel)


def _can_be_promoted(sentinel: redis.Redis) -> bool:
    replicas = sentinel.execute_command("SENTINEL SLAVES", SERVICE)
    return [each["master-link-status"] for each in replicas] == ["ok"]


@contextmanager
def _sentinel(folder: Path, master: Node) -> Iterator[Node]:
    folder.mkdir()
    port = _free_port()
    config = folder / "sentinel.conf"
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f"dir {folder}",
        f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 1",
        f"sentinel down-after-milliseconds {SERVICE} 500",
        f"sentinel failover-timeout {SERVICE} 2000",
    ]
    config.write_text("\n".join(lines) + "\n")
    with _running([_program(), str(config), "--sentinel"], port, folder) as node:
        yield node


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[Node]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    node = Node(port, folder, process)
    try:
        _until(lambda: _answers(node))
        yield node
    finally:
        node.kill()


def _answers(node: Node) -> bool:
    assert node.process.poll() is None, (node.folder / "log").read_text()
    try:
        with node.client() as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def _program() -> str:
    return next(path for path in map(shutil.which, PROGRAMS) if path)


def _free_port() -> int:
    """A port that is free, and the one of its bus too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + _BUS))
            except (OSError, OverflowError):
                continue
            return port


def _until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
