"""`RemoteGraph` takes our server for a graph: alone, and as a node of a graph elsewhere."""

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command, Interrupt
from langgraph_sdk.client import LangGraphClient

from tests.api.project.graphs import REPLY
from tests.fakes.graphs import Draft, Work

QUESTION = {"question": "approve?", "draft": "draft about cats"}


@pytest.fixture
def on() -> RunnableConfig:
    """A thread that the first run makes."""
    return {"configurable": {"thread_id": str(uuid4())}}


def remote(client: LangGraphClient, graph: str) -> RemoteGraph:
    return RemoteGraph(graph, client=client)


async def test_it_is_invoked_like_a_graph_of_ones_own(
    client: LangGraphClient, on: RunnableConfig
) -> None:
    graph = remote(client, "chat")
    values: Any = await graph.ainvoke({"messages": [HumanMessage("hi")]}, on)
    assert [said["content"] for said in values["messages"]] == ["hi", REPLY]
    state = await graph.aget_state(on)
    assert state.values == values
    assert (state.next, state.tasks) == ((), ())
    alone: Any = await graph.ainvoke({"messages": [HumanMessage("hi")]})
    assert alone["messages"][-1]["content"] == REPLY


async def test_it_streams_in_every_mode_a_graph_does(
    client: LangGraphClient, on: RunnableConfig
) -> None:
    graph = remote(client, "chat")
    modes = ["values", "updates", "messages", "custom", "debug"]
    seen: dict[str, list[Any]] = {mode: [] for mode in modes}
    hello = {"messages": [HumanMessage("hi")]}
    async for mode, data, _ in graph.astream(hello, on, stream_mode=modes):  # type: ignore[arg-type]
        seen[mode].append(data)
    assert "".join(chunk["content"] for chunk, _ in seen["messages"]) == REPLY
    assert seen["messages"][0][1]["langgraph_node"] == "model"
    assert seen["custom"] == [{"progress": "calling model"}]
    assert [list(update) for update in seen["updates"]] == [["model"]]
    assert [len(values["messages"]) for values in seen["values"]] == [1, 2]
    assert {event["type"] for event in seen["debug"]} == {"checkpoint", "task", "task_result"}


async def test_it_streams_what_its_subgraphs_do(
    client: LangGraphClient, on: RunnableConfig
) -> None:
    steps = [
        (tuple(part.partition(":")[0] for part in namespace), list(update))
        async for namespace, update in remote(client, "work").astream(
            {"mode": "child"}, on, stream_mode="updates", subgraphs=True
        )
    ]
    assert steps == [
        ((), ["prep"]),
        (("child",), ["sub_a"]),
        (("child",), ["sub_b"]),
        ((), ["child"]),
        ((), ["done"]),
    ]


async def test_an_interrupt_is_returned_and_answered(
    client: LangGraphClient, on: RunnableConfig
) -> None:
    graph = remote(client, "approval")
    asked = await graph.ainvoke({"topic": "cats"}, on, version="v2")
    assert [found.value for found in asked.interrupts] == [QUESTION]
    state = await graph.aget_state(on)
    assert state.next == ("ask_human",)
    assert state.tasks[0].interrupts == asked.interrupts
    values: Any = await graph.ainvoke(Command(resume="yes"), on)
    assert values["log"] == ["write_draft", "human:yes", "publish"]


async def test_as_a_node_it_interrupts_the_graph_around_it(
    client: LangGraphClient, on: RunnableConfig
) -> None:
    around = StateGraph(Draft)
    around.add_node("remote", remote(client, "approval"))
    around.add_edge(START, "remote")
    graph = around.compile(checkpointer=InMemorySaver())
    asked = await graph.ainvoke({"topic": "cats"}, on)
    [interrupt] = asked["__interrupt__"]
    assert isinstance(interrupt, Interrupt)
    assert interrupt.value == QUESTION
    assert (await graph.aget_state(on)).next == ("remote",)
    values: Any = await remote(client, "approval").ainvoke(Command(resume="no"), on)
    assert values["log"] == ["write_draft", "human:no", "publish"]


async def test_as_a_node_it_streams_within_the_stream_around_it(client: LangGraphClient) -> None:
    around = StateGraph(Work)
    around.add_node("remote", remote(client, "work"))
    around.add_edge(START, "remote")
    seen = [
        ([part.partition(":")[0] for part in namespace], list(update))
        async for namespace, update in around.compile().astream(
            {"mode": "child"}, stream_mode="updates", subgraphs=True
        )
    ]
    assert (["remote", "child"], ["sub_b"]) in seen
    assert seen[-1] == ([], ["remote"])


async def test_an_error_is_raised(client: LangGraphClient, on: RunnableConfig) -> None:
    with pytest.raises(RemoteException, match="boom: this node always raises"):
        await remote(client, "work").ainvoke({"mode": "boom"}, on)
    assert (await client.threads.get(on["configurable"]["thread_id"]))["status"] == "error"


async def test_its_past_is_read_and_changed(client: LangGraphClient, on: RunnableConfig) -> None:
    graph = remote(client, "approval")
    await graph.ainvoke({"topic": "cats"}, on)
    history = [state async for state in graph.aget_state_history(on)]
    assert [state.next for state in history] == [("ask_human",), ("write_draft",), ("__start__",)]
    older = [state async for state in graph.aget_state_history(on, before=history[0].config)]
    assert older == history[1:]
    assert [state async for state in graph.aget_state_history(on, limit=1)] == history[:1]

    edited = await graph.aupdate_state(history[1].config, {"topic": "dogs"}, as_node="__start__")
    state = await graph.aget_state(edited)
    assert (state.values["topic"], state.next) == ("dogs", ("write_draft",))
    again: Any = await graph.ainvoke(None, edited)
    assert again["draft"] == "draft about dogs"
    past = await graph.aget_state(history[0].config)
    assert past.values["draft"] == "draft about cats"


async def test_its_drawing_is_read_with_and_without_subgraphs(
    client: LangGraphClient,
) -> None:
    graph = remote(client, "work")
    assert {"prep", "child", "done"} <= set((await graph.aget_graph()).nodes)
    drawn = await graph.aget_graph(xray=True)
    assert {"child:sub_a", "child:sub_b"} <= set(drawn.nodes)
    assert any(edge.conditional for edge in drawn.edges)


async def test_its_events_stream_over_the_thread_protocol(
    client: LangGraphClient, on: RunnableConfig
) -> None:
    graph = remote(client, "chat")
    hello = {"messages": [{"type": "human", "content": "hi"}]}
    async with await graph.astream_events(hello, on, version="v3") as run:
        [message] = [message async for message in run.messages]
        told = [token async for token in message.text]
        values: Any = await run.output()
    assert "".join(told) == REPLY
    assert len(told) == len(REPLY.split())
    assert len(values["messages"]) == 2


async def test_its_questions_come_over_the_thread_protocol_too(
    client: LangGraphClient, on: RunnableConfig
) -> None:
    graph = remote(client, "approval")
    async with await graph.astream_events({"topic": "cats"}, on, version="v3") as run:
        async for _ in run.values:
            pass
        assert await run.interrupted()
        [asked] = await run.interrupts()
    assert asked["value"] == QUESTION
    async with await graph.astream_events(Command(resume="yes"), on, version="v3") as run:
        values: Any = await run.output()
    assert values["log"] == ["write_draft", "human:yes", "publish"]
