"""Runs on threads: how they are made, read, cancelled and left."""

import asyncio
from uuid import uuid4

from tests.api.api import ABSENT, Api
from tests.api.registry import scenario
from tests.api.table import CHAT, RUN

KINDS = ("", "/stream", "/wait")
BOTH = {"config": {"configurable": {"reply": "a"}}, "context": {"reply": "b"}}
ANSWER = "Hello there dear user"
BOOM = {"error": "ValueError", "message": "boom: this node always raises"}


@scenario("POST /threads/{thread}/runs 200")
async def create(api: Api) -> None:
    thread = await api.thread(metadata={"of": "thread"})
    body = RUN | {
        "metadata": {"m": 1},
        "config": {"configurable": {"foo": "bar"}, "tags": ["t1"], "recursion_limit": 10},
        "webhook": None,
        "unknown": 1,
    }
    body.pop("webhook")
    answer = await api.call("POST", f"/threads/{thread}/runs", body)
    run = answer.must(200)
    assert answer.headers["content-location"] == f"/threads/{thread}/runs/{run['run_id']}"
    assert (run["status"], run["multitask_strategy"]) == ("pending", "enqueue")
    assert run["metadata"].items() >= {"m": 1, "of": "thread", "graph_id": "chat"}.items()
    await api.settled(thread, run["run_id"])
    found = (await api.call("GET", f"/threads/{thread}/runs/{run['run_id']}")).must(200)
    assert found["status"] == "success"
    now = (await api.call("GET", f"/threads/{thread}")).must(200)
    assert now["metadata"]["assistant_id"] == run["assistant_id"]


@scenario("POST /threads/{thread}/runs 404")
async def create_on_nothing(api: Api) -> None:
    await _on_nothing(api, "")


@scenario("POST /threads/{thread}/runs/stream 404")
async def stream_on_nothing(api: Api) -> None:
    await _on_nothing(api, "/stream")


@scenario("POST /threads/{thread}/runs/wait 404")
async def wait_on_nothing(api: Api) -> None:
    await _on_nothing(api, "/wait")


async def _on_nothing(api: Api, kind: str) -> None:
    thread = await api.thread()
    for path, assistant in ((ABSENT, "chat"), (thread, ABSENT)):
        body = RUN | {"assistant_id": assistant}
        answer = await api.call("POST", f"/threads/{path}/runs{kind}", body)
        answer.must(404)
        assert answer.detail == "Thread or assistant not found."


@scenario(*[f"POST /threads/{{thread}}/runs{kind} 400" for kind in KINDS])
async def create_with_both(api: Api) -> None:
    thread = await api.thread()
    for kind in KINDS:
        (await api.call("POST", f"/threads/{thread}/runs{kind}", RUN | BOTH)).must(400)


@scenario(*[f"POST /threads/{{thread}}/runs{kind} 409" for kind in KINDS])
async def rejected(api: Api) -> None:
    thread, run = await api.running()
    for kind in KINDS:
        body = RUN | {"multitask_strategy": "reject"}
        answer = await api.call("POST", f"/threads/{thread}/runs{kind}", body)
        answer.must(409)
        assert answer.detail.startswith("Thread is already running a task.")
    await api.sdk.runs.cancel(thread, run, wait=True)


@scenario("create a run on a thread that is not there yet")
async def create_if_not_exists(api: Api) -> None:
    thread = str(uuid4())
    body = RUN | {"if_not_exists": "create"}
    found = (await api.call("POST", f"/threads/{thread}/runs/wait", body)).must(200)
    assert found["messages"][-1]["content"] == ANSWER
    (await api.call("GET", f"/threads/{thread}")).must(200)


@scenario("GET /threads/{thread}/runs 200")
async def listed(api: Api) -> None:
    thread, first = await api.ran("chat", CHAT)
    await api.sdk.runs.wait(thread, "chat", input=CHAT)
    path = f"/threads/{thread}/runs"
    found = (await api.call("GET", path)).must(200)
    assert (len(found), found[1]["run_id"]) == (2, first)
    assert [
        one["run_id"] for one in (await api.call("GET", f"{path}?limit=1&offset=1")).must(200)
    ] == [first]
    assert len((await api.call("GET", f"{path}?status=success")).must(200)) == 2
    assert (await api.call("GET", f"{path}?status=bogus")).must(200) == []
    assert (await api.call("GET", f"{path}?limit=0")).must(200) == []
    found = (await api.call("GET", f"{path}?select=run_id&select=status")).must(200)
    assert set(found[0]) == {"run_id", "status"}


