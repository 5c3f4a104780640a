import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk.client import LangGraphClient
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from engine.settings import Settings
from server.app import create_app
from tests.api.project.graphs import REPLY
from tests.fakes.serving import sample_graphs, serving
from tests.sse import live

HELLO = {"messages": [{"role": "user", "content": "hi"}]}
ALL = [
    "values",
    "updates",
    "messages",
    "tools",
    "lifecycle",
    "input",
    "tasks",
    "checkpoints",
    "custom",
]

Event = dict[str, Any]


async def command(
    raw: httpx.AsyncClient, tid: str, method: str, params: Any = None, **headers: str
) -> Any:
    asked = {"id": 7, "method": method, "params": params}
    response = await raw.post(f"/threads/{tid}/commands", json=asked, headers=headers)
    assert response.status_code == 200
    reply = response.json()
    assert reply["id"] == 7
    return reply


async def start(raw: httpx.AsyncClient, tid: str, graph: str, asked: Any, **more: Any) -> str:
    params = {"assistant_id": graph, "input": asked, **more}
    reply = await command(raw, tid, "run.start", params)
    assert reply["type"] == "success", reply
    return str(reply["result"]["run_id"])


@asynccontextmanager
async def streaming(
    raw: httpx.AsyncClient, tid: str, channels: list[str] = ALL, **more: Any
) -> AsyncIterator[AsyncIterator[Event]]:
    body = {"channels": channels, **more}

    async with raw.stream("POST", f"/threads/{tid}/stream/events", json=body) as response:
        assert response.status_code == 200
        yield (json.loads(event["data"]) async for event in live(response))


def is_end(event: Event) -> bool:
    return (
        event["method"] == "lifecycle"
        and event["params"]["namespace"] == []
        and event["params"]["data"]["event"] != "running"
    )


async def told(
    raw: httpx.AsyncClient, tid: str, channels: list[str] = ALL, *, ends: int = 1, **more: Any
) -> list[Event]:
    """Everything up to the end of so many runs."""
    found = []
    async with streaming(raw, tid, channels, **more) as events:
        async for event in events:
            found.append(event)
            ends -= is_end(event)
            if not ends:
                break
    return found


def summary(events: list[Event]) -> list[tuple[int, str, Any]]:
    """What must be the same on every stream: all but when it was read."""
    return [(one["seq"], one["event_id"], one["params"]["data"]) for one in events]


def phases(events: list[Event]) -> list[str]:
    return [one["params"]["data"]["event"] for one in events if one["method"] == "lifecycle"]


@pytest.fixture
def new() -> str:
    """The id of a thread that is not there yet."""
    return str(uuid4())


async def test_values_pause_at_an_interrupt_and_the_answer_leads_to_the_output(
    client: LangGraphClient,
) -> None:
    async with client.threads.stream(assistant_id="approval") as thread:
        await thread.run.start(input={"topic": "x"})
        seen = [values async for values in thread.values]
        assert seen[-1]["log"] == ["write_draft"]
        assert thread.interrupted
        assert thread.interrupts[0]["interrupt_id"]
        assert thread.interrupts[0]["value"]["question"] == "approve?"
        await thread.run.respond("yes")
        assert (await thread.output)["log"] == ["write_draft", "human:yes", "publish"]


async def test_messages_stream_word_by_word(client: LangGraphClient) -> None:
    async with client.threads.stream(assistant_id="chat") as thread, asyncio.timeout(20):
        await thread.run.start(input=HELLO)
        messages = [message async for message in thread.messages]
        words = [[word async for word in message.text] for message in messages]
        output = await thread.output
    assert words == [["Hello ", "there ", "dear ", "user"]]
    assert output["messages"][-1]["content"] == REPLY


