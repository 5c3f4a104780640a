import asyncio

import pytest
from psycopg import sql

from engine.database import Pool
from engine.errors import Conflict
from engine.knowledge import Draft, Knowledge, Piece

FIRST = {"returns": "Shoes go back.", "shipping": "Parcels travel."}


async def rows(pool: Pool, table: str) -> int:
    async with pool.connection() as conn:
        query = sql.SQL("select count(*) as n from {}").format(sql.Identifier("knowledge", table))
        return (await (await conn.execute(query)).fetchall())[0]["n"]


async def texts(pool: Pool) -> set[str]:
    async with pool.connection() as conn:
        found = await conn.execute("select content from knowledge.chunks_48")
        return {row["content"] async for row in found}


async def age(pool: Pool) -> None:
    """Make everything that was done so far an hour old."""
    async with pool.connection() as conn:
        await conn.execute(
            "update knowledge.versions set touched_at = touched_at - interval '1 hour', "
            "published_at = published_at - interval '1 hour'"
        )


async def names(knowledge: Knowledge, tenant: str = "shop") -> list[str]:
    return [one.document for one in await knowledge.documents(tenant)]


async def test_a_version_is_invisible_until_it_is_published(knowledge, prepare):
    stage = await prepare(knowledge, FIRST)
    assert await knowledge.search("shoes", tenant="shop") == []
    published = await stage.publish()
    assert (published.version, published.documents, published.chunks) == (1, 2, 2)
    assert (await knowledge.search("shoes", tenant="shop"))[0].id == "returns#1"


async def test_what_is_listed_says_where_it_came_from(knowledge, put):
    await put(knowledge, {"returns": "Shoes go back.\nBags too."}, audience="staff")
    (listed,) = await knowledge.documents("shop")
    assert (listed.document, listed.title, listed.source) == ("returns", "Returns", "docs")
    assert (listed.file, listed.audience, listed.chunks) == ("returns.md", "staff", 2)


async def test_readers_see_the_old_or_the_new_version_and_never_both(knowledge, put):
    def edition(number: int) -> dict[str, str]:
        return {f"article-{n}": f"Parcels of edition {number}." for n in range(12)}

    await put(knowledge, edition(1))
    finished = asyncio.Event()
    seen: set[int] = set()

    async def read() -> None:
        while not finished.is_set():
            found = await knowledge.search("parcels of the edition", tenant="shop", k=20)
            assert len(found) == 12
            (version,) = {one.version for one in found}
            assert {one.text for one in found} == {f"Parcels of edition {version}."}
            seen.add(version)

    async def write() -> None:
        for number in range(2, 7):
            assert (await put(knowledge, edition(number))).version == number
        finished.set()

    await asyncio.gather(write(), read(), read())
    assert len(seen) > 1
    assert await knowledge.version("shop") == 6


async def test_a_stage_that_died_leaves_the_old_version_and_is_cleaned_up(knowledge, migrated, put):
    await put(knowledge, FIRST)
    dead = await knowledge.begin("shop", "docs", "lines-1")
    await dead.add(Draft("returns", "returns.md", "Returns", "Shoes stay."))
    (draft,) = await dead.waiting("loaded")
    await dead.clean(draft)
    (draft,) = await dead.waiting("cleaned")
    await dead.split(draft, [Piece("Returns", "Shoes stay.")])
    (draft,) = await dead.waiting("split")
    await dead._store([(draft, 1, draft.pieces[0])])  # and killed before the step was noted

    assert (await knowledge.search("shoes", tenant="shop"))[0].text == "Shoes go back."
    assert "Shoes stay." in await texts(migrated)
    await age(migrated)
    await put(knowledge, {**FIRST, "sizes": "Shoes run small."})
    assert await texts(migrated) == {"Shoes go back.", "Parcels travel.", "Shoes run small."}
    assert await rows(migrated, "versions") == 2  # searches under way may still read the old one
    assert await rows(migrated, "documents") == 3
    with pytest.raises(Conflict, match="start it again"):
        await dead.publish()


async def test_a_stage_under_way_is_not_cleaned_up(knowledge, migrated, prepare, put):
    stage = await prepare(knowledge, {"sizes": "Shoes run small."}, source="b")
    await put(knowledge, FIRST)
    await stage.publish()
    assert await names(knowledge) == ["returns", "shipping", "sizes"]


async def test_a_document_that_is_not_embedded_keeps_the_old_version(knowledge, put):
    await put(knowledge, FIRST)
    stage = await knowledge.begin("shop", "docs", "lines-1")
    await stage.add(Draft("returns", "returns.md", "Returns", "Shoes stay."))
    with pytest.raises(Conflict, match="1 documents are not embedded"):
        await stage.publish()
    assert await knowledge.version("shop") == 1
    assert await names(knowledge) == ["returns", "shipping"]


async def test_unchanged_documents_are_not_embedded_again(knowledge, encoder, put):
    await put(knowledge, FIRST)
    encoder.seen.clear()
    published = await put(knowledge, {**FIRST, "shipping": "Parcels fly.", "new": "Lamps shine."})
    assert encoder.seen == ["Shipping\nParcels fly.", "New\nLamps shine."]
    assert (published.version, published.documents) == (2, 3)
    assert {one.text for one in await knowledge.search("shoes", tenant="shop")} == {
        "Shoes go back.", "Parcels fly.", "Lamps shine."
    }  # fmt: skip


