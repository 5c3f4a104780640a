"""The local model fills any tool's arguments, picks what is meant, and asks when it is unsure."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from engine.models.extractive import ExtractiveChat
from tests.fakes.desk import (
    BIG,
    BLACK,
    BLUE,
    GREEN,
    LAMP,
    RED,
    TOOLS,
    WHITE,
    ask,
    called,
    look,
    only_call,
    passages,
    settled,
    system,
)


@pytest.mark.parametrize(
    "said", ["Cancel #W1000001, I ordered it by mistake.", "cancel w1000001. bought by accident"]
)
async def test_a_pattern_and_an_enum_are_filled_from_the_message(said: str) -> None:
    args = {"order_id": "#W1000001", "reason": "ordered by mistake"}
    assert only_call(await ask("cancel", said)) == ("cancel", args)


async def test_what_an_earlier_message_said_counts_until_the_latest_says_otherwise() -> None:
    first = "What about #W1000001?"
    answer = await ask("cancel", first, AIMessage("Sure?"), "Cancel it, it is no longer needed.")
    assert only_call(answer)[1]["order_id"] == "#W1000001"
    answer = await ask("cancel", first, AIMessage("Sure?"), "Cancel #W1000002, no longer needed.")
    assert only_call(answer)[1]["order_id"] == "#W1000002"


async def test_a_missing_enum_is_asked_for_with_what_it_allows() -> None:
    answer = await ask("cancel", "Please cancel order #W1000001.")
    assert answer.text == (
        "Please tell me why it is cancelled: no longer needed or ordered by mistake."
    )


async def test_a_question_invents_no_example() -> None:
    answer = await ask("cancel", "Cancel it, no longer needed", level="verified")
    assert only_call(answer) == ("read_me", {})
    tools = [tool for tool in TOOLS if tool.name != "read_me"]
    model = ExtractiveChat().bind_tools(tools)
    answer = await model.ainvoke([system("cancel"), HumanMessage("Cancel it, no longer needed")])
    assert answer.text == "I still need the number of the order."


async def test_two_orders_in_one_message_are_two_calls() -> None:
    answer = await ask("cancel", "Cancel #W1000001 and #W1000002, ordered by mistake.")
    assert [call["args"]["order_id"] for call in answer.tool_calls] == ["#W1000001", "#W1000002"]
    assert len({call["id"] for call in answer.tool_calls}) == 2


async def test_only_the_sentence_about_the_tool_gives_its_order() -> None:
    said = "My #W1000002 is fine. Please cancel #W1000001, it was ordered by mistake."
    assert only_call(await ask("cancel", said))[1]["order_id"] == "#W1000001"


async def test_an_address_is_taken_apart() -> None:
    answer = await ask("move", "I moved to 12 Elm Street, Apt 4, New York, NY 10001, USA. Thanks!")
    assert only_call(answer)[1] == {
        "address1": "12 Elm Street", "address2": "Apt 4", "city": "New York", "state": "NY",
        "postcode": "10001", "country": "USA",
    }  # fmt: skip


async def test_the_rest_of_a_message_is_a_summary_of_bounded_length() -> None:
    answer = await ask("note", "The zipper\n broke " + "again and " * 20)
    summary = only_call(answer)[1]["summary"]
    assert summary.startswith("The zipper broke again")
    assert len(summary) == 60


@pytest.mark.parametrize(
    ("said", "items"),
    [
        ("I want to give back the blue mug", [BLUE]),
        ("the desk lamp and the red mug go back", [LAMP, RED]),
        ("both mugs", [RED, BLUE]),
        ("take everything back", [RED, BLUE, LAMP]),
        ("all of it except the lamp", [RED, BLUE]),
        (f"item {LAMP}", [LAMP]),
        ("just the black one", [LAMP]),
    ],
)
async def test_items_are_picked_by_what_the_customer_calls_them(
    said: str, items: list[str]
) -> None:
    answer = await settled("give_back", f"{said} of #W1000002, to my gift card")
    args = {"order_id": "#W1000002", "item_ids": items, "method": "gift_2"}
    assert only_call(answer) == ("give_back", args)


async def test_what_is_not_known_yet_is_read_first() -> None:
    answer = await ask("give_back", "The lamp of #W1000002 goes back to the gift card")
    assert only_call(answer) == ("read_order", {"order_id": "#W1000002"})


async def test_between_two_that_fit_the_customer_decides() -> None:
    answer = await settled("give_back", "The mug of #W1000002, refund to card_1")
    assert answer.text == (
        "Which of these do you mean: Tea Mug (color red, size small) "
        "or Tea Mug (color blue, size small)?"
    )
    answer = await settled("give_back", "The mug of #W1000002, refund to card_1", "the red one")
    assert only_call(answer)[1]["item_ids"] == [RED]


async def test_the_original_payment_method_is_the_one_of_the_order() -> None:
    said = "Refund the lamp of #W1000002 to the original payment method"
    assert only_call(await settled("give_back", said))[1]["method"] == "card_1"


async def test_an_order_is_found_by_what_is_in_it() -> None:
    answer = await settled("cancel", "Cancel the order with the lamp, I ordered it by accident")
    assert only_call(answer)[1]["order_id"] == "#W1000001"
    answer = await settled("cancel", "Cancel my order, I ordered it by accident")
    assert answer.text.startswith("Which of these do you mean: #W1000001 (pending: Desk Lamp) or")


@pytest.mark.parametrize(
    ("said", "old", "new"),
    [
        ("Swap the red mug of #W1000002 for a green one", [RED], [GREEN]),
        ("exchange the lamp (#W1000002) to white", [LAMP], [WHITE]),
        ("The black lamp in #W1000002 is wrong, I need it in high", [LAMP], [BLACK]),
        (
            "In #W1000002 swap the blue mug for a large green mug and the lamp for white",
            [BLUE, LAMP],
            [BIG, WHITE],
        ),
    ],
)
async def test_an_exchange_finds_the_successors_and_keeps_what_nobody_mentioned(
    said: str, old: list[str], new: list[str]
) -> None:
    args = {"order_id": "#W1000002", "item_ids": old, "new_item_ids": new}
    assert only_call(await settled("swap", said)) == ("swap", args)


async def test_a_successor_nobody_described_is_asked_for() -> None:
    answer = await settled("swap", "I want to swap the lamp of #W1000002")
    assert answer.text == (
        "Which Desk Lamp would you like instead: Desk Lamp (color black, height high) "
        "or Desk Lamp (color white, height low)?"
    )


async def test_a_change_that_was_carried_out_ends_what_earlier_words_mean() -> None:
    done = called("give_back", "Returned.", args={}, artifact={"receipt": {"key": "k"}})
    said = ["Give back the lamp of #W1000002", *done, "And now a mug, to card_1"]
    _, artifact = look("read_order", {"order_id": "#W1000002"})
    args = {"order_id": "#W1000002"}
    read = called("read_order", "Items.", 2, args=args, artifact={"receipt": None, **artifact})
    answer = await ask("give_back", *said, *read)
    assert "Desk Lamp" not in answer.text
    assert answer.text.startswith("Which of these do you mean: Tea Mug")


async def test_somebody_unknown_is_asked_who_they_are() -> None:
    for level, word in (("verified", "and"), ("claimed", "or")):
        intent = "cancel" if level == "verified" else "read_me"
        answer = await ask(intent, "It was ordered by mistake", level="anonymous")
        assert answer.text == (
            f"I first need to know who you are: please give me the email, {word} "
            "the first name, the last name and the postcode."
        )


async def test_facts_in_the_message_are_looked_up_at_once() -> None:
    said = "I am Mei Li, zip 60614, mei@example.org. Cancel #W1000001, ordered by mistake"
    answer = await ask("cancel", said, level="anonymous")
    assert {call["name"]: call["args"] for call in answer.tool_calls} == {
        "by_email": {"email": "mei@example.org"},
        "by_name": {"first_name": "Mei", "last_name": "Li", "postcode": "60614"},
    }


async def test_only_the_fact_that_is_missing_is_asked_for() -> None:
    found = called("by_email", "I found the account.", args={"email": "mei@example.org"})
    answer = await ask("cancel", "mei@example.org", *found, level="claimed")
    assert "email" not in answer.text
    assert "the first name, the last name and the postcode" in answer.text


async def test_a_read_refused_before_the_lookup_was_through_is_tried_again() -> None:
    said = "I am mei@example.org, where is #W1000001?"
    args = {"order_id": "#W1000001"}
    refused = called("read_order", "Who are you?", args=args, status="error", artifact={"data": {}})
    found = called("by_email", "Found.", 2, args={"email": "mei@example.org"})
    answer = await ask("read_order", said, *refused, *found, level="claimed")
    assert only_call(answer) == ("read_order", args)
    again = called("read_order", "No such order.", 3, args=args, status="error")
    answer = await ask("read_order", said, *refused, *found, *again, level="claimed")
    assert answer.text == "No such order."


async def test_a_failed_lookup_is_told_and_not_repeated() -> None:
    args = {"email": "mei@example.org"}
    failed = called("by_email", "I cannot find you.", args=args, status="error")
    answer = await ask("read_me", "mei@example.org", *failed, level="anonymous")
    assert answer.text == "I cannot find you."


async def test_a_read_is_answered_in_its_own_words() -> None:
    text = "Order #W1000001 is pending. Not shipped yet."
    result = called("read_order", text, args={"order_id": "#W1000001"}, artifact={"data": {}})
    assert (await ask("read_order", "Where is #W1000001?", *result)).text == text


async def test_a_receipt_is_announced_and_a_refusal_is_repeated() -> None:
    args = {"order_id": "#W1000001", "reason": "ordered by mistake"}
    said = "Cancel #W1000001, ordered by mistake"
    receipt = {"receipt": {"key": "k"}, "data": {}}
    done = called("cancel", "Cancel order #W1000001: refund 4.00.", args=args, artifact=receipt)
    assert (await ask("cancel", said, *done)).text == "Done: Cancel order #W1000001: refund 4.00."
    refused = called("cancel", "Only a pending order can be cancelled.", args=args, status="error")
    assert (await ask("cancel", said, *refused)).text == "Only a pending order can be cancelled."


async def test_after_a_no_nothing_was_changed() -> None:
    args = {"order_id": "#W1000001", "reason": "ordered by mistake"}
    notice = called("cancel", "Not done: the customer said no.", args=args, status="error")
    said = ["Cancel #W1000001, ordered by mistake", "no", *notice]
    assert (await ask("cancel", *said)).text == "Nothing was changed."


async def test_another_wish_instead_of_a_yes_is_followed_and_the_first_said_to_be_dropped() -> None:
    args = {"order_id": "#W1000001", "reason": "ordered by mistake"}
    notice = called("cancel", "Not done: something else was written.", args=args, status="error")
    before = "Cancel #W1000001, ordered by mistake"
    answer = await ask("cancel", before, "No, I mean #W1000002!", *notice)
    assert only_call(answer)[1]["order_id"] == "#W1000002"
    extra = passages("Returns are free for thirty days.")
    answer = await ask("knowledge", before, "Are returns free?", *notice, extra=extra)
    assert answer.text == "Nothing was changed. Returns are free for thirty days. [doc#1]"


async def test_a_refused_read_ends_the_search_for_choices() -> None:
    args = {"order_id": "#W9999999"}
    refused = called("read_order", "There is no order #W9999999.", args=args, status="error")
    answer = await ask("give_back", "The lamp of #W9999999, to card_1", *refused)
    assert answer.text == "There is no order #W9999999."
