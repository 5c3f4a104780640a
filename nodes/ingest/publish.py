"""Show the new version to readers."""

from dataclasses import dataclass

from langchain_core.runnables import RunnableConfig
from langgraph.types import StreamWriter

from nodes.ingest.state import Open, Problem, State, Update, tenant_of


@dataclass(frozen=True)
class Publish:
    """Publishes at once; an ingest that found no document at all changes nothing."""

    knowledge: Open

    async def __call__(
        self, state: State, *, config: RunnableConfig, writer: StreamWriter
    ) -> Update:
        knowledge = await self.knowledge()
        tenant = tenant_of(state, config)
        stage = knowledge.stage(state.stage, tenant)
        if not state.documents:
            await stage.abandon()
            nothing = Problem(file=state.source, reason="no document found: nothing was published")
            return {
                "version": await knowledge.version(tenant),
                "problems": [*state.problems, nothing],
            }
        published = await stage.publish()
        writer({"step": "publish", "done": 1, "total": 1, "file": state.source})
        return {"version": published.version, "removed": published.removed}
