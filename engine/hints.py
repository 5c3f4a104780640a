"""JSON Schemas of types that pydantic does not take as they are.

It refuses a class as a whole for one field it cannot describe, and before Python 3.12 every
`typing.TypedDict`.
"""

from collections.abc import Callable
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from typing_extensions import ReadOnly, TypedDict, is_typeddict

INDESCRIBABLE = (
    PydanticUserError,
    PydanticInvalidForJsonSchema,
    NameError,  # of hints that resolve to nothing
    TypeError,
    ValueError,
)
_WRAPPERS = (Required, NotRequired, ReadOnly)


def schema_of(kind: Any) -> dict[str, Any]:
    """What is known of a class with hints; empty where that is nothing."""
    try:
        return TypeAdapter(_twin(kind, ())).json_schema()
    except INDESCRIBABLE:
        return {}


def described(hint: Any, within: tuple[Any, ...] = ()) -> Any:
    """A type that says the same and has a JSON Schema; `Any` where none has."""
    try:
        kind = _modern(hint, within)
        TypeAdapter(kind).json_schema()
    except INDESCRIBABLE:
        return Any
    return kind


def _twin(kind: Any, within: tuple[Any, ...]) -> Any:
    """A typed dictionary with the fields of the class."""
    hints = get_type_hints(kind, include_extras=True)
    required = getattr(kind, "__required_keys__", hints.keys())
    fields = {}
    for name, hint in hints.items():
        needed = name in required
        while (wrapper := get_origin(hint)) in _WRAPPERS:
            needed = needed and wrapper is not NotRequired  # a quoted hint has told nobody yet
            (hint,) = get_args(hint)
        one = described(hint, (*within, kind))
        fields[name] = Required[one] if needed else NotRequired[one]
    return TypedDict(kind.__name__, fields)  # type: ignore[operator]


def _modern(hint: Any, within: tuple[Any, ...]) -> Any:
    if is_typeddict(hint):
        return dict[str, Any] if hint in within else _twin(hint, within)
    origin, args = get_origin(hint), get_args(hint)
    if not args or origin in (Literal, Callable):
        return hint
    if origin is Annotated:
        return Annotated[(_modern(args[0], within), *hint.__metadata__)]
    inner = tuple(_modern(one, within) for one in args)
    return Union[inner] if origin in (Union, UnionType) else origin[inner]  # noqa: UP007 - a tuple
