from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from nodes.prompt import compose, tokens, turns
from nodes.state import State


def called(call_id: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "get_order", "args": {}, "id": call_id}])


def test_a_result_follows_its_call_even_when_the_customer_spoke_in_between() -> None:
    messages = [
        HumanMessage("cancel it"), called("1"), AIMessage("Please confirm"),
        HumanMessage("yes"), ToolMessage("Done", tool_call_id="1"),
    ]  # fmt: skip
    flat = [message for turn in turns(messages) for message in turn]
    assert [m.type for m in flat] == ["human", "ai", "human", "ai", "tool"]
    assert flat[3].tool_calls[0]["id"] == "1"


def test_a_call_that_still_waits_for_a_yes_is_left_out() -> None:
    flat = turns([HumanMessage("cancel it"), called("1"), AIMessage("Please confirm")])[0]
    assert [m.text for m in flat] == ["cancel it", "Please confirm"]


def test_a_long_conversation_keeps_a_bounded_prompt_and_the_newest_turns() -> None:
    messages = [
        message
        for n in range(200)
        for message in (HumanMessage(f"question {n} " + "x" * 200), AIMessage(f"answer {n}"))
    ]
    state = State(messages=messages, summary="Customer: asked about returns")
    prompt = compose(state, "brief", 1000)
    assert sum(tokens(message.text) for message in prompt) <= 1000
    assert prompt[-1].text == "answer 199"
    assert "asked about returns" in prompt[0].text


def test_the_current_turn_is_whole_whatever_it_costs() -> None:
    state = State(messages=[HumanMessage("old"), AIMessage("old"), HumanMessage("y" * 9000)])
    assert [len(message.text) for message in compose(state, "brief", 500)[1:]] == [9000]


def test_receipts_are_facts_of_the_prompt() -> None:
    receipt = {
        "key": "k",
        "tool": "t",
        "args": {},
        "text": "cancel order #W1",
        "data": {},
        "at": "",
    }
    state = State(messages=[HumanMessage("hi")], effects=[receipt])
    assert "- Done in this conversation: cancel order #W1" in compose(state, "brief", 900)[0].text
