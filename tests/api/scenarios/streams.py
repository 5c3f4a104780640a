"""Streams of runs and threads: modes, framing, replay."""

from collections import Counter
from functools import partial
from typing import Any

from tests.api.api import Api
from tests.api.registry import add, scenario
from tests.api.table import CHAT, MODES
from tests.api.transcript import Frame

_CASES = (
    ("chat", CHAT),
    ("approval", {"topic": "x"}),
    ("work", {"mode": "child"}),
    ("work", {"mode": "boom"}),
    ("toolagent", CHAT),
)
_NESTED = (("work", {"mode": "child"}), ("work", {"mode": "asking"}), ("work", {"mode": "talk"}))


async def mode(api: Api, mode: str, nested: bool) -> None:
    """Every event of every graph in this mode."""
    for graph, value in _NESTED if nested else _CASES:
        body: dict[str, Any] = {"assistant_id": graph, "input": value, "stream_mode": [mode]}
        if nested:
            body["stream_subgraphs"] = True
        path = f"/threads/{await api.thread()}/runs/stream"
        events = await api.stream("POST", path, body)
        names = Counter(one.event.partition("|")[0].partition("/")[0] for one in events)
        expected = "messages" if mode == "messages-tuple" else mode
        assert events[0].event == "metadata"
        assert set(names) <= {"metadata", expected, "error", "end"}, names
        if nested and mode not in {"custom", "messages", "messages-tuple"}:
            assert any("|" in one.event for one in events) or mode == "events", names
        assert ("error" in names) == (value == {"mode": "boom"})
        assert all(one.id is None for one in events)


for _mode in MODES:
    add(partial(mode, mode=_mode, nested=False), [f"stream {_mode}"])
    add(partial(mode, mode=_mode, nested=True), [f"stream {_mode} with subgraphs"])


def names(events: list[Frame]) -> list[str]:
    """The events' names, without the end that only some servers tell."""
    return [one.event for one in events if one.event != "end"]


@scenario("POST /threads/{thread}/runs/stream 200")
async def several(api: Api) -> None:
    thread = await api.thread()
    modes = ["values", "updates", "messages-tuple", "custom", "tasks"]
    body = {"assistant_id": "chat", "input": CHAT, "stream_mode": modes}
    events = await api.stream("POST", f"/threads/{thread}/runs/stream", body)
    assert Counter(names(events)).keys() >= {"metadata", "values", "updates", "messages", "custom"}
    path = f"/threads/{thread}/runs/stream"
    events = await api.stream("POST", path, {"assistant_id": "chat", "input": CHAT})
    assert names(events) == ["metadata", "values", "values"]
    body = {"assistant_id": "chat", "input": CHAT, "stream_mode": []}
    assert names(await api.stream("POST", path, body)) == ["metadata", "values", "values"]
    body = {"assistant_id": "chat", "input": CHAT, "stream_mode": "updates"}
    assert names(await api.stream("POST", path, body)) == ["metadata", "updates"]


@scenario("stream tools and lifecycle")
async def newer_modes(api: Api) -> None:
    modes = ["values", "tools", "lifecycle"]
    body = {"assistant_id": "chat", "input": CHAT, "stream_mode": modes}
    path = f"/threads/{await api.thread()}/runs/stream"
    events = await api.stream("POST", path, body)
    assert names(events) == ["metadata", "values", "values"]


@scenario("resume re-emits the state")
async def resumed(api: Api) -> None:
    thread, _ = await api.ran("approval", {"topic": "x"})
    body = {"assistant_id": "approval", "command": {"resume": "yes"}, "stream_mode": ["values"]}
    events = await api.stream("POST", f"/threads/{thread}/runs/stream", body)
    assert events[1].data["log"] == ["write_draft"]
    assert events[3].data["log"] == ["write_draft", "human:yes", "publish"]


@scenario("GET /threads/{thread}/runs/{run}/stream 200")
async def join(api: Api) -> None:
    thread, run = await api.running(stream_resumable=True, stream_mode=["values", "updates"])
    path = f"/threads/{thread}/runs/{run}/stream"
    live = await api.stream("GET", path, then=partial(api.release, thread))
    assert names(live) == ["updates", "values", "updates", "values"]
    replay = await api.stream("GET", path, headers={"last-event-id": "-1"})
    assert names(replay)[0] == "metadata"
    after = await api.stream("GET", path, headers={"last-event-id": str(replay[2].id)})
    assert [one.id for one in after] == [one.id for one in replay[3:]]
    for headers in ({}, {"last-event-id": "bogus"}):
        assert names(await api.stream("GET", path, headers=headers)) == []


