import typing
from dataclasses import dataclass

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from engine.errors import Invalid, NotFound
from engine.graphs import Graphs
from tests.fakes.graphs import GRAPHS


@dataclass
class Context:
    customer_id: str | None = None
    limit: int = 3


@dataclass
class State:
    text: str = ""


class Old(typing.TypedDict):
    text: str


def graphs() -> Graphs:
    def step(state: State) -> dict[str, str]:
        return {}

    plain = StateGraph(State, context_schema=Context).add_node("step", step).add_edge(START, "step")
    old = StateGraph(Old, context_schema=Old).add_node("step", step).add_edge(START, "step")
    return Graphs({**GRAPHS, "plain": plain, "old": old}, InMemorySaver())


def test_context_becomes_what_the_graph_declares() -> None:
    assert graphs().context("plain", {"customer_id": "c1", "unheard": 1}) == Context("c1")
    assert graphs().context("plain", {}) == Context()
    assert graphs().context("chat", {"any": 1}) == {"any": 1}


def test_a_wrong_context_is_named() -> None:
    with pytest.raises(Invalid, match=r"context\.customer_id: Input should be a valid string"):
        graphs().context("plain", {"customer_id": 7})


def test_types_that_cannot_be_described_have_an_empty_schema() -> None:
    schemas = graphs().schemas("old")
    assert schemas["graph_id"] == "old"
    assert isinstance(schemas["input_schema"], dict)
    assert graphs().context("old", {"text": "x"}) == {"text": "x"}


def test_a_missing_graph_names_the_others() -> None:
    with pytest.raises(NotFound, match=r"'nope' not found. Expected one of: \['approval', 'chat'"):
        graphs().get("nope")
