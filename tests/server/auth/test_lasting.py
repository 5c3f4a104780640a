"""What is told for long is told no longer than whoever reads it may call."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from engine.database import Pool, migrate
from engine.keys import ApiKey, ApiKeys
from engine.settings import Settings
from server.app import create_app
from tests.fakes.oidc import provider
from tests.fakes.serving import sample_graphs, serving

SOON = 60.0  # the five seconds that keys are known for, a beat, and a very busy machine
SLOW = {"assistant_id": "work", "input": {"mode": "slow", "secs": 90}}


@pytest.fixture
async def elsewhere(pool: Pool) -> ApiKeys:
    """The keys as another process has them; one stays, as without any everybody may call."""
    await migrate(pool, "engine")
    keys = ApiKeys(pool)
    await keys.create("that stays")
    return keys


@pytest.fixture
async def url(settings: Settings, elsewhere: ApiKeys) -> AsyncIterator[str]:
    async with serving(create_app(settings, sample_graphs)) as url:
        yield url


@asynccontextmanager
async def opened(keys: ApiKeys, url: str) -> AsyncIterator[tuple[ApiKey, httpx.AsyncClient, str]]:
    """A new key, a client that has it, and a thread."""
    key, secret = await keys.create("shop")
    headers = {"x-api-key": secret}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        thread = await client.post("/threads", json={})
        yield key, client, thread.json()["thread_id"]


async def last_words(response: httpx.Response) -> list[str]:
    return [line async for line in response.aiter_lines() if line.startswith(("event:", "data:"))]


async def test_a_runs_stream_ends_with_its_key_and_the_run_goes_on(
    url: str, elsewhere: ApiKeys
) -> None:
    _, other = await elsewhere.create("shop, too")
    async with opened(elsewhere, url) as (key, client, tid):
        path = f"/threads/{tid}/runs/stream"
        asked = {**SLOW, "on_disconnect": "continue"}
        async with client.stream("POST", path, json=asked) as response:
            assert response.status_code == 200
            again = response.headers["location"]
            await elsewhere.revoke(key.key_id)
            lines = await asyncio.wait_for(last_words(response), SOON)
        assert lines[-2] == "event: error"
        said = json.loads(lines[-1].removeprefix("data: "))
        assert said["error"] == "Unauthorized"
        assert "valid API key" in said["message"]
        assert (await client.get(again)).status_code == 401
        runs = await client.get(f"/threads/{tid}/runs", headers={"x-api-key": other})
        assert [run["status"] for run in runs.json()] == ["running"]


@pytest.mark.parametrize("protocol", [False, True], ids=["thread", "protocol"])
async def test_a_silent_threads_stream_ends_with_its_key(
    url: str, elsewhere: ApiKeys, *, protocol: bool
) -> None:
    async with opened(elsewhere, url) as (key, client, tid):
        path, body = f"/threads/{tid}/stream", {"channels": ["values"]}
        ways: tuple[Any, ...] = (("GET", path), ("POST", f"{path}/events"))
        asked: dict[str, Any] = {"json": body} if protocol else {}
        said = b""
        async with client.stream(*ways[protocol], **asked) as response:
            assert response.status_code == 200
            await elsewhere.revoke(key.key_id)
            try:
                async with asyncio.timeout(SOON):
                    async for piece in response.aiter_raw():
                        said += piece
            except httpx.RemoteProtocolError:  # clients of the protocol come back when it is cut
                assert protocol
        assert b"event: error\r\n" in said
        assert (await client.request(*ways[protocol], **asked)).status_code == 401


async def test_a_socket_closes_with_its_key(url: str, elsewhere: ApiKeys) -> None:
    key, secret = await elsewhere.create("shop")
    path = f"{url.replace('http', 'ws')}/threads/{uuid4()}/stream/events"
    only = {"x-api-key": secret}
    async with connect(path, additional_headers=only) as socket:
        await elsewhere.revoke(key.key_id)
        with pytest.raises(ConnectionClosedError) as closed:
            await asyncio.wait_for(socket.recv(), SOON)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert "valid API key" in closed.value.rcvd.reason
    with pytest.raises(InvalidStatus):
        await connect(path, additional_headers=only)


async def test_streams_of_other_keys_go_on(url: str, elsewhere: ApiKeys) -> None:
    key, _ = await elsewhere.create("left")
    async with opened(elsewhere, url) as (_, other, tid):
        asked: Any = {"assistant_id": "work", "input": {"mode": "slow", "secs": 8}}
        async with other.stream("POST", f"/threads/{tid}/runs/stream", json=asked) as response:
            await elsewhere.revoke(key.key_id)
            lines = await asyncio.wait_for(last_words(response), 25)
        assert "event: error" not in lines
        assert "done" in lines[-1]


async def test_a_stream_ends_with_its_token(settings: Settings, elsewhere: ApiKeys) -> None:
    async with provider() as issuer:
        changes = {"jwt_issuer": issuer.url, "jwt_audience": "desk", "jwt_leeway_seconds": 1.0}
        guarded = settings.model_copy(update=changes)
        token = issuer.token(exp=int(time.time()) + 3)
        headers = {"authorization": f"Bearer {token}"}
        asked: Any = {**SLOW, "if_not_exists": "create"}
        async with (
            serving(create_app(guarded, sample_graphs)) as url,
            httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client,
            client.stream("POST", f"/threads/{uuid4()}/runs/stream", json=asked) as response,
        ):
            assert response.status_code == 200
            lines = await asyncio.wait_for(last_words(response), SOON)
            assert lines[-2] == "event: error"
            assert (await client.get(response.headers["location"])).status_code == 401
