"""Who is asking: binds the customer to the thread and reads what was already done for them."""

import re
from dataclasses import dataclass

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from engine.errors import Refused
from nodes.caller import caller, context_of, identity, thread_id
from nodes.resources import Provider
from nodes.state import State, Update
from tools import Context

_YES = re.compile(
    r"(?i)^\W*(yes|yep|yeah|yup|y|ok|okay|sure|confirm(ed)?|correct|go ahead|do it|please do|"
    r"i confirm|that'?s (right|correct|fine)|sounds good|proceed)\b[\s,.!]*"
    r"(please|thanks|thank you|go ahead|do it|i confirm|confirm(ed)?|that'?s (right|correct|fine)|"
    r"proceed|sir|you can|[\s,.!])*$"
)
_NO = re.compile(
    r"(?i)^\W*(no|nope|nah|n|don'?t|do not|stop|cancel that|never ?mind|not now|abort)\b[\s,.!]*"
    r"(thanks|thank you|please|don'?t|do not|do it|do that|never ?mind|leave it|stop|[\s,.!])*$"
)


@dataclass(frozen=True)
class Identify:
    """Mirror the bound identity and the effect ledger into state; hear an answer to a proposal."""

    open: Provider

    async def __call__(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        resources = await self.open()
        try:
            known = await identity(resources, config, context_of(runtime))
        except Refused:
            return {"refusal": "other_customer", "pending": []}
        tenant = caller(config, resources.settings).tenant
        effects = await resources.toolbox.receipts(thread_id(config), tenant)
        update: Update = {"identity": known, "effects": effects}
        if state.pending:
            answer = decision(state.messages[-1].text)
            # Neither: withdrawn. Its call stays without an answer, and prompts leave such out.
            update |= {"decision": answer} if answer else Update(pending=[])
        return update


def decision(text: str) -> str | None:
    """`yes` or `no` when a message says just that, else None."""
    if _YES.match(text):
        return "yes"
    return "no" if _NO.match(text) else None
