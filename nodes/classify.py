"""Decide what is needed: the intent, whether to search, which reads to run beside it."""

from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from nodes.caller import caller, context_of
from nodes.intents import SURE
from nodes.resources import Provider, Resources
from nodes.state import Request, State, Update
from nodes.usage import run_id
from tools import Context

KNOWN = 0.45
"""Cosine of question and passage from which on a strange question is one for the documents."""


@dataclass(frozen=True)
class Classify:
    """Ask the small model, mind what the last turn left open, and plan the reads."""

    open: Provider

    async def __call__(
        self, state: State, config: RunnableConfig, runtime: Runtime[Context]
    ) -> Update:
        resources = await self.open()
        locale = context_of(runtime).locale
        request, usage = await resources.intents(state.messages, locale, config)
        if request["out_of_scope"] and await self._known(resources, state, config, locale):
            request["intent"], request["out_of_scope"], request["knowledge"] = (
                "knowledge",
                False,
                True,
            )
        request = continued(request, state)
        reads = planned(resources, state, request, run_id(config))
        return {"request": request, "reads": reads, "open_request": None, "usage": usage}

    async def _known(
        self, resources: Resources, state: State, config: RunnableConfig, locale: str
    ) -> bool:
        """Whether the documents speak of it: a classifier cannot know what was ingested."""
        who = caller(config, resources.settings)
        found = await resources.knowledge.search(
            state.messages[-1].text,
            tenant=who.tenant,
            permissions=who.permissions,
            locale=locale,
            k=1,
        )
        return any(passage.similarity >= KNOWN for passage in found)


def continued(request: Request, state: State) -> Request:
    """An answer to our question ("#W1234567", "ordered by mistake") goes on with what was asked."""
    before = state.open_request
    if before is None or request["intent"] == before["intent"]:
        return request
    vague = request["out_of_scope"] or request["confidence"] < SURE
    short = len(state.messages[-1].text.split()) <= 4
    looked_up = request["intent"].startswith(("find_", "get_"))
    return before if vague or looked_up or (short and request["intent"] != "smalltalk") else request


def planned(resources: Resources, state: State, request: Request, run: str) -> list[dict[str, Any]]:
    """Reads that the message itself names, such as an order number: no model is needed for them."""
    if request["intent"] in {"smalltalk", "out_of_scope"}:
        return []
    last = state.messages[-1]
    calls = resources.toolbox.mentioned(last.text) if isinstance(last, HumanMessage) else []
    # An id that does not change when the step is run again after a crash.
    return [
        {**call, "id": f"read-{uuid5(NAMESPACE_OID, f'{run}{n}').hex[:24]}"}
        for n, call in enumerate(calls)
    ]
