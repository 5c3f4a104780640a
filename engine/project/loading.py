"""Imports what a project refers to: `path/file.py:name` or `module:name`."""

import ast
import json
import sys
import traceback
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.errors import ConfigError
from engine.project.installation import import_paths
from engine.project.manifest import Project

_SCRIPTS = (".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs", ".cjs")


def load(project: Project, reference: str, key: str) -> Any:
    """The object that `reference`, found under `key`, names.

    Raises `ConfigError` with the file and the line where the import fails, or of the reference.
    """
    where, _, name = reference.rpartition(":")
    if where.endswith(_SCRIPTS):
        raise _wrong(project, reference, key, "only graphs in Python are served")
    is_file = where.endswith(".py") or "/" in where
    if is_file and not (project.folder / where).is_file():
        raise _wrong(project, reference, key, f"the file {project.folder / where} does not exist")
    try:
        module = _module_of((project.folder / where).resolve(), project) if is_file else None
        module = module or import_module(where)
    except (Exception, SystemExit) as error:
        raise broken(project, key, error) from error
    if not hasattr(module, name):
        raise _wrong(project, reference, key, f"{where} has no {name}")
    return getattr(module, name)


def broken(project: Project, key: str, error: BaseException) -> ConfigError:
    """The error that says in which line of the project its code has failed."""
    said = f"{type(error).__name__}: {error}"
    return ConfigError(f"{_line_of(project, error)}: {key} cannot be loaded: {said}")


def defined_at(project: Project, reference: str) -> str:
    """File and line where the object of a reference is defined, as far as that can be seen."""
    where, _, name = reference.rpartition(":")
    file = project.folder / where
    if not file.is_file():
        return where
    file = file.resolve()
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        if name in _names(statement):
            return f"{file}:{statement.lineno}"
    return str(file)


def _names(statement: ast.stmt) -> Iterator[str]:
    """What a statement at the top of a module gives a name to."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in statement.names)
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        yield from (one.id for one in targets if isinstance(one, ast.Name))


def _wrong(project: Project, reference: str, key: str, said: str) -> ConfigError:
    """An error at the reference's line in the project's file."""
    text = project.file.read_text(encoding="utf-8") if project.file else ""
    line = text[: max(0, text.find(json.dumps(reference)))].count("\n") + 1
    return ConfigError(f"{project.file}:{line}: {key}: {said}")


def _line_of(project: Project, error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in frames if _is_theirs(project, Path(one.filename))]
    last = (theirs or frames)[-1]
    return f"{last.filename}:{last.lineno}"


def _is_theirs(project: Project, file: Path) -> bool:
    """Whether it belongs to the project rather than to a package installed inside its folder."""
    return file.is_relative_to(project.folder) and "site-packages" not in file.parts


def _module_of(file: Path, project: Project) -> ModuleType:
    """The file's module, under the name that others import it by, if there is one."""
    package = _package_root(file)
    if package and str(package) not in sys.path:
        sys.path.append(str(package))
    roots = [root for root in import_paths(project) if file.is_relative_to(root)]
    roots.sort(key=lambda root: len(root.parts), reverse=True)
    for root in [package, *roots] if package else roots:
        parts = file.relative_to(root).with_suffix("").parts
        if all(part.isidentifier() for part in parts) and _is_imported_as(".".join(parts), file):
            return import_module(".".join(parts))
    return _alone(file, project)


def _package_root(file: Path) -> Path | None:
    """The folder from which the file's outermost package is imported."""
    folder = file.parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return folder if folder != file.parent else None


def _is_imported_as(name: str, file: Path) -> bool:
    try:
        spec = find_spec(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):  # a parent that is no package
            return False
        raise
    except ValueError:  # something that did not come from a file
        return False
    return bool(spec and spec.origin and Path(spec.origin).resolve() == file)


def _alone(file: Path, project: Project) -> ModuleType:
    """A file that nobody can import by a name of its own; it has the same in every process."""
    inside = file.is_relative_to(project.folder)
    place = file.relative_to(project.folder) if inside else file
    name = "_".join(("project", *place.with_suffix("").parts))
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
