"""The store of long-term memories, on the pool of the checkpointer, against real PostgreSQL."""

import asyncio
import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import GetOp, IndexConfig, InvalidNamespaceError, PutOp, TTLConfig
from langgraph.store.memory import InMemoryStore
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from typing_extensions import TypedDict

from checkpoints.errors import CheckpointError, Closed, Unavailable
from checkpoints.postgres import Pool, open_postgres
from checkpoints.store import PostgresStore, open_store
from tests.fakes.encoder import WordEncoder

ENCODER = WordEncoder()
MANY = 64


async def embed(texts: list[str]) -> list[list[float]]:
    vectors: list[list[float]] = (await ENCODER.encode(texts)).tolist()
    return vectors


def indexed(*fields: str) -> IndexConfig:
    return {"dims": ENCODER.dimensions, "embed": embed, "fields": [*fields] or ["$"]}


@pytest.fixture
async def shared(database_url: str) -> AsyncIterator[Pool]:
    """The pool of a checkpointer's storage."""
    async with open_postgres(database_url, size=4) as storage:
        yield storage.pool


@pytest.fixture
async def store(shared: Pool) -> AsyncIterator[PostgresStore]:
    async with open_store(shared) as store:
        yield store


async def keys(store: PostgresStore, *namespace: str, **options: Any) -> list[str]:
    return [item.key for item in await store.asearch(namespace, **options)]


async def test_an_item_is_read_as_it_was_put(store: PostgresStore) -> None:
    value = {"theme": "dark", "n": 1.5, "big": 2**70, "deep": {"list": [None, True, {"a": []}]}}
    await store.aput(("users", "1"), "prefs", value)
    item = await store.aget(("users", "1"), "prefs")
    assert item is not None
    assert (item.namespace, item.key, item.value) == (("users", "1"), "prefs", value)
    assert item.created_at == item.updated_at
    assert await store.aget(("users", "2"), "prefs") is None
    assert await store.aget(("users",), "prefs") is None


async def test_putting_again_replaces_the_value_and_keeps_its_beginning(
    store: PostgresStore,
) -> None:
    await store.aput(("a",), "k", {"old": 1})
    first = await store.aget(("a",), "k")
    await store.aput(("a",), "k", {"new": 1})
    second = await store.aget(("a",), "k")
    assert first
    assert second
    assert second.value == {"new": 1}
    assert second.created_at == first.created_at < second.updated_at


async def test_a_deleted_item_is_gone(store: PostgresStore) -> None:
    await store.aput(("a",), "k", {})
    await store.adelete(("a",), "k")
    await store.adelete(("a",), "never there")
    assert await store.aget(("a",), "k") is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(st.characters(codec=None) | st.sampled_from('\0\ud800\udfff\ue000\\u0"😀é')))
async def test_any_text_comes_back_as_it_was(store: PostgresStore, text: str) -> None:
    if json.loads(json.dumps(text)) != text:  # two halves that JSON itself makes one of
        return
    value = {"text": text, text: [text, {"deep": text}]}
    await store.aput(("texts",), "k", value)
    item = await store.aget(("texts",), "k")
    assert item
    assert item.value == value
    assert await keys(store, "texts", filter={"text": text}) == ["k"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    label=st.text(st.characters(codec="utf-8", exclude_characters=".\0"), min_size=1), key=st.text()
)
async def test_any_name_is_found_by_its_namespace_and_its_prefixes(
    store: PostgresStore, label: str, key: str
) -> None:
    names = ("names", label, "end")
    if "\0" in key or any("\ud800" <= letter <= "\udfff" for letter in key):
        with pytest.raises(ValueError, match="cannot keep"):
            await store.aput(names, key, {})
        return
    await store.aput(names, key, {"label": label})
    for depth in (1, 2, 3):
        found = await store.asearch(names[:depth], filter={"label": label}, limit=1000)
        assert (names, key) in [(item.namespace, item.key) for item in found]
    assert await store.asearch(("names", label + "!"), filter={"label": label}) == []
    assert names in await store.alist_namespaces(prefix=("names", label))


