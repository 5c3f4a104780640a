"""One served API for the tests of this folder: each works on threads of its own."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from engine.settings import Settings
from server.app import create_app
from tests.fakes.serving import sample_graphs, serving

KEYS = "acme:trusted:back-end-secret,acme:public:widget-secret,other:trusted:their-secret"


@pytest.fixture(scope="session")
async def served_settings(
    postgres_dsn: str, _redis_server: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as admin:
        await admin.execute("create database served template frontdesk")
    return Settings(
        _env_file=None,
        database_url=postgres_dsn.replace("/postgres?", "/served?"),
        redis_url=_redis_server,
        data=tmp_path_factory.mktemp("served"),
        lease_seconds=1.0,
        drain_seconds=0.5,
        max_lag_seconds=30.0,  # a busy machine must not refuse what a test asks for
    )


@pytest.fixture(scope="session")
async def api(served_settings: Settings) -> AsyncIterator[str]:
    """An API open to everybody, as in development."""
    async with serving(create_app(served_settings, sample_graphs)) as url:
        yield url


@pytest.fixture(scope="session")
async def guarded_api(served_settings: Settings) -> AsyncIterator[str]:
    """The same threads behind keys: two of tenant acme, one of another."""
    settings = served_settings.model_copy(
        update={"api_keys": type(served_settings.api_keys)(KEYS), "max_body_bytes": 5_000}
    )
    async with serving(create_app(settings, sample_graphs)) as url:
        yield url


@pytest.fixture
async def raw(api: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api, timeout=30) as client:
        yield client


@pytest.fixture
async def client(api: str) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=api) as client:
        yield client


@pytest.fixture
async def tid(client: LangGraphClient) -> str:
    """A new thread's id."""
    thread: Any = await client.threads.create()
    return str(thread["thread_id"])
