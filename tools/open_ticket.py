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
        "Please file a ticket: the lamp flickers and nobody has answered my mail.",
        "I want to make a complaint.",
        "open a case about the double charge on my card",
        "Could a colleague look into my missing refund and write to me?",
        "log a complaint about the rude driver, please",
        "I have a complaint about order #W5093322, please record it.",
        "create a support ticket",
        "make a ticket so someone emails me tomorrow",
        "I'd like to report that my gift card was charged without my doing.",
        "report a bug in your app, the cart empties itself",
        "Please note my problem and have someone answer by mail, there is no rush.",
        "can u file a report, the parcel was stolen from my porch",
        "Submit a request to the warehouse team to check for my missing part.",
        "I'd like this escalated in writing, and a reply by e-mail will do.",
        "open tiket pls, the website logs me out",
        "Somebody should investigate why my refund never came; leave them a note.",
        "I wish to complain formally about the quality of the blanket.",
        "Leave a message for the billing department that they call back next week.",
        "Please take down my feedback: the checkout is confusing.",
        "Start a ticket for the warranty of my vacuum.",
        "Open a ticket for the warranty of my blender.",
        "I want to report a stolen parcel, please file a report.",
        "file a complaint for me pls",
        "Please pass on my feedback about the checkout to your team.",
        "Log this as a ticket, I can wait a few days for the answer.",
        "Register a complaint: the blanket lost its colour after one wash.",
        "leave a note for the billing team, someone should email me about my refund",
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