@pytest.mark.parametrize("namespace", [(), ("a.b",), ("",), ("langgraph", "x")])
async def test_namespaces_that_langgraph_reserves_are_refused(
    store: PostgresStore, namespace: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidNamespaceError):
        await store.aput(namespace, "k", {})


async def test_a_search_stays_below_its_namespace(store: PostgresStore) -> None:
    for n, namespace in enumerate([("a",), ("a", "b"), ("ab",), ("a", "_"), ("a", "x", "y")]):
        await store.aput(namespace, str(n), {})
    assert sorted(await keys(store, "a")) == ["0", "1", "3", "4"]
    assert await keys(store, "a", "_") == ["3"]
    assert len(await keys(store)) == 5
    assert await keys(store, "a", "x", "y", "z") == []


async def test_a_search_gives_the_last_updated_first_in_pages(store: PostgresStore) -> None:
    for n in (2, 0, 3, 1):
        await store.aput(("a",), str(n), {})
    assert await keys(store, "a", limit=3) == ["1", "3", "0"]
    assert await keys(store, "a", limit=3, offset=3) == ["2"]
    assert await keys(store, "a", limit=0) == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"n": 10},
        {"n": {"$gt": 9}},
        {"n": {"$gte": 10, "$lt": 100}},
        {"n": {"$lte": 9.5}},
        {"n": {"$ne": 10}},
        {"n": {"$eq": 9}},
        {"deep": {"a": {"b": 1}}},
        {"deep": {"a": {"$ne": {"b": 1}}}},
        {"tags": ["x", "y"]},
        {"tags": []},
        {"missing": None},
        {"n": 9, "tags": []},
        {"n": True},
    ],
)
async def test_a_filter_finds_what_the_store_in_memory_finds(
    store: PostgresStore, wanted: dict[str, Any]
) -> None:
    memory = InMemoryStore()
    values = [
        {"n": 9, "deep": {"a": {"b": 1}}, "tags": []},
        {"n": 10, "deep": {"a": {"b": 2}}, "tags": ["x", "y"]},
        {"n": 100.5, "deep": {}, "tags": ["y", "x"]},
        {"n": 0, "missing": 0, "deep": {"a": 1}},
    ]
    for each in (store, memory):
        for n, value in enumerate(values):
            await each.aput(("a",), str(n), value)
    expected = {item.key for item in await memory.asearch(("a",), filter=wanted)}
    assert set(await keys(store, "a", filter=wanted)) == expected


async def test_texts_are_compared_with_texts_only(store: PostgresStore) -> None:
    await store.aput(("a",), "day", {"at": "2026-01-02"})
    await store.aput(("a",), "number", {"at": 3})
    assert await keys(store, "a", filter={"at": {"$gt": "2026-01-01"}}) == ["day"]
    assert await keys(store, "a", filter={"at": {"$lt": 4}}) == ["number"]


async def test_a_test_that_does_not_exist_is_refused(store: PostgresStore) -> None:
    with pytest.raises(ValueError, match=r"\$like"):
        await store.asearch(("a",), filter={"n": {"$like": 1}})


async def test_namespaces_are_listed_by_prefix_suffix_and_depth(store: PostgresStore) -> None:
    memory = InMemoryStore()
    spaces = [("a", "1", "x"), ("a", "1", "y"), ("a", "2", "x"), ("b", "1", "x"), ("a",), ("ab",)]
    for each in (store, memory):
        for space in spaces:
            await each.aput(space, "k", {})
    questions: list[dict[str, Any]] = [
        {},
        {"prefix": ("a",)},
        {"prefix": ("a", "1")},
        {"prefix": ("*", "1")},
        {"suffix": ("x",)},
        {"suffix": ("1", "*")},
        {"prefix": ("a",), "suffix": ("x",)},
        {"max_depth": 2},
        {"max_depth": 1, "prefix": ("a", "*")},
        {"max_depth": 2, "limit": 2, "offset": 1},
        {"prefix": ("a", "1", "x", "deeper")},
    ]
    for question in questions:
        expected = await memory.alist_namespaces(**question)
        assert await store.alist_namespaces(**question) == expected, question


