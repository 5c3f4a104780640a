from typing import Any

import pytest
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage

from engine.protocol.blocks import Assembly, is_last, slim, snapshot
from engine.serialise import dumps, loads

USAGE = {"input_tokens": 5, "output_tokens": 1, "total_tokens": 6}


def said(*pieces: Any) -> list[Any]:
    assembly = Assembly()
    events: list[Any] = []
    for piece in pieces:
        data = loads(dumps(piece))
        events += assembly.add(data)
        if is_last(data):
            events += assembly.finish()
    return events


def assembled(events: list[Any]) -> AIMessage:
    """What LangChain makes of the events."""
    stream = ChatModelStream(namespace=[], node=None, message_id="m1")
    for event in events:
        stream.dispatch(event)
    return stream.output


def call(name: str | None, args: str, call_id: str | None, index: int) -> dict[str, Any]:
    return {"name": name, "args": args, "id": call_id, "index": index, "type": "tool_call_chunk"}


def test_text_grows_and_is_whole_in_the_end() -> None:
    events = said(
        AIMessageChunk("Hello ", id="m1"),
        AIMessageChunk("you", id="m1", usage_metadata=USAGE),
        AIMessageChunk(
            "", id="m1", chunk_position="last", response_metadata={"finish_reason": "stop"}
        ),
    )
    assert events == [
        {"event": "message-start", "role": "ai", "id": "m1"},
        {"event": "content-block-start", "index": 0, "content": {"type": "text", "text": ""}},
        {
            "event": "content-block-delta",
            "index": 0,
            "delta": {"type": "text-delta", "text": "Hello "},
        },
        {
            "event": "content-block-delta",
            "index": 0,
            "delta": {"type": "text-delta", "text": "you"},
        },
        {
            "event": "content-block-finish",
            "index": 0,
            "content": {"type": "text", "text": "Hello you"},
        },
        {"event": "message-finish", "usage": USAGE, "metadata": {"finish_reason": "stop"}},
    ]


def test_parallel_calls_keep_their_blocks_and_broken_arguments_are_told() -> None:
    events = said(
        AIMessageChunk("Let me see.", id="m1"),
        AIMessageChunk("", id="m1", tool_call_chunks=[call("add", "", "c1", 0)]),
        AIMessageChunk("", id="m1", tool_call_chunks=[call("add", '{"a"', "c2", 1)]),
        AIMessageChunk("", id="m1", tool_call_chunks=[call(None, '{"a": 1}', None, 0)]),
        AIMessageChunk("", id="m1", chunk_position="last"),
    )
    blocks = [one["content"] for one in events if one["event"] == "content-block-finish"]
    assert [block["type"] for block in blocks] == ["text", "tool_call", "invalid_tool_call"]
    assert blocks[1] == {"type": "tool_call", "id": "c1", "name": "add", "args": {"a": 1}}
    assert blocks[2]["args"] == '{"a"'
    message = assembled(events)
    assert message.tool_calls[0]["args"] == {"a": 1}
    assert message.invalid_tool_calls[0]["id"] == "c2"


def test_reasoning_and_text_are_blocks_of_their_own() -> None:
    thinking: Any = [{"type": "reasoning", "reasoning": "Hm", "index": 0}]
    more: Any = [{"type": "reasoning", "reasoning": "m.", "index": 0}]
    text: Any = [{"type": "text", "text": "Yes.", "index": 1}]
    events = said(
        AIMessageChunk(thinking, id="m1"),
        AIMessageChunk(more, id="m1"),
        AIMessageChunk(text, id="m1", chunk_position="last"),
    )
    deltas = [one["delta"] for one in events if one["event"] == "content-block-delta"]
    assert deltas == [
        {"type": "reasoning-delta", "reasoning": "Hm"},
        {"type": "reasoning-delta", "reasoning": "m."},
        {"type": "text-delta", "text": "Yes."},
    ]
    assert [block["type"] for block in assembled(events).content_blocks] == ["reasoning", "text"]


def test_a_whole_message_is_told_at_once() -> None:
    calls: Any = [{"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}]
    events = said(AIMessage("Fine.", id="m1", tool_calls=calls))
    assert events[0] == {"event": "message-start", "role": "ai", "id": "m1"}
    assert events[-1] == {"event": "message-finish"}
    message = assembled(events)
    assert message.text == "Fine."
    assert [one["id"] for one in message.tool_calls] == ["c1"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (HumanMessage("hi", id="1"), {"type": "human", "content": "hi", "id": "1"}),
        (
            AIMessage("yes", id="2"),
            {
                "type": "ai",
                "content": [{"type": "text", "text": "yes", "index": 0}],
                "id": "2",
                "response_metadata": {"output_version": "v1"},
            },
        ),
        (
            ToolMessage("3", id="3", tool_call_id="c1", name="add"),
            {
                "type": "tool",
                "content": "3",
                "id": "3",
                "name": "add",
                "tool_call_id": "c1",
                "status": "success",
            },
        ),
    ],
    ids=["human", "ai", "tool"],
)
def test_a_message_is_told_without_what_is_empty(message: Any, expected: Any) -> None:
    assert slim(loads(dumps(message))) == expected


def test_a_snapshot_changes_messages_alone() -> None:
    values = {"messages": [HumanMessage("hi", id="1")], "log": [], "type": "ai", "n": None}
    assert snapshot(dumps({**values, "__interrupt__": []})) == {
        "messages": [{"type": "human", "content": "hi", "id": "1"}],
        "log": [],
        "type": "ai",
        "n": None,
    }
    assert snapshot(b"3") == 3