async def test_tool_calls_are_told_with_input_and_output(client: LangGraphClient) -> None:
    async with client.threads.stream(assistant_id="adder") as thread, asyncio.timeout(20):
        await thread.run.start(input=HELLO)
        [call] = [call async for call in thread.tool_calls]
        output: Any = await call.output
    assert (call.name, call.input) == ("add", {"a": 1, "b": 2})
    assert (output["type"], output["content"], output["tool_call_id"]) == ("tool", "3", "call_1")


async def test_subgraphs_are_found_with_their_messages(client: LangGraphClient) -> None:
    async def texts(inner: Any) -> list[str]:
        return [await one.text for one in [message async for message in inner.messages]]

    async with client.threads.stream(assistant_id="chat_within") as thread, asyncio.timeout(20):
        await thread.run.start(input=HELLO)
        found = [(inner, asyncio.create_task(texts(inner))) async for inner in thread.subgraphs]
        said = [await task for _, task in found]
    assert [(inner.graph_name, inner.status) for inner, _ in found] == [("inner", "completed")]
    assert said == [[REPLY]]


async def test_named_custom_events_have_a_channel_of_their_own(
    raw: httpx.AsyncClient, new: str
) -> None:
    await start(raw, new, "adder", HELLO)
    named = await told(raw, new, ["custom:progress", "lifecycle"])
    assert [one["params"]["data"] for one in named if one["method"] == "custom"] == [
        {"name": "progress", "payload": {"adding": [1, 2]}}
    ]
    other = await told(raw, new, ["custom:other", "lifecycle"])
    assert {one["method"] for one in other} == {"lifecycle"}


async def test_a_remote_graph_streams_events(client: LangGraphClient) -> None:
    remote = RemoteGraph("chat", client=client)
    stream = await remote.astream_events(HELLO, version="v3")
    async with stream, asyncio.timeout(20):
        texts = [await one.text for one in [message async for message in stream.messages]]
        output: Any = await stream.output()
    assert texts == [REPLY]
    assert output["messages"][-1]["content"] == REPLY


async def test_each_event_is_numbered_named_and_the_same_on_every_stream(
    raw: httpx.AsyncClient, new: str
) -> None:
    run_id = await start(raw, new, "approval", {"topic": "x"})
    live = await told(raw, new)
    assert [one["seq"] for one in live] == list(range(1, len(live) + 1))
    assert live[0]["event_id"] == f"synth:{run_id}:lc||running"
    assert live[-1]["event_id"] == f"synth:{run_id}:lc||interrupted"
    asked = live[-2]
    interrupt = asked["params"]["data"]
    assert asked["method"] == "input.requested"
    assert asked["event_id"] == f"synth:{run_id}:input||{interrupt['interrupt_id']}"
    assert interrupt["payload"] == {"question": "approve?", "draft": "draft about x"}
    assert len({one["event_id"] for one in live}) == len(live)
    assert summary(await told(raw, new)) == summary(live)
    some = await told(raw, new, ["lifecycle", "values"])
    assert summary(some) == summary(
        [one for one in live if one["method"] in {"lifecycle", "values"}]
    )


async def test_numbers_go_on_over_the_runs_of_a_thread(raw: httpx.AsyncClient, new: str) -> None:
    await start(raw, new, "chat", HELLO)
    await told(raw, new)
    await start(raw, new, "chat", HELLO)
    both = await told(raw, new, ends=2)
    assert [one["seq"] for one in both] == list(range(1, len(both) + 1))
    assert phases(both) == ["running", "completed"] * 2
    middle = len(both) // 2
    rest = await told(raw, new, since=middle, ends=sum(map(is_end, both[middle:])))
    assert summary(rest) == summary(both[middle:])


async def test_a_frame_has_the_number_as_its_id(raw: httpx.AsyncClient, new: str) -> None:
    run_id = await start(raw, new, "work", {"mode": "done"})
    await told(raw, new)
    body = {"channels": ["lifecycle"]}
    text = ""
    async with raw.stream("POST", f"/threads/{new}/stream/events", json=body) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        async for piece in response.aiter_text():
            text += piece
            if "completed" in text:
                break
    first = text.split("\r\n\r\n")[0].split("\r\n")
    assert first[0] == "event: lifecycle"
    assert json.loads(first[1].removeprefix("data: "))["event_id"] == f"synth:{run_id}:lc||running"
    assert first[2:] == ["id: 1"]


