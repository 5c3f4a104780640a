"""The support graph on real stores, with a scripted model behind a real socket.

Opening takes seconds, so it is done once; every test has a tenant of its own.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from langgraph.types import Command
from pydantic import SecretStr

from checkpoints import PostgresCheckpointer
from engine.database import open_pool
from engine.knowledge import Knowledge
from engine.settings import Settings
from graphs import ingest, support
from nodes.resources import Resources, open_resources
from tests.fakes import openai as fake_openai
from tools import Context
from tools._crm.demo import company
from tools._crm.importer import import_company

CAST = ("maya_linden_4821", "tobias_okafor_3390")
RETURNS = """# Returning items

## How long you have

You may return unused items within 30 days of delivery. Worn boots cannot be returned.

## What it costs

Return postage is $4.95 and is taken off the refund.
"""


@dataclass
class Desk:
    """A thread of the support graph."""

    graph: Any
    resources: Resources
    model: Any
    customer: str | None = "maya_linden_4821"
    tenant: str = ""
    thread: str = ""

    def config(self, **more: Any) -> Any:
        user = {"tenant": self.tenant, "trusted": True, "permissions": []}
        configurable = {
            "thread_id": self.thread,
            "run_id": str(uuid4()),
            "langgraph_auth_user": user,
        }
        return {"configurable": configurable | more}

    @property
    def context(self) -> Context:
        return Context(customer_id=self.customer)

    async def say(self, text: str, **more: Any) -> dict[str, Any]:
        return await self.run({"messages": [("user", text)]}, **more)

    async def resume(self, value: Any) -> dict[str, Any]:
        return await self.run(Command(resume=value))

    async def run(self, what: Any, **more: Any) -> dict[str, Any]:
        return await self.graph.ainvoke(what, self.config(**more), context=self.context)

    async def order_status(self, order_id: str) -> str:
        query = "select status from crm.orders where id = %s and tenant = %s"
        return await self.value(query, order_id, self.tenant)

    async def value(self, query: str, *values: object) -> Any:
        async with self.resources.pool.connection() as conn:
            row = await (await conn.execute(query, values)).fetchone()
            return next(iter(row.values())) if row else None


def said(text: str = "", *calls: tuple[str, dict[str, Any]]) -> Any:
    """What the model answers: text, or calls of tools."""
    return fake_openai.Reply(
        text, tool_calls=tuple({"name": name, "args": args} for name, args in calls)
    )


@pytest.fixture(name="said")
def _said() -> Any:
    return said


@pytest.fixture(scope="session")
async def _model() -> AsyncIterator[Any]:
    async with fake_openai.open_fake_openai() as fake:
        yield fake


@pytest.fixture
def model(_model: Any) -> Any:
    """The fake, with nothing scripted and nothing heard yet."""
    fresh = fake_openai.FakeOpenAI()
    _model.replies.clear()
    _model.requests.clear()
    _model.answer, _model.latency = fresh.answer, fresh.latency
    return _model


@pytest.fixture(scope="session")
async def _opened(
    postgres_dsn: str, _model: Any, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Any, Resources]]:
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as admin:
        await admin.execute("create database support_graph template frontdesk")
    url = postgres_dsn.replace("/postgres?", "/support_graph?")
    settings = Settings(
        _env_file=None,
        database_url=url,
        data=tmp_path_factory.mktemp("support"),
        large_model="openai:fake-large",
        openai_base_url=_model.url,
        openai_api_key=SecretStr("k"),
        model_retries=0,
        demo=False,
    )

    async def nothing(_: Resources) -> None:
        return

    async with (
        open_pool(url) as pool,
        open_resources(settings, pool, url, nothing) as resources,
        PostgresCheckpointer.open(url) as checkpointer,
    ):

        async def provide() -> Resources:
            return resources

        yield support.build(provide).compile(checkpointer=checkpointer), resources


async def stock(resources: Resources, tenant: str, folder: Path) -> None:
    """Two customers of the demo company and one document."""
    everything = company()
    orders = {k: o for k, o in everything["orders"].items() if o["user_id"] in CAST}
    users = {name: everything["users"][name] for name in CAST}
    bought = {line["product_id"] for order in orders.values() for line in order["items"]}
    products = {k: p for k, p in everything["products"].items() if k in bought}
    small = {"products": products, "users": users, "orders": orders}
    await import_company(resources.pool, tenant, small)
    (folder / "returning-items.md").write_text(RETURNS)

    async def knowledge() -> Knowledge:
        return resources.knowledge

    graph = ingest.build(knowledge, root=folder).compile()
    await graph.ainvoke({"path": str(folder), "source": "test", "tenant": tenant})


@pytest.fixture
async def desk(_opened: tuple[Any, Resources], model: Any, tmp_path: Path) -> Desk:
    graph, resources = _opened
    tenant = f"tenant-{uuid4()}"
    await stock(resources, tenant, tmp_path)
    return Desk(graph, resources, model, tenant=tenant, thread=str(uuid4()))


@pytest.fixture
def another(desk: Desk) -> Any:
    """A second conversation, for another customer."""
    return lambda customer: replace(desk, thread=str(uuid4()), customer=customer)
