from dataclasses import replace
from typing import Any
from uuid import uuid4

from engine.database import fetch_all
from tools._crm import PostgresCrm
from tools._crm.records import Conversation


async def test_a_conversation_is_one_row_that_never_goes_back(shop: Any) -> None:
    crm, thread_id = PostgresCrm(shop.pool), str(uuid4())
    await shop.identities.of(shop.tenant, thread_id, "ada_1")
    first = Conversation(thread_id, 1, "track_order", "answered", "Where is it?")
    third = replace(first, version=3, outcome="handed over")
    for state in (first, third, replace(first, version=2), first, third):
        await crm.upsert_conversation(shop.tenant, state)
    sql = "select version, customer_id, outcome from crm.conversations where external_id = %(id)s"
    async with shop.pool.connection() as conn:
        rows = await fetch_all(conn, sql, {"id": thread_id})
    assert rows == [{"version": 3, "customer_id": "ada_1", "outcome": "handed over"}]