async def test_of_two_puts_in_a_batch_the_last_counts_and_reads_come_first(
    store: PostgresStore,
) -> None:
    ops = [PutOp(("a",), "k", {"n": 1}), GetOp(("a",), "k"), PutOp(("a",), "k", {"n": 2})]
    assert await store.abatch(ops) == [None, None, None]
    item = await store.aget(("a",), "k")
    assert item
    assert item.value == {"n": 2}


async def test_puts_of_one_caller_keep_their_order(store: PostgresStore) -> None:
    calls = [asyncio.create_task(store.aput(("a",), "k", {"n": n})) for n in range(300)]
    await asyncio.gather(*calls)
    item = await store.aget(("a",), "k")
    assert item
    assert item.value == {"n": 299}


async def test_a_value_is_kept_as_it_was_when_put_was_called(store: PostgresStore) -> None:
    value = {"list": [1]}
    call = asyncio.create_task(store.aput(("a",), "k", value))
    await asyncio.sleep(0)
    value["list"].append(2)
    await call
    item = await store.aget(("a",), "k")
    assert item
    assert item.value == {"list": [1]}


async def test_many_at_once_get_what_is_theirs(shared: Pool) -> None:
    async with open_store(shared, index=indexed("text")) as store:

        async def customer(n: int) -> None:
            space = ("users", str(n))
            for i in range(5):
                await store.aput(space, str(i), {"text": f"fact {i} of {n}", "n": n})
                item = await store.aget(space, str(i))
                assert item
                assert item.value["n"] == n
                assert len(await store.asearch(space, filter={"n": n})) == i + 1
                found = await store.asearch(space, query=f"fact {i}", limit=1)
                assert found[0].key == str(i)
            await store.adelete(space, "0")
            assert await store.aget(space, "0") is None

        await asyncio.gather(*map(customer, range(MANY)))
        assert len(await store.alist_namespaces(prefix=("users",), limit=100)) == MANY


async def test_one_value_that_cannot_be_stored_fails_alone(store: PostgresStore) -> None:
    bad = asyncio.gather(
        store.aput(("a",), "not a number", {"n": float("nan")}),
        store.aput(("".join(map(chr, range(0x4E00, 0x4E00 + 9000))),), "long", {"n": 1}),
        store.aput(("a",), "no json", {"n": object()}),
        return_exceptions=True,
    )
    good = asyncio.gather(*(store.aput(("b",), str(n), {}) for n in range(MANY)))
    nan, long, no_json = await bad
    await good
    assert isinstance(nan, psycopg.errors.InvalidTextRepresentation)
    assert isinstance(long, psycopg.errors.ProgramLimitExceeded)
    assert isinstance(no_json, TypeError)
    assert len(await keys(store, "b", limit=100)) == MANY
    assert await keys(store, "a") == []


async def test_the_nearest_in_meaning_comes_first(shared: Pool) -> None:
    async with open_store(shared, index=indexed()) as store:
        await store.aput(("a",), "tea", {"text": "the customer likes green tea"})
        await store.aput(("a",), "dog", {"text": "the customer has a dog"})
        await store.aput(("a",), "unseen", {"text": "green tea"}, index=False)
        await store.aput(("b",), "other", {"text": "green tea"})
        found = await store.asearch(("a",), query="green tea")
        assert [item.key for item in found] == ["tea", "dog"]
        scores = [item.score or 0 for item in found]
        assert 1 > scores[0] > scores[1]
        assert await keys(store, "a", query="green tea", filter={"text": {"$ne": "x"}}, limit=1)


async def test_a_search_by_meaning_has_as_many_pages_as_there_are_items(shared: Pool) -> None:
    async with open_store(shared, index=indexed("facts[*]")) as store:
        for n in range(30):
            await store.aput(("a",), str(n), {"facts": [f"word{n}", "tea"] + ["tea time"] * 9})
        pages = [await keys(store, "a", query="tea", limit=7, offset=at) for at in (0, 7, 14, 28)]
        assert [len(page) for page in pages] == [7, 7, 7, 2]
        assert len(set().union(*pages)) == 23


