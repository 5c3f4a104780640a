import logging
from collections.abc import AsyncIterator

import httpx
import pytest
import redis.asyncio
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from engine.settings import Settings
from server.auth import Authentication, Keys
from server.limits import Bodies, RateLimit
from tests.fakes.serving import serving
from tests.server.conftest import KEYS

KEY, OTHER = ({"x-api-key": key.rpartition(":")[2]} for key in KEYS.split(",")[:2])


def app(settings: Settings, client: redis.asyncio.Redis, keys: str = KEYS) -> Starlette:
    async def size(request: Request) -> JSONResponse:
        kind = request.headers.get("content-type")
        return JSONResponse({"size": len(await request.body()), "type": kind})

    app = Starlette(routes=[Route("/size", size, methods=["POST"])])
    app.state.redis = client
    app.add_middleware(Bodies, max_bytes=1000)
    app.add_middleware(RateLimit, per_minute=3)
    key_ring = Keys(settings.model_copy(update={"api_keys": SecretStr(keys)}))
    app.add_middleware(Authentication, keys=key_ring)
    return app


async def test_each_key_may_ask_so_often(settings: Settings, redis: redis.asyncio.Redis) -> None:
    async with serving(app(settings, redis)) as url, httpx.AsyncClient(base_url=url) as client:
        statuses = [(await client.post("/size", headers=KEY)).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = await client.post("/size", headers=KEY)
        assert refused.json() == {"detail": "This key may make 3 requests a minute."}
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await client.post("/size", headers=OTHER)).status_code == 200
        assert (await client.post("/size")).status_code == 401


async def test_open_development_is_not_counted(
    settings: Settings, redis: redis.asyncio.Redis
) -> None:
    open_app = app(settings, redis, keys="")
    async with serving(open_app) as url, httpx.AsyncClient(base_url=url) as client:
        assert {(await client.post("/size")).status_code for _ in range(5)} == {200}


async def test_nobody_is_turned_away_while_redis_is_away(
    settings: Settings, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    nowhere = redis.asyncio.Redis(port=unused_tcp_port)
    async with serving(app(settings, nowhere)) as url, httpx.AsyncClient(base_url=url) as client:
        with caplog.at_level(logging.WARNING):
            assert {(await client.post("/size", headers=KEY)).status_code for _ in range(4)} == {
                200
            }
    assert "requests are not counted" in caplog.text
    await nowhere.aclose()


async def test_a_body_may_be_so_large(settings: Settings, redis: redis.asyncio.Redis) -> None:
    async def pieces(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 100):
            yield b"x" * 100

    open_app = app(settings, redis, keys="")
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