@scenario("GET /threads/{thread}/runs 400")
async def listed_badly(api: Api) -> None:
    (await api.call("GET", f"/threads/{await api.thread()}/runs?limit=abc")).must(400)


@scenario("GET /threads/{thread}/runs 422")
async def listed_unknown(api: Api) -> None:
    (await api.call("GET", "/threads/abc/runs")).must(422)
    answer = await api.call("GET", f"/threads/{await api.thread()}/runs?select=bogus")
    answer.must(422)
    assert answer.detail.startswith("Invalid select columns: ['bogus'].")


@scenario("POST /threads/{thread}/runs/wait 200")
async def wait(api: Api) -> None:
    path = f"/threads/{await api.thread()}/runs/wait"
    answer = await api.call("POST", path, RUN)
    assert answer.must(200)["messages"][-1]["content"] == ANSWER
    assert answer.headers["location"] == answer.headers["content-location"] + "/join"
    path = f"/threads/{await api.thread()}/runs/wait"
    found = (
        await api.call("POST", path, {"assistant_id": "approval", "input": {"topic": "x"}})
    ).must(200)
    assert found["draft"] == "draft about x"
    assert found["__interrupt__"][0]["value"]["question"] == "approve?"
    path = f"/threads/{await api.thread()}/runs/wait"
    found = (
        await api.call("POST", path, {"assistant_id": "work", "input": {"mode": "boom"}})
    ).must(200)
    assert found == {"__error__": BOOM}
    path = f"/threads/{await api.thread()}/runs/wait"
    found = (await api.call("POST", path, {"assistant_id": "chat", "input": None})).must(200)
    assert found["__error__"]["error"] == "EmptyInputError"


@scenario("GET /threads/{thread}/runs/{run} 200")
async def get(api: Api) -> None:
    thread, run = await api.ran("work", {"mode": "boom"})
    found = (await api.call("GET", f"/threads/{thread}/runs/{run}")).must(200)
    assert found["status"] == "error"


@scenario("DELETE /threads/{thread}/runs/{run} 204")
async def delete(api: Api) -> None:
    thread, run = await api.ran("chat", CHAT)
    assert (await api.call("DELETE", f"/threads/{thread}/runs/{run}")).must(204) == ""
    answer = await api.call("GET", f"/threads/{thread}/runs/{run}")
    answer.must(404)
    assert (await api.call("POST", f"/threads/{thread}/history", {})).must(200) == []
    assert (await api.call("GET", f"/threads/{thread}")).must(200)["values"] is not None


@scenario("GET /threads/{thread}/runs/{run}/join 200")
async def join(api: Api) -> None:
    thread, run = await api.ran("chat", CHAT)
    found = (await api.call("GET", f"/threads/{thread}/runs/{run}/join")).must(200)
    assert found["messages"][-1]["content"] == ANSWER
    thread, run = await api.ran("work", {"mode": "boom"})
    assert (await api.call("GET", f"/threads/{thread}/runs/{run}/join")).must(200) == {
        "__error__": BOOM
    }
    thread, run = await api.running()
    joining = asyncio.create_task(api.call("GET", f"/threads/{thread}/runs/{run}/join"))
    await api.release(thread)
    found = (await joining).must(200)
    assert found["steps"] == ["prep", "slow", "done"]


@scenario("POST /threads/{thread}/runs/{run}/cancel 202")
async def cancel(api: Api) -> None:
    thread, run = await api.running()
    assert (await api.call("POST", f"/threads/{thread}/runs/{run}/cancel")).must(202) == ""
    await api.settled(thread, run)
    found = (await api.call("GET", f"/threads/{thread}/runs/{run}")).must(200)
    assert found["status"] == "interrupted"
    now = (await api.call("GET", f"/threads/{thread}")).must(200)
    assert (now["status"], now["error"]["error"]) == ("interrupted", "UserInterrupt")
    assert now["error"]["message"].startswith("interrupt requested via POST /threads/")


@scenario("POST /threads/{thread}/runs/{run}/cancel 200")
async def cancel_and_wait(api: Api) -> None:
    thread, run = await api.running()
    path = f"/threads/{thread}/runs/{run}/cancel?wait=1&action=rollback"
    answer = await api.call("POST", path)
    answer.must(200)
    assert answer.body == {}
    (await api.call("GET", f"/threads/{thread}/runs/{run}")).must(404)
    assert (await api.call("POST", f"/threads/{thread}/history", {})).must(200) == []


