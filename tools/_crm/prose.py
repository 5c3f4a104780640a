"""What the tools say about records: short sentences with every fact, plain JSON, choices."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from tools._crm.records import (
    GIFT_CARD,
    Customer,
    Line,
    Order,
    OrderSummary,
    Payment,
    PaymentMethod,
    Product,
    Swap,
    Variant,
)
from tools._crm.rules import unrefunded

Choice = dict[str, str]


def money(amount: Decimal) -> str:
    """Two places, no currency: `12.30`."""
    return f"{amount:.2f}"


def counted(names: Iterable[str]) -> str:
    """`2 Lamp, Mug`."""
    return ", ".join(
        f"{count} {name}" if count > 1 else name for name, count in Counter(names).items()
    )


def method(payment_method: PaymentMethod) -> str:
    """`credit card credit_card_1 (visa ending in 1234)`, `gift card gift_card_1 (balance 5.00)`."""
    details = ""
    if payment_method.balance is not None:
        details = f" (balance {money(payment_method.balance)})"
    elif payment_method.last_four:
        details = f" ({payment_method.brand or 'card'} ending in {payment_method.last_four})"
    return f"{payment_method}{details}"


def named(order_methods: Sequence[PaymentMethod], method_id: str) -> str:
    """A method by id, also when the customer gave it up since."""
    found = next((each for each in order_methods if each.id == method_id), None)
    return str(found) if found else method_id


def delay(method_id: str) -> str:
    """When refunded money arrives."""
    return "at once" if method_id.startswith(GIFT_CARD) else "within 5 to 7 business days"


def moved(payment: Payment) -> str:
    """`refund 10.00 to gift card gift_card_1 at once`."""
    kind = payment.method_id.rpartition("_")[0].replace("_", " ")
    if payment.kind == "payment":
        return f"pay {money(payment.amount)} with {kind} {payment.method_id}"
    return (
        f"refund {money(payment.amount)} to {kind} {payment.method_id} {delay(payment.method_id)}"
    )


def settled(difference: Decimal, method_id: str) -> str:
    """`6.45 to pay with paypal paypal_1`: what an exchange will cost or give back."""
    if not difference:
        return "no price difference"
    done = "to pay with" if difference > 0 else "to be refunded to"
    kind = method_id.rpartition("_")[0].replace("_", " ")
    return f"price difference {money(abs(difference))} {done} {kind} {method_id}"


def swapped(swaps: Sequence[Swap]) -> str:
    """`A (red), item 1, 5.00 becomes A (blue), item 2, 6.00`."""
    return "; ".join(
        f"{swap.line}, item {swap.line.item_id}, {money(swap.line.price)} becomes "
        f"{swap.variant}, item {swap.variant.id}, {money(swap.variant.price)}"
        for swap in swaps
    )


def order(record: Order, *, address: bool) -> str:
    """Everything about an order; `address` only for somebody whose identity is verified."""
    sentences = [f"Order {record.id} is {record.status}."]
    if record.cancel_reason:
        sentences.append(f"Reason of the cancellation: {record.cancel_reason}.")
    sentences.append(f"Items: {'; '.join(line(each) for each in record.lines)}.")
    if record.payments:
        paid = "; ".join(_entry(record, payment) for payment in record.payments)
        sentences.append(f"Payments: {paid}.")
    sentences.extend(_requests(record))
    sentences.append(shipping(record))
    if address:
        sentences.append(f"Shipping address: {record.address}.")
    return " ".join(sentences)


def shipping(record: Order) -> str:
    """What is on its way, under which tracking number."""
    if not record.fulfilments:
        return "Nothing was shipped." if record.status == "cancelled" else "Not shipped yet."
    names = {each.item_id: each.name for each in record.lines}
    return " ".join(
        f"Tracking number {' and '.join(sent.tracking_ids)}: "
        f"{counted(names.get(item_id, f'item {item_id}') for item_id in sent.item_ids)}."
        for sent in record.fulfilments
    )


def line(record: Line) -> str:
    """`Water Bottle (color blue), item 123, 5.00`."""
    return f"{record}, item {record.item_id}, {money(record.price)}"


def profile(record: Customer) -> str:
    """Everything about a customer, for that customer."""
    methods = ", ".join(method(each) for each in record.methods) or "none"
    return (
        f"{record.first_name} {record.last_name}, e-mail {record.email}, address {record.address}. "
        f"Payment methods: {methods}. {history(record)}"
    )


def history(record: Customer) -> str:
    """The orders of a customer by number."""
    if not record.orders:
        return "No orders yet."
    orders = "; ".join(
        f"{each.id} ({each.status}: {counted(each.names)})" for each in record.orders
    )
    return f"Orders: {orders}."


def product(record: Product) -> str:
    """A product with all its variants."""
    about = f" {record.description}" if record.description else ""
    variants = "; ".join(variant(each) for each in record.variants) or "none"
    return f"{record.name}, product {record.id}.{about} Variants: {variants}."


def variant(record: Variant) -> str:
    """`item 123 (color blue) 5.00`, and whether it can be had."""
    options = ", ".join(f"{option} {value}" for option, value in record.options.items())
    shown = f" ({options})" if options else ""
    unavailable = "" if record.available else ", not available"
    return f"item {record.id}{shown} {money(record.price)}{unavailable}"


def line_choices(lines: Iterable[Line]) -> list[Choice]:
    """What can be returned, exchanged or changed."""
    return [{"id": each.item_id, "label": str(each)} for each in lines]


def variant_choices(variants: Iterable[Variant]) -> list[Choice]:
    """What can be had."""
    return [{"id": each.id, "label": str(each)} for each in variants if each.available]


def method_choices(methods: Iterable[PaymentMethod], *, details: bool) -> list[Choice]:
    """What can pay, or be refunded; `details` (digits, balance) only for a verified customer."""
    return [{"id": each.id, "label": method(each) if details else str(each)} for each in methods]


def order_choices(orders: Iterable[OrderSummary]) -> list[Choice]:
    """The orders of a customer; the word cancelled would answer to every wish to cancel."""
    return [
        {
            "id": each.id,
            "label": f"{each.id} ({counted(each.names)}"
            + ("" if each.status == "cancelled" else f", {each.status}")
            + ")",
        }
        for each in orders
    ]


def order_methods(record: Order) -> list[PaymentMethod]:
    """The methods that paid an order."""
    paid = {method_id for method_id, _ in unrefunded(record)} or {
        payment.method_id for payment in record.payments
    }
    return [each for each in record.methods if each.id in paid]


def plain(record: Any) -> dict[str, Any]:
    """A record as JSON, money as text."""
    return {name: _plain(value) for name, value in asdict(record).items()}


def _entry(record: Order, payment: Payment) -> str:
    if payment.kind == "payment":
        return f"{money(payment.amount)} paid with {named(record.methods, payment.method_id)}"
    return f"{money(payment.amount)} refunded to {named(record.methods, payment.method_id)}"


def _requests(record: Order) -> Iterable[str]:
    returning = [str(each) for each in record.lines if each.return_requested]
    if returning:
        yield (
            f"To be returned: {counted(returning)}; refund to "
            f"{named(record.methods, record.return_payment_method_id or '')}."
        )
    exchanging = [each for each in record.lines if each.exchange_item_id]
    if exchanging and record.exchange_price_difference is not None:
        pairs = "; ".join(f"{each} for item {each.exchange_item_id}" for each in exchanging)
        yield (
            f"To be exchanged: {pairs}; price difference "
            f"{money(record.exchange_price_difference)} on "
            f"{named(record.methods, record.exchange_payment_method_id or '')}."
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
