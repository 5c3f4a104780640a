"""The embedded Redis: a private server when one is installed, else a stand-in for one process."""

import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import redis

from engine.embedded.place import Place
from engine.embedded.station import Station
from engine.embedded.watch import Order
from engine.errors import ConfigError

_SOCKET = "redis.sock"


def find_program() -> str | None:
    """The path of an installed `redis-server` or `valkey-server`."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


@dataclass(frozen=True)
class Redis:
    """A private Redis in `place` that appends what it is told to disk every second."""

    place: Place

    def station(self) -> Station:
        return Station(self.place, "redis", self.order, self.ready)

    def url(self) -> str:
        """Where to connect, once the server runs."""
        return f"unix://{quote(str(self._socket))}"

    def order(self) -> Order:
        """Say what to run."""
        program = find_program()
        if program is None:
            raise ConfigError("Neither redis-server nor valkey-server is installed: set REDIS_URL.")
        data = self.place.owned_folder(self._folder / "data")
        pid_file = str(self._socket.parent / "redis.pid")
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(data),
            "pidfile": pid_file,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return {
            "command": [program, *words],
            "user": self.place.user,
            "stop": signal.SIGTERM,
            "pid_file": pid_file,
        }

    def ready(self) -> bool:
        """Whether the server answers."""
        try:
            with redis.Redis.from_url(self.url()) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    @property
    def _folder(self) -> Path:
        return self.place.folder / "redis"

    @property
    def _socket(self) -> Path:
        return self.place.socket_folder(self._folder, _SOCKET) / _SOCKET
