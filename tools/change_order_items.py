"""Change the items of a pending order."""

from dataclasses import dataclass

from tools._arguments import LineIds, MethodId, NewItemIds, OrderId
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose, rules


@dataclass(frozen=True)
class ChangeOrderItems(Tool):
    """Change items of a pending order to other variants of the same products.

    This is possible once for an order, so all changes are made in one call.
    """

    crm: Crm

    write = True
    level = "verified"
    examples = (
        "I'd like to change the colour of the lamp in my pending order #W4410923.",
        "make the t-shirt in #W7720145 a size L instead of M",
        "Can I switch the tablet in order #W3358810 to the 64GB one before it ships?",
        "change item 3370918264 to 5529047718 in W9017734",
        "i picked the wrong size boots, order not shipped yet, need a 10",
        "Please modify order #W5562018: I want the bluetooth headphones in white.",
        "swap the kettle for the 2L version in #W1284470, pay with paypal",
        "Would you upgrade the laptop in my pending order to 32GB of RAM?",
        "modfy items in #W6693307",
        "the order #W8841256 is still pending, so could the blanket be the wool one?",
        "cheapest version of the speaker please, in the order i just placed",
        "I ordered the black chair but want grey, order W2047719",
        "update the items of my pending order",
        "Before you send it, could both mugs become the larger kind?",
        "different variant for the watch in #W7150062, charge the difference to my gift card",
        "This is Hugo Marsh. In order #W3906681 the desk should be oak rather than pine.",
        "make the tent in my order a 4-person one before it goes out",
        "modify Lamp {color: red} to {color: blue} in my pending order #W5093318",
        "I haven't received it yet, but I'd like to change the jacket in #W2918407 to a large.",
        "#W7741030 pending: change water bottle 500ml -> 1000ml, pay the difference by card",
        "can you change the options of my pending order, wireless mouse rather than wired",
        "modify pending order: keyboard with linear switches, full size, no backlight",
        "chnage the backpack to navy before shipping",
        "Change all the items in my pending order to the cheapest available options.",
        "It's not shipped yet, right? Then make the helmet a size M, please.",
        "Modify item 4471930286 to 9016624739 in the order that is still being processed.",
        "I want to upgrade the laptop i just ordered to the i9 model, paypal for the rest",
        "edit my order #W3849013, same shirt but v-neck",
        "Two changes to pending #W8406196: the desk lamp in black and the coffee maker with timer.",
        "I'm in a rush, just modify the earbuds in my order to the black ones, use my gift card",
        "Could I still alter the order from this morning so that the skateboard is the bamboo one?",
        "the order I placed has the wrong size shoes in it, make them a 9",
        "before my order ships, please change the grill from charcoal to gas",
        "I'm an indecisive person, so modify my pending order: the vase in green.",
        "Hi, Omar Reyes, zip 60629. Please modify my order, the puzzle should have 1000 pieces.",
        "I ordered the bicycle an hour ago, wrong frame size; please modify it to large.",
        "Instead of pine, the bookshelf in my order should be walnut. It's still pending.",
        "I made a typo ordering: the hose must be 50ft. Order #W6120584, not sent yet.",
        "change the sneakers in my pending order to size 11",
        "Could you change the mugs in my order to the larger ones before you ship them?",
        "In my pending order #W4420917 the speaker should be changed to the cheapest one.",
        "modify order #W7035582: wool blanket, not cotton",
        "my order hasn't shipped, can you switch the laptop in it to the one with 1TB",
        "For pending #W2219860, modify Tablet {storage: 32GB} to {storage: 128GB}, same color.",
        "I'd like the backpack in my not yet shipped order changed to navy.",
    )

    async def __call__(
        self,
        order_id: OrderId,
        item_ids: LineIds,
        new_item_ids: NewItemIds,
        payment_method_id: MethodId,
        run: Run,
    ) -> Result:
        swaps, payment = await self.crm.change_items(
            run, order_id, item_ids, new_item_ids, payment_method_id
        )
        moved = prose.moved(payment) if payment.amount else "no price difference"
        return Result(
            f"Change order {order_id}: {prose.swapped(swaps)}; {moved}. "
            "After this the items cannot be changed again and the order cannot be cancelled.",
            {
                "order_id": order_id,
                "status": rules.ITEM_MODIFIED,
                "items": [prose.plain(swap.variant) for swap in swaps],
                "payments": [prose.plain(payment)],
            },
        )
