import asyncio
from collections.abc import AsyncIterator

import pytest
from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    PutOp,
)

from checkpoints import open_store
from engine.caller import Caller
from engine.database import Pool
from engine.errors import Forbidden
from engine.namespaces import label, of_caller, of_runs, of_tenant
from engine.scope import Scope, scope
from tests.fakes.encoder import WordEncoder, embed

OTHER = Caller("them", "acme.other", trusted=True)
ANN = Caller("user:ann@a.example", "acme", trusted=False, alone=True)
BOB = Caller("user:bob@a.example", "acme", trusted=False, alone=True)


@pytest.fixture
async def store(pool: Pool) -> AsyncIterator[BaseStore]:
    async with open_store(pool) as store:
        yield store


async def test_each_tenant_has_a_store_of_its_own(store: BaseStore, me: Caller) -> None:
    ours, theirs = of_caller(store, me), of_caller(store, OTHER)
    await ours.aput(("a",), "k", {"of": "us"})
    assert await theirs.aget(("a",), "k") is None
    await theirs.aput(("a",), "k", {"of": "them"})
    await theirs.adelete(("a",), "none")
    item = await ours.aget(("a",), "k")
    assert item is not None
    assert (item.namespace, item.value) == (("a",), {"of": "us"})
    found = await theirs.asearch(())
    assert [(one.namespace, one.value) for one in found] == [(("a",), {"of": "them"})]
    assert await ours.alist_namespaces() == [("a",)]
    await theirs.adelete(("a",), "k")
    assert await ours.aget(("a",), "k") == item


async def test_a_tenant_whose_name_means_any_sees_its_own(store: BaseStore, me: Caller) -> None:
    await of_caller(store, me).aput(("a",), "k", {"of": "us"})
    any_ = of_caller(store, Caller("them", "*", trusted=True))
    assert await any_.alist_namespaces() == []
    await any_.aput(("b",), "k", {})
    assert await any_.alist_namespaces() == [("b",)]


async def test_nothing_that_is_asked_reaches_out(store: BaseStore, me: Caller) -> None:
    ours, theirs = of_caller(store, me), of_caller(store, OTHER)
    await theirs.aput(("a", "b", "c"), "k", {})
    await ours.aput(("a", "b"), "k", {})
    assert await ours.alist_namespaces(prefix=("*", "*"), suffix=("b",)) == [("a", "b")]
    assert await ours.alist_namespaces(suffix=("*", "a", "b")) == []  # not the tenant's label
    assert await ours.alist_namespaces(prefix=("a",), max_depth=1) == [("a",)]
    assert await ours.alist_namespaces(suffix=("*", "b")) == [("a", "b")]
    with pytest.raises(InvalidNamespaceError):
        await ours.abatch([PutOp(("a.b",), "k", {})])
    with pytest.raises(InvalidNamespaceError, match="cannot be empty"):
        await ours.aput((), "k", {})


async def test_each_end_user_too_and_the_back_end_finds_it(store: BaseStore, me: Caller) -> None:
    ann, bob, all_of_us = (of_caller(store, one) for one in (ANN, BOB, me))
    await ann.aput(("facts",), "k", {"of": "ann"})
    await all_of_us.aput(("facts",), "k", {"of": "us"})
    assert await bob.aget(("facts",), "k") is None
    assert await bob.asearch(()) == []
    assert [item.value for item in await ann.asearch(("facts",))] == [{"of": "ann"}]
    item = await all_of_us.aget((label(ANN.identity), "facts"), "k")
    assert item is not None
    assert item.value == {"of": "ann"}
    with pytest.raises(Forbidden):
        of_caller(store, Caller("acme:public:1", "acme", trusted=False))


async def test_a_run_has_the_store_of_its_tenant(store: BaseStore, me: Caller) -> None:
    runs = of_runs(store)
    with pytest.raises(RuntimeError, match="whose store"):
        await runs.aget(("a",), "k")
    scope.set(Scope("graph", "run", "thread", me.tenant))
    await runs.aput(("a",), "k", {"n": 1})
    item = await asyncio.to_thread(runs.get, ("a",), "k")
    assert item is not None
    assert item == await of_caller(store, me).aget(("a",), "k")
    assert item == await of_tenant(store, me.tenant).aget(("a",), "k")
    scope.set(Scope("graph", "run", "thread", OTHER.tenant))
    assert await runs.aget(("a",), "k") is None


async def test_meaning_time_and_several_operations_are_those_of_the_store(
    pool: Pool, me: Caller
) -> None:
    index = {"dims": WordEncoder.dimensions, "embed": embed, "fields": ["text"]}
    async with open_store(pool, index=index, ttl={"default_ttl": 5}) as store:  # type: ignore[arg-type]
        ours = of_caller(store, me)
        await of_caller(store, OTHER).aput(("a",), "k", {"text": "green tea"})
        await ours.aput(("a",), "tea", {"text": "green tea"})
        await ours.aput(("a",), "car", {"text": "red car"}, ttl=None)
        await ours.aput(("a",), "hidden", {"text": "green tea"}, index=False)
        found = await ours.asearch((), query="green tea")
        assert [item.key for item in found] == ["tea", "car"]
        assert [item.score is not None for item in found] == [True, True]
        async with pool.connection() as conn:
            rows = await conn.execute("select key, ttl is null as stays from checkpoints.memories")
            stays = {row["key"]: row["stays"] async for row in rows}
        assert stays == {"k": False, "tea": False, "car": True, "hidden": False}
        results = await ours.abatch([GetOp(("a",), "tea"), PutOp(("b",), "n", {"n": 1})])
        assert results[0] is not None
        assert results[1] is None
        assert await ours.alist_namespaces() == [("a",), ("b",)]
