"""Ask the customer before a write, and do exactly what was asked."""

from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from engine.errors import Refused
from nodes.caller import context_of, run_for
from nodes.crm import question, work
from nodes.identify import decision
from nodes.resources import Provider, Resources
from nodes.state import Proposal, State, Update
from tools import Context, Receipt, Run

DECLINED = "Not done: the customer said no. Nothing was changed."
WITHDRAWN = "Not done: the customer wrote something else instead of confirming."
CHANGED = "Not done: what this would do has changed since it was confirmed. Propose it again."


@dataclass(frozen=True)
class Confirm:
    """Wait for a yes or a no: by a resume, or by the message that `identify` heard."""

    open: Provider

    async def __call__(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        answer: Any = state.decision or interrupt(
            {"question": question(state.pending), "actions": state.pending}
        )
        word = heard(answer)
        if word == "yes":
            return await self._carry_out(state, config, runtime)
        if word == "no":
            return _settled(state, DECLINED)
        update = _settled(state, WITHDRAWN)
        if isinstance(answer, str):
            update["messages"].append(HumanMessage(answer))
        return update

    async def _carry_out(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        resources = await self.open()
        messages: list[AnyMessage] = []
        receipts: list[Receipt] = []
        run = await run_for(resources, config, context_of(runtime))
        for proposal in state.pending:
            message, receipt = await _execute(
                resources, proposal, replace(run, call_id=proposal["call_id"])
            )
            messages.append(message)
            receipts += [receipt] if receipt else []
        return {
            "pending": [],
            "decision": None,
            "messages": messages,
            "effects": [*state.effects, *receipts],
        }


def heard(answer: Any) -> str | None:
    """`yes`, `no` or None from a resume value: a bool, a word, or an object holding one."""
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    if isinstance(answer, str):
        return decision(answer)
    if isinstance(answer, dict):
        return next((word for word in map(heard, answer.values()) if word), None)
    return None


async def _execute(
    resources: Resources, proposal: Proposal, run: Run
) -> tuple[AnyMessage, Receipt | None]:
    """Do it if it still does what the customer agreed to; a receipt in the ledger answers first."""
    call = ToolCall(name=proposal["tool"], args=proposal["args"], id=proposal["call_id"])
    done = await resources.toolbox.receipts(run.thread_id, run.tenant)
    known = {receipt["key"] for receipt in done}
    if run.idempotency_key not in known:
        try:
            preview = await resources.toolbox.preview(call, run)
        except Refused as error:
            return _not_done(proposal, str(error)), None
        if not proposal["text"].startswith(preview.text):
            return _not_done(proposal, CHANGED), None
    return await work(resources, call, run)


def _settled(state: State, why: str) -> Update:
    messages: list[AnyMessage] = [_not_done(proposal, why) for proposal in state.pending]
    return {"pending": [], "decision": None, "messages": messages}


def _not_done(proposal: Proposal, why: str) -> ToolMessage:
    return ToolMessage(why, name=proposal["tool"], tool_call_id=proposal["call_id"], status="error")
