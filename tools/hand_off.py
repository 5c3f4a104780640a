"""Hand the conversation to a person."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tools._arguments import Summary
from tools._contract import Result, Run, Tool
from tools._crm import Crm


@dataclass(frozen=True)
class HandOff(Tool):
    """Hand this conversation to a human colleague, when nothing else here can help."""

    crm: Crm

    write = True
    confirm = False
    examples = (
        "I want to talk to a human.",
        "agent",
        "Could you please connect me with one of your colleagues?",
        "let me speak to a real person",
        "human please!!",
        "This is going nowhere, give me your supervisor.",
        "transfer me to customer service",
        "I'd prefer to discuss this with a member of staff.",
        "is there a person i can chat with",
        "speek to representative",
        "You are a bot, aren't you? I need somebody who can decide things.",
        "put me through to a manager",
        "Would it be possible to have somebody call me? I do not want to write to a machine.",
        "get me a live agent now",
        "no more bots, operator",
        "I appreciate your help, but I would feel better talking to an employee.",
    )

    async def __call__(
        self,
        run: Run,
        summary: Annotated[
            Summary, Field(description="What the customer wants and what was tried.")
        ] = "The customer asks for a person.",
    ) -> Result:
        ticket = await self.crm.open_ticket(run, "hand_off", summary)
        return Result(
            f"A colleague takes over this conversation, ticket {ticket}.",
            {"ticket": ticket, "kind": "hand_off"},
        )
