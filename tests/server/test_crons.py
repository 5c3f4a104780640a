import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError, PermissionDeniedError

from engine.settings import Settings
from server.app import create_app
from server.auth.authentication import Door
from server.auth.handlers import Handlers
from tests.fakes.owners import owners
from tests.fakes.serving import sample_graphs, serving

YEARLY = "0 0 1 1 *"
CHAT = "eb6db400-e3c8-5d06-a834-015cb89efe69"
WORK = "7ff3bf35-cd59-577a-a310-e8e142409034"


async def create(client: LangGraphClient, thread_id: str | None = None, **asked: Any) -> Any:
    """A cron that does not run within this test, unless its schedule is another."""
    asked = {"assistant_id": "chat", "schedule": YEARLY, **asked}
    if thread_id:
        return await client.crons.create_for_thread(thread_id, **asked)
    return await client.crons.create(**asked)


async def get(raw: httpx.AsyncClient, cron: Any) -> Any:
    return (await raw.get(f"/runs/crons/{cron['cron_id']}")).json()


async def test_a_cron_tells_what_was_asked_for(
    raw: httpx.AsyncClient, client: LangGraphClient
) -> None:
    cron = await create(client, input={"messages": []}, metadata={"a": 1}, timezone="Asia/Tokyo")
    assert list(cron) == [
        "cron_id",
        "assistant_id",
        "thread_id",
        "user_id",
        "end_time",
        "schedule",
        "timezone",
        "payload",
        "next_run_date",
        "metadata",
        "on_run_completed",
        "enabled",
        "created_at",
        "updated_at",
    ]
    assert cron["assistant_id"] == CHAT
    assert cron["payload"] == {
        "schedule": YEARLY,
        "input": {"messages": []},
        "metadata": {"a": 1},
        "assistant_id": CHAT,
        "timezone": "Asia/Tokyo",
        "config": {"configurable": {"cron_id": cron["cron_id"]}},
    }
    assert cron["next_run_date"].endswith("-12-31T15:00:00+00:00")
    told = [cron[name] for name in ("thread_id", "end_time", "on_run_completed", "enabled")]
    assert told == [None, None, "delete", True]
    assert await get(raw, cron) == cron
    await client.crons.delete(cron["cron_id"])
    assert (await raw.get(f"/runs/crons/{cron['cron_id']}")).status_code == 404


async def test_a_cron_of_a_thread_has_nothing_to_delete(client: LangGraphClient, tid: str) -> None:
    cron = await create(client, tid, multitask_strategy="interrupt")
    assert (cron["thread_id"], cron["on_run_completed"]) == (tid, None)
    assert (await create(client, on_run_completed="keep"))["on_run_completed"] == "keep"
    assert [one["cron_id"] for one in await client.crons.search(thread_id=tid)] == [cron["cron_id"]]


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_an_end_beyond_all_years_hides_no_cron(client: LangGraphClient, end: str) -> None:
    body = {"assistant_id": "chat", "schedule": YEARLY, "end_time": end}
    cron: Any = await client.http.post("/runs/crons", json=body)
    assert cron["end_time"] == end
    assert cron in await client.crons.search(limit=1000)
    await client.crons.delete(cron["cron_id"])


