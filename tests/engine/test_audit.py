import psycopg
import pytest

from engine.audit import record
from engine.database import Pool, fetch_all

RAISED = {"tenant": "acme", "actor": "run", "action": "effect.done", "thread_id": "t1"}


async def rows(pool: Pool) -> list[tuple[str, str, dict[str, str]]]:
    async with pool.connection() as conn:
        found = await fetch_all(conn, "select * from frontdesk.audit order by id", {})
    return [(row["actor"], row["action"], row["detail"]) for row in found]


async def test_a_deed_and_its_row_are_one_transaction(migrated: Pool) -> None:
    async with migrated.connection() as conn:
        async with conn.transaction(force_rollback=True):
            await record(conn, **RAISED)
        async with conn.transaction():
            await record(conn, **RAISED, detail={"tool": "pay"})
    assert await rows(migrated) == [("run", "effect.done", {"tool": "pay"})]


@pytest.mark.parametrize(
    "change",
    [
        "update frontdesk.audit set actor = 'nobody'",
        "delete from frontdesk.audit",
        "truncate frontdesk.audit",
    ],
)
async def test_what_was_written_stays(migrated: Pool, change: str) -> None:
    async with migrated.connection() as conn:
        await record(conn, **RAISED)
        with pytest.raises(psycopg.errors.RaiseException, match="only added to"):
            await conn.execute(change)
    assert await rows(migrated) == [("run", "effect.done", {})]