async def test_overlapping_streams_tell_live_events_under_the_same_ids(
    raw: httpx.AsyncClient, new: str
) -> None:
    await start(raw, new, "work", {"mode": "slow", "secs": 0.4})
    first, second = await asyncio.gather(
        told(raw, new), told(raw, new, ["lifecycle", "values", "updates"])
    )
    names = {one["event_id"]: one["seq"] for one in first}
    assert len(second) >= 5
    assert all(names[one["event_id"]] == one["seq"] for one in second)


async def test_a_stream_waits_for_a_thread_and_does_not_end_with_its_run(
    raw: httpx.AsyncClient, new: str
) -> None:
    async with streaming(raw, new, ["lifecycle"]) as events, asyncio.timeout(20):
        await start(raw, new, "work", {"mode": "done"})
        assert [(await anext(events))["params"]["data"]["event"] for _ in range(2)] == [
            "running",
            "completed",
        ]
        await start(raw, new, "work", {"mode": "boom"})
        assert (await anext(events))["params"]["data"]["event"] == "running"
        failed = (await anext(events))["params"]["data"]
    assert failed == {
        "event": "failed",
        "graph_name": "work",
        "error": "boom: this node always raises",
    }


async def test_silence_is_broken_by_heartbeats(raw: httpx.AsyncClient, new: str) -> None:
    body = {"channels": ["values"]}
    beats = b""
    async with asyncio.timeout(15):
        async with raw.stream("POST", f"/threads/{new}/stream/events", json=body) as response:
            async for piece in response.aiter_raw():
                beats += piece
                if beats.count(b": heartbeat\r\n\r\n") >= 2:
                    break
    assert beats.replace(b": heartbeat\r\n\r\n", b"") == b""


async def test_messages_come_as_blocks_and_snapshots_hold_the_same(
    raw: httpx.AsyncClient, new: str
) -> None:
    await start(raw, new, "adder", HELLO)
    events = await told(raw, new)
    said = [one["params"]["data"] for one in events if one["method"] == "messages"]
    assert said[1:6] == [
        {
            "event": "content-block-start",
            "index": 0,
            "content": {
                "type": "tool_call_chunk",
                "id": "call_1",
                "name": "add",
                "args": "",
                "index": 0,
            },
        },
        {
            "event": "content-block-delta",
            "index": 0,
            "delta": {"type": "tool-call-delta", "args": '{"a": 1,'},
        },
        {
            "event": "content-block-delta",
            "index": 0,
            "delta": {"type": "tool-call-delta", "args": ' "b": 2}'},
        },
        {
            "event": "content-block-finish",
            "index": 0,
            "content": {
                "type": "tool_call",
                "id": "call_1",
                "name": "add",
                "args": {"a": 1, "b": 2},
            },
        },
        {"event": "message-finish"},
    ]
    last = [one["params"]["data"] for one in events if one["method"] == "values"][-1]
    kinds = [(one["type"], one["content"]) for one in last["messages"]]
    call = {"type": "tool_call", "id": "call_1", "name": "add", "args": {"a": 1, "b": 2}}
    assert kinds == [
        ("human", "hi"),
        ("ai", [call]),
        ("tool", "3"),
        ("ai", [{"type": "text", "text": REPLY, "index": 0}]),
    ]
    ids = [data["id"] for data in said if data["event"] == "message-start"]
    assert [one["id"] for one in last["messages"] if one["type"] == "ai"] == ids
    assert set(last["messages"][-1]) == {"type", "content", "id", "response_metadata"}


