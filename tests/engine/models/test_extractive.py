"""The local model answers in the documents' own words, or says that they do not answer."""

import operator
from collections.abc import AsyncIterator
from functools import reduce
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage

from engine.errors import ConfigError
from engine.models.extractive import NO_ANSWER, ExtractiveChat
from tests.fakes.desk import TOOLS, ask, called, passages, system
from tests.fakes.encoder import WordEncoder

RETURNS = """# Returns

You can return unused things within 30 days, e.g. a tent. **Worn** shoes cannot be returned.

We do not take back:

- gift cards
- opened food

## What a club member gets

- A free mug

A receipt is needed if

1. you pay in cash, or
2. you want a refund.

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
        ("Does a club member get a mug?", "What a club member gets: A free mug. [doc#1]"),
        ("Is a receipt needed?",
         "A receipt is needed if you pay in cash, or you want a refund. [doc#1]"),
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
    extra = passages("Tents need air.")
    answer = await ask("knowledge", "Is returning #W1000001 free?", *result, extra=extra)
    assert answer.text == f"Order #W1000001 is delivered. {NO_ANSWER}"


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
