"""Change where the customer lives."""

from dataclasses import dataclass

from engine.errors import Refused
from tools._arguments import City, Country, Postcode, State, Street, Unit
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose
from tools._crm.records import Address


@dataclass(frozen=True)
class ChangeCustomerAddress(Tool):
    """Replace the customer's default address; orders already placed keep theirs."""

    crm: Crm

    write = True
    level = "verified"
    examples = (
        "I have moved, please update the address in my profile.",
        "change my default address to 12 Alder Court, Madison, WI 53703",
        "new address: 88 Harbor Lane, Apt 4, Portland, OR 97209",
        "Could you correct my home address? The apartment number is wrong.",
        "we moved!! pls update my account address",
        "My profile shows my old flat in Boise; I live at 5 Quarry Road, Salem, OR 97301 now.",
        "update adress on my account",
        "Please save 401 Juniper Street, Tulsa, OK 74103 as my standard address.",
        "the address on file is outdated",
        "i need to change where i live in your system",
        "From next month on everything should go to my new home by default.",
        "set my default address to the one of order #W5562018",
        "This is Kofi Asante. Kindly replace my stored address with 7 Birch Walk, Reno, NV 89501.",
        "theres a typo in my street name in my profile",
        "Can I change the address in my user account?",
        "swap my account address back to the old one please",
        "I moved to 61 Linden Road, Omaha, NE 68102; change it in my account, please.",
        "my profile address should be 140 Mill Street, Unit 2, Dayton, OH 45402",
        "Please update my user address, not the one of an order.",
        "Set 27 Poplar Avenue, Mesa, AZ 85201 as the default address on my account.",
        "change adress in my profile to my new place",
        "Hi, Dana Kowal, zip 53703. I have a new home address, please save it for future orders.",
        "My account still has my parents' address. Replace it with mine.",
        "I want my default address changed as well, the same as for the order.",
        "the zip code in my profile is wrong",
        "Could you edit the address saved in my account to apartment 12?",
        "I'm a very private person, but here is my new home address for your records.",
        "update my saved address pls",
    )

    async def __call__(
        self,
        address1: Street,
        city: City,
        state: State,
        postcode: Postcode,
        run: Run,
        address2: Unit = "",
        country: Country = "",
    ) -> Result:
        customer = await self.crm.customer(run)
        if customer is None:
            raise Refused("I cannot find your account.")
        country = country or customer.address.country
        address = Address(address1, address2, city, state, country, postcode)
        before = await self.crm.change_customer_address(run, address)
        return Result(
            f"Change your default address from {before} to {address}.",
            {"address": prose.plain(address)},
        )
