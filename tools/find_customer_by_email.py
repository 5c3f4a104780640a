"""Identify the customer by e-mail."""

from dataclasses import dataclass

from engine.errors import Refused
from tools._arguments import EMAIL, Email
from tools._contract import Identified, Result, Run, Tool
from tools._crm import Crm


@dataclass(frozen=True)
class FindCustomerByEmail(Tool):
    """Identify the customer of this conversation by the e-mail address of the account."""

    crm: Crm

    identifies = True
    mentions = rf"(?<![^\s<>,;:()\"])(?P<email>{EMAIL})"
    examples = (
        "my email is dora.lindqvist@example.com",
        "dora.lindqvist@example.com",
        "You can find me under t.okafor@example.org.",
        "Sure, the address I registered with is petra_novak@example.net",
        "its hugo.marsh@example.com",
        "e-mail: s.ferrara77@example.com",
        "I think I signed up as lena.brandt@example.com, could you check please?",
        "here's my mail so you can look me up: kofi.a@example.com",
        "Good morning! My account runs on the address y.tanaka@example.com.",
        "the email on file should be mirela.popa@example.com",
        "emial is j.duarte@example.com",
        "Please identify me with this e-mail address, o.haugen@example.org.",
        "log me in as bruno.keller@example.com",
        "I always shop with ruth.adeyemi@example.com, so that must be it.",
        "not sure which adress I used, try carla.m@example.net",
        "My e-mail address? That would be simon.wexler@example.com, thank you.",
        "Hi! I'm an easy-going person, my email is greta.holm@example.com.",
        "ivan.petrov31@example.org is mine, zip should not matter",
    )

    async def __call__(self, email: Email, run: Run) -> Result:
        customer_id = await self.crm.find_by_email(run, email)
        if customer_id is None:
            raise Refused("I cannot find a customer with these details.")
        return Result(
            "I found the customer's account.",
            {"found": True},
            identified=Identified(customer_id, "email"),
        )
