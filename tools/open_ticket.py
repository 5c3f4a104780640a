"""Leave a question for a colleague."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tools._arguments import Summary
from tools._contract import Result, Run, Tool
from tools._crm import Crm


@dataclass(frozen=True)
class OpenTicket(Tool):
    """Open a ticket, so that a colleague looks into something later and writes back."""

    crm: Crm

    write = True
    confirm = False
    examples = (
        "Please open a ticket about my damaged parcel.",
        "open a ticket",
        "I want to file a complaint about the courier.",
        "report a problem: your checkout page shows an error",
        "Could somebody look into this and get back to me by e-mail?",
        "make a case for this pls",
        "I would like to lodge a formal complaint regarding my last delivery.",
        "raise a suport ticket for the missing part",
        "Write down that the box arrived open and let me know later.",
        "can you log an issue, the app keeps crashing when i pay",
        "No hurry, but please have someone check why I was charged twice.",
        "create ticket: zipper broke after two days",
        "I'd like to leave feedback for your team about the packaging.",
        "pass this on to the right department and have them email me",
        "complaint!! the driver left my package in the rain",
        "Kindly register my request, I can wait for an answer until Monday.",
    )

    async def __call__(
        self,
        summary: Annotated[Summary, Field(description="What it is about, in a sentence or two.")],
        run: Run,
    ) -> Result:
        ticket = await self.crm.open_ticket(run, "question", summary)
        return Result(
            f"Ticket {ticket} is open: {summary.rstrip('.')}.",
            {"ticket": ticket, "kind": "question"},
        )
