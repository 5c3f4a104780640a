"""Our own graphs, opened for the server."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from langgraph.graph.state import StateGraph

from engine.analytics import Analytics
from engine.database import Pool
from engine.embedded import Servers
from engine.graphs import Admit
from engine.knowledge import Knowledge
from engine.outbox import Follower
from engine.settings import Settings
from engine.summaries import Summaries
from graphs import demo, ingest, support
from nodes.digest import digest
from nodes.guard import admitted
from nodes.resources import Resources, open_resources
from tools._crm import PostgresCrm
from tools._crm.records import Conversation

DOORS: Mapping[str, Admit] = {"support": admitted}
_SUMMARY_DELAY = 30.0  # seconds: messages in a row make one summary


def followers(pool: Pool, delay: float = _SUMMARY_DELAY) -> Mapping[str, Follower]:
    """What follows our runs: their numbers; a summary of the conversation, which the CRM gets."""
    summaries = Summaries(pool, digest, next_job="crm_sync")

    async def sync(*, thread_id: str, **_: Any) -> None:
        if summary := await summaries.get(thread_id):
            conversation = Conversation(
                str(summary.thread_id),
                summary.version,
                summary.intent,
                summary.outcome,
                summary.text,
            )
            await PostgresCrm(pool).upsert_conversation(summary.tenant, conversation)

    return {
        "analytics": Analytics(pool).follower,
        "summary": summaries.follower(frozenset({"support"}), delay),
        "crm_sync": Follower(sync, graphs=frozenset()),  # follows summaries, not runs
    }


@asynccontextmanager
async def open_desk(
    settings: Settings, servers: Servers, pool: Pool
) -> AsyncIterator[Mapping[str, "StateGraph[Any, Any, Any, Any]"]]:
    """Support and ingest. Over the API only files below `FRONTDESK_DATA/documents` are ingested."""
    async with open_resources(settings, pool, servers.database_url, demo.load) as resources:

        async def provide() -> Resources:
            return resources

        async def knowledge() -> Knowledge:
            return resources.knowledge

        yield {
            "support": support.build(provide),
            "ingest": ingest.build(knowledge, root=settings.data / "documents"),
        }
