import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis.asyncio
from langgraph_sdk import Auth
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from websockets.asyncio.client import connect

from engine.database import Pool, migrate
from engine.keys import ApiKeys
from engine.settings import Settings
from server.app import create_app
from server.auth.authentication import Authentication, Door, Keys
from server.auth.handlers import Handlers
from server.limits import Bodies, RateLimit
from tests.fakes.serving import sample_graphs, serving
from tests.server.conftest import KEYS

KEY, OTHER = ({"x-api-key": key.rpartition(":")[2]} for key in KEYS.split(",")[:2])


def app(
    settings: Settings,
    pool: Pool,
    client: redis.asyncio.Redis,
    keys: str = KEYS,
    door: Door | None = None,
) -> Starlette:
    async def size(request: Request) -> JSONResponse:
        kind = request.headers.get("content-type")
        return JSONResponse({"size": len(await request.body()), "type": kind})

    app = Starlette(routes=[Route("/size", size, methods=["POST"])])
    app.state.redis = client
    app.add_middleware(Bodies, max_bytes=1000)
    app.add_middleware(RateLimit, per_minute=3)
    app.state.keys = ApiKeys(pool)
    door = door or Door(settings.model_copy(update={"api_keys": SecretStr(keys)}))
    app.add_middleware(Authentication, door=door, max_bytes=1000)
    return app


@pytest.fixture
async def keyed(pool: Pool) -> Pool:
    await migrate(pool, "engine")
    return pool


async def test_each_key_may_ask_so_often(
    settings: Settings, keyed: Pool, redis: redis.asyncio.Redis
) -> None:
    async with (
        serving(app(settings, keyed, redis)) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        statuses = [(await client.post("/size", headers=KEY)).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = await client.post("/size", headers=KEY)
        assert refused.json() == {"detail": "This key may make 3 requests a minute."}
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await client.post("/size", headers=OTHER)).status_code == 200
        assert (await client.post("/size")).status_code == 401


async def test_open_development_is_not_counted(
    settings: Settings, keyed: Pool, redis: redis.asyncio.Redis
) -> None:
    open_app = app(settings, keyed, redis, keys="")
    async with serving(open_app) as url, httpx.AsyncClient(base_url=url) as client:
        assert {(await client.post("/size")).status_code for _ in range(5)} == {200}


async def test_nobody_is_turned_away_while_redis_is_away(
    settings: Settings, keyed: Pool, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    nowhere = redis.asyncio.Redis(port=unused_tcp_port)
    uncounted = app(settings, keyed, nowhere)
    async with serving(uncounted) as url, httpx.AsyncClient(base_url=url) as client:
        with caplog.at_level(logging.WARNING):
            assert {(await client.post("/size", headers=KEY)).status_code for _ in range(4)} == {
                200
            }
    assert "requests are not counted" in caplog.text
    await nowhere.aclose()


async def test_a_body_may_be_so_large(
    settings: Settings, keyed: Pool, redis: redis.asyncio.Redis
) -> None:
    async def pieces(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 100):
            yield b"x" * 100

    open_app = app(settings, keyed, redis, keys="")
    async with serving(open_app) as url, httpx.AsyncClient(base_url=url) as client:
        fits = await client.post("/size", content=b"x" * 1000)
        assert fits.json() == {"size": 1000, "type": "application/json"}
        assert (await client.post("/size", content=pieces(1000))).json()["size"] == 1000
        for content in (b"x" * 1001, pieces(1100)):
            refused = await client.post("/size", content=content)
            assert refused.status_code == 413
            assert refused.json() == {"detail": "The request body is too large."}


async def test_the_api_refuses_large_bodies(guarded_api: str) -> None:
    async with httpx.AsyncClient(base_url=guarded_api, headers=KEY) as client:
        response = await client.post("/threads", json={"metadata": {"text": "x" * 5000}})
        assert response.status_code == 413


async def test_a_projects_user_with_the_name_of_a_key_is_counted_apart(
    settings: Settings, keyed: Pool, redis: redis.asyncio.Redis
) -> None:
    auth = Auth()

    @auth.authenticate
    async def who(headers: dict[bytes, bytes]) -> str:
        return headers[b"x-name"].decode()

    own = app(settings, keyed, redis, door=Door(settings, Handlers(auth)))
    key = Keys(settings.model_copy(update={"api_keys": SecretStr(KEYS)})).find(KEY["x-api-key"])
    assert key is not None
    async with (
        serving(app(settings, keyed, redis)) as url,
        serving(own) as theirs,
        httpx.AsyncClient() as client,
    ):
        for _ in range(4):
            await client.post(f"{url}/size", headers=KEY)
        for name in (key.identity, "local"):
            answers = [
                (await client.post(f"{theirs}/size", headers={"x-name": name})).status_code
                for _ in range(4)
            ]
            assert answers == [200, 200, 200, 429]


async def test_a_key_holds_so_many_streams_open_until_its_clients_go(
    served_settings: Settings,
) -> None:
    changes = {"api_keys": SecretStr(KEYS), "max_streams": 2}
    path = f"/threads/{uuid4()}/stream/events"
    asked: dict[str, Any] = {"json": {"channels": ["values"]}}
    async with (
        serving(create_app(served_settings.model_copy(update=changes), sample_graphs)) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=30) as client,
        connect(f"{url.replace('http', 'ws')}{path}", additional_headers=KEY),
    ):
        async with client.stream("POST", path, **asked) as response:
            assert response.status_code == 200
            refused = await client.post(path, **asked)
            assert refused.status_code == 429
            assert "FRONTDESK_MAX_STREAMS" in refused.json()["detail"]
            assert refused.headers["retry-after"] == "5"
            run = {"assistant_id": "work", "input": {}, "if_not_exists": "create"}
            tid = uuid4()
            assert (await client.post(f"/threads/{tid}/runs/wait", json=run)).status_code == 429
            assert (await client.get(f"/threads/{tid}")).status_code == 404  # nothing was begun
            assert (await client.post("/threads", json={})).status_code == 200
            async with client.stream("POST", path, **asked, headers=OTHER) as other:
                assert other.status_code == 200
        async with asyncio.timeout(10):
            while (await _status(client, path, asked)) == 429:  # the server has yet to notice
                await asyncio.sleep(0.05)


async def _status(client: httpx.AsyncClient, path: str, asked: dict[str, Any]) -> int:
    async with client.stream("POST", path, **asked) as response:
        return response.status_code
