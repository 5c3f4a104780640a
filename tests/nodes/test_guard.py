import pytest
from langchain_core.messages import HumanMessage

from nodes.guard import mask, masked_input, masked_message


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("my card is 4111 1111 1111 1111 ok", "my card is [card number removed] ok"),
        ("pay with 4111-1111-1111-1111", "pay with [card number removed]"),
        ("password: hunter2 please", "password: [removed] please"),
        ("my CVV is 123", "my CVV is [removed]"),
        ("use sk-abcdefghijklmnop1234 there", "use [key removed] there"),
        ("token eyJhbGciOi.eyJzdWIiOiIx.SflKxw", "token [token removed]"),
    ],
)
def test_secrets_are_masked(said: str, kept: str) -> None:
    assert mask(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        "order #W1234567 with item 1234567890",
        "tracking 123456789012",
        "call me at +1 555 123 4567",
        "4111 1111 1111 1112",
        "gift_card_1234567 and credit_card_7654321",
    ],
)
def test_what_the_desk_needs_stays(said: str) -> None:
    assert mask(said) == said


def test_a_masked_message_keeps_its_id_and_blocks() -> None:
    message = HumanMessage([{"type": "text", "text": "password is abc"}], id="m1")
    masked = masked_message(message)
    assert masked.id == "m1"
    assert masked.content == [{"type": "text", "text": "password is [removed]"}]


def test_a_whole_input_is_masked_before_it_is_stored() -> None:
    sent = {"messages": [{"role": "user", "content": "4111111111111111"}]}
    assert masked_input(sent) == {
        "messages": [{"role": "user", "content": "[card number removed]"}]
    }
