import asyncio

import pytest

from engine.database import Pool
from engine.errors import ConfigError
from engine.knowledge import Knowledge, Passage, open_knowledge
from engine.knowledge.search import Scope, dense, fuse, lexical
from tests.fakes.encoder import WordEncoder

ARTICLES = {
    "returns": "You may send shoes back within thirty days.\nOpened cosmetics stay with you.",
    "shipping": "Parcels travel two days.\nExpress parcels arrive tomorrow.",
    "warranty": "A lamp is repaired free of charge for two years.",
}


async def scope_of(
    knowledge: Knowledge, pool: Pool, tenant: str, audiences: tuple[str, ...] = ("",)
) -> Scope:
    async with pool.connection() as conn:
        rows = await conn.execute(knowledge.tables.sql["current"], {"tenant": tenant})
        row = (await rows.fetchall())[0]
    return Scope(tenant, row["id"], row["number"], row["chunks"], row["words"], audiences)


async def both(
    knowledge: Knowledge, pool: Pool, query: str, scope: Scope, locale: str = "en"
) -> tuple[set[str], set[str]]:
    """The passages that each of the two searches finds, by their ids in citations."""
    vector = (await knowledge.encoder.encode([query]))[0]
    near = await dense(knowledge.tables, vector, scope)
    worded = await lexical(pool, knowledge.tables, query, vector, locale, scope)
    return {one.id for one in near.values()}, {one.id for one, _ in worded.values()}


async def test_the_passage_that_answers_comes_first_and_can_be_cited(knowledge, put):
    await put(knowledge, ARTICLES)
    found = await knowledge.search("How long do express parcels take?", tenant="shop")
    assert found[0].id == "shipping#2"
    assert found[0].text == "Express parcels arrive tomorrow."
    assert (found[0].document, found[0].heading, found[0].version) == ("shipping", "Shipping", 1)
    assert found[0].score == pytest.approx(1.0)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


async def test_five_passages_are_found_unless_asked_for_fewer(knowledge, put):
    await put(knowledge, {f"note-{n}": f"Parcel note number {n}." for n in range(9)})
    assert len(await knowledge.search("parcel", tenant="shop")) == 5
    assert len(await knowledge.search("parcel", tenant="shop", k=2)) == 2


async def test_before_anything_is_published_nothing_is_found(knowledge):
    assert await knowledge.search("parcels", tenant="shop") == []
    assert await knowledge.version("shop") == 0
    assert await knowledge.documents("shop") == []


async def test_no_search_sees_another_tenant(knowledge, migrated, put):
    await put(knowledge, {"secret": "The parcels of the rival go by zeppelin."}, tenant="rival")
    await put(knowledge, ARTICLES, tenant="shop")
    scope = await scope_of(knowledge, migrated, "shop")
    near, worded = await both(knowledge, migrated, "rival zeppelin parcels", scope)
    assert near == {"returns#1", "returns#2", "shipping#1", "shipping#2", "warranty#1"}
    assert worded == {"shipping#1", "shipping#2"}
    rival = await scope_of(knowledge, migrated, "rival")
    assert await both(knowledge, migrated, "zeppelin", rival) == ({"secret#1"}, {"secret#1"})


async def test_the_tenant_is_checked_besides_the_version(knowledge, migrated, put):
    await put(knowledge, ARTICLES, tenant="shop")
    shop = await scope_of(knowledge, migrated, "shop")
    confused = Scope("rival", shop.version, 1, shop.chunks, shop.words, ("",))
    assert await both(knowledge, migrated, "parcels", confused) == (set(), set())


async def test_both_searches_find_only_what_the_reader_is_permitted(knowledge, migrated, put):
    await put(knowledge, ARTICLES)
    await put(knowledge, {"margins": "Parcels cost us three coins."}, source="b", audience="staff")
    for permissions, seen in ((("",), False), (("", "press"), False), (("", "staff"), True)):
        scope = await scope_of(knowledge, migrated, "shop", permissions)
        for found in await both(knowledge, migrated, "parcels cost coins", scope):
            assert ("margins#1" in found) is seen
    public = await knowledge.search("What do parcels cost us?", tenant="shop")
    assert "margins" not in {one.document for one in public}
    staff = await knowledge.search(
        "What do parcels cost us?", tenant="shop", permissions=frozenset({"staff"})
    )
    assert staff[0].document == "margins"


async def test_each_query_gets_its_own_lexical_results(knowledge, migrated, put):
    await put(knowledge, ARTICLES)
    scope = await scope_of(knowledge, migrated, "shop")
    queries = {"shoes": "returns#1", "lamp": "warranty#1", "tomorrow": "shipping#2"}
    for query, expected in [*queries.items(), *reversed(queries.items())]:
        assert (await both(knowledge, migrated, query, scope))[1] == {expected}
    answers = await asyncio.gather(
        *(knowledge.search(query, tenant="shop", k=1) for query in queries)
    )
    assert [found[0].id for found in answers] == list(queries.values())


async def test_any_shared_word_is_enough(knowledge, migrated, put):
    await put(knowledge, ARTICLES)
    scope = await scope_of(knowledge, migrated, "shop")
    question = "My grandmother wonders whether lamps break under water"
    assert (await both(knowledge, migrated, question, scope))[1] == {"warranty#1"}


