"""The state of a thread, what writes it, and its history."""

from uuid import uuid4

from tests.api.api import ABSENT, Api
from tests.api.registry import scenario

_EMPTY_STATE = {"values": {}, "next": [], "tasks": [], "checkpoint": None}


async def child(api: Api) -> tuple[str, str]:
    """A thread that waits inside a subgraph, and the namespace of that."""
    thread, _ = await api.ran("work", {"mode": "asking"})
    state = (await api.ask("GET", f"/threads/{thread}/state")).must(200)
    return thread, str(state["tasks"][0]["checkpoint"]["checkpoint_ns"])


@scenario("GET /threads/{thread}/state 200")
async def state(api: Api) -> None:
    thread = await api.thread()
    found = (await api.call("GET", f"/threads/{thread}/state")).must(200)
    assert {name: found[name] for name in _EMPTY_STATE} == _EMPTY_STATE
    thread, _ = await api.ran("approval", {"topic": "cats"})
    found = (await api.call("GET", f"/threads/{thread}/state")).must(200)
    assert (found["next"], found["values"]["log"]) == (["ask_human"], ["write_draft"])
    assert found["tasks"][0]["interrupts"] == found["interrupts"]
    assert found["checkpoint"]["checkpoint_id"] == found["checkpoint_id"]
    thread, _ = await api.ran("work", {"mode": "boom"})
    found = (await api.call("GET", f"/threads/{thread}/state")).must(200)
    assert found["tasks"][0]["error"] == "ValueError('boom: this node always raises')"


@scenario("state with subgraphs")
async def state_with_subgraphs(api: Api) -> None:
    thread, namespace = await child(api)
    found = (await api.call("GET", f"/threads/{thread}/state")).must(200)
    assert found["tasks"][0]["state"] is None
    found = (await api.call("GET", f"/threads/{thread}/state?subgraphs=true")).must(200)
    [task] = found["tasks"]
    assert task["checkpoint"] is None
    assert task["state"]["checkpoint"]["checkpoint_ns"] == namespace
    assert set(task["state"]["checkpoint"]["checkpoint_map"]) == {"", namespace}
    assert task["state"]["next"] == ["sub_ask"]


@scenario("GET /threads/{thread}/state/{checkpoint} 200")
async def state_at(api: Api) -> None:
    thread, _ = await api.ran("chat", {"messages": "hi"})
    history = await api.sdk.threads.get_history(thread)
    path = f"/threads/{thread}/state/{history[1]['checkpoint']['checkpoint_id']}"
    found = (await api.call("GET", path)).must(200)
    assert (found["next"], len(found["values"]["messages"])) == (["model"], 1)
    for absent in (ABSENT, "abc"):
        found = (await api.call("GET", f"/threads/{thread}/state/{absent}")).must(200)
        assert found["values"] == {}
        assert found["checkpoint"]["checkpoint_id"] == absent


@scenario("POST /threads/{thread}/state/checkpoint 200")
async def state_at_checkpoint(api: Api) -> None:
    thread, namespace = await child(api)
    path = f"/threads/{thread}/state/checkpoint"
    root = (await api.call("POST", path, {"checkpoint": {}})).must(200)
    assert root["next"] == ["asking"]
    body = {"checkpoint": root["checkpoint"], "subgraphs": True}
    assert (await api.call("POST", path, body)).must(200)["tasks"][0]["state"]["next"]
    body = {"checkpoint": {"checkpoint_ns": namespace}}
    assert (await api.call("POST", path, body)).must(200)["next"] == ["sub_ask"]
    body = {"checkpoint": {"checkpoint_ns": "bogus"}}
    assert (await api.call("POST", path, body)).must(200)["values"] == {}


