"""Fold old turns into the summary, so that the prompt stays bounded however long this goes on."""

from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from nodes.prompt import instructions, tokens, turns
from nodes.resources import Provider
from nodes.state import State, Update
from nodes.unheard import unheard
from nodes.usage import spent_on
from tools import Context

SHARE = 2
"""Turns may take 1/SHARE of the prompt before old ones are folded."""
SUMMARY_CHARS = 1_500


@dataclass(frozen=True)
class Remember:
    """Summarise what no longer fits; facts (identity, receipts) are kept apart and never folded."""

    open: Provider

    async def __call__(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        resources = await self.open()
        old = overflowing(state, resources.settings.prompt_tokens // SHARE)
        if not old:
            return {}
        folded = state.summarised + sum(len(turn) for turn in old)
        if resources.small is None:
            return {"summary": extract(state.summary, old), "summarised": folded}
        text = "\n".join(line for turn in old for line in _lines(turn))
        asked = HumanMessage(f"Summary so far:\n{state.summary}\n\nTurns to add:\n{text}")
        with unheard() as quiet:
            said = await resources.small.ainvoke(
                [SystemMessage(instructions("remember")), asked], quiet
            )
        usage = spent_on(resources.settings.small_model, AIMessage(**said.model_dump()), config)
        return {"summary": said.text[:SUMMARY_CHARS], "summarised": folded, "usage": usage}


def unfolded(state: State) -> list[list[BaseMessage]]:
    """The turns that the summary does not stand for yet."""
    left, groups = state.summarised, turns(state.messages)
    while groups and left >= len(groups[0]):
        left -= len(groups.pop(0))
    return groups


def overflowing(state: State, budget: int) -> list[list[BaseMessage]]:
    """The oldest of those turns, as many as exceed `budget` tokens; the last two always stay."""
    groups = unfolded(state)
    costs = [sum(tokens(message.text) for message in turn) for turn in groups]
    if sum(costs) <= budget:
        return []
    cut = 0
    while cut < len(groups) - 2 and sum(costs[cut:]) > budget // 2:
        cut += 1
    return groups[:cut]


def extract(summary: str, old: list[list[BaseMessage]]) -> str:
    """Without a model: what was asked and what came of it, the newest lines kept."""
    lines = [*summary.splitlines(), *(line for turn in old for line in _lines(turn))]
    while len("\n".join(lines)) > SUMMARY_CHARS and len(lines) > 1:
        lines.pop(0)
    return "\n".join(lines)[:SUMMARY_CHARS]


def _lines(turn: list[BaseMessage]) -> list[str]:
    words = {HumanMessage: "Customer", ToolMessage: "Result", AIMessage: "Desk"}
    return [
        f"{words[type(message)]}: {' '.join(message.text.split())[:200]}"
        for message in turn
        if message.text and type(message) in words
    ]
