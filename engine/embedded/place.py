"""Where the embedded servers keep their data, and as whom they run.

PostgreSQL refuses to run as root. When we are root its files must therefore be where an
unprivileged account can reach them, without opening any directory that is not ours.
"""

import hashlib
import logging
import os
import pwd
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError

_log = logging.getLogger(__name__)

_SYSTEM = Path("/var/lib/frontdesk")
"""For root only: what a home directory would hide from the unprivileged account."""
_POINTER = "servers"
_SOCKET_PATH_LIMIT = 100  # 107 bytes on Linux, 103 on macOS


@dataclass(frozen=True)
class Place:
    """The folder of the embedded servers, and the account they run as when we are root."""

    folder: Path
    user: tuple[int, int] | None

    def own(self, path: Path | int) -> None:
        """Give something of ours to the servers' account."""
        if self.user:
            os.chown(path, *self.user)

    def owned_folder(self, path: Path) -> Path:
        """A private folder that only the servers' account (and root) can enter."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_symlink() or path.stat().st_uid not in {0, self._uid}:
            raise ConfigError(f"{path} belongs to somebody else: remove it, or set FRONTDESK_DATA.")
        self.own(path)
        return path

    def socket_folder(self, station: Path, socket: str) -> Path:
        """Where a server's socket goes: a socket's whole path must be short."""
        near = station / "run"
        if len(os.fsencode(near / socket)) <= _SOCKET_PATH_LIMIT:
            return self.owned_folder(near)
        name = hashlib.sha256(os.fsencode(station)).hexdigest()[:16]
        return self.owned_folder(Path("/tmp") / f"frontdesk-{name}")  # noqa: S108 - checked: ours

    @property
    def _uid(self) -> int:
        return self.user[0] if self.user else os.geteuid()


def find_place(data: Path) -> Place:
    """The place that belongs to the folder `data` (FRONTDESK_DATA), always the same one.

    Raises `ConfigError` when `data` cannot be a folder of ours.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        return _place(data.resolve())
    except FileExistsError as error:
        raise ConfigError(f"FRONTDESK_DATA={data} is not a directory.") from error
    except NotADirectoryError as error:
        raise ConfigError(f"FRONTDESK_DATA={data}: a part of the path is a file.") from error
    except OSError as error:
        raise ConfigError(f"FRONTDESK_DATA={data} cannot be written: {error.strerror}.") from error


def _place(data: Path) -> Place:
    if os.geteuid() != 0:
        return Place(data, None)
    account = _account(data)
    pointer = data / _POINTER
    if pointer.exists():
        return Place(Path(pointer.read_text().strip()), account)
    if reachable(data, account[0]):
        return Place(data, account)
    folder = _SYSTEM / secrets.token_hex(8)
    folder.mkdir(parents=True, mode=0o755)
    draft = data / f".{_POINTER}.{os.getpid()}"
    draft.write_text(f"{folder}\n")
    try:
        os.link(draft, pointer)
    except FileExistsError:
        folder.rmdir()
    draft.unlink()
    folder = Path(pointer.read_text().strip())
    _log.warning("The unprivileged servers cannot reach %s: their data is in %s.", data, folder)
    return Place(folder, account)


def _account(data: Path) -> tuple[int, int]:
    """Whoever owns the data already, else `nobody`."""
    owner = data.stat()
    if owner.st_uid != 0:
        return owner.st_uid, owner.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise ConfigError(
            "PostgreSQL does not run as root, and there is no account `nobody`: "
            "start as another user, or set DATABASE_URL."
        ) from error
    return nobody.pw_uid, nobody.pw_gid


def reachable(path: Path, uid: int) -> bool:
    """Whether the account `uid`, a member of no group, may pass through every folder to `path`."""
    return all(
        entry.st_mode & (0o100 if entry.st_uid == uid else 0o001)
        for entry in (folder.stat() for folder in (path, *path.parents))
    )


def reachable_copy(folder: Path, parts: list[str], version: str, place: Place) -> Path:
    """`folder`, or a copy of its `parts` where the servers' account can reach them."""
    if place.user is None or reachable(folder.resolve(), place.user[0]):
        return folder
    copy = _SYSTEM / f"programs-{version}"
    if copy.exists():
        return copy
    draft = _SYSTEM / f".programs-{version}-{os.getpid()}"
    for part in parts:
        shutil.copytree(folder / part, draft / part, symlinks=True)
    try:
        draft.rename(copy)
        _log.warning("The unprivileged servers cannot reach %s: copied to %s.", folder, copy)
    except OSError:
        shutil.rmtree(draft)
        if not copy.exists():
            raise
    return copy