async def test_a_document_whose_readers_change_is_a_new_one(knowledge, put):
    await put(knowledge, FIRST)
    await put(knowledge, FIRST, audience="staff")
    assert await knowledge.search("shoes", tenant="shop") == []
    assert await knowledge.version("shop") == 2


async def test_another_way_of_cutting_embeds_again(knowledge, encoder, put):
    await put(knowledge, FIRST)
    stage = await knowledge.begin("shop", "docs", "lines-2")
    await stage.add(Draft("returns", "returns.md", "Returns", "Shoes go back."))
    (draft,) = await stage.waiting("loaded")
    assert not await stage.clean(draft)


async def test_publishing_the_same_again_is_no_new_version(knowledge, migrated, encoder, put):
    await put(knowledge, FIRST)
    encoder.seen.clear()
    again = await put(knowledge, FIRST)
    assert (again.version, again.changed, encoder.seen) == (1, False, [])
    assert await rows(migrated, "versions") == 1


async def test_publishing_twice_is_publishing_once(knowledge, prepare):
    stage = await prepare(knowledge, FIRST)
    first = await stage.publish()
    assert await stage.publish() == first
    assert await knowledge.version("shop") == 1


async def test_a_source_replaces_its_own_documents_only(knowledge, put):
    await put(knowledge, FIRST, source="docs")
    await put(knowledge, {"faq": "Ask us."}, source="faq")
    published = await put(knowledge, {"returns": "Shoes go back."}, source="docs")
    assert await names(knowledge) == ["faq", "returns"]
    assert published.removed == 1


async def test_a_name_belongs_to_the_source_that_published_it_last(knowledge, put):
    await put(knowledge, FIRST, source="docs")
    await put(knowledge, {"returns": "Shoes never go back."}, source="other")
    found = await knowledge.search("shoes", tenant="shop")
    assert {one.text for one in found} == {"Shoes never go back.", "Parcels travel."}


async def test_two_publishes_at_once_both_count(knowledge, prepare):
    stages = [
        await prepare(knowledge, {f"note-{n}": f"Note {n}."}, source=f"source {n}")
        for n in range(4)
    ]
    published = await asyncio.gather(*(stage.publish() for stage in stages))
    assert sorted(one.version for one in published) == [1, 2, 3, 4]
    assert await names(knowledge) == ["note-0", "note-1", "note-2", "note-3"]


async def test_two_ingests_of_one_source_leave_one_of_them_whole(knowledge, prepare):
    one, two = await asyncio.gather(
        prepare(knowledge, {"a": "One a.", "b": "One b."}),
        prepare(knowledge, {"b": "Two b.", "c": "Two c."}),
    )
    await asyncio.gather(one.publish(), two.publish())
    found = {one.text for one in await knowledge.search("a b c", tenant="shop")}
    assert found in ({"One a.", "One b."}, {"Two b.", "Two c."})


async def test_a_stage_belongs_to_its_tenant(knowledge, prepare):
    stage = await prepare(knowledge, FIRST, tenant="shop")
    with pytest.raises(Conflict):
        await knowledge.stage(stage.id, "rival").publish()
    assert await knowledge.version("rival") == 0


async def test_a_deleted_document_is_gone_and_its_text_erased(knowledge, migrated, put):
    await put(knowledge, FIRST)
    await put(knowledge, {"returns": "Shoes of the rival."}, tenant="rival")
    assert await knowledge.delete("shop", ["returns", "unknown"]) == 1
    assert await names(knowledge) == ["shipping"]
    assert await knowledge.version("shop") == 2
    assert {one.document for one in await knowledge.search("shoes", tenant="shop")} == {"shipping"}
    assert await texts(migrated) == {"Parcels travel.", "Shoes of the rival."}
    assert await names(knowledge, "rival") == ["returns"]


async def test_deleting_what_is_not_there_changes_nothing(knowledge, put):
    assert await knowledge.delete("shop", ["returns"]) == 0
    await put(knowledge, FIRST)
    assert await knowledge.delete("shop", ["unknown"]) == 0
    assert await knowledge.version("shop") == 1


async def test_superseded_versions_are_forgotten_after_a_while(knowledge, migrated, put):
    await put(knowledge, {"returns": "Edition one."})
    await put(knowledge, {"returns": "Edition two."})
    assert await texts(migrated) == {"Edition one.", "Edition two."}
    await age(migrated)
    await put(knowledge, {"returns": "Edition three."})
    assert await texts(migrated) == {"Edition two.", "Edition three."}
    assert await rows(migrated, "versions") == 2


async def test_a_document_of_many_passages_is_embedded_in_batches(knowledge, encoder, put):
    published = await put(knowledge, {"long": "\n".join(f"Line {n}." for n in range(150))})
    assert published.chunks == 150
    assert (await knowledge.search("line 149", tenant="shop"))[0].id == "long#150"
