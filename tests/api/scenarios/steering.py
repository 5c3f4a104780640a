"""What a run is told: commands, checkpoints, breakpoints, configuration."""

import json
from typing import Any

from tests.api.api import Api
from tests.api.registry import scenario
from tests.api.table import CHAT, RUN


@scenario("resume one of two interrupts by its id")
async def resume_by_id(api: Api) -> None:
    thread, _ = await api.ran("par", {"topic": "x"})
    path = f"/threads/{thread}/runs/wait"
    state = (await api.call("GET", f"/threads/{thread}/state")).must(200)
    assert [one["value"]["side"] for one in state["interrupts"]] == ["left", "right"]
    left, right = (one["id"] for one in state["interrupts"])
    body = {"assistant_id": "par", "command": {"resume": "both"}}
    found = (await api.call("POST", path, body)).must(200)
    assert found["__error__"]["error"] == "RuntimeError"
    body["command"] = {"resume": {left: "L"}}
    found = (await api.call("POST", path, body)).must(200)
    assert [one["value"]["side"] for one in found["__interrupt__"]] == ["right"]
    body["command"] = {"resume": {right: "R"}}
    found = (await api.call("POST", path, body)).must(200)
    assert sorted(found["answers"]) == ["both", "left:L", "right:R"]


@scenario("command: update")
async def command_update(api: Api) -> None:
    found = await _commanded(api, update={"draft": "mine"})
    assert found["__interrupt__"][0]["value"]["draft"] == "mine"


@scenario("command: update and resume")
async def command_update_and_resume(api: Api) -> None:
    found = await _commanded(api, update=[["draft", "ours"]], resume="yes")
    assert found["draft"] == "ours"
    assert found["log"] == ["write_draft", "human:yes", "publish"]


@scenario("command: goto")
async def command_goto(api: Api) -> None:
    for target in ("publish", "bogus", {"node": "publish", "input": {}}, ["publish"]):
        found = await _commanded(api, goto=target)
        assert "__interrupt__" in found
        api.tell(str(target), found["log"])


@scenario("command: resume with nothing to resume")
async def command_resume_nothing(api: Api) -> None:
    thread, _ = await api.ran("work", {})
    body = {"assistant_id": "work", "command": {"resume": "yes"}}
    (await api.call("POST", f"/threads/{thread}/runs/wait", body)).must(200)
    assert (await api.call("GET", f"/threads/{thread}")).must(200)["status"] == "idle"


async def _commanded(api: Api, **command: object) -> Any:
    thread, _ = await api.ran("approval", {"topic": "x"})
    body = {"assistant_id": "approval", "input": {}, "command": command}
    found = (await api.call("POST", f"/threads/{thread}/runs/wait", body)).must(200)
    api.note("thread", (await api.ask("GET", f"/threads/{thread}")).must(200))
    return found


@scenario("go on from an earlier checkpoint")
async def fork(api: Api) -> None:
    thread, _ = await api.ran("chat", CHAT)
    await api.sdk.runs.wait(thread, "chat", input=CHAT)
    history = await api.sdk.threads.get_history(thread)
    [early] = [one for one in history if one["next"] == [] and len(one["values"]["messages"]) == 2]
    path = f"/threads/{thread}/runs/wait"
    for named in (
        {"checkpoint": early["checkpoint"]},
        {"checkpoint_id": early["checkpoint_id"]},
        {"config": {"configurable": {"checkpoint_id": early["checkpoint_id"]}}},
    ):
        found = (await api.call("POST", path, RUN | named)).must(200)
        assert len(found["messages"]) == 4
    bad = await api.call("POST", path, RUN | {"checkpoint_id": "abc"})
    bad.must(422)