@scenario("POST /threads/{thread}/state 200")
async def update(api: Api) -> None:
    thread, _ = await api.ran("approval", {"topic": "x"})
    path = f"/threads/{thread}/state"
    found = (await api.call("POST", path, {"values": {"draft": "mine"}})).must(200)
    assert found["checkpoint"]["checkpoint_id"] == found["checkpoint_id"]
    thread_now = (await api.call("GET", f"/threads/{thread}")).must(200)
    assert thread_now["values"]["draft"] == "mine"
    body = {"values": {"log": ["me"], "bogus": 1}, "as_node": "ask_human"}
    (await api.call("POST", path, body)).must(200)
    found = (await api.call("GET", path)).must(200)
    assert (found["next"], found["metadata"]["source"]) == (["publish"], "update")
    assert "bogus" not in found["values"]
    for values in (None, {}):
        (await api.call("POST", path, {"values": values, "as_node": "publish"})).must(200)
    assert (await api.sdk.threads.get(thread))["status"] == "idle"


@scenario("update state at a checkpoint: it forks")
async def update_at(api: Api) -> None:
    thread, _ = await api.ran("approval", {"topic": "x"})
    await api.sdk.runs.wait(thread, "approval", command={"resume": "yes"})
    history = await api.sdk.threads.get_history(thread)
    before = next(one for one in history if one["next"] == ["ask_human"])
    for named in ({"checkpoint": before["checkpoint"]}, {"checkpoint_id": before["checkpoint_id"]}):
        body = {"values": {"draft": "other"}, **named}
        (await api.call("POST", f"/threads/{thread}/state", body)).must(200)
        found = (await api.call("GET", f"/threads/{thread}/state")).must(200)
        assert (found["values"]["draft"], found["next"]) == ("other", ["ask_human"])
        assert found["parent_checkpoint"]["checkpoint_id"] == before["checkpoint_id"]


@scenario("POST /threads/{thread}/state 400")
async def update_refused(api: Api) -> None:
    bare = await api.thread()
    answer = await api.call("POST", f"/threads/{bare}/state", {"values": {"topic": "x"}})
    answer.must(400)
    assert answer.detail.startswith(f"Thread '{bare}' has no assigned graph ID.")
    thread = await api.thread(graph_id="approval")
    for body in ({"values": {}, "as_node": "nope"}, {"values": {}, "as_node": "__end__"}):
        answer = await api.call("POST", f"/threads/{thread}/state", body)
        answer.must(400)
        assert answer.detail == f"Node {body['as_node']} does not exist"
    body = {"values": [1], "as_node": "write_draft"}
    (await api.call("POST", f"/threads/{thread}/state", body)).must(400)


@scenario("POST /threads/{thread}/state 409")
async def update_busy(api: Api) -> None:
    thread, run = await api.running()
    answer = await api.call("POST", f"/threads/{thread}/state", {"values": {"mode": "x"}})
    answer.must(409)
    assert answer.detail.startswith(f"Thread {thread} has in-flight runs:")
    await api.sdk.runs.cancel(thread, run, wait=True)


@scenario("PATCH /threads/{thread}/state 200")
async def patch_state(api: Api) -> None:
    thread, _ = await api.ran("chat", {"messages": "hi"})
    (await api.call("PATCH", f"/threads/{thread}/state", {"metadata": {"seen": 1}})).must(200)
    assert (await api.sdk.threads.get(thread))["metadata"]["seen"] == 1


@scenario("GET /threads/{thread}/history 200")
async def get_history(api: Api) -> None:
    thread, _ = await api.ran("approval", {"topic": "x"})
    found = (await api.call("GET", f"/threads/{thread}/history?limit=10")).must(200)
    assert [one["metadata"]["step"] for one in found] == [1, 0, -1]
    path = f"/threads/{thread}/history?limit=2&before={found[0]['checkpoint_id']}"
    assert (await api.call("GET", path)).must(200) == found[1:]
    assert (await api.call("GET", f"/threads/{await api.thread()}/history")).must(200) == []


@scenario("POST /threads/{thread}/history 200")
async def history(api: Api) -> None:
    thread, namespace = await child(api)
    path = f"/threads/{thread}/history"
    found = (await api.call("POST", path, {"limit": 10})).must(200)
    assert [one["metadata"]["step"] for one in found] == [1, 0, -1]
    body = {"limit": 10, "metadata": {"step": 0}}
    assert (await api.call("POST", path, body)).must(200) == [found[1]]
    body = {"limit": 10, "metadata": {"source": "input"}}
    assert (await api.call("POST", path, body)).must(200) == [found[2]]
    body = {"limit": 10, "checkpoint": {"checkpoint_ns": namespace}}
    inside = (await api.call("POST", path, body)).must(200)
    assert inside[0]["next"] == ["sub_ask"]
    before = {"configurable": {"checkpoint_id": found[1]["checkpoint_id"]}}
    assert (await api.call("POST", path, {"limit": 10, "before": before})).must(200) == found[2:]