async def test_a_change_is_merged_into_what_was_asked_for(
    raw: httpx.AsyncClient, client: LangGraphClient
) -> None:
    cron = await create(client, metadata={"a": 1, "b": 1}, input={"messages": []})
    path = f"/runs/crons/{cron['cron_id']}"
    until = "2090-01-02T03:04:05+02:00"
    changes = {"schedule": "0 0 2 1 *", "metadata": {"b": 2}, "end_time": until, "enabled": False}
    changed = (await raw.patch(path, json=changes)).json()
    assert changed["payload"] == {
        **cron["payload"],
        **changes,
        "metadata": {"a": 1, "b": 2},
    }
    assert changed["metadata"] == {"a": 1, "b": 2}
    assert changed["end_time"] == until
    assert changed["enabled"] is False
    assert "-01-02T00:00:00" in changed["next_run_date"]
    assert await get(raw, cron) == changed
    cleared = await client.crons.update(cron["cron_id"], end_time=None, timezone="Asia/Tokyo")
    assert (cleared["end_time"], cleared["timezone"]) == (None, "Asia/Tokyo")
    assert cleared["next_run_date"].endswith("-01-01T15:00:00+00:00")
    other = await client.crons.update(cron["cron_id"], input={"messages": ["hi"]})
    assert other["payload"]["input"] == {"messages": ["hi"]}
    moved = (await raw.patch(path, json={"assistant_id": "work", "input": None, "more": 1})).json()
    assert moved["assistant_id"] == moved["payload"]["assistant_id"] == WORK
    assert (moved["payload"]["input"], moved["payload"]["more"]) == ({"messages": ["hi"]}, 1)
    answers = [
        await raw.patch(path, json={}),
        await raw.patch(path, json={"schedule": "bogus"}),
        await raw.patch(path, json={"durability": "never"}),
        await raw.patch(f"/runs/crons/{(missing := uuid4())}", json={"enabled": True}),
        await raw.patch("/runs/crons/x", json={"enabled": True}),
    ]
    assert [answer.status_code for answer in answers] == [400, 422, 422, 404, 422]
    assert [answer.json()["detail"].partition(". Reason")[0] for answer in answers] == [
        "Request body cannot be empty",
        "Invalid cron schedule: 'bogus'",
        "durability: Input should be 'sync', 'async' or 'exit'",
        f"Cron '{missing}' not found",
        "Invalid cron ID: must be a UUID",
    ]


async def test_what_is_no_text_is_kept_or_refused_in_words(raw: httpx.AsyncClient) -> None:
    def ask(fields: str) -> Any:
        body = f'{{"assistant_id": "chat", "schedule": "{YEARLY}", {fields}}}'
        return raw.post("/runs/crons", content=body)

    kept = (await ask('"input": ["\\ud800", "\\u0000"]')).json()
    path = f"/runs/crons/{kept['cron_id']}"
    assert (await raw.patch(path, json={"input": {}})).status_code == 200
    assert (await raw.patch(path, json={"enabled": False})).json()["assistant_id"] == CHAT
    for fields in ('"end_time": "\\ud800"', '"stream_mode": "\\ud800"', '"timezone": "\\u0000"'):
        assert (await ask(fields)).status_code == 422
    label = await raw.post("/store/namespaces", content='{"prefix": ["\\ud800."]}')
    assert (label.status_code, label.text.startswith("Namespace label '?.'")) == (422, True)


async def test_a_cron_whose_assistant_is_gone_can_still_be_paused(client: LangGraphClient) -> None:
    assistant = await client.assistants.create("chat")
    cron = await create(client, assistant_id=assistant["assistant_id"])
    await client.assistants.delete(assistant["assistant_id"])
    paused = await client.crons.update(cron["cron_id"], enabled=False)
    assert paused["enabled"] is False
    with pytest.raises(NotFoundError, match="Assistant"):
        await client.crons.update(cron["cron_id"], input={})


