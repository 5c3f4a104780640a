"""Find the passages that can answer the question, and keep only their telling sentences."""

from dataclasses import dataclass

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from engine.knowledge.compress import compress
from nodes.caller import caller, context_of
from nodes.resources import Provider
from nodes.state import Evidence, State, Update
from tools import Context


@dataclass(frozen=True)
class Retrieve:
    """Hybrid search over what this caller may read, compressed to a share of the prompt."""

    open: Provider

    async def __call__(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        resources = await self.open()
        who = caller(config, resources.settings)
        query = question(state)
        found = await resources.knowledge.search(
            query,
            tenant=who.tenant,
            permissions=who.permissions,
            locale=context_of(runtime).locale,
            k=resources.settings.passages,
        )
        kept = await compress(
            query, found, resources.encoder, budget_tokens=resources.settings.prompt_tokens // 3
        )
        return {
            "passages": [
                Evidence(id=p.id, document=p.document, title=p.heading, url=p.url, text=p.text)
                for p in kept
            ]
        }


def question(state: State) -> str:
    """The last message; a very short one is read together with the one before it."""
    said = [message.text for message in state.messages if isinstance(message, HumanMessage)]
    return " ".join(said[-2:]) if len(said[-1].split()) < 4 else said[-1]
