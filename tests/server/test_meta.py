import asyncio
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from psycopg_pool import PoolClosed

from engine.database import Pool
from engine.settings import Settings
from server.app import create_app
from server.meta import Probe
from tests.fakes.serving import sample_graphs, serving


async def test_it_says_that_it_is_well(raw: httpx.AsyncClient) -> None:
    for path in ("/", "/ok", "/ok?check_db=1"):
        assert (await raw.get(path)).json() == {"ok": True, "services": {}}


async def test_it_says_which_api_it_speaks(raw: httpx.AsyncClient) -> None:
    info = (await raw.get("/info")).json()
    assert info["version"] == "0.16.7"
    assert info["flags"]["assistants"] is True
    assert info["host"]["kind"] == "self-hosted"


async def test_studio_may_ask_from_its_public_page(raw: httpx.AsyncClient) -> None:
    preflight = await raw.options(
        "/info",
        headers={
            "Origin": "https://smith.langchain.com",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "x-auth-scheme,x-api-key",
            "Access-Control-Request-Private-Network": "true",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-private-network"] == "true"
    assert "x-auth-scheme" in preflight.headers["access-control-allow-headers"]
    answer = await raw.get("/info", headers={"Origin": "https://smith.langchain.com"})
    assert answer.headers["access-control-allow-origin"] == "*"
    exposed = answer.headers["access-control-expose-headers"].lower()
    for name in ("x-pagination-total", "x-pagination-next", "content-location", "location"):
        assert name in exposed


async def test_runs_and_requests_are_counted(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str
) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"})
    await raw.get("/no/such/path")
    await raw.request("MADE-UP", "/threads")
    text = (await raw.get("/metrics")).text
    assert 'frontdesk_runs_total{graph="work",status="success"}' in text
    assert 'path="/threads/{thread_id}/runs/wait",status="200"' in text
    assert 'path="unmatched",status="404"' in text
    assert tid not in text
    assert "MADE-UP" not in text
    async with asyncio.timeout(30):  # other tests may have left runs that still end
        while not _rests(figures := await _figures(raw)):
            await asyncio.sleep(0.2)
    assert figures["workers"]["available"] == figures["workers"]["max"]
    assert {"method", "path", "status", "count"} == set(figures["api"]["http_requests_total"][0])


async def _figures(raw: httpx.AsyncClient) -> Any:
    return (await raw.get("/metrics", params={"format": "json"})).json()


def _rests(figures: Any) -> bool:
    """The queue is counted once in a while, the slots are as they are."""
    return figures["queue"]["n_running"] == figures["workers"]["active"] == 0


async def test_unknown_paths_and_methods_are_told_as_json(raw: httpx.AsyncClient) -> None:
    assert (await raw.get("/no/such/path")).json() == {"detail": "Not Found"}
    refused = await raw.put("/threads")
    assert (refused.status_code, refused.json()) == (405, {"detail": "Method Not Allowed"})
    assert (await raw.get("/threads/", follow_redirects=False)).status_code == 307


async def test_the_documentation_names_the_endpoints(raw: httpx.AsyncClient) -> None:
    paths = (await raw.get("/openapi.json")).json()["paths"]
    assert "/threads/{thread_id}/runs/stream" in paths
    assert "text/html" in (await raw.get("/docs")).headers["content-type"]


async def test_a_flood_of_probes_leaves_the_pool_to_others(served_settings: Settings) -> None:
    app = create_app(served_settings, sample_graphs)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        pool = app.state.engine.pool
        before = pool.get_stats().get("requests_num", 0)
        probes = await asyncio.gather(*(client.get("/ok?check_db=1") for _ in range(200)))
        assert {probe.status_code for probe in probes} == {200}
        assert pool.get_stats().get("requests_num", 0) - before < 100


async def test_a_probe_asks_again_when_its_answer_is_old(pool: Pool) -> None:
    probe = Probe(pool, seconds=0.0)
    await probe.ask()
    await pool.close()
    with pytest.raises(PoolClosed):
        await probe.ask()
