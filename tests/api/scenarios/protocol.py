"""The second protocol of streams: commands, and events by channel."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import websockets

from tests.api.api import ABSENT, Api
from tests.api.registry import scenario
from tests.api.table import CHAT
from tests.api.transcript import Frame, shape
from tests.waiting import until

_DONE = {"completed", "failed", "interrupted"}


async def command(api: Api, thread: str, method: str, **params: Any) -> Any:
    """The answer to a command."""
    body = {"id": 1, "method": method, "params": params}
    return (await api.call("POST", f"/threads/{thread}/commands", body)).must(200)


async def started(api: Api, graph: str, value: Any, thread: str | None = None) -> tuple[str, str]:
    """A thread, new unless named, and the run that was started on it."""
    thread = thread or str(uuid4())
    found = await command(api, thread, "run.start", assistant_id=graph, input=value)
    return thread, str(found["result"]["run_id"])


async def events(api: Api, thread: str, runs: int = 1, **asked: Any) -> list[Frame]:
    """What a subscription tells until so many runs have ended."""
    body = {"channels": ["lifecycle"], **asked}
    return await api.stream(
        "POST", f"/threads/{thread}/stream/events", body, record=False,
        until=lambda found: sum(_ended(one) for one in found) >= runs,
    )  # fmt: skip


def _ended(frame: Frame) -> bool:
    told = frame.data["params"]
    return (
        frame.event == "lifecycle" and not told["namespace"] and told["data"].get("event") in _DONE
    )


def _told(found: list[Frame]) -> list[Any]:
    """Names, namespaces and payloads, in order; a value beside its payload is a row of its own."""
    told = [one.data["params"] for one in found]
    return [
        [one.event, shape(each["namespace"]), shape({**each["data"], "value": None})]
        for one, each in zip(found, told, strict=True)
    ]


@scenario("POST /threads/{thread}/commands 200")
async def commands(api: Api) -> None:
    thread, run = await started(api, "approval", {"topic": "x"})
    await api.settled(thread, run)
    [waiting] = (await api.sdk.threads.get_state(thread))["interrupts"]
    bad = await command(api, thread, "input.respond", interrupt_id="bogus", response="yes")
    assert bad["error"] == "no_such_interrupt"
    bad = await command(api, thread, "input.respond", response="yes")
    assert bad["error"] == "invalid_argument"
    good = await command(
        api, thread, "input.respond", interrupt_id=waiting["id"], response="yes", namespace=[]
    )
    assert good["type"] == "success"
    await api.settled(thread)
    assert (await api.sdk.threads.get_state(thread))["values"]["log"] == [
        "write_draft", "human:yes", "publish",
    ]  # fmt: skip
    assert (await command(api, thread, "bogus"))["error"] == "unknown_command"
    assert (await command(api, thread, "run.start"))["error"] == "invalid_argument"
    found = await command(api, thread, "run.start", assistant_id="nope", input={})
    assert found["type"] == "error"
    found = await command(api, str(uuid4()), "input.respond", interrupt_id="x", response=1)
    assert found["error"] == "no_such_run"


@scenario("POST /threads/{thread}/commands 400")
async def bad_commands(api: Api) -> None:
    path = f"/threads/{uuid4()}/commands"
    answer = await api.call("POST", path, content=b"{")
    assert answer.must(400) == {"detail": "Invalid JSON body"}
    for body in ({"method": "run.start"}, {"id": "1", "method": "run.start"}, {"id": 1}):
        found = (await api.call("POST", path, body)).must(400)
        assert (found["type"], found["error"]) == ("error", "invalid_argument")


@scenario("POST /threads/{thread}/stream/events 200")
async def lifecycle(api: Api) -> None:
    thread, _ = await started(api, "chat", CHAT)
    live = await events(api, thread)
    api.tell("live", _told(live))
    assert [one.data["params"]["data"]["event"] for one in live] == ["running", "completed"]
    again = await events(api, thread)
    ids = [(one.id, one.data["event_id"], one.data["seq"]) for one in live]
    assert [(one.id, one.data["event_id"], one.data["seq"]) for one in again] == ids
    assert all(int(str(one.id)) == one.data["seq"] for one in live)
    after = await events(api, thread, since=live[0].data["seq"])
    assert [one.id for one in after] == [one.id for one in live[1:]]


@scenario("POST /threads/{thread}/stream/events 400")
async def bad_channels(api: Api) -> None:
    path = f"/threads/{ABSENT}/stream/events"
    for channels in ([], ["bogus"], None, "values"):
        (await api.call("POST", path, {"channels": channels})).must(400)


@scenario("GET /threads/{thread}/stream/events 405")
async def events_by_get(api: Api) -> None:
    (await api.call("GET", f"/threads/{ABSENT}/stream/events")).must(405)


async def _channels(api: Api, graph: str, value: Any, channels: list[str]) -> list[Frame]:
    thread, _ = await started(api, graph, value)
    found = await events(api, thread, channels=["lifecycle", *channels])
    api.tell(f"{graph} {value}", _told(found))
    return found


@scenario("protocol: messages")
async def messages(api: Api) -> None:
    found = await _channels(api, "chat", CHAT, ["messages"])
    told = [one.data["params"]["data"] for one in found if one.event == "messages"]
    assert (told[0]["event"], told[-1]["event"]) == ("message-start", "message-finish")
    pieces = [one["delta"]["text"] for one in told if one["event"] == "content-block-delta"]
    assert "".join(pieces) == "Hello there dear user"


@scenario("protocol: messages with tool calls")
async def tool_messages(api: Api) -> None:
    found = await _channels(api, "toolagent", CHAT, ["messages"])
    told = [one.data["params"]["data"] for one in found if one.event == "messages"]
    finished = [one["content"] for one in told if one["event"] == "content-block-finish"]
    assert {"type": "tool_call", "name": "add", "args": {"a": 1, "b": 2}}.items() <= finished[
        0
    ].items()


@scenario("protocol: values")
async def values(api: Api) -> None:
    for graph, value in (("chat", CHAT), ("work", {"mode": "boom"}), ("work", {})):
        await _channels(api, graph, value, ["values"])


@scenario("protocol: input is requested before the run is interrupted")
async def requested(api: Api) -> None:
    found = await _channels(api, "approval", {"topic": "x"}, ["input"])
    names = [one.event for one in found]
    assert names == ["lifecycle", "input.requested", "lifecycle"]
    told = found[1].data["params"]["data"]
    assert told["payload"] == {"question": "approve?", "draft": "draft about x"}


@scenario("protocol: what was requested is told as value and as payload")
async def requested_value(api: Api) -> None:
    thread, _ = await started(api, "approval", {"topic": "x"})
    found = await events(api, thread, channels=["lifecycle", "input"])
    told = found[1].data["params"]["data"]
    assert told["value"] == told["payload"]


@scenario("protocol: subgraphs have namespaces")
async def subgraphs(api: Api) -> None:
    found = await _channels(api, "work", {"mode": "child"}, ["values"])
    spaces = {tuple(one.data["params"]["namespace"]) for one in found}
    assert any(space and space[0].startswith("child:") for space in spaces)
    thread, _ = await started(api, "work", {"mode": "child"})
    root = await events(api, thread, namespaces=[[]], depth=0)
    assert {tuple(one.data["params"]["namespace"]) for one in root} == {()}


@scenario("protocol: two interrupts, answered one after the other")
async def two(api: Api) -> None:
    thread, run = await started(api, "par", {"topic": "x"})
    await api.settled(thread, run)
    for left in (1, 0):
        waiting = (await api.sdk.threads.get_state(thread))["interrupts"]
        assert len(waiting) == left + 1
        answer = {"interrupt_id": waiting[0]["id"], "response": "yes"}
        found = await command(api, thread, "input.respond", **answer)
        assert found["type"] == "success"

        async def answered(left: int = left) -> bool:
            thread_now = await api.sdk.threads.get(thread)
            state = await api.sdk.threads.get_state(thread)
            return thread_now["status"] != "busy" and len(state["interrupts"]) == left

        await until(answered, 45)
    assert len((await api.sdk.threads.get_state(thread))["values"]["answers"]) == 3


@scenario("protocol: answers to several interrupts at once")
async def at_once(api: Api) -> None:
    thread, run = await started(api, "par", {"topic": "x"})
    await api.settled(thread, run)
    waiting = (await api.sdk.threads.get_state(thread))["interrupts"]
    responses = [{"interrupt_id": one["id"], "response": "yes"} for one in waiting]
    found = await command(api, thread, "input.respond", responses=responses)
    assert found["type"] == "success"
    await events(api, thread, runs=2)
    await api.settled(thread)
    assert len((await api.sdk.threads.get_state(thread))["values"]["answers"]) == 3


@scenario("protocol: a run of the first is seen by the second")
async def cross(api: Api) -> None:
    thread, _ = await api.ran("chat", CHAT, stream_resumable=True)
    found = await events(api, thread)
    assert [one.data["params"]["data"]["event"] for one in found] == ["running", "completed"]


@scenario("protocol: a run that is cancelled before it begins tells nothing")
async def unbegun(api: Api) -> None:
    """An end without a beginning would be taken for that of the run which is at work."""
    thread, first = await api.running(stream_resumable=True)
    listening = asyncio.create_task(events(api, thread, runs=2))
    last = {"assistant_id": "work", "input": {"mode": "done"}, "stream_resumable": True}
    behind = await api.sdk.runs.create(thread, **last, multitask_strategy="enqueue")
    await api.sdk.runs.cancel(thread, behind["run_id"])
    await api.release(thread)
    await api.settled(thread, first)
    alone = await api.sdk.runs.create(thread, **last, after_seconds=60)
    await api.sdk.runs.cancel(thread, alone["run_id"])
    after = await api.sdk.runs.create(thread, **last)
    heard = [(one.data["event_id"], one.data["params"]["data"]["event"]) for one in await listening]
    assert heard == [
        (f"synth:{run}:lc||{phase}", phase)
        for run in (first, after["run_id"])
        for phase in ("running", "completed")
    ]
    for run in (behind, alone):
        assert (await api.sdk.runs.get(thread, run["run_id"]))["status"] == "interrupted"


@scenario("protocol: the runs of the second are runs")
async def listed(api: Api) -> None:
    thread, run = await started(api, "chat", CHAT)
    await api.settled(thread, run)
    [found] = (await api.call("GET", f"/threads/{thread}/runs")).must(200)
    assert (found["run_id"], found["status"]) == (run, "success")
    joined = (await api.call("GET", f"/threads/{thread}/runs/{run}/join")).must(200)
    assert len(joined["messages"]) == 2


@scenario("protocol: the tree of an interrupted run")
async def tree(api: Api) -> None:
    thread, run = await started(api, "approval", {"topic": "x"})
    await api.settled(thread, run)
    found = await command(api, thread, "agent.getTree")
    assert found["result"]["tree"]["status"] == "interrupted"


@scenario("GET /threads/{thread}/stream/events 101")
async def socket(api: Api) -> None:
    thread = str(uuid4())
    base = str(api.http.base_url).replace("http://", "ws://").rstrip("/")
    async with websockets.connect(f"{base}/threads/{thread}/stream/events") as ws:

        async def ask(number: int, method: str, **params: Any) -> Any:
            await ws.send(json.dumps({"id": number, "method": method, "params": params}))
            while True:
                found = json.loads(await asyncio.wait_for(ws.recv(), 10))
                if found.get("id") == number:
                    return found

        told = await ask(1, "subscription.subscribe", channels=["lifecycle"])
        assert told["type"] == "success"
        api.note("subscribed", told)
        await ws.send("{")
        bad = json.loads(await ws.recv())
        assert bad["message"] == "Protocol commands must be valid JSON."
        api.note("bad", bad)
        told = await ask(2, "run.start", assistant_id="chat", input=CHAT)
        assert told["result"]["run_id"]
        found: list[str] = []
        while not found or found[-1] not in _DONE:
            one = json.loads(await asyncio.wait_for(ws.recv(), 10))
            if one["type"] == "event":
                found.append(one["params"]["data"]["event"])
        assert found[-1] == "completed"
        gone = await ask(3, "subscription.unsubscribe", subscription_id="bogus")
        assert gone["error"] == "no_such_subscription"
        tree = await ask(4, "agent.getTree")
        api.note("tree", tree)
