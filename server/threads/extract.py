"""Single values out of threads: `{"last": "values.messages[-1].content"}`."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from engine.errors import Invalid

_ROOTS = ("config", "interrupts", "metadata", "values")
_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(-?\d{1,9})\]")


def check(paths: Mapping[str, str], fields: Collection[str]) -> None:
    """Refuse aliases that are no names, or names of `fields`, and paths that begin elsewhere.

    Raises `Invalid`.
    """
    for alias in paths:
        if not _ALIAS.fullmatch(alias):
            raise Invalid(
                f"Extract key '{alias}' must be a valid identifier (letters, digits, underscores)"
            )
    if taken := [alias for alias in paths if alias in fields]:
        raise Invalid(f"Extract keys cannot use reserved field names: {taken}")
    for path in paths.values():
        if re.split(r"[.\[]", path, maxsplit=1)[0] not in _ROOTS:
            raise Invalid(f"Extract path '{path}' must start with one of: {', '.join(_ROOTS)}")


def extracted(row: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """What is at the paths; null where there is nothing, or a path is no path."""
    return {alias: _at(row, path) for alias, path in paths.items()}


def _at(row: Any, path: str) -> Any:
    if not (steps := _steps(path)):
        return None
    for name, number in steps:
        if number:
            row = _item(row, int(number))
        else:
            row = row.get(name) if isinstance(row, Mapping) else None
    return row


def _steps(path: str) -> list[tuple[str, str]]:
    """A name or a number each; none for what is no path."""
    path, steps, at = f".{path}", [], 0
    while at < len(path):
        if (step := _STEP.match(path, at)) is None:
            return []
        steps.append((step[1] or "", step[2] or ""))
        at = step.end()
    return steps


def _item(row: Any, number: int) -> Any:
    if isinstance(row, list) and -len(row) <= number < len(row):
        return row[number]
    return None
