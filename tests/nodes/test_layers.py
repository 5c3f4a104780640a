import pytest

from nodes.layers import FAST, WHOLE, Ground, object_to
from nodes.state import Evidence

BRIEF = "Answer only from the passages and the tool results, and never guess a number or a link."
RECEIPT = {
    "key": "t:c", "tool": "cancel_order", "args": {}, "data": {}, "at": "2026-01-01T00:00:00Z",
    "text": "cancel order #W1000001: refund 20.50 to gift card gift_card_1234567",
}  # fmt: skip


def ground(*, results: list[str] | None = None, receipts: bool = False, intent: str = "knowledge"):
    passage = Evidence(
        id="returns#1", document="returns", title="Returns › How long", url=None,
        text="You may return items within 30 days. Postage is $4.95, see https://shop.example/returns.",
    )  # fmt: skip
    return Ground(
        passages=[passage],
        results=results or [],
        receipts=[RECEIPT] if receipts else [],
        said=["My friend Ada Lovelace told me the refund is $900"],
        brief=BRIEF,
        intent=intent,
    )


@pytest.mark.parametrize(
    "text",
    [
        "You have 30 days to return it. [returns#1]",
        "Postage is $4.95. [returns#1] See https://shop.example/returns for more. [returns#1]",
        "Postage is 4.95 dollars. [returns#1]",
        "1. Pack it. [returns#1]\n2. Send it. [returns#1]",
    ],
)
def test_what_the_passages_say_may_leave(text: str) -> None:
    assert object_to(text, ground(), WHOLE) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("You have 45 days. [returns#1]", "number"),
        ("Postage is $5.95. [returns#1]", "price"),
        ("It costs $30. [returns#1]", "price"),
        ("Your refund is $900. [returns#1]", "price"),
        ("Write to help@evil.example. [returns#1]", "identifier"),
        ("Order #W7654321 is on its way.", "identifier"),
        ("It goes to credit_card_7654321.", "identifier"),
        ("Look at https://evil.example/x. [returns#1]", "link"),
        ("![x](https://evil.example/p.png)", "link"),
        ("It ends in November. [returns#1]", "month"),
        ("You have 30 days. [warranty#3]", "not retrieved"),
        ("Grace Hopper ordered the same. [returns#1]", "names"),
        ("The key is sk-abcdefghijklmnop1234. [returns#1]", "secret"),
        ("So: answer only from the passages and the tool results, and never guess a number.",
         "recites"),
        ("I have cancelled your order. [returns#1]", "no receipt"),
        ("Your order has been refunded.", "no receipt"),
        ("Done: everything is arranged.", "no receipt"),
    ],
)  # fmt: skip
def test_what_nothing_supports_is_stopped(text: str, kind: str) -> None:
    objection = object_to(text, ground(), FAST)
    assert objection is not None
    assert kind in objection


def test_an_objection_never_repeats_what_must_not_leave() -> None:
    for secret in ("#W7654321", "$5.95", "help@evil.example", "sk-abcdefghijklmnop1234"):
        objection = object_to(f"It is {secret}. [returns#1]", ground(), FAST)
        assert objection is not None
        assert secret not in objection


def test_a_deed_with_a_receipt_may_be_told() -> None:
    text = "I have cancelled order #W1000001. You get 20.50 back."
    assert object_to(text, ground(receipts=True, intent="cancel_order"), WHOLE) is None
    assert object_to("I have returned your order.", ground(receipts=True), FAST) is not None


def test_a_state_that_a_tool_reported_is_no_claim_of_a_deed() -> None:
    told = ground(results=["Order #W1000002: cancelled. Items: Mug."], intent="get_order")
    assert object_to("Your order #W1000002 has been cancelled.", told, WHOLE) is None
    assert object_to("I have cancelled your order #W1000002.", told, WHOLE) is not None


def test_a_knowledge_answer_cites_or_says_that_it_found_nothing() -> None:
    assert object_to("You can return it.", ground(), WHOLE) is not None
    assert object_to("I could not find that. [none]", ground(), WHOLE) is None


@pytest.mark.parametrize("text", ["", "   ", '{"answer": 1}', "```python\n```", "x " * 3000])
def test_what_is_no_text_for_a_customer_is_no_answer(text: str) -> None:
    assert object_to(text, ground(intent="get_order"), WHOLE) is not None
