"""The demo company and its knowledge base: loaded into an empty database, never over anything."""

from pathlib import Path

from engine.knowledge import Knowledge
from graphs import ingest
from nodes.ingest.state import Input
from nodes.resources import Resources
from tools._crm.demo import company
from tools._crm.importer import import_company

TENANT = "default"


async def load(resources: Resources) -> None:
    """Load what is missing. Processes that start together may both: it comes to the same."""
    if not resources.settings.demo:
        return
    if await resources.crm.is_empty(TENANT):
        await import_company(resources.pool, TENANT, company())
    if await resources.knowledge.version(TENANT):
        return

    async def knowledge() -> Knowledge:
        return resources.knowledge

    folder = Path(__file__).parent
    graph = ingest.build(knowledge, root=folder).compile()
    await graph.ainvoke(Input(path=str(folder), tenant=TENANT, source="demo"))