async def test_a_checkpoint_comes_before_the_values_it_holds(
    raw: httpx.AsyncClient, client: LangGraphClient, new: str
) -> None:
    await start(raw, new, "chat", HELLO)
    root = await told(raw, new, ["values", "checkpoints", "lifecycle"])
    order = [one["method"] for one in root if one["method"] != "lifecycle"]
    assert order == ["checkpoints", "checkpoints", "values", "checkpoints", "values"]
    checkpoints = [one["params"]["data"] for one in root if one["method"] == "checkpoints"]
    history = await client.threads.get_history(new)
    assert [one["id"] for one in reversed(checkpoints)] == [
        one["checkpoint"]["checkpoint_id"] for one in history
    ]
    assert checkpoints[1]["parent_id"] == checkpoints[0]["id"]


async def test_namespaces_and_depth_narrow_a_stream(raw: httpx.AsyncClient, new: str) -> None:
    await start(raw, new, "chat_within", HELLO)
    everything = await told(raw, new)
    inner = next(one["params"]["namespace"] for one in everything if one["params"]["namespace"])

    async def namespaces(**asked: Any) -> set[tuple[str, ...]]:
        async with streaming(raw, new, ["values", "messages"], **asked) as events:
            expected = [
                one
                for one in everything
                if one["method"] in {"values", "messages"}
                and tuple(one["params"]["namespace"]) in asked_for
            ]
            found = [await anext(events) for _ in expected]
        assert summary(found) == summary(expected)
        return {tuple(one["params"]["namespace"]) for one in found}

    asked_for = {(), tuple(inner)}
    assert await namespaces(namespaces="bogus", depth="x") == asked_for
    asked_for = {tuple(inner)}
    assert await namespaces(namespaces=[["inner"]]) == asked_for
    assert await namespaces(namespaces=[inner], depth=0) == asked_for
    asked_for = {()}
    assert await namespaces(namespaces=[[]], depth=0) == asked_for


async def test_an_interrupt_within_a_subgraph_is_answered(
    raw: httpx.AsyncClient, client: LangGraphClient, new: str
) -> None:
    await start(raw, new, "question_within", {"ask": "x"})
    events = await told(raw, new, ["lifecycle", "input"])
    assert phases(events) == ["running", "started", "interrupted", "interrupted"]
    request = next(one for one in events if one["method"] == "input.requested")
    assert request["params"]["namespace"][0].startswith("inner:")
    interrupt_id = request["params"]["data"]["interrupt_id"]
    answer = {"interrupt_id": interrupt_id, "response": "yes"}
    assert (await command(raw, new, "input.respond", answer))["result"] == {}
    later = await told(raw, new, ["lifecycle"], ends=2)
    assert phases(later)[4:] == ["running", "started", "completed", "completed"]
    assert (await client.threads.get_state(new))["values"]["answers"] == ["x: yes"]
    again = await command(raw, new, "input.respond", answer)
    assert (again["error"], again["message"]) == (
        "no_such_interrupt",
        f"Unknown or already-consumed interrupt: {interrupt_id}",
    )


async def test_parallel_interrupts_are_answered_one_by_one_or_together(
    raw: httpx.AsyncClient, client: LangGraphClient, new: str
) -> None:
    async def requested(tid: str, ends: int = 1) -> list[str]:
        events = await told(raw, tid, ["lifecycle", "input"], ends=ends)
        return [
            one["params"]["data"]["interrupt_id"]
            for one in events
            if one["method"] == "input.requested"
        ]

    await start(raw, new, "two_questions", {"ask": "x"})
    first, second = await requested(new)
    await command(raw, new, "input.respond", {"interrupt_id": first, "response": 1})
    assert await requested(new, ends=2) == [first, second, second]
    await command(raw, new, "input.respond", {"interrupt_id": second, "response": 2})
    await told(raw, new, ends=3)
    assert (await client.threads.get_state(new))["values"]["answers"] == ["a: 1", "b: 2"]

    other = str(uuid4())
    await start(raw, other, "two_questions", {"ask": "x"})
    ids = await requested(other)
    answers = [{"interrupt_id": one, "response": number} for number, one in enumerate(ids)]
    await command(raw, other, "input.respond", {"responses": answers})
    assert phases(await told(raw, other, ["lifecycle"], ends=2))[-1] == "completed"
    assert (await client.threads.get_state(other))["values"]["answers"] == ["a: 0", "b: 1"]


