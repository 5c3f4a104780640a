import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.store.memory import InMemoryStore

from engine.errors import ConfigError, Invalid, NotFound, Unbuildable
from engine.factories import Factory, Uncompiled
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


def step(state: State) -> dict[str, str]:
    return {}


def graphs() -> Graphs:
    plain = StateGraph(State, context_schema=Context).add_node("step", step).add_edge(START, "step")
    old = StateGraph(Old, context_schema=Old).add_node("step", step).add_edge(START, "step")
    return Graphs({**GRAPHS, "plain": plain, "old": old}, InMemorySaver(), InMemoryStore())


def test_context_becomes_what_the_graph_declares() -> None:
    assert graphs().context("plain", {"customer_id": "c1", "unheard": 1}) == Context("c1")
    assert graphs().context("plain", {}) == Context()
    assert graphs().context("chat", {"any": 1}) == {"any": 1}


def test_a_wrong_context_is_named() -> None:
    with pytest.raises(Invalid, match=r"context\.customer_id: Input should be a valid string"):
        graphs().context("plain", {"customer_id": 7})


async def test_typed_dicts_of_the_standard_library_are_described() -> None:
    schemas = await graphs().schemas("old")
    assert schemas["graph_id"] == "old"
    text = {"text": {"title": "Text", "type": "string"}}
    assert schemas["input_schema"]["properties"] == text
    assert schemas["context_schema"] == schemas["config_schema"] == schemas["output_schema"]
    assert graphs().context("old", {"text": "x"}) == {"text": "x"}


def test_a_missing_graph_names_the_others() -> None:
    with pytest.raises(NotFound, match=r"'nope' not found. Expected one of: \['approval', 'chat'"):
        graphs().get("nope")


class Chosen:
    """Makes as many steps as it is asked for, and remembers for whom."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.open = 0

    @asynccontextmanager
    async def __call__(self, settings: RunnableConfig, runtime: Any) -> AsyncIterator[Uncompiled]:
        self.asked.append((runtime.access_context, runtime.user and runtime.user.identity))
        steps = [f"step{number}" for number in range(settings["configurable"]["steps"])]
        graph: Any = StateGraph(State, context_schema=Context)
        graph.add_sequence([(name, step) for name in steps]).add_edge(START, steps[0])
        self.open += 1
        yield graph
        self.open -= 1


@pytest.fixture
def chosen() -> Chosen:
    return Chosen()


@pytest.fixture
def built(chosen: Chosen) -> Graphs:
    factory = Factory(chosen, {"settings": "config", "runtime": "runtime"})
    return Graphs({"chosen": factory}, InMemorySaver(), InMemoryStore())


def wanting(steps: int, **more: Any) -> dict[str, Any]:
    return {"configurable": {"steps": steps, **more}}


async def test_a_factory_builds_for_each_use(built: Graphs, chosen: Chosen) -> None:
    asked = wanting(2, langgraph_auth_user={"identity": "ann"})
    drawn = await built.draw("chosen", asked, depth=False)
    assert [node["id"] for node in drawn["nodes"]] == ["__start__", "step0", "step1", "__end__"]
    async with built.open("chosen", "threads.create_run", wanting(3)) as graph:
        assert [*graph.nodes] == ["__start__", "step0", "step1", "step2"]
        assert graph.store is built.store
        assert graph.checkpointer
        assert chosen.open == 1
    assert chosen.open == 0
    assert chosen.asked == [("assistants.read", "ann"), ("threads.create_run", None)]


async def test_what_cannot_be_built_to_be_read_is_as_it_was_built_before(built: Graphs) -> None:
    with pytest.raises(Unbuildable, match="'chosen' cannot be built: KeyError"):
        await built.draw("chosen", {}, depth=False)
    async with built.open("chosen", "threads.create_run", wanting(1)):
        pass
    drawn = await built.draw("chosen", {}, depth=False)
    assert len(drawn["nodes"]) == 3
    with pytest.raises(KeyError):
        async with built.open("chosen", "threads.create_run"):
            pass


def test_a_graph_compiled_elsewhere_is_copied_onto_our_checkpointer() -> None:
    theirs = InMemorySaver()
    compiled = GRAPHS["approval"].compile(checkpointer=theirs)
    ours = Graphs({"approval": compiled}, InMemorySaver(), InMemoryStore())
    graph = ours.get("approval")
    assert graph.checkpointer is not theirs
    assert graph.name == "approval"
    assert graph.store is ours.store
    assert compiled.checkpointer is theirs
    assert compiled.store is None


def test_what_is_no_graph_is_said_to_be_none() -> None:
    with pytest.raises(ConfigError, match="'odd' is of type int, which is no graph"):
        Graphs({"odd": cast("Any", 7)}, InMemorySaver(), InMemoryStore())
