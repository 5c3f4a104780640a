"""More than a process can do, and a process that stops."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from engine.settings import Settings
from server.app import create_app
from tests.fakes.serving import sample_graphs, serving

BODY = {"assistant_id": "work", "input": {"mode": "done"}}


@pytest.fixture
async def app(settings: Settings) -> FastAPI:
    """One that executes nothing, and lets one run wait."""
    own = settings.model_copy(update={"role": "api", "tenant_max_waiting": 1})
    return create_app(own, sample_graphs)


@pytest.fixture
async def busy(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(app) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        yield client


@pytest.mark.parametrize("kind", ["", "/wait", "/stream"])
async def test_what_finds_no_place_is_told_when_to_come_again(
    busy: httpx.AsyncClient, kind: str
) -> None:
    await busy.post("/runs", json={**BODY, "on_completion": "keep"})
    refused = await busy.post(f"/runs{kind}", json=BODY)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert "wait already" in refused.json()["detail"]
    assert (await busy.get("/ok")).status_code == 200


async def test_a_process_that_stops_says_so_and_still_takes_requests(
    app: FastAPI, busy: httpx.AsyncClient
) -> None:
    await app.state.engine.drain()
    stopping = await busy.get("/ok")
    assert stopping.status_code == 503
    assert stopping.headers["retry-after"]
    thread: Any = (await busy.post("/threads", json={})).json()
    run = await busy.post(f"/threads/{thread['thread_id']}/runs", json=BODY)
    assert run.json()["status"] == "pending"