async def test_a_small_namespace_is_searched_wholly_among_many_others(shared: Pool) -> None:
    async with open_store(shared, index=indexed("text")) as store:
        crowd = [PutOp(("crowd", str(n % 50)), str(n), {"text": "tea please"}) for n in range(1500)]
        await store.abatch(crowd)
        await store.aput(("users", "me"), "coffee", {"text": "coffee"})
        async with shared.connection() as conn:
            await conn.execute("analyze")
        assert await keys(store, "users", "me", query="tea please") == ["coffee"]
        assert await keys(store, query="tea", filter={"text": "coffee"}) == ["coffee"]


async def test_a_wide_namespace_is_searched_by_the_index(shared: Pool) -> None:
    async with (
        open_store(shared, index=indexed("text"), wide=10) as store,
        open_store(shared, index=indexed("text")) as exact,
    ):
        texts = [f"word{n} word{n // 7} word{n // 11}" for n in range(400)]
        await store.abatch([PutOp(("a",), str(n), {"text": text}) for n, text in enumerate(texts)])
        async with shared.connection() as conn:
            await conn.execute("analyze")
        query = "word33 word50"
        for page in ({"limit": 3}, {"limit": 5, "offset": 5}):
            assert await keys(store, "a", query=query, **page) == await keys(
                exact, "a", query=query, **page
            )
        assert await keys(store, "a", query=query, filter={"text": texts[399]}) == ["399"]
        assert len(await keys(store, "a", query=query, limit=500)) == 400
        assert await keys(store, "b", query=query) == []


async def test_what_a_value_no_longer_says_is_not_found(shared: Pool) -> None:
    async with open_store(shared, index=indexed("facts[*]")) as store:
        await store.aput(("a",), "k", {"facts": ["likes tea", "has a dog"]})
        await store.aput(("a",), "k", {"facts": ["likes coffee"]})
        [item] = await store.asearch(("a",), query="has a dog")
        assert (item.score or 0) < 0.9
        await store.aput(("a",), "k", {"facts": ["likes tea"]}, index=False)
        assert await store.asearch(("a",), query="likes tea") == []


async def test_nobody_waits_for_the_embedding_of_others(shared: Pool) -> None:
    release = asyncio.Event()

    async def slow(texts: list[str]) -> list[list[float]]:
        await release.wait()
        return await embed(texts)

    async with open_store(shared, index={**indexed(), "embed": slow}) as store:
        await store.aput(("a",), "k", {"n": 1}, index=False)
        waiting = [
            asyncio.create_task(store.aput(("a",), "slow", {"text": "tea"})),
            asyncio.create_task(store.asearch(("a",), query="tea")),
        ]
        await asyncio.sleep(0)
        assert await store.aget(("a",), "k")
        await store.aput(("a",), "quick", {}, index=False)
        assert not any(task.done() for task in waiting)
        release.set()
        await asyncio.gather(*waiting)


async def test_without_an_index_a_query_is_no_condition(store: PostgresStore) -> None:
    await store.aput(("a",), "k", {"text": "tea"})
    assert await keys(store, "a", query="coffee") == ["k"]


async def test_an_index_of_other_dimensions_is_refused(shared: Pool) -> None:
    async with open_store(shared, index=indexed()):
        pass
    with pytest.raises(CheckpointError, match="48 dimensions"):
        async with open_store(shared, index={**indexed(), "dims": 3}):
            pass


async def test_vectors_may_be_longer_than_an_index_of_pgvector_takes(shared: Pool) -> None:
    def wide(texts: list[str]) -> list[list[float]]:
        return [[float(len(text))] + [1.0] * 2999 for text in texts]

    async with open_store(shared, index={"dims": 3000, "embed": wide, "fields": ["t"]}) as store:
        await store.aput(("a",), "k", {"t": "x"})
        assert await keys(store, "a", query="x") == ["k"]


