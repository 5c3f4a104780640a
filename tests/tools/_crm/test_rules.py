from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Refused
from tools._crm import rules
from tools._crm.records import Address, Line, Order, Payment, PaymentMethod, Variant

CARD = PaymentMethod("credit_card_1", "credit_card")
PAYPAL = PaymentMethod("paypal_1", "paypal")
GIFT = PaymentMethod("gift_card_1", "gift_card", balance=Decimal("50.00"))
CENTS = st.integers(0, 10**6).map(lambda cents: Decimal(cents).scaleb(-2))


def line(position: int, item_id: str, price: str | Decimal, product_id: str = "p") -> Line:
    return Line(position, product_id, item_id, "Lamp", {"color": item_id}, Decimal(price))


def variant(item_id: str, price: str | Decimal, product_id: str = "p") -> Variant:
    return Variant(item_id, product_id, "Lamp", {"color": item_id}, True, Decimal(price))


def order(*payments: Payment, status: str = "pending", lines: tuple[Line, ...] = ()) -> Order:
    return Order(
        id="#W1", status=status, address=Address("1 A St", "", "B", "C", "D", "E"), lines=lines,
        payments=payments, fulfilments=(), methods=(CARD, PAYPAL, GIFT),
    )  # fmt: skip


def paid(amount: str, method: PaymentMethod = CARD) -> Payment:
    return Payment("payment", Decimal(amount), method.id)


def refunded(amount: str, method: PaymentMethod = CARD) -> Payment:
    return Payment("refund", Decimal(amount), method.id)


def test_each_payment_is_refunded_where_it_came_from() -> None:
    assert rules.cancel(order(paid("10.00"), paid("2.50", GIFT))) == [
        refunded("10.00"),
        refunded("2.50", GIFT),
    ]


def test_what_was_refunded_before_is_not_refunded_again() -> None:
    changed = order(paid("10.00"), paid("10.00", PAYPAL), refunded("10.00"))
    assert rules.cancel(changed) == [refunded("10.00", PAYPAL)]
    assert rules.cancel(order(paid("10.00"), refunded("4.00"))) == [refunded("6.00")]
    assert rules.cancel(order(paid("3.00"), paid("7.00"), refunded("4.00"))) == [refunded("6.00")]


def test_a_return_goes_to_the_method_that_holds_the_payment_or_to_a_gift_card() -> None:
    changed = order(paid("10.00"), paid("10.00", PAYPAL), refunded("10.00"))
    assert rules.refund_method(changed, PAYPAL.id) == PAYPAL
    assert rules.refund_method(changed, GIFT.id) == GIFT
    with pytest.raises(Refused, match="original payment method"):
        rules.refund_method(changed, CARD.id)


def test_a_gift_card_may_be_spent_to_the_last_cent() -> None:
    swaps = rules.swap([line(0, "a", "10.00")], [variant("b", "60.00")])
    assert rules.change_items(order(), swaps, GIFT.id) == paid("50.00", GIFT)
    dearer = rules.swap([line(0, "a", "10.00")], [variant("b", "60.01")])
    with pytest.raises(Refused, match=r"balance of gift card gift_card_1 is 50\.00"):
        rules.change_items(order(), dearer, GIFT.id)


def test_an_even_change_is_a_refund_of_nothing() -> None:
    swaps = rules.swap([line(0, "a", "10.00")], [variant("b", "10.00")])
    assert rules.change_items(order(), swaps, CARD.id) == refunded("0.00")


@given(st.lists(st.tuples(CENTS, CENTS), min_size=1, max_size=20))
def test_differences_are_exact_to_the_cent(prices) -> None:
    lines = [line(n, "a", old) for n, (old, _) in enumerate(prices)]
    swaps = rules.swap(lines, [variant("b", new) for _, new in prices])
    payment = rules.change_items(order(), swaps, CARD.id)
    cents = sum(int(new * 100) - int(old * 100) for old, new in prices)
    assert int(payment.amount * 100) == abs(cents)
    assert payment.amount == payment.amount.quantize(Decimal("0.01"))
    assert payment.kind == ("payment" if cents > 0 else "refund")


def test_picked_lines_are_different_pieces() -> None:
    lines = (line(0, "a", "1.00"), line(1, "b", "2.00"), line(2, "a", "1.00"))
    picked = rules.pick(order(lines=lines), ["a", "a", "b"])
    assert [each.position for each in picked] == [0, 2, 1]
    with pytest.raises(Refused, match="does not hold item b so many times"):
        rules.pick(order(lines=lines), ["b", "b"])


@pytest.mark.parametrize("status", ["processed", "delivered", "cancelled", "return requested", ""])
def test_only_pending_orders_change(status) -> None:
    theirs = order(paid("1.00"), status=status)
    for check in (
        rules.cancel,
        rules.change_address,
        rules.check_items_open,
        lambda each: rules.change_payment(each, PAYPAL.id),
    ):
        with pytest.raises(Refused, match=f"order #W1 is {status}"):
            check(theirs)
