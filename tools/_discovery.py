"""Find the tools: every module of this package without a leading underscore holds exactly one."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.machinery import FileFinder
from importlib.util import module_from_spec
from inspect import isabstract
from pathlib import Path
from pkgutil import ModuleInfo, iter_modules
from types import ModuleType
from typing import Any, get_type_hints

from pydantic_settings import BaseSettings

from engine.errors import ConfigError
from tools._contract import Tool


def load(needs: Mapping[str, Any], path: Sequence[str] | None = None) -> dict[str, Tool]:
    """Every tool by name (its module's), its fields filled by name from `needs`.

    A field whose type is a `BaseSettings` reads its own environment variables, so that a tool for
    a new back end needs no second file. Raises `ConfigError` for a file with no tool or two, or a
    field that nothing fills.
    """
    found = sorted(iter_modules(path or [str(Path(__file__).parent)]), key=lambda m: m.name)
    return {m.name: _build(_module(m), needs) for m in found if not m.name.startswith("_")}


def _module(info: ModuleInfo) -> ModuleType:
    name = f"tools.{info.name}"
    if name in sys.modules:
        return sys.modules[name]
    finder = info.module_finder
    spec = finder.find_spec(name) if isinstance(finder, FileFinder) else None
    if spec is None or spec.loader is None:
        raise ConfigError(f"tools/{info.name} cannot be loaded.")
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _build(module: ModuleType, needs: Mapping[str, Any]) -> Tool:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Tool)
        and not isabstract(value)
        and value.__module__ == module.__name__
    ]
    where = module.__name__.replace(".", "/") + ".py"
    if len(found) != 1:
        raise ConfigError(f"{where} must hold exactly one tool, not {len(found)}.")
    kind = found[0]
    hints = get_type_hints(kind)
    wanted = {field.name: hints[field.name] for field in fields(kind)}
    settings = {
        name: hint()
        for name, hint in wanted.items()
        if isinstance(hint, type) and issubclass(hint, BaseSettings)
    }
    missing = [name for name in wanted if name not in needs and name not in settings]
    if missing:
        raise ConfigError(f"{where} needs {missing}; there are {sorted(needs)}.")
    return kind(**{name: settings.get(name, needs.get(name)) for name in wanted})
