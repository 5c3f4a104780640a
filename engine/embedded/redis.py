"""The embedded Redis: a private server, where one is installed."""

import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from engine.embedded.place import Place
from engine.embedded.watch import Command
from engine.errors import ConfigError


def find_program() -> str | None:
    """The path of an installed `redis-server` or `valkey-server`."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


@dataclass(frozen=True)
class Redis:
    """What to run: a Redis that appends what it is told to disk once a second."""

    name: ClassVar[str] = "redis"
    socket: ClassVar[str] = "redis.sock"
    setting: ClassVar[str] = "REDIS_URL"

    def url(self, sockets: Path) -> str:
        """Where to connect, for redis-py."""
        return f"unix://{quote(str(sockets / self.socket))}"

    def prepare(self, place: Place, folder: Path, sockets: Path) -> Command:
        """Raises `ConfigError` when no program is installed."""
        program = find_program()
        if program is None:
            raise ConfigError("Neither redis-server nor valkey-server is installed: set REDIS_URL.")
        data = folder / "data"
        place.private_folder(data)
        options = {
            "port": "0",
            "unixsocket": str(sockets / self.socket),
            "unixsocketperm": "700",
            "dir": str(data),
            "pidfile": str(data / "redis.pid"),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return {
            "arguments": [program, *words],
            "user": place.user,
            "stop": signal.SIGTERM,
            "pid_file": str(data / "redis.pid"),
            "sockets": str(sockets),
        }

    def answers(self, sockets: Path) -> bool:
        """Whether it replies to a ping."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(sockets / self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False
