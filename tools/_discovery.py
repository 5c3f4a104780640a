"""Find the tools: every module of this package without a leading underscore holds exactly one."""

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from typing import Any

from engine.errors import ConfigError
from tools._contract import Tool


def load(needs: Mapping[str, Any], path: list[str] | None = None) -> dict[str, Tool]:
    """Every tool by name (its module's), its fields filled by name from `needs`.

    Raises `ConfigError` for a file with no tool or two, or a field that nothing fills.
    """
    package = import_module("tools")
    names = [m.name for m in iter_modules(path or package.__path__) if not m.name.startswith("_")]
    return {name: _build(name, needs) for name in sorted(names)}


def _build(name: str, needs: Mapping[str, Any]) -> Tool:
    module = import_module(f"tools.{name}")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Tool)
        and not isabstract(value)
        and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise ConfigError(f"tools/{name}.py must hold exactly one tool, not {len(found)}.")
    missing = [field.name for field in fields(found[0]) if field.name not in needs]
    if missing:
        raise ConfigError(f"tools/{name}.py needs {missing}; there are {sorted(needs)}.")
    return found[0](**{field.name: needs[field.name] for field in fields(found[0])})
