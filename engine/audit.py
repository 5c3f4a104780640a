"""The audit: who did what, in the transaction that does it. Its rows are never changed."""

from collections.abc import Mapping
from typing import Any

from engine.database import Connection
from engine.serialise import column

_INSERT = """
insert into frontdesk.audit (tenant, actor, action, thread_id, run_id, detail)
values (%(tenant)s, %(actor)s, %(action)s, %(thread_id)s, %(run_id)s, %(detail)s::jsonb)
"""


async def record(
    conn: Connection,
    *,
    tenant: str,
    actor: str,
    action: str,
    thread_id: str | None = None,
    run_id: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add a row to `frontdesk.audit`, which also has `id` and `at`.

    `actor` is the identity of a key, `run` or `operator`; `action` such as `effect.done`, `run.
    created`; `detail` holds ids and names, none of the customer's words. The columns may as well
    be filled by the statement that does the thing.
    """
    args = {
        "tenant": tenant,
        "actor": actor,
        "action": action,
        "thread_id": thread_id,
        "run_id": run_id,
        "detail": column(detail or {}),
    }
    await conn.execute(_INSERT, args)