async def test_the_input_of_a_run_on_an_interrupted_thread_is_the_answer(
    raw: httpx.AsyncClient, client: LangGraphClient, new: str
) -> None:
    await start(raw, new, "approval", {"topic": "x"})
    await start(raw, new, "approval", "fine", multitaskStrategy="reject")
    await told(raw, new, ends=2)
    state = await client.threads.get_state(new)
    assert state["values"]["log"] == ["write_draft", "human:fine", "publish"]
    run: Any = (await client.runs.list(new))[0]
    assert (run["kwargs"]["command"], run["kwargs"]["input"]) == ({"resume": "fine"}, None)
    assert run["kwargs"]["config"]["configurable"]["__event_streaming_v2"] is True


@pytest.mark.parametrize("spelling", ["configurable", "forkFrom"])
async def test_a_run_can_fork_from_an_earlier_checkpoint(
    raw: httpx.AsyncClient, client: LangGraphClient, new: str, spelling: str
) -> None:
    await start(raw, new, "approval", {"topic": "x"})
    await told(raw, new)
    before = (await client.threads.get_history(new))[-1]["checkpoint"]["checkpoint_id"]
    where = (
        {"forkFrom": before}
        if spelling == "forkFrom"
        else {"config": {"configurable": {"checkpoint_id": before}}}
    )
    await start(raw, new, "approval", {"topic": "y"}, **where)
    await told(raw, new, ends=2)
    values = (await client.threads.get_state(new))["values"]
    assert values == {"topic": "y", "draft": "draft about y", "log": ["write_draft"]}


async def test_a_run_waits_for_its_turn_on_a_busy_thread(raw: httpx.AsyncClient, new: str) -> None:
    await start(raw, new, "work", {"mode": "slow", "secs": 0.5})
    await start(raw, new, "work", {"mode": "done"}, multitask_strategy="enqueue")
    assert phases(await told(raw, new, ["lifecycle"], ends=2)) == ["running", "completed"] * 2
    await start(raw, new, "work", {"mode": "slow", "secs": 20})
    await start(raw, new, "work", {"mode": "done"}, multitask_strategy="interrupt")
    last = phases(await told(raw, new, ["lifecycle"], ends=4))[4:]
    assert last == ["running", "interrupted", "running", "completed"]


async def test_runs_of_the_older_api_show_and_commands_runs_show_there(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str
) -> None:
    asked: Any = ["values", "updates", "custom", "messages-tuple"]
    await client.runs.wait(tid, "chat", input=HELLO)
    async for _ in client.runs.stream(tid, "chat", input=HELLO, stream_mode=asked):
        pass
    events = await told(raw, tid, ends=2)
    assert phases(events) == ["running", "completed"] * 2
    assert {one["method"] for one in events} == {
        "lifecycle",
        "values",
        "updates",
        "custom",
        "messages",
    }
    run_id = await start(raw, tid, "chat", HELLO)
    joined = await client.runs.join(tid, run_id)
    assert joined["messages"][-1]["content"] == REPLY
    parts = client.runs.join_stream(tid, run_id, stream_mode=["values"], last_event_id="-1")
    assert [part.event async for part in parts] == ["metadata", "values", "values", "end"]


async def test_a_cancelled_run_is_interrupted(
    raw: httpx.AsyncClient, client: LangGraphClient, new: str
) -> None:
    run_id = await start(raw, new, "work", {"mode": "slow", "secs": 20})
    await client.runs.cancel(new, run_id)
    assert phases(await told(raw, new)) == ["running", "interrupted"]


