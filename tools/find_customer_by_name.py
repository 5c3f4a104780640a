"""Identify the customer by name and postcode."""

from dataclasses import dataclass

from engine.errors import Refused
from tools._arguments import FirstName, LastName, Postcode
from tools._contract import Identified, Result, Run, Tool
from tools._crm import Crm


@dataclass(frozen=True)
class FindCustomerByName(Tool):
    """Identify the customer of this conversation by first name, last name and postcode."""

    crm: Crm

    identifies = True
    mentions = (
        r"(?:\b(?i:I am|I'm|my name is|name's|this is|name:)\s+)"
        r"(?P<first_name>[A-Z][\w'-]{0,40})\s+(?P<last_name>[A-Z][\w'-]{0,40})"
        r"[^?!]{0,80}?\b(?i:zip|zip code|zipcode|post ?code|postal code)\b[^\d?!]{0,20}"
        r"(?P<postcode>\d{5})\b"
    )
    examples = (
        "My name is Dora Lindqvist and my postcode is 60614.",
        "Tobias Okafor, 94110",
        "I'm Petra Novak, zip 30309",
        "hugo marsh 02139",
        "This is Silvia Ferrara, I live in 98101.",
        "i dont remember my email, name is Lena Brandt, zip code 78704",
        "I have forgotten the e-mail address, but I am Kofi Asante from postcode 11215.",
        "name: Yuki Tanaka, postal code: 97205",
        "You can look me up by name: Mirela Popa. The zip is 33130.",
        "jorge duarte, zipcode 85004, thats me",
        "Would you check under Ola Haugen please? The postcode is 55408.",
        "its Bruno Keller at 80203",
        "Ruth Adeyemi here, my ZIP is 20009.",
        "no idea which mail i used.. carla moreno 90026",
        "First name Simon, last name Wexler, postcode 19123.",
        "I no longer have that mailbox. My full name is Anneke de Wit and I live in 48226.",
        "Hi there, I'm Greta Holm and live in zip code 44114, I hope you can help me.",
        "You can call me Ivan. Ivan Petrov, 27601.",
        "sure, it's Mei Chen, zip 85719",
    )

    async def __call__(
        self, first_name: FirstName, last_name: LastName, postcode: Postcode, run: Run
    ) -> Result:
        customer_id = await self.crm.find_by_name(run, first_name, last_name, postcode)
        if customer_id is None:
            raise Refused("I cannot find a customer with these details.")
        return Result(
            "I found the customer's account.",
            {"found": True},
            identified=Identified(customer_id, "name_postcode"),
        )
