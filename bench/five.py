"""The five-node graph that the engine is measured on: no model, 60 tokens told one by one.

The shape of a support turn: classify, retrieve, crm, generate, validate. With `pace`, generate
waits as a large model would; nothing else in it takes time, so that what is measured is ours.
"""

import asyncio
import operator
from dataclasses import dataclass
from typing import Annotated, Any

from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

NODES = ("classify", "retrieve", "crm", "generate", "validate")
TOKENS = 60


@dataclass(frozen=True)
class Pace:
    """A simulated model: seconds to its first token, then tokens a second."""

    first_seconds: float
    tokens_per_second: float

    def due(self, number: int) -> float:
        """Seconds from the call to its token of this number."""
        return self.first_seconds + number / self.tokens_per_second


class Turn(TypedDict, total=False):
    """What flows: the last thing said, and everything said before."""

    said: str
    turns: Annotated[list[str], operator.add]
    steps: dict[str, Any]


def build(pace: Pace | None = None) -> StateGraph[Turn, None, Turn, Turn]:
    """A chain of five nodes; `generate` streams its tokens in mode `custom`."""

    async def classify(state: Turn) -> Turn:
        return {"steps": {"intent": "question", "length": len(state.get("said", ""))}}

    async def retrieve(state: Turn) -> Turn:
        return {"steps": {**state["steps"], "passages": ["one", "two", "three"]}}

    async def crm(state: Turn) -> Turn:
        return {"steps": {**state["steps"], "customer": {"id": "c1", "orders": 3}}}

    async def generate(state: Turn) -> Turn:
        tell, clock = get_stream_writer(), asyncio.get_running_loop().time
        began = clock()
        for number in range(TOKENS):
            if pace:  # a model keeps its own time: who is late does not delay what follows
                await asyncio.sleep(began + pace.due(number) - clock())
            tell({"token": f"t{number}"})
        return {"turns": [f"{state.get('said', '')} -> {TOKENS} tokens"]}

    async def validate(state: Turn) -> Turn:
        return {"steps": {**state["steps"], "valid": True}}

    graph = StateGraph(Turn)
    graph.add_sequence([classify, retrieve, crm, generate, validate])
    graph.add_edge(START, "classify")
    return graph
