"""Carry out tool calls: reads at once and together, writes only as proposals to confirm."""

from asyncio import gather
from dataclasses import dataclass, replace

from langchain_core.messages import AIMessage, AnyMessage, ToolCall
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from engine.errors import Refused
from nodes.caller import context_of, identity, run_for
from nodes.resources import Provider, Resources
from nodes.state import Proposal, State, Update
from tools import Context, Receipt, Run
from tools._runtime import Outcome, to_message


@dataclass(frozen=True)
class Crm:
    """Execute the calls of the last message, or those that `classify` planned."""

    open: Provider

    async def __call__(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        resources = await self.open()
        calls: list[ToolCall] = state.reads or asked(state)  # type: ignore[assignment]
        planned: list[AnyMessage] = (
            [AIMessage("", tool_calls=calls, id=f"reads-{calls[0]['id']}")] if state.reads else []
        )
        run = await run_for(resources, config, context_of(runtime))
        ask = [call for call in calls if must_confirm(resources, call)]
        results = await gather(*(work(resources, call, run) for call in calls if call not in ask))
        proposals, refused = await propose(resources, ask, run)
        update: Update = {
            "messages": [*planned, *(message for message, _ in results), *refused],
            "reads": [],
            "effects": [*state.effects, *(receipt for _, receipt in results if receipt)],
            "pending": proposals,
        }
        if proposals:
            update["messages"].append(AIMessage(question(proposals), id=f"ask-{ask[0]['id']}"))
        # A lookup may have bound the customer just now.
        return update | {"identity": await identity(resources, config, context_of(runtime))}


def asked(state: State) -> list[ToolCall]:
    """The tool calls of the last message that have no answer yet."""
    last = state.messages[-1]
    return last.tool_calls if isinstance(last, AIMessage) else []


def must_confirm(resources: Resources, call: ToolCall) -> bool:
    """Whether this call changes something that the customer has to agree to first."""
    tool = resources.toolbox.tools.get(call["name"])
    return tool is not None and tool.write and tool.confirm


async def work(resources: Resources, call: ToolCall, run: Run) -> tuple[AnyMessage, Receipt | None]:
    """Invoke one call: its message for the model, and the receipt of a write."""
    outcome = await resources.toolbox.invoke(call, _for(run, call))
    return to_message(call, outcome), outcome.receipt


async def propose(
    resources: Resources, calls: list[ToolCall], run: Run
) -> tuple[list[Proposal], list[AnyMessage]]:
    """What each write would do, and the messages of those that policy refuses."""
    proposals: list[Proposal] = []
    refused: list[AnyMessage] = []
    for call in calls:
        try:
            preview = await resources.toolbox.preview(call, _for(run, call))
        except Refused as error:
            refused.append(to_message(call, Outcome(error=str(error))))
            continue
        again = " (This was already done once in this conversation.)" if preview.repeats else ""
        proposals.append(
            Proposal(
                call_id=str(call["id"]), tool=call["name"], args=call["args"],
                text=preview.text + again,
            )
        )  # fmt: skip
    return proposals, refused


def _for(run: Run, call: ToolCall) -> Run:
    return replace(run, call_id=str(call["id"]))


def question(proposals: list[Proposal]) -> str:
    """Exactly what will happen, for a yes or a no."""
    if len(proposals) == 1:
        return f"Please confirm: {proposals[0]['text'].rstrip('.')}. Shall I go ahead (yes or no)?"
    lines = "\n".join(f"- {proposal['text'].rstrip('.')}." for proposal in proposals)
    return f"Please confirm all of this:\n{lines}\nShall I go ahead (yes or no)?"
