"""Stories that real graphs live through. Each returns all that can be seen of it afterwards."""

import asyncio
import operator
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.pregel import Pregel
from langgraph.types import Command, Durability, Overwrite, Send, StateSnapshot, interrupt

Scenario = Callable[[BaseCheckpointSaver, str, Durability], Awaitable[Any]]


class Talk(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    seen: Annotated[list[str], operator.add]
    topic: str
    draft: dict[str, Any]


async def conversation(saver: BaseCheckpointSaver, thread_id: str, durability: Durability) -> Any:
    """Three nodes in a row, three turns; messages are added, edited and removed by id."""

    def think(state: Talk) -> Talk:
        return {"seen": ["think"], "topic": f"topic {len(state['messages'])}", "draft": {"a": [1]}}

    def answer(state: Talk) -> Talk:
        count = len(state["messages"])
        said = AIMessage(f"answer {count} " + "x" * 300, id=f"a{count}")
        return {"messages": [said], "seen": ["answer"], "draft": state["draft"] | {"b": count}}

    def tidy(state: Talk) -> Talk:
        first = state["messages"][0]
        changes: list[Any] = [HumanMessage(f"edited {first.content}", id=first.id)]
        if len(state["messages"]) > 3:
            changes.append(RemoveMessage(id=state["messages"][1].id))
        return {"messages": changes, "seen": []}

    builder = StateGraph(Talk).add_sequence([think, answer, tidy]).add_edge(START, "think")
    graph = builder.compile(checkpointer=saver)
    config = to(thread_id)
    outputs = [
        await graph.ainvoke(
            {"messages": [HumanMessage(f"question {turn}", id=f"q{turn}")], "seen": ["input"]},
            config,
            durability=durability,
        )
        for turn in range(3)
    ]
    return outputs, await story(graph, config)


async def time_travel(saver: BaseCheckpointSaver, thread_id: str, durability: Durability) -> Any:
    """Replaying from, forking from, and updating every checkpoint there has been."""

    def count(state: Talk) -> Talk:
        return {"seen": [f"count {len(state['seen'])}"]}

    def double(state: Talk) -> Talk:
        return {"seen": state["seen"][-1:], "topic": f"{len(state['seen'])} seen"}

    builder = StateGraph(Talk).add_sequence([count, double]).add_edge(START, "count")
    graph = builder.compile(checkpointer=saver)
    config = to(thread_id)
    outputs: list[Any] = [await graph.ainvoke({"seen": ["one"]}, config, durability=durability)]
    beside = await graph.aupdate_state(config, None, as_node="__copy__")
    outputs.append(told(await graph.aget_state(beside)))
    outputs.append(await graph.ainvoke({"seen": ["two"]}, config, durability=durability))
    first = [found async for found in graph.aget_state_history(config)]
    for found in reversed(first):
        outputs.append(await graph.ainvoke(None, found.config, durability=durability))
        outputs.append(told(await graph.aget_state(found.config)))
    for found in first[::2]:
        forked = await graph.aupdate_state(found.config, {"seen": ["forked"]}, as_node="count")
        outputs.append(await graph.ainvoke(None, forked, durability=durability))
        outputs.append(told(await graph.aget_state(forked)))
    await graph.aupdate_state(config, {"topic": "updated"})
    head = await graph.aget_state(config)
    for found in (first[1], head, head):
        copied = await graph.aupdate_state(found.config, None, as_node="__copy__")
        outputs.append(told(await graph.aget_state(copied)))
    outputs.append(await graph.ainvoke({"seen": ["three"]}, config, durability=durability))
    return outputs, await story(graph, config)


async def parallel_tasks(saver: BaseCheckpointSaver, thread_id: str, durability: Durability) -> Any:
    """A branch fails: on resuming, what the others wrote is not done again."""
    calls: list[str] = []

    def branch(name: str) -> Callable[[Talk], Awaitable[Talk]]:
        async def run(state: Talk) -> Talk:
            calls.append(name)
            if name == "c" and calls.count("c") < 3:
                await asyncio.sleep(0.1)  # the others end first: a failure stops those that run
                raise ConnectionError(f"failure {calls.count('c')}")
            return {"seen": [name], "messages": [HumanMessage(name, id=name)]}

        return run

    builder = StateGraph(Talk)
    for name in ("a", "b", "c", "d"):
        builder.add_node(name, branch(name))
        builder.add_edge(START, name)
        builder.add_edge(name, "join")
    builder.add_node("join", lambda state: {"seen": ["joined"]})
    graph = builder.compile(checkpointer=saver)
    config = to(thread_id)
    outputs: list[Any] = []
    for given in ({"seen": ["start"]}, None, None):
        try:
            outputs.append(await graph.ainvoke(given, config, durability=durability))
        except ConnectionError as error:
            outputs.append(str(error))
            outputs.append(told(await graph.aget_state(config)))
    return outputs, sorted(calls), await story(graph, config)


async def sends(saver: BaseCheckpointSaver, thread_id: str, durability: Durability) -> Any:
    """Map and reduce: tasks sent with values of their own, and sent on by what they sent."""

    def spread(state: Talk) -> list[Send]:
        return [Send("work", {"topic": f"part {n} {'y' * 200}"}) for n in range(5)]

    def work(state: Talk) -> Command[Any]:
        deeper = [Send("deeper", {"topic": state["topic"]})] if "3" in state["topic"] else []
        return Command(update={"seen": [state["topic"][:6]]}, goto=deeper)

    builder = StateGraph(Talk)
    builder.add_node("plan", lambda state: {"topic": "planned"})
    builder.add_node("work", work)
    builder.add_node("deeper", lambda state: {"seen": [f"deeper {state['topic'][:6]}"]})
    builder.add_node("reduce", lambda state: {"topic": ", ".join(state["seen"])})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", spread, ["work"])
    builder.add_edge("work", "reduce")
    graph = builder.compile(checkpointer=saver, interrupt_before=["reduce"])
    config = to(thread_id)
    outputs = [
        await graph.ainvoke({"seen": []}, config, durability=durability),
        told(await graph.aget_state(config)),
        await graph.ainvoke(None, config, durability=durability),
    ]
    return outputs, await story(graph, config)


async def nested_interrupts(
    saver: BaseCheckpointSaver, thread_id: str, durability: Durability
) -> Any:
    """Questions asked two graphs deep, two at once beside them; answers come one at a time."""

    def ask(question: str) -> Callable[[Talk], Talk]:
        return lambda state: {"seen": [f"{question}: {interrupt({'question': question})}"]}

    inner = StateGraph(Talk).add_node("first", ask("first")).add_node("second", ask("second"))
    inner.add_edge(START, "first").add_edge("first", "second")
    middle = StateGraph(Talk).add_node("inner", inner.compile())
    middle.add_node("before", lambda state: {"seen": ["before"]})
    middle.add_edge(START, "before").add_edge("before", "inner")
    outer = StateGraph(Talk).add_node("middle", middle.compile())
    outer.add_node("beside", ask("beside")).add_node("after", lambda state: {"seen": ["after"]})
    outer.add_edge(START, "middle").add_edge(START, "beside")
    outer.add_edge("middle", "after").add_edge("beside", "after")
    graph = outer.compile(checkpointer=saver)
    config = to(thread_id)
    outputs: list[Any] = [
        plainly(await graph.ainvoke({"seen": ["start"]}, config, durability=durability))
    ]
    for turn in range(6):
        found = await graph.aget_state(config, subgraphs=True)
        outputs.append(told(found))
        if not found.interrupts:
            break
        asked = found.interrupts[0]
        answer = Command(resume={asked.id: f"answer {turn}"})
        outputs.append(plainly(await graph.ainvoke(answer, config, durability=durability)))
    return outputs, await story(graph, config), await spaces(saver, thread_id)


async def sync_subgraph(saver: BaseCheckpointSaver, thread_id: str, durability: Durability) -> Any:
    """A subgraph that asks twice, called without `await` from a node that runs in a thread."""

    def first(state: Talk) -> Talk:
        return {"seen": [f"one {interrupt('interrupt one')}"]}

    def second(state: Talk) -> Talk:
        return {"seen": [f"two {interrupt('interrupt two')}"]}

    inner = StateGraph(Talk).add_sequence([first, second]).add_edge(START, "first")
    subgraph = inner.compile(checkpointer=saver)

    def agent(state: Talk) -> Talk:
        return {"seen": subgraph.invoke({"seen": ["inner"]})["seen"]}

    outer = StateGraph(Talk).add_node("agent", agent).add_edge(START, "agent")
    graph = outer.compile(checkpointer=saver)
    config = to(thread_id)
    outputs = []
    for given in ({"seen": ["outer"]}, Command(resume="123"), Command(resume="456")):
        outputs.append(
            [
                plainly(chunk)
                async for chunk in graph.astream(
                    given, config, durability=durability, subgraphs=True
                )
            ]
        )
        outputs.append(told(await graph.aget_state(config)))
    return outputs, await story(graph, config)


async def lasting_subgraph(
    saver: BaseCheckpointSaver, thread_id: str, durability: Durability
) -> Any:
    """A subgraph with a memory of its own, which is updated and travelled in as well."""

    def note(state: Talk) -> Talk:
        return {"seen": [f"note {len(state.get('seen', []))}"]}

    inner = StateGraph(Talk).add_node("note", note).add_node("rest", lambda state: {"topic": "t"})
    inner.add_edge(START, "note").add_edge("note", "rest")
    outer = StateGraph(Talk)
    outer.add_node("inner", inner.compile(checkpointer=True, interrupt_before=["rest"]))
    outer.add_edge(START, "inner")
    graph = outer.compile(checkpointer=saver)
    config = to(thread_id)
    outputs: list[Any] = []
    for turn in range(2):
        outputs.append(
            plainly(await graph.ainvoke({"seen": [f"turn {turn}"]}, config, durability=durability))
        )
        found = await graph.aget_state(config, subgraphs=True)
        outputs.append(told(found))
        await graph.aupdate_state(found.tasks[0].state.config, {"seen": ["update inside"]})
        outputs.append(plainly(await graph.ainvoke(None, config, durability=durability)))
    return outputs, await story(graph, config), await spaces(saver, thread_id)


def joined(state: list[Any], writes: list[list[Any]]) -> list[Any]:
    return [*state, *(item for write in writes for item in write)]


def merged(state: dict[str, Any], writes: list[dict[str, Any]]) -> dict[str, Any]:
    return state | {key: value for write in writes for key, value in write.items()}


class Logged(TypedDict, total=False):
    log: Annotated[list[Any], DeltaChannel(joined, snapshot_frequency=4)]
    facts: Annotated[dict[str, Any], DeltaChannel(merged, snapshot_frequency=1000)]
    rare: Annotated[list[Any], DeltaChannel(joined)]
    never: Annotated[list[Any], DeltaChannel(joined)]
    turn: int


async def delta_channel(saver: BaseCheckpointSaver, thread_id: str, durability: Durability) -> Any:
    """Channels that store a snapshot now and then: turns, forks, updates, an overwrite."""

    def left(state: Logged) -> Logged:
        return {"log": [f"left {len(state['log'])}"], "facts": {"left": len(state["log"])}}

    def right(state: Logged) -> Logged:
        rare = {"rare": [state["turn"]]} if state["turn"] == 1 else {}
        return {"log": [f"right {len(state['log'])}", {"x": "z" * 200}], **rare}

    def end(state: Logged) -> Logged:
        if state["turn"] == 3:
            return {"log": Overwrite(["overwritten"])}  # type: ignore[typeddict-item]
        return {"log": ["end"], "facts": {f"turn {state['turn']}": state["log"][-1]}}

    builder = StateGraph(Logged).add_node("left", left).add_node("right", right)
    builder.add_node("end", end).add_edge(START, "left").add_edge(START, "right")
    builder.add_edge("left", "end").add_edge("right", "end").add_edge("end", END)
    graph = builder.compile(checkpointer=saver)
    config = to(thread_id)
    outputs: list[Any] = [
        await graph.ainvoke({"log": ["in"], "turn": turn}, config, durability=durability)
        for turn in range(6)
    ]
    ends = [found async for found in graph.aget_state_history(config)]
    for found in ends[1::8]:
        outputs.append(told(await graph.aget_state(found.config)))
        forked = await graph.aupdate_state(found.config, {"log": ["forked"]}, as_node="end")
        outputs.append(told(await graph.aget_state(forked)))
        outputs.append(
            await graph.ainvoke({"log": ["on"], "turn": 7}, forked, durability=durability)
        )
        if found.next:
            outputs.append(await graph.ainvoke(None, found.config, durability=durability))
        copied = await graph.aupdate_state(found.config, None, as_node="__copy__")
        outputs.append(told(await graph.aget_state(copied)))
    copied = await graph.aupdate_state(config, None, as_node="__copy__")
    outputs.append(told(await graph.aget_state(copied)))
    return outputs, await story(graph, config)


async def functional(saver: BaseCheckpointSaver, thread_id: str, durability: Durability) -> Any:
    """A function with tasks that are done once, though it is begun again at every answer."""
    done: list[int] = []

    @task
    async def square(n: int) -> int:
        done.append(n)
        return n * n

    @entrypoint(checkpointer=saver)
    async def workflow(given: dict[str, Any], *, previous: Any = None) -> Any:
        squares = [await each for each in [square(n) for n in given["numbers"]]]
        agreed = interrupt({"squares": squares})
        final = entrypoint.final
        return final(
            value={"squares": squares, "agreed": agreed, "previous": previous}, save=squares
        )

    config = to(thread_id)
    outputs = []
    for turn in range(2):
        for given in ({"numbers": [turn, 2, 3]}, Command(resume=f"yes {turn}")):
            output = await workflow.ainvoke(given, config, durability=durability)
            outputs.append(plainly(output))
    return outputs, sorted(done), await story(workflow, config)


ALL: list[Scenario] = [
    conversation,
    time_travel,
    parallel_tasks,
    sends,
    nested_interrupts,
    sync_subgraph,
    lasting_subgraph,
    delta_channel,
    functional,
]


def to(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id}}


