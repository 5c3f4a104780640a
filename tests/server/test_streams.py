import asyncio
import json
from collections import Counter
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.api.project.graphs import REPLY

HELLO = {"messages": [{"role": "user", "content": "hi"}]}


async def collected(
    client: LangGraphClient, tid: str | None, graph: str, asked: Any, **more: Any
) -> list[Any]:
    return [part async for part in client.runs.stream(tid, graph, input=asked, **more)]


async def test_a_stream_is_framed_with_crlf_and_names_where_to_reconnect(
    raw: httpx.AsyncClient, tid: str
) -> None:
    body = {"assistant_id": "work", "input": {"mode": "done"}, "stream_mode": ["updates"]}
    async with raw.stream("POST", f"/threads/{tid}/runs/stream", json=body) as response:
        text = "".join([piece async for piece in response.aiter_text()])
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["location"] == response.headers["content-location"] + "/stream"
    assert response.headers["content-location"].startswith(f"/threads/{tid}/runs/")
    run_id = response.headers["content-location"].rpartition("/")[2]
    assert text == (
        f'event: metadata\r\ndata: {{"run_id":"{run_id}","attempt":1}}\r\n\r\n'
        'event: updates\r\ndata: {"prep":{"steps":["prep"]}}\r\n\r\n'
        'event: updates\r\ndata: {"done":{"steps":["done"]}}\r\n\r\n'
    )


async def test_a_client_asks_once_whether_the_run_is_over_and_does_not_reconnect(
    api: str, tid: str
) -> None:
    requests: list[str] = []

    async with get_client(url=api) as client:

        async def note(request: httpx.Request) -> None:
            requests.append(f"{request.method} {request.url.path.rpartition('/')[2][:6]}")

        client.http.client.event_hooks["request"].append(note)
        await collected(client, tid, "chat", HELLO)
        assert len(requests) == 2
        assert requests[0] == "POST stream"
        assert not requests[1].endswith("stream")
        requests.clear()
        await collected(client, tid, "chat", HELLO, stream_resumable=True)
        assert requests == ["POST stream"]


async def test_only_resumable_streams_have_ids(client: LangGraphClient, tid: str) -> None:
    with_ids = await collected(client, tid, "chat", HELLO, stream_resumable=True)
    ids = [part.id for part in with_ids]
    assert None not in ids
    assert len(set(ids)) == len(ids)
    assert {part.id for part in await collected(client, tid, "chat", HELLO)} == {None}


async def test_messages_tuple_is_called_messages_and_streams_deltas(
    client: LangGraphClient, tid: str
) -> None:
    parts = await collected(client, tid, "chat", HELLO, stream_mode=["messages-tuple"])
    assert {part.event for part in parts} == {"metadata", "messages"}
    chunks = [part.data[0] for part in parts[1:]]
    assert "".join(chunk["content"] for chunk in chunks) == REPLY
    assert {chunk["type"] for chunk in chunks} == {"AIMessageChunk"}
    assert chunks[-1]["chunk_position"] == "last"
    assert len(chunks) > 3
    metadata = parts[1].data[1]
    assert (metadata["langgraph_node"], metadata["thread_id"]) == ("model", tid)


async def test_messages_accumulate_in_mode_messages(client: LangGraphClient, tid: str) -> None:
    parts = await collected(client, tid, "chat", HELLO, stream_mode=["messages"])
    kinds = Counter(part.event for part in parts)
    assert kinds["messages/metadata"] == 1
    partials = [part.data for part in parts if part.event == "messages/partial"]
    assert [len(data) for data in partials] == [1] * len(partials)
    assert partials[0][0]["content"] == "Hello "
    assert (partials[-1][0]["content"], partials[-1][0]["type"]) == (REPLY, "ai")
    both = await collected(client, tid, "chat", HELLO, stream_mode=["messages", "messages-tuple"])
    assert {part.event for part in both} == {"metadata", "messages"}


async def test_custom_data_comes_as_the_node_wrote_it(client: LangGraphClient, tid: str) -> None:
    parts = await collected(client, tid, "chat", HELLO, stream_mode=["custom"])
    assert [part.data for part in parts[1:]] == [{"progress": "calling model"}]


