"""A project that is not ours: five graphs that any server of `langgraph.json` projects loads.

Nothing here comes from this repository, asks the network or takes a key.
"""

import asyncio
import json
import operator
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessageChunk,
    BaseMessage,
    ToolMessage,
    message_chunk_to_message,
)
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.config import get_config, get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

REPLY = "Hello there dear user"


class Speaker(BaseChatModel):
    """A model that says its `pieces`, one after the other or as one message."""

    def pieces(self, messages: list[BaseMessage]) -> AsyncIterator[AIMessageChunk]:
        """What it answers to these messages."""
        raise NotImplementedError

    @property
    def _llm_type(self) -> str:
        return type(self).__name__.lower()

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        said = [piece async for piece in self.pieces(messages)]
        message = message_chunk_to_message(add_ai_message_chunks(*said))
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for piece in self.pieces(messages):
            yield ChatGenerationChunk(message=piece)


class Greeter(Speaker):
    """Says `reply`, a word at a time, `pace` seconds between two."""

    reply: str = REPLY
    pace: float = 0.0

    async def pieces(self, messages: list[BaseMessage]) -> AsyncIterator[AIMessageChunk]:
        words = self.reply.split(" ")
        for number, word in enumerate(words):
            if number:
                await asyncio.sleep(self.pace)
            yield AIMessageChunk(word if number == len(words) - 1 else f"{word} ")


async def _answer(state: MessagesState) -> dict[str, Any]:
    get_stream_writer()({"progress": "calling model"})
    told = get_config()["configurable"]
    model = Greeter(reply=told.get("reply", REPLY), pace=told.get("pace", 0.0))
    return {"messages": [await model.ainvoke(state["messages"])]}


def _chat() -> StateGraph:
    """A model that streams its answer; `configurable` may hold `reply` and `pace`."""
    graph = StateGraph(MessagesState)
    graph.add_node("model", _answer)
    graph.add_edge(START, "model")
    return graph


chat = _chat()
"""Not compiled: the server does that."""


class Draft(TypedDict, total=False):
    topic: str
    draft: str
    log: Annotated[list[str], operator.add]


async def _write_draft(state: Draft) -> dict[str, Any]:
    return {"draft": f"draft about {state.get('topic')}", "log": ["write_draft"]}


async def _ask_human(state: Draft) -> dict[str, Any]:
    answer = interrupt({"question": "approve?", "draft": state.get("draft")})
    return {"log": [f"human:{answer}"]}


async def _publish(state: Draft) -> dict[str, Any]:
    return {"log": ["publish"]}


def _approval() -> StateGraph:
    graph = StateGraph(Draft)
    graph.add_node("write_draft", _write_draft)
    graph.add_node("ask_human", _ask_human)
    graph.add_node("publish", _publish)
    graph.add_edge(START, "write_draft")
    graph.add_edge("write_draft", "ask_human")
    graph.add_edge("ask_human", "publish")
    return graph


approval = _approval().compile()
"""Asks a human in the middle."""


class Work(TypedDict, total=False):
    mode: str
    secs: float
    gate: str
    steps: Annotated[list[str], operator.add]


class WorkContext(BaseModel):
    """What a run of `work` may be told."""

    pace: int = 1


class Unusual(Exception):
    """Of a class that no server knows."""


async def _prep(state: Work) -> Work:
    return {"steps": ["prep"]}


async def _slow(state: Work) -> Work:
    if gate := state.get("gate"):
        while not await asyncio.to_thread(os.path.exists, gate):
            await asyncio.sleep(0.05)
    else:
        await asyncio.sleep(state.get("secs", 1.0))
    return {"steps": ["slow"]}


async def _boom(state: Work) -> Work:
    raise ValueError("boom: this node always raises")


