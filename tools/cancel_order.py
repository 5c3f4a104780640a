"""Cancel a pending order."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tools._arguments import Hint, OrderId
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose

_SAID = {
    "no longer needed": [
        "don't need",
        "do not need",
        "not needed",
        "don't want",
        "do not want",
        "changed my mind",
        "no longer want",
        "found it cheaper",
        "not any more",
    ],
    "ordered by mistake": ["by accident", "accidentally", "mistakenly", "in error", "twice"],
}


@dataclass(frozen=True)
class CancelOrder(Tool):
    """Cancel a pending order and refund what was paid, for one of two reasons."""

    crm: Crm

    write = True
    level = "verified"
    examples = (
        "Please cancel my order #W4410923, I no longer need it.",
        "cancel #W7720145",
        "I ordered #W3358810 by mistake and would like to cancel it.",
        "cancel W9017734 asap!!",
        "I've changed my mind about the lamp, can you call the order off?",
        "stop my order pls, bought it by accident",
        "Would it be possible to cancel the whole order #W5562018? It is not needed any more.",
        "dont want order #W1284470 anymore",
        "cansel my order #W6693307",
        "Kindly call off W8841256; I clicked the button twice.",
        "I want my money back for the order that has not shipped yet, just cancel it",
        "get rid of order #W2047719",
        "We found the same kettle elsewhere, so please cancel what I ordered yesterday.",
        "undo my purchase #W7150062, my kid ordered that",
        "Hello, this is Ruth Adeyemi. I have to cancel order number #W3906681, sorry.",
        "both pending orders can be cancelled, no longer needed",
    )

    async def __call__(
        self,
        order_id: OrderId,
        reason: Annotated[
            Literal["no longer needed", "ordered by mistake"],
            Field(description="Why it is cancelled; there are no other reasons."),
            Hint(synonyms=_SAID),
        ],
        run: Run,
    ) -> Result:
        refunds = await self.crm.cancel_order(run, order_id, reason)
        moved = ", ".join(prose.moved(refund) for refund in refunds) or "nothing to refund"
        return Result(
            f"Cancel order {order_id} ({reason}): {moved}.",
            {
                "order_id": order_id,
                "status": "cancelled",
                "reason": reason,
                "payments": [prose.plain(refund) for refund in refunds],
            },
        )
