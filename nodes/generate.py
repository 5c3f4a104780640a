"""Write the answer, or ask for a tool; let out only sentences that pass the fast layers."""

import re
from contextlib import aclosing
from contextvars import copy_context
from dataclasses import dataclass
from typing import cast
from uuid import uuid4

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableConfig
from langgraph.graph.message import push_message
from langgraph.runtime import Runtime

from engine.errors import Interrupted
from nodes.layers import FAST, NO_ANSWER, Ground, object_to
from nodes.prompt import compose, instructions, this_turn
from nodes.resources import Provider, Resources
from nodes.sentences import Sentences
from nodes.state import Sealed, State, Update
from nodes.unheard import unheard
from nodes.usage import spent_on
from tools import Context

ROUNDS = 6
"""Tool rounds in one turn; after them the model has to answer with what it has."""

_IDENTIFIER = re.compile(r"#?\w*\d{5,}\w*|\S+@\S+")


class Gate:
    """Lets sentences out as message chunks as they pass, and shuts at the first objection."""

    def __init__(self, ground: Ground, message_id: str) -> None:
        self._ground = ground
        self.message_id = message_id
        self._sentences = Sentences()
        self._context = copy_context()
        self.objection: str | None = None

    def feed(self, text: str) -> None:
        """Take a piece of the model's text."""
        self._release(self._sentences.feed(text))

    def close(self) -> None:
        """The model has ended."""
        self._release([self._sentences.rest()])

    def _release(self, sentences: list[str]) -> None:
        for sentence in sentences:
            if self.objection or not sentence.strip():
                return
            self.objection = object_to(sentence, self._ground, FAST)
            if not self.objection:
                visible = sentence.replace(NO_ANSWER, "")
                # In the node's own context: that is where its listeners are.
                chunk = AIMessageChunk(content=visible, id=self.message_id)
                self._context.run(push_message, chunk, state_key=None)


@dataclass(frozen=True)
class Generate:
    """One call of the large model; its text leaves through the gate, its draft sealed."""

    open: Provider

    async def __call__(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        resources = await self.open()
        brief = instructions("generate")
        prompt = compose(state, brief, resources.settings.prompt_tokens)
        gate = Gate(Ground.of(state, brief), f"reply-{uuid4()}")
        draft = await self._draft(resources, prompt, gate, with_tools=rounds(state) < ROUNDS)
        usage = spent_on(resources.settings.large_model, draft, config)
        if not draft.tool_calls:
            return {"draft": Sealed(draft, gate.objection), "usage": usage}
        if wrong := ungrounded(draft, state):
            return {"draft": Sealed(draft, wrong), "usage": usage}
        calls = [{**call, "id": call["id"] or f"call-{uuid4()}"} for call in draft.tool_calls]
        return {
            "messages": [AIMessage("", tool_calls=calls, id=draft.id)],
            "draft": None,
            "usage": usage,
        }

    async def _draft(
        self, resources: Resources, prompt: list[BaseMessage], gate: Gate, *, with_tools: bool
    ) -> AIMessage:
        model = resources.large
        bound = model.bind_tools(resources.toolbox.specs()) if with_tools else model
        whole: AIMessageChunk | None = None
        try:
            with unheard() as quiet:
                async with aclosing(bound.astream(prompt, quiet)) as chunks:  # type: ignore[type-var]
                    async for chunk in chunks:
                        whole = cast("AIMessageChunk", chunk if whole is None else whole + chunk)
                        if not whole.tool_call_chunks:
                            gate.feed(chunk.text)
                        if gate.objection:
                            break
        except Interrupted:
            gate.objection = "The answer broke off; write it again."
            whole = None
        if not (whole and whole.tool_calls):
            gate.close()
        return AIMessage(
            whole.text if whole else "",
            id=gate.message_id,
            tool_calls=whole.tool_calls if whole else [],
            usage_metadata=whole.usage_metadata if whole else None,
        )


def rounds(state: State) -> int:
    """How often tools were called since the customer's last message."""
    return sum(
        1
        for message in this_turn(state.messages)
        if isinstance(message, AIMessage) and message.tool_calls
    )


def ungrounded(draft: AIMessage, state: State) -> str | None:
    """An objection when a call uses an identifier that nobody in this conversation mentioned."""
    heard = "\n".join(
        message.text
        for message in state.messages
        if isinstance(message, HumanMessage | ToolMessage)
    ) + "\n".join(str(getattr(message, "artifact", "")) for message in state.messages)
    heard = heard.lower()
    used = _IDENTIFIER.findall(" ".join(str(call["args"]) for call in draft.tool_calls))
    if any(value.strip("'\",]}[{").lower() not in heard for value in used):
        return "The tool call uses an identifier that is not from this conversation; ask instead."
    return None