async def test_state_of_a_thread_that_no_run_has_made_is_missing(
    raw: httpx.AsyncClient, new: str
) -> None:
    assert (await raw.get(f"/threads/{new}/state")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "reply"),
    [
        (b"nonsense", 400, {"detail": "Invalid JSON body"}),
        (b"[]", 400, {"id": None, "error": "invalid_argument"}),
        (b'{"id":"a","method":"x"}', 400, {"id": "a", "error": "invalid_argument"}),
        (b'{"id":3}', 400, {"id": 3, "error": "invalid_argument"}),
        (b'{"id":3,"method":"state.get"}', 200, {"id": 3, "error": "unknown_command"}),
    ],
    ids=str,
)
async def test_what_is_no_command_is_refused(
    raw: httpx.AsyncClient, new: str, body: bytes, status: int, reply: Event
) -> None:
    response = await raw.post(f"/threads/{new}/commands", content=body)
    assert response.status_code == status
    assert reply.items() <= response.json().items()


@pytest.mark.parametrize(
    ("method", "params", "error", "message"),
    [
        ("run.start", {}, "invalid_argument", "run.start requires an assistant_id."),
        ("run.start", {"assistant_id": "nope"}, "unknown_error", "422: Invalid assistant: 'nope'."),
        (
            "run.start",
            {"assistant_id": "9cd5363e-f2b6-4a0b-8ad9-2b1a4b9ae61a"},
            "unknown_error",
            "404: Thread or assistant not found.",
        ),
        (
            "run.start",
            {"assistant_id": "work", "config": {"configurable": {"checkpoint_id": "bad"}}},
            "invalid_argument",
            "Invalid config.configurable.checkpoint_id: 'bad'.",
        ),
        (
            "run.start",
            {"assistant_id": "work", "metadata": "x"},
            "invalid_argument",
            "run.start metadata must be an object.",
        ),
        ("input.respond", {}, "invalid_argument", "input.respond requires an interrupt_id."),
        (
            "input.respond",
            {"responses": []},
            "invalid_argument",
            "input.respond requires at least one response.",
        ),
        (
            "input.respond",
            {"responses": [{"response": 1}]},
            "invalid_argument",
            "input.respond responses entries require an interrupt_id.",
        ),
        (
            "input.respond",
            {"interrupt_id": "x"},
            "no_such_run",
            "No interrupted run is bound to this thread.",
        ),
        ("agent.getTree", {}, "no_such_run", "No active run is bound to this thread."),
        (
            "subscription.subscribe",
            {"channels": ["bogus"]},
            "invalid_argument",
            "subscription.subscribe received an unsupported channel.",
        ),
        (
            "subscription.unsubscribe",
            {"subscription_id": "x"},
            "no_such_subscription",
            "Unknown subscription: x",
        ),
        ("input.inject", {}, "unknown_command", "Unknown protocol command: input.inject"),
    ],
    ids=str,
)
async def test_a_command_that_cannot_be_done_says_why(
    raw: httpx.AsyncClient, new: str, method: str, params: Event, error: str, message: str
) -> None:
    reply = await command(raw, new, method, params)
    assert (reply["type"], reply["error"]) == ("error", error)
    assert reply["message"].startswith(message)


@pytest.mark.parametrize("channels", [None, [], "values", ["bogus"], [5], ["custom:"]], ids=str)
async def test_channels_that_do_not_exist_are_refused(
    raw: httpx.AsyncClient, new: str, channels: Any
) -> None:
    response = await raw.post(f"/threads/{new}/stream/events", json={"channels": channels})
    assert response.status_code == 400
    assert response.json()["detail"].startswith("channels ")


async def test_the_tree_tells_how_the_thread_stands(raw: httpx.AsyncClient, new: str) -> None:
    await start(raw, new, "approval", {"topic": "x"})
    await told(raw, new)
    reply = await command(raw, new, "agent.getTree")
    tree = {"namespace": [], "status": "interrupted", "graph_name": "approval"}
    assert reply["result"] == {"tree": tree}


