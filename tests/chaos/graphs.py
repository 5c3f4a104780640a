"""The conversation that is tried: tokens, tools that write in three places, and a log of it all."""

import asyncio
import operator
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, TypeVar

import httpx
from langgraph.config import get_config, get_stream_writer
from langgraph.graph import START, StateGraph
from psycopg import OperationalError
from typing_extensions import TypedDict

from engine.database import Connection, Pool
from engine.effects import Call, Effects
from engine.embedded import Servers
from engine.errors import OutcomeUnknown, Unavailable
from engine.settings import Settings

TOKENS = {"think": 5, "keyless": 3, "answer": 6}
"""Nodes that speak, in their order, and how many tokens each says."""
ESCALATED = "escalated"
"""What the log says of an effect of which nobody knows whether it was done."""
NODES = ("think", "ours", "keyed", "keyless", "answer")
TABLE = "create table written (marker text not null, run_id text not null)"

_WRITE = "insert into written values (%(marker)s, %(run_id)s)"
_T = TypeVar("_T")


class Talk(TypedDict, total=False):
    """`messages` are markers: no two are the same, and the last one is the run's own."""

    messages: Annotated[list[str], operator.add]
    log: Annotated[list[str], operator.add]
    pace: float
    """Seconds between tokens."""


_Node = Callable[[Talk], Awaitable[Talk]]
Graph = StateGraph[Talk, None, Talk, Talk]


@asynccontextmanager
async def open_graphs(
    remotes: str, settings: Settings, servers: Servers, pool: Pool
) -> AsyncIterator[Mapping[str, Graph]]:
    """`remotes` is the URL of the fakes."""
    async with httpx.AsyncClient(base_url=remotes, timeout=3) as client:
        yield {"talk": talk(_Tools(Effects(pool), client))}


class _Tools:
    """What writes: to our Postgres, to a system that honours a key, to one that does not."""

    def __init__(self, effects: Effects, client: httpx.AsyncClient) -> None:
        self._effects = effects
        self._client = client

    async def ours(self, call: Call) -> None:
        async def write(conn: Connection) -> tuple[str, dict[str, Any]]:
            await conn.execute(_WRITE, {"marker": call.args["marker"], "run_id": call.run_id})
            return "written", {}

        await self._effects.once(call, write, seconds=5)

    async def keyed(self, call: Call) -> None:
        await self._remote(call, honours_key=True)

    async def keyless(self, call: Call) -> None:
        await self._remote(call, honours_key=False)

    async def _remote(self, call: Call, *, honours_key: bool) -> None:
        async def send(key: str) -> tuple[str, dict[str, Any]]:
            response = await self._client.post(
                f"/{call.tool}", json=call.args, headers={"Idempotency-Key": key}
            )
            response.raise_for_status()
            return "done", {}

        await self._effects.remote(call, send, honours_key=honours_key, seconds=3, retries=5)


def talk(tools: _Tools) -> Graph:
    """Think, write in two places at once and then in a third, answer."""
    graph = StateGraph(Talk)
    graph.add_node("think", _speaking("think"))
    for name in ("ours", "keyed", "keyless"):
        graph.add_node(name, _writing(name, getattr(tools, name)))
    graph.add_node("answer", _speaking("answer"))
    graph.add_edge(START, "think")
    graph.add_edge("think", "ours")
    graph.add_edge("think", "keyed")
    graph.add_edge(["ours", "keyed"], "keyless")
    graph.add_edge("keyless", "answer")
    return graph


def _speaking(name: str) -> _Node:
    async def node(state: Talk) -> Talk:
        await _speak(name, state)
        return {"log": [f"{state['messages'][-1]} {name}"]}

    return node


def _writing(
    name: str, write: Callable[[Call], Awaitable[Any]]
) -> Callable[[Talk], Awaitable[Talk]]:
    async def node(state: Talk) -> Talk:
        await _speak(name, state)
        try:
            await _patiently(partial(write, _call(name, state)))
        except OutcomeUnknown:
            return {"log": [f"{state['messages'][-1]} {name} {ESCALATED}"]}
        return {"log": [f"{state['messages'][-1]} {name}"]}

    return node


async def _speak(name: str, state: Talk) -> None:
    for number in range(TOKENS.get(name, 0)):
        get_stream_writer()({"marker": state["messages"][-1], "node": name, "n": number})
        await asyncio.sleep(state.get("pace", 0.0))


def _call(tool: str, state: Talk) -> Call:
    ids, marker = get_config()["configurable"], state["messages"][-1]
    args = {"marker": marker}
    return Call("default", ids["thread_id"], ids["run_id"], f"{marker} {tool}", tool, args)


async def _patiently(work: Callable[[], Awaitable[_T]]) -> _T:
    """Try again while our database is away, as a tool would."""
    while True:
        try:
            return await work()
        except (OperationalError, Unavailable):
            await asyncio.sleep(0.2)
