"""Crons; that they fire is shown elsewhere, as it takes minutes."""

from uuid import uuid4

from tests.api.api import ABSENT, Api
from tests.api.registry import scenario
from tests.api.table import CHAT, CRON
from tests.waiting import until


async def made(api: Api, **fields: object) -> str:
    """A new cron's id."""
    return str((await api.ask("POST", "/runs/crons", CRON | fields)).must(200)["cron_id"])


@scenario("POST /runs/crons 200")
async def create(api: Api) -> None:
    body = CRON | {"metadata": {"a": 1}}
    found = (await api.call("POST", "/runs/crons", body)).must(200)
    assert found["next_run_date"].endswith("-01-01T09:00:00+00:00")
    assert (found["thread_id"], found["enabled"], found["metadata"]) == (None, True, {"a": 1})
    assert (found["on_run_completed"], found["timezone"]) == ("delete", None)
    assert found["payload"]["config"]["configurable"]["cron_id"] == found["cron_id"]
    end = "2090-01-01T00:00:00Z"
    zone = {"timezone": "America/New_York", "end_time": end, "on_run_completed": "keep"}
    found = (await api.call("POST", "/runs/crons", CRON | zone | {"enabled": False})).must(200)
    assert found["next_run_date"].endswith("-01-01T14:00:00+00:00")
    assert (found["end_time"], found["enabled"]) == (end, False)
    for schedule in ("@daily", "* * * * * 0"):
        body = CRON | {"schedule": schedule, "enabled": False}
        (await api.call("POST", "/runs/crons", body)).must(200)


@scenario("a cron whose end has passed")
async def ended(api: Api) -> None:
    body = CRON | {"end_time": "2020-01-01T00:00:00Z", "enabled": False}
    assert (await api.call("POST", "/runs/crons", body)).must(200)["end_time"] == body["end_time"]


@scenario("POST /runs/crons 404")
async def create_of_nothing(api: Api) -> None:
    for assistant in ("nope", ABSENT):
        answer = await api.call("POST", "/runs/crons", CRON | {"assistant_id": assistant})
        answer.must(404)


@scenario("POST /runs/crons 422", "POST /threads/{thread}/runs/crons 422")
async def create_refused(api: Api) -> None:
    for path in ("/runs/crons", f"/threads/{await api.thread()}/runs/crons"):
        (await api.call("POST", path, content=b"{")).must(422)
        answer = await api.call("POST", path, CRON | {"schedule": "bogus"})
        answer.must(422)
        assert answer.detail.startswith("Invalid cron schedule: 'bogus'. Reason: ")
        answer = await api.call("POST", path, CRON | {"timezone": "Mars/X"})
        answer.must(422)
        assert answer.detail.startswith("Invalid timezone: 'Mars/X'.")
    (await api.call("POST", "/threads/abc/runs/crons", CRON)).must(422)


@scenario("POST /threads/{thread}/runs/crons 200")
async def create_for_thread(api: Api) -> None:
    thread = await api.thread()
    body = CRON | {"multitask_strategy": "reject"}
    found = (await api.call("POST", f"/threads/{thread}/runs/crons", body)).must(200)
    assert (found["thread_id"], found["on_run_completed"]) == (thread, None)


@scenario("POST /threads/{thread}/runs/crons 404")
async def create_for_no_thread(api: Api) -> None:
    answer = await api.call("POST", f"/threads/{ABSENT}/runs/crons", CRON)
    answer.must(404)
    assert answer.detail.startswith(f"Thread with ID '{ABSENT}' not found.")


@scenario("GET /runs/crons/{cron} 200")
async def get(api: Api) -> None:
    one = await made(api)
    found = (await api.call("GET", f"/runs/crons/{one}")).must(200)
    assert found["cron_id"] == one


@scenario("PATCH /runs/crons/{cron} 200")
async def patch(api: Api) -> None:
    one = await made(api, metadata={"a": 1}, end_time="2030-01-01T00:00:00Z")
    body = {"schedule": "0 10 1 1 *", "metadata": {"b": 2}, "input": {"x": 1}, "end_time": None}
    found = (await api.call("PATCH", f"/runs/crons/{one}", body)).must(200)
    assert found["next_run_date"].endswith("-01-01T10:00:00+00:00")
    assert (found["metadata"], found["end_time"]) == ({"a": 1, "b": 2}, None)
    assert found["payload"]["input"] == {"x": 1}
    found = (await api.call("PATCH", f"/runs/crons/{one}", {"enabled": False})).must(200)
    assert found["enabled"] is False


