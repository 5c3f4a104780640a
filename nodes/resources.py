"""What the steps work with, opened in one place: stores, models, tools, knowledge."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from httpx import AsyncClient

from engine.database import Pool, migrate, open_pool
from engine.embedded import open_servers
from engine.knowledge import Knowledge, open_knowledge
from engine.models.chat import Chat, open_chat, open_client
from engine.models.encoder import Encoder, open_encoder
from engine.settings import Settings
from nodes.intents import Intents, open_intents
from tools import load
from tools._crm import PostgresCrm
from tools._identity import Identities
from tools._runtime import Toolbox


@dataclass(frozen=True)
class Resources:
    """Everything a step may need; each takes what it uses."""

    settings: Settings
    pool: Pool
    encoder: Encoder
    knowledge: Knowledge
    toolbox: Toolbox
    identities: Identities
    crm: PostgresCrm
    intents: Intents
    large: Chat
    small: Chat | None
    """None when the small model is the local classifier, which writes no text."""


Provider = Callable[[], Awaitable[Resources]]
Prepare = Callable[[Resources], Awaitable[None]]
"""Runs once the resources are open and before anybody uses them, such as loading the demo."""


@asynccontextmanager
async def open_resources(
    settings: Settings, pool: Pool, database_url: str, prepare: Prepare
) -> AsyncIterator[Resources]:
    """Migrate, load the models, find the tools, open the knowledge base."""
    await migrate(pool, "engine")
    await migrate(pool, "tools._crm")
    crm = PostgresCrm(pool)
    identities = Identities(pool)
    local = settings.small_model.startswith("local:")
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(AsyncClient())
        hosted = await stack.enter_async_context(open_client(settings))
        encoder = await open_encoder(settings.embedding_model, settings, http_client=hosted)
        knowledge = await stack.enter_async_context(
            open_knowledge(database_url, pool, encoder, dense_weight=settings.dense_weight)
        )
        small = None if local else open_chat(settings.small_model, settings, http_client=hosted)
        toolbox = Toolbox(load({"crm": crm, "http": http}), pool, identities)
        resources = Resources(
            settings=settings,
            pool=pool,
            encoder=encoder,
            knowledge=knowledge,
            toolbox=toolbox,
            identities=identities,
            crm=crm,
            intents=await open_intents(settings, toolbox, encoder, small),
            large=open_chat(settings.large_model, settings, encoder=encoder, http_client=hosted),
            small=small,
        )
        await prepare(resources)
        yield resources


@asynccontextmanager
async def open_all(settings: Settings, prepare: Prepare) -> AsyncIterator[Resources]:
    """The same with servers and pool of its own: for whoever has none open yet."""
    async with (
        open_servers(settings) as servers,
        open_pool(servers.database_url) as pool,
        open_resources(settings, pool, servers.database_url, prepare) as resources,
    ):
        yield resources


@dataclass
class Lazy:
    """Opens at the first call on the running loop, once a loop; closes when that loop shuts down.

    A task of the loop holds the resources: what ends the loop cancels the task, and that closes
    them where they were opened. So nothing happens on import, and no exit hook is needed.
    """

    prepare: Prepare
    _opened: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Future[Resources]]" = field(
        default_factory=WeakKeyDictionary
    )
    _keepers: set["asyncio.Task[None]"] = field(default_factory=set)

    async def __call__(self) -> Resources:
        loop = asyncio.get_running_loop()
        if loop not in self._opened:
            opened: asyncio.Future[Resources] = loop.create_future()
            self._opened[loop] = opened
            # A context of its own: the first caller's run is none of the keeper's business.
            keeper = loop.create_task(self._keep(opened), context=Context())
            self._keepers.add(keeper)
            keeper.add_done_callback(self._keepers.discard)
        return await asyncio.shield(self._opened[loop])

    async def _keep(self, opened: "asyncio.Future[Resources]") -> None:
        loop = asyncio.get_running_loop()
        try:
            settings = await asyncio.to_thread(Settings)
            async with open_all(settings, self.prepare) as resources:
                opened.set_result(resources)
                await asyncio.Event().wait()
        except Exception as error:  # noqa: BLE001 - whoever waits for the resources gets the failure
            if not opened.done():
                opened.set_exception(error)
        finally:
            self._opened.pop(loop, None)
