"""How far webhooks are, for whoever asked for them and for the operator."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from engine.settings import Settings
from server.app import create_app
from tests.fakes.remote import Remote, open_remote
from tests.fakes.serving import sample_graphs, serving
from tests.server.test_cli import frontdesk
from tests.waiting import until

BODY = {"assistant_id": "work", "input": {"mode": "done"}}


@pytest.fixture
async def receiver() -> AsyncIterator[Remote]:
    async with open_remote(Remote()) as remote:
        yield remote


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    ours = settings.model_copy(update={"webhook_private": True, "job_retry_seconds": 0.05})
    async with (
        serving(create_app(ours, sample_graphs)) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        yield client


async def test_a_delivery_is_seen_and_replayed(
    http: httpx.AsyncClient, receiver: Remote, settings: Settings
) -> None:
    receiver.script = ["refuse", "refuse"]
    webhook = f"{receiver.url}/do"
    tid = (await http.post("/threads", json={})).json()["thread_id"]
    run = (await http.post(f"/threads/{tid}/runs", json={**BODY, "webhook": webhook})).json()
    path = f"/threads/{tid}/runs/{run['run_id']}/webhooks"

    async def seen(state: str) -> list[Any]:
        found = (await http.get(path)).json()
        return [one for one in found if one["state"] == state]

    [failed] = await until(lambda: seen("failed"))
    assert (failed["run_id"], failed["url"], failed["attempts"]) == (run["run_id"], webhook, 1)
    assert failed["error"] == "Permanent: the receiver answered 409"
    assert (await http.get("/webhooks", params={"state": "failed"})).json() == [failed]
    listed = await frontdesk(settings, "webhooks", "list", "--state", "failed")
    assert listed.stdout == (
        f"{run['run_id']} failed after 1 attempts {webhook} {failed['error']}\n1 webhooks\n"
    )
    replayed = await frontdesk(settings, "webhooks", "replay", run["run_id"])
    assert replayed.stdout == "1 to be tried again\n"
    await until(lambda: seen("failed"))
    assert (await http.post(f"{path}/replay")).json()["state"] == "pending"
    [delivered] = await until(lambda: seen("delivered"))
    assert delivered["delivered_at"] >= delivered["created_at"]
    assert (await http.post(f"{path}/replay")).status_code == 409
    nothing = await frontdesk(settings, "webhooks", "replay")
    assert (nothing.returncode, "--all" in nothing.stderr) == (1, True)


async def test_a_webhook_outlives_its_run_and_thread(
    http: httpx.AsyncClient, receiver: Remote
) -> None:
    run = (await http.post("/runs", json={**BODY, "webhook": f"{receiver.url}/do"})).json()

    async def delivered() -> list[Any]:
        params = {"run_id": run["run_id"], "state": "delivered"}
        return list((await http.get("/webhooks", params=params)).json())

    await until(delivered)
    assert (await http.get(f"/threads/{run['thread_id']}")).status_code == 404


async def test_a_run_without_a_webhook_has_none(raw: httpx.AsyncClient, tid: str) -> None:
    run = (await raw.post(f"/threads/{tid}/runs", json=BODY)).json()
    path = f"/threads/{tid}/runs/{run['run_id']}/webhooks"
    assert (await raw.get(path)).json() == []
    assert (await raw.post(f"{path}/replay")).status_code == 404
    assert (await raw.get(f"/threads/{tid}/runs/{uuid4()}/webhooks")).status_code == 404


async def test_a_public_key_lists_none(guarded_api: str) -> None:
    async with httpx.AsyncClient(base_url=guarded_api) as http:
        response = await http.get("/webhooks", headers={"x-api-key": "widget-secret"})
    assert response.status_code == 403
