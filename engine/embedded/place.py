"""Where the embedded servers keep their files, and as whom they run.

PostgreSQL refuses to run as root. When we are root its files must therefore be where an
unprivileged account can reach them, without opening any folder that is not ours.
"""

import hashlib
import logging
import os
import pwd
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

from engine.errors import ConfigError

_log = logging.getLogger(__name__)

SYSTEM = Path("/var/lib/frontdesk")
"""For root only: holds what a home folder would hide from the unprivileged account."""
_POINTER = "servers"
"""A file in FRONTDESK_DATA that names the folder below SYSTEM, if there is one."""
_SOCKET_PATH_BYTES = 100  # the kernel allows 107 on Linux, 103 on macOS


@dataclass(frozen=True)
class Place:
    """The folder of the embedded servers, and the account they run as when we are root."""

    folder: Path
    user: tuple[int, int] | None = None
    system: Path = SYSTEM

    def own(self, path: Path | int) -> None:
        """Give something that we made to the servers' account."""
        if self.user is None:
            return
        if isinstance(path, int):
            os.fchown(path, *self.user)
        else:
            os.chown(path, *self.user, follow_symlinks=False)

    def private_folder(self, path: Path) -> None:
        """Make or take a folder that only the servers' account, and root, can enter.

        Raises `ConfigError` when it is there already and somebody else's.
        """
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
        theirs = self.user[0] if self.user else os.geteuid()
        if not S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), theirs}:
            raise ConfigError(f"{path} belongs to somebody else: remove it.")
        self.own(path)

    def server_folder(self, name: str) -> Path:
        """The folder of one server: ours, and open to the account that the server runs as."""
        path = self.folder / name
        with suppress(FileExistsError):
            path.mkdir()
            path.chmod(0o711 if self.user else 0o700)
            if self.user and self.folder.stat().st_uid == self.user[0]:
                self.own(path)
        return path

    def socket_folder(self, server: Path, socket: str) -> Path:
        """Where a server's socket goes: beside its data, unless that path is too long for one."""
        near = server / "run"
        if len(os.fsencode(near / socket)) <= _SOCKET_PATH_BYTES:
            return near
        name = hashlib.sha256(os.fsencode(server)).hexdigest()[:16]
        return Path("/tmp") / f"frontdesk-{name}"  # noqa: S108 - must be ours: private_folder


def find_place(data: Path, system: Path = SYSTEM) -> Place:
    """The place that belongs to the folder `data` (FRONTDESK_DATA), the same one every time.

    Raises `ConfigError` when `data` cannot be a folder of ours.
    """
    with explained(f"FRONTDESK_DATA={data}"):
        if data.is_file():
            raise ConfigError(f"FRONTDESK_DATA={data} is a file, not a folder.")
        data.mkdir(parents=True, exist_ok=True)
        data = data.resolve()
        if os.geteuid() != 0:
            return Place(data)
        return _place_for_root(data, system)


@contextmanager
def explained(subject: str) -> Iterator[None]:
    """Turn an error of the file system into a `ConfigError` about `subject`."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise ConfigError(f"{subject} cannot be used: {error.strerror or error}{where}.") from error


def reachable(path: Path, uid: int) -> bool:
    """Whether the account `uid`, member of no group, may pass through every folder to `path`."""
    ways = {path.absolute(), path.resolve()}
    return all(
        entry.st_mode & (0o100 if entry.st_uid == uid else 0o001)
        for way in ways
        for entry in (folder.stat() for folder in (way, *way.parents))
    )


def _place_for_root(data: Path, system: Path) -> Place:
    pointer = data / _POINTER
    if pointer.exists():
        folder = Path(pointer.read_text().strip())
        if not folder.exists():
            raise ConfigError(f"{pointer} says that the data is in {folder}, which is gone.")
        return Place(folder, _account(folder), system)
    user = _account(data)
    if reachable(data, user[0]):
        return Place(data, user, system)
    if (data / "postgres").exists():
        raise ConfigError(
            f"{data} holds a database, but the account it runs as (id {user[0]}) can no longer "
            "reach it: a folder above it was closed."
        )
    folder = _elsewhere(pointer, system)
    _log.warning("The servers cannot run as root nor reach %s: their data is in %s.", data, folder)
    return Place(folder, _account(folder), system)


def _elsewhere(pointer: Path, system: Path) -> Path:
    """A new folder below `system`, or the one that another process chose at the same moment."""
    open_folder(system)
    folder = system / secrets.token_hex(8)
    open_folder(folder)
    draft = pointer.with_name(f".{_POINTER}-{folder.name}")
    draft.write_text(f"{folder}\n")
    try:
        os.link(draft, pointer)
        (folder / "origin").write_text(f"{pointer.parent}\n")
    except FileExistsError:
        folder.rmdir()
    draft.unlink()
    return Path(pointer.read_text().strip())


def open_folder(path: Path) -> None:
    """Make a folder of ours through which everybody may pass, whatever the umask."""
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(0o755)


def _account(folder: Path) -> tuple[int, int]:
    """Whoever owns the data already, else the folder, else `nobody`."""
    data = folder / "postgres" / "data"
    owner = (data if data.exists() else folder).stat()
    if owner.st_uid != 0 and (data.exists() or _has_name(owner.st_uid)):
        return owner.st_uid, owner.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise ConfigError(
            "PostgreSQL does not run as root, and there is no account `nobody`: "
            "start as another user, or set DATABASE_URL."
        ) from error
    return nobody.pw_uid, nobody.pw_gid


def _has_name(uid: int) -> bool:
    """PostgreSQL can only be initialised by an account with a name."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
