import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, NamedTuple, NewType, cast
from uuid import UUID

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict

from engine.allowed import types_of
from engine.caller import Caller
from engine.database import Pool
from engine.embedded import Servers
from engine.runs import RunRequest
from engine.runtime import open_engine
from engine.settings import Settings


class Mood(Enum):
    GOOD = "good"


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Street:
    name: str


@dataclass
class Address:
    street: Street
    points: Sequence[Point]


class Profile(BaseModel):
    name: str
    mood: Mood | None = None


class Note(BaseModel):
    text: str


@dataclass
class Unknown:
    """No schema mentions it."""

    text: str


Home = NewType("Home", Address)


class State(TypedDict, total=False):
    home: Annotated[Home, "where"]
    people: dict[str, list[Profile]]
    anything: Any
    notes: list[str]


class Inner(TypedDict, total=False):
    note: Note
    notes: list[str]


PROFILE = Profile(name="Ada", mood=Mood.GOOD)
HOME = Home(Address(Street("Elm"), [Point(1, 2)]))


def typed() -> StateGraph[Any, Any, Any, Any]:
    """Two turns: the second tells which types the checkpoints brought back."""

    async def fill(state: State) -> State:
        if state.get("home"):
            return {}
        return {"home": HOME, "people": {"all": [PROFILE]}, "anything": Unknown("x")}

    async def note(state: Inner) -> Inner:
        return {"note": Note(text="n")}

    async def read(state: Inner) -> Inner:
        return {"notes": [type(state.get("note")).__name__]}

    async def tell(state: State) -> State:
        found = [state.get("home"), state.get("people"), state.get("anything")]
        return {"notes": [*state.get("notes", []), repr(found)]}

    inner = StateGraph(Inner)
    inner.add_sequence([note, read])
    inner.add_edge(START, "note")
    outer = StateGraph(State)
    outer.add_node("fill", fill)
    outer.add_node("inner", inner.compile())
    outer.add_node("tell", tell)
    outer.add_edge(START, "fill")
    outer.add_edge("fill", "inner")
    outer.add_edge("inner", "tell")
    return cast("StateGraph[Any, Any, Any, Any]", outer)


def test_types_are_found_wherever_the_schemas_mention_them() -> None:
    mine = {name for module, name in types_of(typed().compile()) if module == __name__}
    assert mine == {"Address", "Street", "Point", "Profile", "Mood", "Note"}


def test_annotations_that_cannot_be_resolved_are_passed_over() -> None:
    class Torn(TypedDict):
        note: Note
        other: "NotThere"  # type: ignore[name-defined] # noqa: F821

    def step(state: Any) -> Any:
        return {}

    graph = StateGraph(State)
    graph.add_node("step", step, input_schema=dict[str, Torn])
    graph.add_edge(START, "step")
    assert (__name__, "Note") in types_of(graph.compile())


@pytest.mark.parametrize(("strict", "seen"), [("false", "dict"), ("true", "Note")])
async def test_langgraph_itself_adds_the_types_of_graphs_that_nodes_call(
    database_url: str, strict: str, seen: str
) -> None:
    env = {**os.environ, "LANGGRAPH_STRICT_MSGPACK": strict}
    command = [sys.executable, "-m", "tests.fakes.hidden", database_url]
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.decode() == seen


async def test_a_graphs_own_types_come_back_and_others_as_plain_data(
    settings: Settings, servers: Servers, migrated: Pool, me: Caller
) -> None:
    for kind in ("tiered", "postgres", "redis"):
        chosen = settings.model_copy(update={"checkpointer": kind})
        thread_id: UUID | None = None
        for _ in range(2):  # the second time nothing is in memory
            async with open_engine(chosen, servers, migrated, {"typed": typed()}) as engine:
                thread_id = thread_id or (await engine.threads.create(me)).thread_id
                run = await engine.runs.create(me, thread_id, RunRequest("typed", input={}))
                async with asyncio.timeout(20):
                    async for _ in engine.watch.from_start(me, run):
                        pass
                config: RunnableConfig = {"configurable": {"thread_id": str(thread_id)}}
                state = await engine.graphs.get("typed").aget_state(config)
        assert state.values["home"] == HOME
        assert state.values["people"] == {"all": [PROFILE]}
        assert state.values["anything"] == {"text": "x"}
        assert state.values["notes"] == [
            "Note",
            repr([HOME, {"all": [PROFILE]}, {"text": "x"}]),
        ]
