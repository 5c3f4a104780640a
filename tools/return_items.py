"""Take back delivered items."""

from dataclasses import dataclass

from tools._arguments import LineIds, MethodId, OrderId
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose


@dataclass(frozen=True)
class ReturnItems(Tool):
    """Request the return of delivered items, refunded to the original method or a gift card.

    This is possible once for an order, so all items are named in one call.
    """

    crm: Crm

    write = True
    level = "verified"
    examples = (
        "I would like to return the kettle from order #W4410923.",
        "return everything in #W7720145",
        "The boots from order #W3358810 do not fit, how can I send them back?",
        "send back item 3370918264 of W9017734, refund to paypal",
        "this jacket is ugly i want to return it",
        "Could you arrange a return for the two lamps I received last week?",
        "refund for the broken speaker in #W5562018 pls",
        "My parcel #W1284470 arrived, but I want to give back the chess set.",
        "retrun order #W6693307 to my gift card",
        "I'm not happy with the tablet from order W8841256 and want my money back.",
        "take back the garden hose and the grill, both delivered",
        "Please start a return of item 5529047718; the refund may go to the original card.",
        "how do i return something i got yesterday, the watch",
        "We no longer need the bookshelf that was delivered. May we return it?",
        "return all except the backpack in #W2047719",
        "Yuki Tanaka here. I wish to return the headphones of order #W7150062 for a refund.",
        "I want to return the water bottle and the vase from order #W5093319.",
        "I've got two of the same lamp now, so one of them goes back, please.",
        "return: headphones, #W2918408, refund to the card I paid with",
        "I'm a busy woman, so quickly: return the skateboard that arrived and give me my money.",
        "Hello, Paul Jensen, zip 77035. I received the wrong puzzle and want to return it.",
        "I'd like a refund for everything in my last delivery except the keyboard.",
        "the coffee maker that came is broken, i don't want another one, just refund me",
        "Can you start a return for order #W7741031? The refund should go to PayPal.",
        "i wanna send the shoes back, they dont fit and i dont want another pair",
        "Item 4471930287 arrived damaged. Return it and refund my gift card.",
        "retrun the tablet pls, delivered last monday",
        "I no longer want the bicycle I received. How do we go about the return?",
        "My daughter already owns this puzzle, so the one delivered should be returned.",
        "Return Lamp {color: red, power: USB} from my delivered order",
        "I'd rather return the camera than exchange it.",
        "refund me for #W6120585, it was delivered but it's junk",
        "Return all the items of both orders that I've received.",
        "get me a return for the smart watch in #W3849014, i have it here still in the box",
        "The garden hose leaks. I received it two days ago and want to send it back.",
        "Please take the vacuum back, it is too heavy for me. Refund the original card.",
        "I am a bit embarrassed, but I'd like to return the dress that came.",
        "I want to return order #W4420918, all of it, and have the money on a gift card",
    )

    async def __call__(
        self, order_id: OrderId, item_ids: LineIds, payment_method_id: MethodId, run: Run
    ) -> Result:
        lines, method = await self.crm.return_items(run, order_id, item_ids, payment_method_id)
        listed = "; ".join(prose.line(line) for line in lines)
        total = prose.money(sum((line.price for line in lines), start=lines[0].price * 0))
        return Result(
            f"Return from order {order_id}: {listed}. Refund {total} to {method} once the items "
            "are back; an e-mail explains how to send them. An order can be returned only once.",
            {
                "order_id": order_id,
                "status": "return requested",
                "items": [prose.plain(line) for line in lines],
                "refund": total,
                "payment_method_id": method.id,
            },
        )