async def story(graph: Pregel, config: RunnableConfig) -> Any:
    """The whole history, each checkpoint with the place of its parent in it."""
    found = [each async for each in graph.aget_state_history(config)]
    ids = [_id(each.config) for each in found]
    parents = [ids.index(_id(each.parent_config)) if each.parent_config else None for each in found]
    return list(zip(map(told, found), parents, strict=True))


async def spaces(saver: BaseCheckpointSaver, thread_id: str) -> Any:
    """How many checkpoints and writes there are in namespaces, which are named by random ids."""
    counts: dict[str, list[int]] = {}
    async for found in saver.alist(to(thread_id)):
        ns = found.config["configurable"]["checkpoint_ns"]
        counts.setdefault(ns, []).append(len(found.pending_writes or []))
    return sorted(
        (ns.count("|"), [part.split(":")[0] for part in ns.split("|")], each)
        for ns, each in counts.items()
    )


def told(state: StateSnapshot) -> Any:
    """A state without what is random or the clock's."""
    metadata = state.metadata or {}
    return {
        "values": plainly(state.values),
        "next": sorted(state.next),
        "metadata": {
            k: metadata.get(k) for k in ("source", "step", "counters_since_delta_snapshot")
        },
        "interrupts": sorted(str(each.value) for each in state.interrupts),
        "tasks": sorted(
            (
                each.name,
                str(each.error),
                str([one.value for one in each.interrupts]),
                str(told(each.state)) if isinstance(each.state, StateSnapshot) else "",
                repr(each.result),
            )
            for each in state.tasks
        ),
    }


def plainly(value: Any) -> Any:
    """Interrupts by their values: their ids are random. Namespaces by their nodes."""
    if isinstance(value, dict):
        return {
            key: [one.value for one in each] if key == "__interrupt__" else plainly(each)
            for key, each in value.items()
        }
    if isinstance(value, tuple) and len(value) == 2:
        return ([part.split(":")[0] for part in value[0]], plainly(value[1]))
    return value


def _id(config: RunnableConfig) -> str:
    return config["configurable"]["checkpoint_id"]