async def test_an_interrupt_shows_in_every_mode_of_state(client: LangGraphClient, tid: str) -> None:
    modes: Any = ["values", "updates"]
    parts = await collected(client, tid, "approval", {"topic": "x"}, stream_mode=modes)
    shown = [part for part in parts if "__interrupt__" in part.data]
    assert {part.event for part in shown} == {"values", "updates"}
    assert len(shown) == 2
    assert set(shown[0].data["__interrupt__"][0]) == {"value", "id", "response_schema"}


async def test_a_static_breakpoint_is_an_empty_interrupt(client: LangGraphClient, tid: str) -> None:
    asked: Any = {"stream_mode": ["values", "updates"], "interrupt_before": ["done"]}
    parts = await collected(client, tid, "work", {"mode": "done"}, **asked)
    shown = [(part.event, part.data) for part in parts if "__interrupt__" in part.data]
    assert shown == [("updates", {"__interrupt__": []})]


async def test_subgraph_events_carry_the_tasks_namespace(client: LangGraphClient, tid: str) -> None:
    asked: Any = {"stream_mode": ["values", "tasks"], "stream_subgraphs": True}
    parts = await collected(client, tid, "work", {"mode": "child"}, **asked)
    task = next(part.data["id"] for part in parts if part.data.get("name") == "child")
    assert any(part.event == f"values|child:{task}" for part in parts)
    asked = {"stream_mode": ["values"]}
    parts = await collected(client, tid, "work", {"mode": "child"}, **asked)
    assert {part.event for part in parts} == {"metadata", "values"}


async def test_debug_events_point_at_checkpoints(client: LangGraphClient, tid: str) -> None:
    asked: Any = {"stream_mode": ["debug", "checkpoints"]}
    parts = await collected(client, tid, "work", {"mode": "child"}, **asked)
    debug = [part.data for part in parts if part.event == "debug"]
    assert {data["type"] for data in debug} == {"checkpoint", "task", "task_result"}
    last = [data["payload"] for data in debug if data["type"] == "checkpoint"][-1]
    assert last["checkpoint"]["thread_id"] == tid
    assert last["parent_checkpoint"]["checkpoint_id"] < last["checkpoint"]["checkpoint_id"]
    plain = [part.data for part in parts if part.event == "checkpoints"][-1]
    assert set(plain["config"]["configurable"]) == {
        *("thread_id", "checkpoint_ns", "checkpoint_id"),
        *("run_id", "graph_id", "assistant_id", "langgraph_request_id"),
    }
    assert set(last["checkpoint"]) == {"thread_id", "checkpoint_ns", "checkpoint_id"}
    assert "checkpoint" not in plain


async def test_events_tell_what_happens_within_and_go_with_other_modes(
    client: LangGraphClient, tid: str
) -> None:
    modes: Any = ["events", "values", "messages-tuple"]
    parts = await collected(client, tid, "chat", HELLO, stream_mode=modes)
    run_id = parts[0].data["run_id"]
    told = [part.data for part in parts if part.event == "events"]
    assert [(one["event"], one["name"]) for one in told if "stream" not in one["event"]] == [
        ("on_chain_start", "chat"),
        ("on_chain_start", "model"),
        ("on_chat_model_start", "Greeter"),
        ("on_chat_model_end", "Greeter"),
        ("on_chain_end", "model"),
        ("on_chain_end", "chat"),
    ]
    assert told[0]["run_id"] == run_id
    assert told[0]["metadata"]["thread_id"] == tid
    pieces = [one["data"]["chunk"] for one in told if one["event"] == "on_chat_model_stream"]
    assert "".join(piece["content"] for piece in pieces) == REPLY
    assert Counter(part.event for part in parts)["values"] == 2
    assert Counter(part.event for part in parts)["messages"] == len(pieces)
    alone = await collected(client, tid, "chat", HELLO, stream_mode=["events"])
    assert {part.event for part in alone} == {"metadata", "events"}


