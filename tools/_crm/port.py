"""The port between the tools and whatever keeps the customers.

Every method works for `run.customer_id` of `run.tenant`; what belongs to somebody else answers
exactly like what does not exist. Writes happen inside `run.connection` when the CRM is ours; an
adapter of a remote system sends `run.idempotency_key` along instead.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, Protocol

from tools._contract import Run
from tools._crm.records import (
    Address,
    Conversation,
    Customer,
    Line,
    Order,
    Payment,
    PaymentMethod,
    Product,
    Swap,
    Variant,
)


class Crm(Protocol):
    """Reads return `None` for what is unknown; writes raise `Refused` when a rule forbids them."""

    async def find_by_email(self, run: Run, email: str) -> str | None:
        """The id of the customer with this e-mail, in any case of letters."""

    async def find_by_name(
        self, run: Run, first_name: str, last_name: str, postcode: str
    ) -> str | None:
        """The id of the one customer of this name and postcode; `None` also when there are two."""

    async def customer(self, run: Run) -> Customer | None:
        """The customer of this conversation."""

    async def order(self, run: Run, order_id: str) -> Order | None:
        """An order of the customer."""

    async def product(self, run: Run, product_id: str) -> Product | None:
        """A product with its variants."""

    async def item(self, run: Run, item_id: str) -> Variant | None:
        """One variant."""

    async def products(self, run: Run) -> list[Product]:
        """Every product by name, without variants."""

    async def change_customer_address(self, run: Run, address: Address) -> Address:
        """Replace the default address; returns the one before."""

    async def change_order_address(self, run: Run, order_id: str, address: Address) -> Order:
        """Send a pending order elsewhere; returns the order as it was."""

    async def change_payment(self, run: Run, order_id: str, method_id: str) -> list[Payment]:
        """Pay a pending order with another method; returns the money that moved."""

    async def change_items(
        self, run: Run, order_id: str, item_ids: Sequence[str], new_ids: Sequence[str], method: str
    ) -> tuple[list[Swap], Payment]:
        """Swap items of a pending order, once; returns the swaps and the money that moved."""

    async def cancel_order(self, run: Run, order_id: str, reason: str) -> list[Payment]:
        """Cancel a pending order; returns the refunds."""

    async def return_items(
        self, run: Run, order_id: str, item_ids: Sequence[str], method_id: str
    ) -> tuple[list[Line], PaymentMethod]:
        """Request a return; returns the lines that go back and the method to be refunded."""

    async def exchange_items(
        self, run: Run, order_id: str, item_ids: Sequence[str], new_ids: Sequence[str], method: str
    ) -> tuple[list[Swap], Decimal]:
        """Request an exchange; returns the swaps and the price difference (negative: refund)."""

    async def open_ticket(
        self, run: Run, kind: Literal["question", "hand_off"], summary: str
    ) -> str:
        """Leave a note for a colleague; returns the ticket's number."""

    async def upsert_conversation(self, tenant: str, conversation: Conversation) -> None:
        """Tell what a conversation came to, under its own id; an older version changes nothing."""
