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
        "I want to cancel the order I placed this morning.",
        "cancel my pending order please",
        "I'm a spontaneous person and regret it already: cancel #W5093323.",
        "Cancel order #W2918411, ordered by mistake, refund to PayPal.",
        "Hi, Ines Falk, zip 98119. Please cancel everything I have pending.",
        "it hasn't shipped so please just cancel it, i don't need the tent anymore",
        "I don't want the bookshelf any longer and it has not been sent. Cancel it.",
        "cancel all my orders",
        "The order #W7741034 was placed twice, cancel one of them.",
        "If the items can't be changed, then cancel the whole order.",
        "cancle W6120588 no longer needed",
        "Can I get out of the purchase I made an hour ago?",
        "I don't need #W3849017 any more, please refund it before it ships.",
        "Stop #W8406199 from shipping, I ordered the wrong thing.",
        "order cancellation, #W5518205",
        "My wife has bought the same grill, so please cancel my pending one.",
        "Please abort my last order and give me the money back.",
        "cancell W4420920",
        "I no longer want order #W7035584. It has not been sent, so cancel it.",
        "Kindly cancel my purchase from an hour ago.",
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
