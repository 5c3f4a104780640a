"""What the savers are loaded with: a graph of five nodes, and a long thread made by hand."""

import random
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, StateGraph, add_messages
from langgraph.graph.state import CompiledStateGraph

from bench.checkpoints.contenders import Saver

NODES = 5
_SAID = """
the to you we your and is a of it for in this that on have will with be our are can not if at or as
by was i has but from please order before after so when which there would could should what thanks
account delivery address parcel refund payment card bank email invoice number date week day morning
warehouse courier return label item size colour jacket lamp kettle charger battery screen cable
replacement warranty repair receipt voucher discount price total charge fee currency month contract
subscription plan renew cancel change confirm check update send receive open close find explain ask
answer reply wait arrive leave ship pack weigh collect deliver sign refuse damage lose miss break
scratch smell leak rattle switch button menu setting password reset link browser page form field
signature photo picture attach upload copy original customer neighbour colleague manager team agent
supplier partner shop store branch city street floor door bell gate garden country border customs
duty tax rate rule policy term condition reason mistake problem question complaint apology promise
offer choice option instead however therefore meanwhile unfortunately already usually sometimes
always never often again still only just also even more less most least first second third last next
previous early late quick slow small large heavy light new old broken missing wrong correct empty
full safe ready happy sorry sure possible available similar different same other another every each
both several few many some any none between within without around towards against during until since
because although while whether either neither about above below behind beside through across along
express standard tracking reference hours working business weekend holiday evening afternoon tonight
tomorrow yesterday today minute moment soon once twice hundred thousand half quarter amount balance
credit debit statement transfer instalment deposit limit security identity document passport licence
insurance claim evidence report case ticket chat phone call message notice reminder letter envelope
"""
WORDS = _SAID.split()
# As in a language, a few words are most of what is said.
_WEIGHTS = [1 / (rank + 8) for rank in range(len(WORDS))]


def text(draw: random.Random, size: int = 550) -> str:
    """About `size` bytes that compress like short English."""
    said: list[str] = []
    while sum(map(len, said)) < size:
        words = draw.choices(WORDS, _WEIGHTS, k=draw.randint(5, 14))
        if draw.random() < 0.4:
            words.insert(draw.randrange(len(words)), f"{draw.randint(2, 99_999):,}")
        said.append(f"{' '.join(words).capitalize()}{draw.choice('...?!')} ")
    return "".join(said).strip()


TEXTS = [text(random.Random(seed)) for seed in range(1024)]  # noqa: S311 - the same every time


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


Graph = CompiledStateGraph[State, None, State, State]


def graph(saver: Saver) -> Graph:
    """Five nodes in a row, each of which appends one message."""

    async def say(_: State) -> dict[str, Any]:
        return {"messages": [AIMessage(random.choice(TEXTS))]}  # noqa: S311

    builder = StateGraph(State)
    for n in range(NODES):
        builder.add_node(f"node_{n}", say)
        builder.add_edge(START if n == 0 else f"node_{n - 1}", f"node_{n}")
    return builder.compile(checkpointer=saver)


def thread() -> RunnableConfig:
    return {"configurable": {"thread_id": str(uuid4()), "checkpoint_ns": ""}}


async def turn(graph: Graph, thread: RunnableConfig) -> None:
    """The user says one thing, every node another."""
    await graph.ainvoke({"messages": [HumanMessage(random.choice(TEXTS))]}, thread)  # noqa: S311


class Long:
    """A thread to which each checkpoint adds one message, written without a graph."""

    def __init__(self, saver: Saver) -> None:
        self.config = thread()
        self._saver = saver
        self._head = self.config
        self._messages: list[AnyMessage] = []
        self._version: Any = None

    async def grow(self, steps: int) -> None:
        """Put `steps` more checkpoints."""
        for _ in range(steps):
            step = len(self._messages)
            said = TEXTS[step % len(TEXTS)]
            self._messages = [*self._messages, HumanMessage(said, id=str(uuid4()))]
            self._version = self._saver.get_next_version(self._version, None)
            checkpoint = empty_checkpoint()
            checkpoint["v"] = 4  # as LangGraph's own; an older one reads its parent, too
            checkpoint["id"] = str(uuid6(clock_seq=step))
            checkpoint["channel_values"] = {"messages": self._messages}
            checkpoint["channel_versions"] = {"messages": self._version}
            self._head = await self._saver.aput(
                self._head,
                checkpoint,
                {"source": "loop", "step": step, "parents": {}},
                {"messages": self._version},
            )