async def test_an_expired_item_is_not_seen_and_then_removed(shared: Pool) -> None:
    ttl: TTLConfig = {"default_ttl": 0.2 / 60, "refresh_on_read": False}
    async with open_store(shared, ttl=ttl, index=indexed()) as store:
        await store.aput(("a",), "short", {"n": 1})
        await store.aput(("a",), "kept", {"n": 1}, ttl=None)
        await asyncio.sleep(0.25)
        assert await store.aget(("a",), "short") is None
        assert await keys(store, "a") == ["kept"]
        assert await keys(store, "a", query="n") == ["kept"]
        assert await store.sweep() == 1
        assert await store.sweep() == 0


async def test_an_item_put_again_after_its_time_begins_anew(shared: Pool) -> None:
    async with open_store(shared) as store:
        await store.aput(("a",), "k", {}, ttl=0.05 / 60)
        first = await store.aget(("a",), "k", refresh_ttl=False)
        await asyncio.sleep(0.1)
        await store.aput(("a",), "k", {})
        second = await store.aget(("a",), "k")
        assert first
        assert second
        assert second.created_at > first.created_at
        assert await store.sweep() == 0


async def test_reading_begins_the_time_of_an_item_anew(shared: Pool) -> None:
    async with open_store(shared, ttl={"default_ttl": 0.6 / 60}) as store:
        for name in ("got", "searched", "left"):
            await store.aput((name,), "k", {})
        for _ in range(3):
            await asyncio.sleep(0.3)
            assert await store.aget(("got",), "k")
            assert await store.asearch(("searched",))
            await store.aget(("left",), "k", refresh_ttl=False)
        assert await store.alist_namespaces() == [("got",), ("searched",)]


async def test_what_expired_is_swept_while_the_store_is_open(shared: Pool) -> None:
    ttl: TTLConfig = {"sweep_interval_minutes": 0.05 / 60}  # type: ignore[typeddict-item]
    async with open_store(shared, ttl=ttl) as store:
        await store.aput(("a",), "k", {}, ttl=0.01 / 60)
        async with asyncio.timeout(20):
            while await _rows(shared):
                await asyncio.sleep(0.02)


async def _rows(pool: Pool) -> int:
    async with pool.connection() as conn:
        cursor = await conn.execute("select count(*) from checkpoints.memories")
        row = await cursor.fetchone()
    assert row
    return int(row[0])


async def test_the_synchronous_methods_work_in_other_threads(store: PostgresStore) -> None:
    def work() -> Any:
        store.put(("a",), "k", {"n": 1})
        return store.get(("a",), "k"), store.search(("a",)), store.list_namespaces()

    item, found, spaces = await asyncio.to_thread(work)
    assert item.value == found[0].value == {"n": 1}
    assert spaces == [("a",)]
    with pytest.raises(asyncio.InvalidStateError):
        store.get(("a",), "k")


async def test_a_graph_remembers_across_its_threads(store: PostgresStore) -> None:
    class State(TypedDict):
        said: str

    async def remember(state: State, runtime: Runtime[None]) -> State:
        assert runtime.store
        known = await runtime.store.aget(("users", "1"), "said")
        await runtime.store.aput(("users", "1"), "said", {"text": state["said"]})
        return {"said": known.value["text"] if known else ""}

    builder = StateGraph(State)
    builder.add_node(remember)
    builder.add_edge(START, "remember")
    graph = builder.compile(store=store)
    await graph.ainvoke({"said": "I like tea"})
    assert await graph.ainvoke({"said": "hello"}) == {"said": "I like tea"}


async def test_stores_that_open_at_once_make_the_tables_once(shared: Pool) -> None:
    async with AsyncExitStack() as stack:
        opening = (open_store(shared, schema="new", index=indexed()) for _ in range(4))
        stores = await asyncio.gather(*map(stack.enter_async_context, opening))
        await stores[0].aput(("a",), "k", {"n": 1})
        assert all([await store.aget(("a",), "k") for store in stores])


async def test_every_schema_has_memories_of_its_own(shared: Pool) -> None:
    async with open_store(shared, schema="one") as one, open_store(shared, schema="t'w\"o") as two:
        await one.aput(("a",), "k", {})
        assert await two.aget(("a",), "k") is None


