"""Small graphs that show what an engine must cope with."""

import asyncio
import operator
from typing import Annotated, Any

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.config import get_config, get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from engine.database import Pool
from tests.api.project.graphs import Greeter


def chat() -> StateGraph[MessagesState, None, MessagesState, MessagesState]:
    """A model that streams its answer."""

    async def model(state: MessagesState) -> dict[str, Any]:
        get_stream_writer()({"progress": "calling model"})
        return {"messages": [await Greeter().ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", model)
    graph.add_edge(START, "model")
    return graph


class Draft(TypedDict, total=False):
    topic: str
    draft: str
    log: Annotated[list[str], operator.add]


def approval() -> StateGraph[Draft, None, Draft, Draft]:
    """Asks a human in the middle."""

    async def write_draft(state: Draft) -> Draft:
        return {"draft": f"draft about {state.get('topic')}", "log": ["write_draft"]}

    async def ask_human(state: Draft) -> Draft:
        answer = interrupt({"question": "approve?", "draft": state.get("draft")})
        return {"log": [f"human:{answer}"]}

    async def publish(state: Draft) -> Draft:
        return {"log": ["publish"]}

    graph = StateGraph(Draft)
    graph.add_sequence([write_draft, ask_human, publish])
    graph.add_edge(START, "write_draft")
    return graph


class Work(TypedDict, total=False):
    mode: str
    secs: float
    steps: Annotated[list[str], operator.add]


class WorkContext(BaseModel):
    """What a run of `work` may be told."""

    pace: int = 1


def work() -> StateGraph[Work, WorkContext, Work, Work]:
    """Prepares, then is slow, fails, runs a subgraph or tells what it was configured with."""

    async def prep(state: Work) -> Work:
        return {"steps": ["prep"]}

    async def slow(state: Work) -> Work:
        await asyncio.sleep(state.get("secs", 1.0))
        return {"steps": ["slow"]}

    async def boom(state: Work) -> Work:
        raise ValueError("boom: this node always raises")

    async def zero(state: Work) -> Work:
        return {"steps": [str(1 // 0)]}

    async def tell(state: Work) -> dict[str, Any]:
        get_stream_writer()({"configurable": get_config()["configurable"]})
        return {"steps": ["tell"]}

    async def done(state: Work) -> Work:
        return {"steps": ["done"]}

    graph = StateGraph(Work, context_schema=WorkContext)
    graph.add_node("prep", prep)
    graph.add_node("child", _child().compile())
    for node in (slow, boom, zero, tell):
        graph.add_node(node.__name__, node)
    graph.add_node("done", done)
    graph.add_edge(START, "prep")
    modes = ["slow", "boom", "zero", "tell", "child", "done"]
    graph.add_conditional_edges("prep", lambda state: state.get("mode", "done"), modes)
    for name in modes[:-1]:
        graph.add_edge(name, "done")
    return graph


def _child() -> StateGraph[Work, None, Work, Work]:
    async def sub_a(state: Work) -> Work:
        return {"steps": ["sub_a"]}

    async def sub_b(state: Work) -> Work:
        return {"steps": ["sub_b"]}

    graph = StateGraph(Work)
    graph.add_sequence([sub_a, sub_b])
    graph.add_edge(START, "sub_a")
    return graph


def obedient() -> StateGraph[MessagesState, None, MessagesState, MessagesState]:
    """Does what it is told: to `wait`, to `fail`, to `ask` a human, or to greet."""

    async def work(state: MessagesState) -> dict[str, Any]:
        match str(state["messages"][-1].content):
            case "wait":
                await asyncio.sleep(30)
            case "fail":
                raise ValueError("failed as told")
            case "ask":
                answer = interrupt({"question": "approve?"})
                return {"messages": [AIMessage(f"they said {answer}")]}
        return {"messages": [await Greeter().ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("work", work)
    graph.add_edge(START, "work")
    return graph


GRAPHS = {"chat": chat(), "approval": approval(), "work": work()}


class Steps(TypedDict, total=False):
    secs: float
    steps: Annotated[list[int], operator.add]


def record(pool: Pool) -> StateGraph[Steps, None, Steps, Steps]:
    """Five steps, each of which tells a table that it began and that it ended."""

    def step(number: int) -> Any:
        async def work(state: Steps) -> Steps:
            run = get_config()["configurable"]["run_id"]
            async with pool.connection() as conn:
                await conn.execute(_BEGAN, (run, number))
                await asyncio.sleep(state.get("secs", 0.3))
                await conn.execute(_ENDED, (run, number))
            return {"steps": [number]}

        return work

    graph = StateGraph(Steps)
    for number in range(5):
        graph.add_node(f"step{number}", step(number))
        graph.add_edge(f"step{number - 1}" if number else START, f"step{number}")
    return graph


class Complaint(TypedDict, total=False):
    text: str
    fail: bool


def complaint(pool: Pool) -> StateGraph[Complaint, None, Complaint, Complaint]:
    """Asks a model and a tool that asks the database, then fails with what it was told if asked."""

    @tool
    async def look_up(said: str) -> str:
        """Look something up."""
        async with pool.connection() as conn:
            await conn.execute("select %(said)s as said", {"said": said})
        return said

    async def handle(state: Complaint) -> Complaint:
        await Greeter().ainvoke(state["text"])
        await look_up.ainvoke({"said": state["text"]})
        if state.get("fail"):
            raise ValueError(f"cannot handle {state['text']}")
        return {}

    graph = StateGraph(Complaint)
    graph.add_node("handle", handle)
    graph.add_edge(START, "handle")
    return graph


STEPS_TABLE = "create table if not exists steps (run_id uuid, step int, what text)"
_BEGAN = "insert into steps values (%s, %s, 'began')"
_ENDED = "insert into steps values (%s, %s, 'ended')"
