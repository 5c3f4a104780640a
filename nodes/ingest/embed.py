"""Give every new passage its vector."""

from dataclasses import dataclass

from langchain_core.runnables import RunnableConfig
from langgraph.types import StreamWriter

from nodes.ingest.state import Open, State, Update, tenant_of

_BATCH = 8


@dataclass(frozen=True)
class Embed:
    """Embeds document by document; a killed ingest goes on with what is missing."""

    knowledge: Open

    async def __call__(
        self, state: State, *, config: RunnableConfig, writer: StreamWriter
    ) -> Update:
        stage = (await self.knowledge()).stage(state.stage, tenant_of(state, config))
        done, total = 0, (await stage.progress()).split
        chunks = 0
        while drafts := await stage.waiting("split", _BATCH):
            chunks += await stage.embed(drafts)
            for draft in drafts:
                done += 1
                writer({"step": "embed", "done": done, "total": total, "file": draft.file})
        return {"chunks": chunks}