@scenario("POST /threads/{thread}/runs/{run}/cancel 404")
async def cancel_ended(api: Api) -> None:
    thread, run = await api.ran("chat", CHAT)
    answer = await api.call("POST", f"/threads/{thread}/runs/{run}/cancel")
    answer.must(404)
    assert answer.detail.startswith("No matching runs to cancel.")
    answer = await api.call("POST", f"/threads/{thread}/runs/{ABSENT}/cancel")
    answer.must(404)


@scenario("POST /runs/cancel 204")
async def cancel_many(api: Api) -> None:
    thread, run = await api.running()
    body = {"thread_id": thread, "run_ids": [run]}
    assert (await api.call("POST", "/runs/cancel", body)).must(204) == ""
    await api.settled(thread, run)
    assert (await api.sdk.runs.get(thread, run))["status"] == "interrupted"


@scenario("cancel a run that has not begun")
async def cancel_pending(api: Api) -> None:
    thread = await api.thread()
    run = (await api.ask("POST", f"/threads/{thread}/runs", RUN | {"after_seconds": 60})).must(200)
    assert (await api.sdk.threads.get(thread))["status"] == "busy"
    path = f"/threads/{thread}/runs/{run['run_id']}"
    (await api.call("POST", f"{path}/cancel")).must(202)
    await api.settled(thread, run["run_id"])
    assert (await api.call("GET", path)).must(200)["status"] == "interrupted"
    assert (await api.call("GET", f"/threads/{thread}")).must(200)["status"] == "idle"


@scenario("a client that goes away cancels its run if it said so")
async def disconnect(api: Api) -> None:
    for told, status in (("cancel", "interrupted"), ("continue", "success")):
        thread = await api.thread()
        value = {"mode": "slow", "gate": str(api.gates / thread)}
        body = {"assistant_id": "work", "input": value, "on_disconnect": told}
        path = f"/threads/{thread}/runs/stream"
        await api.stream("POST", path, body, until=lambda found: len(found) == 3, record=False)
        [run] = await api.sdk.runs.list(thread)
        if told == "continue":
            await api.release(thread)
        await api.settled(thread, run["run_id"])
        found = (await api.call("GET", f"/threads/{thread}/runs/{run['run_id']}")).must(200)
        assert found["status"] == status
        api.note(told, (await api.ask("GET", f"/threads/{thread}")).must(200)["error"])


@scenario("explicit nulls and unknown fields are accepted")
async def nulls(api: Api) -> None:
    thread = await api.thread()
    empty = (
        "stream_mode",
        "multitask_strategy",
        "config",
        "context",
        "metadata",
        "webhook",
        "interrupt_before",
        "interrupt_after",
        "checkpoint",
        "checkpoint_id",
        "feedback_keys",
        "after_seconds",
        "durability",
        "on_disconnect",
        "command",
        "if_not_exists",
    )
    body = RUN | dict.fromkeys(empty) | {"unheard_of": {"x": 1}}
    (await api.call("POST", f"/threads/{thread}/runs/wait", body)).must(200)


@scenario("metadata within a run's config is the run's")
async def config_metadata(api: Api) -> None:
    told = {"config": {"metadata": {"a": 1, "b": 1}}, "metadata": {"b": 2}}
    path = f"/threads/{await api.thread()}/runs"
    run = (await api.call("POST", path, RUN | told)).must(200)
    assert run["metadata"].items() >= {"a": 1, "b": 2}.items()
    thread = str(uuid4())
    body = RUN | told | {"if_not_exists": "create"}
    (await api.call("POST", f"/threads/{thread}/runs/wait", body)).must(200)
    found = (await api.call("GET", f"/threads/{thread}")).must(200)
    assert found["metadata"].items() >= {"a": 1, "b": 2}.items()


@scenario("a command with nothing in it")
async def empty_command(api: Api) -> None:
    for command in ({}, {"resume": None}):
        body = RUN | {"command": command}
        path = f"/threads/{await api.thread()}/runs/wait"
        (await api.call("POST", path, body)).must(200)


@scenario("the thread of a run that could not begin")
async def not_begun(api: Api) -> None:
    path = f"/threads/{await api.thread()}"
    body = {"assistant_id": "chat", "input": None}
    (await api.ask("POST", f"{path}/runs/wait", body)).must(200)
    found = (await api.call("GET", path)).must(200)
    assert (found["status"], found["error"]["error"]) == ("error", "EmptyInputError")
