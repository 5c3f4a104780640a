"""JSON of anything a graph may hold, the way LangGraph clients expect it."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
from langgraph.types import Send
from pydantic import BaseModel

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def dumps(value: Any) -> bytes:
    """Compact JSON. What JSON does not know becomes a dict, a list or its `repr`."""
    try:
        return orjson.dumps(value, _plain, _OPTIONS)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return json.dumps(value, default=_plain).encode()


def loads(data: bytes | str) -> Any:
    return orjson.loads(data)


def column(value: Any) -> str | None:
    """For a `json` or `jsonb` column, which cannot hold U+0000; None stays null."""
    if value is None:
        return None
    return _NUL.sub(rb"\1\\ufffd", dumps(value)).decode()


def exactly(part: Mapping[str, Any] | None) -> str | None:
    """For `frontdesk.holds`; None where containment in jsonb says the same."""
    return column(part) if _has_list(part) else None


def _has_list(value: Any) -> bool:
    """Containment takes a part of a list for the list."""
    if isinstance(value, Mapping):
        return any(_has_list(one) for one in value.values())
    return isinstance(value, list | tuple)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    match value:
        case BaseModel():
            return value.model_dump()
        case Send():
            return {"node": value.node, "input": value.arg}
        case BaseException():
            return {"error": type(value).__name__, "message": str(value)}
        case bytes() | bytearray() | memoryview():
            return b64encode(value).decode()
        case Mapping():
            return dict(value)
        case type():
            return value.__name__
        case UUID() | date() | time() | Enum():
            return loads(orjson.dumps(value))
        case Iterable():
            return list(value)
    return repr(value)
