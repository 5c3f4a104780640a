"""Runs that bring a thread of their own."""

from tests.api.api import ABSENT, Api
from tests.api.registry import scenario
from tests.api.scenarios.runs import ANSWER, BOTH, KINDS
from tests.api.table import RUN
from tests.waiting import until


@scenario(*[f"POST /runs{kind} 400" for kind in KINDS])
async def create_stateless_with_both(api: Api) -> None:
    for kind in KINDS:
        (await api.call("POST", f"/runs{kind}", RUN | BOTH)).must(400)


@scenario(*[f"POST /runs{kind} 404" for kind in (*KINDS, "/batch")])
async def stateless_of_nothing(api: Api) -> None:
    body = RUN | {"assistant_id": ABSENT}
    for kind in KINDS:
        (await api.call("POST", f"/runs{kind}", body)).must(404)
    (await api.call("POST", "/runs/batch", [RUN, body])).must(404)


@scenario("POST /runs 200")
async def stateless(api: Api) -> None:
    answer = await api.call("POST", "/runs", RUN | {"on_completion": "keep"})
    run = answer.must(200)
    assert answer.headers["content-location"] == f"/runs/{run['run_id']}"
    await api.settled(run["thread_id"], run["run_id"])
    (await api.call("GET", f"/threads/{run['thread_id']}")).must(200)
    run = (await api.call("POST", "/runs", RUN)).must(200)

    async def gone() -> bool:
        return (await api.ask("GET", f"/threads/{run['thread_id']}")).status == 404

    await until(gone, 45)


@scenario("POST /runs/stream 200")
async def stateless_stream(api: Api) -> None:
    events = await api.stream("POST", "/runs/stream", RUN | {"stream_mode": ["updates"]})
    assert [one.event for one in events][:2] == ["metadata", "updates"]


@scenario("POST /runs/wait 200")
async def stateless_wait(api: Api) -> None:
    found = (await api.call("POST", "/runs/wait", RUN)).must(200)
    assert found["messages"][-1]["content"] == ANSWER


@scenario("POST /runs/batch 200")
async def batch(api: Api) -> None:
    other = RUN | {"assistant_id": "work", "input": {}, "on_completion": "keep"}
    first, second = (await api.call("POST", "/runs/batch", [RUN, other])).must(200)
    assert first["thread_id"] != second["thread_id"]
    await api.settled(second["thread_id"], second["run_id"])
    assert (await api.sdk.threads.get_state(second["thread_id"]))["values"]["steps"]


@scenario("GET /runs/{run}/stream 200")
async def stateless_join(api: Api) -> None:
    body = {"assistant_id": "work", "input": {"mode": "slow", "secs": 1}, "stream_resumable": True}
    run = (await api.ask("POST", "/runs", body)).must(200)
    headers = {"last-event-id": "-1"}
    events = await api.stream("GET", f"/runs/{run['run_id']}/stream", headers=headers)
    assert [one.event for one in events if one.event != "end"] == ["metadata"] + ["values"] * 4


@scenario("an answer to an interrupt needs a thread")
async def resume_on_nothing(api: Api) -> None:
    body = {"assistant_id": "approval", "command": {"resume": "yes"}}
    for path in ("/runs", "/runs/wait", "/runs/stream"):
        (await api.call("POST", path, body)).must(400)
    (await api.call("POST", "/runs/batch", [body])).must(400)


@scenario("a run without a thread that writes each step before the next")
async def durable(api: Api) -> None:
    (await api.call("POST", "/runs/wait", RUN | {"durability": "sync"})).must(200)


@scenario("a run without a thread tells its checkpoints")
async def checkpoints(api: Api) -> None:
    await api.stream("POST", "/runs/stream", RUN | {"stream_mode": "checkpoints"})