@pytest.mark.parametrize(
    ("asked", "status", "detail"),
    [
        ({"schedule": None}, 422, "schedule: Field required"),
        (
            {"schedule": "bogus"},
            422,
            "Invalid cron schedule: 'bogus'. Reason: Invalid cron schedule. Ensure the schedule "
            "uses the standard cron format (minute hour day_of_month month day_of_week). Example: "
            "'*/5 * * * *' for every 5 minutes.",
        ),
        (
            {"timezone": "Mars/X"},
            422,
            "Invalid timezone: 'Mars/X'. Use IANA timezone format (e.g. 'America/New_York').",
        ),
        ({"assistant_id": "nope"}, 404, "Assistant 'nope' not found"),
        ({"assistant_id": str(CHAT)[:-1] + "0"}, 404, f"Assistant '{CHAT[:-1]}0' not found"),
        ({"end_time": "soon"}, 422, "Invalid end_time: 'soon' is not a time in ISO 8601."),
    ],
)
async def test_what_cannot_be_scheduled_is_refused(
    raw: httpx.AsyncClient, asked: dict[str, Any], status: int, detail: str
) -> None:
    answer = await raw.post(
        "/runs/crons", json={"assistant_id": "chat", "schedule": YEARLY, **asked}
    )
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


async def test_a_thread_must_be_there(raw: httpx.AsyncClient) -> None:
    thread_id = str(uuid4())
    body = {"assistant_id": "chat", "schedule": YEARLY}
    answer = await raw.post(f"/threads/{thread_id}/runs/crons", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        f"Thread with ID '{thread_id}' not found. Please verify the ID is correct and the thread "
        "hasn't been deleted or expired.",
    )
    both = {**body, "context": {"a": 1}, "config": {"configurable": {"b": 1}}}
    assert (await raw.post("/runs/crons", json=both)).status_code == 400


async def test_crons_are_searched_page_by_page_and_counted(
    raw: httpx.AsyncClient, client: LangGraphClient
) -> None:
    mark = {"mark": str(uuid4())}
    crons = [await create(client, metadata=mark, enabled=n > 0) for n in range(3)]
    work = await create(client, metadata=mark, assistant_id="work")
    ids = [one["cron_id"] for one in [*crons, work]]
    found = await client.crons.search(metadata=mark)
    assert [one["cron_id"] for one in found] == ids[::-1]
    found = await client.crons.search(metadata=mark, assistant_id=CHAT, enabled=True)
    assert [one["cron_id"] for one in found] == ids[2:0:-1]
    found = await client.crons.search(
        metadata=mark, sort_by="cron_id", sort_order="asc", select=["cron_id", "enabled"]
    )
    assert found[0] == {"cron_id": ids[0], "enabled": False}
    assert await client.crons.count(metadata=mark) == 4
    assert await client.crons.count(metadata=mark, assistant_id=CHAT) == 3
    page = await raw.post("/runs/crons/search", json={"metadata": mark, "limit": 3, "offset": 0})
    headers = {name: page.headers[f"x-pagination-{name}"] for name in ("total", "next")}
    assert headers == {"total": "4", "next": "3"}
    page = await raw.post("/runs/crons/search", json={"metadata": mark, "limit": 3, "offset": 3})
    assert page.headers["x-pagination-total"] == "4"
    assert "x-pagination-next" not in page.headers
    for wrong in ({"assistant_id": "chat"}, {"select": ["bogus"]}, {"limit": 0}, {"sort_by": "x"}):
        assert (await raw.post("/runs/crons/search", json=wrong)).status_code == 422


async def test_a_cron_runs_on_its_thread(client: LangGraphClient, tid: str) -> None:
    cron = await create(
        client,
        tid,
        assistant_id="work",
        schedule="* * * * * *",
        input={"mode": "tell"},
        metadata={"from": "cron"},
        context={"pace": 3},
    )
    async with asyncio.timeout(30):
        while not (runs := await client.runs.list(tid)) or runs[-1]["status"] != "success":
            await asyncio.sleep(0.1)
    await client.crons.delete(cron["cron_id"])
    run: Any = runs[-1]
    assert run["metadata"]["from"] == "cron"
    assert run["kwargs"]["config"]["configurable"]["cron_id"] == cron["cron_id"]
    assert run["kwargs"]["context"] == {"pace": 3}
    assert (await client.threads.get_state(tid))["values"]["steps"][:3] == ["prep", "tell", "done"]


