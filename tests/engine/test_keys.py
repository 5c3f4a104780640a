"""API keys in the database."""

import pytest

from engine.database import Pool, fetch_all, migrate
from engine.errors import BadRequest, NotFound
from engine.ids import new_id
from engine.keys import ApiKeys


@pytest.fixture
async def known(pool: Pool) -> ApiKeys:
    await migrate(pool, "engine")
    return ApiKeys(pool, known_seconds=0.0)


async def test_a_key_is_found_by_its_secret_alone(known: ApiKeys, pool: Pool) -> None:
    assert not await known.exist()
    assert not await known.ever_made()
    made, secret = await known.create("shop back end", tenant="acme", scopes=["runs:write"])
    other, _ = await known.create("widget", tenant="acme", kind="public")
    found = await known.find(secret)
    assert found == made
    assert await known.find(made.hint) is None
    assert await known.find(str(other.key_id)) is None
    caller = made.caller()
    assert (caller.tenant, caller.trusted, caller.scopes) == ("acme", True, {"runs:write"})
    async with pool.connection() as conn:
        rows = await fetch_all(conn, "select * from frontdesk.keys", {})
    assert secret not in str(rows)
    assert [key.name for key in await known.listed()] == ["shop back end", "widget"]


async def test_a_revoked_or_expired_key_opens_nothing(known: ApiKeys, pool: Pool) -> None:
    made, secret = await known.create("a")
    _, short = await known.create("b", days=0)
    assert await known.find(short) is None
    await known.revoke(made.key_id)
    assert await known.find(secret) is None
    assert not await known.exist()
    assert await known.ever_made()
    for key_id in (made.key_id, new_id()):
        with pytest.raises(NotFound, match="no valid key"):
            await known.revoke(key_id)
    async with pool.connection() as conn:
        rows = await fetch_all(conn, "select action from frontdesk.audit order by id", {})
    assert [row["action"] for row in rows] == ["key.created", "key.created", "key.revoked"]


async def test_keys_are_read_once_in_a_while(known: ApiKeys, pool: Pool) -> None:
    made, secret = await known.create("a")
    remembering = ApiKeys(pool, known_seconds=600.0)
    assert await remembering.find(secret)
    await known.revoke(made.key_id)
    assert await remembering.find(secret)
    assert await known.find(secret) is None


async def test_a_key_that_makes_no_sense_is_refused(known: ApiKeys) -> None:
    with pytest.raises(BadRequest, match=r"Unknown scopes \['runs:everything'\].*runs:write"):
        await known.create("a", scopes=["runs:everything"])
    with pytest.raises(BadRequest, match="one customer"):
        await known.create("a", customer_id="c-1")
    with pytest.raises(BadRequest, match="name"):
        await known.create(" ")
    made, _ = await known.create("a", kind="user", customer_id="c-1")
    assert (made.caller().alone, made.caller().customer_id) == (True, "c-1")
