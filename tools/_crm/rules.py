"""What the shop allows: pure checks and sums over one order.

Each raises `Refused` with a sentence for the customer.
"""

from collections.abc import Sequence
from decimal import Decimal

from engine.errors import Refused
from tools._crm.records import GIFT_CARD, Line, Order, Payment, PaymentMethod, Swap, Variant

PENDING = "pending"
ITEM_MODIFIED = "pending (item modified)"
DELIVERED = "delivered"


def unknown_order(order_id: str) -> str:
    """One sentence for orders that do not exist and orders of somebody else."""
    return f"I cannot find order {order_id} among your orders."


def cancel(order: Order) -> list[Payment]:
    """The refunds that cancelling gives: each payment, as far as it was not refunded before."""
    if order.status == ITEM_MODIFIED:
        raise Refused(
            f"Order {order.id} can no longer be cancelled, because its items were changed."
        )
    if order.status != PENDING:
        raise Refused(
            f"Only a pending order can be cancelled, and order {order.id} is {order.status}."
        )
    return [Payment("refund", amount, method_id) for method_id, amount in unrefunded(order)]


def change_address(order: Order) -> None:
    """A parcel that is not packed yet may go elsewhere."""
    if order.status not in (PENDING, ITEM_MODIFIED):
        raise Refused(
            "Only a pending order can go to another address, "
            f"and order {order.id} is {order.status}."
        )


def change_payment(order: Order, method_id: str) -> list[Payment]:
    """Pay everything with one other method, and refund the first."""
    if order.status not in (PENDING, ITEM_MODIFIED):
        raise Refused(
            "Only a pending order can be paid in another way, "
            f"and order {order.id} is {order.status}."
        )
    if [payment.kind for payment in order.payments] != ["payment"]:
        raise Refused(
            f"The payment of order {order.id} was changed before and cannot be changed again."
        )
    [paid] = order.payments
    method = _method(order, method_id)
    if method.id == paid.method_id:
        raise Refused(f"Order {order.id} is already paid with {method}.")
    _covers(method, paid.amount)
    return [
        Payment("payment", paid.amount, method.id),
        Payment("refund", paid.amount, paid.method_id),
    ]


def check_items_open(order: Order) -> None:
    """Items of a pending order can be changed, once."""
    if order.status == ITEM_MODIFIED:
        raise Refused(
            f"The items of order {order.id} were changed before, and that is possible only once."
        )
    if order.status != PENDING:
        raise Refused(
            f"Items can only be changed in a pending order, and order {order.id} is {order.status}."
        )


def check_delivered(order: Order, what: str) -> None:
    """`what` (returned, exchanged) needs a delivered order, and happens to it once."""
    if order.status != DELIVERED:
        raise Refused(
            f"Only items of a delivered order can be {what}, "
            f"and order {order.id} is {order.status}."
        )


def change_items(order: Order, swaps: Sequence[Swap], method_id: str) -> Payment:
    """What is paid for swapped lines, or refunded (0.00 if it is even)."""
    for swap in swaps:
        if swap.line.item_id == swap.variant.id:
            raise Refused(f"Item {swap.variant.id} is already in order {order.id}: choose another.")
    difference = _difference(swaps)
    _covers(_method(order, method_id), difference)
    return Payment("payment" if difference > 0 else "refund", abs(difference), method_id)


def refund_method(order: Order, method_id: str) -> PaymentMethod:
    """The method that gets the refund of returned items."""
    method = _method(order, method_id)
    if method.kind != GIFT_CARD and method.id not in paid_with(order):
        raise Refused(
            "A refund goes to the original payment method or to one of your gift cards, "
            f"not to {method}."
        )
    return method


def exchange(order: Order, swaps: Sequence[Swap], method_id: str) -> Decimal:
    """What exchanging delivered items will cost, or give back when negative."""
    difference = _difference(swaps)
    _covers(_method(order, method_id), difference)
    return difference


def pick(order: Order, item_ids: Sequence[str]) -> list[Line]:
    """The line of each id; an id given twice needs two such lines."""
    if not item_ids:
        raise Refused("Say which items of the order you mean.")
    left = list(order.lines)
    picked = []
    for item_id in item_ids:
        line = next((line for line in left if line.item_id == item_id), None)
        if line is None:
            raise Refused(f"Order {order.id} does not hold item {item_id} so many times.")
        left.remove(line)
        picked.append(line)
    return picked


def swap(lines: Sequence[Line], variants: Sequence[Variant]) -> list[Swap]:
    """Pair lines with their successors, which must be available and of the same product."""
    if len(lines) != len(variants):
        raise Refused("Name exactly one new item for each item you give up.")
    for line, variant in zip(lines, variants, strict=True):
        if variant.product_id != line.product_id:
            raise Refused(
                f"{line} can only become another variant of {line.name}, not {variant.name}."
            )
        if not variant.available:
            raise Refused(f"{variant}, item {variant.id}, is not available.")
    return [Swap(line, variant) for line, variant in zip(lines, variants, strict=True)]


def unrefunded(order: Order) -> list[tuple[str, Decimal]]:
    """Method and amount of each payment, less what went back to that method."""
    refunded: dict[str, Decimal] = {}
    for payment in order.payments:
        if payment.kind == "refund":
            refunded[payment.method_id] = (
                refunded.get(payment.method_id, Decimal(0)) + payment.amount
            )
    rest = []
    for payment in order.payments:
        if payment.kind == "payment":
            back = min(refunded.get(payment.method_id, Decimal(0)), payment.amount)
            refunded[payment.method_id] = refunded.get(payment.method_id, Decimal(0)) - back
            if payment.amount > back:
                rest.append((payment.method_id, payment.amount - back))
    return rest


def paid_with(order: Order) -> list[str]:
    """The methods that hold the payment of an order now."""
    return list(dict.fromkeys(method_id for method_id, _ in unrefunded(order)))


def _difference(swaps: Sequence[Swap]) -> Decimal:
    return sum((swap.variant.price - swap.line.price for swap in swaps), Decimal("0.00"))


def _method(order: Order, method_id: str) -> PaymentMethod:
    method = next((method for method in order.methods if method.id == method_id), None)
    if method is None:
        raise Refused(f"{method_id} is not one of your payment methods.")
    return method


def _covers(method: PaymentMethod, amount: Decimal) -> None:
    if method.balance is not None and method.balance < amount:
        raise Refused(
            f"The balance of {method} is {method.balance:.2f}, which does not cover {amount:.2f}."
        )
