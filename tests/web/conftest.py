"""The official JavaScript clients, in Node and in Chromium, on a server of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from langgraph.graph.state import StateGraph
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from engine.database import Pool
from engine.embedded import Servers
from engine.settings import Settings
from server.app import create_app
from tests.api.serving import project_graphs
from tests.fakes.serving import serving
from tests.web.browser import PROGRAMS, Browser, Page, open_browser
from tests.web.site import ESBUILD, build, site
from tests.web.story import Gates, story


@pytest.fixture(scope="session")
def modules(requires: Callable[..., None]) -> None:
    """What `npm ci` installs; `make test` does so where there is Node."""
    requires("node")
    requires(str(ESBUILD))


@pytest.fixture(scope="session")
def gates() -> Gates:
    return Gates(asyncio.Event)


@pytest.fixture(scope="session")
async def api(
    modules: None,
    gates: Gates,
    postgres_dsn: str,
    _redis_server: str | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[str]:
    """The server's URL. Its graphs are a project's, and `story`, which waits for the `gates`."""
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as admin:
        await admin.execute("create database web template frontdesk")
    settings = Settings(
        _env_file=None,
        database_url=postgres_dsn.replace("/postgres?", "/web?"),
        redis_url=_redis_server,
        data=tmp_path_factory.mktemp("web"),
        drain_seconds=0.5,
        max_lag_seconds=30.0,
    )

    @asynccontextmanager
    async def graphs(
        settings: Settings, servers: Servers, pool: Pool
    ) -> AsyncIterator[Mapping[str, StateGraph[Any, Any, Any, Any]]]:
        async with project_graphs(settings, servers, pool) as project:
            yield {**project, "story": story(gates)}

    async with serving(create_app(settings, graphs)) as url:
        yield url


@pytest.fixture
async def client(api: str) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=api) as client:
        yield client


@pytest.fixture(scope="session")
def chromium(requires: Callable[..., None]) -> None:
    requires(*PROGRAMS)


@pytest.fixture(scope="session")
async def browser(chromium: None) -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
async def pages(modules: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of the page, another origin than the API's."""
    folder: Path = tmp_path_factory.mktemp("pages")
    await build(folder)
    async with serving(site(folder)) as url:
        yield url


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page; its uncaught errors fail the test."""
    async with browser.page() as page:
        yield page
        assert page.complaints == []


@pytest.fixture
def address(api: str, pages: str) -> Callable[..., str]:
    """Where a hook shows a conversation with an assistant."""

    def of(hook: str, assistant: str, **more: str) -> str:
        return f"{pages}/?{urlencode({'hook': hook, 'api': api, 'assistant': assistant, **more})}"

    return of