@scenario("history before a checkpoint, or before an id")
async def history_before(api: Api) -> None:
    thread, _ = await api.ran("chat", {"messages": "hi"})
    found = await api.sdk.threads.get_history(thread)
    for before in (found[0]["checkpoint"], found[0]["checkpoint_id"]):
        body = {"limit": 10, "before": before}
        answer = await api.call("POST", f"/threads/{thread}/history", body)
        assert [one["checkpoint_id"] for one in answer.must(200)] == [
            one["checkpoint_id"] for one in found[1:]
        ]


@scenario("re-run from a copied checkpoint, as Studio does")
async def rerun(api: Api) -> None:
    thread, _ = await api.ran("approval", {"topic": "x"})
    await api.sdk.runs.wait(thread, "approval", command={"resume": "yes"})
    history = await api.sdk.threads.get_history(thread)
    before = next(one for one in history if one["next"] == ["write_draft"])
    body = {"values": None, "as_node": "__copy__", "checkpoint_id": before["checkpoint_id"]}
    copied = (await api.call("POST", f"/threads/{thread}/state", body)).must(200)["checkpoint"]
    head = (await api.call("GET", f"/threads/{thread}/state")).must(200)
    assert (head["metadata"]["source"], head["next"]) == ("fork", ["write_draft"])
    assert head["parent_checkpoint_id"] == before["parent_checkpoint_id"]
    body = {"assistant_id": "approval", "input": None, "checkpoint": copied}
    found = (await api.call("POST", f"/threads/{thread}/runs/wait", body)).must(200)
    assert found["log"] == ["write_draft"]


@scenario("update state of a thread that nothing ran on")
async def update_new(api: Api) -> None:
    thread = await api.thread(graph_id="approval", thread_id=str(uuid4()))
    body = {"values": {"topic": "s"}, "as_node": "__start__"}
    (await api.call("POST", f"/threads/{thread}/state", body)).must(200)
    found = (await api.call("GET", f"/threads/{thread}")).must(200)
    assert (found["status"], found["interrupts"]) == ("interrupted", {})
    found = (
        await api.call(
            "POST", f"/threads/{thread}/runs/wait", {"assistant_id": "approval", "input": None}
        )
    ).must(200)
    assert found["log"] == ["write_draft"]


@scenario("choose fields of a state")
async def chosen(api: Api) -> None:
    thread, _ = await api.ran("chat", {"messages": "hi"})
    path = f"/threads/{thread}"
    for answer in (
        await api.call("GET", f"{path}/state?select=next"),
        await api.call("POST", f"{path}/state/checkpoint", {"checkpoint": {}, "select": ["next"]}),
        await api.call("POST", f"{path}/history", {"limit": 1, "select": ["next"]}),
    ):
        answer.must(200)


@scenario("history without a limit")
async def unlimited(api: Api) -> None:
    thread, _ = await api.ran("chat", {"messages": "hi"})
    found = (await api.call("POST", f"/threads/{thread}/history", {})).must(200)
    api.tell("states", len(found))


@scenario("a thread after an update at its last checkpoint")
async def updated_at(api: Api) -> None:
    thread, _ = await api.ran("approval", {"topic": "x"})
    for name in ("checkpoint", "checkpoint_id"):
        state = (await api.ask("GET", f"/threads/{thread}/state")).must(200)
        body = {"values": {"topic": "y"}, name: state[name]}
        (await api.call("POST", f"/threads/{thread}/state", body)).must(200)
        found = (await api.call("GET", f"/threads/{thread}/state")).must(200)
        assert (found["next"], found["interrupts"]) == (["ask_human"], [])
        (await api.call("GET", f"/threads/{thread}")).must(200)