async def _zero(state: Work) -> Work:
    return {"steps": [str(1 // 0)]}


async def _odd(state: Work) -> Work:
    raise Unusual("a secret")


async def _tell(state: Work) -> Work:
    told = get_config()
    plain = {name: value for name, value in told["configurable"].items() if name[:2] != "__"}
    if user := plain.pop("langgraph_auth_user", None):
        plain["user"] = user["identity"]
    get_stream_writer()({"configurable": json.loads(json.dumps(plain, default=str))})
    return {"steps": ["tell"]}


async def _named(state: Work) -> Work:
    get_stream_writer()({"name": "progress", "payload": {"percent": 50}})
    return {"steps": ["named"]}


async def _done(state: Work) -> Work:
    return {"steps": ["done"]}


async def _sub_a(state: Work) -> Work:
    return {"steps": ["sub_a"]}


async def _sub_ask(state: Work) -> Work:
    return {"steps": [f"sub:{interrupt({'question': 'go on?'})}"]}


async def _sub_talk(state: Work) -> Work:
    said = await Greeter().ainvoke("Hello")
    return {"steps": [str(said.content)]}


async def _sub_b(state: Work) -> Work:
    return {"steps": ["sub_b"]}


def _line(**nodes: Any) -> StateGraph:
    graph = StateGraph(Work)
    before = START
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    return graph


_NODES: dict[str, Any] = {
    "slow": _slow,
    "boom": _boom,
    "zero": _zero,
    "odd": _odd,
    "tell": _tell,
    "named": _named,
    "child": _line(sub_a=_sub_a, sub_b=_sub_b).compile(),
    "asking": _line(sub_a=_sub_a, sub_ask=_sub_ask).compile(),
    "talk": _line(sub_talk=_sub_talk).compile(),
}


def _work() -> StateGraph:
    """`mode` names what it does: is slow for `secs` or until the file `gate` is there, fails,
    tells its configuration or its progress, or runs a subgraph; without one it ends at once."""
    graph = StateGraph(Work, context_schema=WorkContext)
    graph.add_node("prep", _prep)
    graph.add_node("done", _done)
    graph.add_edge(START, "prep")
    for name, node in _NODES.items():
        graph.add_node(name, node)
        graph.add_edge(name, "done")
    graph.add_conditional_edges("prep", lambda state: state.get("mode", "done"), [*_NODES, "done"])
    return graph


work = _work().compile()


class Pair(TypedDict, total=False):
    topic: str
    answers: Annotated[list[str], operator.add]


async def _left(state: Pair) -> Pair:
    return {"answers": [f"left:{interrupt({'side': 'left'})}"]}


async def _right(state: Pair) -> Pair:
    return {"answers": [f"right:{interrupt({'side': 'right'})}"]}


async def _both(state: Pair) -> Pair:
    return {"answers": ["both"]}


def make_par(config: RunnableConfig) -> Any:
    """Two interrupts at once; built for each run, by a factory that asks for its config."""
    graph = StateGraph(Pair)
    graph.add_node("left", _left)
    graph.add_node("right", _right)
    graph.add_node("both", _both)
    graph.add_edge(START, "left")
    graph.add_edge(START, "right")
    graph.add_edge(["left", "right"], "both")
    return graph.compile()


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Adder(Speaker):
    """Asks for `add` of 1 and 2, piece by piece, then says what it was told."""

    async def pieces(self, messages: list[BaseMessage]) -> AsyncIterator[AIMessageChunk]:
        if isinstance(messages[-1], ToolMessage):
            for word in ("The ", "sum ", "is ", str(messages[-1].content)):
                yield AIMessageChunk(word)
            return
        for args in ("", '{"a": 1,', ' "b": 2}'):
            piece = tool_call_chunk(
                name=None if args else "add", args=args, id=None if args else "call_1", index=0
            )
            yield AIMessageChunk("", tool_call_chunks=[piece])


def _toolagent() -> StateGraph:
    """A model that calls a tool and answers with its result."""

    async def model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await Adder().ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", model)
    graph.add_node("tools", ToolNode([add]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph


toolagent = _toolagent().compile()
