"""Send a pending order elsewhere."""

from dataclasses import dataclass

from engine.errors import Refused
from tools._arguments import City, Country, OrderId, Postcode, State, Street, Unit
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose, rules
from tools._crm.records import Address


@dataclass(frozen=True)
class ChangeOrderAddress(Tool):
    """Change the shipping address of a pending order."""

    crm: Crm

    write = True
    level = "verified"
    examples = (
        "Please ship order #W4410923 to 12 Alder Court, Madison, WI 53703 instead.",
        "change shipping address of #W7720145",
        "I gave the wrong address for order #W3358810, can you correct it?",
        "send W9017734 to my office: 300 Foundry Street, Floor 6, Akron, OH 44308",
        "wrong adress on my order!! it should go to 9 Cedar Mews, Provo, UT 84601",
        "Could my pending parcel be delivered to my sister's place instead?",
        "redirect #W5562018 to 88 Harbor Lane, Apt 4, Portland, OR 97209 pls",
        "I'm not home next week, so order #W1284470 should go to my neighbour in apartment 3B.",
        "the delivery address for #W6693307 is missing the suite number",
        "Would you be so kind as to alter the destination of order W8841256?",
        "ship my order to my default address not the other one",
        "different delivery address for W2047719: 7 Birch Walk, Reno, NV 89501",
        "I moved after ordering. Where #W7150062 is sent has to change.",
        "can i still change where my order gets shipped",
        "Mirela Popa here: the parcel #W3906681 must go to 401 Juniper Street, Tulsa, OK 74103.",
        "pls update the zip code on order #W8030527, it's 10027",
        "Change the address of my pending order to 61 Linden Road, Omaha, NE 68102.",
        "ship #W5093324 to my work address",
        "I'd like order #W2918412 delivered to 27 Poplar Avenue, Mesa, AZ 85201.",
        "my order is going to the wrong house, change it please",
        "The pending order should go to my new apartment, I have moved.",
        "update shipping adress for order #W7741035",
        "Hi, Leo Brandt, zip 64106. Send my pending order to the default address instead.",
        "I entered the old street for the order I placed today; correct that before it ships.",
        "deliver my lamp order to 140 Mill Street, Unit 2, Dayton, OH 45402 instead",
        "All my pending orders should be sent to my new address.",
        "Can the order #W6120589 be sent to my mother in Texas?",
        "the apartment number on order #W3849018 is wrong, should be 12",
    )

    async def __call__(
        self,
        order_id: OrderId,
        address1: Street,
        city: City,
        state: State,
        postcode: Postcode,
        run: Run,
        address2: Unit = "",
        country: Country = "",
    ) -> Result:
        order = await self.crm.order(run, order_id)
        if order is None:
            raise Refused(rules.unknown_order(order_id))
        country = country or order.address.country
        address = Address(address1, address2, city, state, country, postcode)
        before = await self.crm.change_order_address(run, order_id, address)
        return Result(
            f"Send order {order_id} to {address} instead of {before.address}.",
            {"order_id": order_id, "address": prose.plain(address)},
        )
