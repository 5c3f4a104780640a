"""The storage in Postgres behind PgBouncer in transaction mode."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.base.id import uuid6
from psycopg.conninfo import conninfo_to_dict

from checkpoints.postgres import PostgresStorage, open_postgres
from checkpoints.records import Put, Query, Refusal
from engine.embedded.place import Place

pytestmark = pytest.mark.requires("pgbouncer")

SERVERS = 3  # sessions that all clients share


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def started(place: Place, folder: Path, port: int, database_url: str) -> subprocess.Popen[bytes]:
    """As the account of the database server, whose socket is its own."""
    target = conninfo_to_dict(database_url)
    database = " ".join(f"{name}={target[name]}" for name in ("host", "port", "dbname", "user"))
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"""[databases]
bounced = {database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {SERVERS}
server_reset_query =
"""
    )
    user, group = place.user or (None, None)
    program = shutil.which("pgbouncer")
    assert program
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [program, str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )


async def answers(dsn: str) -> bool:
    try:
        async with await psycopg.AsyncConnection.connect(dsn, prepare_threshold=None) as conn:
            await conn.execute("select 1")
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
async def bouncer(place: Place, data_folder: Path, database_url: str) -> AsyncIterator[str]:
    """Where it listens, in front of an empty database."""
    port = free_port()
    dsn = f"postgresql://anybody@127.0.0.1:{port}/bounced"
    process = started(place, data_folder, port, database_url)
    try:
        async with asyncio.timeout(20):
            while not await answers(dsn):
                assert process.poll() is None, (data_folder / "log").read_text()
                await asyncio.sleep(0.05)
        yield dsn
    finally:
        process.kill()
        process.wait()


def turn(thread_id: str, seq: int, salt: int | None) -> Iterator[Put]:
    id_ = str(uuid6())
    yield Put(thread_id, "", id_, b"writes", nonce=seq + 1)
    yield Put(thread_id, "", id_, b"%d" % seq, elements={(1, seq): b"x"}, run_id="run", salt=salt)


async def converse(storage: PostgresStorage, thread_id: str, turns: int) -> None:
    salt = None
    for seq in range(turns):
        outcomes = await storage.write(list(turn(thread_id, seq, salt)))
        assert not any(isinstance(outcome, Refusal) for outcome in outcomes)
        found = await storage.find(thread_id, "", None)
        assert found
        assert (found.row.body, found.row.writes) == (b"%d" % seq, [b"writes"])
        salt = found.row.salt
    assert len(await storage.elements(thread_id, [(1, 0, turns)])) == turns


async def soil(dsn: str, stop: asyncio.Event) -> None:
    """Another client of the same sessions, who leaves them otherwise than it found them."""
    async with await psycopg.AsyncConnection.connect(
        dsn, autocommit=True, prepare_threshold=None
    ) as conn:
        while not stop.is_set():
            await conn.execute("set search_path to nowhere")
            await conn.execute("set timezone to 'Asia/Kolkata'")
            await conn.execute("set bytea_output to 'escape'")
            await asyncio.sleep(0.001)
            await conn.execute("discard all")


async def test_many_clients_share_few_sessions_and_rely_on_nothing_in_them(
    bouncer: str, database_url: str
) -> None:
    stop = asyncio.Event()
    soiling = asyncio.create_task(soil(bouncer, stop))
    async with AsyncExitStack() as stack:
        opening = [
            stack.enter_async_context(open_postgres(bouncer, schema="behind", size=2))
            for _ in range(8)
        ]
        storages = await asyncio.gather(*opening)
        await asyncio.gather(
            *(
                converse(storage, f"t{client} {conversation}", turns=12)
                for client, storage in enumerate(storages)
                for conversation in range(2)
            )
        )
        rows = [row async for row in storages[0].rows(Query(run_id="run"))]
        assert len(rows) == 8 * 2 * 12
        await storages[1].remove("t0 0", [], [(1, 0, 1)])
        await storages[2].delete_thread("t1 0")
        assert len(await storages[3].threads_of_runs(["run"])) == 15
        stop.set()
        await soiling
        async with await psycopg.AsyncConnection.connect(database_url) as direct:
            sessions = await direct.execute(
                "select count(*) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
            assert await sessions.fetchone() == (SERVERS,)


async def test_a_claim_fences_through_it(bouncer: str) -> None:
    async with open_postgres(bouncer, schema="behind", size=2) as storage:
        put = Put("t", "", str(uuid6()), b"body", epoch=1)
        await storage.write([put])
        async with storage.pool.connection() as conn, conn.transaction():
            await conn.execute("select behind.fence('t', 2)")
            late = asyncio.create_task(storage.write([put]))
            await asyncio.sleep(0.1)
            assert not late.done()
        assert await late == [Refusal.SUPERSEDED]