@scenario("join a run that is not resumable")
async def join_plain(api: Api) -> None:
    thread, run = await api.running()
    path = f"/threads/{thread}/runs/{run}/stream"
    headers = {"last-event-id": "-1"}
    live = await api.stream("GET", path, headers=headers, then=partial(api.release, thread))
    assert names(live) == ["values", "values"]
    assert all(one.id is None for one in live)
    assert names(await api.stream("GET", path, headers={"last-event-id": "-1"})) == []


@scenario("replay of messages is whole, and its ids are unique")
async def replay_messages(api: Api) -> None:
    path = f"/threads/{await api.thread()}/runs/stream"
    body = {"assistant_id": "chat", "input": CHAT, "stream_mode": ["messages", "values", "custom"]}
    live = await api.stream("POST", path, body | {"stream_resumable": True})
    location = path.removesuffix("/stream")
    run = (await api.ask("GET", location)).must(200)[0]["run_id"]
    replay = await api.stream("GET", f"{location}/{run}/stream", headers={"last-event-id": "-1"})
    assert names(replay) == names(live)
    assert len({one.id for one in live}) == len(live)


@scenario("replay of a run that failed")
async def replay_failure(api: Api) -> None:
    """A page that was away asks for it, and has to show why there is no answer."""
    thread, run = await api.ran("work", {"mode": "boom"}, stream_resumable=True)
    path, headers = f"/threads/{thread}/runs/{run}/stream", {"last-event-id": "-1"}
    assert "error" in names(await api.stream("GET", path, headers=headers))


@scenario("join filtered by modes")
async def filtered(api: Api) -> None:
    modes = ["values", "updates", "custom"]
    thread, run = await api.ran("chat", CHAT, stream_mode=modes, stream_resumable=True)
    path, headers = f"/threads/{thread}/runs/{run}/stream", {"last-event-id": "-1"}
    events = await api.stream("GET", f"{path}?stream_mode=updates", headers=headers)
    assert set(names(events)) - {"metadata"} == {"updates"}
    events = await api.stream("GET", f"{path}?stream_mode=debug", headers=headers)
    assert set(names(events)) <= {"metadata"}


@scenario("GET /threads/{thread}/stream 200")
async def thread_stream(api: Api) -> None:
    thread = await api.thread()
    path = f"/threads/{thread}/stream"
    async with api.opened("GET", path) as (answer, parts):
        api.tell("head", answer.told())
        run = await api.sdk.runs.create(thread, "chat", input=CHAT, stream_resumable=True)
        events = []
        async for one in parts:
            events.append(one)
            if _done(one):
                break
    api.tell("live", [one.told() for one in events])
    assert all(one.id for one in events)
    assert events[-1].data == {"status": "run_done", "run_id": run["run_id"]}
    for cursor in ("-", "0-0"):
        headers = {"last-event-id": cursor}
        replay = await api.stream(
            "GET", path, headers=headers, until=lambda found: _done(found[-1])
        )
        assert names(replay) == names(events)
    headers = {"last-event-id": str(events[0].id)}
    after = await api.stream("GET", path, headers=headers, until=lambda found: _done(found[-1]))
    assert names(after) == names(events)[1:]


def _done(frame: Frame) -> bool:
    return frame.event == "metadata" and frame.data.get("status") == "run_done"


@scenario("GET /threads/{thread}/stream 422")
async def thread_stream_bad_cursor(api: Api) -> None:
    thread = await api.thread()
    answer = await api.call("GET", f"/threads/{thread}/stream", headers={"last-event-id": "-1"})
    answer.must(422)
    assert answer.detail == "Invalid last-event-id: must be a valid Redis stream ID"


@scenario("thread stream of the lifecycle alone")
async def thread_lifecycle(api: Api) -> None:
    thread = await api.thread()
    async with api.opened("GET", f"/threads/{thread}/stream?stream_modes=lifecycle") as (_, parts):
        await api.sdk.runs.create(thread, "chat", input=CHAT)
        events = []
        async for one in parts:
            events.append(one)
            if _done(one):
                break
    api.tell("live", [one.told() for one in events])
    assert names(events) == ["metadata", "metadata"]
