"""Runs made in batches, and runs cancelled wherever they are."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from engine.settings import Settings
from server.app import create_app
from tests.fakes.serving import sample_graphs, serving

DONE = {"assistant_id": "work", "input": {"mode": "done"}}
STUCK = {"assistant_id": "work", "input": {"mode": "slow", "secs": 30}}


async def stuck(client: LangGraphClient, count: int) -> tuple[str, list[str]]:
    """A thread, the first of whose runs is at work while the others wait."""
    thread: Any = await client.threads.create()
    tid = thread["thread_id"]
    runs: list[Any] = [
        await client.runs.create(tid, "work", input=STUCK["input"]) for _ in range(count)
    ]
    async with asyncio.timeout(10):
        while "slow" not in (await client.threads.get_state(tid))["next"]:
            await asyncio.sleep(0.01)
    return tid, [run["run_id"] for run in runs]


async def statuses(client: LangGraphClient, tid: str) -> list[str]:
    return [run["status"] for run in await client.runs.list(tid)]


async def test_a_batch_makes_every_run_on_a_thread_of_its_own(client: LangGraphClient) -> None:
    payloads: Any = [{**DONE, "on_completion": "keep", "metadata": {"n": n}} for n in range(2)]
    runs: Any = await client.runs.create_batch(payloads)
    assert len({run["thread_id"] for run in runs}) == 2
    for number, run in enumerate(runs):
        assert (await client.runs.join(run["thread_id"], run["run_id"]))["steps"][-1] == "done"
        assert run["metadata"]["n"] == number


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"assistant_id": "nope"}, 422),
        ({"assistant_id": "00000000-0000-4000-8000-000000000000"}, 404),
        ({"assistant_id": None}, 422),
        ({"context": {"pace": "quick"}}, 422),
        ({"webhook": "/hook"}, 422),
        ({"checkpoint_id": "abc"}, 422),
    ],
    ids=str,
)
async def test_one_bad_entry_of_a_batch_makes_none(
    raw: httpx.AsyncClient, client: LangGraphClient, wrong: dict[str, Any], status: int
) -> None:
    mark = {"mark": uuid4().hex}
    good = {**DONE, "on_completion": "keep", "metadata": mark}
    response = await raw.post("/runs/batch", json=[good, {**good, **wrong}])
    assert response.status_code == status
    assert isinstance(response.json()["detail"], str)
    assert await client.threads.search(metadata=mark) == []


@pytest.mark.parametrize("body", [[], DONE, "text"], ids=str)
async def test_a_batch_is_a_list_with_something_in_it(raw: httpx.AsyncClient, body: Any) -> None:
    assert (await raw.post("/runs/batch", json=body)).status_code == 422


async def test_a_batch_that_is_sent_again_is_not_done_twice(raw: httpx.AsyncClient) -> None:
    sent: Any = {"json": [DONE, DONE], "headers": {"Idempotency-Key": uuid4().hex}}
    once, again = [(await raw.post("/runs/batch", **sent)).json() for _ in range(2)]
    assert [run["run_id"] for run in again] == [run["run_id"] for run in once]
    assert once[0]["run_id"] != once[1]["run_id"]


async def test_runs_of_a_thread_are_cancelled_together(client: LangGraphClient) -> None:
    tid, run_ids = await stuck(client, 3)
    await client.runs.cancel_many(thread_id=tid, run_ids=[*run_ids[:2], str(uuid4())])
    assert (await statuses(client, tid))[1:] == ["interrupted", "interrupted"]
    await client.runs.cancel_many(thread_id=tid, run_ids=run_ids)
    while (thread := await client.threads.get(tid))["status"] == "busy":
        await asyncio.sleep(0.02)
    assert await statuses(client, tid) == ["interrupted"] * 3
    assert thread["error"] is None or "POST /runs/cancel" in thread["error"]["message"]
    with pytest.raises(NotFoundError, match="No matching runs to cancel"):
        await client.runs.cancel_many(thread_id=tid, run_ids=run_ids)


async def test_runs_are_rolled_back_together(client: LangGraphClient) -> None:
    tid, run_ids = await stuck(client, 2)
    await client.runs.cancel_many(thread_id=tid, run_ids=run_ids, action="rollback")
    assert await client.runs.list(tid) == []


async def test_runs_are_cancelled_by_their_status(
    guarded_api: str,
) -> None:
    async with httpx.AsyncClient(base_url=guarded_api, timeout=30) as http:
        theirs = {"x-api-key": "their-secret"}
        keys = {"x-api-key": "back-end-secret"}
        other = (await http.post("/runs", json=STUCK, headers=theirs)).json()
        tid = (await http.post("/threads", json={}, headers=keys)).json()["thread_id"]
        path = f"/threads/{tid}/runs"
        for _ in range(2):
            await http.post(path, json=STUCK, headers=keys)

        async def seen(path: str, keys: dict[str, str]) -> list[str]:
            return [run["status"] for run in (await http.get(path, headers=keys)).json()]

        async with asyncio.timeout(10):
            while await seen(path, keys) != ["pending", "running"]:
                await asyncio.sleep(0.02)
        response = await http.post("/runs/cancel", json={"status": "pending"}, headers=keys)
        assert response.status_code == 204
        assert await seen(path, keys) == ["interrupted", "running"]
        public = {"x-api-key": "widget-secret"}
        response = await http.post("/runs/cancel", json={"status": "all"}, headers=public)
        assert response.status_code == 403
        await http.post("/runs/cancel", json={"status": "all"}, headers=keys)
        assert await seen(path, keys) == ["interrupted", "interrupted"]
        response = await http.post("/runs/cancel", json={"status": "running"}, headers=keys)
        assert response.status_code == 404
        theirs_path = f"/threads/{other['thread_id']}/runs"
        assert (await seen(theirs_path, theirs))[0] in {"pending", "running"}
        await http.post("/runs/cancel", json={"status": "all"}, headers=theirs)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "done"},
        {"thread_id": "00000000-0000-4000-8000-000000000000"},
        {"run_ids": []},
        {"status": "all", "thread_id": "00000000-0000-4000-8000-000000000000", "run_ids": []},
        {"thread_id": "00000000-0000-4000-8000-000000000000", "run_ids": ["abc"]},
    ],
    ids=str,
)
async def test_a_cancel_names_either_a_status_or_runs(
    raw: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    response = await raw.post("/runs/cancel", json=body)
    assert response.status_code == 422
    assert isinstance(response.json()["detail"], str)


async def test_a_stateless_run_that_never_began_takes_its_thread_along(
    client: LangGraphClient,
) -> None:
    run: Any = await client.runs.create(None, "work", input=DONE["input"], after_seconds=60)
    await client.runs.cancel(run["thread_id"], run["run_id"])
    with pytest.raises(NotFoundError):
        await client.threads.get(run["thread_id"])


async def test_an_unknown_graph_makes_no_stateless_run(client: LangGraphClient) -> None:
    with pytest.raises(UnprocessableEntityError, match="Invalid assistant: 'nope'"):
        await client.runs.create(None, "nope", input={})


@pytest.mark.parametrize("role", ["all", "api"])
async def test_whoever_waits_at_a_server_that_stops_comes_back_for_what_the_run_leaves(
    served_settings: Settings, role: str
) -> None:
    first = served_settings.model_copy(update={"role": role})
    slow = {"assistant_id": "work", "input": {"mode": "slow", "secs": 1.5}}
    async with httpx.AsyncClient(timeout=30) as raw:
        async with serving(create_app(first, sample_graphs)) as url:
            request = raw.build_request("POST", f"{url}/runs/wait", json=slow)
            response = await raw.send(request, stream=True)
        with pytest.raises(httpx.RemoteProtocolError):
            await response.aread()
        async with serving(create_app(served_settings, sample_graphs)) as url:
            run = (await raw.get(url + response.headers["content-location"])).json()
            while (await raw.get(f"{url}/threads/{run['thread_id']}")).json()["status"] == "busy":
                await asyncio.sleep(0.05)
            left = await raw.get(url + response.headers["location"])
            assert left.json()["steps"] == ["prep", "slow", "done"]
            state = (await raw.get(f"{url}/threads/{run['thread_id']}/state")).json()
            assert state["values"] == left.json()
            thread = (await raw.get(f"{url}/threads/{run['thread_id']}?include=ttl")).json()
            assert thread["ttl"]["ttl_minutes"] == 1
