"""A graph whose model stops in the middle of a sentence until the test lets it go on."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage
from langgraph.graph import START, MessagesState, StateGraph

from tests.api.project.graphs import Speaker

Gates = defaultdict[str, asyncio.Event]
"""By what the human said. A closed gate holds the model after half of its words."""

HALF = 4


def words(said: str) -> list[str]:
    """What the model answers, a chunk a word; the same word more than once, for the counting."""
    return [f"{word} " for word in f"You said {said} and and I say so so".split()]


def half(said: str) -> str:
    return "".join(words(said)[:HALF])


def whole(said: str) -> str:
    return "".join(words(said))


class Teller(Speaker):
    """Repeats what it was told, a word at a time."""

    gates: Any

    async def pieces(self, messages: list[BaseMessage]) -> AsyncIterator[AIMessageChunk]:
        said = messages[-1].text
        for number, word in enumerate(words(said)):
            if number == HALF and said.startswith("slowly"):
                await self.gates[said].wait()
            yield AIMessageChunk(word)


def story(gates: Gates) -> StateGraph[MessagesState, None, MessagesState, MessagesState]:
    """Streams an answer; waits in the middle of it when the question begins with `slowly`."""

    async def tell(state: MessagesState) -> dict[str, Any]:
        answer = [chunk async for chunk in Teller(gates=gates).astream(state["messages"])]
        message = answer[0]
        for chunk in answer[1:]:
            message += chunk
        return {"messages": [message]}

    graph = StateGraph(MessagesState)
    graph.add_node("tell", tell)
    graph.add_edge(START, "tell")
    return graph
