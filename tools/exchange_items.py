"""Exchange delivered items."""

from dataclasses import dataclass

from tools._arguments import LineIds, MethodId, NewItemIds, OrderId
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose


@dataclass(frozen=True)
class ExchangeItems(Tool):
    """Request the exchange of delivered items for other variants of the same products.

    This is possible once for an order, so all items are named in one call.
    """

    crm: Crm

    write = True
    level = "verified"
    examples = (
        "I would like to exchange the boots from order #W4410923 for a size 9.",
        "exchange the lamp in #W7720145 for a black one",
        "The jacket I received is too small, could I swap it for an XL?",
        "swap item 3370918264 for 5529047718, order W9017734 arrived yesterday",
        "got the wrong colour mug, want the blue one instead",
        "Order #W3358810 was delivered, but I'd prefer the tablet with more storage.",
        "can i trade my keyboard for the one with clicky switches",
        "Please exchange both cushions of #W5562018 for the grey version, difference on PayPal.",
        "exchnage headphones from #W1284470",
        "My delivered espresso machine is fine, yet I want the stainless steel model in its place.",
        "replace the skateboard i got with the longer one",
        "Is an exchange possible? The shirt from order #W6693307 should be cotton.",
        "I want to switch the delivered vacuum to the cordless kind, use my gift card",
        "different size for the sneakers in W8841256 please, these are to tight",
        "This is Bruno Keller. I wish to exchange the watch I received for one with a metal band.",
        "exchange 2 items of #W2047719: the hose and the grill",
        "the boots are a size too small for me, I need a 10 instead",
        "The sweater arrived on Tuesday but it's too tight. Swap it for a large, please.",
        "exchange Lamp {color: red} for Lamp {color: blue} in delivered order #W5093317",
        "#W2918406: exchange water bottle 500ml -> 1000ml, refund the difference to my card",
        "Hi, Nora Beck, zip 43215. My puzzle came, but I want the 1000 piece one in exchange.",
        "I received my order #W7741029 and want to exchange the mouse for a wireless one.",
        "the keyboard you sent me is too loud, i'd rather have the one with silent switches",
        "Can I exchange the delivered bicycle for a bigger frame and pay the rest by credit card?",
        "exchange teh backpack from #W6120583 for same one in navy",
        "I want to exchange two things from my delivered order: the thermostat and the headphones.",
        "Same jacket but in medium, this one that came yesterday hangs on me like a sack.",
        "Delivered item 4471930285 should be exchanged for 9016624738.",
        "I have had the tea kettle for three days and now want the glass one in its place.",
        "No refund needed, just trade the helmet I received for one in size M.",
        "Is it possible to get the shoes I received in black leather instead, same size?",
        "I'm in a hurry: exchange, #W8406195, gaming mouse, wired to wireless, gift card.",
        "What came is fine but the cord is too short, can you swap it for the long version?",
        "exchange for the cheapest available version of the same camera, mine arrived this morning",
        "i got the 4-person tent but we are six, exchange it for the bigger one pls",
        "I'm rather picky: exchange the vase I got for the green one, please.",
        "keep the lamp, exchange the desk for the one with drawers, #W3849012 was delivered",
        "My husband hates the color of the suitcase that came, exchange it for silver.",
        "Could you exchange the shoes I have received for the black leather ones?",
        "exchange my delivered vacuum for the cordless kind, paypal for the difference",
        "I'd like to exchange the espresso machine that arrived for the stainless steel one.",
        "My order came, but the shirt is too big. I want to exchange it for a small.",
        "can you swap the mug that came for a blue one",
        "I am Tess Arden, 32801. I want to exchange a delivered bookshelf for a taller one.",
        "exchanging the grill: gas instead of charcoal, it was delivered on Sunday",
        "Not a return: I want the headphones I got exchanged for the same ones in white.",
    )

    async def __call__(
        self,
        order_id: OrderId,
        item_ids: LineIds,
        new_item_ids: NewItemIds,
        payment_method_id: MethodId,
        run: Run,
    ) -> Result:
        swaps, difference = await self.crm.exchange_items(
            run, order_id, item_ids, new_item_ids, payment_method_id
        )
        return Result(
            f"Exchange in order {order_id}: {prose.swapped(swaps)}; "
            f"{prose.settled(difference, payment_method_id)}. An e-mail explains how to send the "
            "items back. An order can be exchanged only once.",
            {
                "order_id": order_id,
                "status": "exchange requested",
                "items": [prose.plain(swap.variant) for swap in swaps],
                "price_difference": prose.money(difference),
                "payment_method_id": payment_method_id,
            },
        )
