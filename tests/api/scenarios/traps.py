"""Behaviours that a naive server gets wrong, each as the official SDK meets it."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)

from tests.api.api import Api
from tests.api.registry import scenario
from tests.api.table import CHAT
from tests.waiting import until

_SLOW = {"mode": "slow", "secs": 1.5}
_PNA = {
    "origin": "https://smith.langchain.com",
    "access-control-request-method": "GET",
    "access-control-request-private-network": "true",
}


async def _all(parts: Any) -> list[Any]:
    """Every part but the end, which some servers tell and SDKs understand."""
    return [part async for part in parts if part.event != "end"]


@scenario("trap 1")
async def an_interrupted_run_is_a_success(api: Api) -> None:
    thread, run = await api.ran("approval", {"topic": "x"})
    assert (await api.sdk.runs.get(thread, run))["status"] == "success"
    assert (await api.sdk.threads.get(thread))["status"] == "interrupted"
    api.note("run", await api.sdk.runs.get(thread, run))


@scenario("trap 2")
async def waiting_for_an_error_answers_200(api: Api) -> None:
    body = {"assistant_id": "work", "input": {"mode": "boom"}}
    found = (await api.call("POST", f"/threads/{await api.thread()}/runs/wait", body)).must(200)
    assert found["__error__"]["error"] == "ValueError"
    thread = await api.thread()
    with pytest.raises(Exception, match="ValueError: boom"):
        await api.sdk.runs.wait(thread, "work", input={"mode": "boom"})
    found = await api.sdk.runs.wait(thread, "approval", input={"topic": "x"})
    assert set(found["__interrupt__"][0]) == {"value", "id", "response_schema"}


@scenario("trap 3")
async def joining_an_interrupted_run_drops_its_values(api: Api) -> None:
    thread, run = await api.ran("approval", {"topic": "x"})
    found = (await api.call("GET", f"/threads/{thread}/runs/{run}/join")).must(200)
    assert set(found) == {"__interrupt__"}
    assert set(found["__interrupt__"][0]) == {"id", "value"}


@scenario("trap 4")
async def waiting_sends_newlines(api: Api) -> None:
    body = {"assistant_id": "work", "input": {"mode": "slow", "secs": 6}}
    path = f"/threads/{await api.thread()}/runs/wait"
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with api.http.stream("POST", path, json=body) as answer:
        assert loop.time() - began < 4
        assert answer.headers["content-location"].startswith("/threads/")
        pieces = [piece async for piece in answer.aiter_raw()]
    assert pieces[0] == b"\n"
    assert json.loads(b"".join(pieces))["steps"] == ["prep", "slow", "done"]


@scenario("trap 5")
async def streams_are_framed_with_crlf(api: Api) -> None:
    thread = await api.thread()
    body = {"assistant_id": "chat", "input": CHAT}
    answer = await api.ask("POST", f"/threads/{thread}/runs/stream", body)
    assert answer.text.startswith('event: metadata\r\ndata: {"run_id":"')
    assert "\n" not in answer.text.replace("\r\n", "")
    assert answer.headers["location"].startswith(f"/threads/{thread}/runs/")
    asked: list[str] = []

    async def count(request: httpx.Request) -> None:
        asked.append(f"{request.method} {request.url.path}")

    async with get_client(url=str(api.http.base_url)) as client:
        client.http.client.event_hooks = {"request": [count]}
        await _all(client.runs.stream(thread, "chat", input=CHAT))
    assert len(asked) <= 2
    assert not any(one.startswith("GET") and one.endswith("/stream") for one in asked)


@scenario("trap 6")
async def content_location_names_the_run(api: Api) -> None:
    thread, seen = await api.thread(), []
    told: Any = seen.append
    run = await api.sdk.runs.create(thread, "chat", input=CHAT, on_run_created=told)
    assert seen == [{"run_id": run["run_id"], "thread_id": thread}]
    await _all(api.sdk.runs.stream(thread, "chat", input=CHAT, on_run_created=told))
    await api.sdk.runs.wait(thread, "chat", input=CHAT, on_run_created=told)
    assert {one["thread_id"] for one in seen} == {thread}
    assert len({one["run_id"] for one in seen}) == 3


@scenario("trap 7")
async def only_resumable_streams_have_ids(api: Api) -> None:
    for resumable in (True, False):
        thread = await api.thread()
        told = {"assistant_id": "chat", "input": CHAT, "stream_resumable": resumable}
        parts = await api.stream("POST", f"/threads/{thread}/runs/stream", told)
        assert {one.id is not None for one in parts} == {resumable}


@scenario("trap 8")
async def joining_without_an_id_is_live_only(api: Api) -> None:
    thread, run = await api.ran("chat", CHAT, stream_resumable=True)
    join = api.sdk.runs.join_stream
    assert (await _all(join(thread, run, last_event_id="-1")))[0].event == "metadata"
    assert await _all(join(thread, run)) == []
    assert await _all(join(thread, run, last_event_id="bogus")) == []


@scenario("trap 9")
async def joining_takes_several_modes(api: Api) -> None:
    modes: Any = ["values", "updates"]
    thread, run = await api.ran("chat", CHAT, stream_resumable=True, stream_mode=modes)
    join = api.sdk.runs.join_stream(thread, run, stream_mode=modes, last_event_id="-1")
    found = {one.event for one in await _all(join)}
    assert found == {"metadata", "values", "updates"}


@scenario("trap 10")
async def joining_nothing_answers_200(api: Api) -> None:
    thread, run = await api.thread(), str(uuid4())
    found = (await api.call("GET", f"/threads/{thread}/runs/{run}/join")).must(200)
    assert found == {"__error__": {"error": "HTTPException", "message": "404: Run not found"}}
    parts = await api.stream("GET", f"/threads/{thread}/runs/{run}/stream")
    assert parts[0].event == "error"
    (await api.call("GET", f"/threads/{thread}/runs/{run}")).must(404)


@scenario("trap 11")
async def message_modes_have_their_own_names(api: Api) -> None:
    async def names(modes: Any) -> list[str]:
        stream = api.sdk.runs.stream(None, "chat", input=CHAT, stream_mode=modes)
        return sorted({one.event for one in await _all(stream)})

    assert await names(["messages-tuple"]) == ["messages", "metadata"]
    assert await names(["messages"]) == ["messages/metadata", "messages/partial", "metadata"]
    assert await names(["messages", "messages-tuple"]) == ["messages", "metadata"]
    stream = api.sdk.runs.stream(None, "chat", input=CHAT, stream_mode="messages")
    partial = [one.data for one in await _all(stream) if one.event == "messages/partial"]
    assert (partial[-1][0]["type"], partial[-1][0]["content"]) == ("ai", "Hello there dear user")


@scenario("trap 12")
async def subgraph_events_carry_their_task(api: Api) -> None:
    thread = await api.thread()
    value: Any = {"mode": "asking"}
    stream = api.sdk.runs.stream(
        thread, "work", input=value, stream_mode=["values"], stream_subgraphs=True
    )
    spaces = {one.event.partition("|")[2] for one in await _all(stream)} - {""}
    state = await api.sdk.threads.get_state(thread)
    assert spaces == {state["tasks"][0]["checkpoint"]["checkpoint_ns"]}
    stream = api.sdk.runs.stream(None, "work", input=value, stream_mode=["values"])
    assert not any("|" in one.event for one in await _all(stream))


@scenario("trap 13")
async def interrupts_are_in_each_state_mode(api: Api) -> None:
    modes: Any = ["values", "updates"]
    stream = api.sdk.runs.stream(None, "approval", input={"topic": "x"}, stream_mode=modes)
    found = [one for one in await _all(stream) if "__interrupt__" in one.data]
    assert sorted(one.event for one in found) == ["updates", "values"]
    api.tell("in", [one.event for one in found])
    stream = api.sdk.runs.stream(
        None, "work", input={}, stream_mode=modes, interrupt_before=["done"]
    )
    api.tell("static", [one.event for one in await _all(stream)])
    told = api.sdk.runs.stream(None, "approval", input={"topic": "x"}, stream_mode=["custom"])
    assert [one.event for one in await _all(told)] == ["metadata"]


@scenario("trap 14")
async def the_strategy_is_the_new_run_s(api: Api) -> None:
    thread, first = await api.running()
    kwargs: Any = {"input": {"mode": "done"}, "multitask_strategy": "rollback"}
    second = await api.sdk.runs.create(thread, "work", **kwargs)
    await api.settled(thread, second["run_id"])
    assert [one["run_id"] for one in await api.sdk.runs.list(thread)] == [second["run_id"]]
    history = await api.sdk.threads.get_history(thread, limit=50)
    assert first not in {one["metadata"]["run_id"] for one in history}
    assert (await api.sdk.threads.get_state(thread))["values"]["steps"] == ["prep", "done"]


@scenario("trap 15")
async def cancelling_twice_is_404(api: Api) -> None:
    thread, run = await api.running()
    stream = asyncio.create_task(_all(api.sdk.runs.join_stream(thread, run)))
    await asyncio.sleep(0.3)
    await api.sdk.runs.cancel(thread, run)
    assert not any(one.event == "error" for one in await stream)
    await api.settled(thread, run)
    with pytest.raises(NotFoundError):
        await api.sdk.runs.cancel(thread, run)


@scenario("trap 16")
async def a_thread_s_values_come_at_the_end(api: Api) -> None:
    thread, run = await api.running()
    now = (await api.call("GET", f"/threads/{thread}")).must(200)
    assert (now["status"], now["values"]) == ("busy", None)
    assert (await api.sdk.threads.get_state(thread))["values"]["steps"] == ["prep"]
    await api.release(thread)
    await api.settled(thread, run)
    assert (await api.sdk.threads.get(thread))["values"]["steps"][-1] == "done"


@scenario("trap 17")
async def an_update_changes_the_status(api: Api) -> None:
    thread = await api.thread(graph_id="approval")
    await api.sdk.threads.update_state(thread, {"topic": "s"}, as_node="__start__")
    assert (await api.sdk.threads.get(thread))["status"] == "interrupted"
    thread, _ = await api.ran("approval", {"topic": "x"})
    await api.sdk.threads.update_state(thread, {"draft": "other"})
    now = (await api.call("GET", f"/threads/{thread}")).must(200)
    assert (now["status"], now["interrupts"]) == ("interrupted", {})
    with pytest.raises(BadRequestError):
        await api.sdk.threads.update_state(await api.thread(), {"topic": "s"})
    thread, run = await api.running()
    with pytest.raises(ConflictError):
        await api.sdk.threads.update_state(thread, {"mode": "done"})
    await api.sdk.runs.cancel(thread, run, wait=True)


@scenario("trap 18")
async def copy_and_input_are_nodes(api: Api) -> None:
    thread, _ = await api.ran("approval", {"topic": "x"})
    head = (await api.sdk.threads.get_state(thread))["checkpoint"]["checkpoint_id"]
    kwargs: Any = {"as_node": "__copy__", "checkpoint_id": head}
    await api.sdk.threads.update_state(thread, None, **kwargs)
    found = (await api.call("GET", f"/threads/{thread}/state")).must(200)
    assert found["metadata"]["source"] == "fork"
    steps: Any = [{"updates": [{"values": {"topic": "x"}, "as_node": "__input__"}]}]
    made = await api.sdk.threads.create(graph_id="approval", supersteps=steps)
    state = await api.sdk.threads.get_state(made["thread_id"])
    assert (state["next"], state["metadata"]["source"]) == (["__start__"], "input")
    api.note("state", state)


@scenario("trap 19")
async def an_unknown_checkpoint_is_empty(api: Api) -> None:
    thread, _ = await api.ran("chat", CHAT)
    kwargs: Any = {"checkpoint_id": str(uuid4())}
    assert (await api.sdk.threads.get_state(thread, **kwargs))["values"] == {}
    with pytest.raises(NotFoundError):
        await api.sdk.threads.get_state(str(uuid4()))
    assert (await api.sdk.threads.get_state(await api.thread()))["checkpoint"] is None


@scenario("trap 20")
async def before_has_three_shapes(api: Api) -> None:
    thread, _ = await api.ran("chat", CHAT)
    found = await api.sdk.threads.get_history(thread, limit=2)
    before: Any = found[0]["checkpoint"]
    earlier = await api.sdk.threads.get_history(thread, before=before)
    assert earlier[0]["checkpoint"] == found[1]["checkpoint"]


@scenario("trap 21")
async def system_assistants_have_fixed_ids(api: Api) -> None:
    system = {"created_by": "system"}
    [chat] = await api.sdk.assistants.search(graph_id="chat", metadata=system)
    assert chat["assistant_id"] == "eb6db400-e3c8-5d06-a834-015cb89efe69"
    assert len(await api.sdk.assistants.get_versions(chat["assistant_id"])) >= 1
    for named in ("chat", chat["assistant_id"]):
        assert await api.sdk.runs.wait(None, named, input=CHAT)
        assert await api.sdk.assistants.get_graph(named)
    with pytest.raises(UnprocessableEntityError):
        await api.sdk.assistants.get("chat")


@scenario("trap 22")
async def config_and_context_mirror(api: Api) -> None:
    made = await api.sdk.assistants.create("chat", context={"reply": "a"})
    assert made["config"]["configurable"] == {"reply": "a"}
    found = await api.sdk.runs.wait(None, made["assistant_id"], input=CHAT)
    assert found["messages"][-1]["content"] == "a"
    config: Any = {"configurable": {"reply": "c"}}
    changed = await api.sdk.assistants.update(made["assistant_id"], config=config)
    assert (changed["version"], changed["context"]) == (2, {"reply": "c"})
    with pytest.raises(BadRequestError):
        await api.sdk.assistants.create("chat", config=config, context={"reply": "b"})


@scenario("trap 23")
async def unknown_names_and_ids_differ(api: Api) -> None:
    thread = await api.thread()
    with pytest.raises(UnprocessableEntityError):
        await api.sdk.runs.create(thread, "nope", input={})
    with pytest.raises(NotFoundError):
        await api.sdk.runs.create(thread, str(uuid4()), input={})
    with pytest.raises(NotFoundError):
        await api.sdk.assistants.create("nope")
    with pytest.raises(NotFoundError):
        await api.sdk.crons.create("nope", schedule="@daily", input={})


@scenario("trap 24")
async def totals_tell_of_one_page_more(api: Api) -> None:
    tag = {"tag": str(uuid4())}
    for _ in range(5):
        await api.thread(metadata=tag)
    for offset, total, after in ((0, "3", "2"), (2, "5", "4"), (4, "5", None), (40, "40", None)):
        body = {"metadata": tag, "limit": 2, "offset": offset}
        answer = await api.call("POST", "/threads/search", body)
        assert answer.headers["x-pagination-total"] == total
        assert answer.headers.get("x-pagination-next") == after
    found: Any = await api.sdk.assistants.search(limit=1, response_format="object")
    assert found["next"] == "1"


@scenario("trap 25")
async def bodies_come_as_text(api: Api) -> None:
    for told in ({"content-type": "text/plain;charset=UTF-8"}, {}):
        answer = await api.ask("POST", "/assistants/search", content=b'{"limit":1}', headers=told)
        assert len(answer.must(200)) == 1
    thread = await api.thread()
    (await api.call("POST", f"/threads/{thread}/copy")).must(200)


@scenario("trap 26")
async def the_store_has_quirks(api: Api) -> None:
    assert await api.sdk.store.get_item(["nope"], "x") is None
    await api.sdk.store.delete_item(["nope"], "x")
    with pytest.raises((BadRequestError, UnprocessableEntityError)):
        await api.sdk.store.put_item(["langgraph"], "k", {})


@scenario("trap 27")
async def messages_of_unknown_errors_are_hidden(api: Api) -> None:
    thread = await api.thread()
    value: Any = {"mode": "zero"}
    found = await api.sdk.runs.wait(thread, "work", input=value, raise_error=False)
    assert found["__error__"] == {
        "error": "ZeroDivisionError",
        "message": "An internal error occurred",
    }
    state = await api.sdk.threads.get_state(thread)
    assert "by zero" in str(state["tasks"][0]["error"])


@scenario("trap 28")
async def chromium_may_ask_a_private_network(api: Api) -> None:
    answer = await api.ask("OPTIONS", "/info", headers=_PNA)
    answer.must(200)
    assert answer.headers["access-control-allow-private-network"] == "true"


@scenario("trap 29")
async def events_are_numbered_by_thread(api: Api) -> None:
    async with api.sdk.threads.stream(assistant_id="approval") as thread:
        await thread.run.start(input={"topic": "x"})
        async for _ in thread.values:
            pass
        assert thread.interrupted
        assert thread.interrupts[0]["interrupt_id"]
        await thread.run.respond("yes")
        found: Any = await thread.output
    assert found["log"] == ["write_draft", "human:yes", "publish"]


@scenario("trap 30")
async def stateless_runs_have_a_thread(api: Api) -> None:
    value: Any = _SLOW
    run = await api.sdk.runs.create(None, "work", input=value)
    assert (await api.sdk.threads.get(run["thread_id"]))["status"] == "busy"

    async def gone() -> bool:
        return (await api.ask("GET", f"/threads/{run['thread_id']}")).status == 404

    await until(gone, 45)
    found: Any = await api.sdk.runs.join(run["thread_id"], run["run_id"])
    assert "404" in found["__error__"]["message"]
