import json
import math
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Interrupt, Send
from pydantic import BaseModel

from engine.serialise import column, dumps, loads

Point = namedtuple("Point", "x y")


class Model(BaseModel):
    a: int = 1


@dataclass
class Data:
    b: Any


@pytest.mark.parametrize(
    ("message", "keys"),
    [
        (
            HumanMessage("hi"),
            ["content", "additional_kwargs", "response_metadata", "type", "name", "id"],
        ),
        (
            AIMessage("hi"),
            [
                "content",
                "additional_kwargs",
                "response_metadata",
                "type",
                "name",
                "id",
                "tool_calls",
                "invalid_tool_calls",
                "usage_metadata",
            ],
        ),
        (
            ToolMessage("hi", tool_call_id="1"),
            [
                "content",
                "additional_kwargs",
                "response_metadata",
                "type",
                "name",
                "id",
                "tool_call_id",
                "artifact",
                "status",
            ],
        ),
    ],
    ids=["human", "ai", "tool"],
)
def test_messages_have_their_keys_in_the_apis_order(message: Any, keys: list[str]) -> None:
    assert list(loads(dumps(message))) == keys


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Model(), {"a": 1}),
        (Data({1, 2}), {"b": [1, 2]}),
        (Point(1, 2), [1, 2]),
        (Send("node", 1), {"node": "node", "input": 1}),
        (Interrupt("q", id="x"), {"value": "q", "id": "x", "response_schema": None}),
        (ValueError("no"), {"error": "ValueError", "message": "no"}),
        (b"ab", "YWI="),
        (int, "int"),
        ({1: "a"}, {"1": "a"}),
        (math.nan, None),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (2**70, 2**70),
        ([2**70, Data(Model())], [2**70, {"b": {"a": 1}}]),
    ],
    ids=repr,
)
def test_what_json_does_not_know_is_written_plainly(value: Any, written: Any) -> None:
    assert json.loads(dumps(value)) == written


def test_what_nobody_knows_is_written_as_its_repr() -> None:
    value = object()
    assert loads(dumps({"x": value})) == {"x": repr(value)}


@given(st.text())
def test_a_column_holds_any_text_but_nul(text: str) -> None:
    written = column({"text": text})
    assert written is not None
    assert json.loads(written)["text"] == text.replace("\0", "\ufffd")


def test_an_absent_value_is_null_in_a_column() -> None:
    assert column(None) is None


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize("odd", [2**70, "\ud800"])
def test_one_odd_value_changes_nothing_about_the_others(odd: Any) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    others = {"id": UUID(int=1), "at": at, "day": at.date(), "hour": at.time(), "of": Colour.RED}
    told = json.loads(dumps({**others, "odd": odd}))
    assert told.pop("odd") == odd
    assert told == json.loads(dumps(others))
