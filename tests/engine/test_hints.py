"""Types that pydantic refuses still tell what they can."""

import operator
import typing
from typing import Annotated, Any, NotRequired

import pytest

from engine.hints import described, schema_of


class Inner(typing.TypedDict):
    a: int
    again: "NotRequired[Inner]"


class Odd:
    """Nothing that JSON knows."""


class State(typing.TypedDict, total=False):
    topic: str
    log: Annotated[list[Inner], operator.add]
    odd: Odd | None
    kind: typing.Literal["x", "y"]
    call: typing.Callable[[], int]


def test_a_typed_dict_of_the_standard_library_is_described() -> None:
    schema = schema_of(State)
    assert (schema["title"], schema["type"]) == ("State", "object")
    fields = schema["properties"]
    assert fields["topic"] == {"title": "Topic", "type": "string"}
    assert fields["kind"]["enum"] == ["x", "y"]
    assert fields["log"]["type"] == "array"
    assert "required" not in schema
    (inner,) = schema["$defs"].values()
    assert (inner["title"], inner["required"]) == ("Inner", ["a"])
    assert inner["properties"]["again"]["type"] == "object"


def test_what_cannot_be_described_is_anything() -> None:
    fields = schema_of(State)["properties"]
    assert "type" not in fields["odd"]
    assert "type" not in fields["call"]
    assert described(Odd) is Any


class Gone(typing.TypedDict):
    a: "Nope"  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("kind", [None, 7, Gone])
def test_what_has_no_hints_has_an_empty_schema(kind: Any) -> None:
    assert schema_of(kind) == {}
