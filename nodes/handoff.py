"""Give the conversation to a human: a typed action with its ticket, once."""

from dataclasses import dataclass, replace
from uuid import uuid4

from langchain_core.messages import AIMessage, HumanMessage, ToolCall
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from nodes.caller import context_of, run_for
from nodes.resources import Provider
from nodes.state import Action, State, Update, Verdict
from nodes.usage import run_id
from tools import Context

HANDED = "I am sorry, I cannot answer this reliably, so I have handed it over to a human colleague."
ALONE = "I am sorry, I cannot answer this reliably. Please contact our support team directly."


@dataclass(frozen=True)
class Handoff:
    """Open a ticket through the same tool, ledger and receipt as any other write."""

    open: Provider

    async def __call__(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        resources = await self.open()
        said = next(m.text for m in reversed(state.messages) if isinstance(m, HumanMessage))
        # One call id for each run: a run that is killed here and resumed opens one ticket.
        call_id = f"handoff-{run_id(config)}"
        call = ToolCall(name="hand_off", args={"summary": said[:500]}, id=call_id)
        run = await run_for(resources, config, context_of(runtime))
        outcome = await resources.toolbox.invoke(call, replace(run, call_id=call_id))
        reason = state.rejections[-1] if state.rejections else "asked for"
        verdict = Verdict(
            accepted=True, layers=["fixed"], reason=reason, drafts=len(state.rejections)
        )
        answer = AIMessage(
            HANDED if outcome.receipt else ALONE,
            id=f"reply-{uuid4()}",
            additional_kwargs={"citations": [], "verdict": verdict},
        )
        return {
            "messages": [answer],
            "actions": [Action(kind="handoff", reason=reason, receipt=outcome.receipt)],
            "effects": [*state.effects, *([outcome.receipt] if outcome.receipt else [])],
            "citations": [],
            "verdict": verdict,
            "open_request": None,
        }
