"""What a project's code needs around it: variables, packages, folders to import from."""

import logging
import os
import platform
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from dotenv import dotenv_values
from packaging.requirements import InvalidRequirement, Requirement

from engine.project.manifest import Project

log = logging.getLogger(__name__)

_YIELDING = ("graphs", "nodes", "tools")
"""Packages of ours that only our own project needs, and others may have too."""
_KEPT = ("checkpoints", "engine", "server")
_ROOT = str(Path(__file__).parents[2])


def install(project: Project, environ: MutableMapping[str, str] = os.environ) -> None:
    """Make this process one in which the project's code can be imported.

    Sets variables that are not set. What is missing is logged as a warning: the project may do
    without, and if not, the import that fails says where.
    """
    for name, value in variables(project).items():
        environ.setdefault(name, value)
    wanted = (project.python_version or "").split(".")
    if wanted != [""] and wanted != list(platform.python_version_tuple())[: len(wanted)]:
        log.warning(
            "%s: python_version: the project asks for %s, this is %s",
            project.file,
            project.python_version,
            platform.python_version(),
        )
    for key, said in missing(project):
        log.warning("%s: %s: %s", project.file, key, said)
    paths = [str(path) for path in import_paths(project)]
    # Our root is in it where we are developed, and holds more than our packages: it comes last.
    others = [path for path in sys.path if path != _ROOT]
    ours = [_ROOT] if len(others) < len(sys.path) else []
    sys.path[:] = [*others, *(path for path in paths if path not in (*others, *ours)), *ours]
    _make_way(paths)


def variables(project: Project) -> dict[str, str]:
    """`env`, which is an object or the name of a file, and settings that have keys of their own."""
    ttl = project.checkpointer.ttl
    settings = {
        "FRONTDESK_THREAD_TTL_MINUTES": ttl and ttl.default_ttl,
        "FRONTDESK_THREAD_TTL_STRATEGY": ttl and ttl.strategy,
        "FRONTDESK_THREAD_SWEEP_MINUTES": ttl and ttl.sweep_interval_minutes,
    }
    given = {name: str(value) for name, value in settings.items() if value is not None}
    if isinstance(project.env, dict):
        return {**given, **project.env}
    file = project.folder / project.env
    found = dotenv_values(file) if file.is_file() else {}
    return {**given, **{name: value or "" for name, value in found.items()}}


def import_paths(project: Project) -> list[Path]:
    """The project's folder, its local dependencies, and their `src` folders.

    A file, such as `./pyproject.toml`, stands for the folder it is in.
    """
    local = [one for one in project.dependencies if _is_local(project, one)]
    places = [(project.folder / one).resolve() for one in local]
    folders = [project.folder, *(place.parent if place.is_file() else place for place in places)]
    there = [folder for folder in folders if folder.is_dir()]
    return list(dict.fromkeys(path for folder in there for path in _with_src(folder)))


def missing(project: Project) -> Iterator[tuple[str, str]]:
    """What the file names and is not here: the key, and what to do."""
    if isinstance(project.env, str) and project.env:
        file = project.folder / project.env
        if not file.is_file():
            yield "env", f"{file} does not exist, so no variable is set by it"
    absent = []
    for one in project.dependencies:
        if not _is_local(project, one):
            absent += [] if _is_installed(one) else [one]
        elif not (place := (project.folder / one).resolve()).exists():
            yield "dependencies", f"{place} does not exist"
    if absent:
        command = " ".join(f"'{one}'" for one in absent)
        yield "dependencies", f"not installed here. Run: pip install {command}"


def _with_src(folder: Path) -> Iterator[Path]:
    yield folder
    source = folder / "src"
    if source.is_dir() and not (source / "__init__.py").exists():
        yield source


def _is_local(project: Project, dependency: str) -> bool:
    return dependency.startswith((".", "/")) or (project.folder / dependency).exists()


def _is_installed(dependency: str) -> bool:
    """Whether it is there in a version that fits; an address alone tells neither."""
    try:
        requirement = Requirement(dependency)
    except InvalidRequirement:  # such as git+https://...
        return True
    if requirement.marker and not requirement.marker.evaluate():
        return True
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


class _Theirs:
    """Finds some top-level packages in the project before they are looked for elsewhere."""

    def __init__(self, names: Sequence[str], paths: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._paths = list(paths)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the import system asks."""
        return PathFinder.find_spec(name, self._paths) if name in self._names else None


def _make_way(paths: Sequence[str]) -> None:
    """Let the project import its own packages where ours have the same names.

    Ours go on with what they have imported.
    """
    theirs = [name for name in (*_YIELDING, *_KEPT) if _has_its_own(name, paths)]
    for name in set(theirs) & set(_KEPT):
        log.warning("import %s means a package of Frontdesk: the project's own is hidden", name)
    yielded = [name for name in theirs if name in _YIELDING]
    for module in list(sys.modules):
        if module.partition(".")[0] in yielded:
            del sys.modules[module]
    if yielded:
        sys.meta_path.insert(0, _Theirs(yielded, paths))


def _has_its_own(name: str, paths: Sequence[str]) -> bool:
    spec = PathFinder.find_spec(name, list(paths))
    if spec is None:
        return False
    ours = Path(__file__).parent.parent / name
    places = [spec.origin, *(spec.submodule_search_locations or ())]
    return not any(Path(place).is_relative_to(ours) for place in places if place)
