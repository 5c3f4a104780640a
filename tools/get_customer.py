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