@scenario("PATCH /runs/crons/{cron} 400")
async def patch_nothing(api: Api) -> None:
    answer = await api.call("PATCH", f"/runs/crons/{await made(api)}", {})
    answer.must(400)
    assert answer.detail == "Request body cannot be empty"


@scenario("PATCH /runs/crons/{cron} 422")
async def patch_refused(api: Api) -> None:
    one = await made(api)
    (await api.call("PATCH", "/runs/crons/abc", {"enabled": True})).must(422)
    (await api.call("PATCH", f"/runs/crons/{one}", {"enabled": "x"})).must(422)
    (await api.call("PATCH", f"/runs/crons/{one}", {"schedule": "bogus"})).must(422)


@scenario("DELETE /runs/crons/{cron} 204")
async def delete(api: Api) -> None:
    one = await made(api)
    assert (await api.call("DELETE", f"/runs/crons/{one}")).must(204) == ""
    (await api.call("GET", f"/runs/crons/{one}")).must(404)


@scenario("POST /runs/crons/search 200")
async def search(api: Api) -> None:
    tag, thread = {"tag": str(uuid4())}, await api.thread()
    ids = [await made(api, metadata=tag) for _ in range(2)]
    body = CRON | {"metadata": tag, "enabled": False}
    answer = await api.ask("POST", f"/threads/{thread}/runs/crons", body)
    ids.append(answer.must(200)["cron_id"])
    assistant = answer.body["assistant_id"]

    async def found(**asked: object) -> list[int]:
        answer = await api.call("POST", "/runs/crons/search", {"metadata": tag, **asked})
        return [ids.index(one["cron_id"]) for one in answer.must(200)]

    assert await found() == [2, 1, 0]
    assert await found(thread_id=thread, assistant_id=assistant) == [2]
    assert await found(enabled=True) == [1, 0]
    assert await found(sort_by="created_at", sort_order="asc", limit=2) == [0, 1]
    assert await found(offset=2) == [0]
    assert await found(select=["cron_id", "schedule"]) == [2, 1, 0]


@scenario("POST /runs/crons/count 200")
async def count(api: Api) -> None:
    tag = {"tag": str(uuid4())}
    for _ in range(2):
        await made(api, metadata=tag)
    assert (await api.call("POST", "/runs/crons/count", {"metadata": tag})).must(200) == 2


@scenario("a cron fires")
async def fires(api: Api) -> None:
    thread = await api.thread()
    body = CRON | {"schedule": "* * * * * *"}
    cron = (await api.ask("POST", f"/threads/{thread}/runs/crons", body)).must(200)

    async def ran() -> bool:
        return bool(await api.sdk.runs.list(thread))

    await until(ran, 45)
    await api.sdk.crons.delete(cron["cron_id"])
    run = (await api.sdk.runs.list(thread))[-1]
    api.tell("of the cron", run["kwargs"]["config"]["configurable"]["cron_id"] == cron["cron_id"])
    assert run["kwargs"]["config"]["configurable"]["cron_id"] == cron["cron_id"]


@scenario("a cron is made from a body")
async def bodiless(api: Api) -> None:
    for path in ("/runs/crons", f"/threads/{await api.thread()}/runs/crons"):
        (await api.call("POST", path)).must(422)
    cron = await api.sdk.crons.create("chat", schedule="0 9 1 1 *", input=CHAT)
    (await api.call("PATCH", f"/runs/crons/{cron['cron_id']}")).must(422)
    await api.sdk.crons.delete(cron["cron_id"])


@scenario("sort crons by what not all have")
async def sorted_by_absent(api: Api) -> None:
    mark = {"metadata": {"of": str(uuid4())}}
    ends = {"end_time": "2099-01-01T00:00:00Z"}
    bodies: tuple[dict[str, object], ...] = ({}, ends)
    made = [(await api.ask("POST", "/runs/crons", CRON | mark | one)).must(200) for one in bodies]
    body = mark | {"sort_by": "end_time"}
    assert len((await api.call("POST", "/runs/crons/search", body)).must(200)) == 2
    for cron in made:
        await api.sdk.crons.delete(cron["cron_id"])


@scenario("a cron of nothing, and a cron for no time")
async def incomplete(api: Api) -> None:
    for field in ("assistant_id", "schedule"):
        body = {name: value for name, value in CRON.items() if name != field}
        (await api.call("POST", "/runs/crons", body)).must(422)
