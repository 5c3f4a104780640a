"""The storage in Postgres by itself, below any checkpointer."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.base.id import uuid6
from psycopg import AsyncTransaction, sql

from checkpoints.errors import CheckpointError, Closed, InvalidCheckpoint, Unavailable
from checkpoints.postgres import PostgresStorage, open_postgres, thread_key
from checkpoints.records import Put, Query, Refusal, Row
from engine.embedded.place import Place, find_place
from engine.embedded.postgres import Postgres
from engine.embedded.shared import SharedServer

SUPERSEDED, INCOMPLETE = Refusal.SUPERSEDED, Refusal.INCOMPLETE
_schemas = count()


@pytest.fixture
async def schema(postgres_dsn: str) -> AsyncIterator[str]:
    """A name for a schema of this test alone."""
    name = f"storage{next(_schemas)}"
    yield name
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as admin:
        await admin.execute(
            sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(name))
        )


@pytest.fixture
async def storage(postgres_dsn: str, schema: str) -> AsyncIterator[PostgresStorage]:
    async with open_postgres(postgres_dsn, schema=schema, size=4) as storage:
        yield storage


def checkpoint(thread_id: str = "t", **fields: object) -> Put:
    usual = {"ns": "", "checkpoint_id": str(uuid6()), "body": b"body"}
    return Put(**{"thread_id": thread_id, **usual, **fields})  # type: ignore[arg-type]


def writes(upon: Put, nonce: int, **fields: object) -> Put:
    return checkpoint(
        upon.thread_id,
        **{"checkpoint_id": upon.checkpoint_id, "nonce": nonce, "body": b"%d" % nonce, **fields},
    )


async def stored(storage: PostgresStorage, *puts: Put) -> int:
    """Store them; the salt of their thread."""
    outcomes = await storage.write(puts)
    assert not any(isinstance(outcome, Refusal) for outcome in outcomes), outcomes
    return outcomes[-1]  # type: ignore[return-value]


async def latest(storage: PostgresStorage, thread_id: str = "t", ns: str = "") -> Row:
    found = await storage.find(thread_id, ns, None)
    assert found
    return found.row


async def listed(storage: PostgresStorage, query: Query) -> list[Row]:
    return [row async for row in storage.rows(query)]


async def value(storage: PostgresStorage, query: str, *arguments: object) -> object:
    """What the query answers, with `{}` for the schema."""
    async with storage.pool.connection() as conn:
        text = sql.SQL(query).format(*[sql.Identifier(storage.schema)] * query.count("{}"))
        cursor = await conn.execute(text, arguments)
        row = await cursor.fetchone() if cursor.description else None
        return row and row[0]


async def rows_of(storage: PostgresStorage) -> tuple[object, ...]:
    """How many there are of checkpoints, writes, elements and runs."""
    return (
        await value(storage, "select count(*) from {}.checkpoints"),
        await value(storage, "select count(*) from {}.writes"),
        await value(storage, "select count(*) from {}.elements"),
        await value(storage, "select count(*) from {}.runs"),
    )


@asynccontextmanager
async def claiming(storage: PostgresStorage, epoch: int) -> AsyncIterator[AsyncTransaction]:
    """The thread "t" is claimed while inside."""
    async with storage.pool.connection() as conn, conn.transaction() as transaction:
        fence = sql.SQL("select {}.fence('t', %s)").format(sql.Identifier(storage.schema))
        await conn.execute(fence, [epoch])
        yield transaction


@contextmanager
def round_trips(storage: PostgresStorage) -> Iterator[Callable[[], int]]:
    """Counts what is sent over an idle connection: the pool must have but one."""
    with tempfile.NamedTemporaryFile() as file:
        (conn,) = storage.pool._pool
        conn.pgconn.trace(file.fileno())
        yield lambda: Path(file.name).read_text().count("\tF\t4\tSync")
        conn.pgconn.untrace()


async def test_a_checkpoint_is_found_by_its_id_and_as_the_latest(storage: PostgresStorage) -> None:
    first, other = checkpoint(ns="sub:1"), checkpoint(ns="other")
    second = checkpoint(ns="sub:1", parent_id=first.checkpoint_id, body=b"second")
    salt = await stored(storage, second, first, other)
    expected = Row("t", "sub:1", second.checkpoint_id, first.checkpoint_id, b"second", [], salt)
    assert await latest(storage, ns="sub:1") == expected
    found = await storage.find("t", "sub:1", first.checkpoint_id, known="x", epoch=7)
    assert found
    assert found.row == Row("t", "sub:1", first.checkpoint_id, None, b"body", [], salt)
    assert found.elements == {}
    assert await storage.find("t", "", None) is None
    assert await storage.find("t", "other", first.checkpoint_id) is None
    assert await storage.find("u", "other", None) is None


async def test_writes_come_in_the_order_of_their_commits(storage: PostgresStorage) -> None:
    put = checkpoint()
    await stored(storage, put, writes(put, 9), writes(put, 3))
    await stored(storage, writes(put, 5))
    await stored(storage, writes(put, 3, body=b"again"), writes(put, 1))
    assert (await latest(storage)).writes == [b"9", b"3", b"5", b"1"]


async def test_writes_may_come_before_their_checkpoint(storage: PostgresStorage) -> None:
    put = checkpoint()
    await stored(storage, writes(put, 1))
    assert await storage.find("t", "", None) is None
    await stored(storage, put)
    assert (await latest(storage)).writes == [b"1"]


async def test_elements_are_found_by_ranges(storage: PostgresStorage) -> None:
    stream = 2**62 - 1
    elements = {(stream, seq): b"%d" % seq for seq in range(5)} | {(1, 7): b"", (-1, 0): b"x"}
    await stored(storage, checkpoint(elements=elements), checkpoint("u", elements={(1, 1): b"u"}))
    found = await storage.elements("t", [(stream, 1, 3), (stream, 4, 2**31 - 1), (1, 0, 100)])
    assert found == {(stream, 1): b"1", (stream, 2): b"2", (stream, 4): b"4", (1, 7): b""}
    assert await storage.elements("t", [(-1, 0, 1), (5, 0, 1)]) == {(-1, 0): b"x"}
    assert await storage.elements("t", []) == {}
    assert await storage.elements("v", [(1, 0, 100)]) == {}


async def test_a_batch_is_one_transaction_and_every_call_one_round_trip(
    postgres_dsn: str, schema: str
) -> None:
    async with open_postgres(postgres_dsn, schema=schema, size=1) as storage:
        put = checkpoint(elements={(1, 1): b"x"}, run_id="run", epoch=1)
        with round_trips(storage) as trips:
            await stored(storage, put, writes(put, 1), checkpoint("u"))
            assert trips() == 1
            await storage.find("t", "", None)
            assert trips() == 2
            await storage.elements("t", [(1, 0, 3), (2, 0, 3)])
            assert trips() == 3
        transactions = [
            await value(storage, query)
            for query in (
                "select min(xmin::text) from {}.threads having count(*) = 2",
                "select min(xmin::text) from {}.checkpoints having count(*) = 2",
                "select xmin::text from {}.writes",
                "select xmin::text from {}.elements",
                "select xmin::text from {}.runs",
            )
        ]
        assert transactions[0]
        assert len(set(transactions)) == 1


async def test_a_batch_sent_twice_is_stored_once(storage: PostgresStorage) -> None:
    put = checkpoint(elements={(1, 1): b"x"}, run_id="run")
    batch = [writes(put, 1), put, writes(put, 2), put]
    salts = {await stored(storage, *batch) for _ in range(3)}
    assert len(salts) == 1
    assert (await latest(storage)).writes == [b"1", b"2"]
    assert await rows_of(storage) == (1, 2, 1, 1)


async def test_a_checkpoint_put_again_has_its_last_body(storage: PostgresStorage) -> None:
    put = checkpoint(body=b"1")
    again = [checkpoint(checkpoint_id=put.checkpoint_id, body=body) for body in (b"2", b"3")]
    await stored(storage, put, *again)
    assert (await latest(storage)).body == b"3"
    parent = str(uuid6())
    await stored(storage, checkpoint(checkpoint_id=put.checkpoint_id, parent_id=parent, body=b"4"))
    assert (await latest(storage)).body == b"4"
    assert (await latest(storage)).parent_id == parent


async def test_a_failing_batch_stores_nothing(storage: PostgresStorage) -> None:
    unfit = secrets.token_hex(9000)
    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        await storage.write([checkpoint(elements={(1, 1): b"x"}), checkpoint("u", ns=unfit)])
    assert await storage.elements("t", [(1, 1, 2)]) == {}
    assert await listed(storage, Query()) == []


async def test_an_empty_batch_is_nothing(storage: PostgresStorage) -> None:
    assert await storage.write([]) == []


async def test_large_values_survive(storage: PostgresStorage) -> None:
    body, element = bytes(range(256)) * 20_000, b"\xff" * 3_000_000
    await stored(storage, checkpoint(body=body, elements={(1, 0): element}))
    assert (await latest(storage)).body == body
    assert await storage.elements("t", [(1, 0, 1)]) == {(1, 0): element}


async def test_a_lower_epoch_is_superseded(storage: PostgresStorage) -> None:
    await stored(storage, checkpoint(), checkpoint(epoch=5))
    assert await storage.write([checkpoint(epoch=4)]) == [SUPERSEDED]
    await stored(storage, checkpoint(epoch=5), checkpoint(epoch=6))
    assert await storage.write([checkpoint(epoch=5)]) == [SUPERSEDED]
    await stored(storage, checkpoint(), checkpoint(epoch=6))
    assert len(await listed(storage, Query())) == 6


async def test_a_fence_supersedes_and_never_falls(storage: PostgresStorage) -> None:
    fence = "select {}.fence(%s, %s)"
    assert await value(storage, fence, "t", 3) == 3
    assert await value(storage, fence, "t", 2) == 3
    assert await storage.write([checkpoint(epoch=2)]) == [SUPERSEDED]
    await stored(storage, checkpoint(epoch=3))
    assert await value(storage, fence, "t", 2**62) == 2**62
    assert await storage.write([checkpoint(epoch=3)]) == [SUPERSEDED]
    await stored(storage, checkpoint())


async def test_a_write_waits_for_a_claim_under_way_and_is_then_refused(
    storage: PostgresStorage,
) -> None:
    await stored(storage, checkpoint(epoch=1))
    async with claiming(storage, epoch=2):
        late = asyncio.create_task(storage.write([checkpoint("u"), checkpoint(epoch=1)]))
        await stored(storage, checkpoint("v", epoch=1))
        await asyncio.sleep(0.1)
        assert not late.done()
    outcomes = await late
    assert isinstance(outcomes[0], int)
    assert outcomes[1] is SUPERSEDED
    assert len(await listed(storage, Query("t"))) == 1


async def test_a_write_of_a_new_thread_waits_for_its_first_claim(storage: PostgresStorage) -> None:
    async with claiming(storage, epoch=2):
        late = asyncio.create_task(storage.write([checkpoint(epoch=1)]))
        await asyncio.sleep(0.1)
        assert not late.done()
    assert await late == [SUPERSEDED]


async def test_a_claim_that_fails_supersedes_nobody(storage: PostgresStorage) -> None:
    await stored(storage, checkpoint(epoch=1))
    async with claiming(storage, epoch=2) as claim:
        raise psycopg.Rollback(claim)
    await stored(storage, checkpoint(epoch=1))


async def test_nothing_is_written_on_a_snapshot_older_than_the_lock(
    postgres_dsn: str, schema: str
) -> None:
    dsn = psycopg.conninfo.make_conninfo(
        postgres_dsn, options="-c default_transaction_isolation=serializable"
    )
    async with open_postgres(dsn, schema=schema) as storage:
        with pytest.raises(psycopg.errors.RaiseException, match="read committed"):
            await storage.write([checkpoint()])


async def test_what_rests_on_a_salt_of_before_is_incomplete(storage: PostgresStorage) -> None:
    assert await storage.write([checkpoint(salt=0)]) == [INCOMPLETE]
    assert await listed(storage, Query()) == []
    salt = await stored(storage, checkpoint())
    assert await stored(storage, checkpoint(salt=salt)) == salt
    assert await storage.write([checkpoint(salt=salt + 1)]) == [INCOMPLETE]
    assert await stored(storage, checkpoint("u")) != salt
    await storage.remove("t", [], [])
    assert await storage.write([checkpoint(salt=salt)]) == [INCOMPLETE]
    salt = await stored(storage, checkpoint())
    await storage.delete_thread("t")
    assert await storage.write([checkpoint(salt=salt)]) == [INCOMPLETE]


async def test_what_follows_a_refused_put_of_its_thread_is_refused(
    storage: PostgresStorage,
) -> None:
    salt = await stored(storage, checkpoint(), checkpoint("u", epoch=2))
    outcomes = await storage.write(
        [
            checkpoint(epoch=1),
            checkpoint("u", epoch=1),
            checkpoint(salt=salt + 1, epoch=1),
            checkpoint(epoch=1, elements={(1, 1): b"x"}),
            checkpoint("u", epoch=1),
            checkpoint("v", run_id="run"),
            checkpoint("u", epoch=2),
        ]
    )
    assert isinstance(outcomes[0], int)
    assert outcomes[1:5] == [SUPERSEDED, INCOMPLETE, INCOMPLETE, SUPERSEDED]
    assert isinstance(outcomes[5], int)
    assert outcomes[6] is INCOMPLETE, "its own epoch is in order: it may come again, complete"
    assert await storage.elements("t", [(1, 1, 2)]) == {}
    counts = [len(await listed(storage, Query(thread_id))) for thread_id in "tuv"]
    assert counts == [2, 1, 1]


async def test_writers_of_the_same_threads_get_along(
    storage: PostgresStorage, postgres_dsn: str, schema: str
) -> None:
    async with open_postgres(postgres_dsn, schema=schema, size=4) as other:

        async def write(storage: PostgresStorage, turn: int) -> None:
            threads = [f"t{n}" for n in range(12)][:: 1 if turn % 2 else -1]
            await stored(
                storage, *(checkpoint(thread, run_id="run", epoch=turn) for thread in threads)
            )

        for turn in range(20):
            await asyncio.gather(*(write(each, turn) for each in (storage, other) * 2))
    assert len(await listed(storage, Query())) == 12 * 20 * 4


async def test_rows_come_newest_first_within_each_namespace(storage: PostgresStorage) -> None:
    puts = [
        checkpoint(thread_id, ns=ns, body=f"{thread_id}{ns}{n}".encode())
        for n in range(120)
        for thread_id in ("t", "ü")
        for ns in ("", "ns|é")
    ]
    await stored(storage, *puts, writes(puts[0], 7), writes(puts[0], 3))
    rows = await listed(storage, Query())
    assert len(rows) == len(puts)
    for thread_id in ("t", "ü"):
        for ns in ("", "ns|é"):
            bodies = [row.body for row in rows if (row.thread_id, row.ns) == (thread_id, ns)]
            assert bodies == [f"{thread_id}{ns}{n}".encode() for n in reversed(range(120))]
            assert [row.body for row in await listed(storage, Query(thread_id, ns))] == bodies
    assert [row.writes for row in rows if row.writes] == [[b"7", b"3"]]
    assert len({row.salt for row in rows}) == 2


async def test_rows_can_be_narrowed_down(storage: PostgresStorage) -> None:
    puts = [checkpoint(ns=str(n % 2), body=b"%d" % n) for n in range(6)]
    ids = [put.checkpoint_id for put in puts]
    await stored(storage, *puts, checkpoint("u", run_id="run"), checkpoint("v", run_id="run"))

    async def bodies(query: Query) -> list[bytes]:
        return [row.body for row in await listed(storage, query)]

    assert await bodies(Query("t", "0")) == [b"4", b"2", b"0"]
    assert await bodies(Query("t", "0", before=ids[4])) == [b"2", b"0"]
    assert sorted(await bodies(Query(before=ids[2]))) == [b"0", b"1"]
    assert await bodies(Query(checkpoint_id=ids[3])) == [b"3"]
    assert await bodies(Query("t", "0", checkpoint_id=ids[3])) == []
    assert await bodies(Query("t", run_id="run")) == []
    assert await bodies(Query("u", run_id="run")) == [b"body"]
    assert {row.thread_id for row in await listed(storage, Query(run_id="run"))} == {"u", "v"}
    assert await bodies(Query(run_id="no")) == []


async def test_rows_are_fetched_as_they_are_consumed(postgres_dsn: str, schema: str) -> None:
    async with open_postgres(postgres_dsn, schema=schema, size=1) as storage:
        await stored(storage, *(checkpoint() for _ in range(400)))
        with round_trips(storage) as trips:
            rows = storage.rows(Query("t"))
            for _ in range(16):
                await anext(rows)
            assert trips() == 1
            assert (await latest(storage)).thread_id == "t", "no connection is held meanwhile"
            assert len([row async for row in rows]) == 384
            assert trips() == 5


async def test_threads_are_found_by_their_runs(storage: PostgresStorage) -> None:
    await stored(
        storage,
        checkpoint("t", run_id="1"),
        checkpoint("t", run_id="2"),
        checkpoint("u", run_id="2"),
        checkpoint("v", run_id="3"),
    )
    assert sorted(await storage.threads_of_runs(["1", "2", "4"])) == ["t", "u"]
    assert await storage.threads_of_runs([]) == []


async def test_only_what_is_named_is_removed(storage: PostgresStorage) -> None:
    kept, gone, same = checkpoint(), checkpoint(ns="n"), checkpoint(ns="n")
    elements = {(stream, seq): b"x" for stream in (1, 2) for seq in range(4)}
    other = checkpoint("u", ns="n", checkpoint_id=gone.checkpoint_id, elements=elements)
    batch = [kept, checkpoint(elements=elements, checkpoint_id=gone.checkpoint_id), gone, same]
    salt = await stored(storage, *batch, writes(gone, 1, ns="n"), writes(kept, 2))
    others = await stored(storage, other)
    await storage.remove("t", [("n", gone.checkpoint_id), ("x", "no uuid")], [(1, 1, 3), (9, 0, 9)])
    assert await storage.find("t", "n", gone.checkpoint_id) is None
    assert (await latest(storage, ns="n")).checkpoint_id == same.checkpoint_id
    assert len(await listed(storage, Query("t", ""))) == 2
    assert set(await storage.elements("t", [(1, 0, 9), (2, 0, 9)])) == {
        (1, 0), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3)
    }  # fmt: skip
    assert len(await storage.elements("u", [(1, 0, 9), (2, 0, 9)])) == 8
    assert (await latest(storage)).salt != salt
    assert (await latest(storage, "u", "n")).salt == others
    assert await value(storage, "select count(*) from {}.writes") == 1


async def test_a_deleted_thread_leaves_nothing_but_its_epoch(storage: PostgresStorage) -> None:
    for thread_id, epoch in {"t": 4, "u": None, "v": None}.items():
        put = checkpoint(thread_id, elements={(1, 1): b"x"}, run_id="run", epoch=epoch)
        await stored(storage, put, writes(put, 1))
    await storage.delete_thread("t")
    await storage.delete_thread("u")
    await storage.delete_thread("unknown")
    assert await storage.find("t", "", None) is None
    assert await storage.elements("t", [(1, 1, 2)]) == {}
    assert await rows_of(storage) == (1, 1, 1, 1)
    assert await value(storage, "select count(*) from {}.threads") == 2
    assert await storage.write([checkpoint(epoch=3)]) == [SUPERSEDED]


async def test_idle_threads_are_given_oldest_first_and_once(storage: PostgresStorage) -> None:
    for thread_id in ("a", "b", "c"):
        await stored(storage, checkpoint(thread_id))
    await value(storage, "select {}.fence('never written', 1)")
    assert await storage.sweep(3600, 10) == []
    idle = "update {}.threads set touched = now() - %s * interval '1 hour' where thread_id = %s"
    for thread_id, hours in {"a": 2, "b": 3, "c": 4, "never written": None}.items():
        await value(storage, idle, hours, thread_id)
    await stored(storage, checkpoint("b"))
    assert await storage.sweep(3600, 1) == ["c"]
    assert await storage.sweep(3600, 10) == ["a"]
    assert await storage.sweep(3600, 10) == []
    await storage.delete_thread("a")
    await value(storage, idle, 2, "c")
    assert await storage.sweep(3600, 10) == ["c"]


async def test_a_thread_that_wakes_up_is_not_deleted_for_being_idle(
    storage: PostgresStorage,
) -> None:
    await stored(storage, checkpoint("t"), checkpoint("u"), checkpoint("v"))
    await value(storage, "update {}.threads set touched = now() - interval '1 hour'")
    assert sorted(await storage.sweep(60, 10)) == ["t", "u", "v"]
    await stored(storage, checkpoint("t"))
    await storage.delete_thread("t", if_swept=True)
    await storage.delete_thread("u", if_swept=True)
    await storage.delete_thread("unknown", if_swept=True)
    assert {row.thread_id for row in await listed(storage, Query())} == {"t", "v"}


@pytest.mark.parametrize("thread_id", ["", "t", "é", "💡 ü", "a'b\"c\\%", "x" * 2000])
async def test_any_text_can_be_an_id(storage: PostgresStorage, thread_id: str) -> None:
    put = checkpoint(thread_id, ns=thread_id, run_id=thread_id, elements={(1, 1): b"x"})
    await stored(storage, put)
    assert (await latest(storage, thread_id, thread_id)).checkpoint_id == put.checkpoint_id
    assert [row.thread_id for row in await listed(storage, Query(run_id=thread_id))] == [thread_id]
    key = await value(storage, "select replace({}.key(%s)::text, '-', '')", thread_id)
    assert key == thread_key(thread_id)
    await value(storage, "select {}.fence(%s, 2)", thread_id)
    assert await storage.write([checkpoint(thread_id, epoch=1)]) == [SUPERSEDED]


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
async def test_ids_that_are_no_text_are_refused(storage: PostgresStorage, text: str) -> None:
    for put in (checkpoint(text), checkpoint(ns=text), checkpoint(run_id=text)):
        with pytest.raises(InvalidCheckpoint):
            await storage.write([put])
    assert await storage.find(text, "", None) is None
    assert await storage.find("t", text, None) is None
    assert await storage.elements(text, [(1, 1, 2)]) == {}
    assert await storage.threads_of_runs([text]) == []
    for query in (Query(text), Query(ns=text), Query(run_id=text)):
        assert await listed(storage, query) == []
    await storage.remove(text, [("", str(uuid6()))], [])
    await storage.remove("t", [(text, str(uuid6()))], [])
    await storage.delete_thread(text)


@pytest.mark.parametrize("text", ["", "1", str(uuid6()).upper(), "{" + str(uuid6()) + "}"], ids=len)
async def test_checkpoints_are_known_by_uuids_only(storage: PostgresStorage, text: str) -> None:
    for put in (checkpoint(checkpoint_id=text), checkpoint(parent_id=text)):
        with pytest.raises(InvalidCheckpoint):
            await storage.write([put])
    assert await storage.find("t", "", text) is None
    assert await listed(storage, Query(checkpoint_id=text)) == []
    assert await listed(storage, Query(before=text)) == []


async def test_a_schema_may_have_any_name(postgres_dsn: str, schema: str) -> None:
    odd = f'{schema}"; %s {{x}} É'
    try:
        async with open_postgres(postgres_dsn, schema=odd) as storage:
            await stored(storage, checkpoint())
            await latest(storage)
        async with open_postgres(postgres_dsn, schema=schema) as other:
            assert await listed(other, Query()) == []
        async with open_postgres(postgres_dsn, schema=odd) as storage:
            assert len(await listed(storage, Query())) == 1
    finally:
        async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as admin:
            await admin.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(odd)))


async def test_processes_that_start_together_make_one_schema(
    postgres_dsn: str, schema: str
) -> None:
    async with AsyncExitStack() as stack:
        opening = [
            stack.enter_async_context(open_postgres(postgres_dsn, schema=schema, size=1))
            for _ in range(5)
        ]
        for storage in await asyncio.gather(*opening):
            await stored(storage, checkpoint())
        assert len(await listed(storage, Query())) == 5


async def test_a_newer_schema_is_left_alone(storage: PostgresStorage, postgres_dsn: str) -> None:
    await value(storage, "insert into {}.migrations (number, name) values (999, 'next')")
    with pytest.raises(CheckpointError, match="version 999"):
        async with open_postgres(postgres_dsn, schema=storage.schema):
            pass


async def test_using_a_schema_takes_no_right_to_make_one(
    storage: PostgresStorage, postgres_dsn: str
) -> None:
    role = f"{storage.schema}_user"
    await value(storage, f"create role {role} login")
    for right in ("usage on schema {}", "all on all tables in schema {}"):
        await value(storage, f"grant {right} to {role}")
    dsn = psycopg.conninfo.make_conninfo(postgres_dsn, user=role)
    try:
        async with open_postgres(dsn, schema=storage.schema, size=1) as theirs:
            await stored(theirs, checkpoint())
            await theirs.delete_thread("t")
    finally:
        await value(storage, f"drop owned by {role}")
        await value(storage, f"drop role {role}")


async def test_connections_that_the_server_ended_are_not_used(
    storage: PostgresStorage, postgres_dsn: str
) -> None:
    async with AsyncExitStack() as stack:  # held at once, so that there are several
        opened = [await stack.enter_async_context(storage.pool.connection()) for _ in range(3)]
        pids = [conn.info.backend_pid for conn in opened]
    async with await psycopg.AsyncConnection.connect(postgres_dsn) as admin:
        await admin.execute("select pg_terminate_backend(pid, 5000) from unnest(%s) pid", [pids])
    for _ in range(6):
        await stored(storage, checkpoint())
    assert len(await listed(storage, Query())) == 6


async def test_a_connection_lost_under_way_is_unavailable(storage: PostgresStorage) -> None:
    end = "select pg_terminate_backend(pid, 5000) from pg_locks where not granted"
    async with claiming(storage, epoch=2):
        waiting = asyncio.create_task(storage.write([checkpoint()]))
        await asyncio.sleep(0.1)
        await value(storage, end)
        with pytest.raises(Unavailable):
            await waiting
    await stored(storage, checkpoint())


@contextmanager
def serving(place: Place) -> Iterator[str]:
    """A server of our own, stopped at the end, its data kept."""
    postgres = Postgres(fsync=False)
    shared = SharedServer(place, postgres)
    try:
        shared.acquire()
        yield postgres.url(shared.sockets)
    finally:
        shared.release()


async def test_a_restart_of_the_server_is_survived(data_folder: Path) -> None:
    place = find_place(data_folder)
    async with AsyncExitStack() as stack:
        with serving(place) as dsn:
            storage = await stack.enter_async_context(open_postgres(dsn, size=4))
            await asyncio.gather(*(stored(storage, checkpoint(str(n))) for n in range(8)))
        storage.pool.timeout = 1.0
        with pytest.raises(Unavailable):
            await storage.write([checkpoint()])
        with pytest.raises(Unavailable):
            await storage.find("t", "", None)
        storage.pool.timeout = 10.0
        with serving(place):
            await asyncio.gather(*(stored(storage, checkpoint(str(n))) for n in range(8)))
            assert len(await listed(storage, Query())) == 16
        with serving(place):
            await stored(storage, checkpoint())


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        async with open_postgres(f"host={tmp_path}"):
            pass


async def test_a_closed_storage_says_so(postgres_dsn: str, schema: str) -> None:
    async with open_postgres(postgres_dsn, schema=schema) as storage:
        pass
    with pytest.raises(Closed):
        await storage.write([checkpoint()])
