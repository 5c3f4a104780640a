"""Graphs within graphs, tools and several questions at once: what event streams have to show."""

import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

from tests.api.project.graphs import Greeter
from tests.fakes.graphs import chat


class Adder(Greeter):
    """Has 1 and 2 added, then greets."""

    async def pieces(self, messages: list[BaseMessage]) -> AsyncIterator[AIMessageChunk]:
        if any(message.type == "tool" for message in messages):
            async for piece in super().pieces(messages):
                yield piece
            return
        parts = [("add", "", "call_1"), (None, '{"a": 1,', None), (None, ' "b": 2}', None)]
        for name, args, call_id in parts:
            call = tool_call_chunk(name=name, args=args, id=call_id, index=0)
            yield AIMessageChunk("", tool_call_chunks=[call])


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    get_stream_writer()({"name": "progress", "payload": {"adding": [a, b]}})
    return a + b


def adder() -> "StateGraph[MessagesState, None, MessagesState, MessagesState]":
    """An agent with one tool."""

    async def model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await Adder().ainvoke(state["messages"])]}

    def then(state: MessagesState) -> str:
        return "tools" if getattr(state["messages"][-1], "tool_calls", None) else END

    graph = StateGraph(MessagesState)
    graph.add_node("model", model)
    graph.add_node("tools", ToolNode([add]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", then, ["tools", END])
    graph.add_edge("tools", "model")
    return graph


def chat_within() -> "StateGraph[MessagesState, None, MessagesState, MessagesState]":
    """The chat, as a subgraph."""
    graph = StateGraph(MessagesState)
    graph.add_node("inner", chat().compile())
    graph.add_edge(START, "inner")
    return graph


class Answers(TypedDict, total=False):
    ask: str
    answers: Annotated[list[str], operator.add]


async def _ask(state: Answers) -> Answers:
    answer = interrupt({"ask": state.get("ask")})
    return {"answers": [f"{state.get('ask')}: {answer}"]}


def two_questions() -> "StateGraph[Answers, None, Answers, Answers]":
    """Asks two things at once."""
    graph = StateGraph(Answers)
    graph.add_node("ask", _ask)
    graph.add_conditional_edges(
        START, lambda _: [Send("ask", {"ask": "a"}), Send("ask", {"ask": "b"})], ["ask"]
    )
    return graph


def question_within() -> "StateGraph[Answers, None, Answers, Answers]":
    """Asks from within a subgraph."""
    inner = StateGraph(Answers)
    inner.add_node("ask", _ask)
    inner.add_edge(START, "ask")
    graph = StateGraph(Answers)
    graph.add_node("inner", inner.compile())
    graph.add_edge(START, "inner")
    return graph


NESTED = {
    "adder": adder(),
    "chat_within": chat_within(),
    "two_questions": two_questions(),
    "question_within": question_within(),
}