async def test_events_of_a_failure_end_with_the_error(client: LangGraphClient, tid: str) -> None:
    asked: Any = {"stream_mode": ["events", "values"], "stream_subgraphs": True}
    parts = await collected(client, tid, "work", {"mode": "boom"}, **asked)
    assert parts[-1].data == {"error": "ValueError", "message": "boom: this node always raises"}
    parts = await collected(client, tid, "work", {"mode": "child"}, **asked)
    assert any(part.event.startswith("values|child:") for part in parts)
    assert parts[-1].data["event"] == "on_chain_end"


@pytest.mark.parametrize("modes", [["tools"], ["lifecycle", "tools"], []], ids=str)
async def test_modes_of_newer_clients_are_accepted(
    client: LangGraphClient, tid: str, modes: Any
) -> None:
    parts = await collected(client, tid, "work", {"mode": "done"}, stream_mode=modes)
    assert {part.event for part in parts} == {"metadata", "values"}


async def test_an_error_is_the_last_event(client: LangGraphClient, tid: str) -> None:
    parts = await collected(client, tid, "work", {"mode": "boom"})
    assert parts[-1].event == "error"
    assert parts[-1].data == {"error": "ValueError", "message": "boom: this node always raises"}
    assert (await client.runs.list(tid))[0]["status"] == "error"


async def test_a_finished_run_is_replayed_from_any_event(client: LangGraphClient, tid: str) -> None:
    parts = await collected(client, tid, "chat", HELLO, stream_resumable=True)
    run_id = parts[0].data["run_id"]

    async def rejoined(**how: Any) -> list[Any]:
        return [part async for part in client.runs.join_stream(tid, run_id, **how)]

    assert await rejoined(last_event_id="-1") == parts
    for number, part in enumerate(parts):
        assert await rejoined(last_event_id=part.id) == parts[number + 1 :]
    assert await rejoined() == []
    assert await rejoined(last_event_id="bogus") == []
    assert await rejoined(last_event_id="0-0") == parts


async def test_a_run_that_is_not_resumable_is_not_replayed(
    client: LangGraphClient, tid: str
) -> None:
    parts = await collected(client, tid, "chat", HELLO)
    run_id = parts[0].data["run_id"]
    replay = client.runs.join_stream(tid, run_id, last_event_id="-1")
    assert [part async for part in replay] == []


async def test_rejoining_filters_by_all_modes_asked_for(client: LangGraphClient, tid: str) -> None:
    modes: Any = ["values", "updates", "custom", "messages-tuple"]
    asked: Any = {"stream_mode": modes, "stream_resumable": True}
    parts = await collected(client, tid, "chat", HELLO, **asked)
    run_id = parts[0].data["run_id"]
    for kept in (["values", "updates"], ["messages-tuple"]):
        joined = client.runs.join_stream(tid, run_id, stream_mode=kept, last_event_id="-1")  # type: ignore[arg-type]
        events = {part.event for part in [part async for part in joined]}
        names = {"messages" if name == "messages-tuple" else name for name in kept}
        assert events == names | {"metadata", "end"}


async def test_joining_a_live_run_hears_the_rest_only(client: LangGraphClient, tid: str) -> None:
    asked: Any = {"stream_mode": ["updates"], "stream_resumable": True}
    how = {"mode": "slow", "secs": 2.0}
    run: Any = await client.runs.create(tid, "work", input=how, **asked)
    while (await client.threads.get_state(tid))["next"] != ["slow"]:
        await asyncio.sleep(0.01)
    live = client.runs.join_stream(tid, run["run_id"])
    assert [next(iter(part.data)) for part in [part async for part in live]] == [
        "slow",
        "done",
        "run_id",
    ]


async def test_an_id_that_is_none_hears_live_events_only(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str
) -> None:
    body = {"assistant_id": "work", "input": {"mode": "slow", "secs": 2.0}}
    run = (await raw.post(f"/threads/{tid}/runs", json={**body, "stream_resumable": True})).json()
    while (await client.threads.get_state(tid))["next"] != ["slow"]:
        await asyncio.sleep(0.01)
    path = f"/threads/{tid}/runs/{run['run_id']}/stream"
    live = await raw.get(path, headers={"last-event-id": "bogus"})
    assert live.text.count("event: values") == 2
    assert "event: metadata" not in live.text


