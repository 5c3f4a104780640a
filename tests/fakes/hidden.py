"""A graph that only the code of a node knows, alone in a process: `... hidden DATABASE_URL`.

Prints what its own type came back as from the checkpoint before an interrupt.
"""

import asyncio
import sys
from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from checkpoints import PostgresCheckpointer
from engine.graphs import Graphs


class Note(BaseModel):
    """What is known to the hidden graph only."""

    text: str


class Inner(TypedDict, total=False):
    note: Note
    seen: str


class Outer(TypedDict, total=False):
    seen: str


async def write(state: Inner) -> Inner:
    return {"note": Note(text="n")}


async def read(state: Inner) -> Inner:
    interrupt("?")
    return {"seen": type(state["note"]).__name__}


async def call(state: Outer) -> Outer:
    return {"seen": (await HIDDEN[0].ainvoke({})).get("seen", "")}


HIDDEN: list[Any] = []


async def main(dsn: str) -> None:
    inner = StateGraph(Inner)
    inner.add_sequence([write, read])
    inner.add_edge(START, "write")
    HIDDEN.append(inner.compile())
    outer: Any = StateGraph(Outer).add_node("call", call).add_edge(START, "call")
    found: Any = {}
    for asked in ({}, Command(resume="go on")):
        async with PostgresCheckpointer.open(dsn) as saver:
            graph = Graphs({"outer": outer}, saver, InMemoryStore()).get("outer")
            found = await graph.ainvoke(asked, {"configurable": {"thread_id": "1"}})
    sys.stdout.write(found["seen"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