async def test_rare_words_count_more_than_frequent_ones(knowledge, migrated, put):
    notes = {f"note-{n}": "Parcels parcels and more parcels." for n in range(20)}
    await put(knowledge, {**notes, "customs": "Customs are paid when a parcel arrives abroad."})
    scope = await scope_of(knowledge, migrated, "shop")
    vector = (await knowledge.encoder.encode(["x"]))[0]
    found = await lexical(migrated, knowledge.tables, "customs for parcels", vector, "en", scope)
    best = max(found.values(), key=lambda one: one[1])
    assert best[0].id == "customs#1"


async def test_words_are_stemmed_by_the_language_of_the_document(knowledge, migrated, put):
    await put(knowledge, {"versand": "Pakete kommen am Montag an."}, locale="de")
    await put(knowledge, ARTICLES, source="b")
    scope = await scope_of(knowledge, migrated, "shop")
    assert (await both(knowledge, migrated, "Pakete", scope, "de"))[1] == {"versand#1"}
    assert (await both(knowledge, migrated, "repairing lamps", scope, "en-GB"))[1] == {"warranty#1"}
    assert (await both(knowledge, migrated, "repairing lamps", scope, "de"))[1] == set()


async def test_only_the_sixteen_rarest_words_are_searched_for(knowledge, migrated, put):
    rare = [f"rareword{letter}" for letter in "abcdefghijklmnop"]
    await put(
        knowledge,
        {"rare": " ".join(rare), **{f"common-{n}": "kettle" for n in range(3)}},
    )
    scope = await scope_of(knowledge, migrated, "shop")
    assert (await both(knowledge, migrated, "kettle", scope))[1] == {
        "common-0#1", "common-1#1", "common-2#1"
    }  # fmt: skip
    assert (await both(knowledge, migrated, f"kettle {' '.join(rare)}", scope))[1] == {"rare#1"}


async def test_of_a_message_of_any_length_only_the_beginning_is_understood(knowledge, put):
    words = [f"word{n}" for n in range(400)]
    lines = "\n".join(" ".join(words[n % 40 :: 7]) for n in range(1500))
    await put(knowledge, {"long": lines})
    assert len(await knowledge.search(" ".join(words), tenant="shop")) == 5
    assert await knowledge.search("word1 " * 200_000, tenant="shop")
    assert max(len(text) for text in knowledge.encoder.seen) <= 2000


@pytest.mark.parametrize(
    "query", ["", " \n", "'", "a' & !b | (c", "\\ '' \\'", "nul\0nul", "???", "€ 🙂", "%s {0}"]
)
async def test_no_query_is_an_error(knowledge, put, query):
    await put(knowledge, {"odd": r"It's 100% a\b & {c} | (d) € 🙂 nul."})
    found = await knowledge.search(query, tenant="shop")
    assert len(found) == bool(query.strip())


async def test_another_encoder_than_the_published_one_is_refused(
    knowledge, migrated, database_url, put
):
    await put(knowledge, ARTICLES)
    for other in (WordEncoder("test:other"), WordEncoder("test:longer", 64)):
        async with open_knowledge(database_url, migrated, other) as changed:
            with pytest.raises(ConfigError, match=r"test:words.*test:.*ingest again \(docs\)"):
                await changed.search("parcels", tenant="shop")


async def test_after_a_new_ingest_the_other_encoder_answers(knowledge, migrated, database_url, put):
    await put(knowledge, ARTICLES)
    await put(knowledge, {"sizes": "Shoes run small."}, source="b")
    async with open_knowledge(database_url, migrated, WordEncoder("test:longer", 64)) as changed:
        await put(changed, ARTICLES)
        with pytest.raises(ConfigError, match=r"ingest again \(b\)"):
            await changed.search("parcels", tenant="shop")
        await put(changed, {"sizes": "Shoes run small."}, source="b")
        found = await changed.search("Do shoes run small?", tenant="shop", k=1)
        assert found[0].id == "sizes#1"


def passage(name: str, similarity: float) -> Passage:
    return Passage(name, name, "", "", None, "", 0.0, 1, similarity)


def test_meaning_and_words_are_both_brought_to_one_before_they_are_weighed():
    near = {"a": passage("a", 0.8), "b": passage("b", 0.6), "c": passage("c", 0.4)}
    worded = {"b": (passage("b", 0.6), 9.0), "d": (passage("d", 0.3), 3.0)}
    scores = {one.id: one.score for one in fuse(near, worded, 0.6)}
    assert list(scores) == ["b", "a", "d", "c"]  # c is the least near, d is farther still
    assert scores == pytest.approx({"b": 0.6 * 0.5 + 0.4, "a": 0.6, "d": 0.4 / 3, "c": 0.0})


def test_what_only_one_search_finds_is_ranked_by_it():
    near = {"a": passage("a", 0.8), "b": passage("b", 0.6)}
    assert [one.id for one in fuse(near, {}, 0.6)] == ["a", "b"]
    worded = {"a": (passage("a", 0.1), 1.0), "b": (passage("b", 0.1), 2.0)}
    assert [one.id for one in fuse({}, worded, 0.6)] == ["b", "a"]
    assert fuse({}, {}, 0.6) == []