async def test_a_queued_run_streams_when_its_turn_comes(client: LangGraphClient, tid: str) -> None:
    await client.runs.create(tid, "work", input={"mode": "slow", "secs": 0.3})
    parts = await collected(client, tid, "work", {"mode": "done"}, stream_mode=["updates"])
    assert [next(iter(part.data)) for part in parts] == ["run_id", "prep", "done"]


async def test_stateless_streams_can_be_rejoined_where_they_say(
    raw: httpx.AsyncClient, client: LangGraphClient
) -> None:
    body = {"assistant_id": "work", "input": {"mode": "done"}, "stream_resumable": True}
    async with raw.stream("POST", "/runs/stream", json=body) as response:
        await response.aread()
    assert response.headers["content-location"].startswith("/runs/")
    gone = await raw.get(response.headers["location"])
    assert "404: Run not found" in gone.text
    body = {**body, "input": {"mode": "slow", "secs": 0.5}}
    run = await raw.post("/runs", json=body)
    joined = await raw.get(f"/runs/{run.json()['run_id']}/stream", headers={"last-event-id": "-1"})
    assert joined.text.startswith("event: metadata")
    assert joined.text.count("event: values") == 4


@pytest.mark.parametrize("kind", ["stream", "wait"])
async def test_a_run_is_cancelled_when_its_reader_goes_if_asked_so(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str, kind: str
) -> None:
    statuses = {}
    for on_disconnect in ("cancel", "continue"):
        thread: Any = await client.threads.create()
        body = {
            "assistant_id": "work",
            "input": {"mode": "slow", "secs": 1.5},
            "on_disconnect": on_disconnect,
        }
        path = f"/threads/{thread['thread_id']}/runs/{kind}"
        async with raw.stream("POST", path, json=body) as response:
            run_id = response.headers["content-location"].rpartition("/")[2]
            await asyncio.sleep(0.2)
        await client.runs.join(thread["thread_id"], run_id)
        run = await client.runs.get(thread["thread_id"], run_id)
        statuses[on_disconnect] = run["status"]
    assert statuses == {"cancel": "interrupted", "continue": "success"}


@pytest.mark.parametrize("kind", ["stream", "join"])
async def test_a_run_is_cancelled_when_who_joined_it_goes_if_asked_so(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str, kind: str
) -> None:
    how = {"mode": "slow", "secs": 20}
    run: Any = await client.runs.create(tid, "work", input=how)
    path = f"/threads/{tid}/runs/{run['run_id']}"
    for asked in ("0", "1"):
        params = {"cancel_on_disconnect": asked}
        async with raw.stream("GET", f"{path}/{kind}", params=params):
            await asyncio.sleep(0.2)
        if asked == "0":
            assert (await raw.get(path)).json()["status"] in {"pending", "running"}
    async with asyncio.timeout(15):
        while (thread := await client.threads.get(tid))["status"] == "busy":
            await asyncio.sleep(0.02)
    assert (await raw.get(path)).json()["status"] == "interrupted"
    assert thread["error"] == {
        "error": "UserInterrupt",
        "message": "client disconnected from the run stream (on_disconnect=cancel)",
    }


async def test_silence_is_broken_every_few_seconds(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str
) -> None:
    other: Any = await client.threads.create()
    body = {"assistant_id": "work", "input": {"mode": "slow", "secs": 4.8}}

    async def pieces(path: str) -> list[bytes]:
        async with raw.stream("POST", path, json=body) as response:
            return [piece async for piece in response.aiter_raw()]

    waited, streamed = await asyncio.gather(
        pieces(f"/threads/{tid}/runs/wait"),
        pieces(f"/threads/{other['thread_id']}/runs/stream"),
    )
    assert waited[0] == b"\n"
    assert json.loads(b"".join(waited))["steps"] == ["prep", "slow", "done"]
    assert b": heartbeat\r\n\r\n" in streamed
