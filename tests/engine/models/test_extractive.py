"""The local model answers in the documents' words, fills any tool, and asks when it is unsure."""

import operator
from collections.abc import AsyncIterator, Sequence
from functools import reduce
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import BaseTool, StructuredTool

from engine.errors import ConfigError
from engine.models.extractive import NO_ANSWER, ExtractiveChat
from tests.fakes.encoder import WordEncoder

EMAIL = r"[^\s@]+@[^\s@]+\.[a-z]{2,}"
ORDER = {"type": "string", "pattern": r"#W\d{7}", "x-choose": "order"}
ORDER["description"] = "Number of the order, such as #W7654321."
METHOD = {"type": "string", "pattern": r"(card|gift)_\d+", "x-choose": "payment_method"}
METHOD["description"] = "One of the customer's own payment methods."
REASON = {
    "enum": ["no longer needed", "ordered by mistake"],
    "description": "Why it is cancelled; there are no other reasons.",
    "x-synonyms": {"ordered by mistake": ["by accident"]},
}
TEXT = {"type": "string"}


def picks(kind: str, description: str) -> dict[str, Any]:
    items = {"type": "string", "pattern": r"\d{10}", "x-choose": kind}
    return {"type": "array", "items": items, "description": description}


def make(name: str, *optional: str, level: str = "anonymous", **more: Any) -> BaseTool:
    properties = more.pop("takes", {})
    required = [argument for argument in properties if argument not in optional]
    schema = {"type": "object", "properties": properties, "required": required}
    metadata = {"level": level, **more}
    return StructuredTool(name=name, description=name, args_schema=schema, metadata=metadata)


WRITE = {"level": "verified", "write": True}
ADDRESS = {
    **dict.fromkeys(("address1", "city", "state", "postcode", "address2", "country"), TEXT),
}
TOOLS = [
    make("by_email", identifies=True, takes={"email": {"type": "string", "pattern": EMAIL}}),
    make(
        "by_name", identifies=True,
        takes={"first_name": TEXT, "last_name": TEXT, "postcode": TEXT},
    ),
    make("read_me", level="claimed", provides=("order", "payment_method")),
    make(
        "read_order", level="claimed", provides=("line", "payment_method"),
        takes={"order_id": ORDER},
    ),
    make(
        "read_product", provides=("variant",),
        takes={"product_id": {"type": "string", "pattern": r"\d{10}", "x-choose": "product"}},
    ),
    make("cancel", **WRITE, takes={"order_id": ORDER, "reason": REASON}),
    make(
        "give_back", **WRITE,
        takes={
            "order_id": ORDER,
            "item_ids": picks("line", "Numbers of the items."),
            "method": METHOD,
        },
    ),
    make(
        "swap", **WRITE,
        takes={
            "order_id": ORDER,
            "item_ids": picks("line", "Numbers of the items."),
            "new_item_ids": picks("variant", "Numbers of the new items."),
        },
    ),
    make("move", "address2", "country", **WRITE, takes=ADDRESS),
    make("note", write=True, takes={"summary": {**TEXT, "maxLength": 60}}),
]  # fmt: skip

RED, BLUE, LAMP = "1000000001", "1000000002", "1000000003"
GREEN, BIG = "2000000001", "2000000002"
BLACK, WHITE = "2000000003", "2000000004"
MUG, LIGHT = "9000000001", "9000000002"
LINES = [
    (RED, MUG, "Tea Mug (color red, size small)"),
    (BLUE, MUG, "Tea Mug (color blue, size small)"),
    (LAMP, LIGHT, "Desk Lamp (color black, height low)"),
]
VARIANTS = {
    MUG: [
        (GREEN, "Tea Mug (color green, size small)"),
        (BIG, "Tea Mug (color green, size large)"),
    ],
    LIGHT: [
        (BLACK, "Desk Lamp (color black, height high)"),
        (WHITE, "Desk Lamp (color white, height low)"),
    ],
}


def listed(**choices: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        kind: [{"id": key, "label": label} for key, label in pairs]
        for kind, pairs in choices.items()
    }


