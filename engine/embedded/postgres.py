"""The embedded PostgreSQL with pgvector: a private superuser, one database, a unix socket."""

import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import psycopg

from engine.embedded.place import Place
from engine.embedded.programs import MAJOR, find_programs
from engine.embedded.watch import Command
from engine.errors import ConfigError

_PORT = 5432  # nothing listens on it: it only names the socket
_USER = "frontdesk"
_DATABASE = "frontdesk"
_LOCK = 7_300_416


@dataclass(frozen=True)
class Postgres:
    """What to run. Without `fsync` it is faster, and a crash of the machine loses everything."""

    name: ClassVar[str] = "postgres"
    socket: ClassVar[str] = f".s.PGSQL.{_PORT}"
    setting: ClassVar[str] = "DATABASE_URL"

    fsync: bool = True

    def url(self, sockets: Path, database: str = _DATABASE) -> str:
        """Where to connect, for anything that understands libpq's URLs."""
        return f"postgresql://{_USER}@/{database}?host={quote(str(sockets), safe='')}&port={_PORT}"

    def prepare(self, place: Place, folder: Path, sockets: Path) -> Command:
        """Initialise the data when there is none yet.

        Raises `ConfigError` for data of another major version.
        """
        programs = find_programs(place)
        data = folder / "data"
        if data.exists():
            _check_version(data)
        else:
            self._initialise(place, programs, data)
        safe = "on" if self.fsync else "off"
        options = {
            "port": str(_PORT),
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "timezone": "UTC",
            "log_min_messages": "log",  # errors go to who made them; their values are customers'
            "fsync": safe,
            "full_page_writes": safe,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        return {
            "arguments": [str(programs / "postgres"), "-D", str(data), *words],
            "user": place.user,
            "stop": signal.SIGINT,  # disconnects everybody, then shuts down cleanly
            "pid_file": str(data / "postmaster.pid"),
            "sockets": str(sockets),
        }

    def answers(self, sockets: Path) -> bool:
        """Whether our database is there; creates it on a server that has none yet."""
        try:
            with _connect(self.url(sockets)) as connection:
                return _has_vectors(connection)
        except psycopg.OperationalError:
            return self._create_database(sockets)

    def _create_database(self, sockets: Path) -> bool:
        try:
            with _connect(self.url(sockets, "postgres")) as connection:
                connection.execute("select pg_advisory_lock(%s)", [_LOCK])
                found = connection.execute(
                    "select from pg_database where datname = %s", [_DATABASE]
                )
                if found.fetchone() is None:
                    connection.execute(f"create database {_DATABASE}")
        except psycopg.OperationalError:  # still starting
            pass
        return False

    def _initialise(self, place: Place, programs: Path, data: Path) -> None:
        """Into a draft that becomes `data` when complete: a start that is cut off leaves none."""
        for remains in data.parent.glob("draft-*"):
            shutil.rmtree(remains, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=data.parent))
        place.own(draft)
        # The builtin collation is the same on every system; the C library's character classes let
        # full-text search know punctuation outside ASCII, where there is such a locale.
        failure = self._initdb(place, programs, draft, "C.UTF-8")
        if failure:
            failure = self._initdb(place, programs, draft, "C")
        if failure:
            shutil.rmtree(draft, ignore_errors=True)
            raise ConfigError(f"PostgreSQL cannot be initialised; set DATABASE_URL.\n{failure}")
        draft.rename(data)

    def _initdb(self, place: Place, programs: Path, folder: Path, locale: str) -> str:
        """What went wrong, or nothing."""
        uid, gid = place.user or (None, None)
        result = subprocess.run(  # noqa: S603 - our own program
            [
                programs / "initdb",
                f"--pgdata={folder}",
                f"--username={_USER}",
                "--auth=trust",  # the socket's folder lets nobody else in
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                f"--locale={locale}",
                *([] if self.fsync else ["--no-sync"]),
            ],
            cwd="/",
            env={},
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            capture_output=True,
            text=True,
            check=False,
        )
        return result.stderr if result.returncode else ""


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, connect_timeout=5)


def _has_vectors(connection: psycopg.Connection) -> bool:
    found = connection.execute("select from pg_extension where extname = 'vector'")
    if found.fetchone() is None:
        connection.execute("select pg_advisory_lock(%s)", [_LOCK])
        connection.execute("create extension if not exists vector")
    return True


def _check_version(data: Path) -> None:
    stamp = data / "PG_VERSION"
    found = stamp.read_text().strip() if stamp.exists() else "something else"
    if found != MAJOR:
        raise ConfigError(
            f"{data} was written by PostgreSQL {found}, and this is {MAJOR}: dump it with "
            f"{found} and restore it, choose another FRONTDESK_DATA, or set DATABASE_URL."
        )