async def test_a_cron_without_thread_keeps_threads_only_if_told(client: LangGraphClient) -> None:
    asked = {"schedule": "* * * * * *", "assistant_id": "work"}
    slow = {"mode": "slow", "secs": 0.7}
    kept = await create(client, on_run_completed="keep", **asked)
    gone = await create(client, input=slow, **asked)
    async with asyncio.timeout(30):
        while not (keeps := await _threads(client, kept)):
            await asyncio.sleep(0.1)
        while not (goes := await _threads(client, gone)):
            await asyncio.sleep(0.05)
    for cron in (kept, gone):
        await client.crons.delete(cron["cron_id"])
    async with asyncio.timeout(30):
        while await _threads(client, gone):
            await asyncio.sleep(0.1)
    await client.threads.get(keeps.pop())
    with pytest.raises(NotFoundError):
        await client.threads.get(goes.pop())


async def _threads(client: LangGraphClient, cron: Any) -> set[str]:
    """The newest ones on which the cron has run or is running."""
    found = set()
    for thread in await client.threads.search(limit=20):
        try:
            runs = await client.runs.list(thread["thread_id"], limit=1)
        except NotFoundError:  # it went meanwhile
            continue
        if any(_cron_id(run) == cron["cron_id"] for run in runs):
            found.add(thread["thread_id"])
    return found


def _cron_id(run: Any) -> Any:
    return run["kwargs"]["config"]["configurable"].get("cron_id")


async def test_a_public_key_schedules_nothing_and_other_tenants_see_nothing(
    guarded_api: str,
) -> None:
    ours = get_client(url=guarded_api, api_key="back-end-secret")
    theirs = get_client(url=guarded_api, api_key="their-secret")
    widget = get_client(url=guarded_api, api_key="widget-secret")
    async with ours, theirs, widget:
        cron: Any = await ours.crons.create("chat", schedule=YEARLY)
        with pytest.raises(PermissionDeniedError):
            await widget.crons.create("chat", schedule=YEARLY)
        with pytest.raises(NotFoundError):
            await theirs.crons.update(cron["cron_id"], enabled=False)
        with pytest.raises(NotFoundError):
            await theirs.crons.delete(cron["cron_id"])
        assert await theirs.crons.count() == 0
        assert await ours.crons.count() == 1
        await ours.crons.delete(cron["cron_id"])


async def test_a_projects_own_handlers_say_whose_crons_and_threads_they_are(
    served_settings: Settings,
) -> None:
    door = Door(served_settings, Handlers(owners()))
    async with AsyncExitStack() as stack:
        app = create_app(served_settings, sample_graphs, door=door)
        url = await stack.enter_async_context(serving(app))
        alice, bob = [
            await stack.enter_async_context(
                get_client(url=url, api_key=None, headers={"authorization": f"Bearer {name}"})
            )
            for name in (f"alice-{uuid4()}", "bob")
        ]
        asked = {"assistant_id": "work", "input": {}, "on_run_completed": "keep"}
        cron = await create(alice, metadata={"a": 1}, **asked)
        owner = {"owner": cron["user_id"]}
        assert cron["metadata"] == cron["payload"]["metadata"] == {"a": 1, **owner}
        with pytest.raises(NotFoundError):
            await bob.crons.update(cron["cron_id"], enabled=False)
        assert cron["cron_id"] not in [one["cron_id"] for one in await bob.crons.search(limit=99)]
        changed: Any = await alice.crons.update(cron["cron_id"], schedule="* * * * * *")
        assert changed["metadata"] == cron["metadata"]
        async with asyncio.timeout(30):
            while not (threads := await alice.threads.search(metadata=owner)):
                await asyncio.sleep(0.1)
        await alice.crons.delete(cron["cron_id"])
        [run] = await alice.runs.list(threads[0]["thread_id"])
        assert run["metadata"] == {**run["metadata"], "a": 1, **owner}  # type: ignore[dict-item]