def look(name: str, args: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What the reads of this small shop say, with data and choices."""
    if name == "read_me":
        orders = [
            ("#W1000001", "#W1000001 (pending: Desk Lamp)"),
            ("#W1000002", "#W1000002 (delivered: Tea Mug)"),
        ]
        methods = [("card_1", "credit card card_1"), ("gift_2", "gift card gift_2")]
        return "Two orders.", {"choices": listed(order=orders, payment_method=methods)}
    if name == "read_order":
        lines = [{"item_id": key, "product_id": product} for key, product, _ in LINES]
        return "Three items.", {
            "data": {"order_id": args["order_id"], "lines": lines},
            "choices": listed(
                line=[(key, label) for key, _, label in LINES],
                payment_method=[("card_1", "credit card card_1")],
            ),
        }
    return "Two variants.", {"choices": listed(variant=VARIANTS[args["product_id"]])}


def system(
    intent: str, level: str = "verified", confidence: float = 0.95, extra: str = ""
) -> SystemMessage:
    request = f'<request intent="{intent}" confidence="{confidence}" level="{level}"/>'
    return SystemMessage(f"You answer customers.\n\n{request}\n\n{extra}")


def passages(*texts: str) -> str:
    parts = [
        f'<passage id="doc#{n}" title="Shop &amp; Help">\n{text}\n</passage>'
        for n, text in enumerate(texts, start=1)
    ]
    return "<passages>\n" + "\n".join(parts) + "\n</passages>"


def called(name: str, text: str, number: int = 1, **message: Any) -> list[BaseMessage]:
    call = {"name": name, "args": message.pop("args", {}), "id": f"c{number}"}
    return [
        AIMessage("", tool_calls=[call]),
        ToolMessage(text, name=name, tool_call_id=f"c{number}", **message),
    ]


async def ask(intent: str, *said: Any, **about: Any) -> AIMessage:
    messages = [HumanMessage(each) if isinstance(each, str) else each for each in said]
    return await ExtractiveChat().bind_tools(TOOLS).ainvoke([system(intent, **about), *messages])


async def settled(intent: str, *said: str, **about: Any) -> AIMessage:
    """The model's word after all the reads that it wants were made."""
    messages: list[Any] = list(said)
    for number in range(8):
        answer = await ask(intent, *messages, **about)
        if not answer.tool_calls or not answer.tool_calls[0]["name"].startswith("read_"):
            return answer
        for call in answer.tool_calls:
            text, artifact = look(call["name"], call["args"])
            messages += called(
                call["name"],
                text,
                number,
                args=call["args"],
                artifact={"receipt": None, **artifact},
            )
    raise AssertionError("it reads for ever")


def only_call(answer: AIMessage) -> tuple[str, dict[str, Any]]:
    assert answer.content == ""
    [call] = answer.tool_calls
    return call["name"], call["args"]


# --- slots -----------------------------------------------------------------------------------


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


# --- choices ---------------------------------------------------------------------------------


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


# --- who is asking ---------------------------------------------------------------------------


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


async def test_a_failed_lookup_is_told_and_not_repeated() -> None:
    args = {"email": "mei@example.org"}
    failed = called("by_email", "I cannot find you.", args=args, status="error")
    answer = await ask("read_me", "mei@example.org", *failed, level="anonymous")
    assert answer.text == "I cannot find you."


# --- what tools said -------------------------------------------------------------------------


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


# --- knowledge -------------------------------------------------------------------------------

RETURNS = """# Returns

You can return unused things within 30 days, e.g. a tent. **Worn** shoes cannot be returned.

We do not take back:

- gift cards
- opened food

## What it costs

| Method | Time | Price |
|--------|------|-------|
| Parcel shop | 5 days | 3.50 USD |
| Courier | 2 days | 9.00 USD |
"""


def knowing() -> ExtractiveChat:
    return ExtractiveChat(encoder=WordEncoder())


async def told(question: str, *texts: str, model: Any = None, extra: str = "") -> str:
    prompt = [system("knowledge", extra=passages(*texts) + extra), HumanMessage(question)]
    return (await (model or ExtractiveChat()).ainvoke(prompt)).text


@pytest.mark.parametrize("encoder", [None, WordEncoder()])
async def test_the_answering_sentence_comes_with_its_passage(encoder: Any) -> None:
    model = ExtractiveChat(encoder=encoder)
    other = "Our shop is open from nine to five. Parking is free."
    answer = await told("Can worn shoes be returned?", other, RETURNS, model=model)
    assert answer.startswith("Worn shoes cannot be returned. [doc#2]")


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("Do you take back gift cards?", "We do not take back: gift cards. [doc#1]"),
        ("What is the price of a courier?", "Courier: Time 2 days, Price 9.00 USD. [doc#1]"),
        ("Can I return a tent within 30 days?",
         "You can return unused things within 30 days, e.g. a tent. [doc#1]"),
    ],
)  # fmt: skip
async def test_lists_tables_and_abbreviations_become_whole_sentences(
    question: str, sentence: str
) -> None:
    assert sentence in await told(question, RETURNS)


async def test_every_sentence_is_cited_and_there_are_at_most_three() -> None:
    text = " ".join(f"Shipping to country {n} costs money." for n in range(9))
    answer = await told("What does shipping to a country cost?", text)
    assert 1 <= answer.count("[doc#1]") <= 3
    assert answer.count(".") == answer.count("[doc#1]")


async def test_a_sentence_that_leans_on_the_one_before_brings_it() -> None:
    text = "A warranty covers the zipper. It lasts two years for a tent. Our office is in Oslo."
    answer = await told("How many years does it last for a tent?", text)
    assert answer == (
        "A warranty covers the zipper. [doc#1] It lasts two years for a tent. [doc#1]"
    )


