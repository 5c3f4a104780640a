"""A knowledge base on a database of its own, and a short way to publish documents."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from engine.database import Pool, migrate
from engine.knowledge import Draft, Knowledge, Piece, Published, Stage, open_knowledge
from tests.fakes.encoder import WordEncoder

Put = Callable[..., Awaitable[Published]]


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
async def migrated(pool: Pool) -> Pool:
    await migrate(pool, "engine")
    return pool


@pytest.fixture
async def knowledge(
    database_url: str, migrated: Pool, encoder: WordEncoder
) -> AsyncIterator[Knowledge]:
    async with open_knowledge(database_url, migrated, encoder) as knowledge:
        yield knowledge


@pytest.fixture
def prepare() -> Callable[..., Awaitable[Stage]]:
    """Stage documents up to, and without, the publishing."""

    async def prepare(
        knowledge: Knowledge,
        documents: dict[str, str],
        *,
        tenant: str = "shop",
        source: str = "docs",
        audience: str = "",
        locale: str = "en",
    ) -> Stage:
        stage = await knowledge.begin(tenant, source, "lines-1")
        for name, text in documents.items():
            title = name.replace("-", " ").capitalize()
            await stage.add(
                Draft(name, f"{name}.md", title, text, locale=locale, audience=audience)
            )
        for draft in await stage.waiting("loaded", 1000):
            await stage.clean(draft)
        for draft in await stage.waiting("cleaned", 1000):
            await stage.split(draft, [Piece(draft.title, line) for line in draft.body.splitlines()])
        await stage.embed(await stage.waiting("split", 1000))
        return stage

    return prepare


@pytest.fixture
def put(prepare: Callable[..., Awaitable[Stage]]) -> Put:
    """Publish documents, each line of a text a passage."""

    async def put(knowledge: Knowledge, documents: dict[str, str], **where: str) -> Published:
        return await (await prepare(knowledge, documents, **where)).publish()

    return put
