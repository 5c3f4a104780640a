"""Short paths that need no model: small talk, out of scope, refusals, the safe answer."""

import re
from dataclasses import dataclass
from uuid import uuid4

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from nodes.resources import Provider
from nodes.state import State, Update, Verdict
from tools import Context

REFUSALS = {
    "empty": "I did not get a message. What can I do for you?",
    "too_long": "That message is too long for me. Could you tell me the main point in a few lines?",
    "other_customer": "This conversation belongs to another customer. Please start a new one.",
}
OUT_OF_SCOPE = (
    "I am sorry, that is nothing I can help with. I can answer questions about our shop, "
    "and look after your orders, returns and account."
)
SAFE = (
    "I am sorry, I could not put together an answer that I can vouch for. "
    "Could you ask it in other words, or shall I hand you over to a human?"
)
_SMALL_TALK: tuple[tuple[str, str], ...] = (
    (r"\b(thanks?|thank you|thx|cheers|appreciate)\b", "You are welcome! Anything else?"),
    (r"\b(bye|goodbye|see you|good night|have a (nice|good|great))\b", "Goodbye, and take care!"),
    (r"\b(bot|robot|human|real person|machine|ai)\b",
     "I am an automated assistant. I can hand you over to a human whenever you ask."),
    (r"\bhow are you\b|\bhow('s| is) it going\b", "All is well here, thank you! How can I help?"),
)  # fmt: skip
_GREETING = "Hello! How can I help you today?"


@dataclass(frozen=True)
class Reply:
    """Answer with a fixed sentence."""

    open: Provider

    async def __call__(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        verdict = Verdict(
            accepted=True, layers=["fixed"], reason=None, drafts=len(state.rejections)
        )
        answer = AIMessage(
            sentence(state),
            id=f"reply-{uuid4()}",
            additional_kwargs={"citations": [], "verdict": verdict},
        )
        return {"messages": [answer], "citations": [], "verdict": verdict}


def sentence(state: State) -> str:
    """The sentence for this state."""
    if state.refusal:
        return REFUSALS[state.refusal]
    if state.rejections:
        return SAFE
    if state.request and state.request["out_of_scope"]:
        return OUT_OF_SCOPE
    said = state.messages[-1].text
    return next(
        (answer for pattern, answer in _SMALL_TALK if re.search(pattern, said, re.I)), _GREETING
    )