@pytest.mark.parametrize("encoder", [None, WordEncoder()])
async def test_what_the_documents_do_not_say_is_not_answered(encoder: Any) -> None:
    model = ExtractiveChat(encoder=encoder)
    answer = await told("Who won the chess championship in Prague?", RETURNS, model=model)
    assert answer.endswith(NO_ANSWER)
    assert "[doc#" not in answer
    assert (await told("Anything?", model=model)).endswith(NO_ANSWER)


async def test_a_rejected_sentence_is_not_said_again() -> None:
    text = "Shipping costs 5 dollars. Shipping costs nothing above 50 dollars."
    question = "What are the shipping costs in dollars?"
    first = await told(question, text)
    assert first.count("[doc#1]") == 2
    numbered = "<rejected>Sentence 1: a number is in no passage.</rejected>"
    again = await told(question, text, extra=numbered)
    assert again == "Shipping costs nothing above 50 dollars. [doc#1]"
    quoted = '<rejected>Not supported: "nothing above"</rejected>'
    assert await told(question, text, extra=quoted) == "Shipping costs 5 dollars. [doc#1]"


async def test_facts_that_were_read_stand_beside_the_documents() -> None:
    result = called("read_order", "Order #W1000001 is delivered.", artifact={"data": {}})
    extra = passages("Returns are free for thirty days.")
    answer = await ask("knowledge", "Is returning #W1000001 free?", *result, extra=extra)
    assert answer.text == "Order #W1000001 is delivered. Returns are free for thirty days. [doc#1]"


async def test_an_unsure_intent_is_answered_from_the_documents_before_anything_is_asked() -> None:
    extra = passages("To give back an item, print the label.")
    question = "How do I give back an item?"
    model = ExtractiveChat().bind_tools([tool for tool in TOOLS if tool.name != "read_me"])
    for confidence, cites in ((0.3, True), (0.9, False)):
        messages = [system("give_back", confidence=confidence, extra=extra), HumanMessage(question)]
        assert ("[doc#1]" in (await model.ainvoke(messages)).text) == cites


async def test_small_talk_and_out_of_scope_get_a_sentence() -> None:
    assert (await ask("smalltalk", "Hi!")).text == "Hello! How can I help you today?"
    assert "nothing I can help with" in (await ask("out_of_scope", "Best horse?")).text


# --- as a chat model -------------------------------------------------------------------------


async def test_it_streams_sentence_by_sentence_and_ends_with_its_usage() -> None:
    model = ExtractiveChat(count_tokens=lambda text: len(text.split()))
    text = "Shipping costs 5 dollars. Shipping costs nothing above 50 dollars."
    prompt = [system("knowledge", extra=passages(text)), HumanMessage("Shipping costs in dollars?")]
    chunks = [chunk async for chunk in model.astream(prompt)]
    assert [chunk.text for chunk in chunks if chunk.text] == [
        "Shipping costs 5 dollars. [doc#1] ",
        "Shipping costs nothing above 50 dollars. [doc#1]",
    ]
    whole = reduce(operator.add, chunks)
    assert isinstance(whole, AIMessageChunk)
    assert whole.text == (await model.ainvoke(prompt)).text
    assert whole.usage_metadata["input_tokens"] == sum(len(m.text.split()) for m in prompt)
    assert whole.usage_metadata["output_tokens"] == 12
    assert whole.response_metadata["model_name"] == "local:extractive"


async def test_tool_calls_arrive_whole_in_a_stream() -> None:
    prompt = [system("cancel"), HumanMessage("Cancel #W1000001, ordered by mistake")]
    chunks = [chunk async for chunk in ExtractiveChat().bind_tools(TOOLS).astream(prompt)]
    whole = reduce(operator.add, chunks)
    assert whole.tool_calls[0]["args"]["order_id"] == "#W1000001"
    assert whole.response_metadata["finish_reason"] == "tool_calls"
    assert whole.usage_metadata["output_tokens"] > 0


async def test_a_sentence_is_embedded_once() -> None:
    encoder = WordEncoder()
    model = ExtractiveChat(encoder=encoder)
    for question in ("Are worn shoes returned?", "Is a courier quick?"):
        await told(question, RETURNS, model=model.bind_tools([]))
    assert len(encoder.seen) == len(set(encoder.seen))


def test_it_can_be_invoked_without_a_loop() -> None:
    assert ExtractiveChat().invoke([system("smalltalk"), HumanMessage("Hi")]).text


def test_it_refuses_structured_output() -> None:
    with pytest.raises(ConfigError, match="local:intent"):
        ExtractiveChat().with_structured_output({"title": "x", "type": "object"})


async def unanswered(stream: AsyncIterator[Any]) -> str:
    return "".join([chunk.text async for chunk in stream])


async def test_a_prompt_without_blocks_is_honestly_not_answered() -> None:
    for messages in ([HumanMessage("What is the capital of France?")], [SystemMessage("Hello")]):
        assert NO_ANSWER in await unanswered(ExtractiveChat().astream(messages))