async def test_no_thread_has_an_id_that_is_none(raw: httpx.AsyncClient) -> None:
    reply = await command(raw, "bogus", "run.start", {"assistant_id": "work"})
    assert reply["message"] == "422: Invalid thread ID"
    response = await raw.post("/threads/bogus/stream/events", json={"channels": ["values"]})
    assert (response.status_code, response.text) == (200, "")


async def test_a_stranger_neither_hears_nor_commands_a_thread(guarded_api: str, new: str) -> None:
    ours, theirs = {"x-api-key": "back-end-secret"}, {"x-api-key": "their-secret"}
    async with httpx.AsyncClient(base_url=guarded_api, timeout=30) as raw:
        params = {"assistant_id": "approval", "input": {"topic": "x"}}
        assert "result" in await command(raw, new, "run.start", params, **ours)
        refused = await command(raw, new, "run.start", params, **theirs)
        assert refused["message"] == "404: Thread or assistant not found."
        hidden = await command(raw, new, "agent.getTree", **theirs)
        assert hidden["error"] == "no_such_run"
        body = {"channels": ["lifecycle"]}
        path = f"/threads/{new}/stream/events"
        async with raw.stream("POST", path, json=body, headers=theirs) as response:
            pieces = response.aiter_bytes()
            heard = [await anext(pieces) for _ in range(2)]
        assert heard == [b": heartbeat\r\n\r\n"] * 2
        nobody = await raw.post(f"/threads/{new}/commands", json={"id": 1, "method": "x"})
        assert nobody.status_code == 401
        with pytest.raises(InvalidStatus):
            await connect(guarded_api.replace("http", "ws") + path)
        async with connect(
            guarded_api.replace("http", "ws") + path, additional_headers=ours
        ) as socket:
            reply, _ = await asked(socket, 1, "agent.getTree")
            assert reply["result"]["tree"]["graph_name"] == "approval"


async def asked(
    socket: ClientConnection, number: int, method: str, params: Any = None
) -> tuple[Event, list[Event]]:
    """The reply, and the events that came before it."""
    await socket.send(json.dumps({"id": number, "method": method, "params": params}))
    events: list[Event] = []
    async with asyncio.timeout(20):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] != "event":
                assert message["id"] == number
                return message, events
            events.append(message)


async def heard(socket: ClientConnection) -> list[Event]:
    """Events until a run ends."""
    events: list[Event] = []
    async with asyncio.timeout(20):
        while not events or not is_end(events[-1]):
            message = json.loads(await socket.recv())
            events += [message] if message["type"] == "event" else []
    return events


async def test_a_socket_takes_commands_and_sends_what_is_subscribed(
    api: str, raw: httpx.AsyncClient, new: str
) -> None:
    async with connect(f"{api.replace('http', 'ws')}/threads/{new}/stream/events") as socket:
        first, _ = await asked(socket, 1, "subscription.subscribe", {"channels": ["lifecycle"]})
        assert first["result"]["replayed_events"] == 0
        params = {"assistant_id": "approval", "input": {"topic": "x"}}
        await socket.send(json.dumps({"id": 2, "method": "run.start", "params": params}))
        live = await heard(socket)
        assert phases(live) == ["running", "interrupted"]
        wanted = {"channels": ["lifecycle", "input", "values"]}
        second, past = await asked(socket, 3, "subscription.subscribe", wanted)
        everything = await told(raw, new)
        assert second["result"]["replayed_events"] == len(past)
        assert second["meta"]["applied_through_seq"] == everything[-1]["seq"]
        methods = {"lifecycle", "values", "input.requested"}
        assert summary(past) == summary([one for one in everything if one["method"] in methods])
        request = next(one for one in past if one["method"] == "input.requested")
        answer = {"interrupt_id": request["params"]["data"]["interrupt_id"], "response": "y"}
        await socket.send(json.dumps({"id": 4, "method": "input.respond", "params": answer}))
        rest = await heard(socket)
        assert len({one["event_id"] for one in rest}) == len(rest)
        assert phases(rest) == ["running", "completed"]
        for reply in (first, second):
            chosen = {"subscription_id": reply["result"]["subscription_id"]}
            done, _ = await asked(socket, 5, "subscription.unsubscribe", chosen)
            assert done["result"] == {}
        gone, _ = await asked(socket, 6, "subscription.unsubscribe", chosen)
        assert gone["error"] == "no_such_subscription"
        again = {"run_id": "x", "channels": ["lifecycle"], "since": live[-1]["seq"]}
        restored, missed = await asked(socket, 7, "subscription.reconnect", again)
        assert phases(missed) == ["running", "completed"]
        assert restored["result"]["replayed_events"] == 2