@scenario("interrupt before and after nodes")
async def breakpoints(api: Api) -> None:
    thread = await api.thread()
    path = f"/threads/{thread}/runs/wait"
    body = {"assistant_id": "work", "input": {}, "interrupt_before": ["done"]}
    found = (await api.call("POST", path, body)).must(200)
    assert found == {"steps": ["prep"]}
    now = (await api.call("GET", f"/threads/{thread}")).must(200)
    assert (now["status"], now["interrupts"]) == ("interrupted", {})
    body = {"assistant_id": "work", "input": None, "interrupt_after": "*"}
    assert (await api.call("POST", path, body)).must(200)["steps"] == ["prep", "done"]
    body = {"assistant_id": "work", "input": {}, "interrupt_before": ["bogus"]}
    assert (await api.call("POST", path, body)).must(200)["steps"][-1] == "done"


@scenario("durability decides which checkpoints are kept")
async def durability(api: Api) -> None:
    for told, kept in (
        ({"durability": "sync"}, 4),
        ({"durability": "async"}, 4),
        ({"durability": "exit"}, 1),
        ({"checkpoint_during": False}, 1),
    ):
        thread = await api.thread()
        body = {"assistant_id": "work", "input": {}, **told}
        (await api.call("POST", f"/threads/{thread}/runs/wait", body)).must(200)
        assert len(await api.sdk.threads.get_history(thread)) == kept, told


@scenario("config, context and metadata are merged into a run")
async def merged(api: Api) -> None:
    config = {"configurable": {"reply": "a", "kept": 1}, "tags": ["a"]}
    made = {"graph_id": "work", "config": config, "metadata": {"from": "assistant"}}
    assistant = (await api.ask("POST", "/assistants", made)).must(200)["assistant_id"]
    thread = await api.thread(metadata={"of": "thread"})
    body = {
        "assistant_id": assistant,
        "input": {"mode": "tell"},
        "config": {"configurable": {"reply": "b"}},
        "metadata": {"m": 1},
        "stream_mode": ["custom", "debug"],
    }
    events = await api.stream("POST", f"/threads/{thread}/runs/stream", body)
    [told] = [one.data["configurable"] for one in events if one.event == "custom"]
    assert (told["reply"], told["kept"], told["thread_id"]) == ("b", 1, thread)
    [run] = (await api.call("GET", f"/threads/{thread}/runs")).must(200)
    assert run["metadata"].items() >= {"from": "assistant", "of": "thread", "m": 1}.items()
    state = await api.sdk.threads.get_state(thread)
    assert state["metadata"].items() >= {"reply": "b", "m": 1}.items()


@scenario("a run after some seconds")
async def later(api: Api) -> None:
    thread = await api.thread()
    body = RUN | {"after_seconds": 1, "metadata": {"later": 1}}
    run = (await api.call("POST", f"/threads/{thread}/runs", body)).must(200)
    assert run["created_at"] > (await api.sdk.threads.get(thread))["created_at"]
    await api.settled(thread, run["run_id"])
    assert (await api.sdk.runs.get(thread, run["run_id"]))["status"] == "success"
    (await api.call("POST", f"/threads/{thread}/runs", RUN | {"after_seconds": -1})).must(200)


@scenario("one run ends in a class of error that nobody knows")
async def masked(api: Api) -> None:
    for mode, name in (("zero", "ZeroDivisionError"), ("odd", "Unusual")):
        body = {"assistant_id": "work", "input": {"mode": mode}}
        thread = await api.thread()
        found = (await api.call("POST", f"/threads/{thread}/runs/wait", body)).must(200)
        assert found["__error__"] == {"error": name, "message": "An internal error occurred"}
        state = (await api.call("GET", f"/threads/{thread}/state")).must(200)
        assert state["tasks"][0]["error"].startswith(f"{name}(")


@scenario("recursion limit")
async def recursion(api: Api) -> None:
    body = {"assistant_id": "work", "input": {}, "config": {"recursion_limit": 1}}
    found = (await api.call("POST", f"/threads/{await api.thread()}/runs/wait", body)).must(200)
    assert found["__error__"]["error"] == "GraphRecursionError"
    assert "recursion limit" in json.dumps(found).lower()
