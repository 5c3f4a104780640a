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
        "I'm done with this chat, get me a person.",
        "real person",
        "Please transfer me to a human agent.",
        "can a human take over",
        "I don't want to talk to a bot, let me talk to someone who works there.",
        "Nobody here understands me, so let me speak with your boss.",
        "Is there anyone real I can talk to about this?",
        "Forward me to a colleague of yours, please.",
        "i wanna talk to someone",
        "This is useless, I want a manager now.",
        "Customer support, a living one, please.",
        "Give me somebody on the phone.",
        "I've explained it three times already. Hand me over to a human.",
        "connect me to support staff",
        "human agent",
        "I'm an old man and cannot deal with a machine. May I speak with a person?",
        "switch me over to an operator plz",
        "You can't solve this, so I'd like to be transferred to an agent.",
        "I insist on talking to the person in charge.",
        "can someone from your team join this chat",
        "talk to an agant",
        "Could I be transferred to customer service?",
        "a bot can't help me with this, get me an employee",
        "I need a human who can make a decision.",
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
