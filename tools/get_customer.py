"""Read the customer's own profile."""

from dataclasses import dataclass

from engine.errors import Refused
from tools._contract import Result, Run, Tool
from tools._crm import Crm, prose


@dataclass(frozen=True)
class GetCustomer(Tool):
    """Read the customer's profile: orders, and once verified address and payment methods."""

    crm: Crm

    level = "claimed"
    provides = ("order", "payment_method")
    examples = (
        "Which address do you have on file for me?",
        "show me my account",
        "What orders have I placed so far?",
        "list all my orders please",
        "how much is left on my gift card",
        "I would like to know which payment methods are stored in my profile.",
        "whats my gift card balance??",
        "Do you still have my old credit card saved?",
        "my orders",
        "Could you tell me what personal details you keep about me?",
        "what email am i registered with",
        "I lost the order number, can you see what I bought?",
        "do i have paypal connected to my acount",
        "Please read my default address back to me.",
        "I can't remember my order numbers, could you look them up for me?",
        "is there any order of mine still open?",
        "What's my address in your system?",
        "show my profile",
        "Which payment methods do I have on my account?",
        "what is the balance of my gift card",
        "How many orders do I have with you?",
        "tell me all my order numbers",
        "I don't have the order id at hand, can you look up my orders?",
        "look up my account details",
        "Is my new address already saved in my profile?",
        "which credit cards have i got on file",
        "I'm forgetful: what did I order from you this year?",
        "Which of my orders are pending?",
        "my account info pls",
        "Do I have any gift cards on my account, and how much money is on them?",
        "Can you check what name and address my account has?",
        "I can't find my order number, please check my account for it.",
        "see my order history",
        "What is my default payment method?",
        "do u have my phone or email saved",
        "My latest orders, please.",
        "Please tell me which address is saved on my account.",
        "is my paypal saved in my account",
        "which email and address do i have in my profile",
        "Are any of my orders still pending?",
    )

    async def __call__(self, run: Run) -> Result:
        customer = await self.crm.customer(run)
        if customer is None:
            raise Refused("I cannot find your account.")
        choices = {"order": prose.order_choices(customer.orders)}
        # Half of what identifies a customer must not be read out to somebody who knows the other.
        if run.level != "verified":
            orders = {"orders": [prose.plain(order) for order in customer.orders]}
            return Result(
                f"{prose.history(customer)} The rest of the profile is shown to verified "
                "customers only.",
                orders,
                choices,
            )
        choices["payment_method"] = prose.method_choices(customer.methods, details=True)
        return Result(prose.profile(customer), prose.plain(customer), choices)