async def test_a_socket_refuses_what_it_does_not_understand(api: str, new: str) -> None:
    async with connect(f"{api.replace('http', 'ws')}/threads/{new}/stream/events") as socket:
        texts: list[tuple[str | bytes, str | None]] = [
            ("nonsense", None),
            ("[]", None),
            ('{"id": "a"}', "a"),
            (b"bytes", None),
            (f'"{"x" * 1_000_000}"', None),
        ]
        for text, number in texts:
            await socket.send(text)
            reply = json.loads(await socket.recv())
            assert (reply["id"], reply["error"]) == (number, "invalid_argument")
    url = f"{api.replace('http', 'ws')}/threads/bogus/stream/events"
    async with connect(url) as socket:
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1011, "thread stream ended")


async def test_a_client_goes_on_at_another_server_in_the_middle_of_a_run(
    raw: httpx.AsyncClient, served_settings: Settings, redis_url: str, new: str
) -> None:
    async with (
        serving(create_app(served_settings, sample_graphs)) as other,
        httpx.AsyncClient(base_url=other, timeout=30) as elsewhere,
    ):
        await start(raw, new, "work", {"mode": "slow", "secs": 0.5})
        first: list[Event] = []
        async with streaming(raw, new) as events:
            async for event in events:
                first.append(event)
                if event["method"] == "updates":
                    break
        rest = await told(elsewhere, new, since=first[-1]["seq"])
        everything = await told(raw, new)
    assert not is_end(first[-1])
    assert summary(first + rest) == summary(everything)


async def test_a_server_that_stops_breaks_its_streams_off_so_that_clients_come_back(
    served_settings: Settings, new: str
) -> None:
    async with httpx.AsyncClient(timeout=30) as raw:
        async with serving(create_app(served_settings, sample_graphs)) as url:
            path = f"{url}/threads/{new}/stream/events"
            request = raw.build_request("POST", path, json={"channels": ["lifecycle"]})
            response = await raw.send(request, stream=True)
            pieces = response.aiter_bytes()
            assert await anext(pieces) == b": heartbeat\r\n\r\n"
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in pieces:
                pass


async def test_a_sockets_commands_are_counted_like_requests(
    served_settings: Settings, redis_url: str, new: str
) -> None:
    keys = type(served_settings.api_keys)("acme:trusted:counted-secret")
    settings = served_settings.model_copy(update={"api_keys": keys, "rate_limit": 3})
    async with serving(create_app(settings, sample_graphs)) as url:
        headers = {"x-api-key": "counted-secret"}
        path = f"{url.replace('http', 'ws')}/threads/{new}/stream/events"
        async with connect(path, additional_headers=headers) as socket:
            replies = [(await asked(socket, n, "agent.getTree"))[0] for n in range(12)]
    assert replies[0]["error"] == "no_such_run"
    told = {one["message"] for one in replies if one["error"] == "unknown_error"}
    assert told == {"429: This key may make 3 requests a minute."}
