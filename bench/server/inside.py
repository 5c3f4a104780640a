"""The graph without a server: `python -m bench.server.inside NAME DSN REDIS`.

Reads one JSON order a line: `[threads, turns, durability]` for a crowd, `[number, durability]` for
streams. Answers each with a line. The event loop is the one that uvicorn would choose.
"""

import asyncio
import gc
import json
import sys
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any

import uvicorn
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from bench.checkpoints.contenders import ALL, Stores
from bench.five import TOKENS, build
from bench.server.load import Crowd, Durability, Streamed, crowd, streams

BARE = "bare"
SAID = "where is my order?"


class Inside:
    """Calls the graph."""

    def __init__(self, graph: CompiledStateGraph[Any, Any, Any, Any], *, kept: bool) -> None:
        self._graph = graph
        self._kept = kept

    async def crowd(self, threads: int, turns: int, durability: Durability) -> Crowd:
        how: dict[str, Any] = {"durability": durability} if self._kept else {}

        async def call(_: int, thread: str) -> None:
            out = await self._graph.ainvoke({"said": SAID}, _config(thread), **how)
            assert out["steps"]["valid"]

        return await crowd(call, threads, turns)

    async def streams(self, number: int, durability: Durability) -> list[Streamed]:
        how: dict[str, Any] = {"durability": durability} if self._kept else {}

        async def stream(thread: str) -> Streamed:
            began = perf_counter()
            parts = self._graph.astream(
                {"said": SAID}, _config(thread), stream_mode=["custom"], **how
            )
            times = [(perf_counter() - began) * 1000 async for _ in parts]
            assert len(times) == TOKENS
            return Streamed(times[0], (perf_counter() - began) * 1000)

        return await streams(stream, number)


def _config(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


async def obey(name: str, stores: Stores) -> None:
    """Do what stdin says until it ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with AsyncExitStack() as stack:
        saver = None
        if name != BARE:
            (contender,) = (each for each in ALL if each.name == name)
            saver = await stack.enter_async_context(contender.open(stores))
        inside = Inside(build().compile(checkpointer=saver), kept=saver is not None)
        print("ready", flush=True)
        while line := await reader.readline():
            gc.collect()
            order = json.loads(line)
            if len(order) == 3:
                done = await inside.crowd(*order)
                answer: Any = [done.runs, done.seconds]
            else:
                answer = [[each.first, each.total] for each in await inside.streams(*order)]
            print(json.dumps(answer), flush=True)


def main() -> None:
    """As told by the command line."""
    name, dsn, redis = sys.argv[1:]
    factory = uvicorn.Config("").get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(obey(name, Stores(dsn, redis or None)))


if __name__ == "__main__":
    main()