async def test_opening_takes_no_right_to_create_where_the_tables_are(
    store: PostgresStore, shared: Pool
) -> None:
    async with shared.connection() as conn, conn.transaction(force_rollback=True):
        await conn.execute("create role reader_only")
        await conn.execute("grant usage on schema checkpoints to reader_only")
        await conn.execute("set local role reader_only")
        cursor = await conn.execute(store._sql["found"], {"schema": "checkpoints"})
        row = await cursor.fetchone()
        assert row
        assert row[:2] == ("checkpoints", "checkpoints.memories")


async def test_a_lost_connection_costs_nothing(store: PostgresStore, shared: Pool) -> None:
    await store.aput(("a",), "k", {"n": 1})
    async with shared.connection() as conn:
        await conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        cursor = await conn.execute("select pg_backend_pid()")
        row = await cursor.fetchone()
    assert row
    async with shared.connection() as conn:
        await conn.execute("select 1")
    assert await store.aget(("a",), "k")


async def test_a_closed_pool_says_so(database_url: str) -> None:
    async with open_postgres(database_url) as storage:
        store = PostgresStore(storage.pool)
    with pytest.raises(Closed):
        await store.aget(("a",), "k")


async def test_a_database_that_is_away_is_unavailable(database_url: str) -> None:
    async with open_postgres(database_url) as storage, open_store(storage.pool) as store:
        name = conninfo_to_dict(database_url)["dbname"]
        admin = make_conninfo(database_url, dbname="postgres")
        async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as conn:
            await conn.execute(f"alter database {name} allow_connections false")
            await conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                [name],
            )
            storage.pool.timeout = 0.5
            with pytest.raises(Unavailable):
                await store.aget(("a",), "k")
            await conn.execute(f"alter database {name} allow_connections true")


def _listens(path: Path) -> bool:
    """A socket is there a moment before anybody listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@pytest.fixture
def bouncer(database_url: str, data_folder: Path, requires: Callable[..., None]) -> Iterator[str]:
    """PgBouncer in transaction mode, with two connections to the server for everybody."""
    requires("pgbouncer")
    known = conninfo_to_dict(database_url)
    data_folder.chmod(0o777)  # it works as another user
    (data_folder / "users.txt").write_text(f'"{known["user"]}" ""\n')
    (data_folder / "bouncer.ini").write_text(
        f"[databases]\n* = host={known['host']} port={known['port']}\n"
        f"[pgbouncer]\nunix_socket_dir = {data_folder}\nlisten_port = 6432\nauth_type = trust\n"
        f"auth_file = {data_folder}/users.txt\npool_mode = transaction\ndefault_pool_size = 2\n"
    )
    command = ["pgbouncer", "-q", "-u", "nobody", str(data_folder / "bouncer.ini")]
    process = subprocess.Popen(command)
    try:
        while not _listens(data_folder / ".s.PGSQL.6432"):
            assert process.poll() is None
            time.sleep(0.01)
        yield make_conninfo(database_url, host=str(data_folder), port="6432")
    finally:
        process.terminate()
        process.wait(10)


async def test_it_works_through_pgbouncer(bouncer: str) -> None:
    async with AsyncExitStack() as stack:
        stores = []
        for _ in range(4):
            storage = await stack.enter_async_context(open_postgres(bouncer, size=3))
            opened = open_store(storage.pool, index=indexed("text"))
            stores.append(await stack.enter_async_context(opened))
        work = [
            store.aput((str(n), str(i)), "k", {"text": "tea", "n": i}, ttl=1)
            for n, store in enumerate(stores)
            for i in range(MANY)
        ]
        await asyncio.gather(*work)
        for n, store in enumerate(stores):
            spaces = [(str(n), str(i)) for i in range(MANY)]
            assert all(await asyncio.gather(*(store.aget(space, "k") for space in spaces)))
            assert all(await asyncio.gather(*(store.asearch(s, query="tea") for s in spaces)))
